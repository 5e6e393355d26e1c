use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use domain::seam::SeededDice;
use futures_util::StreamExt;
use ledgerline::entry::app::App;
use ledgerline::entry::http::{router, serve};
use ledgerline::entry::settings::Settings;
use ledgerline::seam::SystemClock;
use serde_json::{Value, json};
use testkit::Engine;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower::ServiceExt;
use twilio::sandbox::Knobs;

use crate::server::{OPERATOR, Server};

testkit::both_engines!(an_address_shows_one_campaign_for_a_week, a_campaign_is_watched_to_its_end);

fn path_of(server: &Server, campaign: &Value) -> String {
    let url = campaign["watch_url"].as_str().expect("an address");
    url.strip_prefix(&server.app.public_url).expect("an address of this server").to_owned()
}

async fn an_address_shows_one_campaign_for_a_week(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    server.contacts(&account, 1).await;
    let wanted = json!({
        "name": "<Spring> & \"co\"", "category": "marketing", "body": "x", "audience": {"all": true}
    });
    let campaign = server.post(&account.key, "/v1/campaigns", &wanted).await.made();
    let path = path_of(&server, &campaign);
    let page = server.get("", &path).await;
    assert_eq!(page.status, 200);
    let html = page.text();
    assert!(html.contains("&#60;Spring&#62; &#38;"), "{html}");
    assert!(html.contains("A draft: it has not been started."), "{html}");
    assert!(!html.contains("style=") && html.contains("http-equiv=\"refresh\""));
    assert!(page.header("content-security-policy").contains("script-src 'self'"));
    assert_eq!(page.header("referrer-policy"), "no-referrer");

    let mut forged = path.clone();
    forged.replace_range(20..21, if &path[20..21] == "A" { "B" } else { "A" });
    for path in [&forged, "/watch/", "/watch/x", "/watch/x/events"] {
        server.get("", path).await.refused(404, "not_found");
    }
    server.clock.advance(Duration::from_secs(7 * 24 * 3600));
    assert_eq!(server.get("", &path).await.status, 200);
    server.clock.advance(Duration::from_secs(2 * 24 * 3600));
    server.get("", &path).await.refused(404, "not_found");
    server.get("", &format!("{path}/events")).await.refused(404, "not_found");
}

/// The whole way on the real clock: texts leave through the sandbox carrier, its signed receipts
/// come back through the hook, and the page's events tell about it until all are delivered.
async fn a_campaign_is_watched_to_its_end(engine: Engine) {
    let state = tempfile::tempdir().expect("a temporary directory");
    let mut settings = Settings::private(state.path());
    engine.url().clone_into(&mut settings.database_url);
    settings.state_dir = Some(state.path().join("wire"));
    settings.operator_key = Some(OPERATOR.to_owned().into());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let dice = Arc::new(SeededDice::new(7));
    let knobs = Knobs::default();
    let app = App::build(settings, &listener, Arc::new(SystemClock), dice, knobs).await;
    let app = app.expect("the application starts");
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        stopped.await.ok();
    };
    let served = tokio::spawn(serve(Arc::clone(&app), listener, shutdown));
    let workers = app.start_workers();
    let server = Server::around(Arc::clone(&app), router(Arc::clone(&app)), engine);

    let account = server.account("a").await;
    server.credit(&account, 10).await;
    server.contacts(&account, 3).await;
    let campaign = server.campaign(&account).await;
    let path = path_of(&server, &campaign);
    let request = Request::builder().uri(format!("{path}/events")).body(Body::empty());
    let reply = server.router.clone().oneshot(request.expect("a request")).await;
    let mut events = reply.expect("an answer").into_body().into_data_stream();
    let start = format!("/v1/campaigns/{}/start", campaign["id"].as_str().expect("an id"));
    server.order(&account.key, &start).await.ok();

    let mut seen = Vec::new();
    let last = loop {
        let bytes = events.next().await.expect("it goes on").expect("it can be read");
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let Some(data) = text.strip_prefix("data: ") else { continue };
        let news: Value = serde_json::from_str(data.trim()).expect("JSON");
        seen.push(news["campaign"]["state"].as_str().expect("a state").to_owned());
        if news["campaign"]["counts"]["delivered"] == 3 {
            break news;
        }
    };
    assert_eq!(seen.first().map(String::as_str), Some("draft"), "the first event comes at once");
    assert_eq!(last["sentence"], "Completed: 3 texts, none twice.");
    assert_eq!(last["wallet"]["available"], 7);
    assert_eq!((&last["percent"], &last["campaign"]["credits"]["spent"]), (&json!(100), &json!(3)));
    assert!(events.next().await.is_none_or(|end| end.is_ok()), "it ends with the campaign");
    let list = format!(
        "/v1/campaigns/{}/recipients?state=delivered",
        campaign["id"].as_str().expect("an id")
    );
    let list = server.get(&account.key, &list).await.ok();
    assert_eq!(list["data"].as_array().map(Vec::len), Some(3));
    server.audited(&account).await;

    stop.send(()).expect("the server runs");
    served.await.expect("no panic").expect("it was served");
    workers.stop().await;
}
