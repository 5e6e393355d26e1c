//! Stripe: the client that asks it for money, the proof that a webhook is Stripe's, and what its
//! events and objects say.
//!
//! - [`api`]: what can be asked of Stripe, as a trait with values.
//! - [`client`]: the same over HTTP, one exchange for each question.
//! - [`objects`]: Stripe's objects, as far as they are read.
//! - [`event`]: what a webhook tells.
//! - [`mod@signature`]: the header `Stripe-Signature`.
//! - [`sandbox`]: a Stripe-compatible server that takes no money, to develop and test against.
//!
//! This crate knows nothing of accounts, credits or the database.

pub mod api;
pub mod client;
mod decimal;
pub mod error;
pub mod event;
mod form;
pub mod objects;
pub mod sandbox;
pub mod signature;
mod transport;

pub use api::{
    Answer, CheckoutIn, CustomerIn, Line, Mode, Month, OffSessionPaymentIn, PriceChange, Proration,
    RefundIn, Stripe, SubscriptionPatch,
};
pub use client::{Client, Config, ConfigError};
pub use error::Error;
pub use objects::CardError;

/// The version of Stripe's API that is spoken here: the header `Stripe-Version` of every call, and
/// what the webhook endpoint must be set to.
pub const API_VERSION: &str = "2026-10-28.endive";
