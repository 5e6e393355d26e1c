//! Every object and event of the sandbox, in memory.
//!
//! An object is Stripe's JSON. What Stripe would keep to itself stands below the field
//! [`PRIVATE`], which is never shown.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;

use super::journal::{Answered, Change};

/// The field of an object that is never shown.
pub(super) const PRIVATE: &str = "_private";

/// For so long an idempotency key is remembered (FACTS 10.4).
const KEY_SECS: i64 = 24 * 3600;

/// Where an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// Waits until somebody flushes.
    Held,
    /// Is on its way, or will be tried again.
    Waiting,
    /// Was taken.
    Taken,
    /// Will not arrive, on purpose.
    Lost,
}

impl Telling {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Waiting => "waiting",
            Self::Taken => "taken",
            Self::Lost => "lost",
        }
    }
}

/// An event.
pub(super) struct Told {
    pub event: Value,
    pub telling: Telling,
    pub tries: u32,
}

/// The books.
#[derive(Default)]
pub(super) struct Books {
    objects: HashMap<String, Value>,
    /// Ids in the order of their making.
    order: Vec<String>,
    pub events: Vec<Told>,
    answers: HashMap<String, Answered>,
    /// Idempotency keys whose requests are being carried out.
    pub busy_keys: HashSet<String>,
    /// Payment pages that are open, by the time they close.
    open_pages: BTreeSet<(i64, String)>,
}

impl Books {
    /// Takes in a change, the first time or again after a restart.
    pub fn apply(&mut self, change: Change) {
        for object in change.objects {
            self.put(object);
        }
        let told = |event| Told { event, telling: Telling::Waiting, tries: 0 };
        self.events.extend(change.events.into_iter().map(told));
        if let Some(answered) = change.answered {
            self.answers.insert(answered.key.clone(), answered);
        }
        if let Some(id) = change.told {
            let found = self.events.iter_mut().rev().find(|told| told.event["id"] == *id);
            if let Some(told) = found {
                told.telling = Telling::Taken;
            }
        }
    }

    fn put(&mut self, object: Value) {
        let id = text(&object, "id").to_owned();
        if text(&object, "object") == "checkout.session" {
            let page = (number(&object, "expires_at"), id.clone());
            if text(&object, "status") == "open" {
                self.open_pages.insert(page);
            } else {
                self.open_pages.remove(&page);
            }
        }
        if self.objects.insert(id.clone(), object).is_none() {
            self.order.push(id);
        }
    }

    /// An object by its id.
    pub fn find(&self, id: &str) -> Option<&Value> {
        self.objects.get(id)
    }

    /// The objects of a kind, newest first.
    pub fn newest<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        let all = self.order.iter().rev().filter_map(|id| self.objects.get(id));
        all.filter(move |object| text(object, "object") == kind)
    }

    /// What a key was answered, unless that is forgotten.
    pub fn answer_to(&self, key: &str, now: i64) -> Option<&Answered> {
        self.answers.get(key).filter(|answered| now - answered.at < KEY_SECS)
    }

    /// The events that were held, now on their way.
    pub fn release(&mut self) -> Vec<usize> {
        let held = |told: &Told| told.telling == Telling::Held;
        let found = (0..self.events.len()).filter(|&index| held(&self.events[index]));
        let found: Vec<usize> = found.collect();
        for &index in &found {
            self.events[index].telling = Telling::Waiting;
        }
        found
    }

    /// A payment page that should be closed by now.
    pub fn overdue_page(&self, now: i64) -> Option<String> {
        let (closes_at, id) = self.open_pages.first()?;
        (*closes_at <= now).then(|| id.clone())
    }
}

/// A field's text, empty if it has none.
pub(super) fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_default()
}

/// A field's number, zero if it has none.
pub(super) fn number(object: &Value, name: &str) -> i64 {
    object[name].as_i64().unwrap_or_default()
}

/// An object as it is shown.
pub(super) fn shown(object: &Value) -> Value {
    let mut shown = object.clone();
    if let Some(fields) = shown.as_object_mut() {
        fields.remove(PRIVATE);
    }
    shown
}
