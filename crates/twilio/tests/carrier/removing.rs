//! Messages taken back: canceled, redacted, deleted, each only when Twilio lets one.

use std::sync::Arc;
use std::time::Duration;

use domain::seam::{Clock as _, VirtualClock};
use twilio::client::ApiError;
use twilio::sandbox::{Knobs, Options, Sandbox};
use twilio::wire::{CreateMessage, ListFilter, MessageStatus, Sender};

use crate::peer::{Says, answer, peer};
use crate::rig::{FROM, NOW, SERVICE, accepted, becomes, carrier, carrier_at, client, options};

const PLAIN: CreateMessage<'static> = CreateMessage::new("+13125550100", FROM, "Hello");

fn fast() -> Knobs {
    Knobs { receipt_delay_ms: 1, ..Knobs::default() }
}

fn refusal<T>(answer: Result<T, ApiError>) -> Option<(u16, u32)> {
    match answer {
        Ok(_) => None,
        Err(ApiError::Refused { http, code, .. }) => Some((http, code)),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_message_is_deleted_once_it_is_final_and_then_gone() {
    let carrier = carrier(Knobs { receipt_delay_ms: 3_600_000, ..Knobs::default() }).await;
    let client = client(&carrier);
    let waits = accepted(&client, &PLAIN).await;
    assert_eq!(refusal(client.delete(&waits).await), Some((409, 20009)));
    assert!(client.message(&waits).await.is_ok(), "a refused delete deletes nothing");
    carrier.set_knobs(fast());
    for share_failed in [0.0, 1.0] {
        carrier.set_knobs(Knobs { share_failed, ..fast() });
        let sid = accepted(&client, &PLAIN).await;
        let ends =
            if share_failed > 0.0 { MessageStatus::Failed } else { MessageStatus::Delivered };
        becomes(&client, &sid, ends).await;
        assert_eq!(client.delete(&sid).await, Ok(()));
        assert_eq!(client.find_message(&sid).await, Ok(None));
        assert_eq!(refusal(client.delete(&sid).await), Some((404, 20404)));
        assert_eq!(refusal(client.redact(&sid).await), Some((404, 20404)));
    }
    let page = client.list_messages(&ListFilter::default()).await.expect("lists");
    assert_eq!(page.messages.len(), 1, "only the one that waits");
    assert_eq!(carrier.summary().accepted, 3, "the record forgets nothing");
}

#[tokio::test]
async fn a_receipt_nobody_takes_keeps_no_message_from_being_deleted() {
    let deaf = peer(|_, _| Says::Bytes(answer(503, ""))).await;
    let carrier = carrier(fast()).await;
    let client = client(&carrier);
    let message = CreateMessage { status_callback: Some(&deaf.base), ..PLAIN };
    let sid = accepted(&client, &message).await;
    becomes(&client, &sid, MessageStatus::Delivered).await;
    assert_eq!(carrier.summary().receipts_taken + carrier.summary().receipts_lost, 0);
    assert_eq!(client.delete(&sid).await, Ok(()));
}

#[tokio::test]
async fn what_was_deleted_stays_deleted() {
    let home = tempfile::tempdir().expect("a directory");
    let with_record = || Options { record: Some(home.path().join("record")), ..options(fast()) };
    let first = Sandbox::start(with_record()).await.expect("starts");
    let sid = accepted(&client(&first), &PLAIN).await;
    becomes(&client(&first), &sid, MessageStatus::Delivered).await;
    client(&first).delete(&sid).await.expect("deletes");
    drop(first);
    let again = Sandbox::start(with_record()).await.expect("starts");
    assert_eq!(client(&again).find_message(&sid).await, Ok(None));
    assert!(again.memory().has_accepted("+13125550100", "Hello"));
}

#[tokio::test]
async fn a_redacted_message_has_no_text_and_stays() {
    let carrier = carrier(fast()).await;
    let client = client(&carrier);
    let sid = accepted(&client, &PLAIN).await;
    assert_eq!(client.redact(&sid).await.expect("redacts").body.as_deref(), Some(""));
    let message = client.message(&sid).await.expect("is there");
    assert_eq!((message.body.as_deref(), message.to.as_deref()), (Some(""), Some("+13125550100")));
}

#[tokio::test]
async fn only_what_is_scheduled_can_be_canceled() {
    let clock = Arc::new(VirtualClock::at(NOW));
    let carrier = carrier_at(&clock, fast()).await;
    let client = client(&carrier);
    let later = CreateMessage {
        sender: Sender::Service(SERVICE),
        send_at: Some(clock.now() + Duration::from_secs(600)),
        ..PLAIN
    };
    let sid = accepted(&client, &later).await;
    assert_eq!(refusal(client.delete(&sid).await), Some((409, 20009)));
    let canceled = client.cancel(&sid).await.expect("cancels");
    assert_eq!(canceled.message_status(), Some(MessageStatus::Canceled));
    assert_eq!(refusal(client.cancel(&sid).await), Some((409, 30409)));
    clock.advance(Duration::from_secs(3600));
    assert_eq!(client.delete(&sid).await, Ok(()), "canceled is final");
    let gone = accepted(&client, &PLAIN).await;
    assert_eq!(refusal(client.cancel(&gone).await), Some((409, 30409)));
    becomes(&client, &gone, MessageStatus::Delivered).await;
    assert_eq!(refusal(client.cancel(&gone).await), Some((409, 30409)));
}
