//! Replies: whether a text says yes or no, which request it names, and which request it answers.
//!
//! The lists are data, `data/replies.csv`, for English, Spanish and French. A reply is understood
//! only when every word of it is: whatever says more than yes or no, asks, or contradicts itself
//! is [`Meaning::Other`], and a person is asked again. Whoever calls this has looked for
//! [`crate::keywords`] first: STOP and its kin are never replies.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Serialize;

use crate::message::words;
use crate::utterance::{Piece, language, pieces, rows};

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    Table::parse(include_str!("../data/replies.csv"))
        .unwrap_or_else(|problem| panic!("replies.csv: {problem}"))
});

/// How many digits a request's token has.
const TOKEN_DIGITS: std::ops::RangeInclusive<usize> = 3..=4;
/// Whose words count for people whose language is not known.
const UNKNOWN_LANGUAGE: &str = "en";

words! {
    /// What a reply says.
    Meaning {
        /// Agrees or confirms.
        Yes = 1 "yes",
        /// Declines, or wants another time.
        No = 2 "no",
        /// Anything else, doubt included.
        Other = 3 "other",
    }
}

/// A text, read as a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What it says.
    pub meaning: Meaning,
    /// The digits that name a request, as in `Y123`; also when they are all of the text.
    pub token: Option<String>,
}

/// Reads `body` as a reply of somebody with this locale, such as `es-MX`.
pub fn parse(body: &str, locale: Option<&str>) -> Reply {
    let nothing = Reply { meaning: Meaning::Other, token: None };
    let mut numbers = Vec::new();
    let mut said = Vec::new();
    for piece in pieces(body) {
        match piece {
            Piece::Number(digits) => numbers.push(digits),
            Piece::Word(_) | Piece::Sign(_) => said.push(piece),
            Piece::Break | Piece::Blank => {}
        }
    }
    let token = match numbers.pop() {
        // Several numbers are a time or a date.
        Some(digits) if TOKEN_DIGITS.contains(&digits.len()) && numbers.is_empty() => Some(digits),
        Some(_) => return nothing,
        None => None,
    };
    let language = locale.map(language).filter(|language| !language.is_empty());
    let Some(heard) = TABLE.hear(&said, language.as_deref().unwrap_or(UNKNOWN_LANGUAGE)) else {
        return nothing;
    };
    let asks = body.contains(['?', '？', '¿']);
    match (heard.yes, heard.no, heard.vague || asks) {
        (true, false, false) => Reply { meaning: Meaning::Yes, token },
        (false, true, false) => Reply { meaning: Meaning::No, token },
        // The token alone, politely or not: which request is known, but not what is said of it.
        (false, false, false) => Reply { meaning: Meaning::Other, token },
        _ => nothing,
    }
}

/// A request that waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open<'a> {
    /// The digits it was sent with, if any.
    pub token: Option<&'a str>,
}

/// What follows from a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// It answers this request.
    Answer {
        /// Its place among the open ones.
        index: usize,
        /// Yes or no.
        yes: bool,
    },
    /// It does not tell what is meant, or of which request.
    Clarify,
    /// Nothing was asked.
    Nothing,
}

impl Route {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answer { .. } => "answer",
            Self::Clarify => "clarify",
            Self::Nothing => "none",
        }
    }
}

/// Finds the request that `reply` answers. A token must be that of exactly one open request, and
/// without one there must be one open request only: no answer is ever given to another question.
pub fn route(reply: &Reply, open: &[Open<'_>]) -> Route {
    if open.is_empty() {
        return Route::Nothing;
    }
    let yes = match reply.meaning {
        Meaning::Yes => true,
        Meaning::No => false,
        Meaning::Other => return Route::Clarify,
    };
    let named =
        |request: &Open<'_>| reply.token.is_none() || request.token == reply.token.as_deref();
    let mut named = open.iter().enumerate().filter(|(_, request)| named(request));
    match (named.next(), named.next()) {
        (Some((index, _)), None) => Route::Answer { index, yes },
        _ => Route::Clarify,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Yes,
    No,
    Vague,
    Polite,
}

#[derive(Default)]
struct Heard {
    yes: bool,
    no: bool,
    vague: bool,
}

struct Phrase {
    words: Vec<Piece>,
    tone: Tone,
    /// The only language in which it is meant so.
    own: Option<&'static str>,
}

/// The phrases by their first word, the longest first.
struct Table(BTreeMap<Piece, Vec<Phrase>>);

impl Table {
    fn parse(text: &'static str) -> Result<Self, String> {
        let mut phrases: BTreeMap<Piece, Vec<Phrase>> = BTreeMap::new();
        for [meaning, locale, own, phrase] in rows::<4>(text) {
            let tone = match meaning {
                "yes" => Tone::Yes,
                "no" => Tone::No,
                "vague" => Tone::Vague,
                "polite" => Tone::Polite,
                _ => return Err(format!("meaning {meaning}")),
            };
            let own = match own {
                "yes" => Some(locale),
                "no" => None,
                _ => return Err(format!("own {own}")),
            };
            let words = pieces(phrase);
            let first = words.first().ok_or_else(|| format!("{phrase:?} has no words"))?.clone();
            phrases.entry(first).or_default().push(Phrase { words, tone, own });
        }
        for alike in phrases.values_mut() {
            alike.sort_by_key(|phrase| std::cmp::Reverse(phrase.words.len()));
        }
        Ok(Self(phrases))
    }

    /// What all of `said` says; `None` when there is a word in it that no phrase has.
    fn hear(&self, mut said: &[Piece], language: &str) -> Option<Heard> {
        let mut heard = Heard::default();
        while let Some(first) = said.first() {
            let phrase = self.0.get(first)?.iter().find(|phrase| {
                phrase.own.is_none_or(|own| own == language) && said.starts_with(&phrase.words)
            })?;
            match phrase.tone {
                Tone::Yes => heard.yes = true,
                Tone::No => heard.no = true,
                Tone::Vague => heard.vague = true,
                Tone::Polite => {}
            }
            said = &said[phrase.words.len()..];
        }
        Some(heard)
    }
}

#[cfg(test)]
mod tests;
