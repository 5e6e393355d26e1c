//! Which carrier takes a text: breakers, holds, the backup, and what the classes of errors do.

use std::time::Duration;

use domain::campaign::State;
use domain::message::Receipt;
use domain::permit::Consent;
use testkit::Engine;
use twilio::outcome::{FailureKind, NotSentReason, Outcome};

use crate::harness::{Shop, from, phone};

testkit::both_engines!(
    a_failing_carrier_is_left_alone_and_tried_with_one_text,
    a_backup_takes_over_after_definite_refusals_and_gives_back,
    a_text_of_unknown_fate_is_never_given_to_the_backup,
    a_429_backs_the_sender_off_and_every_text_leaves_once,
    a_barred_sender_pauses_the_list_instead_of_burning_it,
    a_recipient_who_opted_out_at_the_carrier_is_suppressed_here,
    a_refusal_that_passes_is_tried_three_times,
    an_unlisted_code_is_never_tried_again,
    a_failed_delivery_is_a_new_paid_text,
);

pub fn refused(code: u32, http: u16) -> Outcome {
    Outcome::Rejected { code, http, message: "refused".to_owned() }
}

fn unreachable() -> Outcome {
    Outcome::NotSent { reason: NotSentReason::NothingWritten(FailureKind::Connect) }
}

async fn a_failing_carrier_is_left_alone_and_tried_with_one_text(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(200, Some(Consent::OptedIn)).await;
    shop.credits(200, "first").await;
    shop.carrier.answer(|_, _| Some(unreachable()));
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    let desk = shop.running_desk();
    shop.wait(id, |status| status.counts.deferred > 0 && status.counts.sending == 0).await;
    let blocked = desk.routes.blocked(&from(), desk.clock.now()).expect("open");
    assert!(!blocked.held && blocked.reason.contains("failed"), "{blocked:?}");
    let calls = shop.carrier.calls();
    assert!(calls <= 40, "{calls} calls were spent on a carrier that is down");
    // The list waits whole, its credits with it.
    assert!(shop.status(id).await.counts.pending >= 100);
    assert_eq!(shop.available().await, 200);
    for _ in 0..20 {
        shop.tick().await;
    }
    assert_eq!(shop.carrier.calls(), calls, "it is left alone");
    shop.clock.advance(Duration::from_secs(31));
    shop.wait(id, |_| shop.carrier.calls() > calls).await;
    shop.wait(id, |status| status.counts.sending == 0).await;
    assert_eq!(shop.carrier.calls(), calls + 1, "one text tries it");
    shop.carrier.answer(|_, _| None);
    shop.wait_long(id, Duration::from_secs(61), |status| status.state == "completed").await;
    assert_eq!(shop.carrier.accepted().len(), 200);
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    process.stop().await;
}

async fn a_backup_takes_over_after_definite_refusals_and_gives_back(engine: Engine) {
    let shop = Shop::open(engine).await;
    let backup = shop.back_up();
    shop.credits(50, "first").await;
    shop.carrier.answer(|_, _| Some(refused(20003, 401)));
    let process = shop.start();
    for n in 0..10 {
        let text = shop.text(&phone(n), "message.notification", "Hello").await;
        shop.wait_message(text, "accepted").await;
    }
    assert_eq!((shop.carrier.accepted().len(), backup.accepted().len()), (0, 10));
    assert_eq!(shop.carrier.calls(), 1, "the first one is left alone after its refusal");
    shop.carrier.answer(|_, _| None);
    shop.clock.advance(Duration::from_secs(301));
    for n in 10..14 {
        let text = shop.text(&phone(n), "message.notification", "Hello").await;
        shop.wait_message(text, "accepted").await;
    }
    assert_eq!((shop.carrier.accepted().len(), backup.accepted().len()), (4, 10));
    shop.assert_audit().await;
    process.stop().await;
}

async fn a_text_of_unknown_fate_is_never_given_to_the_backup(engine: Engine) {
    use twilio::outcome::UnknownReason;
    let shop = Shop::open(engine).await;
    let backup = shop.back_up();
    shop.contacts(30, Some(Consent::OptedIn)).await;
    shop.credits(50, "first").await;
    shop.carrier.answer(|_, _| Some(Outcome::Unknown { reason: UnknownReason::Status(500) }));
    let process = shop.start();
    let id = shop.campaign("this is taken", false).await;
    shop.wait_state(id, State::Draining).await;
    shop.wait(id, |status| status.counts.sending + status.counts.deferred == 0).await;
    let status = shop.status(id).await;
    assert!(status.counts.unknown >= 5, "{status:?}");
    assert_eq!(status.counts.unknown + status.counts.sent, 30);
    let there: Vec<String> = shop.carrier.accepted().into_iter().map(|one| one.to).collect();
    assert!(backup.accepted().iter().all(|one| !there.contains(&one.to)), "texted twice");
    shop.assert_audit().await;
    process.stop().await;
}

async fn a_429_backs_the_sender_off_and_every_text_leaves_once(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(30, Some(Consent::OptedIn)).await;
    shop.credits(30, "first").await;
    shop.carrier.answer(|call, _| {
        (call <= 3).then_some(Outcome::NotSent { reason: NotSentReason::RateLimited })
    });
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait(id, |status| status.counts.deferred > 0 && status.counts.sending == 0).await;
    assert!(shop.carrier.accepted().len() < 30, "the others wait too");
    shop.wait_long(id, Duration::from_secs(10), |status| status.state == "completed").await;
    assert_eq!(shop.carrier.accepted().len(), 30);
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    process.stop().await;
}

