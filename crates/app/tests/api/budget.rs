//! Budgets, limits and holds through the API.

use axum::http::Method;
use domain::ids::HoldId;
use domain::seam::{Clock as _, SeededDice};
use domain::velocity::Guard;
use serde_json::{Value, json};
use store::holds::{Hold, insert_hold};
use testkit::Engine;

use crate::server::{Account, Server, account_id};

testkit::both_engines!(
    a_budget_is_set_shown_and_taken_away,
    what_is_no_budget_is_refused,
    limits_are_settings,
    texts_go_to_allowed_countries_only,
    holds_are_listed_and_lifted_by_their_account,
);

async fn put(server: &Server, account: &Account, path: &str, body: &Value) -> Value {
    server.ask(Method::PUT, path).key(&account.key).json(body).send().await.ok()
}

async fn a_budget_is_set_shown_and_taken_away(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Sam's").await;
    let other = server.account("Kim's").await;
    let none = server.get(&account.key, "/v1/budget").await.ok();
    let open = json!({
        "daily_credits": null, "monthly_credits": null, "used_today": 0, "used_this_month": 0,
        // Midnight in Chicago.
        "day_ends_at": "2026-07-16T05:00:00Z", "month_ends_at": "2026-08-01T05:00:00Z",
        "warnings": [50, 80, 100], "state": "open", "reason": null
    });
    assert_eq!(none, open);
    let wanted = json!({"daily_credits": 500, "monthly_credits": 9000});
    let set = put(&server, &account, "/v1/budget", &wanted).await;
    assert_eq!([&set["daily_credits"], &set["monthly_credits"]], [500, 9000]);
    assert_eq!(server.get(&account.key, "/v1/budget").await.ok(), set);
    assert_eq!(server.get(&other.key, "/v1/budget").await.ok(), open, "it is the account's own");
    let less = put(&server, &account, "/v1/budget", &json!({"monthly_credits": 7})).await;
    assert_eq!((&less["daily_credits"], &less["monthly_credits"]), (&Value::Null, &json!(7)));
    assert_eq!(put(&server, &account, "/v1/budget", &json!({})).await, open);
    server.audited(&account).await;
}

async fn what_is_no_budget_is_refused(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Sam's").await;
    for (body, field) in [
        (json!({"daily_credits": 0}), "daily_credits"),
        (json!({"daily_credits": -5}), "daily_credits"),
        (json!({"monthly_credits": 1_000_000_000_001_i64}), "monthly_credits"),
        (json!({"daily_credits": "5"}), "daily_credits"),
        (json!({"weekly_credits": 5}), "weekly_credits"),
    ] {
        let answer = server.ask(Method::PUT, "/v1/budget").key(&account.key).json(&body);
        let (status, _, found) = answer.send().await.problem();
        assert_eq!((status, found.as_deref()), (422, Some(field)), "{body}");
    }
    server.get("", "/v1/budget").await.refused(401, "unauthorized");
}

async fn limits_are_settings(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Sam's").await;
    let usual = server.get(&account.key, "/v1/settings").await.ok();
    for (field, value) in [
        ("countries", json!(["US", "CA"])),
        ("reminders_hourly_max", json!(100)),
        ("texts_hourly_max", Value::Null),
        ("guarded_lanes", json!(["code"])),
        ("velocity_per_hour", json!(200)),
        ("sequential_per_hour", json!(50)),
        ("billing_email", Value::Null),
    ] {
        assert_eq!(usual[field], value, "{field}");
    }
    // What was read can be written back and changes nothing.
    let mut same = put(&server, &account, "/v1/settings", &usual).await;
    same["version"] = usual["version"].clone();
    assert_eq!(same, usual);
    let wanted = json!({
        "countries": ["us", "GB", "US"], "reminders_hourly_max": null, "texts_hourly_max": 7,
        "guarded_lanes": ["code", "urgent"], "velocity_per_hour": null,
        "sequential_per_hour": 9, "billing_email": " books@example.com "
    });
    let chosen = put(&server, &account, "/v1/settings", &wanted).await;
    for (field, value) in [
        ("countries", json!(["US", "GB"])),
        ("reminders_hourly_max", Value::Null),
        ("texts_hourly_max", json!(7)),
        ("guarded_lanes", json!(["code", "urgent"])),
        ("velocity_per_hour", Value::Null),
        ("sequential_per_hour", json!(9)),
        ("billing_email", json!("books@example.com")),
    ] {
        assert_eq!(chosen[field], value, "{field}");
    }
    let back = put(&server, &account, "/v1/settings", &json!({"countries": null})).await;
    assert_eq!(back["countries"], json!(["US", "CA"]));
    for (body, field) in [
        (json!({"countries": []}), "countries"),
        (json!({"countries": ["Germany"]}), "countries"),
        (json!({"reminders_hourly_max": 0}), "reminders_hourly_max"),
        (json!({"guarded_lanes": ["reply"]}), "guarded_lanes"),
        (json!({"billing_email": "books"}), "billing_email"),
        (json!({"billing_email": "a@example.com\r\nBcc: b@example.com"}), "billing_email"),
    ] {
        let answer = server.ask(Method::PUT, "/v1/settings").key(&account.key).json(&body);
        let (status, _, found) = answer.send().await.problem();
        assert_eq!((status, found.as_deref()), (422, Some(field)), "{body}");
    }
}

