//! The carriers as they are set: the first one, a backup, or the sandbox inside this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::rates::SenderKind;
use domain::seam::{Clock, Dice};
use domain::token::Secret;
use secrecy::{ExposeSecret, SecretString};
use store::Db;
use twilio::client::{Client, Config, Timeouts};
use twilio::sandbox::{self, Sandbox};

use super::settings::{Settings, TWILIO_API_BASE, Twilio};
use crate::delivery::carrier::{Carrier, Unreachable};
use crate::delivery::routes::Line;
use crate::delivery::senders::From;

/// Requests to a carrier at once (third-party limit sheets: Twilio allows about 100).
const CALLS_MAX: usize = 64;
/// Questions to a carrier beside the texts.
const QUESTIONS_MAX: usize = 4;
/// The sandbox sends from this number at this pace when an account has no sender of its own.
const SANDBOX_NUMBER: &str = "+15005550006";
const SANDBOX_SEGMENTS_PER_SECOND: u32 = 250;

/// The names of carriers, in logs, metrics and the database.
pub const PRIMARY: &str = "primary";
const BACKUP: &str = "backup";

/// The first carrier and its backup, each as far as it is set. A carrier without credentials is
/// there and takes nothing.
pub fn lines(settings: &Settings, first: &Twilio) -> anyhow::Result<Vec<Line>> {
    let mut lines = vec![Line::new(PRIMARY, reach(first)?, None, CALLS_MAX)];
    if let Some(backup) = &settings.backup {
        let from = sender_of(settings, backup);
        lines.push(Line::new(BACKUP, reach(backup)?, from, CALLS_MAX));
    }
    Ok(lines)
}

/// What is missing to reach a carrier, as `(carrier, words)`.
pub fn missing(settings: &Settings, first: &Twilio) -> Vec<(&'static str, String)> {
    let carriers =
        [(PRIMARY, "TWILIO_", Some(first)), (BACKUP, "TWILIO_BACKUP_", settings.backup.as_ref())];
    carriers
        .into_iter()
        .filter(|(_, _, twilio)| twilio.is_some_and(|one| credentials(one).is_none()))
        .map(|(name, prefix, _)| {
            let words = format!(
                "no credentials: set {prefix}AUTH_TOKEN, or {prefix}API_KEY_SID \
                                 and {prefix}API_KEY_SECRET"
            );
            (name, words)
        })
        .collect()
}

/// Secrets that may sign the carriers' webhooks.
pub fn webhook_tokens(settings: &Settings, first: &Twilio) -> Vec<SecretString> {
    let all = [Some(first), settings.backup.as_ref()].into_iter().flatten();
    all.flat_map(|one| [&one.auth_token, &one.previous_auth_token]).flatten().cloned().collect()
}

fn credentials(twilio: &Twilio) -> Option<(String, SecretString)> {
    let token = || Some((twilio.account_sid.clone(), twilio.auth_token.clone()?));
    twilio.api_key.clone().or_else(token)
}

fn reach(twilio: &Twilio) -> anyhow::Result<Arc<dyn Carrier>> {
    let Some((username, password)) = credentials(twilio) else {
        return Ok(Arc::new(Unreachable));
    };
    Ok(Arc::new(Client::new(Config {
        base: twilio.api_base.clone(),
        account_sid: twilio.account_sid.clone(),
        username,
        password,
        concurrency: CALLS_MAX + QUESTIONS_MAX,
        timeouts: Timeouts::default(),
    })?))
}

/// What texts of accounts without senders leave from, as set.
pub fn installation_sender(settings: &Settings) -> Option<From> {
    match &settings.twilio {
        Some(twilio) => sender_of(settings, twilio),
        None => Some(From {
            kind: SenderKind::LongCode,
            address: SANDBOX_NUMBER.to_owned(),
            segments_per_second: settings
                .segments_per_second
                .unwrap_or(SANDBOX_SEGMENTS_PER_SECOND),
        }),
    }
}

fn sender_of(settings: &Settings, twilio: &Twilio) -> Option<From> {
    // A carrier other than Twilio's own is a sandbox or a test rig; it sets no pace.
    let own = twilio.api_base == TWILIO_API_BASE;
    let from = |kind: SenderKind, address: &String| From {
        kind,
        address: address.clone(),
        segments_per_second: settings.segments_per_second.unwrap_or(if own {
            kind.segments_per_second()
        } else {
            SANDBOX_SEGMENTS_PER_SECOND
        }),
    };
    match (&twilio.messaging_service_sid, &twilio.phone_number) {
        (Some(sid), _) => Some(from(SenderKind::MessagingService, sid)),
        (None, Some(number)) if number.len() <= 8 => Some(from(SenderKind::ShortCode, number)),
        (None, Some(number)) => Some(from(SenderKind::LongCode, number)),
        (None, None) => None,
    }
}

/// Starts the sandbox inside this process, and says how to reach it.
pub async fn start_sandbox(
    secret: &Secret,
    knobs: sandbox::Knobs,
    record: PathBuf,
    clock: &Arc<dyn Clock>,
    dice: &Arc<dyn Dice>,
) -> anyhow::Result<(Twilio, Sandbox)> {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let account_sid = format!("AC{}", hex(&secret.mac("sandbox account", &[])[..16]));
    if let Some(parent) = record.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let auth_token: SecretString = hex(&secret.mac("sandbox token", &[])[..16]).into();
    let sandbox = Sandbox::start(sandbox::Options {
        bind: ([127, 0, 0, 1], 0).into(),
        credentials: Some((account_sid.clone(), auth_token.expose_secret().to_owned())),
        knobs,
        record: Some(record),
        clock: Arc::clone(clock),
        dice: Arc::clone(dice),
    })
    .await?;
    let twilio = Twilio {
        account_sid,
        auth_token: Some(auth_token),
        previous_auth_token: None,
        api_key: None,
        messaging_service_sid: None,
        phone_number: Some(SANDBOX_NUMBER.to_owned()),
        api_base: format!("http://{}", sandbox.addr()),
    };
    Ok((twilio, sandbox))
}

/// The sandbox's record outlives a killed server, as a real carrier's does.
pub fn sandbox_record(state_dir: &Path, db: &Db, secret: &Secret) -> PathBuf {
    if let Some(path) = db.path() {
        let mut name = path.as_os_str().to_owned();
        name.push(".sandbox.jsonl");
        return PathBuf::from(name);
    }
    // Databases on servers share a directory; the installation tells their records apart.
    let name = data_encoding::HEXLOWER.encode(&secret.mac("sandbox record", &[])[..8]);
    state_dir.join(format!("sandbox-{name}.jsonl"))
}
