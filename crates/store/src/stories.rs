//! Reading messages for people: one message's story, a campaign's recipients.

use domain::ids::{AccountId, ContactId, StreamId};
use domain::instant::Instant;
use domain::message::State;

use crate::db::{Error, Result, Tx, dialects};
use crate::messages::{EventKind, Message, message_of};
use crate::{contact_id, damaged};

/// A message, if its text was taken up.
pub async fn find_message(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    ord: i64,
) -> Result<Option<Message>> {
    tx.optional(
        "select ord, attempt, state, chunk_no, price, sid, code, rule, why from message
         where account_id = $1 and stream_id = $2 and ord = $3",
        (account.0, stream.0, ord),
    )
    .await?
    .map(message_of)
    .transpose()
}

/// When a waiting text is due.
pub async fn due_at(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    ord: i64,
) -> Result<Option<Instant>> {
    let row: Option<(i64,)> = tx
        .optional(
            "select due_at from deferred
             where account_id = $1 and stream_id = $2 and ord = $3",
            (account.0, stream.0, ord),
        )
        .await?;
    Ok(row.map(|(at,)| Instant(at)))
}

/// When a text was intended.
pub async fn recipient_created_at(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    ord: i64,
) -> Result<Instant> {
    let row: Option<(i64,)> = tx
        .optional(
            "select created_at from recipient
             where account_id = $1 and stream_id = $2 and ord = $3",
            (account.0, stream.0, ord),
        )
        .await?;
    row.map(|(at,)| Instant(at)).ok_or(Error::Missing("message"))
}

/// A piece of evidence with its time.
#[derive(Clone, Debug)]
pub struct Event {
    /// When it was kept.
    pub at: Instant,
    /// What happened.
    pub kind: EventKind,
    /// Which attempt.
    pub attempt: u16,
    /// The carrier's error code, or 0.
    pub code: i64,
    /// The ledger line, or 0.
    pub seq: i64,
    /// More, in words.
    pub detail: Option<String>,
}

const EVENTS_MAX: i64 = 1000;

/// Everything kept about one message, oldest first.
pub async fn story(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    ord: i64,
) -> Result<Vec<Event>> {
    let rows: Vec<(i64, i64, i64, i64, i64, Option<String>)> = tx
        .all(
            "select at, kind, attempt, code, seq, detail from message_event
             where account_id = $1 and stream_id = $2 and ord = $3 order by at, kind limit $4",
            (account.0, stream.0, ord, EVENTS_MAX),
        )
        .await?;
    rows.into_iter()
        .map(|(at, kind, attempt, code, seq, detail)| {
            Ok(Event {
                at: Instant(at),
                kind: EventKind::from_code(kind).ok_or_else(|| damaged("an event"))?,
                attempt: u16::try_from(attempt).map_err(|_| damaged("an attempt"))?,
                code,
                seq,
                detail,
            })
        })
        .collect()
}

/// Credits a stream holds, and those it has spent: what its chunks reserved, less what is open,
/// less what its ledger lines gave back.
pub async fn credits_of_stream(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
) -> Result<(i64, i64)> {
    let (open,): (i64,) = tx
        .one(
            "select cast(coalesce(sum(open_amount), 0) as bigint) from chunk
             where account_id = $1 and stream_id = $2 and state < 3",
            (account.0, stream.0),
        )
        .await?;
    let (spent,): (i64,) = tx
        .one(
            "select cast(coalesce(sum(credits), 0) as bigint) from tally
             where account_id = $1 and stream_id = $2 and state in ($3, $4, $5, $6, $7)",
            (
                account.0,
                stream.0,
                State::Accepted.code(),
                State::Sent.code(),
                State::Delivered.code(),
                State::Undelivered.code(),
                State::Read.code(),
            ),
        )
        .await?;
    Ok((open, spent))
}

/// Which recipients are wanted: one bit for each state of their messages, the lowest for those not
/// taken up yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateFilter(i64);

impl StateFilter {
    /// All.
    pub const ANY: Self = Self(-1);
    /// Those not taken up yet.
    pub const UNTOUCHED: Self = Self(1);

    /// Those whose message stands in one of these states.
    pub fn of(states: &[State]) -> Self {
        Self(states.iter().fold(0, |bits, state| bits | 1 << state.code()))
    }

    /// Those of either filter.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A recipient and its message, if it was taken up.
#[derive(Clone, Debug)]
pub struct RecipientRow {
    /// Position.
    pub ord: i64,
    /// E.164.
    pub phone: String,
    /// Who it is.
    pub contact: Option<ContactId>,
    /// Credits.
    pub price: i64,
    /// Its message.
    pub message: Option<Message>,
}

type RecipientMessageRow = (
    i64,
    String,
    Option<Vec<u8>>,
    i64,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<String>,
);

/// Recipients after position `after`, in order.
pub async fn recipients_with_messages(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    filter: StateFilter,
    after: i64,
    limit: i64,
) -> Result<Vec<RecipientRow>> {
    // PostgreSQL without fresh statistics would read all messages of the stream for each
    // recipient; a look-up by the whole key leaves it no choice. SQLite knows no lateral join and
    // looks up by the whole key anyway.
    let text = dialects(
        "select t.ord, t.phone, t.contact_id, t.price, m.attempt, m.state, m.chunk_no, m.sid,
           m.code, m.rule, m.why
         from recipient t
         left join message m on m.account_id = t.account_id and m.stream_id = t.stream_id
           and m.ord = t.ord
         where t.account_id = $1 and t.stream_id = $2 and t.ord > $3
           and ($4 >> cast(coalesce(m.state, 0) as integer)) & 1 = 1
         order by t.ord limit $5",
        "select t.ord, t.phone, t.contact_id, t.price, m.attempt, m.state, m.chunk_no, m.sid,
           m.code, m.rule, m.why
         from recipient t
         left join lateral (
           select o.* from message o
           where o.account_id = $1 and o.stream_id = $2 and o.ord = t.ord limit 1
         ) m on true
         where t.account_id = $1 and t.stream_id = $2 and t.ord > $3
           and ($4 >> cast(coalesce(m.state, 0) as integer)) & 1 = 1
         order by t.ord limit $5",
    );
    let rows: Vec<RecipientMessageRow> =
        tx.all(text, (account.0, stream.0, after, filter.0, limit)).await?;
    rows.into_iter()
        .map(|(ord, phone, contact, price, attempt, state, chunk, sid, code, rule, why)| {
            let message = match (attempt, state, chunk) {
                (Some(attempt), Some(state), Some(chunk)) => {
                    Some(message_of((ord, attempt, state, chunk, price, sid, code, rule, why))?)
                }
                _ => None,
            };
            let contact = contact.map(contact_id).transpose()?;
            Ok(RecipientRow { ord, phone, contact, price, message })
        })
        .collect()
}
