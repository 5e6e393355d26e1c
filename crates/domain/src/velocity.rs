//! Texts that look like somebody else's gain: many to numbers that begin alike, or to numbers
//! that follow one another. Whoever earns on calls and texts to a range of numbers makes a form
//! send codes there; people who ask for a code have numbers of all kinds.

use serde::Serialize;

use crate::instant::Instant;
use crate::lanes::Lane;
use crate::message::words;

words! {
    /// What is watched.
    Guard {
        /// Texts to numbers that differ in their last four digits only.
        Velocity = 1 "velocity",
        /// Different numbers of one block of a hundred.
        Sequential = 2 "sequential",
    }
}

/// Lanes whose texts may be watched: single texts that anybody may set off.
pub const LANES: [Lane; 3] = [Lane::Code, Lane::Notification, Lane::Urgent];

const HOUR_MICROS: i64 = 3_600_000_000;

/// When the hour of `now` began; texts are counted hour by hour.
pub const fn hour_of(now: Instant) -> Instant {
    Instant(now.0 - now.0.rem_euclid(HOUR_MICROS))
}

impl Guard {
    /// What numbers are counted together under this guard.
    pub fn group_of(self, phone: &str) -> &str {
        let digits = match self {
            Self::Velocity => 4,
            Self::Sequential => 2,
        };
        phone.get(..phone.len().saturating_sub(digits)).unwrap_or(phone)
    }

    /// The name of such a group of texts of a lane, such as `velocity:code:+1312555`.
    pub fn key(self, lane: Lane, phone: &str) -> String {
        format!("{self}:{lane}:{}", self.group_of(phone))
    }
}

/// A group of texts within an hour: how many, and to which numbers of the hundred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Texts.
    pub texts: i64,
    /// A bit for each of the first fifty numbers.
    pub low: i64,
    /// A bit for each of the last fifty.
    pub high: i64,
}

impl Count {
    /// The count with one text more.
    #[must_use]
    pub fn with(self, phone: &str) -> Self {
        let tail = phone.get(phone.len().saturating_sub(2)..).and_then(|two| two.parse().ok());
        let (low, high) = match tail {
            Some(number @ 0..50_u32) => (1 << number, 0),
            Some(number) => (0, 1 << (number - 50)),
            None => (0, 0),
        };
        Self { texts: self.texts + 1, low: self.low | low, high: self.high | high }
    }

    /// What a guard counts of it.
    pub fn under(self, guard: Guard) -> i64 {
        match guard {
            Guard::Velocity => self.texts,
            Guard::Sequential => i64::from(self.low.count_ones() + self.high.count_ones()),
        }
    }
}

/// Whether one text more to `phone` is one too many under this guard.
pub fn is_too_many(guard: Guard, count: Count, phone: &str, limit: i64) -> bool {
    count.with(phone).under(guard) > limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_with_their_like() {
        for (guard, phone, expected) in [
            (Guard::Velocity, "+13125550134", "velocity:code:+1312555"),
            (Guard::Sequential, "+13125550134", "sequential:code:+131255501"),
            (Guard::Velocity, "+441", "velocity:code:"),
        ] {
            assert_eq!(guard.key(Lane::Code, phone), expected);
        }
    }

    #[test]
    fn texts_and_different_numbers_are_two_things() {
        let mut count = Count::default();
        for (phone, texts, numbers) in [
            ("+13125550100", 1, 1),
            ("+13125550100", 2, 1),
            ("+13125550149", 3, 2),
            ("+13125550150", 4, 3),
            ("+13125550199", 5, 4),
            ("+13125550199", 6, 4),
        ] {
            count = count.with(phone);
            assert_eq!(count.under(Guard::Velocity), texts, "{phone}");
            assert_eq!(count.under(Guard::Sequential), numbers, "{phone}");
        }
        let all =
            (0..100).fold(Count::default(), |count, n| count.with(&format!("+1312555{n:04}")));
        assert_eq!(all.under(Guard::Sequential), 100);
    }

    #[test]
    fn the_limit_is_the_last_that_leaves() {
        let count = Count { texts: 5, low: 0b11, high: 0 };
        for (guard, phone, limit, too_many) in [
            (Guard::Velocity, "+13125550100", 6, false),
            (Guard::Velocity, "+13125550100", 5, true),
            (Guard::Sequential, "+13125550102", 3, false),
            (Guard::Sequential, "+13125550102", 2, true),
            // A number that was texted before is no further one.
            (Guard::Sequential, "+13125550101", 2, false),
        ] {
            assert_eq!(
                is_too_many(guard, count, phone, limit),
                too_many,
                "{guard} {phone} {limit}"
            );
        }
    }

    #[test]
    fn hours_begin_on_the_hour() {
        let hour = hour_of(Instant::parse("2026-11-21T17:59:59.999999Z").expect("a time"));
        assert_eq!(hour.to_string(), "2026-11-21T17:00:00Z");
    }
}
