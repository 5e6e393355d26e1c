//! Contacts: one by one, and how a new word about a person joins what is known.

use std::collections::BTreeMap;

use domain::ids::{AccountId, ContactId};
use domain::permit::{Category, Consent};
use domain::phone;
use domain::quiet_hours::QuietHours;
use domain::seam::Dice;
use serde::Deserialize;
use store::Tx;
use store::accounts::Account;
use store::consents::{self, ConsentEvent, Proof};
use store::contacts::{self, Contact};

use super::accounts::{NAME_CHARS_MAX, checked_zone};
use super::{Result, invalid};

/// Tags a contact has at most.
const TAGS_MAX: usize = 50;
/// Custom fields a contact has at most.
pub const FIELDS_MAX: usize = 50;
/// The longest custom field.
pub const FIELD_CHARS_MAX: usize = 1000;

/// A person as an API caller describes one; the phone decides who it is.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactIn {
    /// The number as typed; without a country code it is read in the account's country.
    pub phone: String,
    /// Name.
    pub name: Option<String>,
    /// IANA zone.
    pub timezone: Option<String>,
    /// Labels; they are added to those there are.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Custom fields; they are merged into those there are.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// `opted_in`, `opted_out` or `unknown`, for both categories.
    pub consent: Option<String>,
    /// The account wants no text to go there.
    pub blocked: Option<bool>,
    /// Language, such as `es` or `es-MX`.
    pub locale: Option<String>,
    /// The number is known to be theirs.
    pub verified: Option<bool>,
    /// The person's own quiet hours, instead of the account's.
    #[schema(value_type = Option<Object>)]
    pub quiet_hours: Option<QuietHours>,
}

/// A checked word about a person.
#[derive(Clone, Debug, Default)]
pub struct Word {
    /// E.164.
    pub phone: String,
    /// Name, if told.
    pub name: Option<String>,
    /// IANA zone, if told.
    pub timezone: Option<String>,
    /// Labels to add.
    pub tags: Vec<String>,
    /// Custom fields to merge.
    pub fields: BTreeMap<String, String>,
    /// Consent, if told.
    pub consent: Option<Consent>,
    /// Block, if told.
    pub blocked: Option<bool>,
    /// Language, if told.
    pub locale: Option<String>,
    /// Whether the number is known to be theirs, if told.
    pub verified: Option<bool>,
    /// Own quiet hours, if told.
    pub quiet_hours: Option<QuietHours>,
    /// Its line in a file; absent when it is from none.
    pub line: Option<u64>,
}

