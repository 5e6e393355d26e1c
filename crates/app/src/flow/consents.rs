//! Consent: a person's word is recorded with its proof, and shown again for an audit.
//!
//! Nothing is ever taken back: a new word joins the old ones, and the newest one holds. Whoever
//! records a word here has the account's settings locked.

use data_encoding::HEXLOWER;
use domain::ids::AccountId;
use domain::instant::Instant;
use domain::permit::{Category, Consent};
use domain::phone;
use domain::seam::Dice;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use store::accounts::Account;
use store::consents::{self, ConsentEvent, Proof};
use store::{Tx, accounts, settings};

use super::{Result, invalid};

/// The longest wording: a text has at most 1600 characters, a form may say more.
const WORDING_CHARS_MAX: usize = 4000;
const EVIDENCE_CHARS_MAX: usize = 2000;
const LABEL_CHARS_MAX: usize = 200;
const USER_AGENT_CHARS_MAX: usize = 500;
/// Callers' clocks may be ahead by so much.
const AHEAD_MAX: std::time::Duration = std::time::Duration::from_secs(5 * 60);

/// Where words of the person's own come from; see [`consents::own_opt_outs`].
pub const BY_KEYWORD: &str = "keyword";
/// The page behind a link in a text.
pub const BY_LINK: &str = "link";
/// Who records what a person says by text or on a page.
pub const RECIPIENT: &str = "recipient";

/// A word of consent as an API caller brings it.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsentIn {
    /// Whose, as typed; without a country code it is read in the account's country.
    pub phone: String,
    /// `transactional`, `marketing`, or `all` for both.
    pub category: String,
    /// `opted_in` or `opted_out`.
    pub status: String,
    /// Where it was said, such as `web_form`, `paper`, `phone_call`.
    pub source: String,
    /// The exact words that were agreed to.
    pub wording: Option<String>,
    /// Which version of the wording; absent for a digest of it.
    pub wording_version: Option<String>,
    /// What proves it: the address of a form, a document. Needed to opt in somebody who opted out.
    pub evidence: Option<String>,
    /// How far it reaches, such as the name of a program.
    pub scope: Option<String>,
    /// From which address it was said.
    pub ip: Option<String>,
    /// With which browser it was said.
    pub user_agent: Option<String>,
    /// When it was said; absent for now.
    #[schema(value_type = Option<String>)]
    pub said_at: Option<Instant>,
}

/// A word to be recorded.
#[derive(Clone, Debug)]
pub struct Said<'a> {
    /// Whose, E.164.
    pub phone: &'a str,
    /// About which texts.
    pub categories: &'a [Category],
    /// What.
    pub state: Consent,
    /// Where.
    pub source: &'a str,
    /// Who records it.
    pub actor: &'a str,
    /// What proves it.
    pub evidence: String,
    /// More of the proof.
    pub proof: Proof,
}

/// The version of a wording that has none: the beginning of its digest.
pub fn wording_version(wording: &str) -> String {
    let digest = Sha256::digest(wording.as_bytes());
    format!("sha256:{}", &HEXLOWER.encode(&digest)[..16])
}

/// Records a word. One without a time of its own is newer than all that was said before it.
pub async fn record(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    said: Said<'_>,
) -> Result<Vec<ConsentEvent>> {
    let mut proof = said.proof;
    if proof.said_at.is_none() {
        // Two texts of one moment, or a clock that was ahead: the last word must be the newest.
        let standings = consents::standings(tx, account, said.phone).await?;
        let newest = standings.iter().map(|one| one.since).max();
        proof.said_at = newest.filter(|at| *at >= tx.now()).map(|at| Instant(at.0 + 1));
    }
    if let (Some(wording), None) = (&proof.wording, &proof.wording_version) {
        proof.wording_version = Some(wording_version(wording));
    }
    let events: Vec<ConsentEvent> = said
        .categories
        .iter()
        .map(|&category| {
            let mut id = [0; 16];
            dice.fill(&mut id);
            ConsentEvent {
                id,
                phone: said.phone.to_owned(),
                category,
                state: said.state,
                source: said.source.to_owned(),
                actor: said.actor.to_owned(),
                evidence: said.evidence.clone(),
                proof: proof.clone(),
            }
        })
        .collect();
    consents::record_consents(tx, account, &events).await?;
    Ok(events)
}

