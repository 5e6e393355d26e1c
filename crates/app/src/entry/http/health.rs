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

use crate::delivery::orphans;
use crate::delivery::routes::BreakerStatus;
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
    /// The installation sends: its kill switch is open, no carrier is in quarantine, and one of
    /// them may be called.
    sending: bool,
    /// Why nothing is sent, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The carriers, and how calls to them go.
    carriers: Vec<BreakerStatus>,
}

/// The database answers.
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let look = async {
        let mut tx = app.db.read().await?;
        store::accounts::installation_open(&mut tx).await
    };
    let open = tokio::time::timeout(LOOK_MAX, look).await.ok().and_then(Result::ok);
    let now = app.clock.now();
    let mut reason = match open {
        Some(false) => orphans::reason(&app.desk)
            .await
            .ok()
            .flatten()
            .or_else(|| Some("the kill switch of the installation is off".to_owned())),
        _ => None,
    };
    if reason.is_none() {
        let blocked = app.installation_sender().and_then(|from| app.desk.routes.blocked(from, now));
        reason = blocked.map(|blocked| blocked.reason);
    }
    let carriers: Vec<BreakerStatus> = app
        .desk
        .routes
        .standings(now)
        .into_iter()
        // Which senders there are is not everybody's business.
        .filter(|standing| standing.sender.is_none())
        .collect();
    let readiness = Readiness {
        ready: open.is_some(),
        engine: app.db.engine().as_str(),
        carrier: if app.is_sandboxed() { "sandbox" } else { "live" },
        sending: open.unwrap_or(false) && reason.is_none(),
        reason,
        carriers,
    };
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let no_store = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (status, no_store, Json(readiness)).into_response()
}

/// Counters in Prometheus' text form.
pub async fn metrics(State(handle): State<PrometheusHandle>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], handle.render())
}
