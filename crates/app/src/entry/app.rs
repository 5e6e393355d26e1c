//! The application: every long-lived part, built top to bottom in one place.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::ids::Incarnation;
use domain::rates::SenderKind;
use domain::seam::{Clock, Dice};
use domain::token::Secret;
use secrecy::{ExposeSecret, SecretString};
use store::{Db, Options, accounts};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use twilio::client::{Client, Config, Timeouts};
use twilio::sandbox::{self, Sandbox};

use super::settings::{Settings, Twilio};
use crate::delivery::carrier::Witness;
use crate::delivery::claim::Claimant;
use crate::delivery::dispatch::Desk;
use crate::delivery::pace::Paces;
use crate::delivery::receipts::{self, Receipts};
use crate::delivery::senders::From;
use crate::delivery::throttle::Throttles;
use crate::delivery::wire_log::WireLogs;
use crate::delivery::worker;
use crate::flow::messages::{self, Intakes};
use crate::flow::timer;

/// Requests to the carrier at once (third-party limit sheets: Twilio allows about 100).
const CARRIER_REQUESTS_MAX: usize = 64;
const LEASE: Duration = Duration::from_secs(30);
const CHUNK_TEXTS_MAX: i64 = 1000;
const WINDOW_MAX: usize = 250;
/// The sandbox sends from this number at this pace when an account has no sender of its own.
const SANDBOX_NUMBER: &str = "+15005550006";
const SANDBOX_SEGMENTS_PER_SECOND: u32 = 250;
const TIMER_LOOK: Duration = Duration::from_millis(250);

/// The running application, shared by all its entries.
pub struct App {
    /// What was set.
    pub settings: Settings,
    /// The database.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub dice: Arc<dyn Dice>,
    /// Signs tokens.
    pub secret: Secret,
    /// Delivery's parts.
    pub desk: Arc<Desk>,
    /// Calls the worker.
    pub call: Arc<Notify>,
    /// Takes receipts in.
    pub receipts: Receipts,
    /// Takes single texts in.
    pub intakes: Intakes,
    /// Where this server is reached, without a slash at its end.
    pub public_url: String,
    /// Signs the carrier's webhooks.
    pub carrier_token: SecretString,
    /// The carrier inside this process, if no other one is set.
    pub sandbox: Option<Sandbox>,
    _lock: Option<std::fs::File>,
}

impl App {
    /// Builds everything. `listener` is where the server will be served, so that its address is
    /// known to the carrier.
    pub async fn build(
        settings: Settings,
        listener: &TcpListener,
        clock: Arc<dyn Clock>,
        dice: Arc<dyn Dice>,
        knobs: sandbox::Knobs,
    ) -> anyhow::Result<Arc<Self>> {
        let db = Db::open(&Options::new(&settings.database_url), Arc::clone(&clock)).await?;
        let lock = lock_database(&db)?;
        let secret = installation_secret(&db, &*dice).await?;
        let public_url = match &settings.public_url {
            Some(url) => url.clone(),
            None => format!("http://{}", listener.local_addr()?),
        };
        let (twilio, sandbox) = if let Some(twilio) = &settings.twilio {
            (twilio.clone(), None)
        } else {
            let record = sandbox_record(&state_dir(&settings, &db), &db, &secret);
            let (twilio, sandbox) = start_sandbox(&secret, knobs, record, &clock, &dice).await?;
            (twilio, Some(sandbox))
        };
        let client = Client::new(Config {
            base: twilio.api_base.clone(),
            account_sid: twilio.account_sid.clone(),
            username: twilio.account_sid.clone(),
            password: twilio.auth_token.clone(),
            concurrency: CARRIER_REQUESTS_MAX,
            timeouts: Timeouts::default(),
        })?;
        let incarnation = Incarnation::new(clock.now(), &*dice);
        let claimant = Claimant {
            owner: incarnation,
            lease: LEASE,
            installation_sender: installation_sender(&settings),
            texts_max: CHUNK_TEXTS_MAX,
            window_max: WINDOW_MAX,
        };
        let desk = Arc::new(Desk {
            db: db.clone(),
            clock: Arc::clone(&clock),
            dice: Arc::clone(&dice),
            carrier: Arc::new(client),
            witness: sandbox.as_ref().map(|one| Arc::new(one.memory()) as Arc<dyn Witness>),
            secret: secret.clone(),
            public_url: Some(public_url.clone()),
            throttles: Throttles::default(),
            paces: Paces::default(),
            wire_logs: WireLogs::open(&state_dir(&settings, &db), incarnation)?,
            claimant,
            stopping: AtomicBool::new(false),
        });
        Ok(Arc::new(Self {
            receipts: receipts::start(db.clone()),
            intakes: messages::start_intakes(db.clone()),
            call: Arc::new(Notify::new()),
            carrier_token: twilio.auth_token,
            settings,
            db,
            clock,
            dice,
            secret,
            desk,
            public_url,
            sandbox,
            _lock: lock,
        }))
    }

