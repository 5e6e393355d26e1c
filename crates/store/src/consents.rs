//! Consent: append-only evidence, and its fold per phone and category.
//!
//! The newest word holds: newest by when it was said; of one instant an opt-out is the newer one,
//! then the greater id. The table `consent` keeps the fold, and which event it rests on; words that
//! come in late, twice or in another order fold to the same.

use std::collections::BTreeMap;

use domain::ids::{AccountId, MessageId, StreamId};
use domain::instant::Instant;
use domain::permit::{Category, Consent};

use crate::db::{Result, Rows, Tx};
use crate::{damaged, uuid};

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentEvent {
    /// A fresh id.
    pub id: [u8; 16],
    /// E.164.
    pub phone: String,
    /// For which texts.
    pub category: Category,
    /// What was said.
    pub state: Consent,
    /// Where it was said: `api`, `import`, `keyword`, `link`, `carrier`, …
    pub source: String,
    /// Who recorded it.
    pub actor: String,
    /// What proves it: a file and line, a message, a form.
    pub evidence: String,
    /// More of the proof.
    pub proof: Proof,
}

/// What an audit asks beyond who and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// The exact words: what was agreed to, or what the person wrote.
    pub wording: Option<String>,
    /// Which version of the wording.
    pub wording_version: Option<String>,
    /// How far it reaches: a program, a list.
    pub scope: Option<String>,
    /// From which address.
    pub ip: Option<String>,
    /// With which program.
    pub user_agent: Option<String>,
    /// When it was said; absent for when it was recorded.
    pub said_at: Option<Instant>,
}

/// Records evidence; the newest word on a phone and category is what holds.
pub async fn record_consents(
    tx: &mut Tx,
    account: AccountId,
    events: &[ConsentEvent],
) -> Result<()> {
    let now = tx.now().0;
    let text = |of: fn(&Proof) -> &Option<String>| {
        events.iter().map(move |event| of(&event.proof).clone()).collect::<Vec<_>>()
    };
    let rows = Rows::of(events.len())
        .text("phone", events.iter().map(|event| event.phone.clone()))
        .int("category", events.iter().map(|event| event.category.code()))
        .bytes("event_id", events.iter().map(|event| event.id.to_vec()))
        .int("state", events.iter().map(|event| event.state.code()))
        .text("source", events.iter().map(|event| event.source.clone()))
        .text("actor", events.iter().map(|event| event.actor.clone()))
        .text("evidence", events.iter().map(|event| event.evidence.clone()))
        .text("wording", text(|proof| &proof.wording))
        .text("wording_version", text(|proof| &proof.wording_version))
        .text("scope", text(|proof| &proof.scope))
        .text("ip", text(|proof| &proof.ip))
        .text("user_agent", text(|proof| &proof.user_agent))
        .int("said_at", events.iter().map(|event| event.proof.said_at.map(|at| at.0)));
    tx.many(
        "insert into consent_event (account_id, phone, category, event_id, state, source, actor,
           evidence, at, wording, wording_version, scope, ip, user_agent, said_at)
         select $1, r.phone, r.category, r.event_id, r.state, r.source, r.actor, r.evidence, $2,
           r.wording, r.wording_version, r.scope, r.ip, r.user_agent, r.said_at
         from {rows} where true
         on conflict (account_id, phone, category, event_id) do nothing",
        (account.0, now),
        rows,
    )
    .await?;
    fold(tx, account, events).await
}

/// Lets the events in, each phone and category's newest one, unless a newer one was there. Of two
/// said at the same instant an opt-out is the newer one: who said both wants no texts.
async fn fold(tx: &mut Tx, account: AccountId, events: &[ConsentEvent]) -> Result<()> {
    let now = tx.now();
    let mut newest: BTreeMap<(&str, i64), (i64, [u8; 16], Consent)> = BTreeMap::new();
    for event in events {
        let word = (event.proof.said_at.unwrap_or(now).0, event.id, event.state);
        let kept = newest.entry((&event.phone, event.category.code())).or_insert(word);
        if (word.0, word.2.code(), word.1) > (kept.0, kept.2.code(), kept.1) {
            *kept = word;
        }
    }
    let rows = Rows::of(newest.len())
        .text("phone", newest.keys().map(|(phone, _)| (*phone).to_owned()))
        .int("category", newest.keys().map(|(_, category)| *category))
        .int("state", newest.values().map(|(.., state)| state.code()))
        .int("since", newest.values().map(|(since, ..)| *since))
        .bytes("event_id", newest.values().map(|(_, id, _)| id.to_vec()));
    tx.many(
        "insert into consent (account_id, phone, category, state, since, event_id)
         select $1, r.phone, r.category, r.state, r.since, r.event_id from {rows} where true
         on conflict (account_id, phone, category)
         do update set state = excluded.state, since = excluded.since,
           event_id = excluded.event_id
         where consent.since < excluded.since or consent.since = excluded.since
           and (consent.state < excluded.state or consent.state = excluded.state
             and (consent.event_id is null or consent.event_id < excluded.event_id))",
        (account.0,),
        rows,
    )
    .await?;
    Ok(())
}

