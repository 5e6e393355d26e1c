//! Payments: on a page while the card's owner is there, and later without.

use serde_json::{Value, json};

use super::books::{PRIVATE, number, text};
use super::cards::{Card, Fate, decline};
use super::fields::Fields;
use super::knobs::Async;
use super::refusal::Refusal;
use super::work::Work;
use super::{checkout, plans, refunds};

/// What became of an attempt to pay on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paid {
    /// The page is complete.
    Done,
    /// It was declined; the page says why and stays open.
    Declined,
    /// The owner must confirm.
    Asks,
}

/// What a card says to an attempt.
enum Verdict {
    Takes,
    TakesTime,
    Asks,
    Declines(&'static str, &'static str),
}

/// While its owner is there; `approval` is what he said when he was asked.
const fn on_session(card: &Card, approval: Option<bool>) -> Verdict {
    match (card.fate, approval) {
        (Fate::Succeeds | Fate::IsDisputed | Fate::DeclinesLater, _) => Verdict::Takes,
        (Fate::TakesTime, _) => Verdict::TakesTime,
        (Fate::Declines(code, decline_code), _) => Verdict::Declines(code, decline_code),
        (Fate::AuthenticatesOnce | Fate::AuthenticatesAlways, None) => Verdict::Asks,
        (Fate::AuthenticatesOnce | Fate::AuthenticatesAlways, Some(true)) => Verdict::Takes,
        (Fate::AuthenticatesOnce | Fate::AuthenticatesAlways, Some(false)) => {
            Verdict::Declines("payment_intent_authentication_failure", "authentication_failed")
        }
    }
}

/// While its owner is away; `is_confirmed` says whether he confirmed when it was saved.
const fn off_session(card: &Card, is_confirmed: bool) -> Verdict {
    const ABSENT: Verdict = Verdict::Declines("authentication_required", "authentication_required");
    match card.fate {
        Fate::Succeeds | Fate::IsDisputed => Verdict::Takes,
        Fate::AuthenticatesOnce if is_confirmed => Verdict::Takes,
        Fate::AuthenticatesOnce | Fate::AuthenticatesAlways => ABSENT,
        Fate::TakesTime => Verdict::TakesTime,
        Fate::Declines(code, decline_code) => Verdict::Declines(code, decline_code),
        Fate::DeclinesLater => Verdict::Declines("card_declined", "generic_decline"),
    }
}

/// Pays on a page.
pub(super) fn pay(
    work: &mut Work<'_>,
    session: &str,
    card: &'static Card,
    approval: Option<bool>,
) -> Result<Paid, Refusal> {
    checkout::open(work, session)?;
    match text(work.object(session), "mode") {
        "setup" => Ok(save(work, session, card, approval)),
        "subscription" => subscribe(work, session, card, approval),
        _ => Ok(buy(work, session, card, approval)),
    }
}

fn buy(work: &mut Work<'_>, session: &str, card: &'static Card, approval: Option<bool>) -> Paid {
    if number(work.object(session), "amount_total") == 0 {
        checkout::complete(work, session, true);
        return Paid::Done;
    }
    let is_saved = work.private(session, "save_card") == true;
    let customer = payer(work, session, is_saved);
    let intent = intent_of(work, session);
    match on_session(card, approval) {
        Verdict::Asks => {
            work.set(&intent, json!({ "status": "requires_action", "customer": customer }));
            checkout::note(work, session, None, Some(card.number));
            work.tell("payment_intent.requires_action", &intent);
            Paid::Asks
        }
        Verdict::Declines(code, decline_code) => {
            let error = fail(work, &intent, card, code, decline_code);
            checkout::note(work, session, error["message"].as_str(), None);
            Paid::Declined
        }
        Verdict::Takes => {
            let saved_for = customer.as_deref().filter(|_| is_saved);
            let method = method(work, card, saved_for, approval == Some(true));
            work.set(&intent, json!({ "customer": customer }));
            succeed(work, &intent, &method, card);
            checkout::complete(work, session, true);
            dispute_at_once(work, &intent, card);
            Paid::Done
        }
        Verdict::TakesTime => {
            let method = method(work, card, None, false);
            let fields = json!({
                "status": "processing", "payment_method": method, "customer": customer,
            });
            work.set(&intent, fields);
            work.tell("payment_intent.processing", &intent);
            checkout::complete(work, session, false);
            settle_by_knob(work, &intent);
            Paid::Done
        }
    }
}

