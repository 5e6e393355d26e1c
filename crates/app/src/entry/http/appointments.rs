//! Appointments: booked, moved, called off, answered, reminded of; and their series.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::ids::{AccountId, AppointmentId, AttendeeId, ContactId, SeriesId};
use domain::instant::Instant;
use domain::quiet_hours;
use jiff::Span;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use store::Tx;
use store::accounts::{self, Account};
use store::appointments::{AppointmentFilter, AppointmentState};

use super::auth::Holder;
use super::contacts::CsvFile;
use super::idempotency::{Answer, Asked, Bare, Raw};
use super::json;
use super::page::{List, Page, PageIn, PageOut};
use super::params::{Id, Query};
use super::problem::{Problem, Result};
use crate::entry::app::App;
use crate::flow::appointments::booking::{Booking, Clerk, booking};
use crate::flow::appointments::change::{self, Done};
use crate::flow::appointments::import::{self, AppointmentsImported};
use crate::flow::appointments::series::{self, SeriesOut, SeriesPatch};
use crate::flow::appointments::shown::{AppointmentOut, ReminderOut, reminder_out, shown};
use crate::flow::appointments::wanted::{AppointmentIn, AppointmentPatch, Warning};
use crate::flow::figures::moment;
use crate::flow::messages::Asking;
use crate::flow::reminders::byhand;

fn asking(app: &App, account: AccountId) -> Asking<'_> {
    Asking {
        account,
        installation_sender: app.installation_sender(),
        magic_allowed: app.is_sandboxed(),
    }
}

async fn clerk<'a>(tx: &mut Tx, app: &'a App, account: AccountId) -> Result<Clerk<'a>> {
    Ok(Clerk::open(tx, asking(app, account), &*app.dice).await?)
}

async fn one(
    tx: &mut Tx,
    account: AccountId,
    id: AppointmentId,
    warnings: Vec<Warning>,
) -> Result<AppointmentOut> {
    let booking = booking(tx, account, id).await?;
    let mut list = shown(tx, account, vec![booking]).await?;
    let out = list.pop().ok_or_else(|| Problem::internal("an appointment is gone"))?;
    Ok(AppointmentOut { warnings, ..out })
}

async fn answered(tx: &mut Tx, account: AccountId, done: Done) -> Result<AppointmentOut> {
    one(tx, account, done.id, done.warnings).await
}

/// Books an appointment, for one person or up to a thousand.
///
/// The same `external_id` again changes that appointment; another `starts_at` moves it. Attendees
/// given by phone become contacts. What is odd but usable is kept and told in `warnings`. Whether
/// texts can be sent never matters here: each text tells its own fate.
#[utoipa::path(
    post, path = "/v1/appointments", tag = "appointments", security(("account" = [])),
    request_body(content = AppointmentIn, example = json!({
        "external_id": "booking-17", "title": "First session",
        "starts_at": "2030-05-14T09:30", "timezone": "America/Chicago", "duration_minutes": 50,
        "location": "12 Elm St", "coach": "Sam",
        "attendees": [{"phone": "+13125550147", "name": "Ada Park"}]
    })),
    responses(
        (status = 201, description = "A new appointment", body = AppointmentOut),
        (status = 200, description = "A known one, changed", body = AppointmentOut),
    ),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    holder: Holder,
    asked: Asked<AppointmentIn>,
) -> Result<Answer> {
    holder.check_may_send(&app)?;
    let (here, wanted, account) = (&*app, &asked.wanted, holder.account);
    let answer = asked.once.run(here, account, |mut tx| async move {
        let clerk = clerk(&mut tx, here, account).await?;
        let done = change::book(&mut tx, &clerk, wanted).await?;
        let status = if done.created { StatusCode::CREATED } else { StatusCode::OK };
        let out = answered(&mut tx, account, done).await?;
        Ok((tx, status, out))
    });
    let answer = answer.await?;
    app.call.notify_one();
    Ok(answer)
}

