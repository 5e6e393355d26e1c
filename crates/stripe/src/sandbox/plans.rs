//! Subscriptions and their invoices, month after month.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use super::books::{PRIVATE, number, text};
use super::cards::Card;
use super::fields::Fields;
use super::paying;
use super::refusal::Refusal;
use super::work::Work;

const DAY_SECS: i64 = 24 * 3600;

/// A period: when it begins and when it ends.
type Period = (i64, i64);

/// The same day of the next month, or its last.
fn month_after(at: i64) -> i64 {
    let after = Timestamp::from_second(at)
        .and_then(|at| at.to_zoned(TimeZone::UTC).checked_add(1.month()))
        .map(|at| at.timestamp().as_second());
    after.unwrap_or(at)
}

/// Begins the subscription that a page is for; its first payment, if there is one.
pub(super) fn begin(
    work: &mut Work<'_>,
    session: &str,
    customer: &str,
    method: &str,
    card: &Card,
) -> Option<String> {
    let private = work.object(session)[PRIVATE].clone();
    let trial_end = private["trial_days"].as_i64().map(|days| work.now + days * DAY_SECS);
    let period = (work.now, trial_end.unwrap_or_else(|| month_after(work.now)));
    let lines = private["lines"].as_array().cloned().unwrap_or_default();
    let recurring = lines.iter().filter(|line| line["recurring"] == true);
    let items: Vec<Value> = recurring.map(|line| item(work, line, period)).collect();
    let id = work.make(
        "sub",
        "subscription",
        json!({
            "status": if trial_end.is_some() { "trialing" } else { "incomplete" },
            "customer": customer, "metadata": private["metadata"], "currency": lines[0]["currency"],
            "cancel_at_period_end": false, "cancel_at": null, "canceled_at": null, "ended_at": null,
            "trial_start": trial_end.map(|_| work.now), "trial_end": trial_end,
            "items": { "object": "list", "data": items, "has_more": false },
            "pause_collection": null, "default_payment_method": method, "latest_invoice": null,
        }),
    );
    work.tell("customer.subscription.created", &id);
    work.set(session, json!({ "subscription": id }));
    let due = number(work.object(session), "amount_total");
    let invoice = bill(work, &id, "subscription_create", due, period);
    let mut paid_by = None;
    if due > 0 {
        let intent = intent_for(work, &invoice);
        paying::succeed(work, &intent, method, card);
        paid_by = Some(intent);
    }
    paid(work, &invoice);
    if trial_end.is_none() {
        work.set(&id, json!({ "status": "active" }));
        work.tell("customer.subscription.updated", &id);
    }
    paid_by
}

fn item(work: &mut Work<'_>, line: &Value, period: Period) -> Value {
    let product = work.make("prod", "product", json!({ "name": line["name"], "active": true }));
    let price = price(work, &product, &line["amount"], &line["currency"]);
    json!({
        "id": work.fresh_id("si"), "object": "subscription_item", "price": price,
        "quantity": line["quantity"], "metadata": {},
        "current_period_start": period.0, "current_period_end": period.1,
    })
}

fn price(work: &mut Work<'_>, product: &str, amount: &Value, currency: &Value) -> Value {
    let id = work.make(
        "price",
        "price",
        json!({
            "product": product, "unit_amount": amount, "currency": currency, "lookup_key": null,
            "recurring": { "interval": "month", "interval_count": 1 }, "type": "recurring",
        }),
    );
    work.show(&id)
}

/// What a subscription costs for a month.
fn monthly(subscription: &Value) -> i64 {
    let items = subscription["items"]["data"].as_array().into_iter().flatten();
    let cost = |item: &Value| number(&item["price"], "unit_amount") * number(item, "quantity");
    items.map(cost).sum()
}

