//! Reminders: planned with their appointment, sent when they are due.
//!
//! [`plan`] keeps the rows what they must be for the bookings as they stand, [`hours`] says when a
//! recipient may be texted.

pub mod hours;
pub mod plan;
