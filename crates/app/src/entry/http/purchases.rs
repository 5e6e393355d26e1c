//! Buying credits: the price list, purchases, and the public page of one.

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{Html, IntoResponse, Response};
use domain::ids::PurchaseId;
use domain::instant::Instant;
use domain::packs::{self, CUSTOM_CREDITS, Pack, money};
use domain::payments::PurchaseState;
use serde::{Deserialize, Serialize};
use store::purchases::{Purchase, find_purchase, list_purchases};
use store::{accounts, wallets};

use super::auth::Holder;
use super::idempotency::{Answer, Asked};
use super::page::{List, Page, PageIn, PageOut};
use super::params::Id;
use super::problem::{Code, Problem, Result};
use super::progress::grouped;
use crate::entry::app::App;
use crate::finance::purchases::{Wanted, begin};
use crate::refusal::Refusal;

/// A number of credits with its price.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PackOut {
    /// Its id, such as `starter`.
    pub id: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// What is bought.
    pub credits: i64,
    /// What it costs, in the currency's smallest unit.
    pub amount: i64,
    /// Three letters in lower case.
    pub currency: &'static str,
    /// About tax.
    pub tax_note: &'static str,
}

/// What may be bought without a pack.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CustomOut {
    /// The fewest credits.
    pub min_credits: i64,
    /// The most.
    pub max_credits: i64,
}

/// The price list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PacksOut {
    /// The packs, the smallest first.
    pub data: Vec<PackOut>,
    /// Any other number costs what a credit costs in the largest pack that is not larger.
    pub custom: CustomOut,
}

/// Lists what credits cost.
#[utoipa::path(
    get, path = "/v1/packs", tag = "payments", security(("account" = [])),
    operation_id = "list_packs",
    responses((status = 200, body = PacksOut)),
)]
pub async fn packs(_: Holder) -> Json<PacksOut> {
    let show = |pack: &'static Pack| PackOut {
        id: &pack.key,
        name: &pack.name,
        credits: pack.credits,
        amount: pack.amount,
        currency: &pack.currency,
        tax_note: &pack.tax_note,
    };
    let (min_credits, max_credits) = (*CUSTOM_CREDITS.start(), *CUSTOM_CREDITS.end());
    let custom = CustomOut { min_credits, max_credits };
    Json(PacksOut { data: packs::all().iter().map(show).collect(), custom })
}

/// What to buy: a pack, or a number of credits.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PurchaseIn {
    /// A pack's id.
    pack: Option<String>,
    /// Any number of credits.
    credits: Option<i64>,
    /// Keeps the card for automatic purchases; its owner agrees to that on the payment page.
    save_card: Option<bool>,
}

/// A purchase.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PurchaseOut {
    /// Its id.
    #[schema(value_type = String)]
    pub id: PurchaseId,
    /// `pending`, `paid`, `failed`, `expired`, `refunded` or `disputed`.
    #[schema(value_type = String)]
    pub state: PurchaseState,
    /// Credits that are bought.
    pub credits: i64,
    /// What they cost, in the currency's smallest unit.
    pub amount: i64,
    /// Three letters in lower case.
    pub currency: String,
    /// Where to pay; `null` when there is nothing to be paid on a page.
    pub checkout_url: Option<String>,
    /// Which pack, if it is one.
    pub pack: Option<String>,
    /// `checkout`, or `auto` when the account's rule started it.
    pub kind: &'static str,
    /// When it was started.
    #[schema(value_type = String)]
    pub created_at: Instant,
    /// When the money came.
    #[schema(value_type = Option<String>)]
    pub paid_at: Option<Instant>,
    /// Why it stands as it does, where that needs words.
    pub reason: Option<String>,
    /// The payment's id at Stripe.
    pub payment_intent: Option<String>,
    /// Credits taken back because money went back.
    pub refunded_credits: i64,
    /// Credits frozen because money is disputed.
    pub disputed_credits: i64,
}

impl From<Purchase> for PurchaseOut {
    fn from(it: Purchase) -> Self {
        let is_open = it.state == PurchaseState::Pending;
        Self {
            id: it.id,
            state: it.state,
            credits: it.credits,
            amount: it.amount,
            currency: it.currency,
            checkout_url: it.checkout_url.filter(|_| is_open),
            pack: it.pack,
            kind: it.kind.as_str(),
            created_at: it.created_at,
            paid_at: it.paid_at,
            reason: it.reason,
            payment_intent: it.payment_intent,
            refunded_credits: it.clawed,
            disputed_credits: it.held,
        }
    }
}

/// What is kept under an idempotency key.
#[derive(Deserialize, Serialize)]
struct Begun {
    id: PurchaseId,
}

/// Starts a purchase. The answer's `checkout_url` is where it is paid; the credits come when
/// Stripe says that the money did.
#[utoipa::path(
    post, path = "/v1/purchases", tag = "payments", security(("account" = [])),
    operation_id = "start_purchase",
    request_body(content = PurchaseIn, example = json!({"pack": "starter"})),
    responses((status = 201, body = PurchaseOut)),
)]
pub async fn start(
    State(app): State<Arc<App>>,
    holder: Holder,
    asked: Asked<PurchaseIn>,
) -> Result<Answer> {
    let (account, payments) = (holder.account, &*app.payments);
    payments.stripe()?;
    let PurchaseIn { pack, credits, save_card } = &asked.wanted;
    let wanted =
        &Wanted { pack: pack.clone(), credits: *credits, save_card: save_card.unwrap_or(false) };
    let begun = asked.once.run(&app, account, |mut tx| async move {
        let it = begin(payments, &mut tx, account, wanted).await?;
        Ok((tx, StatusCode::CREATED, Begun { id: it.id }))
    });
    let begun = begun.await?;
    let Begun { id } = serde_json::from_str(&begun.body)
        .map_err(|_| Problem::internal("a purchase was kept without its id"))?;
    let it = payments.open_checkout(account, id).await?;
    let answer = Answer::new(begun.status, &PurchaseOut::from(it));
    Ok(Answer { replayed: begun.replayed, ..answer })
}

