//! Every request the client writes is one that the published API knows: path, method, parameters,
//! their values and how often they stand.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use proptest::prelude::*;
use twilio::client::ApiError;
use twilio::outcome::Outcome;
use twilio::wire::{CreateMessage, ListFilter, Sender, Sid};

use crate::api::Api;
use crate::drafts::{TEMPLATE, for_all};
use crate::peer::{Heard, Peer, Says, answer, peer};
use crate::rig::{ACCOUNT, FROM, NOW, SERVICE, TOKEN, client_of};

const SID: &str = "SM0123456789abcdef0123456789abcdef";
const TO: &str = "+13125550100";

/// A peer that answers every call as Twilio would when all is well.
async fn yes() -> Peer {
    peer(|_, heard| {
        let message = format!("{{\"sid\":\"{SID}\",\"status\":\"queued\"}}");
        Says::Bytes(match heard.method.as_str() {
            "POST" if heard.target.ends_with("/Messages.json") => answer(201, message),
            "DELETE" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            _ => answer(200, message),
        })
    })
    .await
}

async fn next(peer: &mut Peer) -> Heard {
    peer.heard.recv().await.expect("it was heard")
}

/// Messages that use every option, each with a name.
fn messages() -> Vec<(&'static str, CreateMessage<'static>)> {
    let plain = CreateMessage::new(TO, FROM, "Hello");
    let service = Sender::Service(SERVICE);
    let later = NOW + Duration::from_secs(3600);
    let media: &'static [&'static str] = &["https://m.example/a.jpg"; 10];
    vec![
        ("plain", plain),
        ("service", CreateMessage { sender: service, ..plain }),
        (
            "sender of a service",
            CreateMessage {
                sender: Sender::ServiceFrom { service: SERVICE, from: "+15005550006" },
                ..plain
            },
        ),
        ("short code", CreateMessage { sender: Sender::From("12345"), ..plain }),
        ("alphanumeric", CreateMessage { sender: Sender::From("ACME Ltd"), ..plain }),
        (
            "callback",
            CreateMessage {
                status_callback: Some("https://h.example/r/abc?x=1#rc=5&rp=all"),
                ..plain
            },
        ),
        ("shortest life", CreateMessage { validity_period_secs: Some(1), ..plain }),
        ("longest life", CreateMessage { validity_period_secs: Some(36_000), ..plain }),
        ("smart", CreateMessage { smart_encoded: Some(true), ..plain }),
        ("not smart", CreateMessage { smart_encoded: Some(false), ..plain }),
        ("later", CreateMessage { sender: service, send_at: Some(later), ..plain }),
        ("one medium", CreateMessage { media_urls: &media[..1], ..plain }),
        ("ten media, no text", CreateMessage { body: "", media_urls: media, ..plain }),
        ("risk checked", CreateMessage { risk_check: Some(true), ..plain }),
        ("risk taken", CreateMessage { risk_check: Some(false), ..plain }),
        (
            "template",
            CreateMessage {
                to: "whatsapp:+13125550100",
                sender: Sender::From("whatsapp:+15005550006"),
                body: "",
                content_sid: Some(TEMPLATE),
                content_variables: Some("{\"1\":\"Ada & Söhne\"}"),
                ..plain
            },
        ),
        (
            "WhatsApp",
            CreateMessage {
                to: "whatsapp:+13125550100",
                sender: Sender::From("whatsapp:+15005550006"),
                ..plain
            },
        ),
    ]
}

#[tokio::test]
async fn every_kind_of_message_is_a_create_call() {
    let (api, mut peer) = (Api::new(), yes().await);
    let client = client_of(&peer.base, TOKEN);
    for (name, message) in messages() {
        assert_eq!(message.check(NOW), Ok(()), "{name}");
        let outcome = client.create_message(&message).await;
        assert!(matches!(outcome, Outcome::Accepted { .. }), "{name}: {outcome:?}");
        let heard = next(&mut peer).await;
        assert_eq!(api.call_of(&heard), Ok("create"), "{name}");
    }
}

