//! What the carrier answers to a create request: the message's shape, the refusals and their
//! codes, and the agreement of [`CreateMessage::check`] with both.

use std::cell::Cell;

use proptest::prelude::*;
use serde_json::{Value, json};
use twilio::outcome::Outcome;
use twilio::sandbox::{Knobs, Sandbox};
use twilio::wire::{CreateMessage, Forbidden, Sender};

use crate::api::Api;
use crate::drafts::{TEMPLATE, for_all};
use crate::rig::{ACCOUNT, FROM, NOW, SERVICE, api, carrier, client, options};

const TO: &str = "To=%2B13125550100";
const FULL: &str = "To=%2B13125550100&From=%2B15005550006&Body=Hello";

async fn quiet() -> Sandbox {
    carrier(Knobs { receipts: false, receipt_delay_ms: 3_600_000, ..Knobs::default() }).await
}

async fn create(carrier: &Sandbox, form: &str) -> (u16, Value) {
    api(carrier, "POST", "Messages.json", form).await
}

#[tokio::test]
async fn a_new_message_has_twilios_shape() {
    let (carrier, published) = (quiet().await, Api::new());
    let (status, message) = create(&carrier, FULL).await;
    assert_eq!(status, published.success("create"));
    assert_eq!(published.message_faults(&message), Vec::<String>::new());
    let sid = message["sid"].as_str().expect("a SID").to_owned();
    let uri = format!("/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}");
    #[rustfmt::skip]
    let expected = json!({
        "account_sid": ACCOUNT,
        "api_version": "2010-04-01",
        "body": "Hello",
        "date_created": "Sat, 21 Nov 2026 01:40:00 +0000",
        "date_sent": null,
        "date_updated": "Sat, 21 Nov 2026 01:40:00 +0000",
        "direction": "outbound-api",
        "error_code": null,
        "error_message": null,
        "from": "+15005550006",
        "messaging_service_sid": null,
        "num_media": "0",
        "num_segments": "1",
        "price": null,
        "price_unit": "USD",
        "sid": sid,
        "status": "queued",
        "subresource_uris": { "media": format!("{uri}/Media.json") },
        "to": "+13125550100",
        "uri": format!("{uri}.json"),
    });
    assert_eq!(message, expected);
    let (status, fetched) = api(&carrier, "GET", &format!("Messages/{sid}.json"), "").await;
    assert_eq!((status, fetched), (published.success("fetch"), expected));
}

#[tokio::test]
async fn what_a_message_is_sent_with_shows_in_it() {
    let (carrier, published) = (quiet().await, Api::new());
    let media = "&MediaUrl=https://m.example/1".repeat(10);
    let later = "SendAt=2026-11-21T04:00:00Z&ScheduleType=fixed";
    let service = format!("MessagingServiceSid={SERVICE}");
    let long = "a".repeat(161);
    #[rustfmt::skip]
    let cases = [
        (format!("{FULL}{media}"), json!({ "num_media": "10", "num_segments": "1" })),
        (format!("{TO}&From=%2B15005550006{media}"), json!({ "num_media": "10", "body": "" })),
        (format!("{TO}&{service}&Body=x"), json!({
            "status": "accepted", "from": null, "messaging_service_sid": SERVICE,
            "num_segments": "0", "num_media": "0",
        })),
        (format!("{TO}&{service}&From=%2B15005550006&Body=x"), json!({
            "status": "accepted", "from": "+15005550006", "messaging_service_sid": SERVICE,
        })),
        (format!("{TO}&{service}&Body=x&{later}"), json!({
            "status": "scheduled", "date_sent": null, "num_segments": "0",
        })),
        (format!("{TO}&From=%2B15005550006&Body={long}"), json!({ "num_segments": "2" })),
        (format!("{TO}&From=%2B15005550006&Body=%E2%82%AC%F0%9F%91%8D"), json!({
            "num_segments": "1", "body": "€👍",
        })),
        (format!("{TO}&From=12345&ContentSid={TEMPLATE}"), json!({ "body": "" })),
        ("To=whatsapp:%2B13125550100&From=whatsapp:%2B15005550006&Body=x".to_owned(), json!({
            "to": "whatsapp:+13125550100", "from": "whatsapp:+15005550006",
        })),
        // Twilio ignores what it does not know, with a warning (20001).
        (format!("{FULL}&Bdoy=x&MaxPrice=0.01"), json!({ "status": "queued" })),
    ];
    for (form, expected) in cases {
        let (status, message) = create(&carrier, &form).await;
        assert_eq!(status, 201, "{form}: {message}");
        assert_eq!(published.message_faults(&message), Vec::<String>::new(), "{form}");
        for (name, value) in expected.as_object().expect("fields") {
            assert_eq!(&message[name], value, "{form}: {name}");
        }
        let prefix = if form.contains("MediaUrl") { "MM" } else { "SM" };
        assert!(message["sid"].as_str().expect("a SID").starts_with(prefix), "{form}");
    }
}

