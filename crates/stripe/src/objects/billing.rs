//! Subscriptions, and the invoices that they make.
//!
//! Stripe moved some fields over the years: an invoice's subscription stands below `parent` now,
//! and a subscription's period on its items. Both places are read, the newer one first.

use serde::Deserialize;

use super::Metadata;
use super::lenient::{is_there, list, metadata, or_default, reference};

/// A plan that a customer pays regularly, `sub_…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "raw::Subscription")]
pub struct Subscription {
    /// `sub_…`.
    pub id: String,
    /// `incomplete`, `incomplete_expired`, `trialing`, `active`, `past_due`, `canceled`, `unpaid`
    /// or `paused`.
    pub status: String,
    /// `cus_…`.
    pub customer: Option<String>,
    /// What we wrote on it.
    pub metadata: Metadata,
    /// It ends with its period.
    pub cancel_at_period_end: bool,
    /// When it will end.
    pub cancel_at: Option<i64>,
    /// When somebody canceled it, even if it has not ended.
    pub canceled_at: Option<i64>,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// When the trial ends, or ended.
    pub trial_end: Option<i64>,
    /// When the present period began.
    pub current_period_start: Option<i64>,
    /// When it ends.
    pub current_period_end: Option<i64>,
    /// What is paid for.
    pub items: Vec<SubscriptionItem>,
    /// Its invoices are not collected for the time being; its status does not tell.
    pub pause_collection: bool,
}

/// A thing that a subscription is for, `si_…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionItem {
    /// `si_…`.
    pub id: String,
    /// `price_…`.
    pub price: Option<String>,
    /// Our own name for the price.
    pub lookup_key: Option<String>,
    /// `prod_…`.
    pub product: Option<String>,
    /// How many.
    pub quantity: i64,
}

/// What a customer owes for a period, `in_…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "raw::Invoice")]
pub struct Invoice {
    /// `in_…`.
    pub id: String,
    /// `draft`, `open`, `paid`, `uncollectible` or `void`.
    pub status: String,
    /// `subscription_create`, `subscription_cycle`, `subscription_update`, `manual` and others.
    pub billing_reason: Option<String>,
    /// What was paid.
    pub amount_paid: i64,
    /// In lower case.
    pub currency: String,
    /// `cus_…`.
    pub customer: Option<String>,
    /// `sub_…`, if it is a subscription's.
    pub subscription: Option<String>,
    /// What we wrote on the subscription, as it was when the invoice was made.
    pub subscription_metadata: Metadata,
    /// The first subscription line's period. Not the invoice's own, which looks back.
    pub period_start: Option<i64>,
    /// When that period ends.
    pub period_end: Option<i64>,
    /// `pi_…`, if Stripe was asked to show it.
    pub payment_intent: Option<String>,
    /// What we wrote on it.
    pub metadata: Metadata,
    /// Where the customer sees and pays it.
    pub hosted_invoice_url: Option<String>,
    /// What it is for.
    pub lines: Vec<InvoiceLine>,
}

/// A line of an invoice, `il_…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvoiceLine {
    /// `il_…`.
    pub id: String,
    /// How much; below zero for what is credited.
    pub amount: i64,
    /// What is printed.
    pub description: Option<String>,
    /// How many.
    pub quantity: Option<i64>,
    /// `price_…`.
    pub price: Option<String>,
    /// `sub_…`, if it is a subscription's.
    pub subscription: Option<String>,
    /// It corrects an earlier period after a change.
    pub proration: bool,
    /// When its period begins.
    pub period_start: Option<i64>,
    /// When its period ends.
    pub period_end: Option<i64>,
    /// What we wrote on it.
    pub metadata: Metadata,
}

/// The shapes on the wire, of several versions at once.
mod raw {
    use super::{Deserialize, Metadata, is_there, list, metadata, or_default, reference};

    #[derive(Deserialize)]
    pub struct Subscription {
        id: String,
        #[serde(default, deserialize_with = "or_default")]
        status: String,
        #[serde(default, deserialize_with = "reference")]
        customer: Option<String>,
        #[serde(default, deserialize_with = "metadata")]
        metadata: Metadata,
        #[serde(default, deserialize_with = "or_default")]
        cancel_at_period_end: bool,
        cancel_at: Option<i64>,
        canceled_at: Option<i64>,
        ended_at: Option<i64>,
        trial_end: Option<i64>,
        current_period_start: Option<i64>,
        current_period_end: Option<i64>,
        #[serde(default, deserialize_with = "list")]
        items: Vec<Item>,
        #[serde(default, deserialize_with = "is_there")]
        pause_collection: bool,
    }

    #[derive(Deserialize)]
    struct Item {
        id: String,
        price: Option<Price>,
        #[serde(default, deserialize_with = "or_default")]
        quantity: i64,
        current_period_start: Option<i64>,
        current_period_end: Option<i64>,
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Price {
        Id(String),
        Object {
            id: String,
            #[serde(default)]
            lookup_key: Option<String>,
            #[serde(default, deserialize_with = "reference")]
            product: Option<String>,
        },
    }

    impl From<Subscription> for super::Subscription {
        fn from(raw: Subscription) -> Self {
            let first = raw.items.first();
            let start = first.and_then(|item| item.current_period_start);
            let end = first.and_then(|item| item.current_period_end);
            Self {
                id: raw.id,
                status: raw.status,
                customer: raw.customer,
                metadata: raw.metadata,
                cancel_at_period_end: raw.cancel_at_period_end,
                cancel_at: raw.cancel_at,
                canceled_at: raw.canceled_at,
                ended_at: raw.ended_at,
                trial_end: raw.trial_end,
                current_period_start: start.or(raw.current_period_start),
                current_period_end: end.or(raw.current_period_end),
                items: raw.items.into_iter().map(Into::into).collect(),
                pause_collection: raw.pause_collection,
            }
        }
    }

