//! Booking, moving, calling off: what callers do to one appointment.

use domain::ids::{AppointmentId, AttendeeId};
use domain::instant::Instant;
use store::Tx;
use store::appointments::{self, Appointment, AppointmentState};

use super::answer::{self, Answered};
use super::attending::{join, resolve};
use super::booking::{Booking, Clerk, booking, with_people};
use super::series;
use super::turn::{Turn, carry_out, overlaps, put_people, put_start};
use super::wanted::{
    AppointmentIn, AppointmentPatch, Warning, apply, check_start, checked_external_id,
    checked_state, warning,
};
use crate::flow::{Refusal, Result, invalid};

/// What became of a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The booking; of a series, its next occurrence.
    pub id: AppointmentId,
    /// It is new.
    pub created: bool,
    /// What is worth a look.
    pub warnings: Vec<Warning>,
}

/// Books, or changes the booking that the caller's own system calls the same.
pub async fn book(tx: &mut Tx, clerk: &Clerk<'_>, wanted: &AppointmentIn) -> Result<Done> {
    let external_id = checked_external_id(wanted.external_id.as_deref())?;
    if let Some(recurrence) = &wanted.recurrence {
        return series::book(tx, clerk, wanted, external_id, recurrence).await;
    }
    let names: Vec<String> = external_id.iter().cloned().collect();
    let known = appointments::appointments_by_external_id(tx, clerk.account(), &names).await?;
    let patch = AppointmentPatch::from(wanted);
    if let Some(known) = known.into_iter().next() {
        let before = booking(tx, clerk.account(), known.id).await?;
        return change(tx, clerk, before, &patch, Wish::Upsert).await;
    }
    let mut warnings = Vec::new();
    let mut one = blank(clerk, tx.now(), external_id);
    apply(&patch, &mut one, clerk, &mut warnings)?;
    one.state = wanted.state.as_deref().map_or(Ok(AppointmentState::Scheduled), checked_state)?;
    match one.state {
        AppointmentState::Completed | AppointmentState::NoShow => {}
        AppointmentState::Scheduled => check_start(one.starts_at, tx.now())?,
        _ => {
            let words = "a new appointment is scheduled; completed and no_show record a past one";
            return Err(invalid("state", words));
        }
    }
    let people = resolve(tx, clerk, &wanted.attendees, &mut warnings).await?;
    if people.is_empty() {
        let words = "nobody comes to it: no texts are sent".to_owned();
        warnings.push(warning("no_attendees", "attendees", words));
    }
    let joined = join(clerk, one.id, &[], &people, tx.now());
    let mut new = Booking { appointment: one, attendees: joined.all };
    if !new.appointment.state.is_live() {
        let state = new.appointment.state;
        put_people(&mut new, state);
    }
    overlaps(tx, clerk, &new, &mut warnings).await?;
    let id = new.appointment.id;
    carry_out(tx, clerk, vec![Turn::new(new, true)], "booked").await?;
    Ok(Done { id, created: true, warnings })
}

/// An appointment of which nothing is known yet.
pub fn blank(clerk: &Clerk<'_>, now: Instant, external_id: Option<String>) -> Appointment {
    Appointment {
        id: AppointmentId::new(now, clerk.dice),
        external_id,
        series: None,
        occurrence: None,
        title: String::new(),
        starts_at: now,
        timezone: clerk.owner.timezone.clone(),
        duration_minutes: None,
        location: None,
        coach: None,
        state: AppointmentState::Scheduled,
        moved: false,
        version: 1,
        created_at: now,
    }
}

/// Changes a booking.
pub async fn patch(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    id: AppointmentId,
    patch: &AppointmentPatch,
) -> Result<Done> {
    let before = booking(tx, clerk.account(), id).await?;
    change(tx, clerk, before, patch, Wish::Patch).await
}

/// How a change was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// The whole booking was sent again.
    Upsert,
    /// A part of it was sent.
    Patch,
}

