//! Receipts: signed, in the order of a message's life, tried again as Twilio does or longer,
//! remembered over a restart, and as unruly as the knobs say.

use std::collections::BTreeMap;

use tokio::net::TcpListener;
use twilio::outcome::Outcome;
use twilio::sandbox::{Knobs, Options, Sandbox};
use twilio::signature::{self, Body};
use twilio::wire::{CreateMessage, Sender, StatusCallback};

use crate::peer::{Heard, Peer, Says, answer, peer, peer_on};
use crate::rig::{FROM, SERVICE, TOKEN, carrier, client, next, options, until};

/// Takes every receipt.
async fn taker() -> Peer {
    peer(|_, _| Says::Bytes(answer(204, ""))).await
}

fn receipt_of(heard: &Heard) -> StatusCallback {
    StatusCallback::parse(&heard.form()).expect("well-formed")
}

fn word(heard: &Heard) -> String {
    receipt_of(heard).status.to_string()
}

fn is_signed_by(token: &str, base: &str, heard: &Heard) -> bool {
    let signature = heard.header("x-twilio-signature").expect("signed");
    let url = format!("{base}{}", heard.target);
    signature::validate(token, &url, signature, Body::Form(&heard.form()))
}

async fn send_from(carrier: &Sandbox, sender: Sender<'_>, callback: &str) {
    let message = CreateMessage {
        status_callback: Some(callback),
        ..CreateMessage::new("+13125550100", sender, "Hello there")
    };
    let outcome = client(carrier).create_message(&message).await;
    assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
}

async fn send(carrier: &Sandbox, callback: &str) {
    send_from(carrier, FROM, callback).await;
}

fn fast() -> Knobs {
    Knobs { receipt_delay_ms: 1, ..Knobs::default() }
}

#[tokio::test]
async fn receipts_are_signed_and_tell_the_fate() {
    for (knobs, words) in [
        (fast(), vec!["sent", "delivered"]),
        (Knobs { share_undelivered: 1.0, ..fast() }, vec!["sent", "undelivered"]),
        (Knobs { share_failed: 1.0, ..fast() }, vec!["failed"]),
    ] {
        let mut taker = taker().await;
        let carrier = carrier(knobs).await;
        send(&carrier, &format!("{}/status/abc?x=1#rc=5&rp=all", taker.base)).await;
        for expected in words {
            let heard = next(&mut taker.heard).await;
            assert_eq!((heard.method.as_str(), heard.target.as_str()), ("POST", "/status/abc?x=1"));
            assert!(is_signed_by(TOKEN, &taker.base, &heard));
            assert!(!is_signed_by("other", &taker.base, &heard));
            let receipt = receipt_of(&heard);
            assert_eq!(receipt.status.to_string(), expected);
            let failed = matches!(expected, "undelivered" | "failed");
            assert_eq!(receipt.error_code.is_some(), failed, "{expected}");
            let left = matches!(expected, "undelivered" | "delivered");
            assert_eq!(receipt.raw_dlr_done_date.is_some(), left, "{expected}");
        }
    }
}

#[tokio::test]
async fn receipts_come_in_the_order_of_a_messages_life() {
    let pool_sender = Sender::ServiceFrom { service: SERVICE, from: "+15005550010" };
    #[rustfmt::skip]
    let cases = [
        (FROM, vec![("sent", Some("+15005550006")), ("delivered", Some("+15005550006"))]),
        (Sender::Service(SERVICE), vec![
            ("queued", None),
            ("sent", Some("+15005550006")),
            ("delivered", Some("+15005550006")),
        ]),
        (pool_sender, vec![
            ("queued", Some("+15005550010")),
            ("sent", Some("+15005550010")),
            ("delivered", Some("+15005550010")),
        ]),
    ];
    let carrier = carrier(fast()).await;
    for (sender, expected) in cases {
        let mut taker = taker().await;
        send_from(&carrier, sender, &format!("{}/status", taker.base)).await;
        for (word, from) in expected {
            let receipt = receipt_of(&next(&mut taker.heard).await);
            assert_eq!((&*receipt.status.to_string(), receipt.from.as_deref()), (word, from));
            let service = (sender != FROM).then_some(SERVICE);
            assert_eq!(receipt.messaging_service_sid.as_deref(), service);
        }
        until(|| carrier.summary().receipts_pending == 0).await;
        assert!(taker.heard.try_recv().is_err(), "nothing else comes");
    }
}

