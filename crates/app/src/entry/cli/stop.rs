//! Being asked to stop: the first signal ends things in order, the second at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::failure::{Result, failed};

/// The exit code of a program ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Tells whether somebody asked this process to stop.
#[derive(Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens to SIGTERM and Ctrl-C from here on.
    pub fn on_signals() -> Result<Self> {
        let listen =
            |kind| signal(kind).map_err(|error| failed(format!("cannot hear signals: {error}")));
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let (ask, asked) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            ask.send_replace(true);
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            // What is on the wire stays in the database as it would after a crash.
            std::process::exit(INTERRUPTED);
        });
        Ok(Self(asked))
    }

    /// Returns once somebody asked.
    pub async fn asked(&mut self) {
        if self.0.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
