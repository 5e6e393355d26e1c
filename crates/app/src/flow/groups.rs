//! One event, many people: a text to each of a group, planned and kept in one transaction, claimed
//! and paid for as one batch.

use std::collections::BTreeSet;

use domain::ids::{AccountId, MessageId};
use serde::{Deserialize, Serialize};
use store::recipients::{self, Recipient};
use store::{Db, Tx, contacts, idempotency, streams};

use super::messages::{Asking, Draft, MessageIn, RequestKey};
use super::{Refusal, Result, invalid};

/// People one text goes to at most; larger lists are campaigns.
const PEOPLE_MAX: usize = 1000;

/// A text to many people.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupIn {
    /// To whom, at most 1,000.
    pub to: Vec<String>,
    /// The text as it is to be sent.
    pub body: Option<String>,
    /// Instead of `body`: a template, filled with what is known of each contact.
    pub template: Option<String>,
    /// Why, a key such as `message.notification`.
    pub context: Option<String>,
    /// `transactional` or `marketing`, instead of a context.
    pub category: Option<String>,
    /// Not before.
    #[schema(value_type = Option<String>)]
    pub send_at: Option<domain::instant::Instant>,
    /// Not after; absent for a day after `send_at`.
    #[schema(value_type = Option<String>)]
    pub not_after: Option<domain::instant::Instant>,
}

/// What was taken in of a group.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct GroupTaken {
    /// One per person who gets the text.
    pub messages: Vec<MemberTaken>,
    /// Those who do not get it, and why; the others do.
    pub rejected: Vec<MemberRejected>,
    /// What all of it will cost.
    pub credits: i64,
}

/// A person who gets the text.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct MemberTaken {
    /// E.164.
    pub to: String,
    /// The text's id.
    #[schema(value_type = String)]
    pub id: MessageId,
    /// Billed parts.
    pub segments: i64,
    /// What it will cost.
    pub credits: i64,
}

/// A person who does not get the text.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct MemberRejected {
    /// As it was written.
    pub to: String,
    /// Its place in `to`, from 0.
    pub index: usize,
    /// Why, and how to mend it.
    pub problem: String,
}

/// What came of a group.
#[derive(Clone, Debug)]
pub enum Taken {
    /// New texts.
    New(GroupTaken),
    /// The key was used before; this is its answer.
    Before(idempotency::KeptAnswer),
}

/// Takes a text to many people in; each is judged by the gate when it is to leave. Bad entries do
/// not stop the good ones.
pub async fn take(
    db: &Db,
    asking: Asking<'_>,
    wanted: &GroupIn,
    key: Option<&RequestKey>,
) -> Result<Taken> {
    if wanted.to.is_empty() || wanted.to.len() > PEOPLE_MAX {
        return Err(invalid("to", format!("write 1 to {PEOPLE_MAX} numbers")));
    }
    let text = MessageIn {
        to: String::new(),
        body: wanted.body.clone(),
        template: wanted.template.clone(),
        context: wanted.context.clone(),
        category: wanted.category.clone(),
        send_at: wanted.send_at,
        not_after: wanted.not_after,
    };
    let mut tx = db.read().await?;
    let draft = Draft::of(&mut tx, asking, &text).await?;
    let mut rejected = Vec::new();
    let people = phones(&draft, asking, wanted, &mut rejected);
    let list: Vec<String> = people.iter().map(|(_, phone)| phone.clone()).collect();
    let known = contacts::contacts_by_phone(&mut tx, asking.account, &list).await?;
    let phones: Vec<&str> = list.iter().map(String::as_str).collect();
    let rates = draft.rates(&mut tx, &phones).await?;
    drop(tx);
    let mut texts = Vec::with_capacity(people.len());
    for (index, phone) in people {
        let contact = known.iter().find(|contact| contact.phone == phone);
        match draft.recipient(phone, contact, &rates) {
            Ok(recipient) => texts.push(recipient),
            // The same text for everybody is wrong for everybody.
            Err(refusal) if wanted.template.is_none() => return Err(refusal),
            Err(refusal) => rejected.push(MemberRejected {
                to: wanted.to[index].clone(),
                index,
                problem: words(&refusal),
            }),
        }
    }
    rejected.sort_by_key(|one| one.index);
    let mut tx = db.begin().await?;
    if let Some(key) = key
        && let Some(kept) =
            idempotency::take_key(&mut tx, asking.account, &key.key, key.hash).await?
    {
        return Ok(Taken::Before(kept));
    }
    let taken = keep(&mut tx, asking.account, &draft, texts, rejected).await?;
    if let Some(key) = key {
        let body = serde_json::to_string(&taken).expect("an answer is valid JSON");
        idempotency::keep_answer(&mut tx, asking.account, &key.key, 202, &body).await?;
    }
    tx.commit().await?;
    Ok(Taken::New(taken))
}

/// The good numbers with their places, each once.
fn phones(
    draft: &Draft<'_>,
    asking: Asking<'_>,
    wanted: &GroupIn,
    rejected: &mut Vec<MemberRejected>,
) -> Vec<(usize, String)> {
    let mut seen = BTreeSet::new();
    let mut people = Vec::with_capacity(wanted.to.len());
    for (index, to) in wanted.to.iter().enumerate() {
        let problem = match draft.checked_phone(to, asking.magic_allowed) {
            Ok(phone) if seen.insert(phone.clone()) => {
                people.push((index, phone));
                continue;
            }
            Ok(phone) => format!("{phone} is in the list already"),
            Err(refusal) => words(&refusal),
        };
        rejected.push(MemberRejected { to: to.clone(), index, problem });
    }
    people
}

fn words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Invalid { problem, .. } => problem.clone(),
        other => other.to_string(),
    }
}

async fn keep(
    tx: &mut Tx,
    account: AccountId,
    draft: &Draft<'_>,
    texts: Vec<Recipient>,
    rejected: Vec<MemberRejected>,
) -> Result<GroupTaken> {
    let stream = draft.stream;
    let before = streams::lock_stream(tx, account, stream).await?;
    let mut after = before;
    let mut list = Vec::with_capacity(texts.len());
    let mut messages = Vec::with_capacity(texts.len());
    for text in texts {
        after.total += 1;
        let text = Recipient { ord: after.total, ..text };
        messages.push(MemberTaken {
            to: text.phone.clone(),
            id: MessageId { account, stream, ord: text.ord },
            segments: text.segments,
            credits: text.price,
        });
        list.push(text);
    }
    if !list.is_empty() {
        recipients::insert_recipients(tx, account, stream, &list).await?;
        streams::save_stream(tx, account, &before, &after).await?;
    }
    let credits = messages.iter().map(|one| one.credits).sum();
    Ok(GroupTaken { messages, rejected, credits })
}