/// Records what an API caller says of somebody's consent.
pub async fn say(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    actor: &str,
    wanted: &ConsentIn,
) -> Result<Vec<ConsentEvent>> {
    settings::lock_settings(tx, account).await?;
    let owner = accounts::account(tx, account).await?;
    let phone = checked_phone(&wanted.phone, &owner)?;
    let categories = checked_categories(&wanted.category)?;
    let state = match wanted.status.as_str() {
        "opted_in" => Consent::OptedIn,
        "opted_out" => Consent::OptedOut,
        _ => return Err(invalid("status", "write opted_in or opted_out")),
    };
    let source = label("source", &wanted.source, LABEL_CHARS_MAX)?;
    let evidence = told("evidence", wanted.evidence.as_ref(), EVIDENCE_CHARS_MAX)?;
    let proof = checked_proof(wanted, tx.now())?;
    if state == Consent::OptedIn && evidence.is_none() {
        let standings = consents::standings(tx, account, &phone).await?;
        let out = standings
            .iter()
            .find(|one| one.state == Consent::OptedOut && categories.contains(&one.category));
        if let Some(out) = out {
            let words = format!(
                "this person opted out of {} texts; write what proves that they asked again",
                out.category
            );
            return Err(invalid("evidence", words));
        }
    }
    if state == Consent::OptedIn {
        consents::end_sender_opt_outs(tx, account, &phone, None).await?;
    }
    let said = Said {
        phone: &phone,
        categories: &categories,
        state,
        source: &source,
        actor,
        evidence: evidence.unwrap_or_else(|| "none was given".to_owned()),
        proof,
    };
    record(tx, dice, account, said).await
}

/// Reads a number in the account's country.
pub fn checked_phone(raw: &str, owner: &Account) -> Result<String> {
    phone::parse(raw, Some(&owner.country))
        .map(|number| number.e164.to_string())
        .map_err(|error| invalid("phone", error.to_string()))
}

/// Reads a category, or both.
pub fn checked_categories(word: &str) -> Result<Vec<Category>> {
    match (word, Category::parse(word)) {
        ("all", _) => Ok(Category::ALL.to_vec()),
        (_, Some(category)) => Ok(vec![category]),
        _ => Err(invalid("category", "write transactional, marketing or all")),
    }
}

fn checked_proof(wanted: &ConsentIn, now: Instant) -> Result<Proof> {
    let ip = told("ip", wanted.ip.as_ref(), LABEL_CHARS_MAX)?;
    if ip.as_ref().is_some_and(|ip| ip.parse::<std::net::IpAddr>().is_err()) {
        return Err(invalid("ip", "write an address such as 203.0.113.7 or 2001:db8::7"));
    }
    if wanted.said_at.is_some_and(|at| at > now + AHEAD_MAX || at.0 < 0) {
        return Err(invalid("said_at", "write a time that has passed"));
    }
    Ok(Proof {
        wording: told("wording", wanted.wording.as_ref(), WORDING_CHARS_MAX)?,
        wording_version: told("wording_version", wanted.wording_version.as_ref(), LABEL_CHARS_MAX)?,
        scope: told("scope", wanted.scope.as_ref(), LABEL_CHARS_MAX)?,
        ip,
        user_agent: told("user_agent", wanted.user_agent.as_ref(), USER_AGENT_CHARS_MAX)?,
        said_at: wanted.said_at.map(|at| at.min(now)),
    })
}

fn told(field: &str, text: Option<&String>, chars_max: usize) -> Result<Option<String>> {
    match text.map(|text| text.trim()).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => label(field, text, chars_max).map(Some),
    }
}

fn label(field: &str, text: &str, chars_max: usize) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > chars_max || text.contains('\0') {
        return Err(invalid(field, format!("write 1 to {chars_max} characters")));
    }
    Ok(text.to_owned())
}
