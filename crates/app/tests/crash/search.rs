//! Texts whose fate is unknown: found at the carrier, proven absent, sent again; and texts the
//! carrier holds that nobody here knows.

use std::time::Duration;

use domain::message::State;
use domain::seam::VirtualClock;
use ledgerline::delivery::dispatch::Desk;
use ledgerline::delivery::{orphans, reconcile};
use testkit::Engine;

use crate::carrier::Fate;
use crate::shop::{Death, Shop};
use crate::town::Town;
use crate::trial::Least;

testkit::both_engines!(
    an_unknown_text_that_is_found,
    an_unknown_text_that_is_absent,
    an_absent_text_that_is_sent_again,
    an_orphan,
);

/// Longer than the transit bound of these shops.
const STEP: Duration = Duration::from_secs(31);

/// A campaign, one text of which has this fate; it is unknown then.
async fn lose(shop: &Shop<'_>, fate: Fate) {
    shop.people(6).await;
    shop.town.carrier.plan(&shop.phone(1), &[fate]);
    shop.campaign("Hello there").await;
    shop.settle_down().await;
    assert_eq!(shop.count(State::Unknown).await, 1);
}

async fn an_unknown_text_that_is_found(engine: Engine) {
    let town = Town::open(engine).await;
    let least = Least { points: 18, inside: 12, commits: 3 };
    town.endure("reconcile, found", Death::Proven, least, async |trial| {
        let shop = &trial.shop;
        lose(shop, Fate::Unheard).await;
        town.clock.advance(Duration::from_secs(6));
        let desk = shop.desk();
        let decided = trial.run(async move { reconcile::look(&desk).await }).await;
        assert!(decided.is_none_or(|decided| decided.is_err() || decided.is_ok_and(|n| n == 1)));
        shop.finish().await;
        assert_eq!(shop.count(State::Accepted).await, 6);
    })
    .await;
}

/// The last look that does not find a text, and the one that proves it absent; how many were
/// decided. Nothing that was sent since proves the list fresh, so it takes three such looks.
async fn look_twice(desk: &Desk, clock: &VirtualClock) -> store::Result<usize> {
    let before = reconcile::look(desk).await?;
    clock.advance(STEP);
    Ok(before + reconcile::look(desk).await?)
}

/// The first look that does not find a text.
async fn look_once(shop: &Shop<'_>) {
    shop.town.clock.advance(STEP);
    assert_eq!(reconcile::look(&shop.desk()).await.expect("looks"), 0);
    shop.town.clock.advance(STEP);
}

async fn an_unknown_text_that_is_absent(engine: Engine) {
    let town = Town::open(engine).await;
    let least = Least { points: 20, inside: 12, commits: 3 };
    town.endure("reconcile, absent", Death::Proven, least, async |trial| {
        let shop = &trial.shop;
        lose(shop, Fate::Lost).await;
        look_once(shop).await;
        let (desk, clock) = (shop.desk(), &*town.clock);
        if let Some(Ok(n)) = trial.run(async move { look_twice(&desk, clock).await }).await {
            assert_eq!(n, 1);
        }
        shop.finish().await;
        assert_eq!(shop.count(State::Accepted).await, 5);
        assert_eq!(shop.count(State::Absent).await, 1);
        assert_eq!(town.carrier.begun(&shop.phone(1)), 1, "a list's text is never sent again");
    })
    .await;
}

async fn an_absent_text_that_is_sent_again(engine: Engine) {
    let town = Town::open(engine).await;
    let least = Least { points: 27, inside: 14, commits: 3 };
    town.endure("reconcile, sent again", Death::Proven, least, async |trial| {
        let shop = &trial.shop;
        shop.credits(5).await;
        town.carrier.plan(&shop.phone(1), &[Fate::Lost]);
        shop.text(&shop.phone(1), "Your table is ready").await;
        shop.settle_down().await;
        look_once(shop).await;
        let (desk, clock) = (shop.desk(), &*town.clock);
        trial.run(async move { look_twice(&desk, clock).await }).await;
        shop.finish().await;
        assert_eq!(shop.count(State::Accepted).await, 1);
        assert_eq!(town.carrier.begun(&shop.phone(1)), 2);
    })
    .await;
}

async fn an_orphan(engine: Engine) {
    let town = Town::open(engine).await;
    let least = Least { points: 9, inside: 4, commits: 2 };
    town.endure("sweep", Death::Proven, least, async |trial| {
        let shop = &trial.shop;
        shop.credits(5).await;
        orphans::look(&shop.desk()).await.expect("sweeps");
        // This database was set back: the carrier has a text that is only about to be taken in.
        town.carrier.take(&shop.phone(1), "Your table is ready", None);
        town.clock.advance(Duration::from_secs(120));
        let desk = shop.desk();
        trial.run(async move { orphans::look(&desk).await.map_err(drop) }).await;
        town.clock.advance(Duration::from_secs(120));
        orphans::look(&shop.desk()).await.expect("sweeps");
        shop.text(&shop.phone(1), "Your table is ready").await;
        shop.finish().await;
        assert_eq!(shop.count(State::Accepted).await, 1);
        assert_eq!(town.carrier.begun(&shop.phone(1)), 0, "it is not sent again");
    })
    .await;
}
