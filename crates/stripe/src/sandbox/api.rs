//! Stripe's paths, and what an idempotency key does to them.

use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::books::{Books, shown, text};
use super::fields::Fields;
use super::journal::Answered;
use super::refusal::Refusal;
use super::work::Work;
use super::{checkout, paying, plans, refunds};
use crate::signature::hex;

/// Rows of a list, unless fewer or more are asked for.
const ROWS: i64 = 10;
const ROWS_MAX: i64 = 100;

/// A call as it came.
pub(super) struct Call<'a> {
    pub method: &'a Method,
    /// Without its query.
    pub path: &'a str,
    pub query: &'a str,
    pub form: &'a [u8],
    pub idem_key: Option<&'a str>,
}

/// What is answered.
pub(super) struct Said {
    pub status: u16,
    pub body: Value,
    /// It was said before, to the same key.
    pub is_replay: bool,
}

impl Said {
    fn new(done: Result<Value, Refusal>) -> (Self, bool) {
        let (status, body, is_kept) = match done {
            Ok(body) => (200, body, true),
            Err(refusal) => (refusal.status, refusal.body, refusal.is_kept),
        };
        (Self { status, body, is_replay: false }, is_kept)
    }
}

impl From<Refusal> for Said {
    fn from(refusal: Refusal) -> Self {
        Self::new(Err(refusal)).0
    }
}

impl Call<'_> {
    fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for part in [self.method.as_str().as_bytes(), self.path.as_bytes(), self.form] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hex(&hash.finalize())
    }

    /// What this call's key was answered before; only POST heeds keys.
    pub fn earlier(&self, books: &Books, now: i64) -> Option<Said> {
        let key = self.idem_key.filter(|_| *self.method == Method::POST)?;
        if books.busy_keys.contains(key) {
            return Some(Refusal::in_use().into());
        }
        let answered = books.answer_to(key, now)?;
        if answered.fingerprint != self.fingerprint() {
            return Some(Refusal::other_parameters().into());
        }
        let (status, body) = (answered.status, answered.body.clone());
        Some(Said { status, body, is_replay: true })
    }

    /// Carries it out, and remembers the answer for its key.
    pub fn carry_out(&self, work: &mut Work<'_>) -> Said {
        let done = match *self.method {
            Method::GET => self.read(work),
            _ => self.write(work).map(|id| work.show(&id)),
        };
        let (said, is_kept) = Said::new(done);
        if let Some(key) = self.idem_key.filter(|_| is_kept && *self.method == Method::POST) {
            work.change.answered = Some(Answered {
                key: key.to_owned(),
                fingerprint: self.fingerprint(),
                at: work.now,
                status: said.status,
                body: said.body.clone(),
            });
        }
        said
    }

    fn parts(&self) -> Vec<&str> {
        self.path.trim_start_matches("/v1/").split('/').collect()
    }

    /// Changes something; the id of what is shown.
    fn write(&self, work: &mut Work<'_>) -> Result<String, Refusal> {
        let fields = || Fields::parse(self.form);
        match (self.method.as_str(), self.parts().as_slice()) {
            ("POST", ["customers"]) => customer(work, fields()),
            ("POST", ["checkout", "sessions"]) => checkout::create(work, fields()),
            ("POST", ["checkout", "sessions", id, "expire"]) => checkout::expire(work, id),
            ("POST", ["payment_intents"]) => paying::create(work, fields()),
            ("POST", ["refunds"]) => refunds::create(work, fields()),
            ("POST", ["subscriptions", id]) => plans::update(work, id, fields()),
            ("DELETE", ["subscriptions", id]) => plans::cancel(work, id),
            ("POST", ["payment_methods", id, "detach"]) => detach(work, id),
            _ => Err(Refusal::no_path(self.method.as_str(), self.path)),
        }
    }

    fn read(&self, work: &Work<'_>) -> Result<Value, Refusal> {
        let parts = self.parts();
        let (kind, id) = match parts.as_slice() {
            ["payment_intents", "search"] => {
                return search(work, Fields::parse(self.query.as_bytes()));
            }
            ["refunds"] => return self.list(work, "refund"),
            ["disputes"] => return self.list(work, "dispute"),
            ["customers", id] => ("customer", id),
            ["checkout", "sessions", id] => ("checkout.session", id),
            ["payment_intents", id] => ("payment_intent", id),
            ["charges", id] => ("charge", id),
            ["refunds", id] => ("refund", id),
            ["disputes", id] => ("dispute", id),
            ["subscriptions", id] => ("subscription", id),
            ["invoices", id] => ("invoice", id),
            ["setup_intents", id] => ("setup_intent", id),
            ["payment_methods", id] => ("payment_method", id),
            _ => return Err(Refusal::no_path("GET", self.path)),
        };
        Fields::parse(self.query.as_bytes()).finish()?;
        work.found(kind, id).map(shown)
    }

    /// The objects of a kind, newest first, of one payment or all.
    fn list(&self, work: &Work<'_>, kind: &str) -> Result<Value, Refusal> {
        let mut fields = Fields::parse(self.query.as_bytes());
        let intent = fields.take("payment_intent");
        let after = fields.take("starting_after");
        let limit = limit(&mut fields)?;
        fields.finish()?;
        let is_wanted = |it: &&Value| {
            intent.as_deref().is_none_or(|intent| text(it, "payment_intent") == intent)
        };
        let mut rows: Vec<&Value> = work.books.newest(kind).filter(is_wanted).collect();
        if let Some(after) = &after {
            let place = rows.iter().position(|it| text(it, "id") == after);
            let nothing = || Refusal::names_nothing(kind, after, "starting_after");
            rows.drain(..=place.ok_or_else(nothing)?);
        }
        let has_more = rows.len() > limit;
        let data: Vec<Value> = rows.into_iter().take(limit).map(shown).collect();
        Ok(json!({ "object": "list", "url": self.path, "data": data, "has_more": has_more }))
    }
}