/// Where one phone stands in one category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// In which category.
    pub category: Category,
    /// Where.
    pub state: Consent,
    /// Since when.
    pub since: Instant,
}

/// Where a phone stands, for each category with any word on it.
pub async fn standings(tx: &mut Tx, account: AccountId, phone: &str) -> Result<Vec<Standing>> {
    let rows: Vec<(i64, i64, i64)> = tx
        .all(
            "select category, state, since from consent where account_id = $1 and phone = $2
             order by category",
            (account.0, phone.to_owned()),
        )
        .await?;
    rows.into_iter()
        .map(|(category, state, since)| {
            let known = Category::from_code(category).zip(Consent::from_code(state));
            let (category, state) = known.ok_or_else(|| damaged("a consent"))?;
            Ok(Standing { category, state, since: Instant(since) })
        })
        .collect()
}

/// Consent in one category for each of these phones that has any, as `(phone, consent)`.
pub async fn consents_for(
    tx: &mut Tx,
    account: AccountId,
    category: Category,
    phones: &[String],
) -> Result<Vec<(String, Consent)>> {
    let rows = Rows::of(phones.len()).text("phone", phones.iter().cloned());
    let found: Vec<(String, i64)> = tx
        .all_of(
            "select c.phone, c.state from {rows}
             {join consent as c on c.account_id = $1 and c.phone = r.phone and c.category = $2}",
            (account.0, category.code()),
            rows,
        )
        .await?;
    found
        .into_iter()
        .map(|(phone, state)| {
            Ok((phone, Consent::from_code(state).ok_or_else(|| damaged("a consent"))?))
        })
        .collect()
}

type EventRow = (
    String,
    i64,
    Vec<u8>,
    i64,
    String,
    String,
    String,
    i64,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
);

/// An event and when it was recorded.
pub type Recorded = (Instant, ConsentEvent);

#[rustfmt::skip]
fn event_of(row: EventRow) -> Result<Recorded> {
    let (
        phone, category, id, state, source, actor, evidence, at, wording, wording_version, scope,
        ip, user_agent, said_at,
    ) = row;
    let said_at = said_at.map(Instant);
    let known = Category::from_code(category).zip(Consent::from_code(state));
    let (category, state) = known.ok_or_else(|| damaged("a consent"))?;
    let proof = Proof { wording, wording_version, scope, ip, user_agent, said_at };
    let id = uuid(id)?;
    Ok((
        Instant(at),
        ConsentEvent { id, phone, category, state, source, actor, evidence, proof },
    ))
}

/// The columns of an [`EventRow`].
macro_rules! event_columns {
    () => {
        "select phone, category, event_id, state, source, actor, evidence, at, wording,
           wording_version, scope, ip, user_agent, said_at
         from consent_event "
    };
}

/// Events in the order they were recorded, behind `after` (when, and which); of one phone and one
/// category if they are given.
pub async fn list_events(
    tx: &mut Tx,
    account: AccountId,
    phone: Option<&str>,
    category: Option<Category>,
    after: (Instant, [u8; 16]),
    limit: i64,
) -> Result<Vec<Recorded>> {
    let category = category.map_or(0, Category::code);
    let (at, id) = (after.0.0, after.1.to_vec());
    // Two statements, so that each has its index.
    let rows: Vec<EventRow> = if let Some(phone) = phone {
        let text = concat!(
            event_columns!(),
            "where account_id = $1 and phone = $2 and ($3 = 0 or category = $3)
               and (at > $4 or at = $4 and event_id > $5)
             order by at, event_id limit $6"
        );
        tx.all(text, (account.0, phone.to_owned(), category, at, id, limit)).await?
    } else {
        let text = concat!(
            event_columns!(),
            "where account_id = $1 and at >= $3 and ($2 = 0 or category = $2)
               and (at > $3 or event_id > $4)
             order by at, event_id limit $5"
        );
        tx.all(text, (account.0, category, at, id, limit)).await?
    };
    rows.into_iter().map(event_of).collect()
}

/// An opt-in that waits for its second word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptIn {
    /// E.164.
    pub phone: String,
    /// The first word.
    pub keyword: String,
    /// The words that asked for the second one.
    pub wording: String,
    /// The carrier's id of the text with the first word.
    pub sid: String,
    /// When it was asked.
    pub asked_at: Instant,
    /// Until when it waits.
    pub expires_at: Instant,
}

