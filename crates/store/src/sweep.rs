//! Scans across accounts. They find only where there is work, as `(account, stream)` pairs; the
//! work itself is done account by account.

use domain::campaign::State;
use domain::ids::{AccountId, AdjustmentId, MessageId, NoticeId, PurchaseId, SeriesId, StreamId};
use domain::instant::Instant;
use domain::message;

use crate::adjustments::AdjustmentState;
use crate::damaged;
use crate::db::{Result, Tx};

/// A stream with work to do.
pub type Place = (AccountId, StreamId);

fn places(rows: Vec<(i64, i64)>) -> Vec<Place> {
    rows.into_iter().map(|(account, stream)| (AccountId(account), StreamId(stream))).collect()
}

/// Streams in one of `states`, oldest change first.
pub async fn streams_in(tx: &mut Tx, states: [State; 2], limit: i64) -> Result<Vec<Place>> {
    let rows = tx
        .all(
            "select account_id, stream_id from stream where state in ($1, $2)
             order by updated_at limit $3",
            (states[0].code(), states[1].code(), limit),
        )
        .await?;
    Ok(places(rows))
}

/// Streams that may be taken up and have texts nobody took up yet.
pub async fn streams_with_texts(tx: &mut Tx, limit: i64) -> Result<Vec<Place>> {
    let rows = tx
        .all(
            "select account_id, stream_id from stream
             where state in ($1, $2) and position < total
             order by case when stream_id < 100 then stream_id else 100 end, updated_at limit $3",
            (State::Running.code(), State::Draining.code(), limit),
        )
        .await?;
    Ok(places(rows))
}

/// Streams with waiting texts whose time has come.
pub async fn streams_with_due(tx: &mut Tx, limit: i64) -> Result<Vec<Place>> {
    let now = tx.now().0;
    let rows = tx
        .all(
            "select distinct account_id, stream_id from
               (select account_id, stream_id from deferred where due_at <= $1
                order by due_at limit 10000) as d
             limit $2",
            (now, limit),
        )
        .await?;
    Ok(places(rows))
}

/// Streams with chunks that somebody sends from.
pub async fn streams_with_open_chunks(tx: &mut Tx, limit: i64) -> Result<Vec<Place>> {
    let rows = tx
        .all(
            "select distinct account_id, stream_id from chunk where state = 1 and state < 3
             limit $1",
            (limit,),
        )
        .await?;
    Ok(places(rows))
}

/// A text of some account to a phone, as the search among a carrier's texts needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextTo {
    /// Which text.
    pub message: MessageId,
    /// What it says.
    pub body: String,
    /// When it was intended.
    pub created_at: Instant,
    /// Where it stands; `None` when it was not taken up yet.
    pub state: Option<message::State>,
    /// The attempt it stands at; 0 when it was not taken up yet.
    pub attempt: u16,
    /// The carrier's id of it, when known.
    pub sid: Option<String>,
}

type TextRow = (i64, i64, i64, String, i64, Option<i64>, Option<i64>, Option<String>);

/// The newest texts to a phone, of all accounts: they share the carrier's account.
pub async fn texts_to(tx: &mut Tx, phone: &str, limit: i64) -> Result<Vec<TextTo>> {
    let rows: Vec<TextRow> = tx
        .all(
            "select t.account_id, t.stream_id, t.ord, coalesce(t.body, c.sealed_body, ''),
               t.created_at, m.state, m.attempt, m.sid
             from recipient t
             left join message m on m.account_id = t.account_id and m.stream_id = t.stream_id
               and m.ord = t.ord
             left join campaign c on c.account_id = t.account_id and c.stream_id = t.stream_id
             where t.phone = $1 order by t.created_at desc, t.ord desc limit $2",
            (phone.to_owned(), limit),
        )
        .await?;
    rows.into_iter()
        .map(|(account, stream, ord, body, created_at, state, attempt, sid)| {
            let state = state
                .map(|code| {
                    message::State::from_code(code).ok_or_else(|| damaged("the state of a message"))
                })
                .transpose()?;
            Ok(TextTo {
                message: MessageId { account: AccountId(account), stream: StreamId(stream), ord },
                body,
                created_at: Instant(created_at),
                state,
                attempt: u16::try_from(attempt.unwrap_or(0)).unwrap_or(u16::MAX),
                sid,
            })
        })
        .collect()
}

/// Accounts that own a sender with this address.
pub async fn accounts_with_sender(tx: &mut Tx, address: &str) -> Result<Vec<AccountId>> {
    let rows: Vec<(i64,)> = tx
        .all(
            "select account_id from sender where address = $1 order by account_id",
            (address.to_owned(),),
        )
        .await?;
    Ok(rows.into_iter().map(|(account,)| AccountId(account)).collect())
}

