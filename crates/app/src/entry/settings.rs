//! Settings: defaults, then a TOML file, then the environment. A bad one stops start-up with a
//! sentence that names it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::lanes::Lane;
use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::mail::MailSettings;
use super::operators::Operators;
use super::payment_settings::{PaymentSettings, STRIPE};
use crate::delivery::bounds::Bounds;

/// What the settings say.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `LEDGERLINE_DATABASE_URL`: `sqlite://FILE` or `postgres://…`.
    pub database_url: String,
    /// `LEDGERLINE_BIND`: where the server listens.
    pub bind: SocketAddr,
    /// `LEDGERLINE_PUBLIC_URL`: where the carrier and people reach the server, without a slash at
    /// its end; by default the bound address.
    pub public_url: Option<String>,
    /// `LEDGERLINE_OPERATOR_KEY`: opens the operator's routes.
    pub operator_key: Option<SecretString>,
    /// `LEDGERLINE_STATE_DIR`: where processes note what they handed to sockets.
    pub state_dir: Option<PathBuf>,
    /// `LEDGERLINE_CONTEXTS_FILE`: reasons for texting that this installation adds, as CSV.
    pub contexts_file: Option<PathBuf>,
    /// `LEDGERLINE_PLANS_FILE`: the plans that accounts may subscribe to, as CSV.
    pub plans_file: Option<PathBuf>,
    /// `LEDGERLINE_OPERATORS` and `LEDGERLINE_TWO_PERSON_ABOVE`.
    pub operators: Operators,
    /// `LEDGERLINE_SMTP_URL` and `LEDGERLINE_MAIL_FROM`: without them mail goes to the log.
    pub mail: Option<MailSettings>,
    /// `STRIPE_…` and `LEDGERLINE_PACKS_FILE`: how money is taken.
    pub payments: PaymentSettings,
    /// `LEDGERLINE_SEGMENTS_PER_SECOND`: the pace of the sender of accounts that have none.
    pub segments_per_second: Option<u32>,
    /// How long things may take.
    pub bounds: Bounds,
    /// `LEDGERLINE_POLL_AFTER_SECONDS`: a text the carrier took is asked about when it had no
    /// final receipt for so long.
    pub poll_after: Duration,
    /// The carrier's account; without it the sandbox carrier serves.
    pub twilio: Option<Twilio>,
    /// The account that is used while the first one refuses or fails: the same settings with
    /// `TWILIO_BACKUP_` before their names.
    pub backup: Option<Twilio>,
}

/// A Twilio account.
#[derive(Clone, Debug)]
pub struct Twilio {
    /// `TWILIO_ACCOUNT_SID`.
    pub account_sid: String,
    /// `TWILIO_AUTH_TOKEN`: signs webhooks, and opens the API when there is no key. `None` when
    /// it is missing: the server runs and sends nothing.
    pub auth_token: Option<SecretString>,
    /// `TWILIO_PREVIOUS_AUTH_TOKEN`: webhooks may still be signed with it while it is rotated.
    pub previous_auth_token: Option<SecretString>,
    /// `TWILIO_API_KEY_SID` and `TWILIO_API_KEY_SECRET`: open the API instead of the token.
    pub api_key: Option<(String, SecretString)>,
    /// `TWILIO_MESSAGING_SERVICE_SID`: what texts of accounts without senders leave from.
    pub messaging_service_sid: Option<String>,
    /// `TWILIO_PHONE_NUMBER`: the same, if there is no service.
    pub phone_number: Option<String>,
    /// `TWILIO_API_BASE`.
    pub api_base: String,
}

/// The longest validity period Twilio takes (FACTS: 1 to 36,000 s).
const VALIDITY_MAX: u32 = 36_000;
/// Twilio sends its receipts within seconds to minutes.
const POLL_AFTER: Duration = Duration::from_secs(15 * 60);

