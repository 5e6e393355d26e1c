//! The carrier's own record of what it accepted. Memory grows by a few hundred bytes a message and
//! work per message is constant.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::sync::Arc;

use domain::instant::Instant;
use serde::{Deserialize, Serialize};

use crate::wire::{MessageStatus, Sid};

/// A message the carrier accepted.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub sid: Sid,
    pub account: Arc<str>,
    pub to: Box<str>,
    pub from: Arc<str>,
    /// It was sent through a service.
    pub service: bool,
    pub body: Arc<str>,
    pub callback: Option<Box<str>>,
    pub at: Instant,
    pub segments: u32,
    pub status: MessageStatus,
    pub error: Option<u32>,
    /// What will become of it.
    pub fate: MessageStatus,
    pub redacted: bool,
    /// It was deleted; only the record remembers it.
    pub deleted: bool,
    /// Receipts that are neither taken nor given up.
    pub receipts_open: u8,
    /// Its last receipt was taken or given up.
    pub closed: bool,
}

/// `sent`, and the final one.
pub(super) const RECEIPTS: u8 = 2;

/// The record in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Requests to create a message.
    pub requests: u64,
    /// Messages accepted.
    pub accepted: u64,
    /// Different phones among them.
    pub distinct_to: u64,
    /// Messages that repeat the phone and text of an earlier one.
    pub duplicates: u64,
    /// Segments accepted.
    pub segments: u64,
    /// Messages by status.
    pub by_status: std::collections::BTreeMap<String, u64>,
    /// Receipts that somebody took.
    pub receipts_taken: u64,
    /// Receipts given up.
    pub receipts_lost: u64,
    /// Receipts still to be sent.
    pub receipts_pending: u64,
}

/// A line of the record's file.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Accepted {
        sid: Sid,
        account: String,
        to: String,
        from: String,
        service: bool,
        body: String,
        callback: Option<String>,
        at: Instant,
        segments: u32,
        fate: MessageStatus,
    },
    Turned {
        sid: Sid,
        status: MessageStatus,
        error: Option<u32>,
    },
    Closed {
        sid: Sid,
        closed: bool,
    },
}

/// The record.
pub(super) struct Record {
    messages: Vec<Kept>,
    by_sid: HashMap<[u8; 16], usize>,
    phones: HashSet<u64>,
    texts: HashSet<u64>,
    hasher: RandomState,
    interned: HashSet<Arc<str>>,
    file: Option<File>,
    sums: Summary,
}

impl Record {
    /// An empty record, or the one in `path`, which is made when missing.
    pub fn open(path: Option<&Path>) -> io::Result<Self> {
        let mut record = Self {
            messages: Vec::new(),
            by_sid: HashMap::new(),
            phones: HashSet::new(),
            texts: HashSet::new(),
            hasher: RandomState::new(),
            interned: HashSet::new(),
            file: None,
            sums: Summary::default(),
        };
        if let Some(path) = path {
            let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
            for line in BufReader::new(&file).lines() {
                // The last line of a killed process may be cut short; it was not answered.
                if let Ok(line) = serde_json::from_str(&line?) {
                    record.replay(line);
                }
            }
            record.file = Some(file);
            record.write_bytes(b"\n");
        }
        Ok(record)
    }

    fn replay(&mut self, line: Line) {
        match line {
            Line::Accepted {
                sid,
                account,
                to,
                from,
                service,
                body,
                callback,
                at,
                segments,
                fate,
            } => {
                let kept = Kept {
                    sid,
                    account: self.intern(&account),
                    to: to.into(),
                    from: self.intern(&from),
                    service,
                    body: self.intern(&body),
                    callback: callback.map(Into::into),
                    at,
                    segments,
                    status: MessageStatus::Queued,
                    error: None,
                    fate,
                    redacted: false,
                    deleted: false,
                    receipts_open: RECEIPTS,
                    closed: false,
                };
                self.insert(kept);
            }
            Line::Turned { sid, status, error } => {
                if let Some(index) = self.find(&sid) {
                    self.set_status(index, status, error);
                }
            }
            Line::Closed { sid, .. } => {
                if let Some(index) = self.find(&sid) {
                    self.messages[index].closed = true;
                }
            }
        }
    }

    /// One allocation for equal texts.
    pub fn intern(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.interned.get(text) {
            return Arc::clone(known);
        }
        let fresh: Arc<str> = text.into();
        // Personal texts differ all; remembering them would only cost memory.
        if self.interned.len() < 10_000 {
            self.interned.insert(Arc::clone(&fresh));
        }
        fresh
    }

