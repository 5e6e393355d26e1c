//! Opening a database, and refusing the ones on which the promises would not hold.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use domain::seam::Clock;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, PgConnection, PgPool, SqlitePool};

use super::begin::{begin, begin_immediate};
use super::{Engine, Error, Result, Tx};

/// Below this version SQLite's write-ahead log can lose a reset race.
const SQLITE_VERSION_MIN: i64 = 3_051_003;
/// Below this version PostgreSQL is not tested.
const POSTGRES_VERSION_MIN: i64 = 150_000;
const SQLITE_READERS: u32 = 4;
const BEGIN_WRITING: &str = "begin";
const BEGIN_READING: &str = "begin isolation level repeatable read, read only";
const WAIT_MAX: Duration = Duration::from_secs(30);
const FIRST_CONNECTION_MAX: Duration = Duration::from_secs(10);

/// How to open a database.
#[derive(Clone, Debug)]
pub struct Options {
    /// `sqlite://path` or `postgres://…`.
    pub url: String,
    /// Connections to a PostgreSQL server.
    pub connections_max: u32,
}

impl Options {
    /// The usual number of connections to `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), connections_max: 16 }
    }
}

#[derive(Clone)]
enum Pools {
    Sqlite { writer: SqlitePool, readers: SqlitePool, path: PathBuf },
    Postgres(PgPool),
}

/// An open database of an installation.
#[derive(Clone)]
pub struct Db {
    pools: Pools,
    clock: Arc<dyn Clock>,
    #[cfg(feature = "faults")]
    faults: super::Faults,
}

impl Db {
    /// Opens the database and brings its schema up to date; a missing SQLite file is made.
    pub async fn open(options: &Options, clock: Arc<dyn Clock>) -> Result<Self> {
        let url = options.url.as_str();
        let pools = if url.starts_with("sqlite:") {
            open_sqlite(url).await?
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            open_postgres(options).await?
        } else {
            let shown = url.split("://").next().unwrap_or_default();
            return Err(Error::Setting(format!(
                "the database URL begins with {shown:?}; write sqlite://FILE or \
                 postgres://USER@HOST/DATABASE"
            )));
        };
        let db = Self {
            pools,
            clock,
            #[cfg(feature = "faults")]
            faults: super::Faults::default(),
        };
        db.check_engine().await?;
        super::migrate::run(&db).await?;
        Ok(db)
    }

    /// Which engine it is.
    pub fn engine(&self) -> Engine {
        match self.pools {
            Pools::Sqlite { .. } => Engine::Sqlite,
            Pools::Postgres(_) => Engine::Postgres,
        }
    }

    /// The file of an embedded database.
    pub fn path(&self) -> Option<&Path> {
        match &self.pools {
            Pools::Sqlite { path, .. } => Some(path),
            Pools::Postgres(_) => None,
        }
    }

    /// What tests plan for the commits of this database.
    #[cfg(feature = "faults")]
    pub fn faults(&self) -> &super::Faults {
        &self.faults
    }

    /// Begins a transaction that may write. SQLite takes its write lock at once, so that two
    /// readers never race to become the writer.
    pub async fn begin(&self) -> Result<Tx> {
        let now = self.clock.now();
        let tx = match &self.pools {
            Pools::Sqlite { writer, .. } => Tx::sqlite(begin_immediate(writer).await?, now),
            Pools::Postgres(pool) => Tx::postgres(begin(pool, BEGIN_WRITING).await?, now),
        };
        #[cfg(feature = "faults")]
        let tx = tx.watched(&self.faults, true);
        Ok(tx)
    }

    /// Begins a transaction that only reads, on one snapshot.
    pub async fn read(&self) -> Result<Tx> {
        let now = self.clock.now();
        let tx = match &self.pools {
            Pools::Sqlite { readers, .. } => Tx::sqlite(readers.begin().await?, now),
            Pools::Postgres(pool) => Tx::postgres(begin(pool, BEGIN_READING).await?, now),
        };
        #[cfg(feature = "faults")]
        let tx = tx.watched(&self.faults, false);
        Ok(tx)
    }