/// Twilio's own address.
pub const TWILIO_API_BASE: &str = "https://api.twilio.com";

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct SettingError {
    /// As it stands in the environment.
    pub name: String,
    /// What is wrong and how to mend it.
    pub problem: String,
}

fn bad(name: &str, problem: impl Into<String>) -> SettingError {
    SettingError { name: name.to_owned(), problem: problem.into() }
}

#[derive(Deserialize, Serialize)]
#[serde(default)]
struct Raw {
    database_url: String,
    bind: String,
    public_url: Option<String>,
    operator_key: Option<String>,
    state_dir: Option<PathBuf>,
    contexts_file: Option<PathBuf>,
    plans_file: Option<PathBuf>,
    operators: Option<String>,
    two_person_above: Option<NumberOrText>,
    smtp_url: Option<String>,
    mail_from: Option<String>,
    packs_file: Option<PathBuf>,
    stripe_secret_key: Option<String>,
    stripe_webhook_secret: Option<String>,
    stripe_api_base: Option<String>,
    segments_per_second: Option<NumberOrText>,
    lease_seconds: Option<NumberOrText>,
    transit_seconds: Option<NumberOrText>,
    margin_seconds: Option<NumberOrText>,
    validity_seconds: Option<NumberOrText>,
    poll_after_seconds: Option<NumberOrText>,
    /// Per lane, such as `code = 300`; in the file only.
    validity: BTreeMap<String, NumberOrText>,
    #[serde(flatten)]
    twilio: BTreeMap<String, String>,
}

/// In a file it is a number, in the environment a text.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u32),
    Text(String),
}

impl std::fmt::Display for NumberOrText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl NumberOrText {
    fn number(&self) -> Option<u32> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
        }
        .filter(|number| *number > 0)
    }
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            database_url: "sqlite://ledgerline.db".to_owned(),
            bind: "127.0.0.1:8080".to_owned(),
            public_url: None,
            operator_key: None,
            state_dir: None,
            contexts_file: None,
            plans_file: None,
            operators: None,
            two_person_above: None,
            smtp_url: None,
            mail_from: None,
            packs_file: None,
            stripe_secret_key: None,
            stripe_webhook_secret: None,
            stripe_api_base: None,
            segments_per_second: None,
            lease_seconds: None,
            transit_seconds: None,
            margin_seconds: None,
            validity_seconds: None,
            poll_after_seconds: None,
            validity: BTreeMap::new(),
            twilio: BTreeMap::new(),
        }
    }
}

const LEDGERLINE: [&str; 18] = [
    "database_url",
    "bind",
    "public_url",
    "operator_key",
    "state_dir",
    "contexts_file",
    "plans_file",
    "operators",
    "two_person_above",
    "smtp_url",
    "mail_from",
    "packs_file",
    "segments_per_second",
    "lease_seconds",
    "transit_seconds",
    "margin_seconds",
    "validity_seconds",
    "poll_after_seconds",
];
/// Each may stand behind `twilio_` and behind `twilio_backup_`.
const TWILIO: [&str; 8] = [
    "account_sid",
    "auth_token",
    "previous_auth_token",
    "api_key_sid",
    "api_key_secret",
    "messaging_service_sid",
    "phone_number",
    "api_base",
];
const CARRIERS: [&str; 2] = ["twilio_", "twilio_backup_"];

fn twilio_names() -> impl Iterator<Item = String> {
    CARRIERS.iter().flat_map(|prefix| TWILIO.iter().map(move |name| format!("{prefix}{name}")))
}

