//! Movements of credits that take two operators, from the command line, on both engines.

use serde_json::json;
use testkit::Engine;

use crate::program::{Desk, Ended, run, text};

testkit::both_engines!(many_credits_take_two_operators_here_too, bad_operators_stop_the_start);

/// Runs the program where two operators must agree on more than a hundred credits.
fn two_person(desk: &Desk, arguments: &[&str]) -> Ended {
    let mut command = desk.command(arguments);
    command.env("LEDGERLINE_OPERATORS", "ana:key-of-ana,ben:key-of-ben");
    run(command.env("LEDGERLINE_TWO_PERSON_ABOVE", "100").arg("--json"))
}

async fn many_credits_take_two_operators_here_too(engine: Engine) {
    let desk = Desk::new(engine);
    desk.account("Northside");
    let grant = |amount| ["credits", "grant", amount, "--reason", "first", "--as", "ana"];
    assert_eq!(two_person(&desk, &grant("100")).json()["available"], 100);
    let proposed = two_person(&desk, &grant("101")).json();
    assert_eq!((&proposed["state"], &proposed["proposed_by"]), (&json!("proposed"), &json!("ana")));
    assert_eq!(desk.ask(&["credits", "show"])["available"], 100, "nothing moved yet");

    let id = text(&proposed["adjustment"]);
    let approve = |name| ["credits", "adjust", "--approve", &id, "--as", name];
    let refusal = two_person(&desk, &approve("ana")).refused(1);
    assert!(refusal.contains("another operator"), "{refusal}");
    let refusal = two_person(&desk, &approve("eve")).refused(2);
    assert!(refusal.contains("--as"), "{refusal}");
    assert_eq!(two_person(&desk, &approve("ben")).json()["available"], 201);
    assert_eq!(two_person(&desk, &approve("ben")).json()["available"], 201, "once");
    let both = ["credits", "adjust", "5", "--reason", "x", "--approve", &id];
    two_person(&desk, &both).refused(2);
    two_person(&desk, &["credits", "adjust"]).refused(2);
    assert!(desk.ask(&["audit"])["ok"].as_bool().unwrap_or(true));
}

async fn bad_operators_stop_the_start(engine: Engine) {
    let desk = Desk::new(engine);
    let mut command = desk.command(&["account", "list"]);
    let refusal = run(command.env("LEDGERLINE_OPERATORS", "ana")).refused(2);
    assert!(refusal.contains("LEDGERLINE_OPERATORS"), "{refusal}");
    let mut command = desk.command(&["account", "list"]);
    let refusal = run(command.env("LEDGERLINE_TWO_PERSON_ABOVE", "5")).refused(2);
    assert!(refusal.contains("LEDGERLINE_TWO_PERSON_ABOVE"), "{refusal}");
    desk.file("plans.csv", "key,name\nvip,V\n");
    let mut command = desk.command(&["account", "list"]);
    let refusal = run(command.env("LEDGERLINE_PLANS_FILE", "plans.csv")).refused(2);
    assert!(refusal.contains("LEDGERLINE_PLANS_FILE"), "{refusal}");
}
