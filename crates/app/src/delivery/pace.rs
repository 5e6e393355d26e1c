//! How fast texts are accepted of late, per stream, for people to look at. Kept in memory only.

use std::collections::HashMap;
use std::sync::Mutex;

use domain::ids::{AccountId, StreamId};
use domain::instant::Instant;

/// Seconds looked back at.
const LOOK_BACK: usize = 5;

/// Accepted texts in each of the last seconds.
#[derive(Debug, Default)]
struct Seconds {
    newest: i64,
    counts: [u32; LOOK_BACK + 1],
}

/// The pace of every stream this process sends from.
#[derive(Debug, Default)]
pub struct Paces(Mutex<HashMap<(AccountId, StreamId), Seconds>>);

impl Seconds {
    fn move_to(&mut self, second: i64) {
        let steps = usize::try_from(second - self.newest).unwrap_or(0).min(LOOK_BACK + 1);
        for _ in 0..steps {
            self.counts.rotate_right(1);
            self.counts[0] = 0;
        }
        self.newest = self.newest.max(second);
    }
}

impl Paces {
    /// Notes accepted texts.
    pub fn note(&self, account: AccountId, stream: StreamId, now: Instant, texts: usize) {
        let mut all = self.0.lock().expect("no panic while the lock is held");
        let seconds = all.entry((account, stream)).or_default();
        seconds.move_to(now.seconds());
        seconds.counts[0] += u32::try_from(texts).unwrap_or(u32::MAX);
    }

    /// Accepted texts per second over the last full seconds.
    pub fn per_second(&self, account: AccountId, stream: StreamId, now: Instant) -> f64 {
        let mut all = self.0.lock().expect("no panic while the lock is held");
        let Some(seconds) = all.get_mut(&(account, stream)) else { return 0.0 };
        seconds.move_to(now.seconds());
        let full = &seconds.counts[1..];
        if seconds.counts.iter().all(|count| *count == 0) {
            all.remove(&(account, stream));
            return 0.0;
        }
        let busy = full.iter().rev().skip_while(|count| **count == 0).count().max(1);
        f64::from(full.iter().sum::<u32>()) / f64::from(u32::try_from(busy).unwrap_or(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_the_last_full_seconds() {
        let paces = Paces::default();
        let (account, stream) = (AccountId(1), StreamId(2));
        let at = |second: i64| Instant(second * 1_000_000);
        assert!(paces.per_second(account, stream, at(10)).abs() < f64::EPSILON);
        paces.note(account, stream, at(10), 100);
        paces.note(account, stream, at(11), 200);
        assert!((paces.per_second(account, stream, at(12)) - 150.0).abs() < 0.01);
        assert!(paces.per_second(account, stream, at(60)).abs() < f64::EPSILON);
    }
}
