//! What Stripe's objects tell: whose they are, and what they mean for a purchase.
//!
//! Nothing here asks a database or Stripe. An object is read as it was told, however old; what it
//! means for the credits is decided where everything known is put together
//! ([`super::settlement`]).

use domain::instant::Instant;
use domain::payments::{Back, BackState, DisputeState, PurchaseState, RefundState};
use stripe::CardError;
use stripe::event::Event;
use stripe::objects::{
    Charge, CheckoutSession, Dispute, EarlyFraudWarning, Metadata, Object, PaymentIntent,
    PaymentMethod, Refund,
};

/// Names the account on every object that is made at Stripe.
pub const ACCOUNT_KEY: &str = "ledgerline_account";
/// Names the purchase on every object that is made for one.
pub const PURCHASE_KEY: &str = "ledgerline_purchase";

/// What was told of a purchase's money.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// The money is here, since then.
    pub paid_at: Option<Instant>,
    /// It will not come, and why.
    pub ended: Option<(PurchaseState, String)>,
    /// Why the card was declined.
    pub decline: Option<CardError>,
    /// The sum of refunds that the charge told.
    pub refund_seen: i64,
    /// Refunds and disputes, by Stripe's ids.
    pub backs: Vec<(String, Back)>,
    /// The payment page.
    pub checkout: Option<String>,
    /// The payment.
    pub payment_intent: Option<String>,
    /// The card that paid.
    pub payment_method: Option<String>,
    /// What may be shown of it, when it was asked for.
    pub card: Option<PaymentMethod>,
    /// What was told to be paid, if it was.
    pub amount: Option<(i64, String)>,
    /// The event that told it.
    pub event: Option<String>,
}

/// What an event is about.
#[derive(Clone, Debug)]
pub enum Matter {
    /// A purchase's money.
    Money(Box<News>),
    /// A card was saved: the card, or what was made to save it.
    Card {
        /// `pm_…`.
        payment_method: Option<String>,
        /// `seti_…`.
        setup_intent: Option<String>,
    },
    /// A saved card changed.
    CardChanged(PaymentMethod),
    /// A saved card was taken away.
    CardGone(String),
    /// A bank believes that a payment was fraud.
    Warning(EarlyFraudWarning),
    /// A subscription or an invoice of one.
    Plan,
    /// Only whose things these are.
    Names,
    /// Of no use here.
    Nothing,
}

/// An event, read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What it is about.
    pub matter: Matter,
    /// What we wrote on its object: the account.
    pub account: Option<String>,
    /// What we wrote on its object: the purchase.
    pub purchase: Option<String>,
    /// Things of Stripe's that belong to one purchase or card; the one to wait for stands first.
    pub references: Vec<String>,
    /// Who pays, `cus_…`.
    pub customer: Option<String>,
    /// Others may have come first: it is to be fetched again.
    pub is_sensitive: bool,
}

/// The instant of a time in seconds.
pub fn instant(seconds: i64) -> Instant {
    Instant(seconds.saturating_mul(1_000_000).clamp(0, Instant::MAX.0))
}

fn some(texts: &[&Option<String>]) -> Vec<String> {
    texts.iter().filter_map(|text| text.as_ref()).filter(|text| !text.is_empty()).cloned().collect()
}

fn some_id(id: &str) -> Option<String> {
    Some(id.to_owned()).filter(|id| !id.is_empty())
}

