//! Importing contacts from CSV: good rows are kept, every bad one is reported with its line.

use std::collections::{BTreeMap, HashSet};

use domain::ids::AccountId;
use domain::phone::{Countries, NumberRefusal};
use domain::seam::Dice;
use serde::Serialize;
use store::accounts::{self, Account};
use store::{Db, settings};

use super::contacts::{ContactIn, Source, Word, checked, keep_words};
use super::{Refusal, Result, invalid};
pub use crate::sheet::{harmless, line_of, reader, without_mark};

/// Who vouches for the opt-ins of a file, in their own words, at most so long.
pub const ATTESTATION_CHARS_MAX: usize = 1000;

/// Rows written in one transaction.
const ROWS_A_BATCH: usize = 1000;
/// Rejected rows told one by one; all are counted.
pub const REJECTED_SHOWN_MAX: usize = 1000;
/// Rows one file may have.
pub const ROWS_MAX: usize = 1_000_000;
const COLUMNS_MAX: usize = 60;

/// What an import did, or would do.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Imported {
    /// Rows in the file, the header aside.
    pub total: usize,
    /// Contacts made.
    pub created: usize,
    /// Contacts that were there already.
    pub updated: usize,
    /// Rows whose phone stands in an earlier row of the file; the first one counts.
    pub duplicates: usize,
    /// Opt-outs that a row's opt-in did not undo: only the person can.
    pub opt_outs_kept: usize,
    /// Contacts that are kept and get no texts, by country: the account does not text there. See
    /// the setting `countries`.
    pub not_texted: BTreeMap<String, usize>,
    /// Bad rows, the first thousand.
    pub rejected: Vec<Rejected>,
    /// All bad rows.
    pub rejected_count: usize,
}

/// A bad row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Rejected {
    /// Its line in the file; the header is line 1.
    pub line: u64,
    /// The column that is wrong.
    pub field: String,
    /// What stands there.
    pub value: String,
    /// What is wrong and how to mend it.
    pub reason: String,
}

/// What an import notes beside each consent: where the file came from, which import it was, and who
/// vouches for it.
pub fn evidence(dice: &dyn Dice, file: &str, attestation: Option<&str>) -> Result<String> {
    let mut batch = [0; 6];
    dice.fill(&mut batch);
    let batch = data_encoding::HEXLOWER.encode(&batch);
    let words = attestation.map(str::trim).filter(|words| !words.is_empty());
    let Some(words) = words else {
        return Ok(format!("{file}, import {batch}, without attestation"));
    };
    if words.chars().count() > ATTESTATION_CHARS_MAX || words.contains('\0') {
        let problem = format!("write at most {ATTESTATION_CHARS_MAX} characters");
        return Err(invalid("attestation", problem));
    }
    Ok(format!("{file}, import {batch}, attested: {words:?}"))
}

/// Imports a file. `seen` is called after each batch with the rows read so far.
pub async fn import(
    db: &Db,
    dice: &dyn Dice,
    account: AccountId,
    file: &[u8],
    source: Source<'_>,
    dry_run: bool,
    mut seen: impl FnMut(&Imported),
) -> Result<Imported> {
    let mut tx = db.read().await?;
    let owner = accounts::account(&mut tx, account).await?;
    let choices = settings::settings(&mut tx, account).await?;
    let mut countries = Countries::new(choices.countries(&owner.country));
    drop(tx);
    let mut rows = Rows::open(file, owner)?;
    let mut done = Imported::default();
    loop {
        let words = rows.batch(&mut done)?;
        if words.is_empty() {
            break;
        }
        let mut tx = db.begin().await?;
        let kept = keep_words(&mut tx, dice, account, &words, source).await?;
        if !dry_run {
            tx.commit().await?;
        }
        for word in &words {
            if let Some(NumberRefusal::CountryNotAllowed { region }) =
                countries.objection(&word.phone)
            {
                *done.not_texted.entry(region).or_default() += 1;
            }
        }
        done.created += kept.created;
        done.updated += kept.updated;
        done.opt_outs_kept += kept.opt_outs_kept;
        seen(&done);
    }
    tracing::info!(
        component = "import", %account, total = done.total, created = done.created,
        updated = done.updated, rejected = done.rejected_count, dry_run, "contacts imported"
    );
    Ok(done)
}

