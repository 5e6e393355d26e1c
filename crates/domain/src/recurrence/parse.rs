//! Reading the text of a recurrence rule, and saying what is wrong with it.

use std::ops::RangeInclusive;

use jiff::civil::{Date, DateTime, Time, Weekday};
use thiserror::Error;

use super::rule::{Frequency, NthDay, Recurrence, Until};

/// The longest rule that is read. One with every value of every part is shorter.
const RULE_BYTES_MAX: usize = 8 * 1024;

/// Why a text is no recurrence rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecurrenceError {
    /// It is too long to be one.
    #[error("the recurrence rule is longer than {RULE_BYTES_MAX} bytes: split it into several")]
    TooLong,
    /// A piece between semicolons has no equals sign.
    #[error(
        "{part:?} is not a part of a recurrence rule: write NAME=VALUE between semicolons, such \
         as FREQ=WEEKLY;BYDAY=MO,WE;COUNT=10"
    )]
    Shape {
        /// The piece.
        part: String,
    },
    /// RFC 5545 has no part of that name.
    #[error(
        "{part} is not a part of a recurrence rule: use FREQ, INTERVAL, COUNT, UNTIL, WKST, \
         BYMONTH, BYWEEKNO, BYYEARDAY, BYMONTHDAY, BYDAY, BYHOUR, BYMINUTE, BYSECOND or BYSETPOS"
    )]
    Unknown {
        /// The name.
        part: String,
    },
    /// A part is there a second time.
    #[error("{part} is given twice: write it once, with commas between its values")]
    Twice {
        /// The name.
        part: &'static str,
    },
    /// There is no frequency.
    #[error("FREQ is missing: add one of FREQ=DAILY, FREQ=WEEKLY, FREQ=MONTHLY and FREQ=YEARLY")]
    NoFrequency,
    /// A part has a value that it cannot have.
    #[error("{part}={value} cannot be read: write {wanted}")]
    Value {
        /// The name.
        part: &'static str,
        /// What it was given.
        value: String,
        /// What it takes.
        wanted: &'static str,
    },
}

/// Reads a rule; letters may have either case.
pub(super) fn recurrence(text: &str) -> Result<Recurrence, RecurrenceError> {
    if text.len() > RULE_BYTES_MAX {
        return Err(RecurrenceError::TooLong);
    }
    let text = text.trim().to_ascii_uppercase();
    let text = text.strip_prefix("RRULE:").unwrap_or(&text);
    let mut parts = Parts::default();
    // A semicolon at the end is a common slip without another meaning.
    let text = text.trim().trim_end_matches(';');
    for part in text.split(';').filter(|_| !text.is_empty()) {
        let (name, value) = part
            .split_once('=')
            .ok_or_else(|| RecurrenceError::Shape { part: part.trim().to_owned() })?;
        parts.read(name.trim(), value.trim())?;
    }
    parts.finish()
}

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("MO", Weekday::Monday),
    ("TU", Weekday::Tuesday),
    ("WE", Weekday::Wednesday),
    ("TH", Weekday::Thursday),
    ("FR", Weekday::Friday),
    ("SA", Weekday::Saturday),
    ("SU", Weekday::Sunday),
];

/// The parts read so far.
#[derive(Default)]
struct Parts {
    frequency: Option<Frequency>,
    interval: Option<u32>,
    count: Option<u32>,
    until: Option<Until>,
    week_start: Option<Weekday>,
    months: Option<Vec<i16>>,
    weeks: Option<Vec<i16>>,
    year_days: Option<Vec<i16>>,
    month_days: Option<Vec<i16>>,
    days: Option<Vec<(Option<i16>, Weekday)>>,
    hours: Option<Vec<i16>>,
    minutes: Option<Vec<i16>>,
    seconds: Option<Vec<i16>>,
    positions: Option<Vec<i16>>,
}

