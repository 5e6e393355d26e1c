//! What can be asked of Stripe: a trait that callers hold, and the values that go in.
//!
//! Every call that makes something takes an idempotency key: the same key and the same values make
//! it once, however often they are sent, for at least 24 hours. Derive it from a row of your own,
//! and look for what was made by its metadata before you ask again later than that.

use std::pin::Pin;

use crate::Error;
use crate::objects::{
    Charge, CheckoutSession, Customer, Dispute, Invoice, Metadata, PaymentIntent, PaymentMethod,
    Refund, SetupIntent, Subscription,
};

/// What comes back, some time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Collects money. One call is one question and, but for lists, one HTTP exchange: no retries.
pub trait Stripe: Send + Sync {
    /// Makes a customer.
    fn create_customer<'a>(
        &'a self,
        customer: &'a CustomerIn,
        idem_key: &'a str,
    ) -> Answer<'a, Customer>;

    /// Opens a payment page.
    fn create_checkout<'a>(
        &'a self,
        checkout: &'a CheckoutIn,
        idem_key: &'a str,
    ) -> Answer<'a, CheckoutSession>;

    /// A payment page's state.
    fn checkout<'a>(&'a self, id: &'a str) -> Answer<'a, CheckoutSession>;

    /// Closes a payment page; [`Error::Invalid`] when it is not open any more.
    fn expire_checkout<'a>(&'a self, id: &'a str) -> Answer<'a, CheckoutSession>;

    /// Charges a saved card while its owner is away. A decline is [`Error::Card`].
    fn create_payment<'a>(
        &'a self,
        payment: &'a OffSessionPaymentIn,
        idem_key: &'a str,
    ) -> Answer<'a, PaymentIntent>;

    /// A payment's state.
    fn payment<'a>(&'a self, id: &'a str) -> Answer<'a, PaymentIntent>;

    /// The payments whose metadata say so. Stripe's search lags behind by a minute, in rare cases
    /// by more.
    fn payments_by_metadata<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
    ) -> Answer<'a, Vec<PaymentIntent>>;

    /// A charge's state.
    fn charge<'a>(&'a self, id: &'a str) -> Answer<'a, Charge>;

    /// All refunds of a payment, newest first.
    fn refunds_of<'a>(&'a self, payment_intent: &'a str) -> Answer<'a, Vec<Refund>>;

    /// A refund's state.
    fn refund<'a>(&'a self, id: &'a str) -> Answer<'a, Refund>;

    /// Sends money back.
    fn create_refund<'a>(&'a self, refund: &'a RefundIn, idem_key: &'a str) -> Answer<'a, Refund>;

    /// A dispute's state.
    fn dispute<'a>(&'a self, id: &'a str) -> Answer<'a, Dispute>;

    /// All disputes of a payment, newest first.
    fn disputes_of<'a>(&'a self, payment_intent: &'a str) -> Answer<'a, Vec<Dispute>>;

    /// A subscription's state.
    fn subscription<'a>(&'a self, id: &'a str) -> Answer<'a, Subscription>;

    /// Changes a subscription.
    fn update_subscription<'a>(
        &'a self,
        id: &'a str,
        change: &'a SubscriptionPatch,
        idem_key: &'a str,
    ) -> Answer<'a, Subscription>;

    /// Ends a subscription now.
    fn cancel_subscription<'a>(&'a self, id: &'a str) -> Answer<'a, Subscription>;

    /// An invoice's state.
    fn invoice<'a>(&'a self, id: &'a str) -> Answer<'a, Invoice>;

    /// A saved card's making.
    fn setup_intent<'a>(&'a self, id: &'a str) -> Answer<'a, SetupIntent>;

    /// A way to pay.
    fn payment_method<'a>(&'a self, id: &'a str) -> Answer<'a, PaymentMethod>;

    /// Forgets a saved card, for good.
    fn detach_payment_method<'a>(&'a self, id: &'a str) -> Answer<'a, PaymentMethod>;
}

