//! Follow-ups: listed, written by hand, taken, done.

use axum::http::Method;
use serde_json::{Value, json};
use testkit::Engine;

use crate::server::{Account, Server};

testkit::both_engines!(tasks_are_opened_taken_and_done, tasks_are_listed_by_what_they_are);

async fn change(server: &Server, account: &Account, task: &Value, body: Value) -> Value {
    let path = format!("/v1/tasks/{}", task["id"].as_str().expect("an id"));
    server.ask(Method::PATCH, &path).key(&account.key).json(&body).send().await.ok()
}

async fn tasks_are_opened_taken_and_done(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Sam's").await;
    let contact = server.contacts(&account, 1).await.remove(0);
    let wanted = json!({
        "kind": "call", "title": "Ask about Tuesday", "detail": "They sounded unsure",
        "contact_id": contact, "assignee": "Sam", "due_at": "2026-07-16T09:00:00Z"
    });
    let task = server.post(&account.key, "/v1/tasks", &wanted).await.made();
    assert_eq!([&task["state"], &task["kind"], &task["assignee"]], ["open", "call", "Sam"]);
    assert_eq!([&task["phone"], &task["due_at"]], ["+13125550100", "2026-07-16T09:00:00Z"]);
    let taken = change(&server, &account, &task, json!({"assignee": "Kim", "detail": ""})).await;
    assert_eq!([&taken["assignee"], &taken["detail"]], ["Kim", ""]);
    let done = change(&server, &account, &task, json!({"state": "done"})).await;
    assert_eq!(done["state"], "done");
    let by = done["done_by"].as_str().expect("somebody").to_owned();
    let at = done["done_at"].as_str().expect("a time");
    assert!(by.starts_with("key_") && at.starts_with("2026-07-15T17:00"), "{done}");
    // Done twice is done once.
    let again = change(&server, &account, &task, json!({"state": "done"})).await;
    assert_eq!([&again["done_at"], &again["done_by"]], [&done["done_at"], &done["done_by"]]);
    let open = change(&server, &account, &task, json!({"state": "open", "assignee": null})).await;
    assert_eq!((&open["state"], &open["done_at"]), (&json!("open"), &Value::Null));
    assert_eq!((&open["done_by"], &open["assignee"]), (&Value::Null, &Value::Null));
    let listed = server.get(&account.key, "/v1/tasks").await.ok();
    assert_eq!(listed["data"], json!([open]));
    let path = format!("/v1/tasks/{}", task["id"].as_str().expect("an id"));
    for (method, path, body, field) in [
        (Method::POST, "/v1/tasks", json!({"kind": "cry", "title": "x"}), "kind"),
        (Method::POST, "/v1/tasks", json!({"kind": "call", "title": " "}), "title"),
        (Method::POST, "/v1/tasks", json!({"kind": "call"}), "title"),
        (Method::POST, "/v1/tasks", json!({"kind": "call", "title": "x", "due_at": "x"}), "due_at"),
        (
            Method::POST,
            "/v1/tasks",
            json!({
                "kind": "call", "title": "x",
                "appointment_id": "ap_00000000000000000000000000"
            }),
            "appointment_id",
        ),
        (Method::PATCH, &path, json!({"state": "gone"}), "state"),
        (Method::PATCH, &path, json!({"kind": "call"}), "kind"),
        (Method::PATCH, &path, json!({"detail": "x".repeat(4001)}), "detail"),
    ] {
        let answer = server.ask(method, path).key(&account.key).json(&body).send().await;
        let (status, _, found) = answer.problem();
        assert_eq!((status, found.as_deref()), (422, Some(field)), "{body}");
    }
}

async fn tasks_are_listed_by_what_they_are(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Sam's").await;
    let mut made = Vec::new();
    for (kind, assignee) in [
        ("call", json!("Sam")),
        ("review", Value::Null),
        ("call", Value::Null),
        ("clarify", json!("Kim")),
    ] {
        let wanted = json!({"kind": kind, "title": kind, "assignee": assignee});
        made.push(server.post(&account.key, "/v1/tasks", &wanted).await.made());
    }
    change(&server, &account, &made[2], json!({"state": "done"})).await;
    for (query, expected) in [
        ("", vec![0, 1, 2, 3]),
        ("kind=call", vec![0, 2]),
        ("state=open", vec![0, 1, 3]),
        ("state=done", vec![2]),
        ("kind=call&state=open", vec![0]),
        ("assignee=Kim", vec![3]),
        ("unassigned=true", vec![1, 2]),
        ("unassigned=true&state=open", vec![1]),
    ] {
        let list = server.get(&account.key, &format!("/v1/tasks?{query}")).await.ok();
        let ids: Vec<&Value> = list["data"].as_array().expect("a list").iter().collect();
        let ids: Vec<&Value> = ids.into_iter().map(|one| &one["id"]).collect();
        let expected: Vec<&Value> = expected.into_iter().map(|n: usize| &made[n]["id"]).collect();
        assert_eq!(ids, expected, "{query}");
    }
    let first = server.get(&account.key, "/v1/tasks?limit=3").await.ok();
    let cursor = first["next_cursor"].as_str().expect("more");
    let rest = server.get(&account.key, &format!("/v1/tasks?limit=3&cursor={cursor}")).await.ok();
    assert_eq!((&rest["data"][0]["id"], &rest["next_cursor"]), (&made[3]["id"], &Value::Null));
    for (query, field) in
        [("kind=x", "kind"), ("state=x", "state"), ("thread_id=x", "thread_id"), ("x=y", "x")]
    {
        let refusal = server.get(&account.key, &format!("/v1/tasks?{query}")).await.problem();
        assert_eq!((refusal.0, refusal.2.as_deref()), (422, Some(field)));
    }
}
