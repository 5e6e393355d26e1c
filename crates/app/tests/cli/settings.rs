//! Settings that cannot be used: a sentence that names the setting, exit code 2.

use crate::program::{program, run};

#[test]
fn a_bad_setting_stops_the_start_and_is_named() {
    let home = tempfile::tempdir().expect("a directory");
    let cases = [
        ("LEDGERLINE_BIND", "here"),
        ("LEDGERLINE_BIND", "203.0.113.1:80"),
        ("LEDGERLINE_DATABASE_URL", "mysql://here"),
        ("LEDGERLINE_DATABASE_URL", "sqlite:///nowhere/at/all.db"),
        ("LEDGERLINE_DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
        ("LEDGERLINE_PUBLIC_URL", "example.com"),
        ("LEDGERLINE_OPERATOR_KEY", "short"),
        ("LEDGERLINE_SEGMENTS_PER_SECOND", "fast"),
        ("LEDGERLINE_LOG", "=,="),
        ("LEDGERLINE_VALIDITY_SECONDS", "36001"),
        ("TWILIO_AUTH_TOKEN", "token"),
        ("TWILIO_BACKUP_ACCOUNT_SID", "AC"),
    ];
    for (name, value) in cases {
        let mut command = program(home.path());
        let refusal = run(command.arg("serve").env(name, value)).refused(2);
        let named = if name == "TWILIO_AUTH_TOKEN" { "TWILIO_ACCOUNT_SID" } else { name };
        assert!(refusal.contains(named), "{name}={value}: {refusal}");
    }
}

#[test]
fn a_bad_settings_file_is_named() {
    let home = tempfile::tempdir().expect("a directory");
    let cases = [
        ("database = \"x\"", "database"),
        ("bind = 8080", "LEDGERLINE_BIND"),
        ("bind = \"x\"", "LEDGERLINE_BIND"),
        ("bind", "configuration file"),
    ];
    for (text, part) in cases {
        std::fs::write(home.path().join("x.toml"), text).expect("writes");
        let mut command = program(home.path());
        let refusal = run(command.args(["migrate", "--config", "x.toml"])).refused(2);
        assert!(refusal.contains(part), "{text}: {refusal}");
    }
    let refusal = run(program(home.path()).args(["migrate", "--config", "none.toml"])).refused(2);
    assert!(refusal.contains("none.toml"), "{refusal}");
}

#[test]
fn the_environment_goes_before_the_file() {
    let home = tempfile::tempdir().expect("a directory");
    std::fs::write(home.path().join("x.toml"), "database_url = \"sqlite://a.db\"").expect("writes");
    let migrate = ["migrate", "--config", "x.toml", "--json"];
    let told = run(program(home.path()).args(migrate)).json();
    assert_eq!(told["engine"], "sqlite");
    assert!(home.path().join("a.db").exists() && told["schema"].is_string());
    let other = ("LEDGERLINE_DATABASE_URL", "sqlite://b.db");
    run(program(home.path()).args(migrate).env(other.0, other.1)).said();
    assert!(home.path().join("b.db").exists());
}

#[test]
fn unknown_words_are_refused_with_help() {
    let home = tempfile::tempdir().expect("a directory");
    for arguments in [&["fly"][..], &["campaign", "start"], &["credits", "grant", "ten"], &[]] {
        let ended = run(program(home.path()).args(arguments));
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert!(ended.err.contains("Usage") || ended.err.contains("--help"), "{ended:?}");
    }
}