fn save(work: &mut Work<'_>, session: &str, card: &'static Card, approval: Option<bool>) -> Paid {
    let intent = text(work.object(session), "setup_intent").to_owned();
    let decline_with = |work: &mut Work<'_>, code, decline_code| {
        let error = decline(code, decline_code);
        work.set(&intent, json!({ "last_setup_error": error }));
        work.tell("setup_intent.setup_failed", &intent);
        checkout::note(work, session, error["message"].as_str(), None);
        Paid::Declined
    };
    match on_session(card, approval) {
        Verdict::Asks => {
            work.set(&intent, json!({ "status": "requires_action" }));
            checkout::note(work, session, None, Some(card.number));
            work.tell("setup_intent.requires_action", &intent);
            Paid::Asks
        }
        Verdict::Declines(code, decline_code) => decline_with(work, code, decline_code),
        Verdict::TakesTime => decline_with(work, "payment_method_not_available", "not_a_card"),
        Verdict::Takes => {
            let customer = work.object(session)["customer"].as_str().map(str::to_owned);
            let method = method(work, card, customer.as_deref(), approval == Some(true));
            let fields = json!({
                "status": "succeeded", "payment_method": method, "last_setup_error": null,
            });
            work.set(&intent, fields);
            work.tell("setup_intent.succeeded", &intent);
            checkout::complete(work, session, false);
            Paid::Done
        }
    }
}

fn subscribe(
    work: &mut Work<'_>,
    session: &str,
    card: &'static Card,
    approval: Option<bool>,
) -> Result<Paid, Refusal> {
    match on_session(card, approval) {
        Verdict::Asks => {
            checkout::note(work, session, None, Some(card.number));
            Ok(Paid::Asks)
        }
        Verdict::Declines(code, decline_code) => {
            let error = decline(code, decline_code);
            checkout::note(work, session, error["message"].as_str(), None);
            Ok(Paid::Declined)
        }
        Verdict::TakesTime => {
            let message = "A bank account cannot begin a subscription here.";
            Err(Refusal::invalid("payment_method_not_available", "card", message))
        }
        Verdict::Takes => {
            let customer = payer(work, session, true).expect("one is made where there is none");
            let method = method(work, card, Some(&customer), approval == Some(true));
            let intent = plans::begin(work, session, &customer, &method, card);
            checkout::complete(work, session, true);
            if let Some(intent) = intent {
                dispute_at_once(work, &intent, card);
            }
            Ok(Paid::Done)
        }
    }
}

/// Who pays; made where something is kept and nobody was named.
fn payer(work: &mut Work<'_>, session: &str, is_needed: bool) -> Option<String> {
    let known = work.object(session)["customer"].as_str().map(str::to_owned);
    if known.is_some() || !is_needed {
        return known;
    }
    let fields = json!({
        "email": "payer@sandbox.example", "name": null, "metadata": {},
        "invoice_settings": { "default_payment_method": null },
    });
    let customer = work.make("cus", "customer", fields);
    work.set(session, json!({ "customer": customer }));
    work.tell("customer.created", &customer);
    Some(customer)
}

/// The payment of a page; the same for every attempt.
fn intent_of(work: &mut Work<'_>, session: &str) -> String {
    let page = work.object(session).clone();
    if let Some(intent) = page["payment_intent"].as_str() {
        return intent.to_owned();
    }
    let private = &page[PRIVATE];
    let mut fields = json!({
        "amount": page["amount_total"], "currency": page["currency"],
        "customer": page["customer"], "metadata": private["metadata"],
        "description": private["description"],
        PRIVATE: { "session": session },
    });
    if private["save_card"] == true {
        fields["setup_future_usage"] = json!("off_session");
    }
    let intent = make_intent(work, fields);
    work.set(session, json!({ "payment_intent": intent }));
    intent
}

