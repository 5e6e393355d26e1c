//! What can become of a message, and what each turn costs.
//!
//! [`fold`] is the whole state machine: it takes a message's present [`State`] and a [`Fact`] and
//! answers the next state and the [`Money`] that moves with it. It is total (every pair has an
//! answer), evidence of acceptance is never thrown away, and money moves at most once each way.
//!
//! `queued` and `sending` are not stored: a text without a row is queued, a reserved one at or
//! below its chunk's high-water mark may be on the wire.

use serde::Serialize;

macro_rules! words {
    (
        $(#[$enum_doc:meta])*
        $enum:ident { $($(#[$doc:meta])* $name:ident = $code:literal $word:literal),* $(,)? }
    ) => {
        $(#[$enum_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $enum { $($(#[$doc])* $name = $code),* }
        impl $enum {
            /// Every member, in the order of its code.
            pub const ALL: &[Self] = &[$(Self::$name),*];
            /// The small integer kept in hot tables.
            pub const fn code(self) -> i64 { self as i64 }
            /// Reads [`Self::code`].
            pub const fn from_code(code: i64) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
            /// The word used in SQL, JSON, logs and on pages.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }
            /// Reads [`Self::as_str`].
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$name),)* _ => None }
            }
        }
        impl Serialize for $enum {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }
        impl std::fmt::Display for $enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// Where a message stands.
    State {
        /// Waits for a permitted time, for credits or for its next attempt; nothing is reserved.
        Deferred = 1 "deferred",
        /// Paid for and on its way to the carrier.
        Reserved = 2 "reserved",
        /// It cannot be known (yet) whether the carrier took it; its credits stay reserved.
        Unknown = 3 "unknown",
        /// The carrier took it.
        Accepted = 4 "accepted",
        /// The carrier passed it on.
        Sent = 5 "sent",
        /// It reached the phone.
        Delivered = 6 "delivered",
        /// The mobile network refused it; carriers charge for it.
        Undelivered = 7 "undelivered",
        /// It never left the carrier; its credits were given back.
        Failed = 8 "failed",
        /// The recipient read it.
        Read = 9 "read",
        /// The carrier refused it.
        Rejected = 10 "rejected",
        /// The gate refused it: consent, opt-out, a block, a limit.
        Suppressed = 11 "suppressed",
        /// It could not be a text: bad number, missing template variable, too long.
        Invalid = 12 "invalid",
        /// Its deadline passed before it could leave.
        Expired = 13 "expired",
        /// Stopped by a person before it left.
        Canceled = 14 "canceled",
        /// Proven never to have been accepted; not sent again.
        Absent = 15 "absent",
    }
}

impl State {
    /// Credits are reserved for it.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Reserved | Self::Unknown)
    }

    /// Its credits are spent.
    pub const fn is_charged(self) -> bool {
        matches!(
            self,
            Self::Accepted | Self::Sent | Self::Delivered | Self::Undelivered | Self::Read
        )
    }

    /// The carrier took it, whatever came after.
    pub const fn is_taken(self) -> bool {
        self.is_charged() || matches!(self, Self::Failed)
    }

    /// How far along a taken message is; news of a lower or equal rank changes nothing.
    const fn rank(self) -> u8 {
        match self {
            Self::Accepted => 2,
            Self::Sent => 4,
            Self::Delivered | Self::Undelivered | Self::Failed => 5,
            Self::Read => 6,
            _ => 0,
        }
    }
}

/// What a carrier's receipt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Receipt {
    /// `accepted`, `queued`, `sending`, `scheduled`: it was taken, no more.
    Taken,
    /// Passed on to the network.
    Sent,
    /// Reached the phone.
    Delivered,
    /// Refused by the network.
    Undelivered,
    /// Never left the carrier, or was canceled there.
    Failed,
    /// Read.
    Read,
}

impl Receipt {
    /// Every receipt.
    pub const ALL: &[Self] =
        &[Self::Taken, Self::Sent, Self::Delivered, Self::Undelivered, Self::Failed, Self::Read];

    /// The state it brings a message to.
    pub const fn state(self) -> State {
        match self {
            Self::Taken => State::Accepted,
            Self::Sent => State::Sent,
            Self::Delivered => State::Delivered,
            Self::Undelivered => State::Undelivered,
            Self::Failed => State::Failed,
            Self::Read => State::Read,
        }
    }
}

