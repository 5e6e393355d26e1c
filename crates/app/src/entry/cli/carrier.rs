//! `ledgerline carrier`: the sandbox carrier alone, for other programs and for trying failures.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use serde_json::json;
use twilio::sandbox::{Knobs, Options, Sandbox};

use super::failure::{Result, failed, usage};
use super::log;
use super::outlet::{Outlet, doable, faint, strong};
use super::stop::Stop;
use super::workplace::Shared;
use crate::seam::{SystemClock, SystemDice};

/// How to run it.
#[derive(Args, Debug)]
pub struct Wanted {
    /// Where to listen; 0 picks a free port
    #[arg(long, default_value_t = 8090)]
    port: u16,
    /// On which of this machine's addresses
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// The only account that is let in; without it every account is, with any token
    #[arg(long, env = "TWILIO_ACCOUNT_SID", value_name = "SID")]
    account_sid: Option<String>,
    /// Its auth token
    #[arg(long, env = "TWILIO_AUTH_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    auth_token: Option<String>,
    /// A file that keeps what was accepted, and is read again at the next start
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    behaviour: Behaviour,
}

/// The sandbox's knobs, by the names they have in its own JSON. Shares are from 0 to 1.
#[derive(Args, Debug, Serialize)]
#[command(next_help_heading = "Behaviour (shares are from 0 to 1)")]
struct Behaviour {
    /// Each text takes at least this long
    #[arg(long, value_name = "MS")]
    latency_ms: Option<u64>,
    /// And up to this much longer
    #[arg(long, value_name = "MS")]
    latency_jitter_ms: Option<u64>,
    /// Answered 429; not accepted
    #[arg(long, value_name = "SHARE")]
    share_429: Option<f64>,
    /// Answered 500; not accepted
    #[arg(long, value_name = "SHARE")]
    share_500_before: Option<f64>,
    /// Accepted, answered 500 all the same
    #[arg(long, value_name = "SHARE")]
    share_500_after: Option<f64>,
    /// The connection is closed unanswered; not accepted
    #[arg(long, value_name = "SHARE")]
    share_drop_before: Option<f64>,
    /// Accepted, then the connection is closed unanswered
    #[arg(long, value_name = "SHARE")]
    share_drop: Option<f64>,
    /// Never answered; not accepted
    #[arg(long, value_name = "SHARE")]
    share_hang: Option<f64>,
    /// Accepted and never answered
    #[arg(long, value_name = "SHARE")]
    share_hang_after: Option<f64>,
    /// Accepted; the answer breaks off before the SID
    #[arg(long, value_name = "SHARE")]
    share_truncate: Option<f64>,
    /// Accepted texts that the network refuses
    #[arg(long, value_name = "SHARE")]
    share_undelivered: Option<f64>,
    /// Accepted texts that never leave
    #[arg(long, value_name = "SHARE")]
    share_failed: Option<f64>,
    /// Whether receipts are sent
    #[arg(long, value_name = "true|false")]
    receipts: Option<bool>,
    /// From acceptance to sent, and again to the final receipt
    #[arg(long, value_name = "MS")]
    receipt_delay_ms: Option<u64>,
    /// For this long a receipt that nobody takes is tried again
    #[arg(long, value_name = "SECONDS")]
    receipt_retry_secs: Option<u64>,
    /// Receipts sent twice
    #[arg(long, value_name = "SHARE")]
    share_receipt_twice: Option<f64>,
    /// Receipts never sent
    #[arg(long, value_name = "SHARE")]
    share_receipt_lost: Option<f64>,
    /// Receipts that come late, so that later ones overtake them
    #[arg(long, value_name = "SHARE")]
    share_receipt_late: Option<f64>,
    /// How late these are
    #[arg(long, value_name = "MS")]
    receipt_late_ms: Option<u64>,
    /// Receipts sent before the one they should follow
    #[arg(long, value_name = "SHARE")]
    share_receipt_swapped: Option<f64>,
    /// Texts show in the list only so long after they were accepted
    #[arg(long, value_name = "MS")]
    listing_lag_ms: Option<u64>,
    /// Accepted texts wait so long before they leave
    #[arg(long, value_name = "MS")]
    queue_delay_ms: Option<u64>,
    /// Answered 401, as if the credentials were revoked
    #[arg(long, value_name = "SHARE")]
    share_401: Option<f64>,
}

