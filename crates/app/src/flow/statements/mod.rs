//! Statements: an account's month, from what was there to what is left, with every text between.
//!
//! [`crate::finance::statements`] reads the ledger; [`usage`] opens its lines to their texts;
//! [`statement`] puts both together and checks that they agree; [`sheet`] writes the result for
//! spreadsheets.

mod runs;
mod sheet;
mod statement;
mod usage;

pub use sheet::csv;
pub use statement::{DayUse, MonthOut, Statement, list, statement};
pub use usage::{Count, Usage, each_text};
