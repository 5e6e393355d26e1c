//! Where a command's answer goes: words for people, JSON for scripts.
//!
//! Colours appear on a terminal only, and not when `NO_COLOR` is set.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use console::{StyledObject, style};
use serde::Serialize;

use super::failure::Result;

/// The answer's outlet.
#[derive(Clone, Copy, Debug)]
pub struct Outlet {
    /// A script reads along: JSON instead of words.
    pub json: bool,
}

impl Outlet {
    /// Answers in JSON or says the words, whichever was asked for.
    pub fn tell(self, value: &impl Serialize, words: impl FnOnce() -> String) -> Result {
        if self.json { answer(value) } else { say(words()) }
    }
}

/// Says a line to a person.
pub fn say(line: impl Display) -> Result {
    // One call, so that lines of several processes do not mix.
    let line = format!("{line}\n");
    Ok(io::stdout().lock().write_all(line.as_bytes())?)
}

/// Answers in JSON, one line.
pub fn answer(value: &impl Serialize) -> Result {
    let mut line = serde_json::to_vec(value).expect("answers are valid JSON");
    line.push(b'\n');
    Ok(io::stdout().lock().write_all(&line)?)
}

/// A person looks at the output.
pub fn on_terminal() -> bool {
    io::stdout().is_terminal()
}

/// A number as people read it: `4,490`.
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 2);
    if number < 0 {
        text.push('-');
    }
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// [`count`] for what the machine counts.
pub fn count_of(number: usize) -> String {
    count(i64::try_from(number).unwrap_or(i64::MAX))
}

/// `1 credit`, `3,000 credits`.
pub fn credits(amount: i64) -> String {
    format!("{} credit{}", count(amount), if amount == 1 { "" } else { "s" })
}

/// A tick or a cross.
pub fn mark(ok: bool) -> StyledObject<&'static str> {
    if ok { style("✓").green().bold() } else { style("✗").red().bold() }
}

/// What matters.
pub fn strong(text: impl Display) -> StyledObject<String> {
    style(text.to_string()).bold()
}

/// What is said by the way.
pub fn faint(text: impl Display) -> StyledObject<String> {
    style(text.to_string()).dim()
}

/// What can be typed or opened.
pub fn doable(text: impl Display) -> StyledObject<String> {
    style(text.to_string()).cyan()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, expected) in [
            (0, "0"),
            (12, "12"),
            (999, "999"),
            (1_000, "1,000"),
            (-4_490, "-4,490"),
            (1_234_567, "1,234,567"),
            (-100, "-100"),
            (i64::MIN, "-9,223,372,036,854,775,808"),
        ] {
            assert_eq!(count(number), expected);
        }
        assert_eq!((credits(1), credits(3000)), ("1 credit".into(), "3,000 credits".into()));
    }
}
