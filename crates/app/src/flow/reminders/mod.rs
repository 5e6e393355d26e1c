//! Reminders: planned with their appointment, sent when they are due.
//!
//! [`plan`] keeps the rows what they must be for the bookings as they stand, [`hours`] says when a
//! recipient may be texted, [`fire`] sends what is due and [`asking`] opens the request behind a
//! text that asks, [`watch`] looks after what was sent, [`byhand`] sends one now. [`look`] is what
//! the timer calls.

pub mod asking;
pub mod byhand;
pub mod fire;
pub mod hours;
pub mod look;
pub mod plan;
pub mod watch;
