//! The sandbox's HTTP server: who may ask, and which part answers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::api::{Call, Said};
use super::knobs::Failing;
use super::refusal::Refusal;
use super::shop::Shared;
use super::{control, pages};
use crate::API_VERSION;

/// The largest request body read.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// The pause after a connection could not be taken, for want of file handles mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// What is answered.
pub(super) type Answer = Response<Full<Bytes>>;

/// Serves until it is aborted; its connections end with it.
pub(super) async fn run(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { answer(&shared, peer, request).await }
            });
            let mut server = http1::Builder::new();
            let connection =
                server.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::trace!(component = "stripe", %error, "a connection ended");
            }
        });
    }
}

async fn answer(
    shared: &Shared,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> io::Result<Answer> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return Ok(json(413, &Value::Null));
    };
    let body = body.to_bytes();
    let origin = origin(shared, &head.headers);
    let path = head.uri.path();
    let query = head.uri.query().unwrap_or_default();
    if let Some(rest) = path.strip_prefix("/checkout/") {
        return Ok(pages::answer(shared, &head.method, rest, &body, &origin));
    }
    if let Some(rest) = path.strip_prefix("/sandbox/") {
        // People and tests on this machine need no key.
        if !is_local(peer.ip()) && !is_admitted(shared, &head.headers) {
            return Ok(said(&Refusal::unauthorized().into(), None));
        }
        let body = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&body) };
        let Ok(body) = body else { return Ok(json(400, &Value::String("not JSON".into()))) };
        let (status, body) =
            control::answer(shared, &head.method, rest, query, &body, &origin).await;
        return Ok(json(status, &body));
    }
    if !is_admitted(shared, &head.headers) {
        return Ok(said(&Refusal::unauthorized().into(), None));
    }
    api(shared, &head, &body, &origin).await
}

async fn api(shared: &Shared, head: &Parts, form: &[u8], origin: &str) -> io::Result<Answer> {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    if header("stripe-version").is_some_and(|version| version != API_VERSION) {
        let message = format!("The sandbox speaks {API_VERSION} alone.");
        let refusal = Refusal::invalid("parameter_invalid", "Stripe-Version", &message);
        return Ok(said(&refusal.into(), None));
    }
    let failing = shared.knobs_mut().next_failure();
    if let Some(Failing { status, after: false, .. }) = failing {
        return fail(status);
    }
    let idem_key = header("idempotency-key");
    let call = Call {
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        form,
        idem_key,
    };
    let pause = Duration::from_millis(shared.knobs().hang_ms);
    let done = shared.call(&call, origin, !pause.is_zero());
    if !pause.is_zero() && done.status != 409 {
        let _busy = Busy { shared, key: idem_key };
        tokio::time::sleep(pause).await;
    }
    match failing {
        Some(Failing { status, .. }) => fail(status),
        None => Ok(said(&done, idem_key)),
    }
}

/// A key whose request is being carried out, until this is dropped.
struct Busy<'a> {
    shared: &'a Shared,
    key: Option<&'a str>,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.shared.books().busy_keys.remove(key);
        }
    }
}

fn fail(status: u16) -> io::Result<Answer> {
    match status {
        0 => Err(io::Error::other("closed on purpose")),
        status => Ok(said(&Refusal::failing(status).into(), None)),
    }
}

/// Where this server is, as whoever asks calls it.
fn origin(shared: &Shared, headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|value| value.to_str().ok());
    let is_plain =
        |host: &&str| host.bytes().all(|it| it.is_ascii_alphanumeric() || b".-:[]".contains(&it));
    match host.filter(is_plain) {
        Some(host) if !host.is_empty() => format!("http://{host}"),
        _ => shared.origin.clone(),
    }
}

fn is_local(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Stripe takes its key as a bearer's token, or as a user without a password.
fn is_admitted(shared: &Shared, headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    if let Some(key) = value.strip_prefix("Bearer ") {
        return shared.admits(key.trim());
    }
    let pair = value.strip_prefix("Basic ").and_then(|text| BASE64.decode(text.trim()).ok());
    let pair = pair.and_then(|bytes| String::from_utf8(bytes).ok());
    let user = pair.as_deref().and_then(|pair| pair.split(':').next());
    user.is_some_and(|key| shared.admits(key))
}

/// Stripe's answer, with its headers.
fn said(said: &Said, idem_key: Option<&str>) -> Answer {
    let mut answer = json(said.status, &said.body);
    let headers = answer.headers_mut();
    headers.insert("stripe-version", HeaderValue::from_static(API_VERSION));
    if let Some(key) = idem_key.and_then(|key| HeaderValue::from_str(key).ok()) {
        headers.insert("idempotency-key", key);
    }
    if said.is_replay {
        let name = HeaderName::from_static("idempotent-replayed");
        headers.insert(name, HeaderValue::from_static("true"));
    }
    answer
}

/// A JSON answer.
fn json(status: u16, body: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}
