//! The price list as people keep it: read from sheets, compared with what is kept, applied.
//!
//! A sheet's good rows are taken and its bad ones reported by line; neither stops the other. What
//! has been in force is history and stays: a new price begins later.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::ids::AccountId;
use domain::instant::Instant;
use domain::rates::{Channel, Destination, Price, Rate, RateKey, SenderKind};
use domain::seam::Dice;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use store::{Db, Tx, audit, rates};

use crate::refusal::{Refusal, Result, invalid};
use crate::sheet::{self, Sheet};

/// The columns of a sheet.
pub const COLUMNS: [&str; 7] = [
    "destination",
    "sender_kind",
    "channel",
    "effective_from",
    "credits_per_segment",
    "carrier_price",
    "currency",
];
/// A rate for every kind of sender, or every channel.
const ANY: &str = "any";
/// Rows written, and keys looked up, at once.
const ROWS_A_BATCH: usize = 1000;
/// Rows and problems told one by one; all are counted.
const TOLD_MAX: usize = 1000;
/// What a segment costs at most.
const CREDITS_MAX: i64 = 1_000_000;
/// No carrier takes more for a segment: whoever writes more counts in something else.
const PRICE_MAX: i64 = 100_000_000;
/// Changes of the price list are kept under no account.
const NO_ACCOUNT: AccountId = AccountId(0);

/// A rate as it is shown, and as a sheet spells it.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RateOut {
    /// Leading digits such as `+44`, a country such as `CA`, or `+` for everywhere.
    pub destination: String,
    /// The kind of sender, or `any`.
    pub sender_kind: &'static str,
    /// `sms`, `mms`, `whatsapp` or `any`.
    pub channel: &'static str,
    /// In force from here on.
    #[schema(value_type = String)]
    pub effective_from: Instant,
    /// What a segment costs.
    pub credits_per_segment: i64,
    /// What the carrier takes for it, as a decimal number.
    pub carrier_price: Option<String>,
    /// Of the carrier's price.
    pub currency: Option<String>,
    /// What is left of a segment's credits when the carrier was paid, where both are known in one
    /// currency.
    pub margin: Option<String>,
    /// The same in percent of the credits' worth.
    pub margin_percent: Option<f64>,
}

impl RateOut {
    /// A rate beside what a credit is worth.
    pub fn of(rate: &Rate, worth: Option<&Price>) -> Self {
        let Rate { key, effective_from, credits_per_segment, carrier_price } = rate;
        let margin = margin(rate, worth);
        Self {
            destination: key.destination.as_str().to_owned(),
            sender_kind: key.sender_kind.map_or(ANY, SenderKind::as_str),
            channel: key.channel.map_or(ANY, Channel::as_str),
            effective_from: *effective_from,
            credits_per_segment: *credits_per_segment,
            carrier_price: carrier_price.as_ref().map(|price| Price::decimal(price.millionths)),
            currency: carrier_price.as_ref().map(|price| price.currency.clone()),
            margin: margin.map(|(left, _)| Price::decimal(left)),
            margin_percent: margin.and_then(|(left, whole)| percent(left, whole)),
        }
    }

    fn cells(&self) -> [String; 9] {
        let text = |it: &Option<String>| it.clone().unwrap_or_default();
        [
            self.destination.clone(),
            self.sender_kind.to_owned(),
            self.channel.to_owned(),
            self.effective_from.to_string(),
            self.credits_per_segment.to_string(),
            text(&self.carrier_price),
            text(&self.currency),
            text(&self.margin),
            self.margin_percent.map(|share| format!("{share:.1}")).unwrap_or_default(),
        ]
    }
}

/// What is left of a segment's credits, and what they are worth, in millionths.
fn margin(rate: &Rate, worth: Option<&Price>) -> Option<(i64, i64)> {
    let (price, worth) = rate.carrier_price.as_ref().zip(worth)?;
    let whole = worth.millionths.checked_mul(rate.credits_per_segment)?;
    (price.currency == worth.currency).then(|| (whole - price.millionths, whole))
}

/// A part in percent of the whole, to one digit.
pub fn percent(part: i64, whole: i64) -> Option<f64> {
    let permille = i128::from(part) * 1000 / i128::from(Some(whole).filter(|n| *n > 0)?);
    i32::try_from(permille).ok().map(|permille| f64::from(permille) / 10.0)
}

