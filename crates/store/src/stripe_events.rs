//! Stripe's events as they came, and the directory of whose Stripe's things are.
//!
//! No account owns an event until one is found by what it names, so nothing here filters by
//! account: an event is found by its own id, a thing of Stripe's by its own.

use domain::ids::{AccountId, PurchaseId};
use domain::instant::Instant;

use crate::db::{Result, Rows, Tx, dialects, expect_rows};
use crate::{damaged, uuid};

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventState {
    /// It waits to be applied.
    New,
    /// It was applied.
    Applied,
    /// It is of no use here.
    Ignored,
    /// It names nothing that is known here.
    Unmatched,
    /// It cannot be applied, and a person must look.
    Failed,
}

impl EventState {
    /// Every state.
    pub const ALL: &[Self] =
        &[Self::New, Self::Applied, Self::Ignored, Self::Unmatched, Self::Failed];

    /// The word used in SQL and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Applied => "applied",
            Self::Ignored => "ignored",
            Self::Unmatched => "unmatched",
            Self::Failed => "failed",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == word)
    }
}

/// An event that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// `evt_…`.
    pub id: String,
    /// What happened.
    pub kind: String,
    /// When, in seconds.
    pub created: i64,
    /// Which version of the API it is written in.
    pub api_version: Option<String>,
    /// It is about real money.
    pub livemode: bool,
    /// As it was signed.
    pub body: String,
    /// `New`, or `Failed` when it cannot be read.
    pub state: EventState,
    /// What is odd about it.
    pub note: Option<String>,
}

/// An event as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripeEvent {
    /// `evt_…`.
    pub id: String,
    /// What happened.
    pub kind: String,
    /// When, in seconds.
    pub created: i64,
    /// Which version of the API it is written in.
    pub api_version: Option<String>,
    /// It is about real money.
    pub livemode: bool,
    /// Whose it is, once that is known.
    pub account: Option<AccountId>,
    /// What it waits for, or is about.
    pub reference: Option<String>,
    /// What became of it.
    pub state: EventState,
    /// Why, in words.
    pub note: Option<String>,
    /// How often applying it failed.
    pub tries: i64,
    /// When it came.
    pub received_at: Instant,
    /// When it was applied.
    pub applied_at: Option<Instant>,
}

/// What became of an event, to be kept.
#[derive(Clone, Debug)]
pub struct Fate {
    /// What became of it.
    pub state: EventState,
    /// Why, in words.
    pub note: Option<String>,
    /// Whose it is.
    pub account: Option<AccountId>,
    /// What it waits for, or is about.
    pub reference: Option<String>,
}

/// Keeps an event; `false` when it came before.
pub async fn insert_event(tx: &mut Tx, event: &NewEvent) -> Result<bool> {
    let now = tx.now().0;
    let added = tx
        .execute(
            "insert into stripe_event (event_id, kind, created, api_version, livemode, body, state,
               note, next_at, received_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
             on conflict (event_id) do nothing",
            (
                event.id.clone(),
                event.kind.clone(),
                event.created,
                event.api_version.clone(),
                i64::from(event.livemode),
                event.body.clone(),
                event.state.as_str().to_owned(),
                event.note.clone(),
                now,
            ),
        )
        .await?;
    Ok(added == 1)
}