    /// What texts of accounts without senders leave from.
    pub fn installation_sender(&self) -> Option<&From> {
        self.desk.claimant.installation_sender.as_ref()
    }

    /// The carrier is the sandbox: magic numbers may be texted, test keys may send.
    pub const fn is_sandboxed(&self) -> bool {
        self.sandbox.is_some()
    }

    /// Starts the workers.
    pub fn start_workers(self: &Arc<Self>) -> Workers {
        let (desk, call) = (Arc::clone(&self.desk), Arc::clone(&self.call));
        let worker = tokio::spawn(worker::run(desk, call));
        let timer = tokio::spawn(Arc::clone(self).run_timer());
        Workers { app: Arc::clone(self), worker, timer }
    }

    async fn run_timer(self: Arc<Self>) {
        while !self.desk.stopping.load(Ordering::Relaxed) {
            let look = timer::look(&self.db, self.installation_sender(), self.is_sandboxed());
            match look.await {
                Ok(true) => self.call.notify_one(),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(component = "timer", %error, "will be tried again");
                }
            }
            tokio::time::sleep(TIMER_LOOK).await;
        }
    }
}

/// The running workers.
pub struct Workers {
    app: Arc<App>,
    worker: JoinHandle<()>,
    timer: JoinHandle<()>,
}

impl Workers {
    /// Takes up no more work, waits for what is on the wire, settles it.
    pub async fn stop(self) {
        self.app.desk.stopping.store(true, Ordering::SeqCst);
        self.app.call.notify_one();
        for task in [self.worker, self.timer] {
            if let Err(error) = task.await {
                tracing::error!(component = "app", %error, "a worker ended badly");
            }
        }
    }
}

/// The installation's secret, made at its first start.
pub async fn installation_secret(db: &Db, dice: &dyn Dice) -> store::Result<Secret> {
    let mut fresh = [0; 32];
    dice.fill(&mut fresh);
    let mut tx = db.begin().await?;
    let secret = accounts::installation_secret(&mut tx, Secret(fresh)).await?;
    tx.commit().await?;
    Ok(secret)
}

/// One server at a time sends from an embedded database.
fn lock_database(db: &Db) -> anyhow::Result<Option<std::fs::File>> {
    let Some(path) = db.path() else { return Ok(None) };
    match lock_file(path)? {
        Some(file) => Ok(Some(file)),
        None => anyhow::bail!(
            "another ledgerline server already sends from {}; stop it first, or use PostgreSQL \
             for several servers",
            path.display()
        ),
    }
}

/// Takes the lock of the database at `path`; `None` when somebody else has it.
fn lock_file(path: &Path) -> std::io::Result<Option<std::fs::File>> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = std::fs::File::create(&name)?;
    let how = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    Ok(rustix::fs::flock(&file, how).is_ok().then_some(file))
}

