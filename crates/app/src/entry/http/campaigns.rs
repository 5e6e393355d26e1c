//! Campaigns: written, quoted, started, paused, resumed, canceled, watched.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::ids::{AccountId, StreamId};
use serde::{Deserialize, Serialize};
use store::Tx;
use store::campaigns::list_campaigns;

use super::auth::Holder;
use super::idempotency::{Answer, Asked, Bare, Once};
use super::page::{List, Page, PageIn, PageOut};
use super::params::{Id, Query};
use super::problem::Result;
use super::{messages, watch};
use crate::entry::app::App;
use crate::flow::campaigns::{self, CampaignIn, CampaignQuote, Wish};
use crate::flow::messages::{MessageIn, MessageTaken};
use crate::flow::status::{CampaignStatus, RecipientStatus, list_recipients, status_of};

/// A campaign, and where to watch it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CampaignOut {
    /// How it stands.
    #[serde(flatten)]
    pub status: CampaignStatus,
    /// A page that shows its progress live, to whoever has this address, for a week.
    pub watch_url: String,
}

async fn shown(
    app: &App,
    tx: &mut Tx,
    account: AccountId,
    campaign: store::campaigns::Campaign,
) -> Result<CampaignOut> {
    let id = campaign.id;
    let rate = app.desk.paces.per_second(account, id, tx.now());
    let status = status_of(tx, account, campaign, rate).await?;
    Ok(CampaignOut { status, watch_url: watch::url(app, account, id) })
}

async fn found(app: &App, tx: &mut Tx, account: AccountId, id: StreamId) -> Result<CampaignOut> {
    let campaign = store::campaigns::campaign(tx, account, id).await?;
    shown(app, tx, account, campaign).await
}

/// Writes a campaign as a draft.
///
/// `body` is a template: `{{name}}` and every custom field of the contacts can stand in it.
#[utoipa::path(
    post, path = "/v1/campaigns", tag = "campaigns", security(("account" = [])),
    request_body(content = CampaignIn, example = json!({
        "name": "Spring classes", "category": "marketing",
        "body": "Hi {{name}}, spring classes are open. Reply STOP to opt out.",
        "audience": {"tags": ["members"]}, "resume_when_funded": true
    })),
    responses((status = 201, body = CampaignOut)),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    holder: Holder,
    asked: Asked<CampaignIn>,
) -> Result<Answer> {
    let (app, wanted, account) = (&*app, &asked.wanted, holder.account);
    let created = asked.once.run(app, account, |mut tx| async move {
        let campaign = campaigns::create(&mut tx, &*app.dice, account, wanted).await?;
        let created = shown(app, &mut tx, account, campaign).await?;
        Ok((tx, StatusCode::CREATED, created))
    });
    created.await
}

/// Lists campaigns, newest first.
#[utoipa::path(
    get, path = "/v1/campaigns", tag = "campaigns", security(("account" = [])),
    params(PageIn),
    responses((status = 200, body = PageOut<CampaignOut>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    holder: Holder,
    page: Page,
) -> Result<Json<PageOut<CampaignOut>>> {
    let before = page.after_number(List::Campaigns)?.unwrap_or(i64::MAX);
    let mut tx = app.db.read().await?;
    let before = StreamId(before);
    let rows = list_campaigns(&mut tx, holder.account, before, page.rows()).await?;
    let mut all = Vec::with_capacity(rows.len());
    for campaign in rows {
        all.push(shown(&app, &mut tx, holder.account, campaign).await?);
    }
    let key = |one: &CampaignOut| one.status.id.0.to_be_bytes();
    Ok(Json(page.out(List::Campaigns, all, key, |one| one)))
}

/// Shows a campaign: where it stands, its counts, its credits.
#[utoipa::path(
    get, path = "/v1/campaigns/{id}", tag = "campaigns", security(("account" = [])),
    params(("id" = String, Path, description = "The campaign, `cmp_…`")),
    responses((status = 200, body = CampaignOut)),
)]
pub async fn show(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<StreamId>,
) -> Result<Json<CampaignOut>> {
    let mut tx = app.db.read().await?;
    Ok(Json(found(&app, &mut tx, holder.account, id).await?))
}

/// Lists recipients in their order, each with its state and what decided about it.
#[utoipa::path(
    get, path = "/v1/campaigns/{id}/recipients", tag = "campaigns", security(("account" = [])),
    params(
        ("id" = String, Path, description = "The campaign, `cmp_…`"),
        ("state" = Option<String>, Query,
            description = "Only those that `counts` counts under this word, or in this state"),
        PageIn,
    ),
    responses((status = 200, body = PageOut<RecipientStatus>)),
)]
pub async fn recipients(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<StreamId>,
    query: Query,
) -> Result<Json<PageOut<RecipientStatus>>> {
    query.only(&["state", "limit", "cursor"])?;
    let page = Page::of(&query)?;
    let after = page.after_number(List::Recipients)?.unwrap_or(0);
    let (account, state) = (holder.account, query.find("state"));
    let mut tx = app.db.read().await?;
    // The account's other streams have ids, too, and are no campaigns.
    store::campaigns::campaign(&mut tx, account, id).await?;
    let rows = list_recipients(&mut tx, account, id, state, after, page.rows()).await?;
    let key = |one: &RecipientStatus| one.id.ord.to_be_bytes();
    Ok(Json(page.out(List::Recipients, rows, key, |one| one)))
}

