//! What the credits of a purchase follow from: what is known of its money.
//!
//! News of a payment comes late, twice and in any order. So nothing here is a step from one state
//! to the next: each refund and each dispute is kept as last known ([`Back::join`] of all that was
//! told of it, in any order the same), and [`target`] says from the whole how many credits must
//! have been granted, taken back and frozen by now. Whoever calls it posts the difference to what
//! was posted before.

use serde::Serialize;

use crate::message::words;

words! {
    /// Where a purchase stands.
    PurchaseState {
        /// It is not paid yet.
        Pending = 1 "pending",
        /// It was paid, and its credits were granted.
        Paid = 2 "paid",
        /// It will not be paid: the payment failed.
        Failed = 3 "failed",
        /// It will not be paid: its payment page closed.
        Expired = 4 "expired",
        /// All its money went back.
        Refunded = 5 "refunded",
        /// The cardholder disputes it, or has won a dispute of it.
        Disputed = 6 "disputed",
    }
}

words! {
    /// Where a refund stands. Later ones beat earlier ones: even one that succeeded may fail.
    RefundState {
        /// The money is on its way.
        Pending = 1 "pending",
        /// Somebody must do something first.
        RequiresAction = 2 "requires_action",
        /// The money went back.
        Succeeded = 3 "succeeded",
        /// The money stayed.
        Canceled = 4 "canceled",
        /// The money came back again.
        Failed = 5 "failed",
    }
}

words! {
    /// Where a dispute stands.
    DisputeState {
        /// A bank asks; the money stays so far.
        Watched = 1 "watched",
        /// The money is withheld until it is decided.
        Open = 2 "open",
        /// It was settled before it began; the money stays.
        Prevented = 3 "prevented",
        /// The cardholder keeps the money.
        Lost = 4 "lost",
        /// The money was given back.
        Won = 5 "won",
    }
}

impl RefundState {
    /// What Stripe's word means. A new word is taken for money on its way: that takes credits
    /// too early at worst, and another word gives them back.
    pub fn of_status(word: &str) -> Self {
        Self::parse(word).unwrap_or(Self::Pending)
    }

    /// The money is gone or going.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Pending | Self::RequiresAction | Self::Succeeded)
    }
}

impl DisputeState {
    /// What Stripe's word means. What is asked for early (`warning_…`) moves no money; an appeal
    /// that is not decided counts as open, and a new word too.
    pub fn of_status(word: &str) -> Self {
        match word {
            "won" | "appeal_won" => Self::Won,
            "lost" | "appeal_lost" => Self::Lost,
            "prevented" => Self::Prevented,
            word if word.starts_with("warning_") => Self::Watched,
            _ => Self::Open,
        }
    }

    /// It is decided.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Prevented | Self::Lost | Self::Won)
    }

    /// The money is with the bank.
    pub const fn is_withheld(self) -> bool {
        matches!(self, Self::Open | Self::Lost)
    }

    const fn rank(self) -> i64 {
        if self.is_final() { 3 } else { self as i64 }
    }
}

/// What it is that takes money back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BackState {
    /// A refund.
    Refund(RefundState),
    /// A dispute.
    Dispute(DisputeState),
}

impl BackState {
    /// `refund` or `dispute`.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Refund(_) => "refund",
            Self::Dispute(_) => "dispute",
        }
    }

    /// The word of its state.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refund(state) => state.as_str(),
            Self::Dispute(state) => state.as_str(),
        }
    }

    /// Reads [`Self::kind`] and [`Self::as_str`].
    pub fn parse(kind: &str, word: &str) -> Option<Self> {
        match kind {
            "refund" => RefundState::parse(word).map(Self::Refund),
            "dispute" => DisputeState::parse(word).map(Self::Dispute),
            _ => None,
        }
    }
}

/// One refund or dispute, as it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Back {
    /// Where it stands.
    pub state: BackState,
    /// Money, in the currency's smallest unit.
    pub amount: i64,
    /// When that was so, in microseconds.
    pub version: i64,
}

impl Back {
    /// Both of what was told of one refund or dispute. It does not matter in which order, in which
    /// groups or how often it is told: of a refund the latest state counts (states only grow), of
    /// a dispute a decision before an open question, the newest of several decisions, and of two
    /// at once the better one for the customer.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        match (self.state, other.state) {
            (BackState::Refund(one), BackState::Refund(two)) => Self {
                state: BackState::Refund(one.max(two)),
                amount: self.amount.max(other.amount),
                version: self.version.max(other.version),
            },
            _ if self.weight() >= other.weight() => self,
            _ => other,
        }
    }

    fn weight(&self) -> (i64, i64, BackState, i64) {
        let rank = match self.state {
            BackState::Refund(_) => 0,
            BackState::Dispute(state) => state.rank(),
        };
        (rank, self.version, self.state, self.amount)
    }
}

/// What is known of a purchase besides its refunds and disputes. Money is in the currency's
/// smallest unit; what was bought and what it cost is our own record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bought {
    /// Credits that were bought.
    pub credits: i64,
    /// What they cost; above zero.
    pub amount: i64,
    /// The money is here.
    pub is_paid: bool,
    /// The highest sum of refunds that the charge itself told.
    pub refund_seen: i64,
}