/// Every bad row of a file, for when [`Imported::rejected`] holds only the first of them.
pub fn list_rejected(file: &[u8], owner: &Account) -> Result<Vec<Rejected>> {
    let mut rows = Rows::open(file, owner.clone())?;
    rows.rejected_max = usize::MAX;
    let mut done = Imported::default();
    while !rows.batch(&mut done)?.is_empty() {}
    Ok(done.rejected)
}

/// Checks a file's header and counts nothing else.
pub fn check_header(file: &[u8]) -> Result<Vec<String>> {
    let mut reader = reader(file);
    let header = reader.byte_headers().map_err(|error| invalid("file", error.to_string()))?;
    let names: Vec<String> = header
        .iter()
        .map(|name| {
            std::str::from_utf8(name)
                .map(|name| name.trim().to_ascii_lowercase())
                .map_err(|_| invalid("file", "the header is not UTF-8; save the file as UTF-8"))
        })
        .collect::<Result<_>>()?;
    if !names.iter().any(|name| name == "phone") {
        let found = names.join(", ").chars().take(200).collect::<String>();
        let problem = if found.is_empty() {
            "the file is empty; its first line must name the columns, one of them phone".to_owned()
        } else {
            format!(
                "there is no column phone; the first line must name the columns, separated by \
                 commas, and names: {found}"
            )
        };
        return Err(invalid("file", problem));
    }
    let mut unique = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !unique.insert(name.as_str())) {
        return Err(invalid("file", format!("the column {twice:?} stands twice in the header")));
    }
    if names.len() > COLUMNS_MAX {
        return Err(invalid("file", format!("a file has at most {COLUMNS_MAX} columns")));
    }
    Ok(names)
}

struct Rows<'a> {
    file: &'a [u8],
    reader: csv::Reader<&'a [u8]>,
    names: Vec<String>,
    owner: Account,
    phones: HashSet<String>,
    rejected_max: usize,
}

impl<'a> Rows<'a> {
    fn open(file: &'a [u8], owner: Account) -> Result<Self> {
        if file.starts_with(b"\xFF\xFE") || file.starts_with(b"\xFE\xFF") {
            return Err(invalid("file", "the file is UTF-16; save it as CSV UTF-8"));
        }
        let names = check_header(file)?;
        Ok(Self {
            file: without_mark(file),
            reader: reader(file),
            names,
            owner,
            phones: HashSet::new(),
            rejected_max: REJECTED_SHOWN_MAX,
        })
    }

    /// The next good rows; bad ones are counted on the way.
    fn batch(&mut self, done: &mut Imported) -> Result<Vec<Word>> {
        let mut words = Vec::new();
        let mut record = csv::ByteRecord::new();
        while words.len() < ROWS_A_BATCH {
            let more = self
                .reader
                .read_byte_record(&mut record)
                .map_err(|error| invalid("file", error.to_string()))?;
            if !more {
                break;
            }
            done.total += 1;
            if done.total > ROWS_MAX {
                return Err(Refusal::State(format!(
                    "a file has at most {ROWS_MAX} rows; the first {ROWS_MAX} were imported"
                )));
            }
            let line = record.position().map_or(0, |at| line_of(self.file, at));
            match self.word(&record) {
                Ok(word) if self.phones.insert(word.phone.clone()) => {
                    words.push(Word { line: Some(line), ..word });
                }
                Ok(_) => done.duplicates += 1,
                Err((field, value, reason)) => {
                    done.rejected_count += 1;
                    if done.rejected.len() < self.rejected_max {
                        done.rejected.push(Rejected { line, field, value, reason });
                    }
                }
            }
        }
        Ok(words)
    }

