//! Ledgerline: texts for businesses that must account for every one.
//!
//! Layers, each importing only those below it: [`entry`] (the outside asks), [`flow`] (what the
//! business does), [`delivery`] (how a text leaves and what comes back), [`finance`] (what it
//! costs).

pub mod delivery;
pub mod entry;
pub mod finance;
pub mod flow;
pub mod refusal;
pub mod seam;
mod sheet;
