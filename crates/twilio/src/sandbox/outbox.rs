//! Receipts on their way to whoever asked for them: signed like Twilio's, tried again for a while.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Uri};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::Shared;
use crate::outcome::Ended;
use crate::pool::{Origin, Outgoing, Pool};
use crate::signature;
use crate::wire::MessageStatus;

/// Receipts on the wire at once.
const RECEIPTS_MAX: usize = 32;
/// Twilio gives a webhook this long.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);
const LATE_MS_MAX: u64 = 5000;
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

/// Receipts to be sent.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<BinaryHeap<Reverse<Due>>>,
    pools: Mutex<HashMap<Origin, Arc<Pool>>>,
    news: Notify,
}

impl Outbox {
    fn push(&self, due: Due) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Reverse(due));
        self.news.notify_one();
    }

    /// Receipts still to be sent.
    pub fn pending(&self) -> u64 {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len();
        u64::try_from(waiting).unwrap_or(u64::MAX)
    }

    /// The next receipt that is due, or how long until one is.
    fn next(&self, now: Instant) -> Result<Due, Duration> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.peek() {
            Some(Reverse(due)) if due.at <= now => {
                Ok(waiting.pop().expect("it was just looked at").0)
            }
            Some(Reverse(due)) => Err(due.at - now),
            None => Err(Duration::from_secs(3600)),
        }
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

/// Plans the receipts of a message that was just accepted.
pub(super) fn plan(shared: &Shared, index: usize) {
    let knobs = shared.knobs();
    let now = Instant::now();
    let at = now + Duration::from_millis(knobs.receipt_delay_ms);
    shared.outbox.push(Due { at, index, final_one: false, tries: 0, first_at: at });
}

/// Plans again what an earlier process did not get through with.
pub(super) fn resume(shared: &Shared) {
    let record = shared.record();
    let open = (0..record.len()).filter(|&index| !record.message(index).closed);
    let open: Vec<usize> = open.collect();
    drop(record);
    for index in open {
        plan(shared, index);
    }
}

/// Sends receipts as they come due, for ever.
pub(super) async fn run(shared: Arc<Shared>) {
    let permits = Arc::new(Semaphore::new(RECEIPTS_MAX));
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await.expect("never closed");
        let due = loop {
            match shared.outbox.next(Instant::now()) {
                Ok(due) => break due,
                Err(wait) => {
                    drop(tokio::time::timeout(wait, shared.outbox.news.notified()).await);
                }
            }
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            carry_out(&shared, due).await;
            drop(permit);
        });
    }
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
    let lost = !knobs.receipts || shared.happens(knobs.share_receipt_lost);
    let taken = lost || post(shared, due).await;
    if taken && shared.happens(knobs.share_receipt_twice) {
        post(shared, due).await;
    }
    let given_up = due.first_at.elapsed() > Duration::from_secs(knobs.receipt_retry_secs);
    if !taken && !given_up {
        let wait = RETRY_FIRST.saturating_mul(1 << due.tries.min(6)).min(RETRY_LAST);
        due.tries += 1;
        due.at = Instant::now() + wait;
        shared.outbox.push(due);
        return;
    }
    let mut record = shared.record();
    record.count_receipt(taken && !lost);
    record.end_receipt(due.index);
}

/// Brings the message to where its receipt says it is.
fn turn(shared: &Shared, due: Due) {
    let mut record = shared.record();
    let message = record.message(due.index);
    let (fate, status) = (message.fate, message.status);
    if matches!(status, MessageStatus::Canceled) {
        return;
    }
    if due.final_one {
        let error = match fate {
            MessageStatus::Undelivered => {
                Some(if message.sid.bytes()[0].is_multiple_of(2) { 30003 } else { 30005 })
            }
            MessageStatus::Failed => Some(30008),
            _ => None,
        };
        record.turn(due.index, fate, error);
    } else if fate != MessageStatus::Failed && status == MessageStatus::Queued {
        record.turn(due.index, MessageStatus::Sent, None);
    }
}

/// Posts one receipt; true when it was answered 2xx, or nobody wants it.
async fn post(shared: &Shared, due: Due) -> bool {
    let message = shared.record().message(due.index).clone();
    let Some(callback) = &message.callback else { return true };
    // A text that fails tells so at once; there is no `sent` before it.
    let status = if due.final_one { message.fate } else { MessageStatus::Sent };
    if !due.final_one && message.fate == MessageStatus::Failed {
        return true;
    }
    let url = callback.split('#').next().unwrap_or_default();
    let Some((origin, path)) = url.parse::<Uri>().ok().and_then(|uri| {
        let path = uri.path_and_query()?.as_str().parse::<Uri>().ok()?;
        Some((Origin::of(&uri)?, path))
    }) else {
        return true;
    };
    let Some(pool) = shared.outbox.pool(origin) else { return true };
    let sid = message.sid.to_string();
    let word = status.to_string();
    let code = if due.final_one { message.error.map(|code| code.to_string()) } else { None };
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
    matches!(exchange.ended, Ended::Response { status: 200..=299 | 400..=499, .. })
}
