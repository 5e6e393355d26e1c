//! What an operator does about money from the command line, on both engines.

use serde_json::json;
use testkit::Engine;

use crate::program::{Desk, text};

testkit::both_engines!(
    prices_are_previewed_imported_and_listed,
    a_statement_is_told_and_written,
    what_the_ledgers_say_is_written_down_and_compared,
    a_record_is_asked_of_a_real_carrier_only,
);

async fn prices_are_previewed_imported_and_listed(engine: Engine) {
    let desk = Desk::new(engine);
    assert!(desk.run(&["rates", "list"]).said().contains("no price yet"));
    desk.file(
        "rates.csv",
        "destination,credits_per_segment,carrier_price,currency\nCA,2,0.0075,usd\n",
    );
    let preview = desk.ask(&["rates", "import", "rates.csv", "--preview"]);
    assert_eq!((&preview["added"], &preview["preview"]), (&json!(1), &json!(true)));
    assert_eq!(desk.ask(&["rates", "list"]), json!([]));
    let said = desk.run(&["rates", "import", "rates.csv"]).said();
    assert!(said.contains("CA") && said.contains("1 added") && said.contains("margin"), "{said}");
    let listed = desk.ask(&["rates", "list"]);
    assert_eq!(
        (&listed[0]["destination"], &listed[0]["carrier_price"]),
        (&json!("CA"), &json!("0.0075"))
    );
    desk.file("bad.csv", "destination,credits_per_segment\nGB,4\nnowhere,1\n");
    let ended = desk.run(&["rates", "import", "bad.csv"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.out.contains("line 3, destination") && ended.out.contains("1 added"),
        "{ended:?}"
    );
    let refusal = desk.run(&["rates", "import", "missing.csv"]).refused(2);
    assert!(refusal.contains("missing.csv"), "{refusal}");
}

async fn a_statement_is_told_and_written(engine: Engine) {
    let desk = Desk::new(engine);
    let create = ["account", "create", "--name", "Northside", "--timezone", "Etc/UTC"];
    let account = text(&desk.ask(&create)["id"]);
    desk.ask(&["credits", "grant", "3000", "--reason", "first"]);
    let month = &text(&desk.ask(&["account", "list"])[0]["created_at"])[..7];
    let one = desk.ask(&["statement", "--account", &account, "--month", month]);
    assert_eq!(one["ok"], true, "{one}");
    let said = desk.run(&["statement", "--month", month]).said();
    assert!(said.contains("closing") && said.contains("Northside"), "{said}");
    let html = desk.run(&["statement", "--month", month, "--format", "html"]).said();
    assert!(html.starts_with("<!doctype html>") && html.contains("</html>"), "{html}");
    let csv = desk.run(&["statement", "--month", month, "--format", "csv"]).said();
    assert!(csv.starts_with("section,date,"), "{csv}");
    let refusal = desk.run(&["statement", "--month", "soon"]).refused(2);
    assert!(refusal.contains("month"), "{refusal}");
}

async fn what_the_ledgers_say_is_written_down_and_compared(engine: Engine) {
    let desk = Desk::new(engine);
    let (one, _) = (desk.account("One"), desk.account("Two"));
    desk.ask(&["credits", "grant", "3000", "--reason", "first", "--account", &one]);
    let written = desk.ask(&["audit", "--export", "anchors.jsonl"]);
    assert_eq!((&written["accounts"], &written["lines"]), (&json!(2), &json!(1)), "{written}");
    let compared = desk.ask(&["audit", "--against", "anchors.jsonl"]);
    assert_eq!((&compared["ok"], &compared["digest"]), (&json!(true), &written["digest"]));
    // More may come; what was stays.
    desk.ask(&["credits", "grant", "5", "--reason", "more", "--account", &one]);
    let said = desk.run(&["audit", "--against", "anchors.jsonl"]).said();
    assert!(said.contains("is as it was"), "{said}");
    let file = desk.read("anchors.jsonl");
    desk.file("touched.jsonl", file.replacen("\"seq\":1", "\"seq\":2", 1));
    let refusal = desk.run(&["audit", "--against", "touched.jsonl"]).refused(1);
    assert!(refusal.contains("was changed after it was written"), "{refusal}");
    // Another installation never wrote these lines, nor this file.
    let other = Desk::new(Engine::sqlite());
    other.account("Elsewhere");
    other.file("anchors.jsonl", &file);
    let ended = other.run(&["audit", "--against", "anchors.jsonl"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("line 1 is gone") && ended.out.contains("another installation"));
}

async fn a_record_is_asked_of_a_real_carrier_only(engine: Engine) {
    let desk = Desk::new(engine);
    let refusal = desk.run(&["reconcile", "--from", "2026-07-01", "--to", "2026-07-02"]).refused(2);
    assert!(refusal.contains("TWILIO_ACCOUNT_SID"), "{refusal}");
}
