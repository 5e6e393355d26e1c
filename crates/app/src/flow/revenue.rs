//! Revenue of the platform: money and credits over accounts and months.
//!
//! Each account's month is its own, on its own clock, as on its statement. Accounts are gone
//! through one after another; nothing spans two of them but the totals.

use std::collections::BTreeMap;

use domain::ids::AccountId;
use domain::instant::Instant;
use domain::quiet_hours;
use domain::rates::Price;
use jiff::tz::TimeZone;
use serde::Serialize;
use store::accounts::{Account, list_accounts};
use store::{Db, carrier_record};

use super::{Refusal, Result, invalid};
use crate::finance::rates::percent;
use crate::finance::statements::{Month, ledger_month};
use crate::sheet::Sheet;

/// Months of one report at most.
const MONTHS_MAX: i64 = 36;
/// Rows of one report at most.
const ROWS_MAX: usize = 20_000;
const ACCOUNTS_A_PAGE: i64 = 1000;

/// Money in one currency, in its smallest unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct MoneyOut {
    /// Three letters in lower case.
    pub currency: String,
    /// Came in.
    pub paid: i64,
    /// Of it, went back since.
    pub refunded: i64,
    /// Of it, is disputed now, or was lost.
    pub disputed: i64,
}

/// Credits of a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct CreditsOut {
    /// Sold.
    pub sold: i64,
    /// Given.
    pub granted: i64,
    /// Corrected by the operator.
    pub adjusted: i64,
    /// Taken back with the money, less what was given again.
    pub returned: i64,
    /// Used for texts, less what came back for texts that never left.
    pub used: i64,
    /// Expired unused.
    pub expired: i64,
    /// Used without being paid.
    pub lost: i64,
    /// What customers could still use at its end: the house owes it.
    pub outstanding: i64,
    /// What customers owed at its end.
    pub owed: i64,
}

impl CreditsOut {
    fn add(&mut self, other: &Self) {
        self.sold += other.sold;
        self.granted += other.granted;
        self.adjusted += other.adjusted;
        self.returned += other.returned;
        self.used += other.used;
        self.expired += other.expired;
        self.lost += other.lost;
        self.outstanding += other.outstanding;
        self.owed += other.owed;
    }
}

/// What carriers billed, in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct CarrierCost {
    /// Three letters in lower case; empty for what is not billed yet.
    pub currency: String,
    /// How much, as a decimal number.
    pub amount: String,
    /// For how many texts.
    pub texts: i64,
    /// For how many parts.
    pub segments: i64,
}

/// An account's month.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RevenueRow {
    /// Whose.
    #[schema(value_type = String)]
    pub account: AccountId,
    /// Its name.
    pub name: String,
    /// Such as `2026-07`, on the account's clock.
    pub month: String,
    /// Money that came in.
    pub money: Vec<MoneyOut>,
    /// Credits.
    pub credits: CreditsOut,
    /// What carriers billed, as far as their record was read (days in UTC).
    pub carrier_cost: Vec<CarrierCost>,
    /// What the used credits are worth, less what carriers billed, as a decimal number; where both
    /// are known in one currency.
    pub margin: Option<String>,
    /// The same in percent of the credits' worth.
    pub margin_percent: Option<f64>,
}

/// Sums over all rows of a month.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RevenueTotal {
    /// The month.
    pub month: String,
    /// Accounts with anything to tell.
    pub accounts: i64,
    /// Money that came in.
    pub money: Vec<MoneyOut>,
    /// Credits.
    pub credits: CreditsOut,
}

/// Revenue over accounts and months.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Revenue {
    /// The first month.
    pub from: String,
    /// The last month.
    pub to: String,
    /// What a credit is worth, as a decimal number: what the cheapest one costs.
    pub credit_worth: String,
    /// Of what a credit is worth.
    pub credit_currency: String,
    /// Sums by month.
    pub totals: Vec<RevenueTotal>,
    /// Account by account, month by month; months in which nothing was and nothing moved are left
    /// out.
    pub rows: Vec<RevenueRow>,
}

/// Reads the months of a report.
pub fn months(from: Option<&str>, to: Option<&str>, now: Instant) -> Result<(Month, Month)> {
    let present = Month::of(now, &TimeZone::UTC);
    let month = |field: &str, text: Option<&str>| match text {
        None => Ok(present),
        Some(text) => Month::parse(text)
            .filter(|month| *month <= present.later(1))
            .ok_or_else(|| invalid(field, format!("write a month such as {present}"))),
    };
    let (first, last) = (month("from", from)?, month("to", to)?);
    match first.until(last) {
        1..=MONTHS_MAX => Ok((first, last)),
        0 => Err(invalid("to", "write a month that is not before from")),
        _ => Err(invalid("from", format!("write at most {MONTHS_MAX} months"))),
    }
}

/// Reports the revenue of some months.
pub async fn revenue(db: &Db, (from, to): (Month, Month), worth: &Price) -> Result<Revenue> {
    let mut report = Revenue {
        from: from.to_string(),
        to: to.to_string(),
        credit_worth: Price::decimal(worth.millionths),
        credit_currency: worth.currency.clone(),
        totals: Vec::new(),
        rows: Vec::new(),
    };
    let mut after = AccountId(i64::MIN);
    loop {
        let mut tx = db.read().await?;
        let page = list_accounts(&mut tx, after, ACCOUNTS_A_PAGE).await?;
        drop(tx);
        let Some(last) = page.last() else { break };
        after = last.id;
        for account in &page {
            for n in 0..from.until(to) {
                if let Some(row) = row(db, account, from.later(n), worth).await? {
                    report.rows.push(row);
                }
            }
        }
        if report.rows.len() > ROWS_MAX {
            let words = format!("the report has more than {ROWS_MAX} rows; ask for fewer months");
            return Err(Refusal::State(words));
        }
    }
    report.totals = (0..from.until(to)).map(|n| total(from.later(n), &report.rows)).collect();
    Ok(report)
}

