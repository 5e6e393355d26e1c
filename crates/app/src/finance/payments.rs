//! The part of the application that deals with Stripe: what it needs, and what it does by itself.
//!
//! [`Payments::look`] is level-triggered: it applies the events that came in, asks Stripe about
//! purchases that wait too long, and buys credits for accounts that run low. A lost wake-up costs
//! a moment, a lost webhook some minutes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use domain::instant::Instant;
use domain::seam::{Clock, Dice};
use domain::token::Secret;
use secrecy::{ExposeSecret, SecretString};
use store::{Db, stripe_events, sweep};
use stripe::Stripe;
use tokio::sync::Notify;

use crate::refusal::{Refusal, Result};

/// Accounts and purchases that are looked at in one go.
const ROWS_MAX: i64 = 100;
/// Events that missed their owner by a hair are found again after so long.
const WAKE_EVERY: Duration = Duration::from_secs(10);
const WAKE_BACK: Duration = Duration::from_secs(3600);
/// Transactions that meet others are run again this often.
pub const ATTEMPTS_MAX: u32 = 5;

/// What is needed to take money.
pub struct Payments {
    /// The database.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub dice: Arc<dyn Dice>,
    /// Signs the addresses of pages.
    pub secret: Secret,
    /// Where this server is reached, without a slash at its end.
    pub public_url: String,
    /// Any of these may sign Stripe's webhooks.
    pub webhook_secrets: Vec<SecretString>,
    till: Till,
    /// Calls whoever looks after payments.
    pub call: Notify,
    /// Calls whoever sends texts: credits came.
    funded: Arc<Notify>,
    woken: AtomicI64,
}

/// Whether money can be taken.
#[derive(Clone)]
pub enum Till {
    /// By this Stripe.
    Open(Arc<dyn Stripe>),
    /// Not, and why.
    Closed(String),
}

/// What [`Payments`] is made of.
pub struct Parts {
    /// The database.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub dice: Arc<dyn Dice>,
    /// Signs the addresses of pages.
    pub secret: Secret,
    /// Where this server is reached.
    pub public_url: String,
    /// Any of these may sign Stripe's webhooks.
    pub webhook_secrets: Vec<SecretString>,
    /// Whether money can be taken.
    pub till: Till,
    /// Calls whoever sends texts.
    pub funded: Arc<Notify>,
}

/// What a caller is told when Stripe did not do it.
pub fn unavailable(error: &stripe::Error) -> Refusal {
    tracing::warn!(component = "payments", %error, "Stripe did not do what it was asked");
    Refusal::Unavailable("Stripe does not answer as it should; send the same request again".into())
}

impl Payments {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let Parts { db, clock, dice, secret, public_url, webhook_secrets, till, funded } = parts;
        Self {
            db,
            clock,
            dice,
            secret,
            public_url,
            webhook_secrets,
            till,
            call: Notify::new(),
            funded,
            woken: AtomicI64::new(0),
        }
    }

    /// Stripe, or why there is none.
    pub fn stripe(&self) -> Result<&dyn Stripe> {
        match &self.till {
            Till::Open(stripe) => Ok(&**stripe),
            Till::Closed(words) => Err(Refusal::Unavailable(words.clone())),
        }
    }

    /// Whether money can be taken.
    pub const fn is_open(&self) -> bool {
        matches!(self.till, Till::Open(_))
    }

    /// Whether a webhook was signed by Stripe within the last minutes.
    pub fn is_signed(&self, body: &[u8], header: &str) -> bool {
        let secrets: Vec<&str> =
            self.webhook_secrets.iter().map(ExposeSecret::expose_secret).collect();
        let now = self.clock.now().seconds();
        stripe::signature::verify(body, header, &secrets, now, Some(TOLERANCE_SECS)).is_ok()
    }

    /// Says that credits came.
    pub fn tell_funded(&self) {
        self.funded.notify_one();
    }

    /// One look around. Answers whether something changed.
    pub async fn look(&self) -> Result<bool> {
        let mut changed = self.apply_events().await?;
        let now = self.clock.now();
        let last = Instant(self.woken.load(Ordering::Relaxed));
        if now.since(last) >= WAKE_EVERY {
            self.woken.store(now.0, Ordering::Relaxed);
            let mut tx = self.db.begin().await?;
            let woken = stripe_events::wake_known(&mut tx, now - WAKE_BACK).await?;
            tx.commit().await?;
            if woken > 0 {
                changed |= self.apply_events().await?;
            }
        }
        if !self.is_open() {
            return Ok(changed);
        }
        let mut tx = self.db.read().await?;
        let due = sweep::purchases_due(&mut tx, ROWS_MAX).await?;
        drop(tx);
        for (account, id) in due {
            changed |= self.look_at(account, id).await?;
        }
        let mut tx = self.db.read().await?;
        let low = sweep::accounts_to_top_up(&mut tx, ROWS_MAX).await?;
        drop(tx);
        for account in low {
            changed |= self.top_up(account).await?;
        }
        Ok(changed)
    }
}

/// How old a webhook's signature may be (Stripe's libraries take the same).
pub const TOLERANCE_SECS: i64 = 300;
