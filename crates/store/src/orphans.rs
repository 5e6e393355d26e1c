//! What a carrier holds and nobody here knows, and how far each carrier was searched.
//!
//! These are directories of the installation: a carrier's account is shared by all accounts here,
//! so a text found there belongs to nobody until it is matched.

use domain::ids::MessageId;
use domain::instant::Instant;

use crate::damaged;
use crate::db::{Result, Rows, Tx};

/// What became of an orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrphanState {
    /// No text of ours fits it yet; one that is still to leave may.
    Open,
    /// It was a text of ours.
    Adopted,
    /// Too old to fit anything still to come.
    Foreign,
}

impl OrphanState {
    /// The word in the database and outside.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Adopted => "adopted",
            Self::Foreign => "foreign",
        }
    }

    fn parse(word: &str) -> Result<Self> {
        [Self::Open, Self::Adopted, Self::Foreign]
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| damaged("the state of an orphan"))
    }
}

/// A text found at a carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Whose it is.
    pub carrier: String,
    /// The carrier's id of it.
    pub sid: String,
    /// To whom it went, E.164.
    pub phone: String,
    /// What it came from.
    pub sender: String,
    /// Its text.
    pub body: String,
    /// When the carrier took it.
    pub created_at: Instant,
    /// What became of it.
    pub state: OrphanState,
}

/// Keeps orphans that are new; answers how many were.
pub async fn keep_orphans(tx: &mut Tx, list: &[Orphan]) -> Result<u64> {
    let now = tx.now().0;
    let rows = Rows::of(list.len())
        .text("carrier", list.iter().map(|one| one.carrier.clone()))
        .text("sid", list.iter().map(|one| one.sid.clone()))
        .text("phone", list.iter().map(|one| one.phone.clone()))
        .text("sender_address", list.iter().map(|one| one.sender.clone()))
        .text("body", list.iter().map(|one| one.body.clone()))
        .int("created_at", list.iter().map(|one| one.created_at.0))
        .text("state", list.iter().map(|one| one.state.as_str().to_owned()));
    tx.many(
        "insert into orphan (carrier, sid, phone, sender_address, body, created_at, found_at, state)
         select r.carrier, r.sid, r.phone, r.sender_address, r.body, r.created_at, $1, r.state
         from {rows} where true
         on conflict (carrier, sid) do nothing",
        (now,),
        rows,
    )
    .await
}

type OrphanRow = (String, String, String, String, String, i64, String);

fn orphan_of(row: OrphanRow) -> Result<Orphan> {
    let (carrier, sid, phone, sender, body, created_at, state) = row;
    let state = OrphanState::parse(&state)?;
    Ok(Orphan { carrier, sid, phone, sender, body, created_at: Instant(created_at), state })
}

/// Open orphans to these phones, oldest first.
pub async fn open_orphans(tx: &mut Tx, phones: &[String]) -> Result<Vec<Orphan>> {
    let (any,): (i64,) = tx
        .one("select count(*) from (select 1 from orphan where state = 'open' limit 1) o", ())
        .await?;
    if any == 0 {
        return Ok(Vec::new());
    }
    let rows: Vec<OrphanRow> = tx
        .all_of(
            "select o.carrier, o.sid, o.phone, o.sender_address, o.body, o.created_at, o.state
             from orphan o
             where o.state = 'open' and o.phone in (select r.phone from {rows})
             order by o.created_at, o.sid",
            (),
            Rows::of(phones.len()).text("phone", phones.iter().cloned()),
        )
        .await?;
    rows.into_iter().map(orphan_of).collect()
}

/// Binds an orphan to the text it is; `false` when somebody else was faster.
pub async fn adopt_orphan(
    tx: &mut Tx,
    carrier: &str,
    sid: &str,
    message: MessageId,
) -> Result<bool> {
    let changed = tx
        .execute(
            "update orphan set state = 'adopted', message = $3
             where carrier = $1 and sid = $2 and state = 'open'",
            (carrier.to_owned(), sid.to_owned(), message.to_string()),
        )
        .await?;
    Ok(changed == 1)
}

/// Gives up on open orphans the carrier took before `before`; answers how many.
pub async fn give_up_orphans(tx: &mut Tx, before: Instant) -> Result<u64> {
    tx.execute(
        "update orphan set state = 'foreign' where state = 'open' and created_at < $1",
        (before.0,),
    )
    .await
}

/// Orphans by state: `(state, how many)`.
pub async fn count_orphans(tx: &mut Tx) -> Result<Vec<(OrphanState, i64)>> {
    let rows: Vec<(String, i64)> =
        tx.all("select state, count(*) from orphan group by state order by state", ()).await?;
    rows.into_iter().map(|(state, n)| Ok((OrphanState::parse(&state)?, n))).collect()
}

/// The newest orphans.
pub async fn list_orphans(tx: &mut Tx, limit: i64) -> Result<Vec<Orphan>> {
    let rows: Vec<OrphanRow> = tx
        .all(
            "select carrier, sid, phone, sender_address, body, created_at, state from orphan
             order by found_at desc, sid limit $1",
            (limit,),
        )
        .await?;
    rows.into_iter().map(orphan_of).collect()
}

/// How far a carrier was searched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Everything the carrier took before this instant is known.
    pub seen_until: Instant,
    /// Since when nothing is sent, because the carrier knew more than the database.
    pub quarantined_at: Option<Instant>,
    /// Why, in words.
    pub reason: Option<String>,
}

/// How far this carrier was searched; nothing was seen when it is new.
pub async fn watch(tx: &mut Tx, carrier: &str) -> Result<Option<Watch>> {
    let row: Option<(i64, Option<i64>, Option<String>)> = tx
        .optional(
            "select seen_until, quarantined_at, reason from carrier_watch where carrier = $1",
            (carrier.to_owned(),),
        )
        .await?;
    Ok(row.map(|(seen, since, reason)| Watch {
        seen_until: Instant(seen),
        quarantined_at: since.map(Instant),
        reason,
    }))
}

/// Notes how far a carrier was searched.
pub async fn save_watch(tx: &mut Tx, carrier: &str, watch: &Watch) -> Result<()> {
    tx.execute(
        "insert into carrier_watch (carrier, seen_until, quarantined_at, reason)
         values ($1, $2, $3, $4)
         on conflict (carrier) do update set seen_until = excluded.seen_until,
           quarantined_at = excluded.quarantined_at, reason = excluded.reason",
        (
            carrier.to_owned(),
            watch.seen_until.0,
            watch.quarantined_at.map(|at| at.0),
            watch.reason.clone(),
        ),
    )
    .await?;
    Ok(())
}

/// Why nothing may be sent at present: some carrier knew more than the database.
pub async fn quarantine(tx: &mut Tx) -> Result<Option<String>> {
    let row: Option<(Option<String>,)> = tx
        .optional(
            "select reason from carrier_watch where quarantined_at is not null
             order by quarantined_at limit 1",
            (),
        )
        .await?;
    Ok(row.map(|(reason,)| reason.unwrap_or_default()))
}
