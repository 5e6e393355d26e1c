//! How a running campaign looks on a terminal: a bar of many colours, or a line a second where
//! nobody watches.

use std::fmt::Write as _;

use console::{StyledObject, style};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::failure::Result;
use super::outlet::{count, credits, faint, on_terminal, say, strong};
use crate::flow::status::{CampaignStatus, Counts};

const BAR_CELLS: usize = 60;

/// A campaign at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// The campaign.
    pub status: CampaignStatus,
    /// Credits left in the wallet.
    pub available: i64,
}

/// What a count looks like.
#[derive(Clone, Copy)]
enum Look {
    Delivered,
    Sent,
    Sending,
    Unknown,
    Failed,
    Skipped,
    Deferred,
    Pending,
}

impl Look {
    fn paint(self, text: impl Into<String>) -> StyledObject<String> {
        let text = style(text.into());
        match self {
            Self::Delivered => text.green(),
            Self::Sent => text.cyan(),
            Self::Sending => text.yellow(),
            Self::Unknown => text.magenta(),
            Self::Failed => text.red(),
            Self::Skipped => text.blue(),
            Self::Deferred | Self::Pending => text.dim(),
        }
    }

    /// The colours are told apart by shape as well, for those who do not see them.
    const fn cell(self) -> &'static str {
        match self {
            Self::Delivered | Self::Failed | Self::Unknown => "█",
            Self::Sent => "▓",
            Self::Sending => "▒",
            Self::Skipped => "▚",
            Self::Deferred => "░",
            Self::Pending => "─",
        }
    }
}

