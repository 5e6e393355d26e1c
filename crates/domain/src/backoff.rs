//! When a text is tried again that the carrier did not take: it provably never left, or was refused
//! for a reason that passes. For texts that were taken and not delivered see
//! [`crate::carrier_errors::redelivery`].

use std::time::Duration;

use crate::seam::Dice;

/// The wait after the first attempt, and the shortest of all.
pub const FIRST: Duration = Duration::from_secs(30);
/// The longest wait.
pub const LAST: Duration = Duration::from_secs(300);
/// Attempts a text has, unless the installation says otherwise.
pub const ATTEMPTS_MAX: u16 = 3;

/// The wait after the attempt numbered `attempt` (from 1): 30 s, doubled with every attempt, a
/// fifth shorter or longer by chance, never outside [`FIRST`] to [`LAST`]. Chance draws from what
/// of that fifth lies inside: cutting afterwards would send half of all texts at the edge at once.
pub fn wait(attempt: u16, dice: &dyn Dice) -> Duration {
    let doubled = (FIRST * (1 << attempt.saturating_sub(1).min(10))).min(LAST);
    let shortest = millis((doubled * 4 / 5).max(FIRST));
    let longest = millis((doubled * 6 / 5).min(LAST));
    Duration::from_millis(shortest + dice.below(longest - shortest + 1))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).expect("a few minutes")
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use super::*;
    use crate::instant::Instant;
    use crate::seam::{Clock, SeededDice, VirtualClock};

    #[test]
    fn waits_double_between_their_bounds() {
        let dice = SeededDice::new(7);
        for (attempt, shortest, longest) in [
            (0, 30, 36),
            (1, 30, 36),
            (2, 48, 72),
            (3, 96, 144),
            (4, 192, 288),
            (5, 240, 300),
            (6, 240, 300),
            (u16::MAX, 240, 300),
        ] {
            let waits: Vec<Duration> = (0..2000).map(|_| wait(attempt, &dice)).collect();
            let bounds = Duration::from_secs(shortest)..=Duration::from_secs(longest);
            assert!(waits.iter().all(|wait| bounds.contains(wait)), "{attempt}");
            // Not only inside, but up to both ends.
            let near = Duration::from_millis(300);
            assert!(waits.iter().any(|wait| *wait < *bounds.start() + near), "{attempt}");
            assert!(waits.iter().any(|wait| *wait + near > *bounds.end()), "{attempt}");
        }
    }

    const TEXTS: u32 = 10_000;
    const OUTAGE: Duration = Duration::from_secs(300);
    const BUCKET_SECS: u64 = 10;

    /// Dice without chance: the middle of what was asked for.
    struct Middle;

    impl Dice for Middle {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
        fn below(&self, bound: u64) -> u64 {
            bound / 2
        }
    }

    /// The carrier is out when the texts begin to come, `per_second` of them, and takes every one
    /// after its return. How many it meets in each ten seconds from then on.
    fn load_after_outage(per_second: u32, dice: &dyn Dice) -> Vec<u32> {
        let clock = VirtualClock::at(Instant(0));
        let mut due = BinaryHeap::new();
        for text in 0..TEXTS {
            due.push(Reverse((Instant(0) + Duration::from_secs(1) * text / per_second, text, 1)));
        }
        let back = Instant(0) + OUTAGE;
        let mut load = Vec::new();
        while let Some(Reverse((at, text, attempt))) = due.pop() {
            clock.set(at);
            if at < back {
                due.push(Reverse((clock.now() + wait(attempt, dice), text, attempt + 1)));
                continue;
            }
            let bucket = usize::try_from(at.since(back).as_secs() / BUCKET_SECS).unwrap();
            load.resize(load.len().max(bucket + 1), 0);
            load[bucket] += 1;
        }
        load
    }

    #[test]
    fn after_an_outage_the_retries_come_spread() {
        // Most of all texts that ten seconds may hold, in percent. Ten seconds of arrivals are
        // 10 % at the slower pace and all of them at the faster one.
        for (per_second, percent_max) in [(100, 9), (1000, 12)] {
            let spread = load_after_outage(per_second, &SeededDice::new(2026));
            let bare = load_after_outage(per_second, &Middle);
            println!("{per_second}/s; retries per {BUCKET_SECS} s after an outage of {OUTAGE:?}");
            for (n, texts) in spread.iter().enumerate() {
                let bar = "#".repeat(usize::try_from(*texts).unwrap() / 20);
                let without = bare.get(n).copied().unwrap_or(0);
                println!("{:>4} s {texts:>5} {bar} (without chance {without})", n * 10);
            }
            assert_eq!(spread.iter().sum::<u32>(), TEXTS);
            assert_eq!(bare.iter().sum::<u32>(), TEXTS);
            // All have returned within the longest wait.
            assert!(spread.len() as u64 * BUCKET_SECS <= LAST.as_secs());
            let most = TEXTS * percent_max / 100;
            assert!(spread.iter().all(|texts| *texts <= most), "{spread:?}");
            assert!(bare.iter().any(|texts| *texts > most), "{bare:?}");
        }
    }
}
