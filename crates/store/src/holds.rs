//! Holds: what keeps texts of an account from leaving until a person lifts it.

use std::collections::BTreeMap;

use domain::ids::{AccountId, HoldId};
use domain::instant::Instant;
use domain::velocity::Guard;

use crate::db::{Result, Rows, Tx, dialects, expect_rows};
use crate::{damaged, uuid};

/// A hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its id; sorts by time.
    pub id: HoldId,
    /// What was watched.
    pub kind: Guard,
    /// Which group of texts it holds, such as `velocity:code:+1312555`.
    pub subject: String,
    /// Why, in words.
    pub reason: String,
    /// Since when.
    pub since: Instant,
    /// When it was lifted.
    pub lifted_at: Option<Instant>,
    /// By whom.
    pub lifted_by: Option<String>,
}

type HoldRow = (Vec<u8>, String, String, String, i64, Option<i64>, Option<String>);

fn hold_of(row: HoldRow) -> Result<Hold> {
    let (id, kind, subject, reason, since, lifted_at, lifted_by) = row;
    Ok(Hold {
        id: HoldId(uuid(id)?),
        kind: Guard::parse(&kind).ok_or_else(|| damaged("the kind of a hold"))?,
        subject,
        reason,
        since: Instant(since),
        lifted_at: lifted_at.map(Instant),
        lifted_by,
    })
}

/// Opens a hold; whoever does so holds the account's wallet and saw that none is open.
pub async fn insert_hold(tx: &mut Tx, account: AccountId, hold: &Hold) -> Result<()> {
    tx.execute(
        "insert into hold (account_id, hold_id, kind, subject, reason, since)
         values ($1, $2, $3, $4, $5, $6)",
        (
            account.0,
            hold.id.0.to_vec(),
            hold.kind.as_str().to_owned(),
            hold.subject.clone(),
            hold.reason.clone(),
            hold.since.0,
        ),
    )
    .await?;
    Ok(())
}

/// The open holds of these groups, by group.
pub async fn open_holds(
    tx: &mut Tx,
    account: AccountId,
    groups: &[(Guard, String)],
) -> Result<BTreeMap<String, HoldId>> {
    let rows = Rows::of(groups.len())
        .text("kind", groups.iter().map(|(guard, _)| guard.as_str().to_owned()))
        .text("subject", groups.iter().map(|(_, group)| group.clone()));
    let found: Vec<(String, Vec<u8>)> = tx
        .all_of(
            "select h.subject, h.hold_id from {rows}
             {join hold as h on h.account_id = $1 and h.kind = r.kind and h.subject = r.subject
               and h.lifted_at is null}",
            (account.0,),
            rows,
        )
        .await?;
    found.into_iter().map(|(group, id)| Ok((group, HoldId(uuid(id)?)))).collect()
}

/// Holds behind `after`, the newest first; `open` for those nobody has lifted.
pub async fn list_holds(
    tx: &mut Tx,
    account: AccountId,
    open: bool,
    after: Option<HoldId>,
    limit: i64,
) -> Result<Vec<Hold>> {
    let after = after.map_or_else(|| vec![0xFF; 16], |id| id.0.to_vec());
    let rows: Vec<HoldRow> = tx
        .all(
            "select hold_id, kind, subject, reason, since, lifted_at, lifted_by from hold
             where account_id = $1 and hold_id < $2 and ($3 = 0 or lifted_at is null)
             order by hold_id desc limit $4",
            (account.0, after, i64::from(open), limit),
        )
        .await?;
    rows.into_iter().map(hold_of).collect()
}

/// A hold, locked until the transaction ends.
pub async fn lock_hold(tx: &mut Tx, account: AccountId, id: HoldId) -> Result<Option<Hold>> {
    // SQLite has no row locks and needs none: a writing transaction is alone.
    let text = dialects(
        "select hold_id, kind, subject, reason, since, lifted_at, lifted_by from hold
         where account_id = $1 and hold_id = $2",
        "select hold_id, kind, subject, reason, since, lifted_at, lifted_by from hold
         where account_id = $1 and hold_id = $2 for update",
    );
    let row: Option<HoldRow> = tx.optional(text, (account.0, id.0.to_vec())).await?;
    row.map(hold_of).transpose()
}

/// Lifts a hold this transaction has locked.
pub async fn lift_hold(tx: &mut Tx, account: AccountId, id: HoldId, by: &str) -> Result<()> {
    let now = tx.now().0;
    let text = "update hold set lifted_at = $3, lifted_by = $4
                where account_id = $1 and hold_id = $2 and lifted_at is null";
    let changed = tx.execute(text, (account.0, id.0.to_vec(), now, by.to_owned())).await?;
    expect_rows("lift a hold", 1, changed)
}
