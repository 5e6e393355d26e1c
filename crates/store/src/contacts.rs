//! The people who get texts.

use std::collections::BTreeMap;

use domain::ids::{AccountId, ContactId};
use domain::instant::Instant;
use domain::quiet_hours::QuietHours;

use crate::db::{Result, Rows, Tx, expect_rows};
use crate::{contact_id, damaged, uuid};

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
    /// Language, such as `es` or `es-MX`, when known.
    pub locale: Option<String>,
    /// The number is known to be theirs.
    pub verified: bool,
    /// The person's own quiet hours, instead of the account's.
    pub quiet_hours: Option<QuietHours>,
    /// The account wants no text to go there.
    pub blocked: bool,
    /// When it was made.
    pub created_at: Instant,
}

type ContactRow = (
    Vec<u8>,
    String,
    String,
    Option<String>,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    i64,
    i64,
    i64,
);

fn contact_of(row: ContactRow) -> Result<Contact> {
    let (id, phone, name, timezone, tags, fields, locale, start, end, verified, blocked, at) = row;
    let quiet_hours = start
        .zip(end)
        .map(|(start, end)| QuietHours::parse(&start, &end))
        .transpose()
        .map_err(|_| damaged("the quiet hours of a contact"))?;
    Ok(Contact {
        id: contact_id(id)?,
        phone,
        name,
        timezone,
        tags: serde_json::from_str(&tags).map_err(|_| damaged("the tags of a contact"))?,
        fields: serde_json::from_str(&fields).map_err(|_| damaged("the fields of a contact"))?,
        locale,
        verified: verified == 1,
        quiet_hours,
        blocked: blocked == 1,
        created_at: Instant(at),
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
            "select contact_id, phone, name, timezone, tags, fields, locale, quiet_start,
               quiet_end, verified, blocked, created_at
             from contact where account_id = $1 and contact_id > $2 order by contact_id limit $3",
            (account.0, after, limit),
        )
        .await?;
    rows.into_iter().map(contact_of).collect()
}

/// Which contacts are listed; what is absent does not narrow the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactFilter {
    /// With this label.
    pub tag: Option<String>,
    /// With this number, E.164.
    pub phone: Option<String>,
}

/// Contacts that pass the filter, after `after`, in the order they were made.
pub async fn find_contacts(
    tx: &mut Tx,
    account: AccountId,
    filter: &ContactFilter,
    after: Option<ContactId>,
    limit: i64,
) -> Result<Vec<Contact>> {
    let after = after.map_or_else(Vec::new, |id| id.0.to_vec());
    // A list without the label's JSON text is itself: unlike `like`, this knows no wildcards.
    let tag = filter
        .tag
        .as_ref()
        .map_or_else(String::new, |tag| serde_json::to_string(tag).expect("a text is valid JSON"));
    let rows: Vec<ContactRow> = tx
        .all(
            "select contact_id, phone, name, timezone, tags, fields, locale, quiet_start,
               quiet_end, verified, blocked, created_at
             from contact where account_id = $1 and contact_id > $2
               and ($3 = '' or replace(tags, $3, '') <> tags) and ($4 = '' or phone = $4)
             order by contact_id limit $5",
            (account.0, after, tag, filter.phone.clone().unwrap_or_default(), limit),
        )
        .await?;
    rows.into_iter().map(contact_of).collect()
}

/// The contact with this id.
pub async fn find_contact(
    tx: &mut Tx,
    account: AccountId,
    id: ContactId,
) -> Result<Option<Contact>> {
    Ok(contacts_by_id(tx, account, &[id]).await?.pop())
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
            "select k.contact_id, k.phone, k.name, k.timezone, k.tags, k.fields, k.locale,
               k.quiet_start, k.quiet_end, k.verified, k.blocked, k.created_at
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
            "select k.contact_id, k.phone, k.name, k.timezone, k.tags, k.fields, k.locale,
               k.quiet_start, k.quiet_end, k.verified, k.blocked, k.created_at
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
    let quiet = |contact: &Contact| {
        contact.quiet_hours.map(|quiet| (quiet.start.to_string(), quiet.end.to_string()))
    };
    let json = |value: serde_json::Result<String>| value.expect("texts and lists are valid JSON");
    let rows = Rows::of(contacts.len())
        .bytes("contact_id", contacts.iter().map(|contact| contact.id.0.to_vec()))
        .text("phone", contacts.iter().map(|contact| contact.phone.clone()))
        .text("name", contacts.iter().map(|contact| contact.name.clone()))
        .text("timezone", contacts.iter().map(|contact| contact.timezone.clone()))
        .text("tags", contacts.iter().map(|contact| json(serde_json::to_string(&contact.tags))))
        .text("fields", contacts.iter().map(|contact| json(serde_json::to_string(&contact.fields))))
        .text("locale", contacts.iter().map(|contact| contact.locale.clone()))
        .text("quiet_start", contacts.iter().map(|contact| quiet(contact).map(|(start, _)| start)))
        .text("quiet_end", contacts.iter().map(|contact| quiet(contact).map(|(_, end)| end)))
        .int("verified", contacts.iter().map(|contact| i64::from(contact.verified)))
        .int("blocked", contacts.iter().map(|contact| i64::from(contact.blocked)));
    let now = tx.now().0;
    tx.many(
        "insert into contact (account_id, contact_id, phone, name, timezone, tags, fields, locale,
           quiet_start, quiet_end, verified, blocked, created_at, updated_at)
         select $1, r.contact_id, r.phone, r.name, r.timezone, r.tags, r.fields, r.locale,
           r.quiet_start, r.quiet_end, r.verified, r.blocked, $2, $2
         from {rows} where true
         on conflict (account_id, phone) do update set name = excluded.name,
           timezone = excluded.timezone, tags = excluded.tags, fields = excluded.fields,
           locale = excluded.locale, quiet_start = excluded.quiet_start,
           quiet_end = excluded.quiet_end, verified = excluded.verified,
           blocked = excluded.blocked, updated_at = excluded.updated_at",
        (account.0, now),
        rows,
    )
    .await?;
    Ok(())
}

