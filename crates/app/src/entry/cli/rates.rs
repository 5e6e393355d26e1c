//! `ledgerline rates`: what texts cost, and what the carrier takes.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use store::rates::list_rates;

use super::contacts::read;
use super::failure::{Failure, Result};
use super::outlet::{answer, count_of, credits, faint, mark, say, strong};
use super::workplace::{Shared, Workplace};
use crate::finance::rates::{RateDiff, RateImport, RateOut, import, rows_of_csv};
use crate::finance::worth;

/// Rows told on the terminal.
const TOLD_MAX: usize = 40;

/// What to do with the price list.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Import prices from a CSV file: good rows are taken, bad ones are reported
    Import(Import),
    /// Show what was in force, is, and will be
    List,
}

/// A file to import.
#[derive(clap::Args, Debug)]
pub struct Import {
    /// CSV with the columns `destination`, `sender_kind`, `channel`, `effective_from`,
    /// `credits_per_segment`, `carrier_price`, `currency`; - reads the standard input
    file: PathBuf,
    /// Say what would change, and change nothing
    #[arg(long)]
    preview: bool,
}

/// Runs the command.
pub async fn run(verb: Verb, shared: &Shared) -> Result {
    let work = Workplace::open(shared).await?;
    match verb {
        Verb::Import(wanted) => import_file(&work, &wanted.file, wanted.preview).await,
        Verb::List => list(&work).await,
    }
}

async fn import_file(work: &Workplace, file: &Path, preview: bool) -> Result {
    let rows = rows_of_csv(&read(file)?)?;
    let worth = worth::of_credit();
    let how = ("operator (command line)", preview);
    let done = import(&work.db, &*work.dice, &rows, Some(&worth), how).await?;
    if work.out.json {
        answer(&done)?;
    } else {
        tell(&done)?;
    }
    if done.rejected == 0 { Ok(()) } else { Err(Failure::Told) }
}

fn tell(done: &RateImport) -> Result {
    for row in done.rows.iter().take(TOLD_MAX) {
        say(line(row))?;
    }
    if done.rows.len() > TOLD_MAX {
        let more = count_of(done.added + done.changed - TOLD_MAX);
        say(faint(format!("    … and {more} more")))?;
    }
    for problem in done.problems.iter().take(TOLD_MAX) {
        let place = faint(format!("line {}, {}:", problem.line, problem.field));
        say(format!("  {} {place} {}", mark(false), problem.problem))?;
    }
    let verb = if done.preview { "would be " } else { "" };
    say(format!(
        "{} {} {verb}added, {} {verb}changed, {} as before, {} rejected",
        mark(done.rejected == 0),
        strong(count_of(done.added)),
        strong(count_of(done.changed)),
        count_of(done.unchanged),
        strong(count_of(done.rejected)),
    ))
}

fn line(row: &RateDiff) -> String {
    let RateOut { destination, sender_kind, channel, effective_from, .. } = &row.after;
    let before = match &row.before {
        Some(before) => format!("{} -> ", before.credits_per_segment),
        None => String::new(),
    };
    let sign = if row.change == "added" { "+" } else { "~" };
    format!(
        "  {sign} {:<8} {sender_kind} {channel}  {before}{} a segment{}  {}",
        strong(destination),
        credits(row.after.credits_per_segment),
        margin(&row.after),
        faint(format!("from {effective_from}")),
    )
}

fn margin(rate: &RateOut) -> String {
    match (&rate.margin, &rate.currency) {
        (Some(margin), Some(currency)) => format!(", margin {margin} {currency}"),
        _ => String::new(),
    }
}

async fn list(work: &Workplace) -> Result {
    let worth = worth::of_credit();
    let (mut after, mut all) = (None, Vec::new());
    let mut tx = work.db.read().await?;
    loop {
        let page = list_rates(&mut tx, after.as_ref(), store::PAGE_ROWS_MAX).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.key.clone(), last.effective_from));
        for rate in &page {
            let shown = RateOut::of(rate, Some(&worth));
            if work.out.json {
                all.push(shown);
                continue;
            }
            let price = match (&shown.carrier_price, &shown.currency) {
                (Some(price), Some(currency)) => format!(", the carrier takes {price} {currency}"),
                _ => String::new(),
            };
            say(format!(
                "{:<8} {} {}  {} a segment{price}{}  {}",
                strong(&shown.destination),
                shown.sender_kind,
                shown.channel,
                credits(shown.credits_per_segment),
                margin(&shown),
                faint(format!("from {}", shown.effective_from)),
            ))?;
        }
    }
    match (work.out.json, after.is_none()) {
        (true, _) => answer(&all),
        (false, true) => say("There is no price yet: every segment costs one credit."),
        (false, false) => Ok(()),
    }
}
