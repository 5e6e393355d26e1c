//! What all trials of a test share: one database, one clock, one carrier.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use domain::instant::Instant;
use domain::seam::{Clock, SeededDice, VirtualClock};
use domain::token::Secret;
use store::{Db, Options};
use tempfile::TempDir;
use testkit::Engine;

use crate::carrier::FakeCarrier;
use crate::shop::{Death, Shop};

pub struct Town {
    pub db: Db,
    pub clock: Arc<VirtualClock>,
    pub dice: Arc<SeededDice>,
    pub carrier: Arc<FakeCarrier>,
    pub secret: Secret,
    pub home: TempDir,
    shops: Cell<usize>,
    engine: Engine,
}

pub fn clock() -> Arc<VirtualClock> {
    Arc::new(VirtualClock::at(Instant::parse("2026-11-21T17:00:00Z").expect("a time")))
}

impl Town {
    pub async fn open(engine: Engine) -> Self {
        let clock = clock();
        let shared: Arc<dyn Clock> = clock.clone();
        let db = Db::open(&Options::new(engine.url()), shared).await.expect("opens");
        Self::around(engine, db, clock, Arc::new(SeededDice::new(7))).await
    }

    /// The same, around a database that is open already.
    pub async fn around(
        engine: Engine,
        db: Db,
        clock: Arc<VirtualClock>,
        dice: Arc<SeededDice>,
    ) -> Self {
        let mut tx = db.begin().await.expect("begins");
        let secret = store::accounts::installation_secret(&mut tx, Secret([9; 32]));
        let secret = secret.await.expect("a secret");
        tx.commit().await.expect("commits");
        let carrier = FakeCarrier::new(Arc::clone(&clock), db.faults().clone());
        Self {
            db,
            carrier: Arc::new(carrier),
            clock,
            dice,
            secret,
            home: tempfile::tempdir().expect("a directory"),
            shops: Cell::new(0),
            engine,
        }
    }

    /// `sqlite` or `postgres`.
    pub fn engine(&self) -> &'static str {
        self.engine.name()
    }

    /// A new shop with a process of its own, later than the one before it.
    pub async fn shop(&self, death: Death) -> Shop<'_> {
        let number = self.shops.replace(self.shops.get() + 1);
        self.clock.advance(Duration::from_secs(3600));
        Shop::open(self, number, death).await
    }
}
