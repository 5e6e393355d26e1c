//! Which reminders there must be for bookings as they stand, and making it so.
//!
//! Planning looks at what is and at what must be, so that it can be repeated at any time: what is
//! missing is added, what has no reason any more is cancelled, and its text is taken back if it has
//! not left. A reminder is one per booking, person, party, offset and start; one that was sent is
//! never planned again.

use std::collections::{BTreeMap, BTreeSet};

use domain::contexts::{self, Context, Party};
use domain::ids::{AppointmentId, AttendeeId, MessageId, ReminderId};
use domain::instant::Instant;
use domain::reminder_plan::{Plan, due};
use domain::windows::SendingHours;
use store::appointments::AppointmentState;
use store::reminders::{self, OF_COACH, Reminder, ReminderState};
use store::{Tx, withdrawals};

use super::hours::{Recipient, hours_for};
use crate::flow::Result;
use crate::flow::appointments::booking::{
    Booking, Clerk, People, contact_of, nth_instant, phone_of,
};

/// The event whose contexts are reminders.
pub const EVENT: &str = "reminder";

type Key = (AppointmentId, AttendeeId, Party, i64);

/// Brings the reminders of these bookings in line with how they stand; `why` is what became of
/// those that go.
pub async fn replan(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    bookings: &[Booking],
    people: &People,
    why: &str,
) -> Result<()> {
    let now = tx.now();
    let ids: Vec<AppointmentId> = bookings.iter().map(|one| one.appointment.id).collect();
    let there = reminders::reminders_of(tx, clerk.account(), &ids).await?;
    let mut wanted = wanted(clerk, bookings, people, now);
    let by_id: BTreeMap<AppointmentId, &Booking> =
        bookings.iter().map(|one| (one.appointment.id, one)).collect();
    let mut changed = Vec::new();
    let mut withdrawn: Vec<MessageId> = Vec::new();
    for mut one in there {
        let Some(booking) = by_id.get(&one.appointment) else { continue };
        let key = (one.appointment, one.attendee, one.party, one.offset_minutes);
        let same_start = one.starts_at == booking.appointment.starts_at;
        let planned = if same_start { wanted.remove(&key) } else { None };
        let text = one.message.filter(|_| one.state == ReminderState::Sent);
        let stands = has_reason(&one, booking);
        if turned(&mut one, planned, stands, why, now) {
            withdrawn.extend(text);
            changed.push(one);
        }
    }
    changed.extend(wanted.into_values().enumerate().map(|(nth, one)| Reminder {
        id: ReminderId::new(nth_instant(now, nth), clerk.dice),
        ..one
    }));
    reminders::save_reminders(tx, clerk.account(), &changed).await?;
    withdrawals::withdraw(tx, clerk.account(), &withdrawn, why).await?;
    Ok(())
}

/// What becomes of a reminder that is there; whether it changes.
fn turned(
    one: &mut Reminder,
    planned: Option<Reminder>,
    has_reason: bool,
    why: &str,
    now: Instant,
) -> bool {
    use ReminderState::{Cancelled, Planned, Sent, Skipped};
    let before = one.clone();
    match (one.state, planned) {
        // Its time came while nobody looked: that is for firing to judge, not for planning.
        (Planned, Some(planned)) if planned.state == Skipped && one.due_at <= now => {}
        // What was skipped stays so unless its time came back.
        (Planned | Skipped | Cancelled, Some(planned))
            if one.state == Planned || planned.state == Planned =>
        {
            *one = Reminder { id: one.id, ..planned };
        }
        (Planned, None) => {
            one.state = Cancelled;
            one.reason = Some(why.to_owned());
        }
        (Sent, _) if !has_reason && one.watch_at.is_some() => {
            // Its text may have left; whoever looks after it finds out.
            one.reason = Some(why.to_owned());
        }
        _ => {}
    }
    let changed = Reminder { updated_at: before.updated_at, ..one.clone() } != before;
    if changed && one.state != Sent {
        one.updated_at = now;
    }
    changed
}

