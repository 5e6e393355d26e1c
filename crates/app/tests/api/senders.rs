use serde_json::json;
use testkit::Engine;

use crate::server::Server;

testkit::both_engines!(senders_are_added_once_and_listed);

async fn senders_are_added_once_and_listed(engine: Engine) {
    let server = Server::start(engine).await;
    let (one, other) = (server.account("one").await, server.account("other").await);
    for (kind, address) in [("long_code", "+13125550100"), ("short_code", "72345")] {
        let wanted = json!({"kind": kind, "address": address});
        let made = server.post(&one.key, "/v1/senders", &wanted).await.made();
        assert!(made["id"].as_str().is_some_and(|id| id.starts_with("snd_")), "{made}");
        assert_eq!(made["active"], true);
        server.post(&one.key, "/v1/senders", &wanted).await.refused(409, "conflict");
        server.post(&other.key, "/v1/senders", &wanted).await.made();
    }
    let first = server.get(&one.key, "/v1/senders?limit=1").await.ok();
    assert_eq!(first["data"][0]["segments_per_second"], 1);
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let path = format!("/v1/senders?cursor={cursor}");
    let second = server.get(&one.key, &path).await.ok();
    assert_eq!(second["data"][0]["address"], "72345");
    assert!(second["next_cursor"].is_null());
}
