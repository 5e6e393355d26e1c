//! Double-entry bookkeeping of credits: books, postings, the hash chain.
//!
//! An account's wallet holds the balances of nine books. What the customer has (`available`,
//! `reserved`, `spent`, `breakage`) less what is missing (`owed`, `loss`) always equals what came
//! in (`paid`, `promo`) less what went back (`refunded`): [`Books::is_balanced`]. A [`Posting`]
//! moves amounts between books and keeps that identity; [`post`] applies one to a wallet and
//! yields the [`Line`] for the append-only ledger, chained by hash to the line before it.
//!
//! Credits are whole numbers. Nothing here knows what a message is.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::ids::AccountId;
use crate::instant::Instant;

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// The most credits one posting may move; sums of wallets stay far inside 64 bits.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000;

/// One amount per book: balances in a wallet, changes in a posting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Books {
    /// May be spent.
    pub available: i64,
    /// Held for texts that may leave or may have left.
    pub reserved: i64,
    /// Gone for accepted texts.
    pub spent: i64,
    /// Debt: taken back beyond what was available; the next credits pay it first.
    pub owed: i64,
    /// Contra book: bought.
    pub paid: i64,
    /// Contra book: granted.
    pub promo: i64,
    /// Contra book: taken back.
    pub refunded: i64,
    /// Contra book: texts that left although no credit could be charged.
    pub loss: i64,
    /// Contra book: expired unused.
    pub breakage: i64,
}

impl Books {
    /// The nine amounts in their canonical order.
    pub const fn amounts(&self) -> [i64; 9] {
        let b = self;
        [b.available, b.reserved, b.spent, b.owed, b.paid, b.promo, b.refunded, b.loss, b.breakage]
    }

    /// Reads amounts in canonical order.
    pub const fn from_amounts(amounts: [i64; 9]) -> Self {
        let [available, reserved, spent, owed, paid, promo, refunded, loss, breakage] = amounts;
        Self { available, reserved, spent, owed, paid, promo, refunded, loss, breakage }
    }

    /// The double-entry identity.
    pub fn is_balanced(&self) -> bool {
        let sum = |amounts: &[i64]| amounts.iter().map(|&amount| i128::from(amount)).sum::<i128>();
        sum(&[self.available, self.reserved, self.spent, self.breakage])
            - sum(&[self.owed, self.loss])
            == sum(&[self.paid, self.promo]) - i128::from(self.refunded)
    }