/// Keeps an opt-in that waits, instead of the one the phone has.
pub async fn keep_opt_in(tx: &mut Tx, account: AccountId, one: &OptIn) -> Result<()> {
    tx.execute(
        "insert into opt_in (account_id, phone, keyword, wording, sid, asked_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (account_id, phone) do update set keyword = excluded.keyword,
           wording = excluded.wording, sid = excluded.sid, asked_at = excluded.asked_at,
           expires_at = excluded.expires_at",
        (
            account.0,
            one.phone.clone(),
            one.keyword.clone(),
            one.wording.clone(),
            one.sid.clone(),
            one.asked_at.0,
            one.expires_at.0,
        ),
    )
    .await?;
    Ok(())
}

/// The opt-in of a phone that still waits.
pub async fn find_opt_in(tx: &mut Tx, account: AccountId, phone: &str) -> Result<Option<OptIn>> {
    let now = tx.now().0;
    let row: Option<(String, String, String, i64, i64)> = tx
        .optional(
            "select keyword, wording, sid, asked_at, expires_at from opt_in
             where account_id = $1 and phone = $2 and expires_at > $3",
            (account.0, phone.to_owned(), now),
        )
        .await?;
    Ok(row.map(|(keyword, wording, sid, asked_at, expires_at)| OptIn {
        phone: phone.to_owned(),
        keyword,
        wording,
        sid,
        asked_at: Instant(asked_at),
        expires_at: Instant(expires_at),
    }))
}

/// The opt-in of a phone waits no more.
pub async fn end_opt_in(tx: &mut Tx, account: AccountId, phone: &str) -> Result<()> {
    let text = "delete from opt_in where account_id = $1 and phone = $2";
    tx.execute(text, (account.0, phone.to_owned())).await?;
    Ok(())
}

/// Keeps an opt-out of one sender only; `false` when it is here already.
pub async fn opt_out_of_sender(
    tx: &mut Tx,
    account: AccountId,
    phone: &str,
    sender: &str,
) -> Result<bool> {
    let now = tx.now().0;
    let added = tx
        .execute(
            "insert into sender_opt_out (account_id, phone, sender_address, since)
             values ($1, $2, $3, $4) on conflict (account_id, phone, sender_address) do nothing",
            (account.0, phone.to_owned(), sender.to_owned(), now),
        )
        .await?;
    Ok(added == 1)
}

/// Senders that a phone opted out of, and since when.
pub async fn sender_opt_outs(
    tx: &mut Tx,
    account: AccountId,
    phone: &str,
) -> Result<Vec<(String, Instant)>> {
    let rows: Vec<(String, i64)> = tx
        .all(
            "select sender_address, since from sender_opt_out
             where account_id = $1 and phone = $2 order by sender_address limit $3",
            (account.0, phone.to_owned(), crate::senders::SENDERS_MAX),
        )
        .await?;
    Ok(rows.into_iter().map(|(sender, since)| (sender, Instant(since))).collect())
}

/// Ends a phone's opt-outs of single senders, of one or of all; how many there were.
pub async fn end_sender_opt_outs(
    tx: &mut Tx,
    account: AccountId,
    phone: &str,
    sender: Option<&str>,
) -> Result<u64> {
    let sender = sender.unwrap_or_default().to_owned();
    tx.execute(
        "delete from sender_opt_out
         where account_id = $1 and phone = $2 and ($3 = '' or sender_address = $3)",
        (account.0, phone.to_owned(), sender),
    )
    .await
}

/// Which of these phones stand opted out of a category by their own word: a text, a link, what
/// the carrier heard. Nobody else undoes that.
pub async fn own_opt_outs(
    tx: &mut Tx,
    account: AccountId,
    category: Category,
    phones: &[String],
) -> Result<Vec<String>> {
    let rows = Rows::of(phones.len()).text("phone", phones.iter().cloned());
    let found: Vec<(String,)> = tx
        .all_of(
            "select c.phone from {rows}
             {join consent as c on c.account_id = $1 and c.phone = r.phone and c.category = $2}
             where c.state = $3 and exists (select 1 from consent_event e
               where e.account_id = c.account_id and e.phone = c.phone
                 and e.category = c.category and e.event_id = c.event_id
                 and e.source in ('keyword', 'link', 'carrier'))",
            (account.0, category.code(), Consent::OptedOut.code()),
            rows,
        )
        .await?;
    Ok(found.into_iter().map(|(phone,)| phone).collect())
}

/// The texts that answered a phone's keywords: when each was written, which it is, and why.
pub async fn answers_to(
    tx: &mut Tx,
    account: AccountId,
    phone: &str,
) -> Result<Vec<(Instant, MessageId, String)>> {
    let rows: Vec<(i64, i64, i64, String)> = tx
        .all(
            "select created_at, stream_id, ord, context from recipient
             where phone = $2 and account_id = $1 and context like 'consent.%'
             order by created_at, stream_id, ord limit $3",
            (account.0, phone.to_owned(), crate::PAGE_ROWS_MAX),
        )
        .await?;
    let message = |stream, ord| MessageId { account, stream: StreamId(stream), ord };
    Ok(rows
        .into_iter()
        .map(|(at, stream, ord, context)| (Instant(at), message(stream, ord), context))
        .collect())
}
