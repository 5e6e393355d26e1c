//! `inspect stripe-signature`: whether a webhook was signed with one of Stripe's secrets.

use clap::Args;
use domain::seam::Clock as _;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use stripe::signature::{sign, verify};

use super::lines;
use crate::entry::cli::failure::{Result, usage};
use crate::entry::cli::outlet::{Outlet, faint, mark, strong};
use crate::seam::SystemClock;

/// What to inspect.
#[derive(Args, Debug)]
pub struct Wanted {
    /// Read JSON lines with `payload`, `header`, `secret` (or a list), `now`, `tolerance`; answer
    /// `valid`
    #[arg(long, conflicts_with = "header")]
    jsonl: bool,
    /// The endpoint's secret, `whsec_…`; several between commas during a rotation
    #[arg(
        long,
        env = "STRIPE_WEBHOOK_SECRET",
        hide_env_values = true,
        value_delimiter = ',',
        value_name = "SECRET"
    )]
    secret: Vec<SecretString>,
    /// The body, to the byte
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    body: String,
    /// When it arrived, in Unix seconds; now without
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    now: Option<i64>,
    /// How old it may be; 0 takes any age
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    tolerance: i64,
    /// What Stripe-Signature said
    #[arg(value_name = "HEADER", required_unless_present = "jsonl", allow_hyphen_values = true)]
    header: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    payload: String,
    #[serde(default)]
    header: Option<String>,
    #[serde(default)]
    secret: Option<Secrets>,
    #[serde(default)]
    now: i64,
    #[serde(default)]
    tolerance: Option<i64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Secrets {
    One(String),
    Several(Vec<String>),
}

#[derive(Serialize)]
struct Answer {
    valid: bool,
}

/// Runs the command.
pub fn run(wanted: Wanted, out: Outlet) -> Result {
    if wanted.jsonl {
        return lines::answer_all(|line: Line| Ok::<_, String>(Answer { valid: judge(&line) }));
    }
    let secrets: Vec<&str> = wanted.secret.iter().map(ExposeSecret::expose_secret).collect();
    let Some(secret) = secrets.first() else {
        return Err(usage("STRIPE_WEBHOOK_SECRET: set it, or write --secret"));
    };
    let now = wanted.now.unwrap_or_else(|| SystemClock.now().seconds());
    let header = wanted.header.unwrap_or_default();
    let body = wanted.body.as_bytes();
    let said = verify(body, &header, &secrets, now, Some(wanted.tolerance));
    out.tell(&Answer { valid: said.is_ok() }, || match said {
        Ok(()) => format!("\n  {}  signed with this secret\n", mark(true)),
        Err(error) => format!(
            "\n  {}  {error}\n     signed now it would be {}\n     {}\n",
            mark(false),
            strong(sign(body, secret, now)),
            faint("the body must be the one that Stripe sent, to the byte"),
        ),
    })
}

fn judge(line: &Line) -> bool {
    let secrets: Vec<&str> = match &line.secret {
        Some(Secrets::One(secret)) => vec![secret],
        Some(Secrets::Several(secrets)) => secrets.iter().map(String::as_str).collect(),
        None => Vec::new(),
    };
    let header = line.header.as_deref().unwrap_or_default();
    verify(line.payload.as_bytes(), header, &secrets, line.now, line.tolerance).is_ok()
}