/// A page of the list, and as a sheet the whole of it.
pub async fn list_csv(tx: &mut Tx, worth: Option<&Price>) -> Result<String> {
    let mut sheet = Sheet::new(&[&COLUMNS[..], &["margin", "margin_percent"]].concat());
    let mut after = None;
    loop {
        let page = rates::list_rates(tx, after.as_ref(), store::PAGE_ROWS_MAX).await?;
        let Some(last) = page.last() else { return Ok(sheet.text()) };
        after = Some((last.key.clone(), last.effective_from));
        for rate in &page {
            sheet.row(RateOut::of(rate, worth).cells());
        }
    }
}

/// A rate as it is asked for.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateIn {
    /// Leading digits such as `+44`, a country such as `CA`, or `+` for everywhere.
    pub destination: String,
    /// The kind of sender; `any` when absent.
    pub sender_kind: Option<String>,
    /// `sms`, `mms` or `whatsapp`; `any` when absent.
    pub channel: Option<String>,
    /// In force from this time or day (UTC) on; from now when absent.
    pub effective_from: Option<String>,
    /// What a segment costs.
    pub credits_per_segment: i64,
    /// What the carrier takes for it, such as `"0.0079"`.
    pub carrier_price: Option<String>,
    /// Of the carrier's price, such as `usd`.
    pub currency: Option<String>,
}

/// A row of a list that is to be imported: the place it stands at, its cells as they were written.
pub struct Row {
    line: u64,
    cells: [String; 7],
}

/// The rows of a JSON list.
pub fn rows_of_list(list: Vec<RateIn>) -> Vec<Row> {
    let row = |(line, one): (u64, RateIn)| {
        let text = Option::unwrap_or_default;
        let cells = [
            one.destination,
            text(one.sender_kind),
            text(one.channel),
            text(one.effective_from),
            one.credits_per_segment.to_string(),
            text(one.carrier_price),
            text(one.currency),
        ];
        Row { line, cells }
    };
    (1..).zip(list).map(row).collect()
}

/// The rows of a sheet; its first line names the columns, in any order.
pub fn rows_of_csv(file: &[u8]) -> Result<Vec<Row>> {
    let mut reader = sheet::reader(file);
    let bare = sheet::without_mark(file);
    let unreadable = |error: csv::Error| invalid("file", error.to_string());
    let header: Vec<String> = reader
        .byte_headers()
        .map_err(unreadable)?
        .iter()
        .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
        .collect();
    let places = COLUMNS.map(|name| header.iter().position(|column| column == name));
    for (name, place) in COLUMNS.iter().zip(places) {
        if place.is_none() && ["destination", "credits_per_segment"].contains(name) {
            let words = format!(
                "there is no column {name}; the first line must name the columns: {}",
                COLUMNS.join(",")
            );
            return Err(invalid("file", words));
        }
    }
    let mut rows = Vec::new();
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(unreadable)? {
        let line = record.position().map_or(0, |at| sheet::line_of(bare, at));
        let cells = places.map(|place| {
            let cell = place.and_then(|at| record.get(at)).unwrap_or_default();
            // A spreadsheet, or this program, put the mark there to keep the cell from being run.
            let cell = String::from_utf8_lossy(cell);
            cell.trim().trim_start_matches('\'').to_owned()
        });
        if cells.iter().all(String::is_empty) {
            continue;
        }
        rows.push(Row { line, cells });
        if i64::try_from(rows.len()).is_ok_and(|n| n > rates::RATES_MAX) {
            return Err(invalid("file", format!("at most {} rows", rates::RATES_MAX)));
        }
    }
    Ok(rows)
}

/// A row that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RateProblem {
    /// Its line in the sheet (the header is line 1), or its place in the list, from 1.
    pub line: u64,
    /// Which column.
    pub field: &'static str,
    /// What is wrong and how to mend it.
    pub problem: String,
}

/// What a row does to the list.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RateDiff {
    /// Its line in the sheet, or its place in the list.
    pub line: u64,
    /// `added` or `changed`.
    pub change: &'static str,
    /// What holds without it at the time from which it holds.
    pub before: Option<RateOut>,
    /// What it says.
    pub after: RateOut,
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RateImport {
    /// Nothing was changed: this is what would be.
    pub preview: bool,
    /// Rows that were read.
    pub total: usize,
    /// New prices.
    pub added: usize,
    /// Prices that were there and changed.
    pub changed: usize,
    /// Prices that were there already.
    pub unchanged: usize,
    /// Prices that end because a new one follows them.
    pub ended: usize,
    /// Rows that were not taken.
    pub rejected: usize,
    /// Why, the first thousand.
    pub problems: Vec<RateProblem>,
    /// What changes, the first thousand.
    pub rows: Vec<RateDiff>,
}

