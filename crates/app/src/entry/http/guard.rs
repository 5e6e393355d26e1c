//! What every request passes: time limits, counting, headers, and the log of what went wrong.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use tokio::sync::Semaphore;

use super::metrics;
use super::problem::{Cause, Code, Problem};
use crate::entry::app::App;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Pages load nothing from elsewhere and run no inline code.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The same for a page with a button, which leads back to this server.
const FORM_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'",
);

/// Answers 503 when an endpoint takes too long; its open transaction leaves no trace.
pub async fn limit_time(State(longest): State<Duration>, request: Request, next: Next) -> Response {
    let answered = tokio::time::timeout(longest, next.run(request)).await;
    answered.unwrap_or_else(|_| {
        let words = format!("no answer within {} seconds", longest.as_secs());
        Problem::new(Code::Unavailable, words).into_response()
    })
}

/// Answers 503 when too many requests are at it already.
pub async fn limit_number(
    State(seats): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(_seat) = seats.try_acquire() else {
        let words = "others are at this already; send the same request again";
        return Problem::new(Code::Unavailable, words).into_response();
    };
    next.run(request).await
}

/// Counts a request of a known route by its outcome.
pub async fn count(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    metrics::count_request(route, response.status());
    response
}

/// Gives a page its headers.
pub async fn guard_page(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, PAGE_POLICY);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Gives a page with a button its headers.
pub async fn guard_form(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, FORM_POLICY);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Logs what went wrong inside, once, under an id that the caller is told.
pub async fn finish(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = next.run(request).await;
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(Cause(cause)) = response.extensions_mut().remove::<Cause>() {
        let mut bytes = [0; 8];
        app.dice.fill(&mut bytes);
        let id = format!("req_{}", HEXLOWER.encode(&bytes));
        tracing::error!(
            component = "http", request = id, %method, path = uri.path(), error = cause,
            "a request failed"
        );
        let value = HeaderValue::try_from(id).expect("hexadecimal digits are visible ASCII");
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// What a panic is answered with.
#[expect(clippy::needless_pass_by_value, reason = "the layer that catches panics passes a box")]
pub fn caught(panic: Box<dyn Any + Send>) -> Response {
    let words = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no words");
    Problem::internal(format!("panic: {words}")).into_response()
}

/// There is no such route.
pub async fn no_route(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(Code::NotFound, format!("there is no route {path}; see /docs"))
}

/// There is, for another method.
pub async fn no_method(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(Code::MethodNotAllowed, format!("{path} takes no {method}; see /docs"))
}
