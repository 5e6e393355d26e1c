//! A Rust file seen three ways: its text, its code without comments and literals, and its string
//! literals alone. All three have the same length and lines, so that a place in one is a place in
//! the others.

use std::ops::Range;

/// One Rust file.
pub struct Source {
    /// From the repository's root, with `/` between the parts.
    pub path: String,
    pub text: String,
    /// The text with comments, strings and characters blanked.
    pub code: String,
    /// The code with test modules blanked too; empty in a test file.
    pub production: String,
    /// The text with all but the contents of string literals blanked.
    pub literals: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let pieces = lex(text.as_bytes());
        let code = blank(text, pieces.iter().map(|(_, span)| span.clone()));
        let literals = keep(text, pieces.iter().filter(|it| it.0 == Piece::Literal));
        let production = if is_test_file(path) {
            blank(&code, std::iter::once(0..code.len()))
        } else {
            blank(&code, test_items(&code).into_iter())
        };
        Self { path: path.to_owned(), text: text.to_owned(), code, production, literals }
    }

    /// The line of a place, counted from 1.
    pub fn line(&self, offset: usize) -> usize {
        1 + self.text[..offset].matches('\n').count()
    }

    /// Whether the place belongs to a test.
    pub fn is_test(&self, offset: usize) -> bool {
        let byte = |of: &str| of.as_bytes()[offset];
        byte(&self.code) != byte(&self.production)
    }
}

/// Files that hold only tests: integration tests, benches, and `mod tests;` in its own file.
fn is_test_file(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "benches" | "tests.rs"))
}

#[derive(PartialEq, Eq)]
enum Piece {
    Comment,
    Literal,
}

/// The comments and literals of a Rust text.
fn lex(text: &[u8]) -> Vec<(Piece, Range<usize>)> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let (piece, end) = if rest.starts_with(b"//") {
            (Some(Piece::Comment), find(text, at, b"\n"))
        } else if rest.starts_with(b"/*") {
            (Some(Piece::Comment), block_comment_end(text, at))
        } else if rest[0] == b'"' {
            (Some(Piece::Literal), quoted_end(text, at, b'"'))
        } else if rest[0] == b'\'' {
            let end = char_end(text, at);
            (end.map(|_| Piece::Literal), end.unwrap_or(at + 1))
        } else if is_word(rest[0]) {
            let end = word_end(text, at);
            match prefixed_end(text, at, end) {
                Some(end) => (Some(Piece::Literal), end),
                None => (None, end),
            }
        } else {
            (None, at + 1)
        };
        if let Some(piece) = piece {
            pieces.push((piece, at..end));
        }
        at = end;
    }
    pieces
}

pub const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

pub fn word_end(text: &[u8], at: usize) -> usize {
    at + text[at..].iter().take_while(|byte| is_word(**byte)).count()
}

/// Where `needle` begins, or the end of the text.
fn find(text: &[u8], from: usize, needle: &[u8]) -> usize {
    text[from..]
        .windows(needle.len())
        .position(|window| window == needle)
        .map_or(text.len(), |it| from + it)
}