/// Writes all of a contact, its phone included; no other contact has that phone.
pub async fn save_contact(tx: &mut Tx, account: AccountId, contact: &Contact) -> Result<()> {
    let json = |value: serde_json::Result<String>| value.expect("texts and lists are valid JSON");
    let quiet = contact.quiet_hours.map(|quiet| (quiet.start.to_string(), quiet.end.to_string()));
    let (start, end) = quiet.unzip();
    let now = tx.now().0;
    let changed = tx
        .execute(
            "update contact set phone = $3, name = $4, timezone = $5, tags = $6, fields = $7,
               locale = $8, quiet_start = $9, quiet_end = $10, verified = $11, blocked = $12,
               updated_at = $13
             where account_id = $1 and contact_id = $2",
            (
                account.0,
                contact.id.0.to_vec(),
                contact.phone.clone(),
                contact.name.clone(),
                contact.timezone.clone(),
                json(serde_json::to_string(&contact.tags)),
                json(serde_json::to_string(&contact.fields)),
                contact.locale.clone(),
                start,
                end,
                i64::from(contact.verified),
                i64::from(contact.blocked),
                now,
            ),
        )
        .await?;
    expect_rows("save a contact", 1, changed)
}

/// Makes one contact out of two: what names `gone` names `kept` from here on, and `gone` is
/// removed. Texts stay where they are, they belong to their phones.
pub async fn merge_contact(
    tx: &mut Tx,
    account: AccountId,
    gone: ContactId,
    kept: ContactId,
) -> Result<()> {
    for text in [
        "update thread set contact_id = $3 where account_id = $1 and contact_id = $2",
        // The range leads SQLite to the index: from equalities alone it takes the primary key.
        "update attendee set contact_id = $3
         where account_id = $1 and contact_id = $2 and updated_at >= 0",
        "update task set contact_id = $3 where account_id = $1 and contact_id = $2",
    ] {
        tx.execute(text, (account.0, gone.0.to_vec(), kept.0.to_vec())).await?;
    }
    let text = "delete from contact where account_id = $1 and contact_id = $2";
    let removed = tx.execute(text, (account.0, gone.0.to_vec())).await?;
    expect_rows("remove a merged contact", 1, removed)
}

/// Has what is still to come of a person's bookings go to another number: the attendees, and the
/// answers that are waited for.
pub async fn move_bookings(
    tx: &mut Tx,
    account: AccountId,
    contact: ContactId,
    from: &str,
    to: &str,
) -> Result<()> {
    let now = tx.now().0;
    tx.execute(
        "update request set phone = $4
         where account_id = $1 and phone = $3 and state = 'pending'
           and attendee_id in (select a.attendee_id from attendee a
             where a.account_id = $1 and a.contact_id = $2)
           and not exists (select 1 from request q where q.account_id = $1 and q.phone = $4
             and q.state = 'pending' and q.token = request.token)",
        (account.0, contact.0.to_vec(), from.to_owned(), to.to_owned()),
    )
    .await?;
    tx.execute(
        "update attendee set phone = $4, updated_at = $5
         where account_id = $1 and contact_id = $2 and phone = $3
           and appointment_id in (select p.appointment_id from appointment p
             where p.account_id = $1 and p.starts_at > $5)",
        (account.0, contact.0.to_vec(), from.to_owned(), to.to_owned(), now),
    )
    .await?;
    Ok(())
}

/// What became of a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactEvent {
    /// A fresh id.
    pub id: [u8; 16],
    /// `phone` or `merge`.
    pub kind: String,
    /// What it was and what it is, JSON.
    pub detail: String,
    /// Who did it.
    pub actor: String,
    /// When; kept as the present.
    pub at: Instant,
}

/// Events that one contact's history shows at most.
pub const EVENTS_SHOWN_MAX: i64 = 1000;

/// Adds to a contact's history.
pub async fn insert_contact_event(
    tx: &mut Tx,
    account: AccountId,
    contact: ContactId,
    event: &ContactEvent,
) -> Result<()> {
    let now = tx.now().0;
    tx.execute(
        "insert into contact_event (account_id, contact_id, event_id, kind, detail, actor, at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        (
            account.0,
            contact.0.to_vec(),
            event.id.to_vec(),
            event.kind.clone(),
            event.detail.clone(),
            event.actor.clone(),
            now,
        ),
    )
    .await?;
    Ok(())
}

/// A contact's history, oldest first.
pub async fn contact_events(
    tx: &mut Tx,
    account: AccountId,
    contact: ContactId,
) -> Result<Vec<ContactEvent>> {
    let rows: Vec<(Vec<u8>, String, String, String, i64)> = tx
        .all(
            "select event_id, kind, detail, actor, at from contact_event
             where account_id = $1 and contact_id = $2 order by at, event_id limit $3",
            (account.0, contact.0.to_vec(), EVENTS_SHOWN_MAX),
        )
        .await?;
    rows.into_iter()
        .map(|(id, kind, detail, actor, at)| {
            Ok(ContactEvent { id: uuid(id)?, kind, detail, actor, at: Instant(at) })
        })
        .collect()
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
