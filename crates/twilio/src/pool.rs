//! Connections to one origin, kept and reused: HTTP/1.1, one request at a time on each.
//!
//! A connection is driven by the task that uses it, so dropping an exchange closes its socket and
//! nothing runs behind anyone's back. The pool never retries, redirects or pipelines (CORE C.2).
//! One thing it may do: a kept connection that turns out closed while zero request bytes were
//! written is replaced by a fresh one, once, because provably nothing was sent.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustix::net::RecvFlags;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::io::{Mark, Meter, MeteredTcp, Stream};
use crate::outcome::{Ended, Exchange, FailureKind};

/// Connections are closed at this age (CORE C.2).
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(60);
/// Connections idle for longer are not reused: servers close idle connections, and a request that
/// crosses such a close ends unknown.
const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(15);
/// How long written bytes may stay unacknowledged (CORE C.2).
const TCP_USER_TIMEOUT_MS: u32 = 10_000;
/// The largest head read.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Where a pool connects to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    host: String,
    port: u16,
    tls: bool,
}

impl Origin {
    /// The origin of an absolute `http` or `https` URL.
    pub fn of(url: &Uri) -> Option<Self> {
        let tls = match url.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = url.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Some(Self { host, port, tls })
    }

    /// The `Host` header for it.
    fn host_header(&self) -> Option<HeaderValue> {
        let default = if self.tls { 443 } else { 80 };
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let text = if self.port == default { host } else { format!("{host}:{}", self.port) };
        HeaderValue::from_str(&text).ok()
    }
}

/// Whose certificates a pool believes.
pub(crate) struct Trust(RootCertStore);

impl Default for Trust {
    /// The public web's authorities.
    fn default() -> Self {
        Self(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }
}

impl Trust {
    /// Only these authorities, each a certificate in DER; `None` when one is not.
    pub fn only<'a>(authorities: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut roots = RootCertStore::empty();
        for der in authorities {
            roots.add(CertificateDer::from_slice(der)).ok()?;
        }
        Some(Self(roots))
    }
}

/// A request that can be written more than once, should its first connection prove stale.
pub(crate) struct Outgoing<'a> {
    pub method: Method,
    /// Origin form: path and query.
    pub uri: Uri,
    /// Everything but `Host` and `Content-Length`.
    pub headers: &'a HeaderMap,
    pub body: Bytes,
    /// The largest answer read.
    pub answer_bytes_max: usize,
}

/// Connections to one origin.
pub(crate) struct Pool {
    origin: Origin,
    host_header: HeaderValue,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    connect_timeout: Duration,
    connections_max: usize,
    permits: Semaphore,
    idle: Mutex<VecDeque<Link>>,
}

impl Pool {
    /// A pool of at most `connections_max` connections; `None` when the origin's host cannot stand
    /// in a header or a certificate.
    pub fn new(
        origin: Origin,
        trust: Trust,
        connections_max: usize,
        connect_timeout: Duration,
    ) -> Option<Self> {
        let tls = if origin.tls {
            Some((tls_connector(trust), ServerName::try_from(origin.host.clone()).ok()?))
        } else {
            None
        };
        Some(Self {
            host_header: origin.host_header()?,
            origin,
            tls,
            connect_timeout,
            connections_max,
            permits: Semaphore::new(connections_max),
            idle: Mutex::new(VecDeque::with_capacity(connections_max)),
        })
    }

    /// Runs one request to its end or the deadline. `mark` is called right before its first byte.
    pub async fn exchange(
        &self,
        request: &Outgoing<'_>,
        mark: Option<Mark>,
        deadline: Instant,
    ) -> Exchange {
        let Ok(Ok(_permit)) = timeout_at(deadline, self.permits.acquire()).await else {
            return nothing_written(FailureKind::Checkout);
        };
        let mut mark = mark;
        if let Some(link) = self.checkout() {
            match self.run(link, request, mark, deadline).await {
                Ran::To(exchange) => return exchange,
                Ran::Stale(untouched) => mark = untouched,
            }
        }
        let until = deadline.min(Instant::now() + self.connect_timeout);
        let link = match timeout_at(until, self.dial()).await {
            Ok(Ok(link)) => link,
            Ok(Err(kind)) => return nothing_written(kind),
            Err(_) => return nothing_written(FailureKind::ConnectTimeout),
        };
        match self.run(link, request, mark, deadline).await {
            Ran::To(exchange) => exchange,
            Ran::Stale(_) => nothing_written(FailureKind::Closed),
        }
    }

