//! Times on the wall clock of a place, and the instants they mean.
//!
//! A clock that is put forward skips times and one that is put back shows times twice, so that a
//! wall time may name no instant or two. RFC 5545 section 3.3.5 decides both: a time in a gap is
//! read with the offset in force before it (02:30 becomes 03:30), a time that comes twice is its
//! first pass. What was done is told, so that people can be asked. Zones are found by
//! [`crate::quiet_hours::zone`].

use std::ops::RangeInclusive;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use serde::Serialize;
use thiserror::Error;

use crate::instant::Instant;

/// The years in which times are taken; what lies outside is a slip of the pen.
pub const YEARS: RangeInclusive<i16> = 1970..=2200;

/// How a wall time was matched with an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The clock shows the time once.
    Exact,
    /// The clock never shows it; the instant is later by the length of the gap.
    Gap,
    /// The clock shows it twice; the instant is the first of both.
    Overlap,
}

impl Resolution {
    /// `exact`, `gap` or `overlap`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Gap => "gap",
            Self::Overlap => "overlap",
        }
    }
}

/// A wall time and the instant it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocalTime {
    /// The time that was asked for. In a gap no clock ever shows it; see [`shown`].
    pub local: DateTime,
    /// When that is.
    pub instant: Instant,
    /// How both were matched.
    pub resolved: Resolution,
}

/// The instant that the wall time `local` means in `zone`, by RFC 5545 section 3.3.5.
///
/// Far outside of [`YEARS`], where the calendar ends, it is [`Instant::MAX`].
pub fn resolve(local: DateTime, zone: &TimeZone) -> LocalTime {
    let found = zone.to_ambiguous_timestamp(local);
    let resolved = match found.offset() {
        AmbiguousOffset::Unambiguous { .. } => Resolution::Exact,
        AmbiguousOffset::Gap { .. } => Resolution::Gap,
        AmbiguousOffset::Fold { .. } => Resolution::Overlap,
    };
    let instant = found.compatible().map_or(Instant::MAX, Instant::from);
    LocalTime { local, instant, resolved }
}

/// What the clock in `zone` shows at `at`.
pub fn shown(at: Instant, zone: &TimeZone) -> DateTime {
    zone.to_datetime(at.timestamp())
}

/// Reads a time as RFC 3339 with its offset (`2026-11-21T09:30:00-05:00`), or without one on the
/// wall clock of `zone` (`2026-11-21T09:30`, `2026-11-21T09:30:00`).
///
/// Fractions of a second are dropped: programs write them, appointments have none.
pub fn parse(text: &str, zone: &TimeZone) -> Result<LocalTime, LocalTimeError> {
    let (local, offset) = read(text)?;
    let Some(offset) = offset else {
        return Ok(resolve(local, zone));
    };
    let instant = offset.to_timestamp(local).map_err(|_| LocalTimeError::shape(text))?;
    let local = zone.to_datetime(instant);
    Ok(LocalTime { local, instant: instant.into(), resolved: Resolution::Exact })
}

/// Reads a time of the wall clock, which has no offset.
pub fn parse_wall(text: &str) -> Result<DateTime, LocalTimeError> {
    match read(text) {
        Ok((local, None)) => Ok(local),
        Ok((_, Some(_))) | Err(LocalTimeError::Shape { .. }) => {
            Err(LocalTimeError::Wall { text: text.to_owned() })
        }
        Err(error) => Err(error),
    }
}

fn read(text: &str) -> Result<(DateTime, Option<Offset>), LocalTimeError> {
    let trimmed = text.trim();
    let (date, rest) = trimmed.split_once(['T', 't', ' ']).unwrap_or((trimmed, ""));
    let (clock, offset) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => (&rest[..at], Some(&rest[at..])),
        None => (rest, None),
    };
    // What has a wrong shape and what is in no calendar are different slips.
    let ([year, month, day], Some([hour, minute, second])) =
        (numbers(date, '-', [4, 2, 2]).ok_or_else(|| LocalTimeError::shape(text))?, time(clock))
    else {
        return Err(LocalTimeError::shape(text));
    };
    let offset = match offset {
        Some(offset) => Some(read_offset(offset).ok_or_else(|| LocalTimeError::shape(text))?),
        None => None,
    };
    if !YEARS.contains(&year) {
        return Err(LocalTimeError::Year { text: text.to_owned() });
    }
    let local = Date::new(year, small(month), small(day))
        .and_then(|date| {
            let time = Time::new(small(hour), small(minute), small(second), 0)?;
            Ok(date.to_datetime(time))
        })
        .map_err(|_| LocalTimeError::Nowhere { text: text.to_owned() })?;
    Ok((local, offset))
}

