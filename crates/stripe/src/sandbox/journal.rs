//! The file of what the sandbox did: one JSON object a line, one line for each change, written
//! before it is answered. A line that a killed process cut short was not answered, and is skipped.
//!
//! Nothing is flushed to the disk: the file outlives the process, not the machine.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One change: everything of it happened, or nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Change {
    /// Objects as they are now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Value>,
    /// Events that tell of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Value>,
    /// What a request with an idempotency key was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered: Option<Answered>,
    /// An event that needs no more telling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
}

/// The answer to a request with an idempotency key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Answered {
    pub key: String,
    /// Of the method, path and form.
    pub fingerprint: String,
    /// When, in seconds.
    pub at: i64,
    pub status: u16,
    pub body: Value,
}

impl Change {
    /// Nothing happened.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
            && self.events.is_empty()
            && self.answered.is_none()
            && self.told.is_none()
    }
}

/// The file, if there is one.
pub(super) struct Journal(Option<File>);

impl Journal {
    /// Opens or makes the file, and hands every change in it to `replay`, oldest first.
    pub fn open(path: Option<&Path>, mut replay: impl FnMut(Change)) -> io::Result<Self> {
        let Some(path) = path else { return Ok(Self(None)) };
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut ends_whole = true;
        let mut lines = BufReader::new(&file);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            ends_whole = line.ends_with(b"\n");
            if let Ok(change) = serde_json::from_slice(&line) {
                replay(change);
            }
            line.clear();
        }
        if !ends_whole {
            file.write_all(b"\n")?;
        }
        Ok(Self(Some(file)))
    }

    /// Appends a change.
    pub fn append(&self, change: &Change) {
        let Some(mut file) = self.0.as_ref() else { return };
        let mut bytes = serde_json::to_vec(change).expect("a change is valid JSON");
        bytes.push(b'\n');
        if let Err(error) = file.write_all(&bytes) {
            tracing::error!(component = "stripe", %error, "the sandbox's file cannot be written");
        }
    }
}
