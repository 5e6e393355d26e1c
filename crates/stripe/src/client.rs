//! Questions to Stripe over HTTP, one exchange each.
//!
//! Nothing here retries or follows a redirect: the caller decides, and the idempotency key makes
//! asking again safe. Secrets and bodies are never logged.

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error as ThisError;

use crate::api::{
    Answer, CheckoutIn, CustomerIn, OffSessionPaymentIn, RefundIn, Stripe, SubscriptionPatch,
};
use crate::form::{Formed, body_of};
use crate::objects::{
    Charge, CheckoutSession, Customer, Dispute, Invoice, PaymentIntent, PaymentMethod, Refund,
    SetupIntent, Subscription,
};
use crate::transport::{self, said};
use crate::{API_VERSION, Error};

/// Where Stripe is.
pub const BASE: &str = "https://api.stripe.com";
/// How long an answer may take where nothing else is asked for.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer that is read; a page of a hundred payments is below 1 MiB.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Rows of a page; Stripe gives no more.
const PAGE_ROWS: &str = "100";
/// Pages of a list that are read: a payment has a handful of refunds.
const PAGES_MAX: usize = 50;
/// Stripe takes no longer key.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const STRIPE_VERSION: HeaderName = HeaderName::from_static("stripe-version");

/// How to reach one Stripe account.
#[derive(Clone, Debug)]
pub struct Config {
    /// [`BASE`], or the sandbox's address; no path.
    pub base: String,
    /// `sk_…` or a restricted `rk_…`.
    pub secret_key: SecretString,
    /// On a whole exchange; [`TIMEOUT`].
    pub timeout: Duration,
}

impl Config {
    /// Stripe itself.
    pub fn new(secret_key: SecretString) -> Self {
        Self { base: BASE.to_owned(), secret_key, timeout: TIMEOUT }
    }
}

/// Why a client could not be made.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum ConfigError {
    /// The base is not an `http` or `https` origin.
    #[error("not an http or https address: {0:?}")]
    Base(String),
    /// The key is empty, or has characters that no key has.
    #[error("not a secret key of Stripe's")]
    SecretKey,
    /// TLS or the like cannot be set up.
    #[error("the HTTP client cannot be made: {0}")]
    Http(String),
}

/// A client of one Stripe account; connects when first used.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

/// One page of a list.
#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
    #[serde(default)]
    has_more: bool,
    /// Where a search goes on.
    #[serde(default, rename = "next_page")]
    goes_on_at: Option<String>,
}

