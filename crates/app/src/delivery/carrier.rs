//! Carriers: who takes a text. One trait, so that a flow never knows which one it talks to.

use std::future::Future;
use std::pin::Pin;

use domain::rates::SenderKind;
use twilio::client::Client;
use twilio::outcome::Outcome;
use twilio::wire::{CreateMessage, Sender};

use super::senders::From;

/// A future that a trait object can return.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Called right before the first byte of a request is handed to the socket.
pub type Mark = Box<dyn FnOnce() -> std::io::Result<()> + Send>;

/// A text on its way to a carrier.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// E.164.
    pub to: &'a str,
    /// What it leaves from.
    pub from: &'a From,
    /// The text.
    pub body: &'a str,
    /// Where receipts go, if the carrier can reach us.
    pub status_callback: Option<&'a str>,
    /// How long it may wait at the carrier's.
    pub validity_secs: u32,
}

/// Takes texts. One call is one attempt: no retries, no redirects.
pub trait Carrier: Send + Sync {
    /// Sends one text.
    fn send<'a>(&'a self, text: Outgoing<'a>, mark: Mark) -> Answer<'a>;
}

/// Knows everything that ever reached the carrier, the requests of dead processes included. Only a
/// carrier that died together with its callers can say so; the sandbox inside the server is one.
pub trait Witness: Send + Sync {
    /// Whether this text to this phone was ever accepted.
    fn has_accepted(&self, to: &str, body: &str) -> bool;
}

impl Witness for twilio::sandbox::Memory {
    fn has_accepted(&self, to: &str, body: &str) -> bool {
        Self::has_accepted(self, to, body)
    }
}

impl Carrier for Client {
    fn send<'a>(&'a self, text: Outgoing<'a>, mark: Mark) -> Answer<'a> {
        Box::pin(async move {
            let sender = match text.from.kind {
                SenderKind::MessagingService => Sender::Service(&text.from.address),
                _ => Sender::From(&text.from.address),
            };
            let message = CreateMessage {
                status_callback: text.status_callback,
                validity_period_secs: Some(text.validity_secs),
                ..CreateMessage::new(text.to, sender, text.body)
            };
            self.create_message_marked(&message, mark).await
        })
    }
}
