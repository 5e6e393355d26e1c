//! `inspect twilio-signature`: whether a webhook was signed with an auth token.

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use twilio::signature::{Body, sign, validate};

use super::lines;
use crate::entry::cli::failure::{Result, usage};
use crate::entry::cli::outlet::{Outlet, faint, mark, strong};

/// What to inspect.
#[derive(Args, Debug)]
pub struct Wanted {
    /// Read JSON lines with `auth_token`, `url`, `params` or `body`, `signature`; answer `valid`
    #[arg(long, conflicts_with = "url")]
    jsonl: bool,
    /// The account's auth token
    #[arg(long, env = "TWILIO_AUTH_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    auth_token: Option<String>,
    /// A parameter of the form, as often as there are some
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    param: Vec<(String, String)>,
    /// The body, if it is no form
    #[arg(long, value_name = "TEXT", conflicts_with = "param")]
    body: Option<String>,
    /// The address that was called
    #[arg(value_name = "URL", required_unless_present = "jsonl")]
    url: Option<String>,
    /// What X-Twilio-Signature said
    #[arg(value_name = "SIGNATURE", required_unless_present = "jsonl", allow_hyphen_values = true)]
    signature: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    auth_token: String,
    url: String,
    #[serde(default)]
    params: Option<Vec<(String, String)>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    raw_form_body: Option<String>,
    #[serde(default)]
    signature: Option<String>,
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
    let token: SecretString = wanted
        .auth_token
        .ok_or_else(|| usage("TWILIO_AUTH_TOKEN: set it, or write --auth-token"))?
        .into();
    let url = wanted.url.unwrap_or_default();
    let signature = wanted.signature.unwrap_or_default();
    let body = match &wanted.body {
        Some(body) => Body::Raw(body.as_bytes()),
        None => Body::Form(&wanted.param),
    };
    let valid = validate(token.expose_secret(), &url, &signature, body);
    out.tell(&Answer { valid }, || {
        if valid {
            return format!("\n  {}  signed with this token\n", mark(true));
        }
        let expected = sign(token.expose_secret(), &url, &wanted.param);
        let note = "the address must be the one Twilio called, to the letter: scheme, host, path, \
                    query";
        format!(
            "\n  {}  not signed with this token for this address and content\n     \
             expected {}\n     {}\n",
            mark(false),
            strong(expected),
            faint(note),
        )
    })
}

fn pair(text: &str) -> std::result::Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "write NAME=VALUE".to_owned())
}

fn judge(line: &Line) -> bool {
    let read;
    let body = match (&line.body, &line.params, &line.raw_form_body) {
        (Some(body), _, _) => Body::Raw(body.as_bytes()),
        (None, Some(params), _) => Body::Form(params),
        (None, None, Some(form)) => {
            read = form_urlencoded::parse(form.as_bytes()).into_owned().collect::<Vec<_>>();
            Body::Form(&read)
        }
        (None, None, None) => Body::None,
    };
    validate(&line.auth_token, &line.url, line.signature.as_deref().unwrap_or_default(), body)
}
