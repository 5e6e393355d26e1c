//! Scans across accounts. They find only where there is work, as `(account, stream)` pairs; the
//! work itself is done account by account.

use domain::campaign::State;
use domain::ids::{AccountId, StreamId};

use crate::db::{Result, Tx};

/// A stream with work to do.
pub type Place = (AccountId, StreamId);

fn places(rows: Vec<(i64, i64)>) -> Vec<Place> {
    rows.into_iter().map(|(account, stream)| (AccountId(account), StreamId(stream))).collect()
}

/// Streams in one of `states`, oldest change first.
pub async fn streams_in(tx: &mut Tx, states: [State; 2], limit: i64) -> Result<Vec<Place>> {
    let rows = tx
        .all(
            "select account_id, stream_id from stream where state in ($1, $2)
             order by updated_at limit $3",
            (states[0].code(), states[1].code(), limit),
        )
        .await?;
    Ok(places(rows))
}

/// Streams that may be taken up and have texts nobody took up yet.
pub async fn streams_with_texts(tx: &mut Tx, limit: i64) -> Result<Vec<Place>> {
    let rows = tx
        .all(
            "select account_id, stream_id from stream
             where state in ($1, $2) and position < total order by updated_at limit $3",
            (State::Running.code(), State::Draining.code(), limit),
        )
        .await?;
    Ok(places(rows))
}

/// Streams with waiting texts whose time has come.
pub async fn streams_with_due(tx: &mut Tx, limit: i64) -> Result<Vec<Place>> {
    let now = tx.now().0;
    let rows = tx
        .all(
            "select distinct account_id, stream_id from
               (select account_id, stream_id from deferred where due_at <= $1
                order by due_at limit 10000) as d
             limit $2",
            (now, limit),
        )
        .await?;
    Ok(places(rows))
}

/// Streams with chunks that somebody sends from.
pub async fn streams_with_open_chunks(tx: &mut Tx, limit: i64) -> Result<Vec<Place>> {
    let rows = tx
        .all(
            "select distinct account_id, stream_id from chunk where state = 1 and state < 3
             limit $1",
            (limit,),
        )
        .await?;
    Ok(places(rows))
}
