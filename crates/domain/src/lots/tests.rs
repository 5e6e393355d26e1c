use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::ids::AccountId;
use crate::ledger::{Posting, Wallet, post};
use crate::seam::SeededDice;

fn books(paid: i64, available: i64, reserved: i64, breakage: i64) -> Books {
    let spent = paid - available - reserved - breakage;
    Books { available, reserved, spent, paid, breakage, ..Books::default() }
}

fn lot(start: i64, size: i64, expires_at: i64) -> Lot {
    let expires_at = Instant(expires_at);
    Lot {
        id: LotId::new(Instant(start), &SeededDice::new(1)),
        start,
        size,
        expires_at,
        expired: 0,
        expiries: 0,
        open: true,
        look_at: expires_at,
    }
}

#[test]
fn a_new_lot_stands_behind_the_others_and_before_what_lasts() {
    let spent = books(700, 600, 0, 0);
    assert_eq!(place(&[], &spent), 100, "behind what was used already");
    assert_eq!(place(&[lot(0, 50, 9)], &spent), 100, "a lot that is used up is no lot to wait for");
    assert_eq!(place(&[lot(100, 200, 9), lot(40, 60, 9)], &spent), 300);
    let reserved = books(700, 500, 100, 0);
    assert_eq!(place(&[], &reserved), 200, "reserved credits are taken");
}