fn limit(fields: &mut Fields) -> Result<usize, Refusal> {
    let limit = fields.take_number("limit")?.unwrap_or(ROWS);
    let message = "Invalid integer: limit must be between 1 and 100.";
    let wrong = || Refusal::invalid("parameter_invalid_integer", "limit", message);
    if !(1..=ROWS_MAX).contains(&limit) {
        return Err(wrong());
    }
    usize::try_from(limit).map_err(|_| wrong())
}

/// Payments by one name and value of their metadata.
fn search(work: &Work<'_>, mut fields: Fields) -> Result<Value, Refusal> {
    let query = fields.text("query")?;
    let limit = limit(&mut fields)?;
    let page = fields.take("page");
    fields.finish()?;
    let wrong = || {
        let message = "Write the query as metadata['name']:'value'.";
        Refusal::invalid("parameter_invalid", "query", message)
    };
    let (key, value) = wanted(&query).ok_or_else(wrong)?;
    let from: usize = page.map_or(Ok(0), |page| page.parse()).map_err(|_| wrong())?;
    let payments = work.books.newest("payment_intent");
    let mut found = payments.filter(|it| it["metadata"][&key] == *value).skip(from);
    let data: Vec<Value> = found.by_ref().take(limit).map(shown).collect();
    let has_more = found.next().is_some();
    Ok(json!({
        "object": "search_result", "url": "/v1/payment_intents/search", "has_more": has_more,
        "next_page": has_more.then(|| (from + data.len()).to_string()), "data": data,
    }))
}

/// The name and value of `metadata['name']:'value'`, without their backslashes.
fn wanted(query: &str) -> Option<(String, String)> {
    let rest = query.strip_prefix("metadata['")?;
    let (key, rest) = quoted(rest)?;
    let (value, rest) = quoted(rest.strip_prefix("]:'")?)?;
    rest.is_empty().then_some((key, value))
}

fn quoted(rest: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut letters = rest.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\'' => return Some((text, &rest[at + 1..])),
            '\\' => text.push(letters.next()?.1),
            _ => text.push(letter),
        }
    }
    None
}

fn customer(work: &mut Work<'_>, mut fields: Fields) -> Result<String, Refusal> {
    let (email, name) = (fields.take("email"), fields.take("name"));
    let metadata = fields.take_map("metadata")?;
    fields.finish()?;
    let id = work.make(
        "cus",
        "customer",
        json!({
            "email": email, "name": name, "metadata": metadata,
            "invoice_settings": { "default_payment_method": null },
        }),
    );
    work.tell("customer.created", &id);
    Ok(id)
}

fn detach(work: &mut Work<'_>, id: &str) -> Result<String, Refusal> {
    if work.found("payment_method", id)?["customer"].is_null() {
        let message = "The payment method you provided is not attached to a customer.";
        return Err(Refusal::invalid("payment_method_unexpected_state", "id", message));
    }
    work.set(id, json!({ "customer": null }));
    work.tell("payment_method.detached", id);
    Ok(id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_read() {
        #[rustfmt::skip]
        let cases = [
            ("metadata['a']:'b'", Some(("a", "b"))),
            ("metadata['a\\'c']:'b\\\\'", Some(("a'c", "b\\"))),
            ("metadata['a']:'b' AND status:'x'", None),
            ("status:'succeeded'", None),
            ("metadata['a']:'b", None),
            ("metadata['a]:'b'", None),
        ];
        for (query, expected) in cases {
            let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
            assert_eq!(wanted(query), expected, "{query}");
        }
    }
}
