//! Texts whose fate is unknown: what finds them, what proves them absent, what never does.

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::campaign::State;
use domain::ids::StreamId;
use domain::message::Receipt;
use domain::permit::Consent;
use testkit::Engine;
use twilio::outcome::{FailureKind, Outcome, UnknownReason};

use crate::harness::{Shop, phone};

testkit::both_engines!(
    the_carriers_list_finds_what_it_took,
    a_campaigns_absent_text_is_released_after_its_bound_and_never_sent_again,
    an_absent_reminder_is_sent_again_while_it_is_useful,
    listings_before_the_bound_prove_nothing_however_many,
    one_listing_or_a_stale_one_proves_nothing,
    a_silent_carrier_proves_nothing,
    two_equal_texts_to_one_phone_are_each_bound_once,
    a_text_on_the_wire_is_not_taken_for_an_unknown_one,
    evidence_after_the_verdict_is_charged_late_once,
    news_of_an_earlier_attempt_counts,
    an_orphan_is_taken_for_the_text_about_to_leave,
    a_text_that_shows_late_in_the_list_is_found,
    a_restored_database_sends_nothing_until_it_knows_what_it_sent,
);

/// A minute before a list's text may be called absent, and a second after.
const BEFORE: Duration = Duration::from_secs(120 + 4 * 3600 + 600 - 60);
const BOUND: Duration = Duration::from_secs(120 + 4 * 3600 + 600 + 1);

fn lost() -> Outcome {
    Outcome::Unknown { reason: UnknownReason::Failed(FailureKind::Timeout) }
}

/// A running campaign of `texts`, of whose calls the `lost_call`-th is never answered.
async fn shop_with_lost(engine: Engine, body: &str, lost_call: u64) -> (Shop, StreamId) {
    let shop = Shop::open(engine).await;
    shop.contacts(10, Some(Consent::OptedIn)).await;
    shop.credits(20, "first").await;
    shop.carrier.answer(move |call, _| (call == lost_call).then(lost));
    let process = shop.start();
    let id = shop.campaign(body, false).await;
    shop.wait(id, |status| status.counts.unknown == 1 && status.counts.sent == 9).await;
    process.stop().await;
    (shop, id)
}

async fn the_carriers_list_finds_what_it_took(engine: Engine) {
    let (shop, id) = shop_with_lost(engine, "this one is taken", 4).await;
    let unknown = shop.status(id).await.unknown.expect("is shown");
    assert_eq!(unknown.texts, 1);
    assert!(unknown.decided_by > domain::seam::Clock::now(&*shop.clock));
    assert_eq!(shop.reconcile().await, 0, "not before the carrier had time to list it");
    shop.clock.advance(Duration::from_secs(6));
    assert_eq!(shop.reconcile().await, 1);
    shop.wait_state(id, State::Completed).await;
    let status = shop.status(id).await;
    assert_eq!((status.counts.sent, status.credits.spent, status.credits.reserved), (10, 10, 0));
    assert!(status.unknown.is_none());
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
}

async fn a_campaigns_absent_text_is_released_after_its_bound_and_never_sent_again(engine: Engine) {
    let (shop, id) = shop_with_lost(engine, "never arrives", 4).await;
    shop.clock.advance(BEFORE);
    assert_eq!(shop.reconcile().await, 0, "B10: no verdict before the bound");
    assert_eq!(shop.status(id).await.counts.unknown, 1);
    // Another text proves that the list is fresh.
    shop.carrier.answer(|_, _| None);
    let process = shop.start();
    let later = shop.text(&phone(77), "message.notification", "See you").await;
    shop.wait_message(later, "accepted").await;
    shop.clock.advance(Duration::from_secs(61));
    assert_eq!(shop.reconcile().await, 0, "one listing proves nothing");
    assert_eq!(shop.status(id).await.counts.unknown, 1);
    shop.clock.advance(Duration::from_secs(121));
    assert_eq!(shop.reconcile().await, 1);
    shop.wait_state(id, State::Completed).await;
    let status = shop.status(id).await;
    assert_eq!((status.counts.sent, status.counts.failed, status.credits.spent), (9, 1, 9));
    assert_eq!(shop.available().await, 20 - 9 - 1);
    assert_eq!(shop.carrier.accepted().len(), 10);
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    process.stop().await;
}

