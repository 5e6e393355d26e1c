//! What it costs: credits come, are held, are spent, go back.
//!
//! This layer knows accounts, amounts and reasons, and nothing of messages.

pub mod adjustments;
pub mod anchors;
pub mod books;
pub mod budgets;
pub mod credits;
pub mod lots;
pub mod news;
pub mod payers;
pub mod payments;
pub mod plan_checkout;
pub mod purchases;
pub mod rates;
pub mod settlement;
pub mod statements;
pub mod stripe_events;
pub mod subscriptions;
pub mod topup_payments;
pub mod topups;
pub mod worth;
