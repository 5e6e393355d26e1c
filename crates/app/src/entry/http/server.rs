//! Serving the routes until the process is asked to end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::router::router_until;
use crate::entry::app::App;

/// Open requests get this long to end when the server closes.
const FAREWELL_MAX: Duration = Duration::from_secs(10);

/// Says that the server closes, to connections that would stay open.
#[derive(Clone, Debug)]
pub struct Closing(watch::Receiver<bool>);

impl Closing {
    /// A server that is never closed.
    pub fn never() -> Self {
        Self(watch::channel(false).1)
    }

    /// Returns when the server closes; a server that is never closed is waited for forever.
    pub async fn closed(mut self) {
        if self.0.wait_for(|closing| *closing).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Serves until `shutdown` is ready, then lets open requests end.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (close, closing) = watch::channel(false);
    let closing = Closing(closing);
    let router = router_until(app, closing.clone());
    // Evidence of consent names the address it came from.
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let told = async move {
        shutdown.await;
        close.send_replace(true);
    };
    let farewell = async {
        closing.closed().await;
        tokio::time::sleep(FAREWELL_MAX).await;
    };
    tokio::select! {
        served = axum::serve(listener, service).with_graceful_shutdown(told) => served,
        () = farewell => {
            let seconds = FAREWELL_MAX.as_secs();
            tracing::warn!(component = "http", seconds, "requests were cut off at the end");
            Ok(())
        }
    }
}
