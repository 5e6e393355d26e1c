//! Messages: what has become of each intended text, the evidence for it, and the tallies.
//!
//! `message` is the hot table; its only index is its key, appended in order. Exceptional rows
//! (those waiting for a time) stand beside it in `deferred`.

use std::collections::BTreeMap;

use domain::ids::{AccountId, StreamId};
use domain::instant::Instant;
use domain::message::State;
use domain::permit::Rule;

use crate::damaged;
use crate::db::{Result, Rows, Tx, dialects, expect_rows};

/// A message's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its position in the stream.
    pub ord: i64,
    /// Calls to a carrier made or begun for it, counted from 1.
    pub attempt: u16,
    /// Where it stands.
    pub state: State,
    /// The chunk that holds its reservation, or held it last; 0 for none.
    pub chunk: i64,
    /// Credits it costs.
    pub price: i64,
    /// The carrier's id of it.
    pub sid: Option<String>,
    /// The carrier's error code, or 0.
    pub code: i64,
    /// The rule that decided against it, or put it off.
    pub rule: Option<Rule>,
    /// The inputs of that rule, in words.
    pub why: Option<String>,
}

pub(crate) type MessageRow =
    (i64, i64, i64, i64, i64, Option<String>, Option<i64>, Option<i64>, Option<String>);

pub(crate) fn message_of(row: MessageRow) -> Result<Message> {
    let (ord, attempt, state, chunk, price, sid, code, rule, why) = row;
    Ok(Message {
        ord,
        attempt: u16::try_from(attempt).map_err(|_| damaged("the attempt of a message"))?,
        state: State::from_code(state).ok_or_else(|| damaged("the state of a message"))?,
        chunk,
        price,
        sid,
        code: code.unwrap_or(0),
        rule: rule.and_then(Rule::from_code),
        why,
    })
}

/// The messages at these ordinals (given in ascending order), locked until the transaction ends.
pub async fn lock_messages(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    ords: &[i64],
) -> Result<Vec<Message>> {
    let rows = Rows::of(ords.len()).int("ord", ords.iter().copied());
    let text = "select {pack m.ord, m.attempt, m.state, m.chunk_no, m.price, m.sid, m.code, m.rule,
                  m.why}
                from {rows}
                {lock message as m on m.account_id = $1 and m.stream_id = $2 and m.ord = r.ord}";
    let found: Vec<MessageRow> = tx.packed_of(text, (account.0, stream.0), rows).await?;
    let mut found = found.into_iter().map(message_of).collect::<Result<Vec<_>>>()?;
    found.sort_unstable_by_key(|message| message.ord);
    Ok(found)
}

/// Adds rows for texts taken up for the first time.
pub async fn insert_messages(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    messages: &[Message],
) -> Result<()> {
    let now = tx.now().0;
    let added = tx
        .many(
            "insert into message (account_id, stream_id, ord, attempt, state, chunk_no, price, sid,
               code, rule, why, updated_at)
             select $1, $2, r.ord, r.attempt, r.state, r.chunk_no, r.price, r.sid, r.code, r.rule,
               r.why, $3 from {rows}",
            (account.0, stream.0, now),
            message_rows(messages),
        )
        .await?;
    expect_rows("add messages", messages.len(), added)
}

/// Writes rows this transaction has locked.
pub async fn save_messages(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    messages: &[Message],
) -> Result<()> {
    let now = tx.now().0;
    // Whole rows are written over those that are there, because an update from a batch can turn
    // quadratic. SQLite replaces a row at two thirds of the price of an upsert.
    let text = dialects(
        "replace into message (account_id, stream_id, ord, attempt, state, chunk_no, price, sid,
           code, rule, why, updated_at)
         select $1, $2, r.ord, r.attempt, r.state, r.chunk_no, r.price, r.sid, r.code, r.rule,
           r.why, $3 from {rows}",
        "insert into message (account_id, stream_id, ord, attempt, state, chunk_no, price, sid,
           code, rule, why, updated_at)
         select $1, $2, r.ord, r.attempt, r.state, r.chunk_no, r.price, r.sid, r.code, r.rule,
           r.why, $3 from {rows}
         on conflict (account_id, stream_id, ord) do update set attempt = excluded.attempt,
           state = excluded.state, chunk_no = excluded.chunk_no, sid = excluded.sid,
           code = excluded.code, rule = excluded.rule, why = excluded.why,
           updated_at = excluded.updated_at",
    );
    let changed = tx.many(text, (account.0, stream.0, now), message_rows(messages)).await?;
    expect_rows("save messages", messages.len(), changed)
}

