use serde_json::json;
use testkit::Engine;

use crate::server::Server;

testkit::both_engines!(a_group_is_taken_in_as_one_batch);

async fn a_group_is_taken_in_as_one_batch(engine: Engine) {
    let server = Server::start(engine).await;
    let (one, other) = (server.account("one").await, server.account("other").await);
    server.contacts(&one, 3).await;
    let path = "/v1/messages/group";
    let group = json!({
        "to": ["312 555 0100", "+13125550101", "911", "+1 (312) 555-0100", "+13125550102",
               "+13125550999"],
        "template": "Hi {{name}}, the workshop starts at ten.",
    });
    let once =
        |key: &str| server.ask(axum::http::Method::POST, path).key(&one.key).once(key).json(&group);
    let taken = once("workshop").send().await.with(202);
    let messages = taken["messages"].as_array().expect("a list");
    assert_eq!(messages.len(), 3, "{taken}");
    assert_eq!(taken["credits"], 3);
    let rejected = taken["rejected"].as_array().expect("a list");
    let indexes: Vec<u64> = rejected.iter().filter_map(|one| one["index"].as_u64()).collect();
    // No such number, twice the same phone, nobody's name is known.
    assert_eq!(indexes, [2, 3, 5], "{taken}");
    assert!(rejected.iter().all(|one| !one["problem"].as_str().expect("words").is_empty()));
    let told = |message: &serde_json::Value| {
        format!("/v1/messages/{}", message["id"].as_str().expect("an id"))
    };
    let second = server.get(&one.key, &told(&messages[1])).await.ok();
    assert_eq!(second["body"], "Hi Contact 1, the workshop starts at ten.");
    server.get(&other.key, &told(&messages[1])).await.refused(404, "not_found");
    assert_eq!(once("workshop").send().await.with(202), taken, "the same key, the same answer");

    let many: Vec<String> = (0..1001).map(|n| format!("+1312555{n:04}")).collect();
    for (body, field) in [
        (json!({"to": [], "body": "x"}), "to"),
        (json!({"to": many, "body": "x"}), "to"),
        (json!({"to": ["+13125550100"], "body": ""}), "body"),
        (json!({"to": ["+13125550100"], "body": "x", "context": "campaign.marketing"}), "context"),
    ] {
        let (status, code, named) = server.post(&one.key, path, &body).await.problem();
        assert_eq!((status, code.as_str(), named.as_deref()), (422, "invalid_field", Some(field)));
    }
    server.audited(&one).await;
}