    /// Book by book sum; `None` on overflow.
    pub fn plus(&self, change: &Self) -> Option<Self> {
        let mut sums = self.amounts();
        for (sum, amount) in sums.iter_mut().zip(change.amounts()) {
            *sum = sum.checked_add(amount)?;
            if crate::mutant!(M44) {
                *sum = *sum << 32 >> 32;
            }
        }
        Some(Self::from_amounts(sums))
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal $word:literal),* $(,)?) => {
        /// Why credits moved.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $name = $code),* }
        impl Kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name),*];
            /// The word used in SQL, JSON and logs.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }
            /// Reads [`Self::as_str`].
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$name),)* _ => None }
            }
        }
    };
}
kinds! {
    /// Credits given.
    Grant = 1 "grant",
    /// Credits bought.
    Purchase = 2 "purchase",
    /// Held for a chunk of texts.
    Reserve = 3 "reserve",
    /// A batch of held texts decided: some charged, some given back.
    Settle = 4 "settle",
    /// Held credits given back only.
    Release = 5 "release",
    /// Charged credits given back: the carrier never sent the texts.
    Refund = 6 "refund",
    /// Charged after a release: evidence came late.
    LateCharge = 7 "late_charge",
    /// An operator's correction, up or down.
    Adjustment = 8 "adjustment",
    /// Taken back for returned money.
    Clawback = 9 "clawback",
    /// Expired unused.
    Expiry = 10 "expiry",
    /// Frozen while the payer's bank asks for the money back.
    DisputeHold = 11 "dispute_hold",
    /// Given back: the dispute was won.
    DisputeRelease = 12 "dispute_release",
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

/// One wanted movement.
#[derive(Clone, Debug)]
pub struct Posting {
    /// Why.
    pub kind: Kind,
    /// Unique per account: the same effect cannot be posted twice.
    pub effect_key: String,
    /// What moves.
    pub change: Books,
    /// How many facts (texts, payments) stand behind it.
    pub facts: i64,
    /// Merkle root over those facts; zeros when there are none to open.
    pub root: Hash,
    /// Who did it: `system`, `operator`, a key's id.
    pub actor: String,
    /// A person's words, or empty.
    pub reason: String,
}

impl Posting {
    fn new(kind: Kind, effect_key: String, change: Books, facts: i64) -> Self {
        let (root, actor, reason) = ([0; 32], "system".to_owned(), String::new());
        Self { kind, effect_key, change, facts, root, actor, reason }
    }

    /// Credits given or bought; debt is paid first. `contra` says where they come from.
    fn income(kind: Kind, effect_key: String, amount: i64, owed: i64) -> Self {
        let pays_debt = if crate::mutant!(M41) { 0 } else { amount.min(owed) };
        let mut change =
            Books { available: amount - pays_debt, owed: -pays_debt, ..Books::default() };
        if kind == Kind::Purchase {
            change.paid = amount;
        } else {
            change.promo = amount;
        }
        Self::new(kind, effect_key, change, 1)
    }

    /// Gives `amount` credits; `owed` is the wallet's debt.
    pub fn grant(effect_key: String, amount: i64, owed: i64) -> Self {
        Self::income(Kind::Grant, effect_key, amount, owed)
    }

    /// Credits bought; `owed` is the wallet's debt.
    pub fn purchase(effect_key: String, amount: i64, owed: i64) -> Self {
        Self::income(Kind::Purchase, effect_key, amount, owed)
    }

    /// Takes credits back: what is available goes, the rest is owed. What is held for texts stays.
    fn taking(kind: Kind, effect_key: String, amount: i64, available: i64) -> Self {
        let taken = amount.min(available);
        let change =
            Books { available: -taken, owed: amount - taken, refunded: amount, ..Books::default() };
        Self::new(kind, effect_key, change, 1)
    }

    /// Takes a posting of [`Self::taking`] back; debt is paid first.
    fn restoring(kind: Kind, effect_key: String, amount: i64, owed: i64) -> Self {
        let pays_debt = amount.min(owed);
        let change = Books {
            available: amount - pays_debt,
            owed: -pays_debt,
            refunded: -amount,
            ..Books::default()
        };
        Self::new(kind, effect_key, change, 1)
    }

    /// An operator's correction: up like a grant; down takes what is available, the rest is owed.
    pub fn adjust(effect_key: String, amount: i64, wallet: &Books) -> Self {
        if amount >= 0 {
            return Self::income(Kind::Adjustment, effect_key, amount, wallet.owed);
        }
        Self::taking(Kind::Adjustment, effect_key, -amount, wallet.available)
    }

    /// Money went back, so its credits do; below zero, a refund that failed gives them again.
    pub fn clawback(effect_key: String, amount: i64, wallet: &Books) -> Self {
        if amount >= 0 {
            return Self::taking(Kind::Clawback, effect_key, amount, wallet.available);
        }
        Self::restoring(Kind::Clawback, effect_key, -amount, wallet.owed)
    }

    /// Freezes the credits of disputed money.
    pub fn dispute_hold(effect_key: String, amount: i64, available: i64) -> Self {
        Self::taking(Kind::DisputeHold, effect_key, amount, available)
    }

    /// Gives frozen credits back: the dispute was won, or became a refund.
    pub fn dispute_release(effect_key: String, amount: i64, owed: i64) -> Self {
        Self::restoring(Kind::DisputeRelease, effect_key, amount, owed)
    }

    /// Credits that were not used in time.
    pub fn expire(effect_key: String, amount: i64) -> Self {
        let change = Books { available: -amount, breakage: amount, ..Books::default() };
        Self::new(Kind::Expiry, effect_key, change, 1)
    }

    /// Holds `amount` for `texts` texts.
    pub fn reserve(effect_key: String, amount: i64, texts: i64) -> Self {
        let change = Books { available: -amount, reserved: amount, ..Books::default() };
        Self::new(Kind::Reserve, effect_key, change, texts)
    }

    /// Decides held credits: `charged` is spent, `released` is given back (debt is paid first).
    pub fn settle(effect_key: String, charged: i64, released: i64, owed: i64) -> Self {
        let pays_debt = released.min(owed);
        let change = Books {
            reserved: -charged - released,
            spent: charged,
            available: released - pays_debt,
            owed: -pays_debt,
            ..Books::default()
        };
        // Released credits that pay a debt leave the customer: the debt was a clawback already
        // booked as refunded, so the identity holds with `owed` shrinking.
        let kind = if charged == 0 { Kind::Release } else { Kind::Settle };
        Self::new(kind, effect_key, change, 0)
    }

    /// Gives charged credits back (debt is paid first).
    pub fn refund(effect_key: String, amount: i64, owed: i64) -> Self {
        let pays_debt = amount.min(owed);
        let change = Books {
            spent: -amount,
            available: amount - pays_debt,
            owed: -pays_debt,
            ..Books::default()
        };
        Self::new(Kind::Refund, effect_key, change, 0)
    }

    /// Charges texts that turned out to have left after their credits were released: what is
    /// available pays, the rest is the house's loss.
    pub fn late_charge(effect_key: String, amount: i64, available: i64) -> Self {
        let paid = amount.min(available);
        let change =
            Books { available: -paid, spent: amount, loss: amount - paid, ..Books::default() };
        Self::new(Kind::LateCharge, effect_key, change, 0)
    }

    /// Names the person behind the posting.
    #[must_use]
    pub fn by(mut self, actor: &str, reason: &str) -> Self {
        actor.clone_into(&mut self.actor);
        reason.clone_into(&mut self.reason);
        self
    }

    /// Binds the posting to the facts behind it.
    #[must_use]
    pub fn over(mut self, leaves: &[Hash]) -> Self {
        self.facts = i64::try_from(leaves.len()).unwrap_or(i64::MAX);
        self.root = merkle_root(leaves);
        self
    }
}

/// An account's money at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wallet {
    /// The balances.
    pub books: Books,
    /// Number of the newest ledger line, 0 before the first.
    pub seq: i64,
    /// Hash of the newest line, zeros before the first.
    pub head: Hash,
}

