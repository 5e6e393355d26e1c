//! Where the bugs are planted, read from the sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::tidy::source::Source;

const PLANT: &str = "mutant!(";

/// For each planted bug the files and functions it is in: `path`, `function`.
pub type Places = BTreeMap<String, Vec<(String, String)>>;

/// Reads the product's sources below `root`.
pub fn find(root: &Path) -> anyhow::Result<Places> {
    let mut places = Places::new();
    for entry in fs::read_dir(root.join("crates"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        read(root, &format!("crates/{name}/src"), &mut places)?;
    }
    Ok(places)
}

fn read(root: &Path, path: &str, places: &mut Places) -> anyhow::Result<()> {
    let full = root.join(path);
    if full.is_dir() {
        let mut names = Vec::new();
        for entry in fs::read_dir(&full)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        for name in names {
            read(root, &format!("{path}/{name}"), places)?;
        }
    } else if full.extension().is_some_and(|it| it == "rs") {
        for (name, function) in planted(&Source::new(path, &fs::read_to_string(full)?)) {
            let found = places.entry(name).or_default();
            let place = (path.to_owned(), function);
            if !found.contains(&place) {
                found.push(place);
            }
        }
    }
    Ok(())
}

/// The bugs planted in a file, each with the function it is in.
fn planted(source: &Source) -> Vec<(String, String)> {
    let code = &source.code;
    let plants = code.match_indices(PLANT).map(|(at, _)| {
        let name = code[at + PLANT.len()..].split(')').next().unwrap_or_default();
        let function = code[..at]
            .rfind("fn ")
            .map_or("", |start| code[start + 3..].split(['(', '<']).next().unwrap_or_default());
        (name.trim().to_owned(), function.to_owned())
    });
    plants.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plants_are_found_with_their_functions() {
        let text = "// mutant!(M1)\nfn a<T>() { if domain::mutant!(M2) {} }\n\
                    fn b() { c(crate::mutant!(M3), \"mutant!(M4)\") }";
        let found = planted(&Source::new("crates/x/src/a.rs", text));
        let found: Vec<(&str, &str)> =
            found.iter().map(|(m, f)| (m.as_str(), f.as_str())).collect();
        assert_eq!(found, [("M2", "a"), ("M3", "b")]);
    }
}
