//! Credits that expire: which of an account's credits they are, and how many are left of them.
//!
//! Think of all credits that ever came in and have not expired as standing in one line, in the
//! order in which they are used. [`consumed`] tells how far down that line the account is: what is
//! reserved or spent, or was taken back, has been taken from its front; what is given back returns
//! there. A [`Lot`] is a stretch of the line. A new one is put behind the other lots and before
//! everything that lasts, so what expires is used first. When its time has come, the part of it
//! that nobody has taken is cut out of the line, and all lots behind it move up.
//!
//! What holds, whatever happens in between: the uncut lots never overlap and never reach beyond
//! the credits there are, so that only credits of a lot expire, never reserved ones, and never
//! more than are available. A reserved credit that is released after its lot's time expires then;
//! one that was spent and is given back later stays.
//!
//! Nothing here is asked when texts are sent: positions follow from the wallet's books alone.

use std::time::Duration;

use crate::ids::LotId;
use crate::instant::Instant;
use crate::ledger::Books;

/// How long a lot whose time has come waits for its reserved credits before it is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// A stretch of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// Its id.
    pub id: LotId,
    /// Where it begins.
    pub start: i64,
    /// How many credits came with it.
    pub size: i64,
    /// What is left of it expires here.
    pub expires_at: Instant,
    /// How many of them expired; they were cut out.
    pub expired: i64,
    /// How often some did.
    pub expiries: i64,
    /// Credits of it may still expire.
    pub open: bool,
    /// When to look at it next.
    pub look_at: Instant,
}

/// How many of the credits that came in, and have not expired, were taken.
pub const fn consumed(books: &Books) -> i64 {
    books.paid + books.promo - books.available - books.breakage
}

impl Lot {
    /// Where it ends.
    pub const fn end(&self) -> i64 {
        self.start + self.size - self.expired
    }

    /// How many credits of it nobody has taken.
    pub fn unused(&self, consumed: i64) -> i64 {
        (self.end() - consumed.max(self.start)).max(0)
    }

    /// Nothing of it is left that could expire: what was reserved of it is spent.
    fn is_done(&self, consumed: i64, reserved: i64) -> bool {
        self.end() == self.start || reserved == 0 || consumed - reserved >= self.end()
    }
}

/// Where a lot begins that came in just now: `books` are those after it came, `lots` the open ones
/// before it.
pub fn place(lots: &[Lot], books: &Books) -> i64 {
    let start = lots.iter().map(Lot::end).fold(consumed(books), i64::max);
    if crate::mutant!(M46) { start + 1 } else { start }
}

/// Lets expire what is due of the open lots. Answers which of them lost how many credits, in the
/// order of the line; each is a posting of its own.
pub fn expire(lots: &mut [Lot], books: &Books, now: Instant) -> Vec<(usize, i64)> {
    lots.sort_by_key(|lot| (lot.start, lot.expires_at, lot.id));
    let mut consumed = consumed(books);
    if crate::mutant!(M42) {
        consumed -= books.reserved;
    }
    let mut available = books.available;
    let mut postings = Vec::new();
    for at in 0..lots.len() {
        let lot = &mut lots[at];
        if !lot.open || lot.expires_at > now {
            continue;
        }
        let due = lot.unused(consumed).min(available);
        if due > 0 {
            lot.expired += due;
            lot.expiries += 1;
            available -= due;
            postings.push((at, due));
        }
        lot.open = !lot.is_done(consumed, books.reserved);
        lot.look_at = now + LOOK_AGAIN;
        for behind in &mut lots[at + 1..] {
            behind.start -= due;
        }
    }
    postings
}

#[cfg(test)]
mod tests;
