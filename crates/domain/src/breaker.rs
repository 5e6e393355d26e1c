//! A circuit breaker: whether calls to a carrier, or with a sender, make sense at present.
//!
//! It is closed while calls are answered, and opens when too many fail in a row or too many of the
//! last ones failed or were slow. When its time is over, one call, the probe, shows whether things
//! are better: if so it closes, if not it opens for twice as long. A refusal that no later call
//! would escape (credentials, set-up) holds it in the same way, with words for people. HTTP 429 is
//! no failure: it only pauses all calls, longer each time.
//!
//! It decides nothing about texts. A text that is not let through goes back to wait: it was not
//! sent, and that was not one of its attempts.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use crate::instant::Instant;
use crate::message::words;

words! {
    /// What a breaker lets through.
    State {
        /// Every call.
        Closed = 1 "closed",
        /// None until a given instant, after failures.
        Open = 2 "open",
        /// One call at a time, to try.
        HalfOpen = 3 "half_open",
        /// None until a given instant, after a refusal that people must see to.
        Held = 4 "held",
    }
}

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// This many failures in a row open it.
    pub failures_max: u32,
    /// So many of the last calls are looked at.
    pub window_calls: usize,
    /// A call that takes longer is slow.
    pub slow_after: Duration,
    /// This many of the calls in the window, slow or failed, open it.
    pub bad_calls_max: usize,
    /// How long it opens at first.
    pub open_first: Duration,
    /// The longest it opens, after doubling.
    pub open_last: Duration,
    /// A probe that was not reported by then is given up. Longer than any call takes.
    pub probe_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            failures_max: 5,
            window_calls: 20,
            slow_after: Duration::from_secs(5),
            bad_calls_max: 10,
            open_first: Duration::from_secs(30),
            open_last: Duration::from_secs(300),
            probe_max: Duration::from_secs(60),
        }
    }
}

/// How long a refusal of credentials or set-up holds, unless the caller knows better.
pub const HOLD: Duration = Duration::from_secs(300);

/// Whether a call may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Yes.
    Yes,
    /// Yes, as the probe of this number, which is reported with its outcome.
    Probe(u64),
    /// No, and asking is of no use before `until`.
    No {
        /// When to ask again.
        until: Instant,
        /// Why, for people.
        reason: String,
    },
}

/// How a call ended, as far as the other side's health goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered, be it with a refusal.
    Answered {
        /// How long it took.
        took: Duration,
    },
    /// No connection, no answer in time, or an answer that speaks of the server's own failure.
    Failed,
    /// HTTP 429: turned away unread.
    RateLimited,
}

/// Where a breaker stands, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Its state.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// Before this no call is let through, or while half open no other.
    pub until: Option<Instant>,
    /// Why, unless all is well.
    pub reason: Option<String>,
}