/// Lists purchases, the newest first.
#[utoipa::path(
    get, path = "/v1/purchases", tag = "payments", security(("account" = [])),
    operation_id = "list_purchases",
    params(PageIn),
    responses((status = 200, body = PageOut<PurchaseOut>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    holder: Holder,
    page: Page,
) -> Result<Json<PageOut<PurchaseOut>>> {
    let after = page.after(List::Purchases)?.map(PurchaseId);
    let mut tx = app.db.read().await?;
    let rows = list_purchases(&mut tx, holder.account, after, page.rows()).await?;
    Ok(Json(page.out(List::Purchases, rows, |it| it.id.0, PurchaseOut::from)))
}

/// Shows a purchase.
#[utoipa::path(
    get, path = "/v1/purchases/{id}", tag = "payments", security(("account" = [])),
    operation_id = "show_purchase",
    params(("id" = String, Path, description = "The purchase, `pur_…`")),
    responses((status = 200, body = PurchaseOut)),
)]
pub async fn show(
    State(app): State<Arc<App>>,
    holder: Holder,
    Id(id): Id<PurchaseId>,
) -> Result<Json<PurchaseOut>> {
    Ok(Json(read(&app, holder.account, id).await?.into()))
}

/// The purchase, with its payment page if that can be had now.
async fn read(app: &App, account: domain::ids::AccountId, id: PurchaseId) -> Result<Purchase> {
    match app.payments.open_checkout(account, id).await {
        Err(Refusal::Unavailable(_)) => {}
        outcome => return Ok(outcome?),
    }
    let mut tx = app.db.read().await?;
    let found = find_purchase(&mut tx, account, id).await?;
    found.ok_or_else(|| Problem::not_found("purchase"))
}

#[derive(Template)]
#[template(path = "purchase.html")]
struct Sheet {
    business: String,
    credits: String,
    price: String,
    /// The state's word, for the style.
    state: &'static str,
    title: &'static str,
    sentence: String,
    available: String,
    owed: Option<String>,
    /// Where it can be paid.
    pay: Option<String>,
    /// Seconds to the next look.
    refresh: u32,
}

/// How long a page waits before it looks again, in seconds.
const REFRESH_PENDING: u32 = 3;
const REFRESH_DONE: u32 = 15;

/// Where a payer comes back to: how the purchase stands, and the balance. It shows, and believes
/// nobody: only Stripe's word moves credits.
pub async fn page(State(app): State<Arc<App>>, Path(token): Path<String>) -> Result<Response> {
    let gone = || Problem::new(Code::NotFound, "this address shows nothing, or no longer");
    let (account, id) = app.payments.find_page(&token).ok_or_else(gone)?;
    if domain::mutant!(M39) {
        let paid_at = Some(app.clock.now());
        let news = crate::finance::news::News { paid_at, ..Default::default() };
        app.payments.tell(account, id, &news).await?;
    }
    let it = read(&app, account, id).await?;
    let mut tx = app.db.read().await?;
    let business = accounts::account(&mut tx, account).await?.name;
    let books = wallets::wallet(&mut tx, account).await?.books;
    let (title, sentence) = told(&it);
    let is_open = it.state == PurchaseState::Pending;
    let sheet = Sheet {
        business,
        credits: grouped(it.credits),
        price: money(it.amount, &it.currency),
        state: it.state.as_str(),
        title,
        sentence,
        available: grouped(books.available),
        owed: (books.owed > 0).then(|| grouped(books.owed)),
        pay: it.checkout_url.filter(|_| is_open),
        refresh: if is_open { REFRESH_PENDING } else { REFRESH_DONE },
    };
    let html = sheet
        .render()
        .map_err(|error| Problem::internal(format!("the page of a purchase: {error}")))?;
    Ok(([(CACHE_CONTROL, "no-store")], Html(html)).into_response())
}

/// A state for people.
fn told(it: &Purchase) -> (&'static str, String) {
    let why = || it.reason.clone().map_or_else(String::new, |why| format!(" {}.", capital(&why)));
    match it.state {
        PurchaseState::Pending => (
            "Waiting for the payment",
            "The credits come as soon as the payment is confirmed. This page looks by itself."
                .to_owned(),
        ),
        PurchaseState::Paid if it.clawed > 0 => {
            ("Paid", format!("{} credits went back with their money.", grouped(it.clawed)))
        }
        PurchaseState::Paid => ("Paid", "Thank you. The credits are there.".to_owned()),
        PurchaseState::Failed => ("Not paid", format!("The payment did not succeed.{}", why())),
        PurchaseState::Expired => ("Not paid", format!("The time to pay is over.{}", why())),
        PurchaseState::Refunded => {
            ("Refunded", "The money went back, and so did the credits.".to_owned())
        }
        PurchaseState::Disputed => {
            ("Disputed", format!("{} credits are frozen until the bank decides.", grouped(it.held)))
        }
    }
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

/// Leads to a page of Stripe's that saves a card for automatic purchases.
pub async fn card(State(app): State<Arc<App>>, Path(token): Path<String>) -> Result<Response> {
    let gone = || Problem::new(Code::NotFound, "this address leads nowhere, or no longer");
    let account = super::topups::open_card(&app, &token).ok_or_else(gone)?;
    let url = app.payments.open_setup(account).await?;
    let headers = [("location", url.as_str()), ("cache-control", "no-store")];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}
