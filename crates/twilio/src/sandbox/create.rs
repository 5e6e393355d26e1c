//! `POST Messages.json`: validated as Twilio validates, recorded, answered, or not.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use domain::instant::Instant;
use http::{StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;

use super::journal::Line;
use super::messages::resource;
use super::outbox;
use super::record::{Kept, RECEIPTS};
use super::server::{Answer, Dropped, json, refusal};
use super::{Knobs, Shared};
use crate::wire::{MessageStatus, Sid};

/// The largest body of a text, in UTF-16 units (21617).
const BODY_UNITS_MAX: usize = 1600;
/// How far ahead a text can be scheduled: more than that, and at most this (35115).
const SCHEDULE_AHEAD: (Duration, Duration) =
    (Duration::from_secs(300), Duration::from_secs(35 * 24 * 60 * 60));

/// The parameters that the sandbox looks at; others are ignored, as Twilio does.
#[derive(Default)]
struct Wanted {
    to: String,
    from: String,
    service: String,
    body: String,
    callback: Option<String>,
    has_media: bool,
    send_at: Option<Instant>,
    scheduled: bool,
    validity: Option<String>,
}

impl Wanted {
    fn parse(body: &[u8]) -> Self {
        let mut wanted = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            match &*name {
                "To" => wanted.to = value.into_owned(),
                "From" => wanted.from = value.into_owned(),
                "MessagingServiceSid" => wanted.service = value.into_owned(),
                "Body" => wanted.body = value.into_owned(),
                "StatusCallback" if value.is_empty() => {}
                "StatusCallback" => wanted.callback = Some(value.into_owned()),
                "MediaUrl" | "ContentSid" => wanted.has_media = true,
                "SendAt" => wanted.send_at = Instant::parse(&value),
                "ScheduleType" => wanted.scheduled = value == "fixed",
                "ValidityPeriod" => wanted.validity = Some(value.into_owned()),
                _ => {}
            }
        }
        wanted
    }

    /// Twilio's objection: code and words (FACTS 1.1, 2 and 9).
    fn objection(&self, now: Instant) -> Option<(u32, String)> {
        self.objection_to_numbers().or_else(|| self.objection_to_the_rest(now))
    }

    fn objection_to_numbers(&self) -> Option<(u32, String)> {
        let say = |code: u32, words: &str| Some((code, words.to_owned()));
        if self.to.is_empty() {
            return say(21604, "A 'To' phone number is required.");
        }
        match self.to.as_str() {
            "+15005550001" => return say(21211, "Invalid 'To' Phone Number: +15005550001"),
            "+15005550002" => return say(21612, "The 'To' phone number cannot be reached"),
            "+15005550003" => {
                return say(21408, "Permission to send to this region is not enabled");
            }
            "+15005550004" => return say(21610, "Attempt to send to unsubscribed recipient"),
            "+15005550009" => return say(21614, "'To' number is not a valid mobile number"),
            _ => {}
        }
        if !is_address(&self.to) {
            return Some((21211, format!("Invalid 'To' Phone Number: {}", self.to)));
        }
        if self.from.is_empty() && self.service.is_empty() {
            return say(21603, "A 'From' phone number or 'MessagingServiceSid' is required.");
        }
        match self.from.as_str() {
            "+15005550001" => return say(21212, "Invalid 'From' Phone Number: +15005550001"),
            "+15005550007" => return say(21606, "The 'From' phone number is not yours"),
            "+15005550008" => return say(21611, "This 'From' number has a full queue"),
            _ => {}
        }
        None
    }

    fn objection_to_the_rest(&self, now: Instant) -> Option<(u32, String)> {
        let say = |code: u32, words: &str| Some((code, words.to_owned()));
        if self.body.is_empty() && !self.has_media {
            return say(21602, "Message body is required.");
        }
        if self.body.encode_utf16().count() > BODY_UNITS_MAX {
            return say(21617, "The concatenated message body exceeds the 1600 character limit");
        }
        let validity = self.validity.as_ref().map(|text| text.parse::<u32>());
        if validity.is_some_and(|secs| !secs.is_ok_and(|secs| (1..=36_000).contains(&secs))) {
            return say(21624, "ValidityPeriod must be from 1 to 36000 seconds");
        }
        if self.callback.as_deref().is_some_and(|url| !is_web_address(url)) {
            return say(21609, "The 'StatusCallback' URL is not valid");
        }
        if self.scheduled && self.service.is_empty() {
            return say(35118, "MessagingServiceSid is required to schedule a message");
        }
        let (over, most) = SCHEDULE_AHEAD;
        let fits = |at: Instant| at > now + over && at <= now + most;
        if self.scheduled && !self.send_at.is_some_and(fits) {
            return say(35115, "SendAt must be more than 300 seconds and at most 35 days ahead");
        }
        None
    }
}

