//! The occurrences of a rule, one after another.
//!
//! Period by period of the rule's frequency, the days that pass its conditions are crossed with
//! the times of day; BYSETPOS picks from that set. Periods of an hour and less that cannot pass
//! are leapt over, not counted through.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::rule::{Frequency, Recurrence};
use crate::local_time::{self, LocalTime};

/// The last day that is looked at.
const LAST: Date = Date::constant(*local_time::YEARS.end(), 12, 31);
/// How many days, or periods shorter than a day, one expansion looks at before it gives up. All
/// days of the years in which times are taken are some 84,000.
const EXAMINED_MAX: u32 = 400_000;

/// What [`Recurrence::occurrences`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrences {
    /// In order of the wall clock.
    pub times: Vec<LocalTime>,
    /// There are or may be more: the rule goes on beyond what was asked for or looked at.
    pub bounded: bool,
}

/// The occurrences of a rule in order of the wall clock: no time twice, none skipped. Around a gap
/// two of them may mean the same instant (02:30 and 03:30 of an hourly rule).
///
/// It ends with the rule, after the year 2200, or when a rule that hardly ever holds has been
/// examined for long enough; [`Expansion::is_cut`] tells the last two from the first.
#[derive(Debug)]
pub struct Expansion<'a> {
    rule: Recurrence,
    zone: &'a TimeZone,
    first: DateTime,
    /// What COUNT leaves.
    left: Option<u32>,
    /// No occurrence is later than this day.
    last: Date,
    /// The next period to look at, in units of the frequency.
    period: i64,
    set: Set,
    /// The day looked at last for a period shorter than a day: its number, and whether it is taken.
    day: Option<(i64, Date, bool)>,
    examined: u32,
    ended: bool,
    cut: bool,
}

impl<'a> Expansion<'a> {
    /// Expands a rule whose silent parts are filled from `first`.
    pub(super) fn new(rule: Recurrence, first: DateTime, zone: &'a TimeZone) -> Self {
        let per_day = rule.frequency.per_day();
        let time = first.time();
        let (hour, minute) = (i64::from(time.hour()), i64::from(time.minute()));
        let second = (hour * 60 + minute) * 60 + i64::from(time.second());
        let into_day = second * per_day / Frequency::Secondly.per_day();
        let period = rule.frequency.period_of(first.date(), rule.week_start) + into_day;
        // The clock of the zone may be a day behind or before UTC.
        let until = rule.until.map(|until| until.written().date());
        let until = until.map(|until| until.tomorrow().unwrap_or(until));
        let last = until.map_or(LAST, |until| until.min(LAST));
        let left = rule.count;
        Self {
            rule,
            zone,
            first,
            left,
            last,
            period,
            set: Set::default(),
            day: None,
            examined: 0,
            ended: false,
            cut: false,
        }
    }

    /// The rule may have more occurrences than were looked for.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Finds the next period with a set to take from; false when there is none.
    fn refill(&mut self) -> bool {
        while self.examined < EXAMINED_MAX {
            let found = if self.rule.frequency < Frequency::Hourly {
                self.whole_days()
            } else {
                self.part_of_day()
            };
            match found {
                Some(set) if set.is_empty() => {}
                Some(set) => {
                    self.set = set;
                    return true;
                }
                None => {
                    self.cut = self.last == LAST;
                    return false;
                }
            }
        }
        self.cut = true;
        false
    }

    /// The set of a period of a day or more, which may be empty; none after the last day.
    fn whole_days(&mut self) -> Option<Set> {
        let (from, to) = self.rule.frequency.dates_of(self.period, self.rule.week_start)?;
        if from > self.last {
            return None;
        }
        let days = self.days(self.begin(from), to);
        self.step();
        Some(Set::new(&self.rule, days, None))
    }

    /// The set of a period shorter than a day, which is empty when it was leapt over; none after
    /// the last day.
    fn part_of_day(&mut self) -> Option<Set> {
        self.examined += 1;
        let per_day = self.rule.frequency.per_day();
        let number = self.period.div_euclid(per_day);
        if self.day.is_none_or(|(known, _, _)| known != number) {
            let (date, _) = self.rule.frequency.dates_of(self.period, self.rule.week_start)?;
            self.day = Some((number, date, self.rule.takes(date, date.year())));
        }
        let (_, date, taken) = self.day.filter(|(_, date, _)| *date <= self.last)?;
        let ahead = if taken { self.next_worth() } else { Some((number + 1) * per_day) };
        if let Some(target) = ahead {
            self.leap(target);
            return Some(Set::default());
        }
        let within = self.period.rem_euclid(per_day);
        self.step();
        Some(Set::new(&self.rule, vec![date], Some(within)))
    }

    /// Where to begin in a period. Days before the first occurrence do not count in its week; in
    /// its month or year they do, as BYSETPOS counts them.
    fn begin(&self, from: Date) -> Date {
        let clips = self.rule.positions.is_empty() || self.rule.frequency == Frequency::Weekly;
        if clips { from.max(self.first.date()) } else { from }
    }

