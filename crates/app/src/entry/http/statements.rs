//! Statements: an account's months.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use axum::response::{Html, IntoResponse, Response};
use domain::ids::AccountId;

use super::accept::{self, Form};
use super::auth::{Holder, Operator};
use super::page::{List, Page, PageIn, PageOut};
use super::params::Query;
use super::problem::{Problem, Result};
use super::statement_page;
use crate::entry::app::App;
use crate::flow::statements::{self, MonthOut, Statement};

/// Lists the account's months, newest first, each with what was left after it.
#[utoipa::path(
    get, path = "/v1/statements", tag = "wallet", operation_id = "statements",
    security(("account" = [])),
    params(PageIn),
    responses((status = 200, body = PageOut<MonthOut>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    holder: Holder,
    page: Page,
) -> Result<Json<PageOut<MonthOut>>> {
    let first = page.after_number(List::Statements)?.map_or(0, |last| last.saturating_add(1));
    let mut tx = app.db.read().await?;
    let rows = statements::list(&mut tx, holder.account, first.max(0), page.rows()).await?;
    let key = |(number, _): &(i64, MonthOut)| number.to_be_bytes();
    Ok(Json(page.out(List::Statements, rows, key, |(_, month)| month)))
}

/// Shows a month of the account: what was there, what came, what each text cost, what is left. As
/// JSON, as CSV or as a page that prints well, by `Accept`, by `?format=` or by the month's ending
/// (`2026-07.csv`).
///
/// `ok` is `false` when the ledger, its running balances and the texts behind it do not agree to
/// the credit; then the statement is not to be relied on.
#[utoipa::path(
    get, path = "/v1/statements/{month}", tag = "wallet", operation_id = "statement",
    security(("account" = [])),
    params(
        ("month" = String, Path, description = "Such as `2026-07`, on the account's clock"),
        ("format" = Option<String>, Query, description = "`json`, `csv` or `html`"),
    ),
    responses((status = 200, content(
        (Statement = "application/json"), (String = "text/csv"), (String = "text/html"),
    ))),
)]
pub async fn show(
    State(app): State<Arc<App>>,
    holder: Holder,
    Path(month): Path<String>,
    headers: HeaderMap,
    query: Query,
) -> Result<Response> {
    answer(&app, holder.account, &month, &headers, &query).await
}

/// Shows a month of an account.
#[utoipa::path(
    get, path = "/v1/accounts/{id}/statements/{month}", tag = "accounts",
    operation_id = "account_statement", security(("operator" = [])),
    params(
        ("id" = String, Path, description = "The account, `acc_…`"),
        ("month" = String, Path, description = "Such as `2026-07`, on the account's clock"),
        ("format" = Option<String>, Query, description = "`json`, `csv` or `html`"),
    ),
    responses((status = 200, content(
        (Statement = "application/json"), (String = "text/csv"), (String = "text/html"),
    ))),
)]
pub async fn show_account(
    State(app): State<Arc<App>>,
    _: Operator,
    Path((account, month)): Path<(String, String)>,
    headers: HeaderMap,
    query: Query,
) -> Result<Response> {
    let account: AccountId = account.parse().map_err(|_| Problem::not_found("id"))?;
    answer(&app, account, &month, &headers, &query).await
}

async fn answer(
    app: &App,
    account: AccountId,
    month: &str,
    headers: &HeaderMap,
    query: &Query,
) -> Result<Response> {
    query.only(&["format"])?;
    let (month, form) = match month.rsplit_once('.') {
        Some((month, "csv")) => (month, Form::Csv),
        Some((month, "html")) => (month, Form::Html),
        Some((month, "json")) => (month, Form::Json),
        _ => (month, Form::wanted(headers, query, &[Form::Json, Form::Csv, Form::Html])?),
    };
    let mut tx = app.db.read().await?;
    let one = statements::statement(&mut tx, account, month).await?;
    drop(tx);
    if !one.ok {
        tracing::error!(
            component = "statements", %account, month,
            fault = one.checks.iter().find(|check| !check.ok).map(|check| check.detail.as_str()),
            "a statement does not add up"
        );
    }
    Ok(match form {
        Form::Json => Json(one).into_response(),
        Form::Csv => accept::csv(&format!("statement-{month}"), statements::csv(&one)),
        Form::Html => {
            let html = statement_page::render(&one)
                .map_err(|error| Problem::internal(format!("a statement's page: {error}")))?;
            let headers = [
                (CONTENT_SECURITY_POLICY, statement_page::POLICY.as_str()),
                (REFERRER_POLICY, "no-referrer"),
                (CACHE_CONTROL, "no-store"),
            ];
            (headers, Html(html)).into_response()
        }
    })
}
