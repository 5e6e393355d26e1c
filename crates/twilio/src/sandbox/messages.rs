//! Messages that exist: shown, listed, canceled, redacted, deleted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use domain::instant::Instant;
use http::{Method, StatusCode};
use jiff::tz::TimeZone;

use super::journal::Line;
use super::record::Kept;
use super::server::{Answer, json, not_allowed, not_found, refusal};
use super::{Shared, outbox};
use crate::wire::{MessageStatus, Sid};

const PAGE_ROWS: usize = 50;
const PAGE_ROWS_MAX: usize = 1000;

/// What a segment costs here; Twilio's list price for the US, as a negative decimal.
const PRICE_PER_SEGMENT: f64 = -0.0083;

/// A message as Twilio shows it (FACTS 1.2).
pub(super) fn resource(message: &Kept) -> String {
    let account = &*message.account;
    let sid = message.sid;
    let uri = format!("/2010-04-01/Accounts/{account}/Messages/{sid}.json");
    let date = rfc2822(message);
    let status = message.status;
    let left = message.has_left();
    // A service has not picked its sender yet, so it does not know the segments either.
    let segments = if message.service && !left { 0 } else { message.segments };
    let media = message.media;
    let quoted = |text: &str| serde_json::to_string(text).expect("a text is valid JSON");
    let or_null = |text: Option<&str>| text.map_or_else(|| "null".to_owned(), quoted);
    let from = or_null(message.shown_from());
    let service = or_null(message.service.then_some(&*message.from));
    let price = left.then(|| f64::from(message.segments) * PRICE_PER_SEGMENT);
    let price = price.map_or_else(|| "null".to_owned(), |price| format!("\"{price:.5}\""));
    let error = message.error.map_or_else(|| "null".to_owned(), |code| code.to_string());
    let body = if message.redacted { String::from("\"\"") } else { quoted(&message.body) };
    let mut text = String::with_capacity(900);
    write!(
        text,
        "{{\"account_sid\":\"{account}\",\"api_version\":\"2010-04-01\",\"body\":{body},\
         \"date_created\":\"{date}\",\"date_sent\":{},\"date_updated\":\"{date}\",\
         \"direction\":\"outbound-api\",\"error_code\":{error},\"error_message\":null,\
         \"from\":{from},\"messaging_service_sid\":{service},\"num_media\":\"{media}\",\
         \"num_segments\":\"{}\",\"price\":{price},\"price_unit\":\"USD\",\"sid\":\"{sid}\",\
         \"status\":\"{status}\",\"subresource_uris\":{{\"media\":\
         \"/2010-04-01/Accounts/{account}/Messages/{sid}/Media.json\"}},\"to\":{},\
         \"uri\":\"{uri}\"}}",
        if left { format!("\"{date}\"") } else { "null".to_owned() },
        segments,
        quoted(&message.to),
    )
    .expect("writing to a String");
    text
}

fn rfc2822(message: &Kept) -> String {
    let at = message.at.timestamp().to_zoned(TimeZone::UTC);
    jiff::fmt::strtime::format("%a, %d %b %Y %H:%M:%S +0000", &at).unwrap_or_default()
}

/// `GET Messages.json`: newest first, filtered by `To`, `From`, `DateSent`, page by page.
pub(super) fn list(shared: &Shared, account: &str, query: &str) -> Answer {
    let parameters: BTreeMap<String, String> =
        form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let filter = match Filter::of(&parameters) {
        Ok(filter) => filter,
        Err((code, words)) => return refusal(StatusCode::BAD_REQUEST, code, words),
    };
    let lag = Duration::from_millis(shared.knobs().listing_lag_ms);
    let now = shared.clock.now();
    let shows = |message: &Kept| lag.is_zero() || message.at + lag <= now;
    let record = shared.record();
    let token = parameters.get("PageToken").and_then(|token| token.strip_prefix("PA"));
    let before = token.and_then(|sid| record.find(&sid.parse().ok()?)).unwrap_or(record.len());
    let newest_first: Box<dyn Iterator<Item = usize>> = match filter.to {
        Some(to) => Box::new(record.to_phone(to).filter(|&index| index < before)),
        None => Box::new((0..before).rev()),
    };
    let mut found = newest_first.map(|index| record.message(index)).filter(|message| {
        let is_there = &*message.account == account && !message.deleted && shows(message);
        is_there && filter.matches(message)
    });
    let shown: Vec<&Kept> = found.by_ref().take(filter.size).collect();
    let more = found.next().is_some();
    let texts: Vec<String> = shown.iter().map(|message| resource(message)).collect();
    let uri = |page, after: Option<&Kept>| page_uri(account, &parameters, &filter, page, after);
    let next = shown.last().filter(|_| more).map(|last| uri(filter.page + 1, Some(last)));
    let start = filter.page * filter.size;
    let quoted = |text: Option<String>| serde_json::to_string(&text).expect("valid JSON");
    let body = format!(
        "{{\"end\":{},\"first_page_uri\":{},\"messages\":[{}],\"next_page_uri\":{},\"page\":{},\
         \"page_size\":{},\"previous_page_uri\":null,\"start\":{start},\"uri\":{}}}",
        start + shown.len().saturating_sub(1),
        quoted(Some(uri(0, None))),
        texts.join(","),
        quoted(next),
        filter.page,
        filter.size,
        quoted(Some(uri(filter.page, None))),
    );
    json(StatusCode::OK, body)
}

