//! Twilio: the client that sends texts, the proof that a webhook is Twilio's, and the sandbox
//! carrier which speaks the same API.
//!
//! - [`wire`]: the Messages API as values.
//! - [`outcome`]: what one HTTP exchange proves about a text. The safety-critical rule.
//! - [`client`]: the send path over our own connection pool; it never retries and counts every
//!   byte it writes.
//! - [`mod@signature`]: the header `X-Twilio-Signature`.
//! - [`sandbox`]: a Twilio-compatible carrier to develop, test and torture against.
//!
//! This crate knows nothing of accounts, credits or the database.

pub mod client;
mod io;
pub mod outcome;
mod pool;
pub mod sandbox;
pub mod signature;
pub mod wire;