async fn an_absent_reminder_is_sent_again_while_it_is_useful(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(5, "first").await;
    shop.carrier.answer(|call, _| (call == 1).then(lost));
    let process = shop.start();
    let reminder = shop.text(&phone(1), "message.reminder", "Tomorrow at ten").await;
    shop.wait_message(reminder, "unknown").await;
    // Nothing newer proves the list fresh, so that a third listing is asked for.
    for listing in 1..=3 {
        assert_eq!(shop.message(reminder).await.state, "unknown", "listing {listing}");
        let wait = if listing == 1 { 120 + 3600 + 600 + 1 } else { 121 };
        shop.clock.advance(Duration::from_secs(wait));
        shop.reconcile().await;
    }
    shop.wait_message(reminder, "accepted").await;
    assert_eq!(shop.message(reminder).await.attempts, 2);
    assert_eq!(shop.carrier.accepted().len(), 1);
    shop.assert_audit().await;
    process.stop().await;

    // A code never is.
    shop.carrier.answer(|call, _| (call == 3).then(lost));
    let process = shop.start();
    let code = shop.text(&phone(2), "message.code", "Your code is 123456").await;
    shop.wait_message(code, "unknown").await;
    for _ in 0..3 {
        shop.clock.advance(Duration::from_secs(120 + 600 + 600 + 1));
        shop.reconcile().await;
    }
    shop.wait_message(code, "absent").await;
    assert_eq!(shop.carrier.accepted().len(), 1, "B45: a code is never sent again");
    shop.assert_audit().await;
    process.stop().await;
}

async fn listings_before_the_bound_prove_nothing_however_many(engine: Engine) {
    let (shop, id) = shop_with_lost(engine, "never arrives", 4).await;
    for wait in [6, 30, 120, 600, 3600, 3600, 3600] {
        shop.clock.advance(Duration::from_secs(wait));
        assert_eq!(shop.reconcile().await, 0, "B10: no verdict before the bound");
    }
    let status = shop.status(id).await;
    assert_eq!((status.counts.unknown, status.credits.reserved), (1, 1));
    shop.assert_audit().await;
}

async fn one_listing_or_a_stale_one_proves_nothing(engine: Engine) {
    let (shop, id) = shop_with_lost(engine, "this one is taken", 4).await;
    let lost = shop.message(shop.recipient_in(id, "unknown").await).await.to;
    let taken = shop.carrier.accepted().into_iter().find(|one| one.to == lost).expect("is there");
    // The carrier's list is behind: it shows nothing taken since.
    for one in shop.carrier.accepted() {
        shop.carrier.hide(&one.sid, true);
    }
    shop.clock.advance(BOUND);
    assert_eq!(shop.reconcile().await, 0);
    shop.clock.advance(Duration::from_secs(121));
    assert_eq!(shop.reconcile().await, 0, "two listings of a list that shows nothing of ours");
    shop.carrier.hide(&taken.sid, false);
    shop.clock.advance(Duration::from_secs(121));
    assert_eq!(shop.reconcile().await, 1);
    assert_eq!(shop.status(id).await.counts.sent, 10);
    shop.assert_audit().await;
}

async fn a_silent_carrier_proves_nothing(engine: Engine) {
    let (shop, id) = shop_with_lost(engine, "never arrives", 4).await;
    shop.carrier.silent.store(true, Ordering::SeqCst);
    for _ in 0..10 {
        shop.clock.advance(BOUND);
        assert_eq!(shop.reconcile().await, 0);
    }
    let status = shop.status(id).await;
    assert_eq!((status.counts.unknown, status.credits.reserved), (1, 1));
    shop.assert_audit().await;
}

async fn two_equal_texts_to_one_phone_are_each_bound_once(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(5, "first").await;
    shop.carrier.answer(|call, _| (call <= 2).then(lost));
    let process = shop.start();
    let one = shop.text(&phone(1), "message.notification", "this is taken").await;
    shop.wait_message(one, "unknown").await;
    let two = shop.text(&phone(1), "message.notification", "this is taken").await;
    shop.wait_message(two, "unknown").await;
    let last = shop.carrier.accepted().pop().expect("two were taken");
    shop.carrier.hide(&last.sid, true);
    shop.clock.advance(Duration::from_secs(6));
    assert_eq!(shop.reconcile().await, 1, "one SID binds one text");
    let states = [shop.message(one).await.state, shop.message(two).await.state];
    assert_eq!(states, ["accepted", "unknown"]);
    shop.carrier.hide(&last.sid, false);
    shop.clock.advance(Duration::from_secs(30));
    assert_eq!(shop.reconcile().await, 1);
    assert_ne!(shop.message(one).await.sid, shop.message(two).await.sid);
    assert_eq!(shop.available().await, 3);
    shop.assert_audit().await;
    process.stop().await;
}

async fn a_text_on_the_wire_is_not_taken_for_an_unknown_one(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(5, "first").await;
    shop.carrier.answer(|call, _| (call == 1).then(lost));
    let process = shop.start();
    let one = shop.text(&phone(1), "message.notification", "Same words").await;
    shop.wait_message(one, "unknown").await;
    shop.carrier.hold_after(0);
    let two = shop.text(&phone(1), "message.notification", "Same words").await;
    shop.wait_message(two, "reserved").await;
    // The carrier has the second text; its answer is still on the way.
    shop.carrier.take(&phone(1), "Same words", None);
    shop.clock.advance(Duration::from_secs(6));
    assert_eq!(shop.reconcile().await, 0, "it may be either");
    assert_eq!(shop.message(one).await.state, "unknown");
    shop.carrier.open();
    shop.wait_message(two, "accepted").await;
    process.stop().await;
}