/// Events whose time to be applied has come, the oldest first.
pub async fn due_events(tx: &mut Tx, limit: i64) -> Result<Vec<String>> {
    let now = tx.now().0;
    let rows: Vec<(String,)> = tx
        .all(
            "select event_id from stripe_event where state = 'new' and next_at <= $1
             order by next_at, created, event_id limit $2",
            (now, limit),
        )
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// The body of an event that is still to be applied.
pub async fn new_event(tx: &mut Tx, id: &str) -> Result<Option<String>> {
    let row: Option<(String,)> = tx
        .optional(
            "select body from stripe_event where event_id = $1 and state = 'new'",
            (id.to_owned(),),
        )
        .await?;
    Ok(row.map(|(body,)| body))
}

/// Takes an event for this transaction; `false` when somebody else has applied it. Taken before
/// every other lock.
pub async fn take_event(tx: &mut Tx, id: &str) -> Result<bool> {
    // SQLite has no row locks and needs none: a writing transaction is alone.
    let text = dialects(
        "select created from stripe_event where event_id = $1 and state = 'new'",
        "select created from stripe_event where event_id = $1 and state = 'new' for update",
    );
    let row: Option<(i64,)> = tx.optional(text, (id.to_owned(),)).await?;
    Ok(row.is_some())
}

/// Keeps what became of an event that this transaction has taken.
pub async fn settle_event(tx: &mut Tx, id: &str, fate: &Fate) -> Result<()> {
    let applied = (fate.state == EventState::Applied).then_some(tx.now().0);
    let changed = tx
        .execute(
            "update stripe_event set state = $2, note = $3, account_id = $4, reference = $5,
               applied_at = $6
             where event_id = $1 and state = 'new'",
            (
                id.to_owned(),
                fate.state.as_str().to_owned(),
                fate.note.clone(),
                fate.account.map(|account| account.0),
                fate.reference.clone(),
                applied,
            ),
        )
        .await?;
    expect_rows("settle an event", 1, changed)
}

/// How often applying an event has failed.
pub async fn event_tries(tx: &mut Tx, id: &str) -> Result<i64> {
    let text = "select tries from stripe_event where event_id = $1";
    let row: Option<(i64,)> = tx.optional(text, (id.to_owned(),)).await?;
    Ok(row.map_or(0, |(tries,)| tries))
}

/// Notes that applying an event failed: it is tried again at `next_at`, or given up.
pub async fn put_event_off(
    tx: &mut Tx,
    id: &str,
    note: &str,
    next_at: Option<Instant>,
) -> Result<()> {
    let state = if next_at.is_some() { EventState::New } else { EventState::Failed };
    tx.execute(
        "update stripe_event set tries = tries + 1, note = $2, state = $3,
           next_at = coalesce($4, next_at)
         where event_id = $1 and state = 'new'",
        (id.to_owned(), note.to_owned(), state.as_str().to_owned(), next_at.map(|at| at.0)),
    )
    .await?;
    Ok(())
}

/// Has an event that was given up, or found nobody, applied again; `false` when it is neither.
pub async fn retry_event(tx: &mut Tx, id: &str) -> Result<bool> {
    let now = tx.now().0;
    let changed = tx
        .execute(
            "update stripe_event set state = 'new', tries = 0, next_at = $2
             where event_id = $1 and state in ('failed', 'unmatched', 'ignored')",
            (id.to_owned(), now),
        )
        .await?;
    Ok(changed == 1)
}

/// Has the events applied that wait for one of these things of Stripe's.
pub async fn wake_events(tx: &mut Tx, references: &[String]) -> Result<u64> {
    let now = tx.now().0;
    let rows = Rows::of(references.len()).text("reference", references.iter().cloned());
    tx.many(
        "update stripe_event set state = 'new', next_at = $1
         where state = 'unmatched' and reference in (select r.reference from {rows})",
        (now,),
        rows,
    )
    .await
}

/// Has the events since `since` applied that wait for a thing whose owner is known by now: one
/// may have been named in a transaction that did not see the other.
pub async fn wake_known(tx: &mut Tx, since: Instant) -> Result<u64> {
    let now = tx.now().0;
    tx.execute(
        "update stripe_event set state = 'new', next_at = $1
         where state = 'unmatched' and received_at >= $2 and reference in
           (select r.reference from stripe_reference r
            where r.reference = stripe_event.reference)",
        (now, since.0),
    )
    .await
}

type EventRow = (
    String,
    String,
    i64,
    Option<String>,
    i64,
    Option<i64>,
    Option<String>,
    String,
    Option<String>,
    i64,
    i64,
    Option<i64>,
);

fn event_of(row: EventRow) -> Result<StripeEvent> {
    let (id, kind, created, api_version, livemode, account, reference, state, ..) = row;
    let (note, tries, received_at, applied_at) = (row.8, row.9, row.10, row.11);
    Ok(StripeEvent {
        id,
        kind,
        created,
        api_version,
        livemode: livemode == 1,
        account: account.map(AccountId),
        reference,
        state: EventState::parse(&state).ok_or_else(|| damaged("the state of an event"))?,
        note,
        tries,
        received_at: Instant(received_at),
        applied_at: applied_at.map(Instant),
    })
}

/// Events behind `after` (when it came, its id), the newest first; all states when `state` is
/// `None`.
pub async fn list_events(
    tx: &mut Tx,
    state: Option<EventState>,
    after: Option<(Instant, String)>,
    limit: i64,
) -> Result<Vec<StripeEvent>> {
    let (at, id) = after.unwrap_or_else(|| (Instant::MAX, String::new()));
    let rows: Vec<EventRow> = tx
        .all(
            "select event_id, kind, created, api_version, livemode, account_id, reference, state,
               note, tries, received_at, applied_at
             from stripe_event
             where (received_at < $1 or (received_at = $1 and event_id > $2))
               and ($3 = '' or state = $3)
             order by received_at desc, event_id limit $4",
            (at.0, id, state.map_or("", EventState::as_str).to_owned(), limit),
        )
        .await?;
    rows.into_iter().map(event_of).collect()
}

/// Whose a thing of Stripe's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The account.
    pub account: AccountId,
    /// The purchase, if it is one's.
    pub purchase: Option<PurchaseId>,
}

/// Whose this thing of Stripe's (or this purchase, by its own id) is.
pub async fn find_owner(tx: &mut Tx, reference: &str) -> Result<Option<Owner>> {
    let row: Option<(i64, Option<Vec<u8>>)> = tx
        .optional(
            "select account_id, purchase_id from stripe_reference where reference = $1",
            (reference.to_owned(),),
        )
        .await?;
    row.map(|(account, purchase)| {
        let purchase = purchase.map(|id| uuid(id).map(PurchaseId)).transpose()?;
        Ok(Owner { account: AccountId(account), purchase })
    })
    .transpose()
}

/// Enters whose things of Stripe's these are; what is entered already stays as it is.
pub async fn bind_references(tx: &mut Tx, references: &[String], owner: Owner) -> Result<()> {
    let rows = Rows::of(references.len()).text("reference", references.iter().cloned());
    let purchase = owner.purchase.map(|id| id.0.to_vec());
    tx.many(
        // What is selected from must not end before `on` (a peculiarity of SQLite's grammar).
        "insert into stripe_reference (reference, account_id, purchase_id)
         select distinct r.reference, $1, $2 from {rows} where true
         on conflict (reference) do nothing",
        (owner.account.0, purchase),
        rows,
    )
    .await?;
    Ok(())
}