/// Lists appointments in the order of their starts.
#[utoipa::path(
    get, path = "/v1/appointments", tag = "appointments", security(("account" = [])),
    params(
        PageIn,
        ("from" = Option<String>, Query, description = "Beginning then or later: a time, or a \
            day in the account's zone"),
        ("to" = Option<String>, Query, description = "Beginning before; of a day, before its end"),
        ("state" = Option<String>, Query, description = "Standing there"),
        ("contact_id" = Option<String>, Query, description = "With this person"),
        ("series_id" = Option<String>, Query, description = "Of this series"),
    ),
    responses((status = 200, body = PageOut<AppointmentOut>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    holder: Holder,
    query: Query,
) -> Result<Json<PageOut<AppointmentOut>>> {
    query.only(&["from", "to", "state", "contact_id", "series_id", "limit", "cursor"])?;
    let page = Page::of(&query)?;
    let after = page.after::<24>(List::Appointments)?.map(place_of);
    let mut tx = app.db.read().await?;
    let owner = accounts::account(&mut tx, holder.account).await?;
    let filter = filter_of(&query, &zone_of(&owner))?;
    let rows = change::list(&mut tx, holder.account, &filter, after, page.rows()).await?;
    let page = page.out(List::Appointments, rows, key_of, |booking| booking);
    let data = shown(&mut tx, holder.account, page.data).await?;
    Ok(Json(PageOut { data, next_cursor: page.next_cursor }))
}

/// A row's key: when it begins, and its id.
fn key_of(row: &Booking) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&row.appointment.starts_at.0.to_be_bytes());
    key[8..].copy_from_slice(&row.appointment.id.0);
    key
}

fn place_of(key: [u8; 24]) -> (Instant, AppointmentId) {
    let start = i64::from_be_bytes(key[..8].try_into().expect("eight of twenty-four bytes"));
    let id = key[8..].try_into().expect("sixteen of twenty-four bytes");
    (Instant(start), AppointmentId(id))
}

fn zone_of(owner: &Account) -> TimeZone {
    quiet_hours::zone(&owner.timezone).unwrap_or(TimeZone::UTC)
}

fn filter_of(query: &Query, zone: &TimeZone) -> Result<AppointmentFilter> {
    let time = |name: &str, later: Span| {
        query.find(name).map(|text| moment(name, text, zone, later)).transpose()
    };
    let state = match query.find("state") {
        None => None,
        Some(word) => Some(AppointmentState::parse(word).ok_or_else(|| {
            let words: Vec<&str> = AppointmentState::ALL.iter().map(|one| one.as_str()).collect();
            Problem::invalid("state", format!("write one of {}", words.join(", ")))
        })?),
    };
    let contact = query.find("contact_id").map(ContactId::parse).transpose();
    let series = query.find("series_id").map(SeriesId::parse).transpose();
    let every = AppointmentFilter::default();
    Ok(AppointmentFilter {
        from: time("from", Span::new())?.unwrap_or(every.from),
        to: time("to", Span::new().days(1))?.unwrap_or(every.to),
        state,
        contact: contact.map_err(|error| Problem::invalid("contact_id", error.to_string()))?,
        series: series.map_err(|error| Problem::invalid("series_id", error.to_string()))?,
    })
}

/// Shows an appointment.
#[utoipa::path(
    get, path = "/v1/appointments/{id}", tag = "appointments", security(("account" = [])),
    params(("id" = String, Path, description = "The appointment, `ap_…`")),
    responses((status = 200, body = AppointmentOut)),
)]
pub async fn show(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<AppointmentId>,
) -> Result<Json<AppointmentOut>> {
    let mut tx = app.db.read().await?;
    Ok(Json(one(&mut tx, holder.account, id, Vec::new()).await?))
}

/// Changes an appointment. Another `starts_at` moves it; `state` marks what became of it.
#[utoipa::path(
    patch, path = "/v1/appointments/{id}", tag = "appointments", security(("account" = [])),
    params(("id" = String, Path, description = "The appointment, `ap_…`")),
    request_body(content = AppointmentPatch, example = json!({"state": "no_show"})),
    responses((status = 200, body = AppointmentOut)),
)]
pub async fn patch(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<AppointmentId>,
    asked: Asked<AppointmentPatch>,
) -> Result<Answer> {
    holder.check_may_send(&app)?;
    let (here, wanted, account) = (&*app, &asked.wanted, holder.account);
    let answer = asked.once.run(here, account, |mut tx| async move {
        let clerk = clerk(&mut tx, here, account).await?;
        let done = change::patch(&mut tx, &clerk, id, wanted).await?;
        let out = answered(&mut tx, account, done).await?;
        Ok((tx, StatusCode::OK, out))
    });
    let answer = answer.await?;
    app.call.notify_one();
    Ok(answer)
}

/// Cancels an appointment. It is kept, and can be shown and listed.
#[utoipa::path(
    delete, path = "/v1/appointments/{id}", tag = "appointments", security(("account" = [])),
    params(("id" = String, Path, description = "The appointment, `ap_…`")),
    responses((status = 200, body = AppointmentOut)),
)]
pub async fn remove(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<AppointmentId>,
    bare: Bare,
) -> Result<Answer> {
    call_off(&app, &holder, id, bare).await
}

