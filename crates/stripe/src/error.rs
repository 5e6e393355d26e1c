//! Why Stripe did not do what it was asked.

use serde::Deserialize;
use thiserror::Error;

use crate::objects::CardError;

/// Why there is no answer, or a no.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Error {
    /// The card's bank, or Stripe for it, declined. [`CardError::is_hard`] tells whether it can be
    /// tried again.
    #[error("the card was declined: {0}")]
    Card(CardError),
    /// Stripe cannot do what was asked; asking the same again changes nothing.
    #[error("Stripe refused: {message}")]
    Invalid {
        /// Stripe's sentence.
        message: String,
        /// Stripe's code, such as `resource_missing`.
        code: Option<String>,
        /// The parameter it is about.
        param: Option<String>,
    },
    /// The idempotency key was used with other parameters before: a defect of the caller.
    #[error("Stripe knows this idempotency key with other parameters: {0}")]
    Idempotency(String),
    /// The secret key is unknown, or may not do this. An operator can mend that.
    #[error("Stripe does not take the secret key: {0}")]
    Auth(String),
    /// There is no such object.
    #[error("Stripe has no such object: {0}")]
    NotFound(String),
    /// Too many requests, or too many for one object; ask again later.
    #[error("Stripe wants fewer requests")]
    RateLimited,
    /// The same request is being carried out at this moment; ask again later.
    #[error("Stripe is busy with the same request")]
    Busy,
    /// Nobody knows whether it was done: a time-out, a lost connection, a fault at Stripe or an
    /// unreadable answer. Asking again with the same idempotency key is safe.
    #[error("no answer of Stripe's: {0}")]
    Unavailable(String),
}

/// The body of a refusal.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    error: Option<Said>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    message: Option<String>,
    param: Option<String>,
}

impl Error {
    /// Whether the very same request can never succeed, so that it is not worth asking again.
    /// Nothing was done then.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Card(_) | Self::Invalid { .. } | Self::Idempotency(_) | Self::NotFound(_) => true,
            Self::Auth(_) | Self::RateLimited | Self::Busy | Self::Unavailable(_) => false,
        }
    }

    /// What an answer other than 2xx means. Words that are not Stripe's, such as a proxy's page,
    /// prove nothing, whatever their status.
    pub(crate) fn of_answer(status: u16, body: &[u8]) -> Self {
        if status == 429 {
            return Self::RateLimited;
        }
        let unreadable = || Self::Unavailable(format!("HTTP {status}, unreadable"));
        let Ok(Body { error: Some(said) }) = serde_json::from_slice(body) else {
            return unreadable();
        };
        let kind = said.kind.unwrap_or_default();
        let message = said.message.unwrap_or_else(|| format!("HTTP {status}"));
        match (status, kind.as_str()) {
            (500.., _) => Self::Unavailable(format!("HTTP {status}: {message}")),
            (400 | 402, "card_error") => match CardError::of_answer(body) {
                Some(card) => Self::Card(card),
                None => unreadable(),
            },
            (400, "idempotency_error") => Self::Idempotency(message),
            (401 | 403, _) => Self::Auth(message),
            (404, _) => Self::NotFound(message),
            (409, _) => Self::Busy,
            (400..500, _) => Self::Invalid { message, code: said.code, param: said.param },
            _ => unreadable(),
        }
    }
}
