//! Figures.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::auth::Holder;
use super::params::Query;
use super::problem::Result;
use crate::entry::app::App;
use crate::flow::figures::{self, ConfirmationFigures};

/// Counts requests and their answers, reminders, opt-outs and no-shows of a range of time.
///
/// A request counts on the day it was asked, with whatever has become of it since.
#[utoipa::path(
    get, path = "/v1/figures/confirmations", tag = "figures", security(("account" = [])),
    params(
        ("from" = Option<String>, Query, description = "A time, or a day in the account's zone; \
            30 days before `to` when absent"),
        ("to" = Option<String>, Query, description = "A time, or a day that still counts; the \
            present when absent"),
    ),
    responses((status = 200, body = ConfirmationFigures)),
)]
pub async fn confirmations(
    State(app): State<Arc<App>>,
    holder: Holder,
    query: Query,
) -> Result<Json<ConfirmationFigures>> {
    query.only(&["from", "to"])?;
    let mut tx = app.db.read().await?;
    let (from, to) = (query.find("from"), query.find("to"));
    Ok(Json(figures::confirmations(&mut tx, holder.account, from, to).await?))
}
