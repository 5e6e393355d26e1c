//! Campaigns: written, quoted, started, paused, resumed, canceled.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::campaign::{Event, PauseReason, State};
use domain::ids::{AccountId, ContactId, SenderId, StreamId};
use domain::instant::Instant;
use domain::permit::{Category, Consent};
use domain::seam::Dice;
use domain::template::Template;
use domain::text;
use serde::{Deserialize, Serialize};
use store::campaigns::{self, Campaign};
use store::{Db, Tx, accounts, consents, contacts, streams};

use super::accounts::checked_name;
use super::opt_out_link;
use super::sealing::{Audience, Composer};
use super::{Refusal, Result, invalid};
use crate::delivery::senders::{self, From};
use crate::delivery::stages;
use crate::finance::subscriptions;

/// The longest template.
const BODY_CHARS_MAX: usize = 5000;
const IDS_MAX: usize = 100_000;
const TAGS_MAX: usize = 100;
/// Texts of a campaign leave within this time after it was made, or not at all.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
const CONTACTS_A_PAGE: i64 = 2000;

/// A wanted campaign.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignIn {
    /// Its name.
    pub name: String,
    /// `marketing` or `transactional`.
    pub category: String,
    /// The template of its text.
    pub body: String,
    /// To whom.
    pub audience: AudienceIn,
    /// From what; absent for the account's first sender.
    #[schema(value_type = Option<String>)]
    pub sender_id: Option<SenderId>,
    /// Not before; absent for as soon as it is started.
    #[schema(value_type = Option<String>)]
    pub starts_at: Option<Instant>,
    /// When credits run out: resume by itself as soon as there are some.
    #[serde(default)]
    pub resume_when_funded: bool,
}

/// To whom a campaign goes: exactly one of the three.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AudienceIn {
    /// `true`: every contact.
    pub all: Option<bool>,
    /// Contacts with one of these tags.
    pub tags: Option<Vec<String>>,
    /// These contacts.
    #[schema(value_type = Option<Vec<String>>)]
    pub contact_ids: Option<Vec<ContactId>>,
}

impl AudienceIn {
    fn checked(&self) -> Result<Audience> {
        match (&self.all, &self.tags, &self.contact_ids) {
            (Some(true), None, None) => Ok(Audience::All(true)),
            (None, Some(tags), None) if (1..=TAGS_MAX).contains(&tags.len()) => {
                Ok(Audience::Tags(tags.clone()))
            }
            (None, None, Some(ids)) if (1..=IDS_MAX).contains(&ids.len()) => {
                let mut ids = ids.clone();
                ids.sort_unstable();
                ids.dedup();
                Ok(Audience::ContactIds(ids))
            }
            _ => Err(invalid(
                "audience",
                "write exactly one of {\"all\": true}, {\"tags\": [\"…\"]} or \
                 {\"contact_ids\": [\"ct_…\"]}, and leave no list empty",
            )),
        }
    }
}

/// Checks a category's word.
pub fn checked_category(word: &str) -> Result<Category> {
    Category::parse(word).ok_or_else(|| invalid("category", "write marketing or transactional"))
}

/// Writes a campaign as a draft.
pub async fn create(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    wanted: &CampaignIn,
) -> Result<Campaign> {
    let now = tx.now();
    let audience = wanted.audience.checked()?;
    check_body(tx, account, &wanted.body).await?;
    if let Some(sender) = wanted.sender_id {
        store::senders::sender(tx, account, sender).await?;
    }
    check_audience(tx, account, &audience).await?;
    let starts = wanted.starts_at.unwrap_or(now);
    if starts > now + LIFETIME * 12 {
        return Err(invalid("starts_at", "write a time within a year from now"));
    }
    let campaign = Campaign {
        id: StreamId::new(now, dice),
        name: checked_name("name", &wanted.name)?,
        category: checked_category(&wanted.category)?,
        body: wanted.body.clone(),
        sealed_body: None,
        audience: serde_json::to_string(&audience).expect("an audience is valid JSON"),
        sender: wanted.sender_id,
        starts_at: wanted.starts_at,
        not_after: starts.max(now) + LIFETIME,
        resume_when_funded: wanted.resume_when_funded,
        sealed_to: None,
        credits_quoted: 0,
        segments_quoted: 0,
        created_at: now,
    };
    campaigns::insert_campaign(tx, account, &campaign).await?;
    streams::insert_stream(tx, account, campaign.id, State::Draft).await?;
    Ok(campaign)
}

