//! Texts from phones: what the webhook says, and that STOP is heeded.

use serde_json::{Value, json};
use tokio::net::TcpListener;
use twilio::outcome::Outcome;
use twilio::sandbox::{Inbound, Keyword, Knobs, Options, Sandbox};
use twilio::signature::{self, Body};
use twilio::wire::{Channel, CreateMessage, Sender};

use crate::peer::{Heard, Says, answer, peer};
use crate::rig::{ACCOUNT, FROM, SERVICE, TOKEN, ask, carrier, client, next, options};

const PHONE: &str = "+13125550100";
const NUMBER: &str = "+15005550006";

fn text(body: &str, webhook: &str) -> Inbound {
    Inbound {
        from: PHONE.to_owned(),
        to: NUMBER.to_owned(),
        body: body.to_owned(),
        webhook: webhook.to_owned(),
        ..Inbound::default()
    }
}

fn parameter(heard: &Heard, name: &str) -> Option<String> {
    heard.form().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// The code of the refusal of a text to the phone, if it is refused.
async fn refusal(carrier: &Sandbox, sender: Sender<'_>) -> Option<u32> {
    let message = CreateMessage::new(PHONE, sender, "Hello");
    match client(carrier).create_message(&message).await {
        Outcome::Accepted { .. } => None,
        Outcome::Rejected { code, http: 400, .. } => Some(code),
        outcome => panic!("{outcome:?}"),
    }
}

#[tokio::test]
async fn the_webhook_is_twilios_and_signed() {
    let mut taker = peer(|_, _| Says::Bytes(answer(200, "<Response/>"))).await;
    let carrier = carrier(Knobs::default()).await;
    let url = format!("{}/inbound?a=b", taker.base);
    let received = carrier.receive(&text("Où est 👍?", &format!("{url}#rc=2"))).await;
    assert_eq!((received.keyword, received.answered, received.tries), (None, Some(200), 1));
    let heard = next(&mut taker.heard).await;
    let form = heard.form();
    let signed = heard.header("x-twilio-signature").expect("signed");
    assert!(signature::validate(TOKEN, &url, signed, Body::Form(&form)));
    assert!(heard.header("i-twilio-idempotency-token").is_some());
    let sid = received.sid.to_string();
    #[rustfmt::skip]
    let expected = [
        ("MessageSid", sid.as_str()), ("SmsSid", &sid), ("SmsMessageSid", &sid),
        ("AccountSid", ACCOUNT), ("From", PHONE), ("To", NUMBER), ("Body", "Où est 👍?"),
        ("SmsStatus", "received"), ("NumMedia", "0"), ("NumSegments", "1"),
        ("ReferralNumMedia", "0"), ("ApiVersion", "2010-04-01"),
        ("FromCity", ""), ("FromState", ""), ("FromZip", ""), ("FromCountry", ""),
        ("ToCity", ""), ("ToState", ""), ("ToZip", ""), ("ToCountry", ""),
    ];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(form, expected);
    // What is signed includes the empty values.
    let without: Vec<_> = heard.form().into_iter().filter(|(name, _)| name != "ToCity").collect();
    assert!(!signature::validate(TOKEN, &url, signed, Body::Form(&without)));
}

#[tokio::test]
async fn media_channels_and_services_show() {
    let mut taker = peer(|_, _| Says::Bytes(answer(204, ""))).await;
    let carrier = carrier(Knobs::default()).await;
    let media = [("https://m.example/1", "image/png"), ("https://m.example/2", "text/vcard")];
    let inbound = Inbound {
        from: Channel::WhatsApp.address(PHONE).into_owned(),
        to: Channel::WhatsApp.address(NUMBER).into_owned(),
        service: Some(SERVICE.to_owned()),
        media: media.map(|(url, kind)| (url.to_owned(), kind.to_owned())).into(),
        ..text("Info", &taker.base)
    };
    let received = carrier.receive(&inbound).await;
    assert!(received.sid.is_media());
    let heard = next(&mut taker.heard).await;
    for (name, value) in [
        ("NumMedia", "2"),
        ("MediaUrl0", "https://m.example/1"),
        ("MediaContentType1", "text/vcard"),
        ("MessagingServiceSid", SERVICE),
        ("OptOutType", "HELP"),
        ("WaId", "13125550100"),
        ("From", "whatsapp:+13125550100"),
    ] {
        assert_eq!(parameter(&heard, name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn stop_is_heeded_per_sender_until_start() {
    let mut taker = peer(|_, _| Says::Bytes(answer(204, ""))).await;
    let carrier = carrier(Knobs::default()).await;
    let other = Sender::From("+15005550010");
    let service = Sender::Service(SERVICE);
    let pool = Sender::ServiceFrom { service: SERVICE, from: NUMBER };
    let of_service =
        |body: &str| Inbound { service: Some(SERVICE.to_owned()), ..text(body, &taker.base) };
    // The text; its keyword; what then becomes of texts from the number, another, and the service.
    let steps = [
        (text("hello", &taker.base), None, [None, None, None, None]),
        (text("stop please", &taker.base), None, [None, None, None, None]),
        (text("Stop", &taker.base), Some(Keyword::Stop), [Some(21610), None, None, None]),
        (text("HELP", &taker.base), Some(Keyword::Help), [Some(21610), None, None, None]),
        (text("unstop", &taker.base), Some(Keyword::Start), [None, None, None, None]),
        (of_service("QUIT"), Some(Keyword::Stop), [None, None, Some(21610), Some(21610)]),
        (text("START", &taker.base), Some(Keyword::Start), [None, None, Some(21610), Some(21610)]),
        (of_service("yes"), Some(Keyword::Start), [None, None, None, None]),
    ];
    for (inbound, keyword, refusals) in steps {
        assert_eq!(carrier.receive(&inbound).await.keyword, keyword, "{}", inbound.body);
        let heard = next(&mut taker.heard).await;
        let told = keyword.filter(|_| inbound.service.is_some()).map(Keyword::as_str);
        assert_eq!(parameter(&heard, "OptOutType").as_deref(), told, "{}", inbound.body);
        for (sender, refused) in [FROM, other, service, pool].into_iter().zip(refusals) {
            assert_eq!(refusal(&carrier, sender).await, refused, "{} {sender:?}", inbound.body);
        }
    }
}

#[tokio::test]
async fn stop_outlives_the_carrier() {
    let home = tempfile::tempdir().expect("a directory");
    let with_record = || Options {
        record: Some(home.path().join("record")),
        ..options(Knobs { receipts: false, ..Knobs::default() })
    };
    let first = Sandbox::start(with_record()).await.expect("starts");
    first.receive(&text("STOP", "nowhere")).await;
    drop(first);
    let second = Sandbox::start(with_record()).await.expect("starts");
    assert_eq!(refusal(&second, FROM).await, Some(21610));
    second.receive(&text("START", "nowhere")).await;
    drop(second);
    let third = Sandbox::start(with_record()).await.expect("starts");
    assert_eq!(refusal(&third, FROM).await, None);
}

#[tokio::test]
async fn the_webhook_is_tried_as_often_as_the_fragment_says() {
    let carrier = carrier(Knobs::default()).await;
    for (fragment, status, tries) in
        [("", 500, 1), ("#rc=2&rp=5xx", 500, 3), ("#rc=2&rp=5xx", 400, 1), ("#rc=5&rp=all", 200, 1)]
    {
        let mut taker = peer(move |_, _| Says::Bytes(answer(status, ""))).await;
        let received = carrier.receive(&text("hi", &format!("{}/{fragment}", taker.base))).await;
        assert_eq!((received.answered, received.tries), (Some(status), tries), "{fragment}");
        for _ in 0..tries {
            assert!(taker.heard.try_recv().is_ok(), "{fragment}");
        }
        assert!(taker.heard.try_recv().is_err(), "{fragment}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let gone = format!("http://{}/", listener.local_addr().expect("bound"));
    drop(listener);
    let received = carrier.receive(&text("hi", &gone)).await;
    assert_eq!((received.answered, received.tries), (None, 2));
    let received = carrier.receive(&text("hi", "nowhere")).await;
    assert_eq!((received.answered, received.tries), (None, 1));
}

#[tokio::test]
async fn a_text_can_be_asked_for_over_http() {
    let mut taker = peer(|_, _| Says::Bytes(answer(204, ""))).await;
    let carrier = carrier(Knobs::default()).await;
    let wanted = json!({ "from": PHONE, "to": NUMBER, "body": "STOP", "webhook": taker.base });
    let (status, told) = ask(&carrier, "POST", "/sandbox/inbound", &wanted.to_string()).await;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let heard = next(&mut taker.heard).await;
    let sid = parameter(&heard, "MessageSid");
    let expected = json!({ "sid": sid, "keyword": "STOP", "answered": 204, "tries": 1 });
    assert_eq!((status, told), (200, expected));
    assert_eq!(refusal(&carrier, FROM).await, Some(21610));
    for wrong in
        ["", "{}", "{\"from\":1}", "{\"from\":\"a\",\"to\":\"b\",\"webhook\":\"c\",\"x\":1}"]
    {
        assert_eq!(ask(&carrier, "POST", "/sandbox/inbound", wrong).await.0, 400, "{wrong}");
    }
}