/// Block comments nest.
fn block_comment_end(text: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start + 2, 1);
    while at < text.len() && depth > 0 {
        match text[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    at
}

/// The end of a literal that starts with `quote` and knows backslashes.
fn quoted_end(text: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while at < text.len() && text[at] != quote {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// The end of a character literal, or `None` for a lifetime.
fn char_end(text: &[u8], start: usize) -> Option<usize> {
    let first = *text.get(start + 1)?;
    if first == b'\\' {
        return Some(quoted_end(text, start, b'\''));
    }
    let width = match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    };
    (text.get(start + 1 + width) == Some(&b'\'')).then_some(start + 2 + width)
}

/// The end of a literal that begins with the word at `start..end`: `b""`, `r#""#`, `b''` and kin.
fn prefixed_end(text: &[u8], start: usize, end: usize) -> Option<usize> {
    match &text[start..end] {
        b"r" | b"br" | b"cr" => {
            let hashes = text[end..].iter().take_while(|byte| **byte == b'#').count();
            (text.get(end + hashes) == Some(&b'"')).then(|| {
                let close = [b"\"", b"#".repeat(hashes).as_slice()].concat();
                (find(text, end + hashes + 1, &close) + close.len()).min(text.len())
            })
        }
        b"b" | b"c" if text.get(end) == Some(&b'"') => Some(quoted_end(text, end, b'"')),
        b"b" if text.get(end) == Some(&b'\'') => char_end(text, end),
        _ => None,
    }
}

/// The items under `#[cfg(test)]`.
fn test_items(code: &str) -> Vec<Range<usize>> {
    ["#[cfg(test)]", "#[cfg(all(test"]
        .iter()
        .flat_map(|mark| code.match_indices(mark))
        .map(|(start, _)| start..item_end(code.as_bytes(), start))
        .collect()
}

/// The end of the item at `start`: its closing brace, or the semicolon of one without a body.
fn item_end(code: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.iter().enumerate().skip(start) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && *byte == b'}' {
                    return at + 1;
                }
            }
            b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// The text with `spans` blanked; lines stay.
fn blank(text: &str, spans: impl Iterator<Item = Range<usize>>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for span in spans {
        for byte in &mut bytes[span] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8(bytes).expect("whole characters are blanked")
}

/// The text with everything but `spans` blanked.
fn keep<'a>(text: &str, spans: impl Iterator<Item = &'a (Piece, Range<usize>)>) -> String {
    let mut gaps = Vec::new();
    let mut from = 0;
    for (_, span) in spans {
        gaps.push(from..span.start);
        from = span.end;
    }
    gaps.push(from..text.len());
    blank(text, gaps.into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_told_from_code() {
        for (text, code) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"a("b\"c", d)"#, "a(      , d)"),
            (r##"a(r#"b"c"#, d)"##, "a(        , d)"),
            (r#"a(b"b", c"c")"#, "a(    ,     )"),
            ("a('b', '\\'', b'c', '§')", "a(   ,     ,     ,     )"),
            ("fn a<'b>(c: &'b str)", "fn a<'b>(c: &'b str)"),
            ("r#type + br", "r#type + br"),
            ("a \"open", "a      "),
        ] {
            assert_eq!(Source::new("a.rs", text).code, code, "{text}");
        }
    }

    #[test]
    fn literals_stand_alone_in_their_places() {
        let source = Source::new("a.rs", "f(\"one\"); // \"no\"\ng(r\"two\")");
        assert_eq!(source.literals, "  \"one\"          \n  r\"two\" ");
    }

    #[test]
    fn tests_are_told_from_production() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { [1; 2] }\n}\nfn c() {}";
        let source = Source::new("crates/x/src/a.rs", text);
        assert_eq!(source.production.split_whitespace().collect::<String>(), "fna(){}fnc(){}");
        for (word, expected) in [("fn a", false), ("fn b", true), ("fn c", false)] {
            let offset = text.find(word).expect("the word is there");
            assert_eq!(source.is_test(offset), expected, "{word}");
        }
        for (path, expected) in [
            ("crates/x/tests/a.rs", true),
            ("crates/x/src/a/tests.rs", true),
            ("crates/x/src/tests_of.rs", false),
        ] {
            assert_eq!(Source::new(path, "fn a() {}").is_test(0), expected, "{path}");
        }
        let outside = Source::new("a.rs", "#[cfg(test)]\nmod tests;\nfn a() {}");
        assert_eq!(outside.production.trim(), "fn a() {}");
    }

    #[test]
    fn lines_are_counted_from_one() {
        let source = Source::new("a.rs", "a\nb\nc");
        assert_eq!([source.line(0), source.line(2), source.line(4)], [1, 2, 3]);
    }
}