/// A phone number, or an address of another channel.
fn is_address(to: &str) -> bool {
    let number = to.strip_prefix("whatsapp:").unwrap_or(to);
    number.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// An absolute `http` or `https` address.
fn is_web_address(url: &str) -> bool {
    let before = url.split('#').next().unwrap_or_default();
    before
        .parse::<Uri>()
        .is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}

/// Answers a create request.
pub(super) async fn answer(shared: &Shared, account: &str, body: &[u8]) -> Result<Answer, Dropped> {
    let knobs = shared.knobs();
    shared.record().count_request();
    if shared.happens(knobs.share_429) {
        wait(shared, knobs).await;
        return Ok(refusal(StatusCode::TOO_MANY_REQUESTS, 20429, "Too Many Requests"));
    }
    if shared.happens(knobs.share_500_before) {
        wait(shared, knobs).await;
        return Ok(broken());
    }
    if shared.happens(knobs.share_drop_before) {
        return Err(Dropped);
    }
    if shared.happens(knobs.share_hang) {
        return std::future::pending().await;
    }
    let wanted = Wanted::parse(body);
    if let Some((code, words)) = wanted.objection(shared.clock.now()) {
        wait(shared, knobs).await;
        return Ok(refusal(StatusCode::BAD_REQUEST, code, &words));
    }
    // Nothing is awaited between here and the record: a caller that dies cannot undo it.
    let created = accept(shared, account, wanted, knobs);
    if shared.happens(knobs.share_500_after) {
        return Ok(broken());
    }
    if shared.happens(knobs.share_drop) {
        return Err(Dropped);
    }
    if shared.happens(knobs.share_hang_after) {
        return std::future::pending().await;
    }
    wait(shared, knobs).await;
    if shared.happens(knobs.share_truncate) {
        return Ok(cut_short(&created));
    }
    Ok(json(StatusCode::CREATED, created))
}

fn accept(shared: &Shared, account: &str, wanted: Wanted, knobs: Knobs) -> String {
    let mut bytes = [0; 16];
    shared.dice.fill(&mut bytes);
    let sid = if wanted.has_media { Sid::media(bytes) } else { Sid::text(bytes) };
    let fate = if shared.happens(knobs.share_failed) {
        MessageStatus::Failed
    } else if shared.happens(knobs.share_undelivered) {
        MessageStatus::Undelivered
    } else {
        MessageStatus::Delivered
    };
    let send_at = wanted.send_at.filter(|_| wanted.scheduled);
    let service = !wanted.service.is_empty();
    let from = if service { &wanted.service } else { &wanted.from };
    let mut record = shared.record();
    let (account, from) = (record.intern(account), record.intern(from));
    let body = record.intern(&wanted.body);
    drop(record);
    let kept = Kept {
        sid,
        account,
        to: wanted.to.into(),
        from,
        service,
        segments: domain::segments::billable(&wanted.body),
        body,
        callback: wanted.callback.map(Into::into),
        at: shared.clock.now(),
        send_at,
        status: Kept::first_status(service, send_at),
        error: None,
        fate,
        redacted: false,
        deleted: false,
        receipts_open: RECEIPTS,
        closed: false,
        previous: None,
    };
    let created = resource(&kept);
    shared.journal.append(&Line::accepted(&kept));
    let index = shared.record().insert(kept);
    outbox::take_up(shared, index);
    created
}

async fn wait(shared: &Shared, knobs: Knobs) {
    let jitter = match knobs.latency_jitter_ms {
        0 => 0,
        most => shared.dice.below(most),
    };
    let latency = knobs.latency_ms + jitter;
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
}

fn broken() -> Answer {
    refusal(StatusCode::INTERNAL_SERVER_ERROR, 20500, "An internal server error has occurred")
}

/// An answer that promises its whole length and breaks off before the SID.
fn cut_short(created: &str) -> Answer {
    let whole = created.len();
    let upto = created.find("\"sid\"").unwrap_or(whole / 2);
    let part = Bytes::copy_from_slice(&created.as_bytes()[..upto]);
    let frames = [
        Ok(Frame::data(part)),
        Err(io::Error::new(io::ErrorKind::ConnectionReset, "cut short on purpose")),
    ];
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let mut answer = json(StatusCode::CREATED, Bytes::new());
    answer.headers_mut().insert(http::header::CONTENT_LENGTH, whole.into());
    *answer.body_mut() = BoxBody::new(body.map_err(|error: io::Error| error));
    answer
}
