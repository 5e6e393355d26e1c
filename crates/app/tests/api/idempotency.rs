use axum::http::Method;
use futures_util::future::join_all;
use serde_json::{Value, json};
use store::CommitFault;
use testkit::Engine;

use crate::server::{OPERATOR, Reply, Server};

testkit::both_engines!(
    the_same_request_gets_the_same_answer,
    another_request_under_the_key_is_refused,
    a_refusal_keeps_nothing,
    of_many_at_once_one_happens,
    a_request_whose_commit_is_lost_is_done_once,
    a_key_is_not_kept_readably,
);

async fn post(server: &Server, key: &str, once: &str, path: &str, body: &Value) -> Reply {
    server.ask(Method::POST, path).key(key).once(once).json(body).send().await
}

async fn the_same_request_gets_the_same_answer(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    server.contacts(&account, 1).await;
    let id = server.campaign(&account).await["id"].clone();
    let id = id.as_str().expect("an id");
    let in_account = |verb: &str| format!("/v1/accounts/{}/{verb}", account.id);
    let in_campaign = |verb: &str| format!("/v1/campaigns/{id}/{verb}");
    let opened = json!({"name": "b", "timezone": "UTC", "country": "US"});
    let cases = [
        (OPERATOR, "/v1/accounts".to_owned(), opened, 201),
        (OPERATOR, in_account("keys"), json!({"name": "k", "mode": "live"}), 201),
        (OPERATOR, in_account("credits"), json!({"amount": 5, "reason": "r"}), 200),
        (
            &account.key,
            "/v1/senders".into(),
            json!({"kind": "short_code", "address": "72345"}),
            201,
        ),
        (&account.key, "/v1/contacts".into(), json!({"phone": "+13125550147"}), 201),
        (&account.key, "/v1/quote".into(), json!({"body": "x"}), 200),
        (&account.key, "/v1/messages".into(), json!({"to": "+13125550147", "body": "x"}), 202),
        (&account.key, in_campaign("test"), json!({"to": "+13125550147"}), 202),
        (&account.key, in_campaign("quote"), json!({}), 200),
        (&account.key, in_campaign("start"), json!({}), 200),
        (&account.key, in_campaign("cancel"), json!({}), 200),
    ];
    for (n, (key, path, body, status)) in cases.iter().enumerate() {
        let once = format!("request {n}");
        let first = post(&server, key, &once, path, body).await;
        assert_eq!(first.status, *status, "{path}: {}", first.text());
        assert_eq!(first.header("idempotent-replayed"), "");
        server.clock.advance(std::time::Duration::from_secs(60));
        let again = post(&server, key, &once, path, body).await;
        assert_eq!(again.header("idempotent-replayed"), "true", "{path}");
        assert_eq!((again.status, again.text()), (first.status, first.text()), "{path}");
    }
    assert_eq!(server.get(&account.key, "/v1/wallet").await.ok()["available"], 5);
    let file = "phone\n+13125550148\n";
    let mut answers = Vec::new();
    for _ in 0..2 {
        let asking = server.ask(Method::POST, "/v1/contacts/import").key(&account.key);
        answers.push(asking.once("file").body("text/csv", file).send().await.ok());
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[1]["created"], 1);
}

async fn another_request_under_the_key_is_refused(engine: Engine) {
    let server = Server::start(engine).await;
    let (one, other) = (server.account("one").await, server.account("other").await);
    let body = json!({"phone": "+13125550147"});
    let path = "/v1/contacts";
    post(&server, &one.key, "k", path, &body).await.made();
    let changed = json!({"phone": "+13125550148"});
    let refused = post(&server, &one.key, "k", path, &changed).await;
    refused.refused(422, "idempotency_mismatch");
    let text = json!({"to": "+13125550147", "body": "x"});
    let elsewhere = post(&server, &one.key, "k", "/v1/messages", &text).await;
    elsewhere.refused(422, "idempotency_mismatch");
    post(&server, &other.key, "k", path, &changed).await.made();
    for bad in ["", " ", "\u{1}", &"x".repeat(256)] {
        let asking = server.ask(Method::POST, path).key(&one.key);
        let Ok(value) = axum::http::HeaderValue::from_str(bad) else { continue };
        let value = value.to_str().expect("ascii").to_owned();
        let (status, _, field) = asking.once(&value).json(&body).send().await.problem();
        assert_eq!((status, field.as_deref()), (400, Some("Idempotency-Key")), "{bad:?}");
    }
}

async fn a_refusal_keeps_nothing(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let bad = json!({"phone": "12"});
    post(&server, &account.key, "k", "/v1/contacts", &bad).await.refused(422, "invalid_field");
    let good = json!({"phone": "+13125550147"});
    post(&server, &account.key, "k", "/v1/contacts", &good).await.made();
}

async fn of_many_at_once_one_happens(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let path = format!("/v1/accounts/{}/credits", account.id);
    let credits = json!({"amount": 10, "reason": "once"});
    let calls = (0..8).map(|_| post(&server, OPERATOR, "k", &path, &credits));
    let texts: Vec<String> = join_all(calls).await.iter().map(Reply::text).collect();
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    assert_eq!(server.get(&account.key, "/v1/wallet").await.ok()["available"], 10);
    let text = json!({"to": "+13125550147", "body": "x"});
    let calls = (0..8).map(|_| post(&server, &account.key, "m", "/v1/messages", &text));
    let texts: Vec<String> = join_all(calls).await.iter().map(Reply::text).collect();
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    server.audited(&account).await;
}

async fn a_request_whose_commit_is_lost_is_done_once(engine: Engine) {
    let server = Server::start(engine).await;
    let credits = json!({"amount": 10, "reason": "once"});
    for done in [false, true] {
        for nth in 1.. {
            let account = server.account("a").await;
            let path = format!("/v1/accounts/{}/credits", account.id);
            let faults = server.app.db.faults();
            faults.plan(Some((nth, CommitFault { done, answered: true })));
            post(&server, OPERATOR, &account.id, &path, &credits).await;
            let struck = faults.has_struck();
            faults.plan(None);
            // Whatever the client was told, it asks again under the same key.
            let again = post(&server, OPERATOR, &account.id, &path, &credits).await.ok();
            assert_eq!(again["available"], 10, "commit {nth} was lost, done: {done}");
            server.audited(&account).await;
            if !struck {
                break;
            }
        }
    }
}

async fn a_key_is_not_kept_readably(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let path = format!("/v1/accounts/{}/keys", account.id);
    let wanted = json!({"name": "k", "mode": "live"});
    let made = post(&server, OPERATOR, "k", &path, &wanted).await.made();
    let key = made["key"].as_str().expect("a key");
    server.get(key, "/v1/wallet").await.ok();
    let mut tx = server.app.db.read().await.expect("a transaction");
    let account = crate::server::account_id(&account);
    let kept = store::idempotency::find_answer(&mut tx, account, "k").await.expect("it is read");
    let kept = kept.expect("it is kept").body;
    let digits = key.rsplit('_').next().expect("digits");
    assert!(!kept.contains(digits) && kept.contains("ll_live_"), "{kept}");
}
