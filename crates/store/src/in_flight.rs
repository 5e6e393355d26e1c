//! Texts that are on their way: taken up, and not answered for by the carrier yet.

use std::collections::BTreeSet;

use domain::ids::{AccountId, StreamId};
use domain::instant::Instant;
use domain::message::State;

use crate::db::{Result, Rows, Tx};

/// Which of these texts of a stream, given as position, phone and words, say what another text of
/// the account to the same phone says that is on its way; texts from before `since` aside.
pub async fn with_twins(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    since: Instant,
    texts: &[(i64, &str, &str)],
) -> Result<BTreeSet<i64>> {
    let rows = Rows::of(texts.len())
        .int("ord", texts.iter().map(|(ord, ..)| *ord))
        .text("phone", texts.iter().map(|(_, phone, _)| (*phone).to_owned()))
        .text("body", texts.iter().map(|(.., body)| (*body).to_owned()));
    let found: Vec<(i64,)> = tx
        .all_of(
            "select r.ord from {rows}
             {each recipient as t on t.phone = r.phone and t.account_id = $1
               and t.created_at >= $3}
             join message m on m.account_id = t.account_id and m.stream_id = t.stream_id
               and m.ord = t.ord
             where t.body = r.body and (t.stream_id <> $2 or t.ord <> r.ord)
               and m.state in ($4, $5)",
            (account.0, stream.0, since.0, State::Reserved.code(), State::Unknown.code()),
            rows,
        )
        .await?;
    Ok(found.into_iter().map(|(ord,)| ord).collect())
}
