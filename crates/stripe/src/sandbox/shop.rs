//! What runs: the server, its books, and the task that posts events.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::seam::{Clock, Dice};
use http::{HeaderMap, Method};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::api::{Call, Said};
use super::books::{Books, Telling, Told};
use super::journal::{Change, Journal};
use super::knobs::{KnobError, Knobs};
use super::outbox::{self, Outbox};
use super::work::Work;
use super::{checkout, control, server};
use crate::transport;

/// How long a webhook may take.
const POST_TIMEOUT: Duration = Duration::from_secs(20);

/// How to run a sandbox Stripe.
pub struct Options {
    /// Where to listen; port 0 picks a free one.
    pub bind: SocketAddr,
    /// The only key that is let in; without one every key `sk_…` or `rk_…` is.
    pub secret_key: Option<SecretString>,
    /// Where events go. Without one they wait until [`Sandbox::set_webhook_url`].
    pub webhook_url: Option<String>,
    /// Signs the events, `whsec_…`.
    pub webhook_secret: SecretString,
    /// Its behaviour to begin with.
    pub knobs: Knobs,
    /// A file that outlives the process: what happened is appended to it, and read again at the
    /// next start. Events that nobody took yet are then posted again.
    pub record: Option<PathBuf>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Rolls dice.
    pub dice: Arc<dyn Dice>,
}

/// Why a sandbox cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address is taken, or the file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The client that posts events cannot be made.
    #[error("the HTTP client cannot be made: {0}")]
    Http(String),
}

/// A running sandbox Stripe; when dropped it stops and closes its connections.
pub struct Sandbox {
    addr: SocketAddr,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts it.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let listener = TcpListener::bind(options.bind).await?;
        let addr = listener.local_addr()?;
        let mut books = Books::default();
        let journal = Journal::open(options.record.as_deref(), |change| books.apply(change))?;
        let http = transport::client(POST_TIMEOUT, HeaderMap::new()).map_err(StartError::Http)?;
        let waiting = |told: &Told| told.telling == Telling::Waiting;
        let untold: Vec<usize> =
            (0..books.events.len()).filter(|&index| waiting(&books.events[index])).collect();
        let shared = Arc::new(Shared {
            origin: format!("http://{addr}"),
            secret_key: options.secret_key,
            webhook_url: Mutex::new(options.webhook_url),
            webhook_secret: options.webhook_secret,
            knobs: Mutex::new(options.knobs),
            books: Mutex::new(books),
            journal,
            outbox: Outbox::default(),
            http,
            clock: options.clock,
            dice: options.dice,
        });
        shared.outbox.push(untold, Duration::ZERO);
        let tasks = vec![
            tokio::spawn(server::run(Arc::clone(&shared), listener)),
            tokio::spawn(outbox::run(Arc::clone(&shared))),
        ];
        Ok(Self { addr, shared, tasks })
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What a client needs as its base.
    pub fn base(&self) -> String {
        self.shared.origin.clone()
    }

    /// Says where events go from here on, those that wait included.
    pub fn set_webhook_url(&self, url: &str) {
        *locked(&self.shared.webhook_url) = Some(url.to_owned());
        self.shared.outbox.wake();
    }

    /// Changes its behaviour.
    pub fn set_knobs(&self, knobs: Knobs) {
        self.shared.set_knobs(knobs);
    }

    /// Asks what can be asked under `/sandbox/`, without a connection: the status and the answer.
    /// `control("POST", "flush", &Value::Null)` posts every event that waits, and returns when
    /// each was tried.
    pub async fn control(&self, method: &str, rest: &str, body: &Value) -> (u16, Value) {
        let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        control::answer(&self.shared, &method, rest, "", body, &self.shared.origin).await
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// What the tasks share.
pub(super) struct Shared {
    /// Where it is, when nobody says otherwise.
    pub origin: String,
    secret_key: Option<SecretString>,
    webhook_url: Mutex<Option<String>>,
    pub webhook_secret: SecretString,
    knobs: Mutex<Knobs>,
    books: Mutex<Books>,
    journal: Journal,
    pub outbox: Outbox,
    pub http: reqwest::Client,
    pub clock: Arc<dyn Clock>,
    pub dice: Arc<dyn Dice>,
}

fn locked<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub fn books(&self) -> MutexGuard<'_, Books> {
        locked(&self.books)
    }

