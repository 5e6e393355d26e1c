//! Reconciliation: our books against the carriers' own record of what they took.
//!
//! Every text a carrier took in the span is looked for among ours by its SID, and every text of
//! ours that was charged in the span is looked for in the record. What differs is told one by one:
//! texts that only one side knows, other numbers of billed parts (the customer pays as quoted; the
//! difference is the house's), other ends. What the carrier billed is kept day by day.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use domain::ids::{AccountId, MessageId};
use domain::instant::Instant;
use domain::message::State;
use domain::rates::Price;
use jiff::Span;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use sha2::{Digest, Sha256};
use store::accounts::list_accounts;
use store::carrier_record::{self, Bill, Ours};
use store::{Db, statements, sweep};

use super::statements::each_text;
use super::{Refusal, Result, invalid};
use crate::delivery::carrier::Recorded;
use crate::delivery::routes::Line;

/// Days of one reconciliation at most.
const DAYS_MAX: i64 = 92;
/// Our time of a text and the carrier's differ by less.
const MARGIN: Duration = Duration::from_secs(3600);
/// Differences told one by one; all are counted.
const TOLD_MAX: usize = 1000;
const ACCOUNTS_A_PAGE: i64 = 1000;
const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;

/// A span of whole days, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    from: Instant,
    to: Instant,
}

impl Days {
    /// Reads two days such as `2026-07-01`; the last one counts.
    pub fn parse(from: Option<&str>, to: Option<&str>, now: Instant) -> Result<Self> {
        let day = |field: &str, text: Option<&str>| {
            let text = text.ok_or_else(|| invalid(field, "write a day such as 2026-07-01"))?;
            text.parse::<Date>()
                .ok()
                .filter(|day| text.len() == 10 && (1971..9999).contains(&day.year()))
                .ok_or_else(|| invalid(field, "write a day such as 2026-07-01"))
        };
        let (first, last) = (day("from", from)?, day("to", to)?);
        let start = |day: Date| -> Instant {
            day.to_zoned(TimeZone::UTC).map_or(Instant(0), |at| at.timestamp().into())
        };
        let days = Self { from: start(first), to: start(last.saturating_add(Span::new().days(1))) };
        if days.from >= days.to || days.from > now {
            return Err(invalid("from", "write a day before to, not one that is still to come"));
        }
        if (days.to.0 - days.from.0) / DAY_MICROS > DAYS_MAX {
            return Err(invalid("from", format!("write at most {DAYS_MAX} days")));
        }
        Ok(days)
    }

    fn has(&self, at: Instant) -> bool {
        self.from <= at && at < self.to
    }
}

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Difference {
    /// `carrier_only`, `ours_only`, `segments` or `status`.
    pub kind: &'static str,
    /// The carrier's id of the text.
    pub sid: String,
    /// Our text.
    #[schema(value_type = Option<String>)]
    pub message: Option<MessageId>,
    /// Whose it is.
    #[schema(value_type = Option<String>)]
    pub account: Option<AccountId>,
    /// In words.
    pub detail: String,
}

/// How much one side has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Side {
    /// Texts.
    pub texts: i64,
    /// Billed parts.
    pub segments: i64,
}

/// Differences by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Differences {
    /// The carrier took it, and none of our texts is bound to it.
    pub carrier_only: i64,
    /// We charged for it, and the carrier's record does not hold it.
    pub ours_only: i64,
    /// The carrier bills other parts than were priced.
    pub segments: i64,
    /// It ended otherwise than we know.
    pub status: i64,
}

/// Money that a carrier took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Cost {
    /// Three letters in lower case.
    pub currency: String,
    /// How much, as a decimal number.
    pub amount: String,
}

