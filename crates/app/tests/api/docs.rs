use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::Value;
use testkit::Engine;

use crate::server::Server;

/// `METHOD path`, as the contract with callers says.
const ROUTES: &[&str] = &[
    "DELETE /v1/appointments/{id}",
    "DELETE /v1/canned-replies/{id}",
    "DELETE /v1/series/{id}",
    "DELETE /v1/templates/{id}",
    "GET /v1/accounts",
    "GET /v1/accounts/{id}/audit",
    "GET /v1/accounts/{id}/statements/{month}",
    "GET /v1/adjustments",
    "GET /v1/appointments",
    "GET /v1/appointments/{id}",
    "GET /v1/audit",
    "GET /v1/auto-topup",
    "GET /v1/automations",
    "GET /v1/budget",
    "GET /v1/campaigns",
    "GET /v1/campaigns/{id}",
    "GET /v1/campaigns/{id}/recipients",
    "GET /v1/canned-replies",
    "GET /v1/carriers",
    "GET /v1/consents",
    "GET /v1/contacts",
    "GET /v1/contacts/{id}",
    "GET /v1/contacts/{id}/consent-proof",
    "GET /v1/figures/confirmations",
    "GET /v1/holds",
    "GET /v1/ledger",
    "GET /v1/messages/{id}",
    "GET /v1/notices",
    "GET /v1/packs",
    "GET /v1/purchases",
    "GET /v1/purchases/{id}",
    "GET /v1/rates",
    "GET /v1/reconciliation",
    "GET /v1/revenue",
    "GET /v1/senders",
    "GET /v1/series/{id}",
    "GET /v1/settings",
    "GET /v1/statements",
    "GET /v1/statements/{month}",
    "GET /v1/stripe-events",
    "GET /v1/subscription",
    "GET /v1/tasks",
    "GET /v1/templates",
    "GET /v1/threads",
    "GET /v1/threads/{id}",
    "GET /v1/wallet",
    "PATCH /v1/appointments/{id}",
    "PATCH /v1/contacts/{id}",
    "PATCH /v1/senders/{id}",
    "PATCH /v1/series/{id}",
    "PATCH /v1/tasks/{id}",
    "PATCH /v1/threads/{id}",
    "POST /v1/accounts",
    "POST /v1/accounts/{id}/credits",
    "POST /v1/accounts/{id}/keys",
    "POST /v1/adjustments/{id}/approve",
    "POST /v1/adjustments/{id}/reject",
    "POST /v1/appointments",
    "POST /v1/appointments/import",
    "POST /v1/appointments/{id}/cancel",
    "POST /v1/appointments/{id}/confirm",
    "POST /v1/appointments/{id}/remind",
    "POST /v1/appointments/{id}/reschedule",
    "POST /v1/campaigns",
    "POST /v1/campaigns/{id}/cancel",
    "POST /v1/campaigns/{id}/pause",
    "POST /v1/campaigns/{id}/quote",
    "POST /v1/campaigns/{id}/resume",
    "POST /v1/campaigns/{id}/start",
    "POST /v1/campaigns/{id}/test",
    "POST /v1/canned-replies",
    "POST /v1/consents",
    "POST /v1/contacts",
    "POST /v1/contacts/import",
    "POST /v1/holds/{id}/lift",
    "POST /v1/messages",
    "POST /v1/messages/group",
    "POST /v1/notices/{id}/seen",
    "POST /v1/purchases",
    "POST /v1/quote",
    "POST /v1/rates",
    "POST /v1/senders",
    "POST /v1/stripe-events/{id}/retry",
    "POST /v1/subscription",
    "POST /v1/tasks",
    "POST /v1/templates",
    "POST /v1/templates/preview",
    "POST /v1/threads",
    "POST /v1/threads/{id}/messages",
    "POST /v1/threads/{id}/notes",
    "PUT /v1/accounts/{id}/subscription",
    "PUT /v1/auto-topup",
    "PUT /v1/budget",
    "PUT /v1/canned-replies/{id}",
    "PUT /v1/settings",
    "PUT /v1/templates/{id}",
];

#[tokio::test]
async fn every_route_is_described_and_wants_a_key() {
    let server = Server::start(Engine::sqlite()).await;
    let api = server.get("", "/openapi.json").await.ok();
    assert_eq!(api["openapi"], "3.1.0");
    let (mut described, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (path, item) in api["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            described.insert(format!("{} {path}", method.to_uppercase()));
            check_operation(&api, path, operation);
            assert!(names.insert(operation["operationId"].to_string()), "{operation}");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let path = path.replace("{id}", "x").replace("{month}", "2026-07");
            server.ask(method.clone(), &path).send().await.refused(401, "unauthorized");
            server.ask(method, &path).key("nobody").send().await.refused(401, "unauthorized");
        }
    }
    let expected: BTreeSet<String> = ROUTES.iter().map(|&route| route.to_owned()).collect();
    assert_eq!(described, expected);
}

#[track_caller]
fn check_operation(api: &Value, path: &str, operation: &Value) {
    let responses = operation["responses"].as_object().expect("responses");
    assert!(responses.keys().any(|status| status.starts_with('2')), "{path}");
    for status in ["401", "403", "422", "500"] {
        let schema = &responses[status]["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(schema, "#/components/schemas/Problem", "{path} {status}");
    }
    for tag in operation["tags"].as_array().expect("a tag") {
        let known = api["tags"].as_array().expect("tags").iter().any(|one| one["name"] == *tag);
        assert!(known, "{path} {tag}");
    }
    for response in responses.values() {
        assert!(response["description"].is_string(), "{path} {response}");
    }
    assert!(operation["summary"].is_string() && operation["security"].is_array(), "{path}");
}

#[tokio::test]
async fn references_lead_somewhere() {
    let server = Server::start(Engine::sqlite()).await;
    let api = server.get("", "/openapi.json").await.ok();
    let mut open = vec![&api];
    while let Some(value) = open.pop() {
        if let Some(path) = value["$ref"].as_str() {
            let path = path.strip_prefix('#').expect("a reference within");
            assert!(api.pointer(path).is_some(), "{path}");
        }
        match value {
            Value::Array(list) => open.extend(list),
            Value::Object(map) => open.extend(map.values()),
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_pages_are_readable_and_guarded() {
    let server = Server::start(Engine::sqlite()).await;
    let docs = server.get("", "/docs").await;
    assert_eq!(docs.status, 200);
    let html = docs.text();
    for route in ROUTES {
        let path = route.split(' ').nth(1).expect("a path");
        assert!(html.contains(path), "{path}");
    }
    assert!(html.contains("id=\"problem-invalid_field\"") && html.contains("curl -X POST"));
    assert!(!html.contains("<script") && !html.contains("style="), "nothing is inline");
    let policy = docs.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{policy}");
    for asset in ["page.css", "docs.css", "watch.css", "watch.js", "icon.svg"] {
        let reply = server.get("", &format!("/assets/{asset}")).await;
        assert_eq!((reply.status, reply.header("x-content-type-options")), (200, "nosniff"));
    }
}