async fn change(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    before: Booking,
    patch: &AppointmentPatch,
    wish: Wish,
) -> Result<Done> {
    let mut warnings = Vec::new();
    let (id, now) = (before.appointment.id, tx.now());
    let mut after = before.clone();
    apply(patch, &mut after.appointment, clerk, &mut warnings)?;
    let state = patch.state.as_deref().map(checked_state).transpose()?;
    let state = match wish {
        // Whoever sends the whole booking again does not mean its answers.
        Wish::Upsert => state.filter(|state| *state != AppointmentState::Scheduled),
        Wish::Patch => state,
    };
    let starts_at = after.appointment.starts_at;
    let moved = starts_at != before.appointment.starts_at;
    let ends = state.is_some_and(|state| !state.is_live());
    if moved && !ends {
        check_start(starts_at, now)?;
    }
    let mut turn = Turn::of(before.clone(), before);
    if let Some(wanted) = &patch.attendees {
        let people = resolve(tx, clerk, wanted, &mut warnings).await?;
        let joined = join(clerk, id, &after.attendees, &people, now);
        after.attendees = joined.all;
        (turn.added, turn.removed) = (joined.added, joined.removed);
    }
    if moved {
        after.appointment.moved = after.appointment.series.is_some();
        after.appointment.starts_at = turn.after.appointment.starts_at;
        put_start(&mut after, starts_at);
    }
    if after.appointment.state == AppointmentState::Cancelled && state.is_none() {
        let words = "it stays cancelled: send a new starts_at, or PATCH state to scheduled";
        warnings.push(warning("cancelled", "state", words.to_owned()));
    }
    let answered = match state {
        Some(AppointmentState::Confirmed) => Some(true),
        Some(AppointmentState::Declined) => Some(false),
        Some(state) => {
            put_state(&mut after, state, now)?;
            None
        }
        None => None,
    };
    if moved || !turn.added.is_empty() {
        overlaps(tx, clerk, &after, &mut warnings).await?;
    }
    turn.after = after;
    let why = if moved { "rescheduled" } else { turn.after.appointment.state.as_str() };
    carry_out(tx, clerk, vec![turn], why).await?;
    if let Some(yes) = answered {
        confirm(tx, clerk, id, None, yes, "staff").await?;
    }
    Ok(Done { id, created: false, warnings })
}

/// Puts a booking into a state that is no answer.
fn put_state(after: &mut Booking, state: AppointmentState, now: Instant) -> Result<()> {
    let before = after.appointment.state;
    match state {
        AppointmentState::Scheduled if before == AppointmentState::Scheduled => {}
        AppointmentState::Scheduled => {
            check_start(after.appointment.starts_at, now)?;
            after.appointment.state = state;
            put_people(after, state);
        }
        AppointmentState::Completed | AppointmentState::NoShow => {
            if before == AppointmentState::Cancelled {
                let words = "it is cancelled: PATCH state to scheduled first";
                return Err(Refusal::State(words.to_owned()));
            }
            after.appointment.state = state;
            put_people(after, state);
        }
        _ => after.appointment.state = state,
    }
    Ok(())
}

/// Moves a booking to another time.
pub async fn reschedule(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    id: AppointmentId,
    starts_at: &str,
    timezone: Option<&str>,
) -> Result<Done> {
    let wanted = AppointmentPatch {
        starts_at: Some(starts_at.to_owned()),
        timezone: timezone.map(str::to_owned),
        ..AppointmentPatch::default()
    };
    patch(tx, clerk, id, &wanted).await
}

/// Calls a booking off; `false` when it was already.
pub async fn cancel(tx: &mut Tx, clerk: &Clerk<'_>, id: AppointmentId) -> Result<bool> {
    let before = booking(tx, clerk.account(), id).await?;
    if before.appointment.state == AppointmentState::Cancelled {
        return Ok(false);
    }
    let mut after = before.clone();
    after.appointment.state = AppointmentState::Cancelled;
    let past = before.appointment.starts_at <= tx.now();
    let turn = Turn { told: !past, ..Turn::of(before, after) };
    carry_out(tx, clerk, vec![turn], "cancelled").await?;
    Ok(true)
}

/// Takes an answer that staff was given: of one person, or of everybody who comes.
pub async fn confirm(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    id: AppointmentId,
    who: Option<AttendeeId>,
    yes: bool,
    by: &str,
) -> Result<Answered> {
    let one = booking(tx, clerk.account(), id).await?;
    let who: Vec<AttendeeId> = match who {
        Some(who) => vec![who],
        None => one.present().map(|person| person.id).collect(),
    };
    answer::settle(tx, clerk, one, &who, yes, by).await
}

/// The bookings in a list, with their people.
pub async fn list(
    tx: &mut Tx,
    account: domain::ids::AccountId,
    filter: &appointments::AppointmentFilter,
    after: Option<(Instant, AppointmentId)>,
    limit: i64,
) -> Result<Vec<Booking>> {
    let rows = appointments::list_appointments(tx, account, filter, after, limit).await?;
    with_people(tx, account, rows).await
}
