//! Bookings and the people in them.
//!
//! Whoever writes here holds the lock of [`crate::settings::lock_settings`].

use domain::ids::{AccountId, AppointmentId, AttendeeId, ContactId, MessageId, SeriesId, StreamId};
use domain::instant::Instant;
use serde::{Deserialize, Serialize};

use crate::db::{Result, Rows, Tx, expect_rows};
use crate::{contact_id, damaged, uuid};

/// Where a booking stands, and where a person in it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AppointmentState {
    /// Booked; nobody answered yet.
    Scheduled,
    /// They said that they come.
    Confirmed,
    /// They said that they do not come.
    Declined,
    /// Called off.
    Cancelled,
    /// It took place.
    Completed,
    /// They did not come.
    NoShow,
}

impl AppointmentState {
    /// Every state.
    pub const ALL: &[Self] = &[
        Self::Scheduled,
        Self::Confirmed,
        Self::Declined,
        Self::Cancelled,
        Self::Completed,
        Self::NoShow,
    ];

    /// The word used in SQL, JSON and on pages; also the event that turning to it is.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Confirmed => "confirmed",
            Self::Declined => "declined",
            Self::Cancelled => "cancelled",
            Self::Completed => "completed",
            Self::NoShow => "no_show",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == word)
    }

    /// It is still to be held.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Scheduled | Self::Confirmed)
    }
}

/// Who holds a booking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coach {
    /// Name.
    pub name: String,
    /// E.164, when texts go there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// IANA zone, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

/// A booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appointment {
    /// Its id.
    pub id: AppointmentId,
    /// What the caller's own system calls it.
    pub external_id: Option<String>,
    /// The series it belongs to.
    pub series: Option<SeriesId>,
    /// Which occurrence of the series: its planned wall time, `YYYY-MM-DDTHH:MM`.
    pub occurrence: Option<String>,
    /// What it is.
    pub title: String,
    /// When it begins.
    pub starts_at: Instant,
    /// The zone it was booked in.
    pub timezone: String,
    /// How long it takes.
    pub duration_minutes: Option<i64>,
    /// Where.
    pub location: Option<String>,
    /// Who holds it.
    pub coach: Option<Coach>,
    /// Where it stands.
    pub state: AppointmentState,
    /// It was moved by hand; its series leaves it where it is.
    pub moved: bool,
    /// Grows by one with each change.
    pub version: i64,
    /// When it was booked.
    pub created_at: Instant,
}

/// A person in a booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attendee {
    /// Their id in this booking.
    pub id: AttendeeId,
    /// The booking.
    pub appointment: AppointmentId,
    /// Who that is, when known.
    pub contact: Option<ContactId>,
    /// E.164; a number that cannot be texted stands as it was written.
    pub phone: Option<String>,
    /// Empty when unknown.
    pub name: String,
    /// IANA zone, when told with the booking.
    pub timezone: Option<String>,
    /// Where they stand.
    pub state: AppointmentState,
    /// Why they are never texted.
    pub problem: Option<String>,
}

type AppointmentRow = (
    Vec<u8>,
    Option<String>,
    Option<Vec<u8>>,
    Option<String>,
    String,
    i64,
    String,
    Option<i64>,
    Option<String>,
    Option<String>,
    String,
    i64,
    i64,
    i64,
);

#[rustfmt::skip]
fn appointment_of(row: AppointmentRow) -> Result<Appointment> {
    let (
        id, external_id, series, occurrence, title, starts_at, timezone, duration_minutes,
        location, coach, state, moved, version, created_at,
    ) = row;
    let coach = coach.as_deref().map(serde_json::from_str).transpose();
    Ok(Appointment {
        id: AppointmentId(uuid(id)?),
        external_id,
        series: series.map(uuid).transpose()?.map(SeriesId),
        occurrence,
        title,
        starts_at: Instant(starts_at),
        timezone,
        duration_minutes,
        location,
        coach: coach.map_err(|_| damaged("the coach of a booking"))?,
        state: AppointmentState::parse(&state).ok_or_else(|| damaged("the state of a booking"))?,
        moved: moved == 1,
        version,
        created_at: Instant(created_at),
    })
}

/// The columns of an [`AppointmentRow`].
macro_rules! appointment_columns {
    () => {
        "select p.appointment_id, p.external_id, p.series_id, p.occurrence, p.title, p.starts_at,
           p.timezone, p.duration_minutes, p.location, p.coach, p.state, p.moved, p.version,
           p.created_at "
    };
}

