//! The price list, for whoever runs the installation.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::ids::AccountId;
use domain::instant::Instant;
use domain::rates::{Channel, Destination, Rate, RateKey, SenderKind};
use serde::Deserialize;
use store::rates::{self as kept, RatePlace};

use super::accept::{self, Form};
use super::auth::Operator;
use super::idempotency::{Answer, Once, Raw};
use super::json::{self, media_type};
use super::page::{List, Page, PageIn, PageOut};
use super::params::Query;
use super::problem::{Problem, Result};
use crate::entry::app::App;
use crate::finance::rates::{self, RateImport, RateIn, RateOut, Row};
use crate::finance::worth;

/// Answers about no account are kept under this one.
const NO_ACCOUNT: AccountId = AccountId(0);

/// Lists the price list by destination, kind of sender, channel and date: what was in force, is,
/// and will be. As CSV (`Accept: text/csv` or `?format=csv`) it is the whole list, in the form in
/// which it can be imported.
#[utoipa::path(
    get, path = "/v1/rates", tag = "rates", security(("operator" = [])),
    params(
        PageIn,
        ("format" = Option<String>, Query, description = "`json` or `csv`, instead of `Accept`"),
    ),
    responses((status = 200, content(
        (PageOut<RateOut> = "application/json"), (String = "text/csv"),
    ))),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    _: Operator,
    headers: HeaderMap,
    query: Query,
) -> Result<Response> {
    query.only(&["limit", "cursor", "format"])?;
    let page = Page::of(&query)?;
    let after = page.after_bytes(List::Rates)?.map(|key| place(&key)).transpose()?;
    let mut tx = app.db.read().await?;
    let worth = worth::of_credit();
    if Form::wanted(&headers, &query, &[Form::Json, Form::Csv])? == Form::Csv {
        let text = rates::list_csv(&mut tx, Some(&worth)).await?;
        return Ok(accept::csv("rates", text));
    }
    let rows = kept::list_rates(&mut tx, after.as_ref(), page.rows()).await?;
    let out = page.out(List::Rates, rows, key, |rate| RateOut::of(&rate, Some(&worth)));
    Ok(Json(out).into_response())
}

fn key(rate: &Rate) -> Vec<u8> {
    let Rate { key, effective_from, .. } = rate;
    let code = |code: Option<i64>| u8::try_from(code.unwrap_or(0)).unwrap_or(0);
    let mut bytes = effective_from.0.to_be_bytes().to_vec();
    bytes.push(code(key.sender_kind.map(SenderKind::code)));
    bytes.push(code(key.channel.map(Channel::code)));
    bytes.extend_from_slice(key.destination.as_str().as_bytes());
    bytes
}

fn place(bytes: &[u8]) -> Result<RatePlace> {
    let parts = || {
        let (from, rest) = bytes.split_at_checked(8)?;
        let (&[kind, channel], text) = rest.split_first_chunk::<2>()?;
        let destination = Destination::parse(std::str::from_utf8(text).ok()?).ok()?;
        let sender_kind = SenderKind::from_code(i64::from(kind));
        let channel = Channel::from_code(i64::from(channel));
        let from = Instant(i64::from_be_bytes(from.try_into().ok()?));
        Some((RateKey { destination, sender_kind, channel }, from))
    };
    parts().ok_or_else(|| Problem::malformed("cursor", "pass the next_cursor of this very list"))
}

/// A price list that was sent: a sheet, or a list in JSON.
pub struct Sent {
    rows: Vec<Row>,
    once: Once,
}

/// A price list in JSON.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RatesIn {
    /// The rates.
    rates: Vec<RateIn>,
}

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let is_csv = media_type(request.headers()).eq_ignore_ascii_case("text/csv");
        if !is_csv {
            json::check_content_type(request.headers())?;
        }
        let Raw { body, once } = Raw::from_request(request, state).await?;
        let rows = if is_csv {
            rates::rows_of_csv(&body)?
        } else {
            rates::rows_of_list(json::read::<RatesIn>(&body)?.rates)
        };
        Ok(Self { rows, once })
    }
}

/// Imports prices. Good rows are taken, every bad row is reported with its line; nothing else of
/// the list changes.
///
/// What has been in force is not rewritten: a new price gets a later `effective_from`, and a row
/// that says otherwise is refused. With `preview=true` the answer says what would change and
/// nothing does. A sheet's first line names the columns `destination`, `sender_kind`, `channel`,
/// `effective_from`, `credits_per_segment`, `carrier_price`, `currency`; all but the destination
/// and the credits may be missing or empty.
#[utoipa::path(
    post, path = "/v1/rates", tag = "rates", security(("operator" = [])),
    params(
        ("preview" = Option<bool>, Query, description = "`true`: say what would change, only"),
    ),
    request_body(content(
        (RatesIn = "application/json", example = json!({"rates": [{
            "destination": "GB", "credits_per_segment": 4, "carrier_price": "0.0400",
            "currency": "usd", "effective_from": "2027-01-01"
        }]})),
        (String = "text/csv", example = "destination,credits_per_segment\nGB,4\n+1416,2\n"),
    )),
    responses((status = 200, body = RateImport)),
)]
pub async fn import(
    State(app): State<Arc<App>>,
    _: Operator,
    query: Query,
    Sent { rows, once }: Sent,
) -> Result<Answer> {
    query.only(&["preview"])?;
    let preview = query.flag("preview")?;
    if let Some(answer) = once.before(&app, NO_ACCOUNT).await? {
        return Ok(answer);
    }
    let worth = worth::of_credit();
    let how = ("operator", preview);
    let done = rates::import(&app.db, &*app.dice, &rows, Some(&worth), how).await?;
    once.after(&app, NO_ACCOUNT, StatusCode::OK, &done).await
}
