//! Routes: which carrier takes a text now.
//!
//! There is a first carrier and there may be a backup. A text goes to the first one that is not
//! left alone at present. A carrier is left alone for a sender while its breaker is open (calls
//! failed or were slow) or held (the carrier refused the sender, or our account there). The backup
//! is thus used only after a definite refusal or by new texts, never for a text whose fate is
//! unknown; when the first carrier works again, texts return to it by themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use domain::breaker::{Admit, Breaker, HOLD, Limits, Outcome as Call, Standing, State};
use domain::carrier_errors::Hold;
use domain::instant::Instant;
use domain::lanes::Lane;
use serde::Serialize;

use super::carrier::Carrier;
use super::senders::From;
use super::slots::{Slot, Slots};

/// One carrier.
pub struct Line {
    /// `primary` or `backup`.
    pub name: String,
    /// The carrier.
    pub carrier: Arc<dyn Carrier>,
    /// What texts leave from there, whatever the account's sender; `None` when the same senders
    /// serve.
    pub from: Option<From>,
    /// Its calls in flight.
    slots: Slots,
}

impl Line {
    /// A carrier that takes `calls_max` calls at once.
    pub fn new(
        name: &str,
        carrier: Arc<dyn Carrier>,
        from: Option<From>,
        calls_max: usize,
    ) -> Self {
        Self { name: name.to_owned(), carrier, from, slots: Slots::new(calls_max) }
    }

    /// Waits for a free call.
    pub async fn slot(&self, lane: Lane) -> Slot<'_> {
        self.slots.take(lane).await
    }
}

/// The breakers: one per carrier and sender, and one per carrier for what concerns all of them.
type Breakers = HashMap<(usize, String), Breaker>;

/// The carriers, in the order of preference.
pub struct Routes {
    lines: Vec<Line>,
    limits: Limits,
    breakers: Mutex<Breakers>,
}

/// Where texts go.
pub struct Place<'a> {
    /// The carrier.
    pub line: &'a Line,
    /// What they leave from.
    pub from: From,
}

/// Where one text may go.
pub struct Way<'a> {
    /// The carrier.
    pub line: &'a Line,
    /// What the text leaves from.
    pub from: From,
    /// The account's sender, which the carrier's own may have replaced.
    pub wanted: From,
    index: usize,
    trials: [Option<u64>; 2],
}

/// No carrier may be called at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The first moment at which one may.
    pub until: Instant,
    /// Why, in words.
    pub reason: String,
    /// A refusal of ours that a person must mend, not a failure that passes.
    pub held: bool,
}

/// A carrier's breaker, as people see it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct BreakerStatus {
    /// `primary` or `backup`.
    pub carrier: String,
    /// The sender; none when it concerns all of the carrier's.
    pub sender: Option<String>,
    /// `closed`, `open`, `half_open` or `held`.
    #[schema(value_type = String)]
    pub state: State,
    /// Since when.
    #[schema(value_type = String)]
    pub since: Instant,
    /// Until when it is left alone.
    #[schema(value_type = Option<String>)]
    pub until: Option<Instant>,
    /// Why, in words.
    pub reason: Option<String>,
}

/// The key of the breaker that concerns all senders of a carrier.
const EVERY_SENDER: &str = "";

impl Routes {
    /// These carriers, the preferred one first.
    pub fn new(lines: Vec<Line>) -> Self {
        Self::with_limits(lines, Limits::default())
    }

    /// The same, with breakers that open by these limits.
    pub fn with_limits(lines: Vec<Line>, limits: Limits) -> Self {
        Self { lines, limits, breakers: Mutex::default() }
    }

