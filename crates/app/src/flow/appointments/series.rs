//! Series: a rule or a list of times, written out as one appointment per occurrence.
//!
//! Occurrences are written out up to a horizon, and rolled forward by the timer. Each is known by
//! its planned wall time in the series, so that planning again, after a change of the rule or of a
//! country's clocks, finds it and never makes a second one. Those that were moved or called off by
//! hand stay as they are. Of all that happens to a series, people are told what concerns its next
//! occurrence.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::ids::{AccountId, AppointmentId, ContactId, SeriesId};
use domain::instant::Instant;
use domain::local_time::{self, LocalTime};
use domain::quiet_hours;
use domain::recurrence::Recurrence;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use store::appointments::{self, Appointment, AppointmentState};
use store::series::{self, Series};
use store::{Tx, contacts};

use super::attending::{Person, join, resolve};
use super::booking::{Booking, Clerk, nth_instant, with_people};
use super::change::{Done, blank};
use super::shown::{CoachOut, Occurrence, next_occurrences};
use super::turn::{Turn, carry_out, overlaps};
use super::wanted::{
    AppointmentIn, AppointmentPatch, AttendeeIn, RecurrenceIn, RecurrenceParts, Warning, apply,
    checked_time, warning,
};
use crate::flow::{Refusal, Result, invalid};

/// How far ahead occurrences are written out; the next one always is.
const HORIZON: Duration = Duration::from_secs(90 * 24 * 3600);
/// Occurrences written out at once.
pub const OCCURRENCES_MAX: usize = 200;
/// Rows of people written at once.
const PEOPLE_MAX: usize = 20_000;
/// Times of a list.
const DATES_MAX: usize = 400;
/// A series is looked at again when it is written out to less than this.
pub const AHEAD_MIN: Duration = Duration::from_secs(89 * 24 * 3600);

/// What is to change of a series; what is left out stays.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SeriesPatch {
    /// What each occurrence is.
    pub title: Option<String>,
    /// The first one's start, from which the rule counts.
    pub starts_at: Option<String>,
    /// IANA zone.
    pub timezone: Option<String>,
    /// How long each takes.
    pub duration_minutes: Option<i64>,
    /// Where; empty for nowhere.
    pub location: Option<String>,
    /// Who holds them.
    pub coach: Option<super::wanted::CoachIn>,
    /// Everybody who comes.
    pub attendees: Option<Vec<AttendeeIn>>,
    /// When they come again.
    pub recurrence: Option<RecurrenceIn>,
}

/// A series.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct SeriesOut {
    /// Its id, `ser_…`.
    #[schema(value_type = String)]
    pub id: SeriesId,
    /// What the caller's own system calls it.
    pub external_id: Option<String>,
    /// `active` or `ended`.
    pub state: &'static str,
    /// What each occurrence is.
    pub title: String,
    /// The first one's start on its clock.
    pub starts_local: String,
    /// IANA zone.
    pub timezone: String,
    /// How long each takes.
    pub duration_minutes: Option<i64>,
    /// Where.
    pub location: Option<String>,
    /// Who holds them.
    #[schema(value_type = Option<Object>)]
    pub coach: Option<CoachOut>,
    /// The rule; absent for a list.
    pub rule: Option<String>,
    /// The list.
    pub dates: Option<Vec<String>>,
    /// Who comes.
    pub attendees: Vec<AttendeeIn>,
    /// The next occurrences.
    pub next: Vec<Occurrence>,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Instant,
    /// What is worth a look; in answers to a change only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// Books a series, or changes the one that the caller's own system calls the same.
