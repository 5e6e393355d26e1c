//! Message SIDs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// A message's SID: `^(SM|MM)[0-9a-f]{32}$` (CORE C.2), where `MM` means that it carries media.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid {
    media: bool,
    bytes: [u8; 16],
}

/// The text was not a message SID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a message SID: expected SM or MM and 32 lower-case hex digits")]
pub struct SidError;

impl Sid {
    /// The SID of a plain text (`SM…`) with these sixteen bytes.
    pub const fn text(bytes: [u8; 16]) -> Self {
        Self { media: false, bytes }
    }

    /// The SID of a message with media (`MM…`) with these sixteen bytes.
    pub const fn media(bytes: [u8; 16]) -> Self {
        Self { media: true, bytes }
    }

    /// The sixteen bytes behind the prefix.
    pub const fn bytes(&self) -> [u8; 16] {
        self.bytes
    }

    /// Whether the message carries media.
    pub const fn is_media(&self) -> bool {
        self.media
    }

    /// The 34 characters, without allocating.
    pub fn chars(&self) -> SidChars {
        let mut text = [0; 34];
        text[0] = if self.media { b'M' } else { b'S' };
        text[1] = b'M';
        for (pair, byte) in text[2..].chunks_exact_mut(2).zip(self.bytes) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        SidChars(text)
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A SID written out.
#[derive(Clone, Copy)]
pub struct SidChars([u8; 34]);

impl SidChars {
    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a SID is ASCII")
    }
}

impl FromStr for Sid {
    type Err = SidError;

    fn from_str(text: &str) -> Result<Self, SidError> {
        let (media, digits) = match text.as_bytes() {
            [b'S', b'M', digits @ ..] => (false, digits),
            [b'M', b'M', digits @ ..] => (true, digits),
            _ => return Err(SidError),
        };
        let digits: &[u8; 32] = digits.try_into().map_err(|_| SidError)?;
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self { media, bytes })
    }
}

fn nibble(digit: u8) -> Result<u8, SidError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(SidError),
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.chars().as_str())
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.chars().as_str())
    }
}

impl Serialize for Sid {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.chars().as_str())
    }
}

impl<'de> Deserialize<'de> for Sid {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_strict_form_is_taken() {
        #[rustfmt::skip]
        let cases = [
            ("SM0123456789abcdef0123456789abcdef", true),
            ("MM0123456789abcdef0123456789abcdef", true),
            ("SM0123456789ABCDEF0123456789abcdef", false),
            ("sm0123456789abcdef0123456789abcdef", false),
            ("AC0123456789abcdef0123456789abcdef", false),
            ("SM0123456789abcdef0123456789abcde", false),
            ("SM0123456789abcdef0123456789abcdef0", false),
            ("SM0123456789abcdef0123456789abcdeg", false),
            (" SM0123456789abcdef0123456789abcdef", false),
            ("SM", false),
            ("", false),
        ];
        for (text, valid) in cases {
            let parsed = text.parse::<Sid>();
            assert_eq!(parsed.is_ok(), valid, "{text}");
            if let Ok(sid) = parsed {
                assert_eq!(sid.to_string(), text);
            }
        }
    }
}
