//! `ledgerline reconcile`: our books against the carriers' own record.

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::failure::{Failure, Result, failed, usage};
use super::outlet::{answer, count, faint, mark, say, strong};
use super::workplace::{Shared, Workplace};
use crate::entry::carriers::{self, installation_sender};
use crate::flow::carrier_record::{Days, Reconciliation, reconcile};

/// Differences told on the terminal.
const TOLD_MAX: usize = 40;

/// Which days.
#[derive(Args, Debug)]
pub struct Wanted {
    /// The first day, in UTC
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: String,
    /// The last day
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: String,
}

/// Runs the command.
pub async fn run(wanted: Wanted, shared: &Shared) -> Result {
    let work = Workplace::open(shared).await?;
    let Some(first) = &work.settings.twilio else {
        return Err(usage(
            "TWILIO_ACCOUNT_SID: no carrier is set; the sandbox lives inside the server, which \
             answers GET /v1/reconciliation",
        ));
    };
    let lines = carriers::lines(&work.settings, first)
        .map_err(|error| failed(format!("cannot reach the carrier: {error:#}")))?;
    let from = installation_sender(&work.settings);
    let senders: Vec<String> = from.into_iter().map(|from| from.address).collect();
    let now = work.db.read().await?.now();
    let days = Days::parse(Some(&wanted.from), Some(&wanted.to), now)?;
    let bar = progress(work.out.json);
    let found = reconcile(&work.db, &lines, &senders, days, |(texts, oldest)| {
        bar.set_position(u64::try_from(texts).unwrap_or(0));
        bar.set_message(oldest.to_string());
    })
    .await;
    bar.finish_and_clear();
    let found = found?;
    if work.out.json {
        answer(&found)?;
    } else {
        tell(&found)?;
    }
    if found.ok { Ok(()) } else { Err(Failure::Told) }
}

fn progress(hidden: bool) -> ProgressBar {
    if hidden {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "  {spinner:.green} {human_pos} texts of the carrier's record read, back to {msg}",
    )
    .expect("the template is well-formed");
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(style);
    bar
}

fn tell(found: &Reconciliation) -> Result {
    for row in found.rows.iter().take(TOLD_MAX) {
        let place = row.message.map_or_else(|| row.sid.clone(), |message| message.to_string());
        say(format!("  {} {}  {}", mark(false), faint(place), row.detail))?;
    }
    if found.rows.len() > TOLD_MAX {
        say(faint(format!("    … and {} more", found.rows.len() - TOLD_MAX)))?;
    }
    for cost in &found.cost {
        say(format!("  the carrier took {} {}", strong(&cost.amount), cost.currency))?;
    }
    if found.unbilled > 0 {
        say(faint(format!("  {} texts are not billed yet", count(found.unbilled))))?;
    }
    say(format!("{} {}", mark(found.ok), strong(&found.verdict)))
}
