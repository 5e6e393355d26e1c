//! `inspect reply`: what a text says to a request, and which request it answers.

use clap::Args;
use domain::replies::{self, Meaning, Open, Route};
use serde::{Deserialize, Serialize};

use super::lines;
use crate::entry::cli::failure::{Result, usage};
use crate::entry::cli::outlet::{Outlet, faint, strong};

/// More open requests than anybody has; a longer list answers nothing else.
const OPEN_MAX: usize = 1000;

/// What to inspect.
#[derive(Args, Debug)]
pub struct Wanted {
    /// Read JSON lines with `body`, `locale`, `open_requests`; answer `meaning`, `token`
    #[arg(long, conflicts_with = "text")]
    jsonl: bool,
    /// The sender's language, such as es or fr-CA
    #[arg(long, value_name = "LOCALE")]
    locale: Option<String>,
    /// How many requests wait for this person's answer
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    open: usize,
    /// The text; read from the standard input if there is none
    #[arg(value_name = "TEXT")]
    text: Vec<String>,
}

/// The open requests: how many, or the token of each.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "`open_requests` is a number or a list of tokens")]
enum Requests {
    Count(usize),
    Tokens(Vec<Token>),
}

/// The token of an open request, bare or as a member of an object.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Token {
    Text(Option<String>),
    Number(u32),
    Object { token: Option<Box<Token>> },
}

impl Token {
    fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => Some(number.to_string()),
            Self::Object { token } => token.as_ref().and_then(|token| token.text()),
        }
    }
}

impl Default for Requests {
    fn default() -> Self {
        Self::Count(1)
    }
}

#[derive(Deserialize)]
struct Line {
    body: String,
    #[serde(default)]
    locale: Option<String>,
    #[serde(default)]
    open_requests: Requests,
}

/// `meaning` is what follows from the text while these requests are open: `yes` or `no` when it
/// answers one, `clarify` when it could answer several, else `other`. `reading` is the text alone.
#[derive(Debug, PartialEq, Serialize)]
struct Answer {
    meaning: &'static str,
    token: Option<String>,
    reading: Meaning,
    route: &'static str,
}

/// Runs the command.
pub fn run(wanted: Wanted, out: Outlet) -> Result {
    if wanted.jsonl {
        return lines::answer_all(|line: Line| Ok::<_, String>(judge(&line)));
    }
    let body = match wanted.text.as_slice() {
        [] => std::io::read_to_string(std::io::stdin())
            .map_err(|error| usage(format!("the standard input: {error}")))?,
        words => words.join(" "),
    };
    let open_requests = Requests::Count(wanted.open);
    let answer = judge(&Line { body, locale: wanted.locale, open_requests });
    out.tell(&answer, || in_words(&answer))
}

fn judge(line: &Line) -> Answer {
    let reply = replies::parse(&line.body, line.locale.as_deref());
    // Of a mere number it is not known which tokens there are: one is taken to be the text's.
    let tokens: Vec<Option<String>> = match &line.open_requests {
        Requests::Count(count) => (0..(*count).min(OPEN_MAX))
            .map(|nth| reply.token.clone().filter(|_| nth == 0))
            .collect(),
        Requests::Tokens(tokens) => tokens.iter().map(Token::text).collect(),
    };
    let open: Vec<Open<'_>> = tokens.iter().map(|token| Open { token: token.as_deref() }).collect();
    let route = replies::route(&reply, &open);
    let meaning = match route {
        Route::Answer { yes: true, .. } => "yes",
        Route::Answer { yes: false, .. } => "no",
        Route::Clarify if reply.meaning != Meaning::Other => "clarify",
        Route::Clarify | Route::Nothing => "other",
    };
    Answer { meaning, token: reply.token, reading: reply.meaning, route: route.as_str() }
}

fn in_words(answer: &Answer) -> String {
    let token = answer.token.as_ref().map(|token| format!(" to {token}")).unwrap_or_default();
    let follows = if answer.route == Route::Clarify.as_str() {
        "asked once what is meant, then a task for a person"
    } else if answer.route == Route::Nothing.as_str() {
        "nothing was asked: a text for a person"
    } else {
        "answers the request"
    };
    format!("\n  {}{}  {}\n", strong(answer.meaning), token, faint(follows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_judged() {
        for (line, meaning, token, route) in [
            (r#"{"body":"Y","open_requests":1}"#, "yes", None, "answer"),
            (r#"{"body":"Y"}"#, "yes", None, "answer"),
            (r#"{"body":"Y","open_requests":0}"#, "other", None, "none"),
            (r#"{"body":"n","open_requests":2}"#, "clarify", None, "clarify"),
            (r#"{"body":"N-123","open_requests":2}"#, "no", Some("123"), "answer"),
            (r#"{"body":"Y123","open_requests":["123","124"]}"#, "yes", Some("123"), "answer"),
            (r#"{"body":"Y125","open_requests":["123",null]}"#, "clarify", Some("125"), "clarify"),
            (r#"{"body":"Y","open_requests":[]}"#, "other", None, "none"),
            (
                r#"{"body":"Y123","open_requests":[{"token":123},{"token":"9"}]}"#,
                "yes",
                Some("123"),
                "answer",
            ),
            (r#"{"body":"123","open_requests":1}"#, "other", Some("123"), "clarify"),
            (r#"{"body":"O","locale":"fr","open_requests":1}"#, "yes", None, "answer"),
            (r#"{"body":"Y","open_requests":18446744073709551615}"#, "clarify", None, "clarify"),
        ] {
            let answer = judge(&serde_json::from_str(line).expect("a line"));
            assert_eq!(answer.meaning, meaning, "{line}");
            assert_eq!((answer.token.as_deref(), answer.route), (token, route), "{line}");
        }
        let told = serde_json::from_str::<Line>(r#"{"body":"Y","open_requests":"two"}"#);
        assert!(told.is_err_and(|error| error.to_string().contains("a list of tokens")));
    }

    #[test]
    fn answers_are_described() {
        let answer = judge(&Line {
            body: "Y123".to_owned(),
            locale: None,
            open_requests: Requests::Count(2),
        });
        let words = console::strip_ansi_codes(&in_words(&answer)).into_owned();
        assert!(words.contains("yes to 123  answers"), "{words}");
    }
}
