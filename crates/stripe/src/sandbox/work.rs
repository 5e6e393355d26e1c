//! One change of the books while it is being made: objects are put, events told, and all of it is
//! written in one line at the end.

use domain::seam::Dice;
use serde_json::{Value, json};

use super::books::{Books, PRIVATE, shown, text};
use super::journal::Change;
use super::knobs::Knobs;
use super::refusal::Refusal;
use crate::API_VERSION;

/// A change in the making.
pub(super) struct Work<'a> {
    pub books: &'a mut Books,
    pub knobs: &'a Knobs,
    dice: &'a dyn Dice,
    /// In seconds.
    pub now: i64,
    /// Where this server is, as whoever asked calls it.
    pub origin: &'a str,
    /// Named in the events.
    pub idem_key: Option<&'a str>,
    pub change: Change,
}

impl<'a> Work<'a> {
    /// Nothing is changed yet.
    pub fn new(
        books: &'a mut Books,
        knobs: &'a Knobs,
        dice: &'a dyn Dice,
        now: i64,
        origin: &'a str,
        idem_key: Option<&'a str>,
    ) -> Self {
        Self { books, knobs, dice, now, origin, idem_key, change: Change::default() }
    }

    /// An id that nothing has.
    pub fn fresh_id(&self, prefix: &str) -> String {
        const LETTERS: &[u8; 62] =
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let letter = |_| char::from(LETTERS[usize::try_from(self.dice.below(62)).unwrap_or(0)]);
        let id: String = (0..24).map(letter).collect();
        format!("{prefix}_{id}")
    }

    /// Makes an object of a kind: its id, and the fields that all have.
    pub fn make(&mut self, prefix: &str, kind: &str, fields: Value) -> String {
        let id = self.fresh_id(prefix);
        let mut object = fields;
        object["id"] = json!(id);
        object["object"] = json!(kind);
        object["created"] = json!(self.now);
        object["livemode"] = json!(false);
        self.put(object);
        id
    }

    fn put(&mut self, object: Value) {
        let change = Change { objects: vec![object.clone()], ..Change::default() };
        self.books.apply(change);
        let id = text(&object, "id");
        let earlier = self.change.objects.iter_mut().find(|it| text(it, "id") == id);
        match earlier {
            Some(earlier) => *earlier = object,
            None => self.change.objects.push(object),
        }
    }

    /// An object that must be there.
    pub fn object(&self, id: &str) -> &Value {
        self.books.find(id).expect("it was made before")
    }

    /// An object of a kind by its id, or Stripe's 404.
    pub fn found(&self, kind: &str, id: &str) -> Result<&Value, Refusal> {
        let found = self.books.find(id).filter(|object| text(object, "object") == kind);
        found.ok_or_else(|| Refusal::no_such(kind, id))
    }

    /// Puts `fields` over an object's.
    pub fn set(&mut self, id: &str, fields: Value) {
        let mut object = self.object(id).clone();
        if let Value::Object(fields) = fields {
            for (name, value) in fields {
                object[name] = value;
            }
        }
        self.put(object);
    }

    /// A field that is never shown.
    pub fn private(&self, id: &str, name: &str) -> &Value {
        &self.object(id)[PRIVATE][name]
    }

    /// Tells of an object as it is now.
    pub fn tell(&mut self, kind: &str, id: &str) {
        let event = json!({
            "id": self.fresh_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": { "object": shown(self.object(id)) },
            "livemode": false,
            "pending_webhooks": 1,
            "request": { "id": null, "idempotency_key": self.idem_key },
            "type": kind,
        });
        self.change.events.push(event);
    }

    /// An object as it is shown.
    pub fn show(&self, id: &str) -> Value {
        shown(self.object(id))
    }
}
