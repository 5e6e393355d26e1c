//! Pages for people: what is bought and with which card, what the bank asks, and what became of
//! it. They work without scripts.

use askama::Template;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use http_body_util::Full;
use serde_json::Value;

use super::books::{PRIVATE, number, text};
use super::cards::{CARDS, Card};
use super::checkout::cost;
use super::paying::{self, Paid};
use super::server::Answer;
use super::shop::Shared;

const STYLE: &str = include_str!("../../templates/style.css");
/// Currencies without a smaller unit.
const WHOLE: [&str; 16] = [
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv",
    "xaf", "xof", "xpf",
];

#[derive(Template)]
#[template(path = "checkout.html")]
struct Checkout<'a> {
    id: &'a str,
    heading: &'a str,
    verb: String,
    lines: Vec<Line>,
    due: String,
    trial_days: i64,
    save_card: bool,
    error: &'a str,
    cards: Vec<Choice>,
    cancel_url: &'a str,
}

struct Line {
    name: String,
    description: String,
    quantity: i64,
    cost: String,
    recurring: bool,
}

struct Choice {
    number: &'static str,
    spaced: String,
    hint: &'static str,
}

#[derive(Template)]
#[template(path = "authenticate.html")]
struct Authenticate<'a> {
    id: &'a str,
    due: String,
    last4: &'a str,
}

#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    heading: &'a str,
    words: String,
    link: String,
}

/// Answers `/checkout/{rest}`.
pub(super) fn answer(
    shared: &Shared,
    method: &Method,
    rest: &str,
    form: &[u8],
    origin: &str,
) -> Answer {
    let parts: Vec<&str> = rest.split('/').collect();
    match (method.as_str(), parts.as_slice()) {
        ("GET" | "HEAD", ["style.css"]) => style(),
        ("GET" | "HEAD", ["invoice", id]) => invoice(shared, id),
        ("GET" | "HEAD", [id]) => match session(shared, id) {
            Some(session) => page(&session, ""),
            None => nothing(),
        },
        ("GET" | "HEAD", [id, "authenticate"]) => match session(shared, id) {
            Some(session) => authenticate(&session),
            None => nothing(),
        },
        ("POST", [id]) => {
            let (typed, picked) = (field(form, "card"), field(form, "pick"));
            let number = if picked.is_empty() { typed } else { picked };
            pay(shared, id, Card::with_number(&number), None, origin)
        }
        ("POST", [id, "authenticate"]) => {
            let session = session(shared, id);
            let asks = session.as_ref().and_then(|it| it[PRIVATE]["asks"].as_str());
            let approves = field(form, "answer") == "approve";
            match asks.and_then(Card::with_number) {
                Some(card) => pay(shared, id, Some(card), Some(approves), origin),
                None => see(&format!("/checkout/{id}")),
            }
        }
        _ => nothing(),
    }
}

