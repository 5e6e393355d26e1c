//! What the Messages API answers.

use std::borrow::Cow;
use std::fmt;

use domain::instant::Instant;
use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A message as Twilio shows it. Every field may be null (FACTS 1.2), numbers may be strings, and
/// unknown fields are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageResource {
    /// `SM…` or `MM…`; kept as text, parse it with [`super::Sid`].
    pub sid: Option<String>,
    /// The account, `AC…`.
    pub account_sid: Option<String>,
    /// The service, `MG…`.
    pub messaging_service_sid: Option<String>,
    /// The sender; null until a service picks one.
    pub from: Option<String>,
    /// The recipient.
    pub to: Option<String>,
    /// The text; empty when redacted.
    pub body: Option<String>,
    /// The status word; parse it with [`super::MessageStatus`].
    pub status: Option<String>,
    /// `inbound`, `outbound-api`, `outbound-call` or `outbound-reply`.
    pub direction: Option<String>,
    /// A number as a string; `"0"` at first with a service.
    pub num_segments: Option<String>,
    /// A number as a string.
    pub num_media: Option<String>,
    /// A negative decimal as a string; null until billed.
    pub price: Option<String>,
    /// ISO 4217.
    pub price_unit: Option<String>,
    /// The delivery error.
    pub error_code: Option<i64>,
    /// Its text, which Twilio asks not to branch on.
    pub error_message: Option<String>,
    /// RFC 2822.
    pub date_created: Option<String>,
    /// RFC 2822; null until sent.
    pub date_sent: Option<String>,
    /// RFC 2822.
    pub date_updated: Option<String>,
    /// `2010-04-01`.
    pub api_version: Option<String>,
    /// The resource's path.
    pub uri: Option<String>,
}

impl MessageResource {
    /// The SID, when present and well-formed.
    pub fn message_sid(&self) -> Option<super::Sid> {
        self.sid.as_deref()?.parse().ok()
    }

    /// The status, when it is one that Twilio documents.
    pub fn message_status(&self) -> Option<super::MessageStatus> {
        self.status.as_deref()?.parse().ok()
    }

    /// The billed segments, once they are known (a service says `"0"` at first).
    pub fn segments(&self) -> Option<u32> {
        segments_of(self.num_segments.as_deref())
    }

    /// When it was created.
    pub fn created_at(&self) -> Option<Instant> {
        parse_rfc2822(self.date_created.as_deref()?)
    }

    /// When it was sent.
    pub fn sent_at(&self) -> Option<Instant> {
        parse_rfc2822(self.date_sent.as_deref()?)
    }
}

/// The part of a create answer that the send path reads.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CreatedMessage<'a> {
    #[serde(borrow)]
    pub sid: Word<'a>,
    #[serde(borrow)]
    pub status: Word<'a>,
    #[serde(borrow)]
    pub num_segments: Word<'a>,
}

impl CreatedMessage<'_> {
    /// The billed segments, once they are known.
    pub fn segments(&self) -> Option<u32> {
        segments_of(self.num_segments.text())
    }
}

/// A JSON string borrowed from the answer; any other value counts as absent, because an oddly
/// typed neighbour must not hide a well-formed SID.
#[derive(Debug, Default)]
pub(crate) struct Word<'a>(Option<Cow<'a, str>>);

impl Word<'_> {
    /// The string, if it was one.
    pub fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Word<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(WordVisitor)
    }
}

struct WordVisitor;

impl<'de> Visitor<'de> for WordVisitor {
    type Value = Word<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Word<'de>, E> {
        Ok(Word(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Word<'de>, E> {
        Ok(Word(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Word<'de>, E> {
        Ok(Word(None))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Word<'de>, E> {
        Ok(Word(None))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Word<'de>, E> {
        Ok(Word(None))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Word<'de>, E> {
        Ok(Word(None))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Word<'de>, E> {
        Ok(Word(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Word<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Word(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Word<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Word(None))
    }
}

/// Twilio's error answer (FACTS 1.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Twilio's error code, see `data/twilio_errors.csv`.
    pub code: u32,
    /// For people.
    #[serde(default)]
    pub message: Option<String>,
    /// A documentation link.
    #[serde(default)]
    pub more_info: Option<String>,
    /// The HTTP status again.
    #[serde(default)]
    pub status: Option<u16>,
}

impl ErrorBody {
    /// Reads an answer as the provider's own error. Twilio's codes start at 10001: a smaller
    /// `code` is some proxy's way of repeating the HTTP status, which proves nothing.
    pub fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok().filter(|error: &Self| error.code > 10_000)
    }
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePage {
    /// The messages, newest first.
    #[serde(default)]
    pub messages: Vec<MessageResource>,
    /// The path of the next page, to be followed as it is, or null on the last page.
    #[serde(default)]
    pub next_page_uri: Option<String>,
}

fn segments_of(text: Option<&str>) -> Option<u32> {
    text?.parse().ok().filter(|&segments| segments > 0)
}

fn parse_rfc2822(text: &str) -> Option<Instant> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| Instant::from(zoned.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_may_be_null_or_missing() {
        let empty: MessageResource = serde_json::from_str("{}").unwrap();
        assert_eq!(empty, MessageResource::default());
        let mut json = serde_json::to_value(&empty).unwrap();
        assert!(json.as_object().unwrap().values().all(serde_json::Value::is_null));
        json["from_the_future"] = 1.into();
        assert_eq!(serde_json::from_value::<MessageResource>(json).unwrap(), empty);
    }

    #[test]
    fn dates_and_segments_are_read() {
        let message = MessageResource {
            date_created: Some("Fri, 24 May 2019 17:44:46 +0000".to_owned()),
            num_segments: Some("3".to_owned()),
            ..MessageResource::default()
        };
        assert_eq!(message.created_at(), Instant::parse("2019-05-24T17:44:46Z"));
        assert_eq!((message.segments(), message.sent_at()), (Some(3), None));
        assert_eq!(segments_of(Some("0")), None);
    }

    #[test]
    fn only_the_providers_own_errors_count() {
        #[rustfmt::skip]
        let cases: [(&str, Option<u32>); 8] = [
            (r#"{"code":21211,"message":"no","more_info":"x","status":400}"#, Some(21211)),
            (r#"{"code":20003}"#, Some(20003)),
            (r#"{"code":404,"message":"no route"}"#, None),
            (r#"{"code":null}"#, None),
            (r#"{"code":"21211"}"#, None),
            (r#"{"message":"bad gateway"}"#, None),
            ("<html>nope</html>", None),
            (r#"{"code":21211"#, None),
        ];
        for (body, code) in cases {
            assert_eq!(ErrorBody::parse(body.as_bytes()).map(|e| e.code), code, "{body}");
        }
    }
}
