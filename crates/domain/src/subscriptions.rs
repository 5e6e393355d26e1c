//! How an account's subscription stands, and what that entitles it to.
//!
//! An account has one standing at a time. Where it comes from: an operator's word, or what Stripe
//! said of its subscriptions. News of those comes late, twice and in any order, so each one is
//! folded into what was [`Heard`] of its subscription, and the standing follows from that: the
//! same news in any order makes the same standing. [`entitlement`] is what the gate asks.

use std::time::Duration;

use jiff::ToSpan as _;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::instant::Instant;
use crate::message::words;
use crate::plans::{self, Plan};

words! {
    /// Where a subscription stands, in Stripe's words.
    State {
        /// Its first payment is not made yet.
        Incomplete = 1 "incomplete",
        /// Its first payment was never made.
        IncompleteExpired = 2 "incomplete_expired",
        /// Not paid for yet, and not to be.
        Trialing = 3 "trialing",
        /// Paid.
        Active = 4 "active",
        /// A payment failed and is tried again.
        PastDue = 5 "past_due",
        /// A payment failed for good.
        Unpaid = 6 "unpaid",
        /// Over.
        Canceled = 7 "canceled",
        /// At rest until somebody goes on with it.
        Paused = 8 "paused",
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let word = String::deserialize(from)?;
        Self::parse(&word).ok_or_else(|| de::Error::custom("no state of a subscription"))
    }
}

words! {
    /// Whose word a standing is.
    Source {
        /// An operator gave it.
        Operator = 1 "operator",
        /// The customer pays it at Stripe.
        Stripe = 2 "stripe",
    }
}

impl State {
    /// Nothing follows it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::IncompleteExpired | Self::Canceled)
    }

    /// The customer has the plan, or had it until a payment failed.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Trialing | Self::Active | Self::PastDue)
    }

    /// Of several subscriptions of an account, the one further on in this counts.
    const fn class(self) -> u8 {
        match self {
            Self::Trialing | Self::Active | Self::PastDue => 3,
            Self::Unpaid | Self::Paused => 2,
            Self::Incomplete => 1,
            Self::IncompleteExpired | Self::Canceled => 0,
        }
    }

    /// Which of two pieces of news of the same moment is believed: the later in a life's course.
    const fn rank(self) -> u8 {
        match self {
            Self::Incomplete => 0,
            Self::Trialing => 1,
            Self::Active => 2,
            Self::Paused => 3,
            Self::PastDue => 4,
            Self::Unpaid => 5,
            Self::IncompleteExpired => 6,
            Self::Canceled => 7,
        }
    }
}

/// An account's standing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The key of its plan.
    pub plan: String,
    /// Where it stands.
    pub state: State,
    /// Whose word that is.
    pub source: Source,
    /// `sub_…`, if it is Stripe's.
    pub stripe_subscription: Option<String>,
    /// When the present period began.
    pub period_start: Instant,
    /// When it ends.
    pub period_end: Instant,
    /// It ends with its period.
    pub cancel_at_period_end: bool,
    /// Since when a payment is due; only while it is.
    pub past_due_since: Option<Instant>,
    /// When the newest word about it was spoken, in microseconds.
    pub version: i64,
}

/// One piece of news from Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// `sub_…`.
    pub id: String,
    /// Its plan, if the news names one.
    pub plan: Option<String>,
    /// Where it stands.
    pub state: State,
    /// When its period began.
    pub period_start: Instant,
    /// When its period ends.
    pub period_end: Instant,
    /// It ends with its period.
    pub cancel_at_period_end: bool,
    /// When that was so, in microseconds.
    pub version: i64,
}

/// What is known of one of Stripe's subscriptions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    id: String,
    plan: String,
    plan_version: i64,
    state: State,
    period_start: Instant,
    period_end: Instant,
    cancel_at_period_end: bool,
    version: i64,
    /// The newest news of it that was not of a payment that is due.
    well: i64,
    /// News of a payment that is due, no older than that.
    due: Vec<i64>,
    /// An operator decided otherwise.
    overruled: bool,
}

/// Subscriptions at Stripe that are remembered of an account.
const HEARD_MAX: usize = 50;
/// Pieces of news of a payment that is due that are remembered.
const DUE_MAX: usize = 50;

impl Heard {
    fn of(news: &News, plan: &str) -> Self {
        Self {
            id: news.id.clone(),
            plan: plan.to_owned(),
            plan_version: news.version,
            state: news.state,
            period_start: news.period_start,
            period_end: news.period_end,
            cancel_at_period_end: news.cancel_at_period_end,
            version: news.version,
            well: i64::MIN,
            due: Vec::new(),
            overruled: false,
        }
    }