#[test]
fn what_is_left_expires_and_nothing_that_is_reserved() {
    // (lots as start and size), paid, available, reserved, (what expires of each), what stays open
    type Row = (&'static [(i64, i64)], i64, i64, i64, &'static [i64], &'static [bool]);
    let cases: &[Row] = &[
        (&[(0, 100)], 100, 100, 0, &[100], &[false]),
        (&[(0, 100)], 100, 0, 0, &[0], &[false]),
        (&[(0, 100)], 600, 570, 0, &[70], &[false]),
        (&[(0, 100)], 600, 500, 0, &[0], &[false]),
        (&[(0, 100)], 600, 499, 0, &[0], &[false]),
        (&[(0, 100)], 600, 501, 0, &[1], &[false]),
        // Thirty are reserved: they do not expire, and are waited for.
        (&[(0, 100)], 600, 570, 30, &[70], &[true]),
        (&[(0, 100)], 600, 550, 30, &[50], &[true]),
        (&[(0, 100)], 600, 480, 20, &[0], &[false]),
        (&[(0, 100)], 600, 480, 21, &[0], &[true]),
        // Nothing of it was touched: what is reserved was in line before it.
        (&[(50, 100)], 600, 550, 50, &[100], &[false]),
        (&[(0, 100), (100, 50)], 200, 130, 0, &[30, 50], &[false, false]),
        (&[(0, 100), (100, 50)], 200, 80, 40, &[0, 30], &[true, true]),
    ];
    for &(stretches, paid, available, reserved, wanted, open) in cases {
        let mut lots: Vec<Lot> = stretches.iter().map(|&(at, size)| lot(at, size, 5)).collect();
        let books = books(paid, available, reserved, 0);
        assert!(expire(&mut lots, &books, Instant(4)).is_empty(), "not before its time");
        let found = expire(&mut lots, &books, Instant(5));
        let mut lost = vec![0; lots.len()];
        for &(at, due) in &found {
            lost[at] = due;
        }
        assert_eq!(lost, wanted, "{stretches:?} {available} {reserved}");
        let stay: Vec<bool> = lots.iter().map(|lot| lot.open).collect();
        assert_eq!(stay, open, "{stretches:?} {available} {reserved}");
    }
}

#[test]
fn reserved_credits_that_come_back_late_expire_then() {
    let mut lots = [lot(0, 100, 5)];
    assert_eq!(expire(&mut lots, &books(600, 550, 30, 0), Instant(5)), [(0, 50)]);
    // Ten of the thirty were sent, twenty come back.
    let released = books(600, 520, 0, 50);
    assert_eq!(expire(&mut lots, &released, Instant(6)), [(0, 20)]);
    assert_eq!((lots[0].expired, lots[0].expiries, lots[0].open), (70, 2, false));
    let after = books(600, 500, 0, 70);
    assert!(expire(&mut lots, &after, Instant(7)).is_empty());
}

#[test]
fn a_lot_that_expires_before_one_in_front_of_it_leaves_that_one_alone() {
    let mut lots = [lot(0, 100, 50), lot(100, 100, 5), lot(200, 100, 60)];
    assert_eq!(expire(&mut lots, &books(300, 280, 0, 0), Instant(5)), [(1, 100)]);
    assert_eq!((lots[0].unused(20), lots[2].start), (80, 100));
    assert_eq!(expire(&mut lots, &books(300, 180, 0, 100), Instant(50)), [(0, 80)]);
    assert_eq!(lots[2].unused(20), 100);
}

/// A credit that expires with lot number so-and-so, or never.
type Tag = Option<usize>;

/// Credits that were never there: the house's loss may be refunded too.
const NEVER_PAID: usize = 10_000;

/// Every credit by itself, in the order of use.
struct Line {
    ahead: VecDeque<Tag>,
    taken: Vec<Tag>,
}

impl Line {
    fn come(&mut self, n: i64, tag: Tag, open: &[Lot]) {
        let of_open = |tag: &Tag| tag.is_some_and(|at| open[at].open);
        let behind = match tag {
            None => self.ahead.len(),
            Some(_) => self.ahead.iter().rposition(of_open).map_or(0, |at| at + 1),
        };
        (0..n).for_each(|_| self.ahead.insert(behind, tag));
    }

    /// The account went so far down the line, or back.
    fn go(&mut self, by: i64) {
        for _ in 0..by {
            self.taken.push(self.ahead.pop_front().expect("there are as many"));
        }
        for _ in by..0 {
            self.ahead.push_front(self.taken.pop().expect("there are as many"));
        }
    }

    fn left(&self, lot: usize) -> i64 {
        count(self.ahead.iter().filter(|tag| **tag == Some(lot)).count())
    }

    /// Lets a lot expire; whether it may still get credits back.
    fn expire(&mut self, lot: usize, reserved: i64) -> bool {
        self.ahead.retain(|tag| *tag != Some(lot));
        let reserved = usize::try_from(reserved).expect("not below zero");
        let open = self.taken.iter().rev().take(reserved).any(|tag| *tag == Some(lot));
        if !open {
            self.taken.iter_mut().filter(|tag| **tag == Some(lot)).for_each(|tag| *tag = None);
        }
        open
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).expect("few")
}

fn posting(kind: u8, n: i64, books: &Books, key: String) -> Posting {
    match kind {
        0 => Posting::purchase(key, n, books.owed),
        1 => Posting::reserve(key, n, 1),
        2 => Posting::settle(key, n, 0, books.owed),
        3 => Posting::settle(key, 0, n, books.owed),
        4 => Posting::refund(key, n, books.owed),
        5 => Posting::clawback(key, n, books),
        6 => Posting::clawback(key, -n, books),
        7 => Posting::dispute_hold(key, n, books.available),
        8 => Posting::dispute_release(key, n, books.owed),
        9 => Posting::late_charge(key, n, books.available),
        _ => Posting::grant(key, n, books.owed),
    }
}

/// A wallet with its lots beside single credits in line.
struct Both {
    wallet: Wallet,
    lots: Vec<Lot>,
    line: Line,
    postings: usize,
}

impl Both {
    fn post(&mut self, posting: impl Fn(&Books, String) -> Posting) -> bool {
        self.postings += 1;
        let posting = posting(&self.wallet.books, self.postings.to_string());
        let Ok((after, _)) = post(AccountId(1), &self.wallet, posting, Instant(0)) else {
            return false;
        };
        self.wallet = after;
        true
    }

    /// Credits come in, with a lot of their own if they expire.
    fn come(&mut self, came: i64, paid_debt: i64, expires_at: Option<Instant>) {
        // What pays a debt is gone at once.
        (0..paid_debt).for_each(|_| self.line.taken.push(None));
        let size = came - paid_debt;
        let tag = expires_at.filter(|_| size > 0).map(|_| self.lots.len());
        self.line.come(size, tag, &self.lots);
        if let (Some(number), Some(expires_at)) = (tag, expires_at) {
            let start = place(&self.open(), &self.wallet.books);
            let id = LotId([u8::try_from(number).expect("few"); 16]);
            self.lots.push(Lot { id, ..lot(start, size, expires_at.0) });
        }
    }

    fn open(&self) -> Vec<Lot> {
        self.lots.iter().filter(|lot| lot.open).cloned().collect()
    }

    fn expire(&mut self, now: Instant) {
        let mut open = self.open();
        let found = expire(&mut open, &self.wallet.books, now);
        let mut lost = vec![0; self.lots.len()];
        for (at, due) in found {
            lost[usize::from(open[at].id.0[0])] = due;
            assert!(self.post(|_, key| Posting::expire(key, due)), "they are available");
        }
        for lot in open {
            let at = usize::from(lot.id.0[0]);
            let is_due = lot.expires_at <= now;
            assert_eq!(lost[at], if is_due { self.line.left(at) } else { 0 });
            let stays = !is_due || self.line.expire(at, self.wallet.books.reserved);
            assert_eq!(lot.open, stays);
            self.lots[at] = lot;
        }
    }

    fn agree(&self) {
        let books = &self.wallet.books;
        assert_eq!(count(self.line.ahead.len()), books.available);
        assert_eq!(count(self.line.taken.len()) - count(NEVER_PAID), consumed(books));
        for (at, lot) in self.lots.iter().enumerate().filter(|(_, lot)| lot.open) {
            assert_eq!(lot.unused(consumed(books)), self.line.left(at), "lot {at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
    #[test]
    fn lots_are_what_single_credits_in_line_would_be(
        steps in prop::collection::vec((0u8..14, 1i64..40, 1i64..8), 1..80)
    ) {
        let line = Line { ahead: VecDeque::new(), taken: vec![None; NEVER_PAID] };
        let lots = Vec::new();
        let mut both = Both { wallet: Wallet::EMPTY, lots, line, postings: 0 };
        let mut now = Instant(0);
        for (kind, amount, span) in steps {
            let before = both.wallet.books;
            if kind >= 12 {
                now = Instant(now.0 + span);
                both.expire(now);
            } else if both.post(|books, key| posting(kind, amount, books, key)) {
                let after = both.wallet.books;
                let came = after.paid + after.promo - before.paid - before.promo;
                if came > 0 {
                    let expires_at = (kind > 9).then_some(Instant(now.0 + span));
                    both.come(came, before.owed - after.owed, expires_at);
                } else {
                    both.line.go(consumed(&after) - consumed(&before));
                }
            }
            both.agree();
        }
    }
}
