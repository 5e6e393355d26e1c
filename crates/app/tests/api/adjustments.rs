use axum::http::Method;
use ledgerline::entry::operators::Operators;
use serde_json::json;
use testkit::Engine;

use crate::server::{Account, OPERATOR, Reply, Server};

testkit::both_engines!(
    many_credits_take_two_operators,
    whoever_proposed_cannot_decide,
    a_rejected_movement_moves_nothing,
    without_a_limit_one_operator_is_enough,
    nobody_else_reads_or_decides_movements,
);

const ANA: &str = "key-of-ana";
const BEN: &str = "key-of-ben";

async fn start(engine: Engine, above: Option<&str>) -> Server {
    Server::start_with(engine, |settings| {
        let named = format!("ana:{ANA},ben:{BEN}");
        settings.operators =
            Operators::read(Some(&named), above, Some(OPERATOR)).expect("good settings");
    })
    .await
}

async fn credits(server: &Server, key: &str, account: &Account, amount: i64) -> Reply {
    let wanted = json!({"amount": amount, "reason": "invoice 2041"});
    server.post(key, &format!("/v1/accounts/{}/credits", account.id), &wanted).await
}

async fn available(server: &Server, account: &Account) -> i64 {
    let wallet = server.get(&account.key, "/v1/wallet").await.ok();
    wallet["available"].as_i64().expect("a number")
}

async fn many_credits_take_two_operators(engine: Engine) {
    let server = start(engine, Some("1000")).await;
    let account = server.account("a").await;
    assert_eq!(credits(&server, ANA, &account, 1000).await.ok()["available"], 1000);
    for (amount, before, after) in [(1001, 1000, 2001), (-1001, 2001, 1000)] {
        let proposed = credits(&server, ANA, &account, amount).await.with(202);
        let one = &proposed["adjustment"];
        assert_eq!((&one["state"], &one["amount"]), (&json!("proposed"), &json!(amount)));
        assert_eq!(one["proposed_by"], "ana");
        assert_eq!(one["account_id"], account.id.as_str());
        assert_eq!(available(&server, &account).await, before, "nothing moved yet");
        let path = format!("/v1/adjustments/{}/approve", one["id"].as_str().expect("an id"));
        let approved = server.order(BEN, &path).await.ok();
        assert_eq!(approved["state"], "approved");
        assert_eq!(approved["decided_by"], "ben");
        let again = server.order(BEN, &path).await.ok();
        assert_eq!(again, approved, "it is posted once");
        server.order(OPERATOR, &path).await.refused(409, "state_conflict");
        assert_eq!(available(&server, &account).await, after);
    }
    let lines = server.get(&account.key, "/v1/ledger").await.ok();
    let actors: Vec<&str> = lines["data"]
        .as_array()
        .expect("lines")
        .iter()
        .filter_map(|l| l["actor"].as_str())
        .collect();
    assert_eq!(actors, ["ana", "ana, ben", "ana, ben"]);
    assert_eq!(lines["data"][1]["reason"], "invoice 2041");
    let all = server.get(BEN, "/v1/adjustments").await.ok();
    assert_eq!(all["data"].as_array().map(Vec::len), Some(2));
    let open = server.get(BEN, "/v1/adjustments?state=proposed").await.ok();
    assert_eq!(open["data"], json!([]));
    let page = server.get(BEN, "/v1/adjustments?state=approved&limit=1").await.ok();
    let cursor = page["next_cursor"].as_str().expect("there is more");
    let rest = server.get(BEN, &format!("/v1/adjustments?limit=1&cursor={cursor}")).await.ok();
    assert_eq!(rest["data"][0]["id"], all["data"][1]["id"]);
    server.get(BEN, "/v1/adjustments?state=done").await.refused(422, "invalid_field");
    server.audited(&account).await;
}

async fn whoever_proposed_cannot_decide(engine: Engine) {
    let server = start(engine, Some("0")).await;
    let account = server.account("a").await;
    let proposed = credits(&server, OPERATOR, &account, 1).await.with(202);
    assert_eq!(proposed["adjustment"]["proposed_by"], "operator");
    let id = proposed["adjustment"]["id"].as_str().expect("an id").to_owned();
    for verb in ["approve", "reject"] {
        let path = format!("/v1/adjustments/{id}/{verb}");
        let refused = server.order(OPERATOR, &path).await;
        assert!(refused.text().contains("another operator"), "{}", refused.text());
        refused.refused(409, "state_conflict");
    }
    assert_eq!(available(&server, &account).await, 0);
    for (amount, reason) in [(0, "x"), (5, " "), (1_000_000_000_001_i64, "x")] {
        let wanted = json!({"amount": amount, "reason": reason});
        let path = format!("/v1/accounts/{}/credits", account.id);
        server.post(ANA, &path, &wanted).await.refused(422, "invalid_field");
    }
    let nobody = json!({"amount": 5, "reason": "x"});
    let path = "/v1/accounts/acc_00000000007zr/credits";
    server.post(ANA, path, &nobody).await.refused(404, "not_found");
    let listed = server.get(ANA, "/v1/adjustments").await.ok();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "{listed}");
}

async fn a_rejected_movement_moves_nothing(engine: Engine) {
    let server = start(engine, Some("10")).await;
    let account = server.account("a").await;
    let path = format!("/v1/accounts/{}/credits", account.id);
    let wanted = json!({"amount": 11, "reason": "a mistake"});
    let ask = || server.ask(Method::POST, &path).key(ANA).json(&wanted).once("one").send();
    let proposed = ask().await.with(202);
    assert_eq!(ask().await.with(202), proposed, "asked again, it is proposed once");
    let id = proposed["adjustment"]["id"].as_str().expect("an id").to_owned();
    let rejected = server.order(BEN, &format!("/v1/adjustments/{id}/reject")).await.ok();
    assert_eq!(rejected["state"], "rejected");
    let approve = format!("/v1/adjustments/{id}/approve");
    server.order(BEN, &approve).await.refused(409, "state_conflict");
    server.order(OPERATOR, &approve).await.refused(409, "state_conflict");
    assert_eq!(available(&server, &account).await, 0);
    let lines = server.get(&account.key, "/v1/ledger").await.ok();
    assert_eq!(lines["data"], json!([]));
    let unknown = "/v1/adjustments/adj_00000000000000000000000000/approve";
    server.order(BEN, unknown).await.refused(404, "not_found");
}

async fn without_a_limit_one_operator_is_enough(engine: Engine) {
    let server = start(engine, None).await;
    let account = server.account("a").await;
    credits(&server, BEN, &account, 1_000_000_000).await.ok();
    let lines = server.get(&account.key, "/v1/ledger").await.ok();
    assert_eq!(lines["data"][0]["actor"], "ben");
}

async fn nobody_else_reads_or_decides_movements(engine: Engine) {
    let server = start(engine, Some("10")).await;
    let account = server.account("a").await;
    let proposed = credits(&server, ANA, &account, 11).await.with(202);
    let id = proposed["adjustment"]["id"].as_str().expect("an id").to_owned();
    for (key, status, code) in [
        ("", 401, "unauthorized"),
        ("wrong", 401, "unauthorized"),
        (account.key.as_str(), 403, "forbidden"),
    ] {
        server.get(key, "/v1/adjustments").await.refused(status, code);
        for verb in ["approve", "reject"] {
            let path = format!("/v1/adjustments/{id}/{verb}");
            server.order(key, &path).await.refused(status, code);
        }
    }
    server.get(ANA, "/v1/wallet").await.refused(403, "forbidden");
    assert_eq!(available(&server, &account).await, 0);
}
