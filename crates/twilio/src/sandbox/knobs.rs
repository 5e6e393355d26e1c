//! How the sandbox behaves: its pace, its failures, what becomes of the texts.

use serde::{Deserialize, Serialize};

/// Settings that can be changed while it runs. Shares are from 0 to 1 and drawn independently for
/// each request, in the order they stand here; the first that happens decides.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Knobs {
    /// Each create takes at least this long.
    pub latency_ms: u64,
    /// And up to this much longer.
    pub latency_jitter_ms: u64,
    /// Requests of any kind answered 401 and 20003; with 1 the credentials are revoked until it is
    /// set back.
    pub share_401: f64,
    /// Answered 429: too many requests. Nothing is accepted.
    pub share_429: f64,
    /// Answered 500. Nothing is accepted, but the caller cannot know.
    pub share_500_before: f64,
    /// Accepted, answered 500 all the same.
    pub share_500_after: f64,
    /// The connection is closed unanswered. Nothing is accepted.
    pub share_drop_before: f64,
    /// Accepted, then the connection is closed unanswered.
    pub share_drop: f64,
    /// Never answered. Nothing is accepted.
    pub share_hang: f64,
    /// Accepted and never answered.
    pub share_hang_after: f64,
    /// Accepted; the answer breaks off before the SID.
    pub share_truncate: f64,
    /// Accepted texts that the network refuses (30003, 30005).
    pub share_undelivered: f64,
    /// Accepted texts that never leave (30008).
    pub share_failed: f64,
    /// How long each accepted text waits in its sender's queue, by the carrier's clock. A text
    /// whose `ValidityPeriod` is shorter fails at its end (30036).
    pub queue_delay_ms: u64,
    /// How long an accepted text is missing from listings, by the carrier's clock.
    pub listing_lag_ms: u64,
    /// Receipts are sent.
    pub receipts: bool,
    /// From acceptance to `sent`, and again to the final receipt.
    pub receipt_delay_ms: u64,
    /// For this long a receipt that nobody takes is tried again, which is kinder than Twilio: it
    /// outlasts a restart of the receiver. With 0 it is as Twilio does: once more after a failed
    /// connection, or as `rc` and `rp` in the callback's fragment ask, and at most for 15 seconds.
    pub receipt_retry_secs: u64,
    /// Receipts sent twice.
    pub share_receipt_twice: f64,
    /// Receipts never sent.
    pub share_receipt_lost: f64,
    /// Receipts that come late, so that later ones overtake them.
    pub share_receipt_late: f64,
    /// How late they come at most.
    pub receipt_late_ms: u64,
    /// Texts whose final receipt comes before their `sent`.
    pub share_receipt_swapped: f64,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            latency_jitter_ms: 0,
            share_401: 0.0,
            share_429: 0.0,
            share_500_before: 0.0,
            share_500_after: 0.0,
            share_drop_before: 0.0,
            share_drop: 0.0,
            share_hang: 0.0,
            share_hang_after: 0.0,
            share_truncate: 0.0,
            share_undelivered: 0.0,
            share_failed: 0.0,
            queue_delay_ms: 0,
            listing_lag_ms: 0,
            receipts: true,
            receipt_delay_ms: 500,
            receipt_retry_secs: 120,
            share_receipt_twice: 0.0,
            share_receipt_lost: 0.0,
            share_receipt_late: 0.0,
            receipt_late_ms: 5000,
            share_receipt_swapped: 0.0,
        }
    }
}

/// A knob that cannot be set so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KnobError(String);

impl Knobs {
    /// These knobs with the fields of `change` put over them.
    pub fn changed(self, change: &serde_json::Value) -> Result<Self, KnobError> {
        let mut all = serde_json::to_value(self).expect("knobs are valid JSON");
        let fields = change
            .as_object()
            .ok_or_else(|| KnobError("write a JSON object of knobs".to_owned()))?;
        for (name, value) in fields {
            all[name] = value.clone();
        }
        let knobs: Self =
            serde_json::from_value(all).map_err(|error| KnobError(error.to_string()))?;
        knobs.checked()
    }

    /// Refuses shares that are no shares.
    pub fn checked(self) -> Result<Self, KnobError> {
        let all = serde_json::to_value(self).expect("knobs are valid JSON");
        let wrong = all.as_object().into_iter().flatten().find(|(name, value)| {
            let share = value.as_f64().unwrap_or(0.0);
            name.starts_with("share_") && !(0.0..=1.0).contains(&share)
        });
        match wrong {
            Some((name, _)) => Err(KnobError(format!("{name}: write a share from 0 to 1"))),
            None => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn knobs_change_one_by_one_and_refuse_nonsense() {
        let knobs = Knobs::default().changed(&json!({"share_429": 0.5})).expect("fits");
        let knobs = knobs.changed(&json!({"latency_ms": 3})).expect("fits");
        assert!((knobs.share_429 - 0.5).abs() < f64::EPSILON && knobs.latency_ms == 3);
        for wrong in
            [json!({"share_429": 2}), json!({"shares": 1}), json!([]), json!({"receipts": 1})]
        {
            assert!(knobs.changed(&wrong).is_err(), "{wrong}");
        }
    }
}
