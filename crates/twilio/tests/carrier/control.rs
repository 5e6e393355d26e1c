//! The sandbox's own paths: its knobs can be read and turned while it runs, and its record read.

use serde_json::{Value, json};
use twilio::outcome::Outcome;
use twilio::sandbox::Knobs;

use crate::rig::{ask, carrier, client, send};

const TO: &str = "+13125550100";

#[tokio::test]
async fn knobs_are_read_and_turned_while_it_runs() {
    let carrier = carrier(Knobs { receipts: false, ..Knobs::default() }).await;
    let client = client(&carrier);
    let (status, knobs) = ask(&carrier, "GET", "/sandbox/knobs", "").await;
    let knobs: Value = serde_json::from_str(&knobs).expect("JSON");
    let all = Knobs { receipts: false, ..Knobs::default() };
    assert_eq!((status, &knobs), (200, &serde_json::to_value(all).expect("JSON")));
    let turn =
        async |change: Value| ask(&carrier, "POST", "/sandbox/knobs", &change.to_string()).await;
    for (change, outcome) in [
        (json!({ "share_401": 1 }), "rejected"),
        (json!({ "share_401": 0, "share_429": 1.0 }), "not sent"),
        (json!({ "share_429": 0, "share_drop": 1.0 }), "unknown"),
        (json!({ "share_drop": 0 }), "accepted"),
    ] {
        let (status, now) = turn(change.clone()).await;
        let now: Value = serde_json::from_str(&now).expect("JSON");
        assert_eq!(status, 200);
        for (name, value) in change.as_object().expect("knobs") {
            assert_eq!(now[name].as_f64(), value.as_f64(), "{name}");
        }
        let word = match send(&client, TO).await {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Rejected { .. } => "rejected",
            Outcome::NotSent { .. } => "not sent",
            Outcome::Unknown { .. } => "unknown",
        };
        assert_eq!(word, outcome, "{change}");
    }
    for wrong in [json!({ "share_403": 1 }), json!({ "share_401": 1.5 }), json!([]), json!("x")] {
        assert_eq!(turn(wrong.clone()).await.0, 400, "{wrong}");
    }
}

/// The names are part of the interface: whoever turns a knob over HTTP or on the command line
/// spells it so.
#[test]
fn every_knob_has_its_name() {
    let all = serde_json::to_value(Knobs::default()).expect("JSON");
    let names: Vec<&str> = all.as_object().expect("knobs").keys().map(String::as_str).collect();
    #[rustfmt::skip]
    let expected = [
        "latency_jitter_ms", "latency_ms", "listing_lag_ms", "queue_delay_ms", "receipt_delay_ms",
        "receipt_late_ms", "receipt_retry_secs", "receipts", "share_401", "share_429",
        "share_500_after", "share_500_before", "share_drop", "share_drop_before", "share_failed",
        "share_hang", "share_hang_after", "share_receipt_late", "share_receipt_lost",
        "share_receipt_swapped", "share_receipt_twice", "share_truncate", "share_undelivered",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn shares_are_drawn_about_as_often_as_they_say() {
    let carrier = carrier(Knobs { share_429: 0.3, receipts: false, ..Knobs::default() }).await;
    let client = client(&carrier);
    let mut refused = 0;
    for _ in 0..400 {
        refused += usize::from(matches!(send(&client, TO).await, Outcome::NotSent { .. }));
    }
    // The dice are seeded, so it is the same number each time; a fair share is 120.
    assert!((90..=150).contains(&refused), "{refused}");
    let summary = carrier.summary();
    assert_eq!((summary.requests, summary.accepted), (400, 400 - refused as u64));
}

#[tokio::test]
async fn the_record_is_read_line_by_line() {
    let carrier = carrier(Knobs { receipts: false, ..Knobs::default() }).await;
    let client = client(&carrier);
    for n in 0..3 {
        send(&client, &format!("+1312555010{n}")).await;
    }
    let (_, lines) = ask(&carrier, "GET", "/sandbox/messages?cursor=1&limit=2", "").await;
    let phones: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["to"].clone())
        .collect();
    assert_eq!(phones, ["+13125550101", "+13125550102"]);
    let (status, summary) = ask(&carrier, "GET", "/sandbox/summary", "").await;
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    assert_eq!((status, &summary["accepted"]), (200, &json!(3)));
    assert_eq!(ask(&carrier, "GET", "/sandbox/nothing", "").await.0, 404);
}
