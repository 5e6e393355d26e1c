//! Building the tests with the bugs in them, and running one at a time.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use cluster::Cluster;
use serde_json::Value;

use super::catalogue::{Kind, Target, Test};

/// The variable in which a process finds the bug that bites.
const VARIABLE: &str = "LEDGERLINE_MUTANT";
/// How libtest ends when a test failed.
const FAILED: i32 = 101;
const PAUSE: Duration = Duration::from_millis(20);

/// What became of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Passed,
    /// With what it said.
    Failed(String),
    TimedOut,
    /// It ended in another way, told in words.
    Broken(String),
}

/// Built tests, ready to be run.
pub struct Runs {
    programs: BTreeMap<&'static str, PathBuf>,
    root: PathBuf,
    /// Both-engines tests run on PostgreSQL, not on SQLite.
    on_postgres: bool,
    timeout: Duration,
    cluster: Option<Cluster>,
    output: PathBuf,
    _home: tempfile::TempDir,
}

impl Runs {
    /// Builds the targets of `tests`, and starts a server if one of them needs it.
    pub fn prepare(
        root: &Path,
        tests: &[Test],
        on_postgres: bool,
        timeout: Duration,
    ) -> anyhow::Result<Self> {
        let targets =
            || Target::ALL.into_iter().filter(|one| tests.iter().any(|it| it.target == *one));
        let mut programs = BTreeMap::new();
        for is_library in [true, false] {
            let chosen: Vec<Target> =
                targets().filter(|one| one.is_library() == is_library).collect();
            if !chosen.is_empty() {
                build(root, &chosen, &mut programs)?;
            }
        }
        let needs_server = tests.iter().any(|test| match test.kind {
            Kind::Engines => on_postgres,
            Kind::Plain => false,
            Kind::Postgres => true,
        });
        let cluster = needs_server.then(Cluster::start).transpose().context("PostgreSQL")?;
        let home = tempfile::tempdir()?;
        let output = home.path().join("output");
        let root = root.to_path_buf();
        Ok(Self { programs, root, on_postgres, timeout, cluster, output, _home: home })
    }

    /// Runs one test, with a bug that bites or without. How it ended, and after which time.
    pub fn run(&self, test: Test, mutant: Option<&str>) -> anyhow::Result<(End, Duration)> {
        let (package, target, _) = test.target.place();
        let directory = if package == "ledgerline" { "app" } else { package };
        let engine = if self.on_postgres { "postgres" } else { "sqlite" };
        let path = match test.kind {
            Kind::Engines => format!("{}::{engine}", test.path),
            Kind::Plain | Kind::Postgres => test.path.to_owned(),
        };
        let out = File::create(&self.output)?;
        let mut command = Command::new(&self.programs[target]);
        command
            .args(["--exact", "--test-threads=1", "--nocapture", &path])
            .current_dir(self.root.join("crates").join(directory))
            .env("RUST_BACKTRACE", "0")
            .env_remove(VARIABLE)
            .stdin(Stdio::null())
            .stderr(out.try_clone()?)
            .stdout(out);
        if let Some(mutant) = mutant {
            command.env(VARIABLE, mutant);
        }
        if let Some(cluster) = &self.cluster {
            command.env("LEDGERLINE_TEST_POSTGRES", cluster.url());
            command.env("TMPDIR", cluster.temp_dir());
        }
        let start = Instant::now();
        let status = self.outlast(&mut command, start)?;
        let elapsed = start.elapsed();
        let mut said = String::new();
        File::open(&self.output)?.read_to_string(&mut said).context("it says no UTF-8")?;
        ensure!(said.contains("running 1 test\n"), "there is no test {path} in {target}");
        let end = status.map_or(End::TimedOut, |status| end_of(status, &said));
        Ok((end, elapsed))
    }

    /// The status, or `None` when it was not done in time and was ended.
    fn outlast(&self, command: &mut Command, start: Instant) -> anyhow::Result<Option<ExitStatus>> {
        let mut child = command.spawn()?;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if start.elapsed() > self.timeout {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

fn end_of(status: ExitStatus, said: &str) -> End {
    match (status.code(), status.signal()) {
        (Some(0), _) => End::Passed,
        (Some(FAILED), _) => End::Failed(first_words(said)),
        (Some(code), _) => End::Broken(format!("it ended with {code}")),
        (None, signal) => End::Broken(format!("signal {}", signal.unwrap_or(0))),
    }
}

/// The first line of the first panic's message.
fn first_words(said: &str) -> String {
    let mut lines = said.lines().skip_while(|line| !line.contains("panicked at "));
    let words = lines.nth(1).unwrap_or_default().trim();
    words.chars().take(100).collect()
}

/// Has cargo build test targets with the planted bugs, and notes where their programs are.
fn build(
    root: &Path,
    targets: &[Target],
    programs: &mut BTreeMap<&'static str, PathBuf>,
) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["test", "--no-run", "--features", "mutants"]);
    command.args(["--message-format", "json-render-diagnostics"]);
    for target in targets {
        let (package, name, _) = target.place();
        command.args(["--package", package]);
        if target.is_library() {
            command.arg("--lib");
        } else {
            command.args(["--test", name]);
        }
    }
    let output = command.stderr(Stdio::inherit()).output().context("cargo")?;
    ensure!(output.status.success(), "the tests could not be built");
    for line in String::from_utf8(output.stdout)?.lines() {
        let message: Value = serde_json::from_str(line)?;
        let Some(program) = message["executable"].as_str() else { continue };
        let name = message["target"]["name"].as_str();
        let target = targets.iter().map(|one| one.place().1).find(|one| Some(*one) == name);
        if let Some(target) = target
            && message["profile"]["test"] == true
        {
            programs.insert(target, fs::canonicalize(root.join(program))?);
        }
    }
    for target in targets {
        let (_, name, _) = target.place();
        if !programs.contains_key(name) {
            bail!("cargo built no tests {name}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_test_ended_is_read_from_its_status() {
        let said = "running 1 test\n\nthread 'a' panicked at b.rs:1:2:\nnot twice\n  left: 1\n";
        for (raw, expected) in [
            (0, End::Passed),
            (101 << 8, End::Failed("not twice".to_owned())),
            (1 << 8, End::Broken("it ended with 1".to_owned())),
            (6, End::Broken("signal 6".to_owned())),
        ] {
            assert_eq!(end_of(ExitStatus::from_raw(raw), said), expected, "{raw}");
        }
    }
}
