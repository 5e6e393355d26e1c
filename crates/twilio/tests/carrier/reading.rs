//! Messages that exist: fetched, listed, paged, redacted, canceled.

use twilio::client::ApiError;
use twilio::outcome::Outcome;
use twilio::sandbox::Knobs;
use twilio::wire::ListFilter;

use crate::rig::{carrier, client, send};

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

    let day = ListFilter { date_sent: Some("2001-01-01"), ..ListFilter::default() };
    assert!(client.list_messages(&day).await.expect("lists").messages.is_empty());
    let one = client.message(&sids[0]).await.expect("is there");
    assert_eq!((one.to.as_deref(), one.segments()), (Some("+13125550100"), Some(1)));
    assert!(one.created_at().is_some());
    assert_eq!(client.redact(&sids[0]).await.expect("redacts").body.as_deref(), Some(""));
    let refused = client.cancel(&sids[0]).await;
    assert!(matches!(refused, Err(ApiError::Refused { code: 30409, .. })), "{refused:?}");
    let unknown = "SM00000000000000000000000000000000".parse().expect("well-formed");
    assert_eq!(client.find_message(&unknown).await, Ok(None));
}
