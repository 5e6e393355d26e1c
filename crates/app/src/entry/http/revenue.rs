//! What the platform earns, and whether its books are the carriers': for whoever runs it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::accept::{self, Form};
use super::auth::Operator;
use super::params::Query;
use super::problem::Result;
use crate::entry::app::App;
use crate::finance::worth;
use crate::flow::carrier_record::{self, Days, Reconciliation};
use crate::flow::revenue::{self, Revenue};

/// Reports money and credits over accounts and months: what came in, what was sold, given, used,
/// expired and is owed, what customers can still use, what carriers billed, what is left.
#[utoipa::path(
    get, path = "/v1/revenue", tag = "accounts", security(("operator" = [])),
    params(
        ("from" = Option<String>, Query, description = "The first month, such as `2026-01`; this \
            month when absent"),
        ("to" = Option<String>, Query, description = "The last month; this month when absent"),
        ("format" = Option<String>, Query, description = "`json` or `csv`, instead of `Accept`"),
    ),
    responses((status = 200, content(
        (Revenue = "application/json"), (String = "text/csv"),
    ))),
)]
pub async fn report(
    State(app): State<Arc<App>>,
    _: Operator,
    headers: HeaderMap,
    query: Query,
) -> Result<Response> {
    query.only(&["from", "to", "format"])?;
    let form = Form::wanted(&headers, &query, &[Form::Json, Form::Csv])?;
    let months = revenue::months(query.find("from"), query.find("to"), app.clock.now())?;
    let report = revenue::revenue(&app.db, months, &worth::of_credit()).await?;
    Ok(match form {
        Form::Csv => accept::csv("revenue", revenue::csv(&report)),
        _ => Json(report).into_response(),
    })
}

/// Compares our books with the carriers' own record: texts that only one side knows, other billed
/// parts, other ends, and what the carriers took. What they billed is kept for the revenue report.
#[utoipa::path(
    get, path = "/v1/reconciliation", tag = "carriers", security(("operator" = [])),
    params(
        ("from" = String, Query, description = "The first day in UTC, such as `2026-07-01`"),
        ("to" = String, Query, description = "The last day"),
    ),
    responses((status = 200, body = Reconciliation)),
)]
pub async fn reconcile(
    State(app): State<Arc<App>>,
    _: Operator,
    query: Query,
) -> Result<Json<Reconciliation>> {
    query.only(&["from", "to"])?;
    let days = Days::parse(query.find("from"), query.find("to"), app.clock.now())?;
    let shared: Vec<String> =
        app.installation_sender().map(|from| from.address.clone()).into_iter().collect();
    let lines = app.desk.routes.lines();
    Ok(Json(carrier_record::reconcile(&app.db, lines, &shared, days, |_| {}).await?))
}
