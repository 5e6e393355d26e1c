//! What limits an account besides its credits: its budget, so many texts an hour, and guards
//! against texts that look like somebody else's gain.
//!
//! All of it is read behind the lock of the wallet, so that no two claims count the same texts,
//! and written in the transaction that reserves the credits. A hold that a guard opens keeps
//! texts waiting until a person lifts it; see `flow::holds`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::ids::{AccountId, HoldId, MessageId, StreamId};
use domain::instant::Instant;
use domain::lanes::Lane;
use domain::ledger::Books;
use domain::seam::Dice;
use domain::settings::Settings;
use domain::velocity::{Count, Guard, LANES, hour_of, is_too_many};
use jiff::tz::TimeZone;
use store::holds::{self, Hold};
use store::notices::{self, Notice, NoticeKind};
use store::recipients::Candidate;
use store::velocity::{self, Departing};
use store::{Result, Tx};

use crate::finance::budgets::OpenBudget;

const HOUR: Duration = Duration::from_secs(3600);
/// How long a text waits before the gate is asked again about a hold: a person may lift it.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Whose texts are limited, and what is known of the account.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The account.
    pub account: AccountId,
    /// The stream that a claim takes from.
    pub stream: StreamId,
    /// What the account chose.
    pub choices: &'a Settings,
    /// Single texts that the account's plan allows within an hour, reminders aside.
    pub plan_hourly: Option<u32>,
    /// The account's clock.
    pub zone: &'a TimeZone,
    /// Where ids of holds come from.
    pub dice: &'a dyn Dice,
}

/// The limits of an account for one claim.
pub struct Limits<'a> {
    scope: Scope<'a>,
    now: Instant,
    budget: Option<OpenBudget>,
    hourly: Option<Hourly>,
    guards: Option<Guards>,
}

/// Why a text does not leave now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// Until when.
    pub until: Instant,
    /// Why, in words.
    pub words: String,
    /// The guard that sounds the alarm with this text.
    alarm: Option<(Guard, HoldId)>,
}

impl<'a> Limits<'a> {
    /// Reads what the candidates of a claim are limited by. Comes after the lock of the wallet.
    pub async fn load(
        tx: &mut Tx,
        scope: Scope<'a>,
        books: &Books,
        batch: impl Iterator<Item = &Candidate>,
    ) -> Result<Self> {
        let now = tx.now();
        let batch: Vec<&Candidate> = batch.collect();
        let budget = OpenBudget::open(tx, scope.account, books, scope.zone).await?;
        let hourly = Hourly::load(tx, &scope, &batch).await?;
        let guards = Guards::load(tx, &scope, &batch).await?;
        Ok(Self { scope, now, budget, hourly, guards })
    }

    /// Why this text does not leave now, if it does not.
    pub fn objection(&self, candidate: &Candidate) -> Option<Objection> {
        let one = &candidate.recipient;
        let guarded = self.guards.as_ref().and_then(|guards| {
            let again = self.now + ASK_AGAIN;
            guards.objection(&one.phone, again, || HoldId::new(self.now, self.scope.dice))
        });
        guarded.or_else(|| self.hourly.as_ref()?.objection(one.ord))
    }

    /// The gate put a text off for an objection: a guard that sounded opens its hold.
    pub fn sound(&mut self, candidate: &Candidate, objection: &Objection) {
        let (Some((guard, id)), Some(guards)) = (objection.alarm, &mut self.guards) else { return };
        let subject = guard.key(guards.lane, &candidate.recipient.phone);
        let reason = guards.reason(guard, &candidate.recipient.phone);
        guards.held.insert(subject.clone(), id);
        let (since, lifted_at, lifted_by) = (self.now, None, None);
        guards.opened.push(Hold { id, kind: guard, subject, reason, since, lifted_at, lifted_by });
    }

    /// Why a text of this price does not fit into the budget, if it does not, and until when.
    pub fn over_budget(&mut self, price: i64) -> Option<(Instant, String)> {
        let budget = self.budget.as_mut().filter(|budget| budget.room() < price)?;
        Some(budget.stop(price))
    }

    /// Counts a text that leaves, in its `attempt`-th attempt.
    pub fn take(&mut self, candidate: &Candidate, attempt: u16) {
        let one = &candidate.recipient;
        if let Some(budget) = &mut self.budget {
            budget.take(one.price);
        }
        if let Some(hourly) = &mut self.hourly {
            hourly.take(one.ord);
        }
        if let Some(guards) = self.guards.as_mut().filter(|_| attempt == 1) {
            guards.take(&one.phone);
        }
    }

