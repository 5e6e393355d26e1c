//! The sandbox's own paths, for people and tests: its record, its knobs, and texts from phones.

use std::fmt::Write as _;
use std::sync::PoisonError;

use http::{Method, StatusCode};

use super::Shared;
use super::inbound::receive;
use super::server::{Answer, json, not_found, refusal};

const ROWS: usize = 1000;
const ROWS_MAX: usize = 100_000;

/// Answers `/sandbox/{rest}`.
pub(super) async fn answer(
    shared: &Shared,
    method: &Method,
    rest: &str,
    query: &str,
    body: &[u8],
) -> Answer {
    match (method, rest) {
        (&Method::GET, "summary") => {
            let summary = serde_json::to_string(&shared.summary()).expect("valid JSON");
            json(StatusCode::OK, summary)
        }
        (&Method::GET, "messages") => messages(shared, query),
        (&Method::GET, "knobs") => {
            json(StatusCode::OK, serde_json::to_string(&shared.knobs()).expect("valid JSON"))
        }
        (&Method::POST, "knobs") => {
            let change = serde_json::from_slice(body).unwrap_or(serde_json::Value::Null);
            match shared.knobs().changed(&change) {
                Ok(knobs) => {
                    *shared.knobs.write().unwrap_or_else(PoisonError::into_inner) = knobs;
                    json(StatusCode::OK, serde_json::to_string(&knobs).expect("valid JSON"))
                }
                Err(error) => refusal(StatusCode::BAD_REQUEST, 20001, &error.to_string()),
            }
        }
        (&Method::POST, "inbound") => match serde_json::from_slice(body) {
            Ok(inbound) => {
                let received = receive(shared, &inbound).await;
                json(StatusCode::OK, serde_json::to_string(&received).expect("valid JSON"))
            }
            Err(error) => refusal(StatusCode::BAD_REQUEST, 20001, &error.to_string()),
        },
        _ => not_found(&format!("/sandbox/{rest}")),
    }
}

/// Accepted messages, oldest first, one JSON object a line; `cursor` is a position, `limit` at
/// most a hundred thousand.
fn messages(shared: &Shared, query: &str) -> Answer {
    let number = |name: &str, otherwise: usize| {
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .and_then(|(_, value)| value.parse().ok())
            .unwrap_or(otherwise)
    };
    let (from, limit) = (number("cursor", 0), number("limit", ROWS).min(ROWS_MAX));
    let record = shared.record();
    let mut lines = String::new();
    for index in from..record.len().min(from.saturating_add(limit)) {
        let one = record.message(index);
        let line = serde_json::json!({
            "sid": one.sid.to_string(),
            "to": &*one.to,
            "from": &*one.from,
            "body": &*one.body,
            "status": one.status.to_string(),
            "error_code": one.error,
            "num_segments": one.segments,
            "accepted_at": one.at,
        });
        writeln!(lines, "{line}").expect("writing to a String");
    }
    let mut answer = json(StatusCode::OK, lines);
    let kind = http::HeaderValue::from_static("application/x-ndjson");
    answer.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    answer
}