fn bill(
    work: &mut Work<'_>,
    subscription: &str,
    reason: &str,
    amount: i64,
    period: Period,
) -> String {
    let plan = work.object(subscription).clone();
    let item = plan["items"]["data"][0].clone();
    let line = json!({
        "id": work.fresh_id("il"), "object": "line_item", "amount": amount,
        "currency": plan["currency"], "quantity": item["quantity"], "metadata": plan["metadata"],
        "description": null, "period": { "start": period.0, "end": period.1 },
        "pricing": { "type": "price_details", "price_details": {
            "price": item["price"]["id"], "product": item["price"]["product"] } },
        "parent": { "type": "subscription_item_details", "subscription_item_details": {
            "subscription": subscription, "subscription_item": item["id"],
            "proration": reason == "subscription_update" } },
    });
    let invoice = work.make(
        "in",
        "invoice",
        json!({
            "status": "open", "billing_reason": reason, "amount_due": amount, "amount_paid": 0,
            "amount_remaining": amount, "total": amount, "currency": plan["currency"],
            "customer": plan["customer"], "metadata": {}, "attempt_count": 0,
            // The invoice itself looks back at the period before.
            "period_start": work.now, "period_end": work.now,
            "parent": { "type": "subscription_details", "subscription_details": {
                "subscription": subscription, "metadata": plan["metadata"] } },
            "lines": { "object": "list", "data": [line], "has_more": false },
            PRIVATE: { "subscription": subscription },
        }),
    );
    let page = format!("{}/checkout/invoice/{invoice}", work.origin);
    work.set(&invoice, json!({ "hosted_invoice_url": page }));
    work.set(subscription, json!({ "latest_invoice": invoice }));
    work.tell("invoice.created", &invoice);
    work.tell("invoice.finalized", &invoice);
    invoice
}

fn intent_for(work: &mut Work<'_>, invoice: &str) -> String {
    let bill = work.object(invoice).clone();
    let intent = paying::make_intent(
        work,
        json!({
            "amount": bill["amount_due"], "currency": bill["currency"],
            "customer": bill["customer"],
            "description": "Subscription",
        }),
    );
    let payments = json!({ "object": "list", "data": [{
        "object": "invoice_payment",
        "payment": { "type": "payment_intent", "payment_intent": intent },
    }] });
    work.set(invoice, json!({ "payments": payments }));
    intent
}

fn paid(work: &mut Work<'_>, invoice: &str) {
    let due = work.object(invoice)["amount_due"].clone();
    work.set(invoice, json!({ "status": "paid", "amount_paid": due, "amount_remaining": 0 }));
    work.tell("invoice.paid", invoice);
    work.tell("invoice.payment_succeeded", invoice);
}

/// Takes an invoice's money from the saved card; whether it was paid.
fn collect(work: &mut Work<'_>, subscription: &str, invoice: &str) -> bool {
    if number(work.object(invoice), "amount_due") == 0 {
        paid(work, invoice);
        return true;
    }
    let intent = intent_for(work, invoice);
    let method = text(work.object(subscription), "default_payment_method").to_owned();
    let tried = paying::charge_saved(work, &intent, &method);
    let attempts = number(work.object(invoice), "attempt_count") + 1;
    work.set(invoice, json!({ "attempt_count": attempts }));
    match tried {
        Ok(()) => paid(work, invoice),
        Err(error) => {
            work.tell("invoice.payment_failed", invoice);
            if error["code"] == "authentication_required" {
                work.tell("invoice.payment_action_required", invoice);
            }
        }
    }
    text(work.object(invoice), "status") == "paid"
}

/// The period of a subscription goes by: it is paid again, or ends if it was to end.
pub(super) fn renew(work: &mut Work<'_>, id: &str) -> Result<(), Refusal> {
    alive(work, id)?;
    let plan = work.object(id).clone();
    if plan["cancel_at_period_end"] == true {
        end(work, id);
        return Ok(());
    }
    let start = number(&plan["items"]["data"][0], "current_period_end");
    let period = (start, month_after(start));
    let mut items = plan["items"].clone();
    for item in items["data"].as_array_mut().into_iter().flatten() {
        item["current_period_start"] = json!(period.0);
        item["current_period_end"] = json!(period.1);
    }
    work.set(id, json!({ "items": items }));
    let invoice = bill(work, id, "subscription_cycle", monthly(&plan), period);
    let status = if collect(work, id, &invoice) { "active" } else { "past_due" };
    work.set(id, json!({ "status": status }));
    work.tell("customer.subscription.updated", id);
    Ok(())
}

fn alive(work: &Work<'_>, id: &str) -> Result<(), Refusal> {
    let plan = work.found("subscription", id)?;
    match text(plan, "status") {
        "canceled" | "incomplete_expired" => Err(Refusal::no_such("subscription", id)),
        _ => Ok(()),
    }
}

fn end(work: &mut Work<'_>, id: &str) {
    let now = work.now;
    work.set(id, json!({ "status": "canceled", "canceled_at": now, "ended_at": now }));
    work.tell("customer.subscription.deleted", id);
}

