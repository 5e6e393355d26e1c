use axum::http::StatusCode;
use testkit::Engine;

use crate::server::Server;

testkit::both_engines!(a_server_tells_how_it_is);

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
