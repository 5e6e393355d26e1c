//! Buying credits: a purchase is written down first, then a page of Stripe's is opened for it.
//!
//! What Stripe is asked for follows from the purchase's row alone, and so does the idempotency
//! key. So it may be asked again after any failure, by whoever comes first: the caller's retry,
//! somebody who looks at the purchase, or the timer.

use std::time::Duration;

use domain::ids::{AccountId, PurchaseId};
use domain::instant::Instant;
use domain::packs::{self, CUSTOM_CREDITS};
use domain::payments::PurchaseState;
use store::notices::{Notice, NoticeKind};
use store::purchases::{Purchase, PurchaseKind};
use store::stripe_events::Owner;
use store::{Error, Tx, notices, purchases};
use stripe::{CheckoutIn, Line, Mode};

use super::news::{News, PURCHASE_KEY, news_of_session};
use super::payers::{PAGE_SECS, named};
use super::payments::{ATTEMPTS_MAX, Payments, unavailable};
use super::settlement::{Settled, bind, settle};
use crate::refusal::{Refusal, Result, invalid};

/// A page that could not be opened in this time is not opened any more: Stripe wants it to stay
/// open for half an hour at least.
const OPEN_WITHIN: Duration = Duration::from_secs(22 * 3600);
/// A purchase is asked about when nothing was heard for so long, then less and less often.
const ASK_FIRST: Duration = Duration::from_secs(300);
const ASK_LAST: Duration = Duration::from_secs(6 * 3600);
/// Who opens a page gets this long before somebody else does.
const HEAD_START: Duration = Duration::from_secs(60);
/// The address of a purchase's page holds for so long.
const PAGE_DAYS: i64 = 30;

/// What somebody wants to buy.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// A pack's key …
    pub pack: Option<String>,
    /// … or any number of credits.
    pub credits: Option<i64>,
    /// The card is kept for automatic purchases.
    pub save_card: bool,
}

/// The wait after the `tries`-th question without news.
fn ask_after(tries: i64) -> Duration {
    let doubled = u32::try_from(tries.clamp(0, 10)).unwrap_or(0);
    (ASK_FIRST * 2_u32.pow(doubled)).min(ASK_LAST)
}

/// A purchase as it begins.
pub fn begun(payments: &Payments, now: Instant, kind: PurchaseKind) -> Purchase {
    Purchase {
        id: PurchaseId::new(now, &*payments.dice),
        kind,
        pack: None,
        credits: 0,
        amount: 0,
        currency: String::new(),
        save_card: false,
        payment_method: None,
        created_at: now,
        checkout: None,
        checkout_url: None,
        payment_intent: None,
        state: PurchaseState::Pending,
        reason: None,
        paid_at: None,
        refund_seen: 0,
        refunded: 0,
        disputed: 0,
        granted: 0,
        clawed: 0,
        held: 0,
        moves: 0,
        tries: 0,
        next_at: Some(now + HEAD_START),
    }
}

/// Prices what is wanted, by our own list.
fn priced(mut it: Purchase, wanted: &Wanted) -> Result<Purchase> {
    match (&wanted.pack, wanted.credits) {
        (Some(key), None) => {
            let pack = packs::find(key).ok_or_else(|| {
                let known: Vec<&str> = packs::all().iter().map(|pack| pack.key.as_str()).collect();
                invalid("pack", format!("write one of {}", known.join(", ")))
            })?;
            it.pack = Some(pack.key.clone());
            (it.credits, it.amount) = (pack.credits, pack.amount);
            it.currency.clone_from(&pack.currency);
        }
        (None, Some(credits)) => {
            let (amount, currency) = packs::custom(credits).ok_or_else(|| {
                let (least, most) = (CUSTOM_CREDITS.start(), CUSTOM_CREDITS.end());
                invalid("credits", format!("write a number from {least} to {most}"))
            })?;
            (it.credits, it.amount) = (credits, amount);
            currency.clone_into(&mut it.currency);
        }
        (Some(_), Some(_)) => {
            return Err(invalid("credits", "write either pack or credits, not both"));
        }
        (None, None) => {
            return Err(invalid("pack", "write a pack, or a number of credits"));
        }
    }
    Ok(it)
}

