//! A campaign is written and started over HTTP, under idempotency keys, and sealed by the timer.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use domain::campaign::State;
use domain::ids::StreamId;
use domain::seam::{Clock, SeededDice, VirtualClock};
use ledgerline::entry::app::App;
use ledgerline::entry::http::router;
use ledgerline::entry::settings::Settings;
use ledgerline::flow::{accounts, timer};
use serde_json::{Value, json};
use store::accounts::KeyMode;
use tempfile::TempDir;
use testkit::Engine;
use tokio::net::TcpListener;
use tower::ServiceExt;
use twilio::sandbox::Knobs;

use crate::shop::{Death, Shop};
use crate::town::{self, Town};
use crate::trial::Least;

testkit::both_engines!(a_campaign);

const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The routes of a server; no worker of it runs.
struct Server {
    app: Arc<App>,
    router: Router,
    _ground: (TcpListener, TempDir),
}

impl Server {
    async fn start(engine: &Engine, clock: &Arc<VirtualClock>) -> Self {
        let state = tempfile::tempdir().expect("a directory");
        let mut settings = Settings::private(state.path());
        engine.url().clone_into(&mut settings.database_url);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let time: Arc<dyn Clock> = Arc::<VirtualClock>::clone(clock);
        let dice = Arc::new(SeededDice::new(5));
        let app = App::build(settings, &listener, time, dice, Knobs::default()).await;
        let app = app.expect("the application starts");
        Self { router: router(Arc::clone(&app)), app, _ground: (listener, state) }
    }

    /// Asks for something once; the answer, unless the server failed.
    async fn post(&self, key: &str, path: &str, body: &Value) -> Option<Value> {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
            .header("idempotency-key", path)
            .body(Body::from(body.to_string()))
            .expect("a request");
        let answer = self.router.clone().oneshot(request).await.expect("it always answers");
        let status = answer.status();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            return None;
        }
        let bytes = to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await.expect("ends");
        let text = String::from_utf8_lossy(&bytes);
        assert!(status.is_success(), "{path}: {status} {text}");
        Some(serde_json::from_str(&text).expect("JSON"))
    }

    /// Writes a campaign and starts it, as a client does that has to; its id.
    async fn plan(&self, key: &str) -> Option<String> {
        let wanted = json!({
            "name": "Spring", "category": "marketing", "body": "Hello there",
            "audience": {"all": true},
        });
        let made = self.post(key, "/v1/campaigns", &wanted).await?;
        let id = made["id"].as_str().expect("an id").to_owned();
        self.post(key, &format!("/v1/campaigns/{id}/start"), &json!({})).await?;
        Some(id)
    }
}

async fn key(shop: &Shop<'_>) -> String {
    let mut tx = shop.town.db.begin().await.expect("begins");
    let key = accounts::make_key(&mut tx, &*shop.town.dice, shop.account, "k", KeyMode::Live);
    let key = key.await.expect("makes").key;
    tx.commit().await.expect("commits");
    key
}

async fn a_campaign(engine: Engine) {
    let clock = town::clock();
    let server = Server::start(&engine, &clock).await;
    let dice = Arc::new(SeededDice::new(7));
    let town = Town::around(engine, server.app.db.clone(), clock, dice).await;
    let least = Least { points: 34, inside: 25, commits: 3 };
    town.endure("plan", Death::Proven, least, async |trial| {
        let shop = &trial.shop;
        shop.people(6).await;
        let key = key(shop).await;
        let (server, key) = (&server, &key);
        let desk = shop.desk();
        let flow = async move {
            let id = server.plan(key).await;
            timer::look(&desk, true).await.ok().and(id)
        };
        let told = trial.run(flow).await.flatten();
        // Who got no answer asks again with the same keys; who got one may, too.
        let id = server.plan(key).await.expect("is planned");
        assert!(told.is_none_or(|told| told == id), "another id for the same request");
        while timer::look(&shop.desk(), true).await.expect("looks") {}
        shop.finish().await;
        let id = StreamId::parse(&id).expect("an id");
        let stream = shop.stream(id).await;
        assert_eq!((stream.state, stream.position, stream.total), (State::Completed, 6, 6));
        assert_eq!(shop.campaigns().await, 1, "there is one campaign");
        let taken: usize = shop.phones().map(|phone| town.carrier.taken(&phone).len()).sum();
        assert_eq!(taken, 6);
    })
    .await;
}