#[tokio::test]
async fn refusals_have_twilios_codes_and_shape() {
    let carrier = quiet().await;
    let service = format!("MessagingServiceSid={SERVICE}");
    let (long, emoji) = ("a".repeat(1601), "%F0%9F%98%80".repeat(801));
    let number = |to: &str| format!("To=%2B{to}&From=%2B15005550006&Body=x");
    let from = |from: &str| format!("{TO}&From={from}&Body=x");
    let media = "&MediaUrl=https://m.example/1".repeat(11);
    #[rustfmt::skip]
    let cases = [
        ("Body=x&From=%2B15005550006".to_owned(), 21604),
        (number("15005550001"), 21211),
        (number("15005550002"), 21612),
        (number("15005550003"), 21408),
        (number("15005550004"), 21610),
        (number("15005550009"), 21614),
        (number("0123"), 21211),
        ("To=3125550100&From=%2B15005550006&Body=x".to_owned(), 21211),
        (format!("{TO}&Body=x"), 21603),
        (from("%2B15005550001"), 21212),
        (from("A%20name%20that%20is%20too%20long"), 21212),
        (from("%2B15005550007"), 21606),
        (from("%2B15005550008"), 21611),
        (from("%2B13125550100"), 21266),
        (from("whatsapp:%2B15005550006"), 21910),
        ("To=whatsapp:%2B13125550100&From=%2B15005550006&Body=x".to_owned(), 21910),
        (format!("{TO}&MessagingServiceSid=MG1&Body=x"), 21705),
        (format!("{TO}&From=%2B15005550006&Body="), 21602),
        (format!("{TO}&From=%2B15005550006"), 21619),
        (format!("{TO}&From=%2B15005550006&Body={long}"), 21617),
        (format!("{TO}&From=%2B15005550006&Body={emoji}"), 21617),
        (format!("{FULL}{media}"), 21623),
        (format!("{FULL}&MediaUrl=nowhere"), 21620),
        (format!("{FULL}&ContentSid=HX1"), 21655),
        (format!("{FULL}&ContentVariables={{}}"), 21654),
        (format!("{FULL}&ContentSid={TEMPLATE}&ContentVariables=x"), 21656),
        (format!("{FULL}&StatusCallback=nowhere"), 21609),
        (format!("{FULL}&StatusCallback=ftp://h.example/"), 21609),
        (format!("{FULL}&StatusCallback=https://under_score.example/"), 21609),
        (format!("{FULL}&ValidityPeriod=0"), 21624),
        (format!("{FULL}&ValidityPeriod=36001"), 21624),
        (format!("{FULL}&ValidityPeriod=soon"), 21624),
        (format!("{FULL}&SendAt=2026-11-21T04:00:00Z&ScheduleType=fixed"), 35118),
        (format!("{TO}&{service}&Body=x&SendAt=2026-11-21T01:45:00Z&ScheduleType=fixed"), 35115),
        (format!("{TO}&{service}&Body=x&SendAt=2026-12-26T01:40:01Z&ScheduleType=fixed"), 35115),
        (format!("{TO}&{service}&Body=x&ScheduleType=fixed"), 35115),
    ];
    for (form, code) in cases {
        let (status, error) = create(&carrier, &form).await;
        assert_eq!((status, &error["code"]), (400, &json!(code)), "{form}");
        let more = format!("https://www.twilio.com/docs/errors/{code}");
        assert_eq!((&error["status"], &error["more_info"]), (&json!(400), &json!(more)));
        assert!(error["message"].as_str().is_some_and(|words| !words.is_empty()), "{form}");
        assert_eq!(error.as_object().expect("an object").len(), 4, "{form}");
    }
    assert_eq!(carrier.summary().accepted, 0);
}

