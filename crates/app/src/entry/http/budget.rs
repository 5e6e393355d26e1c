//! What an account allows itself to spend.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::auth::Holder;
use super::idempotency::{Answer, Asked};
use super::problem::Result;
use crate::entry::app::App;
use crate::finance::budgets::{self, BudgetIn, BudgetOut};

/// Shows an account's budget, and what was used of it by the account's clock.
#[utoipa::path(
    get, path = "/v1/budget", tag = "limits", security(("account" = [])),
    operation_id = "show_budget",
    responses((status = 200, body = BudgetOut)),
)]
pub async fn show(State(app): State<Arc<App>>, holder: Holder) -> Result<Json<BudgetOut>> {
    let mut tx = app.db.read().await?;
    Ok(Json(budgets::show(&mut tx, holder.account).await?))
}

/// Sets an account's budget, whole: a limit that is left out is none. When a limit is used up,
/// campaigns pause with the reason `budget` and single texts wait, until the next day or month
/// begins or the limit is raised.
#[utoipa::path(
    put, path = "/v1/budget", tag = "limits", security(("account" = [])),
    operation_id = "set_budget",
    request_body(content = BudgetIn, example = json!({
        "daily_credits": 500, "monthly_credits": null
    })),
    responses((status = 200, body = BudgetOut)),
)]
pub async fn write(
    State(app): State<Arc<App>>,
    holder: Holder,
    asked: Asked<BudgetIn>,
) -> Result<Answer> {
    let (dice, wanted, account) = (&*app.dice, &asked.wanted, holder.account);
    let actor = &holder.actor();
    let written = asked.once.run(&app, account, |mut tx| async move {
        let out = budgets::write(&mut tx, dice, account, actor, wanted).await?;
        Ok((tx, StatusCode::OK, out))
    });
    written.await
}
