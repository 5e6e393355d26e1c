//! Moving credits. Every function posts to the account's wallet in the caller's transaction, under
//! the wallet's lock, so that the money and its cause commit together or not at all.

use domain::ids::AccountId;
use domain::ledger::{AMOUNT_MAX, Hash, LedgerError, Posting, Wallet};
use store::{Error, Result, Tx, wallets};

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

    async fn post(&mut self, tx: &mut Tx, posting: Posting) -> Result<i64> {
        let (after, line) = wallets::post(tx, self.account, &self.wallet, posting).await?;
        self.wallet = after;
        Ok(line.seq)
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
