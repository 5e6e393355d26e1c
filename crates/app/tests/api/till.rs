//! A server that takes money from a Stripe of its own: one that does as it is told, and remembers
//! what it was asked.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use domain::instant::Instant;
use domain::seam::Clock as _;
use ledgerline::entry::payment_settings::PaymentSettings;
use serde_json::{Value, json};
use testkit::Engine;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::server::{Account, Reply, Server};

pub const SECRET: &str = "whsec_of_these_tests";
pub const NEXT_SECRET: &str = "whsec_of_the_next_rotation";
pub const CARD: &str = "pm_card_of_tests";

/// What becomes of a payment with a saved card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charging {
    #[default]
    Succeeds,
    Processes,
    Declines(&'static str),
    WantsAuthentication,
    /// It is carried out, and the answer is lost.
    IsLost,
    /// It is not carried out, and there is no answer.
    IsDown,
}

#[derive(Default)]
pub struct Shop {
    pub charging: Charging,
    /// Nothing is answered.
    pub is_down: bool,
    /// It opens no payment page.
    pub refuses_pages: bool,
    /// Refunds and disputes are unknown to it.
    pub is_blind: bool,
    /// Objects by path.
    pub objects: HashMap<String, Value>,
    pub refunds: Vec<Value>,
    pub disputes: Vec<Value>,
    /// Every call: method, path, form, idempotency key.
    pub calls: Vec<(String, String, BTreeMap<String, String>, String)>,
    kept: HashMap<String, (u16, Value)>,
    made: u64,
}

type Shared = Arc<Mutex<Shop>>;

/// The server, its Stripe, and how to reach both.
pub struct Till {
    pub server: Server,
    shop: Shared,
    base: String,
    serving: JoinHandle<()>,
}

impl Drop for Till {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn form_of(text: &[u8]) -> BTreeMap<String, String> {
    form_urlencoded::parse(text).into_owned().collect()
}

fn metadata_of(form: &BTreeMap<String, String>) -> Value {
    let own = form.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("metadata[")?.strip_suffix(']')?;
        Some((name.to_owned(), json!(value)))
    });
    Value::Object(own.collect())
}

async fn answer(
    State(shop): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    assert_eq!(header("stripe-version"), stripe::API_VERSION);
    let (path, key) = (uri.path().to_owned(), header("idempotency-key"));
    let form =
        form_of(if body.is_empty() { uri.query().unwrap_or_default().as_bytes() } else { &body });
    let mut shop = shop.lock().unwrap_or_else(PoisonError::into_inner);
    shop.calls.push((method.to_string(), path.clone(), form.clone(), key.clone()));
    let (status, value) = if shop.is_down {
        (500, json!({"error": {"type": "api_error", "message": "down"}}))
    } else if method == Method::POST {
        shop.make(&path, &form, &key)
    } else {
        shop.tell(&path, &form)
    };
    let status = StatusCode::from_u16(status).expect("a status");
    (status, axum::Json(value)).into_response()
}

