//! A booking turns from how it was to how it is: everything that follows from that, for a whole
//! batch in one go.
//!
//! What follows is looked at in one place, so that a booking made by the API, a file or a series
//! has the same reminders, requests, tasks and news.

use std::collections::BTreeMap;

use domain::ids::{AppointmentId, AttendeeId};
use domain::instant::Instant;
use store::Tx;
use store::appointments::{self, AppointmentFilter, AppointmentState, Attendee};
use store::requests::{self, RequestState};
use store::tasks::{self, TaskKind};

use super::booking::{Booking, Clerk, ends_at, people_of, with_people};
use super::events::{News, announce, withdraw_news};
use super::wanted::{Warning, warning};
use crate::flow::Result;
use crate::flow::reminders::plan::replan;

/// Bookings that one is compared with.
const COMPARED_MAX: i64 = 500;
/// Overlaps that are told one by one.
const TOLD_MAX: usize = 10;
/// No booking lasts longer.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(14 * 24 * 3600);

/// One booking's turn.
pub struct Turn {
    /// How it was; `None` for a new one.
    pub before: Option<Booking>,
    /// How it is.
    pub after: Booking,
    /// Who joined.
    pub added: Vec<AttendeeId>,
    /// Who was taken out.
    pub removed: Vec<AttendeeId>,
    /// People are told of it.
    pub told: bool,
    /// What they are told instead of what the turn looks like.
    pub event: Option<&'static str>,
}

impl Turn {
    /// A new booking.
    pub fn new(after: Booking, told: bool) -> Self {
        let added = after.attendees.iter().map(|one| one.id).collect();
        Self { before: None, after, added, removed: Vec::new(), told, event: None }
    }

    /// A change of one that is there.
    pub const fn of(before: Booking, after: Booking) -> Self {
        Self {
            before: Some(before),
            after,
            added: Vec::new(),
            removed: Vec::new(),
            told: true,
            event: None,
        }
    }

    fn id(&self) -> AppointmentId {
        self.after.appointment.id
    }

    fn is_moved(&self) -> bool {
        let start = self.after.appointment.starts_at;
        self.before.as_ref().is_some_and(|before| before.appointment.starts_at != start)
    }

    fn state_before(&self) -> Option<AppointmentState> {
        self.before.as_ref().map(|before| before.appointment.state)
    }

    /// What was asked and told before has no reason any more.
    fn overtakes(&self) -> bool {
        let live = self.after.appointment.state.is_live();
        self.before.is_some() && (self.is_moved() || !live)
    }

    fn is_unchanged(&self) -> bool {
        self.before.as_ref() == Some(&self.after)
    }

    /// The events this turn is, and whom each is about.
    fn events(&self) -> Vec<(&'static str, Vec<AttendeeId>)> {
        let state = self.after.appointment.state;
        let present: Vec<AttendeeId> = self.after.present().map(|one| one.id).collect();
        if let Some(event) = self.event {
            return vec![(event, present)];
        }
        let was_live =
            self.state_before().is_some_and(|before| before != AppointmentState::Cancelled);
        let mut events = Vec::new();
        if !state.is_live() {
            // A record of what is past is no news.
            if self.before.is_some() && self.state_before() != Some(state) {
                events.push((state.as_str(), present));
            }
            return events;
        }
        if !was_live {
            return vec![("scheduled", present)];
        }
        let staying = |id: &AttendeeId| !self.added.contains(id);
        if self.is_moved() {
            events.push(("rescheduled", present.into_iter().filter(staying).collect()));
        }
        events.push(("scheduled", self.added.clone()));
        events.push(("cancelled", self.removed.clone()));
        events.retain(|(_, about)| !about.is_empty());
        events
    }

    /// Those whose rows are otherwise than before.
    fn changed_people(&self) -> Vec<Attendee> {
        let before = self.before.as_ref();
        let same = |one: &&Attendee| {
            before.and_then(|before| before.attendee(one.id)).is_none_or(|known| known != *one)
        };
        self.after.attendees.iter().filter(same).cloned().collect()
    }
}

