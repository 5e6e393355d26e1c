//! Budgets: what an account may spend in a day and a month, and where both began.
//!
//! A budget's row is changed only by whoever holds the account's wallet.

use domain::budget::Meter;
use domain::ids::AccountId;
use domain::instant::Instant;

use crate::db::{Result, Tx};

/// An account's budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Credits a day, at most.
    pub daily_credits: Option<i64>,
    /// Credits a month, at most.
    pub monthly_credits: Option<i64>,
    /// Where the day began.
    pub day: Meter,
    /// Where the month began.
    pub month: Meter,
}

type BudgetRow = (Option<i64>, Option<i64>, i64, i64, i64, i64, i64, i64);

/// The account's budget, if it ever had one.
pub async fn find_budget(tx: &mut Tx, account: AccountId) -> Result<Option<Budget>> {
    let row: Option<BudgetRow> = tx
        .optional(
            "select daily_credits, monthly_credits, day_start, day_base, day_warned, month_start,
               month_base, month_warned
             from budget where account_id = $1",
            (account.0,),
        )
        .await?;
    Ok(row.map(|(daily_credits, monthly_credits, d1, d2, d3, m1, m2, m3)| Budget {
        daily_credits,
        monthly_credits,
        day: Meter { start: Instant(d1), base: d2, warned: d3 },
        month: Meter { start: Instant(m1), base: m2, warned: m3 },
    }))
}

/// Writes the account's budget.
pub async fn save_budget(tx: &mut Tx, account: AccountId, budget: &Budget) -> Result<()> {
    let now = tx.now().0;
    tx.execute(
        "insert into budget (account_id, daily_credits, monthly_credits, day_start, day_base,
           day_warned, month_start, month_base, month_warned, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (account_id) do update set daily_credits = excluded.daily_credits,
           monthly_credits = excluded.monthly_credits, day_start = excluded.day_start,
           day_base = excluded.day_base, day_warned = excluded.day_warned,
           month_start = excluded.month_start, month_base = excluded.month_base,
           month_warned = excluded.month_warned, updated_at = excluded.updated_at",
        (
            account.0,
            budget.daily_credits,
            budget.monthly_credits,
            budget.day.start.0,
            budget.day.base,
            budget.day.warned,
            budget.month.start.0,
            budget.month.base,
            budget.month.warned,
            now,
        ),
    )
    .await?;
    Ok(())
}

/// What had ever been used (spent and reserved) before this instant, by the ledger.
pub async fn used_before(tx: &mut Tx, account: AccountId, at: Instant) -> Result<i64> {
    let row: Option<(i64,)> = tx
        .optional(
            "select spent_after + reserved_after from ledger_entry
             where account_id = $1 and at < $2 order by at desc, seq desc limit 1",
            (account.0, at.0),
        )
        .await?;
    Ok(row.map_or(0, |(used,)| used))
}