impl Shop {
    fn make(&mut self, path: &str, form: &BTreeMap<String, String>, key: &str) -> (u16, Value) {
        assert!(!key.is_empty(), "{path} is asked for without a key");
        if let Some((status, value)) = self.kept.get(key) {
            return (*status, value.clone());
        }
        if path == "/v1/payment_intents" && self.charging == Charging::IsDown {
            return (500, json!({"error": {"type": "api_error", "message": "down"}}));
        }
        self.made += 1;
        let n = self.made;
        let customer = form.get("customer").cloned();
        let answered = match path {
            "/v1/customers" => {
                let id = format!("cus_{n}");
                (200, json!({"id": id, "object": "customer", "metadata": metadata_of(form)}))
            }
            "/v1/checkout/sessions" if self.refuses_pages => {
                let error = json!({"type": "invalid_request_error", "message": "too small"});
                (400, json!({"error": error}))
            }
            "/v1/checkout/sessions" => (
                200,
                json!({
                    "id": format!("cs_{n}"), "object": "checkout.session", "mode": form["mode"],
                    "status": "open", "payment_status": "unpaid", "customer": customer,
                    "metadata": metadata_of(form), "url": format!("https://pay.example/cs_{n}"),
                }),
            ),
            "/v1/payment_intents" => self.charge(&format!("pi_auto_{n}"), form),
            path if self.objects.contains_key(path) => {
                // A change of what is there.
                let mut changed = self.objects[path].clone();
                for (name, value) in metadata_of(form).as_object().into_iter().flatten() {
                    changed["metadata"][name] = value.clone();
                }
                (200, changed)
            }
            other => panic!("nobody asks for {other}"),
        };
        if answered.0 == 200 {
            let id = answered.1["id"].as_str().expect("an id");
            self.objects.insert(format!("{path}/{id}"), answered.1.clone());
        }
        self.kept.insert(key.to_owned(), answered.clone());
        match self.charging {
            Charging::IsLost if path == "/v1/payment_intents" => {
                self.charging = Charging::Succeeds;
                (502, json!("a proxy's page"))
            }
            _ => answered,
        }
    }

    fn charge(&self, id: &str, form: &BTreeMap<String, String>) -> (u16, Value) {
        let intent = |status: &str, error: Value| {
            json!({
                "id": id, "object": "payment_intent", "status": status,
                "amount": form["amount"].parse::<i64>().expect("a number"),
                "currency": form["currency"], "customer": form["customer"],
                "payment_method": form["payment_method"], "metadata": metadata_of(form),
                "last_payment_error": error,
            })
        };
        let declined = |code: &str, decline: &str| {
            let error = json!({
                "type": "card_error", "code": code, "decline_code": decline,
                "message": "The card was declined.",
            });
            let mut whole = error.clone();
            whole["payment_intent"] = intent("requires_payment_method", error);
            (402, json!({"error": whole}))
        };
        match self.charging {
            Charging::Succeeds | Charging::IsLost => (200, intent("succeeded", Value::Null)),
            Charging::Processes => (200, intent("processing", Value::Null)),
            Charging::Declines(code) => declined("card_declined", code),
            Charging::WantsAuthentication => {
                declined("authentication_required", "authentication_required")
            }
            Charging::IsDown => unreachable!("it was answered before"),
        }
    }

    fn tell(&self, path: &str, form: &BTreeMap<String, String>) -> (u16, Value) {
        let list = |all: &[Value]| {
            let payment = form.get("payment_intent").map(String::as_str);
            let rows: Vec<&Value> =
                all.iter().filter(|row| row["payment_intent"].as_str() == payment).collect();
            (200, json!({"object": "list", "data": rows, "has_more": false}))
        };
        let missing = || {
            let error = json!({"type": "invalid_request_error", "code": "resource_missing"});
            (404, json!({"error": error}))
        };
        match path {
            "/v1/refunds" if !self.is_blind => list(&self.refunds),
            "/v1/disputes" if !self.is_blind => list(&self.disputes),
            "/v1/payment_intents/search" => {
                let query = &form["query"];
                let is_wanted = |value: &&Value| {
                    let name = value["metadata"]["ledgerline_purchase"].as_str();
                    value["object"] == "payment_intent"
                        && name.is_some_and(|name| query.contains(name))
                };
                let rows: Vec<&Value> = self.objects.values().filter(is_wanted).collect();
                (200, json!({"object": "search_result", "data": rows, "has_more": false}))
            }
            path => self.objects.get(path).map_or_else(missing, |value| (200, value.clone())),
        }
    }
}

