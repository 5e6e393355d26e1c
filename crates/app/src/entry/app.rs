//! The application: every long-lived part, built top to bottom in one place.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use domain::clock_guard::ClockGuard;
use domain::ids::Incarnation;
use domain::seam::{Clock, Dice};
use domain::token::Secret;
use secrecy::SecretString;
use store::{Db, Options, accounts};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use twilio::sandbox::{self, Sandbox};

use super::carriers::{self, installation_sender, sandbox_record, start_sandbox};
use super::mail;
use super::payments::{Ground, Wired, install_packs, wire};
use super::settings::Settings;
use crate::delivery::beats::Beats;
use crate::delivery::carrier::Witness;
use crate::delivery::claim::Claimant;
use crate::delivery::conversations::Conversations;
use crate::delivery::dispatch::Desk;
use crate::delivery::pace::Paces;
use crate::delivery::receipts::{self, Receipts};
use crate::delivery::routes::Routes;
use crate::delivery::senders::From;
use crate::delivery::throttle::Throttles;
use crate::delivery::wire_log::WireLogs;
use crate::delivery::{orphans, watchman, worker};
use crate::finance::payments::Payments;
use crate::flow::inbound::{self, Inbox, Reception};
use crate::flow::messages::{self, Intakes};
use crate::flow::notices::{self, Mailer};
use crate::flow::timer;

