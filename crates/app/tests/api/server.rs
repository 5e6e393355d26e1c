//! The whole application behind its router, and requests to it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Method, Request};
use domain::ids::AccountId;
use domain::instant::Instant;
use domain::seam::{Clock, SeededDice, VirtualClock};
use ledgerline::entry::app::App;
use ledgerline::entry::http::router;
use ledgerline::entry::settings::Settings;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::Engine;
use tokio::net::TcpListener;
use tower::ServiceExt;
use twilio::sandbox::Knobs;

/// Opens the operator's routes.
pub const OPERATOR: &str = "operator-key-of-tests";
/// Answers are read whole up to here.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Noon in Chicago, on a Wednesday.
pub const NOON: &str = "2026-07-15T17:00:00Z";

/// A running application.
pub struct Server {
    pub app: Arc<App>,
    pub clock: Arc<VirtualClock>,
    pub router: Router,
    // What the application stands on goes last.
    _ground: Option<(TcpListener, TempDir)>,
    _engine: Engine,
}

/// An account with a key.
pub struct Account {
    pub id: String,
    pub key: String,
}

/// What came back.
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

impl Server {
    /// The application with an operator's key, at noon.
    pub async fn start(engine: Engine) -> Self {
        Self::start_with(engine, |_| {}).await
    }

    /// The same, with settings changed.
    pub async fn start_with(engine: Engine, change: impl FnOnce(&mut Settings)) -> Self {
        let state = tempfile::tempdir().expect("a temporary directory");
        let mut settings = Settings::private(state.path());
        engine.url().clone_into(&mut settings.database_url);
        settings.state_dir = Some(state.path().join("wire"));
        settings.operator_key = Some(OPERATOR.to_owned().into());
        change(&mut settings);
        let clock = Arc::new(VirtualClock::at(Instant::parse(NOON).expect("a time")));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let dice = Arc::new(SeededDice::new(7));
        let time: Arc<dyn Clock> = Arc::<VirtualClock>::clone(&clock);
        let app = App::build(settings, &listener, time, dice, Knobs::default())
            .await
            .expect("the application starts");
        let router = router(Arc::clone(&app));
        let ground = Some((listener, state));
        Self { app, clock, router, _ground: ground, _engine: engine }
    }

    /// Requests to an application that is served elsewhere, on the real clock.
    pub fn around(app: Arc<App>, router: Router, engine: Engine) -> Self {
        let clock = Arc::new(VirtualClock::default());
        Self { app, clock, router, _ground: None, _engine: engine }
    }

    /// A request to be sent.
    pub fn ask(&self, method: Method, path: &str) -> Asking<'_> {
        let request = Request::builder().method(method).uri(path);
        Asking { server: self, request, body: Body::empty() }
    }

    pub async fn get(&self, key: &str, path: &str) -> Reply {
        self.ask(Method::GET, path).key(key).send().await
    }

    pub async fn post(&self, key: &str, path: &str, body: &Value) -> Reply {
        self.ask(Method::POST, path).key(key).json(body).send().await
    }

    /// A POST without a body.
    pub async fn order(&self, key: &str, path: &str) -> Reply {
        self.ask(Method::POST, path).key(key).send().await
    }

    /// An account with a live key, awake all night.
    pub async fn account(&self, name: &str) -> Account {
        let wanted = json!({
            "name": name, "timezone": "America/Chicago", "country": "US", "quiet_hours": null
        });
        let id = self.post(OPERATOR, "/v1/accounts", &wanted).await.made()["id"].clone();
        let id = id.as_str().expect("an id").to_owned();
        let key = self.key_of(&id, "live").await;
        Account { id, key }
    }

    pub async fn key_of(&self, account: &str, mode: &str) -> String {
        let wanted = json!({"name": "tests", "mode": mode});
        let path = format!("/v1/accounts/{account}/keys");
        let made = self.post(OPERATOR, &path, &wanted).await.made();
        made["key"].as_str().expect("a key").to_owned()
    }

    pub async fn credit(&self, account: &Account, amount: i64) -> Value {
        let path = format!("/v1/accounts/{}/credits", account.id);
        let wanted = json!({"amount": amount, "reason": "a test"});
        self.post(OPERATOR, &path, &wanted).await.ok()
    }

    /// Adds opted-in contacts with the phones +1312555xxxx from 0100 on; their ids.
    pub async fn contacts(&self, account: &Account, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for n in 0..count {
            let wanted = json!({
                "phone": format!("+1312555{:04}", 100 + n), "name": format!("Contact {n}"),
                "consent": "opted_in"
            });
            let made = self.post(&account.key, "/v1/contacts", &wanted).await.made();
            ids.push(made["id"].as_str().expect("an id").to_owned());
        }
        ids
    }

    /// A draft to every contact.
    pub async fn campaign(&self, account: &Account) -> Value {
        let wanted = json!({
            "name": "Spring", "category": "marketing", "body": "Hi {{name}}",
            "audience": {"all": true}
        });
        self.post(&account.key, "/v1/campaigns", &wanted).await.made()
    }

    /// Checks the money of an account.
    pub async fn audited(&self, account: &Account) {
        let audit = self.get(&account.key, "/v1/audit").await.ok();
        assert_eq!(audit["ok"], true, "{audit}");
    }
}

/// A request being written.
pub struct Asking<'a> {
    server: &'a Server,
    request: axum::http::request::Builder,
    body: Body,
}

impl Asking<'_> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// No key is presented when it is empty.
    pub fn key(self, key: &str) -> Self {
        if key.is_empty() { self } else { self.header("authorization", &format!("Bearer {key}")) }
    }

    pub fn once(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub fn body(self, kind: &str, body: impl Into<Body>) -> Self {
        let mut with = self.header("content-type", kind);
        with.body = body.into();
        with
    }

    pub async fn send(self) -> Reply {
        // Ids sort by the time they were made.
        self.server.clock.advance(Duration::from_millis(1));
        let request = self.request.body(self.body).expect("a request");
        let answered = self.server.router.clone().oneshot(request).await;
        let (parts, body) = answered.expect("the router never fails").into_parts();
        let bytes = to_bytes(body, ANSWER_BYTES_MAX).await.expect("the answer ends");
        Reply { status: parts.status.as_u16(), headers: parts.headers, bytes }
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    #[track_caller]
    pub fn with(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }

    #[track_caller]
    pub fn ok(self) -> Value {
        self.with(200)
    }

    #[track_caller]
    pub fn made(self) -> Value {
        self.with(201)
    }

    /// Checks that it is a problem; its status, code and field.
    #[track_caller]
    pub fn problem(self) -> (u16, String, Option<String>) {
        let (status, json) = (self.status, self.json());
        assert_eq!(self.header("content-type"), "application/problem+json", "{json}");
        assert_eq!(json["status"], status, "{json}");
        assert!(json["detail"].as_str().is_some_and(|words| !words.is_empty()), "{json}");
        assert_eq!((status == 401), !self.header("www-authenticate").is_empty());
        let code = json["code"].as_str().expect("a code").to_owned();
        (status, code, json["field"].as_str().map(str::to_owned))
    }

    #[track_caller]
    pub fn refused(self, status: u16, code: &str) {
        let (found, word, field) = self.problem();
        assert_eq!((found, word.as_str()), (status, code), "{field:?}");
    }
}

/// The account behind an id.
pub fn account_id(account: &Account) -> AccountId {
    AccountId::parse(&account.id).expect("an id")
}
