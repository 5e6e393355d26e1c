//! The trail of what acts by itself.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use domain::ids::RunId;
use domain::instant::Instant;
use serde::Serialize;
use store::automations::{self, RuleFires, Run};

use super::auth::Holder;
use super::page::{List, Page, PageIn};
use super::params::Query;
use super::problem::Result;
use crate::entry::app::App;

/// Runs are counted this far back.
const COUNTED: Duration = Duration::from_secs(30 * 24 * 3600);

/// A rule and how often it ran.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RuleOut {
    /// Which rule, such as `reminder.due` or `reply.answer`.
    pub rule: String,
    /// Its runs in the last thirty days.
    pub runs: i64,
    /// When it last ran.
    #[schema(value_type = String)]
    pub last_at: Instant,
}

/// One run of a rule.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RunOut {
    /// Its id.
    #[schema(value_type = String)]
    pub id: RunId,
    /// Which rule.
    pub rule: String,
    /// The version of the account's settings it ran under.
    pub settings_version: i64,
    /// For whom or what: an id.
    pub subject: String,
    /// What came of it, in a word.
    pub outcome: String,
    /// Why, in words.
    pub detail: String,
    /// When it looks at the same thing again.
    #[schema(value_type = Option<String>)]
    pub next_at: Option<Instant>,
    /// When it ran.
    #[schema(value_type = String)]
    pub at: Instant,
}

/// Rules and their runs.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AutomationsOut {
    /// The rules that ran in the last thirty days, by name.
    pub rules: Vec<RuleOut>,
    /// Runs of the rule that was asked about, or of all, the newest first.
    pub data: Vec<RunOut>,
    /// Pass it as `cursor` for older runs; `null` when there are none.
    pub next_cursor: Option<String>,
}

/// Lists the rules that act by themselves, and what each did of late.
#[utoipa::path(
    get, path = "/v1/automations", tag = "inbox", security(("account" = [])),
    operation_id = "list_automations",
    params(
        ("rule" = Option<String>, Query, description = "Runs of this rule only"),
        PageIn,
    ),
    responses((status = 200, body = AutomationsOut)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    holder: Holder,
    query: Query,
) -> Result<Json<AutomationsOut>> {
    query.only(&["rule", "limit", "cursor"])?;
    let page = Page::of(&query)?;
    let after = page.after(List::Runs)?.map(RunId);
    let rule = query.find("rule").unwrap_or_default();
    let mut tx = app.db.read().await?;
    let since = tx.now() - COUNTED;
    let rules = automations::rules_since(&mut tx, holder.account, since).await?;
    let runs = automations::runs_before(&mut tx, holder.account, rule, after, page.rows()).await?;
    let show_rule = |RuleFires { rule, runs, last_at }| RuleOut { rule, runs, last_at };
    let show_run = |run: Run| RunOut {
        id: run.id,
        rule: run.rule,
        settings_version: run.version,
        subject: run.subject,
        outcome: run.outcome,
        detail: run.detail,
        next_at: run.next_at,
        at: run.at,
    };
    let runs = page.out(List::Runs, runs, |run| run.id.0, show_run);
    Ok(Json(AutomationsOut {
        rules: rules.into_iter().map(show_rule).collect(),
        data: runs.data,
        next_cursor: runs.next_cursor,
    }))
}