impl Behaviour {
    fn knobs(&self) -> Result<Knobs> {
        let mut change = serde_json::to_value(self).expect("numbers are valid JSON");
        change.as_object_mut().expect("a struct").retain(|_, value| !value.is_null());
        Knobs::default().changed(&change).map_err(|error| {
            let problem = error.to_string();
            usage(format!("--{}", problem.replacen('_', "-", 8)))
        })
    }
}

/// Runs the carrier until it is asked to stop.
pub async fn run(wanted: Wanted, shared: &Shared) -> Result {
    log::start(log::Stream::quiet(shared.log))?;
    let mut stop = Stop::on_signals()?;
    let knobs = wanted.behaviour.knobs()?;
    let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let credentials = match (filled(wanted.account_sid), filled(wanted.auth_token)) {
        (Some(sid), Some(token)) => Some((sid, token)),
        (None, None) => None,
        (Some(_), None) => return Err(usage("TWILIO_AUTH_TOKEN: is missing beside the account")),
        (None, Some(_)) => return Err(usage("TWILIO_ACCOUNT_SID: is missing beside the token")),
    };
    let account = credentials.as_ref().map(|(sid, _)| sid.clone());
    let bind = SocketAddr::new(wanted.bind, wanted.port);
    let record = wanted.record.clone();
    let sandbox = Sandbox::start(Options {
        bind,
        credentials,
        knobs,
        record: wanted.record,
        clock: Arc::new(SystemClock),
        dice: Arc::new(SystemDice),
    })
    .await
    .map_err(|error| failed(format!("the carrier cannot start on {bind}: {error}")))?;
    let base = format!("http://{}", sandbox.addr());
    let out = Outlet { json: shared.json };
    out.tell(&json!({ "api_base": base, "account_sid": account, "record": record }), || {
        greeting(&base, account.as_deref())
    })?;
    stop.asked().await;
    let summary = sandbox.summary();
    out.tell(&summary, || {
        format!(
            "{} texts accepted for {} phones; the same text to the same phone again: {}",
            summary.accepted, summary.distinct_to, summary.duplicates
        )
    })
}

fn greeting(base: &str, account: Option<&str>) -> String {
    let who = match account {
        Some(sid) => format!("Only account {} is let in.", strong(sid)),
        None => "Every account is let in, with any token.".to_owned(),
    };
    let mut words = format!(
        "{} listens on {}. It texts nobody. {who}\n\n  Point a server at it:  {}\n\n",
        strong("The sandbox carrier"),
        doable(base),
        doable(format!("TWILIO_API_BASE={base}")),
    );
    for (path, note) in [
        ("GET  /sandbox/summary", "what it accepted, in numbers"),
        ("GET  /sandbox/messages", "every accepted text, one JSON object a line"),
        ("GET  /sandbox/knobs", "how it behaves"),
        ("POST /sandbox/knobs", "change that, for instance {\"share_429\": 0.2}"),
    ] {
        writeln!(words, "  {path:<24} {}", faint(note)).expect("writing to a String");
    }
    words
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        wanted: Wanted,
    }

    fn knobs(arguments: &[&str]) -> Result<Knobs> {
        let line = ["carrier"].iter().chain(arguments);
        Line::try_parse_from(line).expect("the arguments are well-formed").wanted.behaviour.knobs()
    }

    #[test]
    fn every_knob_is_a_flag() {
        let all = serde_json::to_value(Knobs::default()).expect("valid JSON");
        for name in all.as_object().expect("an object").keys() {
            let flag = format!("--{}", name.replace('_', "-"));
            let value = if name == "receipts" { "false" } else { "1" };
            let set = serde_json::to_value(knobs(&[&flag, value]).expect("fits")).expect("JSON");
            assert_ne!(set, all, "{flag}");
        }
        assert_eq!(knobs(&[]).expect("fits"), Knobs::default());
        assert!(knobs(&["--share-429", "2"]).is_err());
    }
}
