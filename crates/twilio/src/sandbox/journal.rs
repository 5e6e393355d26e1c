//! The record's file: one JSON object a line, appended before anything is answered.
//!
//! One `write` per line without a flush: the page cache outlives a killed process, which is what
//! the record must survive. Lines of different messages may stand in any order.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;

use domain::instant::Instant;
use serde::{Deserialize, Serialize};

use super::record::Kept;
use crate::wire::{MessageStatus, Sid};

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Line<'a> {
    /// A message was accepted.
    Accepted {
        sid: Sid,
        account: Cow<'a, str>,
        to: Cow<'a, str>,
        from: Cow<'a, str>,
        service: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sender: Option<Cow<'a, str>>,
        body: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "is_default")]
        media: u8,
        callback: Option<Cow<'a, str>>,
        at: Instant,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        send_at: Option<Instant>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        leaves_at: Option<Instant>,
        #[serde(default, skip_serializing_if = "is_default")]
        expires: bool,
        segments: u32,
        fate: MessageStatus,
    },
    /// It has another status.
    Turned { sid: Sid, status: MessageStatus, error: Option<u32> },
    /// Its last receipt was taken or given up.
    Closed { sid: Sid, closed: bool },
    /// Its owner redacted or deleted it.
    Edited { sid: Sid, redacted: bool, deleted: bool },
    /// A phone wants nothing more of a sender, or wants it again.
    Consent { phone: Cow<'a, str>, sender: Cow<'a, str>, opted_out: bool },
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl<'a> Line<'a> {
    /// The line of a message that is accepted now.
    pub fn accepted(kept: &'a Kept) -> Self {
        Self::Accepted {
            sid: kept.sid,
            account: Cow::Borrowed(&kept.account),
            to: Cow::Borrowed(&kept.to),
            from: Cow::Borrowed(&kept.from),
            service: kept.service,
            sender: kept.sender.as_deref().map(Cow::Borrowed),
            body: Cow::Borrowed(&kept.body),
            media: kept.media,
            callback: kept.callback.as_deref().map(Cow::Borrowed),
            at: kept.at,
            send_at: kept.send_at,
            leaves_at: kept.leaves_at,
            expires: kept.expires,
            segments: kept.segments,
            fate: kept.fate,
        }
    }
}

/// The file, if there is one.
pub(super) struct Journal(Option<File>);

impl Journal {
    /// Opens or makes the file and hands every whole line in it to `replay`, oldest first.
    pub fn open(path: Option<&Path>, mut replay: impl FnMut(Line<'static>)) -> io::Result<Self> {
        let Some(path) = path else { return Ok(Self(None)) };
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut is_cut = false;
        for line in BufReader::new(&file).split(b'\n') {
            let line = line?;
            // What a killed process cut short was not answered.
            is_cut = false;
            match serde_json::from_slice(&line) {
                Ok(line) => replay(line),
                Err(_) => is_cut = true,
            }
        }
        if is_cut {
            file.write_all(b"\n")?;
        }
        Ok(Self(Some(file)))
    }

    /// Appends a line.
    pub fn append(&self, line: &Line<'_>) {
        let Some(mut file) = self.0.as_ref() else { return };
        let mut bytes = serde_json::to_vec(line).expect("a line is valid JSON");
        bytes.push(b'\n');
        if let Err(error) = file.write_all(&bytes) {
            tracing::error!(component = "sandbox", %error, "the record's file cannot be written");
        }
    }
}