/// `HH:MM`, `HH:MM:SS` or `HH:MM:SS.fraction`.
fn time(text: &str) -> Option<[i16; 3]> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if whole.len() == 5 && whole == text {
        let [hour, minute] = numbers(whole, ':', [2, 2])?;
        return Some([hour, minute, 0]);
    }
    numbers(whole, ':', [2, 2, 2])
}

/// `Z`, `+HH:MM` or `-HH:MM`.
fn read_offset(text: &str) -> Option<Offset> {
    if text.eq_ignore_ascii_case("z") {
        return Some(Offset::UTC);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let [hours, minutes] = numbers(&text[1..], ':', [2, 2])?;
    let in_range = hours < 24 && minutes < 60;
    let seconds = sign * (i32::from(hours) * 60 + i32::from(minutes)) * 60;
    in_range.then(|| Offset::from_seconds(seconds).ok())?
}

/// Digits between `mark`s, as many as `widths` say.
fn numbers<const N: usize>(text: &str, mark: char, widths: [usize; N]) -> Option<[i16; N]> {
    let mut values = [0; N];
    let mut parts = text.split(mark);
    for (value, width) in values.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width)?;
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        *value = part.parse().ok().filter(|_| digits)?;
    }
    parts.next().is_none().then_some(values)
}

/// Two digits, of which the calendar judges the rest.
fn small(number: i16) -> i8 {
    i8::try_from(number).unwrap_or(i8::MAX)
}

/// Why a text is no time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LocalTimeError {
    /// It is written in another way.
    #[error(
        "{text:?} is not a time: write 2026-11-21T09:30 for the time in its zone, or with an \
         offset 2026-11-21T09:30:00-05:00"
    )]
    Shape {
        /// What was read.
        text: String,
    },
    /// The calendar or the clock has no such day or hour.
    #[error(
        "{text:?} does not exist: check the day of the month, and the hour from 00:00 to 23:59"
    )]
    Nowhere {
        /// What was read.
        text: String,
    },
    /// The year is none in which anybody is texted.
    #[error("{text:?} is out of range: write a year from 1970 to 2200")]
    Year {
        /// What was read.
        text: String,
    },
    /// It is written in another way, or with an offset where the time zone stands beside.
    #[error("{text:?} is not a local time: write 2026-11-21T09:30, without an offset")]
    Wall {
        /// What was read.
        text: String,
    },
}