fn message_rows(messages: &[Message]) -> Rows {
    Rows::of(messages.len())
        .int("ord", messages.iter().map(|one| one.ord))
        .int("attempt", messages.iter().map(|one| i64::from(one.attempt)))
        .int("state", messages.iter().map(|one| one.state.code()))
        .int("chunk_no", messages.iter().map(|one| one.chunk))
        .int("price", messages.iter().map(|one| one.price))
        .text("sid", messages.iter().map(|one| one.sid.clone()))
        .int("code", messages.iter().map(|one| Some(one.code).filter(|code| *code != 0)))
        .int("rule", messages.iter().map(|one| one.rule.map(Rule::code)))
        .text("why", messages.iter().map(|one| one.why.clone()))
}

/// A piece of evidence about a message, kept for ever.
#[derive(Clone, Debug)]
pub struct MessageEvent {
    /// Which message.
    pub ord: i64,
    /// Which attempt it speaks of.
    pub attempt: u16,
    /// What happened.
    pub kind: EventKind,
    /// The carrier's error code, or 0.
    pub code: i64,
    /// The ledger line that moved credits for it, or 0.
    pub seq: i64,
    /// Credits that moved.
    pub price: i64,
    /// The carrier's id.
    pub sid: Option<String>,
    /// More, in words.
    pub detail: Option<String>,
}

/// What a piece of evidence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// Credits moved and the message stands in this state since.
    Turned(State),
    /// A receipt with this status came.
    Receipt(State),
    /// The carrier's listing held the text.
    Listed,
    /// The carrier's complete listing did not hold the text.
    NotListed,
}

impl EventKind {
    /// The number kept: receipts stand above the turns.
    pub const fn code(self) -> i64 {
        match self {
            Self::Turned(state) => state.code(),
            Self::Receipt(state) => 100 + state.code(),
            Self::Listed => 201,
            Self::NotListed => 202,
        }
    }

    /// Reads [`Self::code`].
    pub fn from_code(code: i64) -> Option<Self> {
        match code {
            201 => Some(Self::Listed),
            202 => Some(Self::NotListed),
            101.. => State::from_code(code - 100).map(Self::Receipt),
            _ => State::from_code(code).map(Self::Turned),
        }
    }
}

/// Keeps evidence; the same evidence twice is kept once.
pub async fn insert_events(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    events: &[MessageEvent],
) -> Result<()> {
    let now = tx.now().0;
    let rows = Rows::of(events.len())
        .int("ord", events.iter().map(|event| event.ord))
        .int("attempt", events.iter().map(|event| i64::from(event.attempt)))
        .int("kind", events.iter().map(|event| event.kind.code()))
        .int("code", events.iter().map(|event| event.code))
        .int("seq", events.iter().map(|event| event.seq))
        .int("price", events.iter().map(|event| event.price))
        .text("sid", events.iter().map(|event| event.sid.clone()))
        .text("detail", events.iter().map(|event| event.detail.clone()));
    // The number of a ledger line is new with it, so what it moved cannot be kept already.
    let all_new = events.iter().all(|event| event.seq > 0);
    let text = if all_new {
        "insert into message_event (account_id, stream_id, ord, attempt, kind, code, seq, price,
           sid, detail, at)
         select $1, $2, r.ord, r.attempt, r.kind, r.code, r.seq, r.price, r.sid, r.detail, $3
         from {rows}"
    } else {
        "insert into message_event (account_id, stream_id, ord, attempt, kind, code, seq, price,
           sid, detail, at)
         select $1, $2, r.ord, r.attempt, r.kind, r.code, r.seq, r.price, r.sid, r.detail, $3
         from {rows} where true
         on conflict (account_id, stream_id, ord, attempt, kind, code, seq) do nothing"
    };
    tx.many(text, (account.0, stream.0, now), rows).await?;
    Ok(())
}

/// Puts texts off until their times.
pub async fn defer(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    due: &[(i64, Instant)],
) -> Result<()> {
    let rows = Rows::of(due.len())
        .int("ord", due.iter().map(|(ord, _)| *ord))
        .int("due_at", due.iter().map(|(_, at)| at.0));
    tx.many(
        "insert into deferred (account_id, stream_id, ord, due_at)
         select $1, $2, r.ord, r.due_at from {rows} where true
         on conflict (account_id, stream_id, ord) do update set due_at = excluded.due_at",
        (account.0, stream.0),
        rows,
    )
    .await?;
    Ok(())
}

