//! How many calls to one carrier may be in flight, with room kept for what is more urgent: a code
//! never waits behind a carrier that hangs on campaign texts. How fast one sender may go is
//! another matter: see [`super::throttle`].

use domain::lanes::Lane;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The slots of one carrier. Campaigns use at most three quarters of them, notifications,
/// reminders and campaigns together seven eighths, everything else all.
#[derive(Debug)]
pub struct Slots {
    all: Semaphore,
    patient: Semaphore,
    campaign: Semaphore,
}

/// A slot in use; free again when dropped.
#[derive(Debug)]
#[must_use = "the slot is free again as soon as this is dropped"]
pub struct Slot<'a>(
    #[expect(dead_code, reason = "held, not read")] [Option<SemaphorePermit<'a>>; 3],
);

impl Slots {
    /// `total` slots, at least one. Every lane may use at least one, so that of fewer than two
    /// none is kept free.
    pub fn new(total: usize) -> Self {
        let total = total.clamp(1, Semaphore::MAX_PERMITS);
        let share = |eighths: usize| Semaphore::new((total * eighths / 8).max(1));
        Self { all: share(8), patient: share(7), campaign: share(6) }
    }

    /// A slot for a text of this lane, once one is free.
    pub async fn take(&self, lane: Lane) -> Slot<'_> {
        let limited = match lane {
            Lane::Code | Lane::Urgent | Lane::Reply => (false, false),
            Lane::Reminder | Lane::Notification => (true, false),
            Lane::Campaign => (true, true),
        };
        // From the narrowest to the widest, so that who waits for a wide one holds its place.
        let campaign = permit(&self.campaign, limited.1).await;
        let patient = permit(&self.patient, limited.0).await;
        let all = permit(&self.all, true).await;
        Slot([campaign, patient, all])
    }
}

async fn permit(of: &Semaphore, needed: bool) -> Option<SemaphorePermit<'_>> {
    if needed { Some(of.acquire().await.expect("it is never closed")) } else { None }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Takes slots for `lane` until one would have to wait.
    fn fill(slots: &Slots, lane: Lane) -> Vec<Slot<'_>> {
        std::iter::from_fn(|| slots.take(lane).now_or_never()).collect()
    }

    #[test]
    fn each_lane_has_its_share() {
        for (total, campaign, patient, all) in [
            (0, 1, 1, 1),
            (1, 1, 1, 1),
            (2, 1, 1, 2),
            (4, 3, 3, 4),
            (16, 12, 14, 16),
            (100, 75, 87, 100),
        ] {
            let slots = Slots::new(total);
            for &lane in Lane::ALL {
                let expected = match lane {
                    Lane::Campaign => campaign,
                    Lane::Notification | Lane::Reminder => patient,
                    Lane::Code | Lane::Urgent | Lane::Reply => all,
                };
                assert_eq!(fill(&slots, lane).len(), expected, "{lane} of {total}");
            }
        }
    }

    #[test]
    fn a_code_never_waits_behind_hanging_campaign_texts() {
        let slots = Slots::new(16);
        let campaigns = fill(&slots, Lane::Campaign);
        let waiting: Vec<_> = (0..100)
            .map(|_| {
                let mut take = Box::pin(slots.take(Lane::Campaign));
                assert!(take.as_mut().now_or_never().is_none());
                take
            })
            .collect();
        let patient = fill(&slots, Lane::Reminder);
        let codes = fill(&slots, Lane::Code);
        assert_eq!((campaigns.len(), patient.len(), codes.len()), (12, 2, 2));
        assert!(slots.take(Lane::Code).now_or_never().is_none());
        // Of what campaigns give back, nothing is owed to those that gave up waiting.
        drop(campaigns);
        drop(waiting);
        assert_eq!(fill(&slots, Lane::Code).len(), 12);
        drop((patient, codes));
        assert_eq!(fill(&slots, Lane::Code).len(), 16);
    }

    #[test]
    fn waiters_that_give_up_half_way_leak_nothing() {
        let slots = Slots::new(8);
        let codes = fill(&slots, Lane::Code);
        for &lane in Lane::ALL {
            // It holds its place in the narrower shares while it waits for a slot.
            assert!(slots.take(lane).now_or_never().is_none(), "{lane}");
        }
        drop(codes);
        assert_eq!(fill(&slots, Lane::Campaign).len(), 6);
        assert_eq!(fill(&slots, Lane::Reminder).len(), 7);
        assert_eq!(fill(&slots, Lane::Code).len(), 8);
    }
}
