//! The proof of a contact's consent, for an audit: every word with all that is known of it, the
//! text that confirmed it, and where that leaves the contact.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use domain::ids::{AccountId, ContactId, MessageId};
use domain::instant::Instant;
use domain::permit::{Category, Consent};
use serde::Serialize;
use store::consents::{self, ConsentEvent, Recorded};
use store::contacts::{self, Contact};
use store::{PAGE_ROWS_MAX, Tx};

use super::import::harmless;
use super::{Refusal, Result};

/// A word of consent as it is shown.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ConsentEventOut {
    /// Its id.
    pub id: String,
    /// Whose word, E.164.
    pub phone: String,
    /// `transactional` or `marketing`.
    pub category: &'static str,
    /// `opted_in` or `opted_out`.
    pub status: &'static str,
    /// Where it was said.
    pub source: String,
    /// Who recorded it: a key, `recipient` for the person, `carrier`, `operator`.
    pub actor: String,
    /// The exact words: what was agreed to, or what the person wrote.
    pub wording: Option<String>,
    /// Which version of the wording.
    pub wording_version: Option<String>,
    /// How far it reaches.
    pub scope: Option<String>,
    /// From which address.
    pub ip: Option<String>,
    /// With which program.
    pub user_agent: Option<String>,
    /// What proves it.
    pub evidence: String,
    /// When it was said.
    #[schema(value_type = String)]
    pub said_at: Instant,
    /// When it was recorded.
    #[schema(value_type = String)]
    pub recorded_at: Instant,
}

/// The id of an event, as it is shown.
pub fn event_id(id: [u8; 16]) -> String {
    format!("con_{}", HEXLOWER.encode(&id))
}

impl From<Recorded> for ConsentEventOut {
    fn from((recorded_at, event): Recorded) -> Self {
        let ConsentEvent { id, phone, category, state, source, actor, evidence, proof } = event;
        Self {
            id: event_id(id),
            phone,
            category: category.as_str(),
            status: state.as_str(),
            source,
            actor,
            wording: proof.wording,
            wording_version: proof.wording_version,
            scope: proof.scope,
            ip: proof.ip,
            user_agent: proof.user_agent,
            evidence,
            said_at: proof.said_at.unwrap_or(recorded_at),
            recorded_at,
        }
    }
}

/// A word with the text that confirmed it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ProvenEvent {
    /// The word.
    #[serde(flatten)]
    pub event: ConsentEventOut,
    /// The text that confirmed it, if one did.
    #[schema(value_type = Option<String>)]
    pub confirmation: Option<MessageId>,
}

/// One category of one phone.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ProvenConsent {
    /// `transactional` or `marketing`.
    pub category: &'static str,
    /// Whose, E.164.
    pub phone: String,
    /// `opted_in`, `opted_out` or `unknown`.
    pub state: &'static str,
    /// When the word was said that holds.
    #[schema(value_type = Option<String>)]
    pub since: Option<Instant>,
    /// Every word, oldest first.
    pub events: Vec<ProvenEvent>,
}

/// An opt-out of one sender only.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct SenderOptOut {
    /// Which sender.
    pub sender: String,
    /// Since when.
    #[schema(value_type = String)]
    pub since: Instant,
}

/// What became of a contact.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct HistoryOut {
    /// `phone`: another number; `merge`: two contacts that were one.
    pub kind: String,
    /// What it was and what it is.
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
    /// Who did it.
    pub actor: String,
    /// When.
    #[schema(value_type = String)]
    pub at: Instant,
}

/// What is proven about a contact, beside the contact.
#[derive(Clone, Debug)]
pub struct Proven {
    /// The contact.
    pub contact: Contact,
    /// Its number's consent, per category.
    pub consents: Vec<ProvenConsent>,
    /// Its former numbers' consent: consent does not move with a person.
    pub former: Vec<ProvenConsent>,
    /// Opt-outs of single senders.
    pub sender_opt_outs: Vec<SenderOptOut>,
    /// What became of the contact.
    pub history: Vec<HistoryOut>,
}