    fn days(&mut self, from: Date, to: Date) -> Vec<Date> {
        let mut days = Vec::new();
        let mut date = from;
        while date <= to {
            self.examined += 1;
            if self.rule.takes(date, from.year()) {
                days.push(date);
            }
            match date.tomorrow() {
                Ok(next) => date = next,
                Err(_) => break,
            }
        }
        days
    }

    fn step(&mut self) {
        self.period = self.period.saturating_add(self.rule.interval.into());
    }

    /// To the first period of the rule at or after `target`, which lies ahead.
    fn leap(&mut self, target: i64) {
        let interval = i64::from(self.rule.interval);
        let periods = (target - self.period + interval - 1) / interval;
        self.period = self.period.saturating_add(periods * interval);
    }

    /// The next period that BYHOUR, BYMINUTE and BYSECOND do not rule out; none if this is one.
    fn next_worth(&self) -> Option<i64> {
        let per_day = self.rule.frequency.per_day();
        let levels = [
            (&self.rule.hours, per_day / 24, 24),
            (&self.rule.minutes, per_day / (24 * 60), 60),
            (&self.rule.seconds, per_day / (24 * 60 * 60), 60),
        ];
        for (list, size, base) in levels {
            if size == 0 || list.is_empty() {
                continue;
            }
            let within = self.period.rem_euclid(size * base);
            let (begin, value) = (self.period - within, within / size);
            let next = list.iter().map(|&listed| i64::from(listed)).find(|&next| next >= value);
            match next {
                Some(next) if next == value => {}
                Some(next) => return Some(begin + next * size),
                None => return Some(begin + base * size),
            }
        }
        None
    }
}

impl Iterator for Expansion<'_> {
    type Item = LocalTime;

    fn next(&mut self) -> Option<LocalTime> {
        while !self.ended && self.left != Some(0) {
            let Some(local) = self.set.next() else {
                self.ended = !self.refill();
                continue;
            };
            if local < self.first {
                continue;
            }
            // A week may reach beyond.
            if local.date() > self.last {
                self.ended = true;
                self.cut = self.last == LAST;
                break;
            }
            let time = local_time::resolve(local, self.zone);
            if crate::mutant!(M25) && time.resolved == local_time::Resolution::Gap {
                continue;
            }
            if self.rule.until.is_some_and(|until| until.precedes(local, time.instant)) {
                self.ended = true;
                break;
            }
            self.left = self.left.map(|left| left - 1);
            return Some(time);
        }
        None
    }
}

/// The days of a period crossed with the times of day, in order, of which BYSETPOS may pick some.
/// It is never written out: `BYHOUR`, `BYMINUTE` and `BYSECOND` can make a set of millions.
#[derive(Debug, Default)]
struct Set {
    days: Vec<Date>,
    hours: Vec<i16>,
    minutes: Vec<i16>,
    seconds: Vec<i16>,
    /// Numbers in the set, ascending.
    picks: Option<Vec<usize>>,
    next: usize,
}

impl Set {
    /// The set of a period of days, or of the period of so many units `within` its one day.
    fn new(rule: &Recurrence, days: Vec<Date>, within: Option<i64>) -> Self {
        let mut set = Self {
            days,
            hours: rule.hours.clone(),
            minutes: rule.minutes.clone(),
            seconds: rule.seconds.clone(),
            ..Self::default()
        };
        if let Some(within) = within {
            let second = within * (Frequency::Secondly.per_day() / rule.frequency.per_day());
            let shown = |value: i64| i16::try_from(value).into_iter().collect();
            set.hours = shown(second / 3600);
            if rule.frequency >= Frequency::Minutely {
                set.minutes = shown(second / 60 % 60);
            }
            if rule.frequency >= Frequency::Secondly {
                set.seconds = shown(second % 60);
            }
        }
        if !rule.positions.is_empty() {
            set.picks = Some(picks(&rule.positions, set.len()));
        }
        set
    }

    fn len(&self) -> usize {
        self.days.len() * self.hours.len() * self.minutes.len() * self.seconds.len()
    }

    fn is_empty(&self) -> bool {
        self.picks.as_ref().map_or(self.days.len(), Vec::len) == 0
    }

    fn next(&mut self) -> Option<DateTime> {
        let number = match &self.picks {
            Some(picks) => *picks.get(self.next)?,
            None => Some(self.next).filter(|&next| next < self.len())?,
        };
        self.next += 1;
        let (rest, second) = digit(number, &self.seconds);
        let (rest, minute) = digit(rest, &self.minutes);
        let (rest, hour) = digit(rest, &self.hours);
        Some(self.days[rest].at(hour, minute, second, 0))
    }
}

/// What the last digit of `number` stands for, and the digits before.
fn digit(number: usize, list: &[i16]) -> (usize, i8) {
    let value = i8::try_from(list[number % list.len()]).expect("hours to seconds are below 60");
    (number / list.len(), value)
}

/// The numbers in a set of `len` that positions name, counted from 1, or from the end.
fn picks(positions: &[i16], len: usize) -> Vec<usize> {
    let pick = |&position: &i16| {
        let places = usize::from(position.unsigned_abs());
        let number = if position > 0 { places.checked_sub(1) } else { len.checked_sub(places) };
        number.filter(|&number| number < len)
    };
    let mut numbers: Vec<_> = positions.iter().filter_map(pick).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
