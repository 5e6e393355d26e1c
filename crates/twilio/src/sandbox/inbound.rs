//! Texts from phones: posted to the account's webhook as Twilio posts them (FACTS 3.1), and heeded
//! when they are a STOP or a START (FACTS 4).
//!
//! They are not part of the record of messages, which is about what was sent.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Shared;
use super::journal::Line;
use super::webhook::{Answered, POST_TIMEOUT, Retries, Webhook};
use crate::wire::{Channel, Sid};

/// The pause before a webhook is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// A text from a phone to one of the account's senders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inbound {
    /// The phone, E.164 or a channel address.
    pub from: String,
    /// The sender that it texts.
    pub to: String,
    /// The text.
    #[serde(default)]
    pub body: String,
    /// The messaging service (`MG…`) that the sender belongs to, with Advanced Opt-Out: STOP and
    /// START are then about the whole service, and the webhook says `OptOutType`.
    #[serde(default)]
    pub service: Option<String>,
    /// What it carries: an address and a content type each.
    #[serde(default)]
    pub media: Vec<(String, String)>,
    /// Where the webhook goes; its fragment may override Twilio's retries (FACTS 3.4).
    pub webhook: String,
}

/// What became of a text from a phone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Received {
    /// Its SID.
    pub sid: Sid,
    /// Whether it is one of the words that Twilio heeds.
    pub keyword: Option<Keyword>,
    /// The HTTP status of the webhook's last answer; `None` when nobody answered.
    pub answered: Option<u16>,
    /// How often the webhook was tried.
    pub tries: u32,
}

/// A word that Twilio heeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Keyword {
    /// No more texts from this sender: later ones are refused with 21610.
    Stop,
    /// Texts again.
    Start,
    /// A question for help.
    Help,
}

impl Keyword {
    /// The keyword that a text is, in whole and in any case: `STOP please` is none (FACTS 4).
    pub fn of(body: &str) -> Option<Self> {
        match body.trim().to_ascii_uppercase().as_str() {
            "STOP" | "STOPALL" | "UNSUBSCRIBE" | "CANCEL" | "END" | "QUIT" | "OPTOUT"
            | "REVOKE" => Some(Self::Stop),
            "START" | "YES" | "UNSTOP" => Some(Self::Start),
            "HELP" | "INFO" => Some(Self::Help),
            _ => None,
        }
    }

    /// `OptOutType`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "STOP",
            Self::Start => "START",
            Self::Help => "HELP",
        }
    }
}

/// Takes in a text, heeds it, and posts the webhook until it is answered or given up.
pub(super) async fn receive(shared: &Shared, inbound: &Inbound) -> Received {
    let keyword = Keyword::of(&inbound.body);
    heed(shared, inbound, keyword);
    let mut bytes = [0; 16];
    shared.dice.fill(&mut bytes);
    let sid = if inbound.media.is_empty() { Sid::text(bytes) } else { Sid::media(bytes) };
    let account = shared.main_account();
    let params = params_of(inbound, &account, sid, keyword);
    let params: Vec<(&str, &str)> =
        params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let webhook = Webhook {
        url: &inbound.webhook,
        auth_token: &shared.token_of(&account),
        idempotency_token: &sid.to_string(),
        params: &params,
    };
    let retries = Retries::of(&inbound.webhook);
    let deadline = Instant::now() + POST_TIMEOUT;
    let mut tries = 0;
    loop {
        let answered = shared.poster.post(&webhook, deadline).await;
        let again = answered.is_some_and(|end| retries.allow(end, tries));
        tries += 1;
        if !again || Instant::now() + RETRY_PAUSE >= deadline {
            let answered = match answered {
                Some(Answered::With(status)) => Some(status),
                Some(Answered::Unreached | Answered::Broken) | None => None,
            };
            return Received { sid, keyword, answered, tries };
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Notes what the phone wants of the sender, or of the whole service.
fn heed(shared: &Shared, inbound: &Inbound, keyword: Option<Keyword>) {
    let opted_out = match keyword {
        Some(Keyword::Stop) => true,
        Some(Keyword::Start) => false,
        Some(Keyword::Help) | None => return,
    };
    let sender = inbound.service.as_deref().unwrap_or(&inbound.to);
    shared.record().set_opted_out(sender, &inbound.from, opted_out);
    let (phone, sender) = (inbound.from.as_str().into(), sender.into());
    shared.journal.append(&Line::Consent { phone, sender, opted_out });
}

/// The form: places are empty, as Twilio posts them when it does not know.
fn params_of(
    inbound: &Inbound,
    account: &str,
    sid: Sid,
    keyword: Option<Keyword>,
) -> Vec<(String, String)> {
    let sid = sid.to_string();
    let segments = domain::segments::billable(&inbound.body).to_string();
    let mut params: Vec<(String, String)> = [
        ("MessageSid", &*sid),
        ("SmsSid", &sid),
        ("SmsMessageSid", &sid),
        ("AccountSid", account),
        ("From", &inbound.from),
        ("To", &inbound.to),
        ("Body", &inbound.body),
        ("SmsStatus", "received"),
        ("NumMedia", &inbound.media.len().to_string()),
        ("NumSegments", &segments),
        ("ReferralNumMedia", "0"),
        ("ApiVersion", "2010-04-01"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for side in ["From", "To"] {
        for place in ["City", "State", "Zip", "Country"] {
            params.push((format!("{side}{place}"), String::new()));
        }
    }
    let mut add = |name: &str, value: &str| params.push((name.to_owned(), value.to_owned()));
    if let Some(service) = &inbound.service {
        add("MessagingServiceSid", service);
        if let Some(keyword) = keyword {
            add("OptOutType", keyword.as_str());
        }
    }
    for (n, (url, kind)) in inbound.media.iter().enumerate() {
        add(&format!("MediaUrl{n}"), url);
        add(&format!("MediaContentType{n}"), kind);
    }
    if let Some((Channel::WhatsApp, number)) = Channel::split(&inbound.from) {
        add("WaId", number.trim_start_matches('+'));
        add("ProfileName", "Somebody");
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lone_word_is_a_keyword() {
        #[rustfmt::skip]
        let cases = [
            ("STOP", Some(Keyword::Stop)),
            ("stop", Some(Keyword::Stop)),
            (" Unsubscribe\n", Some(Keyword::Stop)),
            ("OptOut", Some(Keyword::Stop)),
            ("revoke", Some(Keyword::Stop)),
            ("STOP please", None),
            ("stop.", None),
            ("please stop", None),
            ("YES", Some(Keyword::Start)),
            ("unstop", Some(Keyword::Start)),
            ("Info", Some(Keyword::Help)),
            ("", None),
        ];
        for (body, keyword) in cases {
            assert_eq!(Keyword::of(body), keyword, "{body:?}");
        }
    }
}