async fn row(
    db: &Db,
    account: &Account,
    month: Month,
    worth: &Price,
) -> Result<Option<RevenueRow>> {
    let zone = quiet_hours::zone(&account.timezone).unwrap_or(TimeZone::UTC);
    if month.end(&zone) <= account.created_at {
        return Ok(None);
    }
    let mut tx = db.read().await?;
    let ledger = ledger_month(&mut tx, account.id, month, &zone).await?;
    let span = (month.start(&zone), month.end(&zone));
    let money = carrier_record::money(&mut tx, account.id, span).await?;
    let utc = (month.start(&TimeZone::UTC), month.end(&TimeZone::UTC));
    let bills = carrier_record::bills(&mut tx, account.id, utc).await?;
    drop(tx);
    let credits = CreditsOut {
        sold: ledger.purchases.credits,
        granted: ledger.grants.credits,
        adjusted: ledger.adjustments.credits,
        returned: -ledger.returns.credits,
        used: ledger.charged - ledger.refunded + ledger.late,
        expired: -ledger.expiry.credits,
        lost: ledger.lost,
        outstanding: ledger.closing.available + ledger.closing.reserved,
        owed: ledger.closing.owed,
    };
    let is_empty = ledger.after == ledger.upto && credits == CreditsOut::default();
    if is_empty && money.is_empty() && bills.is_empty() {
        return Ok(None);
    }
    let used = (credits.used - credits.lost).saturating_mul(worth.millionths);
    let cost = bills.iter().find(|(price, _)| price.currency == worth.currency);
    let left = cost.map(|(price, _)| used - price.millionths);
    Ok(Some(RevenueRow {
        account: account.id,
        name: account.name.clone(),
        month: month.to_string(),
        money: money
            .into_iter()
            .map(|(currency, [paid, refunded, disputed])| MoneyOut {
                currency,
                paid,
                refunded,
                disputed,
            })
            .collect(),
        credits,
        carrier_cost: bills
            .into_iter()
            .map(|(price, bill)| CarrierCost {
                currency: price.currency,
                amount: Price::decimal(price.millionths),
                texts: bill.texts,
                segments: bill.segments,
            })
            .collect(),
        margin: left.map(Price::decimal),
        margin_percent: left.and_then(|left| percent(left, used)),
    }))
}

fn total(month: Month, rows: &[RevenueRow]) -> RevenueTotal {
    let month = month.to_string();
    let mut total = RevenueTotal { month: month.clone(), ..RevenueTotal::default() };
    let mut money: BTreeMap<&str, MoneyOut> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.month == month) {
        total.accounts += 1;
        total.credits.add(&row.credits);
        for one in &row.money {
            let sum = money.entry(&one.currency).or_default();
            one.currency.clone_into(&mut sum.currency);
            sum.paid += one.paid;
            sum.refunded += one.refunded;
            sum.disputed += one.disputed;
        }
    }
    total.money = money.into_values().collect();
    total
}

/// Writes a report as CSV: a row for each account, month and currency of its money.
pub fn csv(report: &Revenue) -> String {
    let mut sheet = Sheet::new(&[
        "month",
        "account",
        "name",
        "currency",
        "paid",
        "refunded",
        "disputed",
        "sold",
        "granted",
        "adjusted",
        "returned",
        "used",
        "expired",
        "lost",
        "outstanding",
        "owed",
        "carrier_cost",
        "carrier_currency",
        "margin",
    ]);
    for row in &report.rows {
        let money = row.money.first();
        let amount = |pick: fn(&MoneyOut) -> i64| {
            money.map(|money| pick(money).to_string()).unwrap_or_default()
        };
        let cost = row.carrier_cost.iter().find(|cost| !cost.currency.is_empty());
        let one = &row.credits;
        let mut cells = vec![
            row.month.clone(),
            row.account.to_string(),
            row.name.clone(),
            money.map(|money| money.currency.clone()).unwrap_or_default(),
            amount(|money| money.paid),
            amount(|money| money.refunded),
            amount(|money| money.disputed),
        ];
        let credits = [
            one.sold,
            one.granted,
            one.adjusted,
            one.returned,
            one.used,
            one.expired,
            one.lost,
            one.outstanding,
            one.owed,
        ];
        cells.extend(credits.map(|credits| credits.to_string()));
        cells.push(cost.map(|cost| cost.amount.clone()).unwrap_or_default());
        cells.push(cost.map(|cost| cost.currency.clone()).unwrap_or_default());
        cells.push(row.margin.clone().unwrap_or_default());
        sheet.row(cells);
        // Credits stand once; money in another currency gets a row of its own.
        for more in row.money.iter().skip(1) {
            let mut cells = vec![
                row.month.clone(),
                row.account.to_string(),
                row.name.clone(),
                more.currency.clone(),
            ];
            cells.extend([more.paid, more.refunded, more.disputed].map(|sum| sum.to_string()));
            sheet.row(cells);
        }
    }
    sheet.text()
}
