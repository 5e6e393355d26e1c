//! Failures that others really had (CORE B.1 to B.3), each told again on our own engine. Those that
//! are not here have their test elsewhere; docs/TESTING.md lists them all.

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::campaign::State;
use domain::message::Receipt;
use domain::permit::Consent;
use ledgerline::delivery::poll::{self, Polls};
use ledgerline::flow::campaigns::Wish;
use testkit::Engine;
use twilio::outcome::{FailureKind, Outcome, UnknownReason};

use crate::carrier::sid;
use crate::harness::{Shop, phone, word};

testkit::both_engines!(
    b01_a_text_due_in_six_hours_leaves_once_whatever_restarts,
    b02_a_stalled_owner_is_fenced_and_its_late_answers_count,
    b04_a_carrier_that_never_answers_28_times_has_each_text_once,
    b05_a_death_between_claim_and_first_byte_loses_nothing,
    b07_a_conversation_keeps_its_order,
    b13_the_same_number_in_two_spellings_is_texted_once,
    b26_credits_taken_back_beyond_zero_are_owed_and_stop_the_next_claim,
    b30_a_pause_at_any_moment_sends_the_complement_after_resume,
    b34_credits_that_come_while_the_list_pauses_resume_it,
    b35_a_sealed_list_is_not_changed_by_its_contacts,
    b36_a_clock_that_jumps_sends_nothing_early_or_twice,
    b36_a_leap_ahead_makes_nothing_due,
    b39_a_text_that_is_too_late_expires_instead_of_flooding_the_night,
    b41_receipts_before_the_answer_out_of_order_and_twice,
    b42_a_carrier_that_cannot_reach_us_is_asked,
);

async fn b01_a_text_due_in_six_hours_leaves_once_whatever_restarts(engine: Engine) {
    let shop = Shop::open_at(engine, "2026-11-21T13:30:00Z").await;
    shop.credits(5, "first").await;
    let text = shop.text_at(&phone(1), "2026-11-21T19:30:00Z", None, "Tomorrow at ten").await;
    for hour in 1..=5 {
        let process = shop.start();
        shop.wait_message(text, "deferred").await;
        if hour % 2 == 0 {
            process.stop().await;
        } else {
            process.kill().await;
        }
        shop.clock.advance(Duration::from_secs(3600));
        assert_eq!(shop.available().await, 5, "no claim before its time");
    }
    let process = shop.start();
    for _ in 0..20 {
        shop.tick().await;
    }
    assert!(shop.carrier.accepted().is_empty(), "not before its time");
    shop.clock.advance(Duration::from_secs(3601));
    shop.wait_message(text, "accepted").await;
    for _ in 0..6 {
        shop.clock.advance(Duration::from_secs(3600));
        shop.tick().await;
    }
    assert_eq!(shop.carrier.accepted().len(), 1);
    shop.assert_audit().await;
    process.stop().await;
}

async fn b02_a_stalled_owner_is_fenced_and_its_late_answers_count(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(100, Some(Consent::OptedIn)).await;
    shop.credits(100, "first").await;
    shop.carrier.hold_after(5);
    let stalled = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait(id, |_| shop.carrier.accepted().len() == 5).await;
    // Stalled, not dead: its lock is held, so nothing of its log may be believed. Its lease ends
    // while it waits for answers.
    shop.clock.advance(Duration::from_secs(60));
    let second = shop.start();
    shop.wait(id, |status| status.counts.unknown > 0).await;
    let unknown = shop.status(id).await.counts.unknown;
    shop.carrier.open();
    // The first one wakes up: what it sent is known now, and it sends nothing more.
    shop.wait_state(id, State::Completed).await;
    let status = shop.status(id).await;
    assert!(unknown > 0 && status.counts.unknown == 0, "{status:?}");
    assert_eq!((status.counts.sent, status.credits.spent), (100, 100));
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    stalled.stop().await;
    second.stop().await;
}

async fn b04_a_carrier_that_never_answers_28_times_has_each_text_once(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(28, Some(Consent::OptedIn)).await;
    shop.credits(28, "first").await;
    shop.carrier.answer(|_, _| {
        Some(Outcome::Unknown { reason: UnknownReason::Failed(FailureKind::Timeout) })
    });
    let process = shop.start();
    let id = shop.campaign("this is taken", false).await;
    shop.wait_long(id, Duration::from_secs(60), |status| status.counts.unknown == 28).await;
    shop.clock.advance(Duration::from_secs(60));
    shop.reconcile().await;
    shop.wait_state(id, State::Completed).await;
    assert_eq!(shop.carrier.accepted().len(), 28);
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    process.stop().await;
}

async fn b05_a_death_between_claim_and_first_byte_loses_nothing(engine: Engine) {
    use ledgerline::delivery::claim::Piece;
    use ledgerline::delivery::worker::{Piecework, claim_piece};
    let shop = Shop::open(engine).await;
    shop.contacts(20, Some(Consent::OptedIn)).await;
    shop.credits(20, "first").await;
    let id = shop.campaign("Hello there", false).await;
    let desk = shop.desk();
    let claimed = claim_piece(&desk, (shop.account, id), Piece::Next).await.expect("claims");
    assert!(matches!(claimed, Piecework::Chunk(..)));
    drop((claimed, desk));
    let process = shop.start();
    shop.wait_state(id, State::Completed).await;
    assert_eq!(shop.status(id).await.counts.sent, 20);
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    process.stop().await;
}

