//! Messages for later and messages of a service: how they begin, wait, end and are remembered.

use std::sync::Arc;
use std::time::Duration;

use domain::instant::Instant;
use domain::seam::{Clock as _, VirtualClock};
use twilio::client::Client;
use twilio::outcome::Outcome;
use twilio::sandbox::{Knobs, Options, Sandbox};
use twilio::wire::{CreateMessage, MessageStatus, Sender};

use crate::rig::{FROM, NOW, SERVICE, becomes, client, options};

const POOL: Sender<'static> = Sender::Service(SERVICE);

fn fast() -> Knobs {
    Knobs { receipt_delay_ms: 1, ..Knobs::default() }
}

async fn create(client: &Client, sender: Sender<'_>, send_at: Option<Instant>) -> Outcome {
    let message = CreateMessage { send_at, ..CreateMessage::new("+13125550100", sender, "Hello") };
    client.create_message(&message).await
}

#[tokio::test]
async fn a_service_accepts_first_and_counts_segments_later() {
    let carrier = Sandbox::start(options(fast())).await.expect("starts");
    let client = client(&carrier);
    let Outcome::Accepted { sid, status, segments } = create(&client, POOL, None).await else {
        panic!("accepted")
    };
    assert_eq!((status, segments), (MessageStatus::Accepted, None));
    let delivered = becomes(&client, &sid, MessageStatus::Delivered).await;
    assert_eq!(delivered.segments(), Some(1));
    assert!(delivered.sent_at().is_some() && delivered.price.is_some());
}

#[tokio::test]
async fn a_scheduled_message_waits_for_its_time_unless_canceled() {
    let clock = Arc::new(VirtualClock::at(NOW));
    let options = || Options { clock: Arc::clone(&clock) as _, ..options(fast()) };
    let carrier = Sandbox::start(options()).await.expect("starts");
    let client = client(&carrier);
    let at = |minutes: u64| Some(clock.now() + Duration::from_secs(60 * minutes));
    for (sender, send_at, expected) in [
        (FROM, at(10), 35118),
        (POOL, at(5), 35115),
        (POOL, at(36 * 24 * 60), 35115),
        (POOL, at(0), 35115),
    ] {
        let outcome = create(&client, sender, send_at).await;
        assert!(
            matches!(outcome, Outcome::Rejected { code, .. } if code == expected),
            "{outcome:?}"
        );
    }
    let mut sids = Vec::new();
    for _ in 0..2 {
        let Outcome::Accepted { sid, status, .. } = create(&client, POOL, at(10)).await else {
            panic!("accepted")
        };
        assert_eq!(status, MessageStatus::Scheduled);
        sids.push(sid);
    }
    assert!(client.cancel(&sids[0]).await.is_ok());
    assert!(client.cancel(&sids[0]).await.is_err());
    clock.advance(Duration::from_secs(600));
    becomes(&client, &sids[1], MessageStatus::Delivered).await;
    becomes(&client, &sids[0], MessageStatus::Canceled).await;
}

#[tokio::test]
async fn what_became_of_a_message_is_remembered() {
    let home = tempfile::tempdir().expect("a directory");
    let with_record = || Options { record: Some(home.path().join("record")), ..options(fast()) };
    let first = Sandbox::start(with_record()).await.expect("starts");
    let ends =
        [Knobs { share_failed: 1.0, ..fast() }, Knobs { share_undelivered: 1.0, ..fast() }, fast()];
    let statuses = [MessageStatus::Failed, MessageStatus::Undelivered, MessageStatus::Delivered];
    let mut ended = Vec::new();
    for (knobs, status) in ends.into_iter().zip(statuses) {
        first.set_knobs(knobs);
        let Outcome::Accepted { sid, .. } = create(&client(&first), FROM, None).await else {
            panic!("accepted")
        };
        becomes(&client(&first), &sid, status).await;
        ended.push(sid);
    }
    let Outcome::Accepted { sid: later, .. } =
        create(&client(&first), POOL, Some(NOW + Duration::from_secs(3600))).await
    else {
        panic!("accepted")
    };
    client(&first).redact(&ended[2]).await.expect("redacts");
    let summary = first.summary();
    drop(first);

    let again = Sandbox::start(with_record()).await.expect("starts");
    let client = client(&again);
    for (sid, status) in ended.iter().zip(statuses) {
        let message = client.message(sid).await.expect("is there");
        assert_eq!(message.message_status(), Some(status));
        let failed = status != MessageStatus::Delivered;
        assert_eq!(message.error_code.is_some(), failed, "{status}");
    }
    let redacted = client.message(&ended[2]).await.expect("is there");
    assert_eq!(redacted.body.as_deref(), Some(""));
    becomes(&client, &later, MessageStatus::Scheduled).await;
    assert_eq!((summary.accepted, summary.duplicates, summary.distinct_to), (4, 3, 1));
    let after = again.summary();
    assert_eq!((after.accepted, after.duplicates, after.distinct_to), (4, 3, 1));
    assert_eq!(after.by_status, summary.by_status);
}
