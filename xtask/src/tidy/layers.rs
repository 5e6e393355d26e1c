//! Which part may name which: imports point down the layers, the database has one door, and the
//! rules of `domain` are pure.

use super::Finding;
use super::paths::{Named, named};
use super::source::Source;

const APP: &str = "crates/app/src/";
const DOMAIN: &str = "crates/domain/src/";
const DATABASE: [&str; 2] = ["crates/store/src/db/", "crates/store/src/db.rs"];

/// The layers of `crates/app/src`, from the outside down.
const LAYERS: [&str; 4] = ["entry", "flow", "delivery", "finance"];
/// Modules beside the layers that stand below them all. Every other one (the wiring) is above.
const FOUNDATION: [&str; 3] = ["refusal", "seam", "sheet"];

/// Crates whose place in the order is fixed, and the workspace's crates that each may use.
const ALLOWED: [(&str, &[&str]); 5] = [
    ("cluster", &[]),
    ("domain", &[]),
    ("store", &["domain"]),
    ("stripe", &["domain"]),
    ("twilio", &["domain"]),
];

/// What a pure rule cannot touch, and why.
const IMPURE: [(&[&str], &str); 8] = [
    (&["async"], "waits for nothing"),
    (&["tokio"], "waits for nothing"),
    (&["sqlx"], "knows no database"),
    (&["std", "fs"], "touches no file"),
    (&["std", "net"], "touches no network"),
    (&["std", "time", "SystemTime"], "is told the time"),
    (&["std", "time", "Instant"], "is told the time"),
    (&["std", "thread"], "waits for nothing"),
];

pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut report = |it: &Named, sentence: String| {
        findings.push(Finding::error(&source.path, source.line(it.offset), sentence));
    };
    if !DATABASE.iter().any(|door| source.path.starts_with(door)) {
        for it in named(&source.code).iter().filter(|it| it.starts_with(&["sqlx"])) {
            report(it, "Only crates/store/src/db/ names sqlx.".to_owned());
        }
    }
    let production = named(&source.production);
    if let Some(layer) = Layer::of(&source.path) {
        for it in &production {
            if let Some(above) = layer.forbids(it) {
                let name = LAYERS[layer.rank];
                report(it, format!("{name} names crate::{above}, which stands above it."));
            }
        }
    }
    if source.path.starts_with(DOMAIN) {
        for it in &production {
            if let Some((words, why)) = IMPURE.iter().find(|(words, _)| it.starts_with(words)) {
                report(it, format!("domain names {}, but it {why}.", words.join("::")));
            }
        }
    }
    findings
}

/// Where in the order a file of the app stands.
struct Layer {
    rank: usize,
    /// How many modules deep the file is; `super` that often is the crate's root.
    depth: usize,
}

impl Layer {
    fn of(path: &str) -> Option<Self> {
        let module = path.strip_prefix(APP)?.strip_suffix(".rs")?;
        let parts: Vec<&str> = module.split('/').filter(|part| *part != "mod").collect();
        let rank = rank(parts[0])?;
        Some(Self { rank, depth: parts.len() })
    }

    /// The module that a path names although it stands above this layer.
    fn forbids<'a>(&self, it: &'a Named) -> Option<&'a str> {
        let climbs = it.words.iter().take_while(|word| *word == "super").count();
        let (from_root, next) = match it.words[0].as_str() {
            "crate" => (true, it.words.get(1)?),
            "super" if climbs >= self.depth => (false, it.words.get(climbs)?),
            _ => return None,
        };
        let is_above = match rank(next) {
            Some(rank) => rank < self.rank,
            // an inline module makes `super` ambiguous, so there only the layers' names count
            None => from_root && is_module(next) && !FOUNDATION.contains(&next.as_str()),
        };
        is_above.then_some(next.as_str())
    }
}

fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| *layer == module)
}

/// Modules are in lower case; macros and constants of the root are not our concern.
fn is_module(word: &str) -> bool {
    word.starts_with(|it: char| it.is_ascii_lowercase())
}

/// Which crate depends on which, from the manifests. Tests may use more.
pub fn check_manifests(texts: &[(String, String)]) -> Vec<Finding> {
    let manifests = || texts.iter().filter(|(path, _)| path.ends_with("/Cargo.toml"));
    let crates: Vec<&str> = manifests().filter_map(|(_, text)| crate_name(text)).collect();
    let mut findings = Vec::new();
    for (path, text) in manifests() {
        let Some(name) = crate_name(text) else {
            continue;
        };
        let allowed = ALLOWED.iter().find(|(it, _)| *it == name).map(|(_, allowed)| *allowed);
        for (line, used) in dependencies(text) {
            let breaks_order =
                allowed.is_some_and(|it| crates.contains(&used) && !it.contains(&used));
            if breaks_order {
                let sentence = format!("{name} depends on {used}, which does not stand below it.");
                findings.push(Finding::error(path, line, sentence));
            }
            if used == "sqlx" && name != "store" {
                findings.push(Finding::error(path, line, "Only store depends on sqlx."));
            }
        }
    }
    findings
}

