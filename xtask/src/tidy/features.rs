//! Features: the planted bugs are for `cargo xtask mutants` alone.

use super::Finding;

const PLANTS: &str = "mutants";

/// The feature may be defined and passed on; nothing switches it on, neither a default nor a
/// dependency, not even one of tests.
pub fn check(path: &str, manifest: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        let is_definition = line.starts_with("mutants = [");
        if line.contains(PLANTS) && !is_definition && !line.starts_with('#') {
            let sentence = "Nothing switches the feature mutants on but `cargo xtask mutants`.";
            findings.push(Finding::error(path, index + 1, sentence));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_plants_bugs_by_default() {
        for (line, expected) in [
            ("# mutants", 0),
            ("mutants = []", 0),
            ("mutants = [\"domain/mutants\"]", 0),
            ("default = [\"mutants\"]", 1),
            ("domain = { workspace = true, features = [\"mutants\"] }", 1),
            ("all = [\"store/mutants\"]", 1),
            ("required-features = [\"mutants\"]", 1),
        ] {
            let manifest = format!("[features]\n{line}\n");
            assert_eq!(check("crates/x/Cargo.toml", &manifest).len(), expected, "{line}");
        }
    }
}
