//! How long things may take: the leases of this process, and after which time a text that nobody
//! saw arrive may be called absent (CORE C.6).

use std::time::Duration;

use domain::instant::Instant;
use domain::lanes::Lane;

/// The bounds, as set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// `LEDGERLINE_LEASE_SECONDS`: how long a claim holds without a beat.
    pub lease: Duration,
    /// `LEDGERLINE_TRANSIT_SECONDS`: how long a request may be on its way to the carrier after it
    /// left us; also the least time between two listings that prove something.
    pub transit: Duration,
    /// `LEDGERLINE_MARGIN_SECONDS`: added to be safe.
    pub margin: Duration,
    /// `LEDGERLINE_VALIDITY_SECONDS`, or per lane in the file: how long a text may wait at the
    /// carrier's before it is dropped there (its `ValidityPeriod`).
    validity: [Duration; Lane::ALL.len()],
}

/// The longest request to a carrier; after it nothing of a text is written any more.
pub const REQUEST_MAX: Duration = Duration::from_secs(30);

impl Default for Bounds {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        let mut bounds = Self {
            lease: Duration::from_secs(30),
            transit: Duration::from_secs(120),
            margin: minutes(10),
            validity: [minutes(4 * 60); Lane::ALL.len()],
        };
        // A code dies with its lifetime, a reminder is worth nothing much later (CORE G d).
        for (lane, validity) in [(Lane::Code, 10), (Lane::Urgent, 60), (Lane::Reminder, 60)] {
            bounds.set_validity(lane, minutes(validity));
        }
        bounds
    }
}

impl Bounds {
    /// A beat at least this often, so that the lease lives and a stop is heard within a second.
    pub fn beat(&self) -> Duration {
        (self.lease / 5).min(Duration::from_millis(800))
    }

    /// A lease is treated as over by its owner this long before it ends.
    pub fn lease_margin(&self) -> Duration {
        (self.lease / 6).min(Duration::from_secs(5))
    }

    /// A lease is treated as over by others this long after its end: clocks differ a little.
    pub fn lease_grace(&self) -> Duration {
        (self.lease / 2).min(Duration::from_secs(15))
    }

    /// How long a text of this lane may wait at the carrier's.
    pub fn validity(&self, lane: Lane) -> Duration {
        self.validity[Self::place(lane)]
    }

    /// Sets [`Self::validity`] of one lane.
    pub fn set_validity(&mut self, lane: Lane, validity: Duration) {
        self.validity[Self::place(lane)] = validity;
    }

    fn place(lane: Lane) -> usize {
        Lane::ALL.iter().position(|one| *one == lane).expect("every lane is in the list")
    }

    /// From when on the absence of a text may be proven, when nothing of it was written after
    /// `dead_at`: from here on an accepted text is final at the carrier's and must show.
    pub fn resolve_by(&self, lane: Lane, dead_at: Instant) -> Instant {
        dead_at + self.transit + self.validity(lane) + self.margin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_waits_for_transit_validity_and_margin() {
        let mut bounds = Bounds::default();
        let dead_at = Instant(1_000_000);
        let wait = bounds.resolve_by(Lane::Campaign, dead_at).since(dead_at);
        assert_eq!(wait, Duration::from_secs(120 + 4 * 3600 + 600));
        bounds.set_validity(Lane::Code, Duration::from_secs(5));
        let wait = bounds.resolve_by(Lane::Code, dead_at).since(dead_at);
        assert_eq!(wait, Duration::from_secs(120 + 5 + 600));
        assert_eq!(bounds.validity(Lane::Reminder), Duration::from_secs(3600));
    }

    #[test]
    fn a_lease_leaves_room_for_its_beats_however_short_it_is() {
        for seconds in [1, 2, 5, 30, 600] {
            let lease = Duration::from_secs(seconds);
            let bounds = Bounds { lease, ..Bounds::default() };
            assert!(bounds.beat() * 3 + bounds.lease_margin() < lease, "{seconds} s");
            assert!(bounds.lease_grace() > bounds.lease_margin());
        }
    }
}
