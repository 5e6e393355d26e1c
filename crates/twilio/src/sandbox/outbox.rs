//! Receipts on their way to whoever asked for them: signed like Twilio's, tried again for a while.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Uri};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Shared;
use super::journal::Line;
use super::record::Kept;
use crate::outcome::Ended;
use crate::pool::{Origin, Outgoing, Pool};
use crate::signature;
use crate::wire::MessageStatus;

/// Receipts on the wire at once.
const RECEIPTS_MAX: usize = 128;
/// Twilio gives a webhook this long.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);
const LATE_MS_MAX: u64 = 5000;
/// How often the clock is asked whether a scheduled message is due.
const SCHEDULE_TICK: Duration = Duration::from_millis(100);
/// What a webhook answers is not read further; Twilio ignores it too.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const SIGNATURE: HeaderName = HeaderName::from_static("x-twilio-signature");
const TOKEN: HeaderName = HeaderName::from_static("i-twilio-idempotency-token");

/// A receipt that is due some time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    index: usize,
    final_one: bool,
    tries: u32,
    first_at: Instant,
}

/// Receipts to be sent, and messages that wait for their `SendAt`.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<BinaryHeap<Reverse<Due>>>,
    on_the_wire: AtomicU64,
    scheduled: Mutex<BinaryHeap<Reverse<(domain::instant::Instant, usize)>>>,
    pools: Mutex<HashMap<Origin, Arc<Pool>>>,
    news: Notify,
}

type Heap<T> = BinaryHeap<Reverse<T>>;

fn locked<T>(heap: &Mutex<Heap<T>>) -> MutexGuard<'_, Heap<T>> {
    heap.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outbox {
    fn push(&self, due: Due) {
        locked(&self.waiting).push(Reverse(due));
        self.news.notify_one();
    }

    fn schedule(&self, at: domain::instant::Instant, index: usize) {
        locked(&self.scheduled).push(Reverse((at, index)));
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
        Err(if locked(&self.scheduled).is_empty() { wait } else { wait.min(SCHEDULE_TICK) })
    }

    /// A scheduled message whose time has come.
    fn next_scheduled(&self, now: domain::instant::Instant) -> Option<usize> {
        let mut scheduled = locked(&self.scheduled);
        let Reverse((at, _)) = *scheduled.peek()?;
        let due = if at <= now { scheduled.pop() } else { None };
        due.map(|Reverse((_, index))| index)
    }

    fn pool(&self, origin: Origin) -> Option<Arc<Pool>> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&origin) {
            return Some(Arc::clone(pool));
        }
        let pool = Arc::new(Pool::new(origin.clone(), RECEIPTS_MAX, CONNECT_TIMEOUT)?);
        pools.insert(origin, Arc::clone(&pool));
        Some(pool)
    }
}

