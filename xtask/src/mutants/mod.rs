//! `cargo xtask mutants`: would our tests have caught it? Every bug of the [`catalogue`] that can
//! be planted is planted (`crates/domain/src/mutant.rs`), one at a time, and the tests that are
//! named for it must fail; without a bug they must pass.

mod catalogue;
mod places;
mod runs;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{bail, ensure};

use catalogue::{MUTANTS, Mutant, Test, WITHOUT_CODE};
use places::Places;
use runs::{End, Runs};

/// Where the table is kept.
const TABLE: &str = "docs/MUTANTS.md";

/// Which mutants to try, and how.
#[derive(clap::Args)]
pub struct Wanted {
    /// Only these, such as M3,M10.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The engine for tests that run on both; some bugs can only show on PostgreSQL and are tried
    /// there all the same.
    #[arg(long, value_parser = ["sqlite", "postgres"], default_value = "sqlite")]
    engine: String,
    /// A test that takes longer is ended and counts as not decided.
    #[arg(long, default_value_t = 90)]
    timeout_secs: u64,
    /// Keeps the table in docs/MUTANTS.md.
    #[arg(long)]
    write: bool,
    /// The repository; by default the one this program was built in.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/.."))]
    root: PathBuf,
}

/// What became of a mutant.
struct Verdict {
    mutant: &'static Mutant,
    /// Each of its tests with its end.
    ends: Vec<(Test, End)>,
    elapsed: Duration,
}

impl Verdict {
    fn is_caught(&self) -> bool {
        self.ends.iter().all(|(_, end)| matches!(end, End::Failed(_)))
    }

    /// `yes`, or why not.
    fn words(&self) -> String {
        let open = self.ends.iter().find(|(_, end)| !matches!(end, End::Failed(_)));
        match open {
            None => "yes".to_owned(),
            Some((test, End::Passed)) => format!("NO: {test} passes"),
            Some((test, End::TimedOut)) => format!("time-out of {test}"),
            Some((test, End::Broken(how))) => format!("{test}: {how}"),
            Some((_, End::Failed(_))) => unreachable!("it was filtered out"),
        }
    }
}