/// Something learnt about a message that has a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    /// The carrier answered 2xx with a SID.
    Accepted,
    /// A receipt came.
    Receipt(Receipt),
    /// The carrier refused it for good.
    Rejected,
    /// No request byte was written, or the carrier said 429, or a proof that the dead owner never
    /// began: it may be tried again later.
    NotSent,
    /// Whether the carrier took it cannot be known.
    Lost,
    /// Proven never accepted, by the time bound and complete listings.
    Absent,
    /// Proven never accepted, and still worth sending.
    Requeued,
    /// The recipient opted out before it left.
    OptedOut,
    /// Its deadline passed before it left.
    Expired,
    /// A person stopped it before it left.
    Canceled,
}

/// What happens to the message's price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Money {
    /// Nothing.
    Keep,
    /// reserved -> spent
    Settle,
    /// reserved -> available
    Release,
    /// spent -> available
    Refund,
    /// available -> spent, after the reservation had been released: an incident.
    LateCharge,
}

/// The answer of [`fold`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// The state afterwards.
    pub state: State,
    /// What moves with it.
    pub money: Money,
}

const fn step(state: State, money: Money) -> Step {
    Step { state, money }
}

/// The next state of a message and the money that moves.
pub fn fold(now: State, fact: Fact) -> Step {
    let stay = step(now, Money::Keep);
    match fact {
        Fact::Accepted => taken(now, State::Accepted),
        Fact::Receipt(receipt) => taken(now, receipt.state()),
        Fact::Lost if now == State::Reserved => step(State::Unknown, Money::Keep),
        Fact::Lost => stay,
        Fact::Absent if now == State::Unknown => step(State::Absent, Money::Release),
        Fact::Requeued if now == State::Unknown => step(State::Deferred, Money::Release),
        Fact::Absent | Fact::Requeued => stay,
        // The owner's own word is evidence and is taken late too, hence also from `unknown`.
        Fact::Rejected if now.is_open() || crate::mutant!(M35) => {
            step(State::Rejected, Money::Release)
        }
        Fact::NotSent if now.is_open() => step(State::Deferred, Money::Release),
        // Only a text that has not left can be stopped; `unknown` may have left.
        Fact::OptedOut => stopped(now, State::Suppressed),
        Fact::Expired => stopped(now, State::Expired),
        Fact::Canceled => stopped(now, State::Canceled),
        Fact::Rejected | Fact::NotSent => stay,
    }
}

fn taken(now: State, news: State) -> Step {
    if now.is_open() || crate::mutant!(M3) {
        let money = if news == State::Failed { Money::Release } else { Money::Settle };
        return step(news, money);
    }
    if now.is_taken() {
        if news.rank() <= now.rank() && !crate::mutant!(M27) {
            return step(now, Money::Keep);
        }
        return match news {
            State::Failed => step(State::Failed, Money::Refund),
            // Read after failed: the carrier contradicts itself; it was delivered, so it is paid.
            _ if now == State::Failed => step(news, Money::LateCharge),
            _ => step(news, Money::Keep),
        };
    }
    if news == State::Failed {
        return step(State::Failed, Money::Keep);
    }
    step(news, Money::LateCharge)
}