    /// Takes news in. Each part of what is kept is a maximum or a set, so order does not matter.
    fn fold(&mut self, news: &News) {
        let told = (news.state.is_final(), news.version, news.state.rank());
        let known = (self.state.is_final(), self.version, self.state.rank());
        let ends = |start: Instant, end: Instant, cancels: bool| (start, end, cancels);
        let told = (told, ends(news.period_start, news.period_end, news.cancel_at_period_end));
        let known = (known, ends(self.period_start, self.period_end, self.cancel_at_period_end));
        if told > known {
            (self.state, self.version) = (news.state, news.version);
            (self.period_start, self.period_end) = (news.period_start, news.period_end);
            self.cancel_at_period_end = news.cancel_at_period_end;
        }
        if let Some(plan) = &news.plan
            && (news.version, plan) > (self.plan_version, &self.plan)
        {
            (self.plan_version, self.plan) = (news.version, plan.clone());
        }
        if news.state == State::PastDue {
            self.due.push(news.version);
        } else {
            self.well = self.well.max(news.version);
        }
        let well = self.well;
        self.due.retain(|version| *version >= well);
        self.due.sort_unstable();
        self.due.dedup();
        self.due.truncate(DUE_MAX);
    }

    fn standing(&self) -> Subscription {
        let due_since = self.due.first().copied().unwrap_or(self.version);
        Subscription {
            plan: self.plan.clone(),
            state: self.state,
            source: Source::Stripe,
            stripe_subscription: Some(self.id.clone()),
            period_start: self.period_start,
            period_end: self.period_end,
            cancel_at_period_end: self.cancel_at_period_end,
            past_due_since: (self.state == State::PastDue).then_some(Instant(due_since)),
            version: self.version,
        }
    }
}

/// Takes news in; `false` when it is of a subscription that is not ours: one that never named a
/// plan.
pub fn hear(heard: &mut Vec<Heard>, news: &News) -> bool {
    let known = heard.iter().position(|one| one.id == news.id);
    let at = match (known, &news.plan) {
        (Some(at), _) => at,
        (None, Some(plan)) => {
            heard.push(Heard::of(news, plan));
            heard.len() - 1
        }
        (None, None) => return false,
    };
    heard[at].fold(news);
    if heard.len() > HEARD_MAX {
        heard.sort_by(|a, b| order(b).cmp(&order(a)));
        heard.truncate(HEARD_MAX);
    }
    heard.sort_by(|a, b| a.id.cmp(&b.id));
    true
}

fn order(one: &Heard) -> (u8, i64, &str) {
    (one.state.class(), one.version, &one.id)
}

/// Which plan a subscription of Stripe's is for, as far as is known.
pub fn plan_of<'a>(heard: &'a [Heard], id: &str) -> Option<&'a str> {
    heard.iter().find(|one| one.id == id).map(|one| one.plan.as_str())
}

/// The standing that follows from what was heard. An operator's word stands over all that was
/// known when it was spoken; a subscription that the customer buys later takes its place.
pub fn standing(before: Option<&Subscription>, heard: &[Heard]) -> Option<Subscription> {
    let best = |heard: &mut dyn Iterator<Item = &Heard>| {
        heard.max_by(|a, b| order(a).cmp(&order(b))).map(Heard::standing)
    };
    match before.filter(|before| before.source == Source::Operator) {
        Some(word) => {
            let newer =
                |one: &&Heard| one.state.is_live() && !one.overruled && one.version > word.version;
            best(&mut heard.iter().filter(newer)).or_else(|| Some(word.clone()))
        }
        None => best(&mut heard.iter()).or_else(|| before.cloned()),
    }
}

/// An operator's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The key of the plan.
    pub plan: String,
    /// Where it stands from now on.
    pub state: State,
    /// When the present period ends; without one it ends when it did, or in a month.
    pub period_end: Option<Instant>,
    /// It ends with its period.
    pub cancel_at_period_end: bool,
}

/// The standing that an operator gives. A period of an operator's that is not over goes on; else
/// one begins now. All that was heard from Stripe until now is overruled.
pub fn given(
    before: Option<&Subscription>,
    heard: &mut [Heard],
    word: &Word,
    now: Instant,
) -> Subscription {
    for one in heard {
        one.overruled = true;
    }
    let going = before.filter(|before| {
        before.source == Source::Operator && !before.state.is_final() && now < before.period_end
    });
    let trial = plans::find(&word.plan).map_or(0, |plan| plan.trial_days);
    let usual = || match word.state {
        State::Trialing if trial > 0 => now + days(trial),
        _ => add_months(now, 1),
    };
    let due_since = before.and_then(|before| before.past_due_since).unwrap_or(now);
    Subscription {
        plan: word.plan.clone(),
        state: word.state,
        source: Source::Operator,
        stripe_subscription: None,
        period_start: going.map_or(now, |before| before.period_start),
        period_end: word
            .period_end
            .or_else(|| going.map(|before| before.period_end))
            .unwrap_or_else(usual),
        cancel_at_period_end: word.cancel_at_period_end,
        past_due_since: (word.state == State::PastDue).then_some(due_since),
        version: now.0,
    }
}

