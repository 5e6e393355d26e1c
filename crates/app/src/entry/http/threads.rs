//! The inbox: conversations, what staff write on them, canned replies.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::ids::{CannedReplyId, ThreadId};
use domain::instant::Instant;
use serde::Serialize;
use store::conversations::Place;
use store::threads::Search;

use super::auth::Holder;
use super::idempotency::{Answer, Asked};
use super::messages::asking;
use super::page::{List, Page, PageIn, PageOut};
use super::params::{Id, Query};
use super::problem::Result;
use crate::entry::app::App;
use crate::flow::inbox::canned::{self, CannedReplyIn, CannedReplyOut};
use crate::flow::inbox::talk::{self, ReplyIn, TalkIn, TalkOut};
use crate::flow::inbox::threads::{
    self, NoteIn, NoteOut, ThreadDetail, ThreadOut, ThreadPatch, checked_view,
};
use crate::flow::messages::MessageTaken;

/// Lists conversations, those in which something happened last first.
#[utoipa::path(
    get, path = "/v1/threads", tag = "inbox", security(("account" = [])),
    params(
        ("view" = Option<String>, Query, description = "`all`, `open`, `closed`, `pending` \
            (a request waits for an answer), `reschedule` (another time is to be found), `failed` \
            (a text did not arrive), `opt_outs`, `unassigned`"),
        ("assignee" = Option<String>, Query, description = "Those this one cares for"),
        ("q" = Option<String>, Query, description = "Part of a name or of a number"),
        PageIn,
    ),
    responses((status = 200, body = PageOut<ThreadOut>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    holder: Holder,
    query: Query,
) -> Result<Json<PageOut<ThreadOut>>> {
    query.only(&["view", "assignee", "q", "limit", "cursor"])?;
    let search = Search {
        view: query.find("view").map(checked_view).transpose()?.unwrap_or_default(),
        assignee: query.find("assignee").map(str::to_owned),
        words: query.find("q").map(str::to_owned),
    };
    let page = Page::of(&query)?;
    let after = page.after::<24>(List::Threads)?.map(|key| {
        let (at, id) = key.split_at(8);
        let at = i64::from_be_bytes(at.try_into().expect("eight bytes of twenty-four"));
        (Instant(at), ThreadId(id.try_into().expect("sixteen bytes of twenty-four")))
    });
    let mut tx = app.db.read().await?;
    let rows = threads::list(&mut tx, holder.account, &search, after, page.rows()).await?;
    let key = |one: &ThreadOut| [&one.updated_at.0.to_be_bytes()[..], &one.id.0[..]].concat();
    Ok(Json(page.out(List::Threads, rows, key, |one| one)))
}

/// Begins a conversation with a contact or a number, or goes on with the one there is.
#[utoipa::path(
    post, path = "/v1/threads", tag = "inbox", security(("account" = [])),
    request_body(content = TalkIn, example = json!({
        "phone": "+13125550147", "body": "Hello Ada, this is Sam."
    })),
    responses((status = 201, body = TalkOut)),
)]
pub async fn start(
    State(app): State<Arc<App>>,
    holder: Holder,
    asked: Asked<TalkIn>,
) -> Result<Answer> {
    holder.check_may_send(&app)?;
    let (asking, wanted, dice) = (asking(&app, &holder), &asked.wanted, &*app.dice);
    let begun = asked.once.run(&app, holder.account, |mut tx| async move {
        let begun = talk::start(&mut tx, asking, dice, wanted).await?;
        Ok((tx, StatusCode::CREATED, begun))
    });
    let answer = begun.await?;
    app.call.notify_one();
    Ok(answer)
}

/// Shows a conversation: who it is with, requests that wait, tasks, notes and its texts both ways,
/// the newest first.
#[utoipa::path(
    get, path = "/v1/threads/{id}", tag = "inbox", security(("account" = [])),
    params(
        ("id" = String, Path, description = "The conversation, `th_…`"),
        ("limit" = Option<i64>, Query, description = "Texts, 1 to 1000; 50 when absent"),
        ("before" = Option<String>, Query, description = "The `next_before` of the answer before"),
    ),
    responses((status = 200, body = ThreadDetail)),
)]
pub async fn show(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<ThreadId>,
    query: Query,
) -> Result<Json<ThreadDetail>> {
    query.only(&["limit", "before"])?;
    let page = Page::named(&query, "before")?;
    let before = page.after::<25>(List::Texts)?.map(|key| Place::from_bytes(&key));
    let mut tx = app.db.read().await?;
    let limit = page.rows() - 1;
    let (detail, next) = threads::detail(&mut tx, holder.account, id, before, limit).await?;
    let next_before = next.map(|place| List::Texts.cursor(&place.to_bytes()));
    Ok(Json(ThreadDetail { next_before, ..detail }))
}

/// Changes a conversation: opens or closes it, gives it to somebody.
#[utoipa::path(
    patch, path = "/v1/threads/{id}", tag = "inbox", security(("account" = [])),
    params(("id" = String, Path, description = "The conversation, `th_…`")),
    request_body(content = ThreadPatch, example = json!({"state": "closed", "assignee": "Sam"})),
    responses((status = 200, body = ThreadOut)),
)]
pub async fn change(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<ThreadId>,
    asked: Asked<ThreadPatch>,
) -> Result<Answer> {
    let (account, patch) = (holder.account, &asked.wanted);
    let changed = asked.once.run(&app, account, |mut tx| async move {
        let changed = threads::change(&mut tx, account, id, patch).await?;
        Ok((tx, StatusCode::OK, changed))
    });
    changed.await
}

