//! Patterns over words, as the tables of phrases write them.
//!
//! A pattern is a row of items. `word` stands for itself, `a|b` for one of several, `@set` for a
//! word of a named set; `?` after an item lets it be missing, `*` lets it come up to three times or
//! not at all. `..` is up to three words of any kind. `^` and `$` are the beginning and the end of
//! a clause. All states are carried along at once in the bits of a number, so that no text makes
//! matching slow.

use std::collections::{BTreeMap, BTreeSet};

use super::{Piece, pieces};

/// Named sets of words.
#[derive(Default)]
pub(crate) struct Sets(BTreeMap<&'static str, BTreeSet<Piece>>);

impl Sets {
    /// Names the words of `a|b|@set`; `Err` says what is wrong with them.
    pub(crate) fn define(&mut self, name: &'static str, members: &str) -> Result<(), String> {
        let words = words_of(members, self)?;
        match self.0.insert(name, words) {
            Some(_) => Err(format!("{name} is defined twice")),
            None => Ok(()),
        }
    }
}

/// How often `*` lets an item come, and how many words `..` stands for.
const REPEATS: usize = 3;
/// One bit each, and one for the end.
const ITEMS_MAX: usize = 63;

#[derive(Clone, Debug)]
enum Test {
    OneOf(BTreeSet<Piece>),
    Any,
    ClauseStart,
    ClauseEnd,
}

#[derive(Clone, Debug)]
struct Item {
    test: Test,
    may_miss: bool,
}

/// A pattern, ready to be looked for.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    items: Vec<Item>,
}

impl Pattern {
    /// Reads a pattern; `Err` says what is wrong with it.
    pub(crate) fn parse(text: &str, sets: &Sets) -> Result<Self, String> {
        let mut items = Vec::new();
        for written in text.split_whitespace() {
            let (written, may_miss, times) = match written {
                ".." => (written, true, REPEATS),
                _ => match (written.strip_suffix('?'), written.strip_suffix('*')) {
                    (Some(item), _) => (item, true, 1),
                    (_, Some(item)) => (item, true, REPEATS),
                    _ => (written, false, 1),
                },
            };
            let test = match written {
                ".." => Test::Any,
                "^" => Test::ClauseStart,
                "$" => Test::ClauseEnd,
                words => Test::OneOf(words_of(words, sets)?),
            };
            items.extend(std::iter::repeat_n(Item { test, may_miss }, times));
        }
        let needed = |item: &Item| !item.may_miss && matches!(item.test, Test::OneOf(_));
        let needed = items.iter().any(needed);
        if needed && items.len() <= ITEMS_MAX {
            Ok(Self { items })
        } else {
            Err(format!("a pattern needs an item and has room for {ITEMS_MAX}: {text}"))
        }
    }

    /// Where the longest match ends that begins at `start`.
    pub(crate) fn match_at(&self, text: &[Piece], start: usize) -> Option<usize> {
        let done = 1_u64 << self.items.len();
        let mut longest = None;
        let mut at = start;
        let mut states = self.pass_over(1, text, at);
        loop {
            if states & done != 0 {
                longest = Some(at);
            }
            let Some(piece) = text.get(at) else { return longest };
            states = self.step(states, piece);
            if states == 0 {
                return longest;
            }
            at += 1;
            states = self.pass_over(states, text, at);
        }
    }

    /// The first match, as the places of its first piece and of the one after its last.
    pub(crate) fn find(&self, text: &[Piece], from: usize) -> Option<(usize, usize)> {
        (from..text.len()).find_map(|start| Some((start, self.match_at(text, start)?)))
    }

    /// Whether it matches all of the text.
    pub(crate) fn is_all_of(&self, text: &[Piece]) -> bool {
        self.match_at(text, 0) == Some(text.len())
    }

    /// The states reached without another word.
    fn pass_over(&self, mut states: u64, text: &[Piece], at: usize) -> u64 {
        for (nth, item) in self.items.iter().enumerate() {
            let passes = item.may_miss
                || match item.test {
                    Test::ClauseStart => at == 0 || text[at - 1] == Piece::Break,
                    Test::ClauseEnd => text.get(at).is_none_or(|piece| *piece == Piece::Break),
                    Test::OneOf(_) | Test::Any => false,
                };
            if passes && states & (1 << nth) != 0 {
                states |= 1 << (nth + 1);
            }
        }
        states
    }

    /// The states reached by one more word.
    fn step(&self, states: u64, piece: &Piece) -> u64 {
        let mut next = 0;
        for (nth, item) in self.items.iter().enumerate() {
            let alive = states & (1 << nth) != 0;
            if alive && item.test.takes(piece) {
                next |= 1 << (nth + 1);
            }
        }
        next
    }
}

impl Test {
    fn takes(&self, piece: &Piece) -> bool {
        match self {
            Self::OneOf(words) => words.contains(piece),
            Self::Any => matches!(piece, Piece::Word(_) | Piece::Number(_)),
            Self::ClauseStart | Self::ClauseEnd => false,
        }
    }
}

/// The words of `a|b|@set`, each being one word of a text.
fn words_of(written: &str, sets: &Sets) -> Result<BTreeSet<Piece>, String> {
    let mut words = BTreeSet::new();
    for one in written.split('|') {
        if let Some(name) = one.strip_prefix('@') {
            let set = sets.0.get(name).ok_or_else(|| format!("no set is called {name}"))?;
            words.extend(set.iter().cloned());
            continue;
        }
        match <[Piece; 1]>::try_from(pieces(one)) {
            Ok([piece @ (Piece::Word(_) | Piece::Number(_) | Piece::Sign(_))]) => {
                words.insert(piece);
            }
            _ => return Err(format!("{one:?} is not one word")),
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        let mut sets = Sets::default();
        sets.define("me", "me|us").expect("a set");
        Pattern::parse(text, &sets).expect("a pattern")
    }

    #[test]
    fn patterns_find_words() {
        for (written, text, expected) in [
            ("stop", "please stop", Some((1, 2))),
            ("stop", "stopping", None),
            ("text|call @me", "do text us", Some((1, 3))),
            ("no more? texts", "no texts", Some((0, 2))),
            ("no more? texts", "no more texts now", Some((0, 3))),
            ("no more? texts", "no more more texts", None),
            ("no more* texts", "no more more more texts", Some((0, 5))),
            ("no more* texts", "no more more more more texts", None),
            ("stop .. texts", "stop those silly rude texts", Some((0, 5))),
            ("stop .. texts", "stop a b c d texts", None),
            ("^ stop $", "sorry, stop. bye", Some((2, 3))),
            ("^ stop $", "sorry stop. bye", None),
            ("stop .. texts", "stop. texts", None),
            ("stop please?", "stop please", Some((0, 2))),
            ("arrêt", "ARRET", Some((0, 1))),
        ] {
            assert_eq!(pattern(written).find(&pieces(text), 0), expected, "{written} in {text}");
        }
        assert!(pattern("stop please*").is_all_of(&pieces("stop please please")));
        assert!(!pattern("stop please*").is_all_of(&pieces("stop please now")));
    }

    #[test]
    fn mistakes_in_the_tables_are_told() {
        for (written, part) in
            [("a |b", "not one word"), ("@you", "set"), ("..", "an item"), ("opt-out", "not one")]
        {
            let told = Pattern::parse(written, &Sets::default()).expect_err(written);
            assert!(told.contains(part), "{told}");
        }
        assert!(Pattern::parse(&"a ".repeat(64), &Sets::default()).is_err());
    }
}