/// Writes a purchase down.
pub async fn begin(
    payments: &Payments,
    tx: &mut Tx,
    account: AccountId,
    wanted: &Wanted,
) -> Result<Purchase> {
    let mut it = priced(begun(payments, tx.now(), PurchaseKind::Checkout), wanted)?;
    it.save_card = wanted.save_card;
    purchases::insert_purchase(tx, account, &it).await?;
    // An event may name the purchase and nothing else.
    bind(tx, Owner { account, purchase: Some(it.id) }, &[it.id.to_string()]).await?;
    Ok(it)
}

impl Payments {
    /// The public page of a purchase. Its address follows from the purchase.
    pub fn page_url(&self, account: AccountId, it: &Purchase) -> String {
        let ends = it.created_at.seconds() + PAGE_DAYS * 24 * 3600;
        let bytes = [&account.0.to_be_bytes()[..], &it.id.0, &ends.to_be_bytes()].concat();
        format!("{}/purchases/{}", self.public_url, self.secret.seal("purchase", &bytes))
    }

    /// The purchase that a page's address names, unless it is forged or has ended.
    pub fn find_page(&self, token: &str) -> Option<(AccountId, PurchaseId)> {
        let bytes: [u8; 32] = self.secret.open("purchase", token)?.try_into().ok()?;
        let (account, rest) = bytes.split_first_chunk::<8>()?;
        let (id, ends) = rest.split_first_chunk::<16>()?;
        let ends = i64::from_be_bytes(*ends.first_chunk()?);
        let place = (AccountId(i64::from_be_bytes(*account)), PurchaseId(*id));
        (self.clock.now().seconds() < ends).then_some(place)
    }

    /// Settles news in a transaction of its own.
    pub async fn tell(&self, account: AccountId, id: PurchaseId, news: &News) -> Result<Settled> {
        let mut attempt = 1;
        let settled = loop {
            match self.try_tell(account, id, news).await {
                Err(Error::Conflict) if attempt < ATTEMPTS_MAX => attempt += 1,
                outcome => break outcome?,
            }
        };
        if settled.is_funded {
            self.tell_funded();
        }
        Ok(settled)
    }

    async fn try_tell(
        &self,
        account: AccountId,
        id: PurchaseId,
        news: &News,
    ) -> store::Result<Settled> {
        let mut tx = self.db.begin().await?;
        let settled = settle(self, &mut tx, account, id, news).await?;
        tx.commit().await?;
        Ok(settled)
    }

    async fn found(&self, account: AccountId, id: PurchaseId) -> Result<Purchase> {
        let mut tx = self.db.read().await?;
        let found = purchases::find_purchase(&mut tx, account, id).await?;
        found.ok_or(Refusal::NotFound("purchase"))
    }

    /// Sees to it that a purchase has its page; the purchase.
    pub async fn open_checkout(&self, account: AccountId, id: PurchaseId) -> Result<Purchase> {
        let it = self.found(account, id).await?;
        let is_waiting = it.state == PurchaseState::Pending && it.kind == PurchaseKind::Checkout;
        if !is_waiting || it.checkout.is_some() {
            return Ok(it);
        }
        let stripe = self.stripe()?;
        let ended = |state, words: String| News { ended: Some((state, words)), ..News::default() };
        if self.clock.now().since(it.created_at) >= OPEN_WITHIN {
            let words = "its payment page could not be opened in time".to_owned();
            let news = ended(PurchaseState::Expired, words);
            return Ok(self.tell(account, id, &news).await?.purchase);
        }
        let customer = self.customer(account).await?;
        let wanted = self.checkout_of(account, &it, customer);
        match stripe.create_checkout(&wanted, &format!("purchase:{id}")).await {
            Ok(made) => self.keep_checkout(account, id, made.id, made.url).await,
            Err(error) if error.is_final() => {
                tracing::error!(component = "payments", purchase = %id, %error, "no page");
                let words = format!("its payment page could not be opened: {error}");
                let news = ended(PurchaseState::Failed, words);
                Ok(self.tell(account, id, &news).await?.purchase)
            }
            Err(error) => Err(unavailable(&error)),
        }
    }

