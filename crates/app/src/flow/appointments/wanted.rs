//! Bookings as callers describe them, and what is wrong or worth knowing about that.

use std::time::Duration;

use domain::instant::Instant;
use domain::local_time::{self, Resolution};
use domain::phone;
use domain::quiet_hours;
use serde::{Deserialize, Deserializer, Serialize};
use store::appointments::{Appointment, AppointmentState, Coach};

use super::booking::Clerk;
use crate::flow::accounts::checked_zone;
use crate::flow::{Result, invalid};

/// Characters of a title.
const TITLE_CHARS_MAX: usize = 200;
/// Characters of a location.
const LOCATION_CHARS_MAX: usize = 300;
/// Characters of a name.
pub const NAME_CHARS_MAX: usize = 200;
/// Characters of the caller's own id.
const EXTERNAL_ID_CHARS_MAX: usize = 200;
/// The longest booking: two weeks.
const DURATION_MINUTES_MAX: i64 = 14 * 24 * 60;
/// How far ahead one books.
const AHEAD_MAX: Duration = Duration::from_secs(3 * 366 * 24 * 3600);
/// People in one booking.
pub const ATTENDEES_MAX: usize = 1000;

/// A booking as an API caller describes it.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AppointmentIn {
    /// What the caller's own system calls it; the same again changes that booking.
    pub external_id: Option<String>,
    /// What it is.
    pub title: String,
    /// RFC 3339, or without an offset on the clock of `timezone`.
    pub starts_at: String,
    /// Instead of a length: when it ends, written like `starts_at`.
    pub ends_at: Option<String>,
    /// IANA zone; absent for the account's.
    pub timezone: Option<String>,
    /// How long it takes.
    pub duration_minutes: Option<i64>,
    /// Where.
    pub location: Option<String>,
    /// Who holds it: a name, or a name with a phone for the coach's own texts.
    pub coach: Option<CoachIn>,
    /// Who comes: one person, or up to a thousand.
    #[serde(default)]
    pub attendees: Vec<AttendeeIn>,
    /// When it comes again.
    pub recurrence: Option<RecurrenceIn>,
    /// `completed` or `no_show`, to keep a record of what is past; absent for `scheduled`.
    pub state: Option<String>,
}

/// Who holds a booking.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(untagged, expecting = "write a name, or an object with name, phone and timezone")]
pub enum CoachIn {
    /// The name alone.
    Name(String),
    /// Somebody who may be texted.
    Known(KnownCoach),
}

/// A coach who may be texted.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownCoach {
    /// Name.
    pub name: String,
    /// The number as typed.
    pub phone: Option<String>,
    /// IANA zone.
    pub timezone: Option<String>,
}

/// Somebody who comes: a known contact, or a phone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttendeeIn {
    /// A contact, `ct_…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_id: Option<String>,
    /// The number as typed; who is not known yet becomes a contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Name; one that is known already stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// IANA zone; one that is known already stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

/// When a booking comes again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(untagged, expecting = "write a rule, {\"rrule\": …} or {\"dates\": […]}")]
pub enum RecurrenceIn {
    /// A rule (RFC 5545) alone.
    Rule(String),
    /// A rule or a list.
    Either(RecurrenceParts),
}

/// A rule or a list; one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecurrenceParts {
    /// A rule (RFC 5545) such as `FREQ=WEEKLY;BYDAY=MO,WE;COUNT=10`.
    pub rrule: Option<String>,
    /// Each time, written like `starts_at`.
    pub dates: Option<Vec<String>>,
}

