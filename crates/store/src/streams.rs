//! Streams: ordered lists of intended texts, and the one cursor that says how far each was
//! taken up.
//!
//! Everything at or below `position` belongs to exactly one chunk or was decided by the gate;
//! nothing above it has any effect anywhere. Hence resuming is a property of one row.

use domain::campaign::{PauseReason, State};
use domain::ids::{AccountId, StreamId};

use crate::accounts::is_open;
use crate::damaged;
use crate::db::{Error, Result, Tx, dialects, expect_rows};

/// A stream's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its id.
    pub id: StreamId,
    /// Where it stands.
    pub state: State,
    /// Why it is paused.
    pub reason: Option<PauseReason>,
    /// The last ordinal ever taken up.
    pub position: i64,
    /// The last ordinal there is.
    pub total: i64,
    /// The number the next chunk gets.
    pub next_chunk: i64,
    /// What the next text costs, while paused for credits.
    pub need: i64,
}

/// Adds a stream in `state` without recipients.
pub async fn insert_stream(
    tx: &mut Tx,
    account: AccountId,
    id: StreamId,
    state: State,
) -> Result<()> {
    let now = tx.now().0;
    tx.execute(
        "insert into stream (account_id, stream_id, state, position, total, next_chunk, need,
           updated_at) values ($1, $2, $3, 0, 0, 1, 0, $4)
         on conflict (account_id, stream_id) do nothing",
        (account.0, id.0, state.code(), now),
    )
    .await?;
    Ok(())
}

type StreamRow = (i64, i64, Option<i64>, i64, i64, i64, i64);

fn stream_of(row: StreamRow) -> Result<Stream> {
    let (id, state, reason, position, total, next_chunk, need) = row;
    Ok(Stream {
        id: StreamId(id),
        state: State::from_code(state).ok_or_else(|| damaged("the state of a stream"))?,
        reason: reason.and_then(PauseReason::from_code),
        position,
        total,
        next_chunk,
        need,
    })
}

/// A stream as it stands.
pub async fn find_stream(tx: &mut Tx, account: AccountId, id: StreamId) -> Result<Option<Stream>> {
    tx.optional(
        "select stream_id, state, reason, position, total, next_chunk, need
         from stream where account_id = $1 and stream_id = $2",
        (account.0, id.0),
    )
    .await?
    .map(stream_of)
    .transpose()
}

/// What whoever sends from a stream must know from time to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Where the stream stands.
    pub state: State,
    /// Why it is paused.
    pub reason: Option<PauseReason>,
    /// The installation is open.
    pub installation_open: bool,
    /// The account is active.
    pub account_active: bool,
}

/// How a stream stands, and everything it depends on.
pub async fn standing(tx: &mut Tx, account: AccountId, id: StreamId) -> Result<Option<Standing>> {
    let text = concat!(
        "select s.state, s.reason, ",
        is_open!(),
        ", cast(case when a.state = 'active' then 1 else 0 end as bigint)
         from stream s
         join account a on a.account_id = s.account_id
         join installation i on i.id = 1
         where s.account_id = $1 and s.stream_id = $2"
    );
    let row: Option<(i64, Option<i64>, i64, i64)> = tx.optional(text, (account.0, id.0)).await?;
    row.map(|(state, reason, open, active)| {
        Ok(Standing {
            state: State::from_code(state).ok_or_else(|| damaged("the state of a stream"))?,
            reason: reason.and_then(PauseReason::from_code),
            installation_open: open == 1,
            account_active: active == 1,
        })
    })
    .transpose()
}

/// A stream, locked until the transaction ends. The first of all locks.
pub async fn lock_stream(tx: &mut Tx, account: AccountId, id: StreamId) -> Result<Stream> {
    // SQLite has no row locks and needs none: a writing transaction is alone.
    let text = dialects(
        "select stream_id, state, reason, position, total, next_chunk, need
         from stream where account_id = $1 and stream_id = $2",
        "select stream_id, state, reason, position, total, next_chunk, need
         from stream where account_id = $1 and stream_id = $2 for update",
    );
    tx.optional(text, (account.0, id.0)).await?.map_or(Err(Error::Missing("campaign")), stream_of)
}

/// Writes a stream this transaction has locked as `before`; the cursor never moves back.
pub async fn save_stream(
    tx: &mut Tx,
    account: AccountId,
    before: &Stream,
    after: &Stream,
) -> Result<()> {
    assert!(after.position >= before.position, "the cursor of a stream never moves back");
    let now = tx.now().0;
    let changed = tx
        .execute(
            "update stream set state = $3, reason = $4, position = $5, total = $6, next_chunk = $7,
               need = $8, updated_at = $9
             where account_id = $1 and stream_id = $2 and state = $10 and position = $11",
            (
                account.0,
                after.id.0,
                after.state.code(),
                after.reason.map(PauseReason::code),
                after.position,
                after.total,
                after.next_chunk,
                after.need,
                now,
                before.state.code(),
                before.position,
            ),
        )
        .await?;
    expect_rows("save a stream", 1, changed)
}
