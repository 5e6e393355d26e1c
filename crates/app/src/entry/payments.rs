//! How money is taken, as it is set: by Stripe, by the sandbox Stripe inside this process, or not.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use domain::seam::{Clock, Dice};
use domain::token::Secret;
use secrecy::SecretString;
use store::Db;
use stripe::sandbox::{Knobs, Options, Sandbox};
use stripe::{Client, Config};
use tokio::sync::Notify;

use super::settings::{Settings, TWILIO_API_BASE};
use crate::finance::payments::{Parts, Payments, Till};

/// What a payer is told when there is no Stripe.
const NO_STRIPE: &str = "this installation takes no payments: texts leave for real, and \
                         STRIPE_SECRET_KEY is not set";

/// The sandbox listens on one of 4096 ports from here on, below those given to callers.
const SANDBOX_PORT: u16 = 24_000;

/// Payments, and the Stripe inside this process if one serves.
pub struct Wired {
    /// Payments.
    pub payments: Arc<Payments>,
    /// The sandbox.
    pub sandbox: Option<Sandbox>,
}

/// What payments stand on.
pub struct Ground<'a> {
    /// What was set.
    pub settings: &'a Settings,
    /// The database.
    pub db: &'a Db,
    /// The time.
    pub clock: &'a Arc<dyn Clock>,
    /// Chance.
    pub dice: &'a Arc<dyn Dice>,
    /// Signs tokens.
    pub secret: &'a Secret,
    /// Where this server is reached.
    pub public_url: &'a str,
    /// Calls whoever sends texts.
    pub funded: &'a Arc<Notify>,
}

impl<'a> Ground<'a> {
    /// Puts it together.
    pub const fn of(
        settings: &'a Settings,
        db: &'a Db,
        (clock, dice): (&'a Arc<dyn Clock>, &'a Arc<dyn Dice>),
        (secret, public_url): (&'a Secret, &'a str),
        funded: &'a Arc<Notify>,
    ) -> Self {
        Self { settings, db, clock, dice, secret, public_url, funded }
    }
}

/// Takes the installation's own prices instead of the built-in ones.
pub fn install_packs(settings: &Settings) -> anyhow::Result<()> {
    let Some(file) = &settings.payments.packs_file else { return Ok(()) };
    let csv = std::fs::read_to_string(file)
        .with_context(|| format!("LEDGERLINE_PACKS_FILE: {} cannot be read", file.display()))?;
    domain::packs::install(&csv).context("LEDGERLINE_PACKS_FILE")
}

/// Reaches Stripe, or starts the sandbox where texts reach nobody either. The sandbox keeps its
/// record beside the database, else in `state_dir`, and posts its events to `here`.
pub async fn wire(ground: Ground<'_>, state_dir: &Path, here: SocketAddr) -> anyhow::Result<Wired> {
    let set = &ground.settings.payments;
    let mut webhook_secrets = set.webhook_secrets.clone();
    let is_real = |base: &str| base == TWILIO_API_BASE;
    let texts_leave = ground.settings.twilio.as_ref().is_some_and(|one| is_real(&one.api_base));
    let (till, sandbox) = if let Some(secret_key) = &set.secret_key {
        let base = set.api_base.clone();
        let config = Config { base, ..Config::new(secret_key.clone()) };
        let client = Client::new(config).context("STRIPE_SECRET_KEY, STRIPE_API_BASE")?;
        (Till::Open(Arc::new(client)), None)
    } else if texts_leave {
        (Till::Closed(NO_STRIPE.to_owned()), None)
    } else {
        let hex = |what: &str| data_encoding::HEXLOWER.encode(&ground.secret.mac(what, &[])[..16]);
        let key: SecretString = format!("sk_test_{}", hex("sandbox stripe key")).into();
        let hook: SecretString = format!("whsec_{}", hex("sandbox stripe hook")).into();
        webhook_secrets.push(hook.clone());
        let record = record(state_dir, ground.db, ground.secret);
        if let Some(parent) = record.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let sandbox = Sandbox::start(Options {
            bind: sandbox_place(ground.secret),
            secret_key: Some(key.clone()),
            webhook_url: Some(format!("http://{here}/hooks/stripe")),
            webhook_secret: hook,
            knobs: Knobs::default(),
            record: Some(record),
            clock: Arc::clone(ground.clock),
            dice: Arc::clone(ground.dice),
        })
        .await?;
        let client = Client::new(Config { base: sandbox.base(), ..Config::new(key) })?;
        (Till::Open(Arc::new(client)), Some(sandbox))
    };
    let payments = Arc::new(Payments::new(Parts {
        db: ground.db.clone(),
        clock: Arc::clone(ground.clock),
        dice: Arc::clone(ground.dice),
        secret: ground.secret.clone(),
        public_url: ground.public_url.to_owned(),
        webhook_secrets,
        till,
        funded: Arc::clone(ground.funded),
    }));
    Ok(Wired { payments, sandbox })
}

/// The same port at every start if it is free, so that links to Checkout pages stay good.
fn sandbox_place(secret: &Secret) -> SocketAddr {
    let mac = secret.mac("sandbox stripe port", &[]);
    let port = SANDBOX_PORT + u16::from(mac[0]) * 16 + u16::from(mac[1] % 16);
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let is_free = TcpListener::bind(at(port)).is_ok();
    at(if is_free { port } else { 0 })
}

/// What the sandbox did outlives a killed server, as what Stripe did would.
fn record(state_dir: &Path, db: &Db, secret: &Secret) -> PathBuf {
    if let Some(path) = db.path() {
        let mut name = path.as_os_str().to_owned();
        name.push(".stripe.jsonl");
        return PathBuf::from(name);
    }
    // Databases on servers share a directory; the installation tells their records apart.
    let name = data_encoding::HEXLOWER.encode(&secret.mac("sandbox stripe record", &[])[..8]);
    state_dir.join(format!("stripe-{name}.jsonl"))
}