impl RateImport {
    fn refuse(&mut self, line: u64, (field, problem): (&'static str, String)) {
        self.rejected += 1;
        if self.problems.len() < TOLD_MAX {
            self.problems.push(RateProblem { line, field, problem });
        }
    }

    fn tell(&mut self, diff: RateDiff) {
        if self.rows.len() < TOLD_MAX {
            self.rows.push(diff);
        }
    }
}

/// What is wrong with a row: the column, and how to mend it.
type Wrong = (&'static str, String);

fn read(row: &Row, now: Instant) -> std::result::Result<Rate, Wrong> {
    let [place, kind, channel, from, credits, price, currency] = &row.cells;
    let destination = Destination::parse(place).map_err(|words| ("destination", words))?;
    let sender_kind = word(kind, SenderKind::parse).map_err(|()| {
        let words: Vec<&str> = SenderKind::ALL.iter().map(|kind| kind.as_str()).collect();
        ("sender_kind", format!("write any, or one of {}", words.join(", ")))
    })?;
    let channel = word(channel, Channel::parse)
        .map_err(|()| ("channel", "write any, sms, mms or whatsapp".to_owned()))?;
    let effective_from = moment(from, now).ok_or_else(|| {
        let words = "write a day such as 2026-12-01 or a time such as 2026-12-01T06:00:00Z";
        ("effective_from", words.to_owned())
    })?;
    let credits_per_segment =
        credits.parse().ok().filter(|n| (1..=CREDITS_MAX).contains(n)).ok_or_else(|| {
            ("credits_per_segment", format!("write a whole number from 1 to {CREDITS_MAX}"))
        })?;
    let carrier_price = carrier_price(price, currency)?;
    let key = RateKey { destination, sender_kind, channel };
    Ok(Rate { key, effective_from, credits_per_segment, carrier_price })
}

/// A word, or nothing for any.
fn word<T>(cell: &str, parse: impl Fn(&str) -> Option<T>) -> std::result::Result<Option<T>, ()> {
    match cell.to_ascii_lowercase().as_str() {
        "" | ANY => Ok(None),
        word => parse(word).map(Some).ok_or(()),
    }
}

fn moment(cell: &str, now: Instant) -> Option<Instant> {
    if cell.is_empty() {
        return Some(now);
    }
    let day = || cell.parse::<Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let at = Instant::parse(cell).or_else(|| day().map(|day| day.timestamp().into()))?;
    (at.0 >= 0 && at < Instant::MAX).then_some(at)
}

fn carrier_price(price: &str, currency: &str) -> std::result::Result<Option<Price>, Wrong> {
    if price.is_empty() {
        return Ok(None);
    }
    let millionths = Price::parse_decimal(price)
        .filter(|millionths| (0..=PRICE_MAX).contains(millionths))
        .ok_or_else(|| {
            let words = "write what the carrier takes for a segment, such as 0.0079, in six \
                         decimals at most";
            ("carrier_price", words.to_owned())
        })?;
    let currency = currency.to_ascii_lowercase();
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(("currency", "write the price's currency in three letters".to_owned()));
    }
    Ok(Some(Price { millionths, currency }))
}

/// Compares rows with the list. The good ones come back to be saved.
async fn compare(
    tx: &mut Tx,
    rows: &[Row],
    worth: Option<&Price>,
) -> Result<(RateImport, Vec<Rate>)> {
    let now = tx.now();
    let mut done = RateImport { total: rows.len(), ..RateImport::default() };
    let mut seen: BTreeMap<(RateKey, Instant), u64> = BTreeMap::new();
    let mut good = Vec::new();
    for row in rows {
        match read(row, now) {
            Err(wrong) => done.refuse(row.line, wrong),
            Ok(rate) => match seen.entry((rate.key.clone(), rate.effective_from)) {
                std::collections::btree_map::Entry::Occupied(first) => {
                    let words = format!("line {} says the same already", first.get());
                    done.refuse(row.line, ("destination", words));
                }
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(row.line);
                    good.push((row.line, rate, row.cells[3].is_empty()));
                }
            },
        }
    }
    let keys: BTreeSet<RateKey> = good.iter().map(|(_, rate, _)| rate.key.clone()).collect();
    let kept = kept(tx, &keys.into_iter().collect::<Vec<_>>()).await?;
    let mut wanted = Vec::new();
    for (line, rate, from_now) in good {
        let before = kept.get(&rate.key).map_or(&[][..], Vec::as_slice);
        let change = match judge(&rate, before, from_now, now) {
            Err(wrong) => {
                done.refuse(line, wrong);
                continue;
            }
            Ok(Change::None) => {
                done.unchanged += 1;
                continue;
            }
            Ok(change) => change,
        };
        let prior = in_force(before, rate.effective_from);
        let name = if change == Change::Added { "added" } else { "changed" };
        if change == Change::Added {
            done.added += 1;
            done.ended += usize::from(prior.is_some());
        } else {
            done.changed += 1;
        }
        let shown = |rate: &Rate| RateOut::of(rate, worth);
        let (before, after) = (prior.map(shown), shown(&rate));
        done.tell(RateDiff { line, change: name, before, after });
        wanted.push(rate);
    }
    Ok((done, wanted))
}

