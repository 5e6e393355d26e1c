//! Carriers: who takes a text. One trait, so that a flow never knows which one it talks to.

use std::future::Future;
use std::pin::Pin;

use domain::instant::Instant;
use domain::message::Receipt;
use domain::rates::{Price, SenderKind};
use twilio::client::{ApiError, Client};
use twilio::outcome::{FailureKind, NotSentReason, Outcome};
use twilio::wire::{CreateMessage, ListFilter, MessageResource, Sender};

use super::receipts::meaning;
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

    /// The texts it took since `since`, newest first; to one phone, or all of them.
    fn list<'a>(&'a self, to: Option<&'a str>, since: Instant) -> Search<'a, Listing>;

    /// The newest texts it took: one page of its list.
    fn newest(&self) -> Search<'_, Vec<Listed>>;

    /// A page of its own record, newest first: the first one, or the one behind `next`.
    fn record<'a>(&'a self, next: Option<&'a str>) -> Search<'a, RecordPage> {
        debug_assert!(next.is_none(), "there was one page");
        Box::pin(async move {
            let texts = self.list(None, Instant(0)).await?.texts;
            let texts =
                texts.into_iter().map(|text| Recorded { text, segments: None, price: None });
            Ok(RecordPage { texts: texts.collect(), next: None })
        })
    }

    /// One text by the carrier's id; `None` when the carrier does not know it.
    fn fetch<'a>(&'a self, sid: &'a str) -> Search<'a, Option<Listed>>;
}

/// A question whose answer changes nothing.
pub type Search<'a, T> = Pin<Box<dyn Future<Output = Result<T, Unanswered>> + Send + 'a>>;

/// A carrier did not answer a question.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{words}")]
pub struct Unanswered {
    /// Why, in words.
    pub words: String,
    /// There was an answer, only not to this question.
    pub refused: bool,
}

/// What a carrier says it took.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The texts, newest first.
    pub texts: Vec<Listed>,
    /// Nothing that was asked for is missing.
    pub complete: bool,
}

/// A text as the carrier has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The carrier's id.
    pub sid: String,
    /// To whom.
    pub to: String,
    /// What it came from: a service, else a number.
    pub sender: String,
    /// Its text.
    pub body: String,
    /// Where it stands; `None` for texts that came in.
    pub receipt: Option<Receipt>,
    /// The carrier's error code, or 0.
    pub code: i64,
    /// When the carrier took it, to the second.
    pub created_at: Instant,
}

/// A text of a carrier's record, with what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The text.
    pub text: Listed,
    /// Billed parts, once they are known.
    pub segments: Option<u32>,
    /// What was taken, once it is billed.
    pub price: Option<Price>,
}

/// A page of a carrier's record.
#[derive(Clone, Debug, Default)]
pub struct RecordPage {
    /// The texts, newest first.
    pub texts: Vec<Recorded>,
    /// Where the next page is.
    pub next: Option<String>,
}

/// A trial account puts this before every text.
const TRIAL_PREFIX: &str = "Sent from your Twilio trial account - ";

impl Listed {
    /// Whether this is the text `body`.
    pub fn says(&self, body: &str) -> bool {
        self.body == body || self.body.strip_prefix(TRIAL_PREFIX) == Some(body)
    }
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

    fn list<'a>(&'a self, to: Option<&'a str>, since: Instant) -> Search<'a, Listing> {
        Box::pin(async move {
            let filter = ListFilter { to, page_size: Some(PAGE_TEXTS), ..ListFilter::default() };
            let mut page = self.list_messages(&filter).await?;
            let mut listing = Listing::default();
            for _ in 0..PAGES_MAX {
                let texts: Vec<Listed> = page.messages.iter().filter_map(listed).collect();
                let passed = texts.last().is_some_and(|text| text.created_at < since);
                listing.texts.extend(texts.into_iter().filter(|text| text.created_at >= since));
                let Some(next) = page.next_page_uri.take().filter(|_| !passed) else {
                    listing.complete = true;
                    break;
                };
                page = self.next_page(&next).await?;
            }
            Ok(listing)
        })
    }

    fn newest(&self) -> Search<'_, Vec<Listed>> {
        Box::pin(async move {
            let filter = ListFilter { page_size: Some(100), ..ListFilter::default() };
            Ok(self.list_messages(&filter).await?.messages.iter().filter_map(listed).collect())
        })
    }

    fn record<'a>(&'a self, next: Option<&'a str>) -> Search<'a, RecordPage> {
        Box::pin(async move {
            let page = if let Some(next) = next {
                self.next_page(next).await?
            } else {
                let filter = ListFilter { page_size: Some(PAGE_TEXTS), ..ListFilter::default() };
                self.list_messages(&filter).await?
            };
            let texts = page.messages.iter().filter_map(recorded).collect();
            Ok(RecordPage { texts, next: page.next_page_uri })
        })
    }

    fn fetch<'a>(&'a self, sid: &'a str) -> Search<'a, Option<Listed>> {
        Box::pin(async move {
            let Ok(sid) = sid.parse() else { return Ok(None) };
            Ok(self.find_message(&sid).await?.as_ref().and_then(listed))
        })
    }
}

/// Texts on one page of a listing; Twilio gives at most this many.
const PAGE_TEXTS: u16 = 1000;
/// Pages read for one listing at most.
const PAGES_MAX: usize = 30;

fn listed(one: &MessageResource) -> Option<Listed> {
    Some(Listed {
        sid: one.message_sid()?.to_string(),
        to: one.to.clone()?,
        sender: one.messaging_service_sid.clone().or_else(|| one.from.clone()).unwrap_or_default(),
        body: one.body.clone().unwrap_or_default(),
        receipt: one.message_status().and_then(meaning),
        code: one.error_code.unwrap_or(0),
        created_at: one.created_at()?,
    })
}

fn recorded(one: &MessageResource) -> Option<Recorded> {
    let taken = one.price.as_deref().and_then(Price::parse_decimal);
    let price = taken.zip(one.price_unit.as_deref()).map(|(millionths, unit)| Price {
        // What it takes is told as what it adds to our account: a negative number.
        millionths: -millionths,
        currency: unit.to_ascii_lowercase(),
    });
    Some(Recorded { text: listed(one)?, segments: one.segments(), price })
}

impl std::convert::From<ApiError> for Unanswered {
    fn from(error: ApiError) -> Self {
        let refused = !matches!(error, ApiError::NoAnswer(_));
        Self { words: error.to_string(), refused }
    }
}

/// A carrier that was named without what it takes to reach it: nothing is sent there.
pub struct Unreachable;

impl Carrier for Unreachable {
    fn send<'a>(&'a self, _: Outgoing<'a>, _: Mark) -> Answer<'a> {
        let reason = NotSentReason::NothingWritten(FailureKind::Connect);
        Box::pin(async move { Outcome::NotSent { reason } })
    }

    fn list<'a>(&'a self, _: Option<&'a str>, _: Instant) -> Search<'a, Listing> {
        Box::pin(async { Err(no_credentials()) })
    }

    fn newest(&self) -> Search<'_, Vec<Listed>> {
        Box::pin(async { Err(no_credentials()) })
    }

    fn fetch<'a>(&'a self, _: &'a str) -> Search<'a, Option<Listed>> {
        Box::pin(async { Err(no_credentials()) })
    }
}

fn no_credentials() -> Unanswered {
    Unanswered { words: "the carrier's credentials are missing".to_owned(), refused: true }
}
