//! Consent: what people said about getting texts, word by word.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::ids::{AccountId, ContactId};
use domain::instant::Instant;
use domain::permit::{Category, Consent};
use serde::Serialize;
use store::consents::{Recorded, list_events, standings};
use store::{Tx, accounts};

use super::auth::Holder;
use super::contacts::{ConsentOut, ContactOut, shown};
use super::idempotency::{Answer, Asked};
use super::page::{List, Page, PageOut};
use super::params::{Id, Query};
use super::problem::{Problem, Result};
use crate::entry::app::App;
use crate::flow::consent_proof::{
    ConsentEventOut, HistoryOut, ProvenConsent, SenderOptOut, csv, prove,
};
use crate::flow::consents::{ConsentIn, checked_categories, checked_phone, say};

/// What was recorded, and where it leaves the phone.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ConsentTaken {
    /// The word; of both categories the first.
    #[serde(flatten)]
    event: ConsentEventOut,
    /// Where the phone stands now in that category: a newer word may stand against it.
    state: &'static str,
    /// Where it stands in each category.
    consent: ConsentOut,
    /// Every word that was recorded: one per category.
    events: Vec<ConsentEventOut>,
}

/// Records what somebody said about getting texts. The newest word holds; none is ever removed.
///
/// To opt in a person who opted out takes `evidence`.
#[utoipa::path(
    post, path = "/v1/consents", tag = "consent", security(("account" = [])),
    request_body(content = ConsentIn, example = json!({
        "phone": "+13125550147", "category": "marketing", "status": "opted_in",
        "source": "web_form",
        "wording": "I agree to get texts from Riverside Coaching. Consent is no condition of \
                    purchase. Msg & data rates may apply. Reply STOP to end.",
        "evidence": "https://riverside.example/forms/2041", "ip": "203.0.113.7"
    })),
    responses((status = 201, body = ConsentTaken)),
)]
pub async fn add(
    State(app): State<Arc<App>>,
    holder: Holder,
    asked: Asked<ConsentIn>,
) -> Result<Answer> {
    let (dice, wanted, account) = (&*app.dice, &asked.wanted, holder.account);
    let actor = &holder.actor();
    let said = asked.once.run(&app, account, |mut tx| async move {
        let events = say(&mut tx, dice, account, actor, wanted).await?;
        let now = tx.now();
        let first = events.first().ok_or_else(|| Problem::internal("no word was recorded"))?;
        let (category, phone) = (first.category, first.phone.clone());
        let consent = consent_of(&mut tx, account, &phone).await?;
        let mut shown = events.into_iter().map(|event| ConsentEventOut::from((now, event)));
        let event = shown.next().ok_or_else(|| Problem::internal("no word was recorded"))?;
        let events = std::iter::once(event.clone()).chain(shown).collect();
        let taken = ConsentTaken { event, state: consent.of(category), consent, events };
        Ok((tx, StatusCode::CREATED, taken))
    });
    said.await
}

async fn consent_of(tx: &mut Tx, account: AccountId, phone: &str) -> Result<ConsentOut> {
    let all = standings(tx, account, phone).await?;
    let word = |category| {
        let found = all.iter().find(|one| one.category == category);
        found.map_or(Consent::Unknown, |one| one.state).as_str()
    };
    Ok(ConsentOut {
        transactional: word(Category::Transactional),
        marketing: word(Category::Marketing),
    })
}

/// Lists words of consent in the order they were recorded.
#[utoipa::path(
    get, path = "/v1/consents", tag = "consent", security(("account" = [])),
    params(
        ("phone" = Option<String>, Query, description = "Only of this phone"),
        ("category" = Option<String>, Query, description = "`transactional` or `marketing`"),
        ("limit" = Option<i64>, Query, description = "Rows of a page, 1 to 1000; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
    ),
    responses((status = 200, body = PageOut<ConsentEventOut>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    holder: Holder,
    query: Query,
) -> Result<Json<PageOut<ConsentEventOut>>> {
    query.only(&["phone", "category", "limit", "cursor"])?;
    let page = Page::of(&query)?;
    let mut tx = app.db.read().await?;
    let phone = match query.find("phone") {
        None => None,
        Some(raw) => Some(phone_of(&mut tx, holder.account, raw).await?),
    };
    let category = match query.find("category").map(checked_categories).transpose()?.as_deref() {
        Some([one]) => Some(*one),
        Some(_) | None => None,
    };
    let after = match page.after::<24>(List::Consents)? {
        None => (Instant(i64::MIN), [0; 16]),
        Some(key) => {
            let (at, id) = key.split_at(8);
            let at = i64::from_be_bytes(at.try_into().expect("eight bytes of 24"));
            (Instant(at), id.try_into().expect("16 bytes of 24"))
        }
    };
    let rows = list_events(&mut tx, holder.account, phone.as_deref(), category, after, page.rows());
    let key = |(at, event): &Recorded| [&at.0.to_be_bytes()[..], &event.id].concat();
    Ok(Json(page.out(List::Consents, rows.await?, key, ConsentEventOut::from)))
}

/// A number in a query, where an unescaped `+` is read as a space.
pub(super) async fn phone_of(tx: &mut Tx, account: AccountId, raw: &str) -> Result<String> {
    let raw = raw.strip_prefix(' ').map_or_else(|| raw.to_owned(), |rest| format!("+{rest}"));
    let owner = accounts::account(tx, account).await?;
    Ok(checked_phone(&raw, &owner)?)
}

/// Everything known about a contact's consent.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ConsentProof {
    /// The contact.
    contact: ContactOut,
    /// Its number's consent, per category.
    consents: Vec<ProvenConsent>,
    /// Consent of numbers it had before: consent belongs to the phone.
    former_numbers: Vec<ProvenConsent>,
    /// Opt-outs of single senders.
    sender_opt_outs: Vec<SenderOptOut>,
    /// What became of the contact.
    history: Vec<HistoryOut>,
}

/// Proves a contact's consent: every word on it, who recorded it, when, where, with which wording,
/// on what evidence, and the text that confirmed it. As JSON, or as CSV with `Accept: text/csv` or
/// `?format=csv`.
#[utoipa::path(
    get, path = "/v1/contacts/{id}/consent-proof", tag = "consent", security(("account" = [])),
    params(
        ("id" = String, Path, description = "The contact, `ct_…`"),
        ("format" = Option<String>, Query, description = "`json` or `csv`"),
    ),
    responses((status = 200, description = "The proof", content(
        (ConsentProof = "application/json"), (String = "text/csv"),
    ))),
)]
pub async fn prove_contact(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<ContactId>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    query.only(&["format"])?;
    let as_csv = match query.find("format") {
        Some("csv") => true,
        Some("json") => false,
        Some(_) => return Err(Problem::invalid("format", "write json or csv")),
        None => accepts_csv(&headers),
    };
    let mut tx = app.db.read().await?;
    let proven = prove(&mut tx, holder.account, id).await?;
    if as_csv {
        let name = format!("attachment; filename=\"consent-{id}.csv\"");
        let headers =
            [(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, name)];
        return Ok((headers, csv(&proven)).into_response());
    }
    let contact = shown(&mut tx, holder.account, vec![proven.contact]).await?.pop();
    let contact = contact.ok_or_else(|| Problem::internal("a contact that is there is gone"))?;
    let proof = ConsentProof {
        contact,
        consents: proven.consents,
        former_numbers: proven.former,
        sender_opt_outs: proven.sender_opt_outs,
        history: proven.history,
    };
    Ok(Json(proof).into_response())
}

fn accepts_csv(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first = accept.split(',').next().unwrap_or_default();
    first.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/csv")
}
