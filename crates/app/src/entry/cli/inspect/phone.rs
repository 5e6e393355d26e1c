//! `inspect phone`: what a typed number is.

use std::fmt::Write as _;

use clap::Args;
use domain::phone::{self, Inspection, NumberType};
use serde::Deserialize;

use super::lines;
use crate::entry::cli::failure::{Result, usage};
use crate::entry::cli::outlet::{Outlet, faint, mark, strong};

/// What to inspect.
#[derive(Args, Debug)]
pub struct Wanted {
    /// Read JSON lines with `raw` and `default_region`; answer `valid`, `e164`, `type`, `region`
    #[arg(long, conflicts_with = "number")]
    jsonl: bool,
    /// The country of a number without a country code, such as US
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The number as typed; without a country code it needs --region
    #[arg(value_name = "INPUT")]
    number: Vec<String>,
}

#[derive(Deserialize)]
struct Line {
    raw: String,
    #[serde(default)]
    default_region: Option<String>,
}

/// Runs the command.
pub fn run(wanted: &Wanted, out: Outlet) -> Result {
    if wanted.jsonl {
        return lines::answer_all(|line: Line| {
            Ok::<_, String>(phone::inspect(&line.raw, line.default_region.as_deref()))
        });
    }
    let typed = match wanted.number.as_slice() {
        [] => std::io::read_to_string(std::io::stdin())
            .map_err(|error| usage(format!("the standard input: {error}")))?,
        words => words.join(" "),
    };
    let region = wanted.region.as_deref();
    let found = phone::inspect(&typed, region);
    out.tell(&found, || in_words(&typed, region, &found))
}

fn in_words(typed: &str, region: Option<&str>, found: &Inspection) -> String {
    let head = format!("\n  {}  {}", mark(found.valid), strong(typed.trim()));
    let row = |name: &str, value: &str, note: &str| {
        format!("\n     {name:<10}{value:<22}{}", faint(note))
    };
    let mut words = head;
    if let Some(e164) = &found.e164 {
        words += &row("E.164", e164, "");
    }
    match phone::parse(typed, region) {
        Ok(number) => {
            words += &row("type", number.kind.as_str(), meaning(number.kind));
            words += &row("region", found.region.as_deref().unwrap_or("none"), "");
            let home = [found.region.clone().unwrap_or_default()];
            if let Some(why) = phone::refusal(&number, &home, false) {
                write!(words, "\n     {} is not texted: {why}", mark(false))
                    .expect("writing to a String");
            }
        }
        Err(problem) => words += &row("", &problem.to_string(), ""),
    }
    words.push('\n');
    words
}

fn meaning(kind: NumberType) -> &'static str {
    match kind {
        NumberType::FixedLine => "a landline",
        NumberType::Mobile => "a mobile phone",
        NumberType::FixedLineOrMobile => "an ordinary number; it does not tell which",
        NumberType::TollFree => "free for the caller",
        NumberType::PremiumRate => "expensive for the caller",
        NumberType::SharedCost => "both sides pay",
        NumberType::Voip => "a telephone on the internet",
        NumberType::PersonalNumber => "follows a person",
        NumberType::Pager => "a pager",
        NumberType::Uan => "a company's number",
        NumberType::Voicemail => "a voicemail box",
        NumberType::Unknown => "not known",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(typed: &str, region: Option<&str>) -> String {
        let found = phone::inspect(typed, region);
        console::strip_ansi_codes(&in_words(typed, region, &found)).into_owned()
    }

    #[test]
    fn numbers_are_described() {
        for (typed, region, part) in [
            ("(415) 911-5551", Some("US"), "+14159115551"),
            ("+44 7400 123456", None, "a mobile phone"),
            ("4159115551", None, "the country is missing"),
            ("hello", Some("US"), "not a phone number"),
            ("+1 900 234 5678", None, "is not texted"),
        ] {
            let told = words(typed, region);
            assert!(told.contains(part), "{part} in {told}");
        }
    }
}
