//! A month of an account's ledger: what was there, what moved and why, what is left.
//!
//! The month's lines are read once, in pages, and nothing is taken for granted on the way: each
//! line's balances must follow from the line before. What texts cost is told here as sums; the
//! texts themselves are known to the layers above.

use std::fmt;

use domain::ids::{AccountId, PurchaseId};
use domain::instant::Instant;
use domain::ledger::{Books, Kind};
use domain::local_time;
use jiff::Span;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde::Serialize;
use store::statements::{self, SlimLine};
use store::{Result, Tx};

/// Lines read at once.
const LINES_A_PAGE: i64 = 1000;
/// Movements told one by one in a section; all are summed.
const ITEMS_MAX: usize = 1000;

/// A calendar month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(Date);

impl Month {
    /// Reads `2026-07`.
    pub fn parse(text: &str) -> Option<Self> {
        let whole = text.len() == 7 && text.is_ascii();
        let first: Date = format!("{text}-01").parse().ok().filter(|_| whole)?;
        (1970..9999).contains(&first.year()).then_some(Self(first))
    }

    /// The month of an instant on a clock.
    pub fn of(at: Instant, zone: &TimeZone) -> Self {
        Self(local_time::shown(at, zone).date().first_of_month())
    }

    /// The month `months` later, or earlier.
    #[must_use]
    pub fn later(self, months: i64) -> Self {
        Self(self.0.saturating_add(Span::new().months(months)))
    }

    /// Months from this one to `last`, both counted; none if it is earlier.
    pub fn until(self, last: Self) -> i64 {
        let number = |month: Self| i64::from(month.0.year()) * 12 + i64::from(month.0.month());
        (number(last) - number(self) + 1).max(0)
    }

    /// When it begins on a clock.
    pub fn start(self, zone: &TimeZone) -> Instant {
        start_of(self.0, zone)
    }

    /// When it ends on a clock: the first instant of the next.
    pub fn end(self, zone: &TimeZone) -> Instant {
        self.later(1).start(zone)
    }

    /// Its days.
    pub fn days(self) -> impl Iterator<Item = Date> {
        let first = self.0;
        (0..first.days_in_month())
            .map(move |day| first.saturating_add(Span::new().days(i64::from(day))))
    }

    /// The place among its days of an instant on a clock; what lies outside counts as its first
    /// or its last.
    pub fn day_of(self, at: Instant, zone: &TimeZone) -> u8 {
        let day = local_time::shown(at, zone).date();
        let day = day.clamp(self.0, self.0.last_of_month());
        u8::try_from(day.day() - 1).unwrap_or(0)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m"))
    }
}

fn start_of(day: Date, zone: &TimeZone) -> Instant {
    local_time::resolve(day.to_datetime(Time::midnight()), zone).instant
}

/// What an account has at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Balances {
    /// May be spent.
    pub available: i64,
    /// Held for texts that may leave or may have left.
    pub reserved: i64,
    /// Debt.
    pub owed: i64,
    /// The three together: what is there and held, less the debt.
    pub credits: i64,
    /// Gone for texts, ever.
    pub spent: i64,
}

impl Balances {
    /// From the customer's four books: available, reserved, spent, owed.
    pub const fn of([available, reserved, spent, owed]: [i64; 4]) -> Self {
        Self { available, reserved, owed, credits: available + reserved - owed, spent }
    }
}

/// What a line changes of [`Balances::credits`].
pub const fn moves(change: &Books) -> i64 {
    change.available + change.reserved - change.owed
}

/// The money behind bought credits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct PaymentOut {
    /// The purchase.
    #[schema(value_type = String)]
    pub purchase: PurchaseId,
    /// The payment's id where it was made.
    pub payment: Option<String>,
    /// Minor units of the currency.
    pub amount: i64,
    /// Three letters in lower case.
    pub currency: String,
}

/// A movement of credits that no texts stand behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Item {
    /// Its line in the ledger.
    pub seq: i64,
    /// When.
    #[schema(value_type = String)]
    pub at: Instant,
    /// What kind of line it is.
    #[schema(value_type = String)]
    pub kind: Kind,
    /// What it changed of the account's credits.
    pub credits: i64,
    /// Who did it.
    pub actor: String,
    /// A person's words, or empty.
    pub reason: String,
    /// The money behind it.
    pub payment: Option<PaymentOut>,
}

