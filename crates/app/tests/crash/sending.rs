//! Texts on their way out: claimed, sent, settled.

use ledgerline::delivery::claim::Piece;
use ledgerline::delivery::dispatch::dispatch;
use ledgerline::delivery::worker::{Piecework, claim_piece};
use testkit::Engine;

use crate::carrier::Fate;
use crate::shop::{Death, Shop};
use crate::town::Town;
use crate::trial::{Least, Trial};

testkit::both_engines!(claim, claim_unseen, a_chunk, a_chunk_unseen);

async fn claim(engine: Engine) {
    claims(engine, Death::Proven).await;
}

async fn claim_unseen(engine: Engine) {
    claims(engine, Death::Assumed).await;
}

async fn claims(engine: Engine, death: Death) {
    let town = Town::open(engine).await;
    let least = Least { points: 20, inside: 15, commits: 1 };
    town.endure("claim", death, least, async |trial| {
        let shop = &trial.shop;
        shop.people(6).await;
        let id = shop.campaign("Hello there").await;
        let desk = shop.desk();
        let place = (shop.account, id);
        let flow = async move { claim_piece(&desk, place, Piece::Next).await };
        if let Some(Ok(Piecework::Chunk(claimed, log))) = trial.run(flow).await {
            dispatch(shop.desk(), place.0, place.1, *claimed, log).await;
        }
        shop.to_the_end().await;
        shop.assert_sound().await;
        let taken: usize = shop.phones().map(|phone| town.carrier.taken(&phone).len()).sum();
        match death {
            Death::Proven => assert_eq!(taken, 6, "nothing left before the claim was durable"),
            // What the mark allowed may have left, as far as anybody knows.
            Death::Assumed => assert!((4..=6).contains(&taken), "{taken}"),
        }
    })
    .await;
}

async fn a_chunk(engine: Engine) {
    chunks(engine, Death::Proven).await;
}

async fn a_chunk_unseen(engine: Engine) {
    chunks(engine, Death::Assumed).await;
}

fn plan(shop: &Shop<'_>) {
    let fates: [&[Fate]; 6] = [
        &[Fate::Taken],
        &[Fate::Unheard],
        &[Fate::Unsent],
        &[Fate::Refused(21211)],
        &[Fate::Lost],
        &[],
    ];
    for (n, fates) in fates.into_iter().enumerate() {
        shop.town.carrier.plan(&shop.phone(n), fates);
    }
}

/// Claims the next chunk of a campaign; what sends it.
async fn chunk(trial: &Trial<'_>) -> impl Future<Output = ()> + use<> {
    let shop = &trial.shop;
    shop.people(6).await;
    let id = shop.campaign("Hello there").await;
    plan(shop);
    let desk = shop.desk();
    match claim_piece(&desk, (shop.account, id), Piece::Next).await.expect("claims") {
        Piecework::Chunk(claimed, log) => dispatch(desk, shop.account, id, *claimed, log),
        other => panic!("no chunk: {other:?}"),
    }
}

async fn chunks(engine: Engine, death: Death) {
    let town = Town::open(engine).await;
    let least = Least { points: 40, inside: 30, commits: 3 };
    town.endure("dispatch", death, least, async |trial| {
        let sending = chunk(trial).await;
        trial.run(sending).await;
        trial.shop.to_the_end().await;
        trial.shop.assert_sound().await;
    })
    .await;
}
