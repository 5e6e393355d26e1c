//! The sandbox's own paths, for people and tests: what cardholders and banks do, how it behaves,
//! and its events.

use http::Method;
use serde_json::{Value, json};

use super::books::{Telling, shown, text};
use super::cards::Card;
use super::fields::Fields;
use super::knobs::{Async, Knobs};
use super::paying::Paid;
use super::refusal::Refusal;
use super::shop::Shared;
use super::work::Work;
use super::{checkout, outbox, paying, plans, refunds};

const EVENTS: usize = 1000;
const EVENTS_MAX: usize = 100_000;

type Done = Result<Value, Refusal>;

/// Answers `/sandbox/{rest}`.
pub(super) async fn answer(
    shared: &Shared,
    method: &Method,
    rest: &str,
    query: &str,
    body: &Value,
    origin: &str,
) -> (u16, Value) {
    let parts: Vec<&str> = rest.split('/').collect();
    let done = match (method.as_str(), parts.as_slice()) {
        ("GET", ["knobs"]) => Ok(json!(shared.knobs())),
        ("PUT" | "POST", ["knobs"]) => match shared.change_knobs(body) {
            Ok(knobs) => Ok(json!(knobs)),
            Err(error) => Err(Refusal::invalid("parameter_invalid", "", &error.to_string())),
        },
        ("GET", ["events"]) => Ok(events(shared, query)),
        ("POST", ["events", id, "resend"]) => resend(shared, id).await,
        ("POST", ["flush"]) => Ok(outbox::flush(shared).await),
        ("POST", ["checkout", id, "pay"]) => pay(shared, id, body, origin),
        ("POST", parts) => {
            let knobs = shared.knobs();
            shared.change(&knobs, origin, None, |work| happen(work, parts, body))
        }
        _ => Err(Refusal::no_path(method.as_str(), rest)),
    };
    match done {
        Ok(body) => (200, body),
        Err(refusal) => (refusal.status, refusal.body),
    }
}

/// What people outside do, without a page.
fn happen(work: &mut Work<'_>, parts: &[&str], body: &Value) -> Done {
    let amount = body["amount"].as_i64();
    let status = text(body, "status");
    let id = match parts {
        ["refund"] => refunds::refund(work, text(body, "payment_intent"), amount, body)?,
        ["refund", id, "fail"] => refunds::fail(work, id)?,
        ["dispute"] => refunds::dispute(work, text(body, "payment_intent"), amount)?,
        ["dispute", id, "close"] => refunds::close(work, id, status)?,
        ["fraud-warning"] => refunds::warn(work, text(body, "payment_intent"))?,
        ["checkout", id, "expire"] => checkout::expire(work, id)?,
        ["checkout", id, "settle"] => {
            let session = work.found("checkout.session", id)?;
            let intent = text(session, "payment_intent").to_owned();
            paying::settle(work, &intent, status != "failed")?;
            (*id).to_owned()
        }
        ["payment", id, "settle"] => paying::settle(work, id, status != "failed")?,
        ["subscription", id] => return subscription(work, id, body),
        _ => return Err(Refusal::no_path("POST", &parts.join("/"))),
    };
    Ok(work.show(&id))
}

/// Another card, another state, another period: as far as they are asked for, in this order.
fn subscription(work: &mut Work<'_>, id: &str, body: &Value) -> Done {
    if let Some(number) = body["card"].as_str() {
        plans::pay_with(work, id, card(number)?)?;
    }
    if let Some(status) = body["status"].as_str() {
        plans::turn(work, id, status)?;
    }
    if body["advance"] == true {
        plans::renew(work, id)?;
    }
    work.found("subscription", id).map(shown)
}

fn card(number: &str) -> Result<&'static Card, Refusal> {
    let unknown = || Refusal::invalid("incorrect_number", "card", "Use one of the test cards.");
    Card::with_number(number).ok_or_else(unknown)
}

/// Pays on a page as a person would. `outcome` is what its owner says who is asked (`approve`,
/// `fail`, or `ask` to leave it open), or what becomes of a bank account's payment (`succeeds`,
/// `fails`, `waits`).
fn pay(shared: &Shared, id: &str, body: &Value, origin: &str) -> Done {
    let card = card(text(body, "card"))?;
    let outcome = text(body, "outcome");
    let mut knobs: Knobs = shared.knobs();
    match outcome {
        "" | "approve" | "fail" | "ask" => {}
        "succeeds" => knobs.async_payment = Async::Succeeds,
        "fails" => knobs.async_payment = Async::Fails,
        "waits" => knobs.async_payment = Async::Waits,
        _ => return Err(Refusal::invalid("parameter_invalid", "outcome", "No such outcome.")),
    }
    shared.change(&knobs, origin, None, |work| {
        let mut paid = paying::pay(work, id, card, None)?;
        if paid == Paid::Asks && outcome != "ask" {
            paid = paying::pay(work, id, card, Some(outcome != "fail"))?;
        }
        let word = match paid {
            Paid::Done => "done",
            Paid::Declined => "declined",
            Paid::Asks => "asks",
        };
        let error = work.private(id, "error").clone();
        Ok(json!({ "result": word, "error": error, "session": work.show(id) }))
    })
}

/// The latest events, oldest first, and what became of each.
fn events(shared: &Shared, query: &str) -> Value {
    let mut fields = Fields::parse(query.as_bytes());
    let limit = fields.take("limit").and_then(|limit| limit.parse().ok());
    let limit = limit.unwrap_or(EVENTS).min(EVENTS_MAX);
    let kind = fields.take("type");
    let books = shared.books();
    let is_wanted = |event: &Value| kind.as_deref().is_none_or(|kind| text(event, "type") == kind);
    let latest = books.events.iter().rev().filter(|told| is_wanted(&told.event)).take(limit);
    let mut rows: Vec<Value> = latest
        .map(|told| {
            json!({
                "id": told.event["id"], "type": told.event["type"],
                "object": told.event["data"]["object"]["id"], "created": told.event["created"],
                "telling": told.telling.as_str(), "tries": told.tries, "event": told.event,
            })
        })
        .collect();
    rows.reverse();
    let waiting = books.events.iter().filter(|told| told.telling == Telling::Waiting).count();
    json!({ "events": rows, "waiting": waiting })
}

/// Posts an event once more, also one that was lost or taken.
async fn resend(shared: &Shared, id: &str) -> Done {
    let place = shared.books().events.iter().position(|told| text(&told.event, "id") == id);
    let Some(index) = place else { return Err(Refusal::no_such("event", id)) };
    let status = outbox::post(shared, index).await;
    Ok(json!({ "id": id, "status": status }))
}
