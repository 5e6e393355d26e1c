//! The filters of message templates: words, dates and times in the reader's zone.
//!
//! A filter that is given a hole passes it on unwritten, so that the missing name is reported and
//! not a filter's trouble with it.

use std::borrow::Cow;

use jiff::{Timestamp, Zoned};
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, State};
use thiserror::Error;

use super::{AT, Hole, RenderContext};
use crate::instant::Instant;

/// Every filter, for the message about an unknown one.
pub(super) const NAMES: &str =
    "date, time, relative, upper, lower, title, first_word, shorten or default";

/// A value that a date filter cannot read; travels as the source of minijinja's error.
#[derive(Debug, Error)]
#[error("{0:?} is not an RFC 3339 time such as 2026-11-21T09:00:00Z")]
pub(super) struct NotATime(pub String);

/// Adds the filters to `environment`.
pub(super) fn register(environment: &mut Environment<'static>) {
    environment.add_filter("date", date);
    environment.add_filter("time", time);
    environment.add_filter("relative", relative);
    environment.add_filter("upper", |value: &Value| words(value, str::to_uppercase));
    environment.add_filter("lower", |value: &Value| words(value, str::to_lowercase));
    environment.add_filter("title", |value: &Value| words(value, title));
    environment.add_filter("first_word", |value: &Value| words(value, first_word));
    environment.add_filter("shorten", |value: &Value, most: usize| {
        words(value, |text| shorten(text, most))
    });
    environment.add_filter("default", default);
}

/// `value`, or `fallback` when it is missing or empty.
fn default(value: &Value, fallback: &Value) -> Value {
    let hollow = value.is_undefined() || value.downcast_object_ref::<Hole>().is_some();
    let empty = || value.as_str().is_some_and(|text| text.trim().is_empty());
    if hollow || empty() { fallback.clone() } else { value.clone() }
}

fn words(value: &Value, change: impl Fn(&str) -> String) -> Value {
    if value.downcast_object_ref::<Hole>().is_some() {
        return value.clone();
    }
    Value::from(change(&shown(value)))
}

/// Each word with a capital and the rest small: `ANNA smith` is `Anna Smith`.
fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut inside = false;
    for character in text.chars() {
        if inside {
            titled.extend(character.to_lowercase());
        } else {
            titled.extend(character.to_uppercase());
        }
        inside = !character.is_whitespace() && character != '-';
    }
    titled
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_owned()
}

/// At most `most` characters, ending at a word and with an ellipsis where something was left out.
fn shorten(text: &str, most: usize) -> String {
    let text = text.trim();
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(ELLIPSIS.len()) + 1).collect();
    let end = kept.rfind(char::is_whitespace).unwrap_or(0);
    let whole = kept[..end].trim_end();
    if whole.is_empty() {
        // One long word is cut inside.
        let room = most.saturating_sub(ELLIPSIS.len());
        return text.chars().take(room).chain(ELLIPSIS.chars()).take(most).collect();
    }
    [whole, ELLIPSIS].concat()
}

/// Three full stops: the one character for them would make the text dearer.
const ELLIPSIS: &str = "...";

/// The day, such as `Sat, Nov 21`, with the year if it is not the present one; or by a `strftime`
/// format.
fn date(state: &State<'_, '_>, value: &Value, format: Option<&str>) -> Result<Value, Error> {
    moment(state, value, |at, now| match format {
        Some(format) => strftime(format, at),
        None => Ok(day(at, now)),
    })
}

/// The time of day, such as `9:00 AM`; or by a `strftime` format.
fn time(state: &State<'_, '_>, value: &Value, format: Option<&str>) -> Result<Value, Error> {
    moment(state, value, |at, _| match format {
        Some(format) => strftime(format, at),
        None => Ok(time_of_day(at)),
    })
}

/// When it is, as one would say it now: `in 2 hours`, `tomorrow at 9:00 AM`.
fn relative(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    moment(state, value, |at, now| Ok(relative_words(at, now)))
}

/// Reads `value` as a time and words it, given it and the present in the reader's zone.
fn moment(
    state: &State<'_, '_>,
    value: &Value,
    wording: impl FnOnce(&Zoned, &Zoned) -> Result<String, Error>,
) -> Result<Value, Error> {
    if value.downcast_object_ref::<Hole>().is_some() {
        return Ok(value.clone());
    }
    let lookup = state.lookup(AT);
    let context = lookup.as_ref().and_then(Value::downcast_object_ref::<RenderContext>);
    let RenderContext { now, zone } =
        context.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "no present time is set"))?;
    let text = shown(value);
    let Some(at) = Instant::parse(text.trim()) else {
        let error = Error::new(ErrorKind::InvalidOperation, "not a time");
        return Err(error.with_source(NotATime(text.into_owned())));
    };
    let zoned = |at: Timestamp| at.to_zoned(zone.clone());
    wording(&zoned(at.timestamp()), &zoned(now.timestamp())).map(Value::from)
}