/// Goes on with a message where it stands: sends its receipts, or waits for its time.
pub(super) fn take_up(shared: &Shared, index: usize) {
    let record = shared.record();
    let (status, send_at) = (record.message(index).status, record.message(index).send_at);
    drop(record);
    match (status, send_at) {
        (MessageStatus::Scheduled, Some(at)) => shared.outbox.schedule(at, index),
        (MessageStatus::Canceled, _) => {
            let now = Instant::now();
            let due = Due { at: now, index, final_one: true, tries: 0, first_at: now };
            shared.outbox.push(due);
        }
        _ => {
            let delay = Duration::from_millis(shared.knobs().receipt_delay_ms);
            let at = Instant::now() + delay;
            shared.outbox.push(Due { at, index, final_one: false, tries: 0, first_at: at });
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
    let permits = Arc::new(Semaphore::new(RECEIPTS_MAX));
    let mut posting = JoinSet::new();
    loop {
        while posting.try_join_next().is_some() {}
        let permit = Arc::clone(&permits).acquire_owned().await.expect("never closed");
        let due = loop {
            release_scheduled(&shared);
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

/// Queues the scheduled messages whose time has come, unless they were canceled.
fn release_scheduled(shared: &Shared) {
    while let Some(index) = shared.outbox.next_scheduled(shared.clock.now()) {
        let waits = |status| status == MessageStatus::Scheduled;
        if turn_if(shared, index, waits, MessageStatus::Queued, None) {
            take_up(shared, index);
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

async fn carry_out(shared: &Shared, mut due: Due) {
    let knobs = shared.knobs();
    if due.tries == 0 {
        turn(shared, due);
        if !due.final_one {
            let at = due.at + Duration::from_millis(knobs.receipt_delay_ms);
            shared.outbox.push(Due { at, final_one: true, first_at: at, ..due });
        }
        if shared.happens(knobs.share_receipt_late) {
            due.tries = 1;
            due.at = Instant::now() + Duration::from_millis(shared.dice.below(LATE_MS_MAX));
            shared.outbox.push(due);
            return;
        }
    }
    let wanted = knobs.receipts && shared.record().message(due.index).callback.is_some();
    let posted = match wanted {
        false => Posted::Unwanted,
        true if shared.happens(knobs.share_receipt_lost) => Posted::Lost,
        true => post(shared, due).await,
    };
    let given_up = due.first_at.elapsed() > Duration::from_secs(knobs.receipt_retry_secs);
    if posted == Posted::Untaken && !given_up {
        let wait = RETRY_FIRST.saturating_mul(1 << due.tries.min(6)).min(RETRY_LAST);
        due.tries += 1;
        due.at = Instant::now() + wait;
        shared.outbox.push(due);
        return;
    }
    if posted == Posted::Taken && shared.happens(knobs.share_receipt_twice) {
        post(shared, due).await;
    }
    let mut record = shared.record();
    match posted {
        Posted::Taken => record.count_receipt(true),
        Posted::Untaken | Posted::Lost => record.count_receipt(false),
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
    /// Nobody took it yet.
    Untaken,
    /// It never arrives, on purpose.
    Lost,
    /// Nobody asked for it.
    Unwanted,
}

/// Brings the message to where its receipt says it is. What an earlier process told stays told.
fn turn(shared: &Shared, due: Due) {
    let record = shared.record();
    let message = record.message(due.index);
    let (fate, odd) = (message.fate, message.sid.bytes()[0] % 2 == 1);
    drop(record);
    let error = match fate {
        MessageStatus::Undelivered => Some(if odd { 30005 } else { 30003 }),
        MessageStatus::Failed => Some(30008),
        _ => None,
    };
    if due.final_one {
        turn_if(shared, due.index, |status| !status.is_final(), fate, error);
    } else if fate != MessageStatus::Failed {
        let sent = MessageStatus::Sent;
        turn_if(shared, due.index, |status| status.rank() < sent.rank(), sent, None);
    }
}

/// Posts one receipt.
async fn post(shared: &Shared, due: Due) -> Posted {
    let message = shared.record().message(due.index).clone();
    let Some(callback) = &message.callback else { return Posted::Unwanted };
    // A text that fails tells so at once; there is no `sent` before it.
    let status = if due.final_one { message.fate } else { MessageStatus::Sent };
    if !due.final_one && message.fate == MessageStatus::Failed {
        return Posted::Unwanted;
    }
    let url = callback.split('#').next().unwrap_or_default();
    let Some((origin, path)) = url.parse::<Uri>().ok().and_then(|uri| {
        let path = uri.path_and_query()?.as_str().parse::<Uri>().ok()?;
        Some((Origin::of(&uri)?, path))
    }) else {
        return Posted::Unwanted;
    };
    let Some(pool) = shared.outbox.pool(origin) else { return Posted::Unwanted };
    let sid = message.sid.to_string();
    let word = status.to_string();
    let code = message.error.filter(|_| due.final_one).map(|code| code.to_string());
    let done = done_date(&message).filter(|_| due.final_one);
    let mut params: Vec<(&str, &str)> = vec![
        ("SmsSid", &sid),
        ("SmsStatus", &word),
        ("MessageStatus", &word),
        ("To", &message.to),
        ("MessageSid", &sid),
        ("AccountSid", &message.account),
        ("ApiVersion", "2010-04-01"),
    ];
    params.push((if message.service { "MessagingServiceSid" } else { "From" }, &message.from));
    if let Some(code) = &code {
        params.push(("ErrorCode", code));
    }
    if let Some(done) = &done {
        params.push(("RawDlrDoneDate", done));
    }
    let signed = signature::sign(&shared.token_of(&message.account), url, &params);
    let mut headers = HeaderMap::new();
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(CONTENT_TYPE, form);
    if let Ok(signed) = HeaderValue::from_str(&signed) {
        headers.insert(SIGNATURE, signed);
    }
    if let Ok(token) = HeaderValue::from_str(&format!("{sid}-{word}")) {
        headers.insert(TOKEN, token);
    }
    let form =
        form_urlencoded::Serializer::new(String::with_capacity(400)).extend_pairs(params).finish();
    let body = Bytes::from(form);
    let request = Outgoing {
        method: Method::POST,
        uri: path,
        headers: &headers,
        body,
        answer_bytes_max: ANSWER_BYTES_MAX,
    };
    let exchange = pool.exchange(&request, None, Instant::now() + RECEIPT_TIMEOUT).await;
    // 4xx is a final word: the receiver does not want it.
    match exchange.ended {
        Ended::Response { status: 200..=299 | 400..=499, .. } => Posted::Taken,
        _ => Posted::Untaken,
    }
}

/// The network's own time of a receipt, `YYMMDDhhmm`; only of what left the carrier.
fn done_date(message: &Kept) -> Option<String> {
    let at = message.at.timestamp().to_zoned(jiff::tz::TimeZone::UTC);
    let left = message.has_left() && message.status != MessageStatus::Sent;
    left.then(|| jiff::fmt::strtime::format("%y%m%d%H%M", &at).ok())?
}
