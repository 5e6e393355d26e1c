//! What an account subscribed to, and what that allows.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::ids::AccountId;
use domain::instant::Instant;
use domain::plans;
use domain::subscriptions::{self as rules, Subscription, Word};
use serde::{Deserialize, Serialize};
use store::Tx;
use store::subscriptions::find_subscription;

use super::auth::{Holder, Operator};
use super::idempotency::{Answer, Asked};
use super::params::Id;
use super::problem::{Problem, Result};
use crate::entry::app::App;
use crate::finance::plan_checkout::Subscribing;
use crate::finance::subscriptions::give;

/// How an account stands.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SubscriptionOut {
    /// The key of its plan; `null` when it never subscribed and pays as it goes.
    pub plan: Option<String>,
    /// `none`, `incomplete`, `incomplete_expired`, `trialing`, `active`, `past_due`, `unpaid`,
    /// `canceled` or `paused`.
    pub state: &'static str,
    /// When the present period began.
    #[schema(value_type = Option<String>)]
    pub period_start: Option<Instant>,
    /// When it ends.
    #[schema(value_type = Option<String>)]
    pub period_end: Option<Instant>,
    /// It ends with its period.
    pub cancel_at_period_end: bool,
    /// Until when texts leave although a payment is due.
    #[schema(value_type = Option<String>)]
    pub grace_until: Option<Instant>,
    /// Texts may leave.
    pub entitled: bool,
    /// Why they may not.
    pub reason: Option<String>,
    /// Campaigns may run.
    pub campaigns: bool,
    /// Senders the account may have; `null` for any number.
    pub senders_max: Option<u32>,
    /// Texts it may send in an hour; `null` for any number.
    pub hourly_texts_max: Option<u32>,
    /// Credits that come with each period.
    pub monthly_credits: Option<i64>,
    /// `stripe` when the customer pays it there, `operator` when it was given.
    pub source: Option<&'static str>,
    /// Where the customer pays, in the answer to a wanted plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkout_url: Option<String>,
}

impl SubscriptionOut {
    fn of(found: Option<&Subscription>, now: Instant) -> Self {
        let allows = rules::entitlement(found, now);
        Self {
            plan: found.map(|one| one.plan.clone()),
            state: found.map_or("none", |one| one.state.as_str()),
            period_start: found.map(|one| one.period_start),
            period_end: found.map(|one| one.period_end),
            cancel_at_period_end: found.is_some_and(|one| one.cancel_at_period_end),
            grace_until: found.and_then(Subscription::grace_until),
            entitled: allows.sends.is_ok(),
            reason: allows.sends.err(),
            campaigns: allows.campaigns.is_ok(),
            senders_max: allows.senders_max,
            hourly_texts_max: allows.hourly,
            monthly_credits: found
                .and_then(|one| plans::find(&one.plan))
                .map(|plan| plan.monthly_credits),
            source: found.map(|one| one.source.as_str()),
            checkout_url: None,
        }
    }
}

async fn shown(tx: &mut Tx, account: AccountId) -> Result<SubscriptionOut> {
    let found = find_subscription(tx, account).await?;
    Ok(SubscriptionOut::of(found.as_ref(), tx.now()))
}

/// Shows what the account subscribed to, and what that allows.
#[utoipa::path(
    get, path = "/v1/subscription", tag = "subscription", security(("account" = [])),
    responses((status = 200, body = SubscriptionOut)),
)]
pub async fn show(State(app): State<Arc<App>>, holder: Holder) -> Result<Json<SubscriptionOut>> {
    let mut tx = app.db.read().await?;
    Ok(Json(shown(&mut tx, holder.account).await?))
}

/// A wanted plan.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanIn {
    /// The key of the plan, such as `growth`.
    plan: String,
}

/// Subscribes to a plan. The first time the answer has the page where the customer pays; the plan
/// holds when that is done. Whoever subscribes already has the plan changed at once.
#[utoipa::path(
    post, path = "/v1/subscription", tag = "subscription", security(("account" = [])),
    request_body(content = PlanIn, example = json!({"plan": "growth"})),
    responses(
        (status = 200, body = SubscriptionOut, description = "The plan was changed"),
        (status = 201, body = SubscriptionOut, description = "A page was opened to pay it"),
    ),
)]
pub async fn subscribe(
    State(app): State<Arc<App>>,
    holder: Holder,
    asked: Asked<PlanIn>,
) -> Result<Answer> {
    if let Some(answer) = asked.once.before(&app, holder.account).await? {
        return Ok(answer);
    }
    // Asked again before this answer is kept, Stripe knows the request and opens no second page.
    let came = app.payments.subscribe(holder.account, &asked.wanted.plan).await?;
    let mut tx = app.db.read().await?;
    let mut out = shown(&mut tx, holder.account).await?;
    drop(tx);
    let status = match came {
        Subscribing::Page(url) => {
            out.checkout_url = Some(url);
            StatusCode::CREATED
        }
        Subscribing::Changed => StatusCode::OK,
    };
    asked.once.after(&app, holder.account, status, &out).await
}

/// An operator's word about an account's subscription.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionIn {
    /// The key of the plan, such as `growth`.
    plan: String,
    /// Where it stands from now on; `active` when absent.
    state: Option<String>,
    /// When the present period ends; absent for when it did, or for a month from now.
    #[schema(value_type = Option<String>)]
    period_end: Option<Instant>,
    /// It ends with its period; `false` when absent.
    cancel_at_period_end: Option<bool>,
}

impl SubscriptionIn {
    fn word(&self) -> Result<Word> {
        let states = || rules::State::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>();
        let state = match &self.state {
            None => rules::State::Active,
            Some(word) => rules::State::parse(word).ok_or_else(|| {
                Problem::invalid("state", format!("write one of {}", states().join(", ")))
            })?,
        };
        Ok(Word {
            plan: self.plan.clone(),
            state,
            period_end: self.period_end,
            cancel_at_period_end: self.cancel_at_period_end.unwrap_or(false),
        })
    }
}

/// Gives an account a plan. It holds at once, whatever the customer bought until now, and goes on
/// from month to month until it is canceled.
#[utoipa::path(
    put, path = "/v1/accounts/{id}/subscription", tag = "accounts", security(("operator" = [])),
    params(("id" = String, Path, description = "The account, `acc_…`")),
    request_body(content = SubscriptionIn, example = json!({"plan": "growth"})),
    responses((status = 200, body = SubscriptionOut)),
)]
pub async fn give_plan(
    State(app): State<Arc<App>>,
    operator: Operator,
    Id(account): Id<AccountId>,
    asked: Asked<SubscriptionIn>,
) -> Result<Answer> {
    let (dice, name) = (&*app.dice, operator.name.as_str());
    let word = &asked.wanted.word()?;
    let given = asked.once.run(&app, account, |mut tx| async move {
        let one = give(&mut tx, dice, account, name, word).await?;
        let now = tx.now();
        Ok((tx, StatusCode::OK, SubscriptionOut::of(Some(&one), now)))
    });
    let answer = given.await?;
    app.call.notify_one();
    Ok(answer)
}
