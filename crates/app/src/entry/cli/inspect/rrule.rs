//! `inspect rrule`: when a recurrence rule comes round.

use std::fmt::Write as _;

use clap::Args;
use domain::instant::Instant;
use domain::local_time::{self, LocalTime, Resolution};
use domain::quiet_hours;
use domain::recurrence::Recurrence;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::lines;
use crate::entry::cli::failure::{Result, usage};
use crate::entry::cli::outlet::{Outlet, count_of, faint, mark, strong};

/// How many occurrences of a rule without an end are told, unless more are asked for.
const ENDLESS_MAX: usize = 1_000;
/// How many occurrences are told at most.
const OCCURRENCES_MAX: usize = 10_000;

/// What to inspect.
#[derive(Args, Debug)]
pub struct Wanted {
    /// Read JSON lines with `dtstart_local`, `tz`, `rrule`, perhaps `max`; answer `occurrences`
    #[arg(long, conflicts_with_all = ["rule", "from", "tz"])]
    jsonl: bool,
    /// The local time at which the series begins, such as 2026-11-21T09:30
    #[arg(long, value_name = "TIME", required_unless_present = "jsonl")]
    from: Option<String>,
    /// The time zone of the series, such as `America/New_York`
    #[arg(long, value_name = "ZONE", required_unless_present = "jsonl")]
    tz: Option<String>,
    /// How many occurrences to show at most
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    max: usize,
    /// The rule, such as `FREQ=WEEKLY;BYDAY=MO,WE;COUNT=10`
    #[arg(value_name = "RRULE", required_unless_present = "jsonl")]
    rule: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    dtstart_local: String,
    tz: String,
    rrule: String,
    #[serde(default)]
    max: Option<usize>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Answer {
    occurrences: Vec<Occurrence>,
    /// There are more, or there may be.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    bounded: bool,
}

#[derive(Debug, PartialEq, Serialize)]
struct Occurrence {
    utc: Instant,
    /// What the rule says.
    local: DateTime,
    /// What the clock shows, with its offset.
    actual_local: String,
    gap: bool,
    ambiguous: bool,
}

/// Runs the command.
pub fn run(wanted: &Wanted, out: Outlet) -> Result {
    if wanted.jsonl {
        return lines::answer_all(|line: Line| {
            expand(&line.dtstart_local, &line.tz, &line.rrule, line.max).map(|(answer, _)| answer)
        });
    }
    let given = |text: &'_ Option<String>| text.clone().unwrap_or_default();
    let (from, tz, rule) = (given(&wanted.from), given(&wanted.tz), given(&wanted.rule));
    let (answer, zone) = expand(&from, &tz, &rule, Some(wanted.max)).map_err(usage)?;
    out.tell(&answer, || in_words(&answer, &zone))
}

fn expand(
    from: &str,
    zone: &str,
    rule: &str,
    max: Option<usize>,
) -> std::result::Result<(Answer, TimeZone), String> {
    let zone = quiet_hours::zone(zone).map_err(|error| error.to_string())?;
    let from = local_time::parse_wall(from).map_err(|error| error.to_string())?;
    let rule = Recurrence::parse(rule).map_err(|error| error.to_string())?;
    let most = if rule.ends() { OCCURRENCES_MAX } else { ENDLESS_MAX };
    let found = rule.occurrences(from, &zone, max.unwrap_or(most).min(OCCURRENCES_MAX));
    let occurrences = found.times.iter().map(|time| occurrence(time, &zone)).collect();
    Ok((Answer { occurrences, bounded: found.bounded }, zone))
}

fn occurrence(time: &LocalTime, zone: &TimeZone) -> Occurrence {
    let actual = time.instant.timestamp().to_zoned(zone.clone());
    Occurrence {
        utc: time.instant,
        local: time.local,
        actual_local: actual.strftime("%Y-%m-%dT%H:%M:%S%z").to_string(),
        gap: time.resolved == Resolution::Gap,
        ambiguous: time.resolved == Resolution::Overlap,
    }
}

fn in_words(answer: &Answer, zone: &TimeZone) -> String {
    let some = !answer.occurrences.is_empty();
    let found = count_of(answer.occurrences.len());
    let head = match (some, answer.bounded) {
        (false, true) => "no occurrence was found".to_owned(),
        (false, false) => "the rule has no occurrence".to_owned(),
        (true, true) => format!("the first {found} occurrences; there may be more"),
        (true, false) => format!("occurrences: {found}"),
    };
    let mut words = format!("\n  {}  {}", mark(some), strong(head));
    for occurrence in &answer.occurrences {
        let shown = occurrence.utc.timestamp().to_zoned(zone.clone());
        let note = match (occurrence.gap, occurrence.ambiguous) {
            (true, _) => format!("  the clock skips {}", occurrence.local.strftime("%H:%M")),
            (_, true) => "  the first of two such times".to_owned(),
            _ => String::new(),
        };
        let shown = format!("{:<31}", shown.strftime("%a %Y-%m-%d %H:%M:%S %Z").to_string());
        write!(words, "\n     {shown}{}{note}", faint(occurrence.utc))
            .expect("writing to a String");
    }
    words.push('\n');
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_expanded() {
        let endless = "FREQ=HOURLY";
        for (rule, max, expected) in [
            ("FREQ=DAILY;COUNT=3", None, Ok((3, false))),
            ("FREQ=DAILY;COUNT=3", Some(2), Ok((2, true))),
            ("FREQ=DAILY;COUNT=3", Some(3), Ok((3, false))),
            ("FREQ=DAILY;COUNT=3", Some(0), Ok((0, true))),
            ("FREQ=DAILY;COUNT=20000", None, Ok((OCCURRENCES_MAX, true))),
            (endless, None, Ok((ENDLESS_MAX, true))),
            (endless, Some(usize::MAX), Ok((OCCURRENCES_MAX, true))),
            ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", None, Ok((0, true))),
            ("FREQ=DAILY;UNTIL=20200101", None, Ok((0, false))),
            ("FREQ=DAYLY", None, Err("FREQ=DAYLY")),
        ] {
            match (expand("2026-03-07T02:30", "America/New_York", rule, max), expected) {
                (Ok((answer, _)), Ok(expected)) => {
                    assert_eq!((answer.occurrences.len(), answer.bounded), expected, "{rule}");
                }
                (Err(told), Err(part)) => assert!(told.contains(part), "{told}"),
                (told, _) => panic!("{rule}: {told:?}"),
            }
        }
        assert!(expand("2026-03-07T02:30Z", "America/New_York", endless, None).is_err());
        assert!(expand("2026-03-07T02:30", "Mars/Base", endless, None).is_err());
    }

    #[test]
    fn answers_are_those_of_the_samples() {
        let rule = "FREQ=DAILY;COUNT=2";
        let (answer, _) = expand("2026-03-07T02:30", "America/New_York", rule, None).unwrap();
        let expected = concat!(
            r#"{"occurrences":[{"utc":"2026-03-07T07:30:00Z","local":"2026-03-07T02:30:00","#,
            r#""actual_local":"2026-03-07T02:30:00-0500","gap":false,"ambiguous":false},"#,
            r#"{"utc":"2026-03-08T07:30:00Z","local":"2026-03-08T02:30:00","#,
            r#""actual_local":"2026-03-08T03:30:00-0400","gap":true,"ambiguous":false}]}"#,
        );
        assert_eq!(serde_json::to_string(&answer).unwrap(), expected);
    }
}
