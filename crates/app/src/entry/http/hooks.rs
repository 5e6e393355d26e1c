//! What the carrier tells us: `POST /hooks/twilio/status/{token}`, the busiest way in, and
//! `POST /hooks/twilio/inbound`.
//!
//! The signature is checked before anything of the request is believed; the token in the URL
//! names the message; the answer is given once the receipt is durable. Twilio sends a receipt
//! again after a 5xx, so what could not be kept is answered 503.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use secrecy::ExposeSecret;
use twilio::signature::{self, Body};
use twilio::wire::{InboundMessage, StatusCallback};

use super::metrics;
use super::problem::{Code, Problem, Result};
use crate::delivery::receipts::{ReceiptIn, meaning};
use crate::entry::app::App;
use crate::flow::inbound::Received;

const SIGNATURE: &str = "X-Twilio-Signature";

/// A text's news.
pub async fn twilio_status(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    check_signature(&app, &uri, &headers, &pairs)?;
    let Some((message, attempt)) = app.secret.open_receipt_token(&token) else {
        tracing::warn!(component = "hooks", token, "a signed receipt names no message of ours");
        return Err(Problem::not_found("message"));
    };
    let Some(callback) = StatusCallback::parse(&pairs) else {
        tracing::warn!(component = "hooks", %message, "a signed receipt cannot be read");
        return Err(Problem::malformed("MessageStatus", "this is no status callback"));
    };
    let Some(receipt) = meaning(callback.status) else { return Ok(StatusCode::NO_CONTENT) };
    let receipt = ReceiptIn {
        message,
        attempt,
        receipt,
        sid: callback.sid.to_string(),
        code: callback.error_code.map_or(0, i64::from),
    };
    if domain::mutant!(M28) {
        tokio::spawn(async move { app.receipts.apply(receipt).await });
        return Ok(StatusCode::NO_CONTENT);
    }
    match app.receipts.apply(receipt).await {
        Ok(Ok(())) => {
            metrics::count_receipt(callback.status.as_str());
            Ok(StatusCode::NO_CONTENT)
        }
        // Whoever could not keep it has logged why.
        Ok(Err(_)) | Err(_) => {
            Err(Problem::new(Code::Unavailable, "the receipt could not be kept; send it again"))
        }
    }
}

/// An answer without words: whatever is to be said is said later, through the gate.
const NO_ANSWER: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response></Response>";

/// A text that came in.
pub async fn twilio_inbound(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<impl IntoResponse> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    check_signature(&app, &uri, &headers, &pairs)?;
    let Some(text) = InboundMessage::parse(&pairs) else {
        tracing::warn!(component = "hooks", "a signed inbound text cannot be read");
        return Err(Problem::malformed("MessageSid", "this is no text that came in"));
    };
    let (to, sid) = (text.to.clone(), text.sid.to_string());
    match app.inbox.apply(text).await {
        Ok(Ok(Received::New(..) | Received::Before)) => {
            Ok(([(CONTENT_TYPE, "text/xml; charset=utf-8")], NO_ANSWER))
        }
        Ok(Ok(Received::NotOurs)) => {
            tracing::warn!(component = "hooks", to, sid, "a text came in for no sender of ours");
            Err(Problem::not_found("sender"))
        }
        Ok(Err(_)) | Err(_) => {
            Err(Problem::new(Code::Unavailable, "the text could not be kept; send it again"))
        }
    }
}

fn check_signature(
    app: &App,
    uri: &Uri,
    headers: &HeaderMap,
    pairs: &[(String, String)],
) -> Result<()> {
    let Some(signature) = headers.get(SIGNATURE) else {
        return Err(Problem::malformed(SIGNATURE, "the carrier signs its requests"));
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let url = [&app.public_url, path].concat();
    let tokens: Vec<&str> = app.carrier_tokens.iter().map(ExposeSecret::expose_secret).collect();
    let signed = signature.to_str().is_ok_and(|signature| {
        signature::validate_any(&tokens, &url, signature, Body::Form(pairs))
    });
    if signed {
        return Ok(());
    }
    tracing::debug!(component = "hooks", path, "a signature does not fit");
    Err(Problem::new(Code::Forbidden, "the signature does not fit this request"))
}
