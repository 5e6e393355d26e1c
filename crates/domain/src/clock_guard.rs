//! A clock that leaps ahead must not make texts leave early.
//!
//! Somebody sets a machine's clock wrongly, or a time server lies: everything planned for the next
//! hours would fall due at once, and nothing calls a text back. The guard compares the clock with
//! the time that passed. A leap ahead is believed only after the clock has run steadily for a
//! while, in which a person can set it right. A clock set back makes nothing early and is believed
//! at once.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::instant::Instant;

/// A smaller leap is a correction as time servers make them.
pub const LEAP_MAX: Duration = Duration::from_secs(15 * 60);
/// A clock that leapt is believed again after so long.
pub const STEADY_FOR: Duration = Duration::from_secs(15 * 60);

/// How the clock stands to the time that passed, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Standing {
    lead: i64,
    /// The lead of a clock that leapt, and when it did, in time that passed.
    leapt: Option<(i64, Duration)>,
}

/// What a look at the clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    /// It goes as time does.
    Steady,
    /// It leapt ahead just now.
    Leapt,
    /// It leapt ahead before and is not believed yet.
    Doubted,
}

/// Watches one clock.
#[derive(Debug, Default)]
pub struct ClockGuard(Mutex<Option<Standing>>);

impl ClockGuard {
    /// Whether the clock is believed when it shows `now`, `uptime` having passed since some fixed
    /// moment.
    pub fn look(&self, now: Instant, uptime: Duration) -> Belief {
        let lead = now.0.saturating_sub(micros(uptime));
        let mut standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = standing.as_mut() else {
            *standing = Some(Standing { lead, leapt: None });
            return Belief::Steady;
        };
        if lead.saturating_sub(known.lead) <= micros(LEAP_MAX) {
            *known = Standing { lead, leapt: None };
            return Belief::Steady;
        }
        match known.leapt {
            Some((leapt, at)) if lead.saturating_sub(leapt) <= micros(LEAP_MAX) => {
                if uptime.saturating_sub(at) < STEADY_FOR {
                    return Belief::Doubted;
                }
                *known = Standing { lead, leapt: None };
                Belief::Steady
            }
            _ => {
                known.leapt = Some((lead, uptime));
                Belief::Leapt
            }
        }
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaps_ahead_wait_and_nothing_else_does() {
        let minute = |n: i64| n * 60;
        // What the clock shows and what passed, in seconds; whether things may happen.
        let cases: &[&[(i64, i64, bool)]] = &[
            &[(0, 0, true), (10, 10, true), (minute(600), minute(600), true)],
            // A small correction, and many of them.
            &[(0, 0, true), (minute(14), 1, true), (minute(28), 2, true)],
            // A leap, set right again.
            &[(0, 0, true), (minute(120), 1, false), (minute(125), 300, false), (301, 301, true)],
            // A leap that stays.
            &[
                (0, 0, true),
                (minute(120), 1, false),
                (minute(134), minute(14), false),
                (minute(136), minute(16), true),
                (minute(137), minute(17), true),
            ],
            // A leap on top of another waits again.
            &[
                (0, 0, true),
                (minute(120), 1, false),
                (minute(240), minute(14), false),
                (minute(243), minute(17), false),
            ],
            // Set back, and forward again to where it was.
            &[(minute(300), 0, true), (0, 1, true), (minute(300), 2, false)],
        ];
        for (n, case) in cases.iter().enumerate() {
            let guard = ClockGuard::default();
            for (now, uptime, expected) in *case {
                let uptime = Duration::from_secs(u64::try_from(*uptime).expect("not negative"));
                let may = guard.look(Instant(now * 1_000_000), uptime) == Belief::Steady;
                assert_eq!(may, *expected, "case {n} at {now}");
            }
        }
    }
}
