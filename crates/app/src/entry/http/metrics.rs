//! Counters for Prometheus.

use std::sync::OnceLock;

use axum::http::StatusCode;
use metrics::{Unit, counter, describe_counter};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

const REQUESTS: &str = "ledgerline_http_requests_total";
const RECEIPTS: &str = "ledgerline_receipts_total";

/// Starts counting for this process; a second call answers the same handle. The crate `metrics`
/// has one recorder per process, hence the one place that is shared.
///
/// # Panics
///
/// When another recorder was installed before.
pub fn install() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let handle = HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).expect("no other recorder is installed");
        describe_counter!(REQUESTS, Unit::Count, "HTTP requests by route and class of status.");
        describe_counter!(RECEIPTS, Unit::Count, "Status callbacks kept, by status.");
        handle
    });
    handle.clone()
}

/// Counts an answered request.
pub fn count_request(route: &str, status: StatusCode) {
    let class = match status.as_u16() {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    };
    counter!(REQUESTS, "route" => route.to_owned(), "status" => class).increment(1);
}

/// Counts a receipt that was kept.
pub fn count_receipt(status: &'static str) {
    counter!(RECEIPTS, "status" => status).increment(1);
}