#[tokio::test]
async fn an_open_carrier_signs_with_the_password_it_was_shown() {
    let mut taker = taker().await;
    let open = Options { credentials: None, ..options(fast()) };
    let carrier = Sandbox::start(open).await.expect("starts");
    send(&carrier, &format!("{}/status", taker.base)).await;
    assert!(is_signed_by(TOKEN, &taker.base, &next(&mut taker.heard).await));
}

#[tokio::test]
async fn a_receipt_nobody_takes_is_tried_again() {
    let mut taker = peer(|n, _| Says::Bytes(answer(if n < 3 { 503 } else { 204 }, ""))).await;
    let carrier = carrier(fast()).await;
    send(&carrier, &format!("{}/status/abc", taker.base)).await;
    let mut words = Vec::new();
    for _ in 0..5 {
        words.push(word(&next(&mut taker.heard).await));
    }
    words.sort();
    words.dedup();
    assert_eq!(words, ["delivered", "sent"]);
    until(|| carrier.summary().receipts_taken == 2).await;
}

/// The answer to every receipt.
type Saying = Box<dyn Fn() -> Says + Send + Sync>;

/// Without the sandbox's kindness a receipt is tried as often as Twilio tries it (FACTS 3.4).
#[tokio::test]
async fn receipts_are_tried_as_often_as_the_fragment_says() {
    let status = |status: u16| move || Says::Bytes(answer(status, ""));
    let hang_up = || Says::Last(Vec::new());
    #[rustfmt::skip]
    let cases: [(&str, Saying, usize, bool); 13] = [
        ("", Box::new(status(204)), 1, true),
        ("", Box::new(status(503)), 1, false),
        ("", Box::new(status(404)), 1, false),
        ("", Box::new(hang_up), 1, false),
        ("#rc=3", Box::new(status(503)), 1, false),
        ("#rp=5xx", Box::new(status(503)), 2, false),
        ("#rc=2&rp=5xx", Box::new(status(503)), 3, false),
        ("#rc=2&rp=5xx", Box::new(status(404)), 1, false),
        ("#rc=2&rp=4xx", Box::new(status(404)), 3, false),
        ("#rc=2&rp=rt", Box::new(hang_up), 3, false),
        ("#rc=5&rp=all", Box::new(status(500)), 6, false),
        ("#rc=9&rp=all", Box::new(status(429)), 6, false),
        ("#rc=0&rp=all", Box::new(status(500)), 1, false),
    ];
    for (fragment, says, tries, taken) in cases {
        let mut taker = peer(move |_, _| says()).await;
        let knobs = Knobs { receipt_retry_secs: 0, share_failed: 1.0, ..fast() };
        let carrier = carrier(knobs).await;
        send(&carrier, &format!("{}/status{fragment}", taker.base)).await;
        until(|| carrier.summary().receipts_taken + carrier.summary().receipts_lost == 1).await;
        assert_eq!(carrier.summary().receipts_taken == 1, taken, "{fragment}");
        let mut heard = Vec::new();
        while let Ok(one) = taker.heard.try_recv() {
            heard.push(one.header("i-twilio-idempotency-token").expect("a token").to_owned());
        }
        assert_eq!(heard.len(), tries, "{fragment}");
        heard.dedup();
        assert_eq!(heard.len(), 1, "one webhook, one token: {fragment}");
    }
}