#[tokio::test]
async fn every_other_call_is_one_of_the_api() {
    let (api, mut peer) = (Api::new(), yes().await);
    let client = client_of(&peer.base, TOKEN);
    let sid: Sid = SID.parse().expect("well-formed");
    assert!(client.message(&sid).await.is_ok());
    assert_eq!(api.call_of(&next(&mut peer).await), Ok("fetch"));
    assert!(client.find_message(&sid).await.is_ok());
    assert_eq!(api.call_of(&next(&mut peer).await), Ok("fetch"));
    assert!(client.cancel(&sid).await.is_ok());
    let canceled = next(&mut peer).await;
    assert_eq!(api.call_of(&canceled), Ok("update"));
    assert_eq!(canceled.form(), [("Status".to_owned(), "canceled".to_owned())]);
    assert!(client.redact(&sid).await.is_ok());
    let redacted = next(&mut peer).await;
    assert_eq!(api.call_of(&redacted), Ok("update"));
    assert_eq!(redacted.form(), [("Body".to_owned(), String::new())]);
    assert_eq!(client.delete(&sid).await, Ok(()));
    let deleted = next(&mut peer).await;
    assert_eq!(api.call_of(&deleted), Ok("delete"));
    assert!(deleted.body.is_empty());
}

#[tokio::test]
async fn every_filter_is_one_of_the_api() {
    let (api, mut peer) = (Api::new(), yes().await);
    let client = client_of(&peer.base, TOKEN);
    let sides = [None, Some(TO), Some("whatsapp:+13125550100")];
    let dates = [None, Some("2026-11-20"), Some("2026-11-20T09:00:00Z")];
    let mut asked = 0;
    for to in sides {
        for from in sides {
            for date in dates {
                for page_size in [None, Some(1), Some(1000)] {
                    for filter in [
                        ListFilter { to, from, date_sent: date, page_size, ..<_>::default() },
                        ListFilter { to, from, date_sent_after: date, page_size, ..<_>::default() },
                        ListFilter {
                            to,
                            from,
                            date_sent_before: date,
                            page_size,
                            ..<_>::default()
                        },
                    ] {
                        assert!(client.list_messages(&filter).await.is_ok());
                        let heard = next(&mut peer).await;
                        assert_eq!(api.call_of(&heard), Ok("list"), "{filter:?}");
                        asked += 1;
                    }
                }
            }
        }
    }
    assert_eq!(asked, 243);
}

#[tokio::test]
async fn a_next_page_is_followed_to_the_letter_and_never_to_another_host() {
    let (api, mut peer) = (Api::new(), yes().await);
    let client = client_of(&peer.base, TOKEN);
    let next_page_uri = format!(
        "/2010-04-01/Accounts/{ACCOUNT}/Messages.json?To=%2B13125550100&PageSize=50&Page=1\
         &PageToken=PASM0123456789abcdef0123456789abcdef"
    );
    assert!(client.next_page(&next_page_uri).await.is_ok());
    let heard = next(&mut peer).await;
    assert_eq!(heard.target, next_page_uri);
    assert_eq!(api.call_of(&heard), Ok("list"));
    for elsewhere in ["https://evil.example/x", "//evil.example/x", "http://127.0.0.1:1/", "x y"] {
        let refused = client.next_page(elsewhere).await;
        assert!(matches!(refused, Err(ApiError::NoAnswer(_))), "{elsewhere}: {refused:?}");
    }
    assert!(peer.heard.try_recv().is_err(), "nothing was written");
}

/// The request that a message becomes, without a network.
fn written(message: &CreateMessage<'_>) -> Heard {
    let headers =
        [("content-type", "application/x-www-form-urlencoded"), ("authorization", "Basic eDp5")];
    Heard {
        method: "POST".to_owned(),
        target: format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json"),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        body: message.encode().into_bytes(),
    }
}

#[test]
fn what_passes_the_check_is_a_call_of_the_api() {
    let api = Api::new();
    let (passed, stopped) = (Cell::new(0), Cell::new(0));
    for_all(2000, |draft| {
        let message = draft.message();
        match message.check(NOW) {
            Ok(()) => {
                passed.set(passed.get() + 1);
                prop_assert_eq!(api.call_of(&written(&message)), Ok("create"));
            }
            Err(_) => stopped.set(stopped.get() + 1),
        }
        Ok(())
    });
    assert!(passed.get() > 200 && stopped.get() > 200, "{passed:?} {stopped:?}");
}

#[test]
fn what_is_heard_is_what_was_said() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let peer = runtime.block_on(yes());
    let client = client_of(&peer.base, TOKEN);
    let heard = RefCell::new(peer.heard);
    for_all(500, |draft| {
        let outcome = runtime.block_on(client.create_message(&draft.message()));
        prop_assert!(matches!(outcome, Outcome::Accepted { .. }), "{:?}", outcome);
        let heard = heard.borrow_mut().try_recv().expect("it was heard before the answer");
        let mut form = heard.form();
        form.sort();
        let form: Vec<_> = form.iter().map(|(name, value)| (&**name, value.clone())).collect();
        prop_assert_eq!(form, draft.parameters());
        Ok(())
    });
}