fn appointments_of(rows: Vec<AppointmentRow>) -> Result<Vec<Appointment>> {
    rows.into_iter().map(appointment_of).collect()
}

fn coach_text(one: &Appointment) -> Option<String> {
    one.coach.as_ref().map(|coach| serde_json::to_string(coach).expect("texts are valid JSON"))
}

/// Writes bookings as given, new ones and those that are there.
pub async fn save_appointments(
    tx: &mut Tx,
    account: AccountId,
    appointments: &[Appointment],
) -> Result<()> {
    let now = tx.now().0;
    let rows = Rows::of(appointments.len())
        .bytes("appointment_id", appointments.iter().map(|one| one.id.0.to_vec()))
        .text("external_id", appointments.iter().map(|one| one.external_id.clone()))
        .bytes("series_id", appointments.iter().map(|one| one.series.map(|id| id.0.to_vec())))
        .text("occurrence", appointments.iter().map(|one| one.occurrence.clone()))
        .text("title", appointments.iter().map(|one| one.title.clone()))
        .int("starts_at", appointments.iter().map(|one| one.starts_at.0))
        .text("timezone", appointments.iter().map(|one| one.timezone.clone()))
        .int("duration_minutes", appointments.iter().map(|one| one.duration_minutes))
        .text("location", appointments.iter().map(|one| one.location.clone()))
        .text("coach", appointments.iter().map(coach_text))
        .text("state", appointments.iter().map(|one| one.state.as_str().to_owned()))
        .int("moved", appointments.iter().map(|one| i64::from(one.moved)))
        .int("version", appointments.iter().map(|one| one.version))
        .int("created_at", appointments.iter().map(|one| one.created_at.0));
    let changed = tx
        .many(
            "insert into appointment (account_id, appointment_id, external_id, series_id,
               occurrence, title, starts_at, timezone, duration_minutes, location, coach, state,
               moved, version, created_at, updated_at)
             select $1, r.appointment_id, r.external_id, r.series_id, r.occurrence, r.title,
               r.starts_at, r.timezone, r.duration_minutes, r.location, r.coach, r.state, r.moved,
               r.version, r.created_at, $2
             from {rows} where true
             on conflict (account_id, appointment_id) do update set
               external_id = excluded.external_id, title = excluded.title,
               starts_at = excluded.starts_at, timezone = excluded.timezone,
               duration_minutes = excluded.duration_minutes, location = excluded.location,
               coach = excluded.coach, state = excluded.state, moved = excluded.moved,
               version = excluded.version, updated_at = excluded.updated_at",
            (account.0, now),
            rows,
        )
        .await?;
    expect_rows("save bookings", appointments.len(), changed)
}

/// One booking.
pub async fn find_appointment(
    tx: &mut Tx,
    account: AccountId,
    id: AppointmentId,
) -> Result<Option<Appointment>> {
    Ok(appointments_by_id(tx, account, &[id]).await?.pop())
}

/// The bookings with these ids, in the order of their starts.
pub async fn appointments_by_id(
    tx: &mut Tx,
    account: AccountId,
    ids: &[AppointmentId],
) -> Result<Vec<Appointment>> {
    let rows = Rows::of(ids.len()).bytes("appointment_id", ids.iter().map(|id| id.0.to_vec()));
    let text = concat!(
        appointment_columns!(),
        "from {rows}
         {join appointment as p on p.account_id = $1 and p.appointment_id = r.appointment_id}
         order by p.starts_at, p.appointment_id"
    );
    appointments_of(tx.all_of(text, (account.0,), rows).await?)
}

/// The bookings that the caller's own system calls so.
pub async fn appointments_by_external_id(
    tx: &mut Tx,
    account: AccountId,
    names: &[String],
) -> Result<Vec<Appointment>> {
    let rows = Rows::of(names.len()).text("external_id", names.iter().cloned());
    let text = concat!(
        appointment_columns!(),
        "from {rows}
         {join appointment as p on p.account_id = $1 and p.external_id = r.external_id}
         order by p.appointment_id"
    );
    appointments_of(tx.all_of(text, (account.0,), rows).await?)
}

/// Which bookings are listed; what is absent does not narrow the list.
#[derive(Clone, Debug)]
pub struct AppointmentFilter {
    /// Beginning then or later.
    pub from: Instant,
    /// Beginning before.
    pub to: Instant,
    /// Standing there.
    pub state: Option<AppointmentState>,
    /// With this person.
    pub contact: Option<ContactId>,
    /// Of this series.
    pub series: Option<SeriesId>,
}