    /// Closes every connection.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { writer, readers, .. } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }

    async fn check_engine(&self) -> Result<()> {
        let mut tx = self.read().await?;
        match self.engine() {
            Engine::Sqlite => {
                let (version,): (String,) = tx.one("select sqlite_version()", ()).await?;
                if version_number(&version) < SQLITE_VERSION_MIN {
                    return Err(Error::Setting(format!(
                        "SQLite {version} can lose committed data; 3.51.3 or later is needed"
                    )));
                }
            }
            Engine::Postgres => {
                let text = "select current_setting('server_version_num')::bigint, \
                            current_setting('fsync'), current_setting('synchronous_commit')";
                let (version, fsync, commit): (i64, String, String) = tx.one(text, ()).await?;
                if version < POSTGRES_VERSION_MIN {
                    return Err(Error::Setting("PostgreSQL 15 or later is needed".to_owned()));
                }
                if fsync == "off" || commit == "off" && !domain::mutant!(M31) {
                    return Err(Error::Setting(format!(
                        "PostgreSQL runs with fsync={fsync} and synchronous_commit={commit}; a \
                         power cut would then send texts twice, so both must be on"
                    )));
                }
            }
        }
        Ok(())
    }
}

fn version_number(version: &str) -> i64 {
    version.split('.').take(3).fold(0, |number, part| number * 1000 + part.parse().unwrap_or(0))
}

async fn open_sqlite(url: &str) -> Result<Pools> {
    use SqliteSynchronous::{Full, Normal};
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|error| Error::Setting(format!("the database URL {url:?}: {error}")))?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(if domain::mutant!(M30) { Normal } else { Full })
        .foreign_keys(true)
        .busy_timeout(WAIT_MAX)
        .pragma("cache_size", "-8000")
        // A statement over many rows keeps what it may have to undo, by default in a file.
        .pragma("temp_store", "memory")
        .pragma("wal_autocheckpoint", "8000")
        .pragma("fullfsync", "1")
        .statement_cache_capacity(200);
    let path = options.get_filename().to_path_buf();
    if domain::mutant!(M32) {
        drop(std::fs::remove_file(format!("{}-wal", path.display())));
    }
    let opened = |error: sqlx::Error| {
        Error::Setting(format!("cannot open the database file {}: {error}", path.display()))
    };
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(WAIT_MAX)
        .connect_with(options.clone())
        .await
        .map_err(opened)?;
    let readers = SqlitePoolOptions::new()
        .max_connections(SQLITE_READERS)
        .acquire_timeout(WAIT_MAX)
        .connect_with(options.pragma("query_only", "1"))
        .await
        .map_err(opened)?;
    Ok(Pools::Sqlite { writer, readers, path })
}

async fn open_postgres(options: &Options) -> Result<Pools> {
    let connect = PgConnectOptions::from_str(&options.url)
        .map_err(|error| Error::Setting(format!("the database URL: {error}")))?
        .application_name("ledgerline")
        .statement_cache_capacity(200)
        .options([
            // A generic plan made while a table was empty turns quadratic as it fills.
            ("plan_cache_mode", "force_custom_plan"),
            ("idle_in_transaction_session_timeout", "30000"),
            ("lock_timeout", "30000"),
            ("jit", "off"),
        ]);
    let unreachable =
        |why: String| Error::Setting(format!("cannot reach the PostgreSQL server: {why}"));
    // The pool would try for long and then only say that it timed out.
    let first = tokio::time::timeout(FIRST_CONNECTION_MAX, PgConnection::connect_with(&connect));
    match first.await {
        Ok(Ok(connection)) => connection.close().await?,
        Ok(Err(error)) => return Err(unreachable(error.to_string())),
        Err(_) => return Err(unreachable("it does not answer".to_owned())),
    }
    let pool = PgPoolOptions::new()
        .max_connections(options.connections_max)
        .acquire_timeout(WAIT_MAX)
        .connect_with(connect)
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    Ok(Pools::Postgres(pool))
}
