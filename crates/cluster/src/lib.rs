//! A private `PostgreSQL` cluster: a server of our own, made empty, gone without a trace.
//!
//! Its commits are durable (`fsync` and `synchronous_commit` are on, as in production) and still
//! fast, because its files lie in memory where there is room. A small shell, the keeper, holds it:
//! when the process that started the cluster ends, however it ends, the keeper's input closes, the
//! keeper stops the server and removes its directory. [`Cluster::crash`] stops the server without a
//! farewell, [`Cluster::recover`] starts it again.
//!
//! Tests, benchmarks and `ledgerline torture` stand on it. It knows nothing of tables or of
//! Ledgerline.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// Where Debian puts each version's programs.
const DEBIAN_VERSIONS: &str = "/usr/lib/postgresql";
/// The directory in memory, and the room that a run may need there.
const MEMORY: &str = "/dev/shm";
const MEMORY_BYTES_MIN: u64 = 2 << 30;
/// Another program may take the port between our choice and the server's start.
const START_ATTEMPTS_MAX: u32 = 3;

/// A running server; stopping and removing it is what dropping it does.
#[derive(Debug)]
pub struct Cluster {
    url: String,
    directory: PathBuf,
    keeper: Child,
    says: BufReader<ChildStdout>,
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

    /// Stops the server as `pg_ctl stop --mode=immediate` does: no checkpoint, no farewell to its
    /// clients. What it has confirmed must be found in its write-ahead log.
    pub fn crash(&mut self) -> io::Result<()> {
        self.order("crash", "crashed")
    }

    /// Starts a crashed server again, at the same address; returns when it takes connections.
    pub fn recover(&mut self) -> io::Result<()> {
        self.order("start", "ready")
    }

    fn order(&mut self, word: &str, expected: &str) -> io::Result<()> {
        let keeper = self.keeper.stdin.as_mut().expect("it is taken only when all is dropped");
        writeln!(keeper, "{word}")?;
        self.await_word(expected)
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
        let mut keeper = command
            .process_group(0) // Ctrl-C is for its clients; they still need their server to end well
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let says = BufReader::new(keeper.stdout.take().expect("the keeper was given a pipe"));
        let url = format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres");
        let mut cluster = Self {
            url,
            directory: directory.keep(), // from here on the keeper removes it
            keeper,
            says,
        };
        cluster.await_word("ready")?;
        Ok(cluster)
    }

    fn await_word(&mut self, expected: &str) -> io::Result<()> {
        let mut word = String::new();
        self.says.read_line(&mut word)?;
        if word.trim() == expected {
            return Ok(());
        }
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let kind = if log.contains("Address already in use") {
            io::ErrorKind::AddrInUse
        } else {
            io::ErrorKind::Other
        };
        Err(io::Error::new(
            kind,
            format!("the private PostgreSQL server is not {expected}; its log says:\n{log}"),
        ))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        if let Err(error) = self.keeper.wait() {
            eprintln!("the keeper of the private PostgreSQL server could not be awaited: {error}");
        }
    }
}

/// Runs one statement through `psql`.
pub fn query(url: &str, statement: &str) -> io::Result<()> {
    run(
        Command::new(programs()?.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"])
            .args(["--command", statement, "--dbname", url]),
        &format!("psql refused `{statement}`"),
    )
}

/// Writes a database into `file`, as SQL that `psql` reads.
pub fn dump(url: &str, file: &Path) -> io::Result<()> {
    run(
        Command::new(programs()?.join("pg_dump"))
            .args(["--no-password", "--no-owner", "--dbname", url, "--file"])
            .arg(file),
        "pg_dump failed",
    )
}

fn run(command: &mut Command, failure: &str) -> io::Result<()> {
    let outcome = command.stdin(Stdio::null()).output()?;
    if outcome.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&outcome.stderr);
    Err(io::Error::other(format!("{failure}: {complaint}")))
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
            "PostgreSQL's server programs (initdb, postgres, psql) are not installed; \
             on Debian they come with `apt-get install postgresql`",
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

/// Lays out the cluster's directory: `data` and `socket` are the server's, `tmp` is its clients'.
fn furnish(parent: &Path, owner: Option<(u32, u32)>, password: &str) -> io::Result<TempDir> {
    let directory = tempfile::Builder::new().prefix("ledgerline-postgres-").tempdir_in(parent)?;
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
pub fn random_hex() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let users = "root:x:0:0::/root:/bin/sh\npostgres2:x:7:8::/:/x\npostgres:x:101:104::/:/x\n";
        assert_eq!(user(users, "postgres"), Some((101, 104)));
        assert_eq!(user(users, "nobody"), None);
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

    #[test]
    fn a_crashed_cluster_recovers_what_was_committed() {
        let mut cluster = Cluster::start().unwrap();
        let url = cluster.url().to_owned();
        query(&url, "create table kept (id bigint primary key); insert into kept values (7)")
            .unwrap();
        cluster.crash().unwrap();
        assert!(query(&url, "select 1").is_err());
        cluster.recover().unwrap();
        let check = "do $$ begin assert (select id from kept) = 7, 'it is lost'; end $$";
        query(&url, check).unwrap();
        let file = cluster.temp_dir().join("dump.sql");
        dump(&url, &file).unwrap();
        assert!(fs::read_to_string(&file).unwrap().contains("CREATE TABLE public.kept"));
    }
}
