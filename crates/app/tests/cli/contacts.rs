//! `contacts import`: good rows of bad files are kept, bad ones are told with their place.

use serde_json::{Value, json};
use testkit::Engine;

use crate::program::Desk;

testkit::both_engines!(bad_files_are_refused_whole, good_rows_of_bad_files_are_kept);

async fn bad_files_are_refused_whole(engine: Engine) {
    let desk = Desk::new(engine);
    desk.account("Northside");
    let cases: [(&[u8], &str); 5] = [
        (b"", "the file is empty"),
        (b"number,name\n+13125550100,Ann\n", "there is no column phone"),
        (b"phone;name\n+13125550100;Ann\n", "separated by commas"),
        (b"phone,name,phone\n", "twice"),
        (b"\xFF\xFEp\0h\0", "UTF-16"),
    ];
    for (bytes, part) in cases {
        desk.file("bad.csv", bytes);
        let refusal = desk.run(&["contacts", "import", "bad.csv"]).refused(2);
        assert!(refusal.contains(part), "{part}: {refusal}");
    }
    let refusal = desk.run(&["contacts", "import", "none.csv"]).refused(2);
    assert!(refusal.contains("none.csv"), "{refusal}");
    assert!(!desk.home.path().join("bad.csv.rejected.csv").exists());
}

const MIXED: &[u8] = b"\xEF\xBB\xBFPhone,name,timezone,consent,note\r\n\
    (312) 555-0100,\"Ann\r\nof the quoted line\",America/Chicago,opted_in,\"a, b\"\r\n\
    \r\n\
    +1 312 555 0101,Ren\xE9e,,opted_in,\r\n\
    12,Bob,,,\r\n\
    +13125550100,Ann again,,,\r\n\
    +13125550102,Cy,Moon/Base,,\r\n\
    +13125550103,Di,,maybe,\r\n\
    +13125550104,=cmd(),,opted_out,x,y\r\n\
    +13125550105,Ed,,opted_out,";

async fn good_rows_of_bad_files_are_kept(engine: Engine) {
    let desk = Desk::new(engine);
    desk.account("Northside");
    desk.file("mixed.csv", MIXED);
    let import = ["contacts", "import", "mixed.csv", "--rejected", "bad rows.csv"];
    let dry = desk.ask(&[&import[..], &["--dry-run"]].concat());
    let done = desk.ask(&import);
    for summary in [&dry, &done] {
        let counts = ["total", "created", "updated", "duplicates", "rejected_count"];
        let counts: Vec<&Value> = counts.iter().map(|name| &summary[name]).collect();
        assert_eq!(json!(counts), json!([8, 2, 0, 1, 5]), "{summary}");
    }
    let places: Vec<Value> = done["rejected"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| json!([row["line"], row["field"]]))
        .collect();
    let expected = json!([[5, "name"], [6, "phone"], [8, "timezone"], [9, "consent"], [10, "row"]]);
    assert_eq!(json!(places), expected);
    let rejected = desk.read("bad rows.csv");
    assert!(rejected.starts_with("line,field,value,reason\n5,name,"), "{rejected}");
    assert_eq!(rejected.lines().count(), 6, "{rejected}");

    let again = desk.run(&import).said();
    assert!(again.contains("2 of 8 rows") && again.contains("known already"), "{again}");
    let stdin = std::fs::File::open(desk.home.path().join("mixed.csv")).expect("is there");
    let mut command = desk.command(&["contacts", "import", "-", "--json"]);
    let piped = crate::program::run(command.stdin(stdin)).json();
    assert_eq!(piped["rejected_file"], "stdin.rejected.csv");
    assert_eq!(piped["updated"], 2);
}
