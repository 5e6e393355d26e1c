//! A carrier and a client for it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::instant::Instant;
use domain::seam::{SeededDice, VirtualClock};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use twilio::client::{Client, Config, Timeouts};
use twilio::outcome::Outcome;
use twilio::sandbox::{Knobs, Options, Sandbox};
use twilio::wire::{CreateMessage, MessageResource, MessageStatus, Sender, Sid};

pub const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
pub const TOKEN: &str = "secret-token";
pub const FROM: Sender<'static> = Sender::From("+15005550006");
pub const SERVICE: &str = "MG0123456789abcdef0123456789abcdef";
/// What the carrier's clock says: 2026-11-21 01:40:00 UTC.
pub const NOW: Instant = Instant(1_795_225_200_000_000);
/// Far more than anything here takes; a wait that ends here has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn options(knobs: Knobs) -> Options {
    Options {
        bind: ([127, 0, 0, 1], 0).into(),
        credentials: Some((ACCOUNT.to_owned(), TOKEN.to_owned())),
        knobs,
        record: None,
        clock: Arc::new(VirtualClock::at(NOW)),
        dice: Arc::new(SeededDice::new(11)),
    }
}

pub async fn carrier(knobs: Knobs) -> Sandbox {
    Sandbox::start(options(knobs)).await.expect("starts")
}

/// The same with a clock that the test moves.
pub async fn carrier_at(clock: &Arc<VirtualClock>, knobs: Knobs) -> Sandbox {
    let clock = Arc::clone(clock);
    Sandbox::start(Options { clock, ..options(knobs) }).await.expect("starts")
}

/// A carrier's address.
pub fn base_of(carrier: &Sandbox) -> String {
    format!("http://{}", carrier.addr())
}

/// A client that waits for an answer as long as it takes on a busy machine.
pub fn client_of(base: &str, token: &str) -> Client {
    client_with(base, token, PATIENCE)
}

/// A client for peers that never answer: it gives up soon, but not before its request is written.
pub fn hasty_client(base: &str) -> Client {
    client_with(base, TOKEN, Duration::from_millis(1500))
}

fn client_with(base: &str, token: &str, total: Duration) -> Client {
    Client::new(Config {
        base: base.to_owned(),
        account_sid: ACCOUNT.to_owned(),
        username: ACCOUNT.to_owned(),
        password: token.to_owned().into(),
        concurrency: 4,
        timeouts: Timeouts { connect: PATIENCE, total },
    })
    .expect("a client")
}

pub fn client(carrier: &Sandbox) -> Client {
    client_of(&base_of(carrier), TOKEN)
}

pub async fn send(client: &Client, to: &str) -> Outcome {
    client.create_message(&CreateMessage::new(to, FROM, "Hello there")).await
}

/// The SID of a text that must be accepted.
pub async fn accepted(client: &Client, message: &CreateMessage<'_>) -> Sid {
    match client.create_message(message).await {
        Outcome::Accepted { sid, .. } => sid,
        outcome => panic!("{message:?}: {outcome:?}"),
    }
}

/// Lets everything else run until it holds.
pub async fn until(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it comes to hold");
}

/// Asks until the message has this status.
pub async fn becomes(client: &Client, sid: &Sid, status: MessageStatus) -> MessageResource {
    let asking = async {
        loop {
            let message = client.message(sid).await.expect("is there");
            if message.message_status() == Some(status) {
                return message;
            }
        }
    };
    let asked = tokio::time::timeout(PATIENCE, asking).await;
    asked.unwrap_or_else(|_| panic!("{sid} never is {status}"))
}

/// What comes next on a channel.
pub async fn next<T>(heard: &mut UnboundedReceiver<T>) -> T {
    tokio::time::timeout(PATIENCE, heard.recv()).await.expect("it comes").expect("it goes on")
}

/// One raw request to a carrier with the auth token as its credentials: the status, and the body.
pub async fn ask(carrier: &Sandbox, method: &str, target: &str, body: &str) -> (u16, String) {
    let credentials = BASE64.encode(format!("{ACCOUNT}:{TOKEN}"));
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: carrier\r\nAuthorization: Basic {credentials}\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(carrier.addr()).await.expect("connects");
    stream.write_all(request.as_bytes()).await.expect("writes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("reads");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
    (status, body.to_owned())
}

/// Asks the Messages API of the one account; the answer's JSON, null when there is none.
pub async fn api(carrier: &Sandbox, method: &str, rest: &str, body: &str) -> (u16, Value) {
    let target = format!("/2010-04-01/Accounts/{ACCOUNT}/{rest}");
    let (status, body) = ask(carrier, method, &target, body).await;
    (status, serde_json::from_str(&body).unwrap_or_default())
}
