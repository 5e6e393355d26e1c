//! What is drawn from the seed: who is killed, how long things live and stay away, and how the
//! carrier misbehaves meanwhile.
//!
//! Each role draws from dice of its own, so that the course of one does not depend on how fast the
//! others are. The machine's timing stays the machine's: a seed repeats the faults, not the run.

use std::time::Duration;

use domain::seam::{Dice, SeededDice};
use serde::Serialize;
use twilio::sandbox::Knobs;

/// Who draws.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    Killer,
    Weather,
    Scene,
    Granter,
    OptOuts,
    Fickle,
    /// One of those who send single texts.
    Texter(u64),
}

/// Dice of one role.
pub fn dice(seed: u64, role: Role) -> SeededDice {
    let number = match role {
        Role::Killer => 1,
        Role::Weather => 2,
        Role::Scene => 3,
        Role::Granter => 4,
        Role::OptOuts => 5,
        Role::Fickle => 6,
        Role::Texter(nth) => 16 + nth,
    };
    // Any odd factor keeps the roles apart; the dice mix the rest.
    SeededDice::new(seed ^ 0xA076_1D64_78BD_642F_u64.wrapping_mul(number))
}

/// True once in `n` on average.
pub fn one_in(dice: &dyn Dice, n: u64) -> bool {
    dice.below(n) == 0
}

/// A span of so many milliseconds, from the first to below the second.
pub fn millis(dice: &dyn Dice, from: u64, to: u64) -> Duration {
    Duration::from_millis(from + dice.below(to.saturating_sub(from)))
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kill {
    /// `kill -9` of the server.
    Server,
    /// `kill -9` of the carrier.
    Carrier,
    /// `kill -9` of both at the same moment.
    ServerAndCarrier,
    /// An immediate stop of the database server.
    Database,
}

impl Kill {
    /// The next victim. Only a database that is a server can be killed.
    pub fn draw(dice: &dyn Dice, database_too: bool) -> Self {
        match dice.below(if database_too { 100 } else { 75 }) {
            0..50 => Self::Server,
            50..65 => Self::Carrier,
            65..75 => Self::ServerAndCarrier,
            _ => Self::Database,
        }
    }

    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Carrier => "carrier",
            Self::ServerAndCarrier => "both at once",
            Self::Database => "database",
        }
    }
}

/// How long everything lives before the next kill: often not long enough to get going, now and
/// then long enough for every part of it.
pub fn lifetime(dice: &dyn Dice) -> Duration {
    match dice.below(4) {
        0 => millis(dice, 3, 60),
        1 | 2 => millis(dice, 60, 800),
        _ => millis(dice, 800, 3000),
    }
}

/// How long what was killed stays away.
pub fn absence(dice: &dyn Dice) -> Duration {
    if one_in(dice, 2) { Duration::ZERO } else { millis(dice, 1, 300) }
}

/// How the carrier behaves until the next kill: a few faults at a time, sometimes none.
pub fn weather(dice: &dyn Dice) -> Knobs {
    let share = |percent_max: u32| {
        let thousandths = dice.below(u64::from(percent_max) * 10) + 1;
        let share = f64::from(u32::try_from(thousandths).unwrap_or(0)) / 1000.0;
        if one_in(dice, 3) { share } else { 0.0 }
    };
    let calm = one_in(dice, 6);
    let knobs = Knobs {
        latency_ms: dice.below(15),
        latency_jitter_ms: dice.below(30),
        share_429: share(5),
        share_500_before: share(3),
        share_500_after: share(3),
        share_drop_before: share(3),
        share_drop: share(5),
        // Each of these holds one of the server's connections until the server gives up on it.
        share_hang: share(1) / 3.0,
        share_hang_after: share(1) / 3.0,
        share_truncate: share(3),
        // Less than a text may wait there, and less than its absence takes to be proven.
        queue_delay_ms: dice.below(800),
        listing_lag_ms: dice.below(1500),
        receipt_delay_ms: 10 + dice.below(400),
        share_receipt_twice: share(30),
        share_receipt_lost: if one_in(dice, 8) { 1.0 } else { share(20) },
        share_receipt_late: share(30),
        receipt_late_ms: 1 + dice.below(5000),
        share_receipt_swapped: share(20),
        ..Knobs::default()
    };
    if calm { fair_weather() } else { knobs }
}

/// No faults at all.
pub fn fair_weather() -> Knobs {
    Knobs { receipt_delay_ms: 50, ..Knobs::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_again_and_another_does_not() {
        let course = |seed| {
            let (killer, sky) = (dice(seed, Role::Killer), dice(seed, Role::Weather));
            let one = |_| {
                let kill = Kill::draw(&killer, true);
                format!("{kill:?} {:?} {:?}", lifetime(&killer), weather(&sky))
            };
            (0..50).map(one).collect::<Vec<_>>()
        };
        assert_eq!(course(7), course(7));
        assert_ne!(course(7), course(8));
    }

    #[test]
    fn every_victim_and_every_fault_is_drawn() {
        let dice = dice(1, Role::Killer);
        let mut victims: Vec<Kill> = (0..200).map(|_| Kill::draw(&dice, true)).collect();
        victims.sort_unstable();
        victims.dedup();
        assert_eq!(victims.len(), 4, "{victims:?}");
        assert!((0..200).all(|_| Kill::draw(&dice, false) != Kill::Database));

        let skies: Vec<Knobs> = (0..200).map(|_| weather(&dice)).collect();
        let fair = serde_json::to_value(fair_weather()).expect("JSON");
        let names = fair.as_object().expect("an object").keys();
        // Refused credentials and failed texts are no matter of crashes.
        let unused =
            ["share_401", "share_undelivered", "share_failed", "receipts", "receipt_retry_secs"];
        for name in names.filter(|name| !unused.contains(&name.as_str())) {
            let differs =
                |sky: &Knobs| serde_json::to_value(sky).expect("JSON")[name] != fair[name];
            assert!(skies.iter().any(differs), "{name} is never drawn");
        }
        for sky in skies {
            sky.checked().expect("shares are shares");
        }
    }
}
