use serde_json::json;
use testkit::Engine;

use crate::server::Server;

testkit::both_engines!(a_text_is_taken_in_and_told_about, texts_are_measured_and_priced);

async fn a_text_is_taken_in_and_told_about(engine: Engine) {
    let server = Server::start(engine).await;
    let (one, other) = (server.account("one").await, server.account("other").await);
    server.contacts(&one, 1).await;
    let text = json!({"to": "312 555 0100", "template": "Hi {{name}}", "category": "marketing"});
    let taken = server.post(&one.key, "/v1/messages", &text).await.with(202);
    assert_eq!((&taken["state"], &taken["segments"]), (&json!("queued"), &json!(1)));
    let path = format!("/v1/messages/{}", taken["id"].as_str().expect("an id"));
    let told = server.get(&one.key, &path).await.ok();
    assert_eq!(told["to"], "+13125550100");
    assert_eq!(told["body"], "Hi Contact 0");
    assert_eq!(told["context"], "message.marketing");
    assert_eq!(told["events"][0]["event"], "queued");
    assert_eq!(told["why"]["decision"], "pending");
    server.get(&other.key, &path).await.refused(404, "not_found");
    server.get(&one.key, "/v1/messages/msg_1").await.refused(404, "not_found");

    let past = "2026-07-15T16:00:00Z";
    for (body, field) in [
        (json!({"to": "911", "body": "x"}), "to"),
        (json!({"to": "+449098790000", "body": "x"}), "to"),
        (json!({"to": "+13125550100"}), "body"),
        (json!({"to": "+13125550100", "body": "x", "template": "y"}), "body"),
        (json!({"to": "+13125550100", "body": ""}), "body"),
        (json!({"to": "+13125550100", "body": "x".repeat(1601)}), "body"),
        (json!({"to": "+13125550100", "template": "Hi {{coach}}"}), "template"),
        (json!({"to": "+13125550100", "body": "x", "context": "nope"}), "context"),
        (json!({"to": "+13125550100", "body": "x", "category": "nope"}), "category"),
        (json!({"to": "+13125550100", "body": "x", "send_at": "soon"}), "send_at"),
        (json!({"to": "+13125550100", "body": "x", "not_after": past}), "not_after"),
    ] {
        let (status, code, named) = server.post(&one.key, "/v1/messages", &body).await.problem();
        assert_eq!((status, code.as_str()), (422, "invalid_field"), "{body}");
        assert_eq!(named.as_deref(), Some(field), "{body}");
    }
}

async fn texts_are_measured_and_priced(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let curly = json!({"body": "Don\u{2019}t \u{1F600}"});
    let quote = server.post(&account.key, "/v1/quote", &curly).await.ok();
    assert_eq!(quote["encoding"], "UCS-2");
    assert_eq!(quote["costly_characters"][0]["replacement"], "'");
    assert_eq!((&quote["segments"], &quote["credits"]), (&json!(1), &json!(1)));
    let long = json!({"body": "a".repeat(161), "to": "+13125550147"});
    let quote = server.post(&account.key, "/v1/quote", &long).await.ok();
    let expected = json!({
        "encoding": "GSM-7", "characters": 161, "segments": 2, "credits": 2,
        "costly_characters": []
    });
    assert_eq!(quote, expected);
    let nowhere = json!({"body": "x", "to": "12"});
    let refused = server.post(&account.key, "/v1/quote", &nowhere).await.problem();
    assert_eq!(refused.2.as_deref(), Some("to"));
}