impl Settings {
    /// Reads the settings; `file` is the one named with `--config`.
    pub fn read(file: Option<&Path>) -> Result<Self, SettingError> {
        let mut figment = Figment::from(Serialized::defaults(Raw::default()));
        if let Some(file) = file {
            if !file.is_file() {
                return Err(bad("--config", format!("there is no file {}", file.display())));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        // Taken as texts: guessing types would read a phone number as a number.
        let own = LEDGERLINE.iter().map(|name| ("LEDGERLINE_", (*name).to_owned()));
        let stripe = STRIPE.iter().map(|name| ("", (*name).to_owned()));
        let carriers = twilio_names().map(|name| ("", name));
        for (prefix, name) in own.chain(carriers).chain(stripe) {
            let variable = format!("{prefix}{}", name.to_ascii_uppercase());
            if let Ok(value) = std::env::var(&variable) {
                figment = figment.merge(Serialized::default(&name, value));
            }
        }
        let raw: Raw = figment.extract().map_err(|error| {
            let path = error.path.join(".");
            let name = match path.as_str() {
                "" => "the configuration file".to_owned(),
                path if path.starts_with("twilio") || path.starts_with("stripe") => {
                    path.to_ascii_uppercase()
                }
                path => format!("LEDGERLINE_{}", path.to_ascii_uppercase()),
            };
            bad(&name, error.kind.to_string())
        })?;
        raw.checked()
    }

    /// A database of its own in `dir`, a free port, the sandbox carrier: for demos and tests.
    pub fn private(dir: &Path) -> Self {
        Self {
            database_url: format!("sqlite://{}", dir.join("ledgerline.db").display()),
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_url: None,
            operator_key: None,
            state_dir: None,
            contexts_file: None,
            plans_file: None,
            operators: Operators::default(),
            mail: None,
            payments: PaymentSettings::default(),
            segments_per_second: None,
            bounds: Bounds::default(),
            poll_after: POLL_AFTER,
            twilio: None,
            backup: None,
        }
    }
}

impl Raw {
    fn checked(self) -> Result<Settings, SettingError> {
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let bind = self.bind.parse().map_err(|_| {
            bad("LEDGERLINE_BIND", format!("{:?} is no address such as 127.0.0.1:8080", self.bind))
        })?;
        let public_url = filled(self.public_url.clone())
            .map(|url| base_url("LEDGERLINE_PUBLIC_URL", &url))
            .transpose()?;
        let operator_key = filled(self.operator_key.clone());
        if operator_key.as_ref().is_some_and(|key| key.len() < 8) {
            return Err(bad("LEDGERLINE_OPERATOR_KEY", "write at least 8 characters"));
        }
        if let Some(name) = self.twilio.keys().find(|name| !twilio_names().any(|n| n == **name)) {
            return Err(bad(name, "there is no such setting"));
        }
        let above = self.two_person_above.as_ref().map(ToString::to_string);
        let above = filled(above);
        let operators =
            Operators::read(self.operators.as_deref(), above.as_deref(), operator_key.as_deref())?;
        let count = |name: &str, set: &Option<NumberOrText>| {
            let problem = "write a whole number from 1 up";
            set.as_ref().map(|n| n.number().ok_or_else(|| bad(name, problem))).transpose()
        };
        Ok(Settings {
            segments_per_second: count(
                "LEDGERLINE_SEGMENTS_PER_SECOND",
                &self.segments_per_second,
            )?,
            bounds: self.bounds(count)?,
            poll_after: count("LEDGERLINE_POLL_AFTER_SECONDS", &self.poll_after_seconds)?
                .map_or(POLL_AFTER, |seconds| Duration::from_secs(u64::from(seconds))),
            twilio: twilio(&self.twilio, CARRIERS[0])?,
            backup: twilio(&self.twilio, CARRIERS[1])?,
            database_url: self.database_url,
            bind,
            public_url,
            operator_key: operator_key.map(SecretString::from),
            state_dir: self.state_dir,
            contexts_file: self.contexts_file,
            plans_file: self.plans_file,
            operators,
            mail: MailSettings::checked(self.smtp_url, self.mail_from)?,
            payments: PaymentSettings::checked(
                self.stripe_secret_key.as_deref(),
                self.stripe_webhook_secret.as_deref(),
                self.stripe_api_base.as_deref(),
                self.packs_file,
            )?,
        })
    }

    fn bounds(
        &self,
        count: impl Fn(&str, &Option<NumberOrText>) -> Result<Option<u32>, SettingError>,
    ) -> Result<Bounds, SettingError> {
        let mut bounds = Bounds::default();
        let seconds = |n: u32| Duration::from_secs(u64::from(n));
        for (name, set, bound) in [
            ("LEDGERLINE_LEASE_SECONDS", &self.lease_seconds, &mut bounds.lease),
            ("LEDGERLINE_TRANSIT_SECONDS", &self.transit_seconds, &mut bounds.transit),
            ("LEDGERLINE_MARGIN_SECONDS", &self.margin_seconds, &mut bounds.margin),
        ] {
            if let Some(n) = count(name, set)? {
                *bound = seconds(n);
            }
        }
        let validity = |name: &str, n: u32| match n {
            1..=VALIDITY_MAX => Ok(seconds(n)),
            _ => Err(bad(name, format!("the carrier takes 1 to {VALIDITY_MAX} seconds"))),
        };
        let name = "LEDGERLINE_VALIDITY_SECONDS";
        if let Some(n) = count(name, &self.validity_seconds)? {
            for &lane in Lane::ALL {
                bounds.set_validity(lane, validity(name, n)?);
            }
        }
        for (word, n) in &self.validity {
            let name = format!("validity.{word}");
            let words: Vec<&str> = Lane::ALL.iter().map(|lane| lane.as_str()).collect();
            let lane = Lane::parse(word)
                .ok_or_else(|| bad(&name, format!("write one of {}", words.join(", "))))?;
            let n = n.number().ok_or_else(|| bad(&name, "write a whole number from 1 up"))?;
            bounds.set_validity(lane, validity(&name, n)?);
        }
        Ok(bounds)
    }
}

/// Reads one carrier's account from the settings behind `prefix`.
fn twilio(all: &BTreeMap<String, String>, prefix: &str) -> Result<Option<Twilio>, SettingError> {
    let get = |name: &str| {
        all.get(&format!("{prefix}{name}")).filter(|text| !text.trim().is_empty()).cloned()
    };
    let upper = |name: &str| format!("{prefix}{name}").to_ascii_uppercase();
    let Some(account_sid) = get("account_sid") else {
        let other = ["auth_token", "api_key_sid", "api_key_secret"]
            .into_iter()
            .find(|name| get(name).is_some());
        return match other {
            Some(name) => {
                let problem = format!("is missing beside {}", upper(name));
                Err(bad(&upper("account_sid"), problem))
            }
            None => Ok(None),
        };
    };
    let api_base = get("api_base").unwrap_or_else(|| TWILIO_API_BASE.to_owned());
    let api_base = base_url(&upper("api_base"), &api_base)?;
    let strict = api_base == TWILIO_API_BASE;
    let sid = |name: &str, start: &str| {
        get(name).map(|sid| checked_sid(&upper(name), start, &sid, strict)).transpose()
    };
    let api_key = match (sid("api_key_sid", "SK")?, get("api_key_secret")) {
        (Some(key), Some(secret)) => Some((key, secret.into())),
        (None, None) => None,
        (Some(_), None) => {
            let problem = format!("is missing beside {}", upper("api_key_sid"));
            return Err(bad(&upper("api_key_secret"), problem));
        }
        (None, Some(_)) => {
            let problem = format!("is missing beside {}", upper("api_key_secret"));
            return Err(bad(&upper("api_key_sid"), problem));
        }
    };
    let number = get("phone_number").map(|text| checked_number(&upper("phone_number"), &text));
    Ok(Some(Twilio {
        account_sid: checked_sid(&upper("account_sid"), "AC", &account_sid, strict)?,
        auth_token: get("auth_token").map(SecretString::from),
        previous_auth_token: get("previous_auth_token").map(SecretString::from),
        api_key,
        messaging_service_sid: sid("messaging_service_sid", "MG")?,
        phone_number: number.transpose()?,
        api_base,
    }))
}

/// Reads an address without a slash at its end.
pub(super) fn base_url(name: &str, text: &str) -> Result<String, SettingError> {
    let text = text.trim().trim_end_matches('/');
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.contains(['?', '#', ' '])) {
        return Err(bad(name, format!("{text:?} is no address such as https://texts.example.com")));
    }
    Ok(text.to_owned())
}

/// `strict` is for Twilio itself; other carriers that speak its language may name things shorter.
fn checked_sid(name: &str, prefix: &str, sid: &str, strict: bool) -> Result<String, SettingError> {
    let sid = sid.trim().to_owned();
    let rest = sid.strip_prefix(prefix).unwrap_or_default();
    let length_fits = rest.len() == 32 || (!strict && !rest.is_empty());
    if length_fits && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(sid);
    }
    Err(bad(name, format!("write {prefix} followed by 32 hexadecimal digits")))
}

