//! Answers that are not the carrier's: proxies, redirects, halves, floods and noise. Each proves
//! what CORE C.2 says it proves, and each text is written once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use twilio::client::ApiError;
use twilio::outcome::{FailureKind, NotSentReason, Outcome, UnknownReason};
use twilio::wire::{CreateMessage, MessageStatus};

use crate::peer::{Says, answer, peer};
use crate::rig::{FROM, TOKEN, client_of, hasty_client};

const SID: &str = "SM0123456789abcdef0123456789abcdef";
const HTML: &str = "<html><body>Welcome to the airport's network</body></html>";

fn created() -> String {
    format!("{{\"sid\":\"{SID}\",\"status\":\"queued\",\"num_segments\":\"1\"}}")
}

fn accepted() -> Outcome {
    let sid = SID.parse().expect("well-formed");
    Outcome::Accepted { sid, status: MessageStatus::Queued, segments: Some(1) }
}

fn rejected(http: u16, code: u32) -> Outcome {
    Outcome::Rejected { code, http, message: "no".to_owned() }
}

fn unknown(reason: UnknownReason) -> Outcome {
    Outcome::Unknown { reason }
}

fn failed(kind: FailureKind) -> Outcome {
    unknown(UnknownReason::Failed(kind))
}

fn whole(status: u16, body: impl AsRef<[u8]>) -> Says {
    Says::Bytes(answer(status, body))
}

fn raw(text: &str) -> Says {
    Says::Bytes(text.as_bytes().to_vec())
}