/// Tries the mutants and prints what became of them.
pub fn run(wanted: &Wanted) -> anyhow::Result<ExitCode> {
    let root = wanted.root.canonicalize()?;
    let places = places::find(&root)?;
    agree(&places)?;
    let chosen = choose(&wanted.only)?;
    ensure!(!wanted.write || chosen.len() == MUTANTS.len(), "--write keeps the whole table only");
    let mut tests: Vec<Test> = Vec::new();
    for test in chosen.iter().flat_map(|mutant| mutant.caught_by) {
        if !tests.contains(test) {
            tests.push(*test);
        }
    }
    let timeout = Duration::from_secs(wanted.timeout_secs);
    let runs = Runs::prepare(&root, &tests, wanted.engine == "postgres", timeout)?;
    println!("without a mutant: {} tests", tests.len());
    check_sound(&runs, &tests)?;
    let mut verdicts = Vec::new();
    for mutant in chosen {
        let verdict = try_one(&runs, mutant)?;
        let secs = verdict.elapsed.as_secs_f64();
        println!("{:<4} {} ({secs:.1} s)", mutant.name, verdict.words());
        for (_, end) in &verdict.ends {
            if let End::Failed(said) = end {
                println!("       {said}");
            }
        }
        verdicts.push(verdict);
    }
    let table = table(&verdicts, &places);
    println!("\n{table}");
    let survived = verdicts.iter().filter(|one| !one.is_caught()).count();
    println!("{} of {} mutants caught", verdicts.len() - survived, verdicts.len());
    if wanted.write {
        std::fs::write(root.join(TABLE), page(&table, &verdicts))?;
    }
    Ok(if survived == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The catalogue and the sources must speak of the same mutants.
fn agree(places: &Places) -> anyhow::Result<()> {
    for mutant in MUTANTS {
        ensure!(places.contains_key(mutant.name), "{} is planted nowhere", mutant.name);
        ensure!(!mutant.caught_by.is_empty(), "{} has no test", mutant.name);
    }
    for (name, found) in places {
        let is_known = MUTANTS.iter().any(|mutant| mutant.name == name);
        ensure!(is_known, "{name} in {} is not in the catalogue", found[0].0);
    }
    Ok(())
}

fn choose(only: &[String]) -> anyhow::Result<Vec<&'static Mutant>> {
    if only.is_empty() {
        return Ok(MUTANTS.iter().collect());
    }
    let found = only.iter().map(|name| {
        let found = MUTANTS.iter().find(|mutant| mutant.name.eq_ignore_ascii_case(name.trim()));
        found.ok_or_else(|| anyhow::anyhow!("there is no mutant {name}"))
    });
    found.collect()
}

/// Without a bug every named test passes; else its failing proves nothing.
fn check_sound(runs: &Runs, tests: &[Test]) -> anyhow::Result<()> {
    let mut elapsed = Duration::ZERO;
    for &test in tests {
        let (end, took) = runs.run(test, None)?;
        elapsed += took;
        if end != End::Passed {
            bail!("without a mutant, {test} does not pass: {end:?}");
        }
    }
    println!("     all pass ({:.1} s)", elapsed.as_secs_f64());
    Ok(())
}

fn try_one(runs: &Runs, mutant: &'static Mutant) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict { mutant, ends: Vec::new(), elapsed: Duration::ZERO };
    for &test in mutant.caught_by {
        let (end, took) = runs.run(test, Some(mutant.name))?;
        verdict.ends.push((test, end));
        verdict.elapsed += took;
    }
    Ok(verdict)
}

fn table(verdicts: &[Verdict], places: &Places) -> String {
    let mut text = String::from(
        "| mutant | what it breaks | where injected | caught by | caught | seconds |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for verdict in verdicts {
        let Mutant { name, breaks, caught_by } = verdict.mutant;
        let planted = places[*name].iter().map(|(path, function)| format!("`{path}` {function}"));
        let planted: Vec<String> = planted.collect();
        let tests: Vec<String> = caught_by.iter().map(ToString::to_string).collect();
        let (planted, tests) = (planted.join("<br>"), tests.join("<br>"));
        let (words, secs) = (verdict.words(), verdict.elapsed.as_secs_f64());
        writeln!(text, "| {name} | {breaks} | {planted} | {tests} | {words} | {secs:.1} |")
            .expect("writing to a String");
    }
    text
}

fn page(table: &str, verdicts: &[Verdict]) -> String {
    let caught = verdicts.iter().filter(|one| one.is_caught()).count();
    let mut text = format!(
        "# Would our tests have caught it?\n\n\
         Known bugs of systems like this one, planted into this one on purpose, one at a time. A \
         mutant\nis caught when every test named for it fails by an assertion; without a mutant \
         all of them pass.\nMade by `cargo xtask mutants --write`, never by hand; how to run it is \
         told in `docs/TESTING.md`.\n\n\
         {caught} of {} are caught.\n\n{table}\n\
         Seconds are those of the named tests together. What proves a setting (M30, M31) proves \
         that it is\nset, not that the disk obeys it; M54 is about the audit, since nothing \
         verifies the chain at the\nstart.\n\n\
         ## Not planted\n\n| mutant | why |\n| --- | --- |\n",
        verdicts.len(),
    );
    for (mutants, why) in WITHOUT_CODE {
        writeln!(text, "| {mutants} | {why} |").expect("writing to a String");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
    }

    #[test]
    fn the_catalogue_and_the_sources_agree() {
        agree(&places::find(root()).expect("the sources can be read")).expect("they agree");
    }

    #[test]
    fn every_named_test_is_there() {
        for test in MUTANTS.iter().flat_map(|mutant| mutant.caught_by) {
            let (_, _, directory) = test.target.place();
            let (modules, name) = test.path.rsplit_once("::").expect("a test has a module");
            let module = modules.split("::").next().unwrap_or_default();
            // Tests stand in the file of their module, or in one of their own below it.
            let files = [format!("{module}.rs"), format!("{}.rs", modules.replace("::", "/"))];
            let paths = files.map(|file| root().join(directory).join(file));
            let mut texts = paths.iter().filter_map(|path| std::fs::read_to_string(path).ok());
            assert!(texts.any(|text| text.contains(&format!("fn {name}("))), "{test}");
        }
    }

    #[test]
    fn the_table_that_is_kept_holds_every_mutant_caught() {
        let page = std::fs::read_to_string(root().join(TABLE)).expect("it is kept");
        for mutant in MUTANTS {
            let start = format!("| {} | {} |", mutant.name, mutant.breaks);
            let row = page.lines().find(|line| line.starts_with(&start));
            let row = row.unwrap_or_else(|| panic!("{} is missing", mutant.name));
            assert!(row.contains("| yes |"), "{row}");
        }
    }

    #[test]
    fn mutants_are_in_order_and_each_stands_once() {
        let number = |mutant: &Mutant| mutant.name[1..].parse::<u32>().expect("a number");
        assert!(MUTANTS.is_sorted_by(|a, b| number(a) < number(b)));
    }
}