async fn b07_a_conversation_keeps_its_order(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(60, "first").await;
    let mut texts = Vec::new();
    for n in 0..20 {
        for person in 0..3 {
            texts.push(shop.text(&phone(person), "message.reply", &format!("{n:02}")).await);
        }
    }
    let process = shop.start();
    for text in texts {
        shop.wait_message(text, "accepted").await;
    }
    for person in 0..3 {
        let all = shop.carrier.accepted();
        let told: Vec<&str> =
            all.iter().filter(|one| one.to == phone(person)).map(|one| one.body.as_str()).collect();
        assert!(told.is_sorted() && told.len() == 20, "{told:?}");
    }
    process.stop().await;
}

async fn b13_the_same_number_in_two_spellings_is_texted_once(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(10, "first").await;
    let spellings = ["+13125550147", "+1 (312) 555-0147", "312-555-0147", "+13125550148"];
    let phones: Vec<String> = spellings
        .iter()
        .map(|raw| domain::phone::parse(raw, Some("US")).expect("a number").e164.to_string())
        .collect();
    for phone in &phones {
        shop.keep(&[word(phone, Some(Consent::OptedIn))]).await;
    }
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    // Somebody clicks "start" again: that changes nothing.
    let mut tx = shop.db.begin().await.expect("begins");
    drop(ledgerline::flow::campaigns::wish(&mut tx, shop.account, id, Wish::Start).await);
    tx.commit().await.expect("commits");
    shop.wait_state(id, State::Completed).await;
    assert_eq!(shop.carrier.accepted().len(), 2);
    shop.carrier.assert_nobody_twice();
    process.stop().await;
}

async fn b26_credits_taken_back_beyond_zero_are_owed_and_stop_the_next_claim(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(600, Some(Consent::OptedIn)).await;
    shop.credits(600, "first").await;
    shop.carrier.hold_after(30);
    let process = shop.start();
    let id = shop.campaign("Hello there", true).await;
    shop.wait(id, |_| shop.carrier.accepted().len() == 30).await;
    shop.credits(-1000, "a roll-back").await;
    assert_eq!(shop.available().await, 0);
    assert!(shop.status(id).await.credits.reserved > 0, "texts already paid keep their credits");
    shop.carrier.open();
    shop.wait(id, |status| status.state == "paused" || status.state == "completed").await;
    assert!(shop.carrier.accepted().len() < 600);
    // What is owed is paid first.
    shop.credits(100, "a purchase").await;
    assert_eq!(shop.available().await, 0);
    shop.assert_audit().await;
    process.stop().await;
}

async fn b30_a_pause_at_any_moment_sends_the_complement_after_resume(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(120, Some(Consent::OptedIn)).await;
    shop.credits(120, "first").await;
    let process = shop.start();
    shop.carrier.hold_after(0);
    let id = shop.campaign("Hello there", false).await;
    for step in [1, 7, 20, 33, 59] {
        shop.carrier.gate.add_permits(step);
        shop.wait(id, |status| matches!(status.state, "running" | "draining")).await;
        shop.wish(id, Wish::Pause).await;
        shop.carrier.gate.add_permits(1_000);
        shop.wait(id, |status| matches!(status.state, "paused" | "completed")).await;
        let at_pause = shop.carrier.accepted().len();
        for _ in 0..5 {
            shop.tick().await;
        }
        assert_eq!(shop.carrier.accepted().len(), at_pause, "none begins after the pause is shown");
        if shop.status(id).await.state == "completed" {
            break;
        }
        shop.carrier.hold_after(0);
        shop.wish(id, Wish::Resume).await;
    }
    shop.carrier.open();
    shop.wait_state(id, State::Completed).await;
    assert_eq!(shop.carrier.accepted().len(), 120);
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    process.stop().await;
}

async fn b34_credits_that_come_while_the_list_pauses_resume_it(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(60, Some(Consent::OptedIn)).await;
    let process = shop.start();
    let id = shop.campaign("Hello there", true).await;
    // One credit at a time, as the list runs into its pause again and again.
    for n in 0..60 {
        shop.credits(1, &format!("credit {n}")).await;
        shop.wait(id, |_| shop.carrier.accepted().len() > n).await;
    }
    shop.wait_state(id, State::Completed).await;
    assert_eq!(shop.carrier.accepted().len(), 60);
    shop.assert_audit().await;
    process.stop().await;
}

