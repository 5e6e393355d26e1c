//! What a webhook tells: something happened to an object. Verify the signature first.

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::objects::Object;

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `evt_…`; the same when it is delivered again.
    pub id: String,
    /// What happened: `payment_intent.succeeded` and others.
    pub kind: String,
    /// When, in seconds. Not the order: events of one second, and of one object, come in any.
    pub created: i64,
    /// Which version of the API the object is written in.
    pub api_version: Option<String>,
    /// It is about real money.
    pub livemode: bool,
    /// The object as it was then, which may be older than what is known.
    pub object: Object,
}

/// Why a body is no event that can be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseError {
    /// It is no JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// It is another JSON than an event's.
    #[error("not an event: {0}")]
    NotAnEvent(String),
    /// It only names an object, as the events of Stripe's newer API do; the webhook endpoint must
    /// be set to send snapshots.
    #[error("a thin event, which only names its object")]
    Thin,
    /// Its object is of a kind that is known, in a shape that is not.
    #[error("a {kind} that cannot be read: {words}")]
    Object {
        /// Which kind.
        kind: String,
        /// What does not fit.
        words: String,
    },
}

#[derive(Deserialize)]
struct Raw {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    created: Option<i64>,
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    livemode: Option<bool>,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
}

impl Event {
    /// Reads the raw body of a webhook.
    pub fn parse(raw: &[u8]) -> Result<Self, ParseError> {
        let value: Value =
            serde_json::from_slice(raw).map_err(|error| ParseError::Json(error.to_string()))?;
        let not_an_event = |words: String| ParseError::NotAnEvent(words);
        match value.get("object").and_then(Value::as_str) {
            Some("event") => {}
            Some("v2.core.event") => return Err(ParseError::Thin),
            Some(other) => return Err(not_an_event(format!("it is a {other}"))),
            None => return Err(not_an_event("it does not say what it is".to_owned())),
        }
        let raw = Raw::deserialize(value).map_err(|error| not_an_event(error.to_string()))?;
        if raw.id.is_empty() || raw.kind.is_empty() {
            return Err(not_an_event("it has no id or no type".to_owned()));
        }
        let object = Object::read(&raw.data.object).map_err(|error| ParseError::Object {
            kind: raw.data.object["object"].as_str().unwrap_or_default().to_owned(),
            words: error.to_string(),
        })?;
        Ok(Self {
            id: raw.id,
            kind: raw.kind,
            created: raw.created.unwrap_or_default(),
            api_version: raw.api_version,
            livemode: raw.livemode.unwrap_or_default(),
            object,
        })
    }
}
