//! Recurring bookings: the rule, and how far its occurrences were written out.

use domain::ids::{AccountId, SeriesId};
use domain::instant::Instant;

use crate::appointments::Coach;
use crate::db::{Result, Tx, expect_rows};
use crate::{damaged, uuid};

/// A recurring booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Its id.
    pub id: SeriesId,
    /// What the caller's own system calls it.
    pub external_id: Option<String>,
    /// What each occurrence is.
    pub title: String,
    /// The wall time of the first one, `YYYY-MM-DDTHH:MM`.
    pub starts_local: String,
    /// The zone of that clock.
    pub timezone: String,
    /// How long each takes.
    pub duration_minutes: Option<i64>,
    /// Where.
    pub location: Option<String>,
    /// Who holds them.
    pub coach: Option<Coach>,
    /// The rule (RFC 5545); absent for a list of dates.
    pub rule: Option<String>,
    /// The wall times, when they were listed one by one.
    pub dates: Option<Vec<String>>,
    /// Who takes part, as JSON.
    pub attendees: String,
    /// Occurrences are written out to here.
    pub planned_until: Instant,
    /// It goes on.
    pub active: bool,
    /// When it was made.
    pub created_at: Instant,
}

type SeriesRow = (
    Vec<u8>,
    Option<String>,
    String,
    String,
    String,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    String,
    i64,
    String,
    i64,
);

#[rustfmt::skip]
fn series_of(row: SeriesRow) -> Result<Series> {
    let (
        id, external_id, title, starts_local, timezone, duration_minutes, location, coach, rule,
        dates, attendees, planned_until, state, created_at,
    ) = row;
    let coach = coach.as_deref().map(serde_json::from_str).transpose();
    let dates = dates.as_deref().map(serde_json::from_str).transpose();
    Ok(Series {
        id: SeriesId(uuid(id)?),
        external_id,
        title,
        starts_local,
        timezone,
        duration_minutes,
        location,
        coach: coach.map_err(|_| damaged("the coach of a series"))?,
        rule,
        dates: dates.map_err(|_| damaged("the dates of a series"))?,
        attendees,
        planned_until: Instant(planned_until),
        active: state == "active",
        created_at: Instant(created_at),
    })
}

/// Writes a series, a new one or one that is there.
pub async fn save_series(tx: &mut Tx, account: AccountId, one: &Series) -> Result<()> {
    let json = |value: serde_json::Result<String>| value.expect("texts are valid JSON");
    let now = tx.now().0;
    let changed = tx
        .execute(
            "insert into series (account_id, series_id, external_id, title, starts_local, timezone,
               duration_minutes, location, coach, rule, dates, attendees, planned_until, state,
               created_at, updated_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
             on conflict (account_id, series_id) do update set
               external_id = excluded.external_id, title = excluded.title,
               starts_local = excluded.starts_local, timezone = excluded.timezone,
               duration_minutes = excluded.duration_minutes, location = excluded.location,
               coach = excluded.coach, rule = excluded.rule, dates = excluded.dates,
               attendees = excluded.attendees, planned_until = excluded.planned_until,
               state = excluded.state, updated_at = excluded.updated_at",
            (
                account.0,
                one.id.0.to_vec(),
                one.external_id.clone(),
                one.title.clone(),
                one.starts_local.clone(),
                one.timezone.clone(),
                one.duration_minutes,
                one.location.clone(),
                one.coach.as_ref().map(|coach| json(serde_json::to_string(coach))),
                one.rule.clone(),
                one.dates.as_ref().map(|dates| json(serde_json::to_string(dates))),
                one.attendees.clone(),
                one.planned_until.0,
                if one.active { "active" } else { "ended" }.to_owned(),
                one.created_at.0,
                now,
            ),
        )
        .await?;
    expect_rows("save a series", 1, changed)
}

/// The columns of a [`SeriesRow`].
macro_rules! series_columns {
    () => {
        "select series_id, external_id, title, starts_local, timezone, duration_minutes, location,
           coach, rule, dates, attendees, planned_until, state, created_at from series "
    };
}

/// One series.
pub async fn find_series(tx: &mut Tx, account: AccountId, id: SeriesId) -> Result<Option<Series>> {
    let text = concat!(series_columns!(), "where account_id = $1 and series_id = $2");
    tx.optional(text, (account.0, id.0.to_vec())).await?.map(series_of).transpose()
}

/// The series that the caller's own system calls so.
pub async fn find_series_by_external_id(
    tx: &mut Tx,
    account: AccountId,
    name: &str,
) -> Result<Option<Series>> {
    let text = concat!(series_columns!(), "where account_id = $1 and external_id = $2");
    tx.optional(text, (account.0, name.to_owned())).await?.map(series_of).transpose()
}