async fn b35_a_sealed_list_is_not_changed_by_its_contacts(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(40, Some(Consent::OptedIn)).await;
    shop.credits(100, "first").await;
    let id = shop.campaign("Hello {{ name | default('you') }}", false).await;
    // Afterwards: new people, other names, and one who says no.
    shop.contacts(60, Some(Consent::OptedIn)).await;
    let mut renamed = word(&phone(0), Some(Consent::OptedIn));
    renamed.name = Some("Somebody Else".to_owned());
    shop.keep(&[renamed, word(&phone(1), Some(Consent::OptedOut))]).await;
    let process = shop.start();
    shop.wait_state(id, State::Completed).await;
    let counts = shop.status(id).await.counts;
    assert_eq!((counts.total, counts.sent, counts.skipped), (40, 39, 1));
    assert!(shop.carrier.accepted().iter().all(|one| one.body == "Hello you"));
    process.stop().await;
}

async fn b36_a_leap_ahead_makes_nothing_due(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(5, "first").await;
    let process = shop.start();
    let noon = domain::seam::Clock::now(&*shop.clock);
    let text = shop.text_at(&phone(1), "2026-11-21T19:00:00Z", None, "In two hours").await;
    shop.wait_message(text, "deferred").await;
    shop.clock.leap_to(noon + Duration::from_secs(3 * 3600));
    // A text that is wanted at once leaves all the same, so the worker has looked around since.
    let now = shop.text(&phone(2), "message.notification", "At once").await;
    shop.wait_message(now, "accepted").await;
    assert_eq!(shop.message(text).await.state, "deferred", "its time has not come");
    shop.clock.leap_to(noon);
    shop.clock.advance(Duration::from_secs(2 * 3600 - 1));
    shop.tick().await;
    assert_eq!(shop.carrier.accepted().len(), 1);
    shop.clock.advance(Duration::from_secs(1));
    shop.wait_message(text, "accepted").await;
    shop.assert_audit().await;
    process.stop().await;
}

async fn b36_a_clock_that_jumps_sends_nothing_early_or_twice(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(100, Some(Consent::OptedIn)).await;
    shop.credits(200, "first").await;
    shop.carrier.hold_after(30);
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait(id, |_| shop.carrier.accepted().len() == 30).await;
    shop.clock.leap_to(domain::seam::Clock::now(&*shop.clock) + Duration::from_secs(7200));
    shop.tick().await;
    shop.clock.set(domain::seam::Clock::now(&*shop.clock) - Duration::from_secs(3 * 7200));
    shop.carrier.open();
    shop.wait_long(id, Duration::from_secs(3600), |status| status.state == "completed").await;
    shop.carrier.assert_nobody_twice();
    let status = shop.status(id).await;
    assert_eq!(status.counts.sent, 100, "{status:?}");
    shop.assert_audit().await;
    process.stop().await;
}

async fn b39_a_text_that_is_too_late_expires_instead_of_flooding_the_night(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(5, "first").await;
    let until = Some("2026-11-21T20:00:00Z");
    let text = shop.text_at(&phone(1), "2026-11-21T19:00:00Z", until, "At three today").await;
    // The server is off for nine hours.
    shop.clock.advance(Duration::from_secs(9 * 3600));
    let process = shop.start();
    shop.wait_message(text, "expired").await;
    assert_eq!(shop.message(text).await.why.rule, Some("deadline"));
    assert!(shop.carrier.accepted().is_empty());
    assert_eq!(shop.available().await, 5);
    process.stop().await;
}

async fn b41_receipts_before_the_answer_out_of_order_and_twice(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(5, "first").await;
    shop.carrier.hold_after(0);
    let process = shop.start();
    let text = shop.text(&phone(1), "message.notification", "Hello").await;
    shop.wait_message(text, "reserved").await;
    let sid = sid(1);
    let news = [Receipt::Delivered, Receipt::Sent, Receipt::Delivered, Receipt::Taken];
    for receipt in news {
        shop.receipt(text, 1, (receipt, 0), &sid).await;
        assert_eq!(shop.message(text).await.state, "delivered");
        assert_eq!(shop.available().await, 4, "settled once, by the first evidence");
    }
    shop.carrier.open();
    process.stop().await;
    assert_eq!(shop.message(text).await.state, "delivered", "the late 201 changes nothing");
    let kept = shop.message(text).await.events;
    let receipts: Vec<&str> = kept
        .iter()
        .map(|event| event.event.as_str())
        .filter(|event| event.starts_with("receipt:"))
        .collect();
    assert_eq!(receipts.len(), 3, "each kind is kept: {receipts:?}");
    shop.assert_audit().await;
}

async fn b42_a_carrier_that_cannot_reach_us_is_asked(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(30, Some(Consent::OptedIn)).await;
    shop.credits(30, "first").await;
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait_state(id, State::Completed).await;
    shop.carrier.told.store(true, Ordering::SeqCst);
    let desk = shop.running_desk();
    let mut polls = Polls::default();
    poll::look(&desk, &mut polls).await.expect("looks");
    assert_eq!(shop.status(id).await.counts.sent, 30, "not before it had time to tell us");
    shop.clock.advance(Duration::from_secs(901));
    for _ in 0..3 {
        poll::look(&desk, &mut polls).await.expect("looks");
    }
    assert_eq!(shop.status(id).await.counts.delivered, 30);
    shop.assert_audit().await;
    process.stop().await;
}