pub async fn book(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    wanted: &AppointmentIn,
    external_id: Option<String>,
    recurrence: &RecurrenceIn,
) -> Result<Done> {
    if wanted.state.as_deref().is_some_and(|state| state != "scheduled") {
        return Err(invalid("state", "occurrences of a series are scheduled"));
    }
    let patch = AppointmentPatch::from(wanted);
    let account = clerk.account();
    if let Some(name) = &external_id {
        if let Some(known) = series::find_series_by_external_id(tx, account, name).await? {
            return change(tx, clerk, known, &patch, Some(recurrence)).await;
        }
        let same = std::slice::from_ref(name);
        if !appointments::appointments_by_external_id(tx, account, same).await?.is_empty() {
            let words = format!("{name:?} is a single appointment; take another external_id");
            return Err(Refusal::Exists(words));
        }
    }
    let now = tx.now();
    let one = Series {
        id: SeriesId::new(now, clerk.dice),
        external_id,
        title: String::new(),
        starts_local: String::new(),
        timezone: clerk.owner.timezone.clone(),
        duration_minutes: None,
        location: None,
        coach: None,
        rule: None,
        dates: None,
        attendees: "[]".to_owned(),
        planned_until: now,
        active: true,
        created_at: now,
    };
    let mut done = change(tx, clerk, one, &patch, Some(recurrence)).await?;
    done.created = true;
    Ok(done)
}

/// Changes a series: its future occurrences follow, those moved by hand aside.
pub async fn patch(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    id: SeriesId,
    wanted: &SeriesPatch,
) -> Result<SeriesOut> {
    let one = find(tx, clerk.account(), id).await?;
    if !one.active {
        return Err(Refusal::State("the series has ended; book a new one".to_owned()));
    }
    let patch = AppointmentPatch {
        title: wanted.title.clone(),
        starts_at: wanted.starts_at.clone(),
        ends_at: None,
        timezone: wanted.timezone.clone(),
        duration_minutes: wanted.duration_minutes.map(Some),
        location: wanted.location.clone().map(Some),
        coach: wanted.coach.clone().map(Some),
        attendees: wanted.attendees.clone(),
        state: None,
    };
    let done = change(tx, clerk, one, &patch, wanted.recurrence.as_ref()).await?;
    Ok(SeriesOut { warnings: done.warnings, ..show(tx, clerk.account(), id).await? })
}

async fn find(tx: &mut Tx, account: AccountId, id: SeriesId) -> Result<Series> {
    series::find_series(tx, account, id).await?.ok_or(Refusal::NotFound("series"))
}

/// Shows a series.
pub async fn show(tx: &mut Tx, account: AccountId, id: SeriesId) -> Result<SeriesOut> {
    let one = find(tx, account, id).await?;
    Ok(SeriesOut {
        id,
        attendees: listed(&one),
        external_id: one.external_id,
        state: if one.active { "active" } else { "ended" },
        title: one.title,
        starts_local: one.starts_local,
        timezone: one.timezone,
        duration_minutes: one.duration_minutes,
        location: one.location,
        coach: one.coach.map(CoachOut::from),
        rule: one.rule,
        dates: one.dates,
        next: next_occurrences(tx, account, id).await?,
        created_at: one.created_at,
        warnings: Vec::new(),
    })
}

/// Ends a series: all its occurrences to come are called off. `false` when it had ended.
pub async fn end(tx: &mut Tx, clerk: &Clerk<'_>, id: SeriesId) -> Result<bool> {
    let mut one = find(tx, clerk.account(), id).await?;
    if !one.active {
        return Ok(false);
    }
    one.active = false;
    series::save_series(tx, clerk.account(), &one).await?;
    let mut turns = Vec::new();
    for before in to_come(tx, clerk.account(), id).await? {
        if before.appointment.state == AppointmentState::Cancelled {
            continue;
        }
        let mut after = before.clone();
        after.appointment.state = AppointmentState::Cancelled;
        turns.push(Turn { told: turns.is_empty(), ..Turn::of(before, after) });
    }
    carry_out(tx, clerk, turns, "the series has ended").await?;
    Ok(true)
}

/// Writes the occurrences of a series out further; what the timer does.
pub async fn roll(tx: &mut Tx, clerk: &Clerk<'_>, id: SeriesId) -> Result<()> {
    let one = find(tx, clerk.account(), id).await?;
    if one.active {
        write_out(tx, clerk, one, false, &mut Vec::new()).await?;
    }
    Ok(())
}

async fn to_come(tx: &mut Tx, account: AccountId, id: SeriesId) -> Result<Vec<Booking>> {
    let most = i64::try_from(2 * OCCURRENCES_MAX).unwrap_or(i64::MAX);
    let now = tx.now();
    let rows = appointments::occurrences(tx, account, id, now, most).await?;
    with_people(tx, account, rows).await
}

