//! Checking an account's books: the wallet against its ledger, and the ledger against itself.

use domain::ids::AccountId;
use domain::ledger::{Books, Hash, line_hash};
use serde::Serialize;
use store::{Result, Tx, wallets};

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
    let (mut fold, mut head, mut seq) = (Books::default(), [0; 32], 0);
    let (mut chain_fault, mut running_fault, mut bound) = (None, None, Vec::new());
    loop {
        let lines = wallets::list_lines(tx, account, seq, LINES_A_PAGE).await?;
        let Some(last) = lines.last().map(|line| line.seq) else {
            break;
        };
        for line in lines {
            if line.seq != seq + 1 && chain_fault.is_none() {
                chain_fault = Some(format!("line {} is missing", seq + 1));
            }
            let wanted = line_hash(account, &head, line.seq, line.at, &line.posting);
            if wanted != line.hash && chain_fault.is_none() && !domain::mutant!(M54) {
                chain_fault = Some(format!("line {} was changed", line.seq));
            }
            (head, seq) = (line.hash, line.seq);
            fold = fold.plus(&line.posting.change).unwrap_or_default();
            let after = [fold.available, fold.reserved, fold.spent, fold.owed];
            if after != line.after && running_fault.is_none() {
                running_fault = Some(format!("the balances after line {} are wrong", line.seq));
            }
            if line.posting.root != [0; 32] {
                let (facts, root) = (line.posting.facts, line.posting.root);
                bound.push(BoundLine { seq: line.seq, facts, root });
            }
        }
        seq = last;
    }
    let identity = (!wallet.books.is_balanced()).then(|| "the books do not balance".to_owned());
    let differs = (fold != wallet.books || seq != wallet.seq)
        .then(|| format!("the wallet says {:?}, its lines {fold:?}", wallet.books));
    let broken = chain_fault.or_else(|| {
        (head != wallet.head).then(|| "the newest line is not the one the wallet knows".to_owned())
    });
    let checks = vec![
        Check::of("books_balance", identity, "the nine books balance"),
        Check::of("wallet_is_its_ledger", differs, format!("{seq} lines fold to the wallet")),
        Check::of("running_balances", running_fault, "each line's balances follow from it"),
        Check::of("hash_chain", broken, format!("{seq} lines, unbroken")),
    ];
    Ok((checks, bound))
}