/// Takes texts off the waiting list.
pub async fn undefer(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    ords: &[i64],
) -> Result<()> {
    let rows = Rows::of(ords.len()).int("ord", ords.iter().copied());
    tx.many(
        "delete from deferred where account_id = $1 and stream_id = $2
           and ord in (select r.ord from {rows})",
        (account.0, stream.0),
        rows,
    )
    .await?;
    Ok(())
}

/// Waiting texts of a stream whose time has come, by position.
pub async fn due(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    limit: i64,
) -> Result<Vec<i64>> {
    let now = tx.now().0;
    let rows: Vec<(i64,)> = tx
        .all(
            "select ord from deferred
             where account_id = $1 and stream_id = $2 and due_at <= $3
             order by due_at, ord limit $4",
            (account.0, stream.0, now, limit),
        )
        .await?;
    let mut ords: Vec<i64> = rows.into_iter().map(|(ord,)| ord).collect();
    ords.sort_unstable();
    Ok(ords)
}

/// Waiting texts of a stream, due or not, by position.
pub async fn list_deferred(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    limit: i64,
) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> = tx
        .all(
            "select ord from deferred where account_id = $1 and stream_id = $2
             order by ord limit $3",
            (account.0, stream.0, limit),
        )
        .await?;
    Ok(rows.into_iter().map(|(ord,)| ord).collect())
}

/// Changes of the numbers of messages per state, and of the sums of their prices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TallyChange(BTreeMap<State, (i64, i64)>);

impl TallyChange {
    fn add(&mut self, state: State, n: i64, credits: i64) {
        let sums = self.0.entry(state).or_default();
        *sums = (sums.0 + n, sums.1 + credits);
    }

    /// A message of this price came to stand in `state`.
    pub fn enter(&mut self, state: State, price: i64) {
        self.add(state, 1, price);
    }

    /// A message of this price went from one state to another.
    pub fn turn(&mut self, from: State, to: State, price: i64) {
        self.add(from, -1, -price);
        self.add(to, 1, price);
    }
}

/// Applies changes to a stream's tallies. Taken after every other lock.
pub async fn change_tallies(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    change: &TallyChange,
) -> Result<()> {
    let mut changes: Vec<(i64, i64, i64)> = change
        .0
        .iter()
        .filter(|(_, sums)| **sums != (0, 0))
        .map(|(state, (n, credits))| (state.code(), *n, *credits))
        .collect();
    let changed = add_to_tallies(tx, account, stream, &changes).await?;
    if changed.len() == changes.len() {
        return Ok(());
    }
    // The missing rows are made first: a negative change must not be judged as a row of its own.
    changes.retain(|(state, ..)| !changed.contains(state));
    tx.many(
        "insert into tally (account_id, stream_id, state, n, credits)
         select $1, $2, r.state, 0, 0 from {rows} where true
         on conflict (account_id, stream_id, state) do nothing",
        (account.0, stream.0),
        Rows::of(changes.len()).int("state", changes.iter().map(|(state, ..)| *state)),
    )
    .await?;
    let changed = add_to_tallies(tx, account, stream, &changes).await?;
    let found = u64::try_from(changed.len()).unwrap_or(u64::MAX);
    expect_rows("change tallies", changes.len(), found)
}

/// Adds `(state, messages, credits)` to tallies that are there; answers which were.
async fn add_to_tallies(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    changes: &[(i64, i64, i64)],
) -> Result<Vec<i64>> {
    let rows = Rows::of(changes.len())
        .int("state", changes.iter().map(|(state, ..)| *state))
        .int("n", changes.iter().map(|(_, n, _)| *n))
        .int("credits", changes.iter().map(|(.., credits)| *credits));
    let changed: Vec<(i64,)> = tx
        .all_of(
            "update tally set n = tally.n + r.n, credits = tally.credits + r.credits from {rows}
             where tally.account_id = $1 and tally.stream_id = $2 and tally.state = r.state
             returning tally.state",
            (account.0, stream.0),
            rows,
        )
        .await?;
    Ok(changed.into_iter().map(|(state,)| state).collect())
}

/// How many messages of a stream stand in each state.
pub async fn tallies(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
) -> Result<BTreeMap<State, i64>> {
    let rows: Vec<(i64, i64)> = tx
        .all(
            "select state, n from tally where account_id = $1 and stream_id = $2",
            (account.0, stream.0),
        )
        .await?;
    rows.into_iter()
        .map(|(state, n)| {
            Ok((State::from_code(state).ok_or_else(|| damaged("the state of a tally"))?, n))
        })
        .collect()
}
