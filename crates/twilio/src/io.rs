//! The socket under every connection: it counts what is written and marks the first byte.
//!
//! "Not sent" may only be said when zero request bytes were written, so the count is taken here,
//! at the lowest place we own (below TLS), and never inferred from the type of an error. The
//! caller's mark runs in the same call that hands the first byte to the socket; without it nothing
//! is written.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Called once, right before the first byte of a request is handed to the socket. An error refuses
/// the write: nothing is sent.
pub type Mark = Box<dyn FnOnce() -> io::Result<()> + Send>;

/// What the connection's socket and the request on it share.
#[derive(Default)]
pub(crate) struct Meter {
    written: AtomicU64,
    mark: Mutex<MarkSlot>,
}

#[derive(Default)]
enum MarkSlot {
    /// Nothing to call: no mark was asked for, or it has been called.
    #[default]
    Empty,
    /// To be called before the next byte.
    Armed(Mark),
    /// It was called and refused; nothing may be written any more.
    Refused,
}

impl Meter {
    /// Starts a request: counts from zero and calls `mark` before its first byte.
    pub fn arm(&self, mark: Option<Mark>) {
        self.written.store(0, Ordering::Release);
        *self.slot() = mark.map_or(MarkSlot::Empty, MarkSlot::Armed);
    }

    /// Bytes handed to the socket since the request started.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Whether the mark refused the write.
    pub fn refused(&self) -> bool {
        matches!(*self.slot(), MarkSlot::Refused)
    }

    /// Takes back a mark that was not called, for another connection.
    pub fn disarm(&self) -> Option<Mark> {
        match std::mem::take(&mut *self.slot()) {
            MarkSlot::Armed(mark) => Some(mark),
            MarkSlot::Empty | MarkSlot::Refused => None,
        }
    }

    /// Calls the mark if it is still to be called.
    fn before_write(&self) -> io::Result<()> {
        let mut slot = self.slot();
        match std::mem::replace(&mut *slot, MarkSlot::Refused) {
            MarkSlot::Empty => {}
            MarkSlot::Armed(mark) => mark()?,
            MarkSlot::Refused => return Err(io::Error::other("the mark refused the write")),
        }
        *slot = MarkSlot::Empty;
        Ok(())
    }

    fn count(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = result {
            self.written.fetch_add(bytes as u64, Ordering::AcqRel);
        }
        result
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, MarkSlot> {
        // A mark that panicked leaves `Refused` behind: nothing is written after it.
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A TCP stream with a [`Meter`].
pub(crate) struct MeteredTcp {
    tcp: TcpStream,
    meter: Arc<Meter>,
}

impl MeteredTcp {
    pub fn new(tcp: TcpStream, meter: Arc<Meter>) -> Self {
        Self { tcp, meter }
    }
}

impl AsyncRead for MeteredTcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for MeteredTcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.meter.before_write()?;
        let result = Pin::new(&mut self.tcp).poll_write(cx, buf);
        self.meter.count(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.meter.before_write()?;
        let result = Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs);
        self.meter.count(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// A connection's byte stream, plain or inside TLS.
pub(crate) enum Stream {
    Plain(MeteredTcp),
    Tls(Box<TlsStream<MeteredTcp>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    async fn metered() -> (MeteredTcp, Arc<Meter>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (peer, _) = listener.accept().await.unwrap();
        let meter = Arc::new(Meter::default());
        (MeteredTcp::new(tcp, Arc::clone(&meter)), meter, peer)
    }

    #[tokio::test]
    async fn the_mark_runs_once_before_the_first_byte() {
        let (mut io, meter, _peer) = metered().await;
        let calls = Arc::new(AtomicUsize::new(0));
        let (seen, watched) = (Arc::clone(&calls), Arc::clone(&meter));
        meter.arm(Some(Box::new(move || {
            assert_eq!(watched.written(), 0);
            seen.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })));
        io.write_all(b"one").await.unwrap();
        io.write_all(b"two").await.unwrap();
        assert_eq!((calls.load(Ordering::SeqCst), meter.written()), (1, 6));
        assert!(meter.disarm().is_none());
    }

    #[tokio::test]
    async fn a_refusing_mark_lets_nothing_out() {
        let (mut io, meter, mut peer) = metered().await;
        meter.arm(Some(Box::new(|| Err(io::Error::other("disk full")))));
        assert!(io.write_all(b"one").await.is_err());
        assert!(io.write_all(b"two").await.is_err());
        assert!(meter.refused());
        assert_eq!(meter.written(), 0);
        drop(io);
        let mut heard = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut peer, &mut heard).await.unwrap();
        assert!(heard.is_empty());
    }
}
