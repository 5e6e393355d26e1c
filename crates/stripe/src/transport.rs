//! HTTP as it is used here: TLS of our own choice, no proxy, no redirects, no retries.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use reqwest::{redirect, retry};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that gives up after `timeout` and puts these headers on every request.
pub fn client(timeout: Duration, headers: HeaderMap) -> Result<reqwest::Client, String> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls()?)
        .default_headers(headers)
        .user_agent("ledgerline")
        .http1_only()
        .no_proxy()
        .referer(false)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(timeout)
        .build()
        .map_err(|error| said(&error))
}

/// What went wrong, down to its cause; without the address, which may hold metadata.
pub fn said(error: &reqwest::Error) -> String {
    let kind = match error {
        _ if error.is_timeout() => "it took too long",
        _ if error.is_connect() => "no connection",
        _ if error.is_builder() => "no such request can be made",
        _ => "the connection failed",
    };
    let causes = std::iter::successors(std::error::Error::source(error), |it| it.source());
    causes.last().map_or_else(|| kind.to_owned(), |cause| format!("{kind}: {cause}"))
}

fn tls() -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
