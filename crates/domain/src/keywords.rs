//! Keywords: the words by which people stop texts, take them up again and ask for help, and the
//! wording that means the same without being one.
//!
//! The lists are data, `data/keywords.csv`, for English, Spanish and French. A keyword counts when
//! it is all of the text. Any other wording that a reasonable person reads as a revocation counts
//! too (47 CFR 64.1200(a)(10)); it suppresses just as fast, and a person reviews it. Keywords are
//! looked for before [`crate::replies`]: `CANCEL` is no reply to a request.

use std::sync::LazyLock;

use serde::Serialize;

use crate::message::words;
use crate::utterance::{Pattern, Piece, Sets, language, pieces, rows};

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    Table::parse(include_str!("../data/keywords.csv"))
        .unwrap_or_else(|problem| panic!("keywords.csv: {problem}"))
});

/// The word that joins a list, unless the account has its own.
pub const JOIN: &str = "JOIN";

words! {
    /// What a text is, read as a keyword.
    Kind {
        /// No more texts.
        Stop = 1 "stop",
        /// Texts again.
        Start = 2 "start",
        /// The account's help text is wanted.
        Help = 3 "help",
        /// Wants to be on the list.
        Join = 4 "join",
        /// No more texts, in the person's own words.
        Revocation = 5 "revocation",
        /// None of these.
        None = 6 "none",
    }
}

/// What the account says about keywords, and what the person was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// YES starts texts again, like START.
    pub yes_is_start: bool,
    /// A question of ours waits for a yes or a no: YES is its answer and nothing else.
    pub request_pending: bool,
    /// The words that join a list.
    pub join_words: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        let join_words = vec![JOIN.to_owned()];
        Self { yes_is_start: false, request_pending: false, join_words }
    }
}

/// Reads `body` as a keyword. The person's locale, such as `es-MX`, decides only about words that
/// mean other things in other languages; of somebody unknown, every language is believed.
pub fn classify(body: &str, locale: Option<&str>, options: &Options) -> Kind {
    let table = &*TABLE;
    let language = locale.map(language).filter(|language| !language.is_empty());
    let applies =
        |row: &&Row| row.own.is_none_or(|own| language.as_deref().is_none_or(|it| it == own));
    let spoken: Vec<Piece> =
        pieces(body).into_iter().filter(|piece| !matches!(piece, Piece::Sign(_))).collect();
    let whole: Vec<Piece> = words_only(&spoken);
    if whole.is_empty() {
        return Kind::None;
    }
    let yes_starts = options.yes_is_start && !options.request_pending;
    for row in table.keywords.iter().filter(applies) {
        let kind = match row.means {
            Means::Kind(kind) => kind,
            Means::Yes if yes_starts => Kind::Start,
            Means::Yes | Means::Spare => continue,
        };
        if row.pattern.is_all_of(&whole) {
            return kind;
        }
    }
    if options.join_words.iter().any(|word| words_only(&pieces(word)) == whole) {
        return Kind::Join;
    }
    if revokes(spoken, &whole, table.wording.iter().filter(applies)) {
        return Kind::Revocation;
    }
    Kind::None
}

/// Goes through the wording row by row; what is spared is out of sight for the rows below.
fn revokes<'a>(
    mut spoken: Vec<Piece>,
    whole: &[Piece],
    rows: impl Iterator<Item = &'a Row>,
) -> bool {
    for row in rows {
        if row.means == Means::Spare {
            let mut from = 0;
            while let Some((start, end)) = row.pattern.find(&spoken, from) {
                spoken[start..end].fill(Piece::Blank);
                from = end;
            }
        } else if match row.covers {
            Covers::Whole => row.pattern.is_all_of(whole),
            Covers::Within => row.pattern.find(&spoken, 0).is_some(),
        } {
            return true;
        }
    }
    false
}

fn words_only(pieces: &[Piece]) -> Vec<Piece> {
    let is_word = |piece: &&Piece| matches!(piece, Piece::Word(_) | Piece::Number(_));
    pieces.iter().filter(is_word).cloned().collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Means {
    Kind(Kind),
    Yes,
    Spare,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Covers {
    Whole,
    Within,
}

struct Row {
    means: Means,
    covers: Covers,
    /// The only language in which it is meant so.
    own: Option<&'static str>,
    pattern: Pattern,
}

#[derive(Default)]
struct Table {
    keywords: Vec<Row>,
    wording: Vec<Row>,
}

impl Table {
    fn parse(text: &'static str) -> Result<Self, String> {
        let mut table = Self::default();
        let mut sets = Sets::default();
        for [kind, covers, locale, own, phrase] in rows::<5>(text) {
            if kind == "set" {
                let (name, members) = phrase.split_once('=').ok_or("a set is name=word|word")?;
                sets.define(name, members)?;
                continue;
            }
            let means = match kind {
                "yes" => Means::Yes,
                "spare" => Means::Spare,
                _ => Means::Kind(Kind::parse(kind).ok_or_else(|| format!("kind {kind}"))?),
            };
            let covers = match covers {
                "whole" => Covers::Whole,
                "within" => Covers::Within,
                _ => return Err(format!("match {covers}")),
            };
            let own = match own {
                "yes" => Some(locale),
                "no" => None,
                _ => return Err(format!("own {own}")),
            };
            let row = Row { means, covers, own, pattern: Pattern::parse(phrase, &sets)? };
            match means {
                Means::Kind(Kind::Revocation) | Means::Spare => table.wording.push(row),
                _ => table.keywords.push(row),
            }
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests;
