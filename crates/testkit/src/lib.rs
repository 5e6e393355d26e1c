//! What tests stand on: a database of either engine, fresh for each test and gone afterwards.
//!
//! - [`both_engines!`] turns one test body into two tests, `…::sqlite` and `…::postgres`.
//! - [`Engine`] is what such a body receives: the address of its own empty database.
//! - [`crash::crash_at_every_await`] drops a flow at each of its polls in turn.
//! - [`sqlite`] and [`postgres::database`] give such an address to tests that want one engine.
//! - [`postgres::Cluster`] is the private server behind it (the crate `cluster`); the binary of
//!   that name starts one for all test processes of a run.
//!
//! This crate knows nothing of tables, SQL or Ledgerline's own types: it must stay usable from the
//! tests of every other crate. How tests are organised is told in `docs/TESTING.md`.

pub mod crash;
mod engine;
pub mod postgres;

pub use engine::{Engine, run, sqlite};
