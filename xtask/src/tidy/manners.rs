//! Manners: tests are run and never sleep; SQL is told the time, chance and ids.

use super::Finding;
use super::paths::named;
use super::source::{Source, is_word};

/// Rust files whose string literals are SQL.
const SQL_WRITER: &str = "crates/store/src/";

/// What SQL must not call: clock, chance and sequences come from outside, so that both engines
/// store the same.
const UNTOLD: [&str; 20] = [
    "now(",
    "'now'",
    "current_timestamp",
    "current_date",
    "current_time",
    "localtime",
    "localtimestamp",
    "clock_timestamp(",
    "statement_timestamp(",
    "transaction_timestamp(",
    "timeofday(",
    "unixepoch(",
    "random(",
    "randomblob(",
    "gen_random_uuid(",
    "uuidv7(",
    "nextval(",
    "serial",
    "bigserial",
    "autoincrement",
];

pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut report = |offset: usize, sentence: &str| {
        findings.push(Finding::error(&source.path, source.line(offset), sentence));
    };
    for (offset, _) in source.code.match_indices("#[ignore") {
        report(offset, "An ignored test proves nothing; mend it or remove it.");
    }
    for it in named(&source.code) {
        if matches!(it.last(), "sleep" | "sleep_until") && source.is_test(it.offset) {
            report(it.offset, "Tests never sleep; await a signal or move the virtual clock.");
        }
    }
    if source.path.starts_with(SQL_WRITER) {
        findings.extend(check_sql(&source.path, &source.literals));
    }
    findings
}

/// Checks SQL text, or text in which only SQL is left.
pub fn check_sql(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let statement = line.split("--").next().unwrap_or_default().to_lowercase();
        let statement = statement.replace(" (", "(");
        if let Some(word) = UNTOLD.iter().find(|word| calls(&statement, word)) {
            let word = word.trim_end_matches('(');
            let sentence = format!("SQL calls {word}; time, chance and ids are parameters.");
            findings.push(Finding::error(path, index + 1, sentence));
        }
    }
    findings
}

/// Whether `word` stands alone in the statement.
fn calls(statement: &str, word: &str) -> bool {
    let bytes = statement.as_bytes();
    let ends_in_word = word.ends_with(|it: char| it.is_ascii_alphanumeric());
    statement.match_indices(word).any(|(start, _)| {
        let is_begun = start > 0 && is_word(bytes[start - 1]) && is_word(word.as_bytes()[0]);
        let goes_on = bytes.get(start + word.len()).is_some_and(|byte| is_word(*byte));
        !(is_begun || ends_in_word && goes_on)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_run_and_do_not_sleep() {
        for (path, text, expected) in [
            ("crates/x/tests/a.rs", "#[ignore]\nfn a() {}", 1),
            ("crates/x/tests/a.rs", "#[ignore = \"slow\"]\nfn a() {}", 1),
            ("crates/x/tests/a.rs", "// #[ignore]\nlet a = \"#[ignore]\";", 0),
            ("crates/x/tests/a.rs", "std::thread::sleep(a); tokio::time::sleep(b)", 2),
            ("crates/x/tests/a.rs", "carrier.sleep(); fn sleeper() {}", 0),
            ("crates/x/src/a.rs", "tokio::time::sleep(b)", 0),
            ("crates/x/src/a.rs", "#[cfg(test)]\nmod tests { fn a() { sleep(b) } }", 1),
        ] {
            assert_eq!(check(&Source::new(path, text)).len(), expected, "{path}: {text}");
        }
    }

    #[test]
    fn sql_is_told_time_chance_and_ids() {
        for (statement, expected) in [
            ("select id from a where due_at <= $1", 0),
            ("select now()", 1),
            ("select NOW ()", 1),
            ("update a set at = CURRENT_TIMESTAMP", 1),
            ("select known(), current_timestamps, serial_number", 0),
            ("select datetime('now')", 1),
            ("id bigserial primary key", 1),
            ("order by random()", 1),
            ("select 1 -- never now()", 0),
        ] {
            assert_eq!(check_sql("a.sql", statement).len(), expected, "{statement}");
            let text = format!("// now()\nfn a() {{ query(\"{statement}\") }}");
            for (path, expected) in [("crates/store/src/a.rs", expected), ("crates/x/src/a.rs", 0)]
            {
                assert_eq!(check(&Source::new(path, &text)).len(), expected, "{path}: {text}");
            }
        }
    }
}
