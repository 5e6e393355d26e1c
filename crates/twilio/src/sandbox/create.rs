//! `POST Messages.json`: validated as Twilio validates, recorded, answered, or not.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use domain::instant::Instant;
use http::StatusCode;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;

use super::journal::Line;
use super::messages::resource;
use super::outbox;
use super::record::Kept;
use super::server::{Answer, Dropped, json, refusal};
use super::{Knobs, Shared};
use crate::wire::{
    BODY_UNITS_MAX, MEDIA_MAX, MessageStatus, Sid, VALIDITY_SECS_MAX, fits_schedule, is_e164,
    is_reachable, is_sender, is_sid, is_web_address, prefix_of,
};

/// The parameters that the sandbox looks at; others are ignored, as Twilio does.
#[derive(Default)]
struct Wanted {
    to: String,
    from: String,
    service: String,
    body: Option<String>,
    callback: Option<String>,
    media_urls: Vec<String>,
    content_sid: Option<String>,
    content_variables: Option<String>,
    send_at: Option<Instant>,
    scheduled: bool,
    validity: Option<String>,
}

/// Twilio's objection: code and words (FACTS 1.1, 2 and 9).
type Objection = (u32, String);

fn say(code: u32, words: &str) -> Result<(), Objection> {
    Err((code, words.to_owned()))
}

impl Wanted {
    fn parse(body: &[u8]) -> Self {
        let mut wanted = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            match &*name {
                "To" => wanted.to = value.into_owned(),
                "From" => wanted.from = value.into_owned(),
                "MessagingServiceSid" => wanted.service = value.into_owned(),
                "Body" => wanted.body = Some(value.into_owned()),
                "StatusCallback" if value.is_empty() => {}
                "StatusCallback" => wanted.callback = Some(value.into_owned()),
                "MediaUrl" => wanted.media_urls.push(value.into_owned()),
                "ContentSid" => wanted.content_sid = Some(value.into_owned()),
                "ContentVariables" => wanted.content_variables = Some(value.into_owned()),
                "SendAt" => wanted.send_at = Instant::parse(&value),
                "ScheduleType" => wanted.scheduled = value == "fixed",
                "ValidityPeriod" => wanted.validity = Some(value.into_owned()),
                _ => {}
            }
        }
        wanted
    }

    /// What Twilio objects to, the addresses first.
    fn objection(&self, now: Instant) -> Result<(), Objection> {
        self.hold_recipient()?;
        self.hold_sender()?;
        self.hold_content()?;
        self.hold_times(now)
    }

    fn hold_recipient(&self) -> Result<(), Objection> {
        match self.to.as_str() {
            "" => say(21604, "A 'To' phone number is required."),
            "+15005550001" => say(21211, "Invalid 'To' Phone Number: +15005550001"),
            "+15005550002" => say(21612, "The 'To' phone number cannot be reached"),
            "+15005550003" => say(21408, "Permission to send to this region is not enabled"),
            "+15005550004" => say(21610, "Attempt to send to unsubscribed recipient"),
            "+15005550009" => say(21614, "'To' number is not a valid mobile number"),
            to if !is_address(to) => Err((21211, format!("Invalid 'To' Phone Number: {to}"))),
            _ => Ok(()),
        }
    }

    fn hold_sender(&self) -> Result<(), Objection> {
        if self.from.is_empty() && self.service.is_empty() {
            return say(21603, "A 'From' phone number or 'MessagingServiceSid' is required.");
        }
        if !self.service.is_empty() && !is_sid(&self.service, "MG") {
            return say(21705, "The 'MessagingServiceSid' is not valid");
        }
        match self.from.as_str() {
            "" => return Ok(()),
            "+15005550001" => return say(21212, "Invalid 'From' Phone Number: +15005550001"),
            "+15005550007" => return say(21606, "The 'From' phone number is not yours"),
            "+15005550008" => return say(21611, "This 'From' number has a full queue"),
            from if !is_sender(from) => {
                return Err((21212, format!("Invalid 'From' Phone Number: {from}")));
            }
            _ => {}
        }
        if prefix_of(&self.from) != prefix_of(&self.to) {
            return say(21910, "'From' and 'To' must be of the same channel");
        }
        if self.from == self.to {
            return say(21266, "'To' and 'From' number cannot be the same");
        }
        Ok(())
    }

    fn hold_content(&self) -> Result<(), Objection> {
        let body = self.body.as_deref().unwrap_or_default();
        if body.is_empty() && self.media_urls.is_empty() && self.content_sid.is_none() {
            return match self.body {
                Some(_) => say(21602, "Message body is required."),
                None => say(21619, "A text message body or media urls must be specified."),
            };
        }
        if body.encode_utf16().count() > BODY_UNITS_MAX {
            return say(21617, "The concatenated message body exceeds the 1600 character limit");
        }
        if self.media_urls.len() > MEDIA_MAX {
            return say(21623, "Number of media files exceeds allowed limit");
        }
        if !self.media_urls.iter().all(|url| is_web_address(url)) {
            return say(21620, "Invalid media URL(s)");
        }
        match (&self.content_sid, &self.content_variables) {
            (Some(sid), _) if !is_sid(sid, "HX") => say(21655, "The 'ContentSid' is not valid"),
            (None, Some(_)) => say(21654, "ContentSid is required with ContentVariables"),
            (_, Some(text)) if serde_json::from_str::<Variables>(text).is_err() => {
                say(21656, "The 'ContentVariables' parameter is invalid")
            }
            _ => Ok(()),
        }
    }

    fn hold_times(&self, now: Instant) -> Result<(), Objection> {
        if self.callback.as_deref().is_some_and(|url| !is_reachable(url)) {
            return say(21609, "The 'StatusCallback' URL is not valid");
        }
        let validity = self.validity.as_ref().map(|text| text.parse::<u32>());
        let fits = |secs: Result<u32, _>| secs.is_ok_and(|s| (1..=VALIDITY_SECS_MAX).contains(&s));
        if validity.is_some_and(|secs| !fits(secs)) {
            return say(21624, "ValidityPeriod must be from 1 to 36000 seconds");
        }
        if self.scheduled && self.service.is_empty() {
            return say(35118, "MessagingServiceSid is required to schedule a message");
        }
        if self.scheduled && !self.send_at.is_some_and(|at| fits_schedule(at, now)) {
            return say(35115, "SendAt must be more than 300 seconds and at most 35 days ahead");
        }
        Ok(())
    }

    /// Whose STOP it must heed: the service's, or the number's.
    fn sender(&self) -> &str {
        if self.service.is_empty() { &self.from } else { &self.service }
    }
}

