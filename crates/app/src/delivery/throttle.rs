//! How fast a sender may go: segments per second, as the carrier allows, first come first served.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::instant::Instant;

/// A sender's pace. Each text is given the next free moment, so that a long wait keeps its order.
#[derive(Debug)]
pub struct Throttle {
    micros_per_segment: i64,
    /// Up to here the sender is booked.
    booked: Mutex<Instant>,
}

/// A sender that was silent may catch up this much at once; it smooths the clock's grain.
const SLACK: Duration = Duration::from_millis(20);

impl Throttle {
    /// A pace of `segments_per_second` (at least 1).
    pub fn new(segments_per_second: u32) -> Self {
        let micros_per_segment = 1_000_000 / i64::from(segments_per_second.max(1));
        Self { micros_per_segment, booked: Mutex::new(Instant(0)) }
    }

    /// Books a text of `segments` and answers how long it must wait.
    pub fn book(&self, now: Instant, segments: u32) -> Duration {
        let mut booked = self.booked.lock().expect("no panic while the lock is held");
        let start = (*booked).max(now - SLACK);
        *booked = Instant(start.0 + self.micros_per_segment * i64::from(segments));
        start.since(now)
    }
}

/// The throttles of all senders.
#[derive(Debug, Default)]
pub struct Throttles(Mutex<HashMap<String, (u32, Arc<Throttle>)>>);

impl Throttles {
    /// The throttle of the sender with this address; a changed pace starts afresh.
    pub fn of(&self, address: &str, segments_per_second: u32) -> Arc<Throttle> {
        let mut all = self.0.lock().expect("no panic while the lock is held");
        match all.get(address) {
            Some((rate, throttle)) if *rate == segments_per_second => Arc::clone(throttle),
            _ => {
                let throttle = Arc::new(Throttle::new(segments_per_second));
                all.insert(address.to_owned(), (segments_per_second, Arc::clone(&throttle)));
                throttle
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_a_long_code_is_3600_segments() {
        let throttle = Throttle::new(1);
        let start = Instant(1_000_000_000);
        let mut now = start;
        let (mut segments, mut texts) = (0, 0u32);
        while now.since(start) < Duration::from_secs(3600) {
            let size = 1 + texts % 3;
            now = now + throttle.book(now, size);
            segments += size;
            texts += 1;
        }
        assert!((3590..=3604).contains(&segments), "{segments}");
    }

    #[test]
    fn fast_senders_are_not_rounded_away() {
        let throttle = Throttle::new(1000);
        let now = Instant(1_000_000_000);
        let waits: Vec<Duration> = (0..1021).map(|_| throttle.book(now, 1)).collect();
        assert_eq!(waits[0], Duration::ZERO);
        assert_eq!(waits[1020], Duration::from_secs(1));
    }
}
