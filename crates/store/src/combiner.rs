//! Group commit: gathers small concurrent writes for a moment and runs them as one transaction.
//!
//! Callers hand in an item and wait for its own result. A worker takes whatever has arrived
//! (within [`GATHER`], at most [`ITEMS_MAX`]) and passes the batch to one function, which answers
//! for each item; one item's failure is its own. The queue is bounded: a caller waits for room.

use std::future::Future;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

/// How long the first item waits for company.
pub const GATHER: Duration = Duration::from_millis(2);
/// Items in one batch.
pub const ITEMS_MAX: usize = 2000;
const QUEUE_MAX: usize = 10_000;

/// The combiner has stopped; nothing of the item was done.
#[derive(Debug, thiserror::Error)]
#[error("the writer has stopped")]
pub struct Stopped;

/// Hands items of type `T` to a worker and answers each with an `A`.
pub struct Combiner<T, A> {
    queue: mpsc::Sender<(T, oneshot::Sender<A>)>,
}

impl<T, A> Clone for Combiner<T, A> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<T: Send + 'static, A: Send + 'static> Combiner<T, A> {
    /// Starts a worker that runs `apply` over each batch; it must answer every item in order.
    pub fn start<F, Fut>(apply: F) -> Self
    where
        F: Fn(Vec<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<A>> + Send,
    {
        let (queue, mut arrivals) = mpsc::channel::<(T, oneshot::Sender<A>)>(QUEUE_MAX);
        tokio::spawn(async move {
            while let Some(first) = arrivals.recv().await {
                let (items, callers) = gather(first, &mut arrivals).await;
                let answers = apply(items).await;
                assert_eq!(answers.len(), callers.len(), "one answer for each item");
                for (caller, answer) in callers.into_iter().zip(answers) {
                    // A caller that went away needs no answer; its item was done all the same.
                    drop(caller.send(answer));
                }
            }
        });
        Self { queue }
    }

    /// Has `item` applied; returns once it is durable.
    pub async fn apply(&self, item: T) -> Result<A, Stopped> {
        let (caller, answer) = oneshot::channel();
        self.queue.send((item, caller)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }
}

async fn gather<T, A>(
    first: (T, oneshot::Sender<A>),
    arrivals: &mut mpsc::Receiver<(T, oneshot::Sender<A>)>,
) -> (Vec<T>, Vec<oneshot::Sender<A>>) {
    let (mut items, mut callers) = (vec![first.0], vec![first.1]);
    let full = tokio::time::sleep(GATHER);
    tokio::pin!(full);
    while items.len() < ITEMS_MAX {
        tokio::select! {
            next = arrivals.recv() => match next {
                Some((item, caller)) => {
                    items.push(item);
                    callers.push(caller);
                }
                None => break,
            },
            () = &mut full => break,
        }
    }
    (items, callers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_callers_share_few_batches_and_get_their_own_answers() {
        let (seen, mut batches) = mpsc::unbounded_channel();
        let combiner = Combiner::start(move |items: Vec<u32>| {
            let seen = seen.clone();
            async move {
                seen.send(items.len()).expect("the test listens");
                items.into_iter().map(|n| if n % 7 == 0 { Err(n) } else { Ok(n) }).collect()
            }
        });
        let calls = (0..200u32).map(|n| {
            let combiner = combiner.clone();
            tokio::spawn(async move { (n, combiner.apply(n).await.expect("runs")) })
        });
        for call in calls.collect::<Vec<_>>() {
            let (n, answer) = call.await.expect("no panic");
            assert_eq!(answer, if n % 7 == 0 { Err(n) } else { Ok(n) });
        }
        drop(combiner);
        let mut sizes = Vec::new();
        while let Some(size) = batches.recv().await {
            sizes.push(size);
        }
        assert_eq!(sizes.iter().sum::<usize>(), 200);
        assert!(sizes.len() < 100, "200 calls took {} batches", sizes.len());
    }
}
