//! Objects of any kind, told apart by their field `object`.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Charge, CheckoutSession, Customer, Dispute, EarlyFraudWarning, Invoice, PaymentIntent,
    PaymentMethod, Refund, SetupIntent, Subscription,
};

/// An object of some kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// `checkout.session`.
    CheckoutSession(CheckoutSession),
    /// `payment_intent`.
    PaymentIntent(PaymentIntent),
    /// `charge`.
    Charge(Charge),
    /// `refund`.
    Refund(Refund),
    /// `dispute`.
    Dispute(Dispute),
    /// `invoice`.
    Invoice(Invoice),
    /// `subscription`.
    Subscription(Subscription),
    /// `setup_intent`.
    SetupIntent(SetupIntent),
    /// `payment_method`.
    PaymentMethod(PaymentMethod),
    /// `customer`.
    Customer(Customer),
    /// `radar.early_fraud_warning`.
    EarlyFraudWarning(EarlyFraudWarning),
    /// What nobody here reads.
    Other {
        /// Its field `object`.
        kind: String,
        /// Its id, if it has one.
        id: Option<String>,
    },
}

impl Object {
    /// Reads an object; an error says what does not fit.
    pub fn read(value: &Value) -> Result<Self, serde_json::Error> {
        let text = |name| value.get(name).and_then(Value::as_str);
        let kind = text("object").unwrap_or_default();
        Ok(match kind {
            "checkout.session" => Self::CheckoutSession(Deserialize::deserialize(value)?),
            "payment_intent" => Self::PaymentIntent(Deserialize::deserialize(value)?),
            "charge" => Self::Charge(Deserialize::deserialize(value)?),
            "refund" => Self::Refund(Deserialize::deserialize(value)?),
            "dispute" => Self::Dispute(Deserialize::deserialize(value)?),
            "invoice" => Self::Invoice(Deserialize::deserialize(value)?),
            "subscription" => Self::Subscription(Deserialize::deserialize(value)?),
            "setup_intent" => Self::SetupIntent(Deserialize::deserialize(value)?),
            "payment_method" => Self::PaymentMethod(Deserialize::deserialize(value)?),
            "customer" => Self::Customer(Deserialize::deserialize(value)?),
            "radar.early_fraud_warning" => {
                Self::EarlyFraudWarning(Deserialize::deserialize(value)?)
            }
            _ => Self::Other { kind: kind.to_owned(), id: text("id").map(str::to_owned) },
        })
    }

    /// Its id; only what nobody reads may have none.
    pub fn id(&self) -> Option<&str> {
        Some(match self {
            Self::CheckoutSession(it) => &it.id,
            Self::PaymentIntent(it) => &it.id,
            Self::Charge(it) => &it.id,
            Self::Refund(it) => &it.id,
            Self::Dispute(it) => &it.id,
            Self::Invoice(it) => &it.id,
            Self::Subscription(it) => &it.id,
            Self::SetupIntent(it) => &it.id,
            Self::PaymentMethod(it) => &it.id,
            Self::Customer(it) => &it.id,
            Self::EarlyFraudWarning(it) => &it.id,
            Self::Other { id, .. } => return id.as_deref(),
        })
    }
}