async fn evidence_after_the_verdict_is_charged_late_once(engine: Engine) {
    let (shop, id) = shop_with_lost(engine, "never arrives", 4).await;
    for _ in 0..3 {
        shop.clock.advance(BOUND);
        shop.reconcile().await;
    }
    assert_eq!(shop.status(id).await.counts.failed, 1, "absent");
    let before = shop.available().await;
    let absent = shop.recipient_in(id, "absent").await;
    for _ in 0..2 {
        shop.receipt(absent, 1, (Receipt::Delivered, 0), "SM000000000000000000000000000000ff")
            .await;
    }
    assert_eq!(shop.available().await, before - 1, "B28: one correcting line");
    assert_eq!(shop.status(id).await.counts.delivered, 1);
    shop.assert_audit().await;
}

async fn news_of_an_earlier_attempt_counts(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(5, "first").await;
    shop.carrier.answer(|call, _| (call <= 2).then(lost));
    let process = shop.start();
    let reminder = shop.text(&phone(1), "message.reminder", "Tomorrow at ten").await;
    shop.wait_message(reminder, "unknown").await;
    for _ in 0..3 {
        shop.clock.advance(Duration::from_secs(120 + 3600 + 600 + 1));
        shop.reconcile().await;
    }
    shop.wait_attempt(reminder, 2).await;
    shop.wait_message(reminder, "unknown").await;
    // The first attempt, proven absent, had arrived all the same.
    let sid = "SM000000000000000000000000000000ff";
    shop.receipt(reminder, 1, (Receipt::Delivered, 0), sid).await;
    assert_eq!(shop.message(reminder).await.state, "delivered");
    assert_eq!((shop.available().await, shop.carrier.calls()), (4, 2));
    shop.assert_audit().await;
    process.stop().await;
}

async fn an_orphan_is_taken_for_the_text_about_to_leave(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(5, "first").await;
    shop.sweep().await;
    // The database was set back: the carrier has a text that is only about to be queued here.
    let sid = shop.carrier.take(&phone(1), "Your table is ready", None);
    shop.clock.advance(Duration::from_secs(120));
    assert_eq!(shop.sweep().await.orphans, 1);
    let process = shop.start();
    let text = shop.text(&phone(1), "message.notification", "Your table is ready").await;
    shop.wait_message(text, "accepted").await;
    assert_eq!(shop.message(text).await.sid, Some(sid));
    assert_eq!(shop.carrier.accepted().len(), 1, "it was not sent again");
    let other = shop.text(&phone(1), "message.notification", "Your table is ready").await;
    shop.wait_message(other, "accepted").await;
    assert_eq!(shop.carrier.accepted().len(), 2, "an orphan is taken once");
    shop.assert_audit().await;
    process.stop().await;
}

async fn a_text_that_shows_late_in_the_list_is_found(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.sweep().await;
    shop.clock.advance(Duration::from_secs(1));
    let sid = shop.carrier.take(&phone(1), "Your table is ready", None);
    shop.carrier.hide(&sid, true);
    shop.clock.advance(Duration::from_secs(100));
    assert_eq!(shop.sweep().await.orphans, 0, "the list is behind");
    shop.carrier.hide(&sid, false);
    shop.clock.advance(Duration::from_secs(10));
    assert_eq!(shop.sweep().await.orphans, 1, "what is older than the last sweep shows up");
    assert_eq!(shop.sweep().await.orphans, 0, "once");
}

async fn a_restored_database_sends_nothing_until_it_knows_what_it_sent(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(10, Some(Consent::OptedIn)).await;
    shop.credits(20, "first").await;
    shop.sweep().await;
    // What this database wrote after its backup is gone; four of ten texts left already.
    for n in 0..4 {
        shop.carrier.take(&phone(n), "Spring sale", None);
    }
    shop.clock.advance(Duration::from_secs(1));
    let desk = shop.running_desk();
    ledgerline::delivery::orphans::check_at_start(&desk).await.expect("asks the carrier");
    let reason = ledgerline::delivery::orphans::reason(&desk).await.expect("reads");
    assert!(reason.expect("quarantine").contains("4 texts"));
    let process = shop.start();
    let id = shop.campaign("Spring sale", false).await;
    let single = shop.text(&phone(90), "message.notification", "Hello").await;
    shop.wait_message(single, "deferred").await;
    assert_eq!(shop.message(single).await.why.rule, Some("kill_switch"));
    assert_eq!(shop.carrier.accepted().len(), 4, "B15: nothing is sent");
    assert_eq!(shop.status(id).await.counts.pending, 10, "and no list is taken up");
    shop.sweep().await;
    shop.clock.advance(Duration::from_secs(121));
    shop.sweep().await;
    shop.wait_state(id, State::Completed).await;
    shop.wait_message(single, "accepted").await;
    assert_eq!(shop.carrier.accepted().len(), 11, "six of the list, and the single one");
    shop.carrier.assert_nobody_twice();
    assert_eq!(shop.status(id).await.counts.sent, 10);
    shop.assert_audit().await;
    process.stop().await;
}
