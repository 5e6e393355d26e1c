//! What somebody texted, as plain words: case, accents, wide letters, quotes, apostrophes and the
//! dress of emoji are taken off, so that a list of phrases finds what a person meant by them.
//!
//! What the words mean is not decided here: see [`crate::keywords`] and [`crate::replies`]. Their
//! lists are read by the same function, so that both sides always look alike.

mod pattern;

pub(crate) use pattern::{Pattern, Sets};

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// One piece of a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Piece {
    /// Letters, in lower case and without accents: `arret`, `dont`.
    Word(String),
    /// ASCII digits that stood together.
    Number(String),
    /// An emoji, without skin tone, sex or presentation; or a sign of money.
    Sign(char),
    /// Where one clause ends and the next begins: a full stop, a comma, the end of a line.
    Break,
    /// Something that no list may find any more.
    Blank,
}

/// The pieces of `text`, in order.
pub(crate) fn pieces(text: &str) -> Vec<Piece> {
    let mut reader = Reader::default();
    for raw in text.chars() {
        // Decomposed, an accent that stands alone begins with a space.
        if is_apostrophe(raw) || is_invisible(raw) {
            reader.joins |= raw == JOINER;
            continue;
        }
        for one in std::iter::once(raw).nfkd() {
            reader.take(one);
        }
    }
    reader.finish();
    let mut pieces = reader.pieces;
    join_spelled(&mut pieces);
    pieces
}

/// Glues the emoji before it to the one after it, which then is a detail of the first.
const JOINER: char = '\u{200d}';

#[derive(Default)]
struct Reader {
    pieces: Vec<Piece>,
    run: String,
    joins: bool,
}

impl Reader {
    fn take(&mut self, one: char) {
        if is_combining_mark(one) {
            return;
        }
        let digit = one.is_ascii_digit();
        if one.is_alphanumeric() {
            if self.run.starts_with(|first: char| first.is_ascii_digit() != digit) {
                self.finish();
            }
            self.run.extend(one.to_lowercase().filter(|lower| !is_combining_mark(*lower)));
        } else {
            self.finish();
            if is_break(one) {
                self.pieces.push(Piece::Break);
            } else if is_sign(one) && !self.joins {
                self.pieces.push(Piece::Sign(one));
            }
        }
        self.joins = false;
    }

    /// Ends the word or number.
    fn finish(&mut self) {
        let run = std::mem::take(&mut self.run);
        if run.starts_with(|first: char| first.is_ascii_digit()) {
            self.pieces.push(Piece::Number(run));
        } else if !run.is_empty() {
            self.pieces.push(Piece::Word(shorten_cries(&run)));
        }
    }
}

/// `stoooop` is `stop`: no word of these languages has one letter three times in a row.
fn shorten_cries(word: &str) -> String {
    let letters: Vec<char> = word.chars().collect();
    let alike = letters.chunk_by(|one, next| one == next);
    alike.flat_map(|run| if run.len() > 2 { &run[..1] } else { run }).collect()
}

/// `S.T.O.P` and `y e s` are words that were spelled.
fn join_spelled(pieces: &mut Vec<Piece>) {
    let mut spelled = String::new();
    for piece in pieces.iter() {
        match piece {
            Piece::Word(word) if word.chars().nth(1).is_none() => spelled += word,
            Piece::Word(_) | Piece::Number(_) | Piece::Blank => return,
            Piece::Sign(_) | Piece::Break => {}
        }
    }
    if spelled.chars().nth(2).is_some() {
        pieces.retain(|piece| matches!(piece, Piece::Sign(_)));
        pieces.insert(0, Piece::Word(spelled));
    }
}

/// `don't` is one word, however the apostrophe was typed; so is `'stop'`.
fn is_apostrophe(one: char) -> bool {
    matches!(one, '\'' | '`' | '´' | '‘' | '’' | '‛' | 'ʼ' | 'ʹ' | '′' | '＇')
}

/// Joiners, marks of direction, presentation and skin tones.
fn is_invisible(one: char) -> bool {
    matches!(one,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{1f3fb}'..='\u{1f3ff}'
        | '\u{e0000}'..='\u{e0fff}')
}

fn is_break(one: char) -> bool {
    matches!(one, '.' | '!' | '?' | ',' | ';' | ':' | '\n' | '\r' | '(' | ')' | '¡' | '¿')
        || matches!(one, '–' | '—' | '。' | '、' | '\u{2028}' | '\u{2029}')
}

/// Symbols from the arrows on, emoji among them, but no punctuation of other scripts.
fn is_sign(one: char) -> bool {
    let symbol = one >= '\u{2190}' && !('\u{3000}'..='\u{303f}').contains(&one);
    symbol && !one.is_control() || matches!(one, '$' | '%' | '€' | '£' | '¥')
}

/// The language of a locale such as `es-MX`, in lower case.
pub(crate) fn language(locale: &str) -> String {
    locale.split(['-', '_']).next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The rows of a table of ours: values without quotes, comments and the head left out.
pub(crate) fn rows<const COLUMNS: usize>(
    table: &'static str,
) -> impl Iterator<Item = [&'static str; COLUMNS]> {
    table.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).skip(1).map(|line| {
        let columns: Vec<&str> = line.splitn(COLUMNS, ',').collect();
        columns.try_into().unwrap_or_else(|_| panic!("{COLUMNS} columns: {line}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let shown = |piece: Piece| match piece {
            Piece::Word(word) => word,
            Piece::Number(digits) => format!("#{digits}"),
            Piece::Sign(sign) => format!("<{sign}>"),
            Piece::Break => "/".to_owned(),
            Piece::Blank => "_".to_owned(),
        };
        pieces(text).into_iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn texts_become_words() {
        for (text, expected) in [
            ("", ""),
            ("  Stop ", "stop"),
            ("“STOP”", "stop"),
            ("'stop'", "stop"),
            ("ＳＴＯＰ！", "stop /"),
            ("𝗦𝗧𝗢𝗣", "stop"),
            ("Arrêt", "arret"),
            ("Arre\u{302}t", "arret"),
            ("DÉJENME İ", "dejenme i"),
            ("don't don’t don´t", "dont dont dont"),
            ("opt-out", "opt out"),
            ("S.T.O.P.", "stop"),
            ("y e s 👍", "yes <👍>"),
            ("y n", "y n"),
            ("STOOOOP yess", "stop yess"),
            ("Y123", "y #123"),
            ("y#１２３", "y #123"),
            ("at 10:30", "at #10 / #30"),
            ("wrong number, stop", "wrong number / stop"),
            ("👍🏽", "<👍>"),
            ("✔\u{fe0f}", "<✔>"),
            ("🙅🏿\u{200d}♀\u{fe0f}", "<🙅>"),
            ("s\u{200b}top", "stop"),
            ("$5", "<$> #5"),
            ("\u{0}\u{7}", ""),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn languages_of_locales() {
        for (locale, expected) in [("es", "es"), ("es-MX", "es"), ("FR_ca", "fr"), ("", "")] {
            assert_eq!(language(locale), expected);
        }
    }
}
