//! Texts on their way out: claimed, sent, settled.

use std::sync::Arc;

use domain::campaign::{PauseReason, State};
use domain::ids::StreamId;
use domain::message::{self, Fact};
use domain::permit::Rule;
use ledgerline::delivery::claim::{Claimed, Piece};
use ledgerline::delivery::dispatch::{Desk, dispatch};
use ledgerline::delivery::record::{Report, record_and_close};
use ledgerline::delivery::stages;
use ledgerline::delivery::wire_log::WireLog;
use ledgerline::delivery::worker::{Piecework, Place, claim_piece};
use ledgerline::flow::timer;
use store::chunks::Chunk;
use testkit::Engine;

use crate::carrier::Fate;
use crate::shop::{Death, Shop};
use crate::town::Town;
use crate::trial::Least;

testkit::both_engines!(
    a_claim,
    a_claim_without_trace,
    a_claim_of_the_last_credits,
    a_dispatch,
    a_dispatch_without_trace,
    a_settlement,
    a_settlement_of_a_chunk_that_was_taken_over,
);

/// The first chunk, of four texts, of a new campaign to so many people; the process that runs has
/// claimed it.
pub async fn chunk(shop: &Shop<'_>, people: usize) -> (StreamId, Claimed, WireLog) {
    shop.people(people).await;
    let id = shop.campaign("Hello there").await;
    match claim_piece(&shop.desk(), (shop.account, id), Piece::Next).await.expect("claims") {
        Piecework::Chunk(claimed, log) => (id, *claimed, log),
        other => panic!("no chunk: {other:?}"),
    }
}

async fn a_claim(engine: Engine) {
    claims(engine, Death::Proven).await;
}

async fn a_claim_without_trace(engine: Engine) {
    claims(engine, Death::Assumed).await;
}

async fn claims(engine: Engine, death: Death) {
    let town = Town::open(engine).await;
    let least = Least { points: 14, inside: 12, commits: 1 };
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
        shop.finish().await;
        let taken: usize = shop.phones().map(|phone| town.carrier.taken(&phone).len()).sum();
        match death {
            Death::Proven => assert_eq!(taken, 6, "nothing leaves before its claim is durable"),
            // What the mark allowed may have left, as far as anybody knows.
            Death::Assumed => assert!((4..=6).contains(&taken), "{taken}"),
        }
    })
    .await;
}

async fn a_claim_of_the_last_credits(engine: Engine) {
    let town = Town::open(engine).await;
    let least = Least { points: 14, inside: 12, commits: 1 };
    town.endure("claim of the last credits", Death::Proven, least, async |trial| {
        let shop = &trial.shop;
        shop.people_with(6, 3).await;
        let id = shop.campaign("Hello there").await;
        let desk = shop.desk();
        let flow = async move { claim_piece(&desk, (shop.account, id), Piece::Next).await };
        if let Some(Ok(Piecework::Chunk(claimed, log))) = trial.run(flow).await {
            dispatch(shop.desk(), shop.account, id, *claimed, log).await;
        }
        shop.settle_down().await;
        // What is taken back from a dead process is affordable again.
        while timer::look(&shop.desk(), true).await.expect("looks") {
            shop.settle_down().await;
        }
        let stream = shop.stream(id).await;
        let (state, reason) = (stream.state, stream.reason);
        assert_eq!((state, reason), (State::Paused, Some(PauseReason::Credits)), "{stream:?}");
        assert_eq!((stream.position, shop.count(message::State::Accepted).await), (3, 3));
        shop.credits(3).await;
        assert!(timer::look(&shop.desk(), true).await.expect("looks"), "it goes on by itself");
        shop.finish().await;
        assert_eq!(shop.count(message::State::Accepted).await, 6);
    })
    .await;
}

async fn a_dispatch(engine: Engine) {
    dispatches(engine, Death::Proven).await;
}

async fn a_dispatch_without_trace(engine: Engine) {
    dispatches(engine, Death::Assumed).await;
}