#[tokio::test]
async fn nobody_at_home_is_tried_once_more_and_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let gone = format!("http://{}/status", listener.local_addr().expect("bound"));
    drop(listener);
    let carrier = carrier(Knobs { receipt_retry_secs: 0, ..fast() }).await;
    send(&carrier, &gone).await;
    until(|| carrier.summary().receipts_lost == 2).await;
    assert_eq!(carrier.summary().receipts_taken, 0);
}

#[tokio::test]
async fn receipts_come_twice_or_never_as_the_knobs_say() {
    let mut taker = taker().await;
    let carrier = carrier(Knobs { share_receipt_twice: 1.0, ..fast() }).await;
    send(&carrier, &format!("{}/status", taker.base)).await;
    for expected in ["sent", "delivered"] {
        let (one, two) = (next(&mut taker.heard).await, next(&mut taker.heard).await);
        assert_eq!((word(&one), one.form()), (expected.to_owned(), two.form()));
    }
    until(|| carrier.summary().receipts_pending == 0).await;
    assert!(taker.heard.try_recv().is_err());
    carrier.set_knobs(Knobs { share_receipt_lost: 1.0, ..fast() });
    send(&carrier, &format!("{}/status", taker.base)).await;
    until(|| carrier.summary().receipts_lost == 2).await;
    assert!(taker.heard.try_recv().is_err());
    assert_eq!(carrier.summary().by_status.get("delivered"), Some(&2));
}

#[tokio::test]
async fn a_swapped_sent_comes_after_the_final_word() {
    let mut taker = taker().await;
    let carrier = carrier(Knobs { share_receipt_swapped: 1.0, ..fast() }).await;
    for _ in 0..5 {
        send_from(&carrier, Sender::Service(SERVICE), &format!("{}/status", taker.base)).await;
        let mut words = Vec::new();
        for _ in 0..3 {
            words.push(word(&next(&mut taker.heard).await));
        }
        assert_eq!(words, ["queued", "delivered", "sent"]);
    }
    until(|| carrier.summary().receipts_taken == 15).await;
    assert_eq!(carrier.summary().by_status.get("delivered"), Some(&5));
}

#[tokio::test]
async fn late_receipts_are_overtaken_and_all_arrive() {
    let mut taker = taker().await;
    let knobs = Knobs { share_receipt_late: 1.0, receipt_late_ms: 60, ..fast() };
    let carrier = carrier(knobs).await;
    for _ in 0..30 {
        send(&carrier, &format!("{}/status", taker.base)).await;
    }
    let mut words: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for _ in 0..60 {
        let heard = next(&mut taker.heard).await;
        words.entry(receipt_of(&heard).sid.to_string()).or_default().push(word(&heard));
    }
    let overtaken = words.values().filter(|words| words[0] == "delivered").count();
    assert!(words.values().all(|words| words.len() == 2), "{words:?}");
    assert!((1..30).contains(&overtaken), "{overtaken} of 30");
}

#[tokio::test]
async fn the_record_outlives_the_carrier_and_its_receipts_go_on() {
    let home = tempfile::tempdir().expect("a directory");
    let record = home.path().join("record.jsonl");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let slow = Knobs { receipt_delay_ms: 3_600_000, ..Knobs::default() };
    let with_record = |knobs| Options { record: Some(record.clone()), ..options(knobs) };
    let first = Sandbox::start(with_record(slow)).await.expect("starts");
    send(&first, &format!("{base}/status/abc")).await;
    let accepted = first.accepted();
    drop(first);
    // A killed process may leave half a line.
    let mut cut = std::fs::read(&record).expect("reads");
    cut.extend_from_slice(b"{\"sid\":\"SM");
    std::fs::write(&record, cut).expect("writes");
    let mut taker = peer_on(listener, |_, _| Says::Bytes(answer(204, "")));
    let again = Sandbox::start(with_record(fast())).await.expect("starts");
    assert_eq!(again.accepted(), accepted);
    assert_eq!(again.summary().accepted, 1);
    let heard = next(&mut taker.heard).await;
    assert_eq!(receipt_of(&heard).sid.to_string(), accepted[0].0);
}