fn hold_consent(shared: &Shared, wanted: &Wanted) -> Result<(), Objection> {
    if shared.record().is_opted_out(wanted.sender(), &wanted.to) {
        return say(21610, "Attempt to send to unsubscribed recipient");
    }
    Ok(())
}

/// What fills a template's gaps.
type Variables = serde_json::Map<String, serde_json::Value>;

/// A phone number, on SMS or on another channel; its shortest has seven digits here.
fn is_address(to: &str) -> bool {
    let number = &to[prefix_of(to).len()..];
    is_e164(number) && number.len() > 7
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
    let objection = wanted.objection(shared.clock.now());
    let objection = objection.and_then(|()| hold_consent(shared, &wanted));
    if let Err((code, words)) = objection {
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
    let media = u8::try_from(wanted.media_urls.len()).expect("at most ten");
    let sid = if media > 0 { Sid::media(bytes) } else { Sid::text(bytes) };
    let at = shared.clock.now();
    let send_at = wanted.send_at.filter(|_| wanted.scheduled);
    let (leaves_at, expires) = queue(&wanted, knobs, send_at.unwrap_or(at));
    let fate = if expires || shared.happens(knobs.share_failed) {
        MessageStatus::Failed
    } else if shared.happens(knobs.share_undelivered) {
        MessageStatus::Undelivered
    } else {
        MessageStatus::Delivered
    };
    let service = !wanted.service.is_empty();
    let text = wanted.body.as_deref().unwrap_or_default();
    let mut record = shared.record();
    let (account, from) = (record.intern(account), record.intern(wanted.sender()));
    let asked_for = service && !wanted.from.is_empty();
    let sender = asked_for.then(|| record.intern(&wanted.from));
    let body = record.intern(text);
    drop(record);
    let kept = Kept {
        sid,
        account,
        segments: domain::segments::billable(text),
        to: wanted.to.into(),
        from,
        service,
        sender,
        body,
        media,
        callback: wanted.callback.map(Into::into),
        at,
        send_at,
        leaves_at,
        expires,
        status: Kept::first_status(service, send_at),
        error: None,
        fate,
        redacted: false,
        deleted: false,
        receipts_open: 0,
        closed: false,
        previous: None,
    };
    let created = resource(&kept);
    shared.journal.append(&Line::accepted(&kept));
    let index = shared.record().insert(kept);
    outbox::take_up(shared, index);
    created
}

/// When a text leaves its sender's queue, if it waits there at all, and whether it is only because
/// its validity ends.
fn queue(wanted: &Wanted, knobs: Knobs, since: Instant) -> (Option<Instant>, bool) {
    if knobs.queue_delay_ms == 0 {
        return (None, false);
    }
    let delay = Duration::from_millis(knobs.queue_delay_ms);
    let validity = wanted.validity.as_ref().and_then(|secs| secs.parse().ok());
    let validity = Duration::from_secs(validity.unwrap_or(u64::from(VALIDITY_SECS_MAX)));
    (Some(since + delay.min(validity)), validity < delay)
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
