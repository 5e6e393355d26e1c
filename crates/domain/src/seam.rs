//! Where time and chance enter: the only two doors, both parameters, both replaceable in tests.
//!
//! Clippy's `disallowed-methods` forbids every other way to read a clock or roll dice.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::instant::Instant;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Instant;

    /// The time that passed since some fixed moment, however the clock is set.
    fn uptime(&self) -> Duration;
}

/// Rolls dice.
pub trait Dice: Send + Sync {
    /// Fills `bytes` with chance.
    fn fill(&self, bytes: &mut [u8]);

    /// A number in `0..bound` (`bound` above zero).
    fn below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes) % bound.max(1)
    }
}

/// A clock that moves only when told to: what it shows, and how much later that is than the time
/// that passed.
#[derive(Debug, Default)]
pub struct VirtualClock(AtomicI64, AtomicI64);

impl VirtualClock {
    /// A clock standing at `start`.
    pub const fn at(start: Instant) -> Self {
        Self(AtomicI64::new(start.0), AtomicI64::new(start.0))
    }

    /// Moves the clock forward.
    pub fn advance(&self, span: Duration) {
        self.0.store((self.now() + span).0, Ordering::SeqCst);
    }

    /// Lets time pass until the clock shows `to`, or sets it back.
    pub fn set(&self, to: Instant) {
        let passed = (to.0 - self.now().0).max(0);
        self.leap_to(to);
        self.1.fetch_sub(passed, Ordering::SeqCst);
    }

    /// Sets the clock, forwards or backwards, without any time passing.
    pub fn leap_to(&self, to: Instant) {
        let before = self.0.swap(to.0, Ordering::SeqCst);
        self.1.fetch_add(to.0 - before, Ordering::SeqCst);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        Instant(self.0.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        let passed = self.now().0 - self.1.load(Ordering::SeqCst);
        Duration::from_micros(u64::try_from(passed).unwrap_or(0))
    }
}

/// Dice that always fall the same way for the same seed (`SplitMix64`).
#[derive(Debug)]
pub struct SeededDice(AtomicU64);

impl SeededDice {
    /// Dice for `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Dice for SeededDice {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let step = 0x9E37_79B9_7F4A_7C15;
            let mut mixed = self.0.fetch_add(step, Ordering::SeqCst).wrapping_add(step);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^= mixed >> 31;
            chunk.copy_from_slice(&mixed.to_le_bytes()[..chunk.len()]);
        }
    }
}
