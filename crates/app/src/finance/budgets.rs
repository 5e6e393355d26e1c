//! Budgets: what an account allows itself to spend in a day and in a month.
//!
//! What is used is read off the wallet, under the lock that reserves credits: all that was ever
//! spent and is reserved now, less what that was when the span began. Nothing is summed up, so a
//! look costs the same for a hot account as for a quiet one.

use domain::budget::{MARKS, Meter, Span, SpanKind, crossed, left, words};
use domain::ids::AccountId;
use domain::instant::Instant;
use domain::ledger::{AMOUNT_MAX, Books};
use domain::quiet_hours;
use domain::seam::Dice;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use store::budgets::{self, Budget};
use store::notices::{self, Notice, NoticeKind};
use store::{Error, Tx, accounts, audit, wallets};

use super::credits::OpenWallet;
use crate::refusal::{Result, invalid};

/// One limit, and what its span has used of it.
#[derive(Clone, Debug)]
struct Gauge {
    span: Span,
    limit: Option<i64>,
    meter: Meter,
    used: i64,
    /// A text had to wait for it.
    reached: bool,
}

impl Gauge {
    async fn read(
        tx: &mut Tx,
        account: AccountId,
        (kind, zone): (SpanKind, &TimeZone),
        (limit, mut meter): (Option<i64>, Meter),
        ever_used: i64,
    ) -> store::Result<Self> {
        let span = Span::around(kind, tx.now(), zone);
        if meter.start != span.start {
            let base = budgets::used_before(tx, account, span.start).await?;
            meter = Meter { start: span.start, base, warned: 0 };
        }
        let used = meter.read(ever_used);
        Ok(Self { span, limit, meter, used, reached: false })
    }

    fn room(&self) -> i64 {
        self.limit.map_or(i64::MAX, |limit| left(limit, self.used))
    }

    fn notice(&self, limit: i64, mark: i64) -> Notice {
        let Span { kind, name, end, .. } = &self.span;
        let kind = kind.as_str();
        let used = self.used;
        let (title, effect) = if mark < 100 {
            (format!("{mark} % of the {kind}'s budget is used"), "Texts leave as before")
        } else {
            (
                format!("The {kind}'s budget is used up"),
                "Campaigns pause and single texts wait, unless the budget is raised",
            )
        };
        Notice {
            kind: NoticeKind::Budget,
            subject: format!("budget:{kind}:{name}:{limit}:{mark}"),
            title,
            detail: format!(
                "{used} of {limit} credits were used for {name}. {effect}; the next {kind} begins \
                 at {end}."
            ),
            link: Some("/v1/budget".to_owned()),
        }
    }
}

/// An account's budget as it stands, to be spent from by the holder of the wallet.
#[derive(Clone, Debug)]
pub struct OpenBudget {
    account: AccountId,
    kept: Budget,
    day: Gauge,
    month: Gauge,
}

impl OpenBudget {
    /// The budget of an account with these books and this clock; `None` when it has no limits.
    pub async fn open(
        tx: &mut Tx,
        account: AccountId,
        books: &Books,
        zone: &TimeZone,
    ) -> store::Result<Option<Self>> {
        let Some(kept) = budgets::find_budget(tx, account).await? else { return Ok(None) };
        if kept.daily_credits.is_none() && kept.monthly_credits.is_none() {
            return Ok(None);
        }
        Self::read(tx, account, kept, books, zone).await.map(Some)
    }

    async fn read(
        tx: &mut Tx,
        account: AccountId,
        kept: Budget,
        books: &Books,
        zone: &TimeZone,
    ) -> store::Result<Self> {
        let ever_used = books.spent + books.reserved;
        let day = (kept.daily_credits, kept.day);
        let month = (kept.monthly_credits, kept.month);
        Ok(Self {
            account,
            kept,
            day: Gauge::read(tx, account, (SpanKind::Day, zone), day, ever_used).await?,
            month: Gauge::read(tx, account, (SpanKind::Month, zone), month, ever_used).await?,
        })
    }

    /// Credits that may still be used.
    pub fn room(&self) -> i64 {
        self.day.room().min(self.month.room())
    }

    /// Uses credits.
    pub fn take(&mut self, credits: i64) {
        for gauge in [&mut self.day, &mut self.month] {
            gauge.used += credits;
        }
    }

    /// Notes that something had to wait for the budget: until when at most, and why in words.
    pub fn stop(&mut self, credits: i64) -> (Instant, String) {
        // When neither has room, the month is what is waited for.
        let gauge = if self.month.room() < credits { &mut self.month } else { &mut self.day };
        gauge.reached = true;
        (gauge.span.end, words(gauge.limit.unwrap_or(0), &gauge.span))
    }