    /// Keeps what was counted and opens what was held.
    pub async fn keep(self, tx: &mut Tx) -> Result<()> {
        let account = self.scope.account;
        if let Some(hourly) = self.hourly {
            let leaving: Vec<Vec<u8>> = hourly.leaving.into_iter().collect();
            velocity::depart(tx, account, hourly.kind, &leaving).await?;
        }
        if let Some(guards) = self.guards {
            guards.keep(tx, account).await?;
        }
        match self.budget {
            Some(budget) => budget.close(tx).await,
            None => Ok(()),
        }
    }
}

/// So many bookings, or texts, within an hour.
struct Hourly {
    kind: Departing,
    most: i64,
    /// How many left within the hour before this claim.
    before: i64,
    /// When the next place is free.
    until: Instant,
    /// What each text counts as: its booking, or itself.
    subjects: BTreeMap<i64, Vec<u8>>,
    /// What left within the hour before this claim.
    away: BTreeSet<Vec<u8>>,
    /// What leaves with this claim.
    leaving: BTreeSet<Vec<u8>>,
}

impl Hourly {
    async fn load(tx: &mut Tx, scope: &Scope<'_>, batch: &[&Candidate]) -> Result<Option<Self>> {
        let (kind, most) = match scope.stream.lane() {
            Lane::Campaign => return Ok(None),
            Lane::Reminder => (Departing::Reminder, scope.choices.reminders_hourly_max),
            _ => {
                let own = scope.choices.texts_hourly_max;
                (Departing::Text, own.into_iter().chain(scope.plan_hourly).min())
            }
        };
        let Some(most) = most.map(i64::from) else { return Ok(None) };
        let now = tx.now();
        let (before, frees) = velocity::departed(tx, scope.account, kind, now - HOUR, most).await?;
        let subjects = subjects(tx, scope, kind, batch).await?;
        let different: BTreeSet<Vec<u8>> = subjects.values().cloned().collect();
        let different: Vec<Vec<u8>> = different.into_iter().collect();
        let away = velocity::among_departed(tx, scope.account, kind, &different).await?;
        Ok(Some(Self {
            kind,
            most,
            before,
            until: frees.unwrap_or(now) + HOUR,
            subjects,
            away: away.into_iter().collect(),
            leaving: BTreeSet::new(),
        }))
    }

    fn objection(&self, ord: i64) -> Option<Objection> {
        let subject = self.subjects.get(&ord)?;
        if self.away.contains(subject) || self.leaving.contains(subject) {
            return None;
        }
        let fresh = self.leaving.iter().filter(|one| !self.away.contains(*one)).count();
        if self.before + i64::try_from(fresh).unwrap_or(i64::MAX) < self.most {
            return None;
        }
        let (most, until) = (self.most, self.until);
        let what = match self.kind {
            Departing::Reminder => "reminders of the account, counted by bookings,",
            Departing::Text => "texts of the account",
        };
        let words = format!("{most} {what} left within an hour, its limit; more from {until}");
        Some(Objection { until, words, alarm: None })
    }

    fn take(&mut self, ord: i64) {
        self.leaving.extend(self.subjects.get(&ord).cloned());
    }
}

/// What each text of a batch counts as. A text that repeats another counts as that one.
async fn subjects(
    tx: &mut Tx,
    scope: &Scope<'_>,
    kind: Departing,
    batch: &[&Candidate],
) -> Result<BTreeMap<i64, Vec<u8>>> {
    let first = |candidate: &Candidate| {
        let origin = candidate.recipient.retry_of.as_deref();
        origin
            .and_then(|text| MessageId::parse(text).ok())
            .map_or(candidate.recipient.ord, |id| id.ord)
    };
    let firsts: BTreeMap<i64, i64> =
        batch.iter().map(|one| (one.recipient.ord, first(one))).collect();
    let mut bookings = BTreeMap::new();
    if kind == Departing::Reminder {
        let ords: BTreeSet<i64> = firsts.values().copied().collect();
        let ords: Vec<i64> = ords.into_iter().collect();
        bookings = velocity::bookings_of(tx, scope.account, scope.stream, &ords).await?;
    }
    let subject = |first: i64| match bookings.get(&first) {
        Some(booking) => booking.0.to_vec(),
        None => [scope.stream.0.to_be_bytes(), first.to_be_bytes()].concat(),
    };
    Ok(firsts.into_iter().map(|(ord, first)| (ord, subject(first))).collect())
}

