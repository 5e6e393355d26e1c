//! When somebody may be texted: quiet hours and a state's weekly hours together, on every clock
//! that may be the recipient's.
//!
//! Somebody whose zone is not known may be in any zone of their area code, and then a text must be
//! allowed in each of them: see [`zones_of`]. The definition is a scan by the minute of UTC, as in
//! [`crate::quiet_hours`]; the code jumps from boundary to boundary instead.

mod area_codes;
mod weekly;

pub use area_codes::{region_of, state_of, zones_of};
pub use weekly::WeeklyHours;

use jiff::tz::TimeZone;

use crate::instant::Instant;
use crate::quiet_hours::{self, QuietHours, from_seconds, next_transition, next_whole_minute};

const MINUTE_SECS: i64 = 60;
const DAY_SECS: i64 = 24 * 60 * MINUTE_SECS;
const WEEK_SECS: i64 = 7 * DAY_SECS;
/// Nothing is looked for further away: rules that allow nothing for a week never do.
const SEARCH_SECS_MAX: i64 = 8 * DAY_SECS;

/// All that decides whether one recipient may be texted at an instant.
#[derive(Clone, Debug)]
pub struct SendingHours {
    /// Seconds of the week from Monday's midnight, as half-open spans in order.
    allowed: Vec<(i64, i64)>,
    zones: Vec<TimeZone>,
}

impl SendingHours {
    /// The hours that `quiet` and `weekly` leave, on the clocks of all `zones`. Without a zone
    /// nothing is known of the recipient's clock, and nothing is allowed unless everything is: who
    /// asks brings a zone to fall back to.
    pub fn new(
        zones: &[TimeZone],
        quiet: Option<QuietHours>,
        weekly: Option<&WeeklyHours>,
    ) -> Self {
        let whole_day = [(0, DAY_SECS)];
        let awake = quiet.map_or_else(|| whole_day.to_vec(), awake);
        let mut allowed = Vec::new();
        for day in 0..7_u8 {
            let midnight = i64::from(day) * DAY_SECS;
            let open = weekly.map_or(Some(whole_day[0]), |hours| hours.of(day));
            for &(start, end) in &awake {
                if let Some((opens, closes)) = open
                    && start.max(opens) < end.min(closes)
                {
                    allowed.push((midnight + start.max(opens), midnight + end.min(closes)));
                }
            }
        }
        Self { allowed, zones: zones.to_vec() }
    }

    /// The hours of a phone: on the clock of `timezone` when it is known, else on those of its area
    /// code, else on the clock of `home`; in its state's hours too where `in_state` says so.
    pub fn of_phone(
        phone_e164: &str,
        timezone: Option<&str>,
        home: &TimeZone,
        quiet: Option<QuietHours>,
        in_state: bool,
    ) -> Self {
        let mut zones: Vec<TimeZone> =
            timezone.and_then(|name| quiet_hours::zone(name).ok()).into_iter().collect();
        if zones.is_empty() {
            let names = zones_of(phone_e164).iter();
            zones.extend(names.filter_map(|name| quiet_hours::zone(name).ok()));
        }
        if zones.is_empty() {
            zones.push(home.clone());
        }
        let weekly = state_of(phone_e164).filter(|_| in_state).and_then(WeeklyHours::of_state);
        Self::new(&zones, quiet, weekly)
    }

    /// The clock that is shown to the recipient: the first of those that may be theirs.
    pub fn first_zone(&self) -> Option<&TimeZone> {
        self.zones.first()
    }

    /// Whether a text may leave at `at`.
    pub fn is_allowed(&self, at: Instant) -> bool {
        self.wait(at.seconds()) == Some(0)
    }

    /// `at` itself when it is allowed; else the first whole minute (of UTC) after it that is.
    /// `None` when there is none within eight days.
    pub fn next_allowed(&self, at: Instant) -> Option<Instant> {
        if self.is_allowed(at) {
            return Some(at);
        }
        let last = at.seconds() + SEARCH_SECS_MAX;
        let mut second = next_whole_minute(at.seconds());
        while second <= last {
            match self.wait(second)? {
                0 => return Some(from_seconds(second)),
                wait => second = next_whole_minute(second + wait),
            }
        }
        None
    }

