use axum::http::Method;
use serde_json::json;
use testkit::Engine;

use crate::server::{OPERATOR, Server};

testkit::both_engines!(
    bodies_that_cannot_be_read_are_named,
    queries_are_checked,
    credits_beyond_reason_are_refused,
    routes_and_methods_are_checked,
);

async fn bodies_that_cannot_be_read_are_named(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let long = format!("{{\"phone\":\"{}\"}}", "1".repeat(300 << 10));
    let json = "application/json";
    let with = |rest: &str| format!(r#"{{"phone":"+13125550147",{rest}}}"#);
    #[rustfmt::skip]
    let cases: &[(&str, String, u16, &str, Option<&str>)] = &[
        (json, String::new(), 400, "invalid_json", None),
        (json, "{".into(), 400, "invalid_json", None),
        (json, with(""), 400, "invalid_json", None),
        (json, with(r#""name":"x""#) + " x", 400, "invalid_json", None),
        (json, "[]".into(), 422, "invalid_field", None),
        (json, "null".into(), 422, "invalid_field", None),
        (json, r#"{"phone":1}"#.into(), 422, "invalid_field", Some("phone")),
        (json, "{}".into(), 422, "invalid_field", Some("phone")),
        (json, with(r#""nmae":"x""#), 422, "unknown_field", Some("nmae")),
        (json, with(r#""name":"\u0000""#), 422, "invalid_field", None),
        (json, with(r#""tags":"x""#), 422, "invalid_field", Some("tags")),
        (json, with(r#""fields":{"a":1}"#), 422, "invalid_field", Some("fields.a")),
        (json, with(r#""timezone":"Mars""#), 422, "invalid_field", Some("timezone")),
        (json, with(r#""consent":"yes""#), 422, "invalid_field", Some("consent")),
        (json, long, 413, "payload_too_large", None),
        ("text/plain", "{}".into(), 415, "unsupported_media_type", None),
        ("multipart/form-data", "phone=1".into(), 415, "unsupported_media_type", None),
    ];
    for (kind, body, status, code, field) in cases {
        let asking = server.ask(Method::POST, "/v1/contacts").key(&account.key);
        let found = asking.body(kind, body.clone()).send().await.problem();
        let shown: String = body.chars().take(60).collect();
        assert_eq!(
            (found.0, found.1.as_str(), found.2.as_deref()),
            (*status, *code, *field),
            "{shown}"
        );
    }
    assert_eq!(server.get(&account.key, "/v1/contacts").await.ok()["data"], json!([]));
    let asking = server.ask(Method::POST, "/v1/contacts").key(&account.key);
    let typed = asking.body("application/json; charset=utf-8", r#"{"phone":"+13125550147"}"#);
    typed.send().await.made();
}

async fn queries_are_checked(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    server.contacts(&account, 2).await;
    let page = server.get(&account.key, "/v1/contacts?limit=1").await.ok();
    let foreign = page["next_cursor"].as_str().expect("there is more");
    let cases = [
        ("/v1/ledger?limit=0".to_owned(), 422, "limit"),
        ("/v1/ledger?limit=1001".to_owned(), 422, "limit"),
        ("/v1/ledger?limit=-1".to_owned(), 422, "limit"),
        ("/v1/ledger?limit=ten".to_owned(), 422, "limit"),
        ("/v1/ledger?limit=1&limit=2".to_owned(), 422, "limit"),
        ("/v1/ledger?cursor=x".to_owned(), 400, "cursor"),
        ("/v1/ledger?cursor=%00".to_owned(), 400, "cursor"),
        (format!("/v1/ledger?cursor={foreign}"), 400, "cursor"),
        ("/v1/ledger?offset=3".to_owned(), 422, "offset"),
    ];
    for (path, status, field) in cases {
        let found = server.get(&account.key, &path).await.problem();
        assert_eq!((found.0, found.2.as_deref()), (status, Some(field)), "{path}");
    }
    server.get(&account.key, "/v1/ledger?limit=1000&cursor=").await.ok();
}

async fn credits_beyond_reason_are_refused(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let path = format!("/v1/accounts/{}/credits", account.id);
    for amount in ["0", "1000000000001", "-1000000000001", "9223372036854775808", "1.5", "\"5\""] {
        let body = format!(r#"{{"amount":{amount},"reason":"x"}}"#);
        let asking = server.ask(Method::POST, &path).key(OPERATOR);
        let found = asking.body("application/json", body).send().await.problem();
        assert_eq!((found.0, found.2.as_deref()), (422, Some("amount")), "{amount}");
    }
    for reason in ["", " ", "a\nb"] {
        let body = json!({"amount": 1, "reason": reason});
        let found = server.post(OPERATOR, &path, &body).await.problem();
        assert_eq!((found.0, found.2.as_deref()), (422, Some("reason")), "{reason:?}");
    }
    let untouched = json!({"available": 0, "reserved": 0, "spent": 0, "owed": 0});
    assert_eq!(server.get(&account.key, "/v1/wallet").await.ok(), untouched);
}

async fn routes_and_methods_are_checked(engine: Engine) {
    let server = Server::start(engine).await;
    for path in ["/", "/v1", "/v1/nothing", "/v1/contacts/", "/assets/secret", "/v2/wallet"] {
        server.get("", path).await.refused(404, "not_found");
    }
    for (method, path) in [
        (Method::DELETE, "/v1/contacts"),
        (Method::PUT, "/v1/wallet"),
        (Method::GET, "/v1/messages"),
        (Method::GET, "/v1/contacts/import"),
        (Method::GET, "/hooks/twilio/status/x"),
    ] {
        let reply = server.ask(method.clone(), path).send().await;
        assert!(!reply.header("allow").is_empty(), "{method} {path}");
        reply.refused(405, "method_not_allowed");
    }
    let account = server.account("a").await;
    for id in ["x", "acc_1", "%ff", "cmp_0000000000001", "cmp_00000000007zr"] {
        let found = server.get(&account.key, &format!("/v1/campaigns/{id}")).await;
        found.refused(404, "not_found");
    }
}
