//! `inspect keyword`: whether a text is STOP, START, HELP or wording that means STOP.

use clap::Args;
use domain::keywords::{Kind, Options, classify};
use serde::{Deserialize, Serialize};

use super::lines;
use crate::entry::cli::failure::{Result, usage};
use crate::entry::cli::outlet::{Outlet, faint, strong};

/// What to inspect.
#[derive(Args, Debug)]
pub struct Wanted {
    /// Read JSON lines with `body` and `locale`; answer `kind`
    #[arg(long, conflicts_with = "text")]
    jsonl: bool,
    /// The sender's language, such as es or fr-CA
    #[arg(long, value_name = "LOCALE")]
    locale: Option<String>,
    /// YES starts texts again
    #[arg(long)]
    yes_is_start: bool,
    /// A request waits for a yes or a no
    #[arg(long)]
    request_pending: bool,
    /// The text; read from the standard input if there is none
    #[arg(value_name = "TEXT")]
    text: Vec<String>,
}

#[derive(Deserialize)]
struct Line {
    body: String,
    #[serde(default)]
    locale: Option<String>,
    #[serde(default)]
    yes_is_start: bool,
    #[serde(default)]
    request_pending: bool,
}

#[derive(Debug, PartialEq, Serialize)]
struct Answer {
    kind: Kind,
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
    let Wanted { locale, yes_is_start, request_pending, .. } = wanted;
    let answer = judge(&Line { body, locale, yes_is_start, request_pending });
    out.tell(&answer, || in_words(answer.kind))
}

fn judge(line: &Line) -> Answer {
    let options = Options {
        yes_is_start: line.yes_is_start,
        request_pending: line.request_pending,
        ..Options::default()
    };
    Answer { kind: classify(&line.body, line.locale.as_deref(), &options) }
}

fn in_words(kind: Kind) -> String {
    let follows = match kind {
        Kind::Stop => "opted out at once, also from what waits; one confirmation",
        Kind::Start => "opted in again",
        Kind::Help => "answered with the account's help text",
        Kind::Join => "asked to confirm that texts are wanted",
        Kind::Revocation => "suppressed at once; a person reviews the wording",
        Kind::None => "no keyword: a reply or a text for a person",
    };
    format!("\n  {}  {}\n", strong(kind), faint(follows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_judged() {
        for (line, expected) in [
            (r#"{"body":"Stop."}"#, Kind::Stop),
            (r#"{"body":"FIN","locale":"fr-CA"}"#, Kind::Stop),
            (r#"{"body":"FIN","locale":"en"}"#, Kind::None),
            (r#"{"body":"no más","locale":null}"#, Kind::Revocation),
            (r#"{"body":"YES","yes_is_start":true}"#, Kind::Start),
            (r#"{"body":"YES","yes_is_start":true,"request_pending":true}"#, Kind::None),
        ] {
            let read: Line = serde_json::from_str(line).expect("a line");
            assert_eq!(judge(&read), Answer { kind: expected }, "{line}");
        }
        let answer = serde_json::to_string(&Answer { kind: Kind::Join }).expect("JSON");
        assert_eq!(answer, r#"{"kind":"join"}"#);
        assert!(in_words(Kind::Help).contains("help text"));
    }
}
