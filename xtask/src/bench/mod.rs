//! `cargo xtask bench`: what Ledgerline does on this machine, as measured.
//!
//! Real processes talk over loopback: the sandbox carrier, the server, PostgreSQL with durable
//! commits on a real disk. Figures are printed, never judged.
//!
//! [`campaign`] sends a campaign beside plain HTTP ([`raw`]), [`receipts`] has receipts come in at
//! a fixed rate ([`load`]), [`lanes`] sends codes beside a campaign, [`reminders`] fires reminders
//! among many, [`life`] takes messages through the database. They stand on a [`stage`] of
//! [`processes`] and open accounts in a [`shop`]; [`figures`] are what they print.

pub mod campaign;
mod figures;
pub mod lanes;
pub mod life;
mod load;
mod processes;
mod raw;
pub mod receipts;
pub mod reminders;
mod shop;
mod stage;