/// What a reconciliation found.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Reconciliation {
    /// From here.
    #[schema(value_type = String)]
    pub from: Instant,
    /// Until before here.
    #[schema(value_type = String)]
    pub to: Instant,
    /// Nothing is unexplained.
    pub ok: bool,
    /// What it comes to, in a sentence.
    pub verdict: String,
    /// The texts of the carriers' record, from our senders.
    pub carrier: Side,
    /// Of these, those that are ours, with the parts that were priced.
    pub matched: Side,
    /// Credits charged for them.
    pub credits: i64,
    /// Texts of the record that left from senders we do not have.
    pub foreign: i64,
    /// Parts that the carrier bills beyond what was priced, less those it bills short of it.
    pub extra_segments: i64,
    /// What the carriers took for our texts.
    pub cost: Vec<Cost>,
    /// Texts of ours that they have not billed yet.
    pub unbilled: i64,
    /// How many differences there are.
    pub differences: Differences,
    /// The differences, the first thousand.
    pub rows: Vec<Difference>,
}

/// Texts read of a carrier's record so far, and how far back it was read.
pub type Progress = (i64, Instant);

/// Compares. `shared` are the senders that no account owns; `seen` is told of the progress.
pub async fn reconcile(
    db: &Db,
    lines: &[Line],
    shared: &[String],
    days: Days,
    mut seen: impl FnMut(Progress),
) -> Result<Reconciliation> {
    let mut tx = db.read().await?;
    let mut senders: HashSet<String> =
        sweep::sender_addresses(&mut tx).await?.into_iter().collect();
    drop(tx);
    senders.extend(shared.iter().cloned());
    senders.extend(lines.iter().filter_map(|line| Some(line.from.as_ref()?.address.clone())));
    let mut work = Work::new(days, senders);
    for line in lines {
        let mut next: Option<String> = None;
        loop {
            let page = line.carrier.record(next.as_deref()).await.map_err(|error| {
                Refusal::Unavailable(format!("{} does not show its record: {error}", line.name))
            })?;
            let oldest = page.texts.last().map(|one| one.text.created_at);
            work.take_page(db, page.texts).await?;
            if let Some(oldest) = oldest {
                seen((work.read, oldest));
            }
            next = page.next;
            let is_past = oldest.is_some_and(|oldest| oldest < days.from - MARGIN);
            if next.is_none() || is_past {
                break;
            }
        }
    }
    work.look_for_ours(db).await?;
    let bills: Vec<_> = std::mem::take(&mut work.bills).into_iter().collect();
    let mut tx = db.begin().await?;
    carrier_record::save_bills(&mut tx, (days.from, days.to), &bills).await?;
    tx.commit().await?;
    Ok(work.done(&bills))
}

/// A day's bill of an account: whose, which, in what currency.
type BillKey = (AccountId, Instant, String);

struct Work {
    days: Days,
    senders: HashSet<String>,
    read: i64,
    /// The SIDs of the record, as numbers: they are many.
    there: HashSet<u128>,
    carrier: Side,
    matched: Side,
    credits: i64,
    foreign: i64,
    extra_segments: i64,
    differences: Differences,
    rows: Vec<Difference>,
    bills: BTreeMap<BillKey, Bill>,
}

impl Work {
    fn new(days: Days, senders: HashSet<String>) -> Self {
        Self {
            days,
            senders,
            read: 0,
            there: HashSet::new(),
            carrier: Side::default(),
            matched: Side::default(),
            credits: 0,
            foreign: 0,
            extra_segments: 0,
            differences: Differences::default(),
            rows: Vec::new(),
            bills: BTreeMap::new(),
        }
    }

    async fn take_page(&mut self, db: &Db, texts: Vec<Recorded>) -> Result<()> {
        let (from, to) = (self.days.from - MARGIN, self.days.to + MARGIN);
        let mut inside = Vec::new();
        for one in texts {
            let at = one.text.created_at;
            self.read += 1;
            // What came in has no receipt.
            if one.text.receipt.is_none() || at < from || at >= to {
                continue;
            }
            let new = self.there.insert(number(&one.text.sid));
            if new && self.days.has(at) {
                inside.push(one);
            }
        }
        let pairs: Vec<(String, String)> =
            inside.iter().map(|one| (one.text.to.clone(), one.text.sid.clone())).collect();
        let mut tx = db.read().await?;
        let ours = carrier_record::texts_by_sid(&mut tx, &pairs).await?;
        drop(tx);
        for one in &inside {
            match ours.iter().find(|ours| ours.sid == one.text.sid) {
                Some(ours) => self.compare(one, ours),
                None if self.senders.contains(&one.text.sender) => {
                    self.count_side(one);
                    self.differences.carrier_only += 1;
                    let detail = format!(
                        "the carrier took it for {} at {}, and it is none of ours",
                        one.text.to, one.text.created_at
                    );
                    self.tell("carrier_only", &one.text.sid, None, detail);
                }
                None => self.foreign += 1,
            }
        }
        Ok(())
    }

