//! Names that say nothing: a file called so collects whatever has no home.

use super::Finding;
use super::paths::named;
use super::source::Source;

const EMPTY_NAMES: [&str; 9] =
    ["util", "utils", "common", "helper", "helpers", "core", "misc", "manager", "managers"];

pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut report = |line: usize, name: &str| {
        let sentence = format!("`{name}` says nothing; name the module after what it is for.");
        findings.push(Finding::error(&source.path, line, sentence));
    };
    let parts = source.path.trim_end_matches(".rs").split('/');
    if let Some(name) = parts.into_iter().find(|part| EMPTY_NAMES.contains(part)) {
        report(1, name);
    }
    let words = named(&source.code);
    for pair in words.windows(2) {
        let name = pair[1].last();
        if pair[0].starts_with(&["mod"]) && EMPTY_NAMES.contains(&name) {
            report(source.line(pair[1].offset), name);
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_names_are_found_in_paths_and_modules() {
        for (path, text, expected) in [
            ("crates/x/src/segments.rs", "", 0),
            ("crates/x/src/utils.rs", "", 1),
            ("crates/x/tests/common/mod.rs", "", 1),
            ("crates/x/src/core/money.rs", "", 1),
            ("crates/x/src/commonly.rs", "mod commons;", 0),
            ("crates/x/src/lib.rs", "pub mod helpers;\nmod misc { }", 2),
            ("crates/x/src/lib.rs", "// mod helpers;\nuse core::fmt;", 0),
        ] {
            assert_eq!(check(&Source::new(path, text)).len(), expected, "{path}: {text}");
        }
    }
}