    /// The last whole minute (of UTC) at or before `at` that is allowed. `None` when there is none
    /// at or after `not_before`, or within eight days.
    pub fn latest_allowed_before(&self, at: Instant, not_before: Instant) -> Option<Instant> {
        let earliest = not_before.seconds().max(at.seconds() - SEARCH_SECS_MAX);
        let mut second = whole_minute_before(at.seconds());
        while second >= earliest && from_seconds(second) >= not_before {
            if self.wait(second)? == 0 {
                return Some(from_seconds(second));
            }
            second = whole_minute_before(self.look_back(second)?);
        }
        None
    }

    fn all_day(&self) -> bool {
        let open: i64 = self.allowed.iter().map(|(start, end)| end - start).sum();
        open == WEEK_SECS
    }

    /// 0 when `second` is allowed; else how many seconds later, at the earliest, it can be. `None`
    /// when no second is.
    fn wait(&self, second: i64) -> Option<i64> {
        if self.all_day() {
            return Some(0);
        }
        if self.allowed.is_empty() || self.zones.is_empty() {
            return None;
        }
        let mut longest = 0;
        for zone in &self.zones {
            let shown = second_of_week(second, zone);
            if self.is_open(shown) {
                continue;
            }
            let starts =
                self.allowed.iter().map(|(start, _)| (start - shown).rem_euclid(WEEK_SECS));
            let opens = starts.min()?;
            // Until the clock is moved, it only runs towards the next opening.
            let moves = next_transition(second, zone).map_or(i64::MAX, |moved| moved - second);
            longest = longest.max(opens.min(moves).max(1));
        }
        Some(longest)
    }

    /// The latest second before `second`, which is not allowed, that may be.
    fn look_back(&self, second: i64) -> Option<i64> {
        let mut earliest = second - 1;
        for zone in &self.zones {
            let shown = second_of_week(second, zone);
            if self.is_open(shown) {
                continue;
            }
            let ends = self.allowed.iter().map(|(_, end)| (shown - end).rem_euclid(WEEK_SECS));
            let closed = second - ends.min()? - 1;
            let moved = last_transition(second, zone).map_or(i64::MIN, |moved| moved - 1);
            earliest = earliest.min(closed.max(moved));
        }
        Some(earliest)
    }

    fn is_open(&self, shown: i64) -> bool {
        self.allowed.iter().any(|&(start, end)| (start..end).contains(&shown))
    }
}

/// The spans of a day outside the quiet hours.
fn awake(quiet: QuietHours) -> Vec<(i64, i64)> {
    let (start, end) = (quiet.start.seconds(), quiet.end.seconds());
    let spans = if start <= end {
        [(0, start), (end, DAY_SECS)]
    } else {
        [(end, start), (DAY_SECS, DAY_SECS)]
    };
    spans.into_iter().filter(|(from, to)| from < to).collect()
}

/// What the clock in `zone` shows at `second`, in seconds since Monday's midnight.
fn second_of_week(second: i64, zone: &TimeZone) -> i64 {
    // The epoch was a Thursday.
    const MONDAY: i64 = 3 * DAY_SECS;
    let offset = zone.to_offset(from_seconds(second).timestamp());
    (second + i64::from(offset.seconds()) + MONDAY).rem_euclid(WEEK_SECS)
}

/// The latest second at or before `second` at which the offset of `zone` may have changed.
fn last_transition(second: i64, zone: &TimeZone) -> Option<i64> {
    let last = zone.preceding(from_seconds(second + 1).timestamp()).next()?;
    Some(last.timestamp().as_second())
}

fn whole_minute_before(second: i64) -> i64 {
    second - second.rem_euclid(MINUTE_SECS)
}

#[cfg(test)]
mod tests;