impl Default for AppointmentFilter {
    fn default() -> Self {
        Self { from: Instant(i64::MIN), to: Instant::MAX, state: None, contact: None, series: None }
    }
}

/// Bookings in the order of their starts, from behind `after` on.
pub async fn list_appointments(
    tx: &mut Tx,
    account: AccountId,
    filter: &AppointmentFilter,
    after: Option<(Instant, AppointmentId)>,
    limit: i64,
) -> Result<Vec<Appointment>> {
    let (start, id) = match after {
        Some((at, id)) => (at.max(filter.from), id.0.to_vec()),
        None => (filter.from, Vec::new()),
    };
    let text = concat!(
        appointment_columns!(),
        "from appointment p
         where p.account_id = $1 and p.starts_at >= $2 and p.starts_at < $3
           and (p.starts_at > $2 or p.appointment_id > $4)
           and ($5 = '' or p.state = $5)
           and ($6 = 0 or exists (select 1 from attendee a where a.account_id = $1
             and a.contact_id = $7 and a.appointment_id = p.appointment_id))
           and ($8 = 0 or p.series_id = $9)
         order by p.starts_at, p.appointment_id limit $10"
    );
    let rows = tx
        .all(
            text,
            (
                account.0,
                start.0,
                filter.to.0,
                id,
                filter.state.map_or("", AppointmentState::as_str).to_owned(),
                i64::from(filter.contact.is_some()),
                filter.contact.map_or_else(Vec::new, |id| id.0.to_vec()),
                i64::from(filter.series.is_some()),
                filter.series.map_or_else(Vec::new, |id| id.0.to_vec()),
                limit,
            ),
        )
        .await?;
    appointments_of(rows)
}

/// The occurrences of a series from `from` on, in the order of their starts.
pub async fn occurrences(
    tx: &mut Tx,
    account: AccountId,
    series: SeriesId,
    from: Instant,
    limit: i64,
) -> Result<Vec<Appointment>> {
    let text = concat!(
        appointment_columns!(),
        "from appointment p
         where p.account_id = $1 and p.series_id = $2 and p.starts_at >= $3
         order by p.starts_at, p.appointment_id limit $4"
    );
    let rows = tx.all(text, (account.0, series.0.to_vec(), from.0, limit)).await?;
    appointments_of(rows)
}

/// The occurrences of a series with these keys.
pub async fn occurrences_by_key(
    tx: &mut Tx,
    account: AccountId,
    series: SeriesId,
    keys: &[String],
) -> Result<Vec<Appointment>> {
    let text = concat!(
        appointment_columns!(),
        "from {rows} {join appointment as p on p.account_id = $1 and p.series_id = $2
           and p.occurrence = r.occurrence}
         order by p.starts_at, p.appointment_id"
    );
    let rows = Rows::of(keys.len()).text("occurrence", keys.iter().cloned());
    appointments_of(tx.all_of(text, (account.0, series.0.to_vec()), rows).await?)
}

/// Those of these occurrences before which another one of their series is still to be held, at or
/// after the instant given with each.
pub async fn behind_others(
    tx: &mut Tx,
    account: AccountId,
    places: &[(AppointmentId, Instant)],
) -> Result<Vec<AppointmentId>> {
    let rows = Rows::of(places.len())
        .bytes("appointment_id", places.iter().map(|(id, _)| id.0.to_vec()))
        .int("since", places.iter().map(|(_, at)| at.0));
    let found: Vec<(Vec<u8>,)> = tx
        .all_of(
            "select p.appointment_id from {rows}
             {join appointment as p on p.account_id = $1 and p.appointment_id = r.appointment_id}
             where exists (select 1 from appointment o
               where o.account_id = $1 and o.series_id = p.series_id and o.starts_at > r.since
                 and o.starts_at < p.starts_at and o.state in ('scheduled', 'confirmed'))",
            (account.0,),
            rows,
        )
        .await?;
    found.into_iter().map(|(id,)| uuid(id).map(AppointmentId)).collect()
}

type AttendeeRow = (
    Vec<u8>,
    Vec<u8>,
    Option<Vec<u8>>,
    Option<String>,
    String,
    Option<String>,
    String,
    Option<String>,
);

fn attendee_of(row: AttendeeRow) -> Result<Attendee> {
    let (id, appointment, contact, phone, name, timezone, state, problem) = row;
    Ok(Attendee {
        id: AttendeeId(uuid(id)?),
        appointment: AppointmentId(uuid(appointment)?),
        contact: contact.map(contact_id).transpose()?,
        phone,
        name,
        timezone,
        state: AppointmentState::parse(&state).ok_or_else(|| damaged("the state of a person"))?,
        problem,
    })
}