/// Movements of one sort.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Section {
    /// How many.
    pub count: i64,
    /// What they changed of the account's credits.
    pub credits: i64,
    /// The movements, the first thousand.
    pub items: Vec<Item>,
}

/// What a line says of the texts behind it, and what was not found of it yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextLine {
    /// Its number.
    pub seq: i64,
    /// Its kind.
    pub kind: Kind,
    /// The day of the month, from 0.
    pub day: u8,
    /// Texts.
    pub facts: i64,
    /// Their prices.
    pub credits: i64,
    /// The prices of those that were charged.
    pub charged: i64,
}

/// A month of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerMonth {
    /// Its lines are those behind this one …
    pub after: i64,
    /// … up to this one.
    pub upto: i64,
    /// What was there before.
    pub opening: Balances,
    /// What is there after.
    pub closing: Balances,
    /// Bought.
    pub purchases: Section,
    /// Given, by a plan or by the operator.
    pub grants: Section,
    /// Corrected by the operator.
    pub adjustments: Section,
    /// Taken back with the money, frozen, given back.
    pub returns: Section,
    /// Not used in time.
    pub expiry: Section,
    /// Charged for texts that the carrier took.
    pub charged: i64,
    /// Given back for texts that never left the carrier.
    pub refunded: i64,
    /// Charged after they had been given back.
    pub late: i64,
    /// Of these, what the account could not pay.
    pub lost: i64,
    /// The lines that open to texts, by number.
    pub texts: Vec<TextLine>,
    /// What does not add up, in words.
    pub faults: Vec<String>,
}

/// Reads a month of an account's ledger.
pub async fn ledger_month(
    tx: &mut Tx,
    account: AccountId,
    month: Month,
    zone: &TimeZone,
) -> Result<LedgerMonth> {
    let after = statements::last_line_before(tx, account, month.start(zone)).await?;
    let upto = statements::last_line_before(tx, account, month.end(zone)).await?;
    let opening = statements::balances_after(tx, account, after).await?;
    let mut ledger =
        LedgerMonth { after, upto, opening: Balances::of(opening), ..LedgerMonth::default() };
    let (mut seq, mut balances) = (after, opening);
    while seq < upto {
        let lines = statements::slim_lines(tx, account, seq, upto, LINES_A_PAGE).await?;
        let mut told = Vec::new();
        for line in &lines {
            ledger.follow(line, seq, &mut balances);
            seq = line.seq;
            if ledger.count(line, month.day_of(line.at, zone)) {
                told.push(line);
            }
        }
        ledger.tell(tx, account, &told).await?;
        if lines.is_empty() {
            ledger.faults.push(format!("lines {} to {upto} are missing", seq + 1));
            break;
        }
    }
    ledger.closing = Balances::of(balances);
    let kept = statements::balances_after(tx, account, upto).await?;
    if kept != balances {
        ledger.faults.push(format!("the balances kept with line {upto} are others"));
    }
    ledger.add_up();
    Ok(ledger)
}

