//! The operators' movements of credits that take two of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use domain::ids::{AccountId, AdjustmentId};
use domain::instant::Instant;
use serde::Serialize;
use store::adjustments::{Adjustment, AdjustmentState, adjustments};
use store::sweep::adjustments_after;

use super::accounts::NO_ACCOUNT;
use super::auth::Operator;
use super::idempotency::{Answer, Bare, Once};
use super::page::{List, Page, PageIn, PageOut};
use super::params::{Id, Query};
use super::problem::{Problem, Result};
use crate::entry::app::App;
use crate::finance::adjustments::{Decision, decide};

/// A movement of credits.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AdjustmentOut {
    /// Its id.
    #[schema(value_type = String)]
    pub id: AdjustmentId,
    /// Whose credits.
    #[schema(value_type = String)]
    pub account_id: AccountId,
    /// `proposed`, `approved` or `rejected`.
    pub state: &'static str,
    /// Credits to give, or below zero to take back.
    pub amount: i64,
    /// Why.
    pub reason: String,
    /// Which operator proposed it.
    pub proposed_by: String,
    /// Which operator decided.
    pub decided_by: Option<String>,
    /// When it was proposed.
    #[schema(value_type = String)]
    pub created_at: Instant,
    /// When it was decided.
    #[schema(value_type = Option<String>)]
    pub decided_at: Option<Instant>,
}

impl From<Adjustment> for AdjustmentOut {
    fn from(one: Adjustment) -> Self {
        Self {
            id: one.id,
            account_id: one.account,
            state: one.state.as_str(),
            amount: one.amount,
            reason: one.reason,
            proposed_by: one.proposed_by,
            decided_by: one.decided_by,
            created_at: one.created_at,
            decided_at: one.decided_at,
        }
    }
}

/// Which adjustments, and which page of them.
pub struct Wanted {
    state: Option<AdjustmentState>,
    page: Page,
}

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let query = Query::from_request_parts(parts, state).await?;
        query.only(&["state", "limit", "cursor"])?;
        let words = || Problem::invalid("state", "write proposed, approved or rejected");
        let state = query.find("state").map(|word| AdjustmentState::parse(word).ok_or_else(words));
        Ok(Self { state: state.transpose()?, page: Page::of(&query)? })
    }
}

/// Lists the movements of credits that took, or take, two operators, oldest first.
#[utoipa::path(
    get, path = "/v1/adjustments", tag = "adjustments", security(("operator" = [])),
    params(
        ("state" = Option<String>, Query, description = "`proposed`, `approved` or `rejected`"),
        PageIn,
    ),
    responses((status = 200, body = PageOut<AdjustmentOut>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    _: Operator,
    Wanted { state, page }: Wanted,
) -> Result<Json<PageOut<AdjustmentOut>>> {
    let after = AdjustmentId(page.after(List::Adjustments)?.unwrap_or_default());
    let mut tx = app.db.read().await?;
    let places = adjustments_after(&mut tx, state, after, page.rows()).await?;
    let rows = adjustments(&mut tx, &places).await?;
    let key = |one: &Adjustment| one.id.0;
    Ok(Json(page.out(List::Adjustments, rows, key, AdjustmentOut::from)))
}

/// Approves a movement of credits that another operator proposed: it is posted, once.
#[utoipa::path(
    post, path = "/v1/adjustments/{id}/approve", tag = "adjustments", security(("operator" = [])),
    params(("id" = String, Path, description = "The adjustment, `adj_…`")),
    responses((status = 200, body = AdjustmentOut)),
)]
pub async fn approve(
    State(app): State<Arc<App>>,
    operator: Operator,
    Id(id): Id<AdjustmentId>,
    Bare(once): Bare,
) -> Result<Answer> {
    let answer = decided(&app, &operator, id, &once, Decision::Approve).await?;
    app.call.notify_one();
    Ok(answer)
}

/// Rejects a movement of credits that another operator proposed: nothing moves.
#[utoipa::path(
    post, path = "/v1/adjustments/{id}/reject", tag = "adjustments", security(("operator" = [])),
    params(("id" = String, Path, description = "The adjustment, `adj_…`")),
    responses((status = 200, body = AdjustmentOut)),
)]
pub async fn reject(
    State(app): State<Arc<App>>,
    operator: Operator,
    Id(id): Id<AdjustmentId>,
    Bare(once): Bare,
) -> Result<Answer> {
    decided(&app, &operator, id, &once, Decision::Reject).await
}

async fn decided(
    app: &App,
    operator: &Operator,
    id: AdjustmentId,
    once: &Once,
    decision: Decision,
) -> Result<Answer> {
    let (dice, name) = (&*app.dice, operator.name.as_str());
    let decided = once.run(app, NO_ACCOUNT, |mut tx| async move {
        let (one, _) = decide(&mut tx, dice, id, decision, name).await?;
        Ok((tx, StatusCode::OK, AdjustmentOut::from(one)))
    });
    decided.await
}
