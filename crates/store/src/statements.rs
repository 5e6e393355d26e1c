//! Reading for statements: the ledger by months, and the texts behind its lines.
//!
//! A statement costs what its month costs. The month's lines are a range of the ledger's key. The
//! texts behind them are found by the chunks that held their credits: a line that reserves names
//! its chunk, a chunk its texts, and a range of texts is a range of their key.

use domain::ids::{AccountId, PurchaseId, StreamId};
use domain::instant::Instant;
use domain::ledger::{Books, Kind};
use domain::message::State;

use crate::chunks::read_runs;
use crate::db::{Result, Rows, Tx};
use crate::messages::EventKind;
use crate::{damaged, uuid};

/// Lines are numbered under a lock and dated before it, so that neighbours may be dated in the
/// other order. Transactions are short: no line stands further than this from its place.
const DISORDER_LINES: i64 = 1000;

/// The number of the last line before `at`: every line from `at` on comes behind it.
pub async fn last_line_before(tx: &mut Tx, account: AccountId, at: Instant) -> Result<i64> {
    let first: Option<(i64,)> = tx
        .optional(
            "select seq from ledger_entry where account_id = $1 and at >= $2
             order by at, seq limit 1",
            (account.0, at.0),
        )
        .await?;
    let Some((first,)) = first else {
        let (last,): (i64,) =
            tx.one("select seq from wallet where account_id = $1", (account.0,)).await?;
        return Ok(last);
    };
    let (first,): (i64,) = tx
        .one(
            "select cast(coalesce(min(seq), $3) as bigint) from ledger_entry
             where account_id = $1 and seq > $3 - $4 and seq <= $3 and at >= $2",
            (account.0, at.0, first, DISORDER_LINES),
        )
        .await?;
    Ok(first - 1)
}

/// A line of the ledger, as far as a statement needs every one.
#[derive(Clone, Debug)]
pub struct SlimLine {
    /// Its number.
    pub seq: i64,
    /// Why credits moved.
    pub kind: Kind,
    /// When.
    pub at: Instant,
    /// What moved.
    pub change: Books,
    /// How many facts stand behind it.
    pub facts: i64,
    /// `available`, `reserved`, `spent`, `owed` after it.
    pub after: [i64; 4],
}

type SlimRow = (i64, String, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64);

/// Lines behind `after` up to `upto`, oldest first.
pub async fn slim_lines(
    tx: &mut Tx,
    account: AccountId,
    after: i64,
    upto: i64,
    limit: i64,
) -> Result<Vec<SlimLine>> {
    let rows: Vec<SlimRow> = tx
        .all(
            "select seq, kind, at, available, reserved, spent, owed, paid, promo, refunded,
               breakage, facts, available_after, reserved_after, spent_after, owed_after
             from ledger_entry where account_id = $1 and seq > $2 and seq <= $3
             order by seq limit $4",
            (account.0, after, upto, limit),
        )
        .await?;
    rows.into_iter().map(slim_line).collect()
}

fn slim_line(row: SlimRow) -> Result<SlimLine> {
    let (seq, kind, at, available, reserved, spent, owed, paid, promo, refunded, ..) = row;
    let (.., breakage, facts, a, r, s, o) = row;
    // A row has sixteen columns at most. The ninth amount follows from the other eight, because
    // every line balances; that each one does is what an audit checks.
    let loss = available + reserved + spent + breakage - owed - paid - promo + refunded;
    let change = Books { available, reserved, spent, owed, paid, promo, refunded, loss, breakage };
    let kind = Kind::parse(&kind).ok_or_else(|| damaged("the kind of a ledger line"))?;
    Ok(SlimLine { seq, kind, at: Instant(at), change, facts, after: [a, r, s, o] })
}

/// Who moved credits, and why: what a line says that no texts stand behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineWords {
    /// Its number.
    pub seq: i64,
    /// What it is the effect of.
    pub effect_key: String,
    /// Who did it.
    pub actor: String,
    /// A person's words, or empty.
    pub reason: String,
}

/// The words of these lines.
pub async fn line_words(tx: &mut Tx, account: AccountId, seqs: &[i64]) -> Result<Vec<LineWords>> {
    let rows: Vec<(i64, String, String, String)> = tx
        .all_of(
            "select l.seq, l.effect_key, l.actor, l.reason from {rows}
             {join ledger_entry as l on l.account_id = $1 and l.seq = r.seq} order by l.seq",
            (account.0,),
            Rows::of(seqs.len()).int("seq", seqs.iter().copied()),
        )
        .await?;
    Ok(rows
        .into_iter()
        .map(|(seq, effect_key, actor, reason)| LineWords { seq, effect_key, actor, reason })
        .collect())
}

/// The money behind bought credits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paid {
    /// The purchase.
    pub purchase: PurchaseId,
    /// Minor units of the currency.
    pub amount: i64,
    /// Three letters in lower case.
    pub currency: String,
    /// The payment's id where it was made.
    pub payment: Option<String>,
}

