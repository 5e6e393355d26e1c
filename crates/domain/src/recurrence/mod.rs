//! Recurrence rules of RFC 5545 (`FREQ=WEEKLY;BYDAY=MO,WE;COUNT=10`) and the times they make.
//!
//! A rule is expanded on the wall clock: a lesson at 09:00 stays at 09:00 when summer time begins.
//! Each time is then matched with its instant by [`crate::local_time`]. [`rule`](Recurrence) is
//! what the text says, [`dates`] which days it takes, [`expansion`](Expansion) what comes of both.
//! Nothing here knows the present; whoever asks says where to begin and how much to take.

mod dates;
mod expansion;
mod parse;
mod rule;
#[cfg(test)]
mod tests;

pub use expansion::{Expansion, Occurrences};
pub use parse::RecurrenceError;
pub use rule::Recurrence;
