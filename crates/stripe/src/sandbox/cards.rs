//! Test cards: the numbers that Stripe documents, and what each does (FACTS 10.5).

use serde_json::{Value, json};

/// What becomes of a payment with a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is paid.
    Succeeds,
    /// It is declined with this code and decline code.
    Declines(&'static str, &'static str),
    /// Its owner must confirm, the first time only if it is saved for later.
    AuthenticatesOnce,
    /// Its owner must confirm each time.
    AuthenticatesAlways,
    /// It is paid while its owner is there, and declined later.
    DeclinesLater,
    /// It is paid, and disputed at once.
    IsDisputed,
    /// A bank account: whether it is paid is known later.
    TakesTime,
}

/// A way to pay.
pub(super) struct Card {
    pub number: &'static str,
    /// Stripe's name for it as a payment method, if it has one.
    pub alias: Option<&'static str>,
    pub brand: &'static str,
    pub fate: Fate,
    /// What is told people.
    pub hint: &'static str,
}

const fn card(number: &'static str, fate: Fate, hint: &'static str) -> Card {
    Card { number, alias: None, brand: "visa", fate, hint }
}

use Fate::Declines;

/// All of them, the likeliest first.
#[rustfmt::skip]
pub(super) const CARDS: [Card; 13] = [
    Card { alias: Some("pm_card_visa"), ..card("4242424242424242", Fate::Succeeds, "Succeeds") },
    Card {
        alias: Some("pm_card_chargeDeclined"),
        ..card("4000000000000002", Declines("card_declined", "generic_decline"), "Is declined")
    },
    Card {
        alias: Some("pm_card_chargeDeclinedInsufficientFunds"),
        ..card(
            "4000000000009995", Declines("card_declined", "insufficient_funds"),
            "Has insufficient funds"
        )
    },
    card("4000002500003155", Fate::AuthenticatesOnce, "Asks its owner, once if it is saved"),
    Card {
        alias: Some("pm_card_authenticationRequired"),
        ..card("4000002760003184", Fate::AuthenticatesAlways, "Asks its owner every time")
    },
    card("4000000000000341", Fate::DeclinesLater, "Can be saved; later payments are declined"),
    card("4000000000000259", Fate::IsDisputed, "Succeeds and is disputed at once"),
    card("4000000000009987", Declines("card_declined", "lost_card"), "Was lost"),
    card("4000000000009979", Declines("card_declined", "stolen_card"), "Was stolen"),
    card("4000000000000069", Declines("expired_card", "expired_card"), "Has expired"),
    card("4000000000000127", Declines("incorrect_cvc", "incorrect_cvc"), "Has another CVC"),
    card(
        "4000000000000119", Declines("processing_error", "processing_error"),
        "Meets an error at the bank"
    ),
    Card {
        brand: "",
        ..card("000123456789", Fate::TakesTime, "A bank account: paid, or not, some time later")
    },
];

impl Card {
    /// The card with a number, however it is spaced.
    pub fn with_number(number: &str) -> Option<&'static Self> {
        let digits: String = number.chars().filter(|it| !matches!(it, ' ' | '-')).collect();
        CARDS.iter().find(|card| card.number == digits)
    }

    /// The card that Stripe calls so.
    pub fn with_alias(id: &str) -> Option<&'static Self> {
        CARDS.iter().find(|card| card.alias == Some(id))
    }

    /// Its last four digits.
    pub fn last4(&self) -> &'static str {
        &self.number[self.number.len() - 4..]
    }

    /// In groups of four, as on the card.
    pub fn spaced(&self) -> String {
        if self.fate == Fate::TakesTime {
            return self.number.to_owned();
        }
        let mut spaced = String::with_capacity(19);
        for (index, digit) in self.number.chars().enumerate() {
            if index > 0 && index % 4 == 0 {
                spaced.push(' ');
            }
            spaced.push(digit);
        }
        spaced
    }
}

/// A decline as Stripe writes it on a payment.
pub(super) fn decline(code: &str, decline_code: &str) -> Value {
    let message = match decline_code {
        "insufficient_funds" => "Your card has insufficient funds.",
        "lost_card" | "stolen_card" | "generic_decline" => "Your card was declined.",
        "expired_card" => "Your card has expired.",
        "incorrect_cvc" => "Your card's security code is incorrect.",
        "processing_error" => {
            "An error occurred while processing your card. Try again in a little bit."
        }
        "authentication_required" => {
            "Your card was declined. This transaction requires authentication."
        }
        "authentication_failed" => {
            "We are unable to authenticate your payment method. Please choose a different \
             payment method and try again."
        }
        _ => "The payment failed.",
    };
    let mut error = json!({ "type": "card_error", "code": code, "message": message });
    if !matches!(decline_code, "incorrect_cvc" | "authentication_failed") {
        error["decline_code"] = json!(decline_code);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_found_however_they_are_written() {
        for number in ["4242424242424242", "4242 4242 4242 4242", "4242-4242-42424242"] {
            assert_eq!(Card::with_number(number).map(|card| card.fate), Some(Fate::Succeeds));
        }
        assert!(Card::with_number("4242").is_none() && Card::with_number("").is_none());
        let alias = Card::with_alias("pm_card_chargeDeclined").expect("known");
        assert_eq!((alias.last4(), &*alias.spaced()), ("0002", "4000 0000 0000 0002"));
        let numbers: std::collections::BTreeSet<_> = CARDS.iter().map(|it| it.number).collect();
        assert_eq!(numbers.len(), CARDS.len(), "no number stands twice");
    }

    #[test]
    fn declines_say_why() {
        for card in &CARDS {
            if let Declines(code, decline_code) = card.fate {
                let error = decline(code, decline_code);
                assert_ne!(error["message"], "The payment failed.", "{code} {decline_code}");
            }
        }
    }
}
