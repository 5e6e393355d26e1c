//! The operator's routes: accounts, their keys, their credits, their audit.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use data_encoding::HEXLOWER;
use domain::ids::{AccountId, KeyId};
use domain::instant::Instant;
use domain::quiet_hours::QuietHours;
use domain::token::Secret;
use serde::{Deserialize, Serialize};
use store::accounts::{Account, KeyMode, list_accounts};

use super::adjustments::AdjustmentOut;
use super::auth::Operator;
use super::idempotency::{Answer, Asked};
use super::page::{List, Page, PageIn, PageOut};
use super::params::Id;
use super::problem::{Code, Problem, Result};
use super::wallet::WalletOut;
use crate::entry::app::App;
use crate::flow::accounts::{self, AccountIn, Moved, Mover, NewKey};
use crate::flow::audit::{Audit, audit};

/// Answers about no account yet are kept under this one.
pub(super) const NO_ACCOUNT: AccountId = AccountId(0);

/// An account.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AccountOut {
    /// Its id.
    #[schema(value_type = String)]
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// IANA zone of contacts that have none of their own.
    pub timezone: String,
    /// Region of numbers typed without a country code.
    pub country: String,
    /// When its contacts are left in peace; `null` for never.
    #[schema(value_type = Option<Object>)]
    pub quiet_hours: Option<QuietHours>,
    /// It may send.
    pub active: bool,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Instant,
}

impl From<Account> for AccountOut {
    fn from(account: Account) -> Self {
        let Account { id, name, timezone, country, quiet_hours, active, created_at } = account;
        Self { id, name, timezone, country, quiet_hours, active, created_at }
    }
}

/// Opens an account with an empty wallet.
#[utoipa::path(
    post, path = "/v1/accounts", tag = "accounts", security(("operator" = [])),
    request_body(content = AccountIn, example = json!({
        "name": "Riverside Coaching", "timezone": "America/Chicago", "country": "US"
    })),
    responses((status = 201, body = AccountOut)),
)]
pub async fn open(
    State(app): State<Arc<App>>,
    _: Operator,
    asked: Asked<AccountIn>,
) -> Result<Answer> {
    let (dice, wanted) = (&*app.dice, &asked.wanted);
    let opened = asked.once.run(&app, NO_ACCOUNT, |mut tx| async move {
        let account = accounts::open_account(&mut tx, dice, wanted).await?;
        Ok((tx, StatusCode::CREATED, AccountOut::from(account)))
    });
    opened.await
}

/// Lists accounts, oldest first.
#[utoipa::path(
    get, path = "/v1/accounts", tag = "accounts", security(("operator" = [])),
    params(PageIn),
    responses((status = 200, body = PageOut<AccountOut>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    _: Operator,
    page: Page,
) -> Result<Json<PageOut<AccountOut>>> {
    let after = page.after_number(List::Accounts)?.unwrap_or(0);
    let mut tx = app.db.read().await?;
    let rows = list_accounts(&mut tx, AccountId(after), page.rows()).await?;
    let key = |account: &Account| account.id.0.to_be_bytes();
    Ok(Json(page.out(List::Accounts, rows, key, AccountOut::from)))
}

/// A wanted key.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyIn {
    /// What it is for.
    name: String,
    /// `live`, or `test`: sends on the sandbox carrier only.
    mode: Mode,
}

#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Live,
    Test,
}

/// Makes a key of an account. It is shown in this answer only; the server keeps its hash.
#[utoipa::path(
    post, path = "/v1/accounts/{id}/keys", tag = "accounts", security(("operator" = [])),
    params(("id" = String, Path, description = "The account, `acc_…`")),
    request_body(content = KeyIn, example = json!({"name": "booking system", "mode": "live"})),
    responses((status = 201, body = NewKey)),
)]
pub async fn make_key(
    State(app): State<Arc<App>>,
    _: Operator,
    Id(account): Id<AccountId>,
    asked: Asked<KeyIn>,
) -> Result<Answer> {
    let mode = match asked.wanted.mode {
        Mode::Live => KeyMode::Live,
        Mode::Test => KeyMode::Test,
    };
    let mask = KeyMask::of(&app, account, asked.once.key().map(|key| key.key.as_str()));
    let (dice, name, hide) = (&*app.dice, &asked.wanted.name, &mask);
    let made = asked.once.run(&app, account, |mut tx| async move {
        let made = accounts::make_key(&mut tx, dice, account, name, mode).await?;
        let kept = MaskedKey { id: made.id, masked: hide.over(&made.key) };
        Ok((tx, StatusCode::CREATED, kept))
    });
    let answer = made.await?;
    let kept: MaskedKey = serde_json::from_str(&answer.body)
        .map_err(|_| Problem::internal("a kept answer about a key cannot be read"))?;
    let key = mask.over(&kept.masked);
    let mut tx = app.db.read().await?;
    if accounts::find_holder(&mut tx, &key).await?.is_none_or(|holder| holder.key != kept.id) {
        let words = "this key was made before and cannot be shown again; make another one";
        return Err(Problem::new(Code::Conflict, words));
    }
    let shown = Answer::new(answer.status, &NewKey { id: kept.id, key });
    Ok(Answer { replayed: answer.replayed, ..shown })
}

