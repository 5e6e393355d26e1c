//! Wallets and the ledger: the only hot row of an account, and the append-only lines behind it.

use domain::ids::AccountId;
use domain::instant::Instant;
use domain::ledger::{self, Books, Kind, Line, Posting, Wallet};

use crate::db::{Error, Result, Tx, dialects, expect_rows};
use crate::{damaged, hash};

/// Gives a new account its empty wallet.
pub async fn insert_wallet(tx: &mut Tx, account: AccountId) -> Result<()> {
    tx.execute(
        "insert into wallet (account_id, available, reserved, spent, owed, paid, promo, refunded,
           loss, breakage, seq, head) values ($1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, $2)",
        (account.0, Wallet::EMPTY.head.to_vec()),
    )
    .await?;
    Ok(())
}

type WalletRow = (i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, Vec<u8>);

fn wallet_of(row: WalletRow) -> Result<Wallet> {
    let (available, reserved, spent, owed, paid, promo, refunded, loss, breakage, seq, head) = row;
    let amounts = [available, reserved, spent, owed, paid, promo, refunded, loss, breakage];
    Ok(Wallet { books: Books::from_amounts(amounts), seq, head: hash(head)? })
}

/// The wallet as it stands.
pub async fn wallet(tx: &mut Tx, account: AccountId) -> Result<Wallet> {
    tx.optional(
        "select available, reserved, spent, owed, paid, promo, refunded, loss, breakage, seq, head
         from wallet where account_id = $1",
        (account.0,),
    )
    .await?
    .map_or(Err(Error::Missing("account")), wallet_of)
}

/// The wallet, locked until the transaction ends. Taken last of all locks but the tallies.
pub async fn lock_wallet(tx: &mut Tx, account: AccountId) -> Result<Wallet> {
    if domain::mutant!(M49) {
        return wallet(tx, account).await;
    }
    // SQLite has no row locks and needs none: a writing transaction is alone.
    let text = dialects(
        "select available, reserved, spent, owed, paid, promo, refunded, loss, breakage, seq, head
         from wallet where account_id = $1",
        "select available, reserved, spent, owed, paid, promo, refunded, loss, breakage, seq, head
         from wallet where account_id = $1 for update",
    );
    tx.optional(text, (account.0,)).await?.map_or(Err(Error::Missing("account")), wallet_of)
}

/// Posts to a wallet that this transaction has locked, and keeps the line.
pub async fn post(
    tx: &mut Tx,
    account: AccountId,
    wallet: &Wallet,
    posting: Posting,
) -> Result<(Wallet, Line)> {
    let (after, line) = ledger::post(account, wallet, posting, tx.now())?;
    let b = after.books;
    let changed = tx
        .execute(
            "update wallet set available = $2, reserved = $3, spent = $4, owed = $5, paid = $6,
               promo = $7, refunded = $8, loss = $9, breakage = $10, seq = $11, head = $12
             where account_id = $1 and seq = $13",
            (
                account.0,
                b.available,
                b.reserved,
                b.spent,
                b.owed,
                b.paid,
                b.promo,
                b.refunded,
                b.loss,
                b.breakage,
                after.seq,
                after.head.to_vec(),
                wallet.seq,
            ),
        )
        .await?;
    expect_rows("post to the wallet", 1, changed)?;
    insert_line(tx, account, &line).await?;
    Ok((after, line))
}

async fn insert_line(tx: &mut Tx, account: AccountId, line: &Line) -> Result<()> {
    let (p, d, a) = (&line.posting, line.posting.change, line.after);
    tx.execute(
        "insert into ledger_entry (account_id, seq, kind, effect_key, available, reserved, spent,
           owed, paid, promo, refunded, loss, breakage, facts, root, available_after,
           reserved_after, spent_after, owed_after, actor, reason, at, hash)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
           $19, $20, $21, $22, $23)",
        (
            account.0,
            line.seq,
            p.kind.as_str().to_owned(),
            p.effect_key.clone(),
            d.available,
            d.reserved,
            d.spent,
            d.owed,
            d.paid,
            d.promo,
            d.refunded,
            d.loss,
            d.breakage,
            p.facts,
            p.root.to_vec(),
            a.available,
            a.reserved,
            a.spent,
            a.owed,
            p.actor.clone(),
            p.reason.clone(),
            line.at.0,
            line.hash.to_vec(),
        ),
    )
    .await?;
    Ok(())
}

/// A ledger line as kept; the balances after it are those of the customer's four books.
#[derive(Clone, Debug)]
pub struct StoredLine {
    /// Gapless from 1 in its account.
    pub seq: i64,
    /// When it was posted.
    pub at: Instant,
    /// What was posted.
    pub posting: Posting,
    /// `available`, `reserved`, `spent`, `owed` after it.
    pub after: [i64; 4],
    /// Chain hash.
    pub hash: ledger::Hash,
}

type HeadRow = (i64, String, String, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, Vec<u8>);
type TailRow = (i64, i64, i64, i64, String, String, i64, Vec<u8>);

/// Lines after `after`, oldest first.
pub async fn list_lines(
    tx: &mut Tx,
    account: AccountId,
    after: i64,
    limit: i64,
) -> Result<Vec<StoredLine>> {
    // Two halves, because a row is decoded into a tuple of at most sixteen fields.
    let heads: Vec<HeadRow> = tx
        .all(
            "select seq, kind, effect_key, available, reserved, spent, owed, paid, promo, refunded,
               loss, breakage, facts, root
             from ledger_entry where account_id = $1 and seq > $2 order by seq limit $3",
            (account.0, after, limit),
        )
        .await?;
    let last = heads.last().map_or(after, |head| head.0);
    let tails: Vec<TailRow> = tx
        .all(
            "select available_after, reserved_after, spent_after, owed_after, actor, reason, at,
               hash
             from ledger_entry where account_id = $1 and seq > $2 and seq <= $3 order by seq",
            (account.0, after, last),
        )
        .await?;
    heads.into_iter().zip(tails).map(|(head, tail)| line_of(head, tail)).collect()
}

fn line_of(head: HeadRow, tail: TailRow) -> Result<StoredLine> {
    let (seq, kind, effect_key, d1, d2, d3, d4, d5, d6, d7, d8, d9, facts, root) = head;
    let (available, reserved, spent, owed, actor, reason, at, line_hash) = tail;
    let posting = Posting {
        kind: Kind::parse(&kind).ok_or_else(|| damaged("the kind of a ledger line"))?,
        effect_key,
        change: Books::from_amounts([d1, d2, d3, d4, d5, d6, d7, d8, d9]),
        facts,
        root: hash(root)?,
        actor,
        reason,
    };
    let after = [available, reserved, spent, owed];
    Ok(StoredLine { seq, at: Instant(at), posting, after, hash: hash(line_hash)? })
}

/// Whether an effect was posted already.
pub async fn find_effect(tx: &mut Tx, account: AccountId, key: &str) -> Result<Option<i64>> {
    let row: Option<(i64,)> = tx
        .optional(
            "select seq from ledger_entry where account_id = $1 and effect_key = $2",
            (account.0, key.to_owned()),
        )
        .await?;
    Ok(row.map(|(seq,)| seq))
}
