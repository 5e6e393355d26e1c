//! The store on both engines, from one body each.

mod consents;
mod durability;
mod plans;
mod schema;
mod seam;
mod stops;
mod wallets;

use std::sync::Arc;

use domain::instant::Instant;
use domain::seam::VirtualClock;
use store::{Db, Options};
use testkit::Engine;

/// A fixed time.
pub fn clock() -> Arc<VirtualClock> {
    Arc::new(VirtualClock::at(Instant(1_795_000_000_000_000)))
}

/// Opens an engine's database at a fixed time.
pub async fn open(engine: &Engine) -> Db {
    Db::open(&Options::new(engine.url()), clock()).await.expect("opens")
}
