//! Receipts: signed, in order of fate, tried again, and remembered over a restart.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use twilio::sandbox::{Knobs, Sandbox};
use twilio::signature::{self, Body};
use twilio::wire::{CreateMessage, StatusCallback};

use crate::rig::{FROM, TOKEN, carrier, client, options};

struct Posted {
    path: String,
    signature: String,
    form: Vec<(String, String)>,
}

/// A server that takes receipts and answers each with what `answer` says.
fn taker(
    listener: TcpListener,
    answer: impl Fn(usize) -> u16 + Send + Sync + 'static,
) -> mpsc::UnboundedReceiver<Posted> {
    let (seen, posted) = mpsc::unbounded_channel();
    let answer = Arc::new(answer);
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (seen, answer, count) = (seen.clone(), Arc::clone(&answer), Arc::clone(&count));
            tokio::spawn(async move {
                let mut buffer = Vec::new();
                while let Some((posted, rest)) = read(&mut stream, buffer).await {
                    buffer = rest;
                    let n = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    let status = answer(n);
                    if status < 300 && seen.send(posted).is_err() {
                        return;
                    }
                    let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
                    if stream.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    posted
}

async fn read(
    stream: &mut tokio::net::TcpStream,
    mut buffer: Vec<u8>,
) -> Option<(Posted, Vec<u8>)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).ok()?;
            let header = |name: &str| {
                head.lines().find_map(|line| {
                    let (key, value) = line.split_once(':')?;
                    key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
                })
            };
            let length: usize = header("content-length")?.parse().ok()?;
            if buffer.len() >= end + 4 + length {
                let body = &buffer[end + 4..end + 4 + length];
                let form = form_urlencoded::parse(body).into_owned().collect();
                let path = head.split_whitespace().nth(1)?.to_owned();
                let signature = header("x-twilio-signature")?;
                let rest = buffer[end + 4 + length..].to_vec();
                return Some((Posted { path, signature, form }, rest));
            }
        }
        if stream.read_buf(&mut buffer).await.ok()? == 0 {
            return None;
        }
    }
}

async fn next(posted: &mut mpsc::UnboundedReceiver<Posted>) -> Posted {
    let wait = Duration::from_secs(20);
    tokio::time::timeout(wait, posted.recv()).await.expect("comes").expect("goes on")
}

async fn send(carrier: &Sandbox, callback: &str) {
    let message = CreateMessage {
        status_callback: Some(callback),
        ..CreateMessage::new("+13125550100", FROM, "Hello there")
    };
    client(carrier).create_message(&message).await;
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
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let mut posted = taker(listener, |_| 204);
        let carrier = carrier(knobs).await;
        send(&carrier, &format!("{base}/status/abc?x=1#rc=5&rp=all")).await;
        for word in words {
            let one = next(&mut posted).await;
            assert_eq!(one.path, "/status/abc?x=1");
            let url = format!("{base}{}", one.path);
            assert!(signature::validate(TOKEN, &url, &one.signature, Body::Form(&one.form)));
            assert!(!signature::validate("other", &url, &one.signature, Body::Form(&one.form)));
            let receipt = StatusCallback::parse(&one.form).expect("well-formed");
            assert_eq!(receipt.status.to_string(), word);
            let failed = matches!(word, "undelivered" | "failed");
            assert_eq!(receipt.error_code.is_some(), failed, "{word}");
        }
    }
}

#[tokio::test]
async fn an_open_carrier_signs_with_the_password_it_was_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let mut posted = taker(listener, |_| 204);
    let open = twilio::sandbox::Options { credentials: None, ..options(fast()) };
    let carrier = Sandbox::start(open).await.expect("starts");
    send(&carrier, &format!("{base}/status")).await;
    let one = next(&mut posted).await;
    let url = format!("{base}{}", one.path);
    assert!(signature::validate(TOKEN, &url, &one.signature, Body::Form(&one.form)));
}

#[tokio::test]
async fn a_receipt_nobody_takes_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let mut posted = taker(listener, |n| if n < 3 { 503 } else { 204 });
    let carrier = carrier(fast()).await;
    send(&carrier, &format!("{base}/status/abc")).await;
    let mut words = Vec::new();
    for _ in 0..2 {
        let one = next(&mut posted).await;
        words.push(StatusCallback::parse(&one.form).expect("well-formed").status.to_string());
    }
    words.sort();
    assert_eq!(words, ["delivered", "sent"]);
}

#[tokio::test]
async fn the_record_outlives_the_carrier_and_its_receipts_go_on() {
    let home = tempfile::tempdir().expect("a directory");
    let record = home.path().join("record.jsonl");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let slow = Knobs { receipt_delay_ms: 3_600_000, ..Knobs::default() };
    let first =
        Sandbox::start(twilio::sandbox::Options { record: Some(record.clone()), ..options(slow) })
            .await
            .expect("starts");
    send(&first, &format!("{base}/status/abc")).await;
    let accepted = first.accepted();
    drop(first);
    // A killed process may leave half a line.
    let mut cut = std::fs::read(&record).expect("reads");
    cut.extend_from_slice(b"{\"sid\":\"SM");
    std::fs::write(&record, cut).expect("writes");
    let mut posted = taker(listener, |_| 204);
    let again =
        Sandbox::start(twilio::sandbox::Options { record: Some(record), ..options(fast()) })
            .await
            .expect("starts");
    assert_eq!(again.accepted(), accepted);
    assert_eq!(again.summary().accepted, 1);
    let one = next(&mut posted).await;
    assert_eq!(
        StatusCallback::parse(&one.form).expect("well-formed").sid.to_string(),
        accepted[0].0
    );
}