/// What must have been done about a purchase by now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Money that went back by refunds.
    pub refunded: i64,
    /// Money that is disputed or lost in a dispute.
    pub disputed: i64,
    /// Credits that must have been granted.
    pub granted: i64,
    /// Credits that must have been taken back for refunds.
    pub clawed: i64,
    /// Credits that must be frozen for disputes.
    pub held: i64,
    /// Money that refunds and disputes want twice; it takes no credits a second time.
    pub twice: i64,
}

/// What follows from everything that is known. The credits taken never exceed those bought, all
/// money back takes exactly all of them, and a refund of disputed money takes nothing twice.
pub fn target(bought: Bought, backs: &[Back]) -> Target {
    let Bought { credits, amount, .. } = bought;
    let sum = |wanted: fn(BackState) -> bool| -> i64 {
        let wanted = backs.iter().filter(|back| wanted(back.state));
        wanted.map(|back| back.amount.clamp(0, amount)).fold(0, i64::saturating_add)
    };
    let live = sum(|state| matches!(state, BackState::Refund(state) if state.is_live()));
    let failed = sum(|state| matches!(state, BackState::Refund(state) if !state.is_live()));
    let told = bought.refund_seen.saturating_sub(failed);
    let refunded = live.max(told).min(amount);
    let mut disputed =
        sum(|state| matches!(state, BackState::Dispute(state) if state.is_withheld()));
    if crate::mutant!(M38) {
        let lost = |state| matches!(state, BackState::Dispute(DisputeState::Lost));
        disputed = disputed.saturating_add(sum(lost));
    }
    let all = refunded.saturating_add(disputed);
    let money = Target { refunded, disputed, twice: (all - amount).max(0), ..Target::default() };
    if !bought.is_paid {
        return money;
    }
    let taken = share(credits, all.min(amount), amount);
    let clawed = share(credits, refunded, amount);
    Target { granted: credits, clawed, held: taken - clawed, ..money }
}

/// `credits x part / whole`, rounded down.
fn share(credits: i64, part: i64, whole: i64) -> i64 {
    if crate::mutant!(M36) {
        return part.min(credits);
    }
    let share = i128::from(credits) * i128::from(part) / i128::from(whole.max(1));
    i64::try_from(share).expect("a part of the credits is no more than the credits")
}

