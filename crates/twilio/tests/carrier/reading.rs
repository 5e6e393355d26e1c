//! Messages that exist: fetched, listed, paged, redacted, canceled.

use twilio::client::ApiError;
use twilio::outcome::Outcome;
use twilio::sandbox::Knobs;
use twilio::wire::{CreateMessage, ListFilter};

use crate::rig::{FROM, carrier, client, send};

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
        .filter_map(twilio::wire::MessageResource::message_sid)
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
