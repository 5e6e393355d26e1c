//! The HTTP side: the JSON API under `/v1`, the carrier's hooks, health, documentation and the
//! public progress page.
//!
//! [`router`] is the table of routes; one family of endpoints stands in one file. An endpoint
//! reads its request with the extractors of [`auth`], [`json`], [`idempotency`] and [`page`],
//! calls `flow`, and answers; what may be done is decided below, never here. Every refusal leaves
//! through [`problem`].

mod accept;
mod accounts;
mod adjustments;
mod appointments;
mod assets;
mod auth;
mod automations;
mod budget;
mod campaigns;
mod carriers;
mod consents;
mod contacts;
mod docs;
mod figures;
mod guard;
mod health;
mod holds;
mod hooks;
mod idempotency;
mod json;
mod messages;
pub mod metrics;
mod notices;
pub mod openapi;
mod opt_out;
mod page;
mod params;
pub mod problem;
mod progress;
mod purchases;
mod quote;
mod rates;
mod revenue;
mod router;
mod senders;
mod server;
mod settings;
pub mod statement_page;
mod statements;
mod stripe_hook;
mod subscriptions;
mod tasks;
mod templates;
mod threads;
mod topups;
mod wallet;
pub mod watch;

pub use router::router;
pub use server::serve;
