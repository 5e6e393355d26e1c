//! The demo from its first word to its last: what a stranger sees first must be true.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::program::{Ended, program, run};

fn demo(home: &Path, arguments: &[&str]) -> Ended {
    run(&mut command(home, &[&["demo"], arguments].concat()))
}

fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = program(home);
    // Nobody's real account is asked, whatever the environment says.
    command.env("TWILIO_ACCOUNT_SID", "AC1").args(arguments);
    command
}

/// Phones in the carrier's own record, each of which may be there once.
fn phones(home: &Path) -> HashSet<String> {
    let record = std::fs::read_to_string(home.join("ledgerline-demo/ledgerline.db.sandbox.jsonl"));
    let mut phones = HashSet::new();
    for line in record.expect("the carrier keeps a record").lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        if let Some(to) = line["to"].as_str() {
            assert!(phones.insert(to.to_owned()), "{to} was texted twice");
        }
    }
    phones
}

#[track_caller]
fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is missing in\n{said}");
    }
    assert!(!said.contains('✗'), "{said}");
}

#[test]
fn a_campaign_runs_out_of_credits_and_goes_on() {
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    let said = demo(home, &["--speed", "5000", "--bind", "127.0.0.1:0"]).said();
    assert_says(
        &said,
        &[
            "Northside Physio",
            "quiet hours are off",
            "/watch/",
            "paused (credits)",
            "3,000 texts accepted for 3,000 different phones",
            "0 available = 3,000 given − 3,000 spent",
            "10 of 10 checks hold",
            "demo --top-up 5000",
        ],
    );
    let before = phones(home);
    assert_eq!(before.len(), 3000);

    let said = demo(home, &["--top-up", "5000"]).said();
    assert_says(
        &said,
        &[
            "5,000 credits given; it goes on",
            "4,490 texts accepted for 4,490 different phones",
            "510 by rule consent",
            "3,510 available = 8,000 given − 4,490 spent",
            "10 of 10 checks hold",
        ],
    );
    let after = phones(home);
    assert_eq!((after.len(), before.difference(&after).count()), (4490, 0));

    let config = ["--config", "ledgerline-demo/ledgerline.toml", "--json"];
    let ask = |arguments: &[&str]| {
        let mut command = program(home);
        run(command.args(arguments).args(config)).said()
    };
    let audit = ask(&["audit"]);
    assert!(audit.contains("\"ok\":true") && !audit.contains("\"ok\":false"), "{audit}");
    let list: Value = serde_json::from_str(&ask(&["campaign", "list"])).expect("JSON");
    let id = list[0]["id"].as_str().expect("an id");
    assert_eq!(list[0]["counts"]["delivered"], 4490);
    let skipped = ask(&["campaign", "recipients", id, "--state", "suppressed", "--limit", "9999"]);
    assert_eq!(skipped.lines().count(), 510);
    assert!(skipped.lines().all(|line| line.contains("\"rule\":\"consent\"")));
    let watched = ask(&["campaign", "watch", id]);
    assert!(watched.contains("\"state\":\"completed\""), "{watched}");

    let said = demo(home, &["--top-up", "1"]).said();
    assert_says(&said, &["the campaign is over", "8,001 given"]);
}

#[test]
fn what_is_not_the_demos_is_left_alone() {
    let home = tempfile::tempdir().expect("a directory");
    std::fs::write(home.path().join("letter.txt"), "dear").expect("writes");
    for (arguments, part) in [
        (&["--dir", "."][..], "not the demo's"),
        (&["--dir", "none", "--top-up", "5"], "no demo"),
        (&["--top-up", "0"], "--top-up"),
        (&["--speed", "0"], "--speed"),
        (&["--config", "x.toml"], "--config"),
        (&["--json"], "--json"),
    ] {
        let refusal = demo(home.path(), arguments).refused(2);
        assert!(refusal.contains(part), "{arguments:?}: {refusal}");
    }
    assert_eq!(std::fs::read_dir(home.path()).expect("is there").count(), 1);
}