async fn dispatches(engine: Engine, death: Death) {
    let town = Town::open(engine).await;
    let least = Least { points: 40, inside: 32, commits: 3 };
    town.endure("dispatch", death, least, async |trial| {
        let shop = &trial.shop;
        let (id, claimed, log) = chunk(shop, 4).await;
        for (n, fate) in
            [Fate::Unheard, Fate::Refused(21211), Fate::Taken, Fate::Unsent].into_iter().enumerate()
        {
            town.carrier.plan(&shop.phone(n), &[fate]);
        }
        trial.run(dispatch(shop.desk(), shop.account, id, claimed, log)).await;
        shop.finish().await;
    })
    .await;
}

/// What the end of a chunk commits: what became of its texts, its own end, its campaign's.
async fn settle(
    desk: Arc<Desk>,
    (account, stream): Place,
    chunk: Chunk,
    reports: Vec<Report>,
) -> store::Result<()> {
    let mut tx = desk.db.begin().await?;
    record_and_close(&mut tx, account, stream, chunk.tenure(), &reports).await?;
    tx.commit().await?;
    let mut tx = desk.db.begin().await?;
    stages::advance(&mut tx, account, stream).await?;
    tx.commit().await
}

/// Two texts of a chunk left, one of which was taken and one refused; the others did not.
fn reports(shop: &Shop<'_>, claimed: &Claimed, log: &WireLog) -> Vec<Report> {
    let carrier = &shop.town.carrier;
    for (index, permit) in claimed.permits.iter().enumerate().take(2) {
        log.note(index).expect("notes");
        carrier.begin(permit.phone());
    }
    let sid = carrier.take(claimed.permits[0].phone(), claimed.permits[0].body(), None);
    let report = |n: usize, fact| {
        let permit = &claimed.permits[n];
        Report::new(permit.ord(), permit.attempt(), fact)
    };
    vec![
        Report { sid: Some(sid), ..report(0, Fact::Accepted) },
        Report { code: 21610, ..report(1, Fact::Rejected).because(Rule::OptOut, "STOP") },
        report(2, Fact::NotSent).because(Rule::TakenBack, "taken back before it left"),
        report(3, Fact::NotSent).because(Rule::TakenBack, "taken back before it left"),
    ]
}

async fn a_settlement(engine: Engine) {
    let town = Town::open(engine).await;
    let least = Least { points: 14, inside: 12, commits: 2 };
    town.endure("settle", Death::Proven, least, async |trial| {
        let shop = &trial.shop;
        let (id, claimed, log) = chunk(shop, 4).await;
        let reports = reports(shop, &claimed, &log);
        let (place, chunk) = ((shop.account, id), claimed.chunk);
        let flow = settle(shop.desk(), place, chunk.clone(), reports.clone());
        if let Some(Err(_)) = trial.run(flow).await {
            // A living process tries again.
            settle(shop.desk(), place, chunk.clone(), reports.clone()).await.expect("settles");
        }
        shop.finish().await;
        let before = shop.picture().await;
        settle(shop.desk(), place, chunk, reports).await.expect("settles");
        assert_eq!(shop.picture().await, before, "the same facts twice");
    })
    .await;
}

async fn a_settlement_of_a_chunk_that_was_taken_over(engine: Engine) {
    let town = Town::open(engine).await;
    let least = Least { points: 14, inside: 12, commits: 2 };
    town.endure("settle too late", Death::Proven, least, async |trial| {
        let shop = &trial.shop;
        let (id, claimed, log) = chunk(shop, 4).await;
        let reports = reports(shop, &claimed, &log);
        // It lives, but was not heard of for long; another process goes on with its chunk.
        let zombie = shop.outlive();
        shop.take_over(id).await;
        let (place, chunk) = ((shop.account, id), claimed.chunk);
        trial.run(settle(zombie, place, chunk.clone(), reports.clone())).await;
        shop.finish().await;
        let before = shop.picture().await;
        settle(shop.desk(), place, chunk, reports).await.expect("settles");
        assert_eq!(shop.picture().await, before, "the same facts twice");
    })
    .await;
}
