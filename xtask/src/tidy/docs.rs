//! Every path that the documentation names must be there.

use super::Finding;

/// How a path of this repository begins.
const BEGINNINGS: [&str; 9] = [
    ".cargo/",
    ".ci/",
    ".config/",
    ".github/",
    "benches/",
    "crates/",
    "docs/",
    "migrations/",
    "xtask/",
];

pub fn check(path: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, named) in named(text) {
        if !exists(named) {
            findings.push(Finding::error(path, line, format!("`{named}` does not exist.")));
        }
    }
    findings
}

/// The repository's paths in backticks, each with its line; of a pattern its fixed directory.
/// Fenced blocks are examples and not read.
fn named(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let quoted = line.split('`').skip(1).step_by(2);
            found.extend(quoted.filter_map(path_of).map(|path| (index + 1, path)));
        }
    }
    found
}

fn path_of(quoted: &str) -> Option<&str> {
    let is_path = BEGINNINGS.iter().any(|it| quoted.starts_with(it)) && !quoted.contains(' ');
    if !is_path {
        return None;
    }
    let path = quoted.split(['#', ':']).next()?;
    match path.find(['*', '{', '<', '…']) {
        Some(pattern) => path[..pattern].rsplit_once('/').map(|(directory, _)| directory),
        None => Some(path.trim_end_matches('/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_backticks_must_exist() {
        let exists = |path: &str| ["docs/A.md", "crates/store/src", "docs"].contains(&path);
        for (text, expected) in [
            ("see `docs/A.md` and `docs/A.md#part`", 0),
            ("see `docs/B.md` and `docs/C.md`", 2),
            ("see `crates/store/src/` and `crates/store/src/*.rs`", 0),
            ("see `crates/gone/*.rs`", 1),
            ("see `docs/A.md:12`", 0),
            ("plain docs/B.md, `and/or`, `docs`, `cargo docs/B.md`", 0),
            ("```\n`docs/B.md`\n```\n`docs/C.md`", 1),
        ] {
            assert_eq!(check("README.md", text, &exists).len(), expected, "{text}");
        }
    }
}
