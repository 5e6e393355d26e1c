//! Pause, cancel, adjustments and opt-outs take effect while texts leave.

use domain::campaign::State;
use domain::permit::Consent;
use ledgerline::flow::campaigns::Wish;
use testkit::Engine;

use crate::harness::{Shop, phone, word};

testkit::both_engines!(
    a_pause_is_shown_only_when_nothing_is_on_the_wire,
    a_resume_sends_nothing_again_that_is_on_the_wire,
    a_cancel_gives_back_what_did_not_leave,
    taking_credits_back_stops_at_the_next_claim,
    an_opt_out_stops_even_what_is_claimed,
    a_stopped_server_goes_on_where_it_stood,
);

const TEXTS: usize = 400;

/// A campaign with some texts on the wire that are not answered yet.
async fn half_way(shop: &Shop) -> (domain::ids::StreamId, crate::harness::Process) {
    shop.contacts(TEXTS, Some(Consent::OptedIn)).await;
    shop.credits(400, "first").await;
    shop.carrier.hold_after(70);
    let process = shop.start();
    let id = shop.campaign("Hello there", true).await;
    shop.wait(id, |_| shop.carrier.accepted().len() >= 70).await;
    (id, process)
}

async fn a_pause_is_shown_only_when_nothing_is_on_the_wire(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (id, process) = half_way(&shop).await;
    shop.wish(id, Wish::Pause).await;
    for _ in 0..10 {
        shop.tick().await;
        assert_eq!(shop.status(id).await.state, "pausing", "texts are on the wire");
    }
    shop.carrier.open();
    shop.wait_state(id, State::Paused).await;
    let at_pause = shop.carrier.accepted().len();
    assert!(at_pause < TEXTS, "a pause takes effect within the windows on the wire");
    assert_eq!(shop.status(id).await.pause_reason, Some("operator"));
    shop.assert_audit().await;
    for _ in 0..10 {
        shop.tick().await;
    }
    assert_eq!(shop.carrier.accepted().len(), at_pause);
    shop.wish(id, Wish::Resume).await;
    shop.wait_state(id, State::Completed).await;
    assert_eq!(shop.carrier.accepted().len(), TEXTS);
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    process.stop().await;
}

async fn a_resume_sends_nothing_again_that_is_on_the_wire(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (id, process) = half_way(&shop).await;
    shop.wish(id, Wish::Pause).await;
    assert_eq!(shop.status(id).await.state, "pausing");
    shop.wish(id, Wish::Resume).await;
    shop.carrier.open();
    shop.wait_state(id, State::Completed).await;
    assert_eq!(shop.carrier.accepted().len(), TEXTS);
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    process.stop().await;
}

async fn a_cancel_gives_back_what_did_not_leave(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (id, process) = half_way(&shop).await;
    shop.wish(id, Wish::Cancel).await;
    shop.carrier.open();
    shop.wait_state(id, State::Canceled).await;
    let sent = shop.carrier.accepted().len();
    assert!(sent < TEXTS);
    let counts = shop.status(id).await.counts;
    assert_eq!((counts.pending, counts.deferred, counts.sending), (0, 0, 0));
    assert_eq!(usize::try_from(counts.skipped).expect("few") + sent, TEXTS);
    assert_eq!(usize::try_from(shop.available().await).expect("few") + sent, TEXTS);
    shop.assert_audit().await;
    process.stop().await;
}

async fn taking_credits_back_stops_at_the_next_claim(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(1000, Some(Consent::OptedIn)).await;
    shop.credits(1000, "first").await;
    shop.carrier.hold_after(10);
    let process = shop.start();
    let id = shop.campaign("Hello there", true).await;
    shop.wait(id, |status| status.counts.sending >= 100).await;
    let left = shop.available().await;
    shop.credits(-1000, "back").await;
    assert_eq!(shop.available().await, 0);
    shop.carrier.open();
    shop.wait_state(id, State::Paused).await;
    let sent = i64::try_from(shop.carrier.accepted().len()).expect("few");
    assert!(sent <= 1000 - left + 400, "{sent} texts left although the credits were taken");
    shop.assert_audit().await;
    process.stop().await;
}

async fn an_opt_out_stops_even_what_is_claimed(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (id, process) = half_way(&shop).await;
    let gone: Vec<_> = (0..TEXTS).map(|n| word(&phone(n), Some(Consent::OptedOut))).collect();
    shop.keep(&gone).await;
    shop.carrier.open();
    shop.wait_state(id, State::Completed).await;
    let sent = shop.carrier.accepted().len();
    assert!(sent <= 70 + 4 * 20 * 2, "{sent} texts left, at most the windows on the wire may");
    let counts = shop.status(id).await.counts;
    assert_eq!(usize::try_from(counts.skipped).expect("few") + sent, TEXTS);
    assert_eq!(shop.rules(id).await.get("opt_out"), Some(&(TEXTS - sent)));
    shop.assert_audit().await;
    process.stop().await;
}

async fn a_stopped_server_goes_on_where_it_stood(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (id, process) = half_way(&shop).await;
    let stopping = tokio::spawn(process.stop());
    shop.carrier.open();
    stopping.await.expect("no panic");
    let counts = shop.status(id).await.counts;
    assert_eq!((counts.sending, counts.unknown), (0, 0), "everything on the wire was answered");
    assert!(shop.carrier.accepted().len() < TEXTS);
    shop.assert_audit().await;
    let process = shop.start();
    shop.wait_state(id, State::Completed).await;
    assert_eq!(shop.carrier.accepted().len(), TEXTS);
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    process.stop().await;
}
