//! What an account should know.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::ids::NoticeId;
use store::notices::{find_notice, list_notices, see};

use super::auth::Holder;
use super::idempotency::{Answer, Bare};
use super::page::{List, Page, PageIn, PageOut};
use super::params::{Id, Query};
use super::problem::{Problem, Result};
use crate::entry::app::App;
use crate::flow::notices::NoticeOut;

/// Lists notices, the newest first.
#[utoipa::path(
    get, path = "/v1/notices", tag = "limits", security(("account" = [])),
    operation_id = "list_notices",
    params(
        ("unseen" = Option<bool>, Query, description = "`true`: those nobody has seen"),
        PageIn,
    ),
    responses((status = 200, body = PageOut<NoticeOut>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    holder: Holder,
    query: Query,
) -> Result<Json<PageOut<NoticeOut>>> {
    query.only(&["unseen", "limit", "cursor"])?;
    let unseen = query.flag("unseen")?;
    let page = Page::of(&query)?;
    let after = page.after(List::Notices)?.map(NoticeId);
    let mut tx = app.db.read().await?;
    let rows = list_notices(&mut tx, holder.account, unseen, after, page.rows()).await?;
    Ok(Json(page.out(List::Notices, rows, |given| given.id.0, NoticeOut::from)))
}

/// Marks a notice as seen; the first time counts.
#[utoipa::path(
    post, path = "/v1/notices/{id}/seen", tag = "limits", security(("account" = [])),
    operation_id = "see_notice",
    params(("id" = String, Path, description = "The notice, `ntc_…`")),
    responses((status = 200, body = NoticeOut)),
)]
pub async fn seen(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<NoticeId>,
    Bare(once): Bare,
) -> Result<Answer> {
    let account = holder.account;
    let seen = once.run(&app, account, |mut tx| async move {
        see(&mut tx, account, id).await?;
        let given = find_notice(&mut tx, account, id).await?;
        let given = given.ok_or_else(|| Problem::not_found("notice"))?;
        Ok((tx, StatusCode::OK, NoticeOut::from(given)))
    });
    seen.await
}
