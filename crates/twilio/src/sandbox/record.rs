//! The carrier's own record of what it accepted. Memory grows by a few hundred bytes a message and
//! work per message is constant.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use domain::instant::Instant;
use serde::{Deserialize, Serialize};

use super::journal::Line;
use crate::wire::{MessageStatus, Sid};

/// Texts, accounts and senders that are kept once, however often they come.
const INTERNED_MAX: usize = 10_000;

/// What every service here picks.
const POOL_SENDER: &str = "+15005550006";

/// A message the carrier accepted.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub sid: Sid,
    pub account: Arc<str>,
    pub to: Box<str>,
    pub from: Arc<str>,
    /// It was sent through a service, which `from` names.
    pub service: bool,
    /// The sender of the service's pool that the caller asked for.
    pub sender: Option<Arc<str>>,
    pub body: Arc<str>,
    /// How many media it carries.
    pub media: u8,
    pub callback: Option<Box<str>>,
    pub at: Instant,
    /// It waits until then.
    pub send_at: Option<Instant>,
    /// It waits in its sender's queue until then.
    pub leaves_at: Option<Instant>,
    /// It leaves the queue because its `ValidityPeriod` is over.
    pub expires: bool,
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
    /// The place of the message to the same phone before it.
    pub previous: Option<u32>,
}

impl Kept {
    /// The status that a message begins with (FACTS 1.3).
    pub const fn first_status(service: bool, send_at: Option<Instant>) -> MessageStatus {
        match (send_at, service) {
            (Some(_), _) => MessageStatus::Scheduled,
            (None, true) => MessageStatus::Accepted,
            (None, false) => MessageStatus::Queued,
        }
    }

    /// The sender as Twilio shows it: with a service, the one asked for, or the one the service
    /// has picked by the time the text leaves.
    pub fn shown_from(&self) -> Option<&str> {
        if self.service {
            self.sender.as_deref().or_else(|| self.has_left().then_some(POOL_SENDER))
        } else {
            Some(&self.from)
        }
    }

    /// The receipt that follows another one, or the first.
    pub const fn receipt_after(&self, told: Option<MessageStatus>) -> Option<MessageStatus> {
        use MessageStatus::{Canceled, Failed, Queued, Sent};
        match (told, self.fate) {
            (None, Canceled) => Some(Canceled),
            (None, _) if self.service => Some(Queued),
            // A text that fails tells so at once; there is no `sent` before it.
            (None | Some(Queued), Failed) => Some(Failed),
            (None | Some(Queued), _) => Some(Sent),
            (Some(Sent), fate) => Some(fate),
            _ => None,
        }
    }

    /// How many receipts it will have.
    fn receipts(&self) -> u8 {
        let all =
            std::iter::successors(self.receipt_after(None), |&told| self.receipt_after(Some(told)));
        all.fold(0, |count, _| count + 1)
    }

    /// Whether the carrier's network has it, or had.
    pub const fn has_left(&self) -> bool {
        use MessageStatus::{Canceled, Failed, Sent};
        self.status.rank() >= Sent.rank() && !matches!(self.status, Canceled | Failed)
    }
}

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
    pub by_status: BTreeMap<String, u64>,
    /// Receipts that somebody took.
    pub receipts_taken: u64,
    /// Receipts given up.
    pub receipts_lost: u64,
    /// Receipts still to be sent, those on the wire included. A message that waits for its
    /// `SendAt` has none yet.
    pub receipts_pending: u64,
}

/// The record.
#[derive(Default)]
pub(super) struct Record {
    messages: Vec<Kept>,
    by_sid: HashMap<[u8; 16], u32>,
    /// The latest message to each phone, by the phone's hash.
    phones: HashMap<u64, u32>,
    texts: HashSet<u64>,
    hasher: RandomState,
    interned: HashSet<Arc<str>>,
    /// Senders (numbers or services) and the phones that want nothing more of them.
    opted_out: HashSet<(Box<str>, Box<str>)>,
    by_status: [u64; MessageStatus::ALL.len()],
    sums: Summary,
}

impl Record {
    /// Takes in a line that an earlier process wrote.
    pub fn replay(&mut self, line: Line<'_>) {
        match line {
            accepted @ Line::Accepted { .. } => {
                if let Some(kept) = self.kept_of(accepted) {
                    self.insert(kept);
                }
            }
            Line::Turned { sid, status, error } => {
                if let Some(index) = self.find(&sid) {
                    self.turn(index, status, error);
                }
            }
            Line::Closed { sid, .. } => {
                if let Some(index) = self.find(&sid) {
                    (self.messages[index].closed, self.messages[index].callback) = (true, None);
                }
            }
            Line::Edited { sid, redacted, deleted } => {
                if let Some(index) = self.find(&sid) {
                    let kept = &mut self.messages[index];
                    (kept.redacted, kept.deleted) = (redacted, deleted);
                }
            }
            Line::Consent { phone, sender, opted_out } => {
                self.set_opted_out(&sender, &phone, opted_out);
            }
        }
    }

