//! Anchors: what the ledger says today, written down to be kept elsewhere, so that nobody can
//! rewrite it later without being found out.
//!
//! The hash chain alone shows a line that was changed and left as it was changed. Whoever owns the
//! database may write the chain anew from there on; only a copy of what it was, kept outside, tells
//! then. An anchor holds for every block of lines the chain's hash at its end, and a few bytes of
//! each line, which say which line is not the one it was and what of it is another. A file of
//! anchors ends with its own digest, signed by the installation.

use std::fmt::Write as _;
use std::io::{self, Write};

use data_encoding::HEXLOWER;
use domain::ids::AccountId;
use domain::instant::Instant;
use domain::ledger::{Books, Hash, leaf, line_hash};
use domain::token::Secret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::wallets::{self, StoredLine};
use store::{Result, Tx};

/// Lines of a block.
const BLOCK_LINES: i64 = 200;
/// Lines read at once; a whole number of blocks.
const LINES_A_PAGE: i64 = 1000;
/// Digits of the part of a line that tells whether one side of it changed.
const PART_DIGITS: usize = 4;
/// Digits of a line.
const LINE_DIGITS: usize = 4 * PART_DIGITS;
/// What the signature is for.
const PURPOSE: &str = "audit anchors";
/// The form of the file.
const VERSION: u8 = 1;

/// The first line of a file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    ledgerline_anchors: u8,
    at: Instant,
}

/// A block of an account's lines.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
struct Block {
    account: AccountId,
    /// Its last line.
    upto: i64,
    /// The chain there.
    hash: String,
    /// [`LINE_DIGITS`] of each of its lines.
    lines: String,
}

/// Where an account's ledger ended.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Whose.
    pub account: AccountId,
    /// Its last line, or 0.
    pub seq: i64,
    /// The chain there.
    pub head: String,
    /// When that line was posted.
    pub at: Option<Instant>,
    /// The nine balances in the order of the books.
    pub books: [i64; 9],
}

/// The last line of a file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    digest: String,
    signature: String,
}

/// A file of anchors being written.
pub struct Writer<W> {
    out: W,
    digest: Sha256,
    secret: Secret,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    pub fn begin(out: W, secret: Secret, at: Instant) -> io::Result<Self> {
        let mut writer = Self { out, digest: Sha256::new(), secret };
        writer.line(&Opening { ledgerline_anchors: VERSION, at })?;
        Ok(writer)
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value).expect("an anchor is valid JSON");
        line.push(b'\n');
        self.digest.update(&line);
        self.out.write_all(&line)
    }

    /// Adds an account as its ledger stands.
    pub async fn account(
        &mut self,
        tx: &mut Tx,
        account: AccountId,
    ) -> std::result::Result<Head, WriteError> {
        let mut walk = Walk::new(account);
        loop {
            let lines = wallets::list_lines(tx, account, walk.seq, LINES_A_PAGE).await?;
            if lines.is_empty() {
                break;
            }
            for block in lines.chunks(usize::try_from(BLOCK_LINES).unwrap_or(1)) {
                let mut digits = String::new();
                for line in block {
                    digits += &parts(line);
                    walk.pass(line);
                }
                let hash = HEXLOWER.encode(&walk.head);
                self.line(&Block { account, upto: walk.seq, hash, lines: digits })?;
            }
        }
        let head = walk.told();
        self.line(&head)?;
        Ok(head)
    }

    /// Ends the file; its digest.
    pub fn end(mut self) -> io::Result<String> {
        let digest = self.digest.clone().finalize();
        let signature = HEXLOWER.encode(&self.secret.mac(PURPOSE, &digest));
        let digest = HEXLOWER.encode(&digest);
        self.line(&Seal { digest: digest.clone(), signature })?;
        self.out.flush()?;
        Ok(digest)
    }
}

/// Anchors could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The file.
    #[error("the file cannot be written: {0}")]
    File(#[from] io::Error),
}

