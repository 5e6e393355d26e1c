//! `ledgerline torture`, as an operator runs it: it must find nothing, and leave nothing behind.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ledgerline");
const WAIT: Duration = Duration::from_secs(30);

fn torture(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("torture").args(arguments).stdin(Stdio::null());
    command
}

/// Six kills while fifteen hundred contacts are texted. The seed draws each kind of victim.
fn assert_clean(engine: &str, seed: &str, victims: usize) {
    let output = torture(&["--json", "--engine", engine, "--seed", seed])
        .args(["--kills", "6", "--recipients", "1500"])
        .output()
        .expect("runs");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let report: Value = serde_json::from_str(&out).expect("one line of JSON");
    let kills = report["kills"].as_object().expect("an object");
    let number = |value: &Value| value.as_i64().unwrap_or(-1);
    assert_eq!((kills.len(), kills.values().map(number).sum()), (victims, 6), "{report}");
    let faults = report["verdict"].as_object().expect("an object");
    assert_eq!(faults.len(), 6, "{report}");
    assert!(faults.values().all(|fault| fault["count"] == 0), "{report}");
    assert!(number(&report["accepted"]) > 1300, "{report}");
    assert_eq!((&report["ok"], &report["directory"]), (&true.into(), &Value::Null));
}

#[test]
fn torture_finds_nothing_on_sqlite() {
    assert_clean("sqlite", "42", 3);
}

#[test]
fn torture_finds_nothing_on_postgres() {
    assert_clean("postgres", "78", 4);
}

/// A process with the time of its start, so that another one of the same id is not taken for it.
type Process = (i32, String);

fn started_at(id: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // A process that waits to be reaped has ended.
    (*fields.first()? != "Z").then(|| fields.get(19).map(ToString::to_string))?
}

/// Everything that descends from a process, itself left out. Each thread has its own children.
fn family(id: i32) -> Vec<Process> {
    let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let children = threads.filter_map(|one| fs::read_to_string(one.path().join("children")).ok());
    let children = children.collect::<Vec<_>>().join(" ");
    let ids = children.split_whitespace().filter_map(|id| id.parse().ok());
    ids.flat_map(|id| {
        let itself = started_at(id).map(|at| (id, at));
        itself.into_iter().chain(family(id)).collect::<Vec<_>>()
    })
    .collect()
}

/// However it ends, nothing that it started outlives it.
fn assert_ends_with_everything(signal: Signal, says: &str) {
    let mut child = torture(&["--engine", "postgres", "--kills", "10000", "--recipients", "500"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let id = i32::try_from(child.id()).expect("a process id");
    let out = BufReader::new(child.stdout.take().expect("a pipe"));
    let begun = out.lines().map_while(Result::ok).find(|line| line.starts_with("killing"));
    assert!(begun.is_some(), "it never began");
    let family = family(id);
    // The database server's keeper, itself and its helpers, and whoever is not being killed.
    assert!(family.len() >= 4, "{family:?}");
    kill_process(Pid::from_raw(id).expect("not 0"), signal).expect("is there");
    child.wait().expect("ends");
    let mut err = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("reads");
    assert!(err.contains(says), "{err}");
    let deadline = Instant::now() + WAIT;
    for (id, at) in family {
        while started_at(id).as_ref() == Some(&at) {
            assert!(Instant::now() < deadline, "process {id} is left behind");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

#[test]
fn torture_ends_what_it_started_on_ctrl_c() {
    assert_ends_with_everything(Signal::INT, "stopped before its end");
}

#[test]
fn torture_ends_what_it_started_when_it_is_killed() {
    assert_ends_with_everything(Signal::KILL, "");
}
