//! Texts whose reason is gone, and when phones were last told how to opt out.

use domain::ids::{AccountId, MessageId};
use domain::instant::Instant;

use crate::db::{Result, Rows, Tx};

/// Takes texts back: one that has not left yet never will. For those that have it changes nothing.
pub async fn withdraw(
    tx: &mut Tx,
    account: AccountId,
    texts: &[MessageId],
    why: &str,
) -> Result<()> {
    let now = tx.now().0;
    let rows = Rows::of(texts.len())
        .int("stream_id", texts.iter().map(|text| text.stream.0))
        .int("ord", texts.iter().map(|text| text.ord));
    tx.many(
        "insert into withdrawal (account_id, stream_id, ord, why, at)
         select $1, r.stream_id, r.ord, $2, $3 from {rows} where true
         on conflict (account_id, stream_id, ord) do nothing",
        (account.0, why.to_owned(), now),
        rows,
    )
    .await?;
    Ok(())
}

/// When each of these phones was last told how to opt out, where it was.
pub async fn footers_of(
    tx: &mut Tx,
    account: AccountId,
    phones: &[String],
) -> Result<Vec<(String, Instant)>> {
    let rows = Rows::of(phones.len()).text("phone", phones.iter().cloned());
    let found: Vec<(String, i64)> = tx
        .all_of(
            "select f.phone, f.at from {rows}
             {join footer as f on f.account_id = $1 and f.phone = r.phone}",
            (account.0,),
            rows,
        )
        .await?;
    Ok(found.into_iter().map(|(phone, at)| (phone, Instant(at))).collect())
}

/// Remembers that these phones were told now. Each is named once.
pub async fn keep_footers(tx: &mut Tx, account: AccountId, phones: &[String]) -> Result<()> {
    let now = tx.now().0;
    let rows = Rows::of(phones.len()).text("phone", phones.iter().cloned());
    tx.many(
        "insert into footer (account_id, phone, at) select $1, r.phone, $2 from {rows} where true
         on conflict (account_id, phone) do update set at = excluded.at",
        (account.0, now),
        rows,
    )
    .await?;
    Ok(())
}
