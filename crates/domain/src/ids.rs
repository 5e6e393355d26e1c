//! Identifiers: newtypes with a prefix, sortable by the time they were made.
//!
//! Outside, an id is a prefix and lower-case Crockford base 32 (`acc_1c9v…`); inside, it is an
//! `i64` (accounts, streams) or 16 bytes of `UUIDv7` (everything else). A message has no id of
//! its own: `msg_…` spells its place, `(account, stream, ord)`, so the hot table needs no second
//! index.

use std::fmt;
use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::instant::Instant;
use crate::lanes::Lane;
use crate::seam::Dice;

static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    spec.translate.from.push_str("ABCDEFGHJKMNPQRSTVWXYZoOiIlL");
    spec.translate.to.push_str("abcdefghjkmnpqrstvwxyz001111");
    spec.encoding().expect("the alphabet is 32 distinct symbols")
});

/// Text that is no id of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id of the form {prefix}_…")]
pub struct IdError {
    text: String,
    prefix: &'static str,
}

fn spell(f: &mut fmt::Formatter<'_>, prefix: &str, bytes: &[u8]) -> fmt::Result {
    write!(f, "{prefix}_{}", BASE32.encode(bytes))
}

fn unspell<const N: usize>(text: &str, prefix: &'static str) -> Result<[u8; N], IdError> {
    text.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .and_then(|rest| BASE32.decode(rest.as_bytes()).ok())
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| IdError { text: text.chars().take(80).collect(), prefix })
}

/// A positive number that sorts by `now` and is hard to guess in its last ten bits; a collision
/// meets a primary key and is tried again.
fn time_sorted(now: Instant, dice: &dyn Dice) -> i64 {
    let low = i64::try_from(dice.below(1024)).expect("below 1024");
    ((now.0 & 0x001F_FFFF_FFFF_FFFF) << 10) | low
}

fn uuid_v7(now: Instant, dice: &dyn Dice) -> [u8; 16] {
    let mut bytes = [0; 16];
    dice.fill(&mut bytes[6..]);
    bytes[..6].copy_from_slice(&now.0.div_euclid(1000).to_be_bytes()[2..]);
    // RFC 9562, section 6.2, method 3: the twelve bits after the version hold the part of the
    // millisecond, so that ids made a microsecond apart sort as they were made.
    let fraction = (now.0.rem_euclid(1000) * 4096 / 1000).to_be_bytes();
    bytes[6] = 0x70 | fraction[6];
    bytes[7] = fraction[7];
    bytes[8] = 0x80 | (bytes[8] & 0x3F);
    bytes
}

macro_rules! text_forms {
    ($name:ident) => {
        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(from)?).map_err(de::Error::custom)
            }
        }
    };
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl $name {
            /// A new id made at `now`.
            pub fn new(now: Instant, dice: &dyn Dice) -> Self {
                Self(time_sorted(now, dice))
            }
            /// Reads the outside form.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                unspell(text, $prefix).map(|bytes| Self(i64::from_be_bytes(bytes)))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                spell(f, $prefix, &self.0.to_be_bytes())
            }
        }
        text_forms!($name);
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// A new id made at `now`.
            pub fn new(now: Instant, dice: &dyn Dice) -> Self {
                Self(uuid_v7(now, dice))
            }
            /// Reads the outside form.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                unspell(text, $prefix).map(Self)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                spell(f, $prefix, &self.0)
            }
        }
        text_forms!($name);
    };
}

number_id!(
    /// A tenant business.
    AccountId, "acc"
);
number_id!(
    /// An ordered list of intended texts: a campaign, or one of an account's endless streams.
    StreamId, "cmp"
);
uuid_id!(
    /// A person who gets texts.
    ContactId, "ct"
);
uuid_id!(
    /// A conversation with a phone.
    ThreadId, "th"
);
uuid_id!(
    /// A text that came in.
    InboundId, "in"
);
uuid_id!(
    /// A booking.
    AppointmentId, "ap"
);
uuid_id!(
    /// A recurring booking.
    SeriesId, "ser"
);
uuid_id!(
    /// A person of a booking.
    AttendeeId, "att"
);
uuid_id!(
    /// A due text about a booking.
    ReminderId, "rem"
);
uuid_id!(
    /// An answer that is waited for.
    RequestId, "req"
);
uuid_id!(
    /// A follow-up for staff.
    TaskId, "tsk"
);
uuid_id!(
    /// An account's own words for a context.
    TemplateId, "tpl"
);
uuid_id!(
    /// A staff member's remark on a thread.
    NoteId, "nt"
);
uuid_id!(
    /// A text that staff sends often.
    CannedReplyId, "cr"
);
uuid_id!(
    /// One run of a rule that acts by itself.
    RunId, "fire"
);
uuid_id!(
    /// A bought number of credits.
    PurchaseId, "pur"
);
uuid_id!(
    /// Credits that expire.
    LotId, "lot"
);
uuid_id!(
    /// An operator's movement of credits.
    AdjustmentId, "adj"
);
uuid_id!(
    /// What keeps texts from leaving until a person lifts it.
    HoldId, "hold"
);
uuid_id!(
    /// Something an account should know.
    NoticeId, "ntc"
);
uuid_id!(
    /// What a text comes from.
    SenderId, "snd"
);
uuid_id!(
    /// An API key (its public name, not its secret).
    KeyId, "key"
);
uuid_id!(
    /// One run of a server process; a restart is a new incarnation.
    Incarnation, "run"
);