    async fn run(
        &self,
        mut link: Link,
        request: &Outgoing<'_>,
        mark: Option<Mark>,
        deadline: Instant,
    ) -> Ran {
        link.meter.arm(mark);
        let ended = match timeout_at(
            deadline,
            link.answer(self.request(request), request.answer_bytes_max),
        )
        .await
        {
            Ok(Ok((status, body))) => Ended::Response { status, body },
            Ok(Err(_)) if link.meter.refused() => Ended::Failed(FailureKind::Mark),
            Ok(Err(_)) if link.meter.written() == 0 => return Ran::Stale(link.meter.disarm()),
            Ok(Err(kind)) => Ended::Failed(kind),
            Err(_) => Ended::Failed(FailureKind::Timeout),
        };
        let bytes_written = link.meter.written();
        if matches!(ended, Ended::Response { .. }) && link.settle().await {
            self.checkin(link);
        }
        Ran::To(Exchange { bytes_written, ended })
    }

    fn request(&self, from: &Outgoing<'_>) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(from.body.clone()));
        *request.method_mut() = from.method.clone();
        *request.uri_mut() = from.uri.clone();
        *request.headers_mut() = from.headers.clone();
        request.headers_mut().insert(HOST, self.host_header.clone());
        request
    }

    /// The connection used last that still looks open: last in, first out keeps few of them warm.
    fn checkout(&self) -> Option<Link> {
        loop {
            let link = self.idle().pop_back()?;
            if link.is_fit() {
                return Some(link);
            }
        }
    }

    fn checkin(&self, mut link: Link) {
        link.parked_at = Instant::now();
        let mut idle = self.idle();
        let spent = idle.pop_front_if(|oldest| oldest.is_expired(link.parked_at));
        if idle.len() < self.connections_max {
            idle.push_back(link);
        }
        drop(idle);
        drop(spent);
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn dial(&self) -> Result<Link, FailureKind> {
        let addresses = lookup_host((self.origin.host.as_str(), self.origin.port))
            .await
            .map_err(|_| FailureKind::Resolve)?;
        let mut failure = FailureKind::Resolve;
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(tcp) => return self.handshake(tcp).await,
                Err(_) => failure = FailureKind::Connect,
            }
        }
        Err(failure)
    }

    async fn handshake(&self, tcp: TcpStream) -> Result<Link, FailureKind> {
        tcp.set_nodelay(true).map_err(|_| FailureKind::Connect)?;
        #[cfg(target_os = "linux")]
        rustix::net::sockopt::set_tcp_user_timeout(&tcp, TCP_USER_TIMEOUT_MS)
            .map_err(|_| FailureKind::Connect)?;
        let probe = tcp.as_fd().try_clone_to_owned().map_err(|_| FailureKind::Connect)?;
        let meter = Arc::new(Meter::default());
        let metered = MeteredTcp::new(tcp, Arc::clone(&meter));
        let stream = match &self.tls {
            None => Stream::Plain(metered),
            Some((connector, name)) => {
                let tls = connector.connect(name.clone(), metered).await;
                Stream::Tls(Box::new(tls.map_err(|_| FailureKind::Tls)?))
            }
        };
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| FailureKind::Connect)?;
        let now = Instant::now();
        Ok(Link {
            sender,
            driver: Some(driver),
            meter,
            probe,
            tls: self.tls.is_some(),
            opened_at: now,
            parked_at: now,
        })
    }
}

enum Ran {
    /// The request came to an end.
    To(Exchange),
    /// The connection broke with zero bytes written; the mark comes back if it was not called.
    Stale(Option<Mark>),
}

fn nothing_written(kind: FailureKind) -> Exchange {
    Exchange { bytes_written: 0, ended: Ended::Failed(kind) }
}

