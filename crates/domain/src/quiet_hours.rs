//! Quiet hours on the recipient's wall clock, and the time zones to read it in.
//!
//! The definition is a scan: a text is allowed at the first minute whose wall time lies outside
//! the window, wherever summer time has moved the clock meanwhile. The code jumps from zone
//! transition to zone transition instead of scanning. Which window applies is not decided here.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::instant::Instant;

const DAY_SECS: i64 = 24 * 60 * 60;
const MINUTE_SECS: i64 = 60;

/// A time of day on the wall clock, to the minute. Written `HH:MM`, 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime {
    /// Minutes since midnight, below 1440.
    minute: u16,
}

impl WallTime {
    /// Seconds since midnight.
    pub(crate) fn seconds(self) -> i64 {
        i64::from(self.minute) * MINUTE_SECS
    }
}

impl FromStr for WallTime {
    type Err = WallTimeError;

    fn from_str(text: &str) -> Result<Self, WallTimeError> {
        let two_digits = |part: &str, below: u16| {
            let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse().ok().filter(|&value: &u16| digits && value < below)
        };
        text.split_once(':')
            .and_then(|(hour, minute)| Some((two_digits(hour, 24)?, two_digits(minute, 60)?)))
            .map(|(hour, minute)| Self { minute: hour * 60 + minute })
            .ok_or_else(|| WallTimeError(text.to_owned()))
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minute / 60, self.minute % 60)
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// A text that should have been a time of day.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a time of day: write HH:MM from 00:00 to 23:59, such as 21:00")]
pub struct WallTimeError(String);

/// The window `[start, end)` in which nobody is texted, on the recipient's wall clock. With
/// `start` after `end` it spans midnight; with both equal there are no quiet hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct QuietHours {
    /// The first quiet minute.
    pub start: WallTime,
    /// The first minute that is not quiet any more.
    pub end: WallTime,
}

impl QuietHours {
    /// Reads both ends as `HH:MM`.
    pub fn parse(start: &str, end: &str) -> Result<Self, WallTimeError> {
        Ok(Self { start: start.parse()?, end: end.parse()? })
    }

    /// Whether the wall clock in `zone` shows a quiet minute at `at`. Both passes of an hour that
    /// is repeated in autumn are judged by what the clock shows.
    pub fn in_quiet(&self, at: Instant, zone: &TimeZone) -> bool {
        self.covers(second_of_day(at.seconds(), zone))
    }

    /// `at` itself when it is not quiet; else the first whole minute (of UTC) after it that is
    /// not.
    pub fn next_allowed(&self, at: Instant, zone: &TimeZone) -> Instant {
        let mut second = at.seconds();
        let mut shown = second_of_day(second, zone);
        if !self.covers(shown) {
            return at;
        }
        let into_minute = second.rem_euclid(MINUTE_SECS);
        second -= into_minute;
        shown = (shown - into_minute).rem_euclid(DAY_SECS);
        loop {
            // Until the clock is moved, it only runs towards the end of the window.
            let end = second + (self.end.seconds() - shown).rem_euclid(DAY_SECS);
            let end = next_whole_minute(end);
            match next_transition(second, zone).map(next_whole_minute) {
                Some(moved) if moved <= end => {
                    (second, shown) = (moved, second_of_day(moved, zone));
                    if !self.covers(shown) {
                        return from_seconds(moved);
                    }
                }
                _ => return from_seconds(end),
            }
        }
    }

    /// Whether the window holds this second of the day.
    fn covers(self, second: i64) -> bool {
        let (start, end) = (self.start.seconds(), self.end.seconds());
        if start <= end { (start..end).contains(&second) } else { second >= start || second < end }
    }
}

/// What the clock in `zone` shows at `second`, in seconds since midnight.
fn second_of_day(second: i64, zone: &TimeZone) -> i64 {
    let offset = zone.to_offset(from_seconds(second).timestamp());
    (second + i64::from(offset.seconds())).rem_euclid(DAY_SECS)
}

