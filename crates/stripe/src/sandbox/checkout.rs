//! Payment pages: made, closed, and completed. Who pays what on them is in [`super::paying`].

use serde_json::{Value, json};

use super::books::{PRIVATE, text};
use super::fields::Fields;
use super::refusal::Refusal;
use super::work::Work;

/// A page closes by itself so much later (FACTS 10.6).
const OPEN_SECS: i64 = 24 * 3600;
const OPEN_SECS_MIN: i64 = 30 * 60;
/// Things on one page, at most.
const LINES_MAX: usize = 100;
/// The most that one payment may be, in the currency's smallest unit.
const AMOUNT_MAX: i64 = 99_999_999;

/// Makes a page.
pub(super) fn create(work: &mut Work<'_>, mut fields: Fields) -> Result<String, Refusal> {
    let mode = fields.text("mode")?;
    let made = match mode.as_str() {
        "payment" => "payment_intent_data",
        "setup" => "setup_intent_data",
        "subscription" => "subscription_data",
        _ => return Err(Refusal::invalid("parameter_invalid", "mode", "Invalid mode.")),
    };
    let customer = fields.take("customer");
    if let Some(id) = &customer {
        work.found("customer", id)
            .map_err(|_| Refusal::names_nothing("customer", id, "customer"))?;
    }
    let success_url =
        url(&mut fields, "success_url")?.ok_or_else(|| Refusal::missing("success_url"))?;
    let cancel_url = url(&mut fields, "cancel_url")?;
    let expires_at = closing_time(&mut fields, work.now)?;
    let lines = lines(&mut fields, &mode)?;
    let trial_days = fields.take_number("subscription_data[trial_period_days]")?;
    let due = total(&lines, trial_days.is_some())?;
    let currency = currency(&mut fields, &lines)?;
    let metadata = fields.take_map("metadata")?;
    let made_metadata = fields.take_map(&format!("{made}[metadata]"))?;
    let description = fields.take(&format!("{made}[description]"));
    let future = fields.take("payment_intent_data[setup_future_usage]");
    let method = fields.take("payment_method_types[0]");
    let client_reference_id = fields.take("client_reference_id");
    // Taxes are never added here.
    let automatic_tax = fields.take_flag("automatic_tax[enabled]")?.unwrap_or(false);
    fields.take("customer_update[address]");
    fields.finish()?;
    if mode == "setup" && method.is_none() && currency.is_none() {
        return Err(Refusal::missing("currency"));
    }
    let is_setup = mode == "setup";
    let setup = is_setup.then(|| {
        let fields = json!({
            "status": "requires_payment_method", "usage": "off_session", "customer": customer,
            "payment_method": null, "metadata": made_metadata, "last_setup_error": null,
        });
        work.make("seti", "setup_intent", fields)
    });
    let id = work.make("cs_test", "checkout.session", json!({
        "mode": mode, "status": "open", "ui_mode": "hosted",
        "payment_status": if is_setup { "no_payment_required" } else { "unpaid" },
        "amount_subtotal": (!is_setup).then_some(due),
        "amount_total": (!is_setup).then_some(due),
        "currency": currency, "customer": customer, "payment_intent": null,
        "subscription": null, "setup_intent": setup, "client_reference_id": client_reference_id,
        "metadata": metadata, "success_url": success_url, "cancel_url": cancel_url,
        "expires_at": expires_at, "automatic_tax": { "enabled": automatic_tax },
        "payment_method_types": ["card"],
        PRIVATE: {
            "lines": lines, "metadata": made_metadata, "description": description,
            "save_card": future.is_some(), "trial_days": trial_days, "error": null, "asks": null,
        },
    }));
    work.set(&id, json!({ "url": format!("{}/checkout/{id}", work.origin) }));
    Ok(id)
}

fn url(fields: &mut Fields, name: &str) -> Result<Option<String>, Refusal> {
    let Some(text) = fields.take(name) else { return Ok(None) };
    // The placeholder's braces stand in no address.
    let plain = text.replace(['{', '}'], "");
    let is_web = plain.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
    });
    if !is_web {
        let message = "Not a valid URL: an explicit scheme (such as https) must be provided.";
        return Err(Refusal::invalid("url_invalid", name, message));
    }
    Ok(Some(text))
}

fn closing_time(fields: &mut Fields, now: i64) -> Result<i64, Refusal> {
    let Some(at) = fields.take_number("expires_at")? else { return Ok(now + OPEN_SECS) };
    // A minute for clocks that differ.
    if !(now + OPEN_SECS_MIN - 60..=now + OPEN_SECS + 60).contains(&at) {
        let message = "The `expires_at` timestamp must be between 30 minutes and 24 hours from \
                       Checkout Session creation.";
        return Err(Refusal::invalid("parameter_invalid", "expires_at", message));
    }
    Ok(at)
}