/// An answer with headers of its own.
fn with_head(head: &str, body: &str) -> Says {
    raw(&format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

type Case = (&'static str, fn() -> Says, Outcome);

/// Whole answers that say nothing, or too little.
fn senseless() -> Vec<Case> {
    use UnknownReason::{NoSid, NotTheProvider, Status};
    vec![
        ("HTML with 200", || whole(200, HTML), unknown(NoSid(200))),
        ("HTML with 201", || whole(201, HTML), unknown(NoSid(201))),
        ("HTML with 400", || whole(400, HTML), unknown(NotTheProvider(400))),
        ("HTML with 401", || whole(401, HTML), unknown(NotTheProvider(401))),
        ("HTML with 404", || whole(404, HTML), unknown(NotTheProvider(404))),
        ("HTML with 502", || whole(502, HTML), unknown(Status(502))),
        ("an empty 201", || whole(201, ""), unknown(NoSid(201))),
        ("a 204", || raw("HTTP/1.1 204 No Content\r\n\r\n"), unknown(NoSid(204))),
        ("half a JSON", || whole(201, &created()[..40]), unknown(NoSid(201))),
        ("no SID", || whole(201, "{\"status\":\"queued\"}"), unknown(NoSid(201))),
        ("a null SID", || whole(201, "{\"sid\":null}"), unknown(NoSid(201))),
        ("a SID of another form", || whole(201, "{\"sid\":\"SM1\"}"), unknown(NoSid(201))),
        ("a call's SID", || whole(201, created().replace("SM", "CA")), unknown(NoSid(201))),
        ("a list", || whole(201, format!("[{}]", created())), unknown(NoSid(201))),
        ("no UTF-8", || whole(201, b"{\"sid\":\"\xff\"}"), unknown(NoSid(201))),
        ("JSON after noise", || whole(201, format!(";{}", created())), unknown(NoSid(201))),
        (
            "an error's code as text",
            || whole(400, "{\"code\":\"x\"}"),
            unknown(NotTheProvider(400)),
        ),
        ("a proxy's own code", || whole(403, "{\"code\":403}"), unknown(NotTheProvider(403))),
        ("a teapot", || whole(418, "{\"code\":21211}"), unknown(NotTheProvider(418))),
        ("the carrier's 500", || whole(500, "{\"code\":20500}"), unknown(Status(500))),
        ("the carrier's 503", || whole(503, "{\"code\":20503}"), unknown(Status(503))),
        ("a redirect", || with_head("302 Found\r\nLocation: /elsewhere", ""), unknown(Status(302))),
        (
            "a lasting redirect",
            || with_head("308 Moved\r\nLocation: http://127.0.0.1:1/", &created()),
            unknown(Status(308)),
        ),
    ]
}

/// What breaks off, goes on for ever, or is no HTTP.
fn broken() -> Vec<Case> {
    use FailureKind::{BodyTooLarge, Closed, Protocol, Timeout};
    let huge =
        || Says::Endless(b"HTTP/1.1 201 Created\r\nContent-Length: 9999999999\r\n\r\n".into());
    let endless = || Says::Endless(b"HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n".into());
    let cut = || {
        let whole = answer(201, created());
        Says::Last(whole[..whole.len() - 20].to_vec())
    };
    let cut_head = || Says::Last(b"HTTP/1.1 201 Created\r\nContent-Le".into());
    let cut_chunks = || {
        let head = "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n";
        Says::Last(format!("{head}40\r\n{}", &created()[..40]).into_bytes())
    };
    vec![
        ("a gigantic body", huge, failed(BodyTooLarge)),
        ("a body without end", endless, failed(BodyTooLarge)),
        (
            "a head without end",
            || Says::Endless(b"HTTP/1.1 201 Created\r\nX: ".into()),
            failed(Protocol),
        ),
        ("a body cut short", cut, failed(Closed)),
        ("a head cut short", cut_head, failed(Closed)),
        ("chunks cut short", cut_chunks, failed(Closed)),
        ("nothing, then the end", || Says::Last(Vec::new()), failed(Closed)),
        ("nothing at all", || Says::Nothing, failed(Timeout)),
        ("a garbled status line", || raw("GARBLE GARBLE\r\n\r\n"), failed(Protocol)),
        ("a status that is no number", || raw("HTTP/1.1 2x1 Created\r\n\r\n"), failed(Protocol)),
        ("another protocol", || raw("220 mail.example ESMTP\r\n\r\n"), failed(Protocol)),
        (
            "two lengths",
            || raw("HTTP/1.1 201 Created\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nabcde"),
            failed(Protocol),
        ),
    ]
}

/// Proof, whatever stands around it.
fn proofs() -> Vec<Case> {
    let limited = Outcome::NotSent { reason: NotSentReason::RateLimited };
    vec![
        ("the plain answer", || whole(201, created()), accepted()),
        ("a 200", || whole(200, created()), accepted()),
        (
            "a wrong type",
            || with_head("201 Created\r\nContent-Type: text/html", &created()),
            accepted(),
        ),
        (
            "an odd neighbour",
            || whole(201, created().replace("\"1\"", "\"1\",\"x\":[{\"sid\":7}]")),
            accepted(),
        ),
        (
            "an unknown status word",
            || whole(201, created().replace("queued", "teleported")),
            accepted(),
        ),
        (
            "a preliminary answer first",
            || {
                let first = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
                Says::Bytes([first, answer(201, created())].concat())
            },
            accepted(),
        ),
        ("a refusal", || whole(400, "{\"code\":21211,\"message\":\"no\"}"), rejected(400, 21211)),
        (
            "a refusal as HTML, by its head",
            || {
                with_head(
                    "404 No\r\nContent-Type: text/html",
                    "{\"code\":20404,\"message\":\"no\"}",
                )
            },
            rejected(404, 20404),
        ),
        ("a rate limit", || whole(429, "{\"code\":20429}"), limited.clone()),
        ("a proxy's rate limit", || whole(429, HTML), limited),
    ]
}

#[tokio::test]
async fn each_answer_proves_what_it_proves_and_is_asked_for_once() {
    let cases = [senseless(), broken(), proofs()].concat();
    assert_eq!(cases.len(), 45);
    for (name, says, expected) in cases {
        let mut peer = peer(move |_, _| says()).await;
        let marks = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&marks);
        let mark = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        let message = CreateMessage::new("+13125550100", FROM, "Hello");
        let waits = expected != failed(FailureKind::Timeout);
        let client = if waits { client_of(&peer.base, TOKEN) } else { hasty_client(&peer.base) };
        assert_eq!(client.create_message_marked(&message, mark).await, expected, "{name}");
        assert_eq!(marks.load(Ordering::SeqCst), 1, "{name}");
        assert!(peer.heard.try_recv().is_ok(), "{name}: it was heard");
        assert!(peer.heard.try_recv().is_err(), "{name}: it was written again");
    }
}

#[tokio::test]
async fn questions_end_in_typed_errors() {
    let cases: [(&str, fn() -> Says, ApiError); 8] = [
        ("HTML", || whole(200, HTML), ApiError::Unreadable(200)),
        ("a redirect", || whole(302, ""), ApiError::Unreadable(302)),
        ("HTML with 404", || whole(404, HTML), ApiError::Unreadable(404)),
        ("a 502", || whole(502, HTML), ApiError::Unreadable(502)),
        (
            "a refusal",
            || whole(429, "{\"code\":20429,\"message\":\"no\"}"),
            ApiError::Refused { code: 20429, http: 429, message: "no".to_owned() },
        ),
        ("nothing", || Says::Last(Vec::new()), ApiError::NoAnswer(FailureKind::Closed)),
        ("noise", || raw("GARBLE\r\n\r\n"), ApiError::NoAnswer(FailureKind::Protocol)),
        (
            "no end",
            || Says::Endless(b"HTTP/1.1 200 OK\r\n\r\n".into()),
            ApiError::NoAnswer(FailureKind::BodyTooLarge),
        ),
    ];
    let sid = SID.parse().expect("well-formed");
    for (name, says, expected) in cases {
        let peer = peer(move |_, _| says()).await;
        let client = client_of(&peer.base, TOKEN);
        assert_eq!(client.message(&sid).await, Err(expected.clone()), "{name}");
        assert_eq!(client.delete(&sid).await, Err(expected), "{name}");
    }
    let peer = peer(|_, _| whole(200, "{}")).await;
    let deleted = client_of(&peer.base, TOKEN).delete(&sid).await;
    assert_eq!(deleted, Err(ApiError::Unreadable(200)), "only a 204 says that it is gone");
}
