//! What carriers took for texts, and how their own record finds ours.
//!
//! A carrier's record spans all accounts; [`texts_by_sid`] finds only whose each text is, and what
//! was priced for it. What the carrier billed is kept day by day for each account.

use domain::ids::{AccountId, MessageId, StreamId};
use domain::instant::Instant;
use domain::message::State;
use domain::rates::Price;

use crate::damaged;
use crate::db::{Result, Rows, Tx};

/// A text of ours, as its comparison with the carrier's record needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ours {
    /// The carrier's id.
    pub sid: String,
    /// Which text.
    pub message: MessageId,
    /// Where it stands.
    pub state: State,
    /// Billed parts, as priced.
    pub segments: i64,
    /// Credits.
    pub price: i64,
}

/// The texts with these SIDs, given as `(phone, sid)`.
pub async fn texts_by_sid(tx: &mut Tx, pairs: &[(String, String)]) -> Result<Vec<Ours>> {
    let rows = Rows::of(pairs.len())
        .text("phone", pairs.iter().map(|(phone, _)| phone.clone()))
        .text("sid", pairs.iter().map(|(_, sid)| sid.clone()));
    let found: Vec<(String, i64, i64, i64, i64, i64, i64)> = tx
        .all_of(
            "select m.sid, m.account_id, m.stream_id, m.ord, m.state, t.segments, m.price
             from {rows}
             join recipient t on t.phone = r.phone
             join message m on m.account_id = t.account_id and m.stream_id = t.stream_id
               and m.ord = t.ord and m.sid = r.sid",
            (),
            rows,
        )
        .await?;
    found
        .into_iter()
        .map(|(sid, account, stream, ord, state, segments, price)| {
            let (account, stream) = (AccountId(account), StreamId(stream));
            let message = MessageId { account, stream, ord };
            let state = State::from_code(state).ok_or_else(|| damaged("a state"))?;
            Ok(Ours { sid, message, state, segments, price })
        })
        .collect()
}

/// What a carrier billed for an account's texts on a day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// Texts.
    pub texts: i64,
    /// Parts that the carrier billed.
    pub segments: i64,
    /// Parts that were priced.
    pub priced_segments: i64,
    /// Texts that are not billed yet.
    pub unbilled: i64,
    /// What it took, in millionths.
    pub millionths: i64,
}

/// Keeps what was billed for days that were read whole, in the place of what was known of them.
pub async fn save_bills(
    tx: &mut Tx,
    days: (Instant, Instant),
    bills: &[((AccountId, Instant, String), Bill)],
) -> Result<()> {
    tx.execute("delete from carrier_bill where day >= $1 and day < $2", (days.0.0, days.1.0))
        .await?;
    let rows = Rows::of(bills.len())
        .int("account_id", bills.iter().map(|((account, ..), _)| account.0))
        .int("day", bills.iter().map(|((_, day, _), _)| day.0))
        .text("currency", bills.iter().map(|((.., currency), _)| currency.clone()))
        .int("texts", bills.iter().map(|(_, bill)| bill.texts))
        .int("segments", bills.iter().map(|(_, bill)| bill.segments))
        .int("priced", bills.iter().map(|(_, bill)| bill.priced_segments))
        .int("unbilled", bills.iter().map(|(_, bill)| bill.unbilled))
        .int("millionths", bills.iter().map(|(_, bill)| bill.millionths));
    tx.many(
        "insert into carrier_bill (account_id, day, currency, texts, segments, priced_segments,
           unbilled, millionths)
         select r.account_id, r.day, r.currency, r.texts, r.segments, r.priced, r.unbilled,
           r.millionths from {rows}",
        (),
        rows,
    )
    .await?;
    Ok(())
}

/// What was billed for an account's texts in a span of days, by currency.
pub async fn bills(
    tx: &mut Tx,
    account: AccountId,
    span: (Instant, Instant),
) -> Result<Vec<(Price, Bill)>> {
    let rows: Vec<(String, i64, i64, i64, i64, i64)> = tx
        .all(
            "select currency, cast(sum(texts) as bigint), cast(sum(segments) as bigint),
               cast(sum(priced_segments) as bigint), cast(sum(unbilled) as bigint),
               cast(sum(millionths) as bigint)
             from carrier_bill where account_id = $1 and day >= $2 and day < $3
             group by currency order by currency",
            (account.0, span.0.0, span.1.0),
        )
        .await?;
    Ok(rows
        .into_iter()
        .map(|(currency, texts, segments, priced_segments, unbilled, millionths)| {
            let bill = Bill { texts, segments, priced_segments, unbilled, millionths };
            (Price { millionths, currency }, bill)
        })
        .collect())
}

/// Money of purchases that was paid in a span, by currency: paid, of it returned since, of it
/// disputed now.
pub async fn money(
    tx: &mut Tx,
    account: AccountId,
    span: (Instant, Instant),
) -> Result<Vec<(String, [i64; 3])>> {
    let rows: Vec<(String, i64, i64, i64)> = tx
        .all(
            "select currency, cast(sum(amount) as bigint), cast(sum(refunded) as bigint),
               cast(sum(disputed) as bigint)
             from purchase where account_id = $1 and paid_at >= $2 and paid_at < $3
             group by currency order by currency",
            (account.0, span.0.0, span.1.0),
        )
        .await?;
    Ok(rows
        .into_iter()
        .map(|(currency, paid, refunded, disputed)| (currency, [paid, refunded, disputed]))
        .collect())
}