/// The parts of a bar in order, with their names.
fn parts(counts: &Counts) -> [(Look, i64, &'static str); 9] {
    [
        (Look::Delivered, counts.delivered, "delivered"),
        (Look::Sent, counts.sent, "sent"),
        (Look::Sending, counts.sending, "sending"),
        (Look::Unknown, counts.unknown, "unknown"),
        (Look::Failed, counts.undelivered, "undelivered"),
        (Look::Failed, counts.failed, "failed"),
        (Look::Skipped, counts.skipped, "skipped"),
        (Look::Deferred, counts.deferred, "deferred"),
        (Look::Pending, counts.pending, "to go"),
    ]
}

/// The bar: each count as long as its share.
pub fn bar(counts: &Counts, cells: usize) -> String {
    let all = parts(counts);
    let total: i64 = all.iter().map(|(_, number, _)| number).sum::<i64>().max(1);
    let cells = i64::try_from(cells).unwrap_or(0);
    let (mut text, mut before, mut drawn) = (String::new(), 0, 0);
    for (look, number, _) in all {
        before += number;
        let end = before * cells / total;
        let length = usize::try_from(end - drawn).unwrap_or(0);
        drawn = end;
        write!(text, "{}", look.paint(look.cell().repeat(length))).expect("writing to a String");
    }
    text
}

/// The counts in words, each with its colour.
pub fn legend(counts: &Counts) -> String {
    let told: Vec<String> = parts(counts)
        .into_iter()
        .filter(|(_, number, _)| *number > 0)
        .map(|(look, number, name)| {
            format!("{} {} {name}", look.paint(look.cell()), strong(count(number)))
        })
        .collect();
    if told.is_empty() { faint("no recipients yet").to_string() } else { told.join("  ") }
}

/// Its state, with the reason of a pause.
pub fn state_in_words(status: &CampaignStatus) -> StyledObject<String> {
    let words = match status.pause_reason {
        Some(reason) => format!("{} ({reason})", status.state),
        None => status.state.to_owned(),
    };
    let words = style(words).bold();
    match status.state {
        "completed" => words.green(),
        "paused" | "pausing" => words.yellow(),
        "failed" | "canceled" | "canceling" => words.red(),
        _ => words.cyan(),
    }
}

/// Share of the recipients that have been decided, in whole percent.
fn percent(counts: &Counts) -> i64 {
    let open = counts.pending + counts.deferred + counts.sending + counts.unknown;
    (counts.total - open) * 100 / counts.total.max(1)
}

/// One line without colours, for logs and pipes.
pub fn plain(view: &View) -> String {
    let View { status, available } = view;
    let told: Vec<String> = parts(&status.counts)
        .into_iter()
        .filter(|(_, number, _)| *number > 0)
        .map(|(_, number, name)| format!("{number} {name}"))
        .collect();
    let state = match status.pause_reason {
        Some(reason) => format!("{} ({reason})", status.state),
        None => status.state.to_owned(),
    };
    if told.is_empty() {
        return state;
    }
    let pace = match pace(status) {
        Some(pace) => format!("{pace:.0}/s; "),
        None => String::new(),
    };
    let held = match status.credits.reserved {
        0 => String::new(),
        held => format!(", {held} held"),
    };
    let unknown = match &status.unknown {
        Some(unknown) => format!("; {unknown}"),
        None => String::new(),
    };
    format!(
        "{state} {}% of {}: {}; {pace}{available} credits left{held}{unknown}",
        percent(&status.counts),
        status.counts.total,
        told.join(", "),
    )
}

/// A live picture of a campaign.
pub struct Live {
    /// Head, bar, legend, credits; none where nobody watches.
    rows: Option<[ProgressBar; 4]>,
    told: Option<(i64, String)>,
}

impl Live {
    /// A picture on the terminal, or a line a second where there is none.
    pub fn new() -> Self {
        let rows = on_terminal().then(|| {
            let area = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
            let look = ProgressStyle::with_template("{wide_msg}").expect("well-formed");
            [(); 4].map(|()| area.add(ProgressBar::new_spinner().with_style(look.clone())))
        });
        Self { rows, told: None }
    }

    /// Shows the campaign as it is at second `now`.
    pub fn show(&mut self, view: &View, now: i64) -> Result {
        let Some([head, bar_row, legend_row, money]) = &self.rows else {
            if self.told.as_ref().is_some_and(|(second, _)| *second == now) {
                return Ok(());
            }
            let line = plain(view);
            say(&line)?;
            self.told = Some((now, line));
            return Ok(());
        };
        let status = &view.status;
        let (_, columns) = console::Term::stdout().size();
        let cells = usize::from(columns).saturating_sub(12).clamp(10, BAR_CELLS);
        head.set_message(format!(
            "  {}  {}   {}",
            strong(&status.name),
            state_in_words(status),
            faint(pace_in_words(status)),
        ));
        let share = percent(&status.counts);
        bar_row.set_message(format!("  {}  {share} %", bar(&status.counts, cells)));
        legend_row.set_message(format!("  {}", legend(&status.counts)));
        let unknown = status.unknown.as_ref().map(|unknown| format!("; {unknown}"));
        money.set_message(format!(
            "  {} left, {} held, {} spent{}",
            strong(credits(view.available)),
            count(status.credits.reserved),
            count(status.credits.spent),
            unknown.unwrap_or_default(),
        ));
        Ok(())
    }

    /// Leaves the last picture where it is; without a picture, says how it ended.
    pub fn leave(self, view: &View) -> Result {
        if let Some(rows) = &self.rows {
            rows.iter().for_each(ProgressBar::finish);
            // The last row has no line end of its own.
            return say("");
        }
        let line = plain(view);
        match self.told {
            Some((_, told)) if told == line => Ok(()),
            _ => say(line),
        }
    }
}

/// Texts a second, while some leave.
fn pace(status: &CampaignStatus) -> Option<f64> {
    let leaves = matches!(status.state, "running" | "draining" | "pausing" | "canceling");
    Some(status.rate_per_second).filter(|pace| leaves && *pace >= 0.5)
}

fn pace_in_words(status: &CampaignStatus) -> String {
    let Some(pace) = pace(status) else { return String::new() };
    let left = f64::from(u32::try_from(status.counts.pending).unwrap_or(u32::MAX)) / pace;
    if left >= 1.0 && status.state == "running" {
        format!("{pace:.0} texts/s, about {left:.0} s to go")
    } else {
        format!("{pace:.0} texts/s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: Counts = Counts {
        total: 100,
        pending: 30,
        deferred: 0,
        sending: 10,
        sent: 10,
        delivered: 40,
        undelivered: 0,
        failed: 0,
        unknown: 0,
        skipped: 10,
    };

    #[test]
    fn a_bar_is_as_long_as_it_should_be() {
        for (counts, cells, expected) in [
            (COUNTS, 10, "████▓▒▚───"),
            (Counts::default(), 5, ""),
            (Counts { total: 1, delivered: 1, ..Counts::default() }, 3, "███"),
            (Counts { total: 3, pending: 3, ..Counts::default() }, 4, "────"),
        ] {
            assert_eq!(console::strip_ansi_codes(&bar(&counts, cells)), expected);
        }
    }

    #[test]
    fn counts_are_told_without_the_empty_ones() {
        let told = legend(&COUNTS);
        let told = console::strip_ansi_codes(&told);
        assert!(told.contains("40 delivered") && told.contains("30 to go"), "{told}");
        assert!(!told.contains("unknown"), "{told}");
        assert_eq!(percent(&COUNTS), 60);
        assert_eq!(percent(&Counts::default()), 0);
    }
}
