//! The life of a message as Twilio tells it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A message's status (FACTS 1.3; Twilio's `message_enum_status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum MessageStatus {
    /// Waits for its `SendAt`.
    Scheduled,
    /// Taken by a messaging service which has not picked a sender yet.
    Accepted,
    /// In the sender's queue.
    Queued,
    /// On its way to the carrier.
    Sending,
    /// The carrier took it. Can be final: not every carrier returns receipts.
    Sent,
    /// It never left Twilio; not charged.
    Failed,
    /// The carrier could not deliver it; charged.
    Undelivered,
    /// The handset, or its carrier, confirmed it.
    Delivered,
    /// Canceled while scheduled.
    Canceled,
    /// Read by the recipient (WhatsApp, RCS).
    Read,
    /// An inbound message is arriving.
    Receiving,
    /// An inbound message arrived.
    Received,
    /// Deprecated by Twilio; part of a long message arrived.
    PartiallyDelivered,
}

/// The text was not a status that Twilio documents.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a message status: {0:?}")]
pub struct StatusError(pub String);

impl MessageStatus {
    /// Every status.
    pub const ALL: [Self; 13] = [
        Self::Scheduled,
        Self::Accepted,
        Self::Queued,
        Self::Sending,
        Self::Sent,
        Self::Failed,
        Self::Undelivered,
        Self::Delivered,
        Self::Canceled,
        Self::Read,
        Self::Receiving,
        Self::Received,
        Self::PartiallyDelivered,
    ];

    /// How far along it is; receipts arrive in any order, so a status is applied only when its
    /// rank is higher than the one held (FACTS 1.3). Inbound statuses rank with their peers.
    pub const fn rank(self) -> u8 {
        match self {
            Self::Scheduled => 0,
            Self::Accepted => 1,
            Self::Queued | Self::Receiving => 2,
            Self::Sending => 3,
            Self::Sent => 4,
            Self::Failed
            | Self::Undelivered
            | Self::Delivered
            | Self::Canceled
            | Self::Received
            | Self::PartiallyDelivered => 5,
            Self::Read => 6,
        }
    }

    /// Whether nothing but `read` can follow.
    pub const fn is_final(self) -> bool {
        self.rank() >= 5
    }

    /// Twilio's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Accepted => "accepted",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Undelivered => "undelivered",
            Self::Delivered => "delivered",
            Self::Canceled => "canceled",
            Self::Read => "read",
            Self::Receiving => "receiving",
            Self::Received => "received",
            Self::PartiallyDelivered => "partially_delivered",
        }
    }
}

impl fmt::Display for MessageStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for MessageStatus {
    type Err = StatusError;

    fn from_str(text: &str) -> Result<Self, StatusError> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| StatusError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_round_and_match_the_json() {
        for (place, status) in MessageStatus::ALL.into_iter().enumerate() {
            assert_eq!(status as usize, place);
            assert_eq!(status.as_str().parse(), Ok(status));
            let json = serde_json::to_string(&status).unwrap();
            assert_eq!(json, format!("\"{status}\""));
        }
        assert!("Delivered".parse::<MessageStatus>().is_err());
    }

    #[test]
    fn ranks_only_rise_along_every_documented_path() {
        use MessageStatus::{
            Accepted, Canceled, Delivered, Failed, Queued, Read, Scheduled, Sending, Sent,
            Undelivered,
        };
        let paths: [&[MessageStatus]; 5] = [
            &[Accepted, Queued, Sending, Sent, Delivered, Read],
            &[Scheduled, Queued, Sending, Sent, Undelivered],
            &[Queued, Failed],
            &[Sending, Failed],
            &[Scheduled, Canceled],
        ];
        for path in paths {
            assert!(path.is_sorted_by(|a, b| a.rank() < b.rank()), "{path:?}");
        }
    }
}
