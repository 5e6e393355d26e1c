//! `Idempotency-Key`: the same key with the same request gets the same answer, another request
//! under it is refused.
//!
//! The answer is written in the transaction of the effect, so that there is never one without the
//! other. Only successes are kept: a refusal changed nothing and may be asked again.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::ids::AccountId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use store::Tx;
use store::idempotency::{self, KeptAnswer};

use super::json;
use super::problem::{Code, Problem, Result};
use crate::entry::app::App;
use crate::flow::messages::RequestKey;

/// The request's header.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const KEY_CHARS_MAX: usize = 255;
/// Transactions that meet others are run again this often.
const ATTEMPTS_MAX: u32 = 4;

/// A POST with a JSON body.
pub struct Asked<T> {
    /// What the body says.
    pub wanted: T,
    /// Sees to it that it happens once.
    pub once: Once,
}

/// A POST whose path says everything.
pub struct Bare(pub Once);

/// A POST with a body of another kind.
pub struct Raw {
    /// The body.
    pub body: Bytes,
    /// Sees to it that it happens once.
    pub once: Once,
}

/// Has the effect of a request happen once.
#[derive(Clone, Debug)]
pub struct Once {
    key: Option<RequestKey>,
}

/// An answer, given now or before.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// JSON.
    pub body: String,
    /// It was given before.
    pub replayed: bool,
}

async fn body_of<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::new(Code::PayloadTooLarge, "the body is larger than this route takes")
        } else {
            Problem::malformed("body", "the body could not be read to its end")
        }
    })
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        json::check_content_type(request.headers())?;
        let Raw { body, once } = Raw::from_request(request, state).await?;
        Ok(Self { wanted: json::read(&body)?, once })
    }
}

impl<S: Send + Sync> FromRequest<S> for Bare {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let Raw { body, once } = Raw::from_request(request, state).await?;
        if !body.trim_ascii().is_empty() {
            json::read::<Nothing>(&body)?;
        }
        Ok(Self(once))
    }
}

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let key = key_of(&request)?.map(str::to_owned).filter(|_| !domain::mutant!(M23));
        let place = format!("{} {}", request.method(), request.uri());
        let body = body_of(request, state).await?;
        let key = key.map(|key| RequestKey { key, hash: digest(&place, &body) });
        Ok(Self { body, once: Once { key } })
    }
}

fn key_of(request: &Request) -> Result<Option<&str>> {
    let Some(value) = request.headers().get(KEY) else { return Ok(None) };
    let key = value.to_str().ok().map(str::trim);
    let fits = |key: &&str| {
        (1..=KEY_CHARS_MAX).contains(&key.len())
            && key.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    };
    key.filter(fits).map(Some).ok_or_else(|| {
        let words = format!("write 1 to {KEY_CHARS_MAX} printable ASCII characters");
        Problem::malformed("Idempotency-Key", words)
    })
}

fn digest(place: &str, body: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(place.as_bytes());
    hasher.update([0]);
    hasher.update(body);
    hasher.finalize().into()
}

impl Once {
    /// Runs `effect` in a transaction of its own and keeps its answer there, or gives the answer
    /// that was given before. `effect` gives the transaction back with its answer; it is run again
    /// when its transaction met another one.
    pub async fn run<T, Fut>(
        &self,
        app: &App,
        account: AccountId,
        effect: impl Fn(Tx) -> Fut + Send,
    ) -> Result<Answer>
    where
        T: Serialize,
        Fut: Future<Output = Result<(Tx, StatusCode, T)>> + Send,
    {
        let mut attempt = 1;
        loop {
            match self.attempt(app, account, &effect).await {
                Err(problem) if problem.is_passing() && attempt < ATTEMPTS_MAX => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    async fn attempt<T, Fut>(
        &self,
        app: &App,
        account: AccountId,
        effect: &impl Fn(Tx) -> Fut,
    ) -> Result<Answer>
    where
        T: Serialize,
        Fut: Future<Output = Result<(Tx, StatusCode, T)>>,
    {
        let mut tx = app.db.begin().await?;
        if let Some(key) = &self.key {
            let kept = idempotency::take_key(&mut tx, account, &key.key, key.hash).await?;
            if let Some(kept) = kept {
                return self.replay(kept);
            }
        }
        let (mut tx, status, value) = effect(tx).await?;
        if domain::mutant!(M60) {
            tx.commit().await?;
            tx = app.db.begin().await?;
        }
        let answer = Answer::new(status, &value);
        if let Some(key) = &self.key {
            let (status, body) = (answer.status.as_u16(), &answer.body);
            idempotency::keep_answer(&mut tx, account, &key.key, status, body).await?;
        }
        tx.commit().await?;
        Ok(answer)
    }

    /// The answer given before, for effects that take several transactions.
    pub async fn before(&self, app: &App, account: AccountId) -> Result<Option<Answer>> {
        let Some(key) = &self.key else { return Ok(None) };
        let mut tx = app.db.read().await?;
        let kept = idempotency::find_answer(&mut tx, account, &key.key).await?;
        kept.map(|kept| self.replay(kept)).transpose()
    }

    /// Keeps the answer of an effect that is done. Of two that ran at once, both get the first
    /// one's answer.
    pub async fn after<T: Serialize>(
        &self,
        app: &App,
        account: AccountId,
        status: StatusCode,
        value: &T,
    ) -> Result<Answer> {
        let answer = Answer::new(status, value);
        let Some(key) = &self.key else { return Ok(answer) };
        let mut tx = app.db.begin().await?;
        let kept = idempotency::take_key(&mut tx, account, &key.key, key.hash).await?;
        if let Some(kept) = kept {
            return self.replay(kept);
        }
        let (status, body) = (answer.status.as_u16(), &answer.body);
        idempotency::keep_answer(&mut tx, account, &key.key, status, body).await?;
        tx.commit().await?;
        Ok(answer)
    }

    /// Gives an answer that was kept, if it was for this request.
    pub fn replay(&self, kept: KeptAnswer) -> Result<Answer> {
        if self.key.as_ref().is_none_or(|key| key.hash != kept.request_hash) {
            let words = "this Idempotency-Key was used for another request; take a new one";
            return Err(Problem::new(Code::IdempotencyMismatch, words));
        }
        let status = StatusCode::from_u16(kept.status)
            .map_err(|_| Problem::internal("an answer was kept without a status"))?;
        Ok(Answer { status, body: kept.body, replayed: true })
    }

    /// The key, for flows that keep answers themselves.
    pub const fn key(&self) -> Option<&RequestKey> {
        self.key.as_ref()
    }
}

impl Answer {
    /// A new answer.
    pub fn new<T: Serialize>(status: StatusCode, value: &T) -> Self {
        let body = serde_json::to_string(value).expect("answers are valid JSON");
        Self { status, body, replayed: false }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}
