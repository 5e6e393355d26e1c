//! Messages that exist: fetched, listed, paged, redacted, canceled.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::seam::VirtualClock;
use serde_json::Value;
use twilio::client::ApiError;
use twilio::outcome::Outcome;
use twilio::sandbox::Knobs;
use twilio::wire::{CreateMessage, ListFilter, MessageResource, MessageStatus, Sender};

use crate::api::Api;
use crate::rig::{
    ACCOUNT, FROM, NOW, SERVICE, accepted, api, becomes, carrier, carrier_at, client, send,
};

#[tokio::test]
async fn messages_are_listed_newest_first_and_page_by_page() {
    let carrier = carrier(Knobs { receipts: false, ..Knobs::default() }).await;
    let client = client(&carrier);
    let mut sids = Vec::new();
    for n in 0..7 {
        let to = if n % 2 == 0 { "+13125550100" } else { "+13125550101" };
        let Outcome::Accepted { sid, .. } = send(&client, to).await else { panic!("accepted") };
        sids.push(sid);
    }
    let filter =
        ListFilter { to: Some("+13125550100"), page_size: Some(3), ..ListFilter::default() };
    let first = client.list_messages(&filter).await.expect("lists");
    let next = first.next_page_uri.as_deref().expect("there is more");
    let second = client.next_page(next).await.expect("lists");
    assert_eq!(second.next_page_uri, None);
    let listed: Vec<_> = first
        .messages
        .iter()
        .chain(&second.messages)
        .filter_map(MessageResource::message_sid)
        .collect();
    let wanted = sids.iter().rev().copied().enumerate().filter(|(n, _)| n % 2 == 0);
    let wanted: Vec<_> = wanted.map(|(_, sid)| sid).collect();
    assert_eq!(listed, wanted);

    let all = ListFilter::default();
    let today = Some("2026-11-21");
    for (filter, shown) in [
        (all, 7),
        (ListFilter { date_sent: today, ..all }, 7),
        (ListFilter { date_sent: Some("2001-01-01"), ..all }, 0),
        (ListFilter { date_sent_after: today, date_sent_before: today, ..all }, 7),
        (ListFilter { date_sent_after: Some("2026-11-22"), ..all }, 0),
        (ListFilter { date_sent_before: Some("2026-11-20"), ..all }, 0),
        (ListFilter { date_sent_after: Some("2026-11-21T00:00:00Z"), ..all }, 7),
        (ListFilter { from: Some("+15005550006"), ..all }, 7),
        (ListFilter { from: Some("+15005550000"), ..all }, 0),
        (ListFilter { to: Some("+13125550199"), ..all }, 0),
    ] {
        let page = client.list_messages(&filter).await.expect("lists");
        assert_eq!(page.messages.len(), shown, "{filter:?}");
    }
    let nonsense = ListFilter { date_sent: Some("yesterday"), ..all };
    let refused = client.list_messages(&nonsense).await;
    assert!(matches!(refused, Err(ApiError::Refused { http: 400, .. })), "{refused:?}");
    let one = client.message(&sids[0]).await.expect("is there");
    assert_eq!((one.to.as_deref(), one.segments()), (Some("+13125550100"), Some(1)));
    assert!(one.created_at().is_some());
    assert_eq!(client.redact(&sids[0]).await.expect("redacts").body.as_deref(), Some(""));
    let refused = client.cancel(&sids[0]).await;
    assert!(matches!(refused, Err(ApiError::Refused { code: 30409, .. })), "{refused:?}");
    let unknown = "SM00000000000000000000000000000000".parse().expect("well-formed");
    assert_eq!(client.find_message(&unknown).await, Ok(None));
}

#[tokio::test]
async fn a_page_may_be_as_large_as_twilio_makes_it() {
    let carrier = carrier(Knobs { receipts: false, ..Knobs::default() }).await;
    let client = client(&carrier);
    let text = "\u{20ac}".repeat(1600);
    for n in 0..50 {
        let to = format!("+1312555{:04}", 100 + n);
        let outcome = client.create_message(&CreateMessage::new(&to, FROM, &text)).await;
        assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
    }
    let page = client.list_messages(&ListFilter::default()).await.expect("lists");
    assert_eq!(page.messages.len(), 50);
    assert!(page.messages.iter().all(|one| one.body.as_deref() == Some(&text)));
}

