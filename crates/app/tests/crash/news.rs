//! What comes back from outside: receipts, and texts that people send.

use std::sync::Arc;

use domain::message::{Receipt, State};
use domain::seam::SeededDice;
use ledgerline::delivery::receipts::{ReceiptIn, keep_batch};
use ledgerline::flow::accounts::{self, SenderIn};
use ledgerline::flow::inbound::{Received, Reception, receive_batch};
use store::tasks::{self, TaskFilter};
use store::threads;
use testkit::Engine;
use twilio::wire::InboundMessage;

use crate::carrier::Fate;
use crate::shop::{Death, Shop};
use crate::town::Town;
use crate::trial::Least;

testkit::both_engines!(receipts, a_receipt_that_has_a_text_sent_again, inbound_texts);

/// The carrier's callback about what it took for the `n`-th phone.
fn receipt(shop: &Shop<'_>, n: usize, receipt: Receipt, code: i64) -> ReceiptIn {
    let taken = shop.town.carrier.taken(&shop.phone(n)).pop().expect("it was taken");
    let token = taken.callback.split('#').next().and_then(|url| url.rsplit('/').next());
    let secret = &shop.town.secret;
    let (message, attempt) =
        secret.open_receipt_token(token.unwrap_or_default()).expect("our own token");
    ReceiptIn { message, attempt, receipt, sid: taken.sid, code }
}

/// The carrier posts its receipts again, because nobody answered, and then once more.
async fn repeat(shop: &Shop<'_>, batch: &[ReceiptIn]) {
    let mut pictures = Vec::new();
    for _ in 0..2 {
        let kept = keep_batch(&shop.desk(), batch.to_vec()).await;
        assert!(kept.iter().all(Result::is_ok), "{kept:?}");
        pictures.push(shop.picture().await);
    }
    assert_eq!(pictures[0], pictures[1], "the same receipts twice");
}

async fn receipts(engine: Engine) {
    let town = Town::open(engine).await;
    let least = Least { points: 15, inside: 12, commits: 2 };
    town.endure("receipt", Death::Proven, least, async |trial| {
        let shop = &trial.shop;
        shop.people(6).await;
        let id = shop.campaign("Hello there").await;
        town.carrier.plan(&shop.phone(3), &[Fate::Unheard]);
        shop.settle_down().await;
        assert_eq!(shop.count(State::Unknown).await, 1);
        let batch = vec![
            receipt(shop, 0, Receipt::Delivered, 0),
            receipt(shop, 1, Receipt::Sent, 0),
            receipt(shop, 0, Receipt::Delivered, 0),
            receipt(shop, 2, Receipt::Failed, 30003),
            receipt(shop, 1, Receipt::Taken, 0),
            receipt(shop, 3, Receipt::Delivered, 0),
            receipt(shop, 4, Receipt::Undelivered, 30003),
        ];
        let (desk, news) = (shop.desk(), batch.clone());
        trial.run(async move { keep_batch(&desk, news).await }).await;
        repeat(shop, &batch).await;
        shop.finish().await;
        for (state, texts) in [
            (State::Delivered, 2),
            (State::Sent, 1),
            (State::Failed, 1),
            (State::Undelivered, 1),
            (State::Accepted, 1),
        ] {
            assert_eq!(shop.count(state).await, texts, "{state}");
        }
        assert_eq!(shop.stream(id).await.state, domain::campaign::State::Completed);
    })
    .await;
}

async fn a_receipt_that_has_a_text_sent_again(engine: Engine) {
    let town = Town::open(engine).await;
    let least = Least { points: 10, inside: 8, commits: 1 };
    town.endure("receipt of a failure that passes", Death::Proven, least, async |trial| {
        let shop = &trial.shop;
        shop.credits(5).await;
        shop.text(&shop.phone(0), "Your table is ready").await;
        shop.settle_down().await;
        // 30017: the carrier is congested.
        let batch = vec![receipt(shop, 0, Receipt::Undelivered, 30017)];
        let (desk, news) = (shop.desk(), batch.clone());
        trial.run(async move { keep_batch(&desk, news).await }).await;
        repeat(shop, &batch).await;
        shop.finish().await;
        assert_eq!(shop.count(State::Undelivered).await, 1);
        assert_eq!(shop.count(State::Accepted).await, 1, "it is sent again, once");
    })
    .await;
}

async fn inbound_texts(engine: Engine) {
    let town = Town::open(engine).await;
    let least = Least { points: 14, inside: 8, commits: 1 };
    town.endure("inbound", Death::Proven, least, async |trial| {
        let shop = &trial.shop;
        let address = format!("{}", 10_000_000 + shop.number());
        let wanted = SenderIn {
            kind: "short_code".into(),
            address,
            segments_per_second: None,
            answers_stop: None,
        };
        let mut tx = town.db.begin().await.expect("begins");
        let added = accounts::add_sender(&mut tx, &*town.dice, shop.account, &wanted).await;
        added.expect("adds");
        tx.commit().await.expect("commits");
        let text = |n: usize, phone: usize| InboundMessage {
            sid: format!("SM{:032x}", shop.number() * 10 + n).parse().expect("well-formed"),
            from: shop.phone(phone),
            to: wanted.address.clone(),
            messaging_service_sid: None,
            body: "Is there a table at eight?".to_owned(),
            segments: 1,
            media_urls: Vec::new(),
            opt_out_type: None,
        };
        let batch = vec![text(0, 0), text(1, 1), text(2, 0), text(1, 1)];
        let reception = Arc::new(Reception {
            db: town.db.clone(),
            dice: Arc::<SeededDice>::clone(&town.dice),
            installation_sender: None,
            magic_allowed: true,
        });
        let (hook, posted) = (Arc::clone(&reception), batch.clone());
        let flow = async move { receive_batch(&hook, posted).await };
        if let Some(answers) = trial.run(flow).await {
            assert_eq!(answers.len(), batch.len());
        }
        let first = receive_batch(&reception, batch.clone()).await;
        assert!(first.iter().all(Result::is_ok), "{first:?}");
        let second = receive_batch(&reception, batch).await;
        assert_eq!(second, vec![Ok(Received::Before); 4]);
        let mut tx = town.db.read().await.expect("reads");
        let mut texts = Vec::new();
        for thread in threads::list_threads(&mut tx, shop.account, 10).await.expect("lists") {
            let kept = threads::inbound_of_thread(&mut tx, shop.account, thread.id, 10).await;
            texts.push((thread.phone, kept.expect("lists").len()));
        }
        let all = TaskFilter::default();
        let tasks = tasks::list_tasks(&mut tx, shop.account, &all, None, 10).await;
        let mut tasks: Vec<_> = tasks.expect("lists").into_iter().map(|task| task.phone).collect();
        drop(tx);
        texts.sort();
        tasks.sort();
        assert_eq!(texts, [(shop.phone(0), 2), (shop.phone(1), 1)]);
        assert_eq!(tasks, [Some(shop.phone(0)), Some(shop.phone(1))], "somebody reads each, once");
        shop.finish().await;
    })
    .await;
}