/// Whether a text that was taken in should still reach its reader.
fn has_reason(one: &Reminder, booking: &Booking) -> bool {
    let context = contexts::find(&one.context);
    let asks = context.is_some_and(|context| context.asks);
    booking.appointment.starts_at == one.starts_at
        && booking.appointment.state.is_live()
        && (one.attendee == OF_COACH
            || booking.attendee(one.attendee).is_some_and(|person| may_get(asks, person.state)))
}

/// Whether a person who stands there is reminded: not after a no, and not asked after a yes.
pub fn may_get(asks: bool, state: AppointmentState) -> bool {
    match state {
        AppointmentState::Scheduled => true,
        AppointmentState::Confirmed => !asks,
        _ => false,
    }
}

/// Every reminder that bookings must have as of `now`, planned or skipped; ids are still to come.
fn wanted(
    clerk: &Clerk<'_>,
    bookings: &[Booking],
    people: &People,
    now: Instant,
) -> BTreeMap<Key, Reminder> {
    let sent: Vec<&'static Context> =
        contexts::of_event(EVENT).filter(|context| clerk.choices.sends(context)).collect();
    let offsets: BTreeSet<u32> = clerk.choices.reminder_offsets_minutes.iter().copied().collect();
    let mut all = BTreeMap::new();
    for booking in bookings {
        let one = &booking.appointment;
        if !one.state.is_live() || one.starts_at <= now {
            continue;
        }
        for &context in &sent {
            for (attendee, hours) in recipients(clerk, booking, context, people) {
                for &offset in &offsets {
                    let plan = due(one.starts_at, offset, now, &hours);
                    let new = planned(booking, context, attendee, offset, plan, now);
                    let key = (new.appointment, attendee, new.party, new.offset_minutes);
                    all.entry(key).or_insert(new);
                }
            }
        }
    }
    all
}

/// Who of a booking is reminded by texts of this context, and when they may be texted.
fn recipients(
    clerk: &Clerk<'_>,
    booking: &Booking,
    context: &Context,
    people: &People,
) -> Vec<(AttendeeId, SendingHours)> {
    let hours = |to| hours_for(&clerk.owner, &clerk.choices, context, to);
    match context.party {
        Party::Coach => {
            let coach = booking.appointment.coach.as_ref();
            let phone = coach.and_then(|coach| Some((coach, coach.phone.as_deref()?)));
            phone
                .map(|(coach, phone)| {
                    let timezone = coach.timezone.as_deref();
                    let to = Recipient { phone, timezone, quiet_hours: None };
                    (OF_COACH, hours(to))
                })
                .into_iter()
                .collect()
        }
        Party::Client => booking
            .present()
            .filter(|person| may_get(context.asks, person.state))
            .filter_map(|person| {
                let phone = phone_of(people, person)?;
                let contact = contact_of(people, person);
                let own = contact.and_then(|contact| contact.timezone.as_deref());
                let timezone = own.or(person.timezone.as_deref());
                let quiet_hours = contact.and_then(|contact| contact.quiet_hours);
                Some((person.id, hours(Recipient { phone, timezone, quiet_hours })))
            })
            .collect(),
    }
}

fn planned(
    booking: &Booking,
    context: &Context,
    attendee: AttendeeId,
    offset: u32,
    plan: Plan,
    now: Instant,
) -> Reminder {
    let one = &booking.appointment;
    let wanted_at = one.starts_at - std::time::Duration::from_secs(u64::from(offset) * 60);
    let (state, due_at, reason) = match plan {
        Plan::At(at) => (ReminderState::Planned, at, None),
        Plan::Moved { at, wanted, .. } => {
            let words = format!("moved out of quiet hours from {wanted}");
            (ReminderState::Planned, at, Some(words))
        }
        Plan::Skipped(reason) => {
            (ReminderState::Skipped, wanted_at, Some(reason.sentence().to_owned()))
        }
    };
    Reminder {
        id: ReminderId([0; 16]),
        appointment: one.id,
        attendee,
        party: context.party,
        context: context.key.clone(),
        offset_minutes: i64::from(offset),
        starts_at: one.starts_at,
        due_at,
        not_after: one.starts_at,
        state,
        reason,
        message: None,
        watch_at: None,
        updated_at: now,
    }
}
