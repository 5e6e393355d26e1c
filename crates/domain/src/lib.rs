//! The rules of Ledgerline: pure functions over plain values.
//!
//! Nothing in this crate is async, reads a clock, rolls dice or performs I/O; whoever calls it
//! brings the facts and the present instant. Start with [`permit`] (may this text leave?),
//! [`ledger`] (what does it cost?) and [`message`] (what has become of it?).

pub mod backoff;
pub mod breaker;
pub mod campaign;
pub mod carrier_errors;
pub mod contexts;
pub mod ids;
pub mod instant;
pub mod lanes;
pub mod ledger;
pub mod message;
pub mod mutant;
pub mod permit;
pub mod phone;
pub mod quiet_hours;
pub mod rates;
pub mod seam;
pub mod segments;
pub mod template;
pub mod text;
pub mod token;