async fn check_body(tx: &mut Tx, account: AccountId, body: &str) -> Result<()> {
    if body.trim().is_empty() {
        return Err(invalid("body", "write a text"));
    }
    if body.chars().count() > BODY_CHARS_MAX {
        return Err(invalid("body", format!("write at most {BODY_CHARS_MAX} characters")));
    }
    let template = Template::parse(body).map_err(|error| invalid("body", error.to_string()))?;
    if template.is_constant() {
        text::finish(body).map_err(|problem| invalid("body", problem.to_string()))?;
    }
    for variable in template.variables() {
        let known = matches!(variable.as_str(), "name" | "phone" | opt_out_link::VARIABLE);
        if !known && !contacts::any_has_field(tx, account, &variable).await? {
            return Err(invalid(
                "body",
                format!(
                    "no contact has a field {variable:?}; use name, phone or a field of your \
                     contacts"
                ),
            ));
        }
    }
    Ok(())
}

async fn check_audience(tx: &mut Tx, account: AccountId, audience: &Audience) -> Result<()> {
    let nobody = || invalid("audience", "no contact belongs to it; import contacts first");
    match audience {
        Audience::ContactIds(ids) => {
            let found = contacts::contacts_by_id(tx, account, ids).await?;
            if found.len() < ids.len() {
                let missing = ids.iter().find(|id| !found.iter().any(|one| one.id == **id));
                let id = missing.map(ToString::to_string).unwrap_or_default();
                return Err(invalid("audience.contact_ids", format!("there is no contact {id}")));
            }
        }
        Audience::All(_) => {
            if contacts::list_contacts(tx, account, None, 1).await?.is_empty() {
                return Err(nobody());
            }
        }
        Audience::Tags(_) => {
            let mut after = None;
            loop {
                let page = contacts::list_contacts(tx, account, after, CONTACTS_A_PAGE).await?;
                if page.iter().any(|contact| audience.has(contact)) {
                    break;
                }
                after = page.last().map(|contact| contact.id);
                if after.is_none() {
                    return Err(nobody());
                }
            }
        }
    }
    Ok(())
}

/// What a campaign would send and cost.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct CampaignQuote {
    /// Contacts in the audience.
    pub recipients: i64,
    /// Of those, texts that would leave as things stand.
    pub sendable: i64,
    /// Billed parts of those texts.
    pub segments: i64,
    /// Credits for them.
    pub credits: i64,
    /// Credits the wallet holds now.
    pub available: i64,
    /// How many are skipped, by the rule that objects.
    pub skipped: BTreeMap<String, i64>,
    /// The first texts as they would leave.
    pub previews: Vec<Preview>,
}

/// One text as it would leave.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Preview {
    /// To whom.
    pub phone: String,
    /// The text.
    pub body: String,
    /// Billed parts.
    pub segments: u32,
}

const PREVIEWS: usize = 5;

/// Quotes a campaign on the contacts as they are now.
pub async fn quote(
    db: &Db,
    account: AccountId,
    id: StreamId,
    installation_sender: Option<&From>,
    magic_allowed: bool,
) -> Result<CampaignQuote> {
    let mut tx = db.read().await?;
    let campaign = campaigns::campaign(&mut tx, account, id).await?;
    let owner = accounts::account(&mut tx, account).await?;
    let from = senders::choose(&mut tx, account, campaign.sender, installation_sender).await?;
    let composer =
        Composer::load(&mut tx, &owner, &campaign.body, from.as_ref(), magic_allowed).await?;
    let audience: Audience = serde_json::from_str(&campaign.audience)
        .map_err(|_| store::Error::Damaged("an audience".to_owned()))?;
    let available = store::wallets::wallet(&mut tx, account).await?.books.available;
    let mut quote = CampaignQuote { available, ..CampaignQuote::default() };
    let mut after = None;
    loop {
        let page = contacts::list_contacts(&mut tx, account, after, CONTACTS_A_PAGE).await?;
        after = page.last().map(|contact| contact.id);
        if after.is_none() {
            return Ok(quote);
        }
        let phones: Vec<String> = page.iter().map(|contact| contact.phone.clone()).collect();
        let consents: BTreeMap<String, Consent> =
            consents::consents_for(&mut tx, account, campaign.category, &phones)
                .await?
                .into_iter()
                .collect();
        for contact in page.iter().filter(|contact| audience.has(contact)) {
            let consent = consents.get(&contact.phone).copied().unwrap_or(Consent::Unknown);
            quote.add(contact, consent, &composer);
        }
    }
}