fn crate_name(manifest: &str) -> Option<&str> {
    manifest.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
}

/// The dependencies that ship, with their lines: `x = …`, `x.workspace = true`, `[dependencies.x]`.
fn dependencies(manifest: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            inside = ships(section);
            if let Some((head, name)) = section.rsplit_once('.')
                && ships(head)
            {
                found.push((index + 1, name));
            }
        } else if inside && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default().trim_matches('"');
            if !name.is_empty() {
                found.push((index + 1, name));
            }
        }
    }
    found
}

fn ships(section: &str) -> bool {
    matches!(section, "dependencies" | "build-dependencies")
        || section.starts_with("target.") && section.ends_with(".dependencies")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        check(&Source::new(path, text)).len()
    }

    #[test]
    fn imports_point_down() {
        for (file, text, expected) in [
            ("entry/http.rs", "use crate::flow::inbox;", 0),
            ("entry/http.rs", "use crate::{finance, delivery::gate};", 0),
            ("flow/inbox.rs", "use crate::flow::tasks; use crate::delivery::gate;", 0),
            ("flow/inbox.rs", "use crate::entry::http;", 1),
            ("delivery/gate.rs", "use crate::{flow::inbox, finance, entry};", 2),
            ("finance/mod.rs", "fn a() { crate::delivery::gate::ask() }", 1),
            ("finance.rs", "use crate::wiring::App;", 1),
            ("finance/rates.rs", "use crate::seam::Clock;", 0),
            ("finance/rates.rs", "use super::super::delivery;", 1),
            ("finance/mod.rs", "use super::flow;", 1),
            ("finance/rates.rs", "use super::delivery;", 0),
            ("finance/rates.rs", "// crate::flow is above\nlet a = \"crate::flow\";", 0),
            ("finance/rates.rs", "#[cfg(test)]\nmod tests { use crate::flow; }", 0),
            ("wiring.rs", "use crate::{entry, flow, delivery, finance};", 0),
            ("main.rs", "use crate::entry;", 0),
        ] {
            assert_eq!(findings(&format!("{APP}{file}"), text), expected, "{file}: {text}");
        }
    }

    #[test]
    fn domain_is_pure() {
        for (text, expected) in [
            ("pub fn price(segments: u32) -> u64 { 0 }", 0),
            ("use std::time::Duration;", 0),
            ("pub async fn price() {}", 1),
            ("use std::{fmt, fs, net::IpAddr};", 2),
            ("use std::time::{Duration, SystemTime};", 1),
            ("fn a() { tokio::spawn(b) }", 1),
            ("#[cfg(test)]\nmod tests { use std::fs; }", 0),
            ("// async\n", 0),
        ] {
            assert_eq!(findings("crates/domain/src/a.rs", text), expected, "{text}");
        }
        assert_eq!(findings("crates/twilio/src/a.rs", "async fn a() {}"), 0);
    }

    #[test]
    fn the_database_has_one_door() {
        for (path, expected) in [
            ("crates/store/src/db/tx.rs", 0),
            ("crates/store/src/db.rs", 0),
            ("crates/store/src/accounts.rs", 1),
            ("crates/store/tests/accounts.rs", 1),
            ("crates/app/src/main.rs", 1),
        ] {
            assert_eq!(findings(path, "use sqlx::Row;"), expected, "{path}");
            assert_eq!(findings(path, "// sqlx\nlet a = b.sqlx;"), 0, "{path}");
        }
    }

    #[test]
    fn crates_depend_downwards() {
        let manifest = |name: &str, rest: &str| {
            let path = format!("crates/{name}/Cargo.toml");
            (path, format!("[package]\nname = \"{name}\"\n{rest}"))
        };
        for (name, rest, expected) in [
            ("domain", "[dependencies]\nserde.workspace = true\n", 0),
            ("domain", "[dependencies]\nstore.workspace = true\n", 1),
            ("store", "[dependencies]\ndomain = { path = \"../domain\" }\nsqlx = \"1\"\n", 0),
            ("store", "[dev-dependencies]\ntestkit.workspace = true\n", 0),
            ("twilio", "[dependencies.store]\npath = \"../store\"\n", 1),
            ("twilio", "[target.'cfg(unix)'.dependencies]\nstore.workspace = true\n", 1),
            ("ledgerline", "[dependencies]\nstore.workspace = true\nsqlx = \"1\"\n", 1),
        ] {
            let mut texts: Vec<_> =
                ["domain", "store", "twilio", "testkit"].map(|it| manifest(it, "")).into();
            texts.retain(|(path, _)| !path.contains(&format!("/{name}/")));
            texts.push(manifest(name, rest));
            let found = check_manifests(&texts);
            assert_eq!(found.len(), expected, "{name}: {rest}{found:?}");
        }
    }
}
