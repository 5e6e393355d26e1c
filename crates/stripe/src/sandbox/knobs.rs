//! How the sandbox behaves: its faults, and how its events arrive.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

/// Settings that can be changed while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Knobs {
    /// Each event is posted so many times more after it was taken.
    pub duplicate: u32,
    /// Each event waits so long before it is posted.
    pub delay_ms: u64,
    /// Events wait until they are flushed, and then go in any order.
    pub shuffle: bool,
    /// So many of the next events are never posted, unless somebody sends them again.
    pub drop: u32,
    /// The next calls fail.
    pub fail_api: Option<Failing>,
    /// Calls are carried out at once, and answered so much later.
    pub hang_ms: u64,
    /// What becomes of a payment from a bank account.
    pub async_payment: Async,
}

/// Calls that fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failing {
    /// What they are answered: 429, 500 and others; 0 closes the connection.
    pub status: u16,
    /// How many of them; every one without.
    #[serde(default = "all")]
    pub calls: u32,
    /// They are carried out all the same, as when an answer is lost.
    #[serde(default)]
    pub after: bool,
}

const fn all() -> u32 {
    u32::MAX
}

/// What becomes of a payment that takes time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Async {
    /// It is paid a moment later.
    #[default]
    Succeeds,
    /// It fails a moment later.
    Fails,
    /// It waits until somebody settles it.
    Waits,
}

/// A knob that cannot be set so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct KnobError(String);

impl Knobs {
    /// These knobs with the fields of `change` put over them.
    pub(super) fn changed(&self, change: &Value) -> Result<Self, KnobError> {
        let mut all = serde_json::to_value(self).expect("knobs are valid JSON");
        let fields = change.as_object();
        let fields = fields.ok_or_else(|| KnobError("write a JSON object of knobs".to_owned()))?;
        for (name, value) in fields {
            all[name] = value.clone();
        }
        let knobs: Self =
            serde_json::from_value(all).map_err(|error| KnobError(error.to_string()))?;
        match knobs.fail_api {
            Some(Failing { status, .. }) if status != 0 && !(400..600).contains(&status) => {
                Err(KnobError("fail_api: write a status from 400 to 599, or 0".to_owned()))
            }
            _ => Ok(knobs),
        }
    }

    /// The failure of the next call, if it fails.
    pub(super) fn next_failure(&mut self) -> Option<Failing> {
        let failing = self.fail_api.as_mut()?;
        let found = *failing;
        match failing.calls {
            u32::MAX => {}
            0 | 1 => self.fail_api = None,
            _ => failing.calls -= 1,
        }
        (found.calls > 0).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn knobs_change_one_by_one_and_refuse_nonsense() {
        let knobs = Knobs::default().changed(&json!({"duplicate": 2})).expect("fits");
        let knobs = knobs.changed(&json!({"async_payment": "fails"})).expect("fits");
        assert_eq!((knobs.duplicate, knobs.async_payment), (2, Async::Fails));
        for wrong in [
            json!({"duplicate": -1}),
            json!({"duplicates": 1}),
            json!([]),
            json!({"shuffle": 1}),
            json!({"fail_api": {"status": 200}}),
            json!({"fail_api": {}}),
        ] {
            assert!(knobs.changed(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn calls_fail_as_often_as_asked() {
        for (calls, expected) in [(json!(2), 2), (json!(0), 0), (json!(1), 1), (Value::Null, 9)] {
            let mut failing = json!({"status": 500});
            if !calls.is_null() {
                failing["calls"] = calls.clone();
            }
            let knobs = Knobs::default().changed(&json!({"fail_api": failing}));
            let mut knobs = knobs.expect("fits");
            let count = (0..9).filter(|_| knobs.next_failure().is_some()).count();
            assert_eq!(count, expected, "{calls}");
        }
    }
}