/// The path of a page: the caller's own parameters, then the place to go on from.
fn page_uri(
    account: &str,
    parameters: &BTreeMap<String, String>,
    filter: &Filter<'_>,
    page: usize,
    after: Option<&Kept>,
) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        if !matches!(name.as_str(), "Page" | "PageToken" | "PageSize") {
            query.append_pair(name, value);
        }
    }
    query.append_pair("PageSize", &filter.size.to_string()).append_pair("Page", &page.to_string());
    if let Some(after) = after {
        query.append_pair("PageToken", &format!("PA{}", after.sid));
    }
    format!("/2010-04-01/Accounts/{account}/Messages.json?{}", query.finish())
}

/// What a listing shall show.
struct Filter<'a> {
    to: Option<&'a str>,
    from: Option<&'a str>,
    /// From the first, up to but without the second.
    between: (Instant, Instant),
    size: usize,
    page: usize,
}

impl<'a> Filter<'a> {
    /// Reads the parameters, or says what is wrong with them.
    fn of(parameters: &'a BTreeMap<String, String>) -> Result<Self, (u32, &'static str)> {
        let text = |name: &str| parameters.get(name).map(String::as_str);
        let span = |name: &str| match text(name) {
            None => Ok(None),
            Some(text) => match span_of(text) {
                Some(span) => Ok(Some(span)),
                None => Err((20001, "DateSent must be a date, YYYY-MM-DD")),
            },
        };
        let (mut from, mut until) = span("DateSent")?.unwrap_or((Instant(0), Instant::MAX));
        if let Some((start, _)) = span("DateSent>")? {
            from = from.max(start);
        }
        if let Some((_, end)) = span("DateSent<")? {
            until = until.min(end);
        }
        let size = text("PageSize").map_or(Some(PAGE_ROWS), |text| text.parse().ok());
        let size = size.filter(|&size| size > 0).ok_or((20001, "PageSize must be a number"))?;
        if size > PAGE_ROWS_MAX {
            return Err((20007, "PageSize must be at most 1000"));
        }
        Ok(Self {
            to: text("To"),
            from: text("From"),
            between: (from, until),
            size,
            page: text("Page").and_then(|text| text.parse().ok()).unwrap_or(0),
        })
    }

    fn matches(&self, message: &Kept) -> bool {
        let (start, end) = self.between;
        self.to.is_none_or(|to| to == &*message.to)
            && self.from.is_none_or(|from| message.shown_from() == Some(from))
            && start <= message.at
            && message.at < end
    }
}

/// What a date or a time stands for: its day, or its second, from the start up to the end.
fn span_of(text: &str) -> Option<(Instant, Instant)> {
    if let Some(at) = Instant::parse(text) {
        return Some((at, at + Duration::from_secs(1)));
    }
    let day: jiff::civil::Date = text.parse().ok()?;
    let start = Instant::from(day.to_zoned(TimeZone::UTC).ok()?.timestamp());
    Some((start, start + Duration::from_secs(24 * 60 * 60)))
}

/// The line that keeps what its owner did to a message.
fn edited(message: &Kept) -> Line<'static> {
    let Kept { sid, redacted, deleted, .. } = *message;
    Line::Edited { sid, redacted, deleted }
}

/// One message: `GET` shows it, `POST` cancels or redacts it, `DELETE` deletes it.
pub(super) fn one(
    shared: &Shared,
    account: &str,
    method: &Method,
    sid: &str,
    body: &[u8],
) -> Answer {
    let mut record = shared.record();
    let place = sid.parse::<Sid>().ok().and_then(|sid| record.find(&sid)).filter(|&index| {
        let message = record.message(index);
        &*message.account == account && !message.deleted
    });
    let Some(index) = place else {
        return not_found(&format!("/2010-04-01/Accounts/{account}/Messages/{sid}.json"));
    };
    match *method {
        Method::GET => json(StatusCode::OK, resource(record.message(index))),
        Method::DELETE => {
            if !record.message(index).status.is_final() {
                let words = "Cannot delete message because delivery has not been completed.";
                return refusal(StatusCode::CONFLICT, 20009, words);
            }
            record.message_mut(index).deleted = true;
            let line = edited(record.message(index));
            drop(record);
            shared.journal.append(&line);
            json(StatusCode::NO_CONTENT, "")
        }
        Method::POST => {
            let form: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
            let value = |name: &str| {
                form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
            };
            if value("Status") == Some("canceled") {
                drop(record);
                let waits = |status| status == MessageStatus::Scheduled;
                if !outbox::turn_if(shared, index, waits, MessageStatus::Canceled, None) {
                    let words = "Message is not in a cancelable state";
                    return refusal(StatusCode::CONFLICT, 30409, words);
                }
                outbox::take_up(shared, index);
            } else if value("Body") == Some("") {
                record.message_mut(index).redacted = true;
                let line = edited(record.message(index));
                drop(record);
                shared.journal.append(&line);
            } else {
                let words = "Only an empty Body or Status=canceled can be set";
                return refusal(StatusCode::BAD_REQUEST, 20001, words);
            }
            json(StatusCode::OK, resource(shared.record().message(index)))
        }
        _ => not_allowed(),
    }
}
