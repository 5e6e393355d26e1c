//! A word that comes in while texts leave: what has not started never does.

use std::time::Duration;

use domain::ids::{MessageId, StreamId};
use domain::permit::Consent;
use ledgerline::flow::messages::{self, Asking, MessageIn};
use serde_json::json;
use store::{chunks, messages as rows, withdrawals};
use testkit::Engine;

use crate::harness::{Shop, from, phone, word};

testkit::both_engines!(
    an_opt_out_stops_ten_thousand_queued_texts,
    what_was_withdrawn_never_leaves_claimed_or_not,
);

const QUEUED: usize = 10_000;

/// So many texts to one phone.
async fn queue(shop: &Shop, to: &str, texts: usize) {
    let wanted: MessageIn =
        serde_json::from_value(json!({"to": to, "body": "News of the day"})).expect("well-formed");
    let sender = from();
    let asking =
        Asking { account: shop.account, installation_sender: Some(&sender), magic_allowed: true };
    let one = messages::check(&shop.db, asking, &wanted, None).await.expect("a good text");
    for batch in vec![one; texts].chunks(500) {
        let taken = messages::take_batch(&shop.db, batch.to_vec()).await;
        assert!(taken.iter().all(Result::is_ok));
    }
}

/// Waits until every owner of a chunk has looked around since now.
async fn beat(shop: &Shop) {
    shop.clock.advance(Duration::from_secs(1));
    let now = shop.db.read().await.expect("reads").now();
    for _ in 0..3000 {
        let mut tx = shop.db.read().await.expect("reads");
        let open = chunks::list_open(&mut tx, shop.account, StreamId::ENDLESS[0]).await;
        let lease = Duration::from_secs(30);
        if open.expect("lists").iter().all(|chunk| chunk.lease_until >= now + lease) {
            return;
        }
        drop(tx);
        drop(tokio::time::timeout(Duration::from_millis(5), shop.carrier.on_wire.notified()).await);
    }
    panic!("no beat came");
}

async fn wait_for_end(shop: &Shop, texts: usize) {
    for _ in 0..12_000 {
        let mut tx = shop.db.read().await.expect("reads");
        let tallies = rows::tallies(&mut tx, shop.account, StreamId::ENDLESS[0]).await;
        let done: i64 = tallies
            .expect("counts")
            .iter()
            .filter(|(state, _)| !matches!(state.as_str(), "deferred" | "reserved"))
            .map(|(_, n)| *n)
            .sum();
        if usize::try_from(done) == Ok(texts) {
            return;
        }
        drop(tx);
        drop(tokio::time::timeout(Duration::from_millis(5), shop.carrier.on_wire.notified()).await);
    }
    panic!("the texts were never decided");
}

async fn an_opt_out_stops_ten_thousand_queued_texts(engine: Engine) {
    let shop = Shop::open(engine).await;
    let price = 1;
    shop.credits(i64::try_from(QUEUED).expect("few") * price, "first").await;
    queue(&shop, &phone(1), QUEUED).await;
    shop.carrier.hold_after(7);
    let process = shop.start();
    for _ in 0..3000 {
        if shop.carrier.calls() == 8 {
            break;
        }
        drop(tokio::time::timeout(Duration::from_millis(5), shop.carrier.on_wire.notified()).await);
    }
    assert_eq!((shop.carrier.accepted().len(), shop.carrier.calls()), (7, 8));
    shop.keep(&[word(&phone(1), Some(Consent::OptedOut))]).await;
    beat(&shop).await;
    shop.carrier.open();
    wait_for_end(&shop, QUEUED).await;
    assert_eq!(shop.carrier.calls(), 8, "only the one on the wire could not be called back");
    let stream = StreamId::ENDLESS[0];
    for ord in [9, 10, 500, 10_000] {
        let id = MessageId { account: shop.account, stream, ord };
        let found = shop.message(id).await;
        assert_eq!((found.state, found.why.rule), ("suppressed", Some("opt_out")), "{ord}");
    }
    let left = i64::try_from(QUEUED).expect("few") - 8;
    assert_eq!(shop.available().await, left * price, "what did not leave costs nothing");
    shop.assert_audit().await;
    process.stop().await;
}

async fn what_was_withdrawn_never_leaves_claimed_or_not(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(300, "first").await;
    queue(&shop, &phone(1), 300).await;
    shop.carrier.hold_after(3);
    let process = shop.start();
    for _ in 0..3000 {
        if shop.carrier.calls() == 4 {
            break;
        }
        drop(tokio::time::timeout(Duration::from_millis(5), shop.carrier.on_wire.notified()).await);
    }
    // One is at the carrier's, one waits for its turn, one is claimed, one is not.
    let stream = StreamId::ENDLESS[0];
    let texts = [4, 6, 90, 250].map(|ord| MessageId { account: shop.account, stream, ord });
    let mut tx = shop.db.begin().await.expect("begins");
    let why = "the appointment was cancelled";
    withdrawals::withdraw(&mut tx, shop.account, &texts, why).await.expect("withdraws");
    tx.commit().await.expect("commits");
    beat(&shop).await;
    shop.carrier.open();
    wait_for_end(&shop, 300).await;
    let mut states = Vec::new();
    for id in texts {
        let found = shop.message(id).await;
        states.push((found.state, found.why.rule));
    }
    let withdrawn = ("suppressed", Some("withdrawn"));
    assert_eq!(states[1..], [withdrawn; 3]);
    assert_eq!(states[0], ("accepted", None));
    assert_eq!(shop.carrier.calls(), 297);
    shop.assert_audit().await;
    process.stop().await;
}
