//! An account's money: its wallet, its ledger, its audit.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use data_encoding::HEXLOWER;
use domain::instant::Instant;
use domain::ledger::{Books, Wallet};
use serde::Serialize;
use store::wallets::{self, StoredLine};

use super::auth::Holder;
use super::page::{List, Page, PageIn, PageOut};
use super::problem::Result;
use crate::entry::app::App;
use crate::flow::audit::{Audit, audit};

/// What the customer's four books hold, in credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct WalletOut {
    /// May be spent.
    pub available: i64,
    /// Held for texts that may leave or may have left.
    pub reserved: i64,
    /// Gone for accepted texts.
    pub spent: i64,
    /// Debt: taken back beyond what was available; the next credits pay it first.
    pub owed: i64,
}

impl From<&Wallet> for WalletOut {
    fn from(wallet: &Wallet) -> Self {
        let Books { available, reserved, spent, owed, .. } = wallet.books;
        Self { available, reserved, spent, owed }
    }
}

/// Shows the wallet.
#[utoipa::path(
    get, path = "/v1/wallet", tag = "wallet", security(("account" = [])),
    responses((status = 200, body = WalletOut)),
)]
pub async fn show(State(app): State<Arc<App>>, holder: Holder) -> Result<Json<WalletOut>> {
    let mut tx = app.db.read().await?;
    let wallet = wallets::wallet(&mut tx, holder.account).await?;
    Ok(Json(WalletOut::from(&wallet)))
}

/// A line of the ledger: append-only, numbered without gaps, chained by hash.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct LedgerLineOut {
    /// Its number, from 1.
    pub seq: i64,
    /// When it was posted.
    #[schema(value_type = String)]
    pub at: Instant,
    /// `grant`, `purchase`, `reserve`, `settle`, `release`, `refund`, `late_charge`,
    /// `adjustment`, `clawback` or `expiry`.
    pub kind: &'static str,
    /// What it changes, book by book; it balances.
    #[schema(value_type = Object)]
    pub change: Books,
    /// The customer's books after it.
    pub after: WalletOut,
    /// Who did it.
    pub actor: String,
    /// A person's words, or empty.
    pub reason: String,
    /// What it is the effect of; no two lines share one.
    pub effect_key: String,
    /// How many facts (texts, payments) stand behind it.
    pub facts: i64,
    /// The Merkle root of those facts in hex; zeros when there are none to open.
    pub root: String,
    /// SHA-256 in hex over the previous line's hash and every field of this line.
    pub hash: String,
}

impl From<StoredLine> for LedgerLineOut {
    fn from(line: StoredLine) -> Self {
        let [available, reserved, spent, owed] = line.after;
        let posting = line.posting;
        Self {
            seq: line.seq,
            at: line.at,
            kind: posting.kind.as_str(),
            change: posting.change,
            after: WalletOut { available, reserved, spent, owed },
            actor: posting.actor,
            reason: posting.reason,
            effect_key: posting.effect_key,
            facts: posting.facts,
            root: HEXLOWER.encode(&posting.root),
            hash: HEXLOWER.encode(&line.hash),
        }
    }
}

/// Lists the ledger's lines, oldest first.
#[utoipa::path(
    get, path = "/v1/ledger", tag = "wallet", security(("account" = [])),
    params(PageIn),
    responses((status = 200, body = PageOut<LedgerLineOut>)),
)]
pub async fn ledger(
    State(app): State<Arc<App>>,
    holder: Holder,
    page: Page,
) -> Result<Json<PageOut<LedgerLineOut>>> {
    let after = page.after_number(List::Ledger)?.unwrap_or(0);
    let mut tx = app.db.read().await?;
    let rows = wallets::list_lines(&mut tx, holder.account, after, page.rows()).await?;
    let key = |line: &StoredLine| line.seq.to_be_bytes();
    Ok(Json(page.out(List::Ledger, rows, key, LedgerLineOut::from)))
}

/// Audits the account: every invariant of its money and its messages, on one snapshot.
#[utoipa::path(
    get, path = "/v1/audit", tag = "wallet", security(("account" = [])),
    responses((status = 200, body = Audit)),
)]
pub async fn audit_own(State(app): State<Arc<App>>, holder: Holder) -> Result<Json<Audit>> {
    Ok(Json(audit(&app.db, holder.account).await?))
}
