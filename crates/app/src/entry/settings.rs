//! Settings: defaults, then a TOML file, then the environment. A bad one stops start-up with a
//! sentence that names it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

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
    /// `LEDGERLINE_SEGMENTS_PER_SECOND`: the pace of the sender of accounts that have none.
    pub segments_per_second: Option<u32>,
    /// The carrier's account; without it the sandbox carrier serves.
    pub twilio: Option<Twilio>,
}

/// A Twilio account.
#[derive(Clone, Debug)]
pub struct Twilio {
    /// `TWILIO_ACCOUNT_SID`.
    pub account_sid: String,
    /// `TWILIO_AUTH_TOKEN`.
    pub auth_token: SecretString,
    /// `TWILIO_MESSAGING_SERVICE_SID`: what texts of accounts without senders leave from.
    pub messaging_service_sid: Option<String>,
    /// `TWILIO_PHONE_NUMBER`: the same, if there is no service.
    pub phone_number: Option<String>,
    /// `TWILIO_API_BASE`.
    pub api_base: String,
}

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
#[serde(deny_unknown_fields, default)]
struct Raw {
    database_url: String,
    bind: String,
    public_url: Option<String>,
    operator_key: Option<String>,
    state_dir: Option<PathBuf>,
    segments_per_second: Option<NumberOrText>,
    twilio_account_sid: Option<String>,
    twilio_auth_token: Option<String>,
    twilio_messaging_service_sid: Option<String>,
    twilio_phone_number: Option<String>,
    twilio_api_base: String,
}

/// In a file it is a number, in the environment a text.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u32),
    Text(String),
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
            segments_per_second: None,
            twilio_account_sid: None,
            twilio_auth_token: None,
            twilio_messaging_service_sid: None,
            twilio_phone_number: None,
            twilio_api_base: TWILIO_API_BASE.to_owned(),
        }
    }
}

const LEDGERLINE: [&str; 6] =
    ["database_url", "bind", "public_url", "operator_key", "state_dir", "segments_per_second"];
const TWILIO: [&str; 5] = [
    "twilio_account_sid",
    "twilio_auth_token",
    "twilio_messaging_service_sid",
    "twilio_phone_number",
    "twilio_api_base",
];

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
        for (prefix, names) in [("LEDGERLINE_", &LEDGERLINE[..]), ("", &TWILIO[..])] {
            for name in names {
                let variable = format!("{prefix}{}", name.to_ascii_uppercase());
                if let Ok(value) = std::env::var(&variable) {
                    figment = figment.merge(Serialized::default(name, value));
                }
            }
        }
        let raw: Raw = figment.extract().map_err(|error| {
            let path = error.path.join(".");
            let name = match path.as_str() {
                "" => "the configuration file".to_owned(),
                path if path.starts_with("twilio") => path.to_ascii_uppercase(),
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
            segments_per_second: None,
            twilio: None,
        }
    }
}

impl Raw {
    fn checked(self) -> Result<Settings, SettingError> {
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let bind = self.bind.parse().map_err(|_| {
            bad("LEDGERLINE_BIND", format!("{:?} is no address such as 127.0.0.1:8080", self.bind))
        })?;
        let public_url = filled(self.public_url)
            .map(|url| base_url("LEDGERLINE_PUBLIC_URL", &url))
            .transpose()?;
        let operator_key = filled(self.operator_key);
        if operator_key.as_ref().is_some_and(|key| key.len() < 8) {
            return Err(bad("LEDGERLINE_OPERATOR_KEY", "write at least 8 characters"));
        }
        let api_base = base_url("TWILIO_API_BASE", &self.twilio_api_base)?;
        let strict = api_base == TWILIO_API_BASE;
        let pace = self.segments_per_second.as_ref().map(|pace| {
            let problem = "write a whole number from 1 up";
            pace.number().ok_or_else(|| bad("LEDGERLINE_SEGMENTS_PER_SECOND", problem))
        });
        let segments_per_second = pace.transpose()?;
        let twilio = match (filled(self.twilio_account_sid), filled(self.twilio_auth_token)) {
            (None, None) => None,
            (Some(_), None) => {
                return Err(bad("TWILIO_AUTH_TOKEN", "is missing beside TWILIO_ACCOUNT_SID"));
            }
            (None, Some(_)) => {
                return Err(bad("TWILIO_ACCOUNT_SID", "is missing beside TWILIO_AUTH_TOKEN"));
            }
            (Some(account_sid), Some(auth_token)) => Some(Twilio {
                account_sid: checked_sid("TWILIO_ACCOUNT_SID", "AC", &account_sid, strict)?,
                auth_token: auth_token.into(),
                messaging_service_sid: filled(self.twilio_messaging_service_sid)
                    .map(|sid| checked_sid("TWILIO_MESSAGING_SERVICE_SID", "MG", &sid, strict))
                    .transpose()?,
                phone_number: filled(self.twilio_phone_number)
                    .map(|text| checked_number(&text))
                    .transpose()?,
                api_base,
            }),
        };
        Ok(Settings {
            database_url: self.database_url,
            bind,
            public_url,
            operator_key: operator_key.map(SecretString::from),
            state_dir: self.state_dir,
            segments_per_second,
            twilio,
        })
    }
}

fn base_url(name: &str, text: &str) -> Result<String, SettingError> {
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

fn checked_number(text: &str) -> Result<String, SettingError> {
    let text = text.trim().to_owned();
    let digits = text.strip_prefix('+').unwrap_or(&text);
    if (3..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text);
    }
    Err(bad("TWILIO_PHONE_NUMBER", "write a number such as +13125550100, or a short code"))
}

/// Compares a presented operator key in constant time.
pub fn is_operator(settings: &Settings, presented: &str) -> bool {
    use subtle::ConstantTimeEq;
    settings.operator_key.as_ref().is_some_and(|key| {
        let digest = crate::flow::accounts::digest;
        digest(key.expose_secret()).ct_eq(&digest(presented)).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_setting_is_named() {
        let sid = Some(format!("AC{}", "0".repeat(32)));
        let cases: Vec<(Raw, &str)> = vec![
            (Raw { bind: "x".into(), ..Raw::default() }, "LEDGERLINE_BIND"),
            (Raw { public_url: Some("x.com".into()), ..Raw::default() }, "LEDGERLINE_PUBLIC_URL"),
            (
                Raw { operator_key: Some("short".into()), ..Raw::default() },
                "LEDGERLINE_OPERATOR_KEY",
            ),
            (Raw { twilio_account_sid: sid.clone(), ..Raw::default() }, "TWILIO_AUTH_TOKEN"),
            (Raw { twilio_auth_token: Some("t".into()), ..Raw::default() }, "TWILIO_ACCOUNT_SID"),
            (
                Raw {
                    twilio_account_sid: Some("AC1".into()),
                    twilio_auth_token: Some("t".into()),
                    ..Raw::default()
                },
                "TWILIO_ACCOUNT_SID",
            ),
            (
                Raw {
                    twilio_account_sid: sid,
                    twilio_auth_token: Some("t".into()),
                    twilio_phone_number: Some("Bob".into()),
                    ..Raw::default()
                },
                "TWILIO_PHONE_NUMBER",
            ),
            (Raw { twilio_api_base: "ftp://x".into(), ..Raw::default() }, "TWILIO_API_BASE"),
        ];
        for (raw, name) in cases {
            assert_eq!(raw.checked().expect_err(name).name, name);
        }
        assert!(Raw::default().checked().expect("defaults").twilio.is_none());
    }
}