const CHUNK_TEXTS_MAX: i64 = 1000;
const WINDOW_MAX: usize = 250;
const TIMER_LOOK: Duration = Duration::from_millis(250);
/// Payments are looked at when they are called, and so often besides.
const PAYMENTS_LOOK: Duration = Duration::from_secs(1);
const MAIL_LOOK: Duration = Duration::from_secs(2);

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
    /// Takes texts in that come from outside.
    pub inbox: Inbox,
    /// Takes money.
    pub payments: Arc<Payments>,
    /// The Stripe inside this process, if no other one is set.
    pub stripe_sandbox: Option<stripe::sandbox::Sandbox>,
    /// Takes mail about notices.
    pub mailer: Arc<dyn Mailer>,
    /// One of these signs each of the carriers' webhooks.
    pub carrier_tokens: Vec<SecretString>,
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
        install_lists(&settings)?;
        let db = Db::open(&Options::new(&settings.database_url), Arc::clone(&clock)).await?;
        let lock = lock_database(&db)?;
        let secret = installation_secret(&db, &*dice).await?;
        let public_url = match &settings.public_url {
            Some(url) => url.clone(),
            None => format!("http://{}", listener.local_addr()?),
        };
        keep_public_url(&db, &public_url).await?;
        let (twilio, sandbox) = if let Some(twilio) = &settings.twilio {
            (twilio.clone(), None)
        } else {
            let record = sandbox_record(&state_dir(&settings, &db), &db, &secret);
            let (twilio, sandbox) = start_sandbox(&secret, knobs, record, &clock, &dice).await?;
            (twilio, Some(sandbox))
        };
        let routes = Routes::new(carriers::lines(&settings, &twilio)?);
        for (carrier, words) in carriers::missing(&settings, &twilio) {
            routes.hold_line(carrier, clock.now(), words);
        }
        let incarnation = Incarnation::new(clock.now(), &*dice);
        let desk = Arc::new(Desk {
            db: db.clone(),
            clock: Arc::clone(&clock),
            dice: Arc::clone(&dice),
            routes,
            bounds: settings.bounds.clone(),
            poll_after: settings.poll_after,
            witness: sandbox.as_ref().map(|one| Arc::new(one.memory()) as Arc<dyn Witness>),
            secret: secret.clone(),
            public_url: Some(public_url.clone()),
            throttles: Throttles::default(),
            conversations: Conversations::default(),
            beats: Beats::default(),
            paces: Paces::default(),
            wire_logs: WireLogs::open(&state_dir(&settings, &db), incarnation)?,
            claimant: claimant(&settings, incarnation),
            guard: ClockGuard::default(),
            stopping: AtomicBool::new(false),
        });
        let call = Arc::new(Notify::new());
        let (clock_and_dice, here) = ((&clock, &dice), listener.local_addr()?);
        let ground = Ground::of(&settings, &db, clock_and_dice, (&secret, &public_url), &call);
        let Wired { payments, sandbox: stripe_sandbox } =
            wire(ground, &state_dir(&settings, &db), here).await?;
        let reception = Reception {
            db: db.clone(),
            dice: Arc::clone(&dice),
            installation_sender: installation_sender(&settings),
            magic_allowed: sandbox.is_some(),
        };
        Ok(Arc::new(Self {
            receipts: receipts::start(Arc::clone(&desk)),
            intakes: messages::start_intakes(db.clone()),
            inbox: inbound::start(reception, Arc::clone(&call)),
            payments,
            stripe_sandbox,
            mailer: mail::mailer(settings.mail.as_ref())?,
            call,
            carrier_tokens: carriers::webhook_tokens(&settings, &twilio),
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
        let tasks = vec![
            tokio::spawn({
                let (desk, call) = (Arc::clone(&desk), Arc::clone(&call));
                async move {
                    tokio::select! {
                        () = orphans::stand_guard(&desk) => {}
                        () = desk.stopped() => {}
                    }
                    worker::run(desk, call).await;
                }
            }),
            tokio::spawn(watchman::run(desk, call)),
            tokio::spawn(Arc::clone(self).run_timer()),
            tokio::spawn(Arc::clone(self).run_mail()),
            tokio::spawn(Arc::clone(self).run_payments()),
        ];
        Workers { app: Arc::clone(self), tasks }
    }

    async fn run_payments(self: Arc<Self>) {
        while !self.desk.stopping.load(Ordering::Relaxed) {
            if let Err(error) = self.payments.look().await {
                tracing::error!(component = "payments", %error, "will be tried again");
            }
            tokio::select! {
                () = self.payments.call.notified() => {}
                () = tokio::time::sleep(PAYMENTS_LOOK) => {}
            }
        }
    }

    async fn run_mail(self: Arc<Self>) {
        while !self.desk.stopping.load(Ordering::Relaxed) {
            let posted = notices::mail_due(&self.db, &*self.mailer, &self.public_url).await;
            if let Err(error) = posted {
                tracing::error!(component = "mail", %error, "will be tried again");
            }
            tokio::time::sleep(MAIL_LOOK).await;
        }
    }

    async fn run_timer(self: Arc<Self>) {
        while !self.desk.stopping.load(Ordering::Relaxed) {
            let look = timer::look(&self.desk, self.is_sandboxed());
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
    tasks: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Takes up no more work, waits for what is on the wire, settles it.
    pub async fn stop(self) {
        self.app.desk.stopping.store(true, Ordering::SeqCst);
        self.app.call.notify_one();
        // What sends is waited for; what only looks may end anywhere.
        self.tasks[1..].iter().for_each(JoinHandle::abort);
        for task in self.tasks {
            if let Err(error) = task.await
                && !error.is_cancelled()
            {
                tracing::error!(component = "app", %error, "a worker ended badly");
            }
        }
    }
}

/// Reads the lists that an installation may bring.
fn install_lists(settings: &Settings) -> anyhow::Result<()> {
    install_contexts(settings)?;
    install_plans(settings)?;
    install_packs(settings)
}

/// Who takes texts up.
fn claimant(settings: &Settings, owner: Incarnation) -> Claimant {
    Claimant {
        owner,
        lease: settings.bounds.lease,
        installation_sender: installation_sender(settings),
        texts_max: CHUNK_TEXTS_MAX,
        window_max: WINDOW_MAX,
    }
}

/// Adds the installation's own reasons for texting to the built-in ones.
fn install_contexts(settings: &Settings) -> anyhow::Result<()> {
    let Some(file) = &settings.contexts_file else { return Ok(()) };
    let csv = std::fs::read_to_string(file)
        .with_context(|| format!("LEDGERLINE_CONTEXTS_FILE: {} cannot be read", file.display()))?;
    domain::contexts::install(&csv).context("LEDGERLINE_CONTEXTS_FILE")
}

/// Takes the installation's own plans instead of the built-in ones.
pub fn install_plans(settings: &Settings) -> anyhow::Result<()> {
    let Some(file) = &settings.plans_file else { return Ok(()) };
    let csv = std::fs::read_to_string(file)
        .with_context(|| format!("LEDGERLINE_PLANS_FILE: {} cannot be read", file.display()))?;
    domain::plans::install(&csv).context("LEDGERLINE_PLANS_FILE")
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

/// Keeps where people reach the server: links in texts lead there.
async fn keep_public_url(db: &Db, url: &str) -> store::Result<()> {
    let mut tx = db.begin().await?;
    let kept = accounts::public_place(&mut tx).await?;
    if kept.is_some_and(|(_, kept)| kept == url) {
        return Ok(());
    }
    accounts::set_public_url(&mut tx, url).await?;
    tx.commit().await
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
