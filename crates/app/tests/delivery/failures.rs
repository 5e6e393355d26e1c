//! What goes wrong on the way: refusals, silence, dead processes.

use domain::campaign::State;
use domain::message::Receipt;
use domain::permit::Consent;
use std::time::Duration;
use testkit::Engine;
use twilio::outcome::{FailureKind, NotSentReason, Outcome, UnknownReason};

use crate::harness::Shop;

testkit::both_engines!(
    one_bad_number_does_not_end_a_campaign,
    a_text_that_was_not_sent_waits_and_is_sent_once,
    a_lost_answer_is_never_sent_again_and_its_receipt_settles_it,
    a_killed_process_leaves_nothing_twice_and_nothing_unsent,
    without_the_wire_log_what_was_allowed_is_unknown,
    refused_credentials_burn_no_recipient,
);

fn nothing_written() -> Outcome {
    Outcome::NotSent { reason: NotSentReason::NothingWritten(FailureKind::Connect) }
}

fn lost() -> Outcome {
    Outcome::Unknown { reason: UnknownReason::Failed(FailureKind::Timeout) }
}

async fn one_bad_number_does_not_end_a_campaign(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(60, Some(Consent::OptedIn)).await;
    shop.credits(60, "first").await;
    shop.carrier.answer(|call, _| {
        (call % 10 == 3).then(|| Outcome::Rejected {
            code: 21211,
            http: 400,
            message: "is not a valid phone number".to_owned(),
        })
    });
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait_state(id, State::Completed).await;
    let counts = shop.status(id).await.counts;
    assert_eq!((counts.sent, counts.failed), (54, 6));
    assert_eq!(shop.available().await, 6);
    shop.assert_audit().await;
    process.stop().await;
}

async fn a_text_that_was_not_sent_waits_and_is_sent_once(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(30, Some(Consent::OptedIn)).await;
    shop.credits(30, "first").await;
    shop.carrier.answer(|call, _| (call <= 4).then(nothing_written));
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait(id, |status| status.counts.deferred == 4 && status.counts.sent == 26).await;
    assert_eq!(shop.available().await, 4, "nothing is reserved for what waits");
    shop.assert_audit().await;
    shop.clock.advance(Duration::from_secs(29));
    shop.tick().await;
    assert_eq!(shop.status(id).await.counts.deferred, 4, "not before its time");
    shop.clock.advance(Duration::from_secs(10));
    shop.wait_state(id, State::Completed).await;
    assert_eq!(shop.carrier.accepted().len(), 30);
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    process.stop().await;
}

async fn a_lost_answer_is_never_sent_again_and_its_receipt_settles_it(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(50, Some(Consent::OptedIn)).await;
    shop.credits(50, "first").await;
    shop.carrier.answer(|call, _| (call % 5 == 0).then(lost));
    let process = shop.start();
    let id = shop.campaign("this one is taken", false).await;
    shop.wait(id, |status| status.state == "draining" && status.counts.unknown == 10).await;
    let status = shop.status(id).await;
    assert_eq!((status.credits.reserved, status.credits.spent), (10, 40));
    shop.assert_audit().await;
    shop.clock.advance(Duration::from_secs(86_400));
    shop.tick().await;
    assert_eq!(shop.status(id).await.counts.unknown, 10, "no timer decides about credits");
    shop.receipts(|_| Some((Receipt::Delivered, 0))).await;
    shop.wait_state(id, State::Completed).await;
    let status = shop.status(id).await;
    assert_eq!((status.counts.delivered, status.credits.spent), (50, 50));
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    process.stop().await;
}

async fn a_killed_process_leaves_nothing_twice_and_nothing_unsent(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(600, Some(Consent::OptedIn)).await;
    shop.credits(600, "first").await;
    let mut id = None;
    for pass in 1..=4 {
        shop.carrier.hold_after(30);
        let process = shop.start();
        let id = match id {
            Some(id) => id,
            None => *id.insert(shop.campaign("Hello there", false).await),
        };
        let wanted = pass * 30;
        shop.wait(id, |_| shop.carrier.accepted().len() >= wanted).await;
        process.kill().await;
    }
    let id = id.expect("started");
    shop.carrier.hold_after(0);
    shop.carrier.open();
    let process = shop.start();
    // Texts on the wire when a process died: taken by the carrier later, if at all.
    shop.wait(id, |status| matches!(status.state, "draining" | "completed")).await;
    shop.wait(id, |status| status.counts.sending == 0 && status.counts.deferred == 0).await;
    let status = shop.status(id).await;
    let on_wire = i64::try_from(shop.carrier.accepted().len()).expect("few");
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    assert!(status.counts.unknown <= 4 * 80, "{status:?}");
    assert_eq!(status.counts.total, 600);
    shop.receipts(|_| Some((Receipt::Delivered, 0))).await;
    let status = shop.status(id).await;
    assert_eq!(status.counts.delivered, on_wire, "every accepted text is known and paid");
    assert_eq!(status.credits.spent, on_wire);
    assert_eq!(status.counts.delivered + status.counts.unknown, 600, "nobody was forgotten");
    shop.assert_audit().await;
    process.stop().await;
}

async fn without_the_wire_log_what_was_allowed_is_unknown(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(100, Some(Consent::OptedIn)).await;
    shop.credits(100, "first").await;
    shop.carrier.hold_after(5);
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait(id, |_| shop.carrier.accepted().len() == 5).await;
    process.kill().await;
    for entry in std::fs::read_dir(shop.wire_root.path()).expect("reads") {
        std::fs::remove_dir_all(entry.expect("reads").path()).expect("removes");
    }
    shop.carrier.open();
    let process = shop.start();
    for _ in 0..20 {
        shop.tick().await;
    }
    assert_eq!(shop.carrier.accepted().len(), 5, "the old lease still runs");
    shop.clock.advance(Duration::from_secs(60));
    shop.wait(id, |status| {
        status.state == "draining" && status.counts.sending + status.counts.deferred == 0
    })
    .await;
    let counts = shop.status(id).await.counts;
    assert!((5..=40).contains(&counts.unknown), "{counts:?}");
    assert_eq!(counts.unknown + counts.sent, 100);
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    process.stop().await;
}

async fn refused_credentials_burn_no_recipient(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(20, Some(Consent::OptedIn)).await;
    shop.credits(20, "first").await;
    shop.carrier.answer(|_, _| {
        Some(Outcome::Rejected { code: 20003, http: 401, message: "Authenticate".to_owned() })
    });
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait(id, |status| status.counts.deferred == 20).await;
    assert_eq!(shop.rules(id).await.get("sender"), Some(&20));
    shop.carrier.answer(|_, _| None);
    shop.clock.advance(Duration::from_secs(400));
    shop.wait_state(id, State::Completed).await;
    assert_eq!(shop.carrier.accepted().len(), 20);
    shop.assert_audit().await;
    process.stop().await;
}
