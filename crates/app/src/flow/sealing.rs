//! Sealing: a campaign's list is frozen. Content, price and recipients are fixed page by page of
//! contacts; each recipient gets its text rendered, measured and priced, and its place.

use std::sync::Arc;

use domain::campaign::{Event, State};
use domain::contexts;
use domain::ids::{AccountId, ContactId, StreamId};
use domain::instant::Instant;
use domain::permit::Rule;
use domain::phone;
use domain::quiet_hours;
use domain::rates::{RateTable, SenderKind};
use domain::template::{RenderContext, Template};
use domain::text::{self, Text};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use store::accounts::{self, Account};
use store::campaigns::{self, Campaign};
use store::contacts::{self, Contact};
use store::recipients::{self, Recipient};
use store::{Db, Error, Tx, rates, settings, streams};

use super::Result;
use super::contacts::variables;
use super::opt_out_link::{self, OptOutLinks};
use crate::delivery::senders::{self, From};
use crate::delivery::stages;

/// Contacts looked at in one transaction.
const CONTACTS_A_PAGE: i64 = 5000;

/// To whom a campaign goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// Every contact.
    All(bool),
    /// Contacts with one of these tags.
    Tags(Vec<String>),
    /// These contacts.
    ContactIds(Vec<ContactId>),
}

impl Audience {
    /// Whether the campaign goes to `contact`.
    pub fn has(&self, contact: &Contact) -> bool {
        match self {
            Self::All(all) => *all,
            Self::Tags(tags) => tags.iter().any(|tag| contact.tags.contains(tag)),
            Self::ContactIds(ids) => ids.contains(&contact.id),
        }
    }
}

/// Renders, checks and prices a campaign's text for one contact after another.
pub struct Composer {
    template: Template,
    constant: Option<std::result::Result<Text, text::Problem>>,
    rates: RateTable,
    kind: SenderKind,
    home: TimeZone,
    now: Instant,
    regions: Vec<String>,
    magic_allowed: bool,
    owner: AccountId,
    /// Where opt-out links lead, when the template has one.
    links: Option<OptOutLinks>,
}

/// A contact's text.
pub struct Composed {
    /// The text when it is this contact's own.
    pub body: Option<String>,
    /// Billed parts.
    pub segments: u32,
    /// Credits.
    pub price: i64,
    /// Why it cannot be sent.
    pub problem: Option<(Rule, String)>,
}

impl Composer {
    /// A composer for a campaign's template.
    pub async fn load(
        tx: &mut Tx,
        account: &Account,
        body: &str,
        from: Option<&From>,
        magic_allowed: bool,
    ) -> Result<Self> {
        let template =
            Template::parse(body).map_err(|error| super::invalid("body", error.to_string()))?;
        let home = quiet_hours::zone(&account.timezone)
            .map_err(|_| Error::Damaged("an account's time zone".to_owned()))?;
        let now = tx.now();
        let context = RenderContext { now, zone: home.clone() };
        let constant = template
            .is_constant()
            .then(|| text::compose(&template, &std::collections::BTreeMap::new(), &context));
        let regions = settings::settings(tx, account.id).await?.countries(&account.country);
        let kind = from.map_or(SenderKind::LongCode, |from| from.kind);
        let rates = rates::rates_of_kind(tx, kind).await?;
        let has_link = template.variables().contains(opt_out_link::VARIABLE);
        let links = if has_link { OptOutLinks::load(tx).await? } else { None };
        let owner = account.id;
        Ok(Self {
            template,
            constant,
            rates,
            kind,
            home,
            now,
            regions,
            magic_allowed,
            owner,
            links,
        })
    }

    /// The text, when it is the same for everybody.
    pub fn constant_body(&self) -> Option<&str> {
        self.constant.as_ref()?.as_ref().ok().map(|text| text.body.as_str())
    }

