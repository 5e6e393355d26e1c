//! What staff write for each other on a conversation, and the texts they send often.

use domain::ids::{AccountId, CannedReplyId, NoteId, ThreadId};
use domain::instant::Instant;

use crate::db::{Result, Tx};
use crate::uuid;

/// Canned replies an account has at most.
pub const CANNED_REPLIES_MAX: i64 = 500;

/// A remark on a conversation; nobody outside sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its id.
    pub id: NoteId,
    /// Whose it is.
    pub author: String,
    /// What it says.
    pub body: String,
    /// When it was written.
    pub at: Instant,
}

/// Keeps a note; its time is the present.
pub async fn insert_note(
    tx: &mut Tx,
    account: AccountId,
    thread: ThreadId,
    note: &Note,
) -> Result<()> {
    let now = tx.now().0;
    tx.execute(
        "insert into note (account_id, note_id, thread_id, author, body, at)
         values ($1, $2, $3, $4, $5, $6)",
        (
            account.0,
            note.id.0.to_vec(),
            thread.0.to_vec(),
            note.author.clone(),
            note.body.clone(),
            now,
        ),
    )
    .await?;
    Ok(())
}

/// The latest notes on a conversation, the newest first.
pub async fn list_notes(
    tx: &mut Tx,
    account: AccountId,
    thread: ThreadId,
    limit: i64,
) -> Result<Vec<Note>> {
    let rows: Vec<(Vec<u8>, String, String, i64)> = tx
        .all(
            "select note_id, author, body, at from note
             where account_id = $1 and thread_id = $2 order by at desc, note_id desc limit $3",
            (account.0, thread.0.to_vec(), limit),
        )
        .await?;
    rows.into_iter()
        .map(|(id, author, body, at)| {
            Ok(Note { id: NoteId(uuid(id)?), author, body, at: Instant(at) })
        })
        .collect()
}

/// A text that staff send often; its words may name what is known of the contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CannedReply {
    /// Its id.
    pub id: CannedReplyId,
    /// What staff call it; no two of an account have the same name.
    pub name: String,
    /// Its words, a template.
    pub body: String,
    /// When it was last written.
    pub updated_at: Instant,
}

type CannedRow = (Vec<u8>, String, String, i64);

fn canned_of((id, name, body, updated_at): CannedRow) -> Result<CannedReply> {
    let id = CannedReplyId(uuid(id)?);
    Ok(CannedReply { id, name, body, updated_at: Instant(updated_at) })
}

/// An account's canned replies by name.
pub async fn list_canned_replies(tx: &mut Tx, account: AccountId) -> Result<Vec<CannedReply>> {
    let rows: Vec<CannedRow> = tx
        .all(
            "select reply_id, name, body, updated_at from canned_reply
             where account_id = $1 order by name limit $2",
            (account.0, CANNED_REPLIES_MAX),
        )
        .await?;
    rows.into_iter().map(canned_of).collect()
}

/// One canned reply.
pub async fn find_canned_reply(
    tx: &mut Tx,
    account: AccountId,
    id: CannedReplyId,
) -> Result<Option<CannedReply>> {
    let row: Option<CannedRow> = tx
        .optional(
            "select reply_id, name, body, updated_at from canned_reply
             where account_id = $1 and reply_id = $2",
            (account.0, id.0.to_vec()),
        )
        .await?;
    row.map(canned_of).transpose()
}

/// The canned reply of this name.
pub async fn canned_reply_named(
    tx: &mut Tx,
    account: AccountId,
    name: &str,
) -> Result<Option<CannedReplyId>> {
    let text = "select reply_id from canned_reply where account_id = $1 and name = $2";
    let row: Option<(Vec<u8>,)> = tx.optional(text, (account.0, name.to_owned())).await?;
    row.map(|(id,)| uuid(id).map(CannedReplyId)).transpose()
}

/// Writes a canned reply, a new one or one that is there; its time is the present.
pub async fn save_canned_reply(tx: &mut Tx, account: AccountId, one: &CannedReply) -> Result<()> {
    let now = tx.now().0;
    tx.execute(
        "insert into canned_reply (account_id, reply_id, name, body, updated_at)
         values ($1, $2, $3, $4, $5)
         on conflict (account_id, reply_id) do update set name = excluded.name,
           body = excluded.body, updated_at = excluded.updated_at",
        (account.0, one.id.0.to_vec(), one.name.clone(), one.body.clone(), now),
    )
    .await?;
    Ok(())
}

/// Removes a canned reply; `false` when there is none.
pub async fn delete_canned_reply(
    tx: &mut Tx,
    account: AccountId,
    id: CannedReplyId,
) -> Result<bool> {
    let text = "delete from canned_reply where account_id = $1 and reply_id = $2";
    Ok(tx.execute(text, (account.0, id.0.to_vec())).await? == 1)
}