fn tls_connector(trust: Trust) -> TlsConnector {
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring offers the default protocol versions")
            .with_root_certificates(trust.0)
            .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

type Driver = http1::Connection<TokioIo<Stream>, Full<Bytes>>;

/// One open connection.
struct Link {
    sender: http1::SendRequest<Full<Bytes>>,
    /// hyper's state machine; gone when the connection is done.
    driver: Option<Driver>,
    meter: Arc<Meter>,
    /// A second handle on the socket, to look for a close without reading.
    probe: OwnedFd,
    tls: bool,
    opened_at: Instant,
    parked_at: Instant,
}

impl Link {
    /// Writes the request and reads the whole answer.
    async fn answer(
        &mut self,
        request: Request<Full<Bytes>>,
        bytes_max: usize,
    ) -> Result<(u16, Bytes), FailureKind> {
        let answering = pin!(self.sender.send_request(request));
        let response = drive(&mut self.driver, answering).await.map_err(|e| kind_of(&e))?;
        let status = response.status().as_u16();
        Ok((status, read_body(&mut self.driver, response.into_body(), bytes_max).await?))
    }

    /// Lets the connection come to rest after an answer; whether it can carry another request.
    async fn settle(&mut self) -> bool {
        poll_fn(|cx| {
            poll_driver(&mut self.driver, cx);
            Poll::Ready(())
        })
        .await;
        self.driver.is_some() && self.sender.is_ready()
    }

    fn is_expired(&self, now: Instant) -> bool {
        now.duration_since(self.opened_at) > CONNECTION_AGE_MAX
            || now.duration_since(self.parked_at) > CONNECTION_IDLE_MAX
    }

    /// Whether it is young and neither closed nor talking out of turn.
    fn is_fit(&self) -> bool {
        if self.is_expired(Instant::now()) {
            return false;
        }
        let mut byte = [0; 1];
        match rustix::net::recv(&self.probe, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Err(error) => error == rustix::io::Errno::AGAIN,
            // TLS may have session tickets waiting; on a plain connection any byte is out of turn.
            Ok((_, heard)) => heard > 0 && self.tls,
        }
    }
}

/// Polls hyper's side of the connection together with what waits for it, in one task.
async fn drive<F: Future>(driver: &mut Option<Driver>, mut waiting: Pin<&mut F>) -> F::Output {
    poll_fn(|cx| {
        if let Poll::Ready(output) = waiting.as_mut().poll(cx) {
            return Poll::Ready(output);
        }
        poll_driver(driver, cx);
        waiting.as_mut().poll(cx)
    })
    .await
}

fn poll_driver(driver: &mut Option<Driver>, cx: &mut std::task::Context<'_>) {
    if driver.as_mut().is_some_and(|open| Pin::new(open).poll(cx).is_ready()) {
        *driver = None;
    }
}

async fn read_body(
    driver: &mut Option<Driver>,
    mut body: Incoming,
    bytes_max: usize,
) -> Result<Bytes, FailureKind> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let frame = pin!(body.frame());
        let Some(frame) = drive(driver, frame).await else {
            return Ok(if rest.is_empty() { first } else { rest.freeze() });
        };
        let frame = frame.map_err(|error| kind_of(&error))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len().max(rest.len()) + data.len() > bytes_max {
            return Err(FailureKind::BodyTooLarge);
        }
        // An answer to a text comes in one piece, which is not copied.
        if first.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
}

fn kind_of(error: &hyper::Error) -> FailureKind {
    if error.is_parse() || error.is_parse_too_large() {
        FailureKind::Protocol
    } else {
        FailureKind::Closed
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream as Peer};

    use super::*;

    async fn linked() -> (Link, Peer) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let origin = Origin::of(&url).unwrap();
        let pool = Pool::new(origin, Trust::default(), 1, Duration::from_secs(5)).unwrap();
        let Ok(link) = pool.dial().await else { panic!("it listens") };
        (link, listener.accept().unwrap().0)
    }

    /// Nothing is awaited after the close, so the runtime cannot have noticed it by itself.
    #[tokio::test]
    async fn a_close_is_seen_before_the_runtime_hears_of_it() {
        let (link, peer) = linked().await;
        assert!(link.is_fit());
        drop(peer);
        assert!(!link.is_fit());
    }

    #[tokio::test]
    async fn whoever_talks_out_of_turn_is_not_asked_again() {
        let (link, mut peer) = linked().await;
        peer.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").unwrap();
        assert!(!link.is_fit());
    }

    #[test]
    fn origins_are_read_from_addresses() {
        #[rustfmt::skip]
        let cases = [
            ("https://api.twilio.com", Some("api.twilio.com")),
            ("https://api.twilio.com:443", Some("api.twilio.com")),
            ("http://127.0.0.1:8090", Some("127.0.0.1:8090")),
            ("http://[::1]:8090", Some("[::1]:8090")),
            ("ftp://example.com", None),
            ("example.com", None),
        ];
        for (url, expected) in cases {
            let origin = Origin::of(&url.parse().unwrap());
            let host = origin.and_then(|origin| origin.host_header());
            assert_eq!(host.as_ref().map(|host| host.to_str().unwrap()), expected, "{url}");
        }
    }
}