/// A payment that was not tried yet.
pub(super) fn make_intent(work: &mut Work<'_>, fields: Value) -> String {
    let mut whole = json!({
        "status": "requires_payment_method", "amount_received": 0, "customer": null,
        "payment_method": null, "latest_charge": null, "metadata": {}, "description": null,
        "cancellation_reason": null, "last_payment_error": null, "setup_future_usage": null,
        "capture_method": "automatic", "payment_method_types": ["card"],
    });
    if let Value::Object(fields) = fields {
        for (name, value) in fields {
            whole[name] = value;
        }
    }
    let id = work.make("pi", "payment_intent", whole);
    let secret = work.fresh_id("secret");
    work.set(&id, json!({ "client_secret": format!("{id}_{secret}") }));
    work.tell("payment_intent.created", &id);
    id
}

/// A way to pay, saved for a customer or used once.
fn method(
    work: &mut Work<'_>,
    card: &'static Card,
    customer: Option<&str>,
    is_confirmed: bool,
) -> String {
    let mut fields = json!({
        "customer": customer, "metadata": {},
        PRIVATE: { "number": card.number, "is_confirmed": is_confirmed },
    });
    if card.fate == Fate::TakesTime {
        fields["type"] = json!("us_bank_account");
        fields["us_bank_account"] =
            json!({ "bank_name": "STRIPE TEST BANK", "last4": card.last4() });
    } else {
        fields["type"] = json!("card");
        fields["card"] = json!({
            "brand": card.brand, "last4": card.last4(), "exp_month": 12, "exp_year": 2034,
            "country": "US", "funding": "credit",
        });
    }
    let id = work.make("pm", "payment_method", fields);
    if customer.is_some() {
        work.tell("payment_method.attached", &id);
    }
    id
}

/// Saves another card for a customer.
pub(super) fn attach(work: &mut Work<'_>, card: &'static Card, customer: &str) -> String {
    method(work, card, Some(customer), false)
}

fn charge(work: &mut Work<'_>, intent: &str, method: &Value, error: Option<&Value>) -> String {
    let payment = work.object(intent).clone();
    let id = work.make(
        "ch",
        "charge",
        json!({
            "amount": payment["amount"], "amount_refunded": 0, "refunded": false,
            "paid": error.is_none(), "captured": error.is_none(), "disputed": false,
            "status": if error.is_none() { "succeeded" } else { "failed" },
            "currency": payment["currency"], "payment_intent": intent,
            "customer": payment["customer"], "payment_method": method,
            "metadata": payment["metadata"], "description": payment["description"],
            "failure_code": error.map(|error| error["code"].clone()),
            "failure_message": error.map(|error| error["message"].clone()),
        }),
    );
    work.set(intent, json!({ "latest_charge": id }));
    id
}

/// A payment is paid.
pub(super) fn succeed(work: &mut Work<'_>, intent: &str, method: &str, card: &Card) {
    debug_assert!(!matches!(card.fate, Fate::Declines(..)), "it was decided before");
    let charge = charge(work, intent, &json!(method), None);
    let fields = json!({
        "status": "succeeded", "payment_method": method, "last_payment_error": null,
        "amount_received": work.object(intent)["amount"],
    });
    work.set(intent, fields);
    work.tell("charge.succeeded", &charge);
    work.tell("payment_intent.succeeded", intent);
}

/// A payment is declined; returns why.
pub(super) fn fail(
    work: &mut Work<'_>,
    intent: &str,
    card: &Card,
    code: &str,
    decline_code: &str,
) -> Value {
    let mut error = decline(code, decline_code);
    let charge = charge(work, intent, &Value::Null, Some(&error));
    error["charge"] = json!(charge);
    let status = json!({
        "status": "requires_payment_method", "payment_method": null, "last_payment_error": error,
    });
    work.set(intent, status);
    if card.fate != Fate::TakesTime && decline_code != "authentication_failed" {
        work.tell("charge.failed", &charge);
    }
    work.tell("payment_intent.payment_failed", intent);
    error
}

fn dispute_at_once(work: &mut Work<'_>, intent: &str, card: &Card) {
    if card.fate == Fate::IsDisputed {
        // A payment that was just taken can be disputed.
        drop(refunds::dispute(work, intent, None));
    }
}

fn settle_by_knob(work: &mut Work<'_>, intent: &str) {
    let is_paid = match work.knobs.async_payment {
        Async::Succeeds => true,
        Async::Fails => false,
        Async::Waits => return,
    };
    // It is under way: its caller made it so.
    drop(settle(work, intent, is_paid));
}

