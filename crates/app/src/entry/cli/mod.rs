//! The command line: each family of commands is a file, and says what it does in words.
//!
//! Commands ask [`crate::flow`] as every other entry does and decide nothing themselves. They work
//! on the database directly; a running server notices, because it looks at what is. [`command`] is
//! the list of all commands, [`failure`] says how one ends, [`outlet`] and [`progress`] how it
//! looks on a terminal.

mod account;
mod anchors;
mod audit;
mod campaign;
mod carrier;
mod command;
mod contacts;
mod credits;
mod demo;
mod failure;
mod inspect;
mod key;
mod log;
mod migrate;
mod outlet;
mod progress;
mod rates;
mod reconcile;
mod serve;
mod statement;
mod stop;
mod stripe;
mod torture;
mod watch;
mod workplace;

pub use command::run;
