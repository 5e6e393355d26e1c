//! Lanes: which texts go before which, where they share a sender or a carrier.

use serde::Serialize;

use crate::message::words;

words! {
    /// A text's lane; the lower its code, the earlier it leaves.
    Lane {
        /// One-time codes: somebody waits with the phone in hand.
        Code = 1 "code",
        /// What cannot wait for the morning.
        Urgent = 2 "urgent",
        /// Answers to a text that came in.
        Reply = 3 "reply",
        /// Reminders of appointments.
        Reminder = 4 "reminder",
        /// Single texts about something.
        Notification = 5 "notification",
        /// Texts to lists.
        Campaign = 6 "campaign",
    }
}
