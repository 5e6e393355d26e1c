//! What an attempt came to: the safety-critical classification of one HTTP exchange.
//!
//! Pure and total (CORE C.2). The rule leans one way only: an outcome says "not accepted" when
//! that is proven, either by the provider's own words or because not one byte of the request left
//! us. Everything that could have been accepted and cannot be shown is [`Outcome::Unknown`] and is
//! never sent again blindly.

use thiserror::Error;

use crate::wire::{CreatedMessage, ErrorBody, MessageStatus, Sid};

/// One attempt to create a message, as the wire saw it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Request bytes handed to the socket, counted by our own I/O wrapper.
    pub bytes_written: u64,
    /// How it ended.
    pub ended: Ended,
}

/// The end of an exchange.
#[derive(Clone, Debug)]
pub enum Ended {
    /// A complete answer.
    Response {
        /// The HTTP status.
        status: u16,
        /// The whole body.
        body: bytes::Bytes,
    },
    /// No complete answer.
    Failed(FailureKind),
}

/// Why there was no complete answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum FailureKind {
    /// No connection became free before the deadline.
    #[error("no connection became free in time")]
    Checkout,
    /// The host name did not resolve.
    #[error("the carrier's name did not resolve")]
    Resolve,
    /// The connection was refused or unreachable.
    #[error("could not connect")]
    Connect,
    /// Connecting, or its TLS handshake, took too long.
    #[error("connecting timed out")]
    ConnectTimeout,
    /// The TLS handshake failed.
    #[error("the TLS handshake failed")]
    Tls,
    /// The caller's mark refused the write, so it did not happen.
    #[error("the crash log refused the write")]
    Mark,
    /// The connection broke or was closed before a complete answer.
    #[error("the connection broke before a complete answer")]
    Closed,
    /// No complete answer before the deadline.
    #[error("no complete answer in time")]
    Timeout,
    /// The answer was larger than we read.
    #[error("the answer was too large")]
    BodyTooLarge,
    /// The answer was not HTTP.
    #[error("the answer was not HTTP")]
    Protocol,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Checkout,
        Self::Resolve,
        Self::Connect,
        Self::ConnectTimeout,
        Self::Tls,
        Self::Mark,
        Self::Closed,
        Self::Timeout,
        Self::BodyTooLarge,
        Self::Protocol,
    ];
}

/// What is known about a text after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider has it.
    Accepted {
        /// Its SID.
        sid: Sid,
        /// Its first status; a word we do not know counts as `queued`, which every later receipt
        /// outranks.
        status: MessageStatus,
        /// The segments that will be billed, when already known (not with a service).
        segments: Option<u32>,
    },
    /// The provider refused it in its own words; it was not accepted.
    Rejected {
        /// Twilio's error code.
        code: u32,
        /// The HTTP status.
        http: u16,
        /// Twilio's text.
        message: String,
    },
    /// It provably never reached the provider, or was turned away unread.
    NotSent {
        /// Why.
        reason: NotSentReason,
    },
    /// It may have been accepted. Only evidence resolves this.
    Unknown {
        /// Why.
        reason: UnknownReason,
    },
}

/// Why nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum NotSentReason {
    /// HTTP 429: too many concurrent requests; documented as not done (Twilio 20429).
    #[error("the carrier is rate limiting")]
    RateLimited,
    /// Zero request bytes were written.
    #[error("nothing was written: {0}")]
    NothingWritten(FailureKind),
    /// An answer came although zero request bytes were written: it cannot be ours.
    #[error("nothing was written, yet the carrier answered {0}")]
    Unsolicited(u16),
}

/// Why the outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum UnknownReason {
    /// Request bytes were written and no complete answer came.
    #[error("bytes were written, then: {0}")]
    Failed(FailureKind),
    /// 2xx without a well-formed SID.
    #[error("the carrier answered {0} without a message SID")]
    NoSid(u16),
    /// 4xx that is not the provider's own refusal: a proxy answered, or a status outside the list.
    #[error("the answer {0} is not the carrier's own refusal")]
    NotTheProvider(u16),
    /// 1xx, 3xx, 5xx and whatever else is not an answer to this request.
    #[error("the carrier answered {0}")]
    Status(u16),
}

impl Outcome {
    /// Whether the refusal is about our credentials: HTTP 401 and 403 stop the whole carrier
    /// account, nothing else is tried on it (CORE C.2).
    pub const fn stops_carrier_account(&self) -> bool {
        matches!(self, Self::Rejected { http: 401 | 403, .. })
    }
}

/// The statuses with which the provider refuses in its own words.
const REFUSALS: [u16; 9] = [400, 401, 403, 404, 405, 409, 410, 415, 422];

impl Exchange {
    /// What the exchange proves (CORE C.2).
    pub fn outcome(&self) -> Outcome {
        match &self.ended {
            Ended::Failed(kind) if self.bytes_written == 0 => {
                Outcome::NotSent { reason: NotSentReason::NothingWritten(*kind) }
            }
            Ended::Response { status, .. } if self.bytes_written == 0 => {
                Outcome::NotSent { reason: NotSentReason::Unsolicited(*status) }
            }
            Ended::Failed(kind) if domain::mutant!(M11) && *kind == FailureKind::Timeout => {
                Outcome::NotSent { reason: NotSentReason::NothingWritten(*kind) }
            }
            Ended::Failed(kind) => Outcome::Unknown { reason: UnknownReason::Failed(*kind) },
            Ended::Response { status, body } => outcome_of_answer(*status, body),
        }
    }
}

fn outcome_of_answer(status: u16, body: &[u8]) -> Outcome {
    if let Some(mistake) = planted(status, body) {
        return mistake;
    }
    match status {
        200..=299 => {
            created(body).unwrap_or(Outcome::Unknown { reason: UnknownReason::NoSid(status) })
        }
        429 => Outcome::NotSent { reason: NotSentReason::RateLimited },
        400..=499 => refused(status, body)
            .unwrap_or(Outcome::Unknown { reason: UnknownReason::NotTheProvider(status) }),
        _ => Outcome::Unknown { reason: UnknownReason::Status(status) },
    }
}

fn created(body: &[u8]) -> Option<Outcome> {
    let message: CreatedMessage<'_> = serde_json::from_slice(body).ok()?;
    let sid = message.sid.text()?.parse().ok()?;
    let status = message.status.text().and_then(|word| word.parse().ok());
    Some(Outcome::Accepted {
        sid,
        status: status.unwrap_or(MessageStatus::Queued),
        segments: message.segments(),
    })
}

fn refused(http: u16, body: &[u8]) -> Option<Outcome> {
    let error = REFUSALS.contains(&http).then(|| ErrorBody::parse(body))??;
    let message = error.message.unwrap_or_default();
    Some(Outcome::Rejected { code: error.code, http, message })
}

/// What planted bugs make of an answer; nothing in what is shipped.
fn planted(status: u16, body: &[u8]) -> Option<Outcome> {
    let refusal = || Outcome::Rejected { code: 0, http: status, message: String::new() };
    let is_ours = || refused(status, body).is_some();
    match status {
        200..=299 if domain::mutant!(M12) && created(body).is_none() => Some(Outcome::Accepted {
            sid: "SM00000000000000000000000000000000".parse().ok()?,
            status: MessageStatus::Queued,
            segments: None,
        }),
        429 if domain::mutant!(M16) => Some(refusal()),
        400..=428 | 430..=499 if domain::mutant!(M13) && !is_ours() => Some(refusal()),
        500..=599 if domain::mutant!(M10) => Some(refusal()),
        _ => None,
    }
}
