//! An account's rule for buying credits by itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::ids::AccountId;
use serde::{Deserialize, Serialize};

use super::auth::Holder;
use super::idempotency::{Answer, Asked};
use super::problem::Result;
use crate::entry::app::App;
use crate::finance::topups::{self, RuleIn, Shown, Standing};

/// The wanted rule.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AutoTopupIn {
    /// It buys. Switching it on lifts a halt.
    enabled: bool,
    /// It buys when fewer credits than this are available. What it was when left out.
    threshold: Option<i64>,
    /// The pack it buys. What it was when left out.
    pack: Option<String>,
    /// Credits it buys in a day of the account's clock at most; no cap when left out.
    daily_cap: Option<i64>,
    /// Credits it buys in a month of the account's clock at most; no cap when left out.
    monthly_cap: Option<i64>,
}

/// The rule, and where it stands.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AutoTopupOut {
    /// It buys.
    pub enabled: bool,
    /// It buys when fewer credits than this are available.
    pub threshold: Option<i64>,
    /// The pack it buys.
    pub pack: Option<String>,
    /// Credits it buys in a day at most.
    pub daily_cap: Option<i64>,
    /// Credits it buys in a month at most.
    pub monthly_cap: Option<i64>,
    /// `off`, `ready`, `needs_card`, `in_flight`, `waiting` or `halted`.
    pub state: &'static str,
    /// Why, in words.
    pub reason: Option<String>,
    /// The saved card.
    pub card: Option<CardOut>,
    /// Where its owner saves one, when that is needed.
    pub setup_url: Option<String>,
    /// Credits bought automatically today.
    pub bought_today: i64,
    /// Credits bought automatically this month.
    pub bought_this_month: i64,
}

/// What may be shown of a card.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CardOut {
    /// `visa` and others.
    pub brand: Option<String>,
    /// The last four digits.
    pub last4: Option<String>,
    /// Month and year, such as `12/2029`.
    pub expires: Option<String>,
}

const DAY_SECS: i64 = 24 * 3600;
/// The address of the page that saves a card holds for this many days at least.
const DAYS: i64 = 7;

/// Where an account saves a card. It is the same all day.
fn card_url(app: &App, account: AccountId) -> String {
    let today = app.clock.now().seconds().div_euclid(DAY_SECS);
    let ends = (today + 1 + DAYS) * DAY_SECS;
    let numbers = [account.0, ends].map(i64::to_be_bytes);
    format!("{}/cards/{}", app.public_url, app.secret.seal("card", numbers.as_flattened()))
}

/// The account whose card an address saves, unless it is forged or has ended.
pub(super) fn open_card(app: &App, token: &str) -> Option<AccountId> {
    let bytes: [u8; 16] = app.secret.open("card", token)?.try_into().ok()?;
    let (account, ends) = bytes.split_first_chunk::<8>()?;
    let ends = i64::from_be_bytes(*ends.first_chunk()?);
    (app.clock.now().seconds() < ends).then_some(AccountId(i64::from_be_bytes(*account)))
}

fn out(app: &App, account: AccountId, shown: Shown) -> AutoTopupOut {
    let needs = matches!(shown.standing, Standing::NeedsCard | Standing::Halted);
    let is_without = shown.card.is_none();
    let rule = shown.rule.as_ref();
    AutoTopupOut {
        enabled: rule.is_some_and(|rule| rule.enabled),
        threshold: rule.map(|rule| rule.threshold),
        pack: rule.map(|rule| rule.pack.clone()),
        daily_cap: rule.and_then(|rule| rule.daily_cap),
        monthly_cap: rule.and_then(|rule| rule.monthly_cap),
        state: shown.standing.as_str(),
        reason: shown.reason,
        card: shown.card.map(|card| CardOut {
            brand: card.brand,
            last4: card.last4,
            expires: card.expires,
        }),
        setup_url: (needs || is_without).then(|| card_url(app, account)),
        bought_today: shown.bought_today,
        bought_this_month: shown.bought_this_month,
    }
}

/// Shows how the account buys credits by itself.
#[utoipa::path(
    get, path = "/v1/auto-topup", tag = "payments", security(("account" = [])),
    operation_id = "show_auto_topup",
    responses((status = 200, body = AutoTopupOut)),
)]
pub async fn show(State(app): State<Arc<App>>, holder: Holder) -> Result<Json<AutoTopupOut>> {
    let mut tx = app.db.read().await?;
    let shown = topups::shown(&mut tx, holder.account).await?;
    Ok(Json(out(&app, holder.account, shown)))
}

/// Changes how the account buys credits by itself.
#[utoipa::path(
    put, path = "/v1/auto-topup", tag = "payments", security(("account" = [])),
    operation_id = "change_auto_topup",
    request_body(content = AutoTopupIn, example = json!({
        "enabled": true, "threshold": 500, "pack": "growth", "daily_cap": 5000,
        "monthly_cap": 50000
    })),
    responses((status = 200, body = AutoTopupOut)),
)]
pub async fn write(
    State(app): State<Arc<App>>,
    holder: Holder,
    asked: Asked<AutoTopupIn>,
) -> Result<Answer> {
    let account = holder.account;
    let AutoTopupIn { enabled, threshold, pack, daily_cap, monthly_cap } = asked.wanted;
    if enabled {
        app.payments.stripe()?;
    }
    let wanted = &RuleIn { enabled, threshold, pack, daily_cap, monthly_cap };
    let app = &*app;
    let written = asked.once.run(app, account, |mut tx| async move {
        topups::write(&mut tx, account, wanted).await?;
        let shown = topups::shown(&mut tx, account).await?;
        Ok((tx, StatusCode::OK, out(app, account, shown)))
    });
    let answer = written.await?;
    app.payments.call.notify_one();
    Ok(answer)
}
