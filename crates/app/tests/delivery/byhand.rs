//! What a worker does by itself, done by hand: one chunk claimed, its mark read, a rest awaited.

use std::sync::Arc;
use std::time::Duration;

use domain::ids::StreamId;
use domain::permit::Consent;
use ledgerline::delivery::claim::{Claimed, Piece};
use ledgerline::delivery::dispatch::{Desk, dispatch};
use ledgerline::delivery::takeover::take_over_stream;
use ledgerline::delivery::wire_log::WireLog;
use ledgerline::delivery::worker::{Piecework, claim_piece};
use store::chunks;
use tokio::task::JoinHandle;

use crate::harness::Shop;

/// A chunk that was claimed and of which nothing left yet.
pub struct Held {
    pub id: StreamId,
    pub claimed: Claimed,
    pub log: WireLog,
    /// The process that claimed it.
    pub desk: Arc<Desk>,
}

impl Held {
    /// Sends it, beside the test.
    pub fn send(self, shop: &Shop) -> JoinHandle<()> {
        tokio::spawn(dispatch(self.desk, shop.account, self.id, self.claimed, self.log))
    }
}

impl Shop {
    /// A running campaign to `texts` people, with a credit for each of them.
    pub async fn sealed(&self, texts: u32) -> StreamId {
        let people = usize::try_from(texts).expect("few");
        self.contacts(people, Some(Consent::OptedIn)).await;
        self.credits(i64::from(texts), "for the campaign").await;
        self.campaign("Hello there", false).await
    }

    /// What a process finds to do for a stream.
    pub async fn piece(&self, desk: &Desk, id: StreamId, piece: Piece) -> Piecework {
        claim_piece(desk, (self.account, id), piece).await.expect("claims")
    }

    /// A process with the first chunk of a new campaign.
    pub async fn held(&self, texts: u32) -> Held {
        let desk = self.desk();
        let id = self.sealed(texts).await;
        match self.piece(&desk, id, Piece::Next).await {
            Piecework::Chunk(claimed, log) => Held { id, claimed: *claimed, log, desk },
            other => panic!("no chunk: {other:?}"),
        }
    }

    /// The lease of whoever holds a chunk of the stream runs out, and another process takes over.
    pub async fn take_over(&self, id: StreamId) {
        self.clock.advance(Duration::from_secs(60));
        let desk = self.desk();
        take_over_stream(&desk, self.account, id, |_| false).await.expect("takes over");
    }

    /// How many texts of the stream's open chunk may be on the wire, as far as is durable.
    pub async fn durable_mark(&self, id: StreamId) -> u64 {
        let mut tx = self.db.read().await.expect("reads");
        let open = chunks::list_open(&mut tx, self.account, id).await.expect("reads");
        let [chunk] = &open[..] else { panic!("not one open chunk: {open:?}") };
        u64::try_from(chunk.mark).expect("not below zero")
    }

    /// Waits until no more calls reach the carrier; how many did.
    pub async fn calls_at_rest(&self) -> u64 {
        let (mut calls, mut rounds) = (0, 0);
        while rounds < 30 {
            let more = Duration::from_millis(5);
            drop(tokio::time::timeout(more, self.carrier.on_wire.notified()).await);
            rounds = if self.carrier.calls() == calls { rounds + 1 } else { 0 };
            calls = self.carrier.calls();
        }
        calls
    }
}
