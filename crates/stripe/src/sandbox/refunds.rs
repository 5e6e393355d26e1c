//! Money that goes back: refunds by its owner, disputes by cardholders.

use serde_json::{Value, json};

use super::books::{PRIVATE, number, text};
use super::fields::Fields;
use super::refusal::Refusal;
use super::work::Work;

/// Makes a refund from a form.
pub(super) fn create(work: &mut Work<'_>, mut fields: Fields) -> Result<String, Refusal> {
    let intent = fields.text("payment_intent")?;
    let amount = fields.take_number("amount")?;
    let reason = fields.take("reason");
    let metadata = fields.take_map("metadata")?;
    fields.finish()?;
    let reasons = ["duplicate", "fraudulent", "requested_by_customer"];
    if reason.as_deref().is_some_and(|reason| !reasons.contains(&reason)) {
        return Err(Refusal::invalid("parameter_invalid", "reason", "Invalid reason."));
    }
    refund(work, &intent, amount, &json!({ "reason": reason, "metadata": metadata }))
}

/// The charge that took the money of a payment.
fn charge_of(work: &Work<'_>, intent: &str) -> Result<Value, Refusal> {
    let nothing = || Refusal::names_nothing("payment_intent", intent, "payment_intent");
    let payment = work.found("payment_intent", intent).map_err(|_| nothing())?;
    if text(payment, "status") != "succeeded" {
        let message = "This PaymentIntent does not have a successful charge to refund.";
        return Err(Refusal::invalid("charge_not_refundable", "payment_intent", message));
    }
    Ok(work.object(text(payment, "latest_charge")).clone())
}

/// Sends money back; all that is left without an amount.
pub(super) fn refund(
    work: &mut Work<'_>,
    intent: &str,
    amount: Option<i64>,
    said: &Value,
) -> Result<String, Refusal> {
    let charge = charge_of(work, intent)?;
    let left = number(&charge, "amount") - number(&charge, "amount_refunded");
    let is_held = matches!(text(&charge[PRIVATE], "dispute"), "open" | "lost");
    let refuse = |code, message: &str| Err(Refusal::invalid(code, "amount", message));
    match amount {
        _ if is_held => {
            return refuse("charge_disputed", "The charge has been charged back.");
        }
        _ if left == 0 => {
            return refuse("charge_already_refunded", "The charge has already been refunded.");
        }
        Some(amount) if amount < 1 => {
            let message = "This value must be greater than or equal to 1.";
            return refuse("parameter_invalid_integer", message);
        }
        Some(amount) if amount > left => {
            let message =
                format!("Refund amount ({amount}) is greater than what is left ({left}).");
            return refuse("amount_too_large", &message);
        }
        _ => {}
    }
    let id = work.make("re", "refund", json!({
        "amount": amount.unwrap_or(left), "status": "succeeded", "currency": charge["currency"],
        "charge": charge["id"], "payment_intent": intent, "reason": said["reason"],
        "metadata": if said["metadata"].is_object() { said["metadata"].clone() } else { json!({}) },
        "failure_reason": null,
    }));
    let charge = text(&charge, "id").to_owned();
    recount(work, &charge);
    work.tell("refund.created", &id);
    work.tell("charge.refunded", &charge);
    Ok(id)
}

/// A refund comes back, for instance because the card's account is closed.
pub(super) fn fail(work: &mut Work<'_>, id: &str) -> Result<String, Refusal> {
    let refund = work.found("refund", id)?.clone();
    if text(&refund, "status") == "failed" {
        let message = "This refund failed before.";
        return Err(Refusal::invalid("resource_invalid_state", "id", message));
    }
    work.set(id, json!({ "status": "failed", "failure_reason": "expired_or_canceled_card" }));
    recount(work, text(&refund, "charge"));
    work.tell("refund.updated", id);
    work.tell("refund.failed", id);
    Ok(id.to_owned())
}

/// What went back of a charge, from its refunds.
fn recount(work: &mut Work<'_>, charge: &str) {
    let of_charge = work.books.newest("refund").filter(|it| text(it, "charge") == charge);
    let back: i64 =
        of_charge.filter(|it| text(it, "status") != "failed").map(|it| number(it, "amount")).sum();
    let is_all = back == number(work.object(charge), "amount");
    work.set(charge, json!({ "amount_refunded": back, "refunded": is_all }));
}

/// A cardholder disputes a payment; all that he paid without an amount.
pub(super) fn dispute(
    work: &mut Work<'_>,
    intent: &str,
    amount: Option<i64>,
) -> Result<String, Refusal> {
    let charge = charge_of(work, intent)?;
    let whole = number(&charge, "amount");
    if charge["disputed"] == true {
        let message = "The charge was disputed before.";
        return Err(Refusal::invalid("charge_disputed", "payment_intent", message));
    }
    if amount.is_some_and(|amount| !(1..=whole).contains(&amount)) {
        let message = format!("Write an amount from 1 to {whole}.");
        return Err(Refusal::invalid("parameter_invalid_integer", "amount", &message));
    }
    let id = work.make(
        "dp",
        "dispute",
        json!({
            "amount": amount.unwrap_or(whole), "status": "needs_response",
            "currency": charge["currency"], "charge": charge["id"], "payment_intent": intent,
            "reason": "fraudulent", "metadata": {}, "is_charge_refundable": false,
        }),
    );
    let charge = text(&charge, "id").to_owned();
    work.set(&charge, json!({ "disputed": true, PRIVATE: { "dispute": "open" } }));
    work.tell("charge.dispute.created", &id);
    work.tell("charge.dispute.funds_withdrawn", &id);
    Ok(id)
}

/// The bank decides a dispute: `won` or `lost`.
pub(super) fn close(work: &mut Work<'_>, id: &str, status: &str) -> Result<String, Refusal> {
    if !matches!(status, "won" | "lost") {
        return Err(Refusal::invalid("parameter_invalid", "status", "Write won or lost."));
    }
    let dispute = work.found("dispute", id)?.clone();
    if text(&dispute, "status") != "needs_response" {
        let message = "This dispute is closed.";
        return Err(Refusal::invalid("resource_invalid_state", "id", message));
    }
    work.set(id, json!({ "status": status }));
    work.set(text(&dispute, "charge"), json!({ PRIVATE: { "dispute": status } }));
    if status == "won" {
        work.tell("charge.dispute.funds_reinstated", id);
    }
    work.tell("charge.dispute.closed", id);
    Ok(id.to_owned())
}

/// A bank believes that a payment was fraud.
pub(super) fn warn(work: &mut Work<'_>, intent: &str) -> Result<String, Refusal> {
    let charge = charge_of(work, intent)?;
    let id = work.make(
        "issfr",
        "radar.early_fraud_warning",
        json!({
            "charge": charge["id"], "payment_intent": intent, "actionable": true,
            "fraud_type": "unauthorized_use_of_card",
        }),
    );
    work.tell("radar.early_fraud_warning.created", &id);
    Ok(id)
}
