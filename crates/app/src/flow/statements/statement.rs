//! A statement: one account, one month.

use domain::contexts;
use domain::ids::{AccountId, StreamId};
use domain::instant::Instant;
use domain::quiet_hours;
use jiff::tz::TimeZone;
use serde::Serialize;
use store::accounts::{self, Account};
use store::{Tx, statements as kept};

use super::super::{Result, invalid};
use super::usage::{Count, Usage, usage};
use crate::finance::books::Check;
use crate::finance::statements::{Balances, LedgerMonth, Month, Section, ledger_month};

/// Texts of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct DayUse {
    /// Which, on the account's clock.
    pub date: String,
    /// How many.
    #[serde(flatten)]
    pub count: Count,
}

/// Texts of a campaign, or those that were sent one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct CampaignUse {
    /// The campaign; `null` for texts that belong to none.
    #[schema(value_type = Option<String>)]
    pub id: Option<StreamId>,
    /// Its name, or what the others are.
    pub name: String,
    /// How many.
    #[serde(flatten)]
    pub count: Count,
}

/// Texts of a reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ContextUse {
    /// Its key.
    pub context: String,
    /// `transactional` or `marketing`.
    pub category: Option<&'static str>,
    /// How many.
    #[serde(flatten)]
    pub count: Count,
}

/// Texts to a country.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct CountryUse {
    /// ISO 3166, or `other`.
    pub country: String,
    /// How many.
    #[serde(flatten)]
    pub count: Count,
}

/// What texts were charged for, by everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct UsageOut {
    /// All of them.
    pub total: Count,
    /// By day, every day of the month.
    pub days: Vec<DayUse>,
    /// By campaign, the dearest first.
    pub campaigns: Vec<CampaignUse>,
    /// By reason, the dearest first.
    pub contexts: Vec<ContextUse>,
    /// By country, the dearest first.
    pub countries: Vec<CountryUse>,
}

/// Texts that were charged after their credits had been given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct LateOut {
    /// How many, and what they cost.
    #[serde(flatten)]
    pub count: Count,
    /// Of these credits, what the account did not have and does not pay.
    pub not_charged: i64,
}

/// A line of the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Sum {
    /// Which section.
    pub section: &'static str,
    /// What it changed of the account's credits.
    pub credits: i64,
}

/// An account's month.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Statement {
    /// Whose.
    #[schema(value_type = String)]
    pub account: AccountId,
    /// Its name.
    pub name: String,
    /// The month, such as `2026-07`.
    pub month: String,
    /// The clock of its days.
    pub timezone: String,
    /// From here.
    #[schema(value_type = String)]
    pub from: Instant,
    /// Until before here.
    #[schema(value_type = String)]
    pub to: Instant,
    /// The month is over: nothing is added any more.
    pub complete: bool,
    /// Everything adds up, to the credit; the checks say what was compared.
    pub ok: bool,
    /// The checks.
    pub checks: Vec<Check>,
    /// The first line of the ledger that belongs to it.
    pub first_line: i64,
    /// The last one.
    pub last_line: i64,
    /// What was there before.
    pub opening: Balances,
    /// What the opening credits and each section make: the closing credits.
    pub sums: Vec<Sum>,
    /// What is there after.
    pub closing: Balances,
    /// Bought.
    pub purchases: Section,
    /// Given, by a plan or by the operator.
    pub grants: Section,
    /// Corrected by the operator.
    pub adjustments: Section,
    /// Taken back with the money, frozen by a dispute, given back.
    pub returns: Section,
    /// Not used in time.
    pub expiry: Section,
    /// Texts that the carrier took.
    pub usage: UsageOut,
    /// Texts that never left the carrier after all: their credits came back.
    pub refunds: Count,
    /// Texts that turned out to have left after their credits had come back.
    pub late_charges: LateOut,
}

/// The clock of an account's months.
fn zone_of(owner: &Account) -> TimeZone {
    quiet_hours::zone(&owner.timezone).unwrap_or(TimeZone::UTC)
}

/// Reads a month as callers write it: `2026-07`, not one that is still to come.
fn month_of(text: &str, owner: &Account, now: Instant) -> Result<Month> {
    let last = Month::of(now, &zone_of(owner));
    Month::parse(text)
        .filter(|month| *month <= last)
        .ok_or_else(|| invalid("month", format!("write a month such as {last}, not a later one")))
}

/// An account's statement for a month.
pub async fn statement(tx: &mut Tx, account: AccountId, month: &str) -> Result<Statement> {
    let owner = accounts::account(tx, account).await?;
    let now = tx.now();
    let month = month_of(month, &owner, now)?;
    let zone = zone_of(&owner);
    let ledger = ledger_month(tx, account, month, &zone).await?;
    let used = usage(tx, account, &ledger).await?;
    let streams: Vec<StreamId> = used.streams.keys().copied().collect();
    let names = kept::campaign_names(tx, account, &streams).await?;
    let checks = checks(&ledger, &used);
    let (first_line, last_line) = (ledger.after + 1, ledger.upto);
    Ok(Statement {
        account,
        name: owner.name,
        month: month.to_string(),
        timezone: owner.timezone,
        from: month.start(&zone),
        to: month.end(&zone),
        complete: month.end(&zone) <= now,
        ok: checks.iter().all(|check| check.ok),
        checks,
        first_line,
        last_line,
        opening: ledger.opening,
        sums: ledger.sums().map(|(section, credits)| Sum { section, credits }).to_vec(),
        closing: ledger.closing,
        refunds: used.refunded,
        late_charges: LateOut { count: used.late, not_charged: ledger.lost },
        usage: shown(used, month, &names),
        purchases: ledger.purchases,
        grants: ledger.grants,
        adjustments: ledger.adjustments,
        returns: ledger.returns,
        expiry: ledger.expiry,
    })
}