    impl From<Item> for super::SubscriptionItem {
        fn from(raw: Item) -> Self {
            let (price, lookup_key, product) = match raw.price {
                Some(Price::Object { id, lookup_key, product }) => (Some(id), lookup_key, product),
                Some(Price::Id(id)) => (Some(id), None, None),
                None => (None, None, None),
            };
            Self { id: raw.id, price, lookup_key, product, quantity: raw.quantity }
        }
    }

    #[derive(Deserialize)]
    pub struct Invoice {
        id: String,
        #[serde(default, deserialize_with = "or_default")]
        status: String,
        billing_reason: Option<String>,
        #[serde(default, deserialize_with = "or_default")]
        amount_paid: i64,
        #[serde(default, deserialize_with = "or_default")]
        currency: String,
        #[serde(default, deserialize_with = "reference")]
        customer: Option<String>,
        #[serde(default, deserialize_with = "or_default")]
        parent: Parent,
        #[serde(default, deserialize_with = "reference")]
        subscription: Option<String>,
        subscription_details: Option<Details>,
        #[serde(default, deserialize_with = "reference")]
        payment_intent: Option<String>,
        #[serde(default, deserialize_with = "list")]
        payments: Vec<Payment>,
        #[serde(default, deserialize_with = "metadata")]
        metadata: Metadata,
        hosted_invoice_url: Option<String>,
        #[serde(default, deserialize_with = "list")]
        lines: Vec<Line>,
    }

    /// What made an invoice or a line.
    #[derive(Default, Deserialize)]
    struct Parent {
        subscription_details: Option<Details>,
        subscription_item_details: Option<Details>,
    }

    #[derive(Default, Deserialize)]
    struct Details {
        #[serde(default, deserialize_with = "reference")]
        subscription: Option<String>,
        #[serde(default, deserialize_with = "metadata")]
        metadata: Metadata,
        #[serde(default, deserialize_with = "or_default")]
        proration: bool,
    }

    #[derive(Deserialize)]
    struct Payment {
        payment: Option<Paid>,
    }

    #[derive(Deserialize)]
    struct Paid {
        #[serde(default, deserialize_with = "reference")]
        payment_intent: Option<String>,
    }

    #[derive(Deserialize)]
    struct Line {
        #[serde(default, deserialize_with = "or_default")]
        id: String,
        #[serde(default, deserialize_with = "or_default")]
        amount: i64,
        description: Option<String>,
        quantity: Option<i64>,
        #[serde(default, deserialize_with = "reference")]
        price: Option<String>,
        pricing: Option<Pricing>,
        #[serde(default, deserialize_with = "reference")]
        subscription: Option<String>,
        #[serde(default, deserialize_with = "or_default")]
        proration: bool,
        #[serde(default, deserialize_with = "or_default")]
        parent: Parent,
        #[serde(default, deserialize_with = "or_default")]
        period: Period,
        #[serde(default, deserialize_with = "metadata")]
        metadata: Metadata,
    }

    #[derive(Deserialize)]
    struct Pricing {
        price_details: Option<PriceDetails>,
    }

    #[derive(Deserialize)]
    struct PriceDetails {
        #[serde(default, deserialize_with = "reference")]
        price: Option<String>,
    }

    #[derive(Default, Deserialize)]
    struct Period {
        start: Option<i64>,
        end: Option<i64>,
    }

    impl From<Invoice> for super::Invoice {
        fn from(raw: Invoice) -> Self {
            let details = raw.parent.subscription_details.or(raw.subscription_details);
            let details = details.unwrap_or_default();
            let lines: Vec<super::InvoiceLine> = raw.lines.into_iter().map(Into::into).collect();
            // A change of plan first credits what is left of the old period.
            let of_subscription = || lines.iter().filter(|line| line.subscription.is_some());
            let line = of_subscription().find(|line| !line.proration);
            let line = line.or_else(|| of_subscription().next());
            let paid = raw.payments.into_iter().find_map(|one| one.payment?.payment_intent);
            Self {
                id: raw.id,
                status: raw.status,
                billing_reason: raw.billing_reason,
                amount_paid: raw.amount_paid,
                currency: raw.currency,
                customer: raw.customer,
                subscription: details.subscription.or(raw.subscription),
                subscription_metadata: details.metadata,
                period_start: line.and_then(|line| line.period_start),
                period_end: line.and_then(|line| line.period_end),
                payment_intent: paid.or(raw.payment_intent),
                metadata: raw.metadata,
                hosted_invoice_url: raw.hosted_invoice_url,
                lines,
            }
        }
    }

    impl From<Line> for super::InvoiceLine {
        fn from(raw: Line) -> Self {
            let details = raw.parent.subscription_item_details.or(raw.parent.subscription_details);
            let details = details.unwrap_or_default();
            let price = raw.pricing.and_then(|pricing| pricing.price_details?.price);
            Self {
                id: raw.id,
                amount: raw.amount,
                description: raw.description,
                quantity: raw.quantity,
                price: price.or(raw.price),
                subscription: details.subscription.or(raw.subscription),
                proration: details.proration || raw.proration,
                period_start: raw.period.start,
                period_end: raw.period.end,
                metadata: raw.metadata,
            }
        }
    }
}
