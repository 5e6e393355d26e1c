//! A sender's queue: how long texts wait in it, and what `ValidityPeriod` does to them.

use std::sync::Arc;
use std::time::Duration;

use domain::seam::{SeededDice, VirtualClock};
use twilio::sandbox::{Knobs, Options, Sandbox};
use twilio::wire::{CreateMessage, MessageStatus, Sender, StatusCallback};

use crate::peer::{Says, answer, peer};
use crate::rig::{FROM, NOW, SERVICE, accepted, becomes, carrier_at, client, next, options};

const PLAIN: CreateMessage<'static> = CreateMessage::new("+13125550100", FROM, "Hello");

/// A queue of one minute.
fn slow() -> Knobs {
    Knobs { queue_delay_ms: 60_000, receipt_delay_ms: 1, ..Knobs::default() }
}

#[tokio::test]
async fn a_text_that_waits_longer_than_it_is_valid_fails() {
    let mut taker = peer(|_, _| Says::Bytes(answer(204, ""))).await;
    let clock = Arc::new(VirtualClock::at(NOW));
    let carrier = carrier_at(&clock, slow()).await;
    let client = client(&carrier);
    let url = format!("{}/status", taker.base);
    let valid_for =
        |secs| CreateMessage { validity_period_secs: secs, status_callback: Some(&url), ..PLAIN };
    let short = accepted(&client, &valid_for(Some(59))).await;
    let exact = accepted(&client, &valid_for(Some(60))).await;
    let long = accepted(&client, &valid_for(None)).await;
    for sid in [&short, &exact, &long] {
        becomes(&client, sid, MessageStatus::Queued).await;
    }
    clock.advance(Duration::from_secs(59));
    let failed = becomes(&client, &short, MessageStatus::Failed).await;
    assert_eq!((failed.error_code, &failed.price, failed.sent_at()), (Some(30036), &None, None));
    let receipt = next(&mut taker.heard).await;
    let receipt = StatusCallback::parse(&receipt.form()).expect("well-formed");
    assert_eq!((receipt.sid, receipt.status), (short, MessageStatus::Failed));
    assert_eq!(receipt.error_code, Some(30036));
    assert_eq!(carrier.summary().by_status.get("queued"), Some(&2), "the others still wait");
    clock.advance(Duration::from_secs(1));
    becomes(&client, &exact, MessageStatus::Delivered).await;
    becomes(&client, &long, MessageStatus::Delivered).await;
}

#[tokio::test]
async fn the_longest_life_is_ten_hours() {
    let clock = Arc::new(VirtualClock::at(NOW));
    let eleven_hours = Knobs { queue_delay_ms: 11 * 3_600_000, ..slow() };
    let carrier = carrier_at(&clock, eleven_hours).await;
    let client = client(&carrier);
    let sid = accepted(&client, &PLAIN).await;
    clock.advance(Duration::from_secs(36_000));
    becomes(&client, &sid, MessageStatus::Failed).await;
}

#[tokio::test]
async fn a_services_text_is_queued_first_and_a_scheduled_one_queues_at_its_time() {
    let mut taker = peer(|_, _| Says::Bytes(answer(204, ""))).await;
    let clock = Arc::new(VirtualClock::at(NOW));
    let carrier = carrier_at(&clock, slow()).await;
    let client = client(&carrier);
    let url = format!("{}/status", taker.base);
    let now =
        CreateMessage { sender: Sender::Service(SERVICE), status_callback: Some(&url), ..PLAIN };
    let later = CreateMessage { send_at: Some(NOW + Duration::from_secs(600)), ..now };
    let (now, later) = (accepted(&client, &now).await, accepted(&client, &later).await);
    becomes(&client, &now, MessageStatus::Queued).await;
    becomes(&client, &later, MessageStatus::Scheduled).await;
    clock.advance(Duration::from_secs(60));
    becomes(&client, &now, MessageStatus::Delivered).await;
    clock.advance(Duration::from_secs(540));
    becomes(&client, &later, MessageStatus::Queued).await;
    clock.advance(Duration::from_secs(60));
    becomes(&client, &later, MessageStatus::Delivered).await;
    for sid in [now, later] {
        for status in [MessageStatus::Queued, MessageStatus::Sent, MessageStatus::Delivered] {
            let receipt = next(&mut taker.heard).await;
            let receipt = StatusCallback::parse(&receipt.form()).expect("well-formed");
            assert_eq!((receipt.sid, receipt.status), (sid, status));
        }
    }
}

#[tokio::test]
async fn the_queue_outlives_the_carrier() {
    let home = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(VirtualClock::at(NOW));
    // Other dice each time, so that no SID comes twice.
    let with_record = |seed| {
        let (record, clock) = (Some(home.path().join("record")), Arc::clone(&clock));
        let dice = Arc::new(SeededDice::new(seed));
        Options { record, clock, dice, ..options(slow()) }
    };
    let first = Sandbox::start(with_record(1)).await.expect("starts");
    let expiring = CreateMessage { validity_period_secs: Some(10), ..PLAIN };
    let expiring = accepted(&client(&first), &expiring).await;
    let leaving = accepted(&client(&first), &PLAIN).await;
    drop(first);
    let again = Sandbox::start(with_record(2)).await.expect("starts");
    let client = client(&again);
    again.set_knobs(Knobs { queue_delay_ms: 0, ..slow() });
    let overtaking = accepted(&client, &PLAIN).await;
    becomes(&client, &overtaking, MessageStatus::Delivered).await;
    assert_eq!(again.summary().by_status.get("queued"), Some(&2), "the others still wait");
    clock.advance(Duration::from_secs(60));
    let failed = becomes(&client, &expiring, MessageStatus::Failed).await;
    assert_eq!(failed.error_code, Some(30036));
    becomes(&client, &leaving, MessageStatus::Delivered).await;
}
