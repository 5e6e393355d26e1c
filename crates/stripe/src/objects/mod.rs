//! Stripe's objects, as far as they are read here.
//!
//! Each takes any object of its kind: fields that nobody reads are skipped, absent ones and `null`
//! are `None`, zero or empty, and what may be an id or a whole object is always the id. Only a
//! value of another type is an error, and an object without an id. Words such as a status stay
//! Stripe's words, since there may be new ones. Amounts are in the currency's smallest unit, times
//! in seconds.

mod billing;
mod card;
mod checkout;
mod kinds;
mod lenient;
mod payment;

pub use billing::{Invoice, InvoiceLine, Subscription, SubscriptionItem};
pub use card::CardError;
pub use checkout::{Card, CheckoutSession, Customer, InvoiceSettings, PaymentMethod, SetupIntent};
pub use kinds::Object;
pub use payment::{Charge, Dispute, EarlyFraudWarning, PaymentIntent, Refund};

/// What we wrote on an object: names and values.
pub type Metadata = std::collections::BTreeMap<String, String>;