/// A few digits for each side of a line: its amounts, its date, its words, its texts. They do not
/// depend on its place, so that a line is known again where it moved.
fn parts(line: &StoredLine) -> String {
    let posting = &line.posting;
    let amounts = posting.change.amounts().map(i64::to_be_bytes);
    let kind = posting.kind.as_str().as_bytes();
    let words = [&posting.effect_key, &posting.actor, &posting.reason].map(String::as_bytes);
    let sides = [
        leaf(&[kind, amounts.as_flattened()]),
        leaf(&[&line.at.0.to_be_bytes()]),
        leaf(&words),
        leaf(&[&posting.facts.to_be_bytes(), &posting.root]),
    ];
    sides.iter().fold(String::with_capacity(LINE_DIGITS), |mut text, side| {
        for byte in &side[..PART_DIGITS / 2] {
            write!(text, "{byte:02x}").expect("writing to a String");
        }
        text
    })
}

/// The sides of a line in words, in the order of [`parts`].
const SIDES: [&str; 4] = ["its kind or its amounts", "its date", "its words", "its texts"];

/// A walk along a ledger: the chain is computed, not believed.
struct Walk {
    account: AccountId,
    seq: i64,
    head: Hash,
    at: Option<Instant>,
    books: Books,
}

impl Walk {
    fn new(account: AccountId) -> Self {
        Self { account, seq: 0, head: [0; 32], at: None, books: Books::default() }
    }

    fn pass(&mut self, line: &StoredLine) {
        self.head = line_hash(self.account, &self.head, line.seq, line.at, &line.posting);
        self.seq = line.seq;
        self.at = Some(line.at);
        self.books = self.books.plus(&line.posting.change).unwrap_or_default();
    }

    fn told(&self) -> Head {
        Head {
            account: self.account,
            seq: self.seq,
            head: HEXLOWER.encode(&self.head),
            at: self.at,
            books: self.books.amounts(),
        }
    }
}

/// A file of anchors that was read.
#[derive(Debug)]
pub struct Anchors {
    /// When it was written.
    pub at: Instant,
    /// Its digest.
    pub digest: String,
    /// It was signed by this installation.
    pub is_ours: bool,
    /// The accounts.
    pub accounts: Vec<Anchor>,
}

/// What an account's ledger was.
#[derive(Debug)]
pub struct Anchor {
    blocks: Vec<Block>,
    /// Where it ended.
    pub head: Head,
}

/// Why a file cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is something else, or of another version.
    #[error("line {0} is no part of a file of anchors")]
    Foreign(usize),
    /// Its end is missing.
    #[error("the file is not complete: its last line must hold its digest")]
    Cut,
    /// It was changed after it was written.
    #[error("the file was changed after it was written: its digest is another")]
    Changed,
}

/// Reads a file of anchors.
pub fn read(text: &str, secret: &Secret) -> std::result::Result<Anchors, ReadError> {
    let Some((body, last)) = text.trim_end().rsplit_once('\n') else {
        return Err(ReadError::Cut);
    };
    let body = &text[..=body.len()];
    let seal: Seal = serde_json::from_str(last).map_err(|_| ReadError::Cut)?;
    let digest = Sha256::digest(body.as_bytes());
    if HEXLOWER.encode(&digest) != seal.digest {
        return Err(ReadError::Changed);
    }
    let mut lines = (1..).zip(body.lines());
    let opening = lines.next().and_then(|(_, line)| serde_json::from_str::<Opening>(line).ok());
    let opening = opening
        .filter(|opening| opening.ledgerline_anchors == VERSION)
        .ok_or(ReadError::Foreign(1))?;
    let (mut accounts, mut blocks) = (Vec::new(), Vec::new());
    for (number, line) in lines {
        if let Ok(block) = serde_json::from_str::<Block>(line) {
            blocks.push(block);
            continue;
        }
        let head: Head = serde_json::from_str(line).map_err(|_| ReadError::Foreign(number))?;
        accounts.push(Anchor { blocks: std::mem::take(&mut blocks), head });
    }
    let is_ours = HEXLOWER.encode(&secret.mac(PURPOSE, &digest)) == seal.signature;
    Ok(Anchors { at: opening.at, digest: seal.digest, is_ours, accounts })
}

/// What was before is not what is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The first line of the ledger that differs; 0 when there is none at all.
    pub line: i64,
    /// `changed`, `removed` or `inserted`.
    pub what: &'static str,
    /// In words.
    pub detail: String,
}

