//! When a reminder leaves: at its offset before the appointment, moved out of the hours in which
//! nobody is texted, or not at all, with the reason.
//!
//! Nothing is stored here and nothing is sent; the gate looks at the hours once more when the
//! reminder leaves.

use std::time::Duration;

use serde::Serialize;

use crate::instant::Instant;
use crate::message::words;
use crate::windows::SendingHours;

/// A reminder is still of use this long before the appointment, however early it was wanted.
const USEFUL_BEFORE_MAX: Duration = Duration::from_secs(30 * 60);

words! {
    /// Why there is no reminder.
    Reason {
        /// The appointment had begun.
        AppointmentBegun = 1 "appointment_begun",
        /// The reminder's time was over when the appointment was made or moved.
        TimePassed = 2 "time_passed",
        /// Quiet hours lie over its time, and there was no other time left.
        QuietHours = 3 "quiet_hours",
    }
}

impl Reason {
    /// In words for staff.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::AppointmentBegun => "the appointment had begun",
            Self::TimePassed => "its time had passed when the appointment was made or moved",
            Self::QuietHours => {
                "its time lay in quiet hours, and neither before nor after them was there \
                 a useful time left"
            }
        }
    }
}

/// What becomes of one reminder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// It leaves when it was wanted.
    At(Instant),
    /// It leaves at another time, because of quiet hours.
    Moved {
        /// When it leaves.
        at: Instant,
        /// When it was wanted.
        wanted: Instant,
        /// Whether it leaves after the quiet hours; else it leaves before them.
        later: bool,
    },
    /// There is none.
    Skipped(Reason),
}

impl Plan {
    /// When it leaves, if it does.
    pub const fn at(self) -> Option<Instant> {
        match self {
            Self::At(at) | Self::Moved { at, .. } => Some(at),
            Self::Skipped(_) => None,
        }
    }
}

/// How long before the appointment a reminder must have left to be of use: half its offset, and
/// half an hour at most.
pub fn useful_before(offset_minutes: u32) -> Duration {
    USEFUL_BEFORE_MAX.min(Duration::from_secs(u64::from(offset_minutes) * 30))
}

