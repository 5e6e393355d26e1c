//! `ledgerline inspect`: what the rules say of one text, number, time or webhook. Needs no
//! database.
//!
//! [`lines`] answers many inputs, a JSON object each; without `--jsonl` one input is answered for
//! a person. Each kind of input is a file; the rules themselves are in `domain`, `twilio`
//! and `stripe`.

mod keyword;
mod lines;
mod phone;
mod quiet_hours;
mod reply;
mod rrule;
mod segments;
mod signature;
mod stripe_signature;

use clap::Subcommand;

use super::failure::Result;
use super::outlet::Outlet;

/// What can be inspected.
#[derive(Debug, Subcommand)]
pub enum Subject {
    /// How a text is encoded and split, and what it costs
    Segments(segments::Wanted),
    /// Whether a phone number is valid, and what it is for
    Phone(phone::Wanted),
    /// Whether a moment lies in quiet hours, and when they end
    QuietHours(quiet_hours::Wanted),
    /// When a recurrence rule comes round, and where clocks are moved
    Rrule(rrule::Wanted),
    /// Whether a text is STOP, START, HELP or means one of them
    Keyword(keyword::Wanted),
    /// What a text says to a request for a yes or a no
    Reply(reply::Wanted),
    /// Whether a webhook was signed by Twilio
    TwilioSignature(signature::Wanted),
    /// Whether a webhook was signed by Stripe
    StripeSignature(stripe_signature::Wanted),
}

/// Runs the command.
pub fn run(subject: Subject, out: Outlet) -> Result {
    match subject {
        Subject::Segments(wanted) => segments::run(&wanted, out),
        Subject::Phone(wanted) => phone::run(&wanted, out),
        Subject::QuietHours(wanted) => quiet_hours::run(&wanted, out),
        Subject::Rrule(wanted) => rrule::run(&wanted, out),
        Subject::Keyword(wanted) => keyword::run(wanted, out),
        Subject::Reply(wanted) => reply::run(wanted, out),
        Subject::TwilioSignature(wanted) => signature::run(wanted, out),
        Subject::StripeSignature(wanted) => stripe_signature::run(wanted, out),
    }
}
