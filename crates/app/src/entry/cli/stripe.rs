//! `ledgerline stripe`: the sandbox Stripe alone, for other programs and for trying failures.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use stripe::sandbox::{Knobs, Options, Sandbox};

use super::failure::{Result, failed};
use super::log;
use super::outlet::{Outlet, doable, faint, strong};
use super::stop::Stop;
use super::workplace::Shared;
use crate::seam::{SystemClock, SystemDice};

/// Signs events where no secret is set; both sides know it.
const WEBHOOK_SECRET: &str = "whsec_sandbox";

/// How to run it.
#[derive(Args, Debug)]
pub struct Wanted {
    /// Where to listen; 0 picks a free port
    #[arg(long, default_value_t = 8091)]
    port: u16,
    /// On which of this machine's addresses
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// The only key that is let in; without it every key sk_… is
    #[arg(long, env = "STRIPE_SECRET_KEY", hide_env_values = true, value_name = "KEY")]
    secret_key: Option<SecretString>,
    /// Where events go, a server's address with /hooks/stripe; without it they wait
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
    /// Signs the events; the first of several between commas
    #[arg(
        long,
        env = "STRIPE_WEBHOOK_SECRET",
        hide_env_values = true,
        value_delimiter = ',',
        value_name = "SECRET",
        default_value = WEBHOOK_SECRET
    )]
    webhook_secret: Vec<SecretString>,
    /// A file that keeps what happened, and is read again at the next start
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

/// Runs it until it is asked to stop.
pub async fn run(wanted: Wanted, shared: &Shared) -> Result {
    log::start(log::Stream::quiet(shared.log))?;
    let mut stop = Stop::on_signals()?;
    let bind = SocketAddr::new(wanted.bind, wanted.port);
    let record = wanted.record.clone();
    let webhook_url = wanted.webhook_url.clone();
    let webhook_secret = wanted.webhook_secret.into_iter().find(is_filled);
    let sandbox = Sandbox::start(Options {
        bind,
        secret_key: wanted.secret_key.filter(is_filled),
        webhook_url: wanted.webhook_url,
        webhook_secret: webhook_secret.unwrap_or_else(|| WEBHOOK_SECRET.into()),
        knobs: Knobs::default(),
        record: wanted.record,
        clock: Arc::new(SystemClock),
        dice: Arc::new(SystemDice),
    })
    .await
    .map_err(|error| failed(format!("the sandbox cannot start on {bind}: {error}")))?;
    let base = sandbox.base();
    let out = Outlet { json: shared.json };
    let facts = json!({ "api_base": base, "webhook_url": webhook_url, "record": record });
    out.tell(&facts, || greeting(&base, webhook_url.as_deref()))?;
    stop.asked().await;
    Ok(())
}

/// An empty variable is as good as none.
fn is_filled(secret: &SecretString) -> bool {
    !secret.expose_secret().trim().is_empty()
}

fn greeting(base: &str, webhook_url: Option<&str>) -> String {
    let events = match webhook_url {
        Some(url) => format!("Events go to {url}."),
        None => "Events wait: --webhook-url says where they go.".to_owned(),
    };
    let mut words = format!(
        "{} listens on {}. Nobody pays anything. {events}\n\n  Point a server at it:  {}\n\n",
        strong("The sandbox Stripe"),
        doable(base),
        doable(format!("STRIPE_API_BASE={base}")),
    );
    for (path, note) in [
        ("GET  /sandbox/events", "what happened, and whether it was told"),
        ("PUT  /sandbox/knobs", "how it behaves, for instance {\"duplicate\": 1}"),
        ("POST /sandbox/refund", "send money back: {\"payment_intent\": \"pi_…\"}"),
        ("POST /sandbox/dispute", "a cardholder disputes: {\"payment_intent\": \"pi_…\"}"),
    ] {
        writeln!(words, "  {path:<24} {}", faint(note)).expect("writing to a String");
    }
    words
}
