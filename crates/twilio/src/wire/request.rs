//! What we ask of the Messages API.

use domain::instant::Instant;
use form_urlencoded::Serializer;

/// Who a text comes from. Twilio needs one of the two parameters (else 21603).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender<'a> {
    /// `From`: an E.164 number, short code, alphanumeric sender or channel address.
    From(&'a str),
    /// `MessagingServiceSid` (`MG…`): the service picks a sender of its pool.
    Service(&'a str),
    /// `MessagingServiceSid` and `From`: that sender out of the service's pool.
    ServiceFrom {
        /// The service's SID.
        service: &'a str,
        /// The sender in its pool.
        from: &'a str,
    },
}

/// One message to create (`POST /Messages.json`, FACTS 1.1). What Twilio would refuse is found by
/// [`Self::check`]; encoding and sending do not look.
#[derive(Clone, Copy, Debug)]
pub struct CreateMessage<'a> {
    /// The recipient, E.164 or a channel address such as `whatsapp:+15105550123`
    /// ([`super::Channel::address`]); the sender's must be of the same channel.
    pub to: &'a str,
    /// Who it comes from.
    pub sender: Sender<'a>,
    /// The text, at most 1600 UTF-16 units (21617). May be empty beside media or a template.
    pub body: &'a str,
    /// Where receipts go. A fragment such as `#rc=5&rp=all` sets Twilio's retries and is not
    /// signed.
    pub status_callback: Option<&'a str>,
    /// How long it may wait in Twilio's queue: 1 to 36000 seconds.
    pub validity_period_secs: Option<u32>,
    /// Whether Twilio replaces look-alike Unicode.
    pub smart_encoded: Option<bool>,
    /// When to send it; only with a service, more than 300 s and at most 35 days ahead.
    pub send_at: Option<Instant>,
    /// Media to attach, at most ten URLs.
    pub media_urls: &'a [&'a str],
    /// `RiskCheck`: false skips SMS-pumping protection for this message.
    pub risk_check: Option<bool>,
    /// The template to send instead of a text, `HX…` (WhatsApp, RCS).
    pub content_sid: Option<&'a str>,
    /// What goes into the template's gaps: a JSON object of strings, such as `{"1":"Ada"}`.
    pub content_variables: Option<&'a str>,
}

impl<'a> CreateMessage<'a> {
    /// A plain text with every option left to Twilio.
    pub const fn new(to: &'a str, sender: Sender<'a>, body: &'a str) -> Self {
        Self {
            to,
            sender,
            body,
            status_callback: None,
            validity_period_secs: None,
            smart_encoded: None,
            send_at: None,
            media_urls: &[],
            risk_check: None,
            content_sid: None,
            content_variables: None,
        }
    }

    /// The form body, `application/x-www-form-urlencoded`.
    pub fn encode(&self) -> String {
        let callback_bytes = self.status_callback.map_or(0, str::len);
        let room = 160 + self.to.len() + self.body.len() * 5 / 4 + callback_bytes * 5 / 4;
        let mut form = Serializer::new(String::with_capacity(room));
        form.append_pair("To", self.to);
        match self.sender {
            Sender::From(from) => {
                form.append_pair("From", from);
            }
            Sender::Service(service) => {
                form.append_pair("MessagingServiceSid", service);
            }
            Sender::ServiceFrom { service, from } => {
                form.append_pair("MessagingServiceSid", service).append_pair("From", from);
            }
        }
        if !self.body.is_empty() || !self.has_other_content() {
            form.append_pair("Body", self.body);
        }
        for url in self.media_urls {
            form.append_pair("MediaUrl", url);
        }
        if let Some(url) = self.status_callback {
            form.append_pair("StatusCallback", url);
        }
        if let Some(secs) = self.validity_period_secs {
            form.append_pair("ValidityPeriod", &secs.to_string());
        }
        if let Some(smart) = self.smart_encoded {
            form.append_pair("SmartEncoded", if smart { "true" } else { "false" });
        }
        if let Some(at) = self.send_at {
            form.append_pair("SendAt", &at.to_string()).append_pair("ScheduleType", "fixed");
        }
        if let Some(check) = self.risk_check {
            form.append_pair("RiskCheck", if check { "enable" } else { "disable" });
        }
        if let Some(sid) = self.content_sid {
            form.append_pair("ContentSid", sid);
        }
        if let Some(variables) = self.content_variables {
            form.append_pair("ContentVariables", variables);
        }
        form.finish()
    }