const fn stopped(now: State, to: State) -> Step {
    match now {
        State::Reserved => step(to, Money::Release),
        State::Deferred => step(to, Money::Keep),
        _ => step(now, Money::Keep),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::*;

    fn facts() -> Vec<Fact> {
        let mut all = vec![
            Fact::Accepted,
            Fact::Rejected,
            Fact::NotSent,
            Fact::Lost,
            Fact::Absent,
            Fact::Requeued,
            Fact::OptedOut,
            Fact::Expired,
            Fact::Canceled,
        ];
        all.extend(Receipt::ALL.iter().map(|&receipt| Fact::Receipt(receipt)));
        all
    }

    #[test]
    fn the_table_of_turns() {
        let cases = [
            (Reserved, Fact::Accepted, Accepted, Money::Settle),
            (Unknown, Fact::Accepted, Accepted, Money::Settle),
            (Unknown, Fact::Receipt(Receipt::Delivered), Delivered, Money::Settle),
            (Reserved, Fact::Receipt(Receipt::Sent), Sent, Money::Settle),
            (Reserved, Fact::Receipt(Receipt::Failed), Failed, Money::Release),
            (Delivered, Fact::Accepted, Delivered, Money::Keep),
            (Delivered, Fact::Receipt(Receipt::Sent), Delivered, Money::Keep),
            (Delivered, Fact::Receipt(Receipt::Failed), Delivered, Money::Keep),
            (Sent, Fact::Receipt(Receipt::Failed), Failed, Money::Refund),
            (Failed, Fact::Receipt(Receipt::Failed), Failed, Money::Keep),
            (Sent, Fact::Receipt(Receipt::Undelivered), Undelivered, Money::Keep),
            (Delivered, Fact::Receipt(Receipt::Read), Read, Money::Keep),
            (Reserved, Fact::Rejected, Rejected, Money::Release),
            (Unknown, Fact::Rejected, Rejected, Money::Release),
            (Reserved, Fact::NotSent, Deferred, Money::Release),
            (Accepted, Fact::Rejected, Accepted, Money::Keep),
            (Reserved, Fact::Lost, Unknown, Money::Keep),
            (Accepted, Fact::Lost, Accepted, Money::Keep),
            (Unknown, Fact::Absent, Absent, Money::Release),
            (Reserved, Fact::Absent, Reserved, Money::Keep),
            (Unknown, Fact::Requeued, Deferred, Money::Release),
            (Reserved, Fact::Requeued, Reserved, Money::Keep),
            (Absent, Fact::Receipt(Receipt::Delivered), Delivered, Money::LateCharge),
            (Deferred, Fact::Accepted, Accepted, Money::LateCharge),
            (Canceled, Fact::Receipt(Receipt::Failed), Failed, Money::Keep),
            (Reserved, Fact::OptedOut, Suppressed, Money::Release),
            (Deferred, Fact::Canceled, Canceled, Money::Keep),
            (Unknown, Fact::Canceled, Unknown, Money::Keep),
            (Unknown, Fact::OptedOut, Unknown, Money::Keep),
        ];
        for (now, fact, state, money) in cases {
            assert_eq!(fold(now, fact), step(state, money), "{now} {fact:?}");
        }
    }

    #[test]
    fn money_follows_the_state_for_every_pair() {
        for &now in State::ALL {
            for fact in facts() {
                let Step { state, money } = fold(now, fact);
                let held = |state: State| i32::from(state.is_open());
                let spent = |state: State| i32::from(state.is_charged());
                let (reserved, charged) = match money {
                    Money::Keep => (0, 0),
                    Money::Settle => (-1, 1),
                    Money::Release => (-1, 0),
                    Money::Refund => (0, -1),
                    Money::LateCharge => (0, 1),
                };
                assert_eq!(held(state) - held(now), reserved, "{now} {fact:?}");
                assert_eq!(spent(state) - spent(now), charged, "{now} {fact:?}");
            }
        }
    }

    #[test]
    fn a_fact_told_twice_changes_nothing_more() {
        for &now in State::ALL {
            for fact in facts() {
                let once = fold(now, fact).state;
                assert_eq!(fold(once, fact), step(once, Money::Keep), "{now} {fact:?}");
            }
        }
    }

    #[test]
    fn receipts_in_any_order_end_the_same() {
        for &last in &[Receipt::Delivered, Receipt::Undelivered] {
            let news = [
                Fact::Accepted,
                Fact::Receipt(Receipt::Taken),
                Fact::Receipt(Receipt::Sent),
                Fact::Receipt(last),
            ];
            for a in 0..4 {
                for b in (0..4).filter(|b| *b != a) {
                    for c in (0..4).filter(|c| *c != a && *c != b) {
                        let order = [a, b, c, 6 - a - b - c];
                        let end =
                            order.iter().fold(Reserved, |state, &n| fold(state, news[n]).state);
                        assert_eq!(end, last.state(), "{order:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn words_and_codes_read_back() {
        for &state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
            assert_eq!(State::from_code(state.code()), Some(state));
        }
    }
}