/// A circuit breaker.
#[derive(Clone, Debug)]
pub struct Breaker {
    limits: Limits,
    state: State,
    since: Instant,
    /// While half open: when the probe under way is given up.
    until: Instant,
    reason: String,
    /// Failures in a row.
    failures: u32,
    /// The last calls, whether each was slow or failed.
    recent: VecDeque<bool>,
    /// How long it opens next.
    open_for: Duration,
    /// The number of the last probe.
    last_probe: u64,
    pace: Pace,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            state: State::Closed,
            since: now,
            until: now,
            reason: String::new(),
            failures: 0,
            recent: VecDeque::with_capacity(limits.window_calls),
            open_for: limits.open_first,
            last_probe: 0,
            pace: Pace::default(),
        }
    }

    /// Asks for one call. Who hears yes makes it, and reports it with [`Self::note`].
    pub fn admit(&mut self, now: Instant) -> Admit {
        if now < self.pace.until {
            return Admit::No { until: self.pace.until, reason: PAUSED.to_owned() };
        }
        if self.state == State::Closed {
            return Admit::Yes;
        }
        if now < self.until {
            return Admit::No { until: self.until, reason: self.reason.clone() };
        }
        self.change(State::HalfOpen, now, now + self.limits.probe_max);
        self.last_probe += 1;
        Admit::Probe(self.last_probe)
    }

    /// Reports a call; `probe` is the number it was admitted with. Answers the state that this
    /// brought about, for the log.
    pub fn note(&mut self, now: Instant, outcome: Outcome, probe: Option<u64>) -> Option<State> {
        let on_probe = self.state == State::HalfOpen && probe == Some(self.last_probe);
        let bad = match outcome {
            Outcome::Answered { took } => {
                self.pace.speed_up(now);
                took > self.limits.slow_after
            }
            Outcome::Failed => true,
            Outcome::RateLimited => {
                self.pace.slow_down(now);
                if on_probe {
                    // It proved nothing: the next call is the probe.
                    self.until = now;
                }
                return None;
            }
        };
        if self.state == State::Closed {
            return self.weigh(now, outcome, bad);
        }
        if !on_probe {
            // Begun before it opened, or given up long ago.
            return None;
        }
        Some(if bad {
            self.open(now, "the probe failed or was slow".to_owned())
        } else {
            self.open_for = self.limits.open_first;
            self.reason.clear();
            self.change(State::Closed, now, now)
        })
    }

    /// Lets nothing through for `span`, for a `reason` that people must see to; then one call
    /// tries again. Answers the state when it is a new one.
    pub fn hold(&mut self, now: Instant, reason: String, span: Duration) -> Option<State> {
        let is_new = self.state != State::Held;
        self.reason = reason;
        // Never sooner than before: a probe may still be under way.
        let until = self.until.max(now + span);
        self.change(State::Held, now, until);
        is_new.then_some(State::Held)
    }

    /// Where it stands.
    pub fn standing(&self, now: Instant) -> Standing {
        let (state, since) = (self.state, self.since);
        if state != State::Closed {
            let (until, reason) = (Some(self.until), Some(self.reason.clone()));
            return Standing { state, since, until, reason };
        }
        let until = (now < self.pace.until).then_some(self.pace.until);
        Standing { state, since, until, reason: until.map(|_| PAUSED.to_owned()) }
    }

    fn weigh(&mut self, now: Instant, outcome: Outcome, bad: bool) -> Option<State> {
        self.failures = if outcome == Outcome::Failed { self.failures + 1 } else { 0 };
        self.recent.push_back(bad);
        if self.recent.len() > self.limits.window_calls {
            self.recent.pop_front();
        }
        let bad_calls = self.recent.iter().filter(|bad| **bad).count();
        let reason = if self.failures >= self.limits.failures_max {
            format!("{} calls in a row failed", self.failures)
        } else if bad_calls >= self.limits.bad_calls_max {
            format!(
                "{bad_calls} of the last {} calls failed or took longer than {} s",
                self.recent.len(),
                self.limits.slow_after.as_secs()
            )
        } else {
            return None;
        };
        Some(self.open(now, reason))
    }

    fn open(&mut self, now: Instant, reason: String) -> State {
        let until = now + self.open_for;
        self.open_for = (self.open_for * 2).min(self.limits.open_last);
        self.reason = reason;
        self.change(State::Open, now, until)
    }

    fn change(&mut self, to: State, now: Instant, until: Instant) -> State {
        if self.state != to {
            self.since = now;
        }
        self.state = to;
        self.until = until;
        self.failures = 0;
        self.recent.clear();
        to
    }
}

const PAUSED: &str = "the carrier asked for fewer calls (429)";

/// The shortest and the longest pause after a 429.
const PAUSE_FIRST: Duration = Duration::from_millis(125);
const PAUSE_LAST: Duration = Duration::from_secs(60);

/// How 429 answers slow the calls: each pauses them twice as long as the last, each answer of
/// another kind takes half of that back. Answers that come during a pause belong to calls begun
/// before it and change nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    last_pause: Duration,
    until: Instant,
}

impl Pace {
    fn slow_down(&mut self, now: Instant) {
        if now >= self.until {
            self.last_pause = (self.last_pause * 2).clamp(PAUSE_FIRST, PAUSE_LAST);
            self.until = now + self.last_pause;
        }
    }