    /// Counts a request.
    pub fn count_request(&mut self) {
        self.sums.requests += 1;
    }

    /// Accepts a message: from here on it was sent, whatever the caller learns.
    pub fn accept(&mut self, kept: Kept) -> usize {
        if self.file.is_some() {
            self.write(&Line::Accepted {
                sid: kept.sid,
                account: kept.account.to_string(),
                to: kept.to.to_string(),
                from: kept.from.to_string(),
                service: kept.service,
                body: kept.body.to_string(),
                callback: kept.callback.as_deref().map(str::to_owned),
                at: kept.at,
                segments: kept.segments,
                fate: kept.fate,
            });
        }
        self.insert(kept)
    }

    fn insert(&mut self, kept: Kept) -> usize {
        let index = self.messages.len();
        self.sums.accepted += 1;
        self.sums.segments += u64::from(kept.segments);
        if self.phones.insert(self.hasher.hash_one(&kept.to)) {
            self.sums.distinct_to += 1;
        }
        if !self.texts.insert(self.hasher.hash_one((&*kept.to, &*kept.body))) {
            self.sums.duplicates += 1;
        }
        *self.sums.by_status.entry(kept.status.to_string()).or_default() += 1;
        self.by_sid.insert(kept.sid.bytes(), index);
        self.messages.push(kept);
        index
    }

    /// Turns a message to a status.
    pub fn turn(&mut self, index: usize, status: MessageStatus, error: Option<u32>) {
        self.set_status(index, status, error);
        if self.file.is_some() {
            let sid = self.messages[index].sid;
            self.write(&Line::Turned { sid, status, error });
        }
    }

    fn set_status(&mut self, index: usize, status: MessageStatus, error: Option<u32>) {
        let before = self.messages[index].status.to_string();
        if let Some(count) = self.sums.by_status.get_mut(&before) {
            *count -= 1;
        }
        *self.sums.by_status.entry(status.to_string()).or_default() += 1;
        self.messages[index].status = status;
        self.messages[index].error = error;
    }

    /// A receipt of a message was taken, or given up.
    pub fn end_receipt(&mut self, index: usize) {
        let kept = &mut self.messages[index];
        kept.receipts_open = kept.receipts_open.saturating_sub(1);
        if kept.receipts_open > 0 {
            return;
        }
        (kept.closed, kept.callback) = (true, None);
        let sid = kept.sid;
        if self.file.is_some() {
            self.write(&Line::Closed { sid, closed: true });
        }
    }

    /// Counts what became of a receipt.
    pub fn count_receipt(&mut self, taken: bool) {
        let count =
            if taken { &mut self.sums.receipts_taken } else { &mut self.sums.receipts_lost };
        *count += 1;
    }

    fn write(&mut self, line: &Line) {
        let mut bytes = serde_json::to_vec(line).expect("a line is valid JSON");
        bytes.push(b'\n');
        self.write_bytes(&bytes);
    }

    /// One write call per line; the page cache outlives the process.
    fn write_bytes(&mut self, bytes: &[u8]) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(bytes)
        {
            tracing::error!(component = "sandbox", %error, "the record's file cannot be written");
        }
    }

    /// Whether this text to this phone was ever accepted.
    pub fn has_accepted(&self, to: &str, body: &str) -> bool {
        self.texts.contains(&self.hasher.hash_one((to, body)))
    }

    /// The place of a message.
    pub fn find(&self, sid: &Sid) -> Option<usize> {
        self.by_sid.get(&sid.bytes()).copied()
    }

    /// A message by its place.
    pub fn message(&self, index: usize) -> &Kept {
        &self.messages[index]
    }

    /// The same, to be changed (redacted, deleted).
    pub fn message_mut(&mut self, index: usize) -> &mut Kept {
        &mut self.messages[index]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// The record in numbers.
    pub fn summary(&self) -> Summary {
        let mut sums = self.sums.clone();
        sums.by_status.retain(|_, count| *count > 0);
        sums
    }

    /// Every accepted message as `(sid, to, body)`, oldest first.
    pub fn accepted(&self) -> Vec<(String, String, String)> {
        let texts = self.messages.iter();
        texts.map(|one| (one.sid.to_string(), one.to.to_string(), one.body.to_string())).collect()
    }
}
