//! What keeps texts from leaving until a person lifts it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::ids::HoldId;
use store::holds::list_holds;

use super::auth::Holder;
use super::idempotency::{Answer, Bare};
use super::page::{List, Page, PageIn, PageOut};
use super::params::{Id, Query};
use super::problem::Result;
use crate::entry::app::App;
use crate::flow::holds::{self, HoldOut};

/// Lists holds, the newest first.
#[utoipa::path(
    get, path = "/v1/holds", tag = "limits", security(("account" = [])),
    operation_id = "list_holds",
    params(
        ("open" = Option<bool>, Query, description = "`true`: those nobody has lifted"),
        PageIn,
    ),
    responses((status = 200, body = PageOut<HoldOut>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    holder: Holder,
    query: Query,
) -> Result<Json<PageOut<HoldOut>>> {
    query.only(&["open", "limit", "cursor"])?;
    let open = query.flag("open")?;
    let page = Page::of(&query)?;
    let after = page.after(List::Holds)?.map(HoldId);
    let mut tx = app.db.read().await?;
    let rows = list_holds(&mut tx, holder.account, open, after, page.rows()).await?;
    Ok(Json(page.out(List::Holds, rows, |hold| hold.id.0, HoldOut::from)))
}

/// Lifts a hold: the texts it holds leave within a minute, and counting begins anew.
#[utoipa::path(
    post, path = "/v1/holds/{id}/lift", tag = "limits", security(("account" = [])),
    operation_id = "lift_hold",
    params(("id" = String, Path, description = "The hold, `hold_…`")),
    responses((status = 200, body = HoldOut)),
)]
pub async fn lift(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<HoldId>,
    Bare(once): Bare,
) -> Result<Answer> {
    let (account, dice) = (holder.account, &*app.dice);
    let actor = &holder.actor();
    let lifted = once.run(&app, account, |mut tx| async move {
        let lifted = holds::lift(&mut tx, dice, account, id, actor).await?;
        Ok((tx, StatusCode::OK, lifted))
    });
    lifted.await
}
