//! A business set up from the command line, on both engines.

use serde_json::json;
use testkit::Engine;

use crate::program::{Desk, run, text};

testkit::both_engines!(
    a_business_is_set_up,
    wrong_words_change_nothing,
    one_account_needs_no_name,
    an_audit_finds_nothing_and_says_so,
);

const CONTACTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/contacts.csv");

async fn a_business_is_set_up(engine: Engine) {
    let desk = Desk::new(engine);
    let account = desk.account("Northside");
    let listed = desk.ask(&["account", "list"]);
    assert_eq!((&listed[0]["id"], &listed[0]["available"]), (&json!(account), &json!(0)));
    assert_eq!(listed[0]["quiet_hours"], json!({"start": "21:00", "end": "08:00"}));

    let key = desk.ask(&["key", "create", "--name", "app", "--mode", "test"]);
    assert!(text(&key["key"]).starts_with("ll_test_"), "{key}");

    let grant = ["credits", "grant", "3000", "--reason", "first", "--once", "a"];
    assert_eq!(desk.ask(&grant)["available"], 3000);
    let refusal = desk.run(&grant).refused(1);
    assert!(refusal.contains("moved already"), "{refusal}");
    let wallet = desk.ask(&["credits", "adjust", "-500", "--reason", "an error"]);
    assert_eq!((&wallet["available"], &wallet["ledger_lines"]), (&json!(2500), &json!(2)));

    let imported = desk.ask(&["contacts", "import", CONTACTS]);
    assert_eq!((&imported["created"], &imported["rejected_count"]), (&json!(5000), &json!(0)));
    let body = "Spring check-up week is here. Reply STOP to opt out.";
    let made = desk.ask(&[
        "campaign",
        "create",
        "--name",
        "Spring",
        "--body",
        body,
        "--all",
        "--resume-when-funded",
    ]);
    assert_eq!((&made["state"], &made["category"]), (&json!("draft"), &json!("marketing")));
    let id = text(&made["id"]);
    let quote = desk.ask(&["campaign", "quote", &id]);
    assert_eq!(quote["sendable"], 4490, "{quote}");
    assert_eq!((&quote["credits"], &quote["skipped"]), (&json!(4490), &json!({"consent": 510})));
    let said = desk.run(&["campaign", "quote", &id]).said();
    assert!(said.contains("1,990 credits are missing"), "{said}");

    assert_eq!(desk.ask(&["campaign", "start", &id])["state"], "sealing");
    assert_eq!(desk.ask(&["campaign", "cancel", &id])["state"], "canceled");
    let refusal = desk.run(&["campaign", "resume", &id]).refused(1);
    assert!(refusal.contains("cannot be resumed"), "{refusal}");
    assert_eq!(desk.ask(&["campaign", "list"])[0]["name"], "Spring");
}

async fn wrong_words_change_nothing(engine: Engine) {
    let desk = Desk::new(engine);
    let create = ["account", "create", "--timezone", "America/New_York", "--name"];
    let cases: [(Vec<&str>, &str); 8] = [
        ([&create[..], &[""]].concat(), "name"),
        ([&create[..], &["a", "--country", "USA"]].concat(), "country"),
        ([&create[..], &["a", "--quiet-hours", "late"]].concat(), "21:00-08:00"),
        (vec!["account", "create", "--name", "a", "--timezone", "Here"], "timezone"),
        (vec!["account", "create", "--name", "a"], "--timezone"),
        (vec!["credits", "grant", "0", "--reason", "x"], "AMOUNT"),
        (vec!["credits", "grant", "99999999999999999999", "--reason", "x"], "AMOUNT"),
        (vec!["credits", "show", "--account", "acc_x"], "acc_"),
    ];
    for (arguments, part) in cases {
        let refusal = desk.run(&arguments).refused(2);
        assert!(refusal.contains(part), "{arguments:?}: {refusal}");
    }
    assert_eq!(desk.ask(&["account", "list"]), json!([]));
    desk.account("Northside");
    let create = ["campaign", "create", "--name", "a", "--body"];
    let cases: [(Vec<&str>, &str); 6] = [
        ([&create[..], &["Hi {{nmae}}", "--all"]].concat(), "nmae"),
        ([&create[..], &["Hi {{", "--all"]].concat(), "body"),
        ([&create[..], &["Hi"]].concat(), "--all"),
        ([&create[..], &["Hi", "--all"]].concat(), "audience"),
        ([&create[..], &["Hi", "--all", "--tag", "a"]].concat(), "--tag"),
        (vec!["credits", "adjust", "9223372036854775807", "--reason", "x"], "amount"),
    ];
    for (arguments, part) in cases {
        let refusal = desk.run(&arguments).refused(2);
        assert!(refusal.contains(part), "{arguments:?}: {refusal}");
    }
    assert_eq!(desk.ask(&["campaign", "list"]), json!([]));
    assert_eq!(desk.ask(&["credits", "show"])["ledger_lines"], 0);
    let refusal = desk.run(&["campaign", "start", "cmp_0000000000001"]).refused(2);
    assert!(refusal.contains("cmp_"), "{refusal}");
}

async fn one_account_needs_no_name(engine: Engine) {
    let desk = Desk::new(engine);
    let show = ["credits", "show"];
    assert!(desk.run(&show).refused(2).contains("account create"));
    let first = desk.account("First");
    assert_eq!(desk.ask(&show)["account"], json!(first));
    let second = desk.account("Second");
    let refusal = desk.run(&show).refused(2);
    assert!(refusal.contains(&first) && refusal.contains(&second), "{refusal}");
    assert_eq!(desk.ask(&["credits", "show", "--account", &second])["account"], json!(second));

    let grant = ["credits", "grant", "5", "--reason", "x", "--account", &first];
    desk.run(&grant).said();
    let create = ["campaign", "create", "--name", "a", "--body", "b", "--all"];
    desk.file("one.csv", "phone,consent\n+13125550100,opted_in\n");
    desk.run(&["contacts", "import", "one.csv", "--account", &first]).said();
    let made = desk.ask(&[&create[..], &["--account", &first]].concat());
    let id = text(&made["id"]);
    let refusal = desk.run(&["campaign", "quote", &id, "--account", &second]).refused(1);
    assert!(refusal.contains("no such campaign"), "{refusal}");
}

async fn an_audit_finds_nothing_and_says_so(engine: Engine) {
    let desk = Desk::new(engine);
    desk.run(&["audit"]).said();
    let (first, second) = (desk.account("First"), desk.account("Second"));
    let grant = ["credits", "grant", "5", "--reason", "x", "--account", &first];
    desk.run(&grant).said();
    let said = desk.run(&["audit"]).said();
    assert!(said.contains(&first) && said.contains(&second) && said.contains('✓'), "{said}");
    let one = run(desk.command(&["audit", "--account", &second]).arg("--json")).json();
    assert_eq!((&one["ok"], &one["account"]), (&json!(true), &json!(second)));
    assert!(one["checks"].as_array().is_some_and(|checks| checks.len() >= 8), "{one}");
}
