//! `ledgerline statement`: an account's month.

use clap::{Args, ValueEnum};

use super::failure::{Failure, Result, failed};
use super::outlet::{answer, count, faint, mark, say, strong};
use super::workplace::{Shared, Whose, Workplace};
use crate::entry::http::statement_page;
use crate::flow::statements::{Statement, csv, statement};

/// Which month, and how.
#[derive(Args, Debug)]
pub struct Wanted {
    #[command(flatten)]
    whose: Whose,
    /// The month, such as 2026-07, on the account's clock
    #[arg(long, value_name = "YYYY-MM")]
    month: String,
    /// In which form; html prints well
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Form {
    Text,
    Json,
    Csv,
    Html,
}

/// Runs the command.
pub async fn run(wanted: Wanted, shared: &Shared) -> Result {
    let work = Workplace::open(shared).await?;
    let account = work.account(wanted.whose).await?;
    let mut tx = work.db.read().await?;
    let one = statement(&mut tx, account.id, &wanted.month).await?;
    drop(tx);
    match wanted.format {
        Form::Text if !work.out.json => say(words(&one))?,
        Form::Text | Form::Json => answer(&one)?,
        Form::Csv => say(csv(&one).trim_end())?,
        Form::Html => {
            say(statement_page::render(&one).map_err(|error| failed(error.to_string()))?)?;
        }
    }
    if one.ok { Ok(()) } else { Err(Failure::Told) }
}

fn words(one: &Statement) -> String {
    let mut lines = vec![format!("\n  {}  {}", strong(&one.name), faint(&one.month))];
    let mut line = |name: &str, credits: i64| {
        let name = name.replace('_', " ");
        lines.push(format!("  {name:<14} {:>14}", strong(count(credits))));
    };
    line("opening", one.opening.credits);
    for sum in one.sums.iter().filter(|sum| sum.credits != 0) {
        line(sum.section, sum.credits);
    }
    line("closing", one.closing.credits);
    for check in &one.checks {
        lines.push(format!("  {} {}", mark(check.ok), faint(&check.detail)));
    }
    lines.join("\n")
}
