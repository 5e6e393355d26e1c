//! A campaign is paused, or canceled, while its texts leave.

use domain::campaign::State;
use futures_util::future::join;
use ledgerline::delivery::dispatch::dispatch;
use ledgerline::flow::Refusal;
use ledgerline::flow::campaigns::Wish;
use testkit::Engine;

use crate::sending::chunk;
use crate::shop::Death;
use crate::town::Town;
use crate::trial::Least;

testkit::both_engines!(a_pause, a_cancel);

const LEAST: Least = Least { points: 36, inside: 28, commits: 4 };

async fn a_pause(engine: Engine) {
    let town = Town::open(engine).await;
    town.endure("pause", Death::Proven, LEAST, async |trial| {
        let shop = &trial.shop;
        let (id, claimed, log) = chunk(shop, 5).await;
        let sending = dispatch(shop.desk(), shop.account, id, claimed, log);
        trial.run(join(sending, shop.wish(id, Wish::Pause))).await;
        let stopped = shop.stream(id).await.state == State::Paused;
        assert!(!stopped || shop.open_chunks().await == 0, "paused with texts on the wire");
        // Who asked for it and got no answer asks again.
        shop.wish(id, Wish::Pause).await.expect("fits");
        shop.settle_down().await;
        let stream = shop.stream(id).await;
        assert_eq!(stream.state, State::Paused, "{stream:?}");
        let calls = || -> usize { shop.phones().map(|phone| town.carrier.begun(&phone)).sum() };
        let before = calls();
        assert!(before <= 4, "only what was claimed may have left");
        shop.settle_down().await;
        assert_eq!(calls(), before, "nothing leaves while it is paused");
        shop.wish(id, Wish::Resume).await.expect("fits");
        shop.finish().await;
        assert_eq!(shop.stream(id).await.state, State::Completed);
    })
    .await;
}

async fn a_cancel(engine: Engine) {
    let town = Town::open(engine).await;
    town.endure("cancel", Death::Proven, LEAST, async |trial| {
        let shop = &trial.shop;
        let (id, claimed, log) = chunk(shop, 5).await;
        let sending = dispatch(shop.desk(), shop.account, id, claimed, log);
        trial.run(join(sending, shop.wish(id, Wish::Cancel))).await;
        shop.wish(id, Wish::Cancel).await.expect("fits");
        shop.finish().await;
        let stream = shop.stream(id).await;
        assert_eq!((stream.state, stream.position), (State::Canceled, 4));
        let again = shop.wish(id, Wish::Resume).await;
        assert!(matches!(again, Err(Refusal::State(_))), "canceled is canceled: {again:?}");
    })
    .await;
}