/// What texts of any account leave from.
pub async fn sender_addresses(tx: &mut Tx) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = tx.all("select distinct address from sender", ()).await?;
    Ok(rows.into_iter().map(|(address,)| address).collect())
}

/// Some texts the carrier took whose last news came in `changed` and was not final: position,
/// attempt and SID, from behind `after` on.
pub async fn texts_without_end(
    tx: &mut Tx,
    place: Place,
    after: i64,
    changed: std::ops::Range<Instant>,
    limit: i64,
) -> Result<Vec<(i64, u16, String)>> {
    let rows: Vec<(i64, i64, String)> = tx
        .all(
            "select ord, attempt, sid from message
             where account_id = $1 and stream_id = $2 and ord > $3 and state in ($4, $5)
               and updated_at >= $6 and updated_at < $7 and sid is not null
             order by ord limit $8",
            (
                place.0.0,
                place.1.0,
                after,
                message::State::Accepted.code(),
                message::State::Sent.code(),
                changed.start.0,
                changed.end.0,
                limit,
            ),
        )
        .await?;
    Ok(rows
        .into_iter()
        .map(|(ord, attempt, sid)| (ord, u16::try_from(attempt).unwrap_or(u16::MAX), sid))
        .collect())
}

/// Streams in which the carrier took texts that had no final news yet.
pub async fn streams_without_end(tx: &mut Tx, limit: i64) -> Result<Vec<Place>> {
    let rows = tx
        .all(
            "select distinct account_id, stream_id from tally
             where state in ($1, $2) and n > 0 limit $3",
            (message::State::Accepted.code(), message::State::Sent.code(), limit),
        )
        .await?;
    Ok(places(rows))
}

/// Which of these SIDs are bound to a text to their phone, given as `(phone, sid)`.
pub async fn known_sids(tx: &mut Tx, pairs: &[(String, String)]) -> Result<Vec<String>> {
    let rows = crate::db::Rows::of(pairs.len())
        .text("phone", pairs.iter().map(|(phone, _)| phone.clone()))
        .text("sid", pairs.iter().map(|(_, sid)| sid.clone()));
    let found: Vec<(String,)> = tx
        .all_of(
            "select m.sid from {rows}
             join recipient t on t.phone = r.phone
             join message m on m.account_id = t.account_id and m.stream_id = t.stream_id
               and m.ord = t.ord and m.sid = r.sid",
            (),
            rows,
        )
        .await?;
    Ok(found.into_iter().map(|(sid,)| sid).collect())
}

fn accounts_of(rows: Vec<(i64,)>) -> Vec<AccountId> {
    rows.into_iter().map(|(account,)| AccountId(account)).collect()
}

/// The accounts that a scan by time finds: `$1` is the present, `$2` the limit.
async fn accounts_whose_time_came(
    tx: &mut Tx,
    text: &'static str,
    limit: i64,
) -> Result<Vec<AccountId>> {
    let now = tx.now().0;
    Ok(accounts_of(tx.all(text, (now, limit)).await?))
}

/// Accounts with reminders whose time has come.
pub async fn accounts_with_due_reminders(tx: &mut Tx, limit: i64) -> Result<Vec<AccountId>> {
    accounts_whose_time_came(
        tx,
        "select distinct account_id from
           (select account_id from reminder where state = 1 and due_at <= $1
            order by due_at limit 10000) as d
         limit $2",
        limit,
    )
    .await
}

/// Accounts with sent reminders whose texts are to be looked after now.
pub async fn accounts_with_watched_reminders(tx: &mut Tx, limit: i64) -> Result<Vec<AccountId>> {
    accounts_whose_time_came(
        tx,
        "select distinct account_id from
           (select account_id from reminder where state = 2 and watch_at <= $1
            order by watch_at limit 10000) as d
         limit $2",
        limit,
    )
    .await
}

/// Accounts with requests that nobody answered in time.
pub async fn accounts_with_expired_requests(tx: &mut Tx, limit: i64) -> Result<Vec<AccountId>> {
    accounts_whose_time_came(
        tx,
        "select distinct account_id from
           (select account_id from request where state = 'pending' and expires_at <= $1
            order by expires_at limit 10000) as d
         limit $2",
        limit,
    )
    .await
}

/// Accounts whose reminders were not all planned by their present choices yet.
pub async fn accounts_to_plan(tx: &mut Tx, limit: i64) -> Result<Vec<AccountId>> {
    let text = "select account_id from settings where version <> planned_version limit $1";
    Ok(accounts_of(tx.all(text, (limit,)).await?))
}

