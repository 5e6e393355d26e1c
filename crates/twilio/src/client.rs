//! The send path: texts to Twilio, one HTTP exchange each, and the few calls that look for what
//! became of them.
//!
//! Nothing here retries. [`Client::create_message`] always returns an [`Outcome`], never an error:
//! what cannot be known is an outcome too.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Uri};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::time::Instant;

use crate::io::Mark;
use crate::outcome::{Ended, Exchange, FailureKind, Outcome};
use crate::pool::{Origin, Outgoing, Pool, Trust};
use crate::wire::{CreateMessage, ErrorBody, ListFilter, MessagePage, MessageResource, Sid};

/// The largest answer to a text that is read; a message is below 20 KiB.
const CREATED_BYTES_MAX: usize = 64 * 1024;
/// The largest answer to a question that is read: a page of 1000 messages can be several MiB.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How to reach one Twilio account.
#[derive(Clone, Debug)]
pub struct Config {
    /// `https://api.twilio.com`, or the sandbox carrier's address; no path.
    pub base: String,
    /// The account texts are sent on, `AC…`.
    pub account_sid: String,
    /// The account SID, or an API key's SID `SK…` (recommended for sending).
    pub username: String,
    /// The auth token, or the API key's secret.
    pub password: SecretString,
    /// Requests in flight at once, and connections kept; at least 1.
    pub concurrency: usize,
    /// When to give up.
    pub timeouts: Timeouts,
}

/// When to give up on a request.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// On connecting, TLS included.
    pub connect: Duration,
    /// On the whole request, waiting for a free connection included.
    pub total: Duration,
}

impl Default for Timeouts {
    /// 5 s to connect, 30 s in all, as long as Twilio's own libraries wait (FACTS 1.5).
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(30) }
    }
}

/// Why a client could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The base is not an `http` or `https` origin.
    #[error("not an http or https address: {0:?}")]
    Base(String),
    /// The account SID cannot stand in a path.
    #[error("not an account SID: {0:?}")]
    AccountSid(String),
    /// No request could ever be sent.
    #[error("concurrency must be at least 1")]
    Concurrency,
    /// A certificate authority is no certificate in DER.
    #[error("not the certificate of an authority")]
    Authority,
}

/// Why a question to Twilio has no answer. Asking is harmless, so these may be retried.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ApiError {
    /// Twilio refused in its own words; 404 with code 20404 means that there is no such message.
    #[error("Twilio refused with {code} (HTTP {http}): {message}")]
    Refused {
        /// Twilio's error code.
        code: u32,
        /// The HTTP status.
        http: u16,
        /// Twilio's text.
        message: String,
    },
    /// There was no complete answer.
    #[error("no answer: {0}")]
    NoAnswer(FailureKind),
    /// The answer made no sense.
    #[error("an unreadable answer (HTTP {0})")]
    Unreadable(u16),
}

/// A client of one Twilio account.
pub struct Client {
    pool: Pool,
    /// For a POST; a GET ignores its content type.
    headers: HeaderMap,
    account_path: String,
    messages: Uri,
    total_timeout: Duration,
}