impl LocalTimeError {
    fn shape(text: &str) -> Self {
        Self::Shape { text: text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::quiet_hours::zone;

    #[test]
    fn times_are_read() {
        // Text, zone, instant, resolution.
        for row in [
            "2026-11-21T09:30|America/New_York|2026-11-21T14:30:00Z|exact",
            " 2026-11-21 09:30:15 |America/New_York|2026-11-21T14:30:15Z|exact",
            "2026-11-21t09:30:15.999|Asia/Kolkata|2026-11-21T04:00:15Z|exact",
            "2026-11-21T09:30:00.000Z|America/New_York|2026-11-21T09:30:00Z|exact",
            "2026-11-21T09:30:00-05:00|Europe/London|2026-11-21T14:30:00Z|exact",
            "2026-11-21T09:30+05:30|Europe/London|2026-11-21T04:00:00Z|exact",
            "2026-03-08T02:30|America/New_York|2026-03-08T07:30:00Z|gap",
            "2026-03-08T02:30:00-05:00|America/New_York|2026-03-08T07:30:00Z|exact",
            "2026-11-01T01:30|America/New_York|2026-11-01T05:30:00Z|overlap",
            "2026-11-01T01:30-05:00|America/New_York|2026-11-01T06:30:00Z|exact",
            // Half an hour is skipped and repeated on Lord Howe Island.
            "2026-10-04T02:15|Australia/Lord_Howe|2026-10-03T15:45:00Z|gap",
            "2026-04-05T01:45|Australia/Lord_Howe|2026-04-04T14:45:00Z|overlap",
            // Samoa had no 30 December 2011.
            "2011-12-30T09:00|Pacific/Apia|2011-12-30T19:00:00Z|gap",
        ] {
            let [text, name, instant, resolved] = row.split('|').collect::<Vec<_>>()[..] else {
                panic!("four columns: {row}")
            };
            let read = parse(text, &zone(name).unwrap()).unwrap();
            assert_eq!(read.instant, Instant::parse(instant).unwrap(), "{row}");
            assert_eq!(read.resolved.as_str(), resolved, "{row}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_a_way_out() {
        let zone = zone("America/New_York").unwrap();
        for (text, expected) in [
            ("", "is not a time"),
            ("tomorrow", "is not a time"),
            ("2026-11-21", "is not a time"),
            ("2026-11-21T", "is not a time"),
            ("2026-11-21T9:30", "is not a time"),
            ("2026-11-21T09", "is not a time"),
            ("2026-11-21T09:30.5", "is not a time"),
            ("2026-11-21T09:30:00.", "is not a time"),
            ("2026-11-21T09:30:00,5", "is not a time"),
            ("2026-11-21T09:30:00-0500", "is not a time"),
            ("2026-11-21T09:30:00+24:00", "is not a time"),
            ("2026-11-21T09:30 PST", "is not a time"),
            ("2026-11-21T09:30:00Z[UTC]", "is not a time"),
            ("20261121T093000", "is not a time"),
            ("+2026-11-21T09:30", "is not a time"),
            ("11/21/2026 09:30", "is not a time"),
            ("２０２６-11-21T09:30", "is not a time"),
            ("2026-02-29T09:30", "does not exist"),
            ("2026-13-01T09:30", "does not exist"),
            ("2026-11-21T24:00", "does not exist"),
            ("2026-11-21T09:60", "does not exist"),
            ("2026-11-21T23:59:60Z", "does not exist"),
            ("1969-12-31T23:59", "from 1970 to 2200"),
            ("2201-01-01T00:00", "from 1970 to 2200"),
            ("0026-11-21T09:30Z", "from 1970 to 2200"),
        ] {
            let told = parse(text, &zone).unwrap_err().to_string();
            assert!(told.contains(expected) && told.starts_with('"'), "{text}: {told}");
        }
    }

    #[test]
    fn wall_times_have_no_offset() {
        let expected = date(2026, 11, 21).at(9, 30, 0, 0);
        assert_eq!(parse_wall("2026-11-21T09:30"), Ok(expected));
        for (text, expected) in [
            ("2026-11-21T09:30Z", "without an offset"),
            ("2026-11-21", "without an offset"),
            ("2026-02-30T09:30", "does not exist"),
            ("2201-02-20T09:30", "from 1970 to 2200"),
        ] {
            let told = parse_wall(text).unwrap_err().to_string();
            assert!(told.contains(expected), "{told}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        /// Outside of gaps the clock shows at the instant what was asked for; in a gap it shows
        /// a later time.
        #[test]
        fn clocks_show_what_was_asked(
            name in any::<prop::sample::Index>(),
            minute in 0_i64..(231 * 365 * 24 * 60),
        ) {
            let database = jiff::tz::TimeZoneDatabase::bundled();
            let names: Vec<_> = database.available().collect();
            let zone = zone(name.get(&names).as_str()).unwrap();
            let local = date(1970, 1, 2).at(0, 0, 0, 0)
                + jiff::SignedDuration::from_secs(minute * 60);
            let time = resolve(local, &zone);
            let shown = shown(time.instant, &zone);
            prop_assert_eq!(shown == local, time.resolved != Resolution::Gap);
            prop_assert!(shown >= local);
        }
    }
}
