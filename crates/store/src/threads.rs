//! Threads: one conversation per account and phone, and the texts that came in on it.

use domain::ids::{AccountId, InboundId, ThreadId};
use domain::instant::Instant;

use crate::db::{Result, Tx};
use crate::{contact_id, uuid};

/// A text that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// Its id.
    pub id: InboundId,
    /// The carrier's id of it; the same one twice is one text.
    pub sid: String,
    /// Whose text it is, E.164, a short code, or an address with its channel's prefix.
    pub phone: String,
    /// Which of our senders it came to.
    pub sender: String,
    /// What it says.
    pub body: String,
    /// Billed parts.
    pub segments: i64,
    /// Where its media are, as the carrier told.
    pub media: Vec<String>,
    /// `STOP`, `START` or `HELP` when the carrier has acted on it already.
    pub opt_out_type: Option<String>,
}

/// The conversation with this phone, made when there is none; it is open afterwards.
pub async fn open_thread(
    tx: &mut Tx,
    account: AccountId,
    fresh: ThreadId,
    phone: &str,
) -> Result<ThreadId> {
    let now = tx.now().0;
    tx.execute(
        "insert into thread (account_id, thread_id, phone, contact_id, state, inbound_at,
           updated_at)
         values ($1, $2, $3, (select contact_id from contact where account_id = $1 and phone = $3),
           'open', $4, $4)
         on conflict (account_id, phone) do update set state = 'open',
           contact_id = coalesce(thread.contact_id, excluded.contact_id),
           inbound_at = excluded.inbound_at, updated_at = excluded.updated_at",
        (account.0, fresh.0.to_vec(), phone.to_owned(), now),
    )
    .await?;
    let (id,): (Vec<u8>,) = tx
        .one(
            "select thread_id from thread where account_id = $1 and phone = $2",
            (account.0, phone.to_owned()),
        )
        .await?;
    Ok(ThreadId(uuid(id)?))
}

/// Keeps a text that came in; `false` when it is here already.
pub async fn insert_inbound(
    tx: &mut Tx,
    account: AccountId,
    thread: ThreadId,
    one: &Inbound,
) -> Result<bool> {
    let now = tx.now().0;
    let added = tx
        .execute(
            "insert into inbound (account_id, inbound_id, thread_id, sid, phone, sender_address,
               body, segments, media, opt_out_type, received_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             on conflict (account_id, sid) do nothing",
            (
                account.0,
                one.id.0.to_vec(),
                thread.0.to_vec(),
                one.sid.clone(),
                one.phone.clone(),
                one.sender.clone(),
                one.body.clone(),
                one.segments,
                one.media.join("\n"),
                one.opt_out_type.clone(),
                now,
            ),
        )
        .await?;
    Ok(added == 1)
}

/// Whether a text is here already.
pub async fn has_inbound(tx: &mut Tx, account: AccountId, sid: &str) -> Result<bool> {
    let text = "select count(*) from inbound where account_id = $1 and sid = $2";
    let (n,): (i64,) = tx.one(text, (account.0, sid.to_owned())).await?;
    Ok(n > 0)
}

/// A conversation as it stands.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Its id.
    pub id: ThreadId,
    /// With whom.
    pub phone: String,
    /// Who that is, when known.
    pub contact: Option<domain::ids::ContactId>,
    /// It waits for nothing more.
    pub closed: bool,
    /// When the last text came in.
    pub inbound_at: Option<Instant>,
    /// When anything last happened.
    pub updated_at: Instant,
}

type ThreadRow = (Vec<u8>, String, Option<Vec<u8>>, String, Option<i64>, i64);

fn thread_of((id, phone, contact, state, inbound_at, updated_at): ThreadRow) -> Result<Thread> {
    Ok(Thread {
        id: ThreadId(uuid(id)?),
        phone,
        contact: contact.map(contact_id).transpose()?,
        closed: state == "closed",
        inbound_at: inbound_at.map(Instant),
        updated_at: Instant(updated_at),
    })
}

/// An account's conversations, the newest first.
pub async fn list_threads(tx: &mut Tx, account: AccountId, limit: i64) -> Result<Vec<Thread>> {
    let rows: Vec<ThreadRow> = tx
        .all(
            "select thread_id, phone, contact_id, state, inbound_at, updated_at from thread
             where account_id = $1 order by updated_at desc, thread_id limit $2",
            (account.0, limit),
        )
        .await?;
    rows.into_iter().map(thread_of).collect()
}

/// Texts that came in on a conversation with the time of each, the newest first.
pub async fn inbound_of_thread(
    tx: &mut Tx,
    account: AccountId,
    thread: ThreadId,
    limit: i64,
) -> Result<Vec<(Instant, Inbound)>> {
    type InboundRow = (i64, Vec<u8>, String, String, String, String, i64, String, Option<String>);
    let rows: Vec<InboundRow> = tx
        .all(
            "select received_at, inbound_id, sid, phone, sender_address, body, segments, media,
               opt_out_type
             from inbound where account_id = $1 and thread_id = $2
             order by received_at desc, inbound_id limit $3",
            (account.0, thread.0.to_vec(), limit),
        )
        .await?;
    rows.into_iter()
        .map(|(at, id, sid, phone, sender, body, segments, media, opt_out_type)| {
            let media = media.lines().map(str::to_owned).collect();
            let id = InboundId(uuid(id)?);
            let one = Inbound { id, sid, phone, sender, body, segments, media, opt_out_type };
            Ok((Instant(at), one))
        })
        .collect()
}
