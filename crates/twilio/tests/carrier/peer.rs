//! Servers of the tests' own making: they hear requests byte by byte and say whatever they are
//! told to, well-formed or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A request as it stood on the wire.
#[derive(Clone, Debug)]
pub struct Heard {
    pub method: String,
    /// Path and query, undecoded.
    pub target: String,
    /// Names as they were written.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Heard {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The decoded pairs of the body.
    pub fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }
}

/// Reads one request; `buffer` keeps what was read beyond it. `None` at the end of the stream.
pub async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> Option<Heard> {
    loop {
        if let Some((heard, length)) = request_in(buffer) {
            buffer.drain(..length);
            return Some(heard);
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// The whole request at the start of these bytes, and its length.
fn request_in(bytes: &[u8]) -> Option<(Heard, usize)> {
    let head_ends = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..head_ends].to_vec()).expect("a head is ASCII");
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.map_or(0, |(_, value)| value.parse().expect("a length"));
    let end = head_ends + 4 + length;
    let body = bytes.get(head_ends + 4..end)?.to_vec();
    let (method, target) = (words.next()?, words.next()?);
    Some((Heard { method, target, headers, body }, end))
}

static FLOOD: [u8; 64 * 1024] = [b' '; 64 * 1024];

/// What a peer says.
pub enum Says {
    /// These bytes, and listens on.
    Bytes(Vec<u8>),
    /// These bytes, and hangs up.
    Last(Vec<u8>),
    /// These bytes, then spaces until the other side hangs up.
    Endless(Vec<u8>),
    /// Nothing, for as long as the other side waits.
    Nothing,
}

/// A whole HTTP answer.
pub fn answer(status: u16, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A running peer.
pub struct Peer {
    /// `http://…`, no path.
    pub base: String,
    /// What it heard, in the order of its answers.
    pub heard: mpsc::UnboundedReceiver<Heard>,
}

/// Starts a peer that answers the n-th request (from 0) with what `says` tells.
pub async fn peer(says: impl Fn(usize, &Heard) -> Says + Send + Sync + 'static) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    peer_on(listener, says)
}

/// The same on a port that is taken already.
pub fn peer_on(
    listener: TcpListener,
    says: impl Fn(usize, &Heard) -> Says + Send + Sync + 'static,
) -> Peer {
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let (tell, heard) = mpsc::unbounded_channel();
    let says = Arc::new(says);
    let count = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tell, says, count) = (tell.clone(), Arc::clone(&says), Arc::clone(&count));
            tokio::spawn(converse(stream, tell, says, count));
        }
    });
    Peer { base, heard }
}

/// Hears and answers one connection until either side hangs up.
pub async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    tell: mpsc::UnboundedSender<Heard>,
    says: Arc<impl Fn(usize, &Heard) -> Says>,
    count: Arc<AtomicUsize>,
) {
    let mut buffer = Vec::new();
    while let Some(heard) = read_request(&mut stream, &mut buffer).await {
        let said = says(count.fetch_add(1, Ordering::SeqCst), &heard);
        drop(tell.send(heard));
        let (bytes, goes_on) = match &said {
            Says::Bytes(bytes) => (bytes.as_slice(), true),
            Says::Last(bytes) | Says::Endless(bytes) => (bytes.as_slice(), false),
            Says::Nothing => (&[][..], true),
        };
        if stream.write_all(bytes).await.is_err() {
            return;
        }
        if matches!(said, Says::Endless(_)) {
            while stream.write_all(&FLOOD).await.is_ok() {}
        }
        if !goes_on {
            drop(stream.shutdown().await);
            return;
        }
    }
}
