//! The signed token in a status-callback URL: it names the message and the attempt, so that a
//! receipt finds its message even when the answer with the carrier's SID was never read.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::ids::MessageId;

const MAC_BYTES: usize = 12;
const PLACE_BYTES: usize = 24 + 2;

/// The installation's secret for its own tokens: 32 bytes of chance, made at the first migration.
#[derive(Clone)]
pub struct Secret(pub [u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// HMAC-SHA256 of `purpose` and `bytes`: tokens for one purpose never pass for another.
    pub fn mac(&self, purpose: &str, bytes: &[u8]) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0)
            .expect("HMAC takes a key of any length");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(bytes);
        mac.finalize().into_bytes().into()
    }

    /// Spells `bytes` with their MAC in URL-safe text.
    pub fn seal(&self, purpose: &str, bytes: &[u8]) -> String {
        let mut whole = bytes.to_vec();
        whole.extend_from_slice(&self.mac(purpose, bytes)[..MAC_BYTES]);
        BASE64URL_NOPAD.encode(&whole)
    }

    /// Reads what [`Self::seal`] spelled; `None` when a bit of it was changed.
    pub fn open(&self, purpose: &str, text: &str) -> Option<Vec<u8>> {
        let mut whole = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let mac = whole.split_off(whole.len().checked_sub(MAC_BYTES)?);
        let wanted = self.mac(purpose, &whole);
        bool::from(wanted[..MAC_BYTES].ct_eq(&mac)).then_some(whole)
    }

    /// The token of one attempt to send `message`.
    pub fn receipt_token(&self, message: MessageId, attempt: u16) -> String {
        let mut place = [0; PLACE_BYTES];
        place[..24].copy_from_slice(&message.to_bytes());
        place[24..].copy_from_slice(&attempt.to_be_bytes());
        self.seal("receipt", &place)
    }

    /// The message and attempt that a receipt's token names.
    pub fn open_receipt_token(&self, text: &str) -> Option<(MessageId, u16)> {
        let place: [u8; PLACE_BYTES] = self.open("receipt", text)?.try_into().ok()?;
        let message = MessageId::from_bytes(place[..24].try_into().expect("24 of 26 bytes"));
        Some((message, u16::from_be_bytes([place[24], place[25]])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AccountId, StreamId};

    #[test]
    fn a_token_opens_only_whole_and_for_its_purpose() {
        let secret = Secret([7; 32]);
        let message = MessageId { account: AccountId(5), stream: StreamId(9), ord: 3 };
        let token = secret.receipt_token(message, 2);
        assert_eq!(secret.open_receipt_token(&token), Some((message, 2)));
        assert_eq!(Secret([8; 32]).open_receipt_token(&token), None);
        assert_eq!(secret.open("watch", &token), None);
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ascii");
            assert_eq!(secret.open_receipt_token(&forged), None, "{at}");
        }
        assert_eq!(secret.open_receipt_token(""), None);
    }
}
