//! The settings of payments: how to reach Stripe, what signs its webhooks, what credits cost.

use std::path::PathBuf;

use secrecy::SecretString;

use super::settings::{SettingError, base_url};

/// How money is taken.
#[derive(Clone, Debug)]
pub struct PaymentSettings {
    /// `STRIPE_SECRET_KEY`: without it nobody can pay, or only in the sandbox.
    pub secret_key: Option<SecretString>,
    /// `STRIPE_WEBHOOK_SECRET`: any of these signs webhooks; several, with commas between them,
    /// while it is changed.
    pub webhook_secrets: Vec<SecretString>,
    /// `STRIPE_API_BASE`.
    pub api_base: String,
    /// `LEDGERLINE_PACKS_FILE`: the price list, as CSV, instead of the built-in one.
    pub packs_file: Option<PathBuf>,
}

impl Default for PaymentSettings {
    fn default() -> Self {
        let api_base = stripe::client::BASE.to_owned();
        Self { secret_key: None, webhook_secrets: Vec::new(), api_base, packs_file: None }
    }
}

/// The names in the environment that have no prefix of ours.
pub const STRIPE: [&str; 3] = ["stripe_secret_key", "stripe_webhook_secret", "stripe_api_base"];

/// What keys may be made of.
fn is_secret(text: &str) -> bool {
    text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl PaymentSettings {
    /// Checks what was set.
    pub fn checked(
        secret_key: Option<&str>,
        webhook_secret: Option<&str>,
        api_base: Option<&str>,
        packs_file: Option<PathBuf>,
    ) -> Result<Self, SettingError> {
        let filled = |text: Option<&str>| {
            text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let bad = |name: &str, problem: &str| SettingError {
            name: name.to_owned(),
            problem: problem.to_owned(),
        };
        let secret_key = filled(secret_key);
        if secret_key.as_ref().is_some_and(|key| !is_secret(key)) {
            return Err(bad("STRIPE_SECRET_KEY", "write the key as Stripe shows it, sk_…"));
        }
        let all = filled(webhook_secret).unwrap_or_default();
        let secrets = all.split(',').map(str::trim).filter(|secret| !secret.is_empty());
        let webhook_secrets: Vec<&str> = secrets.collect();
        if !webhook_secrets.iter().all(|secret| is_secret(secret)) {
            let problem = "write the endpoint's secret as Stripe shows it, whsec_…";
            return Err(bad("STRIPE_WEBHOOK_SECRET", problem));
        }
        let api_base = filled(api_base).map(|url| base_url("STRIPE_API_BASE", &url)).transpose()?;
        Ok(Self {
            secret_key: secret_key.map(SecretString::from),
            webhook_secrets: webhook_secrets.into_iter().map(SecretString::from).collect(),
            api_base: api_base.unwrap_or_else(|| stripe::client::BASE.to_owned()),
            packs_file,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn what_is_set_is_checked() {
        let read = |key, secret, base| PaymentSettings::checked(key, secret, base, None);
        let none = read(None, Some(" "), None).expect("nothing is set");
        assert!(none.secret_key.is_none() && none.webhook_secrets.is_empty());
        assert_eq!(none.api_base, "https://api.stripe.com");
        let two =
            read(Some("sk_test_1"), Some("whsec_one, whsec_two,"), Some("http://127.0.0.1:9/"));
        let two = two.expect("is good");
        let secrets: Vec<&str> =
            two.webhook_secrets.iter().map(ExposeSecret::expose_secret).collect();
        assert_eq!(secrets, ["whsec_one", "whsec_two"]);
        assert_eq!(two.api_base, "http://127.0.0.1:9");
        for (key, secret, base, name) in [
            (Some("sk 1234567"), None, None, "STRIPE_SECRET_KEY"),
            (None, Some("whsec_one,x"), None, "STRIPE_WEBHOOK_SECRET"),
            (None, None, Some("ftp://x"), "STRIPE_API_BASE"),
        ] {
            assert_eq!(read(key, secret, base).expect_err(name).name, name);
        }
    }
}
