//! The report: what was done to it, and what was found.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::faults::Kill;
use super::rig::Engine;
use super::verdict::Verdict;
use crate::entry::cli::outlet::{count, count_of, faint, mark, strong};

/// Everything that is told at the end.
#[derive(Debug, Serialize)]
pub struct Report {
    /// All is well.
    pub ok: bool,
    /// Which database was tortured.
    pub engine: Engine,
    /// What drew the faults.
    pub seed: u64,
    /// How long it took.
    pub seconds: f64,
    /// How often each was killed.
    pub kills: BTreeMap<Kill, u64>,
    /// How often the server ended although nobody killed it.
    pub ended_by_itself: u64,
    /// Contacts of the campaign.
    pub recipients: usize,
    /// Single texts that were taken in.
    pub single_texts: usize,
    /// Texts that the carrier accepted.
    pub accepted: usize,
    /// Opt-outs that were taken in.
    pub opt_outs: usize,
    /// Requests that clients repeated on purpose.
    pub repeated: u64,
    /// Texts of the campaign that were seen unknown.
    pub unknowns_met: usize,
    /// Credits of texts that turned out to have left after they were released; the house pays.
    pub late_charges: i64,
    /// The comparison.
    pub verdict: Verdict,
    /// What is kept for whoever looks into it.
    pub directory: Option<PathBuf>,
}

/// What is about to happen.
pub fn opening(engine: Engine, kills: u32, recipients: usize, seed: u64) -> String {
    let (engine, repeat) = match engine {
        Engine::Sqlite => ("SQLite", "sqlite"),
        Engine::Postgres => ("PostgreSQL", "postgres"),
    };
    format!(
        "{} on {engine}: {} kills while {} contacts are texted. Nobody gets a text.\n{}\n",
        strong("Torture"),
        count(kills.into()),
        count_of(recipients),
        faint(format!(
            "The same faults again: ledgerline torture --engine {repeat} --kills {kills} \
             --recipients {recipients} --seed {seed}"
        )),
    )
}

impl Report {
    /// The report for people.
    pub fn in_words(&self) -> String {
        let mut words = String::new();
        let total: u64 = self.kills.values().sum();
        let each = self.kills.iter().map(|(kill, times)| format!("{} {times}", kill.as_str()));
        let each = each.collect::<Vec<_>>().join(", ");
        let number = |number: u64| count(i64::try_from(number).unwrap_or(i64::MAX));
        let texts = self.recipients + self.single_texts;
        let split = format!(
            "{} to the list, {} single; {} accepted by the carrier",
            count_of(self.recipients),
            count_of(self.single_texts),
            count_of(self.accepted),
        );
        let mut lines = vec![
            ("kills", number(total), each),
            ("texts", count_of(texts), split),
            ("unknowns met", count_of(self.unknowns_met), "of the list, all decided since".into()),
            ("opt-outs", count_of(self.opt_outs), String::new()),
            ("requests repeated", number(self.repeated), "with the same key".into()),
            ("seed", self.seed.to_string(), String::new()),
            ("seconds", format!("{:.0}", self.seconds), String::new()),
        ];
        if self.verdict.unresolved.count > 0 {
            lines[2].2 = "of the list".into();
        }
        if self.ended_by_itself > 0 {
            let note = "nobody killed the server then; see its log".into();
            lines.insert(1, ("ended by itself", number(self.ended_by_itself), note));
        }
        if self.late_charges > 0 {
            let note = "released, and found at the carrier later".into();
            lines.insert(3, ("late charges", count(self.late_charges), note));
        }
        for (name, value, note) in lines {
            let line = format!("  {name:<24}{:>12}  {}", strong(value), faint(note));
            writeln!(words, "{}", line.trim_end()).expect("writing to a String");
        }
        words.push('\n');
        for (name, fault) in self.verdict.faults() {
            let well = fault.count == 0 && fault.rows.is_empty();
            writeln!(words, "  {} {name:<22}{:>12}", mark(well), strong(count(fault.count)))
                .expect("writing to a String");
        }
        self.tell_findings(&mut words);
        words
    }

    fn tell_findings(&self, words: &mut String) {
        for (name, fault) in self.verdict.faults() {
            if fault.rows.is_empty() {
                continue;
            }
            write!(words, "\n  {}\n    {}\n", strong(name), fault.rows.join("\n    "))
                .expect("writing to a String");
            let shown = i64::try_from(fault.rows.len()).unwrap_or(i64::MAX);
            if name != "unexplained credits" && fault.count > shown {
                writeln!(words, "    … and {} more", count(fault.count - shown))
                    .expect("writing to a String");
            }
        }
        if let Some(directory) = &self.directory {
            let place = strong(directory.display());
            writeln!(words, "\n  Logs, database and the carrier's record are kept in {place}")
                .expect("writing to a String");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Fault;
    use super::*;

    fn report() -> Report {
        Report {
            ok: true,
            engine: Engine::Sqlite,
            seed: 42,
            seconds: 61.4,
            kills: BTreeMap::from([(Kill::Server, 4), (Kill::Carrier, 2)]),
            ended_by_itself: 0,
            recipients: 1500,
            single_texts: 60,
            accepted: 1530,
            opt_outs: 9,
            repeated: 12,
            unknowns_met: 31,
            late_charges: 0,
            verdict: Verdict::default(),
            directory: None,
        }
    }

    fn told(report: &Report) -> String {
        console::strip_ansi_codes(&report.in_words()).into_owned()
    }

    #[test]
    fn a_clean_report_has_no_crosses() {
        let words = told(&report());
        for part in ["server 4, carrier 2", "1,560", "1,530 accepted", "42", "✓ duplicates"] {
            assert!(words.contains(part), "{part:?} is missing in\n{words}");
        }
        assert!(!words.contains('✗') && !words.contains("ended by itself"), "{words}");
        assert!(words.lines().all(|line| line == line.trim_end()), "{words}");
    }

    #[test]
    fn what_was_found_is_told_row_by_row() {
        let mut report = report();
        report.verdict.duplicates = Fault { count: 25, rows: vec!["SM1 and before SM2".into()] };
        report.directory = Some("/kept".into());
        let words = told(&report);
        for part in ["✗ duplicates", "25", "SM1 and before SM2", "… and 24 more", "/kept"] {
            assert!(words.contains(part), "{part:?} is missing in\n{words}");
        }
    }
}
