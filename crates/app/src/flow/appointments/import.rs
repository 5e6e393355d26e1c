//! Importing appointments from CSV: good rows are kept, every bad one is reported with its line.
//!
//! Rows with the same `external_id` are several people of one appointment; a row without one is an
//! appointment of its own. Importing a file again changes what it named before.

use std::collections::BTreeMap;

use domain::seam::Dice;
use serde::Serialize;
use store::Db;

use super::booking::Clerk;
use super::change::book;
use super::wanted::{AppointmentIn, AttendeeIn, CoachIn, RecurrenceIn, Warning};
use crate::flow::import::{REJECTED_SHOWN_MAX, Rejected, line_of, reader, without_mark};
use crate::flow::messages::Asking;
use crate::flow::{Refusal, Result, invalid};

/// Rows one file may have.
const ROWS_MAX: usize = 100_000;
/// Appointments written in one transaction.
const BOOKINGS_A_BATCH: usize = 100;
const COLUMNS: [&str; 10] = [
    "external_id",
    "title",
    "starts_at",
    "timezone",
    "duration_minutes",
    "location",
    "coach",
    "phone",
    "name",
    "rrule",
];

/// What an import did, or would do.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct AppointmentsImported {
    /// Rows in the file, the header aside.
    pub total: usize,
    /// Appointments and series made.
    pub created: usize,
    /// Appointments and series that were there already.
    pub updated: usize,
    /// Bad rows, the first thousand.
    pub rejected: Vec<Rejected>,
    /// All bad rows.
    pub rejected_count: usize,
    /// What is worth a look, the first thousand.
    pub warnings: Vec<LineWarning>,
}

/// A warning about a row.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct LineWarning {
    /// The line of the appointment's first row.
    pub line: u64,
    /// What is worth a look.
    pub warning: Warning,
}

/// The rows of one appointment.
struct Group {
    wanted: AppointmentIn,
    /// The lines of its rows, in the order of its people.
    lines: Vec<u64>,
}

/// Imports a file.
pub async fn import(
    db: &Db,
    dice: &dyn Dice,
    asking: Asking<'_>,
    file: &[u8],
    dry_run: bool,
) -> Result<AppointmentsImported> {
    let mut done = AppointmentsImported::default();
    let groups = groups(file, &mut done)?;
    for batch in groups.chunks(BOOKINGS_A_BATCH) {
        let mut tx = db.begin().await?;
        let clerk = Clerk::open(&mut tx, asking, dice).await?;
        for group in batch {
            match book(&mut tx, &clerk, &group.wanted).await {
                Ok(booked) => {
                    done.created += usize::from(booked.created);
                    done.updated += usize::from(!booked.created);
                    keep_warnings(&mut done, group, booked.warnings);
                }
                Err(Refusal::Store(error)) => return Err(Refusal::Store(error)),
                Err(refusal) => reject_group(&mut done, group, &refusal),
            }
        }
        if !dry_run {
            tx.commit().await?;
        }
    }
    tracing::info!(
        component = "import", account = %asking.account, total = done.total,
        created = done.created, updated = done.updated, rejected = done.rejected_count, dry_run,
        "appointments imported"
    );
    Ok(done)
}

fn keep_warnings(done: &mut AppointmentsImported, group: &Group, warnings: Vec<Warning>) {
    let line = group.lines.first().copied().unwrap_or(0);
    for warning in warnings {
        if done.warnings.len() < REJECTED_SHOWN_MAX {
            done.warnings.push(LineWarning { line, warning });
        }
    }
}

fn reject(done: &mut AppointmentsImported, rejected: Rejected) {
    done.rejected_count += 1;
    if done.rejected.len() < REJECTED_SHOWN_MAX {
        done.rejected.push(rejected);
    }
}

/// Reports the row a refusal is about: that of one person, or all of the appointment.
fn reject_group(done: &mut AppointmentsImported, group: &Group, refusal: &Refusal) {
    let (field, reason) = match refusal {
        Refusal::Invalid { field, problem } => (field.clone(), problem.clone()),
        other => ("row".to_owned(), other.to_string()),
    };
    let column = field.rsplit('.').next().unwrap_or(&field).to_owned();
    let wanted = &group.wanted;
    let value = match column.as_str() {
        "title" => wanted.title.clone(),
        "starts_at" => wanted.starts_at.clone(),
        "timezone" => wanted.timezone.clone().unwrap_or_default(),
        "duration_minutes" => wanted.duration_minutes.map_or_else(String::new, |n| n.to_string()),
        "location" => wanted.location.clone().unwrap_or_default(),
        "external_id" => wanted.external_id.clone().unwrap_or_default(),
        _ => String::new(),
    };
    for line in &group.lines {
        let (field, value, reason) = (column.clone(), value.clone(), reason.clone());
        reject(done, Rejected { line: *line, field, value, reason });
    }
}