impl Client {
    /// A client.
    #[expect(clippy::needless_pass_by_value, reason = "the secret moves in, nothing keeps it")]
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let base = || ConfigError::Base(config.base.clone());
        let url: http::Uri = config.base.parse().map_err(|_| base())?;
        let is_web = matches!(url.scheme_str(), Some("http" | "https"));
        if !is_web || !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(base());
        }
        let http = transport::client(config.timeout, constant_headers(&config.secret_key)?)
            .map_err(ConfigError::Http)?;
        Ok(Self { http, base: config.base.trim_end_matches('/').to_owned() })
    }

    async fn create<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Formed,
        idem_key: &str,
    ) -> Result<T, Error> {
        let is_key = |byte: u8| byte.is_ascii_graphic();
        if !(1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&idem_key.len())
            || !idem_key.bytes().all(is_key)
        {
            return Err(invalid("not an idempotency key", "Idempotency-Key"));
        }
        let request = self.request(&Method::POST, path).body(body_of(body));
        self.ask(path, request.header(IDEMPOTENCY_KEY, idem_key)).await
    }

    /// Asks for something that comes to the same when it is asked again, without a key.
    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, Error> {
        self.ask(path, self.request(&method, path)).await
    }

    async fn one<T: DeserializeOwned>(&self, kind: &str, id: &str) -> Result<T, Error> {
        self.call(Method::GET, &path_of(kind, id, "")?).await
    }

    /// Every row of a list of a payment's objects, newest first.
    async fn all_of<T: DeserializeOwned>(
        &self,
        kind: &str,
        payment_intent: &str,
        id_of: impl Fn(&T) -> &str + Send + Sync,
    ) -> Result<Vec<T>, Error> {
        let mut rows: Vec<T> = Vec::new();
        for _ in 0..PAGES_MAX {
            let mut query = vec![("payment_intent", payment_intent), ("limit", PAGE_ROWS)];
            query.extend(rows.last().map(|last| ("starting_after", id_of(last))));
            let page: Page<T> = self.page(&format!("/v1/{kind}"), &query).await?;
            let is_last = !page.has_more || page.data.is_empty();
            rows.extend(page.data);
            if is_last {
                return Ok(rows);
            }
        }
        Err(Error::Unavailable("a list without an end".to_owned()))
    }

    async fn search_payments(&self, key: &str, value: &str) -> Result<Vec<PaymentIntent>, Error> {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
        let wanted = format!("metadata['{}']:'{}'", quoted(key), quoted(value));
        let mut rows = Vec::new();
        let mut from: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut query = vec![("query", wanted.as_str()), ("limit", PAGE_ROWS)];
            query.extend(from.as_deref().map(|from| ("page", from)));
            let page: Page<PaymentIntent> = self.page("/v1/payment_intents/search", &query).await?;
            rows.extend(page.data);
            from = page.goes_on_at.filter(|_| page.has_more);
            if from.is_none() {
                return Ok(rows);
            }
        }
        Err(Error::Unavailable("a search without an end".to_owned()))
    }

    async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Page<T>, Error> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        self.ask(path, self.request(&Method::GET, &format!("{path}?{query}"))).await
    }

    fn request(&self, method: &Method, target: &str) -> reqwest::RequestBuilder {
        self.http.request(method.clone(), format!("{}{target}", self.base))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<T, Error> {
        let (status, request_id, body) = exchange(request).await?;
        if (200..300).contains(&status) {
            return serde_json::from_slice(&body).map_err(|error| {
                let words = "an unreadable answer";
                tracing::warn!(component = "stripe", path, status, request_id, %error, "{words}");
                Error::Unavailable(format!("HTTP {status}, unreadable: {error}"))
            });
        }
        let error = Error::of_answer(status, &body);
        tracing::debug!(component = "stripe", path, status, request_id, %error, "refused");
        Err(error)
    }
}

/// One exchange: the status, Stripe's name for it, and the body.
async fn exchange(request: reqwest::RequestBuilder) -> Result<(u16, String, Vec<u8>), Error> {
    let lost = |error: reqwest::Error| Error::Unavailable(said(&error));
    let mut answer = request.send().await.map_err(lost)?;
    let status = answer.status().as_u16();
    let request_id = answer.headers().get("request-id").and_then(|id| id.to_str().ok());
    let request_id = request_id.unwrap_or_default().to_owned();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(lost)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Error::Unavailable(format!("HTTP {status}, too long")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, request_id, body))
}

fn constant_headers(secret_key: &SecretString) -> Result<HeaderMap, ConfigError> {
    let key = secret_key.expose_secret();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ConfigError::SecretKey);
    }
    let mut authorization =
        HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| ConfigError::SecretKey)?;
    authorization.set_sensitive(true);
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    Ok(HeaderMap::from_iter([
        (AUTHORIZATION, authorization),
        (STRIPE_VERSION, HeaderValue::from_static(API_VERSION)),
        (CONTENT_TYPE, form),
        (ACCEPT, HeaderValue::from_static("application/json")),
    ]))
}

fn invalid(message: &str, param: &str) -> Error {
    Error::Invalid { message: message.to_owned(), code: None, param: Some(param.to_owned()) }
}

/// The path of an object; nothing but an id can stand in it.
fn path_of(kind: &str, id: &str, verb: &str) -> Result<String, Error> {
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if id.is_empty() || id.len() > IDEMPOTENCY_KEY_BYTES_MAX || !id.bytes().all(is_id) {
        return Err(invalid("not an id of Stripe's", "id"));
    }
    Ok(format!("/v1/{kind}/{id}{verb}"))
}

