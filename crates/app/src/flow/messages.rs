//! Single texts: taken in durably at once, sent by the account's endless stream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::contexts;
use domain::ids::{AccountId, MessageId, StreamId};
use domain::instant::Instant;
use domain::permit::Category;
use domain::phone;
use domain::quiet_hours;
use domain::rates::{RateTable, SenderKind};
use domain::template::{RenderContext, Template};
use domain::text;
use serde::{Deserialize, Serialize};
use store::accounts::Account;
use store::combiner::Combiner;
use store::contacts::Contact;
use store::idempotency::{self, KeptAnswer};
use store::recipients::{self, Recipient};
use store::{Db, Tx, accounts, contacts, rates, settings, streams};

use super::contacts::variables;
use super::opt_out_link::{self, OptOutLinks};
use super::{Refusal, Result, invalid};
use crate::delivery::senders::{self, From};

/// Without a deadline of its own, a text is sent within a day or not at all.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
const AHEAD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// A wanted text.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageIn {
    /// To whom.
    pub to: String,
    /// The text as it is to be sent.
    pub body: Option<String>,
    /// Instead of `body`: a template, filled with what is known of the contact. Without both, the
    /// words that the context itself has.
    pub template: Option<String>,
    /// Why, a key such as `message.notification`.
    pub context: Option<String>,
    /// `transactional` or `marketing`, instead of a context.
    pub category: Option<String>,
    /// Not before.
    #[schema(value_type = Option<String>)]
    pub send_at: Option<Instant>,
    /// Not after; absent for a day after `send_at`.
    #[schema(value_type = Option<String>)]
    pub not_after: Option<Instant>,
}

/// A text that was taken in.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct MessageTaken {
    /// Its id.
    #[schema(value_type = String)]
    pub id: MessageId,
    /// Always `queued`.
    pub state: &'static str,
    /// Billed parts.
    pub segments: i64,
    /// What it will cost.
    pub credits: i64,
}

/// A request's idempotency key and the digest of its body.
#[derive(Clone, Debug)]
pub struct RequestKey {
    /// The key.
    pub key: String,
    /// Digest of method, path and body.
    pub hash: [u8; 32],
}

/// A checked text on its way into the stream.
#[derive(Clone, Debug)]
pub struct Intake {
    account: AccountId,
    stream: StreamId,
    recipient: Recipient,
    key: Option<RequestKey>,
}

/// What came of an intake.
#[derive(Clone, Debug)]
pub enum Taken {
    /// A new text.
    New(MessageTaken),
    /// The key was used before; this is its answer.
    Before(KeptAnswer),
}

/// Why an intake failed; nothing of it was kept.
#[derive(Clone, Debug)]
pub struct IntakeFailed(pub String);

/// Takes texts in by batches.
pub type Intakes = Combiner<Intake, std::result::Result<Taken, IntakeFailed>>;

/// Who asks, and what texts of accounts without senders leave from.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Whose texts.
    pub account: AccountId,
    /// The sender of accounts that have none.
    pub installation_sender: Option<&'a From>,
    /// Numbers that exist in tests only may be texted.
    pub magic_allowed: bool,
}

/// Checks a wanted text.
pub async fn check(
    db: &Db,
    asking: Asking<'_>,
    wanted: &MessageIn,
    key: Option<RequestKey>,
) -> Result<Intake> {
    let mut tx = db.read().await?;
    let draft = Draft::of(&mut tx, asking, wanted).await?;
    let to = draft.checked_phone(&wanted.to, asking.magic_allowed)?;
    let account = asking.account;
    let known = contacts::contacts_by_phone(&mut tx, account, std::slice::from_ref(&to)).await?;
    let rates = draft.rates(&mut tx, &[&to]).await?;
    let recipient = draft.recipient(to, known.first(), &rates)?;
    Ok(Intake { account, stream: draft.stream, recipient, key })
}

/// What is the same for everybody who gets a text.
pub(super) struct Draft<'a> {
    pub(super) owner: Account,
    pub(super) stream: StreamId,
    countries: Vec<String>,
    wanted: &'a MessageIn,
    context: &'static contexts::Context,
    template: Option<Template>,
    send_at: Instant,
    not_after: Instant,
    kind: SenderKind,
    /// Where opt-out links lead, when the template has one.
    links: Option<OptOutLinks>,
    now: Instant,
}

