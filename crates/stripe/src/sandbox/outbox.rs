//! Events on their way: signed like Stripe's, posted in their order, and tried again until somebody
//! takes them.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::books::{Telling, text};
use super::shop::Shared;
use crate::signature::sign;

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(10);
/// After about three days nobody will take it any more (FACTS 10.2).
const TRIES_MAX: u32 = 26_000;
/// How often the clock is asked whether a payment page closes.
const CLOCK_TICK: Duration = Duration::from_millis(250);

/// Events that are due some time, by their places in the books.
#[derive(Default)]
pub(super) struct Outbox {
    due: Mutex<BinaryHeap<Reverse<(Instant, usize)>>>,
    news: Notify,
    /// Held while events are posted, so that whoever flushes waits for what is on the wire.
    turn: tokio::sync::Mutex<()>,
}

impl Outbox {
    fn due(&self) -> MutexGuard<'_, BinaryHeap<Reverse<(Instant, usize)>>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are to be posted after a delay.
    pub fn push(&self, events: Vec<usize>, delay: Duration) {
        if !events.is_empty() {
            let at = Instant::now() + delay;
            self.due().extend(events.into_iter().map(|index| Reverse((at, index))));
            self.wake();
        }
    }

    /// Something changed.
    pub fn wake(&self) {
        self.news.notify_one();
    }

    /// The next event that is due, or how long until one may be.
    fn next(&self) -> Result<usize, Duration> {
        let now = Instant::now();
        let mut due = self.due();
        match due.peek() {
            Some(Reverse((at, index))) if *at <= now => {
                let index = *index;
                due.pop();
                Ok(index)
            }
            Some(Reverse((at, _))) => Err((*at - now).min(CLOCK_TICK)),
            None => Err(CLOCK_TICK),
        }
    }
}

/// Posts events as they come due, until it is aborted.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        shared.close_overdue();
        let turn = shared.outbox.turn.lock().await;
        let next = match shared.webhook_url() {
            Some(_) => shared.outbox.next(),
            None => Err(CLOCK_TICK),
        };
        if let Ok(index) = next {
            let times = 1 + shared.knobs().duplicate;
            for _ in 0..times {
                post(&shared, index).await;
            }
            try_again(&shared, &[index]);
        }
        drop(turn);
        if let Err(wait) = next {
            drop(tokio::time::timeout(wait, shared.outbox.news.notified()).await);
        }
    }
}

/// Posts everything that waits, now: in its order, or in any if that is asked for. How many were
/// taken and how many were not.
pub(super) async fn flush(shared: &Shared) -> Value {
    let _turn = shared.outbox.turn.lock().await;
    let knobs = shared.knobs();
    let mut events = shared.books().release();
    events.extend(shared.outbox.due().drain().map(|Reverse((_, index))| index));
    let each: BTreeSet<usize> = events.into_iter().collect();
    let times = usize::try_from(knobs.duplicate).unwrap_or(0) + 1;
    let mut posts: Vec<usize> =
        each.iter().flat_map(|&index| std::iter::repeat_n(index, times)).collect();
    if knobs.shuffle {
        for place in (1..posts.len()).rev() {
            let bound = u64::try_from(place + 1).unwrap_or(u64::MAX);
            let other = usize::try_from(shared.dice.below(bound)).unwrap_or(place);
            posts.swap(place, other);
        }
    }
    for index in posts {
        post(shared, index).await;
    }
    let each: Vec<usize> = each.into_iter().collect();
    let untaken = try_again(shared, &each);
    json!({ "taken": each.len() - untaken, "untaken": untaken })
}

/// Puts what was not taken back into the queue; how many that were.
fn try_again(shared: &Shared, events: &[usize]) -> usize {
    let books = shared.books();
    let untaken = events.iter().map(|&index| (index, &books.events[index]));
    let untaken: Vec<(usize, u32)> = untaken
        .filter(|(_, told)| told.telling == Telling::Waiting)
        .map(|(index, told)| (index, told.tries))
        .collect();
    drop(books);
    for &(index, tries) in untaken.iter().filter(|(_, tries)| *tries < TRIES_MAX) {
        let wait = RETRY_FIRST.saturating_mul(1 << tries.saturating_sub(1).min(7)).min(RETRY_LAST);
        shared.outbox.push(vec![index], wait);
    }
    untaken.len()
}

/// Posts an event once, whatever became of it before: the receiver's status.
pub(super) async fn post(shared: &Shared, index: usize) -> Option<u16> {
    let url = shared.webhook_url()?;
    let event = shared.books().events[index].event.clone();
    let (id, kind) = (text(&event, "id"), text(&event, "type"));
    let body = event.to_string();
    let signature = sign(body.as_bytes(), shared.webhook_secret.expose_secret(), shared.now());
    let request = shared.http.post(url).header(CONTENT_TYPE, "application/json; charset=utf-8");
    let request = request.header("stripe-signature", signature).body(body);
    let status = match request.send().await {
        Ok(answer) => Some(answer.status().as_u16()),
        Err(_) => None,
    };
    tracing::debug!(component = "stripe", id, kind, status, "an event was posted");
    let mut books = shared.books();
    books.events[index].tries += 1;
    let is_taken = status.is_some_and(|status| (200..300).contains(&status));
    if is_taken && books.events[index].telling != Telling::Taken {
        shared.take(&mut books, index);
    }
    status
}