/// What is to change of a booking; what is left out stays.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AppointmentPatch {
    /// What it is.
    pub title: Option<String>,
    /// Another start is a new time: everybody is told and asked anew.
    pub starts_at: Option<String>,
    /// Instead of a length: when it ends.
    pub ends_at: Option<String>,
    /// IANA zone.
    pub timezone: Option<String>,
    /// How long it takes; `null` for unknown.
    #[serde(default, deserialize_with = "told")]
    #[schema(value_type = Option<i64>)]
    pub duration_minutes: Option<Option<i64>>,
    /// Where; `null` for nowhere.
    #[serde(default, deserialize_with = "told")]
    #[schema(value_type = Option<String>)]
    pub location: Option<Option<String>>,
    /// Who holds it; `null` for nobody.
    #[serde(default, deserialize_with = "told")]
    #[schema(value_type = Option<CoachIn>)]
    pub coach: Option<Option<CoachIn>>,
    /// Everybody who comes; who is left out is taken out.
    pub attendees: Option<Vec<AttendeeIn>>,
    /// `completed`, `no_show`, `cancelled`, `confirmed`, `declined`, or `scheduled` to undo those.
    pub state: Option<String>,
}

#[expect(clippy::option_option, reason = "left out, null, and a value are three things")]
fn told<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> std::result::Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(from).map(Some)
}

impl From<&AppointmentIn> for AppointmentPatch {
    fn from(wanted: &AppointmentIn) -> Self {
        Self {
            title: Some(wanted.title.clone()),
            starts_at: Some(wanted.starts_at.clone()),
            ends_at: wanted.ends_at.clone(),
            timezone: wanted.timezone.clone(),
            duration_minutes: wanted.duration_minutes.map(Some),
            location: wanted.location.clone().map(Some),
            coach: wanted.coach.clone().map(Some),
            attendees: Some(wanted.attendees.clone()),
            state: wanted.state.clone(),
        }
    }
}

/// Something that was taken as it is, and is worth a look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Warning {
    /// A stable word.
    pub code: &'static str,
    /// Which field it is about.
    pub field: String,
    /// What was found and what was done.
    pub detail: String,
}

/// A warning.
pub fn warning(code: &'static str, field: impl Into<String>, detail: String) -> Warning {
    Warning { code, field: field.into(), detail }
}

/// A checked text of 1 to `most` characters.
pub fn checked_text(field: &str, text: &str, most: usize) -> Result<String> {
    let text = text.trim();
    let length = text.chars().count();
    if length == 0 || length > most || text.contains('\0') {
        return Err(invalid(field, format!("write 1 to {most} characters")));
    }
    Ok(text.to_owned())
}

/// The caller's own id, checked.
pub fn checked_external_id(wanted: Option<&str>) -> Result<Option<String>> {
    wanted.map(|text| checked_text("external_id", text, EXTERNAL_ID_CHARS_MAX)).transpose()
}

/// Reads a time; what was made of a clock that was put forward or back becomes a warning.
pub fn checked_time(
    field: &str,
    text: &str,
    timezone: &str,
    warnings: &mut Vec<Warning>,
) -> Result<Instant> {
    let zone =
        quiet_hours::zone(timezone).map_err(|error| invalid("timezone", error.to_string()))?;
    let read = local_time::parse(text, &zone).map_err(|error| invalid(field, error.to_string()))?;
    let shown = local_time::shown(read.instant, &zone);
    match read.resolved {
        Resolution::Exact => {}
        Resolution::Gap => warnings.push(warning(
            "dst_gap",
            field,
            format!("clocks in {timezone} skip {}: it was read as {shown}", read.local),
        )),
        Resolution::Overlap => warnings.push(warning(
            "dst_overlap",
            field,
            format!(
                "clocks in {timezone} show {} twice: the first of both was taken; write an offset \
                 to choose",
                read.local
            ),
        )),
    }
    Ok(read.instant)
}

/// Refuses a start that nobody can come to any more, or that is a slip of the pen.
pub fn check_start(starts_at: Instant, now: Instant) -> Result<()> {
    if starts_at <= now {
        let words = format!(
            "{starts_at} is past: write a time to come, or add \"state\": \"completed\" to keep a \
             record of what took place"
        );
        return Err(invalid("starts_at", words));
    }
    if starts_at > now + AHEAD_MAX {
        return Err(invalid("starts_at", "write a time within three years from now"));
    }
    Ok(())
}