/// Gathers the proof of a contact's consent.
pub async fn prove(tx: &mut Tx, account: AccountId, id: ContactId) -> Result<Proven> {
    let found = contacts::find_contact(tx, account, id).await?;
    let contact = found.ok_or(Refusal::NotFound("contact"))?;
    let history: Vec<HistoryOut> = contacts::contact_events(tx, account, id)
        .await?
        .into_iter()
        .map(|event| HistoryOut {
            kind: event.kind,
            detail: serde_json::from_str(&event.detail).unwrap_or_default(),
            actor: event.actor,
            at: event.at,
        })
        .collect();
    let mut numbers: Vec<String> = history
        .iter()
        .filter_map(|event| event.detail["from"].as_str().map(str::to_owned))
        .filter(|number| *number != contact.phone)
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    let consents = prove_phone(tx, account, &contact.phone, true).await?;
    let mut former = Vec::new();
    for number in numbers {
        former.extend(prove_phone(tx, account, &number, false).await?);
    }
    let sender_opt_outs = consents::sender_opt_outs(tx, account, &contact.phone)
        .await?
        .into_iter()
        .map(|(sender, since)| SenderOptOut { sender, since })
        .collect();
    Ok(Proven { contact, consents, former, sender_opt_outs, history })
}

/// Every word on one phone; categories without any only if `all`.
async fn prove_phone(
    tx: &mut Tx,
    account: AccountId,
    phone: &str,
    all: bool,
) -> Result<Vec<ProvenConsent>> {
    let standings = consents::standings(tx, account, phone).await?;
    let answers = consents::answers_to(tx, account, phone).await?;
    let mut events = every_event(tx, account, phone).await?;
    let mut proven = Vec::new();
    for &category in Category::ALL {
        let standing = standings.iter().find(|one| one.category == category);
        let words = events.remove(&category).unwrap_or_default();
        if !all && words.is_empty() {
            continue;
        }
        // A confirmation is written in the transaction of its word, so at the same moment.
        let confirmation = |(at, event): &Recorded| {
            let context = match event.state {
                Consent::OptedOut => "consent.opted_out",
                Consent::OptedIn | Consent::Unknown => "consent.opted_in",
            };
            let answer = answers.iter().find(|(when, _, why)| when == at && why == context);
            answer.map(|(_, message, _)| *message)
        };
        let events = words
            .into_iter()
            .map(|word| ProvenEvent { confirmation: confirmation(&word), event: word.into() })
            .collect();
        proven.push(ProvenConsent {
            category: category.as_str(),
            phone: phone.to_owned(),
            state: standing.map_or(Consent::Unknown, |one| one.state).as_str(),
            since: standing.map(|one| one.since),
            events,
        });
    }
    Ok(proven)
}

async fn every_event(
    tx: &mut Tx,
    account: AccountId,
    phone: &str,
) -> Result<BTreeMap<Category, Vec<Recorded>>> {
    let mut by_category: BTreeMap<Category, Vec<Recorded>> = BTreeMap::new();
    let mut after = (Instant(i64::MIN), [0; 16]);
    loop {
        let page =
            consents::list_events(tx, account, Some(phone), None, after, PAGE_ROWS_MAX).await?;
        let Some((at, last)) = page.last() else { return Ok(by_category) };
        after = (*at, last.id);
        for one in page {
            by_category.entry(one.1.category).or_default().push(one);
        }
    }
}

const COLUMNS: [&str; 15] = [
    "phone",
    "category",
    "state_now",
    "status",
    "said_at",
    "recorded_at",
    "source",
    "actor",
    "wording",
    "wording_version",
    "scope",
    "ip",
    "user_agent",
    "evidence",
    "confirmation",
];

/// The proof as CSV, a line for each word; no cell runs as a formula.
pub fn csv(proven: &Proven) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).expect("writing to memory");
    for consent in proven.consents.iter().chain(&proven.former) {
        for ProvenEvent { event, confirmation } in &consent.events {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let cells = [
                event.phone.clone(),
                event.category.to_owned(),
                consent.state.to_owned(),
                event.status.to_owned(),
                event.said_at.to_string(),
                event.recorded_at.to_string(),
                event.source.clone(),
                event.actor.clone(),
                text(&event.wording),
                text(&event.wording_version),
                text(&event.scope),
                text(&event.ip),
                text(&event.user_agent),
                event.evidence.clone(),
                confirmation.map(|id| id.to_string()).unwrap_or_default(),
            ];
            let cells = cells.map(|cell| harmless(&cell));
            writer.write_record(&cells).expect("writing to memory");
        }
    }
    let bytes = writer.into_inner().expect("writing to memory");
    String::from_utf8(bytes).expect("texts are UTF-8")
}
