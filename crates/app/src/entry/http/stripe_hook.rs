//! Stripe's webhook, `POST /hooks/stripe`, and what became of its events.
//!
//! The signature is checked over the raw body before anything of it is read. An event is kept and
//! answered at once; it is applied afterwards.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use domain::ids::AccountId;
use domain::instant::Instant;
use serde::Serialize;
use store::stripe_events::{EventState, StripeEvent, list_events, retry_event};

use super::auth::Operator;
use super::page::{List, Page, PageIn, PageOut};
use super::params::Query;
use super::problem::{Code, Problem, Result};
use crate::entry::app::App;
use crate::finance::stripe_events::take_in;
use crate::refusal::Refusal;

const SIGNATURE: &str = "Stripe-Signature";

/// An event came.
#[derive(Debug, Serialize)]
pub struct Received {
    received: bool,
}

/// Keeps an event.
pub async fn receive(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Received>> {
    let payments = &*app.payments;
    if payments.webhook_secrets.is_empty() {
        let words = "no webhook secret is set; set STRIPE_WEBHOOK_SECRET and start again";
        return Err(Problem::new(Code::Unavailable, words));
    }
    let signature = headers.get(SIGNATURE).and_then(|value| value.to_str().ok());
    if !payments.is_signed(&body, signature.unwrap_or_default()) {
        tracing::debug!(component = "hooks", "an event's signature does not fit");
        let words = "the signature does not fit this body, or is older than five minutes";
        return Err(Problem::malformed(SIGNATURE, words));
    }
    match take_in(payments, &body).await {
        Ok(_) => Ok(Json(Received { received: true })),
        Err(Refusal::Invalid { field, problem }) => {
            tracing::warn!(component = "hooks", problem, "a signed event cannot be read");
            Err(Problem::malformed(field, problem))
        }
        // Stripe sends it again.
        Err(Refusal::Store(store::Error::Conflict)) => {
            Err(Problem::new(Code::Unavailable, "the event could not be kept; send it again"))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// An event, and what became of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct StripeEventOut {
    /// `evt_…`.
    pub id: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened.
    #[schema(value_type = String)]
    pub created_at: Instant,
    /// Which version of Stripe's API it is written in.
    pub api_version: Option<String>,
    /// It is about real money.
    pub livemode: bool,
    /// Whose it is, once that is known.
    #[schema(value_type = Option<String>)]
    pub account: Option<AccountId>,
    /// Which thing of Stripe's it is about, or waits for.
    pub reference: Option<String>,
    /// `new`, `applied`, `ignored`, `unmatched` or `failed`.
    pub state: &'static str,
    /// Why, in words.
    pub note: Option<String>,
    /// How often applying it failed.
    pub tries: i64,
    /// When it came.
    #[schema(value_type = String)]
    pub received_at: Instant,
    /// When it was applied.
    #[schema(value_type = Option<String>)]
    pub applied_at: Option<Instant>,
}

impl From<StripeEvent> for StripeEventOut {
    fn from(it: StripeEvent) -> Self {
        Self {
            id: it.id,
            kind: it.kind,
            created_at: crate::finance::news::instant(it.created),
            api_version: it.api_version,
            livemode: it.livemode,
            account: it.account,
            reference: it.reference,
            state: it.state.as_str(),
            note: it.note,
            tries: it.tries,
            received_at: it.received_at,
            applied_at: it.applied_at,
        }
    }
}

/// Lists Stripe's events, the newest first.
#[utoipa::path(
    get, path = "/v1/stripe-events", tag = "payments", security(("operator" = [])),
    operation_id = "list_stripe_events",
    params(
        ("state" = Option<String>, Query,
            description = "`new`, `applied`, `ignored`, `unmatched` or `failed`"),
        PageIn,
    ),
    responses((status = 200, body = PageOut<StripeEventOut>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    _: Operator,
    query: Query,
) -> Result<Json<PageOut<StripeEventOut>>> {
    query.only(&["state", "limit", "cursor"])?;
    let page = Page::of(&query)?;
    let state = query.find("state").map(|word| {
        EventState::parse(word).ok_or_else(|| {
            let words: Vec<&str> = EventState::ALL.iter().map(|state| state.as_str()).collect();
            Problem::invalid("state", format!("write one of {}", words.join(", ")))
        })
    });
    let state = state.transpose()?;
    let after = page.after_text(List::StripeEvents)?.map(|(at, id)| (Instant(at), id));
    let mut tx = app.db.read().await?;
    let rows = list_events(&mut tx, state, after, page.rows()).await?;
    let key = |it: &StripeEvent| [&it.received_at.0.to_be_bytes()[..], it.id.as_bytes()].concat();
    Ok(Json(page.out(List::StripeEvents, rows, key, StripeEventOut::from)))
}

/// Has an event applied again that was given up or found nobody.
#[utoipa::path(
    post, path = "/v1/stripe-events/{id}/retry", tag = "payments", security(("operator" = [])),
    operation_id = "retry_stripe_event",
    params(("id" = String, Path, description = "The event, `evt_…`")),
    responses((status = 204, description = "It is applied again in a moment")),
)]
pub async fn retry(
    State(app): State<Arc<App>>,
    _: Operator,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    let mut tx = app.db.begin().await?;
    if !retry_event(&mut tx, &id).await? {
        return Err(Problem::not_found("event that was given up or found nobody"));
    }
    tx.commit().await?;
    app.payments.call.notify_one();
    Ok(StatusCode::NO_CONTENT)
}
