//! Channels: the networks beside SMS, and how an address names its own.

use std::borrow::Cow;

/// A network that carries messages (FACTS 1.8). Both sides of a message must be of one (21910).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// SMS and MMS: a bare E.164 number.
    Sms,
    /// `WhatsApp`: `whatsapp:` before the number.
    WhatsApp,
}

impl Channel {
    /// What stands before the number, colon included.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Sms => "",
            Self::WhatsApp => "whatsapp:",
        }
    }

    /// The address of an E.164 number on this channel, for `To` and `From` alike.
    pub fn address(self, number: &str) -> Cow<'_, str> {
        match self {
            Self::Sms => Cow::Borrowed(number),
            Self::WhatsApp => Cow::Owned(format!("{}{number}", self.prefix())),
        }
    }

    /// The channel and the bare number of an address; `None` for another channel's.
    pub fn split(address: &str) -> Option<(Self, &str)> {
        match prefix_of(address) {
            "" => Some((Self::Sms, address)),
            prefix => {
                let number = &address[prefix.len()..];
                (prefix == Self::WhatsApp.prefix()).then_some((Self::WhatsApp, number))
            }
        }
    }
}

/// The `channel:` an address begins with, in lower-case letters; empty for a phone number, a short
/// code or an alphanumeric sender.
pub(crate) fn prefix_of(address: &str) -> &str {
    let letters = address.bytes().take_while(u8::is_ascii_lowercase).count();
    match address.as_bytes().get(letters) {
        Some(b':') if letters > 0 => &address[..=letters],
        _ => "",
    }
}

/// Whether it is a number in E.164: `+`, then 2 to 15 digits that do not begin with zero.
pub(crate) fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (2..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_round() {
        for (channel, address) in
            [(Channel::Sms, "+15105550123"), (Channel::WhatsApp, "whatsapp:+15105550123")]
        {
            assert_eq!(channel.address("+15105550123"), address);
            assert_eq!(Channel::split(address), Some((channel, "+15105550123")));
        }
        assert_eq!(Channel::split("messenger:100"), None);
        assert_eq!(Channel::split("Whatsapp:+1"), Some((Channel::Sms, "Whatsapp:+1")));
    }

    #[test]
    fn prefixes_are_lower_case_words_before_a_colon() {
        #[rustfmt::skip]
        let cases = [
            ("+15105550123", ""),
            ("whatsapp:+15105550123", "whatsapp:"),
            ("rcs:brand_agent", "rcs:"),
            ("ACME", ""),
            ("acme", ""),
            (":+1", ""),
            ("", ""),
        ];
        for (address, prefix) in cases {
            assert_eq!(prefix_of(address), prefix, "{address}");
        }
    }
}