fn checked_number(name: &str, text: &str) -> Result<String, SettingError> {
    let text = text.trim().to_owned();
    let digits = text.strip_prefix('+').unwrap_or(&text);
    if (3..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text);
    }
    Err(bad(name, "write a number such as +13125550100, or a short code"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_setting_is_named() {
        let sid = format!("AC{}", "0".repeat(32));
        let twilio = |pairs: &[(&str, &str)]| Raw {
            twilio: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..Raw::default()
        };
        let number = |n: u32| Some(NumberOrText::Number(n));
        let cases: Vec<(Raw, &str)> = vec![
            (Raw { bind: "x".into(), ..Raw::default() }, "LEDGERLINE_BIND"),
            (Raw { public_url: Some("x.com".into()), ..Raw::default() }, "LEDGERLINE_PUBLIC_URL"),
            (
                Raw { operator_key: Some("short".into()), ..Raw::default() },
                "LEDGERLINE_OPERATOR_KEY",
            ),
            (Raw { lease_seconds: number(0), ..Raw::default() }, "LEDGERLINE_LEASE_SECONDS"),
            (
                Raw { validity_seconds: number(40_000), ..Raw::default() },
                "LEDGERLINE_VALIDITY_SECONDS",
            ),
            (
                Raw {
                    validity: BTreeMap::from([("codes".into(), NumberOrText::Number(5))]),
                    ..Raw::default()
                },
                "validity.codes",
            ),
            (twilio(&[("twilio_auth_token", "t")]), "TWILIO_ACCOUNT_SID"),
            (twilio(&[("twilio_account_sid", "AC1")]), "TWILIO_ACCOUNT_SID"),
            (
                twilio(&[("twilio_account_sid", &sid), ("twilio_phone_number", "Bob")]),
                "TWILIO_PHONE_NUMBER",
            ),
            (
                twilio(&[("twilio_account_sid", &sid), ("twilio_api_base", "ftp://x")]),
                "TWILIO_API_BASE",
            ),
            (
                twilio(&[("twilio_account_sid", &sid), ("twilio_api_key_sid", "x")]),
                "TWILIO_API_KEY_SID",
            ),
            (twilio(&[("twilio_backup_api_key_secret", "t")]), "TWILIO_BACKUP_ACCOUNT_SID"),
            (twilio(&[("twilio_tokenn", "t")]), "twilio_tokenn"),
        ];
        for (raw, name) in cases {
            assert_eq!(raw.checked().expect_err(name).name, name);
        }
        assert!(Raw::default().checked().expect("defaults").twilio.is_none());
        // A missing token is no reason not to run: texts wait, and the server says why.
        let no_token = twilio(&[("twilio_account_sid", &sid)]).checked().expect("runs");
        assert!(no_token.twilio.expect("an account").auth_token.is_none());
    }
}
