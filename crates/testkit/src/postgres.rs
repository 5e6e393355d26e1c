//! A private `PostgreSQL` cluster for tests.
//!
//! Its commits are durable (`fsync` and `synchronous_commit` are on, as in production) and still
//! fast, because its files lie in memory where there is room. A small shell, the keeper, holds it:
//! when the process that started the cluster ends, however it ends, the keeper's input closes, the
//! keeper stops the server and removes its directory.
//!
//! One cluster serves a whole run: the binary `cluster` starts it and passes its address in
//! [`URL_VARIABLE`]. A test process that finds no such variable starts one of its own.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// The environment variable with the address of a server that tests may create databases on.
pub const URL_VARIABLE: &str = "LEDGERLINE_TEST_POSTGRES";

/// Where Debian puts each version's programs.
const DEBIAN_VERSIONS: &str = "/usr/lib/postgresql";
/// The directory in memory, and the room that a run may need there.
const MEMORY: &str = "/dev/shm";
const MEMORY_BYTES_MIN: u64 = 2 << 30;
/// Another program may take the port between our choice and the server's start.
const START_ATTEMPTS_MAX: u32 = 3;
/// `PostgreSQL` cuts longer names off, silently.
const NAME_BYTES_MAX: usize = 63;

/// A running server; stopping and removing it is what dropping it does.
#[derive(Debug)]
pub struct Cluster {
    url: String,
    directory: PathBuf,
    keeper: Child,
}

impl Cluster {
    /// Starts a server with an empty data directory, on a free port of 127.0.0.1.
    pub fn start() -> io::Result<Self> {
        Self::start_in(&roomy())
    }

    /// Like [`Self::start`], but the data is on a disk, never in memory: for measuring what durable
    /// commits cost.
    pub fn start_on_disk() -> io::Result<Self> {
        Self::start_in(&std::env::temp_dir())
    }

    /// The process all of its processes descend from.
    pub fn keeper_id(&self) -> u32 {
        self.keeper.id()
    }

    fn start_in(parent: &Path) -> io::Result<Self> {
        let mut attempt = 1;
        loop {
            match Self::attempt(parent) {
                Err(error)
                    if error.kind() == io::ErrorKind::AddrInUse && attempt < START_ATTEMPTS_MAX =>
                {
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// The address of its `postgres` database, with a password made for this cluster.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A directory for temporary files, removed together with the cluster.
    pub fn temp_dir(&self) -> PathBuf {
        self.directory.join("tmp")
    }

    fn attempt(parent: &Path) -> io::Result<Self> {
        let programs = programs()?;
        let owner = owner()?;
        let password = random_hex()?;
        let port = free_port()?;
        let directory = furnish(parent, owner, &password)?;

        let mut command = Command::new("sh");
        command.args(["-c", include_str!("keeper.sh"), "keeper"]);
        command.arg(directory.path()).arg(&programs).arg(port.to_string());
        if let Some((user, group)) = owner {
            command.args([format!("--reuid={user}"), format!("--regid={group}")]);
            command.args(["--clear-groups", "--inh-caps=-all"]);
        }
        let keeper = command
            .process_group(0) // Ctrl-C is for the tests; they still need their server to end well
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let url = format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres");
        let mut cluster = Self {
            url,
            directory: directory.keep(), // from here on the keeper removes it
            keeper,
        };
        cluster.await_ready()?;
        Ok(cluster)
    }

    fn await_ready(&mut self) -> io::Result<()> {
        let output = self.keeper.stdout.take().expect("the keeper was given a pipe");
        let mut word = String::new();
        BufReader::new(output).read_line(&mut word)?;
        if word.trim() == "ready" {
            return Ok(());
        }
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let kind = if log.contains("Address already in use") {
            io::ErrorKind::AddrInUse
        } else {
            io::ErrorKind::Other
        };
        Err(io::Error::new(kind, format!("the test cluster did not start; its log says:\n{log}")))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        if let Err(error) = self.keeper.wait() {
            eprintln!("the test cluster's keeper could not be awaited: {error}");
        }
    }
}

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

/// Runs one statement through `psql`.
pub(crate) fn query(url: &str, statement: &str) -> io::Result<()> {
    let outcome = Command::new(programs()?.join("psql"))
        .args(["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"])
        .args(["--command", statement, "--dbname", url])
        .stdin(Stdio::null())
        .output()?;
    if outcome.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&outcome.stderr).into_owned();
    Err(io::Error::other(format!("psql refused `{statement}`: {complaint}")))
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

/// The directory with `initdb`, `postgres` and `psql`: Debian's newest, or wherever `PATH` finds
/// them.
fn programs() -> io::Result<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = Vec::new();
    if let Ok(entries) = fs::read_dir(DEBIAN_VERSIONS) {
        for entry in entries.flatten() {
            let version = entry.file_name().to_string_lossy().parse();
            let programs = entry.path().join("bin");
            if let (Ok(version), true) = (version, has_server(&programs)) {
                versions.push((version, programs));
            }
        }
    }
    let newest = versions.into_iter().max().map(|(_, programs)| programs);
    let path = std::env::var_os("PATH").unwrap_or_default();
    newest.or_else(|| std::env::split_paths(&path).find(|it| has_server(it))).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "PostgreSQL's server programs are not installed; `./test` installs them, \
             or `apt-get install postgresql`",
        )
    })
}