impl StreamId {
    /// The endless streams every account has, one per lane.
    pub const ENDLESS: [Self; 5] = [Self(1), Self(2), Self(3), Self(4), Self(5)];

    /// The account's endless stream of this lane; `None` for campaigns, which have their own.
    pub const fn of_lane(lane: Lane) -> Option<Self> {
        match lane {
            Lane::Notification => Some(Self(1)),
            Lane::Code => Some(Self(2)),
            Lane::Urgent => Some(Self(3)),
            Lane::Reply => Some(Self(4)),
            Lane::Reminder => Some(Self(5)),
            Lane::Campaign => None,
        }
    }

    /// The lane its texts go in.
    pub const fn lane(self) -> Lane {
        match self.0 {
            1 => Lane::Notification,
            2 => Lane::Code,
            3 => Lane::Urgent,
            4 => Lane::Reply,
            5 => Lane::Reminder,
            _ => Lane::Campaign,
        }
    }

    /// It has no end: single texts, not a campaign.
    pub fn is_endless(self) -> bool {
        self.lane() != Lane::Campaign
    }
}

/// The place of a message: its account, its stream and its position there, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// Whose message it is.
    pub account: AccountId,
    /// The stream it stands in.
    pub stream: StreamId,
    /// Its position, from 1.
    pub ord: i64,
}

impl MessageId {
    /// The 24 bytes of the place, big-endian.
    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.account.0.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.stream.0.to_be_bytes());
        bytes[16..].copy_from_slice(&self.ord.to_be_bytes());
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8; 24]) -> Self {
        let number = |at: usize| {
            i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes of twenty-four"))
        };
        Self { account: AccountId(number(0)), stream: StreamId(number(8)), ord: number(16) }
    }

    /// Reads the outside form.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        unspell(text, "msg").map(|bytes| Self::from_bytes(&bytes))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        spell(f, "msg", &self.to_bytes())
    }
}
text_forms!(MessageId);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::SeededDice;

    #[test]
    fn ids_read_back_what_they_spell() {
        let dice = SeededDice::new(7);
        let now = Instant(1_795_225_200_000_000);
        let account = AccountId::new(now, &dice);
        let contact = ContactId::new(now, &dice);
        let message = MessageId { account, stream: StreamId(1), ord: 42 };
        assert_eq!(AccountId::parse(&account.to_string()), Ok(account));
        assert_eq!(
            ContactId::parse(&contact.to_string().to_uppercase().replace("CT_", "ct_")),
            Ok(contact)
        );
        assert_eq!(MessageId::parse(&message.to_string()), Ok(message));
    }

    #[test]
    fn every_lane_but_the_campaigns_has_its_endless_stream() {
        for &lane in Lane::ALL {
            let stream = StreamId::of_lane(lane);
            assert_eq!(stream.map(StreamId::lane), Some(lane).filter(|_| stream.is_some()));
            assert_eq!(stream.is_none(), lane == Lane::Campaign);
        }
        for stream in StreamId::ENDLESS {
            assert_eq!(StreamId::of_lane(stream.lane()), Some(stream));
        }
        assert!(!StreamId(6).is_endless());
    }

    #[test]
    fn ids_refuse_other_text() {
        for text in ["", "acc_", "acc", "cmp_0000000000001", "acc_zz", "acc_u000000000001", "é_"] {
            assert!(AccountId::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn later_ids_sort_later() {
        let dice = SeededDice::new(7);
        let early = StreamId::new(Instant(1_795_225_200_000_000), &dice);
        let late = StreamId::new(Instant(1_795_225_200_000_001), &dice);
        assert!(early < late && late.0 > 0);
        let early = ContactId::new(Instant(1_795_225_200_000_998), &dice);
        let late = ContactId::new(Instant(1_795_225_200_000_999), &dice);
        let later = ContactId::new(Instant(1_795_225_200_001_000), &dice);
        assert!(early < late && late < later);
    }
}