impl<'a> Draft<'a> {
    pub(super) async fn of(tx: &mut Tx, asking: Asking<'_>, wanted: &'a MessageIn) -> Result<Self> {
        let owner = accounts::account(tx, asking.account).await?;
        let now = tx.now();
        let context = checked_context(wanted)?;
        let stream = StreamId::of_lane(context.lane)
            .ok_or_else(|| invalid("context", "this one is for campaigns"))?;
        let template = match (&wanted.body, &wanted.template) {
            (Some(_), None) => None,
            (None, Some(source)) => Some(
                Template::parse(source).map_err(|error| invalid("template", error.to_string()))?,
            ),
            (None, None) => match context.template(None) {
                Some(source) => Some(
                    Template::parse(source).expect("the registry was checked when it was read"),
                ),
                None => return Err(invalid("body", "write either body or template")),
            },
            _ => return Err(invalid("body", "write either body or template")),
        };
        let send_at = wanted.send_at.unwrap_or(Instant(0));
        if send_at > now + AHEAD_MAX {
            return Err(invalid("send_at", "write a time within a year from now"));
        }
        let not_after = wanted.not_after.unwrap_or_else(|| send_at.max(now) + LIFETIME);
        if not_after <= now || not_after < send_at {
            let problem = "write a time that is still to come, after send_at";
            return Err(invalid("not_after", problem));
        }
        let from = senders::choose(tx, asking.account, None, asking.installation_sender).await?;
        let kind = from.map_or(SenderKind::LongCode, |from| from.kind);
        let links = match &template {
            Some(template) if template.variables().contains(opt_out_link::VARIABLE) => {
                OptOutLinks::load(tx).await?
            }
            _ => None,
        };
        let choices = settings::settings(tx, asking.account).await?;
        let countries = choices.countries(&owner.country);
        Ok(Self {
            owner,
            stream,
            countries,
            wanted,
            context,
            template,
            send_at,
            not_after,
            kind,
            links,
            now,
        })
    }

    /// A number as it was written, if texts may go there.
    pub(super) fn checked_phone(&self, raw: &str, magic_allowed: bool) -> Result<String> {
        checked_phone(raw, &self.owner.country, &self.countries, magic_allowed)
    }

    /// The context's own words in the language of a contact, when the caller brings none.
    fn in_own_words(&self, contact: Option<&Contact>) -> Option<Template> {
        let locale = contact.and_then(|contact| contact.locale.as_deref())?;
        let source = self.context.template(Some(locale)).filter(|_| self.wanted.template.is_none());
        source.and_then(|source| Template::parse(source).ok())
    }

    /// What texts to these phones cost.
    pub(super) async fn rates(&self, tx: &mut Tx, phones: &[&str]) -> Result<RateTable> {
        Ok(rates::rates_to(tx, phones, self.kind).await?)
    }

    /// The text for this phone.
    pub(super) fn recipient(
        &self,
        to: String,
        contact: Option<&Contact>,
        rates: &RateTable,
    ) -> Result<Recipient> {
        let rendered = match &self.template {
            None => text::finish(self.wanted.body.as_deref().unwrap_or_default()),
            Some(template) => {
                let zone = contact.and_then(|one| one.timezone.as_deref());
                let zone = quiet_hours::zone(zone.unwrap_or(&self.owner.timezone))
                    .unwrap_or(jiff::tz::TimeZone::UTC);
                let mut values = contact.map_or_else(BTreeMap::new, variables);
                if let Some(links) = &self.links {
                    let link = links.url(self.owner.id, &to);
                    values.insert(opt_out_link::VARIABLE.to_owned(), link);
                }
                values.entry("business".to_owned()).or_insert_with(|| self.owner.name.clone());
                let own = self.in_own_words(contact);
                let template = own.as_ref().unwrap_or(template);
                text::compose(template, &values, &RenderContext { now: self.now, zone })
            }
        };
        let field = if self.template.is_none() { "body" } else { "template" };
        let text = rendered.map_err(|problem| invalid(field, problem.to_string()))?;
        let price = rates.price(&to, self.kind, text.segments, self.now);
        Ok(Recipient {
            ord: 0,
            phone: to,
            contact: contact.map(|one| one.id),
            timezone: contact.and_then(|one| one.timezone.clone()),
            context: self.context.key.clone(),
            category: self.context.category,
            body: Some(text.body),
            segments: i64::from(text.segments),
            price,
            problem: None,
            send_at: self.send_at,
            not_after: self.not_after,
            retry_of: None,
            tries: 1,
        })
    }
}

/// A number as it was written, by the country it is written in and those that are texted.
pub(super) fn checked_phone(
    raw: &str,
    country: &str,
    countries: &[String],
    magic_allowed: bool,
) -> Result<String> {
    let number =
        phone::parse(raw, Some(country)).map_err(|error| invalid("to", error.to_string()))?;
    match phone::refusal(&number, countries, magic_allowed) {
        Some(why) => Err(invalid("to", why.to_string())),
        None => Ok(number.e164.to_string()),
    }
}

