//! An account's own words for contexts, and trying words out.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::ids::TemplateId;

use super::auth::Holder;
use super::idempotency::{Answer, Asked, Bare};
use super::page::{List, Page, PageIn, PageOut};
use super::params::Id;
use super::problem::Result;
use crate::entry::app::App;
use crate::flow::templates::{self, Preview, PreviewIn, TemplateIn, TemplateOut};

/// Lists an account's templates, oldest first.
#[utoipa::path(
    get, path = "/v1/templates", tag = "settings", security(("account" = [])),
    params(PageIn),
    responses((status = 200, body = PageOut<TemplateOut>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    holder: Holder,
    page: Page,
) -> Result<Json<PageOut<TemplateOut>>> {
    let after = page.after(List::Templates)?.map(TemplateId);
    let mut tx = app.db.read().await?;
    // An account has few templates, so its list is read whole and cut here.
    let mut rows = templates::list(&mut tx, holder.account).await?;
    rows.retain(|row| after.is_none_or(|after| row.id > after));
    let key = |row: &TemplateOut| row.id.0;
    Ok(Json(page.out(List::Templates, rows, key, |row| row)))
}

/// Adds a template: words of the account's own, by language. Which context uses it stands in the
/// settings.
#[utoipa::path(
    post, path = "/v1/templates", tag = "settings", security(("account" = [])),
    request_body(content = TemplateIn, example = json!({
        "name": "Reminder, friendly", "context": "appointment.reminder",
        "bodies": {
            "en": "Hi {{ name | default('there') }}, {{ title }} is {{ starts_at | date }} at \
                   {{ starts_at | time }}. {{ yes }} to confirm, {{ no }} to move it.",
            "es": "Hola, {{ title }} es el {{ starts_at | date('%d/%m') }}. {{ yes }} / {{ no }}"
        }
    })),
    responses((status = 201, body = TemplateOut)),
)]
pub async fn add(
    State(app): State<Arc<App>>,
    holder: Holder,
    asked: Asked<TemplateIn>,
) -> Result<Answer> {
    let (dice, wanted, account) = (&*app.dice, &asked.wanted, holder.account);
    let added = asked.once.run(&app, account, |mut tx| async move {
        let out = templates::add(&mut tx, dice, account, wanted).await?;
        Ok((tx, StatusCode::CREATED, out))
    });
    added.await
}

/// Writes a template anew. Texts that are written from here on have its new words.
#[utoipa::path(
    put, path = "/v1/templates/{id}", tag = "settings", security(("account" = [])),
    params(("id" = String, Path, description = "The template, `tpl_…`")),
    request_body(content = TemplateIn, example = json!({
        "name": "Reminder, short", "bodies": {"en": "{{ title }} {{ starts_at | time }}"}
    })),
    responses((status = 200, body = TemplateOut)),
)]
pub async fn replace(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<TemplateId>,
    asked: Asked<TemplateIn>,
) -> Result<Answer> {
    let (wanted, account) = (&asked.wanted, holder.account);
    let replaced = asked.once.run(&app, account, |mut tx| async move {
        let out = templates::replace(&mut tx, account, id, wanted).await?;
        Ok((tx, StatusCode::OK, out))
    });
    replaced.await
}

/// Removes a template that no context uses.
#[utoipa::path(
    delete, path = "/v1/templates/{id}", tag = "settings", security(("account" = [])),
    params(("id" = String, Path, description = "The template, `tpl_…`")),
    responses((status = 200, description = "It is removed", body = Removed)),
)]
pub async fn remove(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<TemplateId>,
    Bare(once): Bare,
) -> Result<Answer> {
    let account = holder.account;
    let removed = once.run(&app, account, |mut tx| async move {
        templates::remove(&mut tx, account, id).await?;
        Ok((tx, StatusCode::OK, Removed { id, removed: true }))
    });
    removed.await
}

/// Something that is gone.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Removed {
    /// What it was.
    #[schema(value_type = String)]
    id: TemplateId,
    /// Always `true`.
    removed: bool,
}

/// Tries words out: how they arrive, how many parts they are billed as, what is wrong with them.
/// Nothing is kept or sent.
#[utoipa::path(
    post, path = "/v1/templates/preview", tag = "settings", security(("account" = [])),
    request_body(content = PreviewIn, example = json!({
        "body": "Hi {{ name }}, see you {{ starts_at | relative }}.",
        "context": "appointment.reminder", "locale": "en", "values": {"name": "Ada"}
    })),
    responses((status = 200, body = Preview)),
)]
pub async fn preview(
    State(app): State<Arc<App>>,
    holder: Holder,
    asked: Asked<PreviewIn>,
) -> Result<Json<Preview>> {
    let mut tx = app.db.read().await?;
    Ok(Json(templates::preview(&mut tx, holder.account, &asked.wanted).await?))
}