/// Reads the rows and joins those of one appointment.
fn groups(file: &[u8], done: &mut AppointmentsImported) -> Result<Vec<Group>> {
    if file.starts_with(b"\xFF\xFE") || file.starts_with(b"\xFE\xFF") {
        return Err(invalid("file", "the file is UTF-16; save it as CSV UTF-8"));
    }
    let names = header(file)?;
    let (mut reader, bare) = (reader(file), without_mark(file));
    let mut groups: Vec<Group> = Vec::new();
    let mut by_id: BTreeMap<String, usize> = BTreeMap::new();
    let mut record = csv::ByteRecord::new();
    while reader
        .read_byte_record(&mut record)
        .map_err(|error| invalid("file", error.to_string()))?
    {
        done.total += 1;
        if done.total > ROWS_MAX {
            return Err(invalid("file", format!("a file has at most {ROWS_MAX} rows")));
        }
        let line = record.position().map_or(0, |at| line_of(bare, at));
        let wanted = match row(&names, &record) {
            Ok(wanted) => wanted,
            Err((field, value, reason)) => {
                reject(done, Rejected { line, field, value, reason });
                continue;
            }
        };
        let known = wanted.external_id.as_ref().and_then(|id| by_id.get(id)).copied();
        match known.and_then(|at| groups.get_mut(at)) {
            None => {
                if let Some(id) = &wanted.external_id {
                    by_id.insert(id.clone(), groups.len());
                }
                groups.push(Group { wanted, lines: vec![line] });
            }
            Some(group) if is_same(&group.wanted, &wanted) => {
                group.wanted.attendees.extend(wanted.attendees);
                group.lines.push(line);
            }
            Some(group) => {
                let first = group.lines.first().copied().unwrap_or(0);
                let reason = format!(
                    "it differs from line {first}: all rows of one external_id have the same title \
                     and starts_at"
                );
                let value = wanted.external_id.unwrap_or_default();
                reject(done, Rejected { line, field: "external_id".to_owned(), value, reason });
            }
        }
    }
    Ok(groups)
}

fn is_same(one: &AppointmentIn, other: &AppointmentIn) -> bool {
    one.title == other.title && one.starts_at == other.starts_at && one.timezone == other.timezone
}

/// The columns of a file, checked.
fn header(file: &[u8]) -> Result<Vec<String>> {
    let mut reader = reader(file);
    let header = reader.byte_headers().map_err(|error| invalid("file", error.to_string()))?;
    let mut names: Vec<String> = Vec::new();
    for name in header {
        let name = std::str::from_utf8(name)
            .map_err(|_| invalid("file", "the header is not UTF-8; save the file as UTF-8"))?;
        let name = name.trim().to_ascii_lowercase();
        if !COLUMNS.contains(&name.as_str()) && !name.is_empty() {
            let words = format!("{name:?} is no column; write {}", COLUMNS.join(", "));
            return Err(invalid("file", words));
        }
        if names.contains(&name) {
            return Err(invalid("file", format!("the column {name:?} stands twice in the header")));
        }
        names.push(name);
    }
    for needed in ["title", "starts_at"] {
        if !names.iter().any(|name| name == needed) {
            let words = format!("there is no column {needed}; the first line names the columns");
            return Err(invalid("file", words));
        }
    }
    Ok(names)
}

fn row(
    names: &[String],
    record: &csv::ByteRecord,
) -> std::result::Result<AppointmentIn, (String, String, String)> {
    if record.len() > names.len() {
        let surplus = String::from_utf8_lossy(&record[names.len()]).into_owned();
        let reason = format!(
            "{} values for {} columns; put quotes around values with commas",
            record.len(),
            names.len()
        );
        return Err(("row".to_owned(), surplus, reason));
    }
    let mut wanted = AppointmentIn::default();
    let mut person = AttendeeIn::default();
    for (name, bytes) in names.iter().zip(record) {
        let value = std::str::from_utf8(bytes).map_err(|_| {
            let shown = String::from_utf8_lossy(bytes).into_owned();
            (name.clone(), shown, "not UTF-8; save the file as UTF-8".to_owned())
        })?;
        let value = value.trim().to_owned();
        let wrong = |reason: &str| (name.clone(), value.clone(), reason.to_owned());
        if value.contains('\0') {
            return Err(wrong("leave out the character U+0000: no text can hold it"));
        }
        if value.is_empty() {
            continue;
        }
        match name.as_str() {
            "external_id" => wanted.external_id = Some(value),
            "title" => wanted.title = value,
            "starts_at" => wanted.starts_at = value,
            "timezone" => wanted.timezone = Some(value),
            "duration_minutes" => {
                let minutes = value.parse().map_err(|_| wrong("write a number of minutes"))?;
                wanted.duration_minutes = Some(minutes);
            }
            "location" => wanted.location = Some(value),
            "coach" => wanted.coach = Some(CoachIn::Name(value)),
            "phone" => person.phone = Some(value),
            "name" => person.name = Some(value),
            "rrule" => wanted.recurrence = Some(RecurrenceIn::Rule(value)),
            _ => {}
        }
    }
    if person.phone.is_some() || person.name.is_some() {
        wanted.attendees.push(person);
    }
    Ok(wanted)
}
