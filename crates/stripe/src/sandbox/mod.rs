//! The sandbox Stripe: a server that speaks Stripe's API and takes nobody's money.
//!
//! It makes customers, payment pages, payments, refunds, disputes and subscriptions, shows a
//! payment page where test cards succeed, decline or want to be authenticated, and posts events
//! signed like Stripe's until they are taken ([`Knobs`] make them late, doubled, shuffled or lost).
//! What it did can be kept in a file that outlives the process.
//!
//! - `shop`: what runs; `server`: who may ask, and which part answers.
//! - `api`: Stripe's paths and idempotency keys; `fields` reads their forms.
//! - `books`: every object and event; `work` is one change of them; `journal` their file.
//! - `checkout`, `paying`, `cards`, `refunds`, `plans`: what becomes of money.
//! - `outbox`: events on their way.
//! - `pages` for people, `control` for people and tests under `/sandbox/`.

mod api;
mod books;
mod cards;
mod checkout;
mod control;
mod fields;
mod journal;
mod knobs;
mod outbox;
mod pages;
mod paying;
mod plans;
mod refunds;
mod refusal;
mod server;
mod shop;
mod work;

pub use knobs::{Async, Failing, Knobs};
pub use shop::{Options, Sandbox, StartError};
