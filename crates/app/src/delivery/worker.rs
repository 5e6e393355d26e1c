//! The worker: looks for work, claims it, has it dispatched. It holds no state that matters; a
//! killed worker's successor finds everything in the database.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::campaign::State;
use domain::ids::{AccountId, StreamId};
use store::{Result, streams, sweep};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::claim::{Claim, Claimed, Piece, claim};
use super::dispatch::{Desk, dispatch};
use super::wire_log::WireLog;
use super::{stages, takeover};

/// Chunks this process sends from at once; most are small, because their senders are slow.
const CHUNKS_MAX: usize = 256;
/// Texts in these chunks.
const TEXTS_MAX: usize = 16_000;
/// Claims for lists in one look: what matters more than lists is looked for in between.
const LIST_CLAIMS_MAX: usize = 8;
/// Chunks of one stream at once; more only hide the database's latency.
const CHUNKS_OF_STREAM_MAX: usize = 4;
/// A slower sender gets one chunk at a time.
const PACE_OF_MANY_CHUNKS: u32 = 200;
/// Without a call, the worker looks for work this often.
const LOOK: Duration = Duration::from_millis(100);
/// Looks between two searches for abandoned chunks.
const LOOKS_BETWEEN_TAKEOVERS: u64 = 10;
const PLACES_MAX: i64 = 200;

/// A stream.
pub type Place = (AccountId, StreamId);

/// A chunk this process sends from.
struct Held {
    no: i64,
    /// Segments per second of its sender.
    pace: u32,
    texts: usize,
    /// Each of its texts was begun; it only waits for answers and is in nobody's way.
    all_begun: Arc<AtomicBool>,
}

impl Held {
    fn has_texts(&self) -> bool {
        !self.all_begun.load(Ordering::Relaxed)
    }
}

/// Chunks this process sends from, per stream.
#[derive(Default)]
struct Busy(Mutex<HashMap<Place, Vec<Held>>>);

impl Busy {
    fn add(&self, place: Place, chunk: Held) {
        self.0.lock().expect("no panic inside").entry(place).or_default().push(chunk);
    }

    fn remove(&self, place: Place, chunk: i64) {
        let mut all = self.0.lock().expect("no panic inside");
        if let Some(chunks) = all.get_mut(&place) {
            chunks.retain(|held| held.no != chunk);
            if chunks.is_empty() {
                all.remove(&place);
            }
        }
    }

    fn has_room(&self, place: Place) -> bool {
        let all = self.0.lock().expect("no panic inside");
        let chunks = all.values().map(Vec::len).sum::<usize>();
        let held = all.values().flatten().filter(|held| held.has_texts());
        let texts = held.map(|held| held.texts).sum::<usize>();
        // Lists leave a quarter for everything that matters more.
        let share = |most: usize| if place.1.is_endless() { most } else { most / 4 * 3 };
        if chunks >= share(CHUNKS_MAX) || texts >= share(TEXTS_MAX) {
            return false;
        }
        let Some(chunks) = all.get(&place) else {
            return true;
        };
        let mut sending = chunks.iter().filter(|held| held.has_texts());
        let slow = sending.clone().any(|held| held.pace < PACE_OF_MANY_CHUNKS);
        !slow && sending.nth(CHUNKS_OF_STREAM_MAX - 1).is_none()
    }

    /// Whether nothing more can be claimed at all.
    fn is_full(&self) -> bool {
        let all = self.0.lock().expect("no panic inside");
        let texts = all.values().flatten().map(|held| held.texts).sum::<usize>();
        all.values().map(Vec::len).sum::<usize>() >= CHUNKS_MAX || texts >= TEXTS_MAX
    }

    /// Texts on their way per account.
    fn per_account(&self) -> HashMap<AccountId, usize> {
        let all = self.0.lock().expect("no panic inside");
        let mut sums = HashMap::new();
        for ((account, _), chunks) in all.iter() {
            *sums.entry(*account).or_default() +=
                chunks.iter().map(|held| held.texts).sum::<usize>();
        }
        sums
    }

    fn holds(&self, place: Place, chunk: i64) -> bool {
        let all = self.0.lock().expect("no panic inside");
        all.get(&place).is_some_and(|chunks| chunks.iter().any(|held| held.no == chunk))
    }
}