    /// Whether there is something to send beside the text.
    pub(super) const fn has_other_content(&self) -> bool {
        !self.media_urls.is_empty() || self.content_sid.is_some()
    }
}

/// Which messages to list (`GET /Messages.json`, FACTS 1.4): Twilio filters by nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListFilter<'a> {
    /// Only to this recipient.
    pub to: Option<&'a str>,
    /// Only from this sender.
    pub from: Option<&'a str>,
    /// Only sent on this GMT date, `YYYY-MM-DD`.
    pub date_sent: Option<&'a str>,
    /// Only sent on or after this GMT date or time; the key on the wire is literally `DateSent>`.
    pub date_sent_after: Option<&'a str>,
    /// Only sent on or before this GMT date or time; the key on the wire is `DateSent<`.
    pub date_sent_before: Option<&'a str>,
    /// Messages per page, 1 to 1000 (Twilio's default is 50).
    pub page_size: Option<u16>,
}

impl ListFilter<'_> {
    /// The query string, without its `?`; empty when nothing is filtered.
    pub fn encode(&self) -> String {
        let mut query = Serializer::new(String::new());
        let pairs = [
            ("To", self.to),
            ("From", self.from),
            ("DateSent", self.date_sent),
            ("DateSent>", self.date_sent_after),
            ("DateSent<", self.date_sent_before),
        ];
        for (name, value) in pairs {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        if let Some(size) = self.page_size {
            query.append_pair("PageSize", &size.to_string());
        }
        query.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded_as_twilio_reads_them() {
        let plain = CreateMessage::new("+15105550123", Sender::From("+14155550100"), "Hé & 50%");
        let full = CreateMessage {
            sender: Sender::Service("MGbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"),
            status_callback: Some("https://h.example/r?t=1#rc=5"),
            validity_period_secs: Some(3600),
            smart_encoded: Some(true),
            send_at: Instant::parse("2026-11-21T09:00:00Z"),
            risk_check: Some(false),
            ..plain
        };
        let media = CreateMessage { body: "", media_urls: &["https://m.example/1"], ..plain };
        let template = CreateMessage {
            body: "",
            content_sid: Some("HXcccccccccccccccccccccccccccccccc"),
            content_variables: Some(r#"{"1":"Ada"}"#),
            ..plain
        };
        let cases = [
            (plain, "To=%2B15105550123&From=%2B14155550100&Body=H%C3%A9+%26+50%25"),
            (
                full,
                "To=%2B15105550123&MessagingServiceSid=MGbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\
                 &Body=H%C3%A9+%26+50%25\
                 &StatusCallback=https%3A%2F%2Fh.example%2Fr%3Ft%3D1%23rc%3D5\
                 &ValidityPeriod=3600&SmartEncoded=true&SendAt=2026-11-21T09%3A00%3A00Z\
                 &ScheduleType=fixed&RiskCheck=disable",
            ),
            (media, "To=%2B15105550123&From=%2B14155550100&MediaUrl=https%3A%2F%2Fm.example%2F1"),
            (
                template,
                "To=%2B15105550123&From=%2B14155550100\
                 &ContentSid=HXcccccccccccccccccccccccccccccccc\
                 &ContentVariables=%7B%221%22%3A%22Ada%22%7D",
            ),
        ];
        for (message, expected) in cases {
            assert_eq!(message.encode(), expected);
        }
    }

    #[test]
    fn filters_use_the_literal_comparison_keys() {
        assert_eq!(ListFilter::default().encode(), "");
        let filter = ListFilter {
            to: Some("+15105550123"),
            date_sent_after: Some("2026-11-20"),
            page_size: Some(1000),
            ..ListFilter::default()
        };
        assert_eq!(filter.encode(), "To=%2B15105550123&DateSent%3E=2026-11-20&PageSize=1000");
    }
}
