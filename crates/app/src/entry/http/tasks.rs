//! Follow-ups for staff.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::ids::{TaskId, ThreadId};
use store::tasks::{TaskFilter, list_tasks};

use super::auth::Holder;
use super::idempotency::{Answer, Asked};
use super::page::{List, Page, PageIn, PageOut};
use super::params::{Id, Query};
use super::problem::{Problem, Result};
use crate::entry::app::App;
use crate::flow::inbox::tasks::{self, TaskIn, TaskOut, TaskPatch, checked_done, checked_kind};

/// Lists follow-ups in the order they were opened.
#[utoipa::path(
    get, path = "/v1/tasks", tag = "inbox", security(("account" = [])),
    operation_id = "list_tasks",
    params(
        ("kind" = Option<String>, Query, description = "`call`, `reschedule`, `review` or \
            `clarify`"),
        ("state" = Option<String>, Query, description = "`open` or `done`"),
        ("assignee" = Option<String>, Query, description = "Those this one has taken"),
        ("unassigned" = Option<bool>, Query, description = "`true`: those nobody has taken"),
        ("thread_id" = Option<String>, Query, description = "Those of this conversation"),
        PageIn,
    ),
    responses((status = 200, body = PageOut<TaskOut>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    holder: Holder,
    query: Query,
) -> Result<Json<PageOut<TaskOut>>> {
    let names = ["kind", "state", "assignee", "unassigned", "thread_id", "limit", "cursor"];
    query.only(&names)?;
    let thread = query.find("thread_id").map(|text| {
        let wrong = |_| Problem::invalid("thread_id", "write the id of a thread, th_…");
        ThreadId::parse(text).map_err(wrong)
    });
    let filter = TaskFilter {
        kind: query.find("kind").map(checked_kind).transpose()?,
        done: query.find("state").map(checked_done).transpose()?,
        thread: thread.transpose()?,
        unassigned: query.flag("unassigned")?,
        assignee: query.find("assignee").map(str::to_owned),
    };
    let page = Page::of(&query)?;
    let after = page.after(List::Tasks)?.map(TaskId);
    let mut tx = app.db.read().await?;
    let rows = list_tasks(&mut tx, holder.account, &filter, after, page.rows()).await?;
    Ok(Json(page.out(List::Tasks, rows, |task| task.id.0, TaskOut::from)))
}

/// Opens a follow-up by hand.
#[utoipa::path(
    post, path = "/v1/tasks", tag = "inbox", security(("account" = [])),
    operation_id = "open_task",
    request_body(content = TaskIn, example = json!({
        "kind": "call", "title": "Ask Ada about Tuesday", "assignee": "Sam"
    })),
    responses((status = 201, body = TaskOut)),
)]
pub async fn open(
    State(app): State<Arc<App>>,
    holder: Holder,
    asked: Asked<TaskIn>,
) -> Result<Answer> {
    let (account, dice, wanted) = (holder.account, &*app.dice, &asked.wanted);
    let opened = asked.once.run(&app, account, |mut tx| async move {
        let opened = tasks::open(&mut tx, dice, account, wanted).await?;
        Ok((tx, StatusCode::CREATED, opened))
    });
    opened.await
}

/// Changes a follow-up: done or open again, whose it is, when it is due.
#[utoipa::path(
    patch, path = "/v1/tasks/{id}", tag = "inbox", security(("account" = [])),
    operation_id = "change_task",
    params(("id" = String, Path, description = "The follow-up, `tsk_…`")),
    request_body(content = TaskPatch, example = json!({"state": "done"})),
    responses((status = 200, body = TaskOut)),
)]
pub async fn change(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<TaskId>,
    asked: Asked<TaskPatch>,
) -> Result<Answer> {
    let (account, patch) = (holder.account, &asked.wanted);
    let by = &holder.actor();
    let changed = asked.once.run(&app, account, |mut tx| async move {
        let changed = tasks::change(&mut tx, account, id, patch, by).await?;
        Ok((tx, StatusCode::OK, changed))
    });
    changed.await
}
