//! `ledgerline contacts`: the people who get texts.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use domain::ids::AccountId;
use domain::seam::Dice;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use store::Db;
use store::accounts::Account;

use super::failure::{Result, failed, usage};
use super::outlet::{answer, count_of, doable, faint, mark, say, strong};
use super::workplace::{Shared, Whose, Workplace};
use crate::flow::contacts::Source;
use crate::flow::import::{Imported, Rejected, evidence, import, list_rejected, rejected_csv};

/// The largest file.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Bad rows told on the terminal.
const REJECTED_TOLD: usize = 5;

/// What to do with contacts.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Import contacts from a CSV file: good rows are kept, bad ones are reported
    Import(Import),
}

/// A file to import.
#[derive(clap::Args, Debug)]
pub struct Import {
    /// CSV with the columns phone, name, timezone, locale, tags, consent, verified, blocked and any
    /// of your own; - reads the standard input
    file: PathBuf,
    #[command(flatten)]
    whose: Whose,
    /// Check the file and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Where rejected rows go
    #[arg(long, value_name = "FILE")]
    rejected: Option<PathBuf>,
    /// Who vouches for the opt-ins of the file, and how they were given
    #[arg(long, value_name = "WORDS")]
    attestation: Option<String>,
}

/// Runs the command.
pub async fn run(verb: Verb, shared: &Shared) -> Result {
    let Verb::Import(wanted) = verb;
    let work = Workplace::open(shared).await?;
    let account = work.account(wanted.whose).await?;
    let bytes = read(&wanted.file)?;
    let file = format!("file {}", wanted.file.display());
    let evidence = evidence(&*work.dice, &file, wanted.attestation.as_deref())?;
    let bar = if work.out.json { ProgressBar::hidden() } else { rows_bar(&bytes) };
    let source =
        Source { name: "cli", actor: "operator", evidence: &evidence, may_opt_in_again: false };
    let list = List { bytes: &bytes, source, dry_run: wanted.dry_run };
    let done = list.import(&work.db, &*work.dice, account.id, &bar).await?;
    let saved_to = save_rejected(&wanted, &bytes, &account, &done)?;
    if work.out.json {
        let mut value = serde_json::to_value(&done).expect("a summary is valid JSON");
        value["dry_run"] = wanted.dry_run.into();
        value["rejected_file"] = serde_json::json!(saved_to);
        return answer(&value);
    }
    say(summary(&account, &done, wanted.dry_run))?;
    tell_rejections(&done, saved_to.as_deref())
}

/// A list of contacts to be imported.
pub struct List<'a> {
    /// The CSV file.
    pub bytes: &'a [u8],
    /// Where it comes from.
    pub source: Source<'a>,
    /// Nothing is kept.
    pub dry_run: bool,
}

impl List<'_> {
    /// Imports it, with its progress on `bar`.
    pub async fn import(
        &self,
        db: &Db,
        dice: &dyn Dice,
        account: AccountId,
        bar: &ProgressBar,
    ) -> Result<Imported> {
        let done = import(db, dice, account, self.bytes, self.source, self.dry_run, |done| {
            bar.set_position(u64::try_from(done.total).unwrap_or(0));
        })
        .await;
        bar.finish_and_clear();
        Ok(done?)
    }
}

/// A progress bar for the rows of a file, on the error output.
pub fn rows_bar(file: &[u8]) -> ProgressBar {
    // A quoted line break counts twice; the bar then ends a little early.
    let lines = file.split(|byte| *byte == b'\n').skip(1).count().max(1);
    let style = ProgressStyle::with_template(
        "  importing {bar:40.green/dim} {human_pos} of {human_len} rows  {per_sec:.dim}",
    )
    .expect("the template is well-formed")
    .progress_chars("█▓░");
    let bar =
        ProgressBar::with_draw_target(u64::try_from(lines).ok(), ProgressDrawTarget::stderr());
    bar.set_style(style);
    bar
}

/// Reads a file, or the standard input, whole.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let cannot = |error: std::io::Error| usage(format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    let size = if path == Path::new("-") {
        std::io::stdin().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?
    } else {
        let file = std::fs::File::open(path).map_err(cannot)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?
    };
    if u64::try_from(size).is_ok_and(|size| size > FILE_BYTES_MAX) {
        let limit = FILE_BYTES_MAX / 1024 / 1024;
        return Err(usage(format!("{} is larger than {limit} MB", path.display())));
    }
    Ok(bytes)
}

fn save_rejected(
    wanted: &Import,
    bytes: &[u8],
    account: &Account,
    done: &Imported,
) -> Result<Option<PathBuf>> {
    if done.rejected_count == 0 {
        return Ok(None);
    }
    let path = wanted.rejected.clone().unwrap_or_else(|| rejected_path(&wanted.file));
    let all: Vec<Rejected>;
    let rows = if done.rejected_count > done.rejected.len() {
        all = list_rejected(bytes, account)?;
        &all
    } else {
        &done.rejected
    };
    std::fs::write(&path, rejected_csv(rows))
        .map_err(|error| failed(format!("cannot write {}: {error}", path.display())))?;
    Ok(Some(path))
}

fn rejected_path(file: &Path) -> PathBuf {
    if file == Path::new("-") {
        return PathBuf::from("stdin.rejected.csv");
    }
    let mut name = file.as_os_str().to_owned();
    name.push(".rejected.csv");
    PathBuf::from(name)
}

fn summary(account: &Account, done: &Imported, dry_run: bool) -> String {
    let verb = if dry_run { "would be imported into" } else { "imported into" };
    let mut words = format!(
        "{} {} of {} rows {verb} {}",
        mark(true),
        strong(count_of(done.created + done.updated)),
        count_of(done.total),
        strong(&account.name),
    );
    for (number, what) in [
        (done.created, "new contacts"),
        (done.updated, "known already, updated"),
        (done.duplicates, "stand twice in the file; the first row counts"),
        (done.opt_outs_kept, "opted out earlier and stay so, whatever the file says"),
        (
            done.not_texted.values().sum(),
            "kept, and in countries this account does not text; see its setting countries",
        ),
        (done.rejected_count, "rejected"),
    ] {
        if number > 0 {
            write!(words, "\n  {:>9}  {what}", strong(count_of(number)))
                .expect("writing to a String");
        }
    }
    words
}

fn tell_rejections(done: &Imported, saved_to: Option<&Path>) -> Result {
    let Some(path) = saved_to else { return Ok(()) };
    for row in done.rejected.iter().take(REJECTED_TOLD) {
        let value: String = row.value.chars().take(40).collect();
        let place = faint(format!("line {}, {} {value:?}:", row.line, row.field));
        say(format!("  {} {place} {}", mark(false), row.reason))?;
    }
    if done.rejected_count > REJECTED_TOLD {
        let more = count_of(done.rejected_count - REJECTED_TOLD);
        say(faint(format!("    … and {more} more")))?;
    }
    say(format!("  all rejected rows, each with its reason: {}", doable(path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_rows_go_beside_the_file() {
        for (file, expected) in [
            ("people.csv", "people.csv.rejected.csv"),
            ("/lists/people.csv", "/lists/people.csv.rejected.csv"),
            ("-", "stdin.rejected.csv"),
        ] {
            assert_eq!(rejected_path(Path::new(file)), Path::new(expected));
        }
    }
}