async fn kept(tx: &mut Tx, keys: &[RateKey]) -> Result<HashMap<RateKey, Vec<Rate>>> {
    let mut all: HashMap<RateKey, Vec<Rate>> = HashMap::new();
    for keys in keys.chunks(ROWS_A_BATCH) {
        for rate in rates::rates_of_keys(tx, keys).await? {
            all.entry(rate.key.clone()).or_default().push(rate);
        }
    }
    Ok(all)
}

fn in_force(rates: &[Rate], at: Instant) -> Option<&Rate> {
    rates.iter().filter(|rate| rate.effective_from <= at).max_by_key(|rate| rate.effective_from)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    None,
    Added,
    Changed,
}

/// What a rate does to those of its key. `from_now`: it named no date.
fn judge(
    rate: &Rate,
    kept: &[Rate],
    from_now: bool,
    now: Instant,
) -> std::result::Result<Change, Wrong> {
    let says_the_same = |one: &Rate| {
        one.credits_per_segment == rate.credits_per_segment
            && one.carrier_price == rate.carrier_price
    };
    let history = |since: Instant, credits: i64| {
        let words = format!(
            "{credits} credits have been the price since {since}, and what was in force is not \
             rewritten: give the new price a later effective_from"
        );
        Err(("effective_from", words))
    };
    if let Some(same) = kept.iter().find(|one| one.effective_from == rate.effective_from) {
        if says_the_same(same) {
            return Ok(Change::None);
        }
        if same.credits_per_segment != rate.credits_per_segment && same.effective_from <= now {
            return history(same.effective_from, same.credits_per_segment);
        }
        return Ok(Change::Changed);
    }
    let prior = in_force(kept, rate.effective_from);
    if from_now {
        let same = prior.is_some_and(says_the_same);
        return Ok(if same { Change::None } else { Change::Added });
    }
    let first = kept.iter().map(|one| one.effective_from).min().filter(|first| *first <= now);
    if rate.effective_from < now && first.is_some() {
        let then = prior.or(kept.first());
        if let Some(then) = then
            && (prior.is_none() || then.credits_per_segment != rate.credits_per_segment)
        {
            return history(then.effective_from, then.credits_per_segment);
        }
    }
    Ok(Change::Added)
}