impl Subscription {
    /// When something happens to it by itself: an operator's subscriptions go from period to
    /// period, Stripe's wait for news.
    pub fn next_at(&self) -> Option<Instant> {
        let turns = matches!(self.state, State::Trialing | State::Active);
        (self.source == Source::Operator && turns).then_some(self.period_end)
    }

    /// What becomes of an operator's subscription when its period is over.
    #[must_use]
    pub fn renewed(&self) -> Self {
        let after = self.clone();
        if self.cancel_at_period_end {
            return Self { state: State::Canceled, ..after };
        }
        let period_end = next_period_end(self.period_start, self.period_end);
        Self { state: State::Active, period_start: self.period_end, period_end, ..after }
    }

    /// What the credits of its present period are known by in the ledger; one period, one effect.
    pub fn period_key(&self) -> String {
        period_key(self.stripe_subscription.as_deref(), self.period_start)
    }

    /// Until when texts leave although a payment is due.
    pub fn grace_until(&self) -> Option<Instant> {
        let grace = plans::find(&self.plan).map_or(0, |plan| plan.grace_days);
        self.past_due_since.map(|since| since + days(grace))
    }
}

/// What the credits of a period are known by in the ledger.
pub fn period_key(stripe_subscription: Option<&str>, period_start: Instant) -> String {
    format!("sub:{}:{}", stripe_subscription.unwrap_or("operator"), period_start.seconds())
}

const fn days(days: u32) -> Duration {
    Duration::from_secs(days as u64 * 86_400)
}

/// So many months later, on the same day of the month in UTC or on the last there is.
pub fn add_months(at: Instant, months: u32) -> Instant {
    let later = at.timestamp().to_zoned(TimeZone::UTC).checked_add(i64::from(months).months());
    later.map_or(Instant::MAX, |later| later.timestamp().into())
}

/// The end of the period behind one: a month later. A period that was cut short by the end of a
/// short month does not cut those behind it.
fn next_period_end(start: Instant, end: Instant) -> Instant {
    let zoned = |at: Instant| at.timestamp().to_zoned(TimeZone::UTC);
    let (first, last) = (zoned(start), zoned(end));
    let was_cut = last.day() == last.days_in_month() && first.day() > last.day();
    let next = zoned(add_months(end, 1));
    if !was_cut {
        return next.timestamp().into();
    }
    let day = first.day().min(next.days_in_month());
    next.with().day(day).build().map_or(next.timestamp(), |next| next.timestamp()).into()
}

/// What an account may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entitlement {
    /// Texts may leave; else why not, in words.
    pub sends: Result<(), String>,
    /// Campaigns may run; else why not, in words.
    pub campaigns: Result<(), String>,
    /// Senders it may have.
    pub senders_max: Option<u32>,
    /// Texts it may send in an hour.
    pub hourly: Option<u32>,
}

/// What a standing entitles to now. An account that never subscribed pays as it goes and may do
/// everything. A plan that is not in the list limits nothing.
pub fn entitlement(subscription: Option<&Subscription>, now: Instant) -> Entitlement {
    let Some(subscription) = subscription else {
        return Entitlement { sends: Ok(()), campaigns: Ok(()), senders_max: None, hourly: None };
    };
    let plan = plans::find(&subscription.plan);
    let sends = sends(subscription, plan, now);
    let campaigns = match plan.filter(|plan| !plan.campaigns) {
        Some(plan) => Err(format!("the plan {} has no campaigns", plan.name)),
        None => Ok(()),
    };
    Entitlement {
        campaigns: sends.clone().and(campaigns),
        sends,
        senders_max: plan.and_then(|plan| plan.senders_max),
        hourly: plan.and_then(|plan| plan.hourly_texts_max),
    }
}

fn sends(one: &Subscription, plan: Option<&Plan>, now: Instant) -> Result<(), String> {
    let name = plan.map_or(one.plan.as_str(), |plan| plan.name.as_str());
    let day = |at: Instant| at.timestamp().strftime("%Y-%m-%d").to_string();
    let is_over = now >= one.period_end;
    match one.state {
        State::Trialing | State::Active | State::Canceled
            if one.cancel_at_period_end && !is_over =>
        {
            Ok(())
        }
        State::Trialing | State::Active if !one.cancel_at_period_end => Ok(()),
        State::Trialing | State::Active | State::Canceled => {
            Err(format!("the subscription to {name} is over"))
        }
        State::PastDue => {
            let since = one.past_due_since.unwrap_or(now);
            match one.grace_until() {
                Some(until) if now >= until => Err(format!(
                    "the subscription to {name} is not paid since {}, and the time to pay it was \
                     over on {}",
                    day(since),
                    day(until)
                )),
                _ => Ok(()),
            }
        }
        State::Unpaid => Err(format!("the subscription to {name} is not paid")),
        State::Paused => Err(format!("the subscription to {name} is paused")),
        State::Incomplete => {
            Err(format!("the first payment of the subscription to {name} is not made yet"))
        }
        State::IncompleteExpired => {
            Err(format!("the first payment of the subscription to {name} was never made"))
        }
    }
}

#[cfg(test)]
mod tests;