fn shown(value: &Value) -> Cow<'_, str> {
    value.as_str().map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed)
}

fn strftime(format: &str, at: &Zoned) -> Result<String, Error> {
    jiff::fmt::strtime::format(format, at).map_err(|error| {
        let detail = format!("the format {format:?} cannot be used: {error}");
        Error::new(ErrorKind::InvalidOperation, detail)
    })
}

fn day(at: &Zoned, now: &Zoned) -> String {
    let format = if at.year() == now.year() { "%a, %b %-d" } else { "%a, %b %-d, %Y" };
    at.strftime(format).to_string()
}

fn time_of_day(at: &Zoned) -> String {
    at.strftime("%-I:%M %p").to_string()
}

/// Up to six hours away by the clock, beyond that by the calendar.
fn relative_words(at: &Zoned, now: &Zoned) -> String {
    const NEAR_MINUTES: u64 = 6 * 60;
    let seconds = at.timestamp().as_second() - now.timestamp().as_second();
    let minutes = (seconds.unsigned_abs() + 30) / 60;
    if minutes == 0 {
        return "now".to_owned();
    }
    if minutes < NEAR_MINUTES {
        let span = span_words(minutes);
        return if seconds > 0 { format!("in {span}") } else { format!("{span} ago") };
    }
    let ahead = at.date().since(now.date()).map_or(i32::MAX, |span| span.get_days());
    let day = match ahead {
        0 => "today".to_owned(),
        1 => "tomorrow".to_owned(),
        -1 => "yesterday".to_owned(),
        2..=6 => format!("on {}", at.strftime("%A")),
        _ => format!("on {}", day(at, now)),
    };
    format!("{day} at {}", time_of_day(at))
}

/// `25 minutes`, `2 hours`, `1 hour 30 minutes`; to five minutes from an hour on.
fn span_words(minutes: u64) -> String {
    let counted = |number: u64, unit: &str| {
        let plural = if number == 1 { "" } else { "s" };
        format!("{number} {unit}{plural}")
    };
    if minutes < 60 {
        return counted(minutes, "minute");
    }
    let minutes = (minutes + 2) / 5 * 5;
    let hours = counted(minutes / 60, "hour");
    match minutes % 60 {
        0 => hours,
        rest => format!("{hours} {}", counted(rest, "minute")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_to_saturday_noon_in_new_york() {
        let zone = crate::quiet_hours::zone("America/New_York").unwrap();
        let zoned = |at: &str| at.parse::<Timestamp>().unwrap().to_zoned(zone.clone());
        let now = zoned("2026-11-21T17:00:00Z");
        for (at, expected) in [
            ("2026-11-21T17:00:20Z", "now"),
            ("2026-11-21T17:01:00Z", "in 1 minute"),
            ("2026-11-21T17:25:00Z", "in 25 minutes"),
            ("2026-11-21T17:59:40Z", "in 1 hour"),
            ("2026-11-21T18:59:10Z", "in 2 hours"),
            ("2026-11-21T19:40:00Z", "in 2 hours 40 minutes"),
            ("2026-11-21T23:30:00Z", "today at 6:30 PM"),
            ("2026-11-22T14:00:00Z", "tomorrow at 9:00 AM"),
            ("2026-11-27T17:00:00Z", "on Friday at 12:00 PM"),
            ("2026-11-28T17:00:00Z", "on Sat, Nov 28 at 12:00 PM"),
            ("2027-01-04T14:00:00Z", "on Mon, Jan 4, 2027 at 9:00 AM"),
            ("2026-11-21T16:30:00Z", "30 minutes ago"),
            ("2026-11-21T15:00:00Z", "2 hours ago"),
            ("2026-11-21T10:00:00Z", "today at 5:00 AM"),
            ("2026-11-20T14:00:00Z", "yesterday at 9:00 AM"),
            ("2026-11-01T14:00:00Z", "on Sun, Nov 1 at 9:00 AM"),
        ] {
            assert_eq!(relative_words(&zoned(at), &now), expected, "{at}");
        }
    }

    #[test]
    fn words_of_names() {
        for (text, titled, first) in [
            ("ANNA maria smith", "Anna Maria Smith", "ANNA"),
            (" jean-luc ", " Jean-Luc ", "jean-luc"),
            ("", "", ""),
        ] {
            assert_eq!(title(text), titled);
            assert_eq!(first_word(text), first);
        }
    }
}