/// Ends a subscription now.
pub(super) fn cancel(work: &mut Work<'_>, id: &str) -> Result<String, Refusal> {
    alive(work, id)?;
    end(work, id);
    Ok(id.to_owned())
}

/// Puts a subscription into a state; one that becomes active again pays what is open.
pub(super) fn turn(work: &mut Work<'_>, id: &str, status: &str) -> Result<(), Refusal> {
    alive(work, id)?;
    let kind = match status {
        "canceled" => {
            end(work, id);
            return Ok(());
        }
        "paused" => "customer.subscription.paused",
        "active" if text(work.object(id), "status") == "paused" => "customer.subscription.resumed",
        "incomplete" | "trialing" | "active" | "past_due" | "unpaid" => {
            "customer.subscription.updated"
        }
        _ => return Err(Refusal::invalid("parameter_invalid", "status", "Invalid status.")),
    };
    let invoice = text(work.object(id), "latest_invoice").to_owned();
    if status == "active" && text(work.object(&invoice), "status") == "open" {
        paid(work, &invoice);
    }
    work.set(id, json!({ "status": status }));
    work.tell(kind, id);
    Ok(())
}

/// Saves another card, and pays with it from now on.
pub(super) fn pay_with(work: &mut Work<'_>, id: &str, card: &'static Card) -> Result<(), Refusal> {
    alive(work, id)?;
    let customer = text(work.object(id), "customer").to_owned();
    let method = paying::attach(work, card, &customer);
    work.set(id, json!({ "default_payment_method": method }));
    Ok(())
}

/// Changes a subscription by a form.
pub(super) fn update(work: &mut Work<'_>, id: &str, mut fields: Fields) -> Result<String, Refusal> {
    alive(work, id)?;
    let plan = work.object(id).clone();
    let ends = fields.take_flag("cancel_at_period_end")?;
    let written = fields.take_map("metadata")?;
    let proration = fields.take("proration_behavior");
    let change = if fields.has("items[0]") { Some(new_price(&plan, &mut fields)?) } else { None };
    fields.finish()?;
    let mut metadata = plan["metadata"].clone();
    for (key, value) in written {
        metadata[key] = json!(value);
    }
    work.set(id, json!({ "metadata": metadata }));
    if let Some(ends) = ends {
        let at = ends.then(|| plan["items"]["data"][0]["current_period_end"].clone());
        let since = ends.then_some(work.now);
        let fields = json!({ "cancel_at_period_end": ends, "cancel_at": at, "canceled_at": since });
        work.set(id, fields);
    }
    if let Some((index, product, amount, currency)) = change {
        let mut items = plan["items"].clone();
        items["data"][index]["price"] = price(work, &product, &json!(amount), &json!(currency));
        work.set(id, json!({ "items": items }));
        if proration.as_deref() == Some("always_invoice") {
            settle_rest(work, id, &plan);
        }
    }
    work.tell("customer.subscription.updated", id);
    Ok(id.to_owned())
}

/// Which item gets which price: its place, product, amount and currency.
fn new_price(plan: &Value, fields: &mut Fields) -> Result<(usize, String, i64, String), Refusal> {
    let item = fields.text("items[0][id]")?;
    let items = plan["items"]["data"].as_array().cloned().unwrap_or_default();
    let index = items.iter().position(|it| text(it, "id") == item);
    let nothing = || Refusal::names_nothing("subscription_item", &item, "items[0][id]");
    let index = index.ok_or_else(nothing)?;
    let product = fields.text("items[0][price_data][product]")?;
    if text(&items[index]["price"], "product") != product {
        let param = "items[0][price_data][product]";
        return Err(Refusal::names_nothing("product", &product, param));
    }
    fields.take("items[0][price_data][recurring][interval]");
    let amount = fields.number("items[0][price_data][unit_amount]")?;
    Ok((index, product, amount, fields.text("items[0][price_data][currency]")?))
}

/// Bills what a dearer plan costs more for the rest of its period.
fn settle_rest(work: &mut Work<'_>, id: &str, before: &Value) {
    let item = &before["items"]["data"][0];
    let (start, end) = (number(item, "current_period_start"), number(item, "current_period_end"));
    let more = monthly(work.object(id)) - monthly(before);
    let rest = (end - work.now).clamp(0, end - start);
    let due = more.saturating_mul(rest) / (end - start).max(1);
    if due > 0 {
        let invoice = bill(work, id, "subscription_update", due, (work.now, end));
        collect(work, id, &invoice);
    }
}
