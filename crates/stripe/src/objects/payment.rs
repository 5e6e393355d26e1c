//! Money that came, went back, or is disputed.

use serde::Deserialize;

use super::lenient::{list, metadata, or_default, reference};
use super::{CardError, Metadata};

/// A payment from its first try to its end, `pi_…`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct PaymentIntent {
    /// `pi_…`.
    pub id: String,
    /// `requires_payment_method`, `requires_confirmation`, `requires_action`, `processing`,
    /// `requires_capture`, `canceled` or `succeeded`.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// What is to be paid.
    #[serde(default, deserialize_with = "or_default")]
    pub amount: i64,
    /// What was paid.
    #[serde(default, deserialize_with = "or_default")]
    pub amount_received: i64,
    /// In lower case.
    #[serde(default, deserialize_with = "or_default")]
    pub currency: String,
    /// `cus_…`.
    #[serde(default, deserialize_with = "reference")]
    pub customer: Option<String>,
    /// `pm_…`.
    #[serde(default, deserialize_with = "reference")]
    pub payment_method: Option<String>,
    /// `ch_…`, of the last try.
    #[serde(default, deserialize_with = "reference")]
    pub latest_charge: Option<String>,
    /// What we wrote on it.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: Metadata,
    /// Why it was canceled.
    #[serde(default)]
    pub cancellation_reason: Option<String>,
    /// Why the last try failed; gone after one that did not.
    #[serde(default)]
    pub last_payment_error: Option<CardError>,
    /// What a browser needs to go on with it. Not for logs.
    #[serde(default)]
    pub client_secret: Option<String>,
}

/// One try to take money, `ch_…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Charge {
    /// `ch_…`.
    pub id: String,
    /// What it is about.
    #[serde(default, deserialize_with = "or_default")]
    pub amount: i64,
    /// What went back of it, all refunds together.
    #[serde(default, deserialize_with = "or_default")]
    pub amount_refunded: i64,
    /// All of it went back.
    #[serde(default, deserialize_with = "or_default")]
    pub refunded: bool,
    /// It succeeded.
    #[serde(default, deserialize_with = "or_default")]
    pub paid: bool,
    /// The money was taken, not only reserved.
    #[serde(default, deserialize_with = "or_default")]
    pub captured: bool,
    /// The cardholder disputes it, or did.
    #[serde(default, deserialize_with = "or_default")]
    pub disputed: bool,
    /// In lower case.
    #[serde(default, deserialize_with = "or_default")]
    pub currency: String,
    /// `pi_…`.
    #[serde(default, deserialize_with = "reference")]
    pub payment_intent: Option<String>,
    /// `cus_…`.
    #[serde(default, deserialize_with = "reference")]
    pub customer: Option<String>,
    /// What we wrote on it; a payment's is copied at its first try.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: Metadata,
    /// Its refunds if Stripe was asked to list them; `refunds_of` is the whole list.
    #[serde(default, deserialize_with = "list")]
    pub refunds: Vec<Refund>,
}

/// Money on its way back, `re_…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Refund {
    /// `re_…`.
    pub id: String,
    /// How much.
    #[serde(default, deserialize_with = "or_default")]
    pub amount: i64,
    /// `pending`, `requires_action`, `succeeded`, `failed` or `canceled`. Even one that succeeded
    /// can fail later.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// In lower case.
    #[serde(default, deserialize_with = "or_default")]
    pub currency: String,
    /// `ch_…`.
    #[serde(default, deserialize_with = "reference")]
    pub charge: Option<String>,
    /// `pi_…`.
    #[serde(default, deserialize_with = "reference")]
    pub payment_intent: Option<String>,
    /// `duplicate`, `fraudulent`, `requested_by_customer` and others.
    #[serde(default)]
    pub reason: Option<String>,
    /// What we wrote on it.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: Metadata,
}

/// A cardholder's dispute, `dp_…` or `du_…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Dispute {
    /// `dp_…` or `du_…`.
    pub id: String,
    /// How much is disputed.
    #[serde(default, deserialize_with = "or_default")]
    pub amount: i64,
    /// `needs_response`, `under_review`, `won`, `lost`, `warning_needs_response`,
    /// `warning_under_review`, `warning_closed`, `prevented` and others.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// In lower case.
    #[serde(default, deserialize_with = "or_default")]
    pub currency: String,
    /// `ch_…`.
    #[serde(default, deserialize_with = "reference")]
    pub charge: Option<String>,
    /// `pi_…`.
    #[serde(default, deserialize_with = "reference")]
    pub payment_intent: Option<String>,
    /// `fraudulent`, `product_not_received` and others.
    #[serde(default)]
    pub reason: Option<String>,
    /// What we wrote on it.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: Metadata,
}

/// A bank believes that a payment was fraud, `issfr_…`: a dispute may follow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EarlyFraudWarning {
    /// `issfr_…`.
    pub id: String,
    /// `ch_…`.
    #[serde(default, deserialize_with = "reference")]
    pub charge: Option<String>,
    /// `pi_…`.
    #[serde(default, deserialize_with = "reference")]
    pub payment_intent: Option<String>,
    /// A refund can still prevent a dispute.
    #[serde(default, deserialize_with = "or_default")]
    pub actionable: bool,
    /// `unauthorized_use_of_card` and others.
    #[serde(default, deserialize_with = "or_default")]
    pub fraud_type: String,
}
