use axum::http::Method;
use serde_json::{Value, json};
use testkit::Engine;

use crate::server::{Account, Server};

testkit::both_engines!(
    a_campaign_is_written_quoted_and_moved,
    what_cannot_be_a_campaign_is_refused_by_field,
    campaigns_are_paged_newest_first_and_isolated,
    a_test_key_sends_on_the_sandbox_only,
);

fn path(campaign: &Value, verb: &str) -> String {
    format!("/v1/campaigns/{}{verb}", campaign["id"].as_str().expect("an id"))
}

async fn a_campaign_is_written_quoted_and_moved(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    server.credit(&account, 100).await;
    server.contacts(&account, 3).await;
    let unsure = json!({"phone": "+13125550199", "name": "Unsure"});
    server.post(&account.key, "/v1/contacts", &unsure).await.made();
    let draft = server.campaign(&account).await;
    assert_eq!(draft["state"], "draft");
    assert!(draft["pause_reason"].is_null());
    let quote = server.order(&account.key, &path(&draft, "/quote")).await.ok();
    assert_eq!((&quote["recipients"], &quote["sendable"]), (&json!(4), &json!(3)));
    assert_eq!(quote["skipped"], json!({"consent": 1}));
    assert_eq!(quote["previews"][0]["body"], "Hi Contact 0");

    let test = json!({"to": "+13125550147"});
    let taken = server.post(&account.key, &path(&draft, "/test"), &test).await.with(202);
    let message = taken["id"].as_str().expect("an id");
    let told = server.get(&account.key, &format!("/v1/messages/{message}")).await.ok();
    assert_eq!(
        (&told["body"], &told["context"]),
        (&json!("Hi Contact 0"), &json!("campaign.test"))
    );

    for (verb, state) in [("/start", "sealing"), ("/start", "sealing"), ("/cancel", "canceled")] {
        let moved = server.order(&account.key, &path(&draft, verb)).await.ok();
        assert_eq!(moved["state"], state, "{verb}");
    }
    server.order(&account.key, &path(&draft, "/resume")).await.refused(409, "state_conflict");
    server.order(&account.key, &path(&draft, "/start")).await.refused(409, "state_conflict");
    let shown = server.get(&account.key, &path(&draft, "")).await.ok();
    assert_eq!(shown["state"], "canceled");
    for count in [
        "total",
        "pending",
        "deferred",
        "sending",
        "sent",
        "delivered",
        "undelivered",
        "failed",
        "unknown",
        "skipped",
    ] {
        assert_eq!(shown["counts"][count], 0, "{count}");
    }
    assert_eq!(shown["credits"], json!({"quoted": 0, "reserved": 0, "spent": 0}));
    assert!(shown["rate_per_second"].is_number());
    let nonsense = server.get(&account.key, &path(&draft, "/recipients?state=gone")).await;
    assert_eq!(nonsense.problem().2.as_deref(), Some("state"));
    let list = server.get(&account.key, &path(&draft, "/recipients?state=pending&limit=2")).await;
    assert_eq!(list.ok()["data"], json!([]));
    server.audited(&account).await;
}

async fn what_cannot_be_a_campaign_is_refused_by_field(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let good = json!({
        "name": "Spring", "category": "marketing", "body": "Hi {{name}}", "audience": {"all": true}
    });
    let post = async |body: &Value| server.post(&account.key, "/v1/campaigns", body).await;
    assert_eq!(post(&good).await.problem().2.as_deref(), Some("audience"), "nobody is there");
    let ids = server.contacts(&account, 1).await;
    let other = server.account("other").await;
    let foreign = server.contacts(&other, 1).await;
    let cases = [
        ("name", json!(""), "name"),
        ("category", json!("spam"), "category"),
        ("body", json!(" "), "body"),
        ("body", json!("Hi {{nmae}}"), "body"),
        ("body", json!("Hi {{name"), "body"),
        ("body", json!("x".repeat(6000)), "body"),
        ("audience", json!({}), "audience"),
        ("audience", json!({"all": true, "tags": ["a"]}), "audience"),
        ("audience", json!({"tags": []}), "audience"),
        ("audience", json!({"tags": ["nobody"]}), "audience"),
        ("audience", json!({"contact_ids": [foreign[0]]}), "audience.contact_ids"),
        ("audience", json!({"contact_ids": ["ct_1"]}), "audience.contact_ids[0]"),
        ("starts_at", json!("tomorrow"), "starts_at"),
        ("starts_at", json!("2036-01-01T00:00:00Z"), "starts_at"),
        ("resume_when_funded", json!("yes"), "resume_when_funded"),
    ];
    for (field, value, expected) in cases {
        let mut bad = good.clone();
        bad[field] = value.clone();
        let (status, code, named) = post(&bad).await.problem();
        assert_eq!((status, code.as_str()), (422, "invalid_field"), "{field} {value}");
        assert_eq!(named.as_deref(), Some(expected), "{field} {value}");
    }
    let mut foreign_sender = good.clone();
    foreign_sender["sender_id"] = json!("snd_00000000000000000000000000");
    post(&foreign_sender).await.refused(404, "not_found");
    let mut chosen = good.clone();
    chosen["audience"] = json!({"contact_ids": ids});
    post(&chosen).await.made();
    let list = server.get(&account.key, "/v1/campaigns").await.ok();
    assert_eq!(list["data"].as_array().map(Vec::len), Some(1), "refusals change nothing");
}