    /// Composes for one contact.
    pub fn compose(&self, contact: &Contact) -> Composed {
        let refused = |rule, words: String| Composed {
            body: None,
            segments: 1,
            price: 0,
            problem: Some((rule, words)),
        };
        match phone::parse(&contact.phone, None) {
            Ok(number) => {
                if let Some(why) = phone::refusal(&number, &self.regions, self.magic_allowed) {
                    return refused(Rule::Number, why.to_string());
                }
            }
            Err(error) => return refused(Rule::Number, error.to_string()),
        }
        let (text, own) = match &self.constant {
            Some(text) => (text.clone(), false),
            None => (self.render(contact), true),
        };
        match text {
            Err(problem) => refused(Rule::Template, problem.to_string()),
            Ok(Text { body, segments }) => Composed {
                body: own.then_some(body),
                segments,
                price: self.rates.price(&contact.phone, self.kind, segments, self.now),
                problem: None,
            },
        }
    }

    fn render(&self, contact: &Contact) -> std::result::Result<Text, text::Problem> {
        let zone = contact.timezone.as_deref().and_then(|name| quiet_hours::zone(name).ok());
        let zone = zone.unwrap_or_else(|| self.home.clone());
        let context = RenderContext { now: self.now, zone };
        let mut values = variables(contact);
        if let Some(links) = &self.links {
            let link = links.url(self.owner, &contact.phone);
            values.insert(opt_out_link::VARIABLE.to_owned(), link);
        }
        text::compose(&self.template, &values, &context)
    }
}

/// Seals campaigns that are waiting for it, a page of each. Answers whether there is more to do.
pub async fn seal_some(
    db: &Db,
    account: AccountId,
    id: StreamId,
    installation_sender: Option<&From>,
    magic_allowed: bool,
) -> Result<bool> {
    let mut tx = db.begin().await?;
    let stream = streams::lock_stream(&mut tx, account, id).await?;
    if stream.state != State::Sealing {
        return Ok(false);
    }
    let mut campaign = campaigns::campaign(&mut tx, account, id).await?;
    let owner = accounts::account(&mut tx, account).await?;
    let from = senders::choose(&mut tx, account, campaign.sender, installation_sender).await?;
    let composer =
        Composer::load(&mut tx, &owner, &campaign.body, from.as_ref(), magic_allowed).await?;
    let audience: Arc<Audience> = Arc::new(
        serde_json::from_str(&campaign.audience)
            .map_err(|_| Error::Damaged("an audience".to_owned()))?,
    );
    let page =
        contacts::list_contacts(&mut tx, account, campaign.sealed_to, CONTACTS_A_PAGE).await?;
    let complete = i64::try_from(page.len()).is_ok_and(|n| n < CONTACTS_A_PAGE);
    campaign.sealed_to = page.last().map(|contact| contact.id).or(campaign.sealed_to);
    campaign.sealed_body = composer.constant_body().map(str::to_owned);
    let list: Vec<Recipient> = page
        .iter()
        .filter(|contact| audience.has(contact))
        .zip(stream.total + 1..)
        .map(|(contact, ord)| recipient(&campaign, contact, ord, composer.compose(contact)))
        .collect();
    campaign.credits_quoted += list.iter().map(|one| one.price).sum::<i64>();
    campaign.segments_quoted += list.iter().map(|one| one.segments).sum::<i64>();
    recipients::insert_recipients(&mut tx, account, id, &list).await?;
    let added = i64::try_from(list.len()).unwrap_or(i64::MAX);
    let after = streams::Stream { total: stream.total + added, ..stream };
    streams::save_stream(&mut tx, account, &stream, &after).await?;
    campaigns::save_sealing(&mut tx, account, &campaign).await?;
    if complete {
        let event = match (after.total, campaign.starts_at) {
            (0, _) => Event::SealFailed,
            (_, Some(at)) if at > tx.now() => Event::SealedForLater,
            _ => Event::Sealed,
        };
        stages::apply(&mut tx, account, id, event, None).await?;
    }
    tx.commit().await?;
    Ok(!complete)
}

fn recipient(campaign: &Campaign, contact: &Contact, ord: i64, composed: Composed) -> Recipient {
    Recipient {
        ord,
        phone: contact.phone.clone(),
        contact: Some(contact.id),
        timezone: contact.timezone.clone(),
        context: contexts::of_campaign(campaign.category).key.clone(),
        category: campaign.category,
        body: composed.body,
        segments: i64::from(composed.segments),
        price: composed.price,
        problem: composed.problem,
        send_at: Instant(0),
        not_after: campaign.not_after,
        retry_of: None,
        tries: 1,
    }
}
