//! Beats of one stream that meet, written by hand.

use std::sync::Arc;
use std::time::Duration;

use domain::ledger::Kind;
use domain::message::Fact;
use futures_util::future::join_all;
use ledgerline::delivery::beat::{Beat, GoOn, Orders, Wish};
use ledgerline::delivery::beats::NotBeaten;
use ledgerline::delivery::claim::{Claimed, Piece};
use ledgerline::delivery::dispatch::Desk;
use ledgerline::delivery::record::Report;
use ledgerline::delivery::worker::{Piecework, Place};
use store::messages::lock_messages;
use store::wallets::list_lines;
use testkit::Engine;

use crate::harness::Shop;

testkit::both_engines!(
    beats_that_meet_share_a_commit,
    a_beat_that_cannot_be_written_stops_no_other,
    two_who_hold_one_chunk_are_told_apart,
    a_writer_that_stops_leaves_nobody_waiting,
);

/// Chunks of a campaign to 100 people each, claimed and not sent.
async fn chunks(shop: &Shop, count: u32) -> (Arc<Desk>, Place, Vec<Claimed>) {
    let (desk, id) = (shop.desk(), shop.sealed(100 * count).await);
    let mut chunks = Vec::new();
    for _ in 0..count {
        let piece = shop.piece(&desk, id, Piece::Next).await;
        let Piecework::Chunk(claimed, _) = piece else { panic!("no chunk: {piece:?}") };
        chunks.push(*claimed);
    }
    (desk, (shop.account, id), chunks)
}

/// Its first ten texts were accepted, the next may leave.
fn beat(desk: &Desk, claimed: &Claimed) -> Arc<Beat> {
    let accepted = claimed.permits[..10].iter().map(|permit| {
        let mut report = Report::new(permit.ord(), permit.attempt(), Fact::Accepted);
        report.sid = Some(format!("SM{:032x}", permit.ord()));
        report
    });
    let wish = Wish::GoOn(GoOn {
        tenure: claimed.chunk.tenure(),
        from: claimed.from.clone(),
        mark: 30,
        lease_until: desk.clock.now() + desk.claimant.lease,
        ahead: Vec::new(),
    });
    Arc::new(Beat { reports: accepted.collect(), wish })
}

fn goes_on(orders: &Orders) -> bool {
    !orders.fenced && orders.stop.is_none() && orders.stopped.is_empty()
}

/// How many lines settled credits.
async fn settlements(shop: &Shop) -> usize {
    let mut tx = shop.db.read().await.expect("reads");
    let lines = list_lines(&mut tx, shop.account, 0, 1000).await.expect("lists");
    lines.iter().filter(|line| line.posting.kind == Kind::Settle).count()
}

async fn beats_that_meet_share_a_commit(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (desk, place, chunks) = chunks(&shop, 4).await;
    let queue = desk.beats.of(place);
    let beats: Vec<_> = chunks.iter().map(|chunk| beat(&desk, chunk)).collect();
    let written = join_all(beats.iter().map(|beat| queue.write(&desk, place, beat))).await;
    for orders in written {
        assert!(goes_on(&orders.expect("is written")));
    }
    assert_eq!(shop.status(place.1).await.counts.sent, 40);
    assert_eq!(settlements(&shop).await, 2, "the first by itself, the others together");
    let mut tx = shop.db.read().await.expect("reads");
    let open = store::chunks::list_open(&mut tx, place.0, place.1).await.expect("lists");
    assert_eq!(open.iter().map(|chunk| chunk.mark).collect::<Vec<_>>(), [30; 4]);
    drop(tx);
    shop.assert_audit().await;
}

async fn a_beat_that_cannot_be_written_stops_no_other(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (desk, place, mut chunks) = chunks(&shop, 4).await;
    chunks[2].chunk.no = 99;
    let queue = desk.beats.of(place);
    let beats: Vec<_> = chunks.iter().map(|chunk| beat(&desk, chunk)).collect();
    let written = join_all(beats.iter().map(|beat| queue.write(&desk, place, beat))).await;
    let good: Vec<bool> = written.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, true, false, true], "there is no such chunk");
    assert_eq!(shop.status(place.1).await.counts.sent, 30);
    shop.assert_audit().await;
}

async fn two_who_hold_one_chunk_are_told_apart(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (desk, place, mut chunks) = chunks(&shop, 2).await;
    let queue = desk.beats.of(place);
    let mut beats: Vec<_> = chunks.iter().map(|chunk| beat(&desk, chunk)).collect();
    chunks[1].chunk.epoch -= 1;
    beats.insert(1, beat(&desk, &chunks[1]));
    let written = join_all(beats.iter().map(|beat| queue.write(&desk, place, beat))).await;
    let fenced = written.into_iter().map(|orders| orders.expect("is written").fenced);
    assert_eq!(fenced.collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(shop.status(place.1).await.counts.sent, 20, "what both say is one thing");
    shop.assert_audit().await;
}

async fn a_writer_that_stops_leaves_nobody_waiting(engine: Engine) {
    let shop = Shop::open(engine).await;
    let (desk, place, chunks) = chunks(&shop, 3).await;
    let all: Vec<i64> = (1..=300).collect();
    let mut elsewhere = shop.db.begin().await.expect("begins");
    lock_messages(&mut elsewhere, place.0, place.1, &all).await.expect("locks");
    let queue = desk.beats.of(place);
    let mut writers = Vec::new();
    for chunk in &chunks {
        let (desk, queue, beat) = (Arc::clone(&desk), Arc::clone(&queue), beat(&desk, chunk));
        let writer = tokio::spawn(async move { queue.write(&desk, place, &beat).await });
        writers.push(writer);
        tokio::task::yield_now().await;
    }
    let last = writers.pop().expect("three");
    // The first waits for the database by itself. When it stops, the second writes the third's.
    for writer in writers {
        tokio::time::timeout(Duration::from_millis(100), std::future::pending::<()>())
            .await
            .expect_err("nothing comes of it");
        writer.abort();
        drop(writer.await);
    }
    let told = last.await.expect("no panic");
    assert!(matches!(told, Err(NotBeaten::Dropped)), "{told:?}");
    drop(elsewhere);
    let again = queue.write(&desk, place, &beat(&desk, &chunks[2])).await;
    assert!(goes_on(&again.expect("is written")));
    assert_eq!(shop.status(place.1).await.counts.sent, 10);
    shop.assert_audit().await;
}
