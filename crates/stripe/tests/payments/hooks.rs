//! Events on their way: signed, tried again, late, doubled, shuffled and lost.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stripe::{CustomerIn, Mode, Stripe as _};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::rig::{Rig, checkout, until};

async fn customers(rig: &Rig, count: usize) {
    for number in 0..count {
        let customer = CustomerIn { name: Some(format!("{number}")), ..CustomerIn::default() };
        rig.client.create_customer(&customer, &format!("c-{number}")).await.expect("made");
    }
}

/// The names of the customers that events told of, as they came.
async fn names(rig: &Rig) -> Vec<String> {
    let heard = rig.heard().await;
    heard.iter().map(|(_, it)| it["name"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn listed(rig: &Rig) -> Vec<Value> {
    let (status, said) = rig.sandbox.control("GET", "events", &Value::Null).await;
    assert_eq!(status, 200);
    said["events"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn events_come_in_their_order_without_being_asked_for() {
    let rig = Rig::new().await;
    customers(&rig, 5).await;
    until(async || rig.hooks.received_requests().await.is_some_and(|it| it.len() == 5)).await;
    assert_eq!(names(&rig).await, ["0", "1", "2", "3", "4"]);
    let post = &rig.hooks.received_requests().await.expect("recorded")[0];
    let body: Value = serde_json::from_slice(&post.body).expect("JSON");
    assert_eq!(body["api_version"], "2026-10-28.endive");
    assert_eq!(body["request"]["idempotency_key"], "c-0");
    assert_eq!(post.headers["content-type"], "application/json; charset=utf-8");
    let ids: BTreeSet<String> = listed(&rig).await.iter().map(|it| it["id"].to_string()).collect();
    assert_eq!(ids.len(), 5);
}

#[tokio::test]
async fn an_event_is_tried_until_it_is_taken() {
    let rig = Rig::new().await;
    let moody = MockServer::start().await;
    for status in [500, 404, 302] {
        let answer = ResponseTemplate::new(status).insert_header("Location", "/elsewhere");
        Mock::given(any()).respond_with(answer).up_to_n_times(1).mount(&moody).await;
    }
    Mock::given(any()).respond_with(ResponseTemplate::new(204)).mount(&moody).await;
    rig.sandbox.set_webhook_url(&moody.uri());
    customers(&rig, 1).await;
    until(async || listed(&rig).await[0]["telling"] == "taken").await;
    assert_eq!(listed(&rig).await[0]["tries"], 4);
    let posts = moody.received_requests().await.expect("recorded");
    assert_eq!(posts.len(), 4);
    assert!(posts.iter().all(|post| post.body == posts[0].body), "it is the same event");
}

#[tokio::test]
async fn events_wait_for_somebody_to_be_there() {
    let clock = std::sync::Arc::new(domain::seam::VirtualClock::at(super::rig::NOW));
    let sandbox = stripe::sandbox::Sandbox::start(super::rig::options(&clock)).await;
    let client = super::rig::client_of(sandbox.as_ref().expect("starts"));
    let hooks = super::rig::taker().await;
    let rig = Rig { sandbox: sandbox.expect("starts"), client, hooks, clock };
    customers(&rig, 2).await;
    assert_eq!(listed(&rig).await[1]["telling"], "waiting");
    rig.sandbox.set_webhook_url(&rig.hooks.uri());
    until(async || listed(&rig).await[1]["telling"] == "taken").await;
    assert_eq!(names(&rig).await, ["0", "1"]);
}

#[tokio::test]
async fn events_come_doubled() {
    let rig = Rig::new().await;
    rig.knobs(json!({"duplicate": 2})).await;
    customers(&rig, 2).await;
    let mut heard = names(&rig).await;
    heard.sort();
    assert_eq!(heard, ["0", "0", "0", "1", "1", "1"]);
}

#[tokio::test]
async fn events_are_held_and_come_in_any_order() {
    let rig = Rig::new().await;
    rig.knobs(json!({"shuffle": true, "duplicate": 1})).await;
    customers(&rig, 12).await;
    assert!(listed(&rig).await.iter().all(|it| it["telling"] == "held"));
    assert!(rig.hooks.received_requests().await.expect("recorded").is_empty());
    let said = rig.does("flush", Value::Null).await;
    assert_eq!(said, json!({"taken": 12, "untaken": 0}));
    let heard = names(&rig).await;
    assert_eq!(heard.len(), 24);
    let firsts: Vec<&String> = {
        let mut seen = BTreeSet::new();
        heard.iter().filter(|name| seen.insert(*name)).collect()
    };
    assert_eq!(firsts.len(), 12, "each of them");
    assert!(firsts.windows(2).any(|it| it[0].len() == it[1].len() && it[0] > it[1]), "{firsts:?}");
    assert_eq!(rig.does("flush", Value::Null).await["taken"], 0, "all were told");
}

#[tokio::test]
async fn what_is_held_goes_when_nothing_is_held_any_more() {
    let rig = Rig::new().await;
    rig.knobs(json!({"shuffle": true})).await;
    customers(&rig, 2).await;
    rig.knobs(json!({"shuffle": false})).await;
    until(async || listed(&rig).await.iter().all(|it| it["telling"] == "taken")).await;
    assert_eq!(names(&rig).await, ["0", "1"]);
}

#[tokio::test]
async fn a_lost_event_comes_when_it_is_sent_again() {
    let rig = Rig::new().await;
    rig.knobs(json!({"drop": 2})).await;
    customers(&rig, 3).await;
    assert_eq!(names(&rig).await, ["2"]);
    let events = listed(&rig).await;
    let tellings: Vec<&str> = events.iter().filter_map(|it| it["telling"].as_str()).collect();
    assert_eq!(tellings, ["lost", "lost", "taken"]);
    for event in [&events[1], &events[1], &events[2]] {
        let path = format!("events/{}/resend", event["id"].as_str().expect("an id"));
        assert_eq!(rig.does(&path, Value::Null).await["status"], 200);
    }
    assert_eq!(names(&rig).await, ["2", "1", "1", "2"]);
    let (status, _) = rig.sandbox.control("POST", "events/evt_none/resend", &Value::Null).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn late_events_are_late() {
    let rig = Rig::new().await;
    rig.knobs(json!({"delay_ms": 3_600_000})).await;
    customers(&rig, 2).await;
    assert!(rig.hooks.received_requests().await.expect("recorded").is_empty());
    assert_eq!(names(&rig).await, ["0", "1"], "unless they are flushed");
}

#[tokio::test]
async fn nobody_takes_what_is_flushed_to_nobody() {
    let rig = Rig::new().await;
    rig.knobs(json!({"shuffle": true})).await;
    customers(&rig, 2).await;
    let deaf = MockServer::start().await;
    rig.sandbox.set_webhook_url(&deaf.uri());
    assert_eq!(rig.does("flush", Value::Null).await, json!({"taken": 0, "untaken": 2}));
    rig.sandbox.set_webhook_url(&rig.hooks.uri());
    until(async || listed(&rig).await.iter().all(|it| it["telling"] == "taken")).await;
}

#[tokio::test]
async fn knobs_are_shown_and_changed_over_http() {
    let rig = Rig::new().await;
    let ask = super::rig::ask;
    let said = ask(&rig.sandbox, "PUT", "/sandbox/knobs", "", "{\"duplicate\": 3}").await;
    assert_eq!((said.status, &said.json()["duplicate"]), (200, &json!(3)));
    let said = ask(&rig.sandbox, "GET", "/sandbox/knobs", "", "").await;
    assert_eq!(said.json()["duplicate"], 3);
    for wrong in ["{\"x\": 1}", "[]", "{", "{\"duplicate\": -1}"] {
        assert_eq!(
            ask(&rig.sandbox, "PUT", "/sandbox/knobs", "", wrong).await.status,
            400,
            "{wrong}"
        );
    }
    let session = rig.page(&checkout(Mode::Payment), "buy-1").await;
    let path = format!("/sandbox/checkout/{}/pay", session.id);
    let said = ask(&rig.sandbox, "POST", &path, "", "{\"card\": \"4242424242424242\"}").await;
    assert_eq!((said.status, &said.json()["result"]), (200, &json!("done")));
    let said = ask(&rig.sandbox, "GET", "/sandbox/events?limit=1", "", "").await.json();
    assert_eq!(said["events"][0]["type"], "checkout.session.completed");
    let said = ask(&rig.sandbox, "GET", "/sandbox/events?type=charge.succeeded", "", "").await;
    assert_eq!(said.json()["events"].as_array().map(Vec::len), Some(1));
    for (rest, body) in [
        ("checkout/cs_none/pay", json!({"card": "4242424242424242"})),
        ("checkout/cs_none/pay", json!({"card": "1"})),
        ("subscription/sub_none", json!({"advance": true})),
        ("nothing", Value::Null),
    ] {
        let (status, _) = rig.sandbox.control("POST", rest, &body).await;
        assert!((400..500).contains(&status), "{rest}: {status}");
    }
}
