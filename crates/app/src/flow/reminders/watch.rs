//! Looking after texts that reminded: one that did not arrive becomes a call for staff.
//!
//! Looks come at growing intervals, and end when the text's fate is known or the appointment is
//! over.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::ids::{AppointmentId, MessageId, RunId, TaskId};
use domain::instant::Instant;
use domain::message::State;
use domain::permit::Rule;
use store::Tx;
use store::automations::{self, Run};
use store::reminders::{self, Fate, OF_COACH, Reminder, ReminderState};
use store::tasks::{self, Task, TaskKind};

use crate::flow::Result;
use crate::flow::appointments::booking::{
    Booking, Clerk, People, load, name_of, nth_instant, people_of, phone_of,
};

/// Reminders of one look.
const BATCH_MAX: i64 = 500;
const WAIT_MIN: Duration = Duration::from_secs(15);
const WAIT_MAX: Duration = Duration::from_secs(30 * 60);
/// A text is looked after until so long after the start.
const AFTER_START: Duration = Duration::from_secs(3600);
/// Staff should have called by then.
const CALL_WITHIN: Duration = Duration::from_secs(2 * 3600);

/// What a look found.
enum Found {
    Arrived,
    Withdrawn,
    Lost(String),
    Pending,
}

/// Looks after an account's texts whose turn has come; how many.
pub async fn watch_due(tx: &mut Tx, clerk: &Clerk<'_>) -> Result<usize> {
    let mut list = reminders::watched_reminders(tx, clerk.account(), BATCH_MAX).await?;
    if list.is_empty() {
        return Ok(0);
    }
    let now = tx.now();
    let texts: Vec<MessageId> = list.iter().filter_map(|one| one.message).collect();
    let fates: BTreeMap<MessageId, Fate> = reminders::fates(tx, clerk.account(), &texts)
        .await?
        .into_iter()
        .map(|fate| (fate.text, fate))
        .collect();
    let mut lost = Vec::new();
    for one in &mut list {
        match found(one.message.and_then(|text| fates.get(&text))) {
            Found::Arrived => end(one, ReminderState::Delivered, None, now),
            Found::Withdrawn => {
                let why = one.reason.clone();
                end(one, ReminderState::Cancelled, why, now);
            }
            Found::Lost(why) => {
                end(one, ReminderState::Failed, Some(why), now);
                lost.push(one.clone());
            }
            Found::Pending => {
                let over = now > one.starts_at + AFTER_START;
                let wait = (now.since(one.updated_at) / 2).clamp(WAIT_MIN, WAIT_MAX);
                one.watch_at = Some(now + wait).filter(|_| !over);
            }
        }
    }
    reminders::save_reminders(tx, clerk.account(), &list).await?;
    call(tx, clerk, &lost, now).await?;
    Ok(list.len())
}

fn end(one: &mut Reminder, state: ReminderState, reason: Option<String>, now: Instant) {
    one.state = state;
    one.reason = reason;
    one.watch_at = None;
    one.updated_at = now;
}

fn found(fate: Option<&Fate>) -> Found {
    let Some(fate) = fate else { return Found::Pending };
    let Some(state) = fate.state else { return Found::Pending };
    match state {
        State::Delivered | State::Read => Found::Arrived,
        State::Deferred | State::Reserved | State::Unknown | State::Accepted | State::Sent => {
            Found::Pending
        }
        State::Suppressed if fate.rule == Some(Rule::Withdrawn) => Found::Withdrawn,
        State::Undelivered
        | State::Failed
        | State::Rejected
        | State::Suppressed
        | State::Invalid
        | State::Expired
        | State::Canceled
        | State::Absent => {
            let mut words = state.as_str().to_owned();
            if let Some(rule) = fate.rule {
                words = format!("{words}: {}", rule.as_str());
            }
            if let Some(why) = fate.why.as_deref().filter(|why| !why.is_empty()) {
                words = format!("{words}, {why}");
            }
            if fate.code != 0 {
                words = format!("{words} (code {})", fate.code);
            }
            Found::Lost(words)
        }
    }
}

/// Opens a call for each reminder that did not arrive, while calling is of use.
async fn call(tx: &mut Tx, clerk: &Clerk<'_>, lost: &[Reminder], now: Instant) -> Result<()> {
    if lost.is_empty() {
        return Ok(());
    }
    let ids: Vec<AppointmentId> = lost.iter().map(|one| one.appointment).collect();
    let list = load(tx, clerk.account(), &ids).await?;
    let people = people_of(tx, clerk.account(), &list).await?;
    let bookings: BTreeMap<AppointmentId, &Booking> =
        list.iter().map(|one| (one.appointment.id, one)).collect();
    let (mut calls, mut runs) = (Vec::new(), Vec::new());
    for (nth, one) in lost.iter().enumerate() {
        let at = nth_instant(now, nth);
        let why = one.reason.clone().unwrap_or_default();
        if let Some(booking) = bookings.get(&one.appointment) {
            calls.push(task(clerk, one, booking, &people, &why, at));
        }
        runs.push(Run {
            id: RunId::new(at, clerk.dice),
            rule: "reminder.watch".to_owned(),
            version: clerk.version,
            subject: one.id.to_string(),
            outcome: "failed".to_owned(),
            detail: why,
            next_at: None,
            at,
        });
    }
    tasks::open_tasks(tx, clerk.account(), &calls).await?;
    automations::insert_runs(tx, clerk.account(), &runs).await?;
    Ok(())
}

fn task(
    clerk: &Clerk<'_>,
    one: &Reminder,
    booking: &Booking,
    people: &People,
    why: &str,
    at: Instant,
) -> Task {
    let person = booking.attendee(one.attendee).filter(|_| one.attendee != OF_COACH);
    let coach = booking.appointment.coach.as_ref();
    let (name, phone) = match person {
        Some(person) => (name_of(people, person), phone_of(people, person)),
        None => (
            coach.map_or("", |coach| coach.name.as_str()),
            coach.and_then(|coach| coach.phone.as_deref()),
        ),
    };
    let who = if name.is_empty() { phone.unwrap_or("somebody") } else { name };
    Task {
        id: TaskId::new(at, clerk.dice),
        kind: TaskKind::Call,
        subject: format!("call:{}", one.id),
        title: format!("Call {who}: a reminder of {} did not arrive", booking.appointment.title),
        detail: format!("{why}; the appointment begins at {}", one.starts_at),
        phone: phone.map(str::to_owned),
        contact: person.and_then(|person| person.contact),
        thread: None,
        appointment: Some(one.appointment),
        assignee: None,
        due_at: one.starts_at.min(at + CALL_WITHIN),
        created_at: at,
        done_at: None,
        done_by: None,
    }
}
