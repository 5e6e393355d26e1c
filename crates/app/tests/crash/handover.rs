//! A process dies with texts on the wire; the one that takes over dies, too.

use ledgerline::delivery::dispatch::dispatch;
use ledgerline::delivery::takeover::take_over_stream;
use testkit::Engine;
use testkit::crash::Fuse;

use crate::sending::chunk;
use crate::shop::Death;
use crate::town::Town;
use crate::trial::Least;

testkit::both_engines!(a_takeover, a_takeover_without_trace);

async fn a_takeover(engine: Engine) {
    takeovers(engine, Death::Proven).await;
}

async fn a_takeover_without_trace(engine: Engine) {
    takeovers(engine, Death::Assumed).await;
}

async fn takeovers(engine: Engine, death: Death) {
    let town = Town::open(engine).await;
    let least = Least { points: 15, inside: 12, commits: 2 };
    town.endure("takeover", death, least, async |trial| {
        let shop = &trial.shop;
        let (id, claimed, log) = chunk(shop, 5).await;
        let sending = dispatch(shop.desk(), shop.account, id, claimed, log);
        // One of the two on the wire arrives at the carrier, the other one does not.
        let both = || [0, 1].iter().all(|n| town.carrier.begun(&shop.phone(*n)) == 1);
        assert!(Fuse::long().drive(sending, both).await.is_none());
        shop.die();
        let (desk, account) = (shop.desk(), shop.account);
        trial.run(async move { take_over_stream(&desk, account, id, |_| false).await }).await;
        shop.finish().await;
        let taken: usize = shop.phones().map(|phone| town.carrier.taken(&phone).len()).sum();
        assert_eq!(taken, 4, "only what was lost on the wire is given up");
    })
    .await;
}
