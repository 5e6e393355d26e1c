//! `cargo xtask tidy`: the rules of `docs/STYLE.md` that neither compiler nor clippy knows.
//!
//! Each rule family is one file of pure functions over [`Source`]s, tested on small strings:
//! [`layers`], [`sizes`], [`names`], [`docs`], [`manners`], [`features`]. This file walks the tree
//! and reports. The rules read text, not types: made to catch slips, not to resist cunning.

mod docs;
mod features;
mod layers;
mod manners;
mod names;
mod paths;
mod sizes;
pub mod source;

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use source::Source;

/// Where our own texts are; what lies elsewhere is built or somebody else's.
const ROOTS: [&str; 6] = ["crates", "xtask", "docs", "migrations", "README.md", "Cargo.toml"];
const SUFFIXES: [&str; 4] = [".rs", ".sql", ".md", "Cargo.toml"];

/// Something to mend, with the place and the reason.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// Counted from 1.
    line: usize,
    sentence: String,
    weight: Weight,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Fails the check.
    Error,
    /// Is shown only.
    Warning,
}

impl Finding {
    fn error(path: &str, line: usize, sentence: impl Into<String>) -> Self {
        Self::new(path, line, sentence, Weight::Error)
    }

    fn warning(path: &str, line: usize, sentence: impl Into<String>) -> Self {
        Self::new(path, line, sentence, Weight::Warning)
    }

    fn new(path: &str, line: usize, sentence: impl Into<String>, weight: Weight) -> Self {
        let (path, sentence) = (path.to_owned(), sentence.into());
        Self { path, line, sentence, weight }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, sentence, weight } = self;
        let mark = if *weight == Weight::Warning { "warning: " } else { "" };
        write!(out, "{path}:{line}: {mark}{sentence}")
    }
}

/// Checks the tree under `root` and prints every finding.
pub fn run(root: &Path) -> anyhow::Result<ExitCode> {
    let root = root.canonicalize().with_context(|| format!("{} is not there", root.display()))?;
    let mut texts = Vec::new();
    for start in ROOTS {
        gather(&root, start, &mut texts)?;
    }
    let findings = check(&texts, &|path| root.join(path).exists());
    for finding in &findings {
        println!("{finding}");
    }
    let errors = findings.iter().filter(|it| it.weight == Weight::Error).count();
    println!("tidy: {} files read, {errors} to mend", texts.len());
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads the files at and below `path`, relative to `root` and with `/` between the parts.
fn gather(root: &Path, path: &str, texts: &mut Vec<(String, String)>) -> anyhow::Result<()> {
    let full = root.join(path);
    if full.is_dir() {
        for entry in fs::read_dir(&full)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "target" && !name.starts_with('.') {
                gather(root, &format!("{path}/{name}"), texts)?;
            }
        }
    } else if full.is_file() && SUFFIXES.iter().any(|suffix| path.ends_with(suffix)) {
        let text = fs::read_to_string(&full).with_context(|| format!("{path} is unreadable"))?;
        texts.push((path.to_owned(), text));
    }
    Ok(())
}

/// All rules over all texts, in the order of the tree.
fn check(texts: &[(String, String)], exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = layers::check_manifests(texts);
    for (path, text) in texts {
        match path.rsplit('.').next() {
            Some("rs") => {
                let source = Source::new(path, text);
                findings.extend(layers::check(&source));
                findings.extend(sizes::check(&source));
                findings.extend(names::check(&source));
                findings.extend(manners::check(&source));
            }
            Some("toml") => findings.extend(features::check(path, text)),
            Some("sql") => findings.extend(manners::check_sql(path, text)),
            Some("md") if path.starts_with("docs/") || path == "README.md" => {
                findings.extend(docs::check(path, text, exists));
            }
            _ => {}
        }
    }
    findings.sort();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Vec<(String, String)> {
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn findings_come_in_the_order_of_the_tree_and_say_where() {
        let texts = tree(&[
            ("docs/A.md", "fine\nsee `docs/GONE.md`\n"),
            ("crates/app/src/finance/rates.rs", "use crate::entry::http;\n"),
            ("crates/store/migrations/sqlite/1.sql", "create table a (at default now());\n"),
        ]);
        let shown: Vec<String> =
            check(&texts, &|_| false).iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 3, "{shown:#?}");
        assert!(shown[0].starts_with("crates/app/src/finance/rates.rs:1: "), "{}", shown[0]);
        assert!(shown[1].starts_with("crates/store/migrations/sqlite/1.sql:1: "), "{}", shown[1]);
        assert!(shown[2].starts_with("docs/A.md:2: "), "{}", shown[2]);
    }
}