/// The guards of a lane.
struct Guards {
    lane: Lane,
    hour: Instant,
    /// Those that watch, and how much they let pass.
    limits: Vec<(Guard, i64)>,
    counts: BTreeMap<String, Count>,
    changed: BTreeSet<String>,
    held: BTreeMap<String, HoldId>,
    opened: Vec<Hold>,
}

impl Guards {
    async fn load(tx: &mut Tx, scope: &Scope<'_>, batch: &[&Candidate]) -> Result<Option<Self>> {
        let (lane, choices) = (scope.stream.lane(), scope.choices);
        let limits: Vec<(Guard, i64)> = [
            (Guard::Velocity, choices.velocity_per_hour),
            (Guard::Sequential, choices.sequential_per_hour),
        ]
        .into_iter()
        .filter_map(|(guard, limit)| Some((guard, i64::from(limit?))))
        .collect();
        if !LANES.contains(&lane) || !choices.guards(lane) || limits.is_empty() {
            return Ok(None);
        }
        let hour = hour_of(tx.now());
        let groups: BTreeSet<(Guard, String)> = batch
            .iter()
            .flat_map(|one| {
                let phone = &one.recipient.phone;
                limits.iter().map(move |(guard, _)| (*guard, guard.key(lane, phone)))
            })
            .collect();
        let groups: Vec<(Guard, String)> = groups.into_iter().collect();
        let keys: Vec<String> = groups.iter().map(|(_, key)| key.clone()).collect();
        let counts = velocity::counts(tx, scope.account, hour, &keys).await?;
        let held = holds::open_holds(tx, scope.account, &groups).await?;
        let (changed, opened) = (BTreeSet::new(), Vec::new());
        Ok(Some(Self { lane, hour, limits, counts, changed, held, opened }))
    }

    fn objection(
        &self,
        phone: &str,
        until: Instant,
        fresh: impl Fn() -> HoldId,
    ) -> Option<Objection> {
        self.limits.iter().find_map(|&(guard, limit)| {
            let key = guard.key(self.lane, phone);
            let known = self.held.get(&key).copied();
            let count = self.counts.get(&key).copied().unwrap_or_default();
            if known.is_none() && !is_too_many(guard, count, phone, limit) {
                return None;
            }
            let id = known.unwrap_or_else(&fresh);
            let reason = self.reason(guard, phone);
            let words = format!("held by {id} until a person lifts it: {reason}");
            let alarm = known.is_none().then_some((guard, id));
            Some(Objection { until, words, alarm })
        })
    }

    fn reason(&self, guard: Guard, phone: &str) -> String {
        let (lane, group) = (self.lane, guard.group_of(phone));
        let limit = self.limits.iter().find(|(one, _)| *one == guard).map_or(0, |one| one.1);
        match guard {
            Guard::Velocity => format!(
                "more than {limit} texts of the kind {lane} within an hour to numbers that begin \
                 with {group}"
            ),
            Guard::Sequential => format!(
                "texts of the kind {lane} within an hour to more than {limit} of the hundred \
                 numbers that begin with {group}"
            ),
        }
    }

    fn take(&mut self, phone: &str) {
        for (guard, _) in &self.limits {
            let key = guard.key(self.lane, phone);
            let count = self.counts.entry(key.clone()).or_default();
            *count = count.with(phone);
            self.changed.insert(key);
        }
    }

    async fn keep(self, tx: &mut Tx, account: AccountId) -> Result<()> {
        let changed: Vec<(String, Count)> =
            self.counts.into_iter().filter(|(key, _)| self.changed.contains(key)).collect();
        velocity::save_counts(tx, account, self.hour, &changed).await?;
        for hold in &self.opened {
            holds::insert_hold(tx, account, hold).await?;
            notices::give(tx, account, notice(hold)).await?;
            tracing::warn!(
                component = "limits", %account, hold = %hold.id, reason = hold.reason,
                "texts are held"
            );
        }
        Ok(())
    }
}

fn notice(hold: &Hold) -> Notice {
    let Hold { id, reason, .. } = hold;
    Notice {
        kind: NoticeKind::Fraud,
        subject: format!("hold:{id}"),
        title: "Texts are held: they look like fraud".to_owned(),
        detail: format!(
            "There were {reason}. Further texts of that kind to such numbers wait. If they are \
             wanted, lift the hold {id}; if not, find out who sets them off."
        ),
        link: Some("/v1/holds".to_owned()),
    }
}
