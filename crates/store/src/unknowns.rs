//! Texts whose fate is unknown: one row each, while the search for them goes on.

use domain::ids::{AccountId, MessageId, StreamId};
use domain::instant::Instant;

use crate::damaged;
use crate::db::{Result, Rows, Tx};

/// What the search for a text needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownText {
    /// Which text.
    pub message: MessageId,
    /// The attempt whose outcome is unknown.
    pub attempt: u16,
    /// Where it may have gone; empty when that is unknown too.
    pub carrier: String,
    /// Nothing of it was written before this instant.
    pub since: Instant,
    /// Nothing of it is written after this instant.
    pub dead_at: Instant,
    /// From here on its absence may be proven.
    pub resolve_by: Instant,
    /// When the carrier is asked next.
    pub next_look: Instant,
    /// How often the carrier was asked.
    pub looks: i64,
    /// Complete listings after `resolve_by` that did not hold it.
    pub negatives: i64,
    /// When the last of these was made.
    pub negative_at: Instant,
}

/// Adds texts to the search, or renews what is known of them.
pub async fn save_unknowns(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    list: &[UnknownText],
) -> Result<()> {
    let rows = Rows::of(list.len())
        .int("ord", list.iter().map(|one| one.message.ord))
        .int("attempt", list.iter().map(|one| i64::from(one.attempt)))
        .text("carrier", list.iter().map(|one| one.carrier.clone()))
        .int("since", list.iter().map(|one| one.since.0))
        .int("dead_at", list.iter().map(|one| one.dead_at.0))
        .int("resolve_by", list.iter().map(|one| one.resolve_by.0))
        .int("next_look", list.iter().map(|one| one.next_look.0))
        .int("looks", list.iter().map(|one| one.looks))
        .int("negatives", list.iter().map(|one| one.negatives))
        .int("negative_at", list.iter().map(|one| one.negative_at.0));
    tx.many(
        "insert into unknown_text (account_id, stream_id, ord, attempt, carrier, since, dead_at,
           resolve_by, next_look, looks, negatives, negative_at)
         select $1, $2, r.ord, r.attempt, r.carrier, r.since, r.dead_at, r.resolve_by, r.next_look,
           r.looks, r.negatives, r.negative_at from {rows} where true
         on conflict (account_id, stream_id, ord) do update set attempt = excluded.attempt,
           carrier = excluded.carrier, since = excluded.since, dead_at = excluded.dead_at,
           resolve_by = excluded.resolve_by, next_look = excluded.next_look,
           looks = excluded.looks, negatives = excluded.negatives,
           negative_at = excluded.negative_at",
        (account.0, stream.0),
        rows,
    )
    .await?;
    Ok(())
}

/// Takes texts off the search.
pub async fn drop_unknowns(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    ords: &[i64],
) -> Result<()> {
    tx.many(
        "delete from unknown_text where account_id = $1 and stream_id = $2
           and ord in (select r.ord from {rows})",
        (account.0, stream.0),
        Rows::of(ords.len()).int("ord", ords.iter().copied()),
    )
    .await?;
    Ok(())
}

type UnknownRow = (i64, i64, i64, i64, String, i64, i64, i64, i64, i64, i64, i64);

fn unknown_of(row: UnknownRow) -> Result<UnknownText> {
    let (account, stream, ord, attempt, carrier, since, dead, by, next, looks, negatives, at) = row;
    Ok(UnknownText {
        message: MessageId { account: AccountId(account), stream: StreamId(stream), ord },
        attempt: u16::try_from(attempt).map_err(|_| damaged("an attempt"))?,
        carrier,
        since: Instant(since),
        dead_at: Instant(dead),
        resolve_by: Instant(by),
        next_look: Instant(next),
        looks,
        negatives,
        negative_at: Instant(at),
    })
}

/// One text of the search.
pub async fn find_unknown(tx: &mut Tx, message: MessageId) -> Result<Option<UnknownText>> {
    tx.optional(
        "select account_id, stream_id, ord, attempt, carrier, since, dead_at, resolve_by,
           next_look, looks, negatives, negative_at
         from unknown_text where account_id = $1 and stream_id = $2 and ord = $3",
        (message.account.0, message.stream.0, message.ord),
    )
    .await?
    .map(unknown_of)
    .transpose()
}

/// How many texts of a stream are unknown, and by when the last of them is decided.
pub async fn unknowns_of_stream(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
) -> Result<(i64, Option<Instant>)> {
    let (n, last): (i64, Option<i64>) = tx
        .one(
            "select count(*), max(resolve_by) from unknown_text
             where account_id = $1 and stream_id = $2",
            (account.0, stream.0),
        )
        .await?;
    Ok((n, last.map(Instant)))
}

/// Texts the carrier is to be asked about now, the longest due first. Looks across accounts; what
/// is learnt is recorded account by account.
pub async fn due_unknowns(tx: &mut Tx, limit: i64) -> Result<Vec<UnknownText>> {
    let now = tx.now().0;
    let rows: Vec<UnknownRow> = tx
        .all(
            "select account_id, stream_id, ord, attempt, carrier, since, dead_at, resolve_by,
               next_look, looks, negatives, negative_at
             from unknown_text where next_look <= $1 order by next_look limit $2",
            (now, limit),
        )
        .await?;
    rows.into_iter().map(unknown_of).collect()
}
