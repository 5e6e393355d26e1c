use serde_json::json;
use testkit::Engine;

use crate::server::Server;

testkit::both_engines!(the_ledger_is_told_oldest_first, an_account_sees_its_own_money);

async fn the_ledger_is_told_oldest_first(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    for amount in [10, 20, -5, 40, 50] {
        server.credit(&account, amount).await;
    }
    let first = server.get(&account.key, "/v1/ledger?limit=3").await.ok();
    let lines = first["data"].as_array().expect("lines");
    let told: Vec<_> = lines.iter().map(|line| (&line["seq"], &line["kind"])).collect();
    let (grant, taken) = (json!("grant"), json!("adjustment"));
    assert_eq!(told, [(&json!(1), &grant), (&json!(2), &grant), (&json!(3), &taken)]);
    assert_eq!(lines[2]["change"]["available"], -5);
    assert_eq!(lines[2]["after"], json!({"available": 25, "reserved": 0, "spent": 0, "owed": 0}));
    assert_eq!(lines[2]["reason"], "a test");
    assert_eq!(lines[2]["actor"], "operator");
    assert_eq!(lines[2]["hash"].as_str().map(str::len), Some(64));
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let path = format!("/v1/ledger?limit=3&cursor={cursor}");
    let second = server.get(&account.key, &path).await.ok();
    assert_eq!(second["data"][0]["seq"], 4);
    assert_eq!(second["data"].as_array().map(Vec::len), Some(2));
    assert!(second["next_cursor"].is_null(), "{second}");
}

async fn an_account_sees_its_own_money(engine: Engine) {
    let server = Server::start(engine).await;
    let (one, other) = (server.account("one").await, server.account("other").await);
    server.credit(&one, 7).await;
    let wallet = server.get(&one.key, "/v1/wallet").await.ok();
    assert_eq!(wallet, json!({"available": 7, "reserved": 0, "spent": 0, "owed": 0}));
    assert_eq!(server.get(&other.key, "/v1/wallet").await.ok()["available"], 0);
    assert_eq!(server.get(&other.key, "/v1/ledger").await.ok()["data"], json!([]));
    let audit = server.get(&one.key, "/v1/audit").await.ok();
    assert_eq!(audit["ok"], true);
    assert!(audit["checks"].as_array().is_some_and(|checks| checks.len() >= 4), "{audit}");
    assert!(audit["checks"][0]["name"].is_string() && audit["checks"][0]["detail"].is_string());
}
