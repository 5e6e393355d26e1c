//! A reminder sent by hand, now.

use domain::contexts::{self, Party};
use domain::ids::{AppointmentId, ReminderId};
use store::Tx;
use store::reminders::{self, OF_COACH, Reminder, ReminderState};

use super::fire::fire;
use super::plan::EVENT;
use crate::flow::appointments::booking::{
    Booking, Clerk, booking, nth_instant, people_of, phone_of,
};
use crate::flow::{Refusal, Result};

/// Reminds everybody who comes and has not declined, through the gate as always; the reminders.
pub async fn remind(tx: &mut Tx, clerk: &Clerk<'_>, id: AppointmentId) -> Result<Vec<Reminder>> {
    let one = booking(tx, clerk.account(), id).await?;
    let now = tx.now();
    if !one.appointment.state.is_live() {
        let state = one.appointment.state.as_str();
        return Err(Refusal::State(format!("nobody is reminded: it is {state}")));
    }
    if one.appointment.starts_at <= now {
        return Err(Refusal::State("nobody is reminded: it has begun".to_owned()));
    }
    let list = [one];
    let people = people_of(tx, clerk.account(), &list).await?;
    let there = reminders::reminders_of(tx, clerk.account(), &[id]).await?;
    let [one] = list;
    // Those sent by hand count down from -1, so that each has a key of its own.
    let nth = there.iter().map(|one| one.offset_minutes).min().unwrap_or(0).min(0) - 1;
    let mut due = Vec::new();
    for context in contexts::of_event(EVENT).filter(|context| clerk.choices.sends(context)) {
        let whom: Vec<_> = match context.party {
            Party::Coach => vec![OF_COACH],
            Party::Client => one
                .present()
                .filter(|person| person.state.is_live() && phone_of(&people, person).is_some())
                .map(|person| person.id)
                .collect(),
        };
        for attendee in whom {
            let id = ReminderId::new(nth_instant(now, due.len()), clerk.dice);
            due.push(new(&one, context, attendee, nth, id, now));
        }
    }
    if due.is_empty() {
        let words = "nobody is reminded: nobody with a phone comes, or reminders are switched off";
        return Err(Refusal::State(words.to_owned()));
    }
    fire(tx, clerk, due, true).await
}

fn new(
    booking: &Booking,
    context: &contexts::Context,
    attendee: domain::ids::AttendeeId,
    nth: i64,
    id: ReminderId,
    now: domain::instant::Instant,
) -> Reminder {
    Reminder {
        id,
        appointment: booking.appointment.id,
        attendee,
        party: context.party,
        context: context.key.clone(),
        offset_minutes: nth,
        starts_at: booking.appointment.starts_at,
        due_at: now,
        not_after: booking.appointment.starts_at,
        state: ReminderState::Planned,
        reason: None,
        message: None,
        watch_at: None,
        updated_at: now,
    }
}
