//! Checking an account's books: the wallet against its ledger, and the ledger against itself.

use std::collections::BTreeMap;

use domain::ids::{AccountId, LotId, PurchaseId};
use domain::ledger::{Books, Hash, Kind, Wallet, line_hash};
use serde::Serialize;
use store::wallets::{self, StoredLine};
use store::{Result, Tx, audit};

use super::anchors::describe;

/// One checked invariant.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Check {
    /// Its name, stable.
    pub name: &'static str,
    /// It holds.
    pub ok: bool,
    /// What was compared, or what differs.
    pub detail: String,
}

impl Check {
    /// A check with its finding: no `fault` means it holds and `detail` says what was looked at.
    pub fn of(name: &'static str, fault: Option<String>, detail: impl Into<String>) -> Self {
        Self { name, ok: fault.is_none(), detail: fault.unwrap_or_else(|| detail.into()) }
    }
}

const LINES_A_PAGE: i64 = 1000;
/// Purchases, or lots, read at once.
const ROWS_A_PAGE: i64 = 1000;

/// A line that opens to facts: its number, how many, and their root.
pub struct BoundLine {
    /// Line number.
    pub seq: i64,
    /// How many facts.
    pub facts: i64,
    /// Their Merkle root.
    pub root: Hash,
}

/// Walks the ledger. Answers the checks and the lines that are bound to facts.
pub async fn check_books(tx: &mut Tx, account: AccountId) -> Result<(Vec<Check>, Vec<BoundLine>)> {
    let wallet = wallets::wallet(tx, account).await?;
    let mut walk = Walk::new(account);
    loop {
        let lines = wallets::list_lines(tx, account, walk.seq, LINES_A_PAGE).await?;
        if lines.is_empty() {
            break;
        }
        for (n, line) in lines.iter().enumerate() {
            walk.pass(line, lines.get(n + 1));
        }
    }
    let identity = (!wallet.books.is_balanced()).then(|| "the books do not balance".to_owned());
    let Walk { fold, seq, .. } = walk;
    let differs = (fold != wallet.books || seq != wallet.seq)
        .then(|| format!("the wallet says {:?}, its lines {fold:?}", wallet.books));
    let broken = walk.chain_fault.take().or_else(|| walk.end_fault(&wallet));
    let mut checks = vec![
        Check::of("books_balance", identity, "the nine books balance"),
        Check::of("wallet_is_its_ledger", differs, format!("{seq} lines fold to the wallet")),
        Check::of("running_balances", walk.running_fault, "each line's balances follow from it"),
        Check::of("hash_chain", broken, format!("{seq} lines, unbroken")),
    ];
    checks.push(check_purchases(tx, account, walk.purchases).await?);
    checks.push(check_lots(tx, account, walk.expired).await?);
    Ok((checks, walk.bound))
}

/// Credits that lines moved for a purchase: added, taken back, frozen.
type Moved = [i64; 3];

/// A walk along the ledger, and what was found on the way.
struct Walk {
    account: AccountId,
    fold: Books,
    head: Hash,
    seq: i64,
    chain_fault: Option<String>,
    running_fault: Option<String>,
    bound: Vec<BoundLine>,
    purchases: BTreeMap<PurchaseId, Moved>,
    expired: BTreeMap<LotId, i64>,
}

impl Walk {
    fn new(account: AccountId) -> Self {
        Self {
            account,
            fold: Books::default(),
            head: [0; 32],
            seq: 0,
            chain_fault: None,
            running_fault: None,
            bound: Vec::new(),
            purchases: BTreeMap::new(),
            expired: BTreeMap::new(),
        }
    }