/// Compares an account's ledger with what it was. Lines that came later do not matter.
pub async fn compare(tx: &mut Tx, anchor: &Anchor) -> Result<Option<Difference>> {
    let account = anchor.head.account;
    let mut walk = Walk::new(account);
    for (number, block) in anchor.blocks.iter().enumerate() {
        let wanted: Vec<&str> = pieces(&block.lines);
        let count = i64::try_from(wanted.len()).unwrap_or(i64::MAX);
        let lines = wallets::list_lines(tx, account, walk.seq, count + 1).await?;
        let there = usize::try_from(count).unwrap_or(0).min(lines.len());
        let found: Vec<String> = lines[..there].iter().map(parts).collect();
        let first = block.upto - count + 1;
        let differs = (0..wanted.len()).find(|&n| {
            lines.get(n).map(|line| line.seq) != Some(first + i64::try_from(n).unwrap_or(0))
                || found.get(n).map(String::as_str) != Some(wanted[n])
        });
        if let Some(n) = differs {
            // Looking one line further tells a removed line from a changed one.
            let mut wanted = wanted;
            wanted.extend(
                anchor.blocks.get(number + 1).and_then(|next| pieces(&next.lines).first().copied()),
            );
            let found: Vec<String> = lines.iter().map(parts).collect();
            return Ok(Some(name(first, n, &wanted, &found, &lines)));
        }
        for line in &lines[..there] {
            walk.pass(line);
        }
        if HEXLOWER.encode(&walk.head) != block.hash {
            let detail = format!(
                "a line from {first} to {} was changed: the chain had another hash there",
                block.upto
            );
            return Ok(Some(Difference { line: first, what: "changed", detail }));
        }
    }
    let is = walk.told();
    Ok((is != anchor.head).then(|| Difference {
        line: is.seq,
        what: "changed",
        detail: format!("up to line {} the ledger said something else", anchor.head.seq),
    }))
}

fn pieces(lines: &str) -> Vec<&str> {
    let ends = (LINE_DIGITS..=lines.len()).step_by(LINE_DIGITS);
    ends.filter_map(|end| lines.get(end - LINE_DIGITS..end)).collect()
}

/// Says what became of the line at place `n` of a block that begins with line `first`.
fn name(
    first: i64,
    n: usize,
    wanted: &[&str],
    found: &[String],
    lines: &[StoredLine],
) -> Difference {
    let line = first + i64::try_from(n).unwrap_or(0);
    let is = |at: usize| found.get(at).map(String::as_str);
    let Some(now) = is(n) else {
        let detail = format!("line {line} is gone: the ledger ends with line {}", line - 1);
        return Difference { line, what: "removed", detail };
    };
    let there = &lines[n];
    if there.seq != line {
        let detail = format!("line {line} is gone: line {} follows line {}", there.seq, line - 1);
        return Difference { line, what: "removed", detail };
    }
    let told = describe(there);
    if wanted.get(n + 1) == Some(&now) {
        let detail = format!("line {line} is gone: in its place stands what was the next line");
        return Difference { line, what: "removed", detail };
    }
    if is(n + 1) == Some(wanted[n]) {
        let detail = format!("line {line} was put in: {told}");
        return Difference { line, what: "inserted", detail };
    }
    let sides = pieces_of(wanted[n]).into_iter().zip(pieces_of(now)).zip(SIDES);
    let changed: Vec<&str> =
        sides.filter(|((was, is), _)| was != is).map(|(_, side)| side).collect();
    let detail = format!("line {line} was changed, {}: now it says {told}", changed.join(" and "));
    Difference { line, what: "changed", detail }
}

fn pieces_of(line: &str) -> Vec<&str> {
    let ends = (PART_DIGITS..=line.len()).step_by(PART_DIGITS);
    ends.filter_map(|end| line.get(end - PART_DIGITS..end)).collect()
}

/// A line in a few words.
pub fn describe(line: &StoredLine) -> String {
    let posting = &line.posting;
    let change = &posting.change;
    let names =
        ["available", "reserved", "spent", "owed", "paid", "promo", "refunded", "loss", "breakage"];
    let moved: Vec<String> = names
        .iter()
        .zip(change.amounts())
        .filter(|(_, amount)| *amount != 0)
        .map(|(name, amount)| format!("{name} {amount:+}"))
        .collect();
    format!("{} by {} at {}: {}", posting.kind.as_str(), posting.actor, line.at, moved.join(", "))
}

