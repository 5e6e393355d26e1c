//! Status callbacks (receipts) as Twilio posts them.

use super::{MessageStatus, Sid};

/// A receipt (FACTS 3.2). Twilio adds parameters without notice; unknown ones are ignored here but
/// belong to the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusCallback {
    /// The message.
    pub sid: Sid,
    /// What it became. Callbacks arrive in any order.
    pub status: MessageStatus,
    /// Why it failed; only with `failed` and `undelivered`.
    pub error_code: Option<u32>,
    /// The account, `AC…`; map it to a known tenant before choosing the auth token.
    pub account_sid: Option<String>,
    /// The recipient.
    pub to: Option<String>,
    /// The sender.
    pub from: Option<String>,
    /// The service, `MG…`.
    pub messaging_service_sid: Option<String>,
    /// The carrier's `YYMMDDhhmm`, passed through without a time zone.
    pub raw_dlr_done_date: Option<String>,
}

impl StatusCallback {
    /// Reads decoded form pairs; `None` without a well-formed SID and a known status. The first of
    /// repeated parameters wins; `SmsSid` and `SmsStatus` stand in for their modern names.
    pub fn parse<S: AsRef<str>>(pairs: &[(S, S)]) -> Option<Self> {
        let text = |name: &str| {
            let (_, value) = pairs.iter().find(|(key, _)| key.as_ref() == name)?;
            Some(value.as_ref()).filter(|value| !value.is_empty())
        };
        let owned = |name: &str| text(name).map(str::to_owned);
        Some(Self {
            sid: text("MessageSid").or_else(|| text("SmsSid"))?.parse().ok()?,
            status: text("MessageStatus").or_else(|| text("SmsStatus"))?.parse().ok()?,
            error_code: text("ErrorCode").and_then(|code| code.parse().ok()),
            account_sid: owned("AccountSid"),
            to: owned("To"),
            from: owned("From"),
            messaging_service_sid: owned("MessagingServiceSid"),
            raw_dlr_done_date: owned("RawDlrDoneDate"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: &str = "SMe8e1f580bfcbef849e48bd2f4f64d18a";

    #[test]
    fn receipts_are_read_from_pairs() {
        let pairs = [
            ("SmsSid", SID),
            ("MessageStatus", "failed"),
            ("ErrorCode", "30007"),
            ("To", "+15105550123"),
            ("From", ""),
            ("NewParameter", "later"),
        ];
        let receipt = StatusCallback::parse(&pairs).unwrap();
        assert_eq!(receipt.sid, SID.parse().unwrap());
        assert_eq!((receipt.status, receipt.error_code), (MessageStatus::Failed, Some(30007)));
        assert_eq!((receipt.to.as_deref(), receipt.from), (Some("+15105550123"), None));
    }

    #[test]
    fn what_is_no_receipt_is_none() {
        let cases: [&[(&str, &str)]; 4] = [
            &[],
            &[("MessageSid", SID)],
            &[("MessageSid", "SM1"), ("MessageStatus", "sent")],
            &[("MessageSid", SID), ("MessageStatus", "teleported")],
        ];
        for pairs in cases {
            assert_eq!(StatusCallback::parse(pairs), None, "{pairs:?}");
        }
    }
}
