//! What a recurrence rule says, and what it leaves to the first occurrence.

use std::str::FromStr;

use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;

use super::expansion::{Expansion, Occurrences};
use super::parse::{self, RecurrenceError};
use crate::instant::Instant;

/// How often the rule comes round, longest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Frequency {
    Yearly,
    Monthly,
    Weekly,
    Daily,
    Hourly,
    Minutely,
    Secondly,
}

/// The last moment that may be an occurrence, itself included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Until {
    /// On the wall clock of the series.
    Local(DateTime),
    /// In UTC.
    Utc(DateTime),
}

impl Until {
    /// Whether an occurrence comes too late.
    pub(super) fn precedes(self, local: DateTime, instant: Instant) -> bool {
        match self {
            Self::Local(last) => local > last,
            // A moment that the calendar cannot hold is later than all.
            Self::Utc(last) => {
                let last = TimeZone::UTC.to_timestamp(last).map_or(Instant::MAX, Instant::from);
                instant > last
            }
        }
    }

    /// The moment as it is written.
    pub(super) fn written(self) -> DateTime {
        match self {
            Self::Local(last) | Self::Utc(last) => last,
        }
    }
}

/// A numbered entry of BYDAY: the nth weekday of its kind in the month or year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NthDay {
    /// Counted from the beginning, or from the end when negative; never 0.
    pub(super) nth: i16,
    pub(super) weekday: Weekday,
}

/// A recurrence rule, as the type RECUR of RFC 5545 section 3.3.10.
///
/// All parts and frequencies are known. Lists are sorted and hold each value once; an empty list
/// is a part that was not given. Parts that the RFC forbids in a frequency although they could
/// mean something there (`FREQ=DAILY;BYWEEKNO=20`) are conditions like all others. Known quirks,
/// all of them those of python-dateutil: `UNTIL=20261231` is the midnight at the beginning of that
/// day; BYWEEKNO alone takes all seven days of the week; a number in BYDAY counts in a month or a
/// year only (`FREQ=WEEKLY;BYDAY=2MO` is each Monday), and where weekdays with a number are beside
/// some without, a day has to be both (`BYDAY=MO,TU,2TU` is the second Tuesday).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recurrence {
    pub(super) frequency: Frequency,
    pub(super) interval: u32,
    pub(super) count: Option<u32>,
    pub(super) until: Option<Until>,
    pub(super) week_start: Weekday,
    pub(super) months: Vec<i16>,
    pub(super) weeks: Vec<i16>,
    pub(super) year_days: Vec<i16>,
    pub(super) month_days: Vec<i16>,
    /// The entries of BYDAY without a number.
    pub(super) weekdays: Vec<Weekday>,
    /// The entries of BYDAY with a number, in a frequency that counts them.
    pub(super) nth_days: Vec<NthDay>,
    pub(super) hours: Vec<i16>,
    pub(super) minutes: Vec<i16>,
    pub(super) seconds: Vec<i16>,
    pub(super) positions: Vec<i16>,
}

impl Recurrence {
    /// Reads a rule such as `FREQ=WEEKLY;BYDAY=MO,WE;COUNT=10`, with or without `RRULE:` before.
    pub fn parse(text: &str) -> Result<Self, RecurrenceError> {
        parse::recurrence(text)
    }

    /// The rule says where it ends, by COUNT or UNTIL.
    pub fn ends(&self) -> bool {
        self.count.is_some() || self.until.is_some()
    }

    /// The occurrences at and after `first` (DTSTART), which is one of them only if the rule says
    /// so. Some rules never end: take as many as are needed.
    pub fn expand<'a>(&self, first: DateTime, zone: &'a TimeZone) -> Expansion<'a> {
        Expansion::new(self.filled(first), first, zone)
    }

    /// At most `max` occurrences, and whether that is all.
    pub fn occurrences(&self, first: DateTime, zone: &TimeZone, max: usize) -> Occurrences {
        let mut expansion = self.expand(first, zone);
        let times = expansion.by_ref().take(max).collect();
        let bounded = expansion.next().is_some() || expansion.is_cut();
        Occurrences { times, bounded }
    }

    /// The rule with what `first` says where it is silent itself (RFC 5545 section 3.3.10,
    /// "Information, not contained in the rule").
    fn filled(&self, first: DateTime) -> Self {
        let mut rule = self.clone();
        let frequency = rule.frequency;
        let silent = rule.weeks.is_empty()
            && rule.year_days.is_empty()
            && rule.month_days.is_empty()
            && rule.weekdays.is_empty()
            && rule.nth_days.is_empty();
        if silent {
            match frequency {
                Frequency::Yearly => {
                    or_else(&mut rule.months, first.month());
                    or_else(&mut rule.month_days, first.day());
                }
                Frequency::Monthly => or_else(&mut rule.month_days, first.day()),
                Frequency::Weekly => rule.weekdays.push(first.weekday()),
                _ => {}
            }
        }
        if frequency < Frequency::Hourly {
            or_else(&mut rule.hours, first.hour());
        }
        if frequency < Frequency::Minutely {
            or_else(&mut rule.minutes, first.minute());
        }
        if frequency < Frequency::Secondly {
            or_else(&mut rule.seconds, first.second());
        }
        rule
    }
}

impl FromStr for Recurrence {
    type Err = RecurrenceError;

    fn from_str(text: &str) -> Result<Self, RecurrenceError> {
        Self::parse(text)
    }
}

fn or_else(list: &mut Vec<i16>, value: i8) {
    if list.is_empty() {
        list.push(value.into());
    }
}
