//! Contacts: one by one, as a list, and from CSV files.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use domain::ids::{AccountId, ContactId};
use domain::instant::Instant;
use domain::permit::{Category, Consent};
use domain::quiet_hours::QuietHours;
use serde::Serialize;
use store::contacts::{Contact, ContactFilter, contacts_by_phone, find_contact, find_contacts};
use store::{Tx, accounts, consents};

use super::auth::Holder;
use super::consents::phone_of;
use super::idempotency::{Answer, Asked, Raw};
use super::json::media_type;
use super::page::{List, Page, PageOut};
use super::params::{Id, Query};
use super::problem::{Code, Problem, Result};
use crate::entry::app::App;
use crate::flow::contact_changes::{ContactPatch, patch};
use crate::flow::contacts::{ContactIn, Source, checked, keep_words};
use crate::flow::import::{Imported, evidence, import};

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
    /// Language, such as `es` or `es-MX`, when known.
    pub locale: Option<String>,
    /// The number is known to be theirs.
    pub verified: bool,
    /// The person's own quiet hours; `null` for the account's.
    #[schema(value_type = Option<Object>)]
    pub quiet_hours: Option<QuietHours>,
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

/// Contacts as they are shown, with where each phone stands.
pub(super) async fn shown(
    tx: &mut Tx,
    account: AccountId,
    rows: Vec<Contact>,
) -> Result<Vec<ContactOut>> {
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
        locale: contact.locale,
        verified: contact.verified,
        quiet_hours: contact.quiet_hours,
        blocked: contact.blocked,
        created_at: contact.created_at,
    };
    Ok(rows.into_iter().map(show).collect())
}

impl ConsentOut {
    /// The state in one category.
    pub const fn of(self, category: Category) -> &'static str {
        match category {
            Category::Transactional => self.transactional,
            Category::Marketing => self.marketing,
        }
    }
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
    params(
        ("tag" = Option<String>, Query, description = "Only those with this tag"),
        ("phone" = Option<String>, Query, description = "Only the one with this number"),
        ("limit" = Option<i64>, Query, description = "Rows of a page, 1 to 1000; 50 when absent"),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
    ),
    responses((status = 200, body = PageOut<ContactOut>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    holder: Holder,
    query: Query,
) -> Result<Json<PageOut<ContactOut>>> {
    query.only(&["tag", "phone", "limit", "cursor"])?;
    let page = Page::of(&query)?;
    let after = page.after(List::Contacts)?.map(ContactId);
    let mut tx = app.db.read().await?;
    let phone = match query.find("phone") {
        None => None,
        Some(raw) => Some(phone_of(&mut tx, holder.account, raw).await?),
    };
    let filter = ContactFilter { tag: query.find("tag").map(str::to_owned), phone };
    let rows = find_contacts(&mut tx, holder.account, &filter, after, page.rows()).await?;
    let rows = shown(&mut tx, holder.account, rows).await?;
    let key = |contact: &ContactOut| contact.id.0;
    Ok(Json(page.out(List::Contacts, rows, key, |contact| contact)))
}

/// Shows a contact.
#[utoipa::path(
    get, path = "/v1/contacts/{id}", tag = "contacts", security(("account" = [])),
    params(("id" = String, Path, description = "The contact, `ct_…`")),
    responses((status = 200, body = ContactOut)),
)]
pub async fn show(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<ContactId>,
) -> Result<Json<ContactOut>> {
    let mut tx = app.db.read().await?;
    let found = find_contact(&mut tx, holder.account, id).await?;
    let shown = shown(&mut tx, holder.account, found.into_iter().collect()).await?.pop();
    shown.map(Json).ok_or_else(|| Problem::not_found("contact"))
}

/// A changed contact.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ContactChanged {
    /// The contact.
    #[serde(flatten)]
    contact: ContactOut,
    /// What to know about the change.
    notes: Vec<String>,
}

/// Changes a contact. What is left out stays, `null` removes.
///
/// A new `phone` keeps the contact, its texts and its bookings; consent belongs to the phone, so
/// the new one stands where that phone itself stands, usually `unknown`. When another contact has
/// the number, `merge` makes one of the two.
#[utoipa::path(
    patch, path = "/v1/contacts/{id}", tag = "contacts", security(("account" = [])),
    params(("id" = String, Path, description = "The contact, `ct_…`")),
    request_body(content = ContactPatch, example = json!({
        "locale": "es-MX", "tags": ["members"], "fields": {"coach": "Sam", "room": null}
    })),
    responses((status = 200, body = ContactChanged)),
)]
pub async fn change(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<ContactId>,
    asked: Asked<ContactPatch>,
) -> Result<Answer> {
    let (dice, wanted, account) = (&*app.dice, &asked.wanted, holder.account);
    let actor = &holder.actor();
    let changed = asked.once.run(&app, account, |mut tx| async move {
        let before = find_contact(&mut tx, account, id).await?.map(|contact| contact.phone);
        let contact = patch(&mut tx, dice, account, id, actor, wanted).await?;
        let renumbered = before.is_some_and(|phone| phone != contact.phone);
        let contact = shown(&mut tx, account, vec![contact]).await?.pop();
        let contact = contact.ok_or_else(|| Problem::internal("a kept contact is gone"))?;
        let mut notes = Vec::new();
        if renumbered {
            notes.push(format!(
                "consent belongs to the phone: the new number is {} for transactional and {} \
                 for marketing texts",
                contact.consent.transactional, contact.consent.marketing
            ));
        }
        Ok((tx, StatusCode::OK, ContactChanged { contact, notes }))
    });
    changed.await
}

/// A CSV body.
pub struct CsvFile(pub Raw);

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
/// (separated by `;`), `consent`, `locale`, `verified`, `blocked`; every other column becomes a
/// custom field. `attestation` says who vouches for the opt-ins of the file and how they were
/// given; it stands in the evidence of each. Without it the evidence says that there is none.
#[utoipa::path(
    post, path = "/v1/contacts/import", tag = "contacts", security(("account" = [])),
    params(
        ("dry_run" = Option<bool>, Query, description = "`true`: report only, keep nothing"),
        ("attestation" = Option<String>, Query, description = "Who vouches for the opt-ins of \
            the file, and how they were given"),
        ("file" = Option<String>, Query, description = "The file's name, for the evidence"),
    ),
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
    query.only(&["dry_run", "attestation", "file"])?;
    let dry_run = query.flag("dry_run")?;
    if let Some(answer) = once.before(&app, holder.account).await? {
        return Ok(answer);
    }
    let name: String = query.find("file").unwrap_or_default().chars().take(200).collect();
    let file = match name.as_str() {
        "" => "POST /v1/contacts/import".to_owned(),
        name => format!("POST /v1/contacts/import, file {name:?}"),
    };
    let proof = evidence(&*app.dice, &file, query.find("attestation"))?;
    let source = Source {
        name: "import",
        actor: &holder.actor(),
        evidence: &proof,
        may_opt_in_again: false,
    };
    let done = import(&app.db, &*app.dice, holder.account, &body, source, dry_run, |_| {}).await?;
    once.after(&app, holder.account, StatusCode::OK, &done).await
}
