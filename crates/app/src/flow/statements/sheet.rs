//! A statement as a sheet: one table, whose first column says which section a row belongs to.

use super::statement::Statement;
use super::usage::Count;
use crate::finance::statements::{Balances, Section};
use crate::sheet::Sheet;

const COLUMNS: [&str; 12] = [
    "section",
    "date",
    "line",
    "id",
    "description",
    "actor",
    "messages",
    "segments",
    "credits",
    "amount",
    "currency",
    "payment",
];

/// Writes a statement as CSV. The credits of the rows whose section ends in `_total` are what the
/// opening credits and the closing credits differ by.
pub fn csv(one: &Statement) -> String {
    let mut sheet = Sheet::new(&COLUMNS);
    let account = [("account", one.account.to_string()), ("name", one.name.clone())];
    let about = [("month", one.month.clone()), ("timezone", one.timezone.clone())];
    for (section, words) in account.into_iter().chain(about) {
        sheet.row(words_row(section, "", &words));
    }
    for check in &one.checks {
        let verdict = if check.ok { "holds" } else { "DOES NOT HOLD" };
        sheet.row(words_row("check", check.name, &format!("{verdict}: {}", check.detail)));
    }
    balances(&mut sheet, "opening", &one.opening);
    for (name, section) in [
        ("purchases", &one.purchases),
        ("grants", &one.grants),
        ("adjustments", &one.adjustments),
        ("returns", &one.returns),
        ("expiry", &one.expiry),
    ] {
        items(&mut sheet, name, section);
    }
    let usage = &one.usage;
    for day in &usage.days {
        sheet.row(count_row("usage_day", &day.date, "", "", &day.count));
    }
    for one in &usage.campaigns {
        let id = one.id.map(|id| id.to_string()).unwrap_or_default();
        sheet.row(count_row("usage_campaign", "", &id, &one.name, &one.count));
    }
    for one in &usage.contexts {
        let category = one.category.unwrap_or_default();
        sheet.row(count_row("usage_context", "", &one.context, category, &one.count));
    }
    for one in &usage.countries {
        sheet.row(count_row("usage_country", "", &one.country, "", &one.count));
    }
    let paid = |count: &Count, credits| Count { credits, ..*count };
    let total = paid(&usage.total, -usage.total.credits);
    sheet.row(count_row("usage_total", "", "", "", &total));
    sheet.row(count_row("refunds_total", "", "", "", &one.refunds));
    let late = &one.late_charges;
    let total = paid(&late.count, late.not_charged - late.count.credits);
    sheet.row(count_row("late_charges_total", "", "", "", &total));
    balances(&mut sheet, "closing", &one.closing);
    sheet.text()
}

fn words_row(section: &str, id: &str, words: &str) -> [String; 12] {
    let mut cells: [String; 12] = Default::default();
    section.clone_into(&mut cells[0]);
    id.clone_into(&mut cells[3]);
    words.clone_into(&mut cells[4]);
    cells
}

fn count_row(section: &str, date: &str, id: &str, words: &str, count: &Count) -> [String; 12] {
    let mut cells = words_row(section, id, words);
    date.clone_into(&mut cells[1]);
    cells[6] = count.messages.to_string();
    cells[7] = count.segments.to_string();
    cells[8] = count.credits.to_string();
    cells
}

fn credits_row(section: &str, words: &str, credits: i64) -> [String; 12] {
    let mut cells = words_row(section, "", words);
    cells[8] = credits.to_string();
    cells
}

fn balances(sheet: &mut Sheet, section: &str, balances: &Balances) {
    for (name, credits) in [
        ("available", balances.available),
        ("reserved", balances.reserved),
        ("owed", -balances.owed),
    ] {
        sheet.row(credits_row(&format!("{section}_{name}"), "", credits));
    }
    sheet.row(credits_row(section, "", balances.credits));
}

fn items(sheet: &mut Sheet, name: &str, section: &Section) {
    for item in &section.items {
        let mut cells = credits_row(name, &item.reason, item.credits);
        cells[1] = item.at.to_string();
        cells[2] = item.seq.to_string();
        item.kind.as_str().clone_into(&mut cells[3]);
        item.actor.clone_into(&mut cells[5]);
        if let Some(payment) = &item.payment {
            cells[9] = payment.amount.to_string();
            payment.currency.clone_into(&mut cells[10]);
            cells[11] = payment.payment.clone().unwrap_or_else(|| payment.purchase.to_string());
        }
        sheet.row(cells);
    }
    let shown = i64::try_from(section.items.len()).unwrap_or(i64::MAX);
    let words = match section.count - shown {
        0 => String::new(),
        more => format!("{more} of {} are not listed", section.count),
    };
    sheet.row(credits_row(&format!("{name}_total"), &words, section.credits));
}