fn checked_context(wanted: &MessageIn) -> Result<&'static contexts::Context> {
    match (&wanted.context, &wanted.category) {
        (Some(key), category) => {
            let context = contexts::find(key).ok_or_else(|| {
                let keys: Vec<&str> = contexts::all().iter().map(|one| one.key.as_str()).collect();
                invalid("context", format!("write one of {}", keys.join(", ")))
            })?;
            let other = category.as_ref().is_some_and(|word| word != context.category.as_str());
            if other {
                let problem = format!("the context {key} is {}", context.category);
                return Err(invalid("category", problem));
            }
            Ok(context)
        }
        (None, Some(word)) => Ok(match super::campaigns::checked_category(word)? {
            Category::Marketing => contexts::find("message.marketing"),
            Category::Transactional => contexts::find("message.notification"),
        }
        .expect("both are registered")),
        (None, None) => Ok(contexts::find("message.notification").expect("it is registered")),
    }
}

/// Starts taking texts in.
pub fn start_intakes(db: Db) -> Intakes {
    let db = Arc::new(db);
    Combiner::start(move |batch: Vec<Intake>| {
        let db = Arc::clone(&db);
        async move { take_batch(&db, batch).await }
    })
}

/// Takes texts in, those of one stream in one transaction, and answers each.
pub async fn take_batch(
    db: &Db,
    batch: Vec<Intake>,
) -> Vec<std::result::Result<Taken, IntakeFailed>> {
    let mut places: BTreeMap<(AccountId, StreamId), Vec<usize>> = BTreeMap::new();
    for (index, one) in batch.iter().enumerate() {
        places.entry((one.account, one.stream)).or_default().push(index);
    }
    let mut answers: Vec<std::result::Result<Taken, IntakeFailed>> =
        batch.iter().map(|_| Err(IntakeFailed(String::new()))).collect();
    for (place, indexes) in places {
        let items: Vec<&Intake> = indexes.iter().map(|&index| &batch[index]).collect();
        match take_in(db, place, &items).await {
            Ok(taken) => {
                for (index, one) in indexes.into_iter().zip(taken) {
                    answers[index] = Ok(one);
                }
            }
            Err(error) => {
                for index in indexes {
                    answers[index] = Err(IntakeFailed(error.to_string()));
                }
            }
        }
    }
    answers
}

async fn take_in(
    db: &Db,
    (account, stream): (AccountId, StreamId),
    items: &[&Intake],
) -> store::Result<Vec<Taken>> {
    let mut tx = db.begin().await?;
    let before = streams::lock_stream(&mut tx, account, stream).await?;
    let mut after = before;
    let mut list = Vec::new();
    let mut taken = Vec::new();
    for item in items {
        if let Some(answer) = answered(&mut tx, account, item).await? {
            taken.push(Taken::Before(answer));
            continue;
        }
        after.total += 1;
        let id = MessageId { account, stream, ord: after.total };
        let (segments, credits) = (item.recipient.segments, item.recipient.price);
        let new = MessageTaken { id, state: "queued", segments, credits };
        if let Some(key) = &item.key {
            let body = serde_json::to_string(&new).expect("an answer is valid JSON");
            idempotency::keep_answer(&mut tx, account, &key.key, 202, &body).await?;
        }
        list.push(Recipient { ord: after.total, ..item.recipient.clone() });
        taken.push(Taken::New(new));
    }
    if !list.is_empty() {
        recipients::insert_recipients(&mut tx, account, stream, &list).await?;
        streams::save_stream(&mut tx, account, &before, &after).await?;
    }
    tx.commit().await?;
    Ok(taken)
}

async fn answered(
    tx: &mut Tx,
    account: AccountId,
    item: &Intake,
) -> store::Result<Option<KeptAnswer>> {
    match &item.key {
        Some(key) => idempotency::take_key(tx, account, &key.key, key.hash).await,
        None => Ok(None),
    }
}

/// Sends one text and waits until it is durable, not until it is sent.
pub async fn take(intakes: &Intakes, intake: Intake) -> Result<Taken> {
    let failed = |words: String| {
        tracing::error!(component = "intake", error = words, "a text could not be taken in");
        Refusal::Store(store::Error::Conflict)
    };
    match intakes.apply(intake).await {
        Ok(Ok(taken)) => Ok(taken),
        Ok(Err(IntakeFailed(words))) => Err(failed(words)),
        Err(stopped) => Err(failed(stopped.to_string())),
    }
}
