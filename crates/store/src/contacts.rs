//! The people who get texts.

use std::collections::BTreeMap;

use domain::ids::{AccountId, ContactId};
use domain::instant::Instant;

use crate::db::{Result, Rows, Tx};
use crate::{contact_id, damaged};

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Its id; sorts by when it was made.
    pub id: ContactId,
    /// E.164.
    pub phone: String,
    /// Empty when unknown.
    pub name: String,
    /// IANA zone, when known.
    pub timezone: Option<String>,
    /// Labels, without order or repetition.
    pub tags: Vec<String>,
    /// Custom fields by name.
    pub fields: BTreeMap<String, String>,
    /// The account wants no text to go there.
    pub blocked: bool,
    /// When it was made.
    pub created_at: Instant,
}

type ContactRow = (Vec<u8>, String, String, Option<String>, String, String, i64, i64);

fn contact_of(row: ContactRow) -> Result<Contact> {
    let (id, phone, name, timezone, tags, fields, blocked, created_at) = row;
    Ok(Contact {
        id: contact_id(id)?,
        phone,
        name,
        timezone,
        tags: serde_json::from_str(&tags).map_err(|_| damaged("the tags of a contact"))?,
        fields: serde_json::from_str(&fields).map_err(|_| damaged("the fields of a contact"))?,
        blocked: blocked == 1,
        created_at: Instant(created_at),
    })
}

/// Contacts after `after`, in the order they were made.
pub async fn list_contacts(
    tx: &mut Tx,
    account: AccountId,
    after: Option<ContactId>,
    limit: i64,
) -> Result<Vec<Contact>> {
    let after = after.map_or_else(Vec::new, |id| id.0.to_vec());
    let rows: Vec<ContactRow> = tx
        .all(
            "select contact_id, phone, name, timezone, tags, fields, blocked, created_at
             from contact where account_id = $1 and contact_id > $2 order by contact_id limit $3",
            (account.0, after, limit),
        )
        .await?;
    rows.into_iter().map(contact_of).collect()
}

/// How many contacts the account has.
pub async fn count_contacts(tx: &mut Tx, account: AccountId) -> Result<i64> {
    let text = "select count(*) from contact where account_id = $1";
    let (n,): (i64,) = tx.one(text, (account.0,)).await?;
    Ok(n)
}

/// The contacts that have one of these phones.
pub async fn contacts_by_phone(
    tx: &mut Tx,
    account: AccountId,
    phones: &[String],
) -> Result<Vec<Contact>> {
    let rows = Rows::of(phones.len()).text("phone", phones.iter().cloned());
    let found: Vec<ContactRow> = tx
        .all_of(
            "select k.contact_id, k.phone, k.name, k.timezone, k.tags, k.fields, k.blocked,
               k.created_at
             from {rows} {join contact as k on k.account_id = $1 and k.phone = r.phone}",
            (account.0,),
            rows,
        )
        .await?;
    found.into_iter().map(contact_of).collect()
}

/// The contacts with these ids.
pub async fn contacts_by_id(
    tx: &mut Tx,
    account: AccountId,
    ids: &[ContactId],
) -> Result<Vec<Contact>> {
    let rows = Rows::of(ids.len()).bytes("contact_id", ids.iter().map(|id| id.0.to_vec()));
    let found: Vec<ContactRow> = tx
        .all_of(
            "select k.contact_id, k.phone, k.name, k.timezone, k.tags, k.fields, k.blocked,
               k.created_at
             from {rows}
             {join contact as k on k.account_id = $1 and k.contact_id = r.contact_id}",
            (account.0,),
            rows,
        )
        .await?;
    found.into_iter().map(contact_of).collect()
}

/// Writes contacts as given; one whose phone the account already has replaces what is known of
/// that person, under the id it has.
pub async fn upsert_contacts(tx: &mut Tx, account: AccountId, contacts: &[Contact]) -> Result<()> {
    let json = |value: serde_json::Result<String>| value.expect("texts and lists are valid JSON");
    let rows = Rows::of(contacts.len())
        .bytes("contact_id", contacts.iter().map(|contact| contact.id.0.to_vec()))
        .text("phone", contacts.iter().map(|contact| contact.phone.clone()))
        .text("name", contacts.iter().map(|contact| contact.name.clone()))
        .text("timezone", contacts.iter().map(|contact| contact.timezone.clone()))
        .text("tags", contacts.iter().map(|contact| json(serde_json::to_string(&contact.tags))))
        .text("fields", contacts.iter().map(|contact| json(serde_json::to_string(&contact.fields))))
        .int("blocked", contacts.iter().map(|contact| i64::from(contact.blocked)));
    let now = tx.now().0;
    tx.many(
        "insert into contact (account_id, contact_id, phone, name, timezone, tags, fields, blocked,
           created_at, updated_at)
         select $1, r.contact_id, r.phone, r.name, r.timezone, r.tags, r.fields, r.blocked, $2, $2
         from {rows} where true
         on conflict (account_id, phone) do update set name = excluded.name,
           timezone = excluded.timezone, tags = excluded.tags, fields = excluded.fields,
           blocked = excluded.blocked, updated_at = excluded.updated_at",
        (account.0, now),
        rows,
    )
    .await?;
    Ok(())
}

/// Whether any contact of the account has a custom field of this name.
pub async fn any_has_field(tx: &mut Tx, account: AccountId, name: &str) -> Result<bool> {
    let key = serde_json::to_string(name).expect("a text is valid JSON");
    // A key is followed by a colon; a value that looks like one costs a clearer refusal later.
    let row: Option<(i64,)> = tx
        .optional(
            "select account_id from contact
             where account_id = $1 and fields like '%' || $2 || ':%' limit 1",
            (account.0, key),
        )
        .await?;
    Ok(row.is_some())
}