/// Reads what an event tells.
pub fn read(event: &Event) -> Reading {
    let at = instant(event.created);
    let mut reading = match &event.object {
        Object::CheckoutSession(it) => of_session(it, &event.kind, at),
        Object::PaymentIntent(it) => of_payment(it, &event.kind, at),
        Object::Charge(it) => of_charge(it, &event.kind, at),
        Object::Refund(it) => of_refund(it, &event.kind, at),
        Object::Dispute(it) => of_dispute(it, &event.kind, at),
        Object::EarlyFraudWarning(it) => reading(
            Matter::Warning(it.clone()),
            &Metadata::new(),
            some(&[&it.payment_intent, &it.charge]),
            None,
        ),
        Object::SetupIntent(it) => {
            let matter = match event.kind.as_str() {
                "setup_intent.succeeded" => Matter::Card {
                    payment_method: it.payment_method.clone(),
                    setup_intent: Some(it.id.clone()),
                },
                _ => Matter::Nothing,
            };
            reading(matter, &it.metadata, vec![it.id.clone()], it.customer.clone())
        }
        Object::PaymentMethod(it) => {
            let matter = match event.kind.as_str() {
                "payment_method.detached" => Matter::CardGone(it.id.clone()),
                _ => Matter::CardChanged(it.clone()),
            };
            reading(matter, &Metadata::new(), vec![it.id.clone()], it.customer.clone())
        }
        Object::Subscription(it) => {
            let references = vec![it.id.clone()];
            reading(Matter::Plan, &it.metadata, references, it.customer.clone())
        }
        Object::Invoice(it) => {
            let mut names = it.subscription_metadata.clone();
            names.extend(it.metadata.clone());
            let references = some(&[&it.subscription, &Some(it.id.clone())]);
            reading(Matter::Plan, &names, references, it.customer.clone())
        }
        Object::Customer(_) | Object::Other { .. } => {
            reading(Matter::Nothing, &Metadata::new(), Vec::new(), None)
        }
    };
    if let Matter::Money(news) = &mut reading.matter {
        news.event = Some(event.id.clone());
    }
    reading
}

fn reading(
    matter: Matter,
    names: &Metadata,
    references: Vec<String>,
    customer: Option<String>,
) -> Reading {
    Reading {
        matter,
        account: names.get(ACCOUNT_KEY).cloned(),
        purchase: names.get(PURCHASE_KEY).cloned(),
        references,
        customer,
        is_sensitive: false,
    }
}

fn money(news: News) -> Matter {
    Matter::Money(Box::new(news))
}

/// What a payment page tells.
pub fn news_of_session(it: &CheckoutSession, kind: &str, at: Instant) -> News {
    let is_paid = matches!(it.payment_status.as_str(), "paid" | "no_payment_required");
    let ended = |state, words: &str| Some((state, words.to_owned()));
    let (paid, ended) = match kind {
        "checkout.session.async_payment_succeeded" => (true, None),
        "checkout.session.async_payment_failed" => {
            (false, ended(PurchaseState::Failed, "the payment did not succeed"))
        }
        "checkout.session.expired" => {
            (false, ended(PurchaseState::Expired, "the payment page closed before it was paid"))
        }
        _ => (is_paid && it.status != "open", None),
    };
    News {
        paid_at: paid.then_some(at),
        ended,
        checkout: some_id(&it.id),
        payment_intent: it.payment_intent.clone(),
        amount: it.amount_total.map(|amount| (amount, it.currency.clone())),
        ..News::default()
    }
}

fn of_session(it: &CheckoutSession, kind: &str, at: Instant) -> Reading {
    let matter = match it.mode.as_str() {
        "setup" if kind == "checkout.session.completed" => {
            Matter::Card { payment_method: None, setup_intent: it.setup_intent.clone() }
        }
        "setup" | "subscription" => Matter::Names,
        _ => money(news_of_session(it, kind, at)),
    };
    let references =
        some(&[&it.payment_intent, &some_id(&it.id), &it.setup_intent, &it.subscription]);
    let mut reading = reading(matter, &it.metadata, references, it.customer.clone());
    if reading.account.is_none() {
        let ours = |text: &String| text.starts_with("acc_");
        reading.account = it.client_reference_id.clone().filter(ours);
    }
    reading
}

