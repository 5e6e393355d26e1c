use axum::http::StatusCode;
use ledgerline::entry::settings::Twilio;
use serde_json::json;
use testkit::Engine;

use crate::server::{OPERATOR, Server};

testkit::both_engines!(a_server_tells_how_it_is, without_credentials_the_server_runs_and_says_so);

async fn a_server_tells_how_it_is(engine: Engine) {
    let name = engine.name();
    let server = Server::start(engine).await;
    assert_eq!(server.get("", "/healthz").await.text(), "ok\n");
    let ready = server.get("", "/readyz").await.ok();
    assert_eq!(ready["engine"], name);
    assert_eq!((&ready["carrier"], &ready["ready"]), (&"sandbox".into(), &true.into()));
    server.get("", "/v1/wallet").await;
    let metrics = server.get("", "/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain"));
    let counted = r#"ledgerline_http_requests_total{route="/v1/wallet",status="4xx"}"#;
    assert!(metrics.text().contains(counted), "{}", metrics.text());

    server.app.db.close().await;
    assert_eq!(server.get("", "/healthz").await.status, 200);
    assert_eq!(server.get("", "/readyz").await.with(503)["ready"], false);
    let reply = server.get("key", "/v1/wallet").await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR.as_u16());
    assert!(reply.header("x-request-id").starts_with("req_"));
    assert!(!reply.text().to_lowercase().contains("pool"), "{}", reply.text());
    reply.refused(500, "internal");
}

async fn without_credentials_the_server_runs_and_says_so(engine: Engine) {
    let server = Server::start_with(engine, |settings| {
        settings.twilio = Some(Twilio {
            account_sid: format!("AC{}", "0".repeat(32)),
            auth_token: None,
            previous_auth_token: None,
            api_key: None,
            messaging_service_sid: None,
            phone_number: Some("+13125550100".to_owned()),
            api_base: "http://127.0.0.1:9".to_owned(),
        });
    })
    .await;
    let account = server.account("one").await;
    server.credit(&account, 5).await;
    let ready = server.get("", "/readyz").await.ok();
    assert_eq!((&ready["ready"], &ready["sending"]), (&json!(true), &json!(false)));
    assert!(ready["reason"].as_str().expect("words").contains("TWILIO_AUTH_TOKEN"), "{ready}");
    assert_eq!(ready["carriers"][0]["state"], "held");
    let shown = server.get(OPERATOR, "/v1/carriers").await.ok();
    assert_eq!(shown["breakers"][0]["carrier"], "primary");
    server.get(&account.key, "/v1/carriers").await.refused(403, "forbidden");

    // A text is taken in, and says what it waits for.
    let workers = server.app.start_workers();
    let text = json!({"to": "+13125550147", "body": "Hello"});
    let taken = server.post(&account.key, "/v1/messages", &text).await.with(202);
    let path = format!("/v1/messages/{}", taken["id"].as_str().expect("an id"));
    let mut told = json!(null);
    for _ in 0..3000 {
        told = server.get(&account.key, &path).await.ok();
        if told["state"] == "deferred" {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!((&told["state"], &told["why"]["rule"]), (&json!("deferred"), &json!("sender")));
    assert!(told["why"]["inputs"].as_str().expect("words").contains("no credentials"), "{told}");
    assert_eq!(server.get(&account.key, "/v1/wallet").await.ok()["reserved"], 0);
    workers.stop().await;
}