fn lines(fields: &mut Fields, mode: &str) -> Result<Vec<Value>, Refusal> {
    let mut lines = Vec::new();
    while fields.has(&format!("line_items[{}]", lines.len())) && lines.len() < LINES_MAX {
        let below = format!("line_items[{}]", lines.len());
        let price = format!("{below}[price_data]");
        let quantity = fields.number(&format!("{below}[quantity]"))?;
        let amount = fields.number(&format!("{price}[unit_amount]"))?;
        let interval = fields.take(&format!("{price}[recurring][interval]"));
        if quantity < 1 || !(0..=AMOUNT_MAX).contains(&amount) {
            let message = "This value must be greater than or equal to 1.";
            return Err(Refusal::invalid("parameter_invalid_integer", &below, message));
        }
        if interval.as_deref().is_some_and(|it| it != "month" || mode != "subscription") {
            let message = "Only subscriptions are paid again, each month.";
            return Err(Refusal::invalid("parameter_invalid", &below, message));
        }
        lines.push(json!({
            "quantity": quantity,
            "currency": fields.text(&format!("{price}[currency]"))?,
            "amount": amount,
            "name": fields.text(&format!("{price}[product_data][name]"))?,
            "description": fields.take(&format!("{price}[product_data][description]")),
            "recurring": interval.is_some(),
        }));
    }
    let is_recurring = lines.iter().any(|line| line["recurring"] == true);
    match mode {
        "setup" if !lines.is_empty() => {
            let message = "You can not pass `line_items` in `setup` mode.";
            Err(Refusal::invalid("parameter_invalid", "line_items", message))
        }
        "payment" | "subscription" if lines.is_empty() => Err(Refusal::missing("line_items")),
        "subscription" if !is_recurring => {
            let message = "You must provide at least one recurring price in `subscription` mode.";
            Err(Refusal::invalid("parameter_invalid", "line_items", message))
        }
        _ => Ok(lines),
    }
}

/// What a line costs.
pub(super) fn cost(line: &Value) -> i64 {
    let (amount, quantity) = (line["amount"].as_i64(), line["quantity"].as_i64());
    amount.unwrap_or_default().saturating_mul(quantity.unwrap_or_default())
}

/// What is due at once; what is tried first is paid later.
fn total(lines: &[Value], is_tried: bool) -> Result<i64, Refusal> {
    let due = lines.iter().filter(|line| !is_tried || line["recurring"] != true);
    let total = due.fold(0_i64, |sum, line| sum.saturating_add(cost(line)));
    if total > AMOUNT_MAX {
        let message = "The total must be no more than 999,999.99.";
        return Err(Refusal::invalid("amount_too_large", "line_items", message));
    }
    Ok(total)
}

fn currency(fields: &mut Fields, lines: &[Value]) -> Result<Option<String>, Refusal> {
    let own = fields.take("currency");
    let first = lines.first().map(|line| text(line, "currency").to_owned());
    if lines.iter().any(|line| Some(text(line, "currency")) != first.as_deref()) {
        let message = "All line items must have the same currency.";
        return Err(Refusal::invalid("parameter_invalid", "line_items", message));
    }
    let currency = first.or(own).map(|currency| currency.to_lowercase());
    let is_code = |code: &str| code.len() == 3 && code.bytes().all(|it| it.is_ascii_lowercase());
    if currency.as_deref().is_some_and(|code| !is_code(code)) {
        return Err(Refusal::invalid("parameter_invalid", "currency", "Invalid currency."));
    }
    Ok(currency)
}

/// The page, if it is open.
pub(super) fn open(work: &Work<'_>, id: &str) -> Result<(), Refusal> {
    let session = work.found("checkout.session", id)?;
    if text(session, "status") == "open" {
        return Ok(());
    }
    let message = "Only Checkout Sessions with a status in [\"open\"] can be used.";
    Err(Refusal::invalid("resource_invalid_state", "id", message))
}

/// Closes a page that nobody paid on.
pub(super) fn expire(work: &mut Work<'_>, id: &str) -> Result<String, Refusal> {
    open(work, id)?;
    work.set(id, json!({ "status": "expired", "url": null }));
    let intent = text(work.object(id), "payment_intent").to_owned();
    if !intent.is_empty() {
        let reason = json!({ "status": "canceled", "cancellation_reason": "automatic" });
        work.set(&intent, reason);
        work.tell("payment_intent.canceled", &intent);
    }
    work.tell("checkout.session.expired", id);
    Ok(id.to_owned())
}

/// The page did what it was for.
pub(super) fn complete(work: &mut Work<'_>, id: &str, is_paid: bool) {
    work.set(id, json!({ "status": "complete", "url": null }));
    if is_paid {
        let is_free = work.object(id)["amount_total"].as_i64().unwrap_or(0) == 0;
        let status = if is_free { "no_payment_required" } else { "paid" };
        work.set(id, json!({ "payment_status": status }));
    }
    work.tell("checkout.session.completed", id);
}

/// Notes what went wrong, for the page to show, or that its owner must be asked.
pub(super) fn note(work: &mut Work<'_>, id: &str, error: Option<&str>, asks: Option<&str>) {
    let mut private = work.object(id)[PRIVATE].clone();
    private["error"] = json!(error);
    private["asks"] = json!(asks);
    work.set(id, json!({ PRIVATE: private }));
}
