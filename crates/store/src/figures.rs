//! Counts over an account's requests, reminders, opt-outs and bookings, for a span of time.
//!
//! A request counts in the span in which it was asked, with whatever has become of it since; so
//! do reminders by when they were last told about, opt-outs by when they were said and marks of
//! no-show by when the booking began.

use domain::ids::AccountId;
use domain::instant::Instant;
use domain::message::State;
use domain::permit::Consent;

use crate::damaged;
use crate::db::{Result, Rows, Tx};
use crate::requests::RequestState;

/// From when, and until before when.
pub type Span = (Instant, Instant);

/// Requests that wait for an answer now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many.
    pub count: i64,
    /// When the oldest of them was asked.
    pub oldest: Option<Instant>,
    /// How many were asked since each of the instants that were given, and before the one ahead.
    pub by_age: Vec<i64>,
}

/// Requests that wait, by age: `since` are the instants that part them, the latest first. One
/// more number than instants comes back, the last for all that are older.
pub async fn waiting(tx: &mut Tx, account: AccountId, since: &[Instant]) -> Result<Waiting> {
    let (count, oldest): (i64, Option<i64>) = tx
        .one(
            "select count(*), min(asked_at) from request
             where account_id = $1 and state = 'pending'",
            (account.0,),
        )
        .await?;
    let ahead = std::iter::once(Instant(i64::MAX)).chain(since.iter().copied());
    let behind = since.iter().copied().chain([Instant(i64::MIN)]);
    let spans: Vec<Span> = behind.zip(ahead).collect();
    let found: Vec<(i64, i64)> = tx
        .all_of(
            "select r.n, count(*) from {rows}
             join request q on q.account_id = $1 and q.state = 'pending'
               and q.asked_at >= r.since and q.asked_at < r.before
             group by r.n",
            (account.0,),
            numbered(&spans),
        )
        .await?;
    let mut by_age = vec![0; spans.len()];
    for (n, count) in found {
        by_age[place(n, spans.len())?] = count;
    }
    Ok(Waiting { count, oldest: oldest.map(Instant), by_age })
}

fn numbered(spans: &[Span]) -> Rows {
    Rows::of(spans.len())
        .int("n", (0_i64..).take(spans.len()))
        .int("since", spans.iter().map(|(since, _)| since.0))
        .int("before", spans.iter().map(|(_, before)| before.0))
}

fn place(n: i64, most: usize) -> Result<usize> {
    usize::try_from(n).ok().filter(|n| *n < most).ok_or_else(|| damaged("the number of a span"))
}

/// Requests asked in each of these spans by what has become of them: the place of the span, the
/// state, how many.
pub async fn requests_by_span(
    tx: &mut Tx,
    account: AccountId,
    spans: &[Span],
) -> Result<Vec<(usize, RequestState, i64)>> {
    let found: Vec<(i64, String, i64)> = tx
        .all_of(
            "select r.n, q.state, count(*) from {rows}
             join request q on q.account_id = $1 and q.asked_at >= r.since
               and q.asked_at < r.before
             group by r.n, q.state",
            (account.0,),
            numbered(spans),
        )
        .await?;
    found
        .into_iter()
        .map(|(n, state, count)| {
            let state =
                RequestState::parse(&state).ok_or_else(|| damaged("the state of a request"))?;
            Ok((place(n, spans.len())?, state, count))
        })
        .collect()
}

/// People marked as not having come to bookings that began in each of these spans; a booking
/// marked as a whole counts once.
pub async fn no_shows_by_span(
    tx: &mut Tx,
    account: AccountId,
    spans: &[Span],
) -> Result<Vec<(usize, i64)>> {
    let found: Vec<(i64, i64)> = tx
        .all_of(
            "select r.n, count(*) from {rows}
             join appointment a on a.account_id = $1 and a.starts_at >= r.since
               and a.starts_at < r.before
             left join attendee p on p.account_id = a.account_id
               and p.appointment_id = a.appointment_id and p.state = 'no_show'
             where p.attendee_id is not null or a.state = 'no_show'
             group by r.n",
            (account.0,),
            numbered(spans),
        )
        .await?;
    found.into_iter().map(|(n, count)| Ok((place(n, spans.len())?, count))).collect()
}

/// How long the requests asked in a span took to be confirmed, in microseconds: how many were,
/// their sum, and the middle one or two of them, shortest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confirmations {
    /// How many.
    pub count: i64,
    /// All their times together.
    pub sum: i64,
    /// The middle ones: one of an odd number, two of an even one.
    pub middle: Vec<i64>,
}

/// How long confirmations took.
pub async fn confirmations(tx: &mut Tx, account: AccountId, span: Span) -> Result<Confirmations> {
    let (count, sum): (i64, i64) = tx
        .one(
            "select count(*), cast(coalesce(sum(answered_at - asked_at), 0) as bigint)
             from request where account_id = $1 and asked_at >= $2 and asked_at < $3
               and state = 'yes' and answered_at is not null",
            (account.0, span.0.0, span.1.0),
        )
        .await?;
    let middle: Vec<(i64,)> = tx
        .all(
            "select answered_at - asked_at from request
             where account_id = $1 and asked_at >= $2 and asked_at < $3
               and state = 'yes' and answered_at is not null
             order by answered_at - asked_at limit $4 offset $5",
            (account.0, span.0.0, span.1.0, 2 - count % 2, (count - 1).max(0) / 2),
        )
        .await?;
    Ok(Confirmations { count, sum, middle: middle.into_iter().map(|(time,)| time).collect() })
}

/// Reminders of which there was news in a span, by their state: 2 sent, 3 delivered, 4 skipped,
/// 5 cancelled, 6 failed.
pub async fn reminders_by_state(
    tx: &mut Tx,
    account: AccountId,
    span: Span,
) -> Result<Vec<(i64, i64)>> {
    tx.all(
        "select state, count(*) from reminder
         where account_id = $1 and state <> 1 and updated_at >= $2 and updated_at < $3
         group by state order by state",
        (account.0, span.0.0, span.1.0),
    )
    .await
}

/// Phones that opted out in a span, and phones that were texted in it.
pub async fn opt_outs(tx: &mut Tx, account: AccountId, span: Span) -> Result<(i64, i64)> {
    let (out,): (i64,) = tx
        .one(
            "select count(distinct phone) from consent_event
             where account_id = $1 and at >= $2 and at < $3 and state = $4",
            (account.0, span.0.0, span.1.0, Consent::OptedOut.code()),
        )
        .await?;
    let (texted,): (i64,) = tx
        .one(
            "select count(distinct t.phone) from recipient t
             join message m on m.account_id = t.account_id and m.stream_id = t.stream_id
               and m.ord = t.ord
             where t.account_id = $1 and t.created_at >= $2 and t.created_at < $3
               and m.state in ($4, $5, $6, $7, $8)",
            (
                account.0,
                span.0.0,
                span.1.0,
                State::Accepted.code(),
                State::Sent.code(),
                State::Delivered.code(),
                State::Undelivered.code(),
                State::Read.code(),
            ),
        )
        .await?;
    Ok((out, texted))
}