    pub fn knobs(&self) -> Knobs {
        locked(&self.knobs).clone()
    }

    pub fn knobs_mut(&self) -> MutexGuard<'_, Knobs> {
        locked(&self.knobs)
    }

    /// Changes the behaviour; what was held is let go when nothing is held any more.
    pub fn set_knobs(&self, knobs: Knobs) {
        let lets_go = !knobs.shuffle;
        *self.knobs_mut() = knobs;
        if lets_go {
            let held = self.books().release();
            self.outbox.push(held, Duration::ZERO);
        }
    }

    pub fn change_knobs(&self, change: &Value) -> Result<Knobs, KnobError> {
        let knobs = self.knobs().changed(change)?;
        self.set_knobs(knobs.clone());
        Ok(knobs)
    }

    pub fn webhook_url(&self) -> Option<String> {
        locked(&self.webhook_url).clone()
    }

    pub fn now(&self) -> i64 {
        self.clock.now().seconds()
    }

    /// Whether this is a key that is let in.
    pub fn admits(&self, key: &str) -> bool {
        match &self.secret_key {
            Some(known) => known.expose_secret().as_bytes().ct_eq(key.as_bytes()).into(),
            None => key.starts_with("sk_") || key.starts_with("rk_"),
        }
    }

    /// Makes a change and writes it down, whole.
    pub fn change<T>(
        &self,
        knobs: &Knobs,
        origin: &str,
        idem_key: Option<&str>,
        make: impl FnOnce(&mut Work<'_>) -> T,
    ) -> T {
        let mut books = self.books();
        let mut work = Work::new(&mut books, knobs, &*self.dice, self.now(), origin, idem_key);
        let made = make(&mut work);
        let change = work.change;
        self.keep(&mut books, change);
        made
    }

    /// Answers a call of Stripe's API. With `stays_busy` its key is being used until the caller
    /// says otherwise.
    pub fn call(&self, call: &Call<'_>, origin: &str, stays_busy: bool) -> Said {
        let knobs = self.knobs();
        let mut books = self.books();
        if let Some(said) = call.earlier(&books, self.now()) {
            return said;
        }
        let (now, key) = (self.now(), call.idem_key);
        let mut work = Work::new(&mut books, &knobs, &*self.dice, now, origin, key);
        let said = call.carry_out(&mut work);
        let change = work.change;
        self.keep(&mut books, change);
        if let Some(key) = call.idem_key.filter(|_| stays_busy) {
            books.busy_keys.insert(key.to_owned());
        }
        said
    }

    fn keep(&self, books: &mut Books, change: Change) {
        if change.is_empty() {
            return;
        }
        self.journal.append(&change);
        let first = books.events.len();
        books.apply(Change { objects: Vec::new(), ..change });
        let mut due = Vec::new();
        let mut knobs = self.knobs_mut();
        for index in first..books.events.len() {
            let telling = if knobs.drop > 0 {
                knobs.drop -= 1;
                Telling::Lost
            } else if knobs.shuffle {
                Telling::Held
            } else {
                due.push(index);
                Telling::Waiting
            };
            books.events[index].telling = telling;
            if telling == Telling::Lost {
                self.journal.append(&told(&books.events[index]));
            }
        }
        let delay = Duration::from_millis(knobs.delay_ms);
        drop(knobs);
        self.outbox.push(due, delay);
    }

    /// An event was taken.
    pub fn take(&self, books: &mut Books, index: usize) {
        books.events[index].telling = Telling::Taken;
        self.journal.append(&told(&books.events[index]));
    }

    /// Closes the payment pages whose time is over.
    pub fn close_overdue(&self) {
        let overdue = || self.books().overdue_page(self.now());
        while let Some(id) = overdue() {
            let closed = self.change(&self.knobs(), &self.origin, None, |work| {
                checkout::expire(work, &id).is_ok()
            });
            debug_assert!(closed, "a page that is listed as open can be closed");
        }
    }
}

fn told(told: &Told) -> Change {
    let id = told.event["id"].as_str().map(str::to_owned);
    Change { told: id, ..Change::default() }
}