    fn kept_of(&mut self, line: Line<'_>) -> Option<Kept> {
        let Line::Accepted {
            sid,
            account,
            to,
            from,
            service,
            sender,
            body,
            media,
            callback,
            at,
            send_at,
            leaves_at,
            expires,
            segments,
            fate,
        } = line
        else {
            return None;
        };
        Some(Kept {
            sid,
            account: self.intern(&account),
            to: (&*to).into(),
            from: self.intern(&from),
            service,
            sender: sender.map(|sender| self.intern(&sender)),
            body: self.intern(&body),
            media: media.max(u8::from(sid.is_media())),
            callback: callback.map(|url| (&*url).into()),
            at,
            send_at,
            leaves_at,
            expires,
            segments,
            status: Kept::first_status(service, send_at),
            error: None,
            fate,
            redacted: false,
            deleted: false,
            receipts_open: 0,
            closed: false,
            previous: None,
        })
    }

    /// One allocation for equal texts.
    pub fn intern(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.interned.get(text) {
            return Arc::clone(known);
        }
        let fresh: Arc<str> = text.into();
        // Personal texts differ all; remembering them would only cost memory.
        if self.interned.len() < INTERNED_MAX {
            self.interned.insert(Arc::clone(&fresh));
        }
        fresh
    }

    /// Notes that a phone wants nothing more of a sender, or wants it again.
    pub fn set_opted_out(&mut self, sender: &str, phone: &str, opted_out: bool) {
        let both = (sender.into(), phone.into());
        if opted_out {
            self.opted_out.insert(both);
        } else {
            self.opted_out.remove(&both);
        }
    }

    /// Whether a phone wants nothing more of a sender.
    pub fn is_opted_out(&self, sender: &str, phone: &str) -> bool {
        // Hardly ever is anybody; then nothing is copied to ask.
        !self.opted_out.is_empty() && self.opted_out.contains(&(sender.into(), phone.into()))
    }

    /// Counts a request.
    pub fn count_request(&mut self) {
        self.sums.requests += 1;
    }

    /// Takes in a message: from here on it was sent, whatever the caller learns.
    pub fn insert(&mut self, mut kept: Kept) -> usize {
        let index = self.messages.len();
        let place = u32::try_from(index).expect("fewer than four thousand million messages");
        self.sums.accepted += 1;
        self.sums.segments += u64::from(kept.segments);
        self.by_status[kept.status as usize] += 1;
        kept.receipts_open = kept.receipts();
        kept.previous = self.phones.insert(self.hasher.hash_one(&*kept.to), place);
        if kept.previous.is_none() {
            self.sums.distinct_to += 1;
        }
        if !self.texts.insert(self.hasher.hash_one((&*kept.to, &*kept.body))) {
            self.sums.duplicates += 1;
        }
        self.by_sid.insert(kept.sid.bytes(), place);
        self.messages.push(kept);
        index
    }

    /// Turns a message to a status. A canceled one has that as its only receipt.
    pub fn turn(&mut self, index: usize, status: MessageStatus, error: Option<u32>) {
        let kept = &mut self.messages[index];
        self.by_status[kept.status as usize] -= 1;
        self.by_status[status as usize] += 1;
        (kept.status, kept.error) = (status, error);
        if status == MessageStatus::Canceled {
            kept.fate = status;
            kept.receipts_open = kept.receipts();
        }
    }

    /// A receipt of a message was taken, or given up; true when it was the last.
    pub fn end_receipt(&mut self, index: usize) -> bool {
        let kept = &mut self.messages[index];
        kept.receipts_open = kept.receipts_open.saturating_sub(1);
        if kept.receipts_open == 0 {
            (kept.closed, kept.callback) = (true, None);
        }
        kept.closed
    }

    /// Counts what became of a receipt.
    pub fn count_receipt(&mut self, taken: bool) {
        let count =
            if taken { &mut self.sums.receipts_taken } else { &mut self.sums.receipts_lost };
        *count += 1;
    }

    /// Whether this text to this phone was ever accepted.
    pub fn has_accepted(&self, to: &str, body: &str) -> bool {
        self.texts.contains(&self.hasher.hash_one((to, body)))
    }

    /// The place of a message.
    pub fn find(&self, sid: &Sid) -> Option<usize> {
        let index = at(*self.by_sid.get(&sid.bytes())?);
        (self.messages[index].sid == *sid).then_some(index)
    }

    /// The places of the messages to a phone, the newest first.
    pub fn to_phone<'a>(&'a self, to: &'a str) -> impl Iterator<Item = usize> + 'a {
        let newest = self.phones.get(&self.hasher.hash_one(to)).copied();
        std::iter::successors(newest, |&place| self.messages[at(place)].previous)
            .map(at)
            .filter(move |&index| &*self.messages[index].to == to)
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

    /// The record in numbers, without the receipts that are pending.
    pub fn summary(&self) -> Summary {
        let counts = MessageStatus::ALL.into_iter().zip(self.by_status);
        let by_status = counts
            .filter(|(_, count)| *count > 0)
            .map(|(status, count)| (status.to_string(), count))
            .collect();
        Summary { by_status, ..self.sums.clone() }
    }

    /// Every accepted message as `(sid, to, body)`, oldest first.
    pub fn accepted(&self) -> Vec<(String, String, String)> {
        let texts = self.messages.iter();
        texts.map(|one| (one.sid.to_string(), one.to.to_string(), one.body.to_string())).collect()
    }
}

/// A place as an index.
fn at(place: u32) -> usize {
    usize::try_from(place).expect("an index has at least 32 bits")
}