/// Carries turns out. `why` is what becomes of reminders and texts that lose their reason.
pub async fn carry_out(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    mut turns: Vec<Turn>,
    why: &str,
) -> Result<()> {
    turns.retain(|turn| !turn.is_unchanged());
    for turn in &mut turns {
        turn.after.appointment.version += i64::from(turn.before.is_some());
    }
    let account = clerk.account();
    let list: Vec<_> = turns.iter().map(|turn| turn.after.appointment.clone()).collect();
    appointments::save_appointments(tx, account, &list).await?;
    let people: Vec<Attendee> = turns.iter().flat_map(Turn::changed_people).collect();
    appointments::save_attendees(tx, account, &people).await?;
    let overtaken: Vec<AppointmentId> =
        turns.iter().filter(|turn| turn.overtakes()).map(Turn::id).collect();
    requests::resolve_requests(tx, account, &overtaken, why).await?;
    withdraw_news(tx, clerk, &overtaken, why).await?;
    for id in &overtaken {
        tasks::finish_tasks(tx, account, TaskKind::Reschedule, *id, why).await?;
    }
    resolve_removed(tx, clerk, &turns, why).await?;
    let bookings: Vec<Booking> = turns.iter().map(|turn| turn.after.clone()).collect();
    let people = people_of(tx, account, &bookings).await?;
    replan(tx, clerk, &bookings, &people, why).await?;
    let mut news: BTreeMap<&str, Vec<News<'_>>> = BTreeMap::new();
    for turn in turns.iter().filter(|turn| turn.told) {
        for (event, about) in turn.events() {
            news.entry(event).or_default().push(News { booking: &turn.after, about });
        }
    }
    for (event, news) in news {
        announce(tx, clerk, event, &news, &people).await?;
    }
    Ok(())
}

/// Nobody waits for the answers of people who were taken out.
async fn resolve_removed(tx: &mut Tx, clerk: &Clerk<'_>, turns: &[Turn], why: &str) -> Result<()> {
    let ids: Vec<AppointmentId> =
        turns.iter().filter(|turn| !turn.removed.is_empty()).map(Turn::id).collect();
    for request in requests::requests_of(tx, clerk.account(), &ids).await? {
        let removed = turns.iter().any(|turn| turn.removed.contains(&request.attendee));
        if removed && request.state == RequestState::Pending {
            let state = RequestState::Resolved;
            requests::end_request(tx, clerk.account(), request.id, state, why).await?;
        }
    }
    Ok(())
}

/// Other bookings of the same coach or people at the same time; each is worth a look.
pub async fn overlaps(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    booking: &Booking,
    warnings: &mut Vec<Warning>,
) -> Result<()> {
    let one = &booking.appointment;
    if !one.state.is_live() {
        return Ok(());
    }
    let (start, end) = (one.starts_at, ends_at(one));
    let filter =
        AppointmentFilter { from: start - LONGEST, to: end, ..AppointmentFilter::default() };
    let near =
        appointments::list_appointments(tx, clerk.account(), &filter, None, COMPARED_MAX).await?;
    let others: Vec<_> = near
        .into_iter()
        .filter(|other| other.id != one.id && other.state.is_live() && ends_at(other) > start)
        .collect();
    let coach = one.coach.as_ref().map(|coach| coach.name.to_lowercase());
    let mut told = 0;
    for other in with_people(tx, clerk.account(), others).await? {
        let theirs = &other.appointment;
        let same_coach = coach.is_some()
            && theirs.coach.as_ref().map(|coach| coach.name.to_lowercase()) == coach;
        let same_person = booking.present().any(|person| {
            person.contact.is_some() && other.present().any(|two| two.contact == person.contact)
        });
        if told == TOLD_MAX {
            break;
        }
        if same_coach || same_person {
            told += 1;
            let who = if same_coach { "the coach" } else { "somebody who comes" };
            let words = format!(
                "{who} has another appointment at that time: {} {} at {}; both were kept",
                theirs.id, theirs.title, theirs.starts_at
            );
            warnings.push(warning("overlap", "starts_at", words));
        }
    }
    Ok(())
}

/// Everybody present stands there, too.
pub fn put_people(booking: &mut Booking, state: AppointmentState) {
    for one in &mut booking.attendees {
        if one.state != AppointmentState::Cancelled {
            one.state = state;
        }
    }
}

/// A new time: what people said about the old one is void.
pub fn put_start(booking: &mut Booking, starts_at: Instant) {
    if booking.appointment.starts_at != starts_at {
        booking.appointment.starts_at = starts_at;
        booking.appointment.state = AppointmentState::Scheduled;
        put_people(booking, AppointmentState::Scheduled);
    }
}
