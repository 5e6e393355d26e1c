//! `inspect quiet-hours`: whether a moment is quiet in a time zone, and until when.

use clap::Args;
use domain::instant::Instant;
use domain::quiet_hours::{self, QuietHours};
use domain::seam::Clock;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::lines;
use crate::entry::cli::failure::{Result, usage};
use crate::entry::cli::outlet::{Outlet, mark, strong};
use crate::seam::SystemClock;

/// What to inspect.
#[derive(Args, Debug)]
pub struct Wanted {
    /// Read JSON lines with `utc`, `tz`, `start`, `end`; answer `in_quiet`, `next_allowed_utc`
    #[arg(long, conflicts_with = "zone")]
    jsonl: bool,
    /// When the quiet hours begin on the recipient's clock
    #[arg(long, value_name = "HH:MM", default_value = "21:00")]
    start: String,
    /// When they end
    #[arg(long, value_name = "HH:MM", default_value = "08:00")]
    end: String,
    /// The recipient's time zone, such as `America/New_York`
    #[arg(value_name = "ZONE", required_unless_present = "jsonl")]
    zone: Option<String>,
    /// The moment, such as 2026-11-21T09:00:00Z; now if there is none
    #[arg(value_name = "TIME")]
    at: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    utc: String,
    tz: String,
    start: String,
    end: String,
}

#[derive(Debug, PartialEq, Serialize)]
struct Answer {
    in_quiet: bool,
    next_allowed_utc: Instant,
}

/// Runs the command.
pub fn run(wanted: &Wanted, out: Outlet) -> Result {
    if wanted.jsonl {
        return lines::answer_all(|line: Line| {
            let at = moment(&line.utc)?;
            judge(at, &line.tz, &line.start, &line.end).map(|(answer, _)| answer)
        });
    }
    let at = match &wanted.at {
        Some(text) => moment(text).map_err(usage)?,
        None => SystemClock.now(),
    };
    let zone = wanted.zone.as_deref().unwrap_or_default();
    let (answer, clock) = judge(at, zone, &wanted.start, &wanted.end).map_err(usage)?;
    out.tell(&answer, || in_words(at, wanted, &answer, &clock))
}

fn moment(text: &str) -> std::result::Result<Instant, String> {
    Instant::parse(text)
        .ok_or_else(|| format!("{text:?} is not an RFC 3339 time such as 2026-11-21T09:00:00Z"))
}

fn judge(
    at: Instant,
    zone: &str,
    start: &str,
    end: &str,
) -> std::result::Result<(Answer, TimeZone), String> {
    let zone = quiet_hours::zone(zone).map_err(|error| error.to_string())?;
    let hours = QuietHours::parse(start, end).map_err(|error| error.to_string())?;
    let answer = Answer {
        in_quiet: hours.in_quiet(at, &zone),
        next_allowed_utc: hours.next_allowed(at, &zone),
    };
    Ok((answer, zone))
}

fn in_words(at: Instant, wanted: &Wanted, answer: &Answer, zone: &TimeZone) -> String {
    let shown = |at: Instant| {
        at.timestamp().to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M:%S %Z").to_string()
    };
    let window = format!("{} to {}", wanted.start, wanted.end);
    let verdict = if answer.in_quiet {
        format!(
            "{}  {} is quiet ({window})\n     a text waits until {}, which is {}",
            mark(false),
            strong(shown(at)),
            strong(shown(answer.next_allowed_utc)),
            answer.next_allowed_utc
        )
    } else {
        format!("{}  {} is not quiet ({window}): a text may leave", mark(true), strong(shown(at)))
    };
    format!("\n  {verdict}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_judged() {
        for (utc, tz, expected) in [
            ("2026-11-21T04:00:00Z", "America/New_York", Ok((true, "2026-11-21T13:00:00Z"))),
            ("2026-11-21T15:00:00Z", "America/New_York", Ok((false, "2026-11-21T15:00:00Z"))),
            ("2026-11-21T15:00:00Z", "Mars/Base", Err("time zone")),
        ] {
            let at = moment(utc).expect("RFC 3339");
            match (judge(at, tz, "21:00", "08:00"), expected) {
                (Ok((answer, _)), Ok((in_quiet, next))) => {
                    let next_allowed_utc = moment(next).expect("RFC 3339");
                    assert_eq!(answer, Answer { in_quiet, next_allowed_utc });
                }
                (Err(told), Err(part)) => assert!(told.contains(part), "{told}"),
                (told, _) => panic!("{utc} {tz}: {told:?}"),
            }
        }
        assert!(moment("tomorrow").is_err());
    }
}
