//! Receipts on their way to whoever asked for them: in the order of a message's life, tried again
//! for a while, and as lost, late, doubled or swapped as the knobs say. How one is posted and
//! signed is in [`super::webhook`].

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::journal::Line;
use super::record::Kept;
use super::webhook::{Answered, POST_TIMEOUT, POSTS_MAX, Retries, Webhook};
use super::{Knobs, Shared};
use crate::wire::MessageStatus;

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);
/// How often the clock is asked whether a message that waits for its time is due.
const CLOCK_TICK: Duration = Duration::from_millis(100);

/// A receipt that is due some time.
#[derive(Clone, Copy)]
struct Due {
    at: Instant,
    index: usize,
    /// The status it tells.
    status: MessageStatus,
    /// The message is not there yet: it is turned first, and the next receipt is due later.
    turns: bool,
    /// The `sent` that comes after it, out of order.
    owes_sent: bool,
    tries: u32,
    first_at: Instant,
}

impl Due {
    const fn new(at: Instant, index: usize, status: MessageStatus) -> Self {
        Self { at, index, status, turns: true, owes_sent: false, tries: 0, first_at: at }
    }

    const fn place(&self) -> (Instant, usize, u8) {
        (self.at, self.index, self.status.rank())
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

type Heap<T> = BinaryHeap<Reverse<T>>;

/// Receipts to be sent, and messages that wait for their `SendAt` or the end of their queue.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<Heap<Due>>,
    on_the_wire: AtomicU64,
    by_clock: Mutex<Heap<(domain::instant::Instant, usize)>>,
    news: Notify,
}

fn locked<T>(heap: &Mutex<Heap<T>>) -> MutexGuard<'_, Heap<T>> {
    heap.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outbox {
    fn push(&self, due: Due) {
        locked(&self.waiting).push(Reverse(due));
        self.news.notify_one();
    }

    fn wait_for_clock(&self, at: domain::instant::Instant, index: usize) {
        locked(&self.by_clock).push(Reverse((at, index)));
        self.news.notify_one();
    }

    /// Receipts still to be sent.
    pub fn pending(&self) -> u64 {
        let waiting = locked(&self.waiting);
        let on_the_wire = self.on_the_wire.load(Ordering::Acquire);
        u64::try_from(waiting.len()).unwrap_or(u64::MAX).saturating_add(on_the_wire)
    }

    /// The next receipt that is due, now on the wire; or how long until one may be.
    fn next(&self, now: Instant) -> Result<Due, Duration> {
        let mut waiting = locked(&self.waiting);
        let wait = match waiting.peek() {
            Some(Reverse(due)) if due.at <= now => {
                self.on_the_wire.fetch_add(1, Ordering::AcqRel);
                return Ok(waiting.pop().expect("it was just looked at").0);
            }
            Some(Reverse(due)) => due.at - now,
            None => Duration::from_secs(3600),
        };
        drop(waiting);
        Err(if locked(&self.by_clock).is_empty() { wait } else { wait.min(CLOCK_TICK) })
    }

    /// A message whose time has come.
    fn next_by_clock(&self, now: domain::instant::Instant) -> Option<usize> {
        let mut by_clock = locked(&self.by_clock);
        let Reverse((at, _)) = *by_clock.peek()?;
        let due = if at <= now { by_clock.pop() } else { None };
        due.map(|Reverse((_, index))| index)
    }
}

/// Goes on with a message where it stands: sends its receipts, or waits for its time.
pub(super) fn take_up(shared: &Shared, index: usize) {
    let record = shared.record();
    let (status, send_at) = (record.message(index).status, record.message(index).send_at);
    drop(record);
    match (status, send_at) {
        (MessageStatus::Scheduled, Some(at)) => shared.outbox.wait_for_clock(at, index),
        _ => go_on(shared, index, None, Instant::now()),
    }
}

/// Makes the receipt after `told` due, counted from `since`; the message may have to wait in its
/// sender's queue first.
fn go_on(shared: &Shared, index: usize, told: Option<MessageStatus>, since: Instant) {
    use MessageStatus::{Canceled, Queued};
    let record = shared.record();
    let message = record.message(index);
    let (next, leaves_at) = (message.receipt_after(told), message.leaves_at);
    let waits = message.status.rank() <= Queued.rank();
    drop(record);
    match (next, leaves_at) {
        (None, _) => {}
        // These are told at once.
        (Some(status @ (Queued | Canceled)), _) => {
            shared.outbox.push(Due::new(since, index, status));
        }
        (Some(_), Some(at)) if waits && at > shared.clock.now() => {
            shared.outbox.wait_for_clock(at, index);
        }
        (Some(status), _) => {
            let delay = Duration::from_millis(shared.knobs().receipt_delay_ms);
            shared.outbox.push(Due::new(since + delay, index, status));
        }
    }
}

/// Takes up again what an earlier process did not get through with.
pub(super) fn resume(shared: &Shared) {
    let record = shared.record();
    let open = (0..record.len()).filter(|&index| !record.message(index).closed);
    let open: Vec<usize> = open.collect();
    drop(record);
    for index in open {
        take_up(shared, index);
    }
}

/// Sends receipts as they come due, until it is aborted.
pub(super) async fn run(shared: Arc<Shared>) {
    let permits = Arc::new(Semaphore::new(POSTS_MAX));
    let mut posting = JoinSet::new();
    loop {
        while posting.try_join_next().is_some() {}
        let permit = Arc::clone(&permits).acquire_owned().await.expect("never closed");
        let due = loop {
            release_by_clock(&shared);
            match shared.outbox.next(Instant::now()) {
                Ok(due) => break due,
                Err(wait) => {
                    drop(tokio::time::timeout(wait, shared.outbox.news.notified()).await);
                }
            }
        };
        let shared = Arc::clone(&shared);
        posting.spawn(async move {
            carry_out(&shared, due).await;
            shared.outbox.on_the_wire.fetch_sub(1, Ordering::AcqRel);
            drop(permit);
        });
    }
}

/// Queues the scheduled messages whose time has come, unless they were canceled, and lets go those
/// at the head of their queue.
fn release_by_clock(shared: &Shared) {
    while let Some(index) = shared.outbox.next_by_clock(shared.clock.now()) {
        let status = shared.record().message(index).status;
        match status {
            MessageStatus::Scheduled => {
                let waits = |status| status == MessageStatus::Scheduled;
                if turn_if(shared, index, waits, MessageStatus::Queued, None) {
                    take_up(shared, index);
                }
            }
            MessageStatus::Accepted | MessageStatus::Queued => {
                go_on(shared, index, Some(MessageStatus::Queued), Instant::now());
            }
            _ => {}
        }
    }
}

/// Turns a message to a status, in the record and in its file, if it may still be turned.
pub(super) fn turn_if(
    shared: &Shared,
    index: usize,
    may: impl FnOnce(MessageStatus) -> bool,
    status: MessageStatus,
    error: Option<u32>,
) -> bool {
    let mut record = shared.record();
    if !may(record.message(index).status) {
        return false;
    }
    record.turn(index, status, error);
    let sid = record.message(index).sid;
    drop(record);
    shared.journal.append(&Line::Turned { sid, status, error });
    true
}

/// Turns the message, posts its receipt, and makes the next one due: after the first try of this
/// one, so that they arrive in order unless something goes wrong.
async fn carry_out(shared: &Shared, mut due: Due) {
    let knobs = shared.knobs();
    let first = due.turns;
    if first {
        turn(shared, due);
        due.turns = false;
        let is_sent = due.status == MessageStatus::Sent;
        if is_sent && shared.happens(knobs.share_receipt_swapped) {
            let fate = shared.record().message(due.index).fate;
            let at = due.at + Duration::from_millis(knobs.receipt_delay_ms);
            shared.outbox.push(Due { owes_sent: true, ..Due::new(at, due.index, fate) });
            return;
        }
        if shared.happens(knobs.share_receipt_late) {
            go_on(shared, due.index, Some(due.status), due.at);
            due.at =
                Instant::now() + Duration::from_millis(shared.dice.below(knobs.receipt_late_ms));
            shared.outbox.push(due);
            return;
        }
    }
    let posted = post(shared, knobs, due).await;
    if posted == Posted::Taken && shared.happens(knobs.share_receipt_twice) {
        post_once(shared, due).await;
    }
    if first {
        go_on(shared, due.index, Some(due.status), due.at);
    }
    if due.owes_sent {
        due.owes_sent = false;
        let sent = Due::new(Instant::now(), due.index, MessageStatus::Sent);
        shared.outbox.push(Due { turns: false, ..sent });
    }
    if let Posted::Untaken { again: Some(wait) } = posted {
        due.tries += 1;
        due.at = Instant::now() + wait;
        shared.outbox.push(due);
        return;
    }
    let mut record = shared.record();
    match posted {
        Posted::Taken => record.count_receipt(true),
        Posted::Untaken { .. } | Posted::Lost => record.count_receipt(false),
        Posted::Unwanted => {}
    }
    let (closed, sid) = (record.end_receipt(due.index), record.message(due.index).sid);
    drop(record);
    if closed {
        shared.journal.append(&Line::Closed { sid, closed });
    }
}

/// What became of a receipt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Posted {
    Taken,
    /// Nobody took it; it may be tried again after a while.
    Untaken {
        again: Option<Duration>,
    },
    /// It never arrives, on purpose.
    Lost,
    /// Nobody asked for it.
    Unwanted,
}

