//! Databases of a private `PostgreSQL` server, one for each test.
//!
//! The server is a [`Cluster`]. One serves a whole run: the binary `cluster` starts it and passes
//! its address in [`URL_VARIABLE`]. A test process that finds no such variable starts one of its
//! own.

use std::sync::OnceLock;

pub use cluster::Cluster;
pub(crate) use cluster::query;
use cluster::random_hex;

/// The environment variable with the address of a server that tests may create databases on.
pub const URL_VARIABLE: &str = "LEDGERLINE_TEST_POSTGRES";

/// `PostgreSQL` cuts longer names off, silently.
const NAME_BYTES_MAX: usize = 63;

/// The address of a new, empty database whose name begins with `hint`. It stays until the cluster
/// goes; [`crate::Engine`] drops its database earlier.
pub async fn database(hint: &str) -> String {
    let hint = hint.to_owned();
    tokio::task::spawn_blocking(move || create_database(&hint))
        .await
        .expect("creating a database panics only with its own words")
}

fn create_database(hint: &str) -> String {
    let server = server_url();
    let salt = random_hex().expect("the system has a source of chance");
    let name = database_name(hint, &salt[..8]);
    query(server, &format!("create database {name}")).unwrap_or_else(|error| panic!("{error}"));
    with_database(server, &name)
}

/// Removes a database that [`database`] made; whoever is still connected to it is cut off.
pub(crate) fn drop_database(url: &str) {
    let (_, name, _) = split(url);
    if let Err(error) = query(server_url(), &format!("drop database {name} with (force)")) {
        eprintln!("{error}"); // the cluster's end removes it too
    }
}

/// The run's server, or one of this process, which its keeper stops when the process ends.
fn server_url() -> &'static str {
    static GIVEN: OnceLock<Option<String>> = OnceLock::new();
    static OWN: OnceLock<Cluster> = OnceLock::new();
    match GIVEN.get_or_init(|| std::env::var(URL_VARIABLE).ok()) {
        Some(url) => url,
        None => OWN
            .get_or_init(|| {
                Cluster::start().unwrap_or_else(|error| panic!("no server to test on: {error}"))
            })
            .url(),
    }
}

/// A name that needs no quoting, says what it is for and is not taken.
fn database_name(hint: &str, salt: &str) -> String {
    let hint: String = hint
        .chars()
        .map(|it| if it.is_ascii_alphanumeric() { it.to_ascii_lowercase() } else { '_' })
        .take(NAME_BYTES_MAX - "t__".len() - salt.len())
        .collect();
    format!("t_{hint}_{salt}")
}

/// The same server's address for another database.
fn with_database(url: &str, name: &str) -> String {
    let (server, _, options) = split(url);
    format!("{server}/{name}{options}")
}

/// Splits an address into server, database and options (with their question mark).
fn split(url: &str) -> (&str, &str, &str) {
    let (place, options) = url.split_at(url.find('?').unwrap_or(url.len()));
    let host = place.find("://").map_or(0, |it| it + "://".len());
    match place[host..].find('/') {
        Some(slash) => (&place[..host + slash], &place[host + slash + 1..], options),
        None => (place, "", options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_turned_to_another_database() {
        for (url, expected) in [
            ("postgres://me@host:5432/postgres", "postgres://me@host:5432/new"),
            ("postgres://me:pw@host", "postgres://me:pw@host/new"),
            ("postgres://host/", "postgres://host/new"),
            ("postgres://host/old?sslmode=disable", "postgres://host/new?sslmode=disable"),
            ("postgres://host?host=/run/pg", "postgres://host/new?host=/run/pg"),
        ] {
            assert_eq!(with_database(url, "new"), expected, "{url}");
        }
    }

    #[test]
    fn a_database_name_is_plain_and_short_enough() {
        let long = "x".repeat(100);
        for (hint, expected) in [
            ("reserve", "t_reserve_0a1b".to_owned()),
            ("Money: §4", "t_money___4_0a1b".to_owned()),
            (&long, format!("t_{}_0a1b", "x".repeat(NAME_BYTES_MAX - 7))),
        ] {
            assert_eq!(database_name(hint, "0a1b"), expected, "{hint}");
            assert!(database_name(hint, "0a1b").len() <= NAME_BYTES_MAX, "{hint}");
        }
    }

    #[tokio::test]
    async fn each_database_is_new_and_works() {
        let (first, second) = (database("twin").await, database("twin").await);
        assert_ne!(first, second);
        for url in [&first, &second] {
            query(url, "create table only_here (id bigint primary key)").unwrap();
        }
        drop_database(&first);
        drop_database(&second);
    }
}