/// Runs until `desk.stopping` is set, then until everything begun has ended.
pub async fn run(desk: Arc<Desk>, call: Arc<Notify>) {
    let busy = Arc::new(Busy::default());
    let mut running = JoinSet::new();
    let mut looks = 0u64;
    while !desk.stopping.load(Ordering::Relaxed) {
        if looks.is_multiple_of(LOOKS_BETWEEN_TAKEOVERS) {
            log_failure("takeover", take_over(&desk, &busy).await);
        }
        looks += 1;
        let found = look(&desk, &busy, &call, &mut running).await;
        let claimed = found.as_ref().copied().unwrap_or(0);
        log_failure("worker", found.map(drop));
        while running.try_join_next().is_some() {}
        if claimed == 0 || busy.is_full() {
            tokio::select! {
                () = call.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
    while running.join_next().await.is_some() {}
}

fn log_failure(component: &'static str, result: Result<()>) {
    if let Err(error) = result {
        tracing::error!(component, %error, "will be tried again");
    }
}

async fn take_over(desk: &Desk, busy: &Busy) -> Result<()> {
    let mut tx = desk.db.read().await?;
    let places = sweep::streams_with_open_chunks(&mut tx, PLACES_MAX).await?;
    drop(tx);
    for place in places {
        takeover::take_over_stream(desk, place.0, place.1, |no| busy.holds(place, no)).await?;
    }
    Ok(())
}

/// One look: each stream with work is served once, so that none starves another; by lanes, and
/// within a lane the account with the fewest texts on their way first.
async fn look(
    desk: &Arc<Desk>,
    busy: &Arc<Busy>,
    call: &Arc<Notify>,
    running: &mut JoinSet<()>,
) -> Result<usize> {
    let mut tx = desk.db.read().await?;
    let due = if desk.may_act() {
        sweep::streams_with_due(&mut tx, PLACES_MAX).await?
    } else {
        Vec::new()
    };
    let next = sweep::streams_with_texts(&mut tx, PLACES_MAX).await?;
    let ending = sweep::streams_in(&mut tx, [State::Pausing, State::Canceling], PLACES_MAX).await?;
    let draining = sweep::streams_in(&mut tx, [State::Draining; 2], PLACES_MAX).await?;
    drop(tx);
    for (account, stream) in ending.into_iter().chain(draining) {
        let mut tx = desk.db.begin().await?;
        stages::advance(&mut tx, account, stream).await?;
        tx.commit().await?;
    }
    let mut claimed = 0;
    let mut list_claims = 0;
    let on_way = busy.per_account();
    let due = due.into_iter().map(|place| (place, Piece::Due));
    let mut pieces: Vec<(Place, Piece)> =
        due.chain(next.into_iter().map(|place| (place, Piece::Next))).collect();
    pieces.sort_by_key(|((account, stream), _)| {
        (stream.lane(), on_way.get(account).copied().unwrap_or(0))
    });
    for (place, piece) in pieces {
        if !place.1.is_endless() {
            list_claims += 1;
        }
        if list_claims > LIST_CLAIMS_MAX || !busy.has_room(place) {
            continue;
        }
        match take_up(desk, place, piece, busy, call, running).await {
            Ok(took) => claimed += usize::from(took),
            Err(error) => tracing::error!(
                component = "worker", account = %place.0, campaign = %place.1, %error,
                "a claim failed; it is tried again"
            ),
        }
    }
    Ok(claimed)
}

async fn take_up(
    desk: &Arc<Desk>,
    place: Place,
    piece: Piece,
    busy: &Arc<Busy>,
    call: &Arc<Notify>,
    running: &mut JoinSet<()>,
) -> Result<bool> {
    let (claimed, log) = match claim_piece(desk, place, piece).await? {
        Piecework::Nothing => return Ok(false),
        Piecework::Decided => return Ok(true),
        Piecework::Chunk(claimed, log) => (claimed, log),
    };
    let (account, stream) = place;
    let no = claimed.chunk.no;
    let (pace, texts) = (claimed.from.segments_per_second, claimed.permits.len());
    let all_begun = Arc::clone(&claimed.all_begun);
    busy.add(place, Held { no, pace, texts, all_begun });
    let (desk, busy, call) = (Arc::clone(desk), Arc::clone(busy), Arc::clone(call));
    running.spawn(async move {
        dispatch(desk, account, stream, *claimed, log).await;
        busy.remove(place, no);
        call.notify_one();
    });
    Ok(true)
}

/// What a look at one stream gave this process to do.
#[derive(Debug)]
pub enum Piecework {
    /// There was nothing to take up.
    Nothing,
    /// Texts were decided, none of them to be sent now.
    Decided,
    /// A chunk to send, and its log.
    Chunk(Box<Claimed>, WireLog),
}

/// Claims a piece of a stream, durably. After an error it may be claimed all the same: this
/// process sends nothing of it then, and a takeover finds out.
pub async fn claim_piece(desk: &Desk, place: Place, piece: Piece) -> Result<Piecework> {
    let (account, stream) = place;
    let mut tx = desk.db.begin().await?;
    let piecework = match claim(&mut tx, account, stream, piece, desk).await? {
        Claim::Nothing => Piecework::Nothing,
        Claim::Decided => Piecework::Decided,
        Claim::Chunk(claimed) => {
            let log = begin_log(desk, place, &claimed)?;
            Piecework::Chunk(claimed, log)
        }
    };
    tx.commit().await?;
    if let (Piece::Next, Piecework::Chunk(claimed, _)) = (piece, &piecework)
        && domain::mutant!(M4)
    {
        let mut tx = desk.db.begin().await?;
        let before = streams::lock_stream(&mut tx, account, stream).await?;
        let last = claimed.chunk.ords.last().copied().unwrap_or(0).max(before.position);
        let after = streams::Stream { position: last, ..before };
        streams::save_stream(&mut tx, account, &before, &after).await?;
        tx.commit().await?;
    }
    Ok(piecework)
}

/// The log stands before the claim is committed, so that a crash in between leaves the proof that
/// nothing was sent.
fn begin_log(desk: &Desk, (account, stream): Place, claimed: &Claimed) -> Result<WireLog> {
    desk.wire_logs
        .begin(account, stream, claimed.chunk.no, claimed.permits.len())
        .map_err(|error| store::Error::Setting(format!("cannot write the wire log: {error}")))
}