async fn texts_go_to_allowed_countries_only(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Sam's").await;
    server.credit(&account, 10).await;
    let text = json!({"to": "+447400123456", "body": "Hello"});
    let answer = server.post(&account.key, "/v1/messages", &text).await;
    assert!(answer.text().contains("Texts to GB are not allowed"), "{}", answer.text());
    let (status, _, field) = answer.problem();
    assert_eq!((status, field.as_deref()), (422, Some("to")));
    // A campaign's quote and the import's report say the same.
    let wanted = json!({"phone": "+447400123456", "name": "Bo", "consent": "opted_in"});
    server.post(&account.key, "/v1/contacts", &wanted).await.made();
    server.contacts(&account, 1).await;
    let campaign = server.campaign(&account).await;
    let quote = format!("/v1/campaigns/{}/quote", campaign["id"].as_str().expect("an id"));
    let quoted = server.order(&account.key, &quote).await.ok();
    assert_eq!((&quoted["sendable"], &quoted["skipped"]["number"]), (&json!(1), &json!(1)));
    let file = "phone\n+447400123457\n+13125550150\n";
    let import = |path: &'static str| {
        let asked = server.ask(Method::POST, path).key(&account.key);
        asked.body("text/csv", file).send()
    };
    let report = import("/v1/contacts/import?dry_run=true").await.ok();
    assert_eq!(report["not_texted"], json!({"GB": 1}), "{report}");
    let wanted = json!({"countries": ["US", "GB"]});
    put(&server, &account, "/v1/settings", &wanted).await;
    let taken = server.post(&account.key, "/v1/messages", &text).await;
    assert_eq!(taken.status, 202, "{}", taken.text());
    let quoted = server.order(&account.key, &quote).await.ok();
    assert_eq!(quoted["sendable"], 2, "{quoted}");
    assert_eq!(import("/v1/contacts/import").await.ok()["not_texted"], json!({}));
}

async fn hold(server: &Server, account: &Account, subject: &str) -> String {
    let dice = SeededDice::new(server.app.dice.below(u64::MAX));
    let since = server.clock.now();
    let hold = Hold {
        id: HoldId::new(since, &dice),
        kind: Guard::Velocity,
        subject: subject.to_owned(),
        reason: "more than 3 texts".to_owned(),
        since,
        lifted_at: None,
        lifted_by: None,
    };
    let mut tx = server.app.db.begin().await.expect("begins");
    insert_hold(&mut tx, account_id(account), &hold).await.expect("opens");
    tx.commit().await.expect("commits");
    hold.id.to_string()
}

async fn holds_are_listed_and_lifted_by_their_account(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Sam's").await;
    let other = server.account("Kim's").await;
    let mut ids = Vec::new();
    for subject in ["velocity:code:+1312555", "velocity:code:+1312556", "velocity:code:+1312557"] {
        server.clock.advance(std::time::Duration::from_secs(1));
        ids.push(hold(&server, &account, subject).await);
    }
    let list = server.get(&account.key, "/v1/holds").await.ok();
    let listed: Vec<&str> = list["data"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["id"].as_str())
        .collect();
    assert_eq!(listed, [&ids[2], &ids[1], &ids[0]]);
    let first = server.get(&account.key, "/v1/holds?limit=2").await.ok();
    let cursor = first["next_cursor"].as_str().expect("more");
    let rest = server.get(&account.key, &format!("/v1/holds?limit=2&cursor={cursor}")).await.ok();
    assert_eq!((&rest["data"][0]["id"], &rest["next_cursor"]), (&json!(ids[0]), &Value::Null));
    // Another account sees and lifts nothing of it.
    assert_eq!(server.get(&other.key, "/v1/holds").await.ok()["data"], json!([]));
    let path = format!("/v1/holds/{}/lift", ids[1]);
    server.order(&other.key, &path).await.refused(404, "not_found");
    let lifted = server.order(&account.key, &path).await.ok();
    assert_eq!(lifted["state"], "lifted");
    assert!(lifted["lifted_by"].as_str().is_some_and(|by| by.starts_with("key_")), "{lifted}");
    assert_eq!(server.order(&account.key, &path).await.ok(), lifted, "lifted twice is lifted once");
    let open = server.get(&account.key, "/v1/holds?open=true").await.ok();
    assert_eq!(open["data"].as_array().map(Vec::len), Some(2));
    let (status, _, field) = server.get(&account.key, "/v1/holds?open=yes").await.problem();
    assert_eq!((status, field.as_deref()), (422, Some("open")));
    let mut tx = server.app.db.read().await.expect("reads");
    let account = account_id(&account).0;
    let rows: Vec<(String, String)> = tx
        .all(
            "select verb, detail from audit_event where account_id = $1 and verb = 'hold.lift'",
            (account,),
        )
        .await
        .expect("reads");
    assert_eq!(rows.len(), 1, "noted once: {rows:?}");
}