/// Checks what a caller says of a person.
pub fn checked(wanted: &ContactIn, account: &Account) -> Result<Word> {
    let number = phone::parse(&wanted.phone, Some(&account.country))
        .map_err(|error| invalid("phone", error.to_string()))?;
    let told = |text: &Option<String>| {
        text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let name = told(&wanted.name);
    if name.as_ref().is_some_and(|name| name.chars().count() > NAME_CHARS_MAX) {
        return Err(invalid("name", format!("write at most {NAME_CHARS_MAX} characters")));
    }
    let timezone =
        told(&wanted.timezone).map(|name| checked_zone("timezone", &name)).transpose()?;
    let consent = told(&wanted.consent).map(|word| checked_consent(&word)).transpose()?;
    let locale = told(&wanted.locale).map(|text| checked_locale(&text)).transpose()?;
    let tags = checked_tags(&wanted.tags)?;
    if wanted.fields.len() > FIELDS_MAX
        || wanted.fields.values().any(|value| value.chars().count() > FIELD_CHARS_MAX)
    {
        let problem =
            format!("write at most {FIELDS_MAX} fields of at most {FIELD_CHARS_MAX} characters");
        return Err(invalid("fields", problem));
    }
    let texts = name.iter().chain(&tags).chain(wanted.fields.keys()).chain(wanted.fields.values());
    if texts.into_iter().any(|text| text.contains('\0')) {
        return Err(invalid("name", "leave out the character U+0000: no text can hold it"));
    }
    Ok(Word {
        phone: if domain::mutant!(M22) { wanted.phone.clone() } else { number.e164.to_string() },
        name,
        timezone,
        tags,
        fields: wanted.fields.clone(),
        consent,
        blocked: wanted.blocked,
        locale,
        verified: wanted.verified,
        quiet_hours: wanted.quiet_hours,
        line: None,
    })
}

/// Checks labels: short ones, without order or repetition.
pub fn checked_tags(tags: &[String]) -> Result<Vec<String>> {
    let mut tags: Vec<String> = tags.iter().map(|tag| tag.trim().to_owned()).collect();
    tags.retain(|tag| !tag.is_empty());
    if tags.len() > TAGS_MAX || tags.iter().any(|tag| tag.chars().count() > NAME_CHARS_MAX) {
        return Err(invalid("tags", format!("write at most {TAGS_MAX} short tags")));
    }
    tags.sort_unstable();
    tags.dedup();
    Ok(tags)
}

/// Checks the name of a language, such as `es` or `es-MX`.
pub fn checked_locale(text: &str) -> Result<String> {
    let locale = text.trim().replace('_', "-");
    let mut parts = locale.split('-');
    let language = parts.next().unwrap_or_default();
    let fits = (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| {
            (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
        && locale.len() <= 35;
    if fits { Ok(locale) } else { Err(invalid("locale", "write a language such as es or es-MX")) }
}

/// Checks a word of consent.
pub fn checked_consent(word: &str) -> Result<Consent> {
    Consent::parse(&word.trim().to_ascii_lowercase())
        .ok_or_else(|| invalid("consent", "write opted_in, opted_out or unknown"))
}

/// Where a word about people comes from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// `api`, `import`, `cli`.
    pub name: &'a str,
    /// Who brings it.
    pub actor: &'a str,
    /// What proves consent: a request, a file.
    pub evidence: &'a str,
    /// It may turn an opt-out into an opt-in. A list never may.
    pub may_opt_in_again: bool,
}

/// What keeping words did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// New contacts.
    pub created: usize,
    /// Known contacts.
    pub updated: usize,
    /// Opt-outs that stood against an opt-in and stay: only the person can undo them.
    pub opt_outs_kept: usize,
}

/// Keeps words about people with different phones, in one go.
pub async fn keep_words(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    words: &[Word],
    source: Source<'_>,
) -> Result<Kept> {
    let phones: Vec<String> = words.iter().map(|word| word.phone.clone()).collect();
    let known: BTreeMap<String, Contact> = contacts::contacts_by_phone(tx, account, &phones)
        .await?
        .into_iter()
        .map(|contact| (contact.phone.clone(), contact))
        .collect();
    let mut kept = Kept { updated: known.len(), ..Kept::default() };
    kept.created = words.len() - known.len();
    let now = tx.now();
    let written: Vec<Contact> = words
        .iter()
        .enumerate()
        .map(|(nth, word)| {
            let contact = known.get(&word.phone).cloned().unwrap_or_else(|| {
                // A microsecond apart each, so that ids sort as the list does.
                let micros = u64::try_from(nth).unwrap_or(0);
                let at = now + std::time::Duration::from_micros(micros);
                fresh(ContactId::new(at, dice), &word.phone, at)
            });
            joined(contact, word)
        })
        .collect();
    contacts::upsert_contacts(tx, account, &written).await?;
    kept.opt_outs_kept = keep_consents(tx, dice, account, words, source).await?;
    Ok(kept)
}

fn fresh(id: ContactId, phone: &str, created_at: domain::instant::Instant) -> Contact {
    Contact {
        id,
        phone: phone.to_owned(),
        name: String::new(),
        timezone: None,
        tags: Vec::new(),
        fields: BTreeMap::new(),
        locale: None,
        verified: false,
        quiet_hours: None,
        blocked: false,
        created_at,
    }
}

fn joined(mut contact: Contact, word: &Word) -> Contact {
    if let Some(name) = &word.name {
        contact.name.clone_from(name);
    }
    if word.timezone.is_some() {
        contact.timezone.clone_from(&word.timezone);
    }
    contact.tags.extend(word.tags.iter().cloned());
    contact.tags.sort_unstable();
    contact.tags.dedup();
    contact.fields.extend(word.fields.clone());
    contact.blocked = word.blocked.unwrap_or(contact.blocked);
    contact.verified = word.verified.unwrap_or(contact.verified);
    if word.locale.is_some() {
        contact.locale.clone_from(&word.locale);
    }
    contact.quiet_hours = word.quiet_hours.or(contact.quiet_hours);
    contact
}

async fn keep_consents(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    words: &[Word],
    source: Source<'_>,
) -> Result<usize> {
    let told: Vec<(&Word, Consent)> = words
        .iter()
        .filter_map(|word| Some((word, word.consent?)))
        .filter(|(_, consent)| *consent != Consent::Unknown)
        .collect();
    let phones: Vec<String> = told.iter().map(|(word, _)| word.phone.clone()).collect();
    let mut kept = 0;
    let mut events = Vec::new();
    for &category in Category::ALL {
        let standing: BTreeMap<String, Consent> =
            consents::consents_for(tx, account, category, &phones).await?.into_iter().collect();
        // What people said themselves is theirs to take back; an account's own word is not.
        let own = consents::own_opt_outs(tx, account, category, &phones).await?;
        for (word, consent) in &told {
            let before = standing.get(&word.phone).copied().unwrap_or(Consent::Unknown);
            if before == *consent {
                continue;
            }
            if before == Consent::OptedOut
                && (!source.may_opt_in_again || own.contains(&word.phone))
            {
                kept += usize::from(category == Category::Marketing);
                continue;
            }
            let mut id = [0; 16];
            dice.fill(&mut id);
            events.push(ConsentEvent {
                id,
                phone: word.phone.clone(),
                category,
                state: *consent,
                source: source.name.to_owned(),
                actor: source.actor.to_owned(),
                evidence: match word.line {
                    Some(line) => format!("{}, line {line}", source.evidence),
                    None => source.evidence.to_owned(),
                },
                proof: Proof::default(),
            });
        }
    }
    consents::record_consents(tx, account, &events).await?;
    Ok(kept)
}

/// What a template may say of a person.
pub fn variables(contact: &Contact) -> BTreeMap<String, String> {
    let mut variables = contact.fields.clone();
    variables.insert("name".to_owned(), contact.name.clone());
    variables.insert("phone".to_owned(), contact.phone.clone());
    variables
}