/// Cancels an appointment: everybody is told, nobody is reminded any more.
#[utoipa::path(
    post, path = "/v1/appointments/{id}/cancel", tag = "appointments",
    security(("account" = [])),
    params(("id" = String, Path, description = "The appointment, `ap_…`")),
    responses((status = 200, body = AppointmentOut)),
)]
pub async fn cancel(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<AppointmentId>,
    bare: Bare,
) -> Result<Answer> {
    call_off(&app, &holder, id, bare).await
}

async fn call_off(app: &App, holder: &Holder, id: AppointmentId, bare: Bare) -> Result<Answer> {
    holder.check_may_send(app)?;
    let account = holder.account;
    let answer = bare.0.run(app, account, |mut tx| async move {
        let clerk = clerk(&mut tx, app, account).await?;
        change::cancel(&mut tx, &clerk, id).await?;
        let out = one(&mut tx, account, id, Vec::new()).await?;
        Ok((tx, StatusCode::OK, out))
    });
    let answer = answer.await?;
    app.call.notify_one();
    Ok(answer)
}

/// Another time.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RescheduleIn {
    /// RFC 3339, or without an offset on the clock of `timezone`.
    pub starts_at: String,
    /// IANA zone; absent for the appointment's.
    pub timezone: Option<String>,
}

/// Moves an appointment: everybody is told, reminded and asked anew.
#[utoipa::path(
    post, path = "/v1/appointments/{id}/reschedule", tag = "appointments",
    security(("account" = [])),
    params(("id" = String, Path, description = "The appointment, `ap_…`")),
    request_body(content = RescheduleIn, example = json!({"starts_at": "2030-05-15T10:00"})),
    responses((status = 200, body = AppointmentOut)),
)]
pub async fn reschedule(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<AppointmentId>,
    asked: Asked<RescheduleIn>,
) -> Result<Answer> {
    holder.check_may_send(&app)?;
    let (here, wanted, account) = (&*app, &asked.wanted, holder.account);
    let answer = asked.once.run(here, account, |mut tx| async move {
        let clerk = clerk(&mut tx, here, account).await?;
        let zone = wanted.timezone.as_deref();
        let done = change::reschedule(&mut tx, &clerk, id, &wanted.starts_at, zone).await?;
        let out = answered(&mut tx, account, done).await?;
        Ok((tx, StatusCode::OK, out))
    });
    let answer = answer.await?;
    app.call.notify_one();
    Ok(answer)
}

/// Who confirms; everybody who comes when left out.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmIn {
    /// One person of the appointment, `att_…`.
    pub attendee_id: Option<String>,
    /// The same, by contact.
    pub contact_id: Option<String>,
}

/// Confirms an appointment for everybody, or for one person.
#[utoipa::path(
    post, path = "/v1/appointments/{id}/confirm", tag = "appointments",
    security(("account" = [])),
    params(("id" = String, Path, description = "The appointment, `ap_…`")),
    request_body(content = Option<ConfirmIn>, example = json!({})),
    responses((status = 200, body = AppointmentOut)),
)]
pub async fn confirm(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<AppointmentId>,
    Raw { body, once }: Raw,
) -> Result<Answer> {
    holder.check_may_send(&app)?;
    let wanted = match body.trim_ascii() {
        [] => ConfirmIn::default(),
        body => json::read::<ConfirmIn>(body)?,
    };
    let (here, wanted, account, by) = (&*app, &wanted, holder.account, &holder.actor());
    let answer = once.run(here, account, |mut tx| async move {
        let clerk = clerk(&mut tx, here, account).await?;
        let who = whom(&mut tx, account, id, wanted).await?;
        change::confirm(&mut tx, &clerk, id, who, true, by).await?;
        let out = one(&mut tx, account, id, Vec::new()).await?;
        Ok((tx, StatusCode::OK, out))
    });
    let answer = answer.await?;
    app.call.notify_one();
    Ok(answer)
}

async fn whom(
    tx: &mut Tx,
    account: AccountId,
    id: AppointmentId,
    wanted: &ConfirmIn,
) -> Result<Option<AttendeeId>> {
    if let Some(text) = &wanted.attendee_id {
        let id = AttendeeId::parse(text);
        return Ok(Some(id.map_err(|error| Problem::invalid("attendee_id", error.to_string()))?));
    }
    let Some(text) = &wanted.contact_id else { return Ok(None) };
    let contact = ContactId::parse(text)
        .map_err(|error| Problem::invalid("contact_id", error.to_string()))?;
    let booking = booking(tx, account, id).await?;
    let found = booking.present().find(|one| one.contact == Some(contact));
    let found = found.ok_or_else(|| Problem::invalid("contact_id", "this person does not come"))?;
    Ok(Some(found.id))
}

/// What was sent.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Reminded {
    /// The reminders.
    pub reminders: Vec<ReminderOut>,
}

