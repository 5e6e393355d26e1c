//! Messages drawn by chance: mostly what one would send, now and then what Twilio refuses.

use std::fmt::Debug;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use twilio::wire::{Channel, CreateMessage, Sender};

use crate::rig::{NOW, SERVICE};

pub const TEMPLATE: &str = "HX0123456789abcdef0123456789abcdef";

/// A message with parts that own their text.
#[derive(Clone, Debug)]
pub struct Draft {
    to: String,
    service: Option<&'static str>,
    from: Option<String>,
    body: String,
    media: Vec<&'static str>,
    content_sid: Option<&'static str>,
    content_variables: Option<&'static str>,
    callback: Option<&'static str>,
    validity_secs: Option<u32>,
    smart: Option<bool>,
    risk: Option<bool>,
    ahead_secs: Option<u64>,
}

impl Draft {
    pub fn message(&self) -> CreateMessage<'_> {
        let from = self.from.as_deref().unwrap_or_default();
        let sender = match self.service {
            None => Sender::From(from),
            Some(service) if from.is_empty() => Sender::Service(service),
            Some(service) => Sender::ServiceFrom { service, from },
        };
        CreateMessage {
            status_callback: self.callback,
            validity_period_secs: self.validity_secs,
            smart_encoded: self.smart,
            send_at: self.ahead_secs.map(|secs| NOW + Duration::from_secs(secs)),
            media_urls: &self.media,
            risk_check: self.risk,
            content_sid: self.content_sid,
            content_variables: self.content_variables,
            ..CreateMessage::new(&self.to, sender, &self.body)
        }
    }

    /// The parameters as they must be heard, by name.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let text = |text: &str| text.to_owned();
        let word = |is: bool, yes: &str, no: &str| text(if is { yes } else { no });
        let at = self.ahead_secs.map(|secs| (NOW + Duration::from_secs(secs)).to_string());
        let from = self.from.clone().filter(|from| !from.is_empty() || self.service.is_none());
        let from = if self.service.is_none() { from.or_else(|| Some(text(""))) } else { from };
        let alone = self.media.is_empty() && self.content_sid.is_none();
        let body = (!self.body.is_empty() || alone).then(|| self.body.clone());
        let mut all: Vec<(&'static str, Option<String>)> = vec![
            ("Body", body),
            ("ContentSid", self.content_sid.map(text)),
            ("ContentVariables", self.content_variables.map(text)),
            ("From", from),
            ("MessagingServiceSid", self.service.map(text)),
            ("RiskCheck", self.risk.map(|is| word(is, "enable", "disable"))),
            ("ScheduleType", at.as_ref().map(|_| text("fixed"))),
            ("SendAt", at),
            ("SmartEncoded", self.smart.map(|is| word(is, "true", "false"))),
            ("StatusCallback", self.callback.map(text)),
            ("To", Some(self.to.clone())),
            ("ValidityPeriod", self.validity_secs.map(|secs| secs.to_string())),
        ];
        all.extend(self.media.iter().map(|url| ("MediaUrl", Some(text(url)))));
        all.sort();
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Mostly the first, one time in ten the second.
fn mostly<T: Clone + Debug + 'static>(
    usual: impl Strategy<Value = T> + 'static,
    odd: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    prop_oneof![9 => usual, 1 => odd].boxed()
}

/// None as often as not.
fn perhaps<T: Clone + Debug + 'static>(
    some: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<T>> {
    prop::option::of(some).boxed()
}

prop_compose! {
    fn addresses()(
        channel in select(vec![Channel::Sms, Channel::Sms, Channel::Sms, Channel::WhatsApp]),
        to in mostly("\\+[1-9][0-9]{9,13}", "[+0-9a-z:]{0,12}"),
        from in perhaps(mostly("\\+1[2-9][0-9]{9}", ".{0,12}")),
        same_channel in prop::bool::weighted(0.95),
    ) -> (String, Option<String>) {
        let side = if same_channel { channel } else { Channel::Sms };
        let from = from.map(|from| side.address(&from).into_owned());
        (channel.address(&to).into_owned(), from)
    }
}

const MEDIA: &str = "https://m.example/a?b=c&d=e";
const FAR: [&str; 2] = ["https://h.example/r?x=1&y=%27#rc=5&rp=all", "http://127.0.0.1:8080/r"];
const NOWHERE: [&str; 2] = ["https://under_score.example/r", "ftp://h.example/r"];

prop_compose! {
    fn drafts()(
        (to, from) in addresses(),
        service in select(vec![None, None, Some(SERVICE), Some(SERVICE), Some("MG1")]),
        body in mostly(".{1,200}", "|[a😀]{1598,1602}"),
        media in mostly(
            prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(Just(MEDIA), 1..=10)],
            prop_oneof![Just(vec![MEDIA; 11]), Just(vec!["not a URL"])],
        ),
        content_sid in select(vec![None, None, None, Some(TEMPLATE), Some("HX1")]),
        content_variables in select(vec![None, None, None, None, Some("{\"1\":\"x\"}"), Some("x")]),
        callback in perhaps(mostly(select(&FAR), select(&NOWHERE))),
        validity_secs in perhaps(mostly(1_u32..=36_000, select(vec![0, 36_001]))),
        smart in any::<Option<bool>>(),
        risk in any::<Option<bool>>(),
        ahead_secs in mostly(
            Just(None),
            perhaps(mostly(301_u64..3_024_000, select(vec![300, 3_024_001]))),
        ),
    ) -> Draft {
        Draft {
            to, service, from, body, media, content_sid, content_variables, callback,
            validity_secs, smart, risk, ahead_secs,
        }
    }
}

/// Runs a property over `cases` drafts.
pub fn for_all(cases: u32, holds: impl Fn(&Draft) -> Result<(), TestCaseError>) {
    let config = ProptestConfig { failure_persistence: None, cases, ..ProptestConfig::default() };
    let result = TestRunner::new(config).run(&drafts(), |draft| holds(&draft));
    result.unwrap_or_else(|failure| panic!("{failure}"));
}
