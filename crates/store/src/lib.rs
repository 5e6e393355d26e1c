//! Where everything is kept: the only crate that knows SQL.
//!
//! One file per family of tables, each a set of plain functions over a [`Tx`]. Tenant functions
//! take the [`AccountId`](domain::ids::AccountId) first after the transaction, and every tenant
//! statement filters by it; [`sweep`] alone looks across accounts, and only for their ids. What
//! the numbers mean is decided in `domain`; nothing here judges.

pub mod accounts;
pub mod adjustments;
pub mod appointments;
pub mod audit;
pub mod automations;
pub mod budgets;
pub mod campaigns;
pub mod carrier_record;
pub mod chunks;
pub mod combiner;
pub mod consents;
pub mod contacts;
pub mod conversations;
mod db;
pub mod figures;
pub mod holds;
pub mod idempotency;
pub mod in_flight;
pub mod lots;
pub mod messages;
pub mod notes;
pub mod notices;
pub mod orphans;
pub mod payers;
pub mod purchases;
pub mod rates;
pub mod recipients;
pub mod reminders;
pub mod requests;
pub mod senders;
pub mod series;
pub mod settings;
pub mod statements;
pub mod stories;
pub mod streams;
pub mod stripe_events;
pub mod subscriptions;
pub mod sweep;
pub mod tasks;
pub mod threads;
pub mod topups;
pub mod unknowns;
pub mod velocity;
pub mod wallets;
pub mod withdrawals;

#[cfg(feature = "faults")]
pub use db::{CommitFault, Faults};
pub use db::{Db, Engine, Error, Options, Result, Rows, Sql, Tx, dialects, schema_version};

use domain::ids::{ContactId, SenderId};

/// Rows one list call returns at most.
pub const PAGE_ROWS_MAX: i64 = 1000;

fn damaged(what: &str) -> Error {
    Error::Damaged(what.to_owned())
}

fn uuid(bytes: Vec<u8>) -> Result<[u8; 16]> {
    bytes.try_into().map_err(|_| damaged("an id is not 16 bytes long"))
}

fn hash(bytes: Vec<u8>) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| damaged("a hash is not 32 bytes long"))
}

fn contact_id(bytes: Vec<u8>) -> Result<ContactId> {
    uuid(bytes).map(ContactId)
}

fn sender_id(bytes: Vec<u8>) -> Result<SenderId> {
    uuid(bytes).map(SenderId)
}