    fn checkout_of(&self, account: AccountId, it: &Purchase, customer: String) -> CheckoutIn {
        let page = self.page_url(account, it);
        let mut metadata = named(account);
        metadata.insert(PURCHASE_KEY.to_owned(), it.id.to_string());
        let pack = it.pack.as_deref().and_then(packs::find);
        CheckoutIn {
            mode: Mode::Payment,
            customer: Some(customer),
            success_url: page.clone(),
            cancel_url: page,
            lines: vec![Line {
                name: format!("{} credits", it.credits),
                description: pack.map(|pack| pack.tax_note.clone()).filter(|it| !it.is_empty()),
                amount: it.amount,
                currency: it.currency.clone(),
                quantity: 1,
                recurring: None,
            }],
            metadata,
            client_reference_id: Some(account.to_string()),
            save_card: it.save_card,
            expires_at: Some(it.created_at.seconds() + PAGE_SECS),
            ..CheckoutIn::default()
        }
    }

    async fn keep_checkout(
        &self,
        account: AccountId,
        id: PurchaseId,
        checkout: String,
        url: Option<String>,
    ) -> Result<Purchase> {
        let mut tx = self.db.begin().await?;
        let mut it = purchases::lock_purchase(&mut tx, account, id).await?;
        let known = it.checkout.get_or_insert(checkout).clone();
        it.checkout_url = it.checkout_url.or(url);
        if it.state == PurchaseState::Pending {
            it.next_at = Some(tx.now() + ASK_FIRST);
        }
        purchases::save_purchase(&mut tx, account, &it).await?;
        bind(&mut tx, Owner { account, purchase: Some(id) }, &[known]).await?;
        tx.commit().await?;
        Ok(it)
    }

    /// Looks at a purchase that nothing was heard of for a while. Answers whether it changed.
    pub async fn look_at(&self, account: AccountId, id: PurchaseId) -> Result<bool> {
        let it = self.found(account, id).await?;
        if it.state != PurchaseState::Pending {
            return Ok(false);
        }
        // Whatever comes of it, others need not ask at the same time.
        self.put_off(account, id).await?;
        let outcome = match (it.kind, &it.checkout) {
            (PurchaseKind::Auto, _) => self.pay_saved(account, id).await,
            (PurchaseKind::Checkout, None) => self.open_checkout(account, id).await,
            (PurchaseKind::Checkout, Some(checkout)) => {
                self.ask_checkout(account, id, checkout).await
            }
        };
        match outcome {
            Ok(now) => Ok(now.state != it.state),
            Err(Refusal::Unavailable(_)) => Ok(false),
            Err(other) => Err(other),
        }
    }

    async fn put_off(&self, account: AccountId, id: PurchaseId) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let mut it = purchases::lock_purchase(&mut tx, account, id).await?;
        if it.state == PurchaseState::Pending {
            it.next_at = Some(tx.now() + ask_after(it.tries));
            it.tries += 1;
            purchases::save_purchase(&mut tx, account, &it).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Asks how a payment page stands, in case a webhook was lost.
    async fn ask_checkout(
        &self,
        account: AccountId,
        id: PurchaseId,
        checkout: &str,
    ) -> Result<Purchase> {
        let at = self.clock.now();
        let session =
            self.stripe()?.checkout(checkout).await.map_err(|error| unavailable(&error))?;
        let kind = match session.status.as_str() {
            "expired" => "checkout.session.expired",
            _ => "",
        };
        let news = news_of_session(&session, kind, at);
        Ok(self.tell(account, id, &news).await?.purchase)
    }
}

/// A purchase that the account is asked to make itself, with a notice that leads to it.
pub async fn offer(
    payments: &Payments,
    tx: &mut Tx,
    account: AccountId,
    pack: &str,
    (subject, title, detail): (String, String, String),
) -> store::Result<()> {
    let wanted = Wanted { pack: Some(pack.to_owned()), credits: None, save_card: true };
    let link = match begin(payments, tx, account, &wanted).await {
        Ok(it) => Some(payments.page_url(account, &it)),
        Err(Refusal::Store(error)) => return Err(error),
        // The pack is not sold any more; the notice stands without it.
        Err(_) => None,
    };
    let notice = Notice { kind: NoticeKind::Topup, subject, title, detail, link };
    notices::give(tx, account, notice).await?;
    Ok(())
}
