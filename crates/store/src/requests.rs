//! Answers that are waited for: one request per attendee and start of an appointment.

use domain::ids::{AccountId, AppointmentId, AttendeeId, RequestId};
use domain::instant::Instant;

use crate::db::{Result, Rows, Tx, expect_rows};
use crate::{damaged, uuid};

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// Waits for an answer.
    Pending,
    /// Answered yes.
    Yes,
    /// Answered no.
    No,
    /// Nobody answered in time.
    Expired,
    /// Its reason is gone: moved, cancelled, or staff answered it.
    Resolved,
}

impl RequestState {
    /// Every state.
    pub const ALL: &[Self] = &[Self::Pending, Self::Yes, Self::No, Self::Expired, Self::Resolved];

    /// The word used in SQL, JSON and on pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Yes => "yes",
            Self::No => "no",
            Self::Expired => "expired",
            Self::Resolved => "resolved",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == word)
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its id.
    pub id: RequestId,
    /// About which booking.
    pub appointment: AppointmentId,
    /// Who was asked.
    pub attendee: AttendeeId,
    /// Where, E.164.
    pub phone: String,
    /// What tells it from other open requests of the phone: `Y123`.
    pub token: i64,
    /// The start of the booking when it was asked; a new start is a new request.
    pub starts_at: Instant,
    /// Where it stands.
    pub state: RequestState,
    /// When it was first asked.
    pub asked_at: Instant,
    /// Until when it waits.
    pub expires_at: Instant,
    /// When it was answered.
    pub answered_at: Option<Instant>,
    /// By what: `text`, or who of the staff.
    pub answered_by: Option<String>,
}

type RequestRow =
    (Vec<u8>, Vec<u8>, Vec<u8>, String, i64, i64, String, i64, i64, Option<i64>, Option<String>);

fn request_of(row: RequestRow) -> Result<Request> {
    let (id, appointment, attendee, phone, token, starts, state, asked, expires, at, by) = row;
    Ok(Request {
        id: RequestId(uuid(id)?),
        appointment: AppointmentId(uuid(appointment)?),
        attendee: AttendeeId(uuid(attendee)?),
        phone,
        token,
        starts_at: Instant(starts),
        state: RequestState::parse(&state).ok_or_else(|| damaged("the state of a request"))?,
        asked_at: Instant(asked),
        expires_at: Instant(expires),
        answered_at: at.map(Instant),
        answered_by: by,
    })
}

/// The columns of a [`RequestRow`].
macro_rules! request_columns {
    () => {
        "select q.request_id, q.appointment_id, q.attendee_id, q.phone, q.token, q.starts_at,
           q.state, q.asked_at, q.expires_at, q.answered_at, q.answered_by "
    };
}

/// Opens requests; each has a token no open request of its phone has.
pub async fn insert_requests(tx: &mut Tx, account: AccountId, requests: &[Request]) -> Result<()> {
    let rows = Rows::of(requests.len())
        .bytes("request_id", requests.iter().map(|one| one.id.0.to_vec()))
        .bytes("appointment_id", requests.iter().map(|one| one.appointment.0.to_vec()))
        .bytes("attendee_id", requests.iter().map(|one| one.attendee.0.to_vec()))
        .text("phone", requests.iter().map(|one| one.phone.clone()))
        .int("token", requests.iter().map(|one| one.token))
        .int("starts_at", requests.iter().map(|one| one.starts_at.0))
        .int("asked_at", requests.iter().map(|one| one.asked_at.0))
        .int("expires_at", requests.iter().map(|one| one.expires_at.0));
    let added = tx
        .many(
            "insert into request (account_id, request_id, appointment_id, attendee_id, phone,
               token, starts_at, state, asked_at, expires_at)
             select $1, r.request_id, r.appointment_id, r.attendee_id, r.phone, r.token,
               r.starts_at, 'pending', r.asked_at, r.expires_at
             from {rows}",
            (account.0,),
            rows,
        )
        .await?;
    expect_rows("open requests", requests.len(), added)
}

/// Opens requests again that were asked before, or lets open ones wait longer.
pub async fn ask_again(tx: &mut Tx, account: AccountId, requests: &[Request]) -> Result<()> {
    let rows = Rows::of(requests.len())
        .bytes("request_id", requests.iter().map(|one| one.id.0.to_vec()))
        .bytes("appointment_id", requests.iter().map(|one| one.appointment.0.to_vec()))
        .bytes("attendee_id", requests.iter().map(|one| one.attendee.0.to_vec()))
        .text("phone", requests.iter().map(|one| one.phone.clone()))
        .int("token", requests.iter().map(|one| one.token))
        .int("starts_at", requests.iter().map(|one| one.starts_at.0))
        .int("asked_at", requests.iter().map(|one| one.asked_at.0))
        .int("expires_at", requests.iter().map(|one| one.expires_at.0));
    // The upsert leaves the planner no freedom: an update from a batch can turn quadratic.
    let changed = tx
        .many(
            "insert into request (account_id, request_id, appointment_id, attendee_id, phone,
               token, starts_at, state, asked_at, expires_at)
             select $1, r.request_id, r.appointment_id, r.attendee_id, r.phone, r.token,
               r.starts_at, 'pending', r.asked_at, r.expires_at
             from {rows} where true
             on conflict (account_id, request_id) do update set phone = excluded.phone,
               token = excluded.token, state = 'pending', expires_at = excluded.expires_at,
               answered_at = null, answered_by = null",
            (account.0,),
            rows,
        )
        .await?;
    expect_rows("ask again", requests.len(), changed)
}