fn listed(one: &Series) -> Vec<AttendeeIn> {
    serde_json::from_str(&one.attendees).unwrap_or_default()
}

/// Changes what a series is, and then its occurrences.
async fn change(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    mut one: Series,
    patch: &AppointmentPatch,
    recurrence: Option<&RecurrenceIn>,
) -> Result<Done> {
    let mut warnings = Vec::new();
    let now = tx.now();
    let mut draft = draft_of(clerk, &one, now);
    apply(patch, &mut draft, clerk, &mut warnings)?;
    let zone = zone_of(&draft.timezone)?;
    if patch.starts_at.is_some() {
        one.starts_local = match local_time::parse_wall(patch.starts_at.as_deref().unwrap_or("")) {
            Ok(local) => key(local),
            Err(_) => key(local_time::shown(draft.starts_at, &zone)),
        };
    }
    one.title = draft.title;
    one.timezone = draft.timezone;
    one.duration_minutes = draft.duration_minutes;
    one.location = draft.location;
    one.coach = draft.coach;
    if let Some(recurrence) = recurrence {
        put_recurrence(&mut one, recurrence, &zone, &mut warnings)?;
    }
    if let Some(wanted) = &patch.attendees {
        let people = resolve(tx, clerk, wanted, &mut warnings).await?;
        let list: Vec<AttendeeIn> = people.into_iter().map(kept).collect();
        one.attendees = serde_json::to_string(&list).expect("texts are valid JSON");
    }
    let id = write_out(tx, clerk, one, true, &mut warnings).await?;
    let Some(id) = id else {
        let words = "none of its times is to come: write a rule or dates with one that is";
        return Err(invalid("recurrence", words));
    };
    Ok(Done { id, created: false, warnings })
}

/// A person as a series remembers them.
fn kept(person: Person) -> AttendeeIn {
    let known = person.contact.is_some();
    let filled = |text: String| Some(text).filter(|text| !text.is_empty() && !known);
    AttendeeIn {
        contact_id: person.contact.map(|id| id.to_string()),
        phone: person.phone.and_then(filled),
        name: filled(person.name),
        timezone: person.timezone.filter(|_| !known),
    }
}

fn draft_of(clerk: &Clerk<'_>, one: &Series, now: Instant) -> Appointment {
    Appointment {
        title: one.title.clone(),
        timezone: one.timezone.clone(),
        duration_minutes: one.duration_minutes,
        location: one.location.clone(),
        coach: one.coach.clone(),
        ..blank(clerk, now, None)
    }
}

fn zone_of(name: &str) -> Result<TimeZone> {
    quiet_hours::zone(name).map_err(|error| invalid("timezone", error.to_string()))
}

/// What an occurrence is known by.
fn key(local: DateTime) -> String {
    local.strftime("%Y-%m-%dT%H:%M").to_string()
}

fn put_recurrence(
    one: &mut Series,
    wanted: &RecurrenceIn,
    zone: &TimeZone,
    warnings: &mut Vec<Warning>,
) -> Result<()> {
    let parts = match wanted {
        RecurrenceIn::Rule(rule) => RecurrenceParts { rrule: Some(rule.clone()), dates: None },
        RecurrenceIn::Either(parts) => parts.clone(),
    };
    match (parts.rrule, parts.dates) {
        (Some(text), None) => {
            let rule = Recurrence::parse(&text)
                .map_err(|error| invalid("recurrence.rrule", error.to_string()))?;
            if !rule.ends() {
                let words = "the rule has no end: its occurrences are written out 90 days ahead, \
                             and on as time goes by";
                warnings.push(warning("endless_rule", "recurrence.rrule", words.to_owned()));
            }
            one.rule = Some(text.trim().to_owned());
            one.dates = None;
        }
        (None, Some(dates)) => {
            if dates.is_empty() || dates.len() > DATES_MAX {
                let words = format!("write 1 to {DATES_MAX} times");
                return Err(invalid("recurrence.dates", words));
            }
            let mut keys = BTreeSet::from([one.starts_local.clone()]);
            for (nth, text) in dates.iter().enumerate() {
                let field = format!("recurrence.dates[{nth}]");
                let at = checked_time(&field, text, &one.timezone, warnings)?;
                let wall = local_time::parse_wall(text);
                keys.insert(key(wall.unwrap_or_else(|_| local_time::shown(at, zone))));
            }
            one.dates = Some(keys.into_iter().collect());
            one.rule = None;
        }
        _ => return Err(invalid("recurrence", "write either rrule or dates")),
    }
    Ok(())
}

