//! The paths that code names: `crate::flow::inbox`, and each leaf of a `use` group in full.

use super::source::{is_word, word_end};

/// A path and where its own words begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub offset: usize,
    pub words: Vec<String>,
}

impl Named {
    pub fn starts_with(&self, words: &[&str]) -> bool {
        self.words.len() >= words.len() && self.words.iter().zip(words).all(|(a, b)| a == b)
    }

    pub fn last(&self) -> &str {
        self.words.last().map_or("", String::as_str)
    }
}

/// Every path in code that was freed of comments and literals; a lone word is a path too. Fields
/// and methods are not paths.
pub fn named(code: &str) -> Vec<Named> {
    let code = code.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < code.len() {
        if !is_word(code[at]) {
            at += 1;
        } else if follows_dot(code, at) || at > 0 && code[at - 1] == b'\'' {
            at = word_end(code, at);
        } else {
            at = tree(code, at, &[], &mut found);
        }
    }
    found
}

/// After a single dot; two dots are a range.
fn follows_dot(code: &[u8], at: usize) -> bool {
    at > 0 && code[at - 1] == b'.' && (at < 2 || code[at - 2] != b'.')
}

/// Reads the path at `at` below `prefix`, and the group it may end in. Returns what follows.
fn tree(code: &[u8], mut at: usize, prefix: &[String], found: &mut Vec<Named>) -> usize {
    let offset = at;
    let mut words = prefix.to_vec();
    loop {
        match code.get(at) {
            Some(byte) if is_word(*byte) => {
                let end = word_end(code, at);
                let word = std::str::from_utf8(&code[at..end]).expect("words are whole");
                if word != "self" || words.is_empty() {
                    words.push(word.to_owned());
                }
                at = end;
                if code[at..].starts_with(b"::") {
                    at += 2;
                    continue;
                }
            }
            Some(b'{') if offset != at || !prefix.is_empty() => {
                return group(code, at + 1, &words, found);
            }
            Some(b'*') => {
                words.push("*".to_owned());
                at += 1;
            }
            _ => {}
        }
        found.push(Named { offset, words });
        return at;
    }
}

/// Reads the members of a `use` group up to its closing brace.
fn group(code: &[u8], mut at: usize, prefix: &[String], found: &mut Vec<Named>) -> usize {
    while at < code.len() {
        match code[at] {
            b'}' => return at + 1,
            byte if is_word(byte) || byte == b'*' => {
                at = tree(code, at, prefix, found);
                // an alias is a new name, not a path
                while at < code.len() && !matches!(code[at], b',' | b'}') {
                    at += 1;
                }
            }
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_in_full() {
        for (code, expected) in [
            ("use a::b;", "use a::b"),
            ("use a::{b, c::{d, e as f}, self};", "use a::b a::c::d a::c::e a"),
            ("use a::*;", "use a::*"),
            ("::a::b(c.d, c..e::f)", "a::b c c e::f"),
            ("a::<b::c>()", "a:: b::c"),
            ("&'a b", "b"),
            ("if a { b }", "if a b"),
        ] {
            let found: Vec<String> = named(code).iter().map(|it| it.words.join("::")).collect();
            assert_eq!(found.join(" "), expected.replace("a:: ", "a "), "{code}");
        }
    }

    #[test]
    fn a_member_of_a_group_has_its_own_place() {
        let code = "use a::{\n    b,\n    c,\n};";
        let places: Vec<usize> = named(code)[1..].iter().map(|it| it.offset).collect();
        assert_eq!(places, [code.find('b').unwrap(), code.find('c').unwrap()]);
    }
}