/// A new customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomerIn {
    /// Where receipts go.
    pub email: Option<String>,
    /// On receipts and in Stripe's dashboard.
    pub name: Option<String>,
    /// What we write on it.
    pub metadata: Metadata,
}

/// What a payment page is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Something is paid once.
    #[default]
    Payment,
    /// A card is saved and nothing paid.
    Setup,
    /// A subscription begins.
    Subscription,
}

impl Mode {
    /// Stripe's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Setup => "setup",
            Self::Subscription => "subscription",
        }
    }
}

/// Paid again each month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Month;

/// A thing that is bought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// What it is called.
    pub name: String,
    /// What is printed below the name.
    pub description: Option<String>,
    /// The price of one, in the currency's smallest unit.
    pub amount: i64,
    /// Three letters, in lower case.
    pub currency: String,
    /// How many.
    pub quantity: u32,
    /// For what is paid again and again; only in mode `subscription`.
    pub recurring: Option<Month>,
}

/// A new payment page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckoutIn {
    /// What it is for.
    pub mode: Mode,
    /// Who pays, `cus_…`; without one Stripe asks for an address and may make a customer.
    pub customer: Option<String>,
    /// Where the browser goes afterwards; Stripe puts the session's id for
    /// `{CHECKOUT_SESSION_ID}`.
    pub success_url: String,
    /// Where it goes when the customer turns back.
    pub cancel_url: String,
    /// What is bought; nothing in mode `setup`.
    pub lines: Vec<Line>,
    /// What we write on the session, and on the payment, subscription or saved card that it makes:
    /// Stripe does not copy it.
    pub metadata: Metadata,
    /// Our own name for it.
    pub client_reference_id: Option<String>,
    /// Keeps the card for later payments without its owner; only in mode `payment`.
    pub save_card: bool,
    /// When it closes, in seconds: 30 minutes to 24 hours from now; 24 hours without.
    pub expires_at: Option<i64>,
    /// Days before the first payment; only in mode `subscription`.
    pub trial_days: Option<u32>,
    /// Stripe computes the tax from the customer's address.
    pub automatic_tax: bool,
}

/// A payment with a saved card while its owner is away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffSessionPaymentIn {
    /// In the currency's smallest unit.
    pub amount: i64,
    /// Three letters, in lower case.
    pub currency: String,
    /// Who pays, `cus_…`.
    pub customer: String,
    /// The saved card, `pm_…`.
    pub payment_method: String,
    /// What we write on it.
    pub metadata: Metadata,
    /// On the receipt.
    pub description: Option<String>,
    /// On the card's statement, after our name.
    pub statement_descriptor_suffix: Option<String>,
}

/// Money to send back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefundIn {
    /// Of which payment, `pi_…`.
    pub payment_intent: String,
    /// How much; without one all that is left.
    pub amount: Option<i64>,
    /// `duplicate`, `fraudulent` or `requested_by_customer`.
    pub reason: Option<String>,
    /// What we write on it.
    pub metadata: Metadata,
}

/// How a change within a period is settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proration {
    /// On the next invoice.
    #[default]
    NextInvoice,
    /// On an invoice made now.
    Now,
    /// Not at all.
    None,
}

impl Proration {
    /// Stripe's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NextInvoice => "create_prorations",
            Self::Now => "always_invoice",
            Self::None => "none",
        }
    }
}

/// Another price for an item of a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceChange {
    /// The subscription's item, `si_…`.
    pub item: String,
    /// The product that the price is for, `prod_…`; the item names the present one.
    pub product: String,
    /// The new price of one, in the currency's smallest unit.
    pub amount: i64,
    /// Three letters, in lower case.
    pub currency: String,
    /// How often it is paid.
    pub recurring: Month,
    /// How the rest of the present period is settled.
    pub proration: Proration,
}

/// What is changed of a subscription; the rest stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionPatch {
    /// Another price.
    pub price: Option<PriceChange>,
    /// Whether it ends with its period.
    pub cancel_at_period_end: Option<bool>,
    /// What is written on it beside what is there.
    pub metadata: Metadata,
}