/// Sends a text by staff. When this is answered the text is durable; it leaves as soon as it may.
#[utoipa::path(
    post, path = "/v1/threads/{id}/messages", tag = "inbox", security(("account" = [])),
    params(("id" = String, Path, description = "The conversation, `th_…`")),
    request_body(content = ReplyIn, example = json!({"body": "See you at nine, Ada."})),
    responses((status = 202, body = MessageTaken)),
)]
pub async fn reply(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<ThreadId>,
    asked: Asked<ReplyIn>,
) -> Result<Answer> {
    holder.check_may_send(&app)?;
    let (asking, wanted) = (asking(&app, &holder), &asked.wanted);
    let taken = asked.once.run(&app, holder.account, |mut tx| async move {
        let taken = talk::reply(&mut tx, asking, id, wanted).await?;
        Ok((tx, StatusCode::ACCEPTED, taken))
    });
    let answer = taken.await?;
    app.call.notify_one();
    Ok(answer)
}

/// Keeps a note on a conversation; only staff see it.
#[utoipa::path(
    post, path = "/v1/threads/{id}/notes", tag = "inbox", security(("account" = [])),
    params(("id" = String, Path, description = "The conversation, `th_…`")),
    request_body(content = NoteIn, example = json!({"body": "Prefers mornings."})),
    responses((status = 201, body = NoteOut)),
)]
pub async fn note(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<ThreadId>,
    asked: Asked<NoteIn>,
) -> Result<Answer> {
    let (account, dice, wanted) = (holder.account, &*app.dice, &asked.wanted);
    let author = &holder.actor();
    let kept = asked.once.run(&app, account, |mut tx| async move {
        let note = threads::note(&mut tx, dice, account, id, wanted, author).await?;
        Ok((tx, StatusCode::CREATED, note))
    });
    kept.await
}

/// The canned replies of an account.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CannedRepliesOut {
    /// By name; all of them.
    pub data: Vec<CannedReplyOut>,
}

/// Lists the canned replies by name.
#[utoipa::path(
    get, path = "/v1/canned-replies", tag = "inbox", security(("account" = [])),
    operation_id = "list_canned_replies",
    responses((status = 200, body = CannedRepliesOut)),
)]
pub async fn canned(
    State(app): State<Arc<App>>,
    holder: Holder,
    query: Query,
) -> Result<Json<CannedRepliesOut>> {
    query.only(&[])?;
    let mut tx = app.db.read().await?;
    let data = canned::list(&mut tx, holder.account).await?;
    Ok(Json(CannedRepliesOut { data }))
}

/// Adds a canned reply.
#[utoipa::path(
    post, path = "/v1/canned-replies", tag = "inbox", security(("account" = [])),
    operation_id = "add_canned_reply",
    request_body(content = CannedReplyIn, example = json!({
        "name": "Parking", "body": "Hi {{ name }}, there is parking behind {{ business }}."
    })),
    responses((status = 201, body = CannedReplyOut)),
)]
pub async fn add_canned(
    State(app): State<Arc<App>>,
    holder: Holder,
    asked: Asked<CannedReplyIn>,
) -> Result<Answer> {
    let (account, dice, wanted) = (holder.account, &*app.dice, &asked.wanted);
    let added = asked.once.run(&app, account, |mut tx| async move {
        let added = canned::add(&mut tx, dice, account, wanted).await?;
        Ok((tx, StatusCode::CREATED, added))
    });
    added.await
}

/// Writes a canned reply anew.
#[utoipa::path(
    put, path = "/v1/canned-replies/{id}", tag = "inbox", security(("account" = [])),
    operation_id = "replace_canned_reply",
    params(("id" = String, Path, description = "The canned reply, `cr_…`")),
    request_body(content = CannedReplyIn, example = json!({
        "name": "Parking", "body": "Hi {{ name }}, parking is free after six."
    })),
    responses((status = 200, body = CannedReplyOut)),
)]
pub async fn replace_canned(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<CannedReplyId>,
    asked: Asked<CannedReplyIn>,
) -> Result<Answer> {
    let (account, wanted) = (holder.account, &asked.wanted);
    let replaced = asked.once.run(&app, account, |mut tx| async move {
        let replaced = canned::replace(&mut tx, account, id, wanted).await?;
        Ok((tx, StatusCode::OK, replaced))
    });
    replaced.await
}

/// Removes a canned reply.
#[utoipa::path(
    delete, path = "/v1/canned-replies/{id}", tag = "inbox", security(("account" = [])),
    operation_id = "remove_canned_reply",
    params(("id" = String, Path, description = "The canned reply, `cr_…`")),
    responses((status = 204, description = "It is gone")),
)]
pub async fn remove_canned(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<CannedReplyId>,
) -> Result<StatusCode> {
    let mut tx = app.db.begin().await?;
    canned::remove(&mut tx, holder.account, id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
