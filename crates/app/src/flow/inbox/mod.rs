//! The inbox: conversations as staff see them, what they write on them, and their tasks.
//!
//! Texts that come in are taken in by [`super::inbound`] and answered by [`super::replies`]; here
//! people read and go on. Whatever staff send goes through the gate like any other text.

pub mod canned;
pub mod talk;
pub mod tasks;
pub mod threads;