impl Till {
    pub async fn start(engine: Engine) -> Self {
        let shop = Shared::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shop));
        let serving = tokio::spawn(async move {
            drop(axum::serve(listener, router).await);
        });
        let settings = settings(&base);
        let server = Server::start_with(engine, move |all| all.payments = settings).await;
        Self { server, shop, base, serving }
    }

    /// The settings of a server that takes money here.
    pub fn settings(&self) -> PaymentSettings {
        settings(&self.base)
    }

    pub fn shop(&self) -> MutexGuard<'_, Shop> {
        self.shop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls of a path so far.
    pub fn called(&self, path: &str) -> usize {
        self.shop().calls.iter().filter(|call| call.1 == path && call.0 == "POST").count()
    }

    pub fn now(&self) -> Instant {
        self.server.clock.now()
    }

    pub async fn hook(&self, body: &str, signature: Option<&str>) -> Reply {
        let asking = self.server.ask(Method::POST, "/hooks/stripe");
        let asking = match signature {
            Some(signature) => asking.header("stripe-signature", signature),
            None => asking,
        };
        asking.body("application/json", body.to_owned()).send().await
    }

    /// Posts an event as Stripe does.
    pub async fn tell(&self, event: &Value) {
        let body = event.to_string();
        let signature = stripe::signature::sign(body.as_bytes(), SECRET, self.now().seconds());
        self.hook(&body, Some(&signature)).await.ok();
    }

    /// Has what waits be done.
    pub async fn look(&self) {
        self.server.app.payments.look().await.expect("it looks around");
    }

    /// Posts events and has them applied.
    pub async fn tell_all(&self, events: &[Value]) {
        for event in events {
            self.tell(event).await;
            self.look().await;
        }
    }

    pub async fn wallet(&self, account: &Account) -> Value {
        self.server.get(&account.key, "/v1/wallet").await.ok()
    }

    pub async fn available(&self, account: &Account) -> i64 {
        self.wallet(account).await["available"].as_i64().expect("a number")
    }

    /// Starts a purchase of the pack of 500 credits for 10.00 USD.
    pub async fn buy(&self, account: &Account) -> Bought {
        let wanted = json!({"pack": "starter"});
        let made = self.server.post(&account.key, "/v1/purchases", &wanted).await.made();
        let id = made["id"].as_str().expect("an id").to_owned();
        let checkout = made["checkout_url"].as_str().expect("a page");
        let checkout = checkout.rsplit('/').next().expect("a session").to_owned();
        Bought::new(account, id, checkout)
    }

    pub async fn purchase(&self, account: &Account, id: &str) -> Value {
        self.server.get(&account.key, &format!("/v1/purchases/{id}")).await.ok()
    }

    /// A card is saved by its owner.
    pub async fn save_card(&self, account: &Account) {
        let card = json!({
            "id": CARD, "object": "payment_method", "type": "card", "customer": "cus_any",
            "card": {"brand": "visa", "last4": "4242", "exp_month": 7, "exp_year": 2031},
        });
        self.shop().objects.insert(format!("/v1/payment_methods/{CARD}"), card);
        // The customer is made before the page on which a card is saved.
        let id = account.id.parse().expect("an id");
        let customer = self.server.app.payments.customer(id).await.expect("a customer");
        let setup = json!({
            "id": format!("seti_{}", account.id), "object": "setup_intent", "status": "succeeded",
            "customer": customer, "payment_method": CARD, "usage": "off_session",
            "metadata": {"ledgerline_account": account.id},
        });
        let created = self.now().seconds();
        let id = format!("evt_card_{}_{created}", account.id);
        self.tell_all(&[event(&id, "setup_intent.succeeded", created, &setup)]).await;
    }

    /// The net amount of each kind of ledger lines, holds and releases of disputes taken together.
    pub async fn moved(&self, account: &Account) -> BTreeMap<String, i64> {
        let page = self.server.get(&account.key, "/v1/ledger?limit=1000").await.ok();
        let mut moved = BTreeMap::new();
        for line in page["data"].as_array().expect("lines") {
            let kind = line["kind"].as_str().expect("a kind").replace("_release", "_hold");
            let change = &line["change"];
            let net = |book: &str| change[book].as_i64().expect("a number");
            *moved.entry(kind).or_insert(0) += net("paid") - net("refunded");
        }
        moved.retain(|_, net| *net != 0);
        moved
    }
}

