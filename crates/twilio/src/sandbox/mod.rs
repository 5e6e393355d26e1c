//! The sandbox carrier: a Twilio-compatible HTTP server that texts nobody.
//!
//! It creates, shows, lists, cancels, redacts and deletes messages, calls back signed receipts,
//! posts texts from phones ([`Inbound`]) and heeds their STOP, answers Twilio's magic numbers, and
//! can be made slow, forgetful and broken ([`Knobs`]). It keeps its own record of what it
//! accepted; that record is the ground truth of every test. Acceptance is recorded before anything
//! is awaited, so a caller that dies meanwhile cannot undo it. It has no idempotency key, exactly
//! like Twilio: whoever asks twice sends twice.
//!
//! Beside Twilio's paths it has its own under `/sandbox/`, for people and tests on this machine.

mod control;
mod create;
mod inbound;
mod journal;
mod knobs;
mod messages;
mod outbox;
mod record;
mod server;
mod webhook;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use domain::seam::{Clock, Dice};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use inbound::{Inbound, Keyword, Received};
pub use knobs::{KnobError, Knobs};
pub use record::Summary;

use journal::Journal;
use outbox::Outbox;
use record::Record;
use webhook::Poster;

/// How to run a sandbox carrier.
pub struct Options {
    /// Where to listen; port 0 picks a free one.
    pub bind: SocketAddr,
    /// The only account and auth token accepted. `None`: every `AC…` account with any password is;
    /// the password is remembered as the auth token that signs its receipts; every API key is too.
    pub credentials: Option<(String, String)>,
    /// Its behaviour to begin with.
    pub knobs: Knobs,
    /// A file that outlives the process: what was accepted is appended to it, and read again at
    /// the next start. Receipts that nobody took yet are then sent again.
    pub record: Option<PathBuf>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Rolls dice.
    pub dice: Arc<dyn Dice>,
}

/// A running sandbox carrier; when dropped it stops and closes its connections.
pub struct Sandbox {
    addr: SocketAddr,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

/// What a sandbox carrier remembers; it can be asked while the carrier runs, from anywhere.
#[derive(Clone)]
pub struct Memory(Arc<Shared>);

impl Memory {
    /// Whether this text to this phone was ever accepted, by an earlier process included.
    pub fn has_accepted(&self, to: &str, body: &str) -> bool {
        self.0.record().has_accepted(to, body)
    }
}

struct Shared {
    credentials: Option<(String, String)>,
    learnt_tokens: RwLock<BTreeMap<String, String>>,
    /// API keys, `SK…`, and their secrets.
    keys: RwLock<BTreeMap<String, String>>,
    knobs: RwLock<Knobs>,
    record: Mutex<Record>,
    journal: Journal,
    outbox: Outbox,
    poster: Poster,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
}

impl Sandbox {
    /// Starts the carrier.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.bind).await?;
        let addr = listener.local_addr()?;
        let mut record = Record::default();
        let journal = Journal::open(options.record.as_deref(), |line| record.replay(line))?;
        let shared = Arc::new(Shared {
            credentials: options.credentials,
            learnt_tokens: RwLock::default(),
            keys: RwLock::default(),
            knobs: RwLock::new(options.knobs),
            record: Mutex::new(record),
            journal,
            outbox: Outbox::default(),
            poster: Poster::default(),
            clock: options.clock,
            dice: options.dice,
        });
        outbox::resume(&shared);
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

    /// What it accepted, in numbers.
    pub fn summary(&self) -> Summary {
        self.shared.summary()
    }

    /// Every accepted message as `(sid, to, body)`, oldest first.
    pub fn accepted(&self) -> Vec<(String, String, String)> {
        self.shared.record().accepted()
    }

    /// What it remembers.
    pub fn memory(&self) -> Memory {
        Memory(Arc::clone(&self.shared))
    }

    /// Lets in an API key (`SK…`) with its secret, beside the auth token. A key signs no webhook:
    /// that is the auth token's (FACTS 1).
    pub fn admit_key(&self, sid: &str, secret: &str) {
        let mut keys = self.shared.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(sid.to_owned(), secret.to_owned());
    }

    /// A phone texts one of the account's senders: the text is heeded if it is STOP or START, and
    /// posted to the webhook. Returns when that was answered or given up. The same can be asked of
    /// `POST /sandbox/inbound` in JSON.
    pub async fn receive(&self, inbound: &Inbound) -> Received {
        inbound::receive(&self.shared, inbound).await
    }

    /// Changes its behaviour.
    pub fn set_knobs(&self, knobs: Knobs) {
        *self.shared.knobs.write().unwrap_or_else(PoisonError::into_inner) = knobs;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knobs(&self) -> Knobs {
        *self.knobs.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn summary(&self) -> Summary {
        Summary { receipts_pending: self.outbox.pending(), ..self.record().summary() }
    }

    /// True for about this share of the calls.
    fn happens(&self, share: f64) -> bool {
        const GRAIN: u32 = 1_000_000;
        share > 0.0 && {
            let roll = u32::try_from(self.dice.below(u64::from(GRAIN))).unwrap_or(GRAIN);
            f64::from(roll) < share * f64::from(GRAIN)
        }
    }

    /// The token that signs receipts of an account.
    fn token_of(&self, account: &str) -> String {
        match &self.credentials {
            Some((sid, token)) if sid == account => token.clone(),
            _ => {
                let learnt = self.learnt_tokens.read().unwrap_or_else(PoisonError::into_inner);
                learnt.get(account).cloned().unwrap_or_default()
            }
        }
    }

    /// The account that texts from phones come to: the only one let in, or the first that came.
    fn main_account(&self) -> String {
        if let Some((sid, _)) = &self.credentials {
            return sid.clone();
        }
        let learnt = self.learnt_tokens.read().unwrap_or_else(PoisonError::into_inner);
        learnt.keys().next().cloned().unwrap_or_default()
    }

    /// Whether this user and password open this account.
    fn admits(&self, account: &str, user: &str, password: &str) -> bool {
        let is_known = match &self.credentials {
            Some((sid, _)) => same(sid, account),
            None => account.starts_with("AC") && !password.is_empty(),
        };
        let opens = if user == account { Self::opens } else { Self::knows };
        is_known && opens(self, user, password)
    }

    /// Whether this is the account's auth token; an open carrier takes any and remembers it.
    fn opens(&self, account: &str, token: &str) -> bool {
        if let Some((_, known)) = &self.credentials {
            return same(known, token);
        }
        let learnt = self.learnt_tokens.read().unwrap_or_else(PoisonError::into_inner);
        if learnt.get(account).is_some_and(|known| known == token) {
            return true;
        }
        drop(learnt);
        let mut learnt = self.learnt_tokens.write().unwrap_or_else(PoisonError::into_inner);
        learnt.insert(account.to_owned(), token.to_owned());
        true
    }

    /// Whether this is an API key; an open carrier takes any.
    fn knows(&self, key: &str, secret: &str) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        match keys.get(key) {
            Some(known) => same(known, secret),
            None => self.credentials.is_none() && key.starts_with("SK"),
        }
    }
}

fn same(a: &str, b: &str) -> bool {
    use subtle::ConstantTimeEq as _;
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
