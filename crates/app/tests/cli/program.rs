//! The program under test, run in an environment of its own.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use testkit::Engine;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ledgerline");

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// What it said; it must have done what was asked.
    #[track_caller]
    pub fn said(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// Its last line of JSON.
    #[track_caller]
    pub fn json(self) -> Value {
        let said = self.said();
        let last = said.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }

    /// Its refusal; it must have said nothing else, least of all how it is built.
    #[track_caller]
    pub fn refused(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.starts_with("error: ") && self.out.is_empty(), "{self:?}");
        assert!(!self.err.contains("panicked") && !self.err.contains("backtrace"), "{self:?}");
        self.err
    }
}

/// The program with an environment that nothing leaks into.
pub fn program(directory: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear().current_dir(directory).stdin(Stdio::null());
    command
}

pub fn run(command: &mut Command) -> Ended {
    let output = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("it speaks UTF-8");
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs it without a database, with `input` to read.
pub fn with_input(arguments: &[&str], input: &Path) -> Ended {
    let mut command = program(Path::new("."));
    run(command.args(arguments).stdin(File::open(input).expect("the input is there")))
}

/// The program on a database.
pub struct Desk {
    pub engine: Engine,
    pub home: tempfile::TempDir,
}

impl Desk {
    pub fn new(engine: Engine) -> Self {
        Self { engine, home: tempfile::tempdir().expect("a directory") }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(self.home.path());
        command.env("LEDGERLINE_DATABASE_URL", self.engine.url()).args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        run(&mut self.command(arguments))
    }

    /// The same, answered in JSON.
    #[track_caller]
    pub fn ask(&self, arguments: &[&str]) -> Value {
        run(self.command(arguments).arg("--json")).json()
    }

    /// A file in the directory in which the program runs.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.home.path().join(name), bytes).expect("the file is written");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.path().join(name)).expect("the file is there")
    }

    /// A new account's id.
    #[track_caller]
    pub fn account(&self, name: &str) -> String {
        let zone = "America/New_York";
        text(&self.ask(&["account", "create", "--name", name, "--timezone", zone])["id"])
    }
}

/// A JSON value that must be a text.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is a text")).to_owned()
}