async fn a_barred_sender_pauses_the_list_instead_of_burning_it(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(300, Some(Consent::OptedIn)).await;
    shop.credits(301, "first").await;
    shop.carrier.answer(|_, _| Some(refused(21606, 400)));
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait_state(id, State::Paused).await;
    let status = shop.status(id).await;
    assert_eq!(status.pause_reason, Some("sender"));
    assert_eq!((status.counts.failed, status.counts.sent), (0, 0));
    assert_eq!(shop.available().await, 301);
    // Single texts say what they wait for.
    let single = shop.text(&phone(900), "message.notification", "Hello").await;
    shop.wait_message(single, "deferred").await;
    let why = shop.message(single).await.why;
    assert_eq!(why.rule, Some("sender"));
    assert!(why.inputs.expect("words").contains("21606"));
    shop.carrier.answer(|_, _| None);
    shop.clock.advance(Duration::from_secs(301));
    shop.wait_long(id, Duration::from_secs(10), |status| status.state == "completed").await;
    assert_eq!(shop.status(id).await.counts.sent, 300);
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    process.stop().await;
}

async fn a_recipient_who_opted_out_at_the_carrier_is_suppressed_here(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(10, "first").await;
    shop.carrier.answer(|call, _| (call == 1).then(|| refused(21610, 400)));
    let process = shop.start();
    let first = shop.text(&phone(1), "message.notification", "Hello").await;
    shop.wait_message(first, "rejected").await;
    let second = shop.text(&phone(1), "message.notification", "Hello again").await;
    shop.wait_message(second, "suppressed").await;
    assert_eq!(shop.message(second).await.why.rule, Some("opt_out"));
    assert_eq!(shop.carrier.calls(), 1);
    assert_eq!(shop.available().await, 10);
    shop.assert_audit().await;
    process.stop().await;
}

async fn a_refusal_that_passes_is_tried_three_times(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(10, "first").await;
    // 21611: the sender's queue is full.
    shop.carrier.answer(|_, _| Some(refused(21611, 400)));
    let process = shop.start();
    let text = shop.text(&phone(1), "message.notification", "Hello").await;
    for attempt in 1..=2 {
        shop.wait_message(text, "deferred").await;
        assert_eq!(shop.message(text).await.attempts, attempt);
        shop.clock.advance(Duration::from_secs(599));
        shop.tick().await;
        assert_eq!(shop.message(text).await.attempts, attempt, "not within ten minutes");
        shop.clock.advance(Duration::from_secs(2));
        shop.wait_attempt(text, attempt + 1).await;
    }
    shop.wait_message(text, "rejected").await;
    assert_eq!((shop.carrier.calls(), shop.available().await), (3, 10));
    shop.assert_audit().await;
    process.stop().await;
}

async fn an_unlisted_code_is_never_tried_again(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(10, "first").await;
    shop.carrier.answer(|_, _| Some(refused(29_999, 400)));
    let process = shop.start();
    let text = shop.text(&phone(1), "message.notification", "Hello").await;
    shop.wait_message(text, "rejected").await;
    assert_eq!(shop.carrier.calls(), 1);
    process.stop().await;
}

async fn a_failed_delivery_is_a_new_paid_text(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(1, Some(Consent::OptedIn)).await;
    shop.credits(10, "first").await;
    let process = shop.start();
    let text = shop.text(&phone(1), "message.notification", "Hello").await;
    shop.wait_message(text, "accepted").await;
    let sid = shop.message(text).await.sid.expect("is known");
    // 30017: the carrier is congested; ten minutes at least. The receipt comes three times.
    for _ in 0..3 {
        shop.receipt(text, 1, (Receipt::Undelivered, 30017), &sid).await;
    }
    let again = domain::ids::MessageId { ord: text.ord + 1, ..text };
    shop.wait_message(again, "deferred").await;
    assert_eq!(shop.message(again).await.retry_of, Some(text.to_string()));
    assert_eq!(shop.carrier.accepted().len(), 1);
    shop.clock.advance(Duration::from_secs(601));
    shop.wait_message(again, "accepted").await;
    assert_eq!(shop.message(text).await.state, "undelivered");
    assert_eq!(shop.available().await, 8, "undelivered is charged, and the new one too");
    // A third and last one; a fourth is not tried.
    for n in 1..=2 {
        let last = domain::ids::MessageId { ord: text.ord + n, ..text };
        let sid = shop.message(last).await.sid.expect("is known");
        shop.receipt(last, 1, (Receipt::Failed, 30017), &sid).await;
        if n == 1 {
            shop.clock.advance(Duration::from_secs(1201));
            let third = domain::ids::MessageId { ord: text.ord + 2, ..text };
            shop.wait_message(third, "accepted").await;
        }
    }
    assert_eq!(shop.carrier.accepted().len(), 3);
    // Lists are not repeated.
    let id = shop.campaign("Hello list", false).await;
    shop.wait(id, |status| status.counts.sent == 1).await;
    shop.receipts(|one| (one.body == "Hello list").then_some((Receipt::Undelivered, 30017))).await;
    shop.wait_state(id, State::Completed).await;
    shop.clock.advance(Duration::from_secs(3600));
    for _ in 0..20 {
        shop.tick().await;
    }
    assert_eq!(shop.carrier.accepted().len(), 4);
    shop.assert_audit().await;
    process.stop().await;
}