/// Reminds everybody who comes, now. The gate decides as always: at night the text waits.
#[utoipa::path(
    post, path = "/v1/appointments/{id}/remind", tag = "appointments",
    security(("account" = [])),
    params(("id" = String, Path, description = "The appointment, `ap_…`")),
    responses((status = 202, body = Reminded)),
)]
pub async fn remind(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<AppointmentId>,
    bare: Bare,
) -> Result<Answer> {
    holder.check_may_send(&app)?;
    let (here, account) = (&*app, holder.account);
    let answer = bare.0.run(here, account, |mut tx| async move {
        let clerk = clerk(&mut tx, here, account).await?;
        let sent = byhand::remind(&mut tx, &clerk, id).await?;
        let reminders = sent.into_iter().map(reminder_out).collect();
        Ok((tx, StatusCode::ACCEPTED, Reminded { reminders }))
    });
    let answer = answer.await?;
    app.call.notify_one();
    Ok(answer)
}

/// Imports appointments from a CSV file. Good rows are kept; every bad row is reported with its
/// line.
///
/// The first line names the columns: `title`, `starts_at` and, if there are any, `external_id`,
/// `timezone`, `duration_minutes`, `location`, `coach`, `phone`, `name`, `rrule`. Rows with the
/// same `external_id` are several people of one appointment.
#[utoipa::path(
    post, path = "/v1/appointments/import", tag = "appointments", security(("account" = [])),
    params(("dry_run" = Option<bool>, Query, description = "`true`: report only, keep nothing")),
    request_body(
        content = String, content_type = "text/csv",
        example = "external_id,title,starts_at,timezone,phone,name\n\
                   b-17,First session,2030-05-14T09:30,America/Chicago,+13125550147,Ada Park\n"
    ),
    responses((status = 200, body = AppointmentsImported)),
)]
pub async fn import_csv(
    State(app): State<Arc<App>>,
    holder: Holder,
    query: Query,
    CsvFile(Raw { body, once }): CsvFile,
) -> Result<Answer> {
    query.only(&["dry_run"])?;
    holder.check_may_send(&app)?;
    let dry_run = query.flag("dry_run")?;
    if let Some(answer) = once.before(&app, holder.account).await? {
        return Ok(answer);
    }
    let asking = asking(&app, holder.account);
    let done = import::import(&app.db, &*app.dice, asking, &body, dry_run).await?;
    app.call.notify_one();
    once.after(&app, holder.account, StatusCode::OK, &done).await
}

/// Shows a series with its next occurrences.
#[utoipa::path(
    get, path = "/v1/series/{id}", tag = "appointments", security(("account" = [])),
    params(("id" = String, Path, description = "The series, `ser_…`")),
    responses((status = 200, body = SeriesOut)),
)]
pub async fn show_series(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<SeriesId>,
) -> Result<Json<SeriesOut>> {
    let mut tx = app.db.read().await?;
    Ok(Json(series::show(&mut tx, holder.account, id).await?))
}

/// Changes a series. Its occurrences to come follow, those moved or cancelled by hand aside.
#[utoipa::path(
    patch, path = "/v1/series/{id}", tag = "appointments", security(("account" = [])),
    params(("id" = String, Path, description = "The series, `ser_…`")),
    request_body(content = SeriesPatch, example = json!({"location": "Room 2"})),
    responses((status = 200, body = SeriesOut)),
)]
pub async fn patch_series(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<SeriesId>,
    asked: Asked<SeriesPatch>,
) -> Result<Answer> {
    holder.check_may_send(&app)?;
    let (here, wanted, account) = (&*app, &asked.wanted, holder.account);
    let answer = asked.once.run(here, account, |mut tx| async move {
        let clerk = clerk(&mut tx, here, account).await?;
        let out = series::patch(&mut tx, &clerk, id, wanted).await?;
        Ok((tx, StatusCode::OK, out))
    });
    let answer = answer.await?;
    app.call.notify_one();
    Ok(answer)
}

/// Ends a series: its occurrences to come are cancelled.
#[utoipa::path(
    delete, path = "/v1/series/{id}", tag = "appointments", security(("account" = [])),
    params(("id" = String, Path, description = "The series, `ser_…`")),
    responses((status = 200, body = SeriesOut)),
)]
pub async fn end_series(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<SeriesId>,
    bare: Bare,
) -> Result<Answer> {
    holder.check_may_send(&app)?;
    let (here, account) = (&*app, holder.account);
    let answer = bare.0.run(here, account, |mut tx| async move {
        let clerk = clerk(&mut tx, here, account).await?;
        series::end(&mut tx, &clerk, id).await?;
        let out = series::show(&mut tx, account, id).await?;
        Ok((tx, StatusCode::OK, out))
    });
    let answer = answer.await?;
    app.call.notify_one();
    Ok(answer)
}