/// What a payment tells.
pub fn news_of_payment(it: &PaymentIntent, kind: &str, at: Instant) -> News {
    let is_paid = it.status == "succeeded" || kind == "payment_intent.succeeded";
    let decline = it.last_payment_error.clone();
    let ended = match (kind, it.status.as_str()) {
        ("payment_intent.canceled", _) | (_, "canceled") => {
            let why = it.cancellation_reason.as_deref().unwrap_or("no reason was given");
            // A page that closes takes its payment with it.
            let state = match why {
                "abandoned" | "automatic" | "expired" => PurchaseState::Expired,
                _ => PurchaseState::Failed,
            };
            Some((state, format!("the payment was canceled: {why}")))
        }
        _ => None,
    };
    let received = Some(it.amount_received).filter(|amount| *amount > 0);
    News {
        paid_at: is_paid.then_some(at),
        ended: ended.filter(|_| !is_paid),
        decline: decline.filter(|_| kind == "payment_intent.payment_failed"),
        payment_intent: some_id(&it.id),
        payment_method: it.payment_method.clone().filter(|_| is_paid),
        amount: received.map(|amount| (amount, it.currency.clone())),
        ..News::default()
    }
}

fn of_payment(it: &PaymentIntent, kind: &str, at: Instant) -> Reading {
    let references = some(&[&some_id(&it.id), &it.latest_charge]);
    let matter = money(news_of_payment(it, kind, at));
    reading(matter, &it.metadata, references, it.customer.clone())
}

fn of_charge(it: &Charge, kind: &str, at: Instant) -> Reading {
    let is_paid = it.paid && (it.captured || kind == "charge.succeeded");
    let backs = it.refunds.iter().map(|refund| back_of_refund(refund, "", at));
    let news = News {
        paid_at: is_paid.then_some(at),
        refund_seen: it.amount_refunded.max(0),
        backs: backs.collect(),
        payment_intent: it.payment_intent.clone(),
        ..News::default()
    };
    let references = some(&[&it.payment_intent, &some_id(&it.id)]);
    let mut reading = reading(money(news), &it.metadata, references, it.customer.clone());
    reading.is_sensitive = it.amount_refunded > 0 || it.disputed;
    reading
}

/// What a refund tells.
pub fn back_of_refund(it: &Refund, kind: &str, at: Instant) -> (String, Back) {
    let state = match kind {
        "refund.failed" => RefundState::Failed,
        _ => RefundState::of_status(&it.status),
    };
    let state = BackState::Refund(state);
    (it.id.clone(), Back { state, amount: it.amount.max(0), version: at.0 })
}

fn of_refund(it: &Refund, kind: &str, at: Instant) -> Reading {
    let news = News {
        backs: vec![back_of_refund(it, kind, at)],
        payment_intent: it.payment_intent.clone(),
        ..News::default()
    };
    let references = some(&[&it.payment_intent, &it.charge, &some_id(&it.id)]);
    let mut reading = reading(money(news), &it.metadata, references, None);
    reading.is_sensitive = true;
    reading
}

/// What a dispute tells.
pub fn back_of_dispute(it: &Dispute, kind: &str, at: Instant) -> (String, Back) {
    let state = match (kind, DisputeState::of_status(&it.status)) {
        ("charge.dispute.funds_reinstated", _) => DisputeState::Won,
        ("charge.dispute.funds_withdrawn", DisputeState::Watched) => DisputeState::Open,
        (_, state) => state,
    };
    let state = BackState::Dispute(state);
    (it.id.clone(), Back { state, amount: it.amount.max(0), version: at.0 })
}

fn of_dispute(it: &Dispute, kind: &str, at: Instant) -> Reading {
    let news = News {
        backs: vec![back_of_dispute(it, kind, at)],
        payment_intent: it.payment_intent.clone(),
        ..News::default()
    };
    let references = some(&[&it.payment_intent, &it.charge, &some_id(&it.id)]);
    let mut reading = reading(money(news), &it.metadata, references, None);
    reading.is_sensitive = true;
    reading
}