/// The next times of a series as of `now`, and whether there are none behind them.
fn next_times(one: &Series, zone: &TimeZone, now: Instant) -> Result<(Vec<LocalTime>, bool)> {
    let damaged = |field: &str| Refusal::State(format!("the {field} of the series cannot be read"));
    let first = local_time::parse_wall(&one.starts_local).map_err(|_| damaged("start"))?;
    let all: Box<dyn Iterator<Item = LocalTime> + Send> = match (&one.rule, &one.dates) {
        (Some(rule), _) => {
            let rule = Recurrence::parse(rule).map_err(|_| damaged("rule"))?;
            Box::new(rule.expand(first, zone).collect_bounded(now))
        }
        (None, Some(dates)) => {
            let walls = dates.iter().filter_map(|text| local_time::parse_wall(text).ok());
            let times: Vec<_> = walls.map(|local| local_time::resolve(local, zone)).collect();
            Box::new(times.into_iter())
        }
        (None, None) => return Err(damaged("rule")),
    };
    let mut times: Vec<LocalTime> = Vec::new();
    let mut seen = BTreeSet::new();
    for time in all.filter(|time| time.instant > now) {
        // The next one is written out however far away it is.
        let is_far = !times.is_empty() && time.instant > now + HORIZON;
        if times.len() == OCCURRENCES_MAX || is_far {
            return Ok((times, false));
        }
        if seen.insert(key(time.local)) {
            times.push(time);
        }
    }
    Ok((times, true))
}

/// As many times of an expansion as a look needs.
trait Bounded {
    /// Those after `now`, up to a little behind what is ever written out.
    fn collect_bounded(self, now: Instant) -> std::vec::IntoIter<LocalTime>;
}

impl<I: Iterator<Item = LocalTime>> Bounded for I {
    fn collect_bounded(self, now: Instant) -> std::vec::IntoIter<LocalTime> {
        // A rule of minutes makes several times per key; a few more are looked at for that.
        let most = 4 * OCCURRENCES_MAX + 1;
        self.filter(|time| time.instant > now).take(most).collect::<Vec<_>>().into_iter()
    }
}

/// Makes the occurrences to come what the series says; the next one.
async fn write_out(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    mut one: Series,
    told: bool,
    warnings: &mut Vec<Warning>,
) -> Result<Option<AppointmentId>> {
    let (now, account) = (tx.now(), clerk.account());
    let zone = zone_of(&one.timezone)?;
    let (times, complete) = next_times(&one, &zone, now)?;
    let is_new = series::find_series(tx, account, one.id).await?.is_none();
    if times.is_empty() && is_new {
        return Ok(None);
    }
    let people = people_of(tx, clerk, &one).await?;
    let keys: Vec<String> = times
        .iter()
        .map(|time| {
            let in_utc = domain::mutant!(M24);
            key(if in_utc { local_time::shown(time.instant, &TimeZone::UTC) } else { time.local })
        })
        .collect();
    let there = appointments::occurrences_by_key(tx, account, one.id, &keys).await?;
    let mut known: BTreeMap<String, Booking> = BTreeMap::new();
    for booking in with_people(tx, account, there).await? {
        known.insert(booking.appointment.occurrence.clone().unwrap_or_default(), booking);
    }
    let mut turns = Vec::new();
    if told {
        turns.extend(dropped(tx, clerk, &one, &keys).await?);
    }
    let replaced = !turns.is_empty();
    let most = (PEOPLE_MAX / people.len().max(1)).max(1);
    let (mut added, mut next) = (0, None);
    for (time, key) in times.iter().zip(&keys) {
        match known.remove(key) {
            Some(before) => {
                next = next.or(Some(before.appointment.id).filter(|_| live(&before)));
                turns.extend(followed(clerk, &one, &people, before, time.instant, told, now));
            }
            None if added < most => {
                let new = occurrence(clerk, &one, &people, time, key, nth_instant(now, added));
                let first = next.is_none();
                next = next.or(Some(new.appointment.id));
                if first && told {
                    overlaps(tx, clerk, &new, warnings).await?;
                }
                let event = Some("rescheduled").filter(|_| replaced);
                turns.push(Turn { event, ..Turn::new(new, told && first) });
                added += 1;
            }
            None => break,
        }
    }
    one.planned_until = match (added == most, times.get(OCCURRENCES_MAX / 2)) {
        (true, _) => now,
        (false, _) if complete => Instant::MAX,
        (false, Some(half)) if times.len() == OCCURRENCES_MAX => half.instant + AHEAD_MIN,
        (false, _) => now + HORIZON,
    };
    series::save_series(tx, account, &one).await?;
    let why = if told { "the series was changed" } else { "the series was planned anew" };
    carry_out(tx, clerk, turns, why).await?;
    Ok(next)
}

