use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use domain::seam::SeededDice;
use futures_util::StreamExt;
use ledgerline::entry::app::{App, Workers};
use ledgerline::entry::http::{router, serve};
use ledgerline::entry::settings::Settings;
use ledgerline::seam::SystemClock;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt;
use twilio::sandbox::Knobs;

use crate::server::{OPERATOR, Server};

testkit::both_engines!(
    an_address_shows_one_campaign_for_a_week,
    a_campaign_is_watched_to_its_end,
    live_pages_end_when_the_server_closes,
);

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

/// The application served on a port, with its workers, on the real clock.
struct Live {
    server: Server,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
    workers: Workers,
    _state: TempDir,
}

impl Live {
    async fn start(engine: Engine) -> Self {
        let state = tempfile::tempdir().expect("a temporary directory");
        let mut settings = Settings::private(state.path());
        engine.url().clone_into(&mut settings.database_url);
        settings.state_dir = Some(state.path().join("wire"));
        settings.operator_key = Some(OPERATOR.to_owned().into());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let dice = Arc::new(SeededDice::new(7));
        let clock = Arc::new(SystemClock);
        let app = App::build(settings, &listener, clock, dice, Knobs::default()).await;
        let app = app.expect("the application starts");
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            stopped.await.expect("somebody stops it");
        };
        Self {
            served: tokio::spawn(serve(Arc::clone(&app), listener, shutdown)),
            workers: app.start_workers(),
            server: Server::around(Arc::clone(&app), router(app), engine),
            address,
            stop,
            _state: state,
        }
    }

    async fn end(self) {
        self.stop.send(()).expect("the server runs");
        self.served.await.expect("no panic").expect("it was served");
        self.workers.stop().await;
    }
}

/// The whole way: texts leave through the sandbox carrier, its signed receipts come back through
/// the hook, and the page's events tell about it until all are delivered.
async fn a_campaign_is_watched_to_its_end(engine: Engine) {
    let live = Live::start(engine).await;
    let server = &live.server;
    let account = server.account("a").await;
    server.credit(&account, 10).await;
    server.contacts(&account, 3).await;
    let unsure = json!({"phone": "+13125550199", "name": "Unsure"});
    server.post(&account.key, "/v1/contacts", &unsure).await.made();
    let campaign = server.campaign(&account).await;
    let path = format!("{}/events", path_of(server, &campaign));
    let request = Request::builder().uri(path).body(Body::empty()).expect("a request");
    let reply = server.router.clone().oneshot(request).await.expect("an answer");
    let mut events = reply.into_body().into_data_stream();
    let path = format!("/v1/campaigns/{}", campaign["id"].as_str().expect("an id"));
    server.order(&account.key, &format!("{path}/start")).await.ok();

    let mut seen = Vec::new();
    let last = loop {
        let bytes = events.next().await.expect("it goes on").expect("it can be read");
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let Some(data) = text.strip_prefix("data: ") else { continue };
        let news: Value = serde_json::from_str(data.trim()).expect("JSON");
        let state = news["campaign"]["state"].as_str().expect("a state").to_owned();
        seen.push(state.clone());
        if state == "completed" && news["campaign"]["counts"]["delivered"] == 3 {
            break news;
        }
    };
    assert_eq!(seen.first().map(String::as_str), Some("draft"), "the first event comes at once");
    let words = "Completed: 3 texts, none twice; one recipient was skipped, with its reason.";
    assert_eq!(last["sentence"], words);
    assert_eq!(last["wallet"]["available"], 7);
    assert_eq!((&last["percent"], &last["campaign"]["credits"]["spent"]), (&json!(100), &json!(3)));
    assert!(events.next().await.is_none(), "it ends with the campaign");

    for (state, count) in [("delivered", 3), ("skipped", 1), ("suppressed", 1), ("pending", 0)] {
        let list = format!("{path}/recipients?state={state}");
        let list = server.get(&account.key, &list).await.ok();
        assert_eq!(list["data"].as_array().map(Vec::len), Some(count), "{state}");
    }
    let skipped = server.get(&account.key, &format!("{path}/recipients?state=skipped")).await.ok();
    assert_eq!(skipped["data"][0]["why"]["rule"], "consent");
    server.audited(&account).await;
    live.end().await;
}

async fn live_pages_end_when_the_server_closes(engine: Engine) {
    let live = Live::start(engine).await;
    let account = live.server.account("a").await;
    live.server.contacts(&account, 1).await;
    let campaign = live.server.campaign(&account).await;
    let path = path_of(&live.server, &campaign);
    let mut page = TcpStream::connect(live.address).await.expect("it listens");
    let request = format!("GET {path}/events HTTP/1.1\r\nhost: here\r\n\r\n");
    page.write_all(request.as_bytes()).await.expect("it reads");
    let mut told = Vec::new();
    while !told.ends_with(b"\n\n\r\n") {
        assert!(page.read_buf(&mut told).await.expect("it answers") > 0);
    }
    live.end().await;
    page.read_to_end(&mut told).await.expect("it ends");
    let told = String::from_utf8(told).expect("UTF-8");
    assert!(told.contains("\"state\":\"draft\""), "{told}");
    assert!(told.ends_with("\r\n0\r\n\r\n"), "it is ended, not cut off: {told}");
}
