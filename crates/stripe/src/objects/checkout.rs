//! What a customer pays on Stripe's page, and the card that is kept.

use serde::Deserialize;

use super::Metadata;
use super::lenient::{metadata, or_default, reference};

/// A visit to Stripe's payment page, `cs_…`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct CheckoutSession {
    /// `cs_…`.
    pub id: String,
    /// `payment`, `setup` or `subscription`.
    #[serde(default, deserialize_with = "or_default")]
    pub mode: String,
    /// `open`, `complete` or `expired`.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// `paid`, `unpaid` or `no_payment_required`. A complete session may still be unpaid.
    #[serde(default, deserialize_with = "or_default")]
    pub payment_status: String,
    /// What is to be paid, tax included; none in mode `setup`.
    #[serde(default)]
    pub amount_total: Option<i64>,
    /// In lower case.
    #[serde(default, deserialize_with = "or_default")]
    pub currency: String,
    /// `pi_…`, once there is one; only in mode `payment`.
    #[serde(default, deserialize_with = "reference")]
    pub payment_intent: Option<String>,
    /// `cus_…`.
    #[serde(default, deserialize_with = "reference")]
    pub customer: Option<String>,
    /// `sub_…`, once there is one; only in mode `subscription`.
    #[serde(default, deserialize_with = "reference")]
    pub subscription: Option<String>,
    /// `seti_…`; only in mode `setup`.
    #[serde(default, deserialize_with = "reference")]
    pub setup_intent: Option<String>,
    /// Our own name for it.
    #[serde(default)]
    pub client_reference_id: Option<String>,
    /// What we wrote on it.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: Metadata,
    /// The page; only while it is open.
    #[serde(default)]
    pub url: Option<String>,
    /// When it closes.
    #[serde(default)]
    pub expires_at: Option<i64>,
}

/// A card that is being saved, `seti_…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct SetupIntent {
    /// `seti_…`.
    pub id: String,
    /// `succeeded` at last.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// `cus_…`.
    #[serde(default, deserialize_with = "reference")]
    pub customer: Option<String>,
    /// `pm_…`.
    #[serde(default, deserialize_with = "reference")]
    pub payment_method: Option<String>,
    /// What we wrote on it.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: Metadata,
    /// `off_session` or `on_session`.
    #[serde(default, deserialize_with = "or_default")]
    pub usage: String,
}

/// A way to pay, `pm_…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PaymentMethod {
    /// `pm_…`.
    pub id: String,
    /// `card` and others.
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub kind: String,
    /// `cus_…`, while it is attached.
    #[serde(default, deserialize_with = "reference")]
    pub customer: Option<String>,
    /// What may be shown of the card, if it is one.
    #[serde(default)]
    pub card: Option<Card>,
}

/// What may be shown of a card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Card {
    /// `visa` and others.
    #[serde(default, deserialize_with = "or_default")]
    pub brand: String,
    /// The last four digits.
    #[serde(default, deserialize_with = "or_default")]
    pub last4: String,
    /// From 1 to 12.
    #[serde(default, deserialize_with = "or_default")]
    pub exp_month: i64,
    /// With its century.
    #[serde(default, deserialize_with = "or_default")]
    pub exp_year: i64,
}

/// Somebody who pays, `cus_…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Customer {
    /// `cus_…`.
    pub id: String,
    /// Where receipts go.
    #[serde(default)]
    pub email: Option<String>,
    /// What we wrote on it.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: Metadata,
    /// What invoices are paid with.
    #[serde(default, deserialize_with = "or_default")]
    pub invoice_settings: InvoiceSettings,
    /// It was deleted; only the id is left.
    #[serde(default, deserialize_with = "or_default")]
    pub deleted: bool,
}

/// What a customer's invoices are paid with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct InvoiceSettings {
    /// `pm_…`.
    #[serde(default, deserialize_with = "reference")]
    pub default_payment_method: Option<String>,
}
