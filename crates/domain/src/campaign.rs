//! The life of a stream: a campaign from draft to its end, as an exhaustive transition table.
//!
//! An account's endless streams (texts by API) are always [`State::Running`].

use crate::message::words;
use serde::Serialize;

words! {
    /// Where a campaign stands.
    State {
        /// Being written.
        Draft = 1 "draft",
        /// Its recipients, texts and prices are being frozen.
        Sealing = 2 "sealing",
        /// Frozen, not started.
        Ready = 3 "ready",
        /// Frozen, waits for its start time.
        Scheduled = 4 "scheduled",
        /// Leaving.
        Running = 5 "running",
        /// A pause was asked for; texts on the wire are still being answered.
        Pausing = 6 "pausing",
        /// Nothing is on the wire; the reason says what it waits for.
        Paused = 7 "paused",
        /// Every recipient was taken up; some still wait or are unknown.
        Draining = 8 "draining",
        /// Every recipient has its final state.
        Completed = 9 "completed",
        /// A cancel was asked for; texts on the wire are still being answered.
        Canceling = 10 "canceling",
        /// Stopped for good.
        Canceled = 11 "canceled",
        /// Could not be sealed.
        Failed = 12 "failed",
    }
}

words! {
    /// Why a campaign is paused.
    PauseReason {
        /// A person paused it.
        Operator = 1 "operator",
        /// The wallet cannot pay the next text.
        Credits = 2 "credits",
        /// The account's subscription does not allow sending.
        Subscription = 3 "subscription",
        /// The account is suspended.
        Account = 4 "account",
        /// The sender cannot send.
        Sender = 5 "sender",
        /// The account's budget for the day or the month is used up.
        Budget = 6 "budget",
    }
}

/// What happens to a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A person starts it.
    Start,
    /// Its list is frozen and it may leave at once.
    Sealed,
    /// Its list is frozen and it leaves later.
    SealedForLater,
    /// Its list cannot be frozen: nobody to send to.
    SealFailed,
    /// Its start time has come.
    Due,
    /// A person, or a rule, pauses it.
    Pause,
    /// The next text cannot be paid, or not within the budget, at a claim: nothing more is taken
    /// up.
    OutOfCredits,
    /// A person resumes it, or what it waited for has come.
    Resume,
    /// A person cancels it.
    Cancel,
    /// Nothing of it is on the wire any more.
    Idle,
    /// The cursor reached the last recipient.
    Exhausted,
    /// Every recipient has its final state.
    Finished,
}

impl Event {
    /// Every event.
    pub const ALL: &[Self] = &[
        Self::Start,
        Self::Sealed,
        Self::SealedForLater,
        Self::SealFailed,
        Self::Due,
        Self::Pause,
        Self::OutOfCredits,
        Self::Resume,
        Self::Cancel,
        Self::Idle,
        Self::Exhausted,
        Self::Finished,
    ];
}

impl State {
    /// The state after `event`; `None` when the event does not apply here.
    pub const fn after(self, event: Event) -> Option<Self> {
        use Event as E;
        Some(match (self, event) {
            (Self::Draft, E::Start) => Self::Sealing,
            (Self::Sealing, E::Sealed) => Self::Running,
            (Self::Sealing, E::SealedForLater) => Self::Scheduled,
            (Self::Sealing, E::SealFailed) => Self::Failed,
            (Self::Ready, E::Start) | (Self::Scheduled, E::Due | E::Start) => Self::Running,
            (Self::Running | Self::Draining | Self::Scheduled, E::Pause)
            | (Self::Running | Self::Draining, E::OutOfCredits) => Self::Pausing,
            (Self::Pausing, E::Idle) => Self::Paused,
            (Self::Pausing | Self::Paused, E::Resume) => Self::Running,
            (Self::Draft | Self::Ready, E::Cancel) => Self::Canceled,
            (
                Self::Sealing
                | Self::Scheduled
                | Self::Running
                | Self::Pausing
                | Self::Paused
                | Self::Draining,
                E::Cancel,
            ) => Self::Canceling,
            (Self::Canceling, E::Idle) => Self::Canceled,
            (Self::Running, E::Exhausted) => Self::Draining,
            (Self::Running | Self::Draining, E::Finished) => Self::Completed,
            _ => return None,
        })
    }

    /// Nothing happens to it any more.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Canceled | Self::Failed)
    }

    /// New texts may be taken up.
    pub const fn may_claim(self) -> bool {
        matches!(self, Self::Running | Self::Draining)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_stays_over() {
        for &state in State::ALL {
            for &event in Event::ALL {
                if state.is_over() {
                    assert_eq!(state.after(event), None, "{state} {event:?}");
                }
            }
        }
    }

    #[test]
    fn the_ways_of_a_campaign() {
        use Event as E;
        let cases: &[(&[Event], Option<State>)] = &[
            (&[E::Start, E::Sealed, E::Exhausted, E::Finished], Some(State::Completed)),
            (&[E::Start, E::SealedForLater, E::Due, E::Pause, E::Idle], Some(State::Paused)),
            (&[E::Start, E::Sealed, E::OutOfCredits, E::Idle, E::Resume], Some(State::Running)),
            (&[E::Start, E::Sealed, E::Pause, E::Resume], Some(State::Running)),
            (&[E::Start, E::Sealed, E::Cancel, E::Idle], Some(State::Canceled)),
            (&[E::Cancel], Some(State::Canceled)),
            (&[E::Start, E::Sealed, E::Cancel, E::Resume], None),
            (&[E::Pause], None),
            (&[E::Start, E::Start], None),
            (&[E::Start, E::SealFailed, E::Resume], None),
        ];
        for (events, end) in cases {
            let reached = events.iter().try_fold(State::Draft, |state, &event| state.after(event));
            assert_eq!(reached, *end, "{events:?}");
        }
    }

    #[test]
    fn every_state_is_reachable_and_every_live_state_can_end() {
        let mut seen = vec![State::Draft];
        let mut at = 0;
        while let Some(&state) = seen.get(at) {
            for &event in Event::ALL {
                if let Some(next) = state.after(event).filter(|next| !seen.contains(next)) {
                    seen.push(next);
                }
            }
            at += 1;
        }
        // `ready` is reached by sealing without starting, a step of the console's preview.
        for &state in State::ALL.iter().filter(|state| **state != State::Ready) {
            assert!(seen.contains(&state), "{state}");
            assert!(
                state.is_over()
                    || state.after(Event::Cancel).is_some()
                    || state == State::Canceling
            );
        }
    }
}
