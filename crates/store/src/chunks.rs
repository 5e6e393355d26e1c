//! Chunks: leased pieces of a stream. A chunk is the pending transfer of the ledger: it holds the
//! credits reserved for its texts until each of them is decided.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{AccountId, Incarnation, StreamId};
use domain::instant::Instant;

use crate::db::{Error, Result, Rows, Tx, expect_rows};
use crate::{damaged, uuid};

/// Where a chunk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkState {
    /// Its owner sends from it.
    Open,
    /// Nothing more is sent from it; some of its texts are unknown.
    Resolving,
    /// Every text of it is decided.
    Closed,
}

impl ChunkState {
    const fn code(self) -> i64 {
        match self {
            Self::Open => 1,
            Self::Resolving => 2,
            Self::Closed => 3,
        }
    }
}

/// A chunk's row.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Its number in the stream, from 1.
    pub no: i64,
    /// The positions of its texts, ascending.
    pub ords: Vec<i64>,
    /// High-water mark: how many of its texts may be on the wire. Committed before any byte of
    /// the text at that place is written.
    pub mark: i64,
    /// Counts its owners; only the present one may move the mark.
    pub epoch: i64,
    /// Who sends from it.
    pub owner: Incarnation,
    /// Until when.
    pub lease_until: Instant,
    /// Credits reserved at its claim.
    pub reserved: i64,
    /// When it was claimed.
    pub claimed_at: Instant,
}

/// Adds a chunk that is being claimed.
pub async fn insert_chunk(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    chunk: &Chunk,
) -> Result<()> {
    let ords = spell_ords(&chunk.ords);
    tx.execute(
        "insert into chunk (account_id, stream_id, chunk_no, ords, mark, epoch, owner, lease_until,
           reserved, open_amount, state, claimed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, 1, $10)",
        (
            account.0,
            stream.0,
            chunk.no,
            ords,
            chunk.mark,
            chunk.epoch,
            chunk.owner.0.to_vec(),
            chunk.lease_until.0,
            chunk.reserved,
            chunk.claimed_at.0,
        ),
    )
    .await?;
    Ok(())
}

/// What the owner of a chunk asks for.
#[derive(Clone, Copy, Debug)]
pub enum Ask {
    /// How many of its texts may be on the wire from here on, and the lease renewed.
    Advance {
        /// The new mark.
        mark: i64,
        /// The end of the lease.
        lease_until: Instant,
    },
    /// Nothing more is sent from it: closed when nothing of it is open, else left to resolve.
    Close,
}

/// Who asks, as the chunk was when it was claimed or taken over.
#[derive(Clone, Copy, Debug)]
pub struct Tenure {
    /// The chunk's number.
    pub no: i64,
    /// Its epoch.
    pub epoch: i64,
    /// Its owner.
    pub owner: Incarnation,
    /// When it was claimed.
    pub claimed_at: Instant,
}

impl Chunk {
    /// The part of it that its owner's requests need.
    pub const fn tenure(&self) -> Tenure {
        let Self { no, epoch, owner, claimed_at, .. } = *self;
        Tenure { no, epoch, owner, claimed_at }
    }
}

/// Takes decided credits (by chunk) off chunks, and does what their owners ask for. A chunk that
/// only waited for these credits is closed. Answers those who are owners still; nothing was done
/// for the others, and they must not send any more. Two asks about one chunk are a
/// [`Error::Conflict`]. One statement, so that transactions that
/// share chunks lock them in one order.
pub async fn change_chunks(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    decided: &BTreeMap<i64, i64>,
    asks: &[(Tenure, Ask)],
) -> Result<BTreeSet<i64>> {
    let mut changes: BTreeMap<i64, (i64, Option<&(Tenure, Ask)>)> =
        decided.iter().map(|(no, credits)| (*no, (*credits, None))).collect();
    for ask in asks {
        if changes.entry(ask.0.no).or_default().1.replace(ask).is_some() {
            // One of them is not the owner; each must be asked by itself.
            return Err(Error::Conflict);
        }
    }
    let (Some((&first, _)), Some((&last, _))) =
        (changes.first_key_value(), changes.last_key_value())
    else {
        return Ok(BTreeSet::new());
    };
    let tenures = || changes.values().map(|(_, ask)| ask.map(|(tenure, _)| tenure));
    let advances = || {
        changes.values().map(|(_, ask)| match ask {
            Some((_, Ask::Advance { mark, lease_until })) => Some((*mark, lease_until.0)),
            _ => None,
        })
    };
    let closes = changes.values().map(|(_, ask)| matches!(ask, Some((_, Ask::Close))));
    let rows = Rows::of(changes.len())
        .int("chunk_no", changes.keys().copied())
        .int("credits", changes.values().map(|(credits, _)| *credits))
        .int("epoch", tenures().map(|tenure| tenure.map(|tenure| tenure.epoch)))
        .bytes("owner", tenures().map(|tenure| tenure.map(|tenure| tenure.owner.0.to_vec())))
        .int("mark", advances().map(|advance| advance.map(|(mark, _)| mark)))
        .int("lease_until", advances().map(|advance| advance.map(|(_, until)| until)))
        .int("closes", closes.map(i64::from));
    // The bounds keep the statement off the stream's other chunks, whatever the planner does.
    let standing: Vec<(i64, i64, Vec<u8>, i64, i64)> = tx
        .all_of(
            "update chunk set open_amount = chunk.open_amount - r.credits,
               mark = case when chunk.state = 1 and chunk.epoch = r.epoch
                 and chunk.owner = r.owner and chunk.mark < r.mark then r.mark
                 else chunk.mark end,
               lease_until = case when chunk.state = 1 and chunk.epoch = r.epoch
                 and chunk.owner = r.owner and chunk.mark <= r.mark then r.lease_until
                 else chunk.lease_until end,
               state = case when chunk.state = 2 and chunk.open_amount = r.credits then 3
                 when chunk.state = 1 and chunk.epoch = r.epoch and chunk.owner = r.owner
                   and r.closes = 1
                   then case when chunk.open_amount = r.credits then 3 else 2 end
                 else chunk.state end
             from {rows}
             where chunk.account_id = $1 and chunk.stream_id = $2 and chunk.chunk_no = r.chunk_no
               and chunk.chunk_no between $3 and $4
             returning chunk.chunk_no, chunk.epoch, chunk.owner, chunk.state, chunk.mark",
            (account.0, stream.0, first, last),
            rows,
        )
        .await?;
    let changed = u64::try_from(standing.len()).unwrap_or(u64::MAX);
    expect_rows("change chunks", changes.len(), changed)?;
    let mut owners = BTreeSet::new();
    for (no, epoch, owner, state, mark) in standing {
        let Some(&(_, Some((tenure, ask)))) = changes.get(&no) else { continue };
        let theirs = epoch == tenure.epoch && owner == tenure.owner.0;
        let done = match ask {
            Ask::Advance { mark: asked, .. } => state == 1 && mark == *asked,
            Ask::Close => state != 1,
        };
        if theirs && done || domain::mutant!(M5) {
            owners.insert(no);
        }
    }
    Ok(owners)
}

