//! What each answer other than a yes means, and that nothing is asked twice.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use stripe::client::{Client, Config};
use stripe::{CardError, Error, OffSessionPaymentIn, Stripe};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use wiremock::ResponseTemplate;

use super::requests::{KEY, client_of, server_saying};

fn error(kind: &str, code: &str) -> Value {
    json!({"error": {
        "type": kind, "code": code, "message": "No.", "param": "amount", "doc_url": "https://x",
    }})
}

fn invalid(code: &str) -> Error {
    let (code, param) = (Some(code.to_owned()), Some("amount".to_owned()));
    Error::Invalid { message: "No.".to_owned(), code, param }
}

/// What is asked in every case.
async fn ask(client: &Client) -> Error {
    let payment = OffSessionPaymentIn::default();
    client.create_payment(&payment, "topup-1").await.expect_err("no is no")
}

#[tokio::test]
async fn each_refusal_has_its_meaning() {
    let no = || "No.".to_owned();
    let lost = |text: &str| Error::Unavailable(text.to_owned());
    let request = "invalid_request_error";
    let error_with_code = |code: i64| json!({"error": {"type": "card_error", "code": code}});
    #[rustfmt::skip]
    let cases = [
        (400, error(request, "parameter_missing"), invalid("parameter_missing"), true),
        (400, error(request, "resource_missing"), invalid("resource_missing"), true),
        (402, error("invalid_request_error", "x"), invalid("x"), true),
        (400, error("idempotency_error", "x"), Error::Idempotency(no()), true),
        (401, error("invalid_request_error", "x"), Error::Auth(no()), false),
        (403, error("invalid_request_error", "x"), Error::Auth(no()), false),
        (404, error("invalid_request_error", "resource_missing"), Error::NotFound(no()), true),
        (409, error("idempotency_error", "idempotency_key_in_use"), Error::Busy, false),
        (429, error("invalid_request_error", "lock_timeout"), Error::RateLimited, false),
        (429, json!("no JSON of Stripe's"), Error::RateLimited, false),
        (500, error("api_error", "x"), lost("HTTP 500: No."), false),
        (503, error("api_error", "x"), lost("HTTP 503: No."), false),
        (500, error("card_error", "card_declined"), lost("HTTP 500: No."), false),
        (502, json!("<html>"), lost("HTTP 502, unreadable"), false),
        (400, json!({"error": "text"}), lost("HTTP 400, unreadable"), false),
        (404, json!({}), lost("HTTP 404, unreadable"), false),
        (402, error_with_code(7), lost("HTTP 402, unreadable"), false),
        (302, json!({}), lost("HTTP 302, unreadable"), false),
        (300, error("x", "y"), lost("HTTP 300, unreadable"), false),
    ];
    for (status, body, expected, is_final) in cases {
        let answer = ResponseTemplate::new(status).set_body_json(&body);
        let answer = answer.insert_header("Location", "/elsewhere");
        let server = server_saying(answer).await;
        let said = ask(&client_of(&server.uri())).await;
        assert_eq!(said, expected, "{status} {body}");
        assert_eq!(said.is_final(), is_final, "{status} {body}");
        let heard = server.received_requests().await.expect("recorded").len();
        assert_eq!(heard, 1, "{status} {body}: asked once");
    }
}

#[tokio::test]
async fn a_decline_tells_why_and_names_its_payment() {
    let body = json!({"error": {
        "type": "card_error", "code": "authentication_required",
        "decline_code": "authentication_required", "message": "Please confirm.",
        "advice_code": "try_again_later",
        "payment_intent": {"id": "pi_1", "status": "requires_payment_method", "amount": 2500,
            "last_payment_error": {"code": "authentication_required"}},
    }});
    for status in [402, 400] {
        let server = server_saying(ResponseTemplate::new(status).set_body_json(&body)).await;
        let said = ask(&client_of(&server.uri())).await;
        let words = "the card was declined: authentication_required: Please confirm.";
        assert_eq!(said.to_string(), words);
        assert!(said.is_final());
        let Error::Card(card) = said else { panic!("{said:?}") };
        assert!(card.is_hard() && card.wants_authentication());
        assert_eq!(card.advice_code.as_deref(), Some("try_again_later"));
        let payment = card.payment_intent.expect("it is named");
        assert_eq!((&*payment.id, &*payment.status), ("pi_1", "requires_payment_method"));
        assert!(payment.last_payment_error.is_some_and(|error: CardError| error.is_hard()));
    }
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_proves_nothing() {
    for body in ["", "{", "null", "[]", "{\"id\":7}", "{\"id\":\"pi_1\",\"amount\":\"x\"}", "<p>"] {
        let answer = ResponseTemplate::new(200).set_body_raw(body, "application/json");
        let server = server_saying(answer).await;
        let said = ask(&client_of(&server.uri())).await;
        assert!(matches!(said, Error::Unavailable(_)), "{body}: {said}");
        assert!(said.to_string().contains("HTTP 200, unreadable"), "{body}: {said}");
    }
    let endless = vec![b' '; 9 * 1024 * 1024];
    let answer = ResponseTemplate::new(200).set_body_bytes(endless);
    let server = server_saying(answer).await;
    let said = ask(&client_of(&server.uri())).await;
    assert_eq!(said, Error::Unavailable("HTTP 200, too long".to_owned()));
}

/// A listener that reads a request, writes `says`, and closes the connection, or keeps it.
async fn peer(says: &'static [u8], keeps: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut heard = [0; 4096];
            let read = stream.read(&mut heard).await;
            assert!(read.is_ok_and(|read| read > 0), "something was asked");
            stream.write_all(says).await.expect("writes");
            if keeps {
                kept.push(stream);
            }
        }
    });
    base
}

#[tokio::test]
async fn no_answer_is_unavailable() {
    let cases: [(&str, &[u8], bool); 5] = [
        ("closed", b"", false),
        ("a head cut short", b"HTTP/1.1 200 OK\r\nContent-Le", false),
        ("a body cut short", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"id\"", false),
        ("no HTTP", b"GARBLE\r\n\r\n", false),
        ("silence", b"", true),
    ];
    for (name, says, keeps) in cases {
        let base = peer(says, keeps).await;
        let patience = if keeps { 300 } else { 30_000 };
        let timeout = Duration::from_millis(patience);
        let secret_key = SecretString::from(KEY);
        let client = Client::new(Config { base, secret_key, timeout }).expect("a client");
        let said = ask(&client).await;
        assert!(matches!(said, Error::Unavailable(_)), "{name}: {said}");
        assert!(!said.is_final(), "{name}");
        let took_too_long = said.to_string().contains("it took too long");
        assert_eq!(took_too_long, keeps, "{name}: {said}");
    }
    let unused = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let base = format!("http://{}", unused.local_addr().expect("an address"));
    drop(unused);
    let said = ask(&client_of(&base)).await;
    assert!(said.to_string().contains("no connection"), "{said}");
}

#[tokio::test]
async fn a_plain_peer_is_no_tls_peer() {
    let base = peer(b"HTTP/1.1 200 OK\r\n\r\n", false).await.replacen("http:", "https:", 1);
    let said = ask(&client_of(&base)).await;
    assert!(matches!(said, Error::Unavailable(_)), "{said}");
}
