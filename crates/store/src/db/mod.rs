//! The seam between the product and its two engines; the only place that names sqlx.
//!
//! [`Db`] opens an installation's database, [`Tx`] runs statements. A statement is one text for
//! both engines with `$1` placeholders; where the engines truly differ, [`dialects`] holds the
//! pair. [`Rows`] carries a whole batch into one statement, which names it `{rows}`.

mod begin;
mod connect;
#[cfg(feature = "faults")]
mod faults;
mod jsonb;
mod migrate;
mod params;
mod rows;
mod tx;

pub use connect::{Db, Options};
#[cfg(feature = "faults")]
pub use faults::{CommitFault, Faults};
pub use migrate::schema_version;
pub use params::{PackedRow, Params, Row};
pub use rows::Rows;
pub use tx::{Sql, Tx, dialects};

/// Which engine keeps the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Embedded: one file, one writer.
    Sqlite,
    /// A server.
    Postgres,
}

impl Engine {
    /// `sqlite` or `postgres`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// What can go wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The setting is no database this program knows, or one it must not run on.
    #[error("{0}")]
    Setting(String),
    /// A unique key refused the row.
    #[error("{table} already holds this row")]
    Exists {
        /// The key or table that refused.
        table: String,
    },
    /// A row that must be there is not.
    #[error("no such {0}")]
    Missing(&'static str),
    /// A guarded change hit another number of rows than it must.
    #[error("{what}: {found} rows instead of {wanted}")]
    RowCount {
        /// The statement.
        what: &'static str,
        /// Rows it must change.
        wanted: u64,
        /// Rows it changed.
        found: u64,
    },
    /// A posting the ledger refuses.
    #[error(transparent)]
    Ledger(#[from] domain::ledger::LedgerError),
    /// Stored data that no version of this program wrote.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
    /// Two transactions met; the whole of this one may be tried again.
    #[error("the transaction met another one and may be tried again")]
    Conflict,
    /// The engine failed.
    #[error("database: {0}")]
    Engine(sqlx::Error),
}

/// The result of a store function.
pub type Result<T> = std::result::Result<T, Error>;

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let Some(refusal) = error.as_database_error() else {
            return Self::Engine(error);
        };
        // PostgreSQL: serialization failure and deadlock. SQLite: busy beyond its time-out.
        if matches!(refusal.code().as_deref(), Some("40001" | "40P01" | "5")) {
            return Self::Conflict;
        }
        if refusal.is_unique_violation() {
            let table = refusal.constraint().unwrap_or_else(|| refusal.message());
            return Self::Exists { table: table.to_owned() };
        }
        Self::Engine(error)
    }
}

/// Asserts that a guarded statement changed exactly `wanted` rows.
pub fn expect_rows(what: &'static str, wanted: usize, found: u64) -> Result<()> {
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    if wanted == found { Ok(()) } else { Err(Error::RowCount { what, wanted, found }) }
}
