//! `ledgerline serve`: API, hooks and workers in one process.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use twilio::sandbox::Knobs;

use super::failure::{Result, failed, usage};
use super::log;
use super::outlet::{doable, faint, strong};
use super::stop::Stop;
use super::workplace::Shared;
use crate::entry::app::{App, Workers};
use crate::entry::http;
use crate::entry::settings::{Settings, TWILIO_API_BASE};
use crate::seam::{SystemClock, SystemDice};

/// Calls in flight get this long to end.
const FAREWELL_MAX: Duration = Duration::from_secs(20);

/// Runs the command until it is asked to stop.
pub async fn run(shared: &Shared) -> Result {
    log::start(log::Stream::of_server(shared.log))?;
    let mut stop = Stop::on_signals()?;
    let settings = Settings::read(shared.config.as_deref())?;
    let listener = listen(settings.bind).await?;
    let mut server = Server::start(settings, listener).await?;
    for sentence in greeting(&server.app) {
        eprintln!("{sentence}");
    }
    log_start(&server.app);
    tokio::select! {
        () = stop.asked() => {}
        ended = server.ended() => return ended,
    }
    eprintln!("Stopping: texts on the wire are answered first. A second Ctrl-C stops at once.");
    server.stop().await
}

/// Listens at `address`.
pub async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| usage(format!("LEDGERLINE_BIND: cannot listen on {address}: {error}")))
}

/// A server with everything it consists of.
pub struct Server {
    /// The application.
    pub app: Arc<App>,
    workers: Workers,
    http: JoinHandle<io::Result<()>>,
    close: oneshot::Sender<()>,
}

impl Server {
    /// Builds the application and starts all its parts.
    pub async fn start(settings: Settings, listener: TcpListener) -> Result<Self> {
        let (clock, dice) = (Arc::new(SystemClock), Arc::new(SystemDice));
        let app = App::build(settings, &listener, clock, dice, Knobs::default()).await?;
        let (close, closed) = oneshot::channel();
        let shutdown = async {
            // A dropped server closes as well.
            drop(closed.await);
        };
        let http = tokio::spawn(http::serve(Arc::clone(&app), listener, shutdown));
        Ok(Self { workers: app.start_workers(), app, http, close })
    }

    /// Returns when the HTTP side ends although nobody asked it to.
    async fn ended(&mut self) -> Result {
        match (&mut self.http).await {
            Ok(Err(error)) => Err(failed(format!("the HTTP server ended: {error}"))),
            Ok(Ok(())) => Err(failed("the HTTP server ended")),
            Err(error) => Err(failed(format!("the HTTP server ended badly: {error}"))),
        }
    }

    /// Takes up no more work, lets what is on the wire end, and closes.
    pub async fn stop(self) -> Result {
        let Self { app, workers, http, close } = self;
        let farewell = async {
            // Receipts are still taken while the workers finish.
            workers.stop().await;
            drop(close);
            http.await
        };
        match tokio::time::timeout(FAREWELL_MAX, farewell).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => return Err(failed(format!("the HTTP server: {error}"))),
            Ok(Err(error)) => return Err(failed(format!("the HTTP server ended badly: {error}"))),
            Err(_) => {
                let seconds = FAREWELL_MAX.as_secs();
                tracing::warn!(component = "serve", seconds, "cut off; the next start settles it");
                return Ok(());
            }
        }
        app.db.close().await;
        tracing::info!(component = "serve", "stopped");
        Ok(())
    }
}

/// What a person should know at the start.
fn greeting(app: &App) -> Vec<String> {
    let url = &app.public_url;
    let settings = &app.settings;
    let mut sentences = vec![format!(
        "{} listens on {} and keeps everything in {}.",
        strong(format!("Ledgerline {}", env!("CARGO_PKG_VERSION"))).for_stderr(),
        doable(url).for_stderr(),
        database(app),
    )];
    match (&app.sandbox, &settings.twilio) {
        (Some(sandbox), _) => sentences.push(format!(
            "No Twilio credentials are set: the sandbox carrier on {} takes the texts, and {}.",
            doable(format!("http://{}", sandbox.addr())).for_stderr(),
            strong("nobody gets one").for_stderr(),
        )),
        (None, Some(twilio)) => {
            sentences.push(format!(
                "Texts go to {} as account {}.",
                strong(&twilio.api_base).for_stderr(),
                twilio.account_sid
            ));
            if settings.public_url.is_none() && twilio.api_base == TWILIO_API_BASE {
                sentences.push(format!(
                    "Twilio cannot reach {url}: set LEDGERLINE_PUBLIC_URL, or no receipt arrives."
                ));
            }
        }
        (None, None) => {}
    }
    sentences.push(payments(app));
    for held in app.desk.routes.standings(app.clock.now()) {
        if let Some(reason) = held.reason {
            sentences.push(format!(
                "{} {}: {reason}.",
                strong("Nothing is sent by the carrier").for_stderr(),
                held.carrier
            ));
        }
    }
    if !settings.has_operators() {
        sentences.push(
            "No operator key is set: accounts are made with `ledgerline account create`; set \
             LEDGERLINE_OPERATOR_KEY to make them over HTTP."
                .to_owned(),
        );
    }
    let docs = doable(format!("{url}/docs")).for_stderr();
    sentences.push(format!("{} {docs}", faint("The API is described at").for_stderr()));
    sentences
}

/// How credits are paid for.
fn payments(app: &App) -> String {
    let set = &app.settings.payments;
    if let Some(sandbox) = &app.stripe_sandbox {
        return format!(
            "No Stripe key is set: the sandbox Stripe on {} takes the payments, and {}.",
            doable(sandbox.base()).for_stderr(),
            strong("nobody pays anything").for_stderr(),
        );
    }
    if !app.payments.is_open() {
        return "Credits cannot be bought: set STRIPE_SECRET_KEY.".to_owned();
    }
    let missing = if set.webhook_secrets.is_empty() {
        " Set STRIPE_WEBHOOK_SECRET, or payments are only found out by asking."
    } else {
        ""
    };
    format!("Payments go to {}.{missing}", strong(&set.api_base).for_stderr())
}

fn database(app: &App) -> String {
    match app.db.path() {
        Some(path) => format!("SQLite ({})", path.display()),
        None => "PostgreSQL".to_owned(),
    }
}

fn log_start(app: &App) {
    tracing::info!(
        component = "serve",
        version = env!("CARGO_PKG_VERSION"),
        address = app.public_url,
        engine = app.db.engine().as_str(),
        carrier = app.settings.twilio.as_ref().map_or("sandbox", |twilio| &twilio.api_base),
        sandbox = app.sandbox.as_ref().map(|sandbox| sandbox.addr().to_string()),
        operators = app.settings.has_operators(),
        docs = format!("{}/docs", app.public_url),
        "started"
    );
}