/// Series whose occurrences are to be written out further: those written out to before `until`.
pub async fn series_to_plan(
    tx: &mut Tx,
    until: Instant,
    limit: i64,
) -> Result<Vec<(AccountId, SeriesId)>> {
    let rows: Vec<(i64, Vec<u8>)> = tx
        .all(
            "select account_id, series_id from series
             where state = 'active' and planned_until < $1 order by planned_until limit $2",
            (until.0, limit),
        )
        .await?;
    rows.into_iter()
        .map(|(account, id)| Ok((AccountId(account), SeriesId(crate::uuid(id)?))))
        .collect()
}

/// Purchases that wait for Stripe or for a payer, and whose time to be looked at has come.
pub async fn purchases_due(tx: &mut Tx, limit: i64) -> Result<Vec<(AccountId, PurchaseId)>> {
    let now = tx.now().0;
    let rows: Vec<(i64, Vec<u8>)> = tx
        .all(
            "select account_id, purchase_id from purchase
             where state = 'pending' and next_at <= $1 order by next_at limit $2",
            (now, limit),
        )
        .await?;
    rows.into_iter()
        .map(|(account, id)| Ok((AccountId(account), PurchaseId(crate::uuid(id)?))))
        .collect()
}

/// Accounts that have fewer credits left than at which they buy more by themselves, and may.
pub async fn accounts_to_top_up(tx: &mut Tx, limit: i64) -> Result<Vec<AccountId>> {
    accounts_whose_time_came(
        tx,
        "select t.account_id from auto_topup t
         join wallet w on w.account_id = t.account_id and w.available < t.threshold
         join payer p on p.account_id = t.account_id and p.payment_method is not null
         where t.enabled = 1 and t.halted is null and t.next_at <= $1
           and not exists (select 1 from purchase u where u.account_id = t.account_id
             and u.kind = 'auto' and u.state = 'pending')
         order by t.next_at limit $2",
        limit,
    )
    .await
}

/// Accounts whose subscription turns by itself now.
pub async fn accounts_with_due_subscriptions(tx: &mut Tx, limit: i64) -> Result<Vec<AccountId>> {
    let text = "select account_id from subscription
                where next_at is not null and next_at <= $1 order by next_at limit $2";
    accounts_whose_time_came(tx, text, limit).await
}

/// Accounts with credits that expire now.
pub async fn accounts_with_due_lots(tx: &mut Tx, limit: i64) -> Result<Vec<AccountId>> {
    accounts_whose_time_came(
        tx,
        "select distinct account_id from
           (select account_id from lot where state = 'open' and look_at <= $1
            order by look_at limit 10000) as d
         limit $2",
        limit,
    )
    .await
}

/// Whose an operator's movement of credits is.
pub async fn account_of_adjustment(tx: &mut Tx, id: AdjustmentId) -> Result<Option<AccountId>> {
    let text = "select account_id from adjustment where adjustment_id = $1";
    let row: Option<(i64,)> = tx.optional(text, (id.0.to_vec(),)).await?;
    Ok(row.map(|(account,)| AccountId(account)))
}

/// Operators' movements of credits after `after`, oldest first; all, or those in one state.
pub async fn adjustments_after(
    tx: &mut Tx,
    state: Option<AdjustmentState>,
    after: AdjustmentId,
    limit: i64,
) -> Result<Vec<(AccountId, AdjustmentId)>> {
    let rows: Vec<(i64, Vec<u8>)> = tx
        .all(
            "select account_id, adjustment_id from adjustment
             where adjustment_id > $1 and (state = $2 or $2 = '') order by adjustment_id limit $3",
            (after.0.to_vec(), state.map_or("", AdjustmentState::as_str).to_owned(), limit),
        )
        .await?;
    rows.into_iter()
        .map(|(account, id)| Ok((AccountId(account), AdjustmentId(crate::uuid(id)?))))
        .collect()
}

/// Notices that wait to be mailed now, the longest waiting first.
pub async fn notices_to_mail(tx: &mut Tx, limit: i64) -> Result<Vec<(AccountId, NoticeId)>> {
    let now = tx.now().0;
    let rows: Vec<(i64, Vec<u8>)> = tx
        .all(
            "select account_id, notice_id from notice
             where mail = 'due' and next_at <= $1 order by next_at limit $2",
            (now, limit),
        )
        .await?;
    rows.into_iter()
        .map(|(account, id)| Ok((AccountId(account), NoticeId(crate::uuid(id)?))))
        .collect()
}

/// Accounts with counts of texts from before this hour.
pub async fn accounts_with_old_counts(
    tx: &mut Tx,
    hour: Instant,
    limit: i64,
) -> Result<Vec<AccountId>> {
    let text = "select distinct account_id from
                  (select account_id from velocity where hour < $1 order by hour limit 10000) as d
                limit $2";
    Ok(accounts_of(tx.all(text, (hour.0, limit)).await?))
}
