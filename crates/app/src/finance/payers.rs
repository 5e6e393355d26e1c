//! Who pays for an account: its customer at Stripe, and the card that is kept for top-ups.

use domain::ids::AccountId;
use domain::instant::Instant;
use sha2::{Digest as _, Sha256};
use store::payers::{SavedCard, lock_payer, payer, save_payer};
use store::stripe_events::Owner;
use store::{Tx, accounts, settings};
use stripe::objects::{Metadata, PaymentMethod};
use stripe::{CheckoutIn, CustomerIn, Mode};

use super::news::ACCOUNT_KEY;
use super::payments::{Payments, unavailable};
use super::settlement::bind;
use crate::refusal::Result;

/// Visits to the page that saves a card within so many seconds share one page of Stripe's.
const SETUP_SHARED_SECS: i64 = 600;
/// How long a page of Stripe's is open. Stripe takes no more than 24 hours.
pub const PAGE_SECS: i64 = 23 * 3600;

/// What may be shown of a card.
fn shown(method: &PaymentMethod) -> SavedCard {
    let Some(card) = &method.card else { return SavedCard::default() };
    let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    SavedCard {
        brand: filled(&card.brand),
        last4: filled(&card.last4),
        expires: (card.exp_month > 0).then(|| format!("{:02}/{}", card.exp_month, card.exp_year)),
    }
}

/// Keeps a card that its owner agreed at `at` to be charged with later. An older agreement does
/// not replace a newer one, and a card that was taken away does not come back.
pub async fn keep_card(
    tx: &mut Tx,
    account: AccountId,
    payment_method: &str,
    method: Option<&PaymentMethod>,
    at: Instant,
) -> store::Result<()> {
    let mut payer = lock_payer(tx, account).await?;
    let is_detached = payer.detached.as_deref() == Some(payment_method);
    let known = payer.payment_method.as_deref();
    let is_older = payer.consented_at.is_some_and(|known| known > at);
    if is_detached || (is_older && known != Some(payment_method)) {
        return Ok(());
    }
    if known != Some(payment_method) {
        payer.card = SavedCard::default();
    }
    if let Some(method) = method {
        payer.card = shown(method);
    }
    payer.consented_at = payer.consented_at.max(Some(at));
    payer.payment_method = Some(payment_method.to_owned());
    save_payer(tx, account, &payer).await?;
    bind(tx, Owner { account, purchase: None }, &[payment_method.to_owned()]).await
}

/// Forgets the card if it is the one that is kept.
pub async fn forget_card(tx: &mut Tx, account: AccountId, gone: &str) -> store::Result<()> {
    let mut payer = lock_payer(tx, account).await?;
    payer.detached = Some(gone.to_owned());
    if payer.payment_method.as_deref() == Some(gone) {
        payer.payment_method = None;
        payer.card = SavedCard::default();
    }
    save_payer(tx, account, &payer).await
}

/// Keeps what may be shown of the card, if it is the one that is kept.
pub async fn renew_card(
    tx: &mut Tx,
    account: AccountId,
    method: &PaymentMethod,
) -> store::Result<()> {
    let mut payer = lock_payer(tx, account).await?;
    if payer.payment_method.as_deref() != Some(&method.id) || method.card.is_none() {
        return Ok(());
    }
    payer.card = shown(method);
    save_payer(tx, account, &payer).await
}

/// What we write on everything that is made for an account.
pub fn named(account: AccountId) -> Metadata {
    Metadata::from([(ACCOUNT_KEY.to_owned(), account.to_string())])
}

impl Payments {
    /// The account's customer at Stripe, made when it has none.
    pub async fn customer(&self, account: AccountId) -> Result<String> {
        let mut tx = self.db.read().await?;
        if let Some(customer) = payer(&mut tx, account).await?.customer {
            return Ok(customer);
        }
        let name = accounts::account(&mut tx, account).await?.name;
        let email = settings::settings(&mut tx, account).await?.billing_email;
        drop(tx);
        let wanted = CustomerIn { email, name: Some(name), metadata: named(account) };
        // Another name is another request, which Stripe would not take under the same key.
        let digest = Sha256::digest(format!("{wanted:?}").as_bytes());
        let digest = data_encoding::HEXLOWER.encode(&digest[..8]);
        let key = format!("customer:{account}:{digest}");
        let made = self.stripe()?.create_customer(&wanted, &key).await;
        let made = made.map_err(|error| unavailable(&error))?;
        let mut tx = self.db.begin().await?;
        let mut payer = lock_payer(&mut tx, account).await?;
        let customer = payer.customer.get_or_insert(made.id).clone();
        save_payer(&mut tx, account, &payer).await?;
        let owner = Owner { account, purchase: None };
        bind(&mut tx, owner, std::slice::from_ref(&customer)).await?;
        tx.commit().await?;
        Ok(customer)
    }

    /// A page of Stripe's that saves a card and takes no money.
    pub async fn open_setup(&self, account: AccountId) -> Result<String> {
        let stripe = self.stripe()?;
        let customer = self.customer(account).await?;
        let now = self.clock.now().seconds();
        let round = now.div_euclid(SETUP_SHARED_SECS);
        let here = format!("{}/docs", self.public_url);
        let wanted = CheckoutIn {
            mode: Mode::Setup,
            customer: Some(customer),
            success_url: here.clone(),
            cancel_url: here,
            metadata: named(account),
            client_reference_id: Some(account.to_string()),
            expires_at: Some(round * SETUP_SHARED_SECS + PAGE_SECS),
            ..CheckoutIn::default()
        };
        let made = stripe.create_checkout(&wanted, &format!("setup:{account}:{round}")).await;
        let made = made.map_err(|error| unavailable(&error))?;
        let mut tx = self.db.begin().await?;
        bind(&mut tx, Owner { account, purchase: None }, std::slice::from_ref(&made.id)).await?;
        tx.commit().await?;
        made.url.ok_or_else(|| {
            let words = "a card was saved on this page a moment ago; try again in ten minutes";
            crate::refusal::Refusal::State(words.to_owned())
        })
    }
}