fn field(form: &[u8], name: &str) -> String {
    let found = form_urlencoded::parse(form).find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn session(shared: &Shared, id: &str) -> Option<Value> {
    shared.close_overdue();
    let books = shared.books();
    books.find(id).filter(|it| text(it, "object") == "checkout.session").cloned()
}

fn pay(
    shared: &Shared,
    id: &str,
    card: Option<&'static Card>,
    approval: Option<bool>,
    origin: &str,
) -> Answer {
    let Some(before) = session(shared, id) else { return nothing() };
    let Some(card) = card else { return page(&before, "Use one of the test cards below.") };
    let knobs = shared.knobs();
    let paid = shared.change(&knobs, origin, None, |work| paying::pay(work, id, card, approval));
    match paid {
        Ok(Paid::Done) => see(&success_url(&before)),
        Ok(Paid::Asks) => see(&format!("/checkout/{id}/authenticate")),
        Ok(Paid::Declined) => see(&format!("/checkout/{id}")),
        Err(refusal) => {
            let words = text(&refusal.body["error"], "message").to_owned();
            page(&session(shared, id).unwrap_or(before), &words)
        }
    }
}

fn success_url(session: &Value) -> String {
    text(session, "success_url").replace("{CHECKOUT_SESSION_ID}", text(session, "id"))
}

/// The page as it is now: to be paid on, or telling that it is over.
fn page(session: &Value, problem: &str) -> Answer {
    match text(session, "status") {
        "complete" => {
            let words = "Thank you. There is nothing more to pay here.".to_owned();
            let link = success_url(session);
            return html(StatusCode::OK, &Notice { heading: "Done", words, link }, session);
        }
        "expired" => {
            let words = "This page is closed. Nothing was paid.".to_owned();
            let link = text(session, "cancel_url").to_owned();
            return html(StatusCode::OK, &Notice { heading: "Closed", words, link }, session);
        }
        _ => {}
    }
    let private = &session[PRIVATE];
    let currency = text(session, "currency");
    let lines = private["lines"].as_array().into_iter().flatten();
    let line = |line: &Value| Line {
        name: text(line, "name").to_owned(),
        description: text(line, "description").to_owned(),
        quantity: number(line, "quantity"),
        cost: money(cost(line), currency),
        recurring: line["recurring"] == true,
    };
    let due = money(number(session, "amount_total"), currency);
    let (heading, verb) = match text(session, "mode") {
        "setup" => ("Save a card", "Save the card".to_owned()),
        "subscription" => ("Subscribe", "Subscribe".to_owned()),
        _ => ("Pay", format!("Pay {due}")),
    };
    let choice =
        |card: &Card| Choice { number: card.number, spaced: card.spaced(), hint: card.hint };
    let template = Checkout {
        id: text(session, "id"),
        heading,
        verb,
        lines: lines.map(line).collect(),
        due,
        trial_days: number(private, "trial_days"),
        save_card: private["save_card"] == true,
        error: if problem.is_empty() { text(private, "error") } else { problem },
        cards: CARDS.iter().map(choice).collect(),
        cancel_url: text(session, "cancel_url"),
    };
    let status = if problem.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    html(status, &template, session)
}

fn authenticate(session: &Value) -> Answer {
    let asks = session[PRIVATE]["asks"].as_str().and_then(Card::with_number);
    let (Some(card), "open") = (asks, text(session, "status")) else {
        return see(&format!("/checkout/{}", text(session, "id")));
    };
    let amount = session["amount_total"].as_i64().filter(|&amount| amount > 0);
    let due = amount.map(|amount| money(amount, text(session, "currency")));
    let template =
        Authenticate { id: text(session, "id"), due: due.unwrap_or_default(), last4: card.last4() };
    html(StatusCode::OK, &template, session)
}

fn invoice(shared: &Shared, id: &str) -> Answer {
    let invoice = shared.books().find(id).cloned();
    let Some(invoice) = invoice.filter(|it| text(it, "object") == "invoice") else {
        return nothing();
    };
    let amount = money(number(&invoice, "amount_due"), text(&invoice, "currency"));
    let words = format!("{amount}: {}.", text(&invoice, "status"));
    html(StatusCode::OK, &Notice { heading: "Invoice", words, link: String::new() }, &invoice)
}

fn nothing() -> Answer {
    let words = "There is no such page.".to_owned();
    let notice = Notice { heading: "Nothing here", words, link: String::new() };
    html(StatusCode::NOT_FOUND, &notice, &Value::Null)
}

/// An amount as people read it: `25.00 USD`.
fn money(amount: i64, currency: &str) -> String {
    let code = currency.to_uppercase();
    if WHOLE.contains(&currency) {
        return format!("{amount} {code}");
    }
    format!("{}.{:02} {code}", amount / 100, amount % 100)
}

/// The page's way on; a browser follows with a GET.
fn see(url: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()));
    match HeaderValue::from_str(url) {
        Ok(url) => {
            *answer.status_mut() = StatusCode::SEE_OTHER;
            answer.headers_mut().insert(LOCATION, url);
        }
        Err(_) => *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    answer
}

fn style() -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(STYLE.as_bytes())));
    let kind = HeaderValue::from_static("text/css; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

fn html(status: StatusCode, template: &impl Template, session: &Value) -> Answer {
    let text = template.render().expect("a template writes to a String");
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    let headers: [(HeaderName, &'static str); 4] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in headers {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let policy = policy(session);
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    answer
}

/// Nothing runs and nothing is loaded but our style; forms lead here and, by way of a redirect, to
/// where the page was asked to lead.
fn policy(session: &Value) -> HeaderValue {
    let ends = ["success_url", "cancel_url"].map(|name| site(text(session, name)));
    let text = format!(
        "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; \
         form-action 'self' {}",
        ends.join(" ").trim()
    );
    HeaderValue::from_str(text.trim()).expect("sites are plain ASCII")
}

/// Scheme and authority of an address, if they are plain.
fn site(url: &str) -> String {
    let uri: Option<Uri> = url.replace(['{', '}'], "").parse().ok();
    let site = uri.and_then(|uri| {
        let (scheme, authority) = (uri.scheme_str()?.to_owned(), uri.authority()?.as_str());
        let is_plain = |it: u8| it.is_ascii_alphanumeric() || b".-:[]".contains(&it);
        authority.bytes().all(is_plain).then(|| format!("{scheme}://{authority}"))
    });
    site.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_by_people() {
        let cases = [
            (2500, "usd", "25.00 USD"),
            (5, "eur", "0.05 EUR"),
            (100_001, "usd", "1000.01 USD"),
            (500, "jpy", "500 JPY"),
        ];
        for (amount, currency, expected) in cases {
            assert_eq!(money(amount, currency), expected);
        }
    }

    #[test]
    fn a_site_cannot_bend_the_policy() {
        let cases = [
            ("https://us.example/ok?s={CHECKOUT_SESSION_ID}", "https://us.example"),
            ("http://127.0.0.1:8080/ok", "http://127.0.0.1:8080"),
            ("https://a;script-src *.example/", ""),
            ("https://a;b/", ""),
            ("https://u:p@h.example/", ""),
            ("", ""),
        ];
        for (url, expected) in cases {
            assert_eq!(site(url), expected, "{url}");
        }
    }
}