impl Stripe for Client {
    fn create_customer<'a>(
        &'a self,
        customer: &'a CustomerIn,
        idem_key: &'a str,
    ) -> Answer<'a, Customer> {
        Box::pin(self.create("/v1/customers", customer, idem_key))
    }

    fn create_checkout<'a>(
        &'a self,
        checkout: &'a CheckoutIn,
        idem_key: &'a str,
    ) -> Answer<'a, CheckoutSession> {
        Box::pin(self.create("/v1/checkout/sessions", checkout, idem_key))
    }

    fn checkout<'a>(&'a self, id: &'a str) -> Answer<'a, CheckoutSession> {
        Box::pin(self.one("checkout/sessions", id))
    }

    fn expire_checkout<'a>(&'a self, id: &'a str) -> Answer<'a, CheckoutSession> {
        Box::pin(async move {
            self.call(Method::POST, &path_of("checkout/sessions", id, "/expire")?).await
        })
    }

    fn create_payment<'a>(
        &'a self,
        payment: &'a OffSessionPaymentIn,
        idem_key: &'a str,
    ) -> Answer<'a, PaymentIntent> {
        Box::pin(self.create("/v1/payment_intents", payment, idem_key))
    }

    fn payment<'a>(&'a self, id: &'a str) -> Answer<'a, PaymentIntent> {
        Box::pin(self.one("payment_intents", id))
    }

    fn payments_by_metadata<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
    ) -> Answer<'a, Vec<PaymentIntent>> {
        Box::pin(self.search_payments(key, value))
    }

    fn charge<'a>(&'a self, id: &'a str) -> Answer<'a, Charge> {
        Box::pin(self.one("charges", id))
    }

    fn refunds_of<'a>(&'a self, payment_intent: &'a str) -> Answer<'a, Vec<Refund>> {
        Box::pin(self.all_of("refunds", payment_intent, |it: &Refund| &it.id))
    }

    fn refund<'a>(&'a self, id: &'a str) -> Answer<'a, Refund> {
        Box::pin(self.one("refunds", id))
    }

    fn create_refund<'a>(&'a self, refund: &'a RefundIn, idem_key: &'a str) -> Answer<'a, Refund> {
        Box::pin(self.create("/v1/refunds", refund, idem_key))
    }

    fn dispute<'a>(&'a self, id: &'a str) -> Answer<'a, Dispute> {
        Box::pin(self.one("disputes", id))
    }

    fn disputes_of<'a>(&'a self, payment_intent: &'a str) -> Answer<'a, Vec<Dispute>> {
        Box::pin(self.all_of("disputes", payment_intent, |it: &Dispute| &it.id))
    }

    fn subscription<'a>(&'a self, id: &'a str) -> Answer<'a, Subscription> {
        Box::pin(self.one("subscriptions", id))
    }

    fn update_subscription<'a>(
        &'a self,
        id: &'a str,
        change: &'a SubscriptionPatch,
        idem_key: &'a str,
    ) -> Answer<'a, Subscription> {
        Box::pin(
            async move { self.create(&path_of("subscriptions", id, "")?, change, idem_key).await },
        )
    }

    fn cancel_subscription<'a>(&'a self, id: &'a str) -> Answer<'a, Subscription> {
        Box::pin(async move { self.call(Method::DELETE, &path_of("subscriptions", id, "")?).await })
    }

    fn invoice<'a>(&'a self, id: &'a str) -> Answer<'a, Invoice> {
        Box::pin(self.one("invoices", id))
    }

    fn setup_intent<'a>(&'a self, id: &'a str) -> Answer<'a, SetupIntent> {
        Box::pin(self.one("setup_intents", id))
    }

    fn payment_method<'a>(&'a self, id: &'a str) -> Answer<'a, PaymentMethod> {
        Box::pin(self.one("payment_methods", id))
    }

    fn detach_payment_method<'a>(&'a self, id: &'a str) -> Answer<'a, PaymentMethod> {
        Box::pin(async move {
            self.call(Method::POST, &path_of("payment_methods", id, "/detach")?).await
        })
    }
}