impl CampaignQuote {
    fn add(&mut self, contact: &contacts::Contact, consent: Consent, composer: &Composer) {
        use domain::permit::Rule;
        self.recipients += 1;
        let composed = composer.compose(contact);
        let objection = match (composed.problem, consent) {
            (Some((rule, _)), _) => Some(rule),
            (None, _) if contact.blocked => Some(Rule::Blocked),
            (None, Consent::OptedOut) => Some(Rule::OptOut),
            (None, Consent::Unknown) => Some(Rule::Consent),
            (None, Consent::OptedIn) => None,
        };
        if let Some(rule) = objection {
            *self.skipped.entry(rule.as_str().to_owned()).or_default() += 1;
            return;
        }
        self.sendable += 1;
        self.segments += i64::from(composed.segments);
        self.credits += composed.price;
        if self.previews.len() < PREVIEWS {
            let body = composed.body.as_deref().or(composer.constant_body());
            self.previews.push(Preview {
                phone: contact.phone.clone(),
                body: body.unwrap_or_default().to_owned(),
                segments: composed.segments,
            });
        }
    }
}

/// What a person can ask of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Seal it and let it leave.
    Start,
    /// Stop taking up texts.
    Pause,
    /// Go on.
    Resume,
    /// Stop for good.
    Cancel,
}

impl Wish {
    const fn verb(self) -> &'static str {
        match self {
            Self::Start => "started",
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Cancel => "canceled",
        }
    }
}

/// Does what a person asks of a campaign, if it fits where the campaign stands.
pub async fn wish(tx: &mut Tx, account: AccountId, id: StreamId, wish: Wish) -> Result<State> {
    campaigns::campaign(tx, account, id).await?;
    let before = streams::lock_stream(tx, account, id).await?;
    let (event, reason) = match wish {
        Wish::Start => (Event::Start, None),
        Wish::Pause => (Event::Pause, Some(PauseReason::Operator)),
        Wish::Resume => (Event::Resume, None),
        Wish::Cancel => (Event::Cancel, None),
    };
    if matches!(wish, Wish::Start | Wish::Resume) && before.state.after(event).is_some() {
        let allows = subscriptions::entitlement(tx, account).await?.campaigns;
        allows.map_err(|why| {
            Refusal::State(format!("this campaign cannot be {}: {why}", wish.verb()))
        })?;
    }
    if wish == Wish::Start && before.state == State::Scheduled {
        campaigns::clear_start(tx, account, id).await?;
    }
    if let Some(state) = stages::apply(tx, account, id, event, reason).await? {
        return Ok(state);
    }
    // Asked for what is the case already: the same answer again.
    let done = matches!(
        (wish, before.state),
        (Wish::Start, State::Sealing | State::Running | State::Draining | State::Completed)
            | (Wish::Pause, State::Pausing | State::Paused)
            | (Wish::Resume, State::Running | State::Draining)
            | (Wish::Cancel, State::Canceling | State::Canceled)
    );
    if done {
        return Ok(before.state);
    }
    let verb = wish.verb();
    Err(Refusal::State(format!("a campaign that is {} cannot be {verb}", before.state)))
}

/// The test text of a campaign: its body as it would leave to the first contact of the audience.
pub async fn test_body(
    db: &Db,
    account: AccountId,
    id: StreamId,
    installation_sender: Option<&From>,
) -> Result<String> {
    let quote = quote(db, account, id, installation_sender, true).await?;
    quote
        .previews
        .into_iter()
        .next()
        .map(|preview| preview.body)
        .ok_or_else(|| Refusal::State("none of its texts could leave; see its quote".to_owned()))
}