/// Quotes a campaign on the contacts as they are now.
#[utoipa::path(
    post, path = "/v1/campaigns/{id}/quote", tag = "campaigns", security(("account" = [])),
    params(("id" = String, Path, description = "The campaign, `cmp_…`")),
    responses((status = 200, body = CampaignQuote)),
)]
pub async fn quote(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<StreamId>,
    Bare(once): Bare,
) -> Result<Answer> {
    if let Some(answer) = once.before(&app, holder.account).await? {
        return Ok(answer);
    }
    let from = app.installation_sender();
    let quote = campaigns::quote(&app.db, holder.account, id, from, app.is_sandboxed()).await?;
    once.after(&app, holder.account, StatusCode::OK, &quote).await
}

/// Freezes a campaign's list and prices and lets it leave, at `starts_at` if that is to come.
#[utoipa::path(
    post, path = "/v1/campaigns/{id}/start", tag = "campaigns", security(("account" = [])),
    params(("id" = String, Path, description = "The campaign, `cmp_…`")),
    responses((status = 200, body = CampaignOut)),
)]
pub async fn start(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<StreamId>,
    Bare(once): Bare,
) -> Result<Answer> {
    holder.check_may_send(&app)?;
    wish(&app, &holder, id, &once, Wish::Start).await
}

/// Stops taking up texts; those on the wire are still answered.
#[utoipa::path(
    post, path = "/v1/campaigns/{id}/pause", tag = "campaigns", security(("account" = [])),
    params(("id" = String, Path, description = "The campaign, `cmp_…`")),
    responses((status = 200, body = CampaignOut)),
)]
pub async fn pause(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<StreamId>,
    Bare(once): Bare,
) -> Result<Answer> {
    wish(&app, &holder, id, &once, Wish::Pause).await
}

/// Goes on exactly where the campaign stopped.
#[utoipa::path(
    post, path = "/v1/campaigns/{id}/resume", tag = "campaigns", security(("account" = [])),
    params(("id" = String, Path, description = "The campaign, `cmp_…`")),
    responses((status = 200, body = CampaignOut)),
)]
pub async fn resume(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<StreamId>,
    Bare(once): Bare,
) -> Result<Answer> {
    holder.check_may_send(&app)?;
    wish(&app, &holder, id, &once, Wish::Resume).await
}

/// Stops a campaign for good; what has not left is skipped.
#[utoipa::path(
    post, path = "/v1/campaigns/{id}/cancel", tag = "campaigns", security(("account" = [])),
    params(("id" = String, Path, description = "The campaign, `cmp_…`")),
    responses((status = 200, body = CampaignOut)),
)]
pub async fn cancel(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<StreamId>,
    Bare(once): Bare,
) -> Result<Answer> {
    wish(&app, &holder, id, &once, Wish::Cancel).await
}

async fn wish(app: &App, holder: &Holder, id: StreamId, once: &Once, wish: Wish) -> Result<Answer> {
    let account = holder.account;
    let done = once.run(app, account, |mut tx| async move {
        campaigns::wish(&mut tx, account, id, wish).await?;
        let campaign = found(app, &mut tx, account, id).await?;
        Ok((tx, StatusCode::OK, campaign))
    });
    let answer = done.await?;
    app.call.notify_one();
    Ok(answer)
}

/// Whom a test text goes to.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestIn {
    /// The number.
    to: String,
}

/// Sends one text of the campaign, as its first recipient would get it, to a number of your own.
#[utoipa::path(
    post, path = "/v1/campaigns/{id}/test", tag = "campaigns", security(("account" = [])),
    params(("id" = String, Path, description = "The campaign, `cmp_…`")),
    request_body(content = TestIn, example = json!({"to": "+13125550147"})),
    responses((status = 202, body = MessageTaken)),
)]
pub async fn test(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<StreamId>,
    asked: Asked<TestIn>,
) -> Result<Answer> {
    if let Some(answer) = asked.once.before(&app, holder.account).await? {
        return Ok(answer);
    }
    let from = app.installation_sender();
    let body = campaigns::test_body(&app.db, holder.account, id, from).await?;
    let text = MessageIn {
        to: asked.wanted.to,
        body: Some(body),
        context: Some("campaign.test".to_owned()),
        ..MessageIn::default()
    };
    messages::take(&app, &holder, &text, &asked.once).await
}
