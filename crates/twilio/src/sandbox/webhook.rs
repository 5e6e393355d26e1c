//! Webhooks as Twilio posts them: a signed form, tried again as the fragment of its address asks.
//!
//! When a post is made and what it says is decided elsewhere: receipts in [`super::outbox`], texts
//! from phones in [`super::inbound`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Uri};
use tokio::time::Instant;

use crate::outcome::Ended;
use crate::pool::{Origin, Outgoing, Pool, Trust};
use crate::signature;

/// Webhooks on the wire at once.
pub(super) const POSTS_MAX: usize = 128;
/// Twilio gives a webhook this long, its retries included (FACTS 3).
pub(super) const POST_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What a webhook answers is not read further; the answer to a receipt is ignored anyway.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const SIGNATURE: HeaderName = HeaderName::from_static("x-twilio-signature");
const TOKEN: HeaderName = HeaderName::from_static("i-twilio-idempotency-token");

/// One post.
pub(super) struct Webhook<'a> {
    /// Where to, fragment included.
    pub url: &'a str,
    /// Signs it.
    pub auth_token: &'a str,
    /// The same on every try of one webhook.
    pub idempotency_token: &'a str,
    /// The form, which is signed too.
    pub params: &'a [(&'a str, &'a str)],
}

/// What became of a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// It was answered.
    With(u16),
    /// No connection, or no TLS: not a byte of it left.
    Unreached,
    /// It left and was not answered whole.
    Broken,
}

/// Posts webhooks, over connections that it keeps.
#[derive(Default)]
pub(super) struct Poster(Mutex<HashMap<Origin, Arc<Pool>>>);

impl Poster {
    /// Posts once; `None` when the address is none.
    pub async fn post(&self, webhook: &Webhook<'_>, deadline: Instant) -> Option<Answered> {
        let url = webhook.url.split('#').next().unwrap_or_default();
        let uri: Uri = url.parse().ok()?;
        let path = uri.path_and_query()?.as_str().parse().ok()?;
        let pool = self.pool(Origin::of(&uri)?)?;
        let signed = signature::sign(webhook.auth_token, url, webhook.params);
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, kind),
            (SIGNATURE, HeaderValue::from_str(&signed).ok()?),
            (TOKEN, HeaderValue::from_str(webhook.idempotency_token).ok()?),
        ]);
        let form = String::with_capacity(400);
        let form = form_urlencoded::Serializer::new(form).extend_pairs(webhook.params).finish();
        let request = Outgoing {
            method: Method::POST,
            uri: path,
            headers: &headers,
            body: Bytes::from(form),
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let exchange = pool.exchange(&request, None, deadline).await;
        Some(match exchange.ended {
            Ended::Response { status, .. } => Answered::With(status),
            Ended::Failed(_) if exchange.bytes_written == 0 => Answered::Unreached,
            Ended::Failed(_) => Answered::Broken,
        })
    }

    fn pool(&self, origin: Origin) -> Option<Arc<Pool>> {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&origin) {
            return Some(Arc::clone(pool));
        }
        let pool = Pool::new(origin.clone(), Trust::default(), POSTS_MAX, CONNECT_TIMEOUT)?;
        let pool = Arc::new(pool);
        pools.insert(origin, Arc::clone(&pool));
        Some(pool)
    }
}

/// The retries that the fragment of an address asks for (FACTS 3.4): `#rc=5&rp=all`. What it does
/// not say is Twilio's default: one retry, after a failed connection only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retries {
    most: u32,
    after_connection: bool,
    after_silence: bool,
    after_4xx: bool,
    after_5xx: bool,
}

impl Retries {
    /// Reads them from an address; a number out of range counts as the nearest in it.
    pub fn of(url: &str) -> Self {
        let fragment = url.split_once('#').map_or("", |(_, fragment)| fragment);
        let value = |name: &str| {
            fragment.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let policy = value("rp").unwrap_or("ct");
        let says = |word: &str| policy.split(',').any(|said| said == word || said == "all");
        Self {
            most: value("rc").and_then(|count| count.parse().ok()).unwrap_or(1).min(5),
            after_connection: says("ct"),
            after_silence: says("rt"),
            after_4xx: says("4xx"),
            after_5xx: says("5xx"),
        }
    }

    /// Whether there is another try after `tries` retries and this end.
    pub const fn allow(self, answered: Answered, tries: u32) -> bool {
        tries < self.most
            && match answered {
                Answered::Unreached => self.after_connection,
                Answered::Broken => self.after_silence,
                Answered::With(400..=499) => self.after_4xx,
                Answered::With(500..=599) => self.after_5xx,
                Answered::With(_) => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_say_how_often_and_after_what() {
        use Answered::{Broken, Unreached, With};
        let ends = [Unreached, Broken, With(404), With(503), With(204), With(302)];
        #[rustfmt::skip]
        let cases = [
            ("https://h.example/", [1, 0, 0, 0, 0, 0]),
            ("https://h.example/#rc=0", [0, 0, 0, 0, 0, 0]),
            ("https://h.example/#rc=3", [3, 0, 0, 0, 0, 0]),
            ("https://h.example/#rc=99", [5, 0, 0, 0, 0, 0]),
            ("https://h.example/#rc=x", [1, 0, 0, 0, 0, 0]),
            ("https://h.example/?rc=4#rp=rt", [0, 1, 0, 0, 0, 0]),
            ("https://h.example/#rp=4xx,5xx&rc=2", [0, 0, 2, 2, 0, 0]),
            ("https://h.example/#rc=5&rp=all", [5, 5, 5, 5, 0, 0]),
            ("https://h.example/#ct=500&rc=2&rp=5xx&e=ashburn", [0, 0, 0, 2, 0, 0]),
        ];
        for (url, expected) in cases {
            let retries = Retries::of(url);
            let counts = ends.map(|end| {
                u32::try_from((0..9).take_while(|&tries| retries.allow(end, tries)).count())
                    .expect("small")
            });
            assert_eq!(counts, expected, "{url}");
        }
    }
}