impl LedgerMonth {
    /// Every sort of movement with its sum, in the order of a statement.
    pub const fn sums(&self) -> [(&'static str, i64); 8] {
        [
            ("purchases", self.purchases.credits),
            ("grants", self.grants.credits),
            ("adjustments", self.adjustments.credits),
            ("returns", self.returns.credits),
            ("expiry", self.expiry.credits),
            ("usage", -self.charged),
            ("refunds", self.refunded),
            ("late_charges", self.lost - self.late),
        ]
    }

    fn add_up(&mut self) {
        let moved: i64 = self.sums().iter().map(|(_, credits)| credits).sum();
        let (opening, closing) = (self.opening.credits, self.closing.credits);
        if opening + moved != closing {
            let words = format!("{opening} and {moved} moved make {closing}");
            self.faults.push(words);
        }
    }

    /// Checks that a line follows from the one before.
    fn follow(&mut self, line: &SlimLine, before: i64, balances: &mut [i64; 4]) {
        let Books { available, reserved, spent, owed, .. } = line.change;
        for (balance, change) in balances.iter_mut().zip([available, reserved, spent, owed]) {
            *balance += change;
        }
        if line.seq != before + 1 {
            self.faults.push(format!("line {} is missing", before + 1));
        }
        if *balances != line.after {
            self.faults.push(format!("the balances after line {} are wrong", line.seq));
            // Told once; what follows is measured against what is kept.
            *balances = line.after;
        }
    }

    /// Adds a line to its sort. `true`: it is to be told with its words.
    fn count(&mut self, line: &SlimLine, day: u8) -> bool {
        let change = &line.change;
        let section = match line.kind {
            Kind::Reserve => return false,
            Kind::Settle | Kind::Release | Kind::Refund | Kind::LateCharge => {
                self.count_texts(line, day);
                return false;
            }
            Kind::Purchase => &mut self.purchases,
            Kind::Grant => &mut self.grants,
            Kind::Adjustment => &mut self.adjustments,
            Kind::Clawback | Kind::DisputeHold | Kind::DisputeRelease => &mut self.returns,
            Kind::Expiry => &mut self.expiry,
        };
        section.count += 1;
        section.credits += moves(change);
        usize::try_from(section.count).is_ok_and(|count| count <= ITEMS_MAX)
    }

    fn count_texts(&mut self, line: &SlimLine, day: u8) {
        let change = &line.change;
        let (credits, charged) = match line.kind {
            Kind::Refund => (-change.spent, 0),
            Kind::LateCharge => (change.spent, change.spent),
            _ => (-change.reserved, change.spent),
        };
        match line.kind {
            Kind::Refund => self.refunded += credits,
            Kind::LateCharge => {
                self.late += credits;
                self.lost += change.loss;
            }
            _ => self.charged += charged,
        }
        let (seq, kind, facts) = (line.seq, line.kind, line.facts);
        self.texts.push(TextLine { seq, kind, day, facts, credits, charged });
    }

    /// Keeps these lines with their words and their money.
    async fn tell(&mut self, tx: &mut Tx, account: AccountId, lines: &[&SlimLine]) -> Result<()> {
        let seqs: Vec<i64> = lines.iter().map(|line| line.seq).collect();
        let words = statements::line_words(tx, account, &seqs).await?;
        let bought = |key: &str| purchase_of(key);
        let ids: Vec<PurchaseId> =
            words.iter().filter_map(|words| bought(&words.effect_key)).collect();
        let paid = statements::paid(tx, account, &ids).await?;
        for (line, words) in lines.iter().zip(words) {
            let payment = bought(&words.effect_key)
                .and_then(|id| paid.iter().find(|paid| paid.purchase == id))
                .map(|paid| PaymentOut {
                    purchase: paid.purchase,
                    payment: paid.payment.clone(),
                    amount: paid.amount,
                    currency: paid.currency.clone(),
                });
            let item = Item {
                seq: line.seq,
                at: line.at,
                kind: line.kind,
                credits: moves(&line.change),
                actor: words.actor,
                reason: words.reason,
                payment,
            };
            match line.kind {
                Kind::Purchase => self.purchases.items.push(item),
                Kind::Grant => self.grants.items.push(item),
                Kind::Adjustment => self.adjustments.items.push(item),
                Kind::Expiry => self.expiry.items.push(item),
                _ => self.returns.items.push(item),
            }
        }
        Ok(())
    }
}

/// The purchase that an effect belongs to: `purchase:pur_…`, `clawback:pur_…:2`.
fn purchase_of(effect_key: &str) -> Option<PurchaseId> {
    effect_key.split(':').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        Instant::parse(text).expect("a time")
    }

    #[test]
    fn months_are_those_of_the_account() {
        let chicago = domain::quiet_hours::zone("America/Chicago").expect("a zone");
        let march = Month::parse("2026-03").expect("a month");
        assert_eq!(march.start(&chicago), at("2026-03-01T06:00:00Z"));
        assert_eq!(march.end(&chicago), at("2026-04-01T05:00:00Z"));
        assert_eq!(march.days().count(), 31);
        assert_eq!(Month::of(at("2026-04-01T04:59:59Z"), &chicago), march);
        assert_eq!(march.later(-3).to_string(), "2025-12");
        assert_eq!((march.later(-3).until(march), march.until(march.later(-3))), (4, 0));
        for (time, day) in [
            ("2026-03-01T06:00:00Z", 0),
            ("2026-03-02T05:59:59Z", 0),
            ("2026-03-31T12:00:00Z", 30),
            // A line that was dated just before its neighbour of the new month.
            ("2026-03-01T05:59:59Z", 0),
            ("2026-04-01T05:00:00Z", 30),
        ] {
            assert_eq!(march.day_of(at(time), &chicago), day, "{time}");
        }
        for text in ["2026-3", "2026-13", "2026-00", "202603", "1969-12", "", "2026-03-01", "２026"]
        {
            assert_eq!(Month::parse(text), None, "{text:?}");
        }
    }
}
