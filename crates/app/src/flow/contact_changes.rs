//! A contact is changed: what is known of a person, their number, two that are one.
//!
//! A new number keeps the contact and its history. Consent does not move with it: it belongs to
//! the phone, so a new number starts with what that phone itself has said.

use std::collections::BTreeMap;

use domain::ids::{AccountId, ContactId};
use domain::quiet_hours::QuietHours;
use domain::seam::Dice;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use store::contacts::{self, Contact, ContactEvent};
use store::{Tx, accounts, settings};

use super::accounts::{NAME_CHARS_MAX, checked_zone};
use super::consents::checked_phone;
use super::contacts::{FIELD_CHARS_MAX, FIELDS_MAX, checked_locale, checked_tags};
use super::{Refusal, Result, invalid};

/// What is to change of a contact; what is left out stays, `null` removes.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactPatch {
    /// The new number, as typed. The contact keeps its id and its history; consent belongs to the
    /// phone and does not move.
    pub phone: Option<String>,
    /// Another contact has the new number: make one of the two.
    #[serde(default)]
    pub merge: bool,
    /// Name.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub name: Option<Option<String>>,
    /// IANA zone.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub timezone: Option<Option<String>>,
    /// Language, such as `es` or `es-MX`.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub locale: Option<Option<String>>,
    /// Labels instead of those there are.
    pub tags: Option<Vec<String>>,
    /// Custom fields to write; `null` removes one.
    pub fields: Option<BTreeMap<String, Option<String>>>,
    /// The account wants no text to go there.
    pub blocked: Option<bool>,
    /// The number is known to be theirs.
    pub verified: Option<bool>,
    /// The person's own quiet hours, instead of the account's.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Object>)]
    pub quiet_hours: Option<Option<QuietHours>>,
}

/// Tells `null` from nothing: a field that is there is `Some`, whatever it says.
pub fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> std::result::Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Changes a contact.
pub async fn patch(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    id: ContactId,
    actor: &str,
    patch: &ContactPatch,
) -> Result<Contact> {
    settings::lock_settings(tx, account).await?;
    let owner = accounts::account(tx, account).await?;
    let found = contacts::find_contact(tx, account, id).await?;
    let mut contact = found.ok_or(Refusal::NotFound("contact"))?;
    let before = contact.phone.clone();
    if let Some(raw) = &patch.phone {
        let phone = checked_phone(raw, &owner)?;
        if phone != contact.phone {
            contact = renumber(tx, dice, account, contact, phone, actor, patch.merge).await?;
        }
    }
    apply(&mut contact, patch)?;
    contacts::save_contact(tx, account, &contact).await?;
    if contact.phone != before {
        contacts::move_bookings(tx, account, id, &before, &contact.phone).await?;
    }
    Ok(contact)
}

fn apply(contact: &mut Contact, patch: &ContactPatch) -> Result<()> {
    let filled = |text: &Option<String>| {
        text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    if let Some(name) = &patch.name {
        contact.name = filled(name).unwrap_or_default();
        if contact.name.chars().count() > NAME_CHARS_MAX {
            return Err(invalid("name", format!("write at most {NAME_CHARS_MAX} characters")));
        }
    }
    if let Some(zone) = &patch.timezone {
        contact.timezone = filled(zone).map(|name| checked_zone("timezone", &name)).transpose()?;
    }
    if let Some(locale) = &patch.locale {
        contact.locale = filled(locale).map(|text| checked_locale(&text)).transpose()?;
    }
    if let Some(tags) = &patch.tags {
        contact.tags = checked_tags(tags)?;
    }
    for (name, value) in patch.fields.iter().flatten() {
        match filled(value) {
            Some(value) => contact.fields.insert(name.clone(), value),
            None => contact.fields.remove(name),
        };
    }
    check_fields(&contact.fields)?;
    contact.blocked = patch.blocked.unwrap_or(contact.blocked);
    contact.verified = patch.verified.unwrap_or(contact.verified);
    contact.quiet_hours = patch.quiet_hours.unwrap_or(contact.quiet_hours);
    Ok(())
}

fn check_fields(fields: &BTreeMap<String, String>) -> Result<()> {
    if fields.len() <= FIELDS_MAX
        && fields.values().all(|value| value.chars().count() <= FIELD_CHARS_MAX)
    {
        return Ok(());
    }
    let problem =
        format!("write at most {FIELDS_MAX} fields of at most {FIELD_CHARS_MAX} characters");
    Err(invalid("fields", problem))
}

/// Gives a contact another number; whoever has it becomes one with the contact, if that is wanted.
async fn renumber(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    mut contact: Contact,
    phone: String,
    actor: &str,
    merge: bool,
) -> Result<Contact> {
    let before = std::mem::replace(&mut contact.phone, phone);
    // Whoever proved the old number proved nothing about the new one.
    contact.verified = false;
    let holder = contacts::contacts_by_phone(tx, account, &[contact.phone.clone()]).await?;
    let (kind, detail) = match holder.into_iter().next() {
        None => ("phone", json!({"from": before, "to": contact.phone})),
        Some(other) if merge => {
            let detail = json!({
                "from": before, "to": contact.phone, "merged": other.id,
                "name": other.name, "tags": other.tags, "fields": other.fields,
            });
            contacts::merge_contact(tx, account, other.id, contact.id).await?;
            join(&mut contact, other);
            ("merge", detail)
        }
        Some(other) => {
            let words = format!(
                "the contact {} has this number; write \"merge\": true to make one of the two",
                other.id
            );
            return Err(Refusal::Exists(words));
        }
    };
    let mut event = [0; 16];
    dice.fill(&mut event);
    let event = ContactEvent {
        id: event,
        kind: kind.to_owned(),
        detail: detail.to_string(),
        actor: actor.to_owned(),
        at: tx.now(),
    };
    contacts::insert_contact_event(tx, account, contact.id, &event).await?;
    Ok(contact)
}

/// What is known of either; where both know, the one that stays does.
fn join(contact: &mut Contact, other: Contact) {
    if contact.name.is_empty() {
        contact.name = other.name;
    }
    contact.timezone = contact.timezone.take().or(other.timezone);
    contact.locale = contact.locale.take().or(other.locale);
    contact.quiet_hours = contact.quiet_hours.or(other.quiet_hours);
    contact.verified = other.verified;
    contact.blocked |= other.blocked;
    contact.tags.extend(other.tags);
    contact.tags.sort_unstable();
    contact.tags.dedup();
    for (name, value) in other.fields {
        contact.fields.entry(name).or_insert(value);
    }
}