impl Parts {
    fn read(&mut self, name: &str, value: &str) -> Result<(), RecurrenceError> {
        let list = |part, range: RangeInclusive<i16>, wanted| Numbers { part, range, wanted };
        let either =
            "numbers like 1 and -1 with commas between, counted from the end when negative";
        match name {
            "FREQ" => set(&mut self.frequency, "FREQ", frequency(value)?),
            "INTERVAL" => set(&mut self.interval, "INTERVAL", interval(value)?),
            "COUNT" => set(&mut self.count, "COUNT", count(value)?),
            "UNTIL" => set(&mut self.until, "UNTIL", until(value)?),
            "WKST" => set(&mut self.week_start, "WKST", week_start(value)?),
            "BYDAY" => set(&mut self.days, "BYDAY", days(value)?),
            "BYMONTH" => list("BYMONTH", 1..=12, "months from 1 to 12 with commas between")
                .set(&mut self.months, value),
            "BYWEEKNO" => list("BYWEEKNO", -53..=53, either).set(&mut self.weeks, value),
            "BYYEARDAY" => list("BYYEARDAY", -366..=366, either).set(&mut self.year_days, value),
            "BYMONTHDAY" => list("BYMONTHDAY", -31..=31, either).set(&mut self.month_days, value),
            "BYSETPOS" => list("BYSETPOS", -366..=366, either).set(&mut self.positions, value),
            "BYHOUR" => list("BYHOUR", 0..=23, "hours from 0 to 23 with commas between")
                .set(&mut self.hours, value),
            "BYMINUTE" => list("BYMINUTE", 0..=59, "minutes from 0 to 59 with commas between")
                .set(&mut self.minutes, value),
            "BYSECOND" => list("BYSECOND", 0..=60, "seconds from 0 to 60 with commas between")
                .set(&mut self.seconds, value),
            _ => Err(RecurrenceError::Unknown { part: name.to_owned() }),
        }
    }

    fn finish(self) -> Result<Recurrence, RecurrenceError> {
        let frequency = self.frequency.ok_or(RecurrenceError::NoFrequency)?;
        let (mut weekdays, mut nth_days) = (Vec::new(), Vec::new());
        for (nth, weekday) in self.days.unwrap_or_default() {
            match nth {
                // Weeks and shorter periods count no weekdays.
                Some(nth) if frequency <= Frequency::Monthly => {
                    nth_days.push(NthDay { nth, weekday });
                }
                _ => weekdays.push(weekday),
            }
        }
        let mut seconds = self.seconds.unwrap_or_default();
        // A rule of seconds goes on to the next that it takes. Otherwise clocks without leap
        // seconds take second 60 for 59 (RFC 5545 section 3.3.12).
        if frequency == Frequency::Secondly && seconds.len() > 1 {
            seconds.retain(|second| *second < 60);
        }
        for second in &mut seconds {
            *second = (*second).min(59);
        }
        seconds.dedup();
        Ok(Recurrence {
            frequency,
            interval: self.interval.unwrap_or(1),
            count: self.count,
            until: self.until,
            week_start: self.week_start.unwrap_or(Weekday::Monday),
            months: self.months.unwrap_or_default(),
            weeks: self.weeks.unwrap_or_default(),
            year_days: self.year_days.unwrap_or_default(),
            month_days: self.month_days.unwrap_or_default(),
            weekdays,
            nth_days,
            hours: self.hours.unwrap_or_default(),
            minutes: self.minutes.unwrap_or_default(),
            seconds,
            positions: self.positions.unwrap_or_default(),
        })
    }
}

/// A part that is a list of numbers. Where they may be negative, there is no 0.
struct Numbers {
    part: &'static str,
    range: RangeInclusive<i16>,
    wanted: &'static str,
}

impl Numbers {
    fn set(self, to: &mut Option<Vec<i16>>, value: &str) -> Result<(), RecurrenceError> {
        let signed = *self.range.start() < 0;
        let number = |text: &str| {
            let number = text.trim().parse().ok()?;
            (self.range.contains(&number) && !(signed && number == 0)).then_some(number)
        };
        let list: Option<Vec<i16>> = value.split(',').map(number).collect();
        let mut list = list.ok_or_else(|| refused(self.part, value, self.wanted))?;
        list.sort_unstable();
        list.dedup();
        set(to, self.part, list)
    }
}

fn set<T>(to: &mut Option<T>, part: &'static str, value: T) -> Result<(), RecurrenceError> {
    match to.replace(value) {
        Some(_) => Err(RecurrenceError::Twice { part }),
        None => Ok(()),
    }
}

