//! Subscribing to a plan: the first time on a page of Stripe's, later by changing what is there.
//!
//! Nothing is granted here. What the customer bought is known from Stripe's events
//! ([`super::subscriptions::apply`]); the answer to a change is taken in the same way.

use domain::ids::AccountId;
use domain::plans::Plan;
use domain::subscriptions::{Source, State, Subscription};
use sha2::{Digest as _, Sha256};
use store::stripe_events::Owner;
use store::subscriptions::find_subscription;
use stripe::{CheckoutIn, Line, Mode, Month, PriceChange, Proration, SubscriptionPatch};

use super::payers::{PAGE_SECS, named};
use super::payments::{Payments, unavailable};
use super::settlement::bind;
use super::subscriptions::{PLAN, Told, apply, checked_plan};
use crate::refusal::{Refusal, Result, invalid};

/// Requests for the same plan within so many seconds share one page of Stripe's.
const SHARED_SECS: i64 = 600;

/// What came of a wanted plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subscribing {
    /// It begins when the customer has paid on this page.
    Page(String),
    /// The subscription was changed.
    Changed,
}

impl Payments {
    /// Subscribes the account to a plan.
    pub async fn subscribe(&self, account: AccountId, plan: &str) -> Result<Subscribing> {
        let plan = checked_plan(plan)?;
        let stripe = self.stripe()?;
        if plan.amount == 0 {
            let words =
                format!("nobody can buy {}; whoever runs the installation gives it", plan.name);
            return Err(invalid("plan", words));
        }
        let mut tx = self.db.read().await?;
        let before = find_subscription(&mut tx, account).await?;
        drop(tx);
        let Some((id, before)) = before.as_ref().and_then(changeable) else {
            return self
                .open_plan_page(account, plan, before.is_none())
                .await
                .map(Subscribing::Page);
        };
        if before.plan == plan.key && !before.cancel_at_period_end {
            let words = format!("the account subscribes to {} already", plan.name);
            return Err(Refusal::State(words));
        }
        let there = stripe.subscription(id).await.map_err(|error| unavailable(&error))?;
        let item = there.items.first().filter(|_| before.plan != plan.key);
        let price = item.map(|item| PriceChange {
            item: item.id.clone(),
            product: item.product.clone().unwrap_or_default(),
            amount: plan.amount,
            currency: plan.currency.clone(),
            recurring: Month,
            proration: Proration::NextInvoice,
        });
        let mut metadata = named(account);
        metadata.insert(PLAN.to_owned(), plan.key.clone());
        let patch = SubscriptionPatch { price, cancel_at_period_end: Some(false), metadata };
        let now = self.clock.now();
        let key = format!("plan:{id}:{}", digest(&format!("{patch:?} {}", before.version)));
        let changed = stripe.update_subscription(id, &patch, &key).await;
        let changed = changed.map_err(|error| unavailable(&error))?;
        let mut tx = self.db.begin().await?;
        let told = Told::Subscription(&changed);
        let words = ("customer.subscription.updated", now.0);
        apply(&mut tx, &*self.dice, account, words, told).await?;
        tx.commit().await?;
        Ok(Subscribing::Changed)
    }

    /// A page of Stripe's where the customer subscribes; who never did before may try the plan.
    async fn open_plan_page(
        &self,
        account: AccountId,
        plan: &Plan,
        is_new: bool,
    ) -> Result<String> {
        let round = self.clock.now().seconds().div_euclid(SHARED_SECS);
        let here = format!("{}/docs", self.public_url);
        let mut metadata = named(account);
        metadata.insert(PLAN.to_owned(), plan.key.clone());
        let credits = format!("{} credits each month", plan.monthly_credits);
        let wanted = CheckoutIn {
            mode: Mode::Subscription,
            customer: Some(self.customer(account).await?),
            success_url: here.clone(),
            cancel_url: here,
            lines: vec![Line {
                name: plan.name.clone(),
                description: (plan.monthly_credits > 0).then_some(credits),
                amount: plan.amount,
                currency: plan.currency.clone(),
                quantity: 1,
                recurring: Some(Month),
            }],
            metadata,
            client_reference_id: Some(account.to_string()),
            expires_at: Some(round * SHARED_SECS + PAGE_SECS),
            trial_days: Some(plan.trial_days).filter(|days| is_new && *days > 0),
            ..CheckoutIn::default()
        };
        let key = format!("plan:{account}:{}", digest(&format!("{wanted:?}")));
        let made = self.stripe()?.create_checkout(&wanted, &key).await;
        let made = made.map_err(|error| unavailable(&error))?;
        let mut tx = self.db.begin().await?;
        bind(&mut tx, Owner { account, purchase: None }, std::slice::from_ref(&made.id)).await?;
        tx.commit().await?;
        made.url.ok_or_else(|| {
            let words = "this page was closed a moment ago; try again in ten minutes";
            Refusal::State(words.to_owned())
        })
    }
}

/// The subscription at Stripe that can be changed, if there is one.
fn changeable(before: &Subscription) -> Option<(&str, &Subscription)> {
    let is_there = before.state.is_live() || matches!(before.state, State::Unpaid | State::Paused);
    let id = before.stripe_subscription.as_deref();
    id.filter(|_| is_there && before.source == Source::Stripe).map(|id| (id, before))
}

fn digest(words: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(words.as_bytes())[..12])
}