fn has_server(programs: &Path) -> bool {
    ["initdb", "postgres", "psql"].iter().all(|program| programs.join(program).is_file())
}

/// The user and group to run as: the server refuses to run as root.
fn owner() -> io::Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    ["postgres", "nobody"].iter().find_map(|name| user(&users, name)).map(Some).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "neither user `postgres` nor `nobody` exists")
    })
}

/// The user and group numbers of `name` in the text of `/etc/passwd`.
fn user(users: &str, name: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields[..] {
            [it, _, user, group, ..] if it == name => {
                Some((user.parse().ok()?, group.parse().ok()?))
            }
            _ => None,
        }
    })
}

/// Lays out the cluster's directory: `data` and `socket` are the server's, `tmp` is the tests'.
fn furnish(parent: &Path, owner: Option<(u32, u32)>, password: &str) -> io::Result<TempDir> {
    let directory = tempfile::Builder::new().prefix("ledgerline-test-").tempdir_in(parent)?;
    let root = directory.path();
    fs::set_permissions(root, Permissions::from_mode(0o711))?;
    for name in ["data", "socket", "tmp"] {
        fs::create_dir(root.join(name))?;
        fs::set_permissions(root.join(name), Permissions::from_mode(0o700))?;
    }
    fs::write(root.join("password"), password)?;
    fs::set_permissions(root.join("password"), Permissions::from_mode(0o600))?;
    if let Some((user, group)) = owner {
        for name in ["data", "socket", "password"] {
            chown(root.join(name), Some(user), Some(group))?;
        }
    }
    Ok(directory)
}

/// Memory if there is enough, otherwise the temporary directory.
fn roomy() -> PathBuf {
    match rustix::fs::statvfs(MEMORY) {
        Ok(room) if room.f_bavail * room.f_frsize >= MEMORY_BYTES_MIN => PathBuf::from(MEMORY),
        _ => std::env::temp_dir(),
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Thirty-two hex digits of chance, for names and passwords. Straight from the system: this is
/// what must differ between runs, which `domain`'s seeded dice are made not to do.
fn random_hex() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
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

    #[test]
    fn users_are_found_by_their_whole_name() {
        let users = "root:x:0:0::/root:/bin/sh\npostgres2:x:7:8::/:/x\npostgres:x:101:104::/:/x\n";
        assert_eq!(user(users, "postgres"), Some((101, 104)));
        assert_eq!(user(users, "nobody"), None);
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

    #[test]
    fn a_cluster_is_durable_and_leaves_nothing() {
        let cluster = Cluster::start().unwrap();
        let directory = cluster.directory.clone();
        let (url, temp_dir) = (cluster.url().to_owned(), cluster.temp_dir());
        assert!(temp_dir.is_dir());
        for setting in ["fsync", "synchronous_commit", "full_page_writes", "autovacuum"] {
            let check = format!(
                "do $$ begin assert current_setting('{setting}') = 'on', '{setting} is off'; end $$"
            );
            query(&url, &check).unwrap();
        }
        drop(cluster);
        assert!(!directory.exists());
        assert!(query(&url, "select 1").is_err());
    }
}
