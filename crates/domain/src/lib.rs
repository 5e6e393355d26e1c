//! The rules of Ledgerline: pure functions over plain values.
//!
//! Nothing in this crate is async, reads a clock, rolls dice or performs I/O; whoever calls it
//! brings the facts and the present instant. Start with [`permit`] (may this text leave?),
//! [`ledger`] (what does it cost?) and [`message`] (what has become of it?).

pub mod backoff;
pub mod breaker;
pub mod budget;
pub mod campaign;
pub mod carrier_errors;
pub mod clock_guard;
pub mod contexts;
pub mod ids;
pub mod instant;
pub mod keywords;
pub mod lanes;
pub mod ledger;
pub mod local_time;
pub mod lots;
pub mod message;
pub mod mutant;
mod newer_zones;
pub mod packs;
pub mod payments;
pub mod permit;
pub mod phone;
pub mod plans;
pub mod quiet_hours;
pub mod rates;
pub mod recurrence;
pub mod reminder_plan;
pub mod replies;
pub mod seam;
pub mod segments;
pub mod sensitive;
pub mod settings;
pub mod subscriptions;
pub mod template;
pub mod text;
pub mod token;
mod utterance;
pub mod velocity;
pub mod windows;
