//! `inspect`: the published samples, line for line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::program::{program, run, with_input};

fn samples(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)
}

/// Each line of `file` is answered with exactly `fields`, as the line itself has them.
#[track_caller]
fn assert_answers(subject: &str, file: &str, fields: &[&str]) {
    let path = samples(file);
    let wanted = std::fs::read_to_string(&path).expect("the samples are there");
    let answers = with_input(&["inspect", subject, "--jsonl"], &path).said();
    assert_eq!(answers.lines().count(), wanted.lines().count());
    let json = |line| serde_json::from_str::<Value>(line).expect("JSON");
    for (answer, wanted) in answers.lines().map(json).zip(wanted.lines().map(json)) {
        let answer = answer.as_object().expect("an object");
        if wanted.get("_meta").is_some() {
            assert_eq!(answer.len(), 1);
            assert_eq!(answer["_meta"], true);
            continue;
        }
        assert_eq!(answer.len(), fields.len(), "{answer:?}");
        for field in fields {
            assert_eq!(answer.get(*field), wanted.get(*field), "{field} of {wanted}");
        }
    }
}

#[test]
fn segments_equal_the_samples() {
    let file = "domain/tests/vectors/segments.jsonl";
    assert_answers("segments", file, &["encoding", "segments", "characters"]);
}

#[test]
fn phones_equal_the_samples() {
    let file = "domain/tests/vectors/phones.jsonl";
    assert_answers("phone", file, &["valid", "e164", "type", "region"]);
}

#[test]
fn quiet_hours_equal_the_samples() {
    let file = "domain/tests/vectors/quiet_hours.jsonl";
    assert_answers("quiet-hours", file, &["in_quiet", "next_allowed_utc"]);
}

#[test]
fn rules_equal_the_samples() {
    assert_answers("rrule", "domain/tests/vectors/rrule.jsonl", &["occurrences"]);
}

#[test]
fn signatures_equal_the_samples() {
    assert_answers("twilio-signature", "twilio/tests/vectors/twilio_signatures.jsonl", &["valid"]);
}

#[test]
fn stripe_signatures_equal_the_samples() {
    assert_answers("stripe-signature", "stripe/tests/vectors/stripe_signatures.jsonl", &["valid"]);
}

#[test]
fn a_caller_may_ask_line_by_line() {
    let mut command = program(Path::new("."));
    command.args(["inspect", "segments", "--jsonl"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut input = child.stdin.take().expect("piped");
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let cases = [
        (r#"{"text": "Hello €"}"#, r#"{"encoding":"GSM-7","segments":1,"characters":8}"#),
        (r#"{"body": "Hello"}"#, r#"{"error":"missing field `text`"}"#),
        ("hello", r#"{"error":"the line is no JSON object"}"#),
        ("", r#"{"error":"the line is empty"}"#),
        (r#"{"text": ""}"#, r#"{"encoding":"GSM-7","segments":1,"characters":0}"#),
    ];
    for (line, expected) in cases {
        writeln!(input, "{line}").expect("it reads");
        let mut answer = String::new();
        output.read_line(&mut answer).expect("it answers");
        assert_eq!(answer.trim_end(), expected, "{line}");
    }
    drop(input);
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn one_input_is_answered_readably() {
    let url = "https://example.com/hook";
    let cases: [(&[&str], &str); 8] = [
        (&["segments", "Don’t", "be", "late"], "sent as '"),
        (&["phone", "(415) 911-5551", "--region", "US"], "+14159115551"),
        (&["phone", "nobody"], "not a phone number"),
        (&["quiet-hours", "Asia/Tokyo", "2026-11-21T13:00:00Z"], "is quiet"),
        (&["quiet-hours", "Asia/Tokyo", "2026-11-21T03:00:00Z"], "may leave"),
        (&["twilio-signature", url, "x", "--auth-token", "t"], "not signed with this token"),
        (&["stripe-signature", "t=1,v1=0", "--secret", "whsec_a"], "no signature fits"),
        (&["stripe-signature", "v1=0", "--secret", "whsec_a,whsec_b"], "another form"),
    ];
    for (arguments, part) in cases {
        let said = run(program(Path::new(".")).arg("inspect").args(arguments)).said();
        assert!(said.contains(part) && !said.contains('\u{1b}'), "{arguments:?}: {said}");
    }
}

#[test]
fn nonsense_is_refused() {
    let cases: [(&[&str], &str); 5] = [
        (&["quiet-hours", "Mars/Base"], "not a time zone"),
        (&["quiet-hours", "Asia/Tokyo", "tomorrow"], "RFC 3339"),
        (&["quiet-hours", "Asia/Tokyo", "--start", "9pm"], "not a time of day"),
        (&["twilio-signature", "https://example.com", "x"], "TWILIO_AUTH_TOKEN"),
        (&["stripe-signature", "t=1,v1=0"], "STRIPE_WEBHOOK_SECRET"),
    ];
    for (arguments, part) in cases {
        let refusal = run(program(Path::new(".")).arg("inspect").args(arguments)).refused(2);
        assert!(refusal.contains(part), "{arguments:?}: {refusal}");
    }
}