    fn word(
        &self,
        record: &csv::ByteRecord,
    ) -> std::result::Result<Word, (String, String, String)> {
        let mut wanted = ContactIn::default();
        if record.len() > self.names.len() {
            let surplus = String::from_utf8_lossy(&record[self.names.len()]).into_owned();
            let reason = format!(
                "{} values for {} columns; put quotes around values with commas",
                record.len(),
                self.names.len()
            );
            return Err(("row".to_owned(), surplus, reason));
        }
        let mut fields = BTreeMap::new();
        for (name, bytes) in self.names.iter().zip(record) {
            let value = std::str::from_utf8(bytes).map_err(|_| {
                let shown = String::from_utf8_lossy(bytes).into_owned();
                (name.clone(), shown, "not UTF-8; save the file as UTF-8".to_owned())
            })?;
            let value = value.trim();
            match name.as_str() {
                "phone" => value.clone_into(&mut wanted.phone),
                "name" => wanted.name = Some(value.to_owned()),
                "timezone" => wanted.timezone = Some(value.to_owned()),
                "consent" => wanted.consent = Some(value.to_owned()),
                "locale" => wanted.locale = Some(value.to_owned()),
                "verified" | "blocked" => {
                    let flag = flag(value)
                        .map_err(|reason| (name.clone(), value.to_owned(), reason.to_owned()))?;
                    *if name == "verified" { &mut wanted.verified } else { &mut wanted.blocked } =
                        flag;
                }
                "tags" => {
                    wanted.tags = value.split([';', '|', ',']).map(str::to_owned).collect();
                }
                "" => {}
                _ if value.is_empty() => {}
                _ => {
                    fields.insert(name.clone(), value.to_owned());
                }
            }
        }
        wanted.fields = fields;
        checked(&wanted, &self.owner).map_err(|refusal| match refusal {
            Refusal::Invalid { field, problem } => {
                let value = self.value(record, &field);
                (field, value, problem)
            }
            other => ("row".to_owned(), String::new(), other.to_string()),
        })
    }

    fn value(&self, record: &csv::ByteRecord, field: &str) -> String {
        let at = self.names.iter().position(|name| name == field);
        let bytes = at.and_then(|at| record.get(at)).unwrap_or_default();
        String::from_utf8_lossy(bytes).chars().take(200).collect()
    }
}

/// A cell that says yes or no; nothing when it is empty.
fn flag(value: &str) -> std::result::Result<Option<bool>, &'static str> {
    match value.to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "true" | "yes" | "1" => Ok(Some(true)),
        "false" | "no" | "0" => Ok(Some(false)),
        _ => Err("write true or false"),
    }
}

/// Rejected rows as CSV, with cells that a spreadsheet would run as formulas made harmless.
pub fn rejected_csv(rejected: &[Rejected]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = std::iter::once(["line", "field", "value", "reason"].map(str::to_owned))
        .chain(rejected.iter().map(|row| {
            [row.line.to_string(), row.field.clone(), harmless(&row.value), harmless(&row.reason)]
        }))
        .try_for_each(|cells| writer.write_record(&cells));
    written.expect("writing to memory");
    let bytes = writer.into_inner().expect("writing to memory");
    String::from_utf8(bytes).expect("texts are UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_rows_are_told_with_the_line_an_editor_shows() {
        let owner = Account {
            id: AccountId(1),
            name: String::new(),
            timezone: "America/New_York".to_owned(),
            country: "US".to_owned(),
            quiet_hours: None,
            active: true,
            created_at: domain::instant::Instant(0),
        };
        for (file, expected) in [
            ("phone,name\n1,a\n2,b\n", vec![2, 3]),
            ("phone,name\r\n1,a\r\n2,b\r\n", vec![2, 3]),
            ("\u{feff}phone,name\r\n\r\n1,a\r\n\r\n\r\n2,b", vec![3, 6]),
            ("phone,name\r\n1,\"a\r\nb\"\r\n2,c\r\n", vec![2, 4]),
            ("phone,name\n\n1,\"a\nb\"\n2,c\n", vec![3, 5]),
        ] {
            let rejected = list_rejected(file.as_bytes(), &owner).expect("the header is good");
            let lines: Vec<u64> = rejected.iter().map(|row| row.line).collect();
            assert_eq!(lines, expected, "{file:?}");
        }
    }
}