    fn speed_up(&mut self, now: Instant) {
        if now >= self.until {
            let half = self.last_pause / 2;
            self.last_pause = if half < PAUSE_FIRST { Duration::ZERO } else { half };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUICK: Outcome = Outcome::Answered { took: Duration::from_millis(200) };
    const SLOW: Outcome = Outcome::Answered { took: Duration::from_millis(5001) };
    const EDGE: Outcome = Outcome::Answered { took: Duration::from_secs(5) };
    use Outcome::{Failed, RateLimited};

    const START: Instant = Instant(1_795_225_200_000_000);

    fn at(secs: u64) -> Instant {
        START + Duration::from_secs(secs)
    }

    fn after(outcomes: &[(Outcome, usize)]) -> Breaker {
        let mut breaker = Breaker::new(Limits::default(), START);
        for (outcome, times) in outcomes {
            for _ in 0..*times {
                breaker.note(START, *outcome, None);
            }
        }
        breaker
    }

    /// Lets one probe fail at `secs`.
    fn fail_probe(breaker: &mut Breaker, secs: u64) {
        let Admit::Probe(probe) = breaker.admit(at(secs)) else { panic!("{breaker:?}") };
        assert_eq!(breaker.note(at(secs), Failed, Some(probe)), Some(State::Open));
    }

    fn wait_of(breaker: &mut Breaker, now: Instant) -> Option<u64> {
        match breaker.admit(now) {
            Admit::No { until, .. } => Some(until.since(now).as_secs()),
            _ => None,
        }
    }

    #[test]
    fn it_opens_when_calls_fail_or_drag() {
        for (outcomes, expected) in [
            (&[(QUICK, 100)][..], State::Closed),
            (&[(Failed, 4)], State::Closed),
            (&[(Failed, 5)], State::Open),
            (&[(Failed, 4), (QUICK, 1), (Failed, 4)], State::Closed),
            (&[(Failed, 4), (RateLimited, 9), (Failed, 1)], State::Open),
            (&[(SLOW, 9)], State::Closed),
            (&[(SLOW, 10)], State::Open),
            (&[(EDGE, 50)], State::Closed),
            (&[(SLOW, 9), (QUICK, 10), (SLOW, 1)], State::Open),
            (&[(SLOW, 9), (QUICK, 12), (SLOW, 1)], State::Closed),
            (&[(Failed, 3), (SLOW, 3), (QUICK, 1), (Failed, 4)], State::Open),
            (&[(RateLimited, 100)], State::Closed),
        ] {
            let breaker = after(outcomes);
            assert_eq!(breaker.standing(START).state, expected, "{outcomes:?}");
        }
    }

    #[test]
    fn it_opens_twice_as_long_after_each_failed_probe_and_afresh_once_closed() {
        let mut breaker = after(&[(Failed, 5)]);
        let mut now = 0;
        for expected in [30, 60, 120, 240, 300] {
            assert_eq!(wait_of(&mut breaker, at(now)), Some(expected));
            now += expected;
            fail_probe(&mut breaker, now);
        }
        assert_eq!(wait_of(&mut breaker, at(now)), Some(300));
        now += 300;
        let Admit::Probe(probe) = breaker.admit(at(now)) else { panic!("{breaker:?}") };
        assert_eq!(breaker.note(at(now), QUICK, Some(probe)), Some(State::Closed));
        assert_eq!(breaker.admit(at(now)), Admit::Yes);
        for expected in [None, None, None, None, Some(State::Open)] {
            assert_eq!(breaker.note(at(now), Failed, None), expected);
        }
        assert_eq!(wait_of(&mut breaker, at(now)), Some(30));
    }

    #[test]
    fn slow_calls_of_before_are_forgotten_once_it_closes() {
        let mut breaker = after(&[(SLOW, 10)]);
        assert_eq!(breaker.admit(at(30)), Admit::Probe(1));
        assert_eq!(breaker.note(at(31), EDGE, Some(1)), Some(State::Closed));
        for expected in [[None; 9].as_slice(), &[Some(State::Open)]].concat() {
            assert_eq!(breaker.note(at(31), SLOW, None), expected);
        }
    }

    #[test]
    fn one_call_tries_at_a_time_and_only_its_own_report_counts() {
        let mut breaker = after(&[(Failed, 5)]);
        assert_eq!(breaker.admit(at(30)), Admit::Probe(1));
        assert_eq!(wait_of(&mut breaker, at(31)), Some(59));
        // Late news of calls begun before it opened.
        assert_eq!(breaker.note(at(32), QUICK, None), None);
        assert_eq!(breaker.note(at(32), Failed, None), None);
        // Nobody ever reports the first probe; it is given up.
        assert_eq!(breaker.admit(at(90)), Admit::Probe(2));
        assert_eq!(breaker.note(at(91), QUICK, Some(1)), None);
        assert_eq!(breaker.note(at(91), RateLimited, Some(2)), None);
        assert_eq!(wait_of(&mut breaker, at(91)), Some(0), "an eighth of a second");
        assert_eq!(breaker.admit(at(92)), Admit::Probe(3));
        // An answer that takes too long shows no recovery.
        assert_eq!(breaker.note(at(98), SLOW, Some(3)), Some(State::Open));
    }

    #[test]
    fn a_hold_tells_why_and_ends_with_a_probe() {
        let mut breaker = after(&[]);
        let words = "the carrier refused our credentials";
        assert_eq!(breaker.hold(at(10), words.to_owned(), HOLD), Some(State::Held));
        assert_eq!(breaker.hold(at(20), words.to_owned(), HOLD), None);
        let (until, reason) = (at(320), words.to_owned());
        assert_eq!(breaker.admit(at(319)), Admit::No { until, reason: reason.clone() });
        let (until, reason) = (Some(until), Some(reason));
        let expected = Standing { state: State::Held, since: at(10), until, reason };
        assert_eq!(breaker.standing(at(319)), expected);
        assert_eq!(breaker.note(at(319), QUICK, None), None);
        assert_eq!(breaker.admit(at(320)), Admit::Probe(1));
        // The probe met the same refusal; whether it is reported as answered too does not matter.
        assert_eq!(breaker.hold(at(321), words.to_owned(), HOLD), Some(State::Held));
        assert_eq!(breaker.note(at(321), QUICK, Some(1)), None);
        assert_eq!(wait_of(&mut breaker, at(321)), Some(300));
    }

    #[test]
    fn too_many_requests_pause_ever_longer() {
        let mut breaker = after(&[]);
        let mut now = START;
        let millis = Duration::from_millis;
        for expected in [125, 250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000] {
            // Many calls are turned away at once; they ask for one pause.
            for _ in 0..50 {
                breaker.note(now, RateLimited, None);
            }
            let end = now + millis(expected);
            assert_eq!(breaker.standing(now).until, Some(end));
            breaker.note(now, QUICK, None);
            assert_eq!(breaker.standing(end - millis(1)).reason.as_deref(), Some(PAUSED));
            assert_eq!(breaker.standing(end).reason, None);
            now = end;
            assert_eq!(breaker.admit(now), Admit::Yes);
        }
        for _ in 0..3 {
            breaker.note(now, QUICK, None);
        }
        // 60, 30, 15, 7.5: the next is twice the last.
        breaker.note(now, RateLimited, None);
        assert_eq!(breaker.standing(now).until, Some(now + millis(15_000)));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Pass(u64),
        Ask,
        Report(usize, Outcome),
        Forget(usize),
        Hold(u64),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let outcome = prop_oneof![Just(QUICK), Just(SLOW), Just(Failed), Just(RateLimited)];
        prop_oneof![
            3 => (0u64..200).prop_map(Step::Pass),
            6 => Just(Step::Ask),
            6 => (any::<usize>(), outcome).prop_map(|(call, outcome)| Step::Report(call, outcome)),
            1 => any::<usize>().prop_map(Step::Forget),
            1 => (0u64..=300).prop_map(Step::Hold),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn it_tries_with_one_call_and_always_tries_again(
            steps in prop::collection::vec(any_step(), 1..200)
        ) {
            let limits = Limits { failures_max: 2, bad_calls_max: 3, ..Limits::default() };
            let mut breaker = Breaker::new(limits, START);
            let mut now = START;
            let mut calls: Vec<(Instant, Option<u64>)> = Vec::new();
            for step in steps {
                match step {
                    Step::Pass(secs) => now = now + Duration::from_secs(secs),
                    Step::Ask => match breaker.admit(now) {
                        Admit::Yes => calls.push((now, None)),
                        Admit::Probe(probe) => {
                            let alive = |begun: Instant| begun + limits.probe_max > now;
                            let other = calls.iter().find(|(at, no)| no.is_some() && alive(*at));
                            prop_assert_eq!(other, None);
                            calls.push((now, Some(probe)));
                        }
                        Admit::No { until, reason } => {
                            prop_assert!(until > now && !reason.is_empty());
                        }
                    },
                    Step::Report(call, outcome) if !calls.is_empty() => {
                        let (_, probe) = calls.remove(call % calls.len());
                        breaker.note(now, outcome, probe);
                    }
                    Step::Forget(call) if !calls.is_empty() => {
                        calls.remove(call % calls.len());
                    }
                    Step::Hold(secs) => {
                        breaker.hold(now, "credentials".to_owned(), Duration::from_secs(secs));
                    }
                    Step::Report(..) | Step::Forget(_) => {}
                }
            }
            // Whatever happened: within five minutes a call goes, and if it is answered, all go.
            now = now + Duration::from_secs(300);
            match breaker.admit(now) {
                Admit::Probe(probe) => {
                    prop_assert_eq!(breaker.note(now, QUICK, Some(probe)), Some(State::Closed));
                    prop_assert_eq!(breaker.admit(now), Admit::Yes);
                }
                admit => prop_assert_eq!(admit, Admit::Yes),
            }
        }
    }
}