/// Brings the message to where its receipt says it is. What an earlier process told stays told.
fn turn(shared: &Shared, due: Due) {
    let record = shared.record();
    let message = record.message(due.index);
    let (odd, expires) = (message.sid.bytes()[0] % 2 == 1, message.expires);
    drop(record);
    let error = match due.status {
        MessageStatus::Undelivered => Some(if odd { 30005 } else { 30003 }),
        MessageStatus::Failed if expires => Some(30036),
        MessageStatus::Failed => Some(30008),
        _ => None,
    };
    let outranks = |status: MessageStatus| status.rank() < due.status.rank();
    turn_if(shared, due.index, outranks, due.status, error);
}

/// Posts a receipt if it is wanted and not lost, and judges the answer.
async fn post(shared: &Shared, knobs: Knobs, due: Due) -> Posted {
    if !knobs.receipts || shared.record().message(due.index).callback.is_none() {
        return Posted::Unwanted;
    }
    if shared.happens(knobs.share_receipt_lost) {
        return Posted::Lost;
    }
    let Some((answered, retries)) = post_once(shared, due).await else {
        return Posted::Unwanted;
    };
    let age = due.first_at.elapsed();
    let again = match answered {
        Answered::With(200..=299) => return Posted::Taken,
        _ if knobs.receipt_retry_secs == 0 => {
            let goes_on = retries.allow(answered, due.tries) && age < POST_TIMEOUT;
            goes_on.then_some(RETRY_FIRST)
        }
        // Kinder than Twilio, but 4xx is a final word: the receiver does not want it.
        Answered::With(400..=499) => return Posted::Taken,
        _ if age > Duration::from_secs(knobs.receipt_retry_secs) => None,
        _ => Some(RETRY_FIRST.saturating_mul(1 << due.tries.min(6)).min(RETRY_LAST)),
    };
    Posted::Untaken { again }
}

