//! Messages that exist: shown, listed, canceled, redacted, deleted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::{Method, StatusCode};
use jiff::tz::TimeZone;

use super::Shared;
use super::record::Kept;
use super::server::{Answer, json, not_found, refusal};
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
    let taken = !matches!(status, MessageStatus::Queued | MessageStatus::Scheduled);
    let quoted = |text: &str| serde_json::to_string(text).expect("a text is valid JSON");
    let (from, service) = if message.service {
        ("null".to_owned(), quoted(&message.from))
    } else {
        (quoted(&message.from), "null".to_owned())
    };
    let price = taken.then(|| f64::from(message.segments) * PRICE_PER_SEGMENT);
    let price = price.map_or_else(|| "null".to_owned(), |price| format!("\"{price:.5}\""));
    let error = message.error.map_or_else(|| "null".to_owned(), |code| code.to_string());
    let body = if message.redacted { String::from("\"\"") } else { quoted(&message.body) };
    let mut text = String::with_capacity(900);
    write!(
        text,
        "{{\"account_sid\":\"{account}\",\"api_version\":\"2010-04-01\",\"body\":{body},\
         \"date_created\":\"{date}\",\"date_sent\":{},\"date_updated\":\"{date}\",\
         \"direction\":\"outbound-api\",\"error_code\":{error},\"error_message\":null,\
         \"from\":{from},\"messaging_service_sid\":{service},\"num_media\":\"0\",\
         \"num_segments\":\"{}\",\"price\":{price},\"price_unit\":\"USD\",\"sid\":\"{sid}\",\
         \"status\":\"{status}\",\"subresource_uris\":{{\"media\":\
         \"/2010-04-01/Accounts/{account}/Messages/{sid}/Media.json\"}},\"to\":{},\
         \"uri\":\"{uri}\"}}",
        if taken { format!("\"{date}\"") } else { "null".to_owned() },
        message.segments,
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
    let mut filters: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        filters.insert(name.into_owned(), value.into_owned());
    }
    let size: usize = match filters.get("PageSize").map(|text| text.parse()) {
        None => PAGE_ROWS,
        Some(Ok(size)) if (1..=PAGE_ROWS_MAX).contains(&size) => size,
        Some(_) => {
            return refusal(StatusCode::BAD_REQUEST, 20001, "PageSize must be from 1 to 1000");
        }
    };
    let page: usize = filters.get("Page").and_then(|text| text.parse().ok()).unwrap_or(0);
    let record = shared.record();
    let before = filters
        .get("PageToken")
        .and_then(|token| token.strip_prefix("PA")?.parse::<Sid>().ok())
        .and_then(|sid| record.find(&sid))
        .unwrap_or(record.len());
    let wanted = |message: &Kept| {
        &*message.account == account && !message.deleted && matches_filters(message, &filters)
    };
    let mut found = (0..before).rev().filter(|&index| wanted(record.message(index)));
    let shown: Vec<usize> = found.by_ref().take(size).collect();
    let more = found.next().is_some();
    let texts: Vec<String> = shown.iter().map(|&index| resource(record.message(index))).collect();
    let base = format!("/2010-04-01/Accounts/{account}/Messages.json");
    let uri_of = |page: usize, token: Option<String>| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &filters {
            if !matches!(name.as_str(), "Page" | "PageToken" | "PageSize") {
                query.append_pair(name, value);
            }
        }
        query.append_pair("PageSize", &size.to_string()).append_pair("Page", &page.to_string());
        if let Some(token) = token {
            query.append_pair("PageToken", &token);
        }
        format!("{base}?{}", query.finish())
    };
    let next = shown
        .last()
        .filter(|_| more)
        .map(|&index| uri_of(page + 1, Some(format!("PA{}", record.message(index).sid))));
    let quoted = |text: &Option<String>| serde_json::to_string(text).expect("valid JSON");
    let body = format!(
        "{{\"end\":{},\"first_page_uri\":{},\"messages\":[{}],\"next_page_uri\":{},\"page\":{page},\
         \"page_size\":{size},\"previous_page_uri\":null,\"start\":{},\"uri\":{}}}",
        page * size + shown.len().saturating_sub(1),
        quoted(&Some(uri_of(0, None))),
        texts.join(","),
        quoted(&next),
        page * size,
        quoted(&Some(uri_of(page, None))),
    );
    json(StatusCode::OK, body)
}

fn matches_filters(message: &Kept, filters: &BTreeMap<String, String>) -> bool {
    let is = |name: &str, value: &str| filters.get(name).is_none_or(|wanted| wanted == value);
    let instant = message.at.timestamp().to_string();
    let day = &instant[..10];
    // A date stands for its day, a time for itself; texts compare as times do in this format.
    let own = |wanted: &str| if wanted.len() <= 10 { day.to_owned() } else { instant.clone() };
    let no_earlier = filters.get("DateSent>").is_none_or(|wanted| own(wanted) >= *wanted);
    let no_later = filters.get("DateSent<").is_none_or(|wanted| own(wanted) <= *wanted);
    is("To", &message.to)
        && is("From", if message.service { "" } else { &message.from })
        && is("DateSent", day)
        && no_earlier
        && no_later
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
            if !record.message(index).closed {
                let words = "Cannot delete message because delivery has not been completed.";
                return refusal(StatusCode::CONFLICT, 20009, words);
            }
            record.message_mut(index).deleted = true;
            json(StatusCode::NO_CONTENT, "")
        }
        Method::POST => {
            let form: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
            let value = |name: &str| {
                form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
            };
            if value("Status") == Some("canceled") {
                if record.message(index).status != MessageStatus::Scheduled {
                    let words = "Message is not in a cancelable state";
                    return refusal(StatusCode::CONFLICT, 30409, words);
                }
                record.turn(index, MessageStatus::Canceled, None);
            } else if value("Body") == Some("") {
                record.message_mut(index).redacted = true;
            } else {
                let words = "Only an empty Body or Status=canceled can be set";
                return refusal(StatusCode::BAD_REQUEST, 20001, words);
            }
            json(StatusCode::OK, resource(record.message(index)))
        }
        _ => refusal(StatusCode::METHOD_NOT_ALLOWED, 20004, "Method not allowed"),
    }
}