/// The next second after `second` at which the offset of `zone` may change.
pub(crate) fn next_transition(second: i64, zone: &TimeZone) -> Option<i64> {
    let next = zone.following(from_seconds(second).timestamp()).next()?;
    Some(next.timestamp().as_second())
}

pub(crate) fn next_whole_minute(second: i64) -> i64 {
    second + (-second).rem_euclid(MINUTE_SECS)
}

pub(crate) fn from_seconds(second: i64) -> Instant {
    Instant(second.saturating_mul(1_000_000).min(Instant::MAX.0))
}

/// Why a time zone could not be found.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name:?} is not a time zone: use a name such as America/New_York")]
pub struct ZoneError {
    /// What was asked for.
    pub name: String,
}

/// The time zone called `name` in the IANA database (any case), from the copy built into the
/// program: every installation knows the same zones and rules.
///
/// jiff parses each zone once and keeps it, so that asking again is a look-up and a copy of the
/// zone a pointer.
pub fn zone(name: &str) -> Result<TimeZone, ZoneError> {
    static BUNDLED: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    let bundled = || BUNDLED.get(name).ok().filter(|zone| !zone.is_unknown());
    let found = crate::newer_zones::find(name).or_else(bundled);
    found.ok_or_else(|| ZoneError { name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wall_times() {
        for (text, expected) in [
            ("00:00", Some(0)),
            ("08:05", Some(485)),
            ("23:59", Some(1439)),
            ("24:00", None),
            ("12:60", None),
            ("8:00", None),
            ("08:00:00", None),
            ("+8:00", None),
            ("0800", None),
            ("", None),
        ] {
            let parsed = text.parse::<WallTime>().ok();
            assert_eq!(parsed.map(|time| time.minute), expected, "{text:?}");
        }
    }

    #[test]
    fn windows_on_the_wire() {
        let hours = QuietHours::parse("21:00", "08:00").unwrap();
        let json = r#"{"start":"21:00","end":"08:00"}"#;
        assert_eq!(serde_json::to_string(&hours).unwrap(), json);
        assert_eq!(serde_json::from_str::<QuietHours>(json).unwrap(), hours);
        assert!(serde_json::from_str::<QuietHours>(r#"{"start":"9pm","end":"08:00"}"#).is_err());
    }

    #[test]
    fn next_allowed_minutes() {
        // At, zone, window, expected.
        for row in [
            // No quiet hours; not quiet, so the same instant to the microsecond.
            "2026-06-01T03:00:00Z UTC 09:00 09:00 2026-06-01T03:00:00Z",
            "2026-06-01T08:00:00.5Z UTC 21:00 08:00 2026-06-01T08:00:00.5Z",
            "2026-06-01T07:59:59.5Z UTC 21:00 08:00 2026-06-01T08:00:00Z",
            "2026-06-01T21:00:00Z UTC 21:00 08:00 2026-06-02T08:00:00Z",
            // The gap of 02:00 to 03:00 swallows the end of the window.
            "2026-03-08T06:00:00Z America/New_York 22:00 02:30 2026-03-08T07:00:00Z",
            // The clock jumps over the only minute outside the window.
            "2026-03-08T06:00:00Z America/New_York 02:31 02:30 2026-03-09T06:30:00Z",
            // 01:30 to 01:59 is quiet in both passes of the repeated hour.
            "2026-11-01T05:40:00Z America/New_York 01:30 02:00 2026-11-01T06:00:00Z",
            "2026-11-01T06:40:00Z America/New_York 01:30 02:00 2026-11-01T07:00:00Z",
            "2026-11-01T05:40:00Z America/New_York 01:30 01:45 2026-11-01T05:45:00Z",
            // Midnight comes twice: the first time, the clock is set to 23:00 instead.
            "2026-04-05T02:00:00Z America/Santiago 21:00 00:00 2026-04-05T04:00:00Z",
            // Samoa had no 30 December 2011.
            "2011-12-30T09:00:00Z Pacific/Apia 21:00 08:00 2011-12-30T18:00:00Z",
            // An offset that is no whole minute: Liberia, 44 minutes 30 seconds behind.
            "1971-06-01T08:00:00Z Africa/Monrovia 21:00 08:00 1971-06-01T08:45:00Z",
        ] {
            let [at, name, start, end, expected] = row.split(' ').collect::<Vec<_>>()[..] else {
                panic!("five columns: {row}")
            };
            let hours = QuietHours::parse(start, end).unwrap();
            let next = hours.next_allowed(Instant::parse(at).unwrap(), &zone(name).unwrap());
            assert_eq!(next, Instant::parse(expected).unwrap(), "{row}");
        }
    }

    #[test]
    fn the_end_of_time_is_no_loop() {
        let hours = QuietHours::parse("00:00", "23:59").unwrap();
        let zone = zone("America/New_York").unwrap();
        for at in [Instant::MAX, Instant(i64::MAX), Instant(i64::MIN)] {
            hours.next_allowed(at, &zone);
        }
    }

    #[test]
    fn zones() {
        for (name, expected) in [
            ("America/New_York", true),
            ("america/new_york", true),
            ("UTC", true),
            ("US/Pacific", true),
            ("Etc/Unknown", false),
            ("EST5EDT4", false),
            ("New York", false),
            ("../etc/passwd", false),
            ("", false),
        ] {
            assert_eq!(zone(name).is_ok(), expected, "{name:?}");
        }
    }

    /// The definition, minute by minute.
    fn scan(hours: QuietHours, at: Instant, zone: &TimeZone) -> Instant {
        let mut second = at.seconds() - at.seconds().rem_euclid(MINUTE_SECS);
        let quiet = |second| {
            let shown = from_seconds(second).timestamp().to_zoned(zone.clone()).time();
            let minute = i64::from(shown.hour()) * 60 + i64::from(shown.minute());
            hours.covers(minute * MINUTE_SECS)
        };
        if !quiet(at.seconds()) {
            return at;
        }
        while quiet(second) {
            second += MINUTE_SECS;
        }
        from_seconds(second)
    }

    /// An instant in 2020 to 2035, half of them near a transition of the zone.
    fn instant(seed: i64, near: bool, zone: &TimeZone) -> i64 {
        let (first, span) = (1_577_836_800, 16 * 365 * DAY_SECS);
        let second = first + seed.rem_euclid(span);
        let moved = next_transition(second, zone).filter(|_| near);
        moved.map_or(second, |moved| moved + seed.rem_euclid(3 * DAY_SECS) - 2 * DAY_SECS)
    }

    /// Any minute of the day, half of them on the half hours where clocks are moved.
    fn minute() -> impl Strategy<Value = u16> {
        prop_oneof![0_u16..1440, (0_u16..48).prop_map(|half_hours| half_hours * 30)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn jumping_equals_scanning(
            name in any::<prop::sample::Index>(),
            seed in any::<i64>(),
            near in any::<bool>(),
            (start, end) in (minute(), minute()),
        ) {
            let database = TimeZoneDatabase::bundled();
            let names: Vec<_> = database.available().collect();
            let name = name.get(&names).as_str();
            let zone = zone(name).unwrap();
            let hours = QuietHours {
                start: WallTime { minute: start },
                end: WallTime { minute: end },
            };
            let at = from_seconds(instant(seed, near, &zone));
            let expected = scan(hours, at, &zone);
            let next = hours.next_allowed(at, &zone);
            prop_assert_eq!(next, expected, "{} {:?} {}", at, hours, name);
            prop_assert_eq!(hours.in_quiet(at, &zone), expected != at);
        }
    }
}