/// Posts a receipt, and says how it may be tried again; `None` when there is nowhere to.
async fn post_once(shared: &Shared, due: Due) -> Option<(Answered, Retries)> {
    let message = shared.record().message(due.index).clone();
    let callback = message.callback.as_deref()?;
    let (sid, word) = (message.sid.to_string(), due.status.to_string());
    let is_final = due.status.is_final();
    let code = message.error.filter(|_| is_final).map(|code| code.to_string());
    let done = done_date(&message).filter(|_| is_final);
    let mut params: Vec<(&str, &str)> = vec![
        ("SmsSid", &sid),
        ("SmsStatus", &word),
        ("MessageStatus", &word),
        ("To", &message.to),
        ("MessageSid", &sid),
        ("AccountSid", &message.account),
        ("ApiVersion", "2010-04-01"),
    ];
    params.extend(message.shown_from().map(|from| ("From", from)));
    if message.service {
        params.push(("MessagingServiceSid", &message.from));
    }
    params.extend(code.as_deref().map(|code| ("ErrorCode", code)));
    params.extend(done.as_deref().map(|done| ("RawDlrDoneDate", done)));
    let webhook = Webhook {
        url: callback,
        auth_token: &shared.token_of(&message.account),
        idempotency_token: &format!("{sid}-{word}"),
        params: &params,
    };
    let answered = shared.poster.post(&webhook, Instant::now() + POST_TIMEOUT).await?;
    Some((answered, Retries::of(callback)))
}

/// The network's own time of a receipt, `YYMMDDhhmm`; only of what left the carrier.
fn done_date(message: &Kept) -> Option<String> {
    let at = message.at.timestamp().to_zoned(jiff::tz::TimeZone::UTC);
    let left = message.has_left() && message.status != MessageStatus::Sent;
    left.then(|| jiff::fmt::strtime::format("%y%m%d%H%M", &at).ok())?
}