#[cfg(test)]
mod tests {
    use domain::ledger::Posting;

    use super::*;

    fn line(seq: i64, amount: i64) -> StoredLine {
        StoredLine {
            seq,
            at: Instant(seq),
            posting: Posting::grant(format!("key {amount}"), amount, 0),
            after: [0; 4],
            hash: [0; 32],
        }
    }

    #[test]
    fn what_became_of_a_line_is_named() {
        let was: Vec<StoredLine> = (1..=5).map(|n| line(n, n * 10)).collect();
        let digits: Vec<String> = was.iter().map(parts).collect();
        let wanted: Vec<&str> = digits.iter().map(String::as_str).collect();
        let again = |amounts: &[i64]| -> Vec<StoredLine> {
            (1..).zip(amounts).map(|(seq, amount)| line(seq, *amount)).collect()
        };
        let mut later = again(&[10, 20, 30, 40, 50]);
        later[3].at = Instant(99);
        let mut told = again(&[10, 20, 30, 40, 50]);
        told[3].posting.reason = "nothing".to_owned();
        let mut torn = again(&[10, 20, 30, 40, 50]);
        torn.remove(2);
        for (lines, n, expected) in [
            (again(&[10, 20, 99, 40, 50]), 2, (3, "changed", "its kind or its amounts")),
            (later, 3, (4, "changed", "its date")),
            (told, 3, (4, "changed", "its words")),
            (torn, 2, (3, "removed", "line 4 follows line 2")),
            (again(&[10, 20, 30]), 3, (4, "removed", "ends with line 3")),
        ] {
            let found: Vec<String> = lines.iter().map(parts).collect();
            let difference = name(1, n, &wanted, &found, &lines);
            assert_eq!((difference.line, difference.what), (expected.0, expected.1));
            assert!(difference.detail.contains(expected.2), "{difference:?}");
        }
    }

    #[test]
    fn lines_that_moved_are_known_again() {
        let at_place =
            |seq: i64, amount: i64, at: i64| StoredLine { at: Instant(at), ..line(seq, amount) };
        let was = [at_place(1, 10, 1), at_place(2, 20, 2), at_place(3, 30, 3)];
        let digits: Vec<String> = was.iter().map(parts).collect();
        let wanted: Vec<&str> = digits.iter().map(String::as_str).collect();
        let removed = [at_place(1, 10, 1), at_place(2, 30, 3)];
        let found: Vec<String> = removed.iter().map(parts).collect();
        assert_eq!(name(1, 1, &wanted, &found, &removed).what, "removed");
        let inserted = [at_place(1, 10, 1), at_place(2, 77, 1), at_place(3, 20, 2)];
        let found: Vec<String> = inserted.iter().map(parts).collect();
        assert_eq!(name(1, 1, &wanted, &found, &inserted).what, "inserted");
    }

    #[test]
    fn a_file_that_was_touched_is_not_believed() {
        let secret = Secret([7; 32]);
        let mut bytes = Vec::new();
        let mut writer = Writer::begin(&mut bytes, secret.clone(), Instant(5)).expect("memory");
        writer.line(&Walk::new(AccountId(9)).told()).expect("memory");
        let digest = writer.end().expect("memory");
        let text = String::from_utf8(bytes).expect("JSON");
        let read_back = read(&text, &secret).expect("whole");
        assert_eq!((read_back.digest, read_back.is_ours), (digest, true));
        assert_eq!(read_back.accounts[0].head.account, AccountId(9));
        assert!(!read(&text, &Secret([8; 32])).expect("whole").is_ours);
        let first = text.lines().next().expect("a line").len() + 1;
        for (text, error) in [
            (text.replace("\"seq\":0", "\"seq\":1"), ReadError::Changed),
            (text[first..].to_owned(), ReadError::Changed),
            (text.lines().take(2).collect::<Vec<_>>().join("\n"), ReadError::Cut),
            (String::new(), ReadError::Cut),
            ("{}\n{}\n".to_owned(), ReadError::Cut),
        ] {
            assert_eq!(read(&text, &secret).map(|_| ()).expect_err("touched"), error);
        }
    }
}
