//! Bookings as callers see them.

use std::collections::BTreeMap;

use domain::ids::{
    AccountId, AppointmentId, AttendeeId, ContactId, MessageId, ReminderId, SeriesId,
};
use domain::instant::Instant;
use domain::quiet_hours;
use serde::Serialize;
use store::appointments::{self, AppointmentState, Coach};
use store::reminders::{self, OF_COACH, Reminder};
use store::{Tx, series};

use super::booking::{Booking, People, contact_of, name_of, people_of};
use super::wanted::Warning;
use crate::flow::Result;

/// Occurrences of a series that are told with one of them.
const NEXT_MAX: i64 = 10;

/// An appointment.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct AppointmentOut {
    /// Its id, `ap_…`.
    #[schema(value_type = String)]
    pub id: AppointmentId,
    /// What the caller's own system calls it.
    pub external_id: Option<String>,
    /// `scheduled`, `confirmed`, `declined`, `cancelled`, `completed` or `no_show`.
    pub state: &'static str,
    /// What it is.
    pub title: String,
    /// When it begins.
    #[schema(value_type = String)]
    pub starts_at: Instant,
    /// The same on the clock of its zone.
    pub starts_local: String,
    /// When it ends, if known.
    #[schema(value_type = Option<String>)]
    pub ends_at: Option<Instant>,
    /// IANA zone.
    pub timezone: String,
    /// How long it takes.
    pub duration_minutes: Option<i64>,
    /// Where.
    pub location: Option<String>,
    /// Who holds it: a name, or an object with `phone` or `timezone`.
    #[schema(value_type = Option<Object>)]
    pub coach: Option<CoachOut>,
    /// Who comes.
    pub attendees: Vec<AttendeeOut>,
    /// What reminds of it.
    pub reminders: Vec<ReminderOut>,
    /// The series it belongs to.
    pub series: Option<SeriesBrief>,
    /// Grows by one with each change.
    pub version: i64,
    /// When it was booked.
    #[schema(value_type = String)]
    pub created_at: Instant,
    /// What is worth a look; in answers to a change only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// A coach as told: the name alone, or with more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum CoachOut {
    /// Nothing but a name is known.
    Name(String),
    /// More is known.
    Known(Coach),
}

impl From<Coach> for CoachOut {
    fn from(coach: Coach) -> Self {
        if coach.phone.is_none() && coach.timezone.is_none() {
            Self::Name(coach.name)
        } else {
            Self::Known(coach)
        }
    }
}

/// Somebody who comes.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct AttendeeOut {
    /// Their id in this booking, `att_…`.
    #[schema(value_type = String)]
    pub id: AttendeeId,
    /// The contact, when there is one.
    #[schema(value_type = Option<String>)]
    pub contact_id: Option<ContactId>,
    /// Where they are texted.
    pub phone: Option<String>,
    /// Empty when unknown.
    pub name: String,
    /// IANA zone, when known.
    pub timezone: Option<String>,
    /// Where they stand, in the words of the appointment's states.
    pub state: &'static str,
    /// Why they are never texted.
    pub problem: Option<String>,
}

/// A reminder.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ReminderOut {
    /// Its id, `rem_…`.
    #[schema(value_type = String)]
    pub id: ReminderId,
    /// Who is reminded; `null` for the coach.
    #[schema(value_type = Option<String>)]
    pub attendee_id: Option<AttendeeId>,
    /// `client` or `coach`.
    pub party: &'static str,
    /// Its context.
    pub context: String,
    /// How long before the start.
    pub offset_minutes: i64,
    /// It was sent by hand.
    pub manual: bool,
    /// When it is sent.
    #[schema(value_type = String)]
    pub due_at: Instant,
    /// `planned`, `sent`, `delivered`, `skipped`, `cancelled` or `failed`.
    pub state: &'static str,
    /// Why it is so.
    pub reason: Option<String>,
    /// Its text.
    #[schema(value_type = Option<String>)]
    pub message_id: Option<MessageId>,
}

/// The series of an occurrence.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct SeriesBrief {
    /// Its id, `ser_…`.
    #[schema(value_type = String)]
    pub id: SeriesId,
    /// What the caller's own system calls it.
    pub external_id: Option<String>,
    /// Its rule; absent for a list of dates.
    pub rule: Option<String>,
    /// Which occurrence this is: its planned time on the clock of the series.
    pub occurrence: Option<String>,
    /// It was moved by hand.
    pub moved: bool,
    /// The next occurrences.
    pub next: Vec<Occurrence>,
}

/// An occurrence of a series.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Occurrence {
    /// Its id.
    #[schema(value_type = String)]
    pub id: AppointmentId,
    /// When it begins.
    #[schema(value_type = String)]
    pub starts_at: Instant,
    /// Where it stands.
    pub state: &'static str,
    /// It was moved by hand.
    pub moved: bool,
}

