//! A process that seems dead and is not: what it may no longer do, and what it may still say.

use domain::campaign::State;
use testkit::Engine;

use crate::harness::Shop;

testkit::both_engines!(
    a_process_that_was_taken_over_starts_nothing_more,
    what_a_process_that_was_taken_over_learns_is_kept,
);

async fn a_process_that_was_taken_over_starts_nothing_more(engine: Engine) {
    let shop = Shop::open(engine).await;
    let zombie = shop.held(60).await;
    let id = zombie.id;
    shop.take_over(id).await;
    // What the mark allowed may have left; the rest goes to the other process.
    let process = shop.start();
    shop.wait(id, |status| status.counts.sent == 40 && status.counts.unknown == 20).await;
    zombie.send(&shop).await.expect("no panic");
    // It says that it sent nothing, which is evidence: now those twenty may leave, too.
    shop.wait_state(id, State::Completed).await;
    assert_eq!(shop.status(id).await.counts.sent, 60);
    assert_eq!(shop.carrier.calls(), 60);
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    process.stop().await;
}

async fn what_a_process_that_was_taken_over_learns_is_kept(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.carrier.hold_after(0);
    let zombie = shop.held(60).await;
    let id = zombie.id;
    let sending = zombie.send(&shop);
    assert_eq!(shop.calls_at_rest().await, 20, "a window of texts is on the wire");
    shop.take_over(id).await;
    assert_eq!(shop.status(id).await.counts.unknown, 20);
    shop.carrier.open();
    sending.await.expect("no panic");
    let status = shop.status(id).await;
    assert_eq!((status.counts.sent, status.counts.unknown), (20, 0), "late evidence is evidence");
    assert_eq!((status.credits.spent, status.credits.reserved), (20, 0));
    assert_eq!(shop.carrier.calls(), 20, "and nothing more left");
    shop.assert_audit().await;
}