/// Everybody in these bookings, in the order in which they were put there.
pub async fn attendees_of(
    tx: &mut Tx,
    account: AccountId,
    appointments: &[AppointmentId],
) -> Result<Vec<Attendee>> {
    let rows = Rows::of(appointments.len())
        .bytes("appointment_id", appointments.iter().map(|id| id.0.to_vec()));
    let found: Vec<AttendeeRow> = tx
        .all_of(
            "select a.attendee_id, a.appointment_id, a.contact_id, a.phone, a.name, a.timezone,
               a.state, a.problem
             from {rows} {each attendee as a on a.account_id = $1
               and a.appointment_id = r.appointment_id}
             order by a.appointment_id, a.attendee_id",
            (account.0,),
            rows,
        )
        .await?;
    found.into_iter().map(attendee_of).collect()
}

/// Writes people of bookings as given, new ones and those that are there.
pub async fn save_attendees(tx: &mut Tx, account: AccountId, attendees: &[Attendee]) -> Result<()> {
    let now = tx.now().0;
    let rows = Rows::of(attendees.len())
        .bytes("appointment_id", attendees.iter().map(|one| one.appointment.0.to_vec()))
        .bytes("attendee_id", attendees.iter().map(|one| one.id.0.to_vec()))
        .bytes("contact_id", attendees.iter().map(|one| one.contact.map(|id| id.0.to_vec())))
        .text("phone", attendees.iter().map(|one| one.phone.clone()))
        .text("name", attendees.iter().map(|one| one.name.clone()))
        .text("timezone", attendees.iter().map(|one| one.timezone.clone()))
        .text("state", attendees.iter().map(|one| one.state.as_str().to_owned()))
        .text("problem", attendees.iter().map(|one| one.problem.clone()));
    let changed = tx
        .many(
            "insert into attendee (account_id, appointment_id, attendee_id, contact_id, phone,
               name, timezone, state, problem, updated_at)
             select $1, r.appointment_id, r.attendee_id, r.contact_id, r.phone, r.name, r.timezone,
               r.state, r.problem, $2
             from {rows} where true
             on conflict (account_id, appointment_id, attendee_id) do update set
               contact_id = excluded.contact_id, phone = excluded.phone, name = excluded.name,
               timezone = excluded.timezone, state = excluded.state, problem = excluded.problem,
               updated_at = excluded.updated_at",
            (account.0, now),
            rows,
        )
        .await?;
    expect_rows("save people of bookings", attendees.len(), changed)
}

/// Notes which texts told of bookings.
pub async fn note_announcements(
    tx: &mut Tx,
    account: AccountId,
    texts: &[(AppointmentId, MessageId)],
) -> Result<()> {
    let now = tx.now().0;
    let rows = Rows::of(texts.len())
        .bytes("appointment_id", texts.iter().map(|(id, _)| id.0.to_vec()))
        .int("stream_id", texts.iter().map(|(_, text)| text.stream.0))
        .int("ord", texts.iter().map(|(_, text)| text.ord));
    let added = tx
        .many(
            "insert into announcement (account_id, appointment_id, stream_id, ord, at)
             select $1, r.appointment_id, r.stream_id, r.ord, $2 from {rows}",
            (account.0, now),
            rows,
        )
        .await?;
    expect_rows("note announcements", texts.len(), added)
}

/// Takes the notes of the texts that told of these bookings so far, and answers them.
pub async fn take_announcements(
    tx: &mut Tx,
    account: AccountId,
    appointments: &[AppointmentId],
) -> Result<Vec<MessageId>> {
    let rows = |appointments: &[AppointmentId]| {
        Rows::of(appointments.len())
            .bytes("appointment_id", appointments.iter().map(|id| id.0.to_vec()))
    };
    let found: Vec<(i64, i64)> = tx
        .all_of(
            "select n.stream_id, n.ord from {rows} {each announcement as n on n.account_id = $1
               and n.appointment_id = r.appointment_id}",
            (account.0,),
            rows(appointments),
        )
        .await?;
    let removed = tx
        .many(
            "delete from announcement where account_id = $1
               and appointment_id in (select r.appointment_id from {rows})",
            (account.0,),
            rows(appointments),
        )
        .await?;
    expect_rows("take announcements", found.len(), removed)?;
    let place = |(stream, ord)| MessageId { account, stream: StreamId(stream), ord };
    Ok(found.into_iter().map(place).collect())
}
