//! What an account may spend in a day and in a month.
//!
//! What was used is read off two meters. A meter knows what had ever been used (spent and
//! reserved) when its span began, its base; what the span used is the difference to what has been
//! used by now. Nothing is counted, so a look costs the same however many texts there are.

use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::instant::Instant;

/// Parts of a budget, in percent, at which the account is told.
pub const MARKS: [i64; 3] = [50, 80, 100];

/// How long a limit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpanKind {
    /// From midnight to midnight of the account's clock.
    Day,
    /// From the first of a month to the next.
    Month,
}

impl SpanKind {
    /// The word used in notices.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// A day or a month of the account's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which of the two.
    pub kind: SpanKind,
    /// `2026-11-21` or `2026-11`.
    pub name: String,
    /// When it began.
    pub start: Instant,
    /// When the next one begins.
    pub end: Instant,
}

impl Span {
    /// The span of this kind around `now`.
    pub fn around(kind: SpanKind, now: Instant, zone: &TimeZone) -> Self {
        let today = now.timestamp().to_zoned(zone.clone()).date();
        let first = match kind {
            SpanKind::Day => today,
            SpanKind::Month => today.first_of_month(),
        };
        let next = match kind {
            SpanKind::Day => first.tomorrow(),
            SpanKind::Month => first.last_of_month().tomorrow(),
        };
        let midnight = |date: jiff::civil::Date| {
            let zoned = date.to_datetime(Time::midnight()).to_zoned(zone.clone());
            zoned.map_or(now, |zoned| Instant::from(zoned.timestamp()))
        };
        let name = match kind {
            SpanKind::Day => first.to_string(),
            SpanKind::Month => first.strftime("%Y-%m").to_string(),
        };
        Self { kind, name, start: midnight(first), end: next.map_or(Instant::MAX, midnight) }
    }
}

/// Where a span began on the axis of everything ever used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// When the span began that it measures.
    pub start: Instant,
    /// What had been used then.
    pub base: i64,
    /// The highest mark of this span that the account was told of; 0 for none.
    pub warned: i64,
}

impl Meter {
    /// What the span has used, when `used` is all that was ever used. What comes back of an
    /// earlier span takes the base along, so that it does not add to what this one may use.
    pub fn read(&mut self, used: i64) -> i64 {
        self.base = self.base.min(used);
        used - self.base
    }
}

/// What a limit still leaves.
pub const fn left(limit: i64, used: i64) -> i64 {
    let left = limit.saturating_sub(used);
    if left > 0 { left } else { 0 }
}

/// The marks above `warned` that `used` of `limit` has come to; all of them when a text had to
/// wait for the budget.
pub fn crossed(limit: i64, used: i64, warned: i64, reached: bool) -> Vec<i64> {
    let come_to =
        |mark: &i64| reached || i128::from(used) * 100 >= i128::from(limit) * i128::from(*mark);
    MARKS.into_iter().filter(|mark| *mark > warned).filter(come_to).collect()
}

/// Why nothing more leaves.
pub fn words(limit: i64, span: &Span) -> String {
    let (name, end) = (&span.name, span.end);
    format!("the account's budget of {limit} credits for {name} is used up; more from {end}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quiet_hours::zone;

    #[test]
    fn spans_are_those_of_the_accounts_clock() {
        for (kind, now, place, name, start, end) in [
            (
                SpanKind::Day,
                "2026-11-22T04:59:59Z",
                "America/New_York",
                "2026-11-21",
                "2026-11-21T05:00:00Z",
                "2026-11-22T05:00:00Z",
            ),
            (
                SpanKind::Day,
                "2026-11-22T05:00:00Z",
                "America/New_York",
                "2026-11-22",
                "2026-11-22T05:00:00Z",
                "2026-11-23T05:00:00Z",
            ),
            // The day on which the clock goes back is 25 hours long.
            (
                SpanKind::Day,
                "2026-11-01T12:00:00Z",
                "America/New_York",
                "2026-11-01",
                "2026-11-01T04:00:00Z",
                "2026-11-02T05:00:00Z",
            ),
            (
                SpanKind::Month,
                "2026-12-31T23:30:00Z",
                "Europe/Berlin",
                "2027-01",
                "2026-12-31T23:00:00Z",
                "2027-01-31T23:00:00Z",
            ),
            // Midnight does not exist on this day: it begins at one.
            (
                SpanKind::Day,
                "2026-09-06T12:00:00Z",
                "America/Santiago",
                "2026-09-06",
                "2026-09-06T04:00:00Z",
                "2026-09-07T03:00:00Z",
            ),
        ] {
            let now = Instant::parse(now).expect("a time");
            let span = Span::around(kind, now, &zone(place).expect("a zone"));
            assert_eq!(span.name, name);
            assert_eq!((span.start.to_string(), span.end.to_string()), (start.into(), end.into()));
        }
    }

    #[test]
    fn a_meter_reads_what_its_span_used() {
        let mut meter = Meter { base: 100, ..Meter::default() };
        for (used, read) in [(100, 0), (150, 50), (130, 30), (90, 0), (95, 5)] {
            assert_eq!(meter.read(used), read, "{used}");
        }
    }

    #[test]
    fn marks_are_crossed_once() {
        for (limit, used, warned, reached, expected) in [
            (500, 249, 0, false, vec![]),
            (500, 250, 0, false, vec![50]),
            (500, 250, 50, false, vec![]),
            (500, 450, 0, false, vec![50, 80]),
            (500, 499, 80, false, vec![]),
            (500, 499, 80, true, vec![100]),
            (500, 500, 80, false, vec![100]),
            (500, 700, 100, false, vec![]),
            (1, 0, 0, true, vec![50, 80, 100]),
            (i64::MAX, i64::MAX / 2, 0, false, vec![]),
        ] {
            assert_eq!(crossed(limit, used, warned, reached), expected, "{limit} {used} {warned}");
        }
    }

    #[test]
    fn what_is_left_is_never_below_zero() {
        for (limit, used, expected) in [(5, 0, 5), (5, 5, 0), (5, 9, 0), (1, i64::MAX, 0)] {
            assert_eq!(left(limit, used), expected);
        }
    }
}
