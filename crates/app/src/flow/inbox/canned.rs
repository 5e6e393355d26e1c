//! Texts that staff send often.

use std::collections::BTreeMap;

use domain::ids::{AccountId, CannedReplyId};
use domain::instant::Instant;
use domain::quiet_hours;
use domain::seam::Dice;
use domain::template::{RenderContext, Template};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use store::accounts::Account;
use store::contacts::Contact;
use store::notes::{self, CANNED_REPLIES_MAX, CannedReply};
use store::{Tx, settings};

use super::threads::checked_words;
use crate::flow::accounts::checked_name;
use crate::flow::contacts::variables;
use crate::flow::{Refusal, Result, invalid};

const BODY_CHARS_MAX: usize = 1600;

/// A wanted canned reply.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CannedReplyIn {
    /// What staff call it.
    pub name: String,
    /// Its words, a template: `{{ name }}`, `{{ phone }}`, `{{ business }}` and the contact's own
    /// fields are filled in.
    pub body: String,
}

/// A canned reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct CannedReplyOut {
    /// Its id.
    #[schema(value_type = String)]
    pub id: CannedReplyId,
    /// What staff call it.
    pub name: String,
    /// Its words, a template.
    pub body: String,
    /// When it was last written.
    #[schema(value_type = String)]
    pub updated_at: Instant,
}

impl From<CannedReply> for CannedReplyOut {
    fn from(one: CannedReply) -> Self {
        Self { id: one.id, name: one.name, body: one.body, updated_at: one.updated_at }
    }
}

/// An account's canned replies by name.
pub async fn list(tx: &mut Tx, account: AccountId) -> Result<Vec<CannedReplyOut>> {
    let all = notes::list_canned_replies(tx, account).await?;
    Ok(all.into_iter().map(CannedReplyOut::from).collect())
}

/// Adds a canned reply.
pub async fn add(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    wanted: &CannedReplyIn,
) -> Result<CannedReplyOut> {
    settings::lock_settings(tx, account).await?;
    let most = usize::try_from(CANNED_REPLIES_MAX).unwrap_or(usize::MAX);
    if notes::list_canned_replies(tx, account).await?.len() >= most {
        let words = format!("an account has at most {most} canned replies; remove one first");
        return Err(Refusal::State(words));
    }
    let id = CannedReplyId::new(tx.now(), dice);
    save(tx, account, id, wanted).await
}

/// Writes a canned reply anew.
pub async fn replace(
    tx: &mut Tx,
    account: AccountId,
    id: CannedReplyId,
    wanted: &CannedReplyIn,
) -> Result<CannedReplyOut> {
    settings::lock_settings(tx, account).await?;
    let found = notes::find_canned_reply(tx, account, id).await?;
    found.ok_or(Refusal::NotFound("canned reply"))?;
    save(tx, account, id, wanted).await
}

async fn save(
    tx: &mut Tx,
    account: AccountId,
    id: CannedReplyId,
    wanted: &CannedReplyIn,
) -> Result<CannedReplyOut> {
    let name = checked_name("name", &wanted.name)?;
    let body = checked_words("body", &wanted.body, BODY_CHARS_MAX)?;
    Template::parse(&body).map_err(|error| invalid("body", error.to_string()))?;
    if notes::canned_reply_named(tx, account, &name).await?.is_some_and(|other| other != id) {
        return Err(Refusal::Exists(format!("there is a canned reply called {name:?} already")));
    }
    let one = CannedReply { id, name, body, updated_at: tx.now() };
    notes::save_canned_reply(tx, account, &one).await?;
    Ok(one.into())
}

/// Removes a canned reply.
pub async fn remove(tx: &mut Tx, account: AccountId, id: CannedReplyId) -> Result<()> {
    settings::lock_settings(tx, account).await?;
    if notes::delete_canned_reply(tx, account, id).await? {
        return Ok(());
    }
    Err(Refusal::NotFound("canned reply"))
}

/// A canned reply in words for this person.
pub async fn filled(
    tx: &mut Tx,
    owner: &Account,
    id: CannedReplyId,
    phone: &str,
    contact: Option<&Contact>,
) -> Result<String> {
    let wrong = |words: String| invalid("canned_reply_id", words);
    let found = notes::find_canned_reply(tx, owner.id, id).await?;
    let one = found.ok_or_else(|| wrong("there is no such canned reply".to_owned()))?;
    let template = Template::parse(&one.body).map_err(|error| wrong(error.to_string()))?;
    let mut values = contact.map_or_else(BTreeMap::new, variables);
    values.entry("phone".to_owned()).or_insert_with(|| phone.to_owned());
    values.insert("business".to_owned(), owner.name.clone());
    let zone = contact.and_then(|one| one.timezone.as_deref()).unwrap_or(&owner.timezone);
    let zone = quiet_hours::zone(zone).unwrap_or(TimeZone::UTC);
    let context = RenderContext { now: tx.now(), zone };
    template.render(&values, &context).map_err(|error| wrong(error.to_string()))
}