fn live(booking: &Booking) -> bool {
    booking.appointment.state.is_live()
}

/// Who takes part, read anew; a contact that is gone is left out.
async fn people_of(tx: &mut Tx, clerk: &Clerk<'_>, one: &Series) -> Result<Vec<Person>> {
    let mut list = listed(one);
    let id_of = |person: &AttendeeIn| {
        person.contact_id.as_deref().and_then(|text| ContactId::parse(text).ok())
    };
    let ids: Vec<ContactId> = list.iter().filter_map(id_of).collect();
    let there: BTreeSet<ContactId> = contacts::contacts_by_id(tx, clerk.account(), &ids)
        .await?
        .into_iter()
        .map(|contact| contact.id)
        .collect();
    list.retain(|person| id_of(person).is_none_or(|id| there.contains(&id)));
    resolve(tx, clerk, &list, &mut Vec::new()).await
}

/// A new occurrence.
fn occurrence(
    clerk: &Clerk<'_>,
    one: &Series,
    people: &[Person],
    time: &LocalTime,
    key: &str,
    made_at: Instant,
) -> Booking {
    let appointment = Appointment {
        series: Some(one.id),
        occurrence: Some(key.to_owned()),
        starts_at: time.instant,
        ..draft_of(clerk, one, made_at)
    };
    let joined = join(clerk, appointment.id, &[], people, made_at);
    Booking { appointment, attendees: joined.all }
}

/// The occurrences to come that the series does not have any more.
async fn dropped(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    one: &Series,
    keys: &[String],
) -> Result<Vec<Turn>> {
    let mut turns = Vec::new();
    for before in to_come(tx, clerk.account(), one.id).await? {
        let appointment = &before.appointment;
        let stays = appointment.moved
            || !appointment.state.is_live()
            || appointment.occurrence.as_ref().is_some_and(|key| keys.contains(key));
        if !stays {
            let mut after = before.clone();
            after.appointment.state = AppointmentState::Cancelled;
            turns.push(Turn { told: false, ..Turn::of(before, after) });
        }
    }
    Ok(turns)
}

/// An occurrence that is there follows its series, unless it was moved or is over.
fn followed(
    clerk: &Clerk<'_>,
    one: &Series,
    people: &[Person],
    before: Booking,
    starts_at: Instant,
    told: bool,
    now: Instant,
) -> Option<Turn> {
    if before.appointment.moved || !live(&before) {
        return None;
    }
    let mut after = before.clone();
    // The same wall time: a country changed its clocks, and nobody needs to be told or asked.
    after.appointment.starts_at = starts_at;
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    if told {
        let appointment = &mut after.appointment;
        appointment.title.clone_from(&one.title);
        appointment.timezone.clone_from(&one.timezone);
        appointment.duration_minutes = one.duration_minutes;
        appointment.location.clone_from(&one.location);
        appointment.coach.clone_from(&one.coach);
        let joined = join(clerk, appointment.id, &before.attendees, people, now);
        after.attendees = joined.all;
        (added, removed) = (joined.added, joined.removed);
    }
    Some(Turn { added, removed, told: false, ..Turn::of(before, after) })
}
