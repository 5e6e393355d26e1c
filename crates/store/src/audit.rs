//! Reading for `audit`: sums and walks over what is kept, without judgement.

use domain::ids::{AccountId, LotId, PurchaseId, StreamId};
use domain::ledger::Hash;
use domain::message::State;

use crate::db::{Result, Tx};
use crate::messages::EventKind;
use crate::{damaged, uuid};

/// Credits that open chunks hold.
pub async fn open_amount(tx: &mut Tx, account: AccountId) -> Result<i64> {
    let text = "select cast(coalesce(sum(open_amount), 0) as bigint) from chunk
                where account_id = $1 and state < 3";
    let (sum,): (i64,) = tx.one(text, (account.0,)).await?;
    Ok(sum)
}

/// The account's streams, oldest first.
pub async fn stream_ids(tx: &mut Tx, account: AccountId) -> Result<Vec<StreamId>> {
    let text = "select stream_id from stream where account_id = $1 order by stream_id";
    let rows: Vec<(i64,)> = tx.all(text, (account.0,)).await?;
    Ok(rows.into_iter().map(|(id,)| StreamId(id)).collect())
}

/// Messages per state and the sum of their prices, counted row by row.
pub async fn counts(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
) -> Result<Vec<(State, i64, i64)>> {
    let rows: Vec<(i64, i64, i64)> = tx
        .all(
            "select state, count(*), cast(sum(price) as bigint) from message
             where account_id = $1 and stream_id = $2 group by state",
            (account.0, stream.0),
        )
        .await?;
    rows.into_iter()
        .map(|(state, n, credits)| {
            Ok((State::from_code(state).ok_or_else(|| damaged("a state"))?, n, credits))
        })
        .collect()
}

/// What a settled fact says, as bound into its ledger line.
#[derive(Clone, Debug)]
pub struct Fact {
    /// Position in the stream.
    pub ord: i64,
    /// Attempt.
    pub attempt: i64,
    /// What it turned to.
    pub kind: EventKind,
    /// The line it belongs to.
    pub seq: i64,
    /// Credits moved.
    pub price: i64,
    /// The carrier's id.
    pub sid: Option<String>,
}

/// Facts behind ledger lines in a stream, after `(ord, seq)`, ordered.
pub async fn facts_after(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    after: i64,
    limit: i64,
) -> Result<Vec<Fact>> {
    let rows: Vec<(i64, i64, i64, i64, i64, Option<String>)> = tx
        .all(
            "select ord, attempt, kind, seq, price, sid from message_event
             where account_id = $1 and stream_id = $2 and ord > $3 and ord <= $3 + $4 and seq > 0
             order by ord, attempt, kind, code, seq",
            (account.0, stream.0, after, limit),
        )
        .await?;
    rows.into_iter()
        .map(|(ord, attempt, kind, seq, price, sid)| {
            let kind = EventKind::from_code(kind).ok_or_else(|| damaged("an event"))?;
            Ok(Fact { ord, attempt, kind, seq, price, sid })
        })
        .collect()
}

/// The leaf a fact contributes to the Merkle root of its line.
pub fn fact_leaf(
    stream: StreamId,
    ord: i64,
    attempt: i64,
    kind: EventKind,
    price: i64,
    sid: Option<&str>,
) -> Hash {
    domain::ledger::leaf(&[
        &stream.0.to_be_bytes(),
        &ord.to_be_bytes(),
        &attempt.to_be_bytes(),
        &kind.code().to_be_bytes(),
        &price.to_be_bytes(),
        sid.unwrap_or_default().as_bytes(),
    ])
}

/// What each purchase says of the credits that moved for it: added, taken back, frozen.
pub async fn purchases_moved(
    tx: &mut Tx,
    account: AccountId,
    after: Option<PurchaseId>,
    limit: i64,
) -> Result<Vec<(PurchaseId, [i64; 3])>> {
    let after = after.map_or_else(Vec::new, |id| id.0.to_vec());
    let rows: Vec<(Vec<u8>, i64, i64, i64)> = tx
        .all(
            "select purchase_id, granted, clawed, held from purchase
             where account_id = $1 and purchase_id > $2 order by purchase_id limit $3",
            (account.0, after, limit),
        )
        .await?;
    rows.into_iter()
        .map(|(id, granted, clawed, held)| Ok((PurchaseId(uuid(id)?), [granted, clawed, held])))
        .collect()
}

/// The size of each lot, and what of it expired.
pub async fn lots_expired(
    tx: &mut Tx,
    account: AccountId,
    after: Option<LotId>,
    limit: i64,
) -> Result<Vec<(LotId, i64, i64)>> {
    let after = after.map_or_else(Vec::new, |id| id.0.to_vec());
    let rows: Vec<(Vec<u8>, i64, i64)> = tx
        .all(
            "select lot_id, size, expired from lot
             where account_id = $1 and lot_id > $2 order by lot_id limit $3",
            (account.0, after, limit),
        )
        .await?;
    rows.into_iter().map(|(id, size, expired)| Ok((LotId(uuid(id)?), size, expired))).collect()
}

/// Notes who did what: what changes how an account behaves is kept for good.
pub async fn note(
    tx: &mut Tx,
    account: AccountId,
    id: [u8; 16],
    (actor, verb, detail): (&str, &str, &str),
) -> Result<()> {
    let now = tx.now().0;
    tx.execute(
        "insert into audit_event (account_id, event_id, actor, verb, detail, at)
         values ($1, $2, $3, $4, $5, $6)",
        (account.0, id.to_vec(), actor.to_owned(), verb.to_owned(), detail.to_owned(), now),
    )
    .await?;
    Ok(())
}
