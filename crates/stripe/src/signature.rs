//! `Stripe-Signature`: proof that a webhook was written by Stripe.
//!
//! The rule (FACTS 10.1, `WebhookSignature` of Stripe's own Python library): the header is
//! `t=UNIX,v1=HEX`, with as many `v1` as there are secrets during a rotation; each is the
//! lower-case hex of HMAC-SHA256, keyed with the whole secret `whsec_…`, over the timestamp, a dot
//! and the raw body. Verify before reading the body as JSON: another spelling of the same JSON has
//! another signature. How the timestamp may be spelled is in [`crate::decimal`].

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use crate::decimal::canonical;

/// Why a webhook is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// There is no header, or it is empty.
    #[error("the header Stripe-Signature is missing")]
    NoHeader,
    /// Nothing to compare with: there is no secret, or all of them are blank.
    #[error("there is no webhook secret to compare with")]
    NoSecret,
    /// The body is no UTF-8, so it is none of Stripe's.
    #[error("the body is not UTF-8")]
    Body,
    /// The header is not of the form `t=…,v1=…`.
    #[error("the header Stripe-Signature has another form than t=…,v1=…")]
    Header,
    /// The header has no signature of the scheme `v1`.
    #[error("the header Stripe-Signature has no signature of the scheme v1")]
    NoSignature,
    /// No signature was made with any of the secrets over this body.
    #[error("no signature fits this body and these secrets")]
    Mismatch,
    /// It was signed too long ago.
    #[error("it was signed longer ago than is tolerated")]
    TooOld,
}

/// Whether `header` is Stripe's for this raw body, made with any of these secrets.
///
/// `now` and `tolerance` are in seconds. With a tolerance, what was signed before `now - tolerance`
/// is refused; what is signed in the future never is, as at Stripe. `None` and 0 take any age. Of
/// several secrets every one is tried, so that a rotation loses nothing.
pub fn verify(
    payload: &[u8],
    header: &str,
    secrets: &[&str],
    now: i64,
    tolerance: Option<i64>,
) -> Result<(), SignatureError> {
    std::str::from_utf8(payload).map_err(|_| SignatureError::Body)?;
    if header.is_empty() {
        return Err(SignatureError::NoHeader);
    }
    let mut keys = secrets.iter().filter(|secret| !is_blank(secret)).peekable();
    keys.peek().ok_or(SignatureError::NoSecret)?;
    let signed = Signed::read(header).ok_or(SignatureError::Header)?;
    if signed.signatures.is_empty() {
        return Err(SignatureError::NoSignature);
    }
    let fits = keys.fold(false, |found, key| {
        let expected = hex(mac_of(key, &signed.time, payload).finalize().into_bytes().as_ref());
        found | signed.holds(&expected)
    });
    if !fits {
        return Err(SignatureError::Mismatch);
    }
    let tolerance = tolerance.filter(|&tolerance| tolerance != 0);
    let is_old = |tolerance| signed.seconds() < i128::from(now) - i128::from(tolerance);
    if tolerance.is_some_and(is_old) { Err(SignatureError::TooOld) } else { Ok(()) }
}

/// The header that Stripe puts on a webhook with this raw body, signed at `now` in seconds.
pub fn sign(payload: &[u8], secret: &str, now: i64) -> String {
    let time = now.to_string();
    let signature = hex(mac_of(secret, &time, payload).finalize().into_bytes().as_ref());
    format!("t={time},v1={signature}")
}

/// What a header says.
struct Signed<'a> {
    /// In the one spelling that is signed.
    time: String,
    signatures: Vec<&'a str>,
}

impl<'a> Signed<'a> {
    /// Items stand between commas and are not trimmed; the first `t` counts, and what stands after
    /// a second `=` does not.
    fn read(header: &'a str) -> Option<Self> {
        let (mut times, mut signatures) = (Vec::new(), Vec::new());
        for item in header.split(',') {
            let mut parts = item.splitn(3, '=');
            match parts.next() {
                Some("t") => times.push(parts.next()?),
                Some("v1") => signatures.push(parts.next()?),
                _ => {}
            }
        }
        Some(Self { time: canonical(times.first()?)?, signatures })
    }

    /// Whether one of the signatures is the expected one. One that cannot be hex ends the search,
    /// as at Stripe.
    fn holds(&self, expected: &str) -> bool {
        let comparable = self.signatures.iter().take_while(|signature| signature.is_ascii());
        comparable.fold(false, |found, signature| {
            found | bool::from(expected.as_bytes().ct_eq(signature.as_bytes()))
        })
    }

    /// The time as a number; one that is out of all range is the nearest in range.
    fn seconds(&self) -> i128 {
        let edge = if self.time.starts_with('-') { i128::MIN } else { i128::MAX };
        self.time.parse().unwrap_or(edge)
    }
}

fn is_blank(secret: &str) -> bool {
    secret.bytes().all(|byte| matches!(byte, b' ' | b'\t'..=b'\r'))
}

fn mac_of(secret: &str, time: &str, payload: &[u8]) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(payload);
    mac
}

/// Bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
        hex
    })
}
