//! A sandbox, a client for it, and somebody who takes its events.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::instant::Instant;
use domain::seam::{SeededDice, VirtualClock};
use secrecy::SecretString;
use serde_json::{Value, json};
use stripe::event::Event;
use stripe::objects::{CheckoutSession, Metadata};
use stripe::sandbox::{Knobs, Options, Sandbox};
use stripe::signature::verify;
use stripe::{CheckoutIn, Client, Config, CustomerIn, Line, Mode, Month, Stripe};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

pub const KEY: &str = "sk_test_sandbox";
pub const SECRET: &str = "whsec_sandbox";
/// What the sandbox's clock says: 2026-11-21 01:40:00 UTC.
pub const NOW: Instant = Instant(1_795_225_200_000_000);
/// Far more than anything here takes; a wait that ends here has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Rig {
    pub sandbox: Sandbox,
    pub client: Client,
    pub hooks: MockServer,
    pub clock: Arc<VirtualClock>,
}

pub fn options(clock: &Arc<VirtualClock>) -> Options {
    Options {
        bind: ([127, 0, 0, 1], 0).into(),
        secret_key: Some(SecretString::from(KEY)),
        webhook_url: None,
        webhook_secret: SecretString::from(SECRET),
        knobs: Knobs::default(),
        record: None,
        clock: Arc::clone(clock) as _,
        dice: Arc::new(SeededDice::new(7)),
    }
}

pub fn client_of(sandbox: &Sandbox) -> Client {
    client_with(sandbox, PATIENCE)
}

pub fn client_with(sandbox: &Sandbox, timeout: Duration) -> Client {
    let secret_key = SecretString::from(KEY);
    Client::new(Config { base: sandbox.base(), secret_key, timeout }).expect("a client")
}

/// Somebody who takes every event.
pub async fn taker() -> MockServer {
    let hooks = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&hooks).await;
    hooks
}

impl Rig {
    pub async fn new() -> Self {
        Self::keeping(None, 7).await
    }

    /// One that keeps what happens in a file; each start rolls other dice.
    pub async fn keeping(record: Option<PathBuf>, seed: u64) -> Self {
        let hooks = taker().await;
        let clock = Arc::new(VirtualClock::at(NOW));
        let dice = Arc::new(SeededDice::new(seed));
        let webhook_url = Some(hooks.uri());
        let options = Options { record, webhook_url, dice, ..options(&clock) };
        let sandbox = Sandbox::start(options).await.expect("starts");
        let client = client_of(&sandbox);
        Self { sandbox, client, hooks, clock }
    }

    /// What is asked under `/sandbox/`, and must be answered 200.
    pub async fn does(&self, rest: &str, body: Value) -> Value {
        let (status, answer) = self.sandbox.control("POST", rest, &body).await;
        assert_eq!(status, 200, "{rest} {body}: {answer}");
        answer
    }