    /// Every carrier.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The carrier with this name.
    pub fn line(&self, name: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.name == name)
    }

    fn lock(&self) -> MutexGuard<'_, Breakers> {
        self.breakers.lock().expect("no panic while the lock is held")
    }

    /// What texts of this sender leave from there.
    fn from_at(line: &Line, from: &From) -> From {
        line.from.as_ref().unwrap_or(from).clone()
    }

    /// Why texts of this sender cannot leave at present, if they cannot. Changes nothing.
    pub fn blocked(&self, from: &From, now: Instant) -> Option<Blocked> {
        let all = self.lock();
        let mut first: Option<Blocked> = None;
        for (index, line) in self.lines.iter().enumerate() {
            let address = Self::from_at(line, from).address;
            let blocked = standing(&all, index, EVERY_SENDER, now)
                .or_else(|| standing(&all, index, &address, now))?;
            if first.as_ref().is_none_or(|first| blocked.until < first.until) {
                first = Some(blocked);
            }
        }
        first
    }

    /// Where texts of this sender go at present. Changes nothing.
    pub fn place(&self, from: &From, now: Instant) -> Result<Place<'_>, Blocked> {
        if let Some(blocked) = self.blocked(from, now) {
            return Err(blocked);
        }
        let all = self.lock();
        let free = |index: usize, line: &Line| {
            let address = Self::from_at(line, from).address;
            standing(&all, index, EVERY_SENDER, now).is_none()
                && standing(&all, index, &address, now).is_none()
        };
        let found = self.lines.iter().enumerate().find(|(index, line)| free(*index, line));
        let (_, line) = found.ok_or_else(|| busy(now))?;
        Ok(Place { line, from: Self::from_at(line, from) })
    }

    /// Whether the next text of this sender tries a carrier that failed or refused before.
    pub fn on_trial(&self, from: &From, now: Instant) -> bool {
        let Ok(place) = self.place(from, now) else { return true };
        let index = self.lines.iter().position(|line| line.name == place.line.name);
        let all = self.lock();
        [EVERY_SENDER, &place.from.address].into_iter().any(|key| {
            let breaker = index.and_then(|index| all.get(&(index, key.to_owned())));
            breaker.is_some_and(|breaker| breaker.standing(now).state != State::Closed)
        })
    }

    /// Where a text of this sender may go now. Who takes a way must [`Self::note`] what came of it.
    pub fn choose(&self, from: &From, now: Instant) -> Result<Way<'_>, Blocked> {
        if let Some(blocked) = self.blocked(from, now) {
            return Err(blocked);
        }
        let mut all = self.lock();
        for (index, line) in self.lines.iter().enumerate() {
            let wanted = from.clone();
            let from = Self::from_at(line, from);
            let free = |all: &Breakers, key: &str| standing(all, index, key, now).is_none();
            if !free(&all, EVERY_SENDER) || !free(&all, &from.address) {
                continue;
            }
            let trials = [EVERY_SENDER, &from.address].map(|key| {
                match all.get_mut(&(index, key.to_owned())).map(|breaker| breaker.admit(now)) {
                    Some(Admit::Probe(trial)) => Some(trial),
                    _ => None,
                }
            });
            return Ok(Way { line, from, wanted, index, trials });
        }
        Err(busy(now))
    }

    /// Notes what came of a call.
    pub fn note(&self, way: &Way<'_>, now: Instant, call: Call) {
        let mut all = self.lock();
        let fresh = || Breaker::new(self.limits, now);
        let sender = all.entry((way.index, way.from.address.clone())).or_insert_with(fresh);
        if let Some(state) = sender.note(now, call, way.trials[1]) {
            log_turn(way.line, &way.from.address, state, &sender.standing(now));
        }
        if way.trials[0].is_some()
            && let Some(breaker) = all.get_mut(&(way.index, EVERY_SENDER.to_owned()))
            && let Some(state) = breaker.note(now, call, way.trials[0])
        {
            log_turn(way.line, EVERY_SENDER, state, &breaker.standing(now));
        }
    }

    /// Leaves a sender, or the whole carrier, alone after it refused us.
    pub fn hold(&self, way: &Way<'_>, now: Instant, what: Hold, reason: String) {
        let key = match what {
            Hold::Sender => way.from.address.as_str(),
            Hold::Carrier => EVERY_SENDER,
        };
        self.hold_at(way.index, key, now, reason, HOLD);
    }

    /// Leaves a carrier alone for good: it cannot be reached as it is set.
    pub fn hold_line(&self, name: &str, now: Instant, reason: String) {
        if let Some(index) = self.lines.iter().position(|line| line.name == name) {
            self.hold_at(
                index,
                EVERY_SENDER,
                now,
                reason,
                Duration::from_secs(u64::from(u32::MAX)),
            );
        }
    }

    /// Leaves a sender, or the carriers, alone after a receipt said that they are barred.
    pub fn hold_sender(&self, from: &From, now: Instant, what: Hold, reason: &str) {
        for (index, line) in self.lines.iter().enumerate().take(1) {
            let from = Self::from_at(line, from);
            let key = if what == Hold::Sender { from.address.as_str() } else { EVERY_SENDER };
            self.hold_at(index, key, now, reason.to_owned(), HOLD);
        }
    }

    fn hold_at(&self, index: usize, key: &str, now: Instant, reason: String, span: Duration) {
        let mut all = self.lock();
        let fresh = || Breaker::new(self.limits, now);
        let breaker = all.entry((index, key.to_owned())).or_insert_with(fresh);
        if let Some(state) = breaker.hold(now, reason, span) {
            log_turn(&self.lines[index], key, state, &breaker.standing(now));
        }
    }

    /// Every breaker that has something to say, the carriers' own first.
    pub fn standings(&self, now: Instant) -> Vec<BreakerStatus> {
        let all = self.lock();
        let mut list: Vec<BreakerStatus> = all
            .iter()
            .map(|((index, key), breaker)| {
                let Standing { state, since, until, reason } = breaker.standing(now);
                BreakerStatus {
                    carrier: self.lines[*index].name.clone(),
                    sender: Some(key.clone()).filter(|key| key != EVERY_SENDER),
                    state,
                    since,
                    until,
                    reason,
                }
            })
            .collect();
        for (index, line) in self.lines.iter().enumerate() {
            if !all.contains_key(&(index, EVERY_SENDER.to_owned())) {
                list.push(BreakerStatus {
                    carrier: line.name.clone(),
                    sender: None,
                    state: State::Closed,
                    since: Instant(0),
                    until: None,
                    reason: None,
                });
            }
        }
        list.sort_by(|a, b| (&b.carrier, &a.sender).cmp(&(&a.carrier, &b.sender)));
        list
    }
}

/// Somebody else took the one probe in between.
fn busy(now: Instant) -> Blocked {
    let reason = "another text tries the carrier first".to_owned();
    Blocked { until: now + Duration::from_secs(1), reason, held: false }
}

fn standing(all: &Breakers, index: usize, key: &str, now: Instant) -> Option<Blocked> {
    let Standing { state, until, reason, .. } = all.get(&(index, key.to_owned()))?.standing(now);
    let until = until.filter(|until| now < *until)?;
    Some(Blocked { until, reason: reason.unwrap_or_default(), held: state == State::Held })
}

fn log_turn(line: &Line, sender: &str, state: State, standing: &Standing) {
    metrics::gauge!(
        "ledgerline_breaker_state", "carrier" => line.name.clone(), "sender" => sender.to_owned()
    )
    .set(f64::from(i32::try_from(state.code()).unwrap_or(0)));
    tracing::warn!(
        component = "breaker", carrier = line.name, sender, %state,
        until = standing.until.map(tracing::field::display), reason = standing.reason,
        "the breaker turned"
    );
}
