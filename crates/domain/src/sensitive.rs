//! What does not belong in a text: health details, card numbers, identity numbers, secrets.
//!
//! A warning, never a refusal: a clinic's name may hold such a word. The phrases are data,
//! `data/sensitive.csv`; numbers are told by their form and their check digit.

use std::sync::LazyLock;

use serde::Serialize;

use crate::message::words;
use crate::utterance::{Pattern, Piece, Sets, pieces, rows};

static TABLE: LazyLock<Vec<(Kind, Pattern)>> = LazyLock::new(|| {
    parse(include_str!("../data/sensitive.csv"))
        .unwrap_or_else(|problem| panic!("sensitive.csv: {problem}"))
});

/// Digits a payment card has (ISO/IEC 7812).
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// Warnings of one text at most.
const WARNINGS_MAX: usize = 10;

words! {
    /// What kind of thing does not belong there.
    Kind {
        /// About somebody's health.
        Health = 1 "health",
        /// A payment card's number.
        Card = 2 "card",
        /// A social security number.
        Identity = 3 "identity",
        /// A password, or what is asked of no one by text.
        Secret = 4 "secret",
    }
}

/// Something in a text that does not belong there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What kind of thing it is.
    pub kind: Kind,
    /// What was found; of numbers only the last digits.
    pub found: String,
    /// Why it matters, in words.
    pub advice: &'static str,
}

impl Kind {
    const fn advice(self) -> &'static str {
        match self {
            Self::Health => {
                "it tells whoever sees the phone about somebody's health; say it behind a log-in"
            }
            Self::Card => "it looks like a payment card's number; texts are not secret",
            Self::Identity => "it looks like a social security number; texts are not secret",
            Self::Secret => "texts are not secret, and fraudsters ask for the same",
        }
    }
}

/// What in `text` does not belong in a text message, in the order of the table.
pub fn warnings(text: &str) -> Vec<Warning> {
    let spoken = pieces(text);
    let mut found: Vec<Warning> = Vec::new();
    let mut add = |kind: Kind, what: String| {
        let warning = Warning { kind, found: what, advice: kind.advice() };
        if found.len() < WARNINGS_MAX && !found.contains(&warning) {
            found.push(warning);
        }
    };
    for (kind, pattern) in TABLE.iter() {
        if let Some((start, end)) = pattern.find(&spoken, 0) {
            add(*kind, shown(&spoken[start..end]));
        }
    }
    for (kind, last) in numbers(text) {
        add(kind, format!("…{last}"));
    }
    found
}

fn shown(pieces: &[Piece]) -> String {
    let word = |piece: &Piece| match piece {
        Piece::Word(word) | Piece::Number(word) => Some(word.clone()),
        Piece::Sign(_) | Piece::Break | Piece::Blank => None,
    };
    pieces.iter().filter_map(word).collect::<Vec<_>>().join(" ")
}

/// Numbers that look like a card's or a person's, as their kind and last four digits.
fn numbers(text: &str) -> Vec<(Kind, String)> {
    let mut all = Vec::new();
    for run in text.split(|one: char| !(one.is_ascii_digit() || matches!(one, ' ' | '-'))) {
        let run = run.trim_matches([' ', '-']);
        let digits: Vec<u8> =
            run.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
        let kind = if CARD_DIGITS.contains(&digits.len()) && passes_luhn(&digits) {
            Kind::Card
        } else if is_social_security(run) {
            Kind::Identity
        } else {
            continue;
        };
        let last = digits[digits.len() - 4..].iter().map(u8::to_string).collect();
        all.push((kind, last));
    }
    all
}

/// The check digit of card numbers (ISO/IEC 7812-1, annex B). All zeros are no card.
fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| {
            let doubled = u32::from(digit) * if place % 2 == 1 { 2 } else { 1 };
            doubled / 10 + doubled % 10
        })
        .sum();
    sum > 0 && sum.is_multiple_of(10)
}

/// `AAA-GG-SSSS` as the Social Security Administration gives them out.
fn is_social_security(run: &str) -> bool {
    let parts: Vec<&str> = run.split(['-', ' ']).collect();
    let [area, group, serial] = parts[..] else { return false };
    (area.len(), group.len(), serial.len()) == (3, 2, 4)
        && !matches!(area, "000" | "666")
        && !area.starts_with('9')
        && group != "00"
        && serial != "0000"
}

fn parse(table: &'static str) -> Result<Vec<(Kind, Pattern)>, String> {
    rows::<3>(table)
        .map(|[kind, _locale, phrase]| {
            let kind = Kind::parse(kind).ok_or_else(|| format!("kind {kind}"))?;
            Ok((kind, Pattern::parse(phrase, &Sets::default())?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = warnings(text).into_iter().map(|one| one.kind).collect();
        kinds.dedup();
        kinds
    }

    #[test]
    fn what_does_not_belong_in_a_text_is_found() {
        use Kind::{Card, Health, Identity, Secret};
        for (text, expected) in [
            ("Northside: your visit is tomorrow at 9:00. Reply Y to confirm.", vec![]),
            ("Your session with Dr. Park starts at 10:30, room 12.", vec![]),
            ("Call us at +1 312 555 0147 or (312) 555-0148.", vec![]),
            ("Your physical therapy is tomorrow.", vec![]),
            ("Your HIV test results are ready.", vec![Health]),
            ("Grief therapy is on Monday", vec![Health]),
            ("Sus resultados de los análisis están listos", vec![Health]),
            ("Votre séance de psychothérapie est demain", vec![Health]),
            ("Résultats d'analyses disponibles", vec![Health]),
            ("We charged 4242 4242 4242 4242", vec![Card]),
            ("We charged 4242-4242-4242-4243", vec![]),
            ("SSN 123-45-6789 on file", vec![Identity]),
            ("Order 000-45-6789", vec![]),
            ("Order 2026-11-21", vec![]),
            ("Your password is swordfish", vec![Secret]),
            ("Olvidó su contraseña", vec![Secret]),
            ("0000 0000 0000 0000", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(kinds(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_warning_does_not_repeat_the_number() {
        let found = warnings("Card 4242424242424242, diagnosis: none");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].found, "diagnosis");
        assert_eq!((found[1].kind, found[1].found.as_str()), (Kind::Card, "…4242"));
    }
}
