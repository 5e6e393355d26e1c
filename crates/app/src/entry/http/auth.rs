//! Who asks: `Authorization: Bearer KEY`, the operator's or an account's.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use domain::ids::{AccountId, KeyId};
use store::accounts::KeyMode;

use super::problem::{Code, Problem, Result};
use crate::entry::app::App;
use crate::flow::accounts::find_holder;

/// Whoever runs the installation.
pub struct Operator {
    /// What they are called, in the ledger and in audit notes.
    pub name: String,
}

/// Whoever holds a key of an account.
pub struct Holder {
    /// The account that the key opens.
    pub account: AccountId,
    /// The key's public id.
    pub key: KeyId,
    mode: KeyMode,
}

fn unknown() -> Problem {
    Problem::new(Code::Unauthorized, "nobody knows this key; it may have been revoked")
}

fn presented(parts: &Parts) -> Result<&str> {
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    header
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim())
        .filter(|key| !key.is_empty())
        .ok_or_else(|| {
            Problem::new(Code::Unauthorized, "write the header Authorization: Bearer KEY")
        })
}

async fn holder(app: &App, key: &str) -> Result<Holder> {
    let mut tx = app.db.read().await?;
    let found = find_holder(&mut tx, key).await?.ok_or_else(unknown)?;
    Ok(Holder { account: found.account, key: found.key, mode: found.mode })
}

impl<S> FromRequestParts<S> for Operator
where
    S: Send + Sync,
    Arc<App>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let app = Arc::<App>::from_ref(state);
        let key = presented(parts)?;
        if let Some(name) = app.settings.operator_of(key) {
            return Ok(Self { name: name.to_owned() });
        }
        if !app.settings.has_operators() {
            let words = "this installation has no operator key; set LEDGERLINE_OPERATOR_KEY and \
                         start it again";
            return Err(Problem::new(Code::Forbidden, words));
        }
        holder(&app, key).await?;
        Err(Problem::new(Code::Forbidden, "this route takes the operator's key"))
    }
}

impl<S> FromRequestParts<S> for Holder
where
    S: Send + Sync,
    Arc<App>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let app = Arc::<App>::from_ref(state);
        let key = presented(parts)?;
        if app.settings.operator_of(key).is_some() {
            let words = "this route takes the key of an account; make one with \
                         POST /v1/accounts/{id}/keys";
            return Err(Problem::new(Code::Forbidden, words));
        }
        holder(&app, key).await
    }
}

impl Holder {
    /// Refuses to send for a test key when texts would reach people.
    pub fn check_may_send(&self, app: &App) -> Result<()> {
        if self.mode == KeyMode::Live || app.is_sandboxed() {
            return Ok(());
        }
        let words = "a test key sends on the sandbox carrier only; use a live key";
        Err(Problem::new(Code::TestKey, words))
    }

    /// How the holder is named in evidence and ledger lines.
    pub fn actor(&self) -> String {
        self.key.to_string()
    }
}
