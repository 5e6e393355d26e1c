//! Appointments: booked, moved, called off, answered.
//!
//! [`wanted`] is what callers write, [`attending`] finds out who comes, [`change`] does what was
//! asked, [`series`] does it for recurring ones, [`import`] for files. What follows from a change
//! is one place, [`turn`]; [`events`] texts the news of it and [`answer`] takes a yes or a no.
//! [`shown`] is what callers read. Reminders are [`super::reminders`]'. A text that cannot be
//! written or sent never fails what is done to a booking.

pub mod answer;
pub mod attending;
pub mod booking;
pub mod change;
pub mod events;
pub mod import;
pub mod series;
pub mod shown;
pub mod turn;
pub mod wanted;