/// A payment that took its time is paid, or not.
pub(super) fn settle(work: &mut Work<'_>, intent: &str, is_paid: bool) -> Result<String, Refusal> {
    let payment = work.found("payment_intent", intent)?.clone();
    if text(&payment, "status") != "processing" {
        let message = "This payment is not under way.";
        return Err(Refusal::invalid("payment_intent_unexpected_state", "intent", message));
    }
    let card = Card::with_number("000123456789").expect("it stands in the table");
    if is_paid {
        let method = text(&payment, "payment_method").to_owned();
        succeed(work, intent, &method, card);
    } else {
        fail(work, intent, card, "payment_intent_payment_attempt_failed", "generic_decline");
    }
    if let Some(session) = payment[PRIVATE]["session"].as_str() {
        let (status, word) = if is_paid { ("paid", "succeeded") } else { ("unpaid", "failed") };
        work.set(session, json!({ "payment_status": status }));
        work.tell(&format!("checkout.session.async_payment_{word}"), session);
    }
    Ok(intent.to_owned())
}

/// Charges a saved card while its owner is away.
pub(super) fn create(work: &mut Work<'_>, mut fields: Fields) -> Result<String, Refusal> {
    let amount = fields.number("amount")?;
    if amount < 1 {
        let message = "This value must be greater than or equal to 1.";
        return Err(Refusal::invalid("parameter_invalid_integer", "amount", message));
    }
    let currency = fields.text("currency")?.to_lowercase();
    let customer = fields.text("customer")?;
    let method_id = fields.text("payment_method")?;
    let is_away = fields.take_flag("off_session")?.unwrap_or(false);
    let is_confirmed = fields.take_flag("confirm")?.unwrap_or(false);
    fields.take("payment_method_types[0]");
    let description = fields.take("description");
    let suffix = fields.take("statement_descriptor_suffix");
    let metadata = fields.take_map("metadata")?;
    fields.finish()?;
    if !is_away || !is_confirmed {
        let message = "The sandbox makes payments only with off_session=true and confirm=true.";
        return Err(Refusal::invalid("parameter_missing", "off_session", message));
    }
    let no_customer = |_| Refusal::names_nothing("customer", &customer, "customer");
    work.found("customer", &customer).map_err(no_customer)?;
    let method_id = match Card::with_alias(&method_id) {
        Some(card) => method(work, card, Some(&customer), false),
        None => method_id,
    };
    let no_method = |_| Refusal::names_nothing("PaymentMethod", &method_id, "payment_method");
    let owner = work.found("payment_method", &method_id).map_err(no_method)?["customer"].clone();
    if owner != *customer {
        let message = "The provided PaymentMethod does not belong to the Customer you supplied.";
        return Err(Refusal::invalid("payment_method_unexpected_state", "payment_method", message));
    }
    let intent = make_intent(
        work,
        json!({
            "amount": amount, "currency": currency, "customer": customer, "metadata": metadata,
            "description": description, "statement_descriptor_suffix": suffix,
        }),
    );
    match charge_saved(work, &intent, &method_id) {
        Ok(()) => Ok(intent),
        Err(error) => Err(Refusal::declined(&error, &work.show(&intent))),
    }
}

/// Tries a payment with a saved card; an error is the decline.
pub(super) fn charge_saved(work: &mut Work<'_>, intent: &str, method: &str) -> Result<(), Value> {
    let private = &work.object(method)[PRIVATE];
    let is_confirmed = private["is_confirmed"] == true;
    let card = private["number"].as_str().and_then(Card::with_number);
    let card = card.expect("a method's card stands in the table");
    match off_session(card, is_confirmed) {
        Verdict::Takes => {
            succeed(work, intent, method, card);
            dispute_at_once(work, intent, card);
            Ok(())
        }
        Verdict::TakesTime | Verdict::Asks => {
            work.set(intent, json!({ "status": "processing", "payment_method": method }));
            work.tell("payment_intent.processing", intent);
            settle_by_knob(work, intent);
            Ok(())
        }
        Verdict::Declines(code, decline_code) => Err(fail(work, intent, card, code, decline_code)),
    }
}