fn refused(part: &'static str, value: &str, wanted: &'static str) -> RecurrenceError {
    RecurrenceError::Value { part, value: value.to_owned(), wanted }
}

fn frequency(value: &str) -> Result<Frequency, RecurrenceError> {
    Ok(match value {
        "YEARLY" => Frequency::Yearly,
        "MONTHLY" => Frequency::Monthly,
        "WEEKLY" => Frequency::Weekly,
        "DAILY" => Frequency::Daily,
        "HOURLY" => Frequency::Hourly,
        "MINUTELY" => Frequency::Minutely,
        "SECONDLY" => Frequency::Secondly,
        _ => {
            let wanted = "YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY or SECONDLY";
            return Err(refused("FREQ", value, wanted));
        }
    })
}

fn interval(value: &str) -> Result<u32, RecurrenceError> {
    let number = value.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| refused("INTERVAL", value, "a whole number of 1 or more, such as 2"))
}

/// A count of 0 is in the grammar of the RFC: a rule without occurrences.
fn count(value: &str) -> Result<u32, RecurrenceError> {
    let number = value.parse().ok();
    number.ok_or_else(|| refused("COUNT", value, "a whole number such as 10"))
}

/// `20261231T140000` and, as python-dateutil reads them, `20261231T1400`, `20261231T14` and days
/// like `2026-12-31`.
fn until(value: &str) -> Result<Until, RecurrenceError> {
    let utc = value.strip_suffix('Z');
    let (day, clock) = match utc.unwrap_or(value).split_once('T') {
        Some((day, clock)) => (day, clock),
        None if utc.is_none() => (value, "00"),
        None => (value, ""),
    };
    let moment = moment(day, clock).ok_or_else(|| {
        let wanted = "20261231T090000 for a local time, 20261231T140000Z for one in UTC, or \
                      20261231 for the midnight at which that day begins";
        refused("UNTIL", value, wanted)
    })?;
    Ok(if utc.is_some() { Until::Utc(moment) } else { Until::Local(moment) })
}

fn moment(day: &str, clock: &str) -> Option<DateTime> {
    let dashes = matches!(day.as_bytes(), [_, _, _, _, b'-', _, _, b'-', _, _]);
    let day = if dashes { day.replace('-', "") } else { day.to_owned() };
    let clock =
        if matches!(clock.len(), 2 | 4) { format!("{clock:0<6}") } else { clock.to_owned() };
    let digits = |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(&day, 8) || !digits(&clock, 6) {
        return None;
    }
    let two = |text: &str| text.parse::<i8>().ok();
    let date = Date::new(day[..4].parse().ok()?, two(&day[4..6])?, two(&day[6..])?).ok()?;
    let time = Time::new(two(&clock[..2])?, two(&clock[2..4])?, two(&clock[4..])?, 0).ok()?;
    Some(date.to_datetime(time))
}

fn weekday(letters: &str) -> Option<Weekday> {
    WEEKDAYS.iter().find(|(name, _)| *name == letters).map(|(_, weekday)| *weekday)
}

fn week_start(value: &str) -> Result<Weekday, RecurrenceError> {
    weekday(value).ok_or_else(|| refused("WKST", value, "MO, TU, WE, TH, FR, SA or SU"))
}

/// The weekdays of BYDAY, each with its number if it has one.
fn days(value: &str) -> Result<Vec<(Option<i16>, Weekday)>, RecurrenceError> {
    let day = |text: &str| {
        let text = text.trim();
        let (number, letters) = text.split_at_checked(text.len().checked_sub(2)?)?;
        let weekday = weekday(letters)?;
        if number.is_empty() {
            return Some((None, weekday));
        }
        let nth = number.parse().ok()?;
        (1..=53).contains(&i16::unsigned_abs(nth)).then_some((Some(nth), weekday))
    };
    let days: Option<Vec<_>> = value.split(',').map(day).collect();
    days.ok_or_else(|| {
        let wanted = "weekdays like MO,TH, or numbered ones like 2TU and -1FR (the last)";
        refused("BYDAY", value, wanted)
    })
}