impl Wallet {
    /// A wallet before its first line.
    pub const EMPTY: Self = Self { books: Books::from_amounts([0; 9]), seq: 0, head: [0; 32] };
}

/// One line of the append-only ledger.
#[derive(Clone, Debug)]
pub struct Line {
    /// Gapless from 1 in its account.
    pub seq: i64,
    /// When it was posted.
    pub at: Instant,
    /// What was posted.
    pub posting: Posting,
    /// The balances after it.
    pub after: Books,
    /// Chain hash.
    pub hash: Hash,
}

/// Why a posting was refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// A balance would go below zero.
    #[error("the wallet does not hold that many credits")]
    Insufficient,
    /// The posting does not balance: a defect in the caller.
    #[error("the posting does not balance")]
    Unbalanced,
    /// The amount is zero, too large, or a balance would overflow.
    #[error("the amount must be from 1 to {AMOUNT_MAX} credits")]
    OutOfRange,
}

/// Applies `posting` to `wallet`.
pub fn post(
    account: AccountId,
    wallet: &Wallet,
    posting: Posting,
    at: Instant,
) -> Result<(Wallet, Line), LedgerError> {
    let amounts = posting.change.amounts();
    let in_range = |amount: &i64| amount.unsigned_abs() <= AMOUNT_MAX.unsigned_abs();
    if amounts == [0; 9] || !amounts.iter().all(in_range) {
        return Err(LedgerError::OutOfRange);
    }
    if !posting.change.is_balanced() {
        return Err(LedgerError::Unbalanced);
    }
    let after = wallet.books.plus(&posting.change).ok_or(LedgerError::OutOfRange)?;
    if after.amounts().iter().any(|&balance| balance < 0) && !crate::mutant!(M33) {
        return Err(LedgerError::Insufficient);
    }
    let seq = wallet.seq + if crate::mutant!(M52) { 2 } else { 1 };
    let hash = line_hash(account, &wallet.head, seq, at, &posting);
    let line = Line { seq, at, posting, after, hash };
    Ok((Wallet { books: after, seq, head: hash }, line))
}

/// `sha256(previous ‖ fixed-width fields ‖ merkle root)`; texts enter by their own digest so that
/// every field has one width.
pub fn line_hash(
    account: AccountId,
    previous: &Hash,
    seq: i64,
    at: Instant,
    posting: &Posting,
) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    for number in [account.0, seq, posting.kind as i64, at.0, posting.facts] {
        hasher.update(number.to_be_bytes());
    }
    let amounts = posting.change.amounts();
    for amount in if crate::mutant!(M51) { [0; 9] } else { amounts } {
        hasher.update(amount.to_be_bytes());
    }
    for text in [&posting.effect_key, &posting.actor, &posting.reason] {
        hasher.update(Sha256::digest(text.as_bytes()));
    }
    hasher.update(posting.root);
    hasher.finalize().into()
}