#[tokio::test]
async fn every_page_has_twilios_shape_and_every_message_stands_on_one() {
    let (carrier, published) =
        (carrier(Knobs { receipts: false, ..Knobs::default() }).await, Api::new());
    let client = client(&carrier);
    let mut sent = BTreeSet::new();
    for n in 0..25 {
        let to = format!("+131255501{n:02}");
        let message = CreateMessage::new(&to, FROM, "Hello");
        sent.insert(accepted(&client, &message).await.to_string());
    }
    let mut target = "Messages.json?PageSize=10".to_owned();
    let (mut seen, mut sizes) = (Vec::new(), Vec::new());
    loop {
        let (status, page) = api(&carrier, "GET", &target, "").await;
        assert_eq!(status, published.success("list"));
        let messages = page["messages"].as_array().expect("messages");
        for message in messages {
            assert_eq!(published.message_faults(message), Vec::<String>::new());
            seen.push(message["sid"].as_str().expect("a SID").to_owned());
        }
        assert_eq!((&page["page"], &page["page_size"]), (&sizes.len().into(), &10.into()));
        assert_eq!(page["start"], sizes.iter().sum::<usize>());
        for name in ["end", "first_page_uri", "previous_page_uri", "uri"] {
            assert!(page.get(name).is_some(), "{name}");
        }
        sizes.push(messages.len());
        let Some(next) = page["next_page_uri"].as_str() else {
            assert_eq!(page["next_page_uri"], Value::Null);
            break;
        };
        let account = format!("/2010-04-01/Accounts/{ACCOUNT}/");
        target = next.strip_prefix(&account).expect("a path of the account").to_owned();
    }
    assert_eq!(sizes, [10, 10, 5]);
    assert_eq!((seen.len(), seen.into_iter().collect::<BTreeSet<_>>()), (25, sent));
}

/// Whoever pages through while others send sees no message twice and misses none of the old ones.
#[tokio::test]
async fn a_page_goes_on_where_the_last_one_ended_whatever_is_sent_meanwhile() {
    let carrier = carrier(Knobs { receipts: false, ..Knobs::default() }).await;
    let client = client(&carrier);
    let mut sids = Vec::new();
    for _ in 0..6 {
        sids.push(accepted(&client, &CreateMessage::new("+13125550100", FROM, "old")).await);
    }
    let filter = ListFilter { page_size: Some(3), ..ListFilter::default() };
    let first = client.list_messages(&filter).await.expect("lists");
    for _ in 0..4 {
        accepted(&client, &CreateMessage::new("+13125550100", FROM, "new")).await;
    }
    let next = first.next_page_uri.as_deref().expect("there is more");
    let second = client.next_page(next).await.expect("lists");
    let seen: Vec<_> = first.messages.iter().chain(&second.messages).collect();
    let seen: Vec<_> = seen.into_iter().filter_map(MessageResource::message_sid).collect();
    sids.reverse();
    assert_eq!(seen, sids);
}

#[tokio::test]
async fn a_lagging_listing_shows_a_message_later_and_its_sid_at_once() {
    let clock = Arc::new(VirtualClock::at(NOW));
    let knobs = Knobs { listing_lag_ms: 30_000, receipts: false, ..Knobs::default() };
    let carrier = carrier_at(&clock, knobs).await;
    let client = client(&carrier);
    let message = CreateMessage::new("+13125550100", FROM, "Hello");
    let sid = accepted(&client, &message).await;
    let by_phone = ListFilter { to: Some("+13125550100"), ..ListFilter::default() };
    for (wait_secs, shown) in [(0, 0), (29, 0), (1, 1), (60, 1)] {
        clock.advance(Duration::from_secs(wait_secs));
        for filter in [ListFilter::default(), by_phone] {
            let page = client.list_messages(&filter).await.expect("lists");
            assert_eq!(page.messages.len(), shown, "after {wait_secs} s more");
        }
        assert!(client.message(&sid).await.is_ok(), "by its SID it is there");
    }
}

#[tokio::test]
async fn a_services_message_is_found_by_the_sender_it_was_given() {
    let carrier = carrier(Knobs { receipt_delay_ms: 1, ..Knobs::default() }).await;
    let client = client(&carrier);
    let sender = Sender::ServiceFrom { service: SERVICE, from: "+15005550010" };
    let named = accepted(&client, &CreateMessage::new("+13125550100", sender, "Hello")).await;
    let sender = Sender::Service(SERVICE);
    let picked = accepted(&client, &CreateMessage::new("+13125550100", sender, "Hello")).await;
    becomes(&client, &picked, MessageStatus::Delivered).await;
    for (from, sid) in [("+15005550010", named), ("+15005550006", picked)] {
        let filter = ListFilter { from: Some(from), ..ListFilter::default() };
        let page = client.list_messages(&filter).await.expect("lists");
        let sids: Vec<_> = page.messages.iter().filter_map(MessageResource::message_sid).collect();
        assert_eq!(sids, [sid], "{from}");
    }
}
