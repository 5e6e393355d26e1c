//! The audit of an account: every invariant of its money and its messages, on one snapshot.

use domain::ids::AccountId;
use serde::Serialize;
use store::{Db, accounts};

use super::Result;
use crate::delivery::integrity;
use crate::finance::books::{Check, check_books};

/// What an audit found.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Audit {
    /// Every check holds.
    pub ok: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

/// Audits an account.
pub async fn audit(db: &Db, account: AccountId) -> Result<Audit> {
    let mut tx = db.read().await?;
    accounts::account(&mut tx, account).await?;
    let (mut checks, bound) = check_books(&mut tx, account).await?;
    checks.extend(integrity::check_messages(&mut tx, account, &bound).await?);
    Ok(Audit { ok: checks.iter().all(|check| check.ok), checks })
}