/// Who holds a booking, checked. A number that cannot be texted is left out with a warning.
pub fn checked_coach(
    wanted: &CoachIn,
    clerk: &Clerk<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<Coach> {
    let known = match wanted {
        CoachIn::Name(name) => KnownCoach { name: name.clone(), phone: None, timezone: None },
        CoachIn::Known(known) => known.clone(),
    };
    let name = checked_text("coach", &known.name, NAME_CHARS_MAX)?;
    let timezone = known.timezone.as_deref();
    let timezone = timezone.map(|zone| checked_zone("coach.timezone", zone)).transpose()?;
    let phone = match known.phone.as_deref().map(str::trim).filter(|phone| !phone.is_empty()) {
        None => None,
        Some(text) => match usable_phone(text, clerk) {
            Ok(phone) => Some(phone),
            Err(problem) => {
                let words = format!("{problem}; the coach gets no texts");
                warnings.push(warning("unusable_phone", "coach.phone", words));
                None
            }
        },
    };
    Ok(Coach { name, phone, timezone })
}

/// The number in its international form, if texts may go there.
pub fn usable_phone(text: &str, clerk: &Clerk<'_>) -> std::result::Result<String, String> {
    let home = &clerk.owner.country;
    let number = phone::parse(text, Some(home)).map_err(|error| error.to_string())?;
    match phone::refusal(&number, &clerk.choices.countries(home), clerk.asking.magic_allowed) {
        Some(why) => Err(why.to_string()),
        None => Ok(number.e164.to_string()),
    }
}

/// A state that a caller writes.
pub fn checked_state(word: &str) -> Result<AppointmentState> {
    AppointmentState::parse(word.trim()).ok_or_else(|| {
        let words: Vec<&str> = AppointmentState::ALL.iter().map(|one| one.as_str()).collect();
        invalid("state", format!("write one of {}", words.join(", ")))
    })
}

/// Writes what is told of a booking itself into it. People and state are the caller's.
pub fn apply(
    patch: &AppointmentPatch,
    one: &mut Appointment,
    clerk: &Clerk<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<()> {
    if let Some(title) = &patch.title {
        one.title = checked_text("title", title, TITLE_CHARS_MAX)?;
    }
    if let Some(zone) = &patch.timezone {
        one.timezone = checked_zone("timezone", zone)?;
    }
    if let Some(text) = &patch.starts_at {
        one.starts_at = checked_time("starts_at", text, &one.timezone, warnings)?;
    }
    if let Some(text) = &patch.ends_at {
        if patch.duration_minutes.is_some() {
            return Err(invalid("ends_at", "write either ends_at or duration_minutes"));
        }
        let ends_at = checked_time("ends_at", text, &one.timezone, warnings)?;
        if ends_at <= one.starts_at {
            return Err(invalid("ends_at", "it ends before it begins: write a later time"));
        }
        let minutes = ends_at.since(one.starts_at).as_secs().div_ceil(60);
        one.duration_minutes = Some(i64::try_from(minutes).unwrap_or(i64::MAX));
    }
    if let Some(minutes) = patch.duration_minutes {
        one.duration_minutes = minutes;
    }
    if one.duration_minutes.is_some_and(|n| !(1..=DURATION_MINUTES_MAX).contains(&n)) {
        let field = if patch.ends_at.is_some() { "ends_at" } else { "duration_minutes" };
        let words = format!("write 1 to {DURATION_MINUTES_MAX} minutes");
        return Err(invalid(field, words));
    }
    if let Some(location) = &patch.location {
        let filled = location.as_deref().filter(|text| !text.trim().is_empty());
        one.location =
            filled.map(|text| checked_text("location", text, LOCATION_CHARS_MAX)).transpose()?;
    }
    if let Some(coach) = &patch.coach {
        one.coach =
            coach.as_ref().map(|coach| checked_coach(coach, clerk, warnings)).transpose()?;
    }
    Ok(())
}