#[tokio::test]
async fn other_answers_are_twilios_too() {
    let carrier = quiet().await;
    let sid = "Messages/SM0123456789abcdef0123456789abcdef.json";
    #[rustfmt::skip]
    let cases = [
        ("GET", sid, "", 404, 20404),
        ("POST", sid, "Body=", 404, 20404),
        ("POST", sid, "Status=canceled", 404, 20404),
        ("DELETE", sid, "", 404, 20404),
        ("GET", "Messages/nonsense.json", "", 404, 20404),
        ("GET", "messages.json", "", 404, 20404),
        ("GET", "Calls.json", "", 404, 20404),
        ("PUT", "Messages.json", "", 405, 20004),
        ("DELETE", "Messages.json", "", 405, 20004),
        ("GET", "Messages.json?PageSize=1001", "", 400, 20007),
        ("GET", "Messages.json?DateSent=yesterday", "", 400, 20001),
    ];
    for (method, target, body, status, code) in cases {
        let (answered, error) = api(&carrier, method, target, body).await;
        assert_eq!((answered, &error["code"]), (status, &json!(code)), "{method} {target}");
        assert_eq!(error["status"], json!(status), "{method} {target}");
    }
}

/// The check's own table: one fault each, named by its parameter.
#[test]
fn the_check_names_the_parameter_and_the_code() {
    let plain = CreateMessage::new("+13125550100", FROM, "Hello");
    let service = CreateMessage { sender: Sender::Service(SERVICE), ..plain };
    let ahead = |secs| Some(NOW + std::time::Duration::from_secs(secs));
    let media: &[&str] = &["https://m.example/1"; 11];
    let (fits, long) = ("a".repeat(1600), "a".repeat(1601));
    let emoji = "\u{1f600}".repeat(801);
    let from = |from| CreateMessage { sender: Sender::From(from), ..plain };
    let body = |body| CreateMessage { body, ..plain };
    let template = CreateMessage { content_sid: Some(TEMPLATE), body: "", ..plain };
    #[rustfmt::skip]
    let cases = [
        (plain, None),
        (body(&fits), None),
        (from("12345"), None),
        (from("ACME"), None),
        (template, None),
        (CreateMessage { media_urls: &media[..10], body: "", ..plain }, None),
        (CreateMessage { send_at: ahead(301), ..service }, None),
        (CreateMessage { send_at: ahead(35 * 24 * 3600), ..service }, None),
        (CreateMessage { to: "", ..plain }, Some(("To", 21604))),
        (CreateMessage { to: "13125550100", ..plain }, Some(("To", 21211))),
        (CreateMessage { to: "+0123456789", ..plain }, Some(("To", 21211))),
        (CreateMessage { to: "+1234567890123456", ..plain }, Some(("To", 21211))),
        (CreateMessage { to: "whatsapp:", ..plain }, Some(("To", 21211))),
        (CreateMessage { to: "whatsapp:+13125550100", ..plain }, Some(("From", 21910))),
        (from("whatsapp:+15005550006"), Some(("From", 21910))),
        (from(""), Some(("From", 21603))),
        (from("twelve chars"), Some(("From", 21212))),
        (from("Größe"), Some(("From", 21212))),
        (from("+13125550100"), Some(("To", 21266))),
        (CreateMessage { sender: Sender::Service("MG1"), ..plain },
            Some(("MessagingServiceSid", 21705))),
        (body(""), Some(("Body", 21602))),
        (body(&long), Some(("Body", 21617))),
        (body(&emoji), Some(("Body", 21617))),
        (CreateMessage { media_urls: media, ..plain }, Some(("MediaUrl", 21623))),
        (CreateMessage { media_urls: &["x"], ..plain }, Some(("MediaUrl", 21620))),
        (CreateMessage { content_sid: Some("HX1"), ..plain }, Some(("ContentSid", 21655))),
        (CreateMessage { content_variables: Some("{}"), ..plain },
            Some(("ContentVariables", 21654))),
        (CreateMessage { content_variables: Some("[]"), ..template },
            Some(("ContentVariables", 21656))),
        (CreateMessage { status_callback: Some("/r"), ..plain }, Some(("StatusCallback", 21609))),
        (CreateMessage { status_callback: Some("https://a_b.example/r"), ..plain },
            Some(("StatusCallback", 21609))),
        (CreateMessage { validity_period_secs: Some(0), ..plain }, Some(("ValidityPeriod", 21624))),
        (CreateMessage { validity_period_secs: Some(36_001), ..plain },
            Some(("ValidityPeriod", 21624))),
        (CreateMessage { send_at: ahead(3600), ..plain }, Some(("MessagingServiceSid", 35118))),
        (CreateMessage { send_at: ahead(300), ..service }, Some(("SendAt", 35115))),
        (CreateMessage { send_at: ahead(35 * 24 * 3600 + 1), ..service }, Some(("SendAt", 35115))),
    ];
    for (message, expected) in cases {
        let checked = message.check(NOW).err();
        let found = checked.map(|Forbidden { parameter, code, .. }| (parameter, code));
        assert_eq!(found, expected, "{message:?}");
    }
    let words = body(&long).check(NOW).expect_err("too long").to_string();
    assert_eq!(words, "Body: has 1601 characters; 1600 are the most (Twilio 21617)");
}