    fn count_side(&mut self, one: &Recorded) {
        self.carrier.texts += 1;
        self.carrier.segments += i64::from(one.segments.unwrap_or(0));
    }

    fn compare(&mut self, one: &Recorded, ours: &Ours) {
        self.count_side(one);
        self.matched.texts += 1;
        self.matched.segments += ours.segments;
        if ours.state.is_charged() {
            self.credits += ours.price;
        }
        let billed = one.segments.map(i64::from);
        if let Some(billed) = billed.filter(|billed| *billed != ours.segments) {
            self.differences.segments += 1;
            self.extra_segments += billed - ours.segments;
            let detail = format!("the carrier bills {billed} parts, {} were priced", ours.segments);
            self.tell("segments", &ours.sid, Some(ours.message), detail);
        }
        let ended =
            one.text.receipt.map(domain::message::Receipt::state).filter(|end| is_end(*end));
        if let Some(end) = ended.filter(|end| *end != ours.state && ours.state != State::Read) {
            self.differences.status += 1;
            let detail = format!("the carrier says {end}, we know {}", ours.state);
            self.tell("status", &ours.sid, Some(ours.message), detail);
        }
        let day = Instant(one.text.created_at.0.div_euclid(DAY_MICROS) * DAY_MICROS);
        let currency = one.price.as_ref().map_or_else(String::new, |price| price.currency.clone());
        let bill = self.bills.entry((ours.message.account, day, currency)).or_default();
        bill.texts += 1;
        bill.segments += billed.unwrap_or(ours.segments);
        bill.priced_segments += ours.segments;
        bill.unbilled += i64::from(one.price.is_none());
        bill.millionths += one.price.as_ref().map_or(0, |price| price.millionths);
    }

    fn tell(&mut self, kind: &'static str, sid: &str, message: Option<MessageId>, detail: String) {
        if self.rows.len() < TOLD_MAX {
            let (sid, account) = (sid.to_owned(), message.map(|message| message.account));
            self.rows.push(Difference { kind, sid, message, account, detail });
        }
    }

    /// The texts we charged for, account by account, against the record.
    async fn look_for_ours(&mut self, db: &Db) -> Result<()> {
        let mut after = AccountId(i64::MIN);
        loop {
            let mut tx = db.read().await?;
            let page = list_accounts(&mut tx, after, ACCOUNTS_A_PAGE).await?;
            drop(tx);
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            for account in page {
                self.look_for(db, account.id).await?;
            }
        }
    }

    async fn look_for(&mut self, db: &Db, account: AccountId) -> Result<()> {
        let mut tx = db.read().await?;
        let start = statements::last_line_before(&mut tx, account, self.days.from).await?;
        let end = statements::last_line_before(&mut tx, account, self.days.to).await?;
        let wanted = statements::facts_between(&mut tx, account, start, end).await?;
        let mut lost = Vec::new();
        each_text(&mut tx, account, (start, end), wanted, |stream, text| {
            let Some(sid) = text.sid.as_ref().filter(|_| text.state.is_charged()) else { return };
            if !self.there.contains(&number(sid)) {
                lost.push((stream, text.clone()));
            }
        })
        .await?;
        for (_, text) in lost {
            self.differences.ours_only += 1;
            let sid = text.sid.unwrap_or_default();
            let detail = format!(
                "line {} charged {} credits for {}, and the carrier's record does not hold it",
                text.seq, text.price, text.phone
            );
            self.tell("ours_only", &sid, None, detail);
            if let Some(row) = self.rows.last_mut().filter(|row| row.sid == sid) {
                row.account = Some(account);
            }
        }
        Ok(())
    }

