//! A statement as a page for people, on a screen and on paper: complete in itself, so that a kept
//! copy looks as it did, and without scripts.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::packs::money;
use domain::{local_time, quiet_hours};
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::progress::grouped;
use crate::finance::statements::Section;
use crate::flow::statements::{Count, Statement};

macro_rules! asset {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/", $name))
    };
}
const STYLE: &str = concat!(asset!("page.css"), asset!("statement.css"));

/// What such a page may load: nothing but the style inside it, known by its digest.
pub static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

/// The picture of the days, in its own units.
const BAR_STEP: i64 = 24;
const BARS_HEIGHT: i64 = 100;
const BARS_FLOOR: i64 = 112;

#[derive(Template)]
#[template(path = "statement.html")]
struct Page<'a> {
    one: &'a Statement,
    style: &'static str,
    first: &'a str,
    last: &'a str,
    opening: String,
    sums: Vec<(&'static str, String)>,
    closing: String,
    closing_parts: Vec<(&'static str, String)>,
    sections: Vec<Movements>,
    bars: Vec<Bar>,
    tables: Vec<Table>,
    total: Row,
    corrections: Vec<Row>,
    lines: String,
}

struct Movements {
    title: &'static str,
    rows: Vec<Movement>,
    more: Option<String>,
    total: String,
}

struct Movement {
    date: String,
    words: String,
    payment: String,
    money: String,
    credits: String,
}

struct Table {
    title: &'static str,
    column: &'static str,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    messages: String,
    segments: String,
    credits: String,
}

struct Bar {
    x: i64,
    y: i64,
    height: i64,
    middle: i64,
    day: String,
    title: String,
}

/// Writes the page.
pub fn render(one: &Statement) -> Result<String, askama::Error> {
    let usage = &one.usage;
    let days: Vec<Row> = usage
        .days
        .iter()
        .filter(|day| day.count.messages > 0)
        .map(|day| row(&day.date, &day.count))
        .collect();
    let tables = vec![
        Table { title: "By day", column: "Day", rows: days },
        Table {
            title: "By campaign",
            column: "Campaign",
            rows: usage.campaigns.iter().map(|one| row(&one.name, &one.count)).collect(),
        },
        Table {
            title: "By reason",
            column: "Reason",
            rows: usage.contexts.iter().map(|one| row(&one.context, &one.count)).collect(),
        },
        Table {
            title: "By country",
            column: "Country",
            rows: usage.countries.iter().map(|one| row(&one.country, &one.count)).collect(),
        },
    ];
    Page {
        one,
        style: STYLE,
        first: usage.days.first().map_or("", |day| &day.date),
        last: usage.days.last().map_or("", |day| &day.date),
        opening: grouped(one.opening.credits),
        sums: sums(one),
        closing: grouped(one.closing.credits),
        closing_parts: closing_parts(one),
        sections: sections(one),
        bars: bars(one),
        tables,
        total: row("", &usage.total),
        corrections: corrections(one),
        lines: lines(one),
    }
    .render()
}

fn row(name: &str, count: &Count) -> Row {
    Row {
        name: name.to_owned(),
        messages: grouped(count.messages),
        segments: grouped(count.segments),
        credits: grouped(count.credits),
    }
}

/// The sums that are not zero, in words.
fn sums(one: &Statement) -> Vec<(&'static str, String)> {
    let words = |section: &'static str| match section {
        "purchases" => "Bought",
        "grants" => "Given",
        "adjustments" => "Adjusted",
        "returns" => "Taken back with the money",
        "expiry" => "Expired",
        "usage" => "Used for texts",
        "refunds" => "Given back for texts that never left",
        "late_charges" => "Charged late",
        other => other,
    };
    let moved = one.sums.iter().filter(|sum| sum.credits != 0);
    moved.map(|sum| (words(sum.section), signed(sum.credits))).collect()
}

fn signed(credits: i64) -> String {
    if credits > 0 { format!("+{}", grouped(credits)) } else { grouped(credits) }
}

fn closing_parts(one: &Statement) -> Vec<(&'static str, String)> {
    let closing = &one.closing;
    let parts = [
        ("of these available", closing.available),
        ("held for texts on their way", closing.reserved),
        ("less what is owed", -closing.owed),
    ];
    let told = |(name, credits): &(&str, i64)| *credits != 0 || name.starts_with("of");
    parts.into_iter().filter(told).map(|(name, credits)| (name, grouped(credits))).collect()
}

fn sections(one: &Statement) -> Vec<Movements> {
    let zone = quiet_hours::zone(&one.timezone).unwrap_or(TimeZone::UTC);
    [
        ("Bought", &one.purchases),
        ("Given", &one.grants),
        ("Adjusted", &one.adjustments),
        ("Refunds, disputes and clawbacks", &one.returns),
        ("Expired", &one.expiry),
    ]
    .into_iter()
    .filter(|(_, section)| section.count > 0)
    .map(|(title, section)| movements(title, section, &zone))
    .collect()
}

fn movements(title: &'static str, section: &Section, zone: &TimeZone) -> Movements {
    let shown = i64::try_from(section.items.len()).unwrap_or(i64::MAX);
    let rows = section.items.iter().map(|item| Movement {
        date: local_time::shown(item.at, zone).strftime("%Y-%m-%d %H:%M").to_string(),
        words: match item.reason.as_str() {
            "" => item.kind.as_str().replace('_', " "),
            reason => reason.to_owned(),
        },
        payment: item.payment.as_ref().map_or_else(String::new, |paid| {
            paid.payment.clone().unwrap_or_else(|| paid.purchase.to_string())
        }),
        money: item
            .payment
            .as_ref()
            .map(|paid| money(paid.amount, &paid.currency))
            .unwrap_or_default(),
        credits: signed(item.credits),
    });
    Movements {
        title,
        rows: rows.collect(),
        more: Some(section.count - shown).filter(|more| *more > 0).map(grouped),
        total: signed(section.credits),
    }
}

fn bars(one: &Statement) -> Vec<Bar> {
    let most = one.usage.days.iter().map(|day| day.count.credits).max().unwrap_or(0).max(1);
    let bar = |(n, day): (i64, &crate::flow::statements::DayUse)| {
        let credits = day.count.credits;
        // A day with a single credit is still to be seen.
        let height = match credits {
            0 => 0,
            _ => (credits * BARS_HEIGHT / most).max(2),
        };
        let x = n * BAR_STEP + (BAR_STEP - 18) / 2;
        Bar {
            x,
            y: BARS_FLOOR - height,
            height,
            middle: x + 9,
            day: day.date.get(8..).unwrap_or_default().trim_start_matches('0').to_owned(),
            title: format!("{}: {} credits", day.date, grouped(credits)),
        }
    };
    (0..).zip(&one.usage.days).map(bar).collect()
}

fn corrections(one: &Statement) -> Vec<Row> {
    let late = &one.late_charges;
    let mut rows = Vec::new();
    if one.refunds.messages > 0 {
        rows.push(row("Never left the carrier: given back", &one.refunds));
    }
    if late.count.messages > 0 {
        let waived = match late.not_charged {
            0 => String::new(),
            credits => format!(" ({} credits of it are not asked for)", grouped(credits)),
        };
        let words = format!("Had left after all: charged late{waived}");
        rows.push(row(&words, &Count { credits: -late.count.credits, ..late.count }));
    }
    rows
}

fn lines(one: &Statement) -> String {
    if one.last_line < one.first_line {
        return "The ledger has no line in this month.".to_owned();
    }
    let (first, last) = (grouped(one.first_line), grouped(one.last_line));
    format!("Lines {first} to {last} of the ledger.")
}