/// Whatever the check stops, the carrier refuses with the same code: it stops nothing that would
/// have been sent.
#[test]
fn the_check_stops_only_what_the_carrier_refuses() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let carrier = runtime.block_on(quiet());
    let client = client(&carrier);
    let (stopped, accepted) = (Cell::new(0), Cell::new(0));
    for_all(1000, |draft| {
        let message = draft.message();
        let outcome = runtime.block_on(client.create_message(&message));
        match (message.check(NOW), outcome) {
            (Ok(()), Outcome::Accepted { .. }) => accepted.set(accepted.get() + 1),
            // Which numbers there are is for the carrier to judge.
            (_, Outcome::Rejected { code: 21211, .. }) => {}
            (Err(stop), Outcome::Rejected { code, http: 400, .. }) => {
                prop_assert_eq!(stop.code, code, "{}", stop);
                stopped.set(stopped.get() + 1);
            }
            (checked, outcome) => prop_assert!(false, "{checked:?}, but {outcome:?}"),
        }
        Ok(())
    });
    assert!(stopped.get() > 50 && accepted.get() > 50, "{stopped:?} {accepted:?}");
}

#[tokio::test]
async fn the_same_text_twice_is_two_messages() {
    let carrier = Sandbox::start(options(Knobs::default())).await.expect("starts");
    let (_, first) = create(&carrier, FULL).await;
    let (_, second) = create(&carrier, FULL).await;
    assert_ne!(first["sid"], second["sid"]);
    assert_eq!((carrier.summary().accepted, carrier.summary().duplicates), (2, 1));
}
