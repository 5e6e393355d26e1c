//! How long a line, a function and a file may grow before a reader loses the thread.

use super::Finding;
use super::source::{Source, is_word, word_end};

const FILE_LINES_MAX: usize = 600;
const FILE_LINES_WARN: usize = 500;
const LINE_COLUMNS_MAX: usize = 100;
const FUNCTION_LINES_MAX: usize = 80;

pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        let sentence = format!("The file has {lines} lines; {FILE_LINES_MAX} is the limit.");
        findings.push(Finding::error(&source.path, lines, sentence));
    } else if lines > FILE_LINES_WARN {
        let sentence = format!("The file has {lines} lines; part it before {FILE_LINES_MAX}.");
        findings.push(Finding::warning(&source.path, lines, sentence));
    }
    for (index, line) in source.text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > LINE_COLUMNS_MAX && !is_one_long_address(line) {
            let sentence =
                format!("The line has {columns} columns; {LINE_COLUMNS_MAX} is the limit.");
            findings.push(Finding::error(&source.path, index + 1, sentence));
        }
    }
    for (name, line, lines) in functions(source) {
        if lines > FUNCTION_LINES_MAX {
            let sentence =
                format!("`{name}` has {lines} lines; {FUNCTION_LINES_MAX} is the limit.");
            findings.push(Finding::error(&source.path, line, sentence));
        }
    }
    findings
}

/// A web address in a comment cannot be broken.
fn is_one_long_address(line: &str) -> bool {
    let words = line.trim_start().trim_start_matches(['/', '!', '-', ' ']);
    line.trim_start().starts_with("//") && words.contains("://") && !words.contains(' ')
}

/// The functions outside tests: name, first line, number of lines.
fn functions(source: &Source) -> Vec<(&str, usize, usize)> {
    let code = source.production.as_bytes();
    let mut found = Vec::new();
    for (start, _) in source.production.match_indices("fn ") {
        let name_end = word_end(code, start + 3);
        if start > 0 && is_word(code[start - 1]) || name_end == start + 3 {
            continue;
        }
        if let Some(end) = body_end(code, name_end) {
            let (first, last) = (source.line(start), source.line(end));
            found.push((&source.production[start + 3..name_end], first, last - first + 1));
        }
    }
    found
}

/// The closing brace of the function whose signature goes on at `at`; `None` without a body.
fn body_end(code: &[u8], at: usize) -> Option<usize> {
    let (mut nested, mut braces) = (0_i32, 0_i32);
    for (offset, byte) in code.iter().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => nested += 1,
            b')' | b']' => nested -= 1,
            b';' if nested == 0 && braces == 0 => return None,
            b'{' => braces += 1,
            b'}' => {
                braces -= 1;
                if braces == 0 {
                    return Some(offset);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<(usize, super::super::Weight)> {
        let source = Source::new("crates/x/src/a.rs", text);
        check(&source).into_iter().map(|it| (it.line, it.weight)).collect()
    }

    #[test]
    fn files_have_a_limit_and_a_warning() {
        use super::super::Weight::{Error, Warning};
        assert_eq!(findings(&"a\n".repeat(500)), []);
        assert_eq!(findings(&"a\n".repeat(501)), [(501, Warning)]);
        assert_eq!(findings(&"a\n".repeat(601)), [(601, Error)]);
    }

    #[test]
    fn lines_are_measured_in_characters() {
        let address = format!("    // https://example.org/{}", "a".repeat(100));
        for (text, expected) in [
            ("§".repeat(100), 0),
            ("a".repeat(101), 1),
            (address.clone(), 0),
            (format!("{address} and more"), 1),
        ] {
            assert_eq!(findings(&text).len(), expected, "{text}");
        }
    }

    #[test]
    fn functions_are_measured_outside_tests() {
        let long =
            |lines: usize| format!("fn a(b: [u8; 2]) {{\n{}}}\n", "    b();\n".repeat(lines));
        for (text, expected) in [
            (long(78), 0),
            (long(79), 1),
            (format!("trait B {{ fn b(&self); }}\n{}", "c!();\n".repeat(90)), 0),
            (format!("#[cfg(test)]\nmod tests {{\n{}}}\n", long(79)), 0),
            (format!("type F = fn (u8);\n{}", long(78)), 0),
        ] {
            assert_eq!(findings(&text).len(), expected, "{text}");
        }
    }
}
