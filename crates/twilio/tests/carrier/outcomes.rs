//! What one call proves, for everything the carrier can do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use twilio::outcome::{FailureKind, NotSentReason, Outcome, UnknownReason};
use twilio::sandbox::Knobs;
use twilio::wire::{CreateMessage, Sender};

use crate::rig::{FROM, base_of, carrier, client, client_of, hasty_client, send};

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted { .. } => "accepted".to_owned(),
        Outcome::Rejected { code, http, .. } => format!("rejected {http} {code}"),
        Outcome::NotSent { .. } => "not sent".to_owned(),
        Outcome::Unknown { .. } => "unknown".to_owned(),
    }
}

#[tokio::test]
async fn each_knob_yields_its_outcome_and_its_record() {
    let base = Knobs { receipts: false, ..Knobs::default() };
    let cases = [
        (base, "accepted", 1),
        (Knobs { share_429: 1.0, ..base }, "not sent", 0),
        (Knobs { share_500_before: 1.0, ..base }, "unknown", 0),
        (Knobs { share_500_after: 1.0, ..base }, "unknown", 1),
        (Knobs { share_drop_before: 1.0, ..base }, "unknown", 0),
        (Knobs { share_drop: 1.0, ..base }, "unknown", 1),
        (Knobs { share_hang: 1.0, ..base }, "unknown", 0),
        (Knobs { share_hang_after: 1.0, ..base }, "unknown", 1),
        (Knobs { share_truncate: 1.0, ..base }, "unknown", 1),
    ];
    for (knobs, expected, accepted) in cases {
        let carrier = carrier(knobs).await;
        let hangs = knobs.share_hang + knobs.share_hang_after > 0.0;
        let client = if hangs { hasty_client(&base_of(&carrier)) } else { client(&carrier) };
        let outcome = send(&client, "+13125550100").await;
        assert_eq!(word(&outcome), expected, "{knobs:?}: {outcome:?}");
        assert_eq!(carrier.summary().accepted, accepted, "{knobs:?}");
    }
}

#[tokio::test]
async fn refusals_carry_twilios_codes() {
    let carrier = carrier(Knobs::default()).await;
    let client = client(&carrier);
    let long = "a".repeat(1601);
    let to = "+13125550100";
    let from = |number| Sender::From(number);
    let cases = [
        ("+15005550001", FROM, "hi", "rejected 400 21211"),
        ("+15005550002", FROM, "hi", "rejected 400 21612"),
        ("+15005550003", FROM, "hi", "rejected 400 21408"),
        ("+15005550004", FROM, "hi", "rejected 400 21610"),
        ("+15005550009", FROM, "hi", "rejected 400 21614"),
        ("", FROM, "hi", "rejected 400 21604"),
        ("12", FROM, "hi", "rejected 400 21211"),
        (to, from("+15005550001"), "hi", "rejected 400 21212"),
        (to, from("+15005550007"), "hi", "rejected 400 21606"),
        (to, from("+15005550008"), "hi", "rejected 400 21611"),
        (to, from(""), "hi", "rejected 400 21603"),
        (to, FROM, "", "rejected 400 21602"),
        (to, FROM, &long, "rejected 400 21617"),
        (to, Sender::Service("MG0123456789abcdef0123456789abcdef"), "hi", "accepted"),
    ];
    for (to, sender, body, expected) in cases {
        let outcome = client.create_message(&CreateMessage::new(to, sender, body)).await;
        assert_eq!(word(&outcome), expected, "{to} {sender:?}");
    }
    for (url, secs, expected) in [
        ("not an address", 60, "rejected 400 21609"),
        ("ftp://example.com/x", 60, "rejected 400 21609"),
        ("https://example.com/x?y=1#rc=5", 0, "rejected 400 21624"),
        ("https://example.com/x?y=1#rc=5", 36_001, "rejected 400 21624"),
    ] {
        let message = CreateMessage {
            status_callback: Some(url),
            validity_period_secs: Some(secs),
            ..CreateMessage::new(to, FROM, "hi")
        };
        assert_eq!(word(&client.create_message(&message).await), expected, "{url} {secs}");
    }
    let stranger = client_of(&base_of(&carrier), "wrong");
    let outcome = send(&stranger, to).await;
    assert_eq!(word(&outcome), "rejected 401 20003");
    assert!(outcome.stops_carrier_account());
    assert_eq!(carrier.summary().accepted, 1);
}

#[tokio::test]
async fn the_mark_is_called_once_for_what_may_have_left_and_never_otherwise() {
    let carrier = carrier(Knobs { share_drop: 0.5, ..Knobs::default() }).await;
    let client = client(&carrier);
    let marks = Arc::new(AtomicUsize::new(0));
    for n in 1..=20 {
        let counted = Arc::clone(&marks);
        let mark = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        let to = format!("+1312555{:04}", 100 + n);
        let message = CreateMessage::new(&to, FROM, "Hello");
        client.create_message_marked(&message, mark).await;
        assert_eq!(marks.load(Ordering::SeqCst), n);
    }
    assert_eq!(carrier.summary().accepted, 20);

    let refused = client_of("http://127.0.0.1:1", "x");
    let counted = Arc::clone(&marks);
    let mark = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(())
    };
    let message = CreateMessage::new("+13125550100", FROM, "Hello");
    let outcome = refused.create_message_marked(&message, mark).await;
    let nothing = NotSentReason::NothingWritten(FailureKind::Connect);
    assert_eq!(outcome, Outcome::NotSent { reason: nothing });
    assert_eq!(marks.load(Ordering::SeqCst), 20);
}

#[tokio::test]
async fn a_mark_that_fails_keeps_the_text_back() {
    let carrier = carrier(Knobs::default()).await;
    let message = CreateMessage::new("+13125550100", FROM, "Hello");
    let mark = || Err(std::io::Error::other("the disk is full"));
    let outcome = client(&carrier).create_message_marked(&message, mark).await;
    assert_eq!(word(&outcome), "not sent", "{outcome:?}");
    assert_eq!(carrier.summary().accepted, 0);
}

#[tokio::test]
async fn a_lost_answer_says_that_bytes_were_written() {
    let carrier = carrier(Knobs { share_drop: 1.0, ..Knobs::default() }).await;
    let outcome = send(&client(&carrier), "+13125550100").await;
    assert!(
        matches!(outcome, Outcome::Unknown { reason: UnknownReason::Failed(_) }),
        "{outcome:?}"
    );
}
