//! The sandbox's HTTP server: who may ask, and which part answers.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{Shared, control, create, messages};

/// The largest request body read.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What is answered; its body may break off on purpose.
pub(super) type Answer = Response<BoxBody<Bytes, io::Error>>;

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed on purpose")]
pub(super) struct Dropped;

/// The pause after a connection could not be taken, for want of file handles mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Serves until it is aborted; its connections end with it.
pub(super) async fn run(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
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
                async move { answer(&shared, request).await }
            });
            let mut server = http1::Builder::new();
            let connection =
                server.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::trace!(component = "sandbox", %error, "a connection ended");
            }
        });
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Result<Answer, Dropped> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let query = head.uri.query().unwrap_or_default();
    let body = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(refusal(StatusCode::BAD_REQUEST, 20001, "The body is too large")),
    };
    if let Some(rest) = path.strip_prefix("/sandbox/") {
        return Ok(control::answer(shared, &head.method, rest, query, &body).await);
    }
    let Some((account, rest)) =
        path.strip_prefix("/2010-04-01/Accounts/").and_then(|rest| rest.split_once('/'))
    else {
        return Ok(not_found(path));
    };
    let is_revoked = shared.happens(shared.knobs().share_401);
    if is_revoked || !is_admitted(shared, account, &head.headers) {
        return Ok(refusal(StatusCode::UNAUTHORIZED, 20003, "Authenticate"));
    }
    match (&head.method, rest) {
        (&Method::POST, "Messages.json") => create::answer(shared, account, &body).await,
        (&Method::GET, "Messages.json") => Ok(messages::list(shared, account, query)),
        (_, "Messages.json") => Ok(not_allowed()),
        (method, rest) => {
            let sid = rest.strip_prefix("Messages/").and_then(|rest| rest.strip_suffix(".json"));
            Ok(match sid {
                Some(sid) => messages::one(shared, account, method, sid, &body),
                None => not_found(path),
            })
        }
    }
}

fn is_admitted(shared: &Shared, account: &str, headers: &HeaderMap) -> bool {
    let presented = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(|text| BASE64.decode(text.trim()).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let presented = presented.as_deref().and_then(|text| text.split_once(':'));
    presented.is_some_and(|(user, password)| shared.admits(account, user, password))
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into()).map_err(|never: Infallible| match never {});
    let mut answer = Response::new(body.boxed());
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

/// Twilio's error answer.
pub(super) fn refusal(status: StatusCode, code: u32, message: &str) -> Answer {
    let body = serde_json::json!({
        "code": code,
        "message": message,
        "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
        "status": status.as_u16(),
    });
    json(status, body.to_string())
}

/// Twilio's 405.
pub(super) fn not_allowed() -> Answer {
    refusal(StatusCode::METHOD_NOT_ALLOWED, 20004, "Method not allowed")
}

/// Twilio's 404.
pub(super) fn not_found(what: &str) -> Answer {
    let message = format!("The requested resource {what} was not found");
    refusal(StatusCode::NOT_FOUND, 20404, &message)
}