fn settings(base: &str) -> PaymentSettings {
    PaymentSettings {
        secret_key: Some("sk_test_of_these_tests".to_owned().into()),
        webhook_secrets: vec![SECRET.to_owned().into(), NEXT_SECRET.to_owned().into()],
        api_base: base.to_owned(),
        packs_file: None,
    }
}

/// An event as Stripe writes it.
pub fn event(id: &str, kind: &str, created: i64, object: &Value) -> Value {
    json!({
        "id": id, "object": "event", "type": kind, "created": created,
        "api_version": stripe::API_VERSION, "livemode": false, "data": {"object": object},
    })
}

/// A started purchase of 500 credits for 10.00 USD, and what Stripe makes of it.
#[derive(Clone, Debug)]
pub struct Bought {
    pub id: String,
    pub checkout: String,
    pub payment: String,
    pub charge: String,
    account: String,
}

impl Bought {
    pub fn new(account: &Account, id: String, checkout: String) -> Self {
        let (payment, charge) = (format!("pi_{id}"), format!("ch_{id}"));
        Self { id, checkout, payment, charge, account: account.id.clone() }
    }

    fn metadata(&self) -> Value {
        json!({"ledgerline_account": self.account, "ledgerline_purchase": self.id})
    }

    pub fn session(&self, status: &str, payment_status: &str) -> Value {
        json!({
            "id": self.checkout, "object": "checkout.session", "mode": "payment",
            "status": status, "payment_status": payment_status, "amount_total": 1000,
            "currency": "usd", "metadata": self.metadata(),
            "payment_intent": (status == "complete").then_some(&self.payment),
        })
    }

    pub fn intent(&self, status: &str) -> Value {
        json!({
            "id": self.payment, "object": "payment_intent", "status": status, "amount": 1000,
            "amount_received": if status == "succeeded" { 1000 } else { 0 }, "currency": "usd",
            "latest_charge": self.charge, "metadata": self.metadata(), "payment_method": CARD,
        })
    }

    pub fn charged(&self, refunded: i64) -> Value {
        json!({
            "id": self.charge, "object": "charge", "amount": 1000, "amount_refunded": refunded,
            "paid": true, "captured": true, "refunded": refunded == 1000, "currency": "usd",
            "payment_intent": self.payment, "metadata": self.metadata(),
        })
    }

    pub fn refund(&self, n: u32, amount: i64, status: &str) -> Value {
        json!({
            "id": format!("re_{}_{n}", self.id), "object": "refund", "amount": amount,
            "status": status, "currency": "usd", "charge": self.charge,
            "payment_intent": self.payment, "metadata": {},
        })
    }

    pub fn dispute(&self, n: u32, amount: i64, status: &str) -> Value {
        json!({
            "id": format!("dp_{}_{n}", self.id), "object": "dispute", "amount": amount,
            "status": status, "currency": "usd", "charge": self.charge,
            "payment_intent": self.payment, "metadata": {},
        })
    }

    /// Events a minute apart, in the order in which they happened.
    pub fn events(&self, start: i64, told: &[(&str, Value)]) -> Vec<Value> {
        let one = |(n, (kind, object)): (usize, &(&str, Value))| {
            let created = start + 60 * i64::try_from(n).expect("a few");
            event(&format!("evt_{}_{n}", self.id), kind, created, object)
        };
        told.iter().enumerate().map(one).collect()
    }

    /// What tells that it was paid.
    pub fn paid(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("payment_intent.created", self.intent("requires_payment_method")),
            ("charge.succeeded", self.charged(0)),
            ("payment_intent.succeeded", self.intent("succeeded")),
            ("checkout.session.completed", self.session("complete", "paid")),
        ]
    }
}