    /// Keeps what has changed, and tells the account of the marks it has come to.
    pub async fn close(mut self, tx: &mut Tx) -> store::Result<()> {
        for gauge in [&mut self.day, &mut self.month] {
            let Some(limit) = gauge.limit else { continue };
            for mark in crossed(limit, gauge.used, gauge.meter.warned, gauge.reached) {
                notices::give(tx, self.account, gauge.notice(limit, mark)).await?;
                gauge.meter.warned = mark;
            }
        }
        let after = Budget { day: self.day.meter, month: self.month.meter, ..self.kept };
        if after != self.kept {
            budgets::save_budget(tx, self.account, &after).await?;
        }
        Ok(())
    }
}

/// Whether an account's budget has room for these credits now.
pub async fn has_room(tx: &mut Tx, account: AccountId, credits: i64) -> store::Result<bool> {
    let books = wallets::wallet(tx, account).await?.books;
    let zone = zone_of(tx, account).await?;
    let open = OpenBudget::open(tx, account, &books, &zone).await?;
    Ok(open.is_none_or(|open| open.room() >= credits))
}

async fn zone_of(tx: &mut Tx, account: AccountId) -> store::Result<TimeZone> {
    let owner = accounts::account(tx, account).await?;
    quiet_hours::zone(&owner.timezone)
        .map_err(|_| Error::Damaged("an account's time zone".to_owned()))
}

/// A wanted budget; what is left out or `null` is without limit.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetIn {
    /// Credits from midnight to midnight of the account's clock, at most.
    pub daily_credits: Option<i64>,
    /// Credits in a month of the account's calendar, at most.
    pub monthly_credits: Option<i64>,
}

/// A budget and what was used of it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct BudgetOut {
    /// Credits a day, at most; `null` for no limit.
    pub daily_credits: Option<i64>,
    /// Credits a month, at most; `null` for no limit.
    pub monthly_credits: Option<i64>,
    /// Credits spent and reserved since midnight.
    pub used_today: i64,
    /// Credits spent and reserved since the first of the month.
    pub used_this_month: i64,
    /// When the next day begins.
    #[schema(value_type = String)]
    pub day_ends_at: Instant,
    /// When the next month begins.
    #[schema(value_type = String)]
    pub month_ends_at: Instant,
    /// Parts of a limit, in percent, at which a notice is given.
    pub warnings: [i64; 3],
    /// `open`, or `reached` when nothing more may be spent.
    pub state: &'static str,
    /// Which limit is reached, and until when; `null` while it is open.
    pub reason: Option<String>,
}

/// An account's budget.
pub async fn show(tx: &mut Tx, account: AccountId) -> Result<BudgetOut> {
    let kept = budgets::find_budget(tx, account).await?.unwrap_or_default();
    let books = wallets::wallet(tx, account).await?.books;
    let zone = zone_of(tx, account).await?;
    let mut open = OpenBudget::read(tx, account, kept, &books, &zone).await?;
    let reason = (open.room() < 1).then(|| open.stop(1).1);
    Ok(BudgetOut {
        daily_credits: kept.daily_credits,
        monthly_credits: kept.monthly_credits,
        used_today: open.day.used,
        used_this_month: open.month.used,
        day_ends_at: open.day.span.end,
        month_ends_at: open.month.span.end,
        warnings: MARKS,
        state: if reason.is_some() { "reached" } else { "open" },
        reason,
    })
}

/// Sets an account's budget, whole.
pub async fn write(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    actor: &str,
    wanted: &BudgetIn,
) -> Result<BudgetOut> {
    let limits =
        [("daily_credits", wanted.daily_credits), ("monthly_credits", wanted.monthly_credits)];
    for (field, limit) in limits {
        if limit.is_some_and(|limit| !(1..=AMOUNT_MAX).contains(&limit)) {
            let words = format!("write a number of credits from 1 to {AMOUNT_MAX}, or null");
            return Err(invalid(field, words));
        }
    }
    let wallet = OpenWallet::lock(tx, account).await?;
    let before = budgets::find_budget(tx, account).await?.unwrap_or_default();
    let mut after = Budget {
        daily_credits: wanted.daily_credits,
        monthly_credits: wanted.monthly_credits,
        ..before
    };
    // Other limits have marks of their own to come to.
    if after.daily_credits != before.daily_credits {
        after.day.warned = 0;
    }
    if after.monthly_credits != before.monthly_credits {
        after.month.warned = 0;
    }
    if after != before {
        budgets::save_budget(tx, account, &after).await?;
        let mut id = [0; 16];
        dice.fill(&mut id);
        let limit = |limit: Option<i64>| limit.map_or("none".to_owned(), |n| n.to_string());
        let detail = format!(
            "daily {} to {}, monthly {} to {}",
            limit(before.daily_credits),
            limit(after.daily_credits),
            limit(before.monthly_credits),
            limit(after.monthly_credits),
        );
        audit::note(tx, account, id, (actor, "budget.write", &detail)).await?;
    }
    let zone = zone_of(tx, account).await?;
    if let Some(open) = OpenBudget::open(tx, account, wallet.books(), &zone).await? {
        open.close(tx).await?;
    }
    show(tx, account).await
}