    /// The code of what must be refused under `/sandbox/`.
    pub async fn refuses(&self, rest: &str, body: Value) -> String {
        let (status, answer) = self.sandbox.control("POST", rest, &body).await;
        assert!((400..500).contains(&status), "{rest} {body}: {status} {answer}");
        answer["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub async fn knobs(&self, change: Value) {
        self.does("knobs", change).await;
    }

    /// The events that arrived by now, each with the right signature, as they came.
    pub async fn heard(&self) -> Vec<(Event, Value)> {
        self.does("flush", Value::Null).await;
        let posts = self.hooks.received_requests().await.expect("recorded");
        let read = |post: &wiremock::Request| {
            let header = post.headers.get("stripe-signature").and_then(|it| it.to_str().ok());
            let header = header.expect("signed");
            let said = verify(&post.body, header, &[SECRET], NOW.seconds(), Some(300));
            assert_eq!(said, Ok(()), "{header}");
            let raw: Value = serde_json::from_slice(&post.body).expect("JSON");
            assert!(!post.body.windows(8).any(|it| it == b"_private"), "{raw}");
            (Event::parse(&post.body).expect("an event"), raw["data"]["object"].clone())
        };
        posts.iter().map(read).collect()
    }

    /// What happened by now, in the order of its arrival.
    pub async fn kinds(&self) -> Vec<String> {
        self.heard().await.into_iter().map(|(event, _)| event.kind).collect()
    }

    /// What arrived after what is known.
    pub async fn kinds_after(&self, known: usize) -> Vec<String> {
        self.kinds().await.split_off(known)
    }

    pub async fn customer(&self) -> String {
        let customer = CustomerIn { email: Some("a@b.example".into()), ..CustomerIn::default() };
        self.client.create_customer(&customer, "customer").await.expect("made").id
    }

    pub async fn page(&self, checkout: &CheckoutIn, key: &str) -> CheckoutSession {
        self.client.create_checkout(checkout, key).await.expect("made")
    }

    /// Pays on a page; what the sandbox says of it.
    pub async fn pay(&self, session: &str, card: &str, outcome: &str) -> Value {
        let body = json!({ "card": card, "outcome": outcome });
        self.does(&format!("checkout/{session}/pay"), body).await
    }

    /// A saved card of a customer, by way of a page that only saves.
    pub async fn save(&self, customer: &str, card: &str) -> String {
        let checkout = CheckoutIn { customer: Some(customer.into()), ..checkout(Mode::Setup) };
        let session = self.page(&checkout, &format!("save-{card}")).await;
        let said = self.pay(&session.id, card, "").await;
        assert_eq!(said["result"], "done", "{card}: {said}");
        let setup = session.setup_intent.expect("there from the beginning");
        let setup = self.client.setup_intent(&setup).await.expect("there");
        assert_eq!((&*setup.status, &*setup.usage), ("succeeded", "off_session"));
        setup.payment_method.expect("saved")
    }
}

pub fn metadata() -> Metadata {
    [("ledgerline_account".to_owned(), "acc_1".to_owned())].into()
}

/// A page for 25.00 USD, a card to save, or 49.00 USD a month.
pub fn checkout(mode: Mode) -> CheckoutIn {
    let (amount, recurring) = match mode {
        Mode::Subscription => (4900, Some(Month)),
        Mode::Payment | Mode::Setup => (2500, None),
    };
    let line = Line {
        name: "1,000 credits <b>".into(),
        description: Some("For texts & more".into()),
        amount,
        currency: "usd".into(),
        quantity: 1,
        recurring,
    };
    CheckoutIn {
        mode,
        success_url: "https://us.example/ok?s={CHECKOUT_SESSION_ID}".into(),
        cancel_url: "https://us.example/no".into(),
        lines: if mode == Mode::Setup { Vec::new() } else { vec![line] },
        metadata: metadata(),
        client_reference_id: Some("buy_1".into()),
        ..CheckoutIn::default()
    }
}

/// An answer: status, head in lower case, and body.
pub struct Answered {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answered {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// One raw request with these headers, each line with its end.
pub async fn ask(
    sandbox: &Sandbox,
    method: &str,
    target: &str,
    headers: &str,
    body: &str,
) -> Answered {
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\
         Content-Length: {}\r\n\r\n{body}",
        sandbox.addr(),
        body.len()
    );
    let mut stream = TcpStream::connect(sandbox.addr()).await.expect("connects");
    stream.write_all(request.as_bytes()).await.expect("writes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("reads");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let lower = |line: &str| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}", name.to_lowercase()),
        None => line.to_owned(),
    };
    let head = head.lines().map(lower).collect::<Vec<_>>().join("\n");
    Answered { status, head, body: body.to_owned() }
}

/// The header of the one key, and of an idempotency key.
pub fn keyed(idem_key: &str) -> String {
    format!("Authorization: Bearer {KEY}\r\nIdempotency-Key: {idem_key}\r\n")
}

/// Lets everything else run until it holds.
pub async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let waiting = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it comes to hold");
}
