//! `ledgerline demo`: an invented business texts its real-looking contacts, runs out of credits in
//! the middle, is topped up, and goes on exactly where it stopped.
//!
//! [`play`] is the course of events, [`home`] the directory it lives in, [`business`] what is
//! invented, [`figures`] what is proven at the end, [`words`] what is said. Everything goes through
//! the same parts as in earnest: the server, the sandbox carrier over HTTP, its signed receipts.

mod business;
mod figures;
mod home;
mod play;
mod words;

pub use play::{Wanted, run};