/// The open requests of these phones, oldest first.
pub async fn open_requests(
    tx: &mut Tx,
    account: AccountId,
    phones: &[String],
) -> Result<Vec<Request>> {
    let rows = Rows::of(phones.len())
        .text("phone", phones.iter().cloned())
        .int("since", phones.iter().map(|_| i64::MIN));
    // The range leads SQLite to the index: from equalities alone it takes the primary key and
    // reads all requests of the account.
    let text = concat!(
        request_columns!(),
        "from {rows} {each request as q on q.account_id = $1 and q.phone = r.phone
           and q.asked_at >= r.since and q.state = 'pending'}
         order by q.asked_at, q.request_id"
    );
    let found: Vec<RequestRow> = tx.all_of(text, (account.0,), rows).await?;
    found.into_iter().map(request_of).collect()
}

/// The latest requests of a phone, open or not, the newest first.
pub async fn latest_requests(
    tx: &mut Tx,
    account: AccountId,
    phone: &str,
    limit: i64,
) -> Result<Vec<Request>> {
    let text = concat!(
        request_columns!(),
        "from request q where q.account_id = $1 and q.phone = $2
         order by q.asked_at desc, q.request_id desc limit $3"
    );
    let found: Vec<RequestRow> = tx.all(text, (account.0, phone.to_owned(), limit)).await?;
    found.into_iter().map(request_of).collect()
}

/// All requests about these bookings.
pub async fn requests_of(
    tx: &mut Tx,
    account: AccountId,
    appointments: &[AppointmentId],
) -> Result<Vec<Request>> {
    let rows = Rows::of(appointments.len())
        .bytes("appointment_id", appointments.iter().map(|id| id.0.to_vec()))
        .bytes("least", appointments.iter().map(|_| Vec::new()));
    let text = concat!(
        request_columns!(),
        "from {rows}
         {each request as q on q.account_id = $1 and q.appointment_id = r.appointment_id
           and q.attendee_id >= r.least}
         order by q.asked_at, q.request_id"
    );
    let found: Vec<RequestRow> = tx.all_of(text, (account.0,), rows).await?;
    found.into_iter().map(request_of).collect()
}

/// Ends a request in `state`: a pending one, or an answered one that is answered otherwise.
pub async fn end_request(
    tx: &mut Tx,
    account: AccountId,
    id: RequestId,
    state: RequestState,
    by: &str,
) -> Result<()> {
    let now = tx.now().0;
    let changed = tx
        .execute(
            "update request set state = $3, answered_at = $4, answered_by = $5
             where account_id = $1 and request_id = $2",
            (account.0, id.0.to_vec(), state.as_str().to_owned(), now, by.to_owned()),
        )
        .await?;
    expect_rows("end a request", 1, changed)
}

/// Resolves the open requests about these bookings: nobody waits for their answers any more.
pub async fn resolve_requests(
    tx: &mut Tx,
    account: AccountId,
    appointments: &[AppointmentId],
    by: &str,
) -> Result<u64> {
    let now = tx.now().0;
    let rows = Rows::of(appointments.len())
        .bytes("appointment_id", appointments.iter().map(|id| id.0.to_vec()));
    tx.many(
        "update request set state = 'resolved', answered_at = $2, answered_by = $3
         where account_id = $1 and state = 'pending'
           and appointment_id in (select r.appointment_id from {rows})",
        (account.0, now, by.to_owned()),
        rows,
    )
    .await
}

/// Expires the open requests of an account whose time is over; the number expired.
pub async fn expire_requests(tx: &mut Tx, account: AccountId) -> Result<u64> {
    let now = tx.now().0;
    tx.execute(
        "update request set state = 'expired'
         where account_id = $1 and state = 'pending' and expires_at <= $2",
        (account.0, now),
    )
    .await
}

/// What a booking is called and when it is, for texts and lists that name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    /// Its id.
    pub id: AppointmentId,
    /// What it is called.
    pub title: String,
    /// When it starts.
    pub starts_at: Instant,
    /// On whose clock it was made.
    pub timezone: String,
}

/// What these bookings are called; each is named once.
pub async fn bookings(
    tx: &mut Tx,
    account: AccountId,
    appointments: &[AppointmentId],
) -> Result<Vec<Booking>> {
    let rows = Rows::of(appointments.len())
        .bytes("appointment_id", appointments.iter().map(|id| id.0.to_vec()));
    let found: Vec<(Vec<u8>, String, i64, String)> = tx
        .all_of(
            "select a.appointment_id, a.title, a.starts_at, a.timezone from {rows}
             {join appointment as a on a.account_id = $1 and a.appointment_id = r.appointment_id}",
            (account.0,),
            rows,
        )
        .await?;
    found
        .into_iter()
        .map(|(id, title, starts_at, timezone)| {
            let id = AppointmentId(uuid(id)?);
            Ok(Booking { id, title, starts_at: Instant(starts_at), timezone })
        })
        .collect()
}
