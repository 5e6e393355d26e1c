//! Ledgerline: texts for businesses that must account for every one.
//!
//! Layers, each importing only those below it: [`entry`] (the outside asks), [`flow`] (what the
//! business does), [`delivery`] (how a text leaves and what comes back), [`finance`] (what it
//! costs).

/// Rows are put together on one thread and given back on another all day long, which it does
/// faster than the system's allocator, for SQLite as well.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod delivery;
pub mod entry;
pub mod finance;
pub mod flow;
pub mod refusal;
pub mod seam;
mod sheet;
