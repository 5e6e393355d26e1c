//! Texts that come in, as Twilio posts them.

use super::{MEDIA_MAX, Sid};

/// A text that came in. Twilio adds parameters without notice; unknown ones are ignored here but
/// belong to the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundMessage {
    /// Twilio's id of it.
    pub sid: Sid,
    /// Whose text it is; with its channel's prefix when it is no SMS.
    pub from: String,
    /// Which of our senders it came to.
    pub to: String,
    /// The service that sender belongs to, `MG…`.
    pub messaging_service_sid: Option<String>,
    /// What it says; empty for media alone.
    pub body: String,
    /// Billed parts.
    pub segments: u32,
    /// Where its media are.
    pub media_urls: Vec<String>,
    /// `STOP`, `START` or `HELP` when Twilio has acted on the keyword and answered it.
    pub opt_out_type: Option<String>,
}

impl InboundMessage {
    /// Reads decoded form pairs; `None` without a well-formed SID, a sender and a recipient.
    pub fn parse<S: AsRef<str>>(pairs: &[(S, S)]) -> Option<Self> {
        let text = |name: &str| {
            let (_, value) = pairs.iter().find(|(key, _)| key.as_ref() == name)?;
            Some(value.as_ref()).filter(|value| !value.is_empty())
        };
        let owned = |name: &str| text(name).map(str::to_owned);
        let media: usize = text("NumMedia").and_then(|n| n.parse().ok()).unwrap_or(0);
        Some(Self {
            sid: text("MessageSid").or_else(|| text("SmsSid"))?.parse().ok()?,
            from: owned("From")?,
            to: owned("To")?,
            messaging_service_sid: owned("MessagingServiceSid"),
            body: owned("Body").unwrap_or_default(),
            segments: text("NumSegments").and_then(|n| n.parse().ok()).unwrap_or(1),
            media_urls: (0..media.min(MEDIA_MAX))
                .filter_map(|n| owned(&format!("MediaUrl{n}")))
                .collect(),
            opt_out_type: owned("OptOutType"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: &str = "SMe8e1f580bfcbef849e48bd2f4f64d18a";

    #[test]
    fn texts_are_read_from_pairs() {
        let pairs = [
            ("MessageSid", SID),
            ("From", "+15105550123"),
            ("To", "+14155550100"),
            ("Body", "STOP"),
            ("NumMedia", "1"),
            ("MediaUrl0", "https://m.example/1"),
            ("MediaUrl1", "https://m.example/not-counted"),
            ("OptOutType", "STOP"),
        ];
        let text = InboundMessage::parse(&pairs).unwrap();
        assert_eq!((text.body.as_str(), text.segments), ("STOP", 1));
        assert_eq!(text.media_urls, ["https://m.example/1"]);
        assert_eq!(text.opt_out_type.as_deref(), Some("STOP"));
    }

    #[test]
    fn what_is_no_text_is_none() {
        let cases: [&[(&str, &str)]; 3] = [
            &[],
            &[("MessageSid", SID), ("From", "+15105550123")],
            &[("MessageSid", "x"), ("From", "+15105550123"), ("To", "+14155550100")],
        ];
        for pairs in cases {
            assert_eq!(InboundMessage::parse(pairs), None, "{pairs:?}");
        }
    }
}