/// Shows bookings, in the order given.
pub async fn shown(
    tx: &mut Tx,
    account: AccountId,
    bookings: Vec<Booking>,
) -> Result<Vec<AppointmentOut>> {
    let people = people_of(tx, account, &bookings).await?;
    let ids: Vec<AppointmentId> = bookings.iter().map(|one| one.appointment.id).collect();
    let mut by_id: BTreeMap<AppointmentId, Vec<Reminder>> = BTreeMap::new();
    for one in reminders::reminders_of(tx, account, &ids).await? {
        by_id.entry(one.appointment).or_default().push(one);
    }
    let mut briefs: BTreeMap<SeriesId, SeriesBrief> = BTreeMap::new();
    for booking in &bookings {
        if let Some(id) = booking.appointment.series
            && !briefs.contains_key(&id)
            && let Some(brief) = brief(tx, account, id).await?
        {
            briefs.insert(id, brief);
        }
    }
    let show = |booking: Booking| {
        let reminders = by_id.remove(&booking.appointment.id).unwrap_or_default();
        let series = booking.appointment.series.and_then(|id| briefs.get(&id));
        out(booking, reminders, series, &people)
    };
    Ok(bookings.into_iter().map(show).collect())
}

async fn brief(tx: &mut Tx, account: AccountId, id: SeriesId) -> Result<Option<SeriesBrief>> {
    let Some(series) = series::find_series(tx, account, id).await? else { return Ok(None) };
    Ok(Some(SeriesBrief {
        id,
        external_id: series.external_id,
        rule: series.rule,
        occurrence: None,
        moved: false,
        next: next_occurrences(tx, account, id).await?,
    }))
}

/// The occurrences of a series that are still to come.
pub async fn next_occurrences(
    tx: &mut Tx,
    account: AccountId,
    id: SeriesId,
) -> Result<Vec<Occurrence>> {
    let now = tx.now();
    let next = appointments::occurrences(tx, account, id, now, NEXT_MAX).await?;
    Ok(next
        .into_iter()
        .map(|one| Occurrence {
            id: one.id,
            starts_at: one.starts_at,
            state: one.state.as_str(),
            moved: one.moved,
        })
        .collect())
}

fn out(
    booking: Booking,
    reminders: Vec<Reminder>,
    series: Option<&SeriesBrief>,
    people: &People,
) -> AppointmentOut {
    let zone = quiet_hours::zone(&booking.appointment.timezone);
    let zone = zone.unwrap_or(jiff::tz::TimeZone::UTC);
    let ends_at = booking.appointment.duration_minutes.map(|_| booking.ends_at());
    let cancelled = booking.appointment.state == AppointmentState::Cancelled;
    let attendees = booking
        .attendees
        .iter()
        .map(|one| {
            let contact = contact_of(people, one);
            let own = contact.and_then(|contact| contact.timezone.clone());
            let state = if cancelled { AppointmentState::Cancelled } else { one.state };
            AttendeeOut {
                id: one.id,
                contact_id: one.contact,
                phone: contact.map(|one| one.phone.clone()).or_else(|| one.phone.clone()),
                name: name_of(people, one).to_owned(),
                timezone: own.or_else(|| one.timezone.clone()),
                state: state.as_str(),
                problem: one.problem.clone(),
            }
        })
        .collect();
    let one = booking.appointment;
    AppointmentOut {
        id: one.id,
        external_id: one.external_id,
        state: one.state.as_str(),
        title: one.title,
        starts_at: one.starts_at,
        starts_local: domain::local_time::shown(one.starts_at, &zone).to_string(),
        ends_at,
        timezone: one.timezone,
        duration_minutes: one.duration_minutes,
        location: one.location,
        coach: one.coach.map(CoachOut::from),
        attendees,
        reminders: reminders.into_iter().map(reminder_out).collect(),
        series: series.map(|series| SeriesBrief {
            occurrence: one.occurrence,
            moved: one.moved,
            ..series.clone()
        }),
        version: one.version,
        created_at: one.created_at,
        warnings: Vec::new(),
    }
}

/// A reminder as callers see it.
pub fn reminder_out(one: Reminder) -> ReminderOut {
    let manual = one.offset_minutes < 0;
    let before = one.starts_at.since(one.due_at).as_secs() / 60;
    ReminderOut {
        id: one.id,
        attendee_id: Some(one.attendee).filter(|id| *id != OF_COACH),
        party: one.party.as_str(),
        context: one.context,
        offset_minutes: if manual {
            i64::try_from(before).unwrap_or(i64::MAX)
        } else {
            one.offset_minutes
        },
        manual,
        due_at: one.due_at,
        state: one.state.as_str(),
        reason: one.reason,
        message_id: one.message,
    }
}