/// Takes a dead owner's chunk: from here on the old owner's marks are refused. `None` when
/// somebody else was faster.
pub async fn take_over(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    chunk: &Chunk,
    owner: Incarnation,
    lease_until: Instant,
) -> Result<Option<Chunk>> {
    let changed = tx
        .execute(
            "update chunk set epoch = epoch + 1, owner = $5, lease_until = $6
             where account_id = $1 and stream_id = $2 and chunk_no = $3 and epoch = $4
               and state = 1",
            (account.0, stream.0, chunk.no, chunk.epoch, owner.0.to_vec(), lease_until.0),
        )
        .await?;
    if changed == 0 {
        return Ok(None);
    }
    let chunks = list_open(tx, account, stream).await?;
    Ok(chunks.into_iter().find(|taken| taken.no == chunk.no))
}

/// Chunks of a stream that somebody sends from.
pub async fn list_open(tx: &mut Tx, account: AccountId, stream: StreamId) -> Result<Vec<Chunk>> {
    let rows: Vec<(i64, String, i64, i64, Vec<u8>, i64, i64, i64)> = tx
        .all(
            "select chunk_no, ords, mark, epoch, owner, lease_until, reserved, claimed_at
             from chunk
             where account_id = $1 and stream_id = $2 and state = 1 and state < 3
             order by chunk_no",
            (account.0, stream.0),
        )
        .await?;
    rows.into_iter()
        .map(|(no, ords, mark, epoch, owner, lease_until, reserved, claimed_at)| {
            Ok(Chunk {
                no,
                ords: read_ords(&ords).ok_or_else(|| damaged("the texts of a chunk"))?,
                mark,
                epoch,
                owner: Incarnation(uuid(owner)?),
                lease_until: Instant(lease_until),
                reserved,
                claimed_at: Instant(claimed_at),
            })
        })
        .collect()
}

/// How many chunks of a stream stand in `state`.
pub async fn count_chunks(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    state: ChunkState,
) -> Result<i64> {
    // `state < 3` lets both engines use the small index over chunks that are not closed.
    let text = "select count(*) from chunk
         where account_id = $1 and stream_id = $2 and state = $3 and state < 3";
    let (n,): (i64,) = tx.one(text, (account.0, stream.0, state.code())).await?;
    Ok(n)
}

/// Positions as runs: `1-312,314-500,507`.
fn spell_ords(ords: &[i64]) -> String {
    ords.chunk_by(|a, b| a + 1 == *b)
        .map(|run| match run {
            [one] => one.to_string(),
            run => format!("{}-{}", run[0], run[run.len() - 1]),
        })
        .collect::<Vec<_>>()
        .join(",")
}

fn read_ords(text: &str) -> Option<Vec<i64>> {
    Some(read_runs(text)?.into_iter().flat_map(|(first, last)| first..=last).collect())
}

/// Reads the runs of positions, each with its first and its last.
pub(crate) fn read_runs(text: &str) -> Option<Vec<(i64, i64)>> {
    let runs = text.split(',').filter(|run| !run.is_empty());
    runs.map(|run| {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        Some((first.parse().ok()?, last.parse().ok()?))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_read_back_from_their_runs() {
        for (ords, text) in [(vec![], ""), (vec![7], "7"), (vec![1, 2, 3, 5, 9, 10], "1-3,5,9-10")]
        {
            assert_eq!(spell_ords(&ords), text);
            assert_eq!(read_ords(text), Some(ords));
        }
        assert_eq!(read_ords("1-x"), None);
    }
}