/// What is kept of an answer that shows a key: the database alone must not give the key away.
#[derive(Deserialize, Serialize)]
struct MaskedKey {
    id: KeyId,
    masked: String,
}

/// Hides and shows the secret digits of a key. It depends on the operator's key, which stands in
/// no database.
struct KeyMask([u8; 32]);

impl KeyMask {
    fn of(app: &App, account: AccountId, idempotency_key: Option<&str>) -> Self {
        let secret = Secret(accounts::digest(app.settings.operators_secret()));
        let place = format!("{account} {}", idempotency_key.unwrap_or_default());
        Self(secret.mac("kept key", place.as_bytes()))
    }

    /// Turns the digits after the last `_`; twice gives the key again.
    fn over(&self, key: &str) -> String {
        let (head, digits) = key.rsplit_once('_').unwrap_or(("", key));
        let bytes = HEXLOWER.decode(digits.as_bytes()).unwrap_or_default();
        let turned: Vec<u8> = bytes.iter().zip(self.0).map(|(byte, mask)| byte ^ mask).collect();
        format!("{head}_{}", HEXLOWER.encode(&turned))
    }
}

/// Credits to move.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreditsIn {
    /// Credits to give, or below zero to take back; what is taken beyond the available is owed.
    amount: i64,
    /// Why; it stands in the ledger.
    reason: String,
}

/// A movement that another operator must agree to; nothing has moved yet.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ProposedOut {
    /// The proposed movement.
    adjustment: AdjustmentOut,
}

#[derive(Serialize)]
#[serde(untagged)]
enum MovedOut {
    Done(WalletOut),
    Proposed(ProposedOut),
}

/// Gives credits to an account, or takes some back. Where the installation wants two operators to
/// agree on so many, the answer is 202 and another one approves.
#[utoipa::path(
    post, path = "/v1/accounts/{id}/credits", tag = "accounts", security(("operator" = [])),
    params(("id" = String, Path, description = "The account, `acc_…`")),
    request_body(content = CreditsIn, example = json!({"amount": 5000, "reason": "invoice 2041"})),
    responses(
        (status = 200, body = WalletOut, description = "They moved"),
        (status = 202, body = ProposedOut, description = "Another operator must agree"),
    ),
)]
pub async fn adjust_credits(
    State(app): State<Arc<App>>,
    operator: Operator,
    Id(account): Id<AccountId>,
    asked: Asked<CreditsIn>,
) -> Result<Answer> {
    let CreditsIn { amount, reason } = &asked.wanted;
    let effect = asked.once.key().map_or_else(
        || {
            let mut fresh = [0; 16];
            app.dice.fill(&mut fresh);
            HEXLOWER.encode(&fresh)
        },
        |key| key.key.clone(),
    );
    let (dice, key, name) = (&*app.dice, &effect, operator.name.as_str());
    let two_person_above = app.settings.operators.two_person_above;
    let mover = Mover { name, actor: name, two_person_above };
    let moved = asked.once.run(&app, account, |mut tx| async move {
        let wanted = (*amount, reason.as_str());
        let (status, out) =
            match accounts::move_credits(&mut tx, dice, account, key, wanted, mover).await? {
                Moved::Done(wallet) => (StatusCode::OK, MovedOut::Done(WalletOut::from(&wallet))),
                Moved::Proposed(one) => {
                    let adjustment = AdjustmentOut::from(one);
                    (StatusCode::ACCEPTED, MovedOut::Proposed(ProposedOut { adjustment }))
                }
            };
        Ok((tx, status, out))
    });
    let answer = moved.await?;
    app.call.notify_one();
    Ok(answer)
}

/// Audits an account: every invariant of its money and its messages, on one snapshot.
#[utoipa::path(
    get, path = "/v1/accounts/{id}/audit", tag = "accounts", security(("operator" = [])),
    params(("id" = String, Path, description = "The account, `acc_…`")),
    responses((status = 200, body = Audit)),
)]
pub async fn audit_account(
    State(app): State<Arc<App>>,
    _: Operator,
    Id(account): Id<AccountId>,
) -> Result<Json<Audit>> {
    Ok(Json(audit(&app.db, account).await?))
}
