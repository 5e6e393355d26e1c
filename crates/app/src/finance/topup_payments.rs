//! Paying for automatic purchases with a saved card, and what follows when that fails.
//!
//! An automatic purchase is written down before Stripe is asked, and asked for under a key that
//! follows from it. So an answer that got lost is asked for again and pays nothing twice; once
//! Stripe has forgotten the key, the payment is looked for by what we wrote on it.

use std::time::Duration;

use domain::ids::{AccountId, PurchaseId};
use domain::instant::Instant;
use domain::payments::PurchaseState;
use store::notices::{Notice, NoticeKind};
use store::payers::payer;
use store::purchases::{Purchase, find_purchase};
use store::topups::AutoTopup;
use store::{Tx, notices};
use stripe::objects::PaymentIntent;
use stripe::{CardError, Error, OffSessionPaymentIn};

use super::news::{News, PURCHASE_KEY, news_of_payment};
use super::payers::named;
use super::payments::{Payments, unavailable};
use super::purchases::offer;
use crate::refusal::{Refusal, Result};

/// Stripe knows a key for 24 hours at least; with an hour to spare.
const KEY_HOLDS: Duration = Duration::from_secs(23 * 3600);
/// What cannot be found after so long was never begun.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(26 * 3600);
/// After so many failures in a row a person must look.
pub const FAILURES_MAX: i64 = 3;
/// The wait after the first and the second failure.
const WAITS: [Duration; 2] = [Duration::from_secs(2 * 3600), Duration::from_secs(12 * 3600)];

impl Payments {
    /// Pays an automatic purchase, or finds out what became of its payment.
    pub async fn pay_saved(&self, account: AccountId, id: PurchaseId) -> Result<Purchase> {
        let mut tx = self.db.read().await?;
        let it = find_purchase(&mut tx, account, id).await?;
        let it = it.ok_or(Refusal::NotFound("purchase"))?;
        let customer = payer(&mut tx, account).await?.customer;
        let now = tx.now();
        drop(tx);
        if it.state != PurchaseState::Pending {
            return Ok(it);
        }
        let stripe = self.stripe()?;
        let answer = if let Some(payment) = &it.payment_intent {
            stripe.payment(payment).await.map(Some)
        } else if now.since(it.created_at) >= KEY_HOLDS {
            self.search(id).await
        } else {
            let wanted = charge_of(account, &it, customer);
            stripe.create_payment(&wanted, &format!("purchase:{id}")).await.map(Some)
        };
        let ended =
            |words: String| News { ended: Some((PurchaseState::Failed, words)), ..News::default() };
        let news = match answer {
            Ok(Some(payment)) => news_of_answer(&payment, now),
            Ok(None) if now.since(it.created_at) < GIVEN_UP_AFTER => return Ok(it),
            Ok(None) => ended("Stripe knows of no payment for it".to_owned()),
            Err(Error::Card(decline)) => declined(decline),
            // The key was used for something else: whatever it was must be found.
            Err(Error::Idempotency(words)) => {
                tracing::error!(component = "payments", purchase = %id, words, "a used key");
                match self.search(id).await.map_err(|error| unavailable(&error))? {
                    Some(payment) => news_of_answer(&payment, now),
                    None => return Ok(it),
                }
            }
            Err(error) if error.is_final() => ended(error.to_string()),
            Err(error) => return Err(unavailable(&error)),
        };
        Ok(self.tell(account, id, &news).await?.purchase)
    }

    async fn search(&self, id: PurchaseId) -> std::result::Result<Option<PaymentIntent>, Error> {
        let Ok(stripe) = self.stripe() else { return Ok(None) };
        let mut found = stripe.payments_by_metadata(PURCHASE_KEY, &id.to_string()).await?;
        // There is one at most; of several the one that took money counts.
        let at = found.iter().position(|payment| payment.status == "succeeded").unwrap_or(0);
        Ok((!found.is_empty()).then(|| found.swap_remove(at)))
    }
}

fn charge_of(account: AccountId, it: &Purchase, customer: Option<String>) -> OffSessionPaymentIn {
    let mut metadata = named(account);
    metadata.insert(PURCHASE_KEY.to_owned(), it.id.to_string());
    OffSessionPaymentIn {
        amount: it.amount,
        currency: it.currency.clone(),
        customer: customer.unwrap_or_default(),
        payment_method: it.payment_method.clone().unwrap_or_default(),
        metadata,
        description: Some(format!("{} credits", it.credits)),
        statement_descriptor_suffix: None,
    }
}

fn declined(decline: CardError) -> News {
    let payment = decline.payment_intent.as_ref();
    News {
        payment_intent: payment.map(|payment| payment.id.clone()).filter(|id| !id.is_empty()),
        decline: Some(decline),
        ..News::default()
    }
}

/// What an answer says, as opposed to an event: it is as new as can be.
fn news_of_answer(it: &PaymentIntent, now: Instant) -> News {
    let news = news_of_payment(it, "", now);
    let decline = match it.status.as_str() {
        "requires_action" | "requires_confirmation" => {
            let code = Some("authentication_required".to_owned());
            Some(CardError { code, ..CardError::default() })
        }
        "requires_payment_method" => Some(it.last_payment_error.clone().unwrap_or_default()),
        _ => None,
    };
    News { decline, ..news }
}

/// Follows up a failed automatic payment: it is tried again later, or the rule is halted until a
/// person does something about it.
pub async fn note_failure(
    payments: &Payments,
    tx: &mut Tx,
    account: AccountId,
    rule: &mut AutoTopup,
    failed: &Purchase,
    decline: Option<&CardError>,
) -> store::Result<()> {
    let now = tx.now();
    rule.failures += 1;
    // Stale news of an older purchase adds nothing to a halt.
    if rule.halted.is_some() {
        return Ok(());
    }
    let why = failed.reason.clone().unwrap_or_default();
    let subject = format!("topup:{}", failed.id);
    let wait = usize::try_from(rule.failures - 1).ok().and_then(|at| WAITS.get(at));
    if decline.is_some_and(CardError::wants_authentication) {
        let title = "A top-up waits for you".to_owned();
        let detail = "The bank wants the card's owner to confirm the payment. Pay on the page; \
                      top-ups then go on by themselves.";
        halt(rule, now, format!("authentication_required: {why}"));
        let words = (subject, title, detail.to_owned());
        return offer(payments, tx, account, &rule.pack, words).await;
    }
    if decline.is_some_and(CardError::is_hard) || wait.is_none() || rule.failures >= FAILURES_MAX {
        let title = "Top-ups have stopped".to_owned();
        let detail = format!(
            "After {} failed {} nothing is bought any more: {why}. Pay on the page with another \
             card, or switch top-ups on again.",
            rule.failures,
            if rule.failures == 1 { "payment" } else { "payments" },
        );
        halt(rule, now, why);
        return offer(payments, tx, account, &rule.pack, (subject, title, detail)).await;
    }
    rule.next_at = now + *wait.expect("looked at above");
    let notice = Notice {
        kind: NoticeKind::Topup,
        subject,
        title: "A top-up failed".to_owned(),
        detail: format!("{why}. It is tried again at {}.", rule.next_at),
        link: None,
    };
    notices::give(tx, account, notice).await?;
    Ok(())
}

fn halt(rule: &mut AutoTopup, now: Instant, why: String) {
    rule.halted = Some(why);
    rule.halted_at = Some(now);
}
