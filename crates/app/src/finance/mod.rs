//! What it costs: credits come, are held, are spent, go back.
//!
//! This layer knows accounts, amounts and reasons, and nothing of messages.

pub mod books;
pub mod credits;
