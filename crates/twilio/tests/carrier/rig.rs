//! A carrier and a client for it.

use std::sync::Arc;
use std::time::Duration;

use domain::instant::Instant;
use domain::seam::{SeededDice, VirtualClock};
use twilio::client::{Client, Config, Timeouts};
use twilio::outcome::Outcome;
use twilio::sandbox::{Knobs, Options, Sandbox};
use twilio::wire::{CreateMessage, Sender};

pub const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
pub const TOKEN: &str = "secret-token";
pub const FROM: Sender<'static> = Sender::From("+15005550006");

pub fn options(knobs: Knobs) -> Options {
    Options {
        bind: ([127, 0, 0, 1], 0).into(),
        credentials: Some((ACCOUNT.to_owned(), TOKEN.to_owned())),
        knobs,
        record: None,
        clock: Arc::new(VirtualClock::at(Instant(1_795_225_200_000_000))),
        dice: Arc::new(SeededDice::new(11)),
    }
}

pub async fn carrier(knobs: Knobs) -> Sandbox {
    Sandbox::start(options(knobs)).await.expect("starts")
}

pub fn client_of(base: &str, token: &str) -> Client {
    Client::new(Config {
        base: base.to_owned(),
        account_sid: ACCOUNT.to_owned(),
        username: ACCOUNT.to_owned(),
        password: token.to_owned().into(),
        concurrency: 4,
        timeouts: Timeouts { connect: Duration::from_secs(5), total: Duration::from_millis(800) },
    })
    .expect("a client")
}

pub fn client(carrier: &Sandbox) -> Client {
    client_of(&format!("http://{}", carrier.addr()), TOKEN)
}

pub async fn send(client: &Client, to: &str) -> Outcome {
    client.create_message(&CreateMessage::new(to, FROM, "Hello there")).await
}
