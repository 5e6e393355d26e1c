//! What Twilio's published description of `POST /Messages.json` forbids, found before a byte is
//! written: cheaper than a refusal, and it names the parameter. Each rule has the code with which
//! Twilio would refuse (FACTS 1.1 and 2). What only Twilio knows (routes, opt-outs, queues, whose
//! number it is) stays for its answer.

use std::time::Duration;

use domain::instant::Instant;
use http::Uri;
use serde_json::Value;
use thiserror::Error;

use super::channel::{Channel, is_e164, prefix_of};
use super::request::{CreateMessage, Sender};

/// The longest body, in UTF-16 units: Twilio says characters and counts those beyond the BMP
/// twice (21617).
pub const BODY_UNITS_MAX: usize = 1600;
/// The most media of one message (21623).
pub const MEDIA_MAX: usize = 10;
/// The longest wait in Twilio's queue, in seconds (21624).
pub const VALIDITY_SECS_MAX: u32 = 36_000;
/// The longest alphanumeric sender, in characters.
const ALPHANUMERIC_CHARS_MAX: usize = 11;
/// How far ahead a message can be scheduled: more than the first, at most the second (35115).
const SCHEDULE_AHEAD: (Duration, Duration) =
    (Duration::from_secs(300), Duration::from_secs(35 * 24 * 60 * 60));

/// A message that Twilio would refuse.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{parameter}: {problem} (Twilio {code})")]
pub struct Forbidden {
    /// The parameter at fault, by Twilio's name.
    pub parameter: &'static str,
    /// The code Twilio would refuse with.
    pub code: u32,
    /// What is wrong with it, for people.
    pub problem: String,
}

impl CreateMessage<'_> {
    /// Refuses what Twilio would refuse whatever the account, with the parameter's name; the first
    /// fault counts. `now` is what `SendAt` is held against.
    pub fn check(&self, now: Instant) -> Result<(), Forbidden> {
        self.check_addresses()?;
        self.check_content()?;
        self.check_callback()?;
        self.check_times(now)
    }

    fn check_addresses(&self) -> Result<(), Forbidden> {
        let (service, from) = match self.sender {
            Sender::From(from) => (None, Some(from)),
            Sender::Service(service) => (Some(service), None),
            Sender::ServiceFrom { service, from } => (Some(service), Some(from)),
        };
        hold(!self.to.is_empty(), "To", 21604, || "is missing".to_owned())?;
        hold(is_recipient(self.to), "To", 21211, || {
            format!("{:?} is neither E.164 nor a channel address", self.to)
        })?;
        hold(service.is_none_or(|sid| is_sid(sid, "MG")), "MessagingServiceSid", 21705, || {
            "is not MG and 32 hex digits".to_owned()
        })?;
        let Some(from) = from else { return Ok(()) };
        hold(!from.is_empty(), "From", 21603, || "is missing".to_owned())?;
        hold(is_sender(from), "From", 21212, || {
            format!("{from:?} is no number, short code, channel address or name of a sender")
        })?;
        hold(prefix_of(from) == prefix_of(self.to), "From", 21910, || {
            format!("{from:?} is of another channel than {:?}", self.to)
        })?;
        hold(from != self.to, "To", 21266, || "is the sender itself".to_owned())
    }

    fn check_content(&self) -> Result<(), Forbidden> {
        let units = self.body.encode_utf16().count();
        hold(units > 0 || self.has_other_content(), "Body", 21602, || {
            "is empty, and there is neither media nor a template".to_owned()
        })?;
        hold(units <= BODY_UNITS_MAX, "Body", 21617, || {
            format!("has {units} characters; {BODY_UNITS_MAX} are the most")
        })?;
        hold(self.media_urls.len() <= MEDIA_MAX, "MediaUrl", 21623, || {
            format!("stands {} times; {MEDIA_MAX} are the most", self.media_urls.len())
        })?;
        let unreachable = self.media_urls.iter().find(|url| !is_web_address(url));
        hold(unreachable.is_none(), "MediaUrl", 21620, || {
            format!("{:?} is not an http or https address", unreachable.unwrap_or(&""))
        })?;
        hold(self.content_sid.is_none_or(|sid| is_sid(sid, "HX")), "ContentSid", 21655, || {
            "is not HX and 32 hex digits".to_owned()
        })?;
        let Some(variables) = self.content_variables else { return Ok(()) };
        hold(self.content_sid.is_some(), "ContentVariables", 21654, || {
            "needs a ContentSid".to_owned()
        })?;
        hold(is_json_object(variables), "ContentVariables", 21656, || {
            "is not a JSON object".to_owned()
        })
    }

    fn check_callback(&self) -> Result<(), Forbidden> {
        hold(self.status_callback.is_none_or(is_reachable), "StatusCallback", 21609, || {
            "is not an http or https address of a host without underscores".to_owned()
        })
    }

    fn check_times(&self, now: Instant) -> Result<(), Forbidden> {
        let secs = self.validity_period_secs.unwrap_or(VALIDITY_SECS_MAX);
        hold((1..=VALIDITY_SECS_MAX).contains(&secs), "ValidityPeriod", 21624, || {
            format!("is {secs} seconds; it goes from 1 to {VALIDITY_SECS_MAX}")
        })?;
        let Some(at) = self.send_at else { return Ok(()) };
        hold(!matches!(self.sender, Sender::From(_)), "MessagingServiceSid", 35118, || {
            "is needed to schedule a message".to_owned()
        })?;
        hold(fits_schedule(at, now), "SendAt", 35115, || {
            format!("{at} is not more than 300 seconds and at most 35 days ahead")
        })
    }
}

fn hold(
    holds: bool,
    parameter: &'static str,
    code: u32,
    problem: impl FnOnce() -> String,
) -> Result<(), Forbidden> {
    if holds { Ok(()) } else { Err(Forbidden { parameter, code, problem: problem() }) }
}

/// A number, on SMS or `WhatsApp`, or whatever another channel calls an address.
fn is_recipient(to: &str) -> bool {
    match Channel::split(to) {
        Some((_, number)) => is_e164(number),
        None => to.len() > prefix_of(to).len(),
    }
}

/// A number, a short code, a channel address, or a name with at least one letter.
pub(crate) fn is_sender(from: &str) -> bool {
    let is_code = (3..=6).contains(&from.len()) && from.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = from.chars().count() <= ALPHANUMERIC_CHARS_MAX
        && from.bytes().any(|byte| byte.is_ascii_alphabetic())
        && from.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" +-_&".contains(&byte));
    is_recipient(from) || is_code || is_name
}

/// Whether it is `prefix` and 32 hex digits.
pub(crate) fn is_sid(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// An absolute `http` or `https` address; what follows `#` is for Twilio alone.
pub(crate) fn is_web_address(url: &str) -> bool {
    let before = url.split('#').next().unwrap_or_default();
    before.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    })
}

/// Whether a callback can go there: Twilio takes no host with an underscore.
pub(crate) fn is_reachable(url: &str) -> bool {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest);
    let host = authority.split(['/', '?', '#']).next().unwrap_or_default();
    is_web_address(url) && !host.contains('_')
}

fn is_json_object(text: &str) -> bool {
    matches!(serde_json::from_str(text), Ok(Value::Object(_)))
}

/// Whether a message can be scheduled for then.
pub(crate) fn fits_schedule(at: Instant, now: Instant) -> bool {
    let (over, most) = SCHEDULE_AHEAD;
    at > now + over && at <= now + most
}