/// The money of these purchases.
pub async fn paid(tx: &mut Tx, account: AccountId, ids: &[PurchaseId]) -> Result<Vec<Paid>> {
    let rows: Vec<(Vec<u8>, i64, String, Option<String>)> = tx
        .all_of(
            "select p.purchase_id, p.amount, p.currency, p.payment_intent from {rows}
             {join purchase as p on p.account_id = $1 and p.purchase_id = r.id}",
            (account.0,),
            Rows::of(ids.len()).bytes("id", ids.iter().map(|id| id.0.to_vec())),
        )
        .await?;
    rows.into_iter()
        .map(|(id, amount, currency, payment)| {
            Ok(Paid { purchase: PurchaseId(uuid(id)?), amount, currency, payment })
        })
        .collect()
}

/// The effect keys of lines behind `after` up to `upto` that reserved credits.
pub async fn reservations(
    tx: &mut Tx,
    account: AccountId,
    after: i64,
    upto: i64,
) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = tx
        .all(
            "select effect_key from ledger_entry
             where account_id = $1 and seq > $2 and seq <= $3 and kind = 'reserve'",
            (account.0, after, upto),
        )
        .await?;
    Ok(rows.into_iter().map(|(key,)| key).collect())
}

/// How many texts stand behind the lines behind `after` up to `upto`.
pub async fn facts_between(tx: &mut Tx, account: AccountId, after: i64, upto: i64) -> Result<i64> {
    let (n,): (i64,) = tx
        .one(
            "select cast(coalesce(sum(facts), 0) as bigint) from ledger_entry
             where account_id = $1 and seq > $2 and seq <= $3
               and kind in ('settle', 'release', 'refund', 'late_charge')",
            (account.0, after, upto),
        )
        .await?;
    Ok(n)
}

/// From one position to another, both included.
pub type Run = (i64, i64);

/// The texts of these chunks, as runs of positions.
pub async fn chunk_texts(
    tx: &mut Tx,
    account: AccountId,
    chunks: &[(StreamId, i64)],
) -> Result<Vec<(StreamId, Vec<Run>)>> {
    let rows = Rows::of(chunks.len())
        .int("stream_id", chunks.iter().map(|(stream, _)| stream.0))
        .int("chunk_no", chunks.iter().map(|(_, no)| *no));
    let found: Vec<(i64, String)> = tx
        .all_of(
            "select c.stream_id, c.ords from {rows}
             {join chunk as c on c.account_id = $1 and c.stream_id = r.stream_id
               and c.chunk_no = r.chunk_no}",
            (account.0,),
            rows,
        )
        .await?;
    found
        .into_iter()
        .map(|(stream, ords)| {
            let runs = read_runs(&ords).ok_or_else(|| damaged("the texts of a chunk"))?;
            Ok((StreamId(stream), runs))
        })
        .collect()
}

/// A text whose credits moved.
#[derive(Clone, Debug)]
pub struct Moved {
    /// What it turned to.
    pub state: State,
    /// The line of the ledger.
    pub seq: i64,
    /// Credits.
    pub price: i64,
    /// To whom.
    pub phone: String,
    /// Why it was sent.
    pub context: String,
    /// Billed parts.
    pub segments: i64,
    /// The carrier's id.
    pub sid: Option<String>,
}

/// Texts of a run whose credits moved with lines behind `after` up to `upto`.
pub async fn moved(
    tx: &mut Tx,
    account: AccountId,
    stream: StreamId,
    run: Run,
    (after, upto): (i64, i64),
) -> Result<Vec<Moved>> {
    let rows: Vec<(i64, i64, i64, String, String, i64, Option<String>)> = tx
        .all(
            "select e.kind, e.seq, e.price, t.phone, t.context, t.segments, e.sid
             from message_event e
             join recipient t on t.account_id = e.account_id and t.stream_id = e.stream_id
               and t.ord = e.ord
             where e.account_id = $1 and e.stream_id = $2 and e.ord >= $3 and e.ord <= $4
               and t.account_id = $1 and t.stream_id = $2 and t.ord >= $3 and t.ord <= $4
               and e.seq > $5 and e.seq <= $6",
            (account.0, stream.0, run.0, run.1, after, upto),
        )
        .await?;
    rows.into_iter()
        .map(|(kind, seq, price, phone, context, segments, sid)| {
            let Some(EventKind::Turned(state)) = EventKind::from_code(kind) else {
                return Err(damaged("an event that moved credits"));
            };
            Ok(Moved { state, seq, price, phone, context, segments, sid })
        })
        .collect()
}

/// The balances after a line: `available`, `reserved`, `spent`, `owed`; zeros before the first.
pub async fn balances_after(tx: &mut Tx, account: AccountId, seq: i64) -> Result<[i64; 4]> {
    let row: Option<(i64, i64, i64, i64)> = tx
        .optional(
            "select available_after, reserved_after, spent_after, owed_after
             from ledger_entry where account_id = $1 and seq = $2",
            (account.0, seq),
        )
        .await?;
    Ok(row.map_or([0; 4], |(a, r, s, o)| [a, r, s, o]))
}

/// The names of campaigns.
pub async fn campaign_names(
    tx: &mut Tx,
    account: AccountId,
    ids: &[StreamId],
) -> Result<Vec<(StreamId, String)>> {
    let rows: Vec<(i64, String)> = tx
        .all_of(
            "select c.stream_id, c.name from {rows}
             {join campaign as c on c.account_id = $1 and c.stream_id = r.id}",
            (account.0,),
            Rows::of(ids.len()).int("id", ids.iter().map(|id| id.0)),
        )
        .await?;
    Ok(rows.into_iter().map(|(id, name)| (StreamId(id), name)).collect())
}
