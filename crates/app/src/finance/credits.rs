//! Moving credits. Every function posts to the account's wallet in the caller's transaction, under
//! the wallet's lock, so that the money and its cause commit together or not at all.

use domain::ids::AccountId;
use domain::ledger::{AMOUNT_MAX, Books, Hash, LedgerError, Posting, Wallet};
use store::{Error, Result, Tx, wallets};

/// Who the ledger says did what nobody asked for.
const SYSTEM: &str = "system";

/// A wallet this transaction has locked. One exists per transaction and account; its postings
/// follow one another.
pub struct OpenWallet {
    account: AccountId,
    wallet: Wallet,
}

/// Amounts that the decision of a batch moves.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    /// Held credits that are spent.
    pub charged: i64,
    /// Held credits that go back.
    pub released: i64,
    /// The facts behind both, in order.
    pub leaves: Vec<Hash>,
}

impl OpenWallet {
    /// Locks the account's wallet.
    pub async fn lock(tx: &mut Tx, account: AccountId) -> Result<Self> {
        let wallet = wallets::lock_wallet(tx, account).await?;
        Ok(Self { account, wallet })
    }

    /// What may be spent.
    pub const fn available(&self) -> i64 {
        self.wallet.books.available
    }

    /// All balances as they stand after the postings so far.
    pub const fn books(&self) -> &Books {
        &self.wallet.books
    }

    /// The wallet as it stands after the postings so far.
    pub const fn wallet(&self) -> &Wallet {
        &self.wallet
    }

    /// Whether an effect was posted already; ask before an effect that may come twice.
    pub async fn has(&self, tx: &mut Tx, key: &str) -> Result<bool> {
        Ok(wallets::find_effect(tx, self.account, key).await?.is_some())
    }

    async fn post(&mut self, tx: &mut Tx, posting: Posting) -> Result<i64> {
        let (after, line) = wallets::post(tx, self.account, &self.wallet, posting).await?;
        self.wallet = after;
        Ok(line.seq)
    }

    /// Adds bought credits; debt is paid first. The line's number.
    pub async fn buy(&mut self, tx: &mut Tx, key: String, amount: i64, why: &str) -> Result<i64> {
        let posting = Posting::purchase(key, amount, self.wallet.books.owed);
        self.post(tx, posting.by(SYSTEM, why)).await
    }

    /// Adds given credits; debt is paid first. The line's number.
    pub async fn grant(&mut self, tx: &mut Tx, key: String, amount: i64, why: &str) -> Result<i64> {
        let posting = Posting::grant(key, amount, self.wallet.books.owed);
        self.post(tx, posting.by(SYSTEM, why)).await
    }

    /// Takes the credits of returned money, or (below zero) gives them again because it was not
    /// returned after all. The line's number.
    pub async fn claw(&mut self, tx: &mut Tx, key: String, amount: i64, why: &str) -> Result<i64> {
        let posting = Posting::clawback(key, amount, &self.wallet.books);
        self.post(tx, posting.by(SYSTEM, why)).await
    }

    /// Freezes the credits of disputed money, or (below zero) gives them back. The line's number.
    pub async fn freeze(
        &mut self,
        tx: &mut Tx,
        key: String,
        amount: i64,
        why: &str,
    ) -> Result<i64> {
        let Books { available, owed, .. } = self.wallet.books;
        let posting = if amount >= 0 {
            Posting::dispute_hold(key, amount, available)
        } else {
            Posting::dispute_release(key, -amount, owed)
        };
        self.post(tx, posting.by(SYSTEM, why)).await
    }

    /// Ends credits that were not used in time. The line's number.
    pub async fn expire(
        &mut self,
        tx: &mut Tx,
        key: String,
        amount: i64,
        why: &str,
    ) -> Result<i64> {
        self.post(tx, Posting::expire(key, amount).by(SYSTEM, why)).await
    }

    /// Holds `amount` for `facts` facts. The line's number.
    pub async fn hold(&mut self, tx: &mut Tx, key: String, amount: i64, facts: i64) -> Result<i64> {
        self.post(tx, Posting::reserve(key, amount, facts)).await
    }

    /// Decides held credits. The key is the Merkle root of the facts, so that the same facts
    /// cannot be posted twice. The line's number.
    pub async fn settle(&mut self, tx: &mut Tx, decided: &Decided) -> Result<i64> {
        let owed = self.wallet.books.owed;
        let posting = Posting::settle(String::new(), decided.charged, decided.released, owed);
        self.post(tx, keyed("settle", posting.over(&decided.leaves))).await
    }

    /// Gives spent credits back. The line's number.
    pub async fn refund(&mut self, tx: &mut Tx, amount: i64, leaves: &[Hash]) -> Result<i64> {
        let posting = Posting::refund(String::new(), amount, self.wallet.books.owed);
        self.post(tx, keyed("refund", posting.over(leaves))).await
    }

    /// Charges what was given back too early. The line's number.
    pub async fn charge_late(&mut self, tx: &mut Tx, amount: i64, leaves: &[Hash]) -> Result<i64> {
        let posting = Posting::late_charge(String::new(), amount, self.wallet.books.available);
        let mut posting = keyed("late", posting.over(leaves));
        if domain::mutant!(M43) {
            posting.effect_key = format!("late:{}", self.wallet.seq);
        }
        self.post(tx, posting).await
    }
}

fn keyed(what: &str, mut posting: Posting) -> Posting {
    use std::fmt::Write as _;
    posting.effect_key = format!("{what}:");
    for byte in posting.root {
        write!(posting.effect_key, "{byte:02x}").expect("writing to a String");
    }
    posting
}

/// Gives (`amount` above zero) or takes back (below zero) credits in an operator's name. What is
/// taken beyond the available credits is owed; texts already paid for keep their credits.
pub async fn adjust(
    tx: &mut Tx,
    account: AccountId,
    key: String,
    amount: i64,
    actor: &str,
    reason: &str,
) -> Result<Wallet> {
    if amount == 0 || amount.unsigned_abs() > AMOUNT_MAX.unsigned_abs() {
        return Err(Error::Ledger(LedgerError::OutOfRange));
    }
    let mut open = OpenWallet::lock(tx, account).await?;
    let posting = if amount > 0 {
        Posting::grant(key, amount, open.wallet.books.owed)
    } else {
        Posting::adjust(key, amount, &open.wallet.books)
    };
    open.post(tx, posting.by(actor, reason)).await?;
    Ok(open.wallet)
}