impl Client {
    /// A client; connects when first used. The carrier's certificate must lead to one of the
    /// public web's authorities.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        Self::trusting(config, Trust::default())
    }

    /// A client of a carrier behind private certificate authorities, such as a company's proxy.
    /// Each authority is a certificate in DER; the public web's are not trusted.
    pub fn with_authorities<A: AsRef<[u8]>>(
        config: Config,
        authorities: &[A],
    ) -> Result<Self, ConfigError> {
        let trust = Trust::only(authorities.iter().map(AsRef::as_ref));
        Self::trusting(config, trust.ok_or(ConfigError::Authority)?)
    }

    #[expect(clippy::needless_pass_by_value, reason = "the secrets move in, nothing keeps them")]
    fn trusting(config: Config, trust: Trust) -> Result<Self, ConfigError> {
        if config.concurrency == 0 {
            return Err(ConfigError::Concurrency);
        }
        let base = || ConfigError::Base(config.base.clone());
        let url: Uri = config.base.parse().map_err(|_| base())?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(base());
        }
        let pool = Origin::of(&url)
            .and_then(|origin| {
                Pool::new(origin, trust, config.concurrency, config.timeouts.connect)
            })
            .ok_or_else(base)?;
        let account_sid = || ConfigError::AccountSid(config.account_sid.clone());
        if !config.account_sid.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(account_sid());
        }
        let account_path = format!("/2010-04-01/Accounts/{}", config.account_sid);
        let messages =
            format!("{account_path}/Messages.json").parse().map_err(|_| account_sid())?;
        Ok(Self {
            pool,
            headers: constant_headers(&config.username, &config.password),
            account_path,
            messages,
            total_timeout: config.timeouts.total,
        })
    }

    /// Sends a text: one HTTP exchange, classified by CORE C.2. Dropping the future closes the
    /// connection; what was written before stays written.
    pub async fn create_message(&self, message: &CreateMessage<'_>) -> Outcome {
        self.create(message, None).await
    }

    /// Like [`Self::create_message`], and calls `mark` exactly once, synchronously, right before
    /// the first byte of the request is handed to the socket; not at all when nothing was handed
    /// over. If `mark` fails, nothing is written and the outcome is `NotSent`.
    pub async fn create_message_marked(
        &self,
        message: &CreateMessage<'_>,
        mark: impl FnOnce() -> std::io::Result<()> + Send + 'static,
    ) -> Outcome {
        self.create(message, Some(Box::new(mark))).await
    }

    async fn create(&self, message: &CreateMessage<'_>, mark: Option<Mark>) -> Outcome {
        let request = Outgoing {
            method: Method::POST,
            uri: self.messages.clone(),
            headers: &self.headers,
            body: Bytes::from(message.encode()),
            answer_bytes_max: CREATED_BYTES_MAX,
        };
        self.exchange(&request, mark).await.outcome()
    }

    /// Fetches a message.
    pub async fn message(&self, sid: &Sid) -> Result<MessageResource, ApiError> {
        self.ask(Method::GET, self.message_uri(sid), Bytes::new()).await
    }

    /// Fetches a message, or nothing if Twilio does not know it (404, 20404).
    pub async fn find_message(&self, sid: &Sid) -> Result<Option<MessageResource>, ApiError> {
        match self.message(sid).await {
            Ok(message) => Ok(Some(message)),
            Err(ApiError::Refused { http: 404, code: 20404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The first page of the messages that match, newest first.
    pub async fn list_messages(&self, filter: &ListFilter<'_>) -> Result<MessagePage, ApiError> {
        let query = filter.encode();
        let mark = if query.is_empty() { "" } else { "?" };
        self.next_page(&format!("{}/Messages.json{mark}{query}", self.account_path)).await
    }

    /// The page behind a `next_page_uri`, which is followed as it is.
    pub async fn next_page(&self, next_page_uri: &str) -> Result<MessagePage, ApiError> {
        // Only a path of this account: our credentials must not be carried elsewhere.
        let path = next_page_uri.strip_prefix(&self.account_path);
        let path = path.filter(|rest| rest.starts_with('/')).map(|_| next_page_uri);
        let uri = path.and_then(|path| path.parse().ok());
        let uri = uri.ok_or(ApiError::NoAnswer(FailureKind::Protocol))?;
        self.ask(Method::GET, uri, Bytes::new()).await
    }

    /// Cancels a scheduled message; refused with 30409 once it is on its way.
    pub async fn cancel(&self, sid: &Sid) -> Result<MessageResource, ApiError> {
        self.ask(Method::POST, self.message_uri(sid), Bytes::from_static(b"Status=canceled")).await
    }

    /// Removes a message's text at Twilio; the record stays.
    pub async fn redact(&self, sid: &Sid) -> Result<MessageResource, ApiError> {
        self.ask(Method::POST, self.message_uri(sid), Bytes::from_static(b"Body=")).await
    }

    /// Deletes a message and its text; what it cost stays on the bill. Refused with 404 and 20404
    /// when Twilio does not know it, and with 20009 while it is not in its final state: then it
    /// may be asked again, minutes or rarely days later (FACTS 1.4).
    pub async fn delete(&self, sid: &Sid) -> Result<(), ApiError> {
        match self.answer(Method::DELETE, self.message_uri(sid), Bytes::new()).await? {
            (204, _) => Ok(()),
            (status, _) => Err(ApiError::Unreadable(status)),
        }
    }

    fn message_uri(&self, sid: &Sid) -> Uri {
        format!("{}/Messages/{sid}.json", self.account_path)
            .parse()
            .expect("an account path and a SID make a path")
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        uri: Uri,
        body: Bytes,
    ) -> Result<T, ApiError> {
        let (status, answer) = self.answer(method, uri, body).await?;
        serde_json::from_slice(&answer).map_err(|_| ApiError::Unreadable(status))
    }

    /// The status and body of an answer that says yes.
    async fn answer(
        &self,
        method: Method,
        uri: Uri,
        body: Bytes,
    ) -> Result<(u16, Bytes), ApiError> {
        let answer_bytes_max = ANSWER_BYTES_MAX;
        let request = Outgoing { method, uri, headers: &self.headers, body, answer_bytes_max };
        match self.exchange(&request, None).await.ended {
            Ended::Failed(kind) => Err(ApiError::NoAnswer(kind)),
            Ended::Response { status, body } if (200..300).contains(&status) => Ok((status, body)),
            Ended::Response { status: http, body } => Err(match ErrorBody::parse(&body) {
                Some(ErrorBody { code, message, .. }) => {
                    ApiError::Refused { code, http, message: message.unwrap_or_default() }
                }
                None => ApiError::Unreadable(http),
            }),
        }
    }

    async fn exchange(&self, request: &Outgoing<'_>, mark: Option<Mark>) -> Exchange {
        let deadline = Instant::now() + self.total_timeout;
        let exchange = self.pool.exchange(request, mark, deadline).await;
        let again = match exchange.ended {
            Ended::Failed(_) => domain::mutant!(M14),
            Ended::Response { status, .. } => domain::mutant!(M15) && (300..400).contains(&status),
        };
        if again { self.pool.exchange(request, None, deadline).await } else { exchange }
    }
}

fn constant_headers(username: &str, password: &SecretString) -> HeaderMap {
    let credentials = BASE64.encode(format!("{username}:{}", password.expose_secret()));
    let mut authorization = HeaderValue::try_from(format!("Basic {credentials}"))
        .expect("base64 can stand in a header");
    authorization.set_sensitive(true);
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(AUTHORIZATION, authorization);
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"),
    );
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static("ledgerline"));
    headers
}
