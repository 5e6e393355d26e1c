use axum::http::Method;
use serde_json::json;
use testkit::Engine;

use crate::server::{OPERATOR, Server};

testkit::both_engines!(
    accounts_are_opened_and_listed,
    keys_open_what_they_are_for,
    credits_come_and_go,
    without_an_operator_key_nobody_is_the_operator,
);

async fn accounts_are_opened_and_listed(engine: Engine) {
    let server = Server::start(engine).await;
    let wanted = json!({"name": " Clinic ", "timezone": "America/New_York", "country": "us"});
    let opened = server.post(OPERATOR, "/v1/accounts", &wanted).await.made();
    assert_eq!(opened["name"], "Clinic");
    assert_eq!(opened["country"], "US");
    assert_eq!(opened["quiet_hours"], json!({"start": "21:00", "end": "08:00"}));
    assert!(opened["id"].as_str().is_some_and(|id| id.starts_with("acc_")), "{opened}");
    for name in ["b", "c"] {
        server.account(name).await;
    }
    let mut names = Vec::new();
    let mut path = "/v1/accounts?limit=2".to_owned();
    loop {
        let page = server.get(OPERATOR, &path).await.ok();
        let rows = page["data"].as_array().expect("rows").clone();
        names.extend(rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/accounts?limit=2&cursor={cursor}");
    }
    assert_eq!(names, ["Clinic", "b", "c"]);
}

async fn keys_open_what_they_are_for(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let path = format!("/v1/accounts/{}/keys", account.id);
    let key = json!({"name": "k", "mode": "live"});
    server.post("", &path, &key).await.refused(401, "unauthorized");
    server.post("wrong", &path, &key).await.refused(401, "unauthorized");
    server.post(&account.key, &path, &key).await.refused(403, "forbidden");
    server.get(OPERATOR, "/v1/wallet").await.refused(403, "forbidden");
    server.get("wrong", "/v1/wallet").await.refused(401, "unauthorized");
    let basic = server.ask(Method::GET, "/v1/wallet").header("authorization", "Basic eDp5");
    basic.send().await.refused(401, "unauthorized");
    let lower = format!("bearer {}", account.key);
    let bearer = server.ask(Method::GET, "/v1/wallet").header("authorization", &lower);
    bearer.send().await.ok();
    let nobody = "/v1/accounts/acc_00000000007zr/keys";
    server.post(OPERATOR, nobody, &key).await.refused(404, "not_found");
    server.post(OPERATOR, "/v1/accounts/me/keys", &key).await.refused(404, "not_found");
}

async fn credits_come_and_go(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let wallet = server.credit(&account, 100).await;
    assert_eq!(wallet, json!({"available": 100, "reserved": 0, "spent": 0, "owed": 0}));
    let wallet = server.credit(&account, -130).await;
    assert_eq!(wallet, json!({"available": 0, "reserved": 0, "spent": 0, "owed": 30}));
    let wallet = server.credit(&account, 40).await;
    assert_eq!(wallet["available"], 10);
    let path = format!("/v1/accounts/{}/audit", account.id);
    assert_eq!(server.get(OPERATOR, &path).await.ok()["ok"], true);
    server.get(&account.key, &path).await.refused(403, "forbidden");
    let nobody = "/v1/accounts/acc_00000000007zr";
    let credits = json!({"amount": 1, "reason": "x"});
    let missing = server.post(OPERATOR, &format!("{nobody}/credits"), &credits).await;
    missing.refused(404, "not_found");
    server.get(OPERATOR, &format!("{nobody}/audit")).await.refused(404, "not_found");
}

async fn without_an_operator_key_nobody_is_the_operator(engine: Engine) {
    let server = Server::start_with(engine, |settings| settings.operator_key = None).await;
    let reply = server.get(OPERATOR, "/v1/accounts").await;
    assert!(reply.text().contains("LEDGERLINE_OPERATOR_KEY"), "{}", reply.text());
    reply.refused(403, "forbidden");
    server.get("", "/v1/accounts").await.refused(401, "unauthorized");
}