/// Compares rows with the list and, unless it is a preview, takes the good ones over.
pub async fn import(
    db: &Db,
    dice: &dyn Dice,
    rows: &[Row],
    worth: Option<&Price>,
    (actor, preview): (&str, bool),
) -> Result<RateImport> {
    if preview {
        let (done, _) = compare(&mut db.read().await?, rows, worth).await?;
        return Ok(RateImport { preview, ..done });
    }
    let mut tx = db.begin().await?;
    let (done, wanted) = compare(&mut tx, rows, worth).await?;
    for batch in wanted.chunks(ROWS_A_BATCH) {
        rates::save_rates(&mut tx, batch).await?;
    }
    if rates::count_rates(&mut tx).await? > rates::RATES_MAX {
        let words = format!("the price list would have more than {} rows", rates::RATES_MAX);
        return Err(Refusal::State(words));
    }
    if !wanted.is_empty() {
        let mut id = [0; 16];
        dice.fill(&mut id);
        let words = format!("{} rates added, {} changed", done.added, done.changed);
        audit::note(&mut tx, NO_ACCOUNT, id, (actor, "rates.import", &words)).await?;
    }
    tx.commit().await?;
    tracing::info!(
        component = "rates",
        added = done.added,
        changed = done.changed,
        rejected = done.rejected,
        actor,
        "price list imported"
    );
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant(1_000_000_000_000);

    fn rate(from: i64, credits: i64, price: Option<i64>) -> Rate {
        let destination = Destination::parse("+44").expect("a destination");
        Rate {
            key: RateKey { destination, sender_kind: None, channel: None },
            effective_from: Instant(NOW.0 + from),
            credits_per_segment: credits,
            carrier_price: price.map(|millionths| Price { millionths, currency: "usd".to_owned() }),
        }
    }

    #[test]
    fn history_is_not_rewritten() {
        use Change::{Added, Changed, None as Same};
        let kept = [rate(-100, 3, Some(7900)), rate(-50, 4, None), rate(50, 5, None)];
        for (wanted, from_now, expected) in [
            (rate(-100, 3, Some(7900)), false, Some(Same)),
            // What the carrier takes is often learnt later.
            (rate(-100, 3, Some(8000)), false, Some(Changed)),
            (rate(-100, 9, Some(7900)), false, None),
            (rate(-50, 9, None), false, None),
            (rate(-75, 9, None), false, None),
            (rate(-200, 9, None), false, None),
            (rate(-10, 9, None), false, None),
            (rate(-10, 4, None), false, Some(Added)),
            (rate(0, 9, None), false, Some(Added)),
            (rate(0, 9, None), true, Some(Added)),
            (rate(0, 4, None), true, Some(Same)),
            (rate(50, 5, None), false, Some(Same)),
            (rate(50, 9, None), false, Some(Changed)),
            (rate(60, 9, None), false, Some(Added)),
        ] {
            let judged = judge(&wanted, &kept, from_now, NOW);
            assert_eq!(judged.as_ref().ok(), expected.as_ref(), "{wanted:?}: {judged:?}");
        }
        assert_eq!(judge(&rate(-500, 2, None), &[], false, NOW), Ok(Added));
        assert_eq!(judge(&rate(-500, 2, None), &[rate(9, 9, None)], false, NOW), Ok(Added));
    }

    #[test]
    fn rows_are_read_or_named() {
        for (cells, expected) in [
            (["+44", "", "", "", "4", "", ""], Ok(("+44", NOW.0))),
            (["gb", "any", "sms", "2026-12-01", "4", "0.04", "USD"], Ok(("GB", 0))),
            (["x", "", "", "", "4", "", ""], Err("destination")),
            (["+44", "pigeon", "", "", "4", "", ""], Err("sender_kind")),
            (["+44", "", "fax", "", "4", "", ""], Err("channel")),
            (["+44", "", "", "tomorrow", "4", "", ""], Err("effective_from")),
            (["+44", "", "", "", "0", "", ""], Err("credits_per_segment")),
            (["+44", "", "", "", "1.5", "", ""], Err("credits_per_segment")),
            (["+44", "", "", "", "4", "7900", "usd"], Err("carrier_price")),
            (["+44", "", "", "", "4", "-1", "usd"], Err("carrier_price")),
            (["+44", "", "", "", "4", "0.04", ""], Err("currency")),
        ] {
            let row = Row { line: 2, cells: cells.map(str::to_owned) };
            match (read(&row, NOW), expected) {
                (Ok(rate), Ok((place, from))) => {
                    assert_eq!(rate.key.destination.as_str(), place);
                    assert!(from == 0 || rate.effective_from.0 == from, "{cells:?}");
                }
                (Err((field, _)), Err(wanted)) => assert_eq!(field, wanted, "{cells:?}"),
                (found, _) => panic!("{cells:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn margins_are_what_is_left_of_the_credits() {
        let worth = |millionths| Price { millionths, currency: "usd".to_owned() };
        for (credits, price, credit, expected) in [
            (2, Some(7900), Some(10_000), Some(("0.0121", 60.5))),
            (1, Some(12_000), Some(10_000), Some(("-0.002", -20.0))),
            (1, None, Some(10_000), None),
            (1, Some(7900), None, None),
        ] {
            let worth = credit.map(worth);
            let out = RateOut::of(&rate(0, credits, price), worth.as_ref());
            let found = out.margin.as_deref().zip(out.margin_percent);
            assert_eq!(found, expected, "{credits} {price:?}");
        }
    }
}
