//! What leaves how fast: texts by groups of numbers, hour by hour, and what left within the last
//! hour where an account limits that.
//!
//! Both are read and written by whoever holds the account's wallet, so that no two claims count
//! the same texts.

use std::collections::BTreeMap;

use domain::ids::{AccountId, AppointmentId, StreamId};
use domain::instant::Instant;
use domain::velocity::Count;

use crate::db::{Result, Rows, Tx};
use crate::uuid;

/// The counts of these groups in an hour; those without texts are left out.
pub async fn counts(
    tx: &mut Tx,
    account: AccountId,
    hour: Instant,
    groups: &[String],
) -> Result<BTreeMap<String, Count>> {
    let rows = Rows::of(groups.len()).text("prefix", groups.iter().cloned());
    let found: Vec<(String, i64, i64, i64)> = tx
        .all_of(
            "select v.prefix, v.n, v.low, v.high from {rows}
             {join velocity as v on v.account_id = $1 and v.hour = $2 and v.prefix = r.prefix}",
            (account.0, hour.0),
            rows,
        )
        .await?;
    let count = |(group, texts, low, high)| (group, Count { texts, low, high });
    Ok(found.into_iter().map(count).collect())
}

/// Writes the counts of groups in an hour.
pub async fn save_counts(
    tx: &mut Tx,
    account: AccountId,
    hour: Instant,
    counts: &[(String, Count)],
) -> Result<()> {
    let rows = Rows::of(counts.len())
        .text("prefix", counts.iter().map(|(group, _)| group.clone()))
        .int("n", counts.iter().map(|(_, count)| count.texts))
        .int("low", counts.iter().map(|(_, count)| count.low))
        .int("high", counts.iter().map(|(_, count)| count.high));
    tx.many(
        "insert into velocity (account_id, hour, prefix, n, low, high)
         select $1, $2, r.prefix, r.n, r.low, r.high from {rows} where true
         on conflict (account_id, hour, prefix) do update set n = excluded.n, low = excluded.low,
           high = excluded.high",
        (account.0, hour.0),
        rows,
    )
    .await?;
    Ok(())
}

/// Forgets the count of a group in an hour.
pub async fn forget_count(
    tx: &mut Tx,
    account: AccountId,
    hour: Instant,
    group: &str,
) -> Result<()> {
    let text = "delete from velocity where account_id = $1 and hour = $2 and prefix = $3";
    tx.execute(text, (account.0, hour.0, group.to_owned())).await?;
    Ok(())
}

/// Forgets the counts of the hours before this one; how many there were.
pub async fn forget_before(tx: &mut Tx, account: AccountId, hour: Instant) -> Result<u64> {
    let text = "delete from velocity where account_id = $1 and hour < $2";
    tx.execute(text, (account.0, hour.0)).await
}

/// What a limit by the hour counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Departing {
    /// Bookings reminded of.
    Reminder,
    /// Single texts of all other kinds.
    Text,
}

impl Departing {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Reminder => "reminder",
            Self::Text => "text",
        }
    }
}

/// How many things left after `since`, and when that one left of them which frees a place next,
/// where there are `most` places. Older ones are forgotten.
pub async fn departed(
    tx: &mut Tx,
    account: AccountId,
    kind: Departing,
    since: Instant,
    most: i64,
) -> Result<(i64, Option<Instant>)> {
    let text = "delete from departure where account_id = $1 and kind = $2 and left_at <= $3";
    tx.execute(text, (account.0, kind.as_str().to_owned(), since.0)).await?;
    let text = "select count(*) from departure where account_id = $1 and kind = $2";
    let (n,): (i64,) = tx.one(text, (account.0, kind.as_str().to_owned())).await?;
    let frees: Option<(i64,)> = tx
        .optional(
            "select left_at from departure where account_id = $1 and kind = $2
             order by left_at desc limit 1 offset $3",
            (account.0, kind.as_str().to_owned(), (n.min(most) - 1).max(0)),
        )
        .await?;
    Ok((n, frees.map(|(at,)| Instant(at))))
}

/// Which of these things left within the hour that [`departed`] kept.
pub async fn among_departed(
    tx: &mut Tx,
    account: AccountId,
    kind: Departing,
    subjects: &[Vec<u8>],
) -> Result<Vec<Vec<u8>>> {
    let rows = Rows::of(subjects.len()).bytes("subject", subjects.iter().cloned());
    let found: Vec<(Vec<u8>,)> = tx
        .all_of(
            "select d.subject from {rows}
             {join departure as d on d.account_id = $1 and d.kind = $2 and d.subject = r.subject}",
            (account.0, kind.as_str().to_owned()),
            rows,
        )
        .await?;
    Ok(found.into_iter().map(|(subject,)| subject).collect())
}

/// Notes that these things, all different, leave now.
pub async fn depart(
    tx: &mut Tx,
    account: AccountId,
    kind: Departing,
    subjects: &[Vec<u8>],
) -> Result<()> {
    let now = tx.now().0;
    let rows = Rows::of(subjects.len()).bytes("subject", subjects.iter().cloned());
    tx.many(
        "insert into departure (account_id, kind, subject, left_at)
         select $1, $2, r.subject, $3 from {rows} where true
         on conflict (account_id, kind, subject) do update set left_at = excluded.left_at",
        (account.0, kind.as_str().to_owned(), now),
        rows,
    )
    .await?;
    Ok(())
}

/// The bookings that texts of a stream remind of, by the texts' positions.
pub async fn bookings_of(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    ords: &[i64],
) -> Result<BTreeMap<i64, AppointmentId>> {
    let rows = Rows::of(ords.len()).int("ord", ords.iter().copied());
    let found: Vec<(i64, Vec<u8>)> = tx
        .all_of(
            // The range leads SQLite to the index: from equalities alone it takes the primary key
            // and reads all reminders of the account.
            "select m.ord, m.appointment_id from {rows}
             {join reminder as m on m.account_id = $1 and m.stream_id = $2 and m.ord >= r.ord
               and m.ord <= r.ord}",
            (account.0, stream.0),
            rows,
        )
        .await?;
    found.into_iter().map(|(ord, id)| Ok((ord, AppointmentId(uuid(id)?)))).collect()
}
