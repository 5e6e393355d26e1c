//! Accounts' rules for buying credits by themselves.

use domain::ids::AccountId;
use domain::instant::Instant;

use crate::db::{Result, Tx, dialects};

/// The rule of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoTopup {
    /// It buys.
    pub enabled: bool,
    /// It buys when fewer credits than this may be spent.
    pub threshold: i64,
    /// What it buys.
    pub pack: String,
    /// Credits it buys in a day at most.
    pub daily_cap: Option<i64>,
    /// Credits it buys in a month at most.
    pub monthly_cap: Option<i64>,
    /// Payments that failed one after the other.
    pub failures: i64,
    /// Why it buys nothing until a person does something.
    pub halted: Option<String>,
    /// Since when.
    pub halted_at: Option<Instant>,
    /// It buys nothing before.
    pub next_at: Instant,
}

type TopupRow = (i64, i64, String, Option<i64>, Option<i64>, i64, Option<String>, Option<i64>, i64);

fn topup_of(row: TopupRow) -> AutoTopup {
    let (enabled, threshold, pack, daily_cap, monthly_cap, failures, halted, halted_at, next_at) =
        row;
    AutoTopup {
        enabled: enabled == 1,
        threshold,
        pack,
        daily_cap,
        monthly_cap,
        failures,
        halted,
        halted_at: halted_at.map(Instant),
        next_at: Instant(next_at),
    }
}

/// The account's rule, if it has one.
pub async fn find_topup(tx: &mut Tx, account: AccountId) -> Result<Option<AutoTopup>> {
    let row: Option<TopupRow> = tx
        .optional(
            "select enabled, threshold, pack, daily_cap, monthly_cap, failures, halted, halted_at,
               next_at
             from auto_topup where account_id = $1",
            (account.0,),
        )
        .await?;
    Ok(row.map(topup_of))
}

/// The same, locked until the transaction ends. Taken after payers and
/// before purchases.
pub async fn lock_topup(tx: &mut Tx, account: AccountId) -> Result<Option<AutoTopup>> {
    // SQLite has no row locks and needs none: a writing transaction is alone.
    let text = dialects(
        "select updated_at from auto_topup where account_id = $1",
        "select updated_at from auto_topup where account_id = $1 for update",
    );
    let _locked: Option<(i64,)> = tx.optional(text, (account.0,)).await?;
    find_topup(tx, account).await
}

/// Keeps the account's rule.
pub async fn save_topup(tx: &mut Tx, account: AccountId, rule: &AutoTopup) -> Result<()> {
    let now = tx.now().0;
    tx.execute(
        "insert into auto_topup (account_id, enabled, threshold, pack, daily_cap, monthly_cap,
           failures, halted, halted_at, next_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         on conflict (account_id) do update
           set enabled = excluded.enabled, threshold = excluded.threshold, pack = excluded.pack,
             daily_cap = excluded.daily_cap, monthly_cap = excluded.monthly_cap,
             failures = excluded.failures, halted = excluded.halted,
             halted_at = excluded.halted_at, next_at = excluded.next_at,
             updated_at = excluded.updated_at",
        (
            account.0,
            i64::from(rule.enabled),
            rule.threshold,
            rule.pack.clone(),
            rule.daily_cap,
            rule.monthly_cap,
            rule.failures,
            rule.halted.clone(),
            rule.halted_at.map(|at| at.0),
            rule.next_at.0,
            now,
        ),
    )
    .await?;
    Ok(())
}
