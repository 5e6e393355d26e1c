//! The durable mark: nothing leaves ahead of it, whatever becomes of the commit that moves it.

use domain::campaign::State;
use ledgerline::flow::messages::{self, Asking, MessageIn};
use store::CommitFault;
use testkit::Engine;

use crate::harness::{Shop, from, phone};

testkit::both_engines!(
    nothing_leaves_ahead_of_the_durable_mark,
    a_full_disk_stops_sending_and_loses_nothing,
);

async fn nothing_leaves_ahead_of_the_durable_mark(engine: Engine) {
    let shop = Shop::open(engine).await;
    let held = shop.held(100).await;
    let id = held.id;
    // The first beat is neither committed nor answered.
    shop.db.faults().plan(Some((1, CommitFault { done: false, answered: false })));
    let process = held.send(&shop);
    let calls = shop.calls_at_rest().await;
    assert!(shop.db.faults().has_struck(), "the beat came to its commit");
    assert_eq!(calls, shop.durable_mark(id).await, "what the mark allows leaves, and no more");
    process.abort();
    drop(process.await);
    let process = shop.start();
    shop.wait(id, |status| status.counts.sent + status.counts.unknown == 100).await;
    assert_eq!(shop.carrier.accepted().len(), 100);
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    process.stop().await;
}

/// Nothing can be written to these any more; as with a full disk, `SQLite` ends the transaction.
async fn fill_disk(shop: &Shop) {
    let (function, sqlite, postgres) = (
        "create function full_disk() returns trigger language plpgsql
         as 'begin raise exception using errcode = ''disk_full''; end'",
        [
            "create trigger full_chunks before update on chunk
             begin select raise(rollback, 'the disk is full'); end",
            "create trigger full_texts before insert on recipient
             begin select raise(rollback, 'the disk is full'); end",
        ],
        [
            "create trigger full_chunks before update on chunk
             for each row execute function full_disk()",
            "create trigger full_texts before insert on recipient
             for each row execute function full_disk()",
        ],
    );
    if shop.engine().is_postgres() {
        change(shop, &[function]).await;
    }
    change(shop, if shop.engine().is_postgres() { &postgres } else { &sqlite }).await;
}

async fn make_room(shop: &Shop) {
    let postgres = ["drop trigger full_chunks on chunk", "drop trigger full_texts on recipient"];
    let sqlite = ["drop trigger full_chunks", "drop trigger full_texts"];
    change(shop, if shop.engine().is_postgres() { &postgres } else { &sqlite }).await;
}

async fn change(shop: &Shop, statements: &[&'static str]) {
    let mut tx = shop.db.begin().await.expect("begins");
    for statement in statements {
        tx.execute(*statement, ()).await.expect("changes");
    }
    tx.commit().await.expect("commits");
}

async fn take_text(shop: &Shop) -> bool {
    let wanted =
        MessageIn { to: phone(500), body: Some("Hello".to_owned()), ..MessageIn::default() };
    let sender = from();
    let asking =
        Asking { account: shop.account, installation_sender: Some(&sender), magic_allowed: true };
    let intake = messages::check(&shop.db, asking, &wanted, None).await.expect("a good text");
    messages::take(&messages::start_intakes(shop.db.clone()), intake).await.is_ok()
}

async fn a_full_disk_stops_sending_and_loses_nothing(engine: Engine) {
    let shop = Shop::open(engine).await;
    let held = shop.held(100).await;
    let id = held.id;
    fill_disk(&shop).await;
    let process = held.send(&shop);
    let calls = shop.calls_at_rest().await;
    assert_eq!(calls, shop.durable_mark(id).await, "without a durable mark nothing leaves");
    assert!(calls < 100, "the disk was not full");
    assert!(!take_text(&shop).await, "what cannot be kept is not taken in");
    make_room(&shop).await;
    assert!(take_text(&shop).await, "with room it is taken in again");
    shop.wait_state(id, State::Completed).await;
    process.await.expect("no panic");
    assert_eq!(shop.status(id).await.counts.sent, 100);
    assert_eq!(shop.carrier.accepted().len(), 100);
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
}
