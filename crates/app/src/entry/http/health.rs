//! For whoever watches the server: is it alive, can it work, how much did it do.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::{Json, http::HeaderValue};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;

use crate::entry::app::App;

/// The database answers within this time, or the server is not ready.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// The process runs.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// Whether the server can work.
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    /// `sqlite` or `postgres`.
    engine: &'static str,
    /// `sandbox`: texts reach nobody; `live`: they reach people.
    carrier: &'static str,
    /// The kill switch of the installation is open.
    sending: bool,
}

/// The database answers.
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let look = async {
        let mut tx = app.db.read().await?;
        store::accounts::installation_open(&mut tx).await
    };
    let open = tokio::time::timeout(LOOK_MAX, look).await.ok().and_then(Result::ok);
    let readiness = Readiness {
        ready: open.is_some(),
        engine: app.db.engine().as_str(),
        carrier: if app.is_sandboxed() { "sandbox" } else { "live" },
        sending: open.unwrap_or(false),
    };
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let no_store = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (status, no_store, Json(readiness)).into_response()
}

/// Counters in Prometheus' text form.
pub async fn metrics(State(handle): State<PrometheusHandle>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], handle.render())
}