/// Where a purchase stands; `unpaid` is where it stood as long as it was not paid.
pub const fn state_of(bought: Bought, target: &Target, unpaid: PurchaseState) -> PurchaseState {
    match bought.is_paid {
        false => unpaid,
        true if target.refunded >= bought.amount => PurchaseState::Refunded,
        true if target.disputed > 0 => PurchaseState::Disputed,
        true => PurchaseState::Paid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAID: Bought = Bought { credits: 500, amount: 1000, is_paid: true, refund_seen: 0 };

    fn refund(amount: i64, state: RefundState) -> Back {
        Back { state: BackState::Refund(state), amount, version: 1 }
    }

    fn dispute(amount: i64, state: DisputeState) -> Back {
        Back { state: BackState::Dispute(state), amount, version: 1 }
    }

    #[test]
    fn credits_follow_the_money() {
        use DisputeState::{Lost, Open, Prevented, Watched, Won};
        use RefundState::{Canceled, Failed, Pending, Succeeded};
        let paid = PurchaseState::Paid;
        for (name, bought, backs, (granted, clawed, held), state) in [
            ("paid", PAID, vec![], (500, 0, 0), paid),
            (
                "not paid",
                Bought { is_paid: false, ..PAID },
                vec![refund(1000, Succeeded)],
                (0, 0, 0),
                PurchaseState::Pending,
            ),
            ("part", PAID, vec![refund(250, Succeeded)], (500, 125, 0), paid),
            ("part on its way", PAID, vec![refund(250, Pending)], (500, 125, 0), paid),
            ("rounded down", PAID, vec![refund(333, Succeeded)], (500, 166, 0), paid),
            (
                "two parts",
                PAID,
                vec![refund(333, Succeeded), refund(667, Succeeded)],
                (500, 500, 0),
                PurchaseState::Refunded,
            ),
            (
                "too much",
                PAID,
                vec![refund(900, Succeeded), refund(900, Succeeded)],
                (500, 500, 0),
                PurchaseState::Refunded,
            ),
            ("failed", PAID, vec![refund(1000, Failed)], (500, 0, 0), paid),
            ("canceled", PAID, vec![refund(1000, Canceled)], (500, 0, 0), paid),
            (
                "only told by the charge",
                Bought { refund_seen: 400, ..PAID },
                vec![],
                (500, 200, 0),
                paid,
            ),
            (
                "told by both",
                Bought { refund_seen: 400, ..PAID },
                vec![refund(400, Succeeded)],
                (500, 200, 0),
                paid,
            ),
            (
                "told, then failed",
                Bought { refund_seen: 400, ..PAID },
                vec![refund(400, Failed)],
                (500, 0, 0),
                paid,
            ),
            ("asked for", PAID, vec![dispute(1000, Watched)], (500, 0, 0), paid),
            ("disputed", PAID, vec![dispute(1000, Open)], (500, 0, 500), PurchaseState::Disputed),
            ("partly lost", PAID, vec![dispute(400, Lost)], (500, 0, 200), PurchaseState::Disputed),
            ("won", PAID, vec![dispute(1000, Won)], (500, 0, 0), paid),
            ("prevented", PAID, vec![dispute(1000, Prevented)], (500, 0, 0), paid),
            (
                "won, then refunded",
                PAID,
                vec![dispute(1000, Won), refund(1000, Succeeded)],
                (500, 500, 0),
                PurchaseState::Refunded,
            ),
            (
                "refunded and disputed",
                PAID,
                vec![refund(1000, Succeeded), dispute(1000, Open)],
                (500, 500, 0),
                PurchaseState::Refunded,
            ),
            (
                "partly both",
                PAID,
                vec![refund(600, Succeeded), dispute(1000, Lost)],
                (500, 300, 200),
                PurchaseState::Disputed,
            ),
        ] {
            let found = target(bought, &backs);
            assert_eq!(
                (found.granted, found.clawed, found.held),
                (granted, clawed, held),
                "{name}"
            );
            assert_eq!(state_of(bought, &found, PurchaseState::Pending), state, "{name}");
        }
        let both = target(PAID, &[refund(600, Succeeded), dispute(1000, Lost)]);
        assert_eq!(both.twice, 600);
    }

    #[test]
    fn the_newest_decision_counts() {
        use DisputeState::{Lost, Open, Watched, Won};
        let told = |state, version| Back { version, ..dispute(10, state) };
        for (one, two, wanted) in [
            (told(Open, 9), told(Won, 3), Won),
            (told(Won, 3), told(Lost, 4), Lost),
            (told(Lost, 3), told(Won, 4), Won),
            (told(Lost, 4), told(Won, 4), Won),
            (told(Watched, 9), told(Open, 1), Open),
        ] {
            assert_eq!(one.join(two), two.join(one));
            assert_eq!(one.join(two).state, BackState::Dispute(wanted));
        }
        let (gone, failed) = (refund(10, RefundState::Succeeded), refund(10, RefundState::Failed));
        assert_eq!(gone.join(failed), failed);
        assert_eq!(failed.join(gone), failed);
    }

    #[test]
    fn words_of_stripe_are_read() {
        for (word, state) in [
            ("needs_response", DisputeState::Open),
            ("under_review", DisputeState::Open),
            ("warning_needs_response", DisputeState::Watched),
            ("warning_closed", DisputeState::Watched),
            ("prevented", DisputeState::Prevented),
            ("appeal_under_review", DisputeState::Open),
            ("appeal_lost", DisputeState::Lost),
            ("won", DisputeState::Won),
        ] {
            assert_eq!(DisputeState::of_status(word), state, "{word}");
        }
        assert!(RefundState::of_status("something new").is_live());
        assert!(!RefundState::of_status("failed").is_live());
        for state in [BackState::Refund(RefundState::Failed), BackState::Dispute(DisputeState::Won)]
        {
            assert_eq!(BackState::parse(state.kind(), state.as_str()), Some(state));
        }
    }

    fn any_back() -> impl Strategy<Value = Back> {
        let state = prop_oneof![
            prop::sample::select(RefundState::ALL).prop_map(BackState::Refund),
            prop::sample::select(DisputeState::ALL).prop_map(BackState::Dispute),
        ];
        (state, 0i64..2000, 0i64..4).prop_map(|(state, amount, version)| Back {
            state,
            amount,
            version,
        })
    }

    fn told_of(kind: &'static str) -> impl Strategy<Value = Vec<Back>> {
        let fits = move |back: &Back| back.state.kind() == kind;
        prop::collection::vec(any_back().prop_filter("of one kind", fits), 1..6)
    }

    proptest! {
        #[test]
        fn telling_again_in_another_order_changes_nothing(
            told in prop_oneof![told_of("refund"), told_of("dispute")],
            order in any::<prop::sample::Index>(),
        ) {
            let join = |told: &[Back]| told.iter().copied().reduce(Back::join);
            let wanted = join(&told);
            let mut other = told.clone();
            other.rotate_left(order.index(told.len()));
            other.extend(told.iter().rev().copied());
            prop_assert_eq!(join(&other), wanted);
        }

        #[test]
        fn never_more_than_was_bought(
            credits in 1i64..1_000_000,
            amount in 1i64..1_000_000,
            refund_seen in 0i64..2_000_000,
            backs in prop::collection::vec(any_back(), 0..6),
        ) {
            let bought = Bought { credits, amount, is_paid: true, refund_seen };
            let found = target(bought, &backs);
            prop_assert!(found.clawed >= 0 && found.held >= 0);
            prop_assert!(found.clawed + found.held <= credits);
            let all = found.refunded.saturating_add(found.disputed) >= amount;
            prop_assert_eq!(all, found.clawed + found.held == credits || credits == 0);
        }
    }
}
