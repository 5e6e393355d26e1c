//! Consent: append-only evidence, and its fold per phone and category.

use domain::ids::AccountId;
use domain::permit::{Category, Consent};

use crate::damaged;
use crate::db::{Result, Rows, Tx};

/// One piece of evidence.
#[derive(Clone, Debug)]
pub struct ConsentEvent {
    /// A fresh id.
    pub id: [u8; 16],
    /// E.164.
    pub phone: String,
    /// For which texts.
    pub category: Category,
    /// What was said.
    pub state: Consent,
    /// Where it was said: `api`, `import`, `carrier`, …
    pub source: String,
    /// Who recorded it.
    pub actor: String,
    /// What proves it: a file and line, a message, a form.
    pub evidence: String,
}

/// Records evidence; the newest word on a phone and category is what holds.
pub async fn record_consents(
    tx: &mut Tx,
    account: AccountId,
    events: &[ConsentEvent],
) -> Result<()> {
    let now = tx.now().0;
    let rows = Rows::of(events.len())
        .text("phone", events.iter().map(|event| event.phone.clone()))
        .int("category", events.iter().map(|event| event.category.code()))
        .bytes("event_id", events.iter().map(|event| event.id.to_vec()))
        .int("state", events.iter().map(|event| event.state.code()))
        .text("source", events.iter().map(|event| event.source.clone()))
        .text("actor", events.iter().map(|event| event.actor.clone()))
        .text("evidence", events.iter().map(|event| event.evidence.clone()));
    tx.many(
        "insert into consent_event (account_id, phone, category, event_id, state, source, actor,
           evidence, at)
         select $1, r.phone, r.category, r.event_id, r.state, r.source, r.actor, r.evidence, $2
         from {rows} where true
         on conflict (account_id, phone, category, event_id) do nothing",
        (account.0, now),
        rows,
    )
    .await?;
    let rows = Rows::of(events.len())
        .text("phone", events.iter().map(|event| event.phone.clone()))
        .int("category", events.iter().map(|event| event.category.code()))
        .int("state", events.iter().map(|event| event.state.code()));
    tx.many(
        "insert into consent (account_id, phone, category, state, since)
         select $1, r.phone, r.category, r.state, $2 from {rows} where true
         on conflict (account_id, phone, category)
         do update set state = excluded.state, since = excluded.since",
        (account.0, now),
        rows,
    )
    .await?;
    Ok(())
}

/// Which of these phones opted out of the category.
pub async fn opted_out(
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
             where c.state = $3",
            (account.0, category.code(), Consent::OptedOut.code()),
            rows,
        )
        .await?;
    Ok(found.into_iter().map(|(phone,)| phone).collect())
}

/// What is known of one phone, per category.
pub async fn consents_of(
    tx: &mut Tx,
    account: AccountId,
    phone: &str,
) -> Result<Vec<(Category, Consent)>> {
    let rows: Vec<(i64, i64)> = tx
        .all(
            "select category, state from consent where account_id = $1 and phone = $2",
            (account.0, phone.to_owned()),
        )
        .await?;
    rows.into_iter()
        .map(|(category, state)| {
            Category::from_code(category)
                .zip(Consent::from_code(state))
                .ok_or_else(|| damaged("a consent"))
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