/// Plans the reminder `offset_minutes` before `starts_at`, as of `now`. In quiet hours it moves to
/// their end if it is of use there, else to the last minute before them if that is not over.
pub fn due(starts_at: Instant, offset_minutes: u32, now: Instant, hours: &SendingHours) -> Plan {
    let wanted = starts_at - Duration::from_secs(u64::from(offset_minutes) * 60);
    if starts_at <= now {
        return Plan::Skipped(Reason::AppointmentBegun);
    }
    if wanted < now {
        return Plan::Skipped(Reason::TimePassed);
    }
    let last_useful = starts_at - useful_before(offset_minutes);
    match hours.next_allowed(wanted) {
        Some(at) if at == wanted => return Plan::At(at),
        Some(at) if at <= last_useful => return Plan::Moved { at, wanted, later: true },
        _ => {}
    }
    match hours.latest_allowed_before(wanted, now) {
        Some(at) => Plan::Moved { at, wanted, later: false },
        None => Plan::Skipped(Reason::QuietHours),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::quiet_hours::{QuietHours, zone};
    use crate::windows::WeeklyHours;

    fn at(text: &str) -> Instant {
        Instant::parse(text).expect(text)
    }

    fn hours(zones: &str, state: &str) -> SendingHours {
        let zones: Vec<_> = zones.split(' ').map(|name| zone(name).expect(name)).collect();
        let quiet = QuietHours::parse("21:00", "08:00").expect("wall times");
        SendingHours::new(&zones, Some(quiet), WeeklyHours::of_state(state))
    }

    #[test]
    fn plans() {
        const NY: &str = "America/New_York";
        let long_ago = "2026-01-01T00:00:00Z";
        // Zones, state, start, offset, now, expected; New York is at -4 in June, -5 in winter.
        for (zones, state, starts, offset, now, expected) in [
            (NY, "", "2026-06-10T18:00:00Z", 120, long_ago, "at 2026-06-10T16:00:00Z"),
            (NY, "", "2026-06-10T18:00:00.5Z", 120, long_ago, "at 2026-06-10T16:00:00.5Z"),
            // 07:00 local: 05:00 is quiet until after the start, so the evening before.
            (NY, "", "2026-06-10T11:00:00Z", 120, long_ago, "earlier 2026-06-10T00:59:00Z"),
            // 09:30 local: 07:30 is quiet, 08:00 is still of use.
            (NY, "", "2026-06-10T13:30:00Z", 120, long_ago, "later 2026-06-10T12:00:00Z"),
            // 08:30 local: 08:00 is just of use; a minute less is not.
            (NY, "", "2026-06-10T12:30:00Z", 120, long_ago, "later 2026-06-10T12:00:00Z"),
            (NY, "", "2026-06-10T12:29:00Z", 120, long_ago, "earlier 2026-06-10T00:59:00Z"),
            // 08:05 local with 10 minutes: half of them are enough.
            (NY, "", "2026-06-10T12:05:00Z", 10, long_ago, "later 2026-06-10T12:00:00Z"),
            (NY, "", "2026-06-10T12:04:00Z", 10, long_ago, "earlier 2026-06-10T00:59:00Z"),
            // The evening before is over.
            (
                NY,
                "",
                "2026-06-10T11:00:00Z",
                120,
                "2026-06-10T00:59:00Z",
                "earlier 2026-06-10T00:59:00Z",
            ),
            (NY, "", "2026-06-10T11:00:00Z", 120, "2026-06-10T00:59:01Z", "quiet_hours"),
            (NY, "", "2026-06-10T11:00:00Z", 120, "2026-06-10T05:00:00Z", "quiet_hours"),
            // Made too late for this offset, or after the start.
            (
                NY,
                "",
                "2026-06-10T18:00:00Z",
                120,
                "2026-06-10T16:00:00Z",
                "at 2026-06-10T16:00:00Z",
            ),
            (NY, "", "2026-06-10T18:00:00Z", 120, "2026-06-10T16:00:01Z", "time_passed"),
            (NY, "", "2026-06-10T18:00:00Z", 120, "2026-06-10T18:00:00Z", "appointment_begun"),
            // A day before across the change of clocks is 24 hours before, whatever clocks show.
            (NY, "", "2026-03-08T16:00:00Z", 1440, long_ago, "at 2026-03-07T16:00:00Z"),
            (NY, "", "2026-03-08T12:30:00Z", 1440, long_ago, "later 2026-03-07T13:00:00Z"),
            (NY, "", "2026-11-01T12:30:00Z", 120, long_ago, "earlier 2026-11-01T00:59:00Z"),
            (NY, "", "2026-11-01T13:30:00Z", 120, long_ago, "later 2026-11-01T13:00:00Z"),
            // Unknown zone: 8:00 in Chicago.
            (
                "America/New_York America/Chicago",
                "",
                "2026-06-10T15:00:00Z",
                180,
                long_ago,
                "later 2026-06-10T13:00:00Z",
            ),
            // Sunday 13:00 in Texas: noon, for 11:00 is too early there; Mississippi: Saturday.
            (
                "America/Chicago",
                "TX",
                "2026-06-07T18:00:00Z",
                120,
                long_ago,
                "later 2026-06-07T17:00:00Z",
            ),
            (
                "America/Chicago",
                "MS",
                "2026-06-07T18:00:00Z",
                120,
                long_ago,
                "earlier 2026-06-07T00:59:00Z",
            ),
        ] {
            let plan = due(at(starts), offset, at(now), &hours(zones, state));
            let shown = match plan {
                Plan::At(at) => format!("at {at}"),
                Plan::Moved { at, later: true, .. } => format!("later {at}"),
                Plan::Moved { at, .. } => format!("earlier {at}"),
                Plan::Skipped(reason) => reason.to_string(),
            };
            assert_eq!(shown, expected, "{zones} {state} {starts} {offset} {now}");
        }
        let never =
            SendingHours::new(&[], Some(QuietHours::parse("21:00", "08:00").unwrap()), None);
        let plan = due(at("2026-06-10T18:00:00Z"), 120, at(long_ago), &never);
        assert_eq!((plan, plan.at()), (Plan::Skipped(Reason::QuietHours), None));
        assert!(Reason::ALL.iter().all(|reason| reason.sentence().len() > 10));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn a_plan_is_allowed_in_time_and_not_past(
            start in 1_767_225_600_i64..1_800_000_000,
            offset in 5_u32..60 * 24 * 60,
            made_before in 0_i64..90 * 24 * 3600,
            state in prop::sample::select(vec!["", "TX", "RI", "MS", "FL"]),
        ) {
            let hours = hours("America/New_York America/Chicago", state);
            let starts_at = Instant(start * 1_000_000);
            let now = Instant((start - made_before) * 1_000_000);
            let plan = due(starts_at, offset, now, &hours);
            if let Some(leaves) = plan.at() {
                prop_assert!(hours.is_allowed(leaves));
                prop_assert!(leaves >= now);
                prop_assert!(leaves <= starts_at - useful_before(offset));
            }
            if let Plan::Moved { at, wanted, later } = plan {
                prop_assert!(!hours.is_allowed(wanted));
                prop_assert_eq!(at > wanted, later);
            }
        }
    }
}
