//! Contacts: one by one, as a list, and from CSV files.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use domain::ids::{AccountId, ContactId};
use domain::instant::Instant;
use domain::permit::{Category, Consent};
use serde::Serialize;
use store::contacts::{Contact, contacts_by_phone, list_contacts};
use store::{Tx, accounts, consents};

use super::auth::Holder;
use super::idempotency::{Answer, Asked, Raw};
use super::json::media_type;
use super::page::{List, Page, PageIn, PageOut};
use super::params::Query;
use super::problem::{Code, Problem, Result};
use crate::entry::app::App;
use crate::flow::contacts::{ContactIn, Source, checked, keep_words};
use crate::flow::import::{Imported, import};

/// A contact.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ContactOut {
    /// Its id.
    #[schema(value_type = String)]
    pub id: ContactId,
    /// E.164.
    pub phone: String,
    /// Empty when unknown.
    pub name: String,
    /// IANA zone, when known.
    pub timezone: Option<String>,
    /// Labels.
    pub tags: Vec<String>,
    /// Custom fields.
    pub fields: BTreeMap<String, String>,
    /// `opted_in`, `opted_out` or `unknown`, per category.
    pub consent: ConsentOut,
    /// The account wants no text to go there.
    pub blocked: bool,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Instant,
}

/// What a person agreed to.
#[derive(Clone, Copy, Debug, Serialize, utoipa::ToSchema)]
pub struct ConsentOut {
    /// Reminders, notifications, codes.
    pub transactional: &'static str,
    /// Everything that sells.
    pub marketing: &'static str,
}

async fn shown(tx: &mut Tx, account: AccountId, rows: Vec<Contact>) -> Result<Vec<ContactOut>> {
    let phones: Vec<String> = rows.iter().map(|contact| contact.phone.clone()).collect();
    let transactional = consents_of(tx, account, Category::Transactional, &phones).await?;
    let marketing = consents_of(tx, account, Category::Marketing, &phones).await?;
    let word = |known: &BTreeMap<String, Consent>, phone: &str| {
        known.get(phone).copied().unwrap_or(Consent::Unknown).as_str()
    };
    let show = |contact: Contact| ContactOut {
        id: contact.id,
        consent: ConsentOut {
            transactional: word(&transactional, &contact.phone),
            marketing: word(&marketing, &contact.phone),
        },
        phone: contact.phone,
        name: contact.name,
        timezone: contact.timezone,
        tags: contact.tags,
        fields: contact.fields,
        blocked: contact.blocked,
        created_at: contact.created_at,
    };
    Ok(rows.into_iter().map(show).collect())
}

async fn consents_of(
    tx: &mut Tx,
    account: AccountId,
    category: Category,
    phones: &[String],
) -> Result<BTreeMap<String, Consent>> {
    Ok(consents::consents_for(tx, account, category, phones).await?.into_iter().collect())
}

/// Makes a contact, or adds what is told to the one with this phone.
///
/// Tags are added and fields merged; what is not told stays. `consent` holds for both categories.
#[utoipa::path(
    post, path = "/v1/contacts", tag = "contacts", security(("account" = [])),
    request_body(content = ContactIn, example = json!({
        "phone": "(312) 555-0147", "name": "Ada Park", "timezone": "America/Chicago",
        "tags": ["members"], "fields": {"coach": "Sam"}, "consent": "opted_in"
    })),
    responses(
        (status = 201, description = "A new contact", body = ContactOut),
        (status = 200, description = "A known contact", body = ContactOut),
    ),
)]
pub async fn keep(
    State(app): State<Arc<App>>,
    holder: Holder,
    asked: Asked<ContactIn>,
) -> Result<Answer> {
    let (dice, wanted, account) = (&*app.dice, &asked.wanted, holder.account);
    let source = Source {
        name: "api",
        actor: &holder.actor(),
        evidence: "POST /v1/contacts",
        may_opt_in_again: true,
    };
    let kept = asked.once.run(&app, account, |mut tx| async move {
        let owner = accounts::account(&mut tx, account).await?;
        let word = checked(wanted, &owner)?;
        let phones = [word.phone.clone()];
        let kept = keep_words(&mut tx, dice, account, &[word], source).await?;
        let rows = contacts_by_phone(&mut tx, account, &phones).await?;
        let contact = shown(&mut tx, account, rows).await?.into_iter().next();
        let contact = contact.ok_or_else(|| Problem::internal("a kept contact is gone"))?;
        let status = if kept.created == 1 { StatusCode::CREATED } else { StatusCode::OK };
        Ok((tx, status, contact))
    });
    kept.await
}

/// Lists contacts in the order they were made.
#[utoipa::path(
    get, path = "/v1/contacts", tag = "contacts", security(("account" = [])),
    params(PageIn),
    responses((status = 200, body = PageOut<ContactOut>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    holder: Holder,
    page: Page,
) -> Result<Json<PageOut<ContactOut>>> {
    let after = page.after(List::Contacts)?.map(ContactId);
    let mut tx = app.db.read().await?;
    let rows = list_contacts(&mut tx, holder.account, after, page.rows()).await?;
    let rows = shown(&mut tx, holder.account, rows).await?;
    let key = |contact: &ContactOut| contact.id.0;
    Ok(Json(page.out(List::Contacts, rows, key, |contact| contact)))
}

/// A CSV body.
pub struct CsvFile(Raw);

impl<S: Send + Sync> FromRequest<S> for CsvFile {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        if !media_type(request.headers()).eq_ignore_ascii_case("text/csv") {
            return Err(Problem::new(Code::UnsupportedMediaType, "write Content-Type: text/csv"));
        }
        Raw::from_request(request, state).await.map(Self)
    }
}

/// Imports a CSV file. Good rows are kept; every bad row is reported with its line.
///
/// The first line names the columns: `phone` and, if there are any, `name`, `timezone`, `tags`
/// (separated by `;`), `consent`; every other column becomes a custom field.
#[utoipa::path(
    post, path = "/v1/contacts/import", tag = "contacts", security(("account" = [])),
    params(("dry_run" = Option<bool>, Query, description = "`true`: report only, keep nothing")),
    request_body(
        content = String, content_type = "text/csv",
        example = "phone,name,tags,consent\n+13125550147,Ada Park,members,opted_in\n"
    ),
    responses((status = 200, body = Imported)),
)]
pub async fn import_csv(
    State(app): State<Arc<App>>,
    holder: Holder,
    query: Query,
    CsvFile(Raw { body, once }): CsvFile,
) -> Result<Answer> {
    query.only(&["dry_run"])?;
    let dry_run = query.flag("dry_run")?;
    if let Some(answer) = once.before(&app, holder.account).await? {
        return Ok(answer);
    }
    let source = Source {
        name: "import",
        actor: &holder.actor(),
        evidence: "POST /v1/contacts/import",
        may_opt_in_again: false,
    };
    let done = import(&app.db, &*app.dice, holder.account, &body, source, dry_run, |_| {}).await?;
    once.after(&app, holder.account, StatusCode::OK, &done).await
}
