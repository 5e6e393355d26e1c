//! What staff write to people: answers on a conversation, and conversations begun by them.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::contexts::{self, Context};
use domain::ids::{AccountId, CannedReplyId, ContactId, ThreadId};
use domain::instant::Instant;
use domain::seam::Dice;
use domain::settings::Settings;
use domain::text;
use serde::{Deserialize, Serialize};
use store::accounts::Account;
use store::contacts::{self, Contact};
use store::threads::{self, Thread};
use store::{Tx, accounts, settings};

use super::canned;
use super::threads::{ThreadOut, one};
use crate::flow::keywords::bare;
use crate::flow::messages::{Asking, MessageTaken, checked_phone};
use crate::flow::texts::{self, Wanted, Writer};
use crate::flow::{Refusal, Result, invalid};

/// So long after a text came in staff may answer at night, where the account says so.
const CONVERSATION: Duration = Duration::from_secs(24 * 3600);
/// An answer that cannot leave within this is of no use any more.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A text by staff.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplyIn {
    /// The text as it is to be sent.
    pub body: Option<String>,
    /// Instead of `body`: a canned reply, filled with what is known of the contact.
    #[schema(value_type = Option<String>)]
    pub canned_reply_id: Option<CannedReplyId>,
}

/// A conversation to be begun.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TalkIn {
    /// With whom.
    #[schema(value_type = Option<String>)]
    pub contact_id: Option<ContactId>,
    /// Instead of `contact_id`: a number.
    pub phone: Option<String>,
    /// The text as it is to be sent.
    pub body: Option<String>,
    /// Instead of `body`: a canned reply, filled with what is known of the contact.
    #[schema(value_type = Option<String>)]
    pub canned_reply_id: Option<CannedReplyId>,
}

/// A conversation that was begun.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct TalkOut {
    /// The conversation.
    pub thread: ThreadOut,
    /// The text.
    pub message: MessageTaken,
}

/// Sends a text by staff on a conversation, through the gate.
pub async fn reply(
    tx: &mut Tx,
    asking: Asking<'_>,
    id: ThreadId,
    wanted: &ReplyIn,
) -> Result<MessageTaken> {
    let account = asking.account;
    let choices = settings::lock_settings(tx, account).await?;
    let found = threads::find_thread(tx, account, id).await?;
    let thread = found.ok_or(Refusal::NotFound("thread"))?;
    let contact = contact_of(tx, account, &thread).await?;
    send(tx, asking, choices, thread, contact.as_ref(), wanted).await
}

/// Begins a conversation, or goes on with the one there is.
pub async fn start(
    tx: &mut Tx,
    asking: Asking<'_>,
    dice: &dyn Dice,
    wanted: &TalkIn,
) -> Result<TalkOut> {
    let account = asking.account;
    let choices = settings::lock_settings(tx, account).await?;
    let phone = match (wanted.contact_id, &wanted.phone) {
        (Some(id), None) => {
            let found = contacts::contacts_by_id(tx, account, &[id]).await?;
            let contact = found.into_iter().next();
            contact.ok_or_else(|| invalid("contact_id", "there is no such contact"))?.phone
        }
        (None, Some(raw)) => {
            let owner = accounts::account(tx, account).await?;
            checked_number(raw, &owner, &choices, asking.magic_allowed)?
        }
        _ => return Err(invalid("contact_id", "write either contact_id or phone")),
    };
    let fresh = ThreadId::new(tx.now(), dice);
    let id = threads::ensure_thread(tx, account, fresh, &phone).await?;
    let found = threads::find_thread(tx, account, id).await?;
    let thread = Thread { closed: false, ..found.ok_or(Refusal::NotFound("thread"))? };
    let contact = contact_of(tx, account, &thread).await?;
    let words = ReplyIn { body: wanted.body.clone(), canned_reply_id: wanted.canned_reply_id };
    let message = send(tx, asking, choices, thread, contact.as_ref(), &words).await?;
    Ok(TalkOut { thread: one(tx, account, id).await?, message })
}

fn checked_number(
    raw: &str,
    owner: &Account,
    choices: &Settings,
    magic_allowed: bool,
) -> Result<String> {
    let countries = choices.countries(&owner.country);
    let checked = checked_phone(raw, &owner.country, &countries, magic_allowed);
    checked.map_err(|refusal| match refusal {
        Refusal::Invalid { problem, .. } => invalid("phone", problem),
        other => other,
    })
}

async fn contact_of(tx: &mut Tx, account: AccountId, thread: &Thread) -> Result<Option<Contact>> {
    let phones = [bare(&thread.phone).to_owned()];
    let found = contacts::contacts_by_phone(tx, account, &phones).await?.into_iter().next();
    match (found, thread.contact) {
        // The person has another number by now.
        (None, Some(id)) => {
            Ok(contacts::contacts_by_id(tx, account, &[id]).await?.into_iter().next())
        }
        (found, _) => Ok(found),
    }
}

async fn send(
    tx: &mut Tx,
    asking: Asking<'_>,
    choices: Settings,
    thread: Thread,
    contact: Option<&Contact>,
    wanted: &ReplyIn,
) -> Result<MessageTaken> {
    let (account, now) = (asking.account, tx.now());
    let owner = accounts::account(tx, account).await?;
    let (field, body) = match (&wanted.body, wanted.canned_reply_id) {
        (Some(body), None) => ("body", body.clone()),
        (None, Some(id)) => {
            let body = canned::filled(tx, &owner, id, &thread.phone, contact).await?;
            ("canned_reply_id", body)
        }
        _ => return Err(invalid("body", "write either body or canned_reply_id")),
    };
    text::finish(&body).map_err(|problem| invalid(field, problem.to_string()))?;
    let context = context_of(&choices, thread.inbound_at, now);
    let writer = Writer::open(tx, asking, choices).await?;
    let wanted = Wanted {
        context,
        phone: thread.phone.clone(),
        contact,
        timezone: None,
        values: BTreeMap::new(),
        body: Some(body),
        send_at: now,
        not_after: now + LIFETIME,
    };
    let composed = writer.write(tx, vec![wanted]).await?;
    let (segments, credits) = {
        let (_, text) = composed.first().expect("one text was wanted");
        (text.segments, text.price)
    };
    let thread = Thread { updated_at: now, ..thread };
    threads::save_thread(tx, account, &thread).await?;
    let placed = texts::append(tx, account, composed).await?;
    let id = *placed.first().expect("one text was appended");
    Ok(MessageTaken { id, state: "queued", segments, credits })
}

/// An answer within a day of a text that came in may wake its writer, where the account says so.
fn context_of(choices: &Settings, inbound_at: Option<Instant>, now: Instant) -> &'static Context {
    let in_talk = inbound_at.is_some_and(|at| now < at + CONVERSATION);
    let exempt = choices.reply_quiet_exempt && in_talk;
    let key = if exempt { "reply.conversation" } else { "reply.staff" };
    contexts::find(key).expect("both are registered")
}