    fn pass(&mut self, line: &StoredLine, next: Option<&StoredLine>) {
        if line.seq != self.seq + 1 && self.chain_fault.is_none() {
            self.chain_fault = Some(format!("line {} is missing", self.seq + 1));
        }
        let follows = |line: &StoredLine, seq: i64| {
            line_hash(self.account, &self.head, seq, line.at, &line.posting) == line.hash
        };
        if !follows(line, line.seq) && self.chain_fault.is_none() && !domain::mutant!(M54) {
            let pushed = next.is_some_and(|next| follows(next, line.seq));
            let what = if pushed { "was put in" } else { "was changed" };
            self.chain_fault = Some(format!("line {} {what}: {}", line.seq, describe(line)));
        }
        (self.head, self.seq) = (line.hash, line.seq);
        self.fold = self.fold.plus(&line.posting.change).unwrap_or_default();
        let fold = &self.fold;
        let after = [fold.available, fold.reserved, fold.spent, fold.owed];
        if after != line.after && self.running_fault.is_none() {
            self.running_fault = Some(format!("the balances after line {} are wrong", line.seq));
        }
        if line.posting.root != [0; 32] {
            let (facts, root) = (line.posting.facts, line.posting.root);
            self.bound.push(BoundLine { seq: line.seq, facts, root });
        }
        self.count(line);
    }

    /// Counts what a line moved for a purchase or a lot.
    fn count(&mut self, line: &StoredLine) {
        let (change, key) = (&line.posting.change, &line.posting.effect_key);
        let subject = key.split(':').nth(1).unwrap_or_default();
        let (place, amount) = match line.posting.kind {
            Kind::Purchase => (0, change.paid),
            Kind::Clawback => (1, change.refunded),
            Kind::DisputeHold | Kind::DisputeRelease => (2, change.refunded),
            Kind::Expiry => {
                if let Ok(lot) = subject.parse() {
                    *self.expired.entry(lot).or_default() += change.breakage;
                }
                return;
            }
            _ => return,
        };
        if let Ok(id) = subject.parse() {
            self.purchases.entry(id).or_default()[place] += amount;
        }
    }

    /// The end of the ledger against what the wallet knows of it.
    fn end_fault(&self, wallet: &Wallet) -> Option<String> {
        if self.seq < wallet.seq {
            let (last, known) = (self.seq, wallet.seq);
            return Some(format!(
                "line {} is missing: the ledger ends with line {last}, the wallet knows {known}",
                last + 1
            ));
        }
        if self.seq > wallet.seq {
            return Some(format!("line {} was put in: the wallet knows none", wallet.seq + 1));
        }
        (self.head != wallet.head)
            .then(|| format!("line {} is not the one the wallet knows", self.seq))
    }
}

/// Every purchase has the lines it says, and every line of a purchase its purchase.
async fn check_purchases(
    tx: &mut Tx,
    account: AccountId,
    mut lines: BTreeMap<PurchaseId, Moved>,
) -> Result<Check> {
    let (mut fault, mut after, mut count) = (None, None, 0);
    loop {
        let page = audit::purchases_moved(tx, account, after, ROWS_A_PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        for (id, moved) in page {
            let told = lines.remove(&id).unwrap_or_default();
            if told != moved && fault.is_none() {
                fault = Some(format!("{id} says {moved:?} credits moved, its lines {told:?}"));
            }
            count += 1;
        }
    }
    let lost = lines.first_key_value().map(|(id, _)| format!("lines of {id} have no purchase"));
    let detail = format!("{count} purchases moved the credits that their lines say");
    Ok(Check::of("purchases_are_lines", fault.or(lost), detail))
}

/// Every lot expired what its lines say.
async fn check_lots(
    tx: &mut Tx,
    account: AccountId,
    mut lines: BTreeMap<LotId, i64>,
) -> Result<Check> {
    let (mut fault, mut after, mut count) = (None, None, 0);
    loop {
        let page = audit::lots_expired(tx, account, after, ROWS_A_PAGE).await?;
        let Some((last, ..)) = page.last() else { break };
        after = Some(*last);
        for (id, size, expired) in page {
            let told = lines.remove(&id).unwrap_or(0);
            let differs = told != expired || expired < 0 || expired > size;
            if differs && fault.is_none() {
                fault = Some(format!("{id} of {size} expired {expired}, its lines say {told}"));
            }
            count += 1;
        }
    }
    let lost = lines.first_key_value().map(|(id, _)| format!("lines of {id} have no lot"));
    let detail = format!("{count} lots expired what their lines say");
    Ok(Check::of("lots_are_lines", fault.or(lost), detail))
}
