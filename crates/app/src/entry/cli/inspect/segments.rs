//! `inspect segments`: how a text is encoded and split.

use std::fmt::Write as _;

use clap::Args;
use domain::segments::{
    BODY_UNITS_MAX, CostlyCharacter, Encoding, Segmentation, billable, costly_characters, measure,
    smart_encode, units_per_segment,
};
use serde::{Deserialize, Serialize};

use super::lines;
use crate::entry::cli::failure::{Result, usage};
use crate::entry::cli::outlet::{Outlet, count, credits, faint, mark, strong};

/// What to inspect.
#[derive(Args, Debug)]
pub struct Wanted {
    /// Read JSON lines with `text` and answer `encoding`, `segments`, `characters`
    #[arg(long, conflicts_with = "text")]
    jsonl: bool,
    /// The text; several words are joined with spaces, none are read from the standard input
    #[arg(value_name = "INPUT")]
    text: Vec<String>,
}

#[derive(Deserialize)]
struct Line {
    text: String,
}

#[derive(Serialize)]
struct Answer {
    encoding: Encoding,
    segments: u32,
    characters: u32,
}

#[derive(Serialize)]
struct Report {
    encoding: Encoding,
    segments: u32,
    characters: u32,
    billable_segments: u32,
    units_per_segment: Vec<u32>,
    costly_characters: Vec<CostlyCharacter>,
    sent_as: String,
}

/// Runs the command.
pub fn run(wanted: &Wanted, out: Outlet) -> Result {
    if wanted.jsonl {
        return lines::answer_all(|line: Line| {
            let Segmentation { encoding, segments, characters, .. } = measure(&line.text);
            Ok(Answer { encoding, segments, characters })
        });
    }
    let text = match wanted.text.as_slice() {
        [] => std::io::read_to_string(std::io::stdin())
            .map_err(|error| usage(format!("the standard input: {error}")))?,
        words => words.join(" "),
    };
    let size = measure(&text);
    let report = Report {
        encoding: size.encoding,
        segments: size.segments,
        characters: size.characters,
        billable_segments: billable(&text),
        units_per_segment: units_per_segment(&text),
        costly_characters: costly_characters(&text),
        sent_as: smart_encode(&text).into_owned(),
    };
    out.tell(&report, || in_words(&text, &report))
}

fn in_words(text: &str, report: &Report) -> String {
    let mut words = format!("\n{}\n\n", indented(text));
    words += &sizes(text);
    words += &picture(report.encoding, &report.units_per_segment);
    if !report.costly_characters.is_empty() {
        words += "\n  These characters force the dearer encoding:\n";
        for one in &report.costly_characters {
            words += &costly(one);
        }
    }
    if report.sent_as != text {
        let saved = i64::from(billable(text)) - i64::from(billable(&report.sent_as));
        let sent_as = &report.sent_as;
        words += "\n  Ledgerline replaces them before it measures and sends:\n\n";
        words += &indented(sent_as);
        words += "\n\n";
        words += &sizes(sent_as);
        if saved > 0 {
            writeln!(words, "  {} saves {} a text", mark(true), credits(saved))
                .expect("writing to a String");
        }
    }
    words
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("    {}", strong(line))).collect();
    if lines.is_empty() { format!("    {}", faint("(an empty text)")) } else { lines.join("\n") }
}

fn sizes(text: &str) -> String {
    let size = measure(text);
    let unit = match size.encoding {
        Encoding::Gsm7 => "septets of 7 bits; €[]{}\\^|~ take two",
        Encoding::Ucs2 => "as a reader counts; 16 bits or more each",
    };
    let billed = billable(text);
    let mut words = String::new();
    let mut row = |name: &str, value: String, note: &str| {
        writeln!(words, "  {name:<12}{value:<8}{}", faint(note)).expect("writing to a String");
    };
    row("encoding", size.encoding.to_string(), "");
    row("characters", count(size.characters.into()), unit);
    row("segments", count(size.segments.into()), &bill(billed, size.segments));
    if usize::try_from(size.utf16_units).is_ok_and(|units| units > BODY_UNITS_MAX) {
        let note = "characters: no carrier takes more in one text";
        row("", count(size.utf16_units.into()), note);
    }
    words
}

fn bill(billed: u32, measured: u32) -> String {
    let rate = format!("{} at 1 credit a segment", credits(billed.into()));
    if billed == measured {
        rate
    } else {
        format!("{rate}: a carrier may split characters that belong together")
    }
}

/// Each part as a bar, filled as far as it is used.
fn picture(encoding: Encoding, parts: &[u32]) -> String {
    const CELLS: u32 = 40;
    const SHOWN: usize = 12;
    let (alone, part, unit) = match encoding {
        Encoding::Gsm7 => (160, 153, "septets"),
        Encoding::Ucs2 => (70, 67, "units"),
    };
    let room = if parts.len() > 1 { part } else { alone };
    let mut words = "\n".to_owned();
    for (nth, &used) in parts.iter().enumerate().take(SHOWN) {
        // Long characters may overfill a part by the calculator's count.
        let filled = (used * CELLS).div_ceil(room).min(CELLS);
        let bar = "█".repeat(usize::try_from(filled).unwrap_or(0));
        let rest = "░".repeat(usize::try_from(CELLS - filled).unwrap_or(0));
        writeln!(
            words,
            "  {:>4}  {}{}  {used} of {room} {unit}",
            nth + 1,
            console::style(bar).green(),
            faint(rest),
        )
        .expect("writing to a String");
    }
    if parts.len() > SHOWN {
        writeln!(words, "     …  and {} more", parts.len() - SHOWN).expect("writing to a String");
    }
    words
}

fn costly(one: &CostlyCharacter) -> String {
    let code = format!("U+{:04X}", u32::from(one.character));
    let shown = if one.character.is_control() { ' ' } else { one.character }.to_string();
    let fate = match one.replacement.as_deref() {
        Some("") => "removed before sending".to_owned(),
        Some(by) => format!("sent as {by}"),
        None => "stays: there is nothing like it in the cheap alphabet".to_owned(),
    };
    let often = if one.count > 1 { format!("{} times", one.count) } else { "once".to_owned() };
    format!("    {}  {code:<8} {often:<10} {}\n", strong(shown), faint(fate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        let size = measure(text);
        let report = Report {
            encoding: size.encoding,
            segments: size.segments,
            characters: size.characters,
            billable_segments: billable(text),
            units_per_segment: units_per_segment(text),
            costly_characters: costly_characters(text),
            sent_as: smart_encode(text).into_owned(),
        };
        console::strip_ansi_codes(&in_words(text, &report)).into_owned()
    }

    #[test]
    fn a_text_is_described() {
        let told = words("Hello €");
        for part in ["GSM-7", "characters  8", "1 credit", "8 of 160 septets"] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(!told.contains("dearer"), "{told}");
    }

    #[test]
    fn costly_characters_are_shown_with_their_replacement() {
        let told = words(&format!("Don’t be late 🙂{}", "a".repeat(60)));
        for part in ["UCS-2", "U+2019", "sent as '", "stays", "of 67 units"] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(words("It’s").contains("1 of 70") || words("It’s").contains("4 of 70"));
    }
}
