//! One test body, two engines.
//!
//! Where a database comes from: a file in a temporary directory for `SQLite`, a database of the
//! run's cluster for `PostgreSQL` (see [`crate::postgres`]).

use std::path::Path;
use std::process::Termination;

use tempfile::TempDir;

use crate::postgres;

/// Makes two tests of each named `async fn(Engine)` standing beside it: `name::sqlite` and
/// `name::postgres`. The function may return anything that a `#[test]` may.
///
/// ```
/// use testkit::Engine;
///
/// testkit::both_engines!(an_address_names_its_engine);
///
/// async fn an_address_names_its_engine(engine: Engine) {
///     assert!(engine.url().starts_with(engine.name()));
/// }
/// ```
///
/// The bodies stay plain functions, so that formatting, lints and editors see them; one that is
/// not named here is dead code, which the build refuses.
#[macro_export]
macro_rules! both_engines {
    ($($body:ident),+ $(,)?) => {$(
        mod $body {
            #[test]
            fn sqlite() -> impl ::std::process::Termination {
                $crate::run(async || $crate::Engine::sqlite(), super::$body)
            }

            #[test]
            fn postgres() -> impl ::std::process::Termination {
                $crate::run(
                    async || $crate::Engine::postgres(stringify!($body)).await,
                    super::$body,
                )
            }
        }
    )+};
}

/// An empty database of one engine, which goes when this value does. After a failed test the
/// `PostgreSQL` one stays until the cluster stops, for whoever wants to look at it.
#[derive(Debug)]
pub struct Engine {
    url: String,
    home: Home,
}

#[derive(Debug)]
enum Home {
    Directory(TempDir),
    Cluster,
}

impl Engine {
    /// An address in a new temporary directory; the file itself does not exist yet.
    pub fn sqlite() -> Self {
        let (directory, url) = sqlite();
        Self { url, home: Home::Directory(directory) }
    }

    /// A new database of the run's cluster, its name beginning with `hint`.
    pub async fn postgres(hint: &str) -> Self {
        Self { url: postgres::database(hint).await, home: Home::Cluster }
    }

    /// The address to open: `sqlite:/…` or `postgres://…`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `sqlite` or `postgres`.
    pub const fn name(&self) -> &'static str {
        if self.is_postgres() { "postgres" } else { "sqlite" }
    }

    /// Whether the database is one of a server.
    pub const fn is_postgres(&self) -> bool {
        matches!(self.home, Home::Cluster)
    }

    /// A directory beside the embedded database, for what a test wants to keep with it.
    pub fn directory(&self) -> Option<&Path> {
        match &self.home {
            Home::Directory(directory) => Some(directory.path()),
            Home::Cluster => None,
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.is_postgres() && !std::thread::panicking() {
            postgres::drop_database(&self.url);
        }
    }
}

/// A temporary directory and the address of a database in it. The directory goes with the value.
pub fn sqlite() -> (TempDir, String) {
    let directory = tempfile::tempdir().expect("the temporary directory can be written to");
    let url = format!("sqlite:{}", directory.path().join("ledgerline.db").display());
    (directory, url)
}

/// Runs a test body on an engine; what [`both_engines!`] expands to.
///
/// All tasks of a body share one thread, as under `#[tokio::test]`.
pub fn run<Out: Termination>(
    engine: impl AsyncFnOnce() -> Engine,
    body: impl AsyncFnOnce(Engine) -> Out,
) -> Out {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs only a few file descriptors")
        .block_on(async { body(engine().await).await })
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::both_engines!(each_engine_gets_its_own_address, a_body_may_return_a_result);

    async fn each_engine_gets_its_own_address(engine: Engine) {
        let other = match engine.name() {
            "sqlite" => Engine::sqlite(),
            _ => Engine::postgres("other").await,
        };
        assert!(engine.url().starts_with(&format!("{}:", engine.name())), "{}", engine.url());
        assert_ne!(engine.url(), other.url());
        assert_eq!(engine.directory().is_some(), !engine.is_postgres());
    }

    async fn a_body_may_return_a_result(engine: Engine) -> Result<(), std::num::ParseIntError> {
        let letters: i64 = format!("{}", engine.name().len()).parse()?;
        assert!(letters > 0);
        Ok(())
    }

    #[tokio::test]
    async fn a_database_goes_with_its_engine() {
        let engine = Engine::postgres("goes").await;
        let url = engine.url().to_owned();
        assert!(postgres::query(&url, "select 1").is_ok());
        drop(engine);
        let refusal = postgres::query(&url, "select 1").expect_err("the database is gone");
        assert!(refusal.to_string().contains("does not exist"), "{refusal}");
    }

    #[test]
    fn a_directory_goes_with_its_engine() {
        let engine = Engine::sqlite();
        let directory = engine.directory().expect("an embedded database has one").to_owned();
        assert!(directory.is_dir());
        drop(engine);
        assert!(!directory.exists());
    }
}