fn checks(ledger: &LedgerMonth, used: &Usage) -> Vec<Check> {
    let lines = ledger.upto - ledger.after;
    let differs = |what: &str, texts: i64, lines: i64| {
        (texts != lines).then(|| format!("{what}: texts say {texts}, the ledger says {lines}"))
    };
    let by_day: i64 = used.days.values().map(|count| count.credits).sum();
    vec![
        Check::of(
            "ledger_adds_up",
            ledger.faults.first().cloned(),
            format!("{lines} lines lead from the opening to the closing balances"),
        ),
        Check::of(
            "texts_are_the_ledger",
            used.faults
                .first()
                .cloned()
                .or_else(|| differs("charged", used.charged.credits, ledger.charged))
                .or_else(|| differs("given back", used.refunded.credits, ledger.refunded))
                .or_else(|| differs("charged late", used.late.credits, ledger.late))
                .or_else(|| differs("charged by day", by_day, ledger.charged)),
            format!(
                "{} texts are the {} credits that the ledger charged",
                used.charged.messages, ledger.charged
            ),
        ),
    ]
}

fn shown(used: Usage, month: Month, names: &[(StreamId, String)]) -> UsageOut {
    let days = (0..).zip(month.days()).map(|(day, date)| DayUse {
        date: date.to_string(),
        count: used.days.get(&day).copied().unwrap_or_default(),
    });
    let mut campaigns: Vec<CampaignUse> = Vec::new();
    for (stream, count) in used.streams {
        let name = names.iter().find(|(id, _)| *id == stream).map(|(_, name)| name.clone());
        let (id, name) = match name {
            Some(name) => (Some(stream), name),
            None if stream.is_endless() => (None, lane_name(stream).to_owned()),
            None => (Some(stream), stream.to_string()),
        };
        campaigns.push(CampaignUse { id, name, count });
    }
    campaigns.sort_by_key(|one| std::cmp::Reverse(one.count.credits));
    let context = |(context, count): (String, Count)| ContextUse {
        category: contexts::find(&context).map(|context| context.category.as_str()),
        context,
        count,
    };
    let mut reasons: Vec<ContextUse> = used.contexts.into_iter().map(context).collect();
    reasons.sort_by_key(|one| std::cmp::Reverse(one.count.credits));
    let country = |(country, count)| CountryUse { country, count };
    let mut countries: Vec<CountryUse> = used.countries.into_iter().map(country).collect();
    countries.sort_by_key(|one| std::cmp::Reverse(one.count.credits));
    UsageOut { total: used.charged, days: days.collect(), campaigns, contexts: reasons, countries }
}

/// What texts of an endless stream are.
fn lane_name(stream: StreamId) -> &'static str {
    match stream.0 {
        2 => "Codes",
        3 => "Urgent texts",
        4 => "Replies",
        5 => "Reminders",
        _ => "Single texts",
    }
}

/// A month of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct MonthOut {
    /// The month, such as `2026-07`.
    pub month: String,
    /// It is over.
    pub complete: bool,
    /// Lines of the ledger.
    pub lines: i64,
    /// What was there after it, or is there now.
    pub closing: Balances,
}

/// How many months an account has statements for.
pub async fn months(tx: &mut Tx, account: AccountId) -> Result<i64> {
    let owner = accounts::account(tx, account).await?;
    let zone = zone_of(&owner);
    Ok(Month::of(owner.created_at, &zone).until(Month::of(tx.now(), &zone)))
}

/// Months of an account, the newest first: those numbered `first` and on, from 0.
pub async fn list(
    tx: &mut Tx,
    account: AccountId,
    first: i64,
    limit: i64,
) -> Result<Vec<(i64, MonthOut)>> {
    let there = months(tx, account).await?;
    let owner = accounts::account(tx, account).await?;
    let (zone, now) = (zone_of(&owner), tx.now());
    let newest = Month::of(now, &zone);
    let mut list = Vec::new();
    for number in first..there.min(first + limit) {
        let month = newest.later(-number);
        let upto = kept::last_line_before(tx, account, month.end(&zone)).await?;
        let after = kept::last_line_before(tx, account, month.start(&zone)).await?;
        let closing = Balances::of(kept::balances_after(tx, account, upto).await?);
        let complete = month.end(&zone) <= now;
        let month = month.to_string();
        list.push((number, MonthOut { month, complete, lines: upto - after, closing }));
    }
    Ok(list)
}