async fn campaigns_are_paged_newest_first_and_isolated(engine: Engine) {
    let server = Server::start(engine).await;
    let (one, other) = (server.account("one").await, server.account("other").await);
    server.contacts(&one, 1).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.insert(0, server.campaign(&one).await["id"].clone());
        server.clock.advance(std::time::Duration::from_secs(1));
    }
    let first = server.get(&one.key, "/v1/campaigns?limit=2").await.ok();
    assert_eq!([&first["data"][0]["id"], &first["data"][1]["id"]], [&ids[0], &ids[1]]);
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let rest = server.get(&one.key, &format!("/v1/campaigns?cursor={cursor}")).await.ok();
    assert_eq!(rest["data"][0]["id"], ids[2]);
    assert!(rest["next_cursor"].is_null());

    let theirs = json!({"id": ids[0]});
    assert_eq!(server.get(&other.key, "/v1/campaigns").await.ok()["data"], json!([]));
    for verb in ["", "/recipients"] {
        server.get(&other.key, &path(&theirs, verb)).await.refused(404, "not_found");
    }
    for verb in ["/quote", "/start", "/pause", "/resume", "/cancel"] {
        server.order(&other.key, &path(&theirs, verb)).await.refused(404, "not_found");
    }
    let test = json!({"to": "+13125550147"});
    server.post(&other.key, &path(&theirs, "/test"), &test).await.refused(404, "not_found");
    // The stream of single texts is no campaign.
    server.post(&one.key, "/v1/messages", &json!({"to": "+13125550147", "body": "x"})).await;
    let api = domain::ids::StreamId::ENDLESS[0];
    server
        .get(&one.key, &format!("/v1/campaigns/{api}/recipients"))
        .await
        .refused(404, "not_found");
}

async fn a_test_key_sends_on_the_sandbox_only(engine: Engine) {
    let live = |settings: &mut ledgerline::entry::settings::Settings| {
        settings.twilio = Some(ledgerline::entry::settings::Twilio {
            account_sid: format!("AC{}", "0".repeat(32)),
            auth_token: Some("token".to_owned().into()),
            previous_auth_token: None,
            api_key: None,
            messaging_service_sid: None,
            phone_number: Some("+13125550100".to_owned()),
            api_base: "http://127.0.0.1:9".to_owned(),
        });
    };
    let server = Server::start_with(engine, live).await;
    let account = server.account("a").await;
    server.contacts(&account, 1).await;
    let campaign = server.campaign(&account).await;
    let test = Account { key: server.key_of(&account.id, "test").await, id: account.id.clone() };
    let text = json!({"to": "+13125550147", "body": "x"});
    server.post(&test.key, "/v1/messages", &text).await.refused(403, "test_key");
    server.order(&test.key, &path(&campaign, "/start")).await.refused(403, "test_key");
    server.order(&test.key, &path(&campaign, "/resume")).await.refused(403, "test_key");
    let to = json!({"to": "+13125550147"});
    server.post(&test.key, &path(&campaign, "/test"), &to).await.refused(403, "test_key");
    server.order(&test.key, &path(&campaign, "/quote")).await.ok();
    let ready = server.ask(Method::GET, "/readyz").send().await.ok();
    assert_eq!(ready["carrier"], "live");
    server.post(&account.key, "/v1/messages", &text).await.with(202);
}
