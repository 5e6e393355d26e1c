//! Why a card was declined, and whether it is worth another try.

use std::fmt;

use serde::Deserialize;

use super::PaymentIntent;
use super::lenient::or_default;

/// A decline.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct CardError {
    /// Stripe's code, such as `card_declined`.
    #[serde(default)]
    pub code: Option<String>,
    /// The bank's, such as `insufficient_funds`.
    #[serde(default)]
    pub decline_code: Option<String>,
    /// What the bank advises: `confirm_card_data`, `do_not_try_again` or `try_again_later`.
    #[serde(default)]
    pub advice_code: Option<String>,
    /// A sentence for the cardholder.
    #[serde(default, deserialize_with = "or_default")]
    pub message: String,
    /// The payment that failed.
    #[serde(default)]
    pub payment_intent: Option<Box<PaymentIntent>>,
}

/// Codes and decline codes after which the same card is not tried again: it is gone, it was never
/// right, its owner or bank forbids it, or its owner must be there (FACTS 10.5, Stripe's list of
/// decline codes). After every other one, such as `insufficient_funds`, `processing_error`,
/// `do_not_honor` or `generic_decline`, a few tries over days may help.
const HARD: [&str; 38] = [
    "account_closed",
    "authentication_not_handled",
    "authentication_required",
    "card_not_supported",
    "currency_not_supported",
    "do_not_try_again",
    "expired_card",
    "fraudulent",
    "highest_risk_level",
    "incorrect_address",
    "incorrect_cvc",
    "incorrect_number",
    "incorrect_pin",
    "incorrect_zip",
    "invalid_account",
    "invalid_card_type",
    "invalid_cvc",
    "invalid_expiry_month",
    "invalid_expiry_year",
    "invalid_number",
    "invalid_pin",
    "lost_card",
    "merchant_blacklist",
    "new_account_information_available",
    "not_permitted",
    "offline_pin_required",
    "online_or_offline_pin_required",
    "pickup_card",
    "pin_try_exceeded",
    "restricted_card",
    "revocation_of_all_authorizations",
    "revocation_of_authorization",
    "security_violation",
    "service_not_allowed",
    "stolen_card",
    "stop_payment_order",
    "testmode_decline",
    "transaction_not_allowed",
];

impl CardError {
    /// Whether the same card must not be tried again without its owner: he is asked to pay
    /// himself. What is not known is soft.
    pub fn is_hard(&self) -> bool {
        let codes = [&self.code, &self.decline_code, &self.advice_code];
        codes.into_iter().flatten().any(|code| HARD.binary_search(&code.as_str()).is_ok())
    }

    /// Whether the bank wants its owner to confirm the payment.
    pub fn wants_authentication(&self) -> bool {
        let codes = [&self.code, &self.decline_code];
        codes.into_iter().flatten().any(|code| code == "authentication_required")
    }

    /// The decline in Stripe's answer.
    pub(crate) fn of_answer(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Body {
            error: CardError,
        }
        serde_json::from_slice::<Body>(body).ok().map(|body| body.error)
    }
}

impl fmt::Display for CardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.decline_code.as_deref().or(self.code.as_deref()).unwrap_or("no code");
        write!(f, "{code}: {}", self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_searched() {
        assert!(HARD.is_sorted());
    }

    #[test]
    fn declines_are_hard_or_soft() {
        #[rustfmt::skip]
        let cases = [
            ("card_declined", Some("lost_card"), None, true),
            ("card_declined", Some("stolen_card"), None, true),
            ("card_declined", Some("pickup_card"), None, true),
            ("card_declined", Some("restricted_card"), None, true),
            ("card_declined", Some("fraudulent"), None, true),
            ("authentication_required", Some("authentication_required"), None, true),
            ("authentication_required", None, None, true),
            ("card_declined", Some("authentication_required"), None, true),
            ("expired_card", None, None, true),
            ("expired_card", Some("expired_card"), None, true),
            ("incorrect_number", None, None, true),
            ("card_declined", Some("insufficient_funds"), None, false),
            ("card_declined", Some("do_not_honor"), None, false),
            ("card_declined", Some("generic_decline"), None, false),
            ("card_declined", Some("try_again_later"), None, false),
            ("card_declined", Some("generic_decline"), Some("do_not_try_again"), true),
            ("card_declined", Some("generic_decline"), Some("try_again_later"), false),
            ("processing_error", None, None, false),
            ("card_declined", None, None, false),
            ("card_declined", Some("a_code_of_tomorrow"), None, false),
        ];
        for (code, decline, advice, expected) in cases {
            let error = CardError {
                code: Some(code.to_owned()),
                decline_code: decline.map(str::to_owned),
                advice_code: advice.map(str::to_owned),
                ..CardError::default()
            };
            assert_eq!(error.is_hard(), expected, "{error:?}");
        }
        assert!(!CardError::default().is_hard(), "nothing is known");
    }
}
