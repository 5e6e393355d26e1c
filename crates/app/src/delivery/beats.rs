//! Beats that meet: while one transaction is being committed, the next beats of the same stream
//! wait in a queue and are then written together. Each commit locks the account's wallet and waits
//! for the disk, so chunks that are sent side by side would otherwise wait for one another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use tokio::sync::oneshot;

use super::beat::{self, Beat, Orders};
use super::dispatch::Desk;
use super::worker::Place;

/// The queues of all streams this process sends from.
#[derive(Debug, Default)]
pub struct Beats(Mutex<HashMap<Place, Weak<Queue>>>);

/// Beats of one stream that wait to be written.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Vec<Waiting>>,
    /// Held by whoever writes.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Waiting {
    beat: Arc<Beat>,
    tell: oneshot::Sender<Answer>,
}

type Answer = Result<Orders, NotBeaten>;

/// It may be durable or not; whoever asked reports the same facts again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotBeaten {
    /// The database failed.
    #[error("{0}")]
    Failed(Arc<store::Error>),
    /// Whoever wrote it has stopped.
    #[error("whoever wrote it has stopped")]
    Dropped,
}

impl From<store::Error> for NotBeaten {
    fn from(error: store::Error) -> Self {
        Self::Failed(Arc::new(error))
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().expect("no panic while the lock is held")
}

impl Beats {
    /// The queue of a stream; it lasts as long as somebody holds it.
    pub fn of(&self, place: Place) -> Arc<Queue> {
        let mut all = lock(&self.0);
        if let Some(queue) = all.get(&place).and_then(Weak::upgrade) {
            return queue;
        }
        all.retain(|_, queue| queue.strong_count() > 0);
        let queue = Arc::default();
        all.insert(place, Arc::downgrade(&queue));
        queue
    }
}

impl Queue {
    /// Has a beat written, with all that wait beside it; returns once it is durable.
    pub async fn write(&self, desk: &Desk, place: Place, beat: &Arc<Beat>) -> Answer {
        let (tell, mut told) = oneshot::channel();
        lock(&self.waiting).push(Waiting { beat: Arc::clone(beat), tell });
        let _turn = self.turn.lock().await;
        match told.try_recv() {
            Ok(answer) => return answer,
            Err(oneshot::error::TryRecvError::Closed) => return Err(NotBeaten::Dropped),
            // Nobody wrote it yet: it is our turn, and ours to write what else waits.
            Err(oneshot::error::TryRecvError::Empty) => {}
        }
        let together = std::mem::take(&mut *lock(&self.waiting));
        let (beats, callers): (Vec<_>, Vec<_>) =
            together.iter().map(|one| (&*one.beat, &one.tell)).unzip();
        let answers = write_all(desk, place, &beats).await;
        drop((beats, callers));
        for (one, answer) in together.into_iter().zip(answers) {
            // A caller that went away needs no answer.
            drop(one.tell.send(answer));
        }
        told.try_recv().unwrap_or(Err(NotBeaten::Dropped))
    }
}

/// Together if it can be; else each by itself, so that one that cannot be written stops no other.
async fn write_all(desk: &Desk, place: Place, beats: &[&Beat]) -> Vec<Answer> {
    match commit(desk, place, beats).await {
        Ok(all) => return all.into_iter().map(Ok).collect(),
        Err(error) if beats.len() == 1 => return vec![Err(error.into())],
        Err(_) => {}
    }
    let mut answers = Vec::with_capacity(beats.len());
    for beat in beats {
        let alone = commit(desk, place, &[beat]).await;
        answers.push(alone.map(|mut orders| orders.remove(0)).map_err(NotBeaten::from));
    }
    answers
}

async fn commit(desk: &Desk, place: Place, beats: &[&Beat]) -> store::Result<Vec<Orders>> {
    let mut tx = desk.db.begin().await?;
    let orders = beat::write(&mut tx, desk, place, beats).await?;
    if domain::mutant!(M6) && orders.iter().any(|orders| orders.fenced) {
        return Ok(orders);
    }
    tx.commit().await?;
    Ok(orders)
}