/// Whether a server sends from this database now; `None` when a server elsewhere may do so
/// unseen.
pub fn is_served(db: &Db) -> Option<bool> {
    is_file_served(db.path()?).ok()
}

/// Whether a server sends from the embedded database at `path` now.
pub fn is_file_served(path: &Path) -> std::io::Result<bool> {
    Ok(lock_file(path)?.is_none())
}

fn state_dir(settings: &Settings, db: &Db) -> PathBuf {
    if let Some(dir) = &settings.state_dir {
        return dir.clone();
    }
    if let Some(path) = db.path() {
        let mut name = path.as_os_str().to_owned();
        name.push(".wire");
        return PathBuf::from(name);
    }
    let user = rustix::process::getuid().as_raw();
    std::env::temp_dir().join(format!("ledgerline-wire-{user}"))
}

/// The sandbox's record outlives a killed server, as a real carrier's does.
fn sandbox_record(state_dir: &Path, db: &Db, secret: &Secret) -> PathBuf {
    if let Some(path) = db.path() {
        let mut name = path.as_os_str().to_owned();
        name.push(".sandbox.jsonl");
        return PathBuf::from(name);
    }
    // Databases on servers share a directory; the installation tells their records apart.
    let name = data_encoding::HEXLOWER.encode(&secret.mac("sandbox record", &[])[..8]);
    state_dir.join(format!("sandbox-{name}.jsonl"))
}

/// What texts of accounts without senders leave from, as set.
pub fn installation_sender(settings: &Settings) -> Option<From> {
    let Some(twilio) = &settings.twilio else {
        return Some(From {
            kind: SenderKind::LongCode,
            address: SANDBOX_NUMBER.to_owned(),
            segments_per_second: settings
                .segments_per_second
                .unwrap_or(SANDBOX_SEGMENTS_PER_SECOND),
        });
    };
    // A carrier other than Twilio's own is a sandbox or a test rig; it sets no pace.
    let own = twilio.api_base == super::settings::TWILIO_API_BASE;
    let pace = |kind: SenderKind| {
        let usual = if own { kind.segments_per_second() } else { SANDBOX_SEGMENTS_PER_SECOND };
        settings.segments_per_second.unwrap_or(usual)
    };
    let from = |kind: SenderKind, address: &String| From {
        kind,
        address: address.clone(),
        segments_per_second: pace(kind),
    };
    match (&twilio.messaging_service_sid, &twilio.phone_number) {
        (Some(sid), _) => Some(from(SenderKind::MessagingService, sid)),
        (None, Some(number)) if number.len() <= 8 => Some(from(SenderKind::ShortCode, number)),
        (None, Some(number)) => Some(from(SenderKind::LongCode, number)),
        (None, None) => None,
    }
}

async fn start_sandbox(
    secret: &Secret,
    knobs: sandbox::Knobs,
    record: PathBuf,
    clock: &Arc<dyn Clock>,
    dice: &Arc<dyn Dice>,
) -> anyhow::Result<(Twilio, Sandbox)> {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let account_sid = format!("AC{}", hex(&secret.mac("sandbox account", &[])[..16]));
    if let Some(parent) = record.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let auth_token: SecretString = hex(&secret.mac("sandbox token", &[])[..16]).into();
    let sandbox = Sandbox::start(sandbox::Options {
        bind: ([127, 0, 0, 1], 0).into(),
        credentials: Some((account_sid.clone(), auth_token.expose_secret().to_owned())),
        knobs,
        record: Some(record),
        clock: Arc::clone(clock),
        dice: Arc::clone(dice),
    })
    .await?;
    let twilio = Twilio {
        account_sid,
        auth_token,
        messaging_service_sid: None,
        phone_number: Some(SANDBOX_NUMBER.to_owned()),
        api_base: format!("http://{}", sandbox.addr()),
    };
    Ok((twilio, sandbox))
}