    fn done(self, bills: &[(BillKey, Bill)]) -> Reconciliation {
        let Differences { carrier_only, ours_only, segments, status } = self.differences;
        let ok = (carrier_only, ours_only, segments, status) == (0, 0, 0, 0);
        let mut cost: BTreeMap<&str, i64> = BTreeMap::new();
        for ((.., currency), bill) in
            bills.iter().filter(|((.., currency), _)| !currency.is_empty())
        {
            *cost.entry(currency).or_default() += bill.millionths;
        }
        for (kind, n) in [
            ("carrier_only", carrier_only),
            ("ours_only", ours_only),
            ("segments", segments),
            ("status", status),
        ] {
            let n = f64::from(i32::try_from(n).unwrap_or(i32::MAX));
            metrics::gauge!("ledgerline_reconciliation_differences", "kind" => kind).set(n);
        }
        if !ok {
            tracing::error!(
                component = "reconciliation",
                carrier_only,
                ours_only,
                segments,
                status,
                extra_segments = self.extra_segments,
                "our books and the carrier's record differ"
            );
        }
        Reconciliation {
            from: self.days.from,
            to: self.days.to,
            ok,
            verdict: verdict(self.matched.texts, self.differences, self.extra_segments),
            carrier: self.carrier,
            matched: self.matched,
            credits: self.credits,
            foreign: self.foreign,
            extra_segments: self.extra_segments,
            cost: cost
                .into_iter()
                .map(|(currency, millionths)| Cost {
                    currency: currency.to_owned(),
                    amount: Price::decimal(millionths),
                })
                .collect(),
            unbilled: bills.iter().map(|(_, bill)| bill.unbilled).sum(),
            differences: self.differences,
            rows: self.rows,
        }
    }
}

const fn is_end(state: State) -> bool {
    matches!(state, State::Delivered | State::Undelivered | State::Failed | State::Read)
}

fn verdict(matched: i64, differences: Differences, extra: i64) -> String {
    let Differences { carrier_only, ours_only, segments, status } = differences;
    let told: Vec<String> = [
        (carrier_only, "only the carrier knows"),
        (ours_only, "only our books know"),
        (segments, "billed with other parts"),
        (status, "ended otherwise (or are still on their way)"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, words)| format!("{n} {words}"))
    .collect();
    if told.is_empty() {
        return format!("Zero unexplained residue: {matched} texts are the same on both sides.");
    }
    let cost = match extra {
        0 => String::new(),
        n => format!("; {n:+} parts at the house's cost"),
    };
    format!("{matched} texts are on both sides; {}{cost}.", told.join(", "))
}

/// A SID as a number: its hexadecimal digits, or a digest of anything else.
fn number(sid: &str) -> u128 {
    let digits = sid.get(2..).filter(|digits| digits.len() == 32);
    digits.and_then(|digits| u128::from_str_radix(digits, 16).ok()).unwrap_or_else(|| {
        let digest = Sha256::digest(sid.as_bytes());
        u128::from_be_bytes(digest[..16].try_into().expect("a digest is longer"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_says_what_differs() {
        let none = Differences::default();
        assert!(verdict(5, none, 0).starts_with("Zero unexplained residue: 5 texts"));
        let some = Differences { ours_only: 2, segments: 1, ..none };
        assert_eq!(
            verdict(5, some, 3),
            "5 texts are on both sides; 2 only our books know, 1 billed with other parts; \
             +3 parts at the house's cost."
        );
    }

    #[test]
    fn days_are_whole_and_past() {
        let now = Instant::parse("2026-07-15T17:00:00Z").expect("a time");
        for (from, to, good) in [
            (Some("2026-07-01"), Some("2026-07-01"), true),
            (Some("2026-07-15"), Some("2026-07-31"), true),
            (Some("2026-07-16"), Some("2026-07-17"), false),
            (Some("2026-07-02"), Some("2026-07-01"), false),
            (Some("2026-01-01"), Some("2026-07-01"), false),
            (Some("2026-7-1"), Some("2026-07-01"), false),
            (None, Some("2026-07-01"), false),
            (Some("2026-07-01"), None, false),
        ] {
            assert_eq!(Days::parse(from, to, now).is_ok(), good, "{from:?} {to:?}");
        }
    }
}
