//! What a claim may not do: run ahead of a pause, of an opt-out, of a suspension, of a price, of
//! credits that are just arriving, or of the order of locks.

use std::sync::Arc;
use std::time::Duration;

use domain::ids::StreamId;
use domain::instant::Instant;
use domain::permit::Consent;
use domain::rates::{Destination, Rate, RateKey};
use ledgerline::delivery::claim::Piece;
use ledgerline::delivery::worker::{Piecework, claim_piece};
use ledgerline::flow::accounts::adjust_credits;
use ledgerline::flow::campaigns::Wish;
use store::{accounts, rates, streams, wallets};
use testkit::Engine;
use tokio::task::JoinHandle;

use crate::harness::{Shop, phone, word};

testkit::both_engines!(
    what_is_paused_or_canceled_is_not_claimed,
    an_opt_out_after_sealing_is_obeyed_at_the_claim,
    a_suspended_account_sends_nothing,
    a_list_costs_what_was_quoted_when_it_was_sealed,
);

async fn what_is_paused_or_canceled_is_not_claimed(engine: Engine) {
    let shop = Shop::open(engine).await;
    let desk = shop.desk();
    let id = shop.sealed(10).await;
    for wish in [Wish::Pause, Wish::Cancel] {
        shop.wish(id, wish).await;
        let piece = shop.piece(&desk, id, Piece::Next).await;
        assert!(matches!(piece, Piecework::Nothing), "{wish:?}: {piece:?}");
    }
    assert_eq!(shop.available().await, 10);
    shop.assert_audit().await;
}

async fn an_opt_out_after_sealing_is_obeyed_at_the_claim(engine: Engine) {
    let shop = Shop::open(engine).await;
    let desk = shop.desk();
    let id = shop.sealed(10).await;
    let gone = [phone(3), phone(4)];
    shop.keep(&gone.each_ref().map(|phone| word(phone, Some(Consent::OptedOut)))).await;
    let piece = shop.piece(&desk, id, Piece::Next).await;
    let Piecework::Chunk(claimed, _) = piece else { panic!("no chunk: {piece:?}") };
    assert_eq!(claimed.permits.len(), 8);
    assert!(claimed.permits.iter().all(|permit| !gone.iter().any(|one| one == permit.phone())));
    assert_eq!(shop.rules(id).await, [("opt_out".to_owned(), 2)].into());
    assert_eq!(shop.available().await, 2, "nothing is held for them");
    shop.assert_audit().await;
}

async fn set_active(shop: &Shop, active: bool) {
    let mut tx = shop.db.begin().await.expect("begins");
    accounts::set_account_active(&mut tx, shop.account, active).await.expect("is there");
    tx.commit().await.expect("commits");
}

async fn a_suspended_account_sends_nothing(engine: Engine) {
    let shop = Shop::open(engine).await;
    let desk = shop.desk();
    let id = shop.sealed(10).await;
    set_active(&shop, false).await;
    let piece = shop.piece(&desk, id, Piece::Next).await;
    assert!(matches!(piece, Piecework::Decided), "{piece:?}");
    assert_eq!(shop.rules(id).await, [("account".to_owned(), 10)].into());
    assert_eq!(shop.available().await, 10);
    set_active(&shop, true).await;
    shop.clock.advance(Duration::from_secs(61));
    let piece = shop.piece(&desk, id, Piece::Due).await;
    assert!(matches!(piece, Piecework::Chunk(..)), "{piece:?}");
    shop.assert_audit().await;
}

async fn a_list_costs_what_was_quoted_when_it_was_sealed(engine: Engine) {
    let shop = Shop::open(engine).await;
    let desk = shop.desk();
    let id = shop.sealed(10).await;
    let dearer = Rate {
        key: RateKey {
            destination: Destination::kept("+1".to_owned()),
            sender_kind: None,
            channel: None,
        },
        effective_from: Instant(0),
        credits_per_segment: 3,
        carrier_price: None,
    };
    let mut tx = shop.db.begin().await.expect("begins");
    rates::save_rates(&mut tx, &[dearer]).await.expect("adds");
    tx.commit().await.expect("commits");
    shop.credits(90, "more").await;
    let piece = shop.piece(&desk, id, Piece::Next).await;
    let Piecework::Chunk(claimed, _) = piece else { panic!("no chunk: {piece:?}") };
    assert_eq!((claimed.chunk.reserved, shop.available().await), (10, 90));
    assert_eq!(shop.status(id).await.credits.quoted, 10);
    shop.assert_audit().await;
}

/// A claim beside the test, once it waits for somebody's lock or is done.
async fn claim_beside(shop: &Shop, id: StreamId) -> JoinHandle<store::Result<Piecework>> {
    let (desk, place) = (shop.desk(), (shop.account, id));
    let claiming =
        tokio::spawn(async move { claim_piece(&Arc::clone(&desk), place, Piece::Next).await });
    for _ in 0..10_000 {
        let mut tx = shop.db.read().await.expect("reads");
        let (waiting,): (i64,) = tx
            .one(
                "select count(*) from pg_stat_activity
                 where wait_event_type = 'Lock' and datname = current_database()",
                (),
            )
            .await
            .expect("reads");
        if waiting > 0 || claiming.is_finished() {
            return claiming;
        }
        tokio::task::yield_now().await;
    }
    panic!("the claim neither waits nor ends");
}

/// `SQLite` lets one transaction write at a time; only on `PostgreSQL` can a claim meet another.
#[tokio::test]
async fn credits_that_are_just_arriving_are_waited_for() {
    let shop = Shop::open(Engine::postgres("arriving").await).await;
    shop.contacts(10, Some(Consent::OptedIn)).await;
    let id = shop.campaign("Hello there", false).await;
    let mut tx = shop.db.begin().await.expect("begins");
    adjust_credits(&mut tx, shop.account, "top-up", 10, "operator", "for the test")
        .await
        .expect("moves");
    let claiming = claim_beside(&shop, id).await;
    tx.commit().await.expect("commits");
    let piece = claiming.await.expect("no panic").expect("claims");
    assert!(matches!(piece, Piecework::Chunk(..)), "paused beside ten credits: {piece:?}");
    shop.assert_audit().await;
}

#[tokio::test]
async fn the_wallet_is_the_last_of_all_locks() {
    let shop = Shop::open(Engine::postgres("locks").await).await;
    let id = shop.sealed(10).await;
    let mut tx = shop.db.begin().await.expect("begins");
    streams::lock_stream(&mut tx, shop.account, id).await.expect("locks");
    let claiming = claim_beside(&shop, id).await;
    let locked = wallets::lock_wallet(&mut tx, shop.account).await;
    assert!(locked.is_ok(), "the claim holds the wallet and waits for the stream: {locked:?}");
    tx.commit().await.expect("commits");
    let piece = claiming.await.expect("no panic").expect("no deadlock");
    assert!(matches!(piece, Piecework::Chunk(..)), "{piece:?}");
    shop.assert_audit().await;
}