/// The digest of one fact behind a line; leaves and inner nodes never collide.
pub fn leaf(fields: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    for field in fields {
        hasher.update(u64::try_from(field.len()).expect("a field fits in memory").to_be_bytes());
        hasher.update(field);
    }
    hasher.finalize().into()
}

/// Root of the binary Merkle tree over `leaves` in their order; zeros for none. An odd node is
/// carried up unchanged.
pub fn merkle_root(leaves: &[Hash]) -> Hash {
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => {
                    let mut hasher = Sha256::new();
                    hasher.update([1]);
                    hasher.update(left);
                    hasher.update(right);
                    hasher.finalize().into()
                }
                odd => odd[0],
            })
            .collect();
    }
    level.first().copied().unwrap_or([0; 32])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ACCOUNT: AccountId = AccountId(1);

    fn apply(wallet: &Wallet, posting: Posting) -> Result<Wallet, LedgerError> {
        post(ACCOUNT, wallet, posting, Instant(0)).map(|(wallet, _)| wallet)
    }

    #[test]
    fn credits_move_as_their_kind_says() {
        let w = Wallet::EMPTY;
        let w = apply(&w, Posting::grant("g".into(), 100, 0)).expect("grant");
        let w = apply(&w, Posting::reserve("r".into(), 60, 60)).expect("reserve");
        let w = apply(&w, Posting::settle("s".into(), 40, 10, 0)).expect("settle");
        assert_eq!((w.books.available, w.books.reserved, w.books.spent), (50, 10, 40));
        let w = apply(&w, Posting::adjust("a".into(), -70, &w.books)).expect("adjust");
        assert_eq!((w.books.available, w.books.owed), (0, 20));
        let w = apply(&w, Posting::settle("t".into(), 0, 10, w.books.owed)).expect("release");
        assert_eq!((w.books.available, w.books.owed, w.books.reserved), (0, 10, 0));
        let w = apply(&w, Posting::grant("h".into(), 25, w.books.owed)).expect("grant");
        assert_eq!((w.books.available, w.books.owed), (15, 0));
        let w = apply(&w, Posting::late_charge("l".into(), 20, w.books.available)).expect("late");
        assert_eq!((w.books.available, w.books.spent, w.books.loss), (0, 60, 5));
        assert_eq!(w.seq, 7);
    }

    #[test]
    fn bought_credits_follow_their_money() {
        let w = apply(&Wallet::EMPTY, Posting::purchase("p".into(), 500, 0)).expect("purchase");
        let w = apply(&w, Posting::reserve("r".into(), 450, 450)).expect("reserve");
        let w = apply(&w, Posting::dispute_hold("h".into(), 500, w.books.available)).expect("hold");
        let b = w.books;
        assert_eq!((b.available, b.reserved, b.owed, b.refunded), (0, 450, 450, 500));
        let w = apply(&w, Posting::dispute_release("d".into(), 500, b.owed)).expect("release");
        let b = w.books;
        assert_eq!((b.available, b.reserved, b.owed, b.refunded), (50, 450, 0, 0));
        let w = apply(&w, Posting::clawback("c".into(), 100, &w.books)).expect("clawback");
        let b = w.books;
        assert_eq!((b.available, b.owed, b.refunded), (0, 50, 100));
        let w = apply(&w, Posting::purchase("q".into(), 200, b.owed)).expect("pays the debt first");
        assert_eq!((w.books.available, w.books.owed, w.books.paid), (150, 0, 700));
        let w = apply(&w, Posting::clawback("f".into(), -100, &w.books)).expect("it failed");
        assert_eq!((w.books.available, w.books.refunded), (250, 0));
        let w = apply(&w, Posting::expire("e".into(), 50)).expect("expiry");
        assert_eq!((w.books.available, w.books.breakage), (200, 50));
        let over = apply(&w, Posting::expire("x".into(), 201));
        assert_eq!(over, Err(LedgerError::Insufficient));
    }

    #[test]
    fn sums_are_exact_up_to_the_largest_amounts() {
        let grant = |wallet: &Wallet| {
            apply(wallet, Posting::grant("g".into(), AMOUNT_MAX, 0)).expect("grant")
        };
        let w = (0..1000).fold(Wallet::EMPTY, |w, _| grant(&w));
        assert_eq!((w.books.available, w.books.promo), (1000 * AMOUNT_MAX, 1000 * AMOUNT_MAX));
        let w = apply(&w, Posting::reserve("r".into(), AMOUNT_MAX, 1)).expect("reserve");
        assert_eq!((w.books.available, w.books.reserved), (999 * AMOUNT_MAX, AMOUNT_MAX));
    }

    #[test]
    fn refusals_change_nothing() {
        let w = apply(&Wallet::EMPTY, Posting::grant("g".into(), 10, 0)).expect("grant");
        let unbalanced = Posting {
            change: Books { available: 1, ..Books::default() },
            ..Posting::grant("u".into(), 1, 0)
        };
        for (posting, refusal) in [
            (Posting::reserve("r".into(), 11, 1), LedgerError::Insufficient),
            (Posting::settle("s".into(), 1, 0, 0), LedgerError::Insufficient),
            (Posting::grant("z".into(), 0, 0), LedgerError::OutOfRange),
            (Posting::grant("m".into(), AMOUNT_MAX + 1, 0), LedgerError::OutOfRange),
            (unbalanced, LedgerError::Unbalanced),
        ] {
            assert_eq!(apply(&w, posting), Err(refusal));
        }
    }

    #[test]
    fn every_field_changes_the_hash() {
        let base = || Posting::grant("key".into(), 5, 0).by("operator", "welcome");
        let hash = |account: i64, prev: Hash, seq, at, posting: &Posting| {
            line_hash(AccountId(account), &prev, seq, Instant(at), posting)
        };
        let wanted = hash(1, [0; 32], 1, 9, &base());
        let mut other_root = base();
        other_root.root = [1; 32];
        let mut other_facts = base();
        other_facts.facts = 2;
        for changed in [
            hash(2, [0; 32], 1, 9, &base()),
            hash(1, [1; 32], 1, 9, &base()),
            hash(1, [0; 32], 2, 9, &base()),
            hash(1, [0; 32], 1, 8, &base()),
            hash(1, [0; 32], 1, 9, &Posting::grant("key".into(), 6, 0).by("operator", "welcome")),
            hash(1, [0; 32], 1, 9, &base().by("operato", "rwelcome")),
            hash(1, [0; 32], 1, 9, &other_root),
            hash(1, [0; 32], 1, 9, &other_facts),
        ] {
            assert_ne!(changed, wanted);
        }
    }

    #[test]
    fn merkle_roots_tell_leaves_apart() {
        let leaves: Vec<Hash> = (0u8..5).map(|n| leaf(&[&[n]])).collect();
        let root = merkle_root(&leaves);
        let mut swapped = leaves.clone();
        swapped.swap(0, 1);
        assert_eq!(merkle_root(&[]), [0; 32]);
        assert_eq!(merkle_root(&leaves[..1]), leaves[0]);
        assert!(merkle_root(&swapped) != root && merkle_root(&leaves[..4]) != root);
    }

    fn any_posting() -> impl Strategy<Value = (u8, i64, i64)> {
        (0u8..11, 0i64..500, 0i64..500)
    }

    proptest! {
        #[test]
        fn no_sequence_overdraws_or_unbalances(
            steps in prop::collection::vec(any_posting(), 1..60)
        ) {
            let mut wallet = Wallet::EMPTY;
            let mut fold = Books::default();
            for (n, (kind, a, b)) in steps.into_iter().enumerate() {
                let key = n.to_string();
                let posting = match kind {
                    0 => Posting::grant(key, a, wallet.books.owed),
                    1 => Posting::reserve(key, a, 1),
                    2 => Posting::settle(key, a, b, wallet.books.owed),
                    3 => Posting::adjust(key, a - b, &wallet.books),
                    4 => Posting::refund(key, a, wallet.books.owed),
                    5 => Posting::purchase(key, a, wallet.books.owed),
                    6 => Posting::clawback(key, a - b, &wallet.books),
                    7 => Posting::dispute_hold(key, a, wallet.books.available),
                    8 => Posting::dispute_release(key, a, wallet.books.owed),
                    9 => Posting::expire(key, a),
                    _ => Posting::late_charge(key, a, wallet.books.available),
                };
                if let Ok((after, line)) = post(ACCOUNT, &wallet, posting, Instant(0)) {
                    fold = fold.plus(&line.posting.change).expect("small");
                    wallet = after;
                }
                prop_assert!(wallet.books.is_balanced());
                prop_assert!(wallet.books.amounts().iter().all(|&balance| balance >= 0));
                prop_assert_eq!(fold, wallet.books);
            }
        }
    }
}
