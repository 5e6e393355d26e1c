//! Answers kept by idempotency key, in the same transaction as the effect they answer for.

use domain::ids::AccountId;

use crate::db::{Result, Tx};
use crate::hash;

/// An answer given before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Digest of the request it answered.
    pub request_hash: [u8; 32],
    /// HTTP status.
    pub status: u16,
    /// JSON body.
    pub body: String,
}

/// Takes the key for this transaction. `None`: it is ours, and [`keep_answer`] must follow in
/// this transaction. `Some`: it was used before. On PostgreSQL a second request with the same key
/// waits here until the first has committed.
pub async fn take_key(
    tx: &mut Tx,
    account: AccountId,
    key: &str,
    request_hash: [u8; 32],
) -> Result<Option<KeptAnswer>> {
    let now = tx.now().0;
    let taken = tx
        .execute(
            "insert into idempotency (account_id, idempotency_key, request_hash, status, answer,
               created_at) values ($1, $2, $3, 0, '', $4)
             on conflict (account_id, idempotency_key) do nothing",
            (account.0, key.to_owned(), request_hash.to_vec(), now),
        )
        .await?;
    if taken == 1 {
        return Ok(None);
    }
    // Nothing deletes answers, so what stood in the way is there.
    find_answer(tx, account, key).await
}

/// The answer that was kept under a key, for effects that look before they begin.
pub async fn find_answer(tx: &mut Tx, account: AccountId, key: &str) -> Result<Option<KeptAnswer>> {
    let row: Option<(Vec<u8>, i64, String)> = tx
        .optional(
            "select request_hash, status, answer from idempotency
             where account_id = $1 and idempotency_key = $2",
            (account.0, key.to_owned()),
        )
        .await?;
    row.map(kept_of).transpose()
}

fn kept_of((request_hash, status, body): (Vec<u8>, i64, String)) -> Result<KeptAnswer> {
    let status = u16::try_from(status).unwrap_or_default();
    Ok(KeptAnswer { request_hash: hash(request_hash)?, status, body })
}

/// Keeps the answer under a key this transaction has taken.
pub async fn keep_answer(
    tx: &mut Tx,
    account: AccountId,
    key: &str,
    status: u16,
    body: &str,
) -> Result<()> {
    let changed = tx
        .execute(
            "update idempotency set status = $3, answer = $4
             where account_id = $1 and idempotency_key = $2 and status = 0",
            (account.0, key.to_owned(), i64::from(status), body.to_owned()),
        )
        .await?;
    crate::db::expect_rows("keep an answer", 1, changed)
}
