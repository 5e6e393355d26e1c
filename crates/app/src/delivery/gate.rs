//! The gate: the only maker of a [`Permit`], and dispatch takes nothing else.
//!
//! The rules are in `domain::permit`; here each candidate's facts meet them, inside the
//! transaction that reserves the credits, so that nothing decided earlier is trusted.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use domain::contexts;
use domain::ids::{AccountId, StreamId};
use domain::instant::Instant;
use domain::permit::{Category, Circumstances, Consent, Decision, Facts, Rule, decide};
use domain::phone::Countries;
use domain::quiet_hours::QuietHours;
use domain::settings::Settings;
use domain::windows::{self, SendingHours};
use jiff::tz::TimeZone;
use store::recipients::{self, Candidate, Recipient};
use store::{Result, Tx, in_flight};

use super::limits::Limits;

/// How long ago a text may have been asked for to be taken for the twin of another one.
const TWINS_FOR: Duration = Duration::from_secs(24 * 3600);

/// Leave to send one text once. Only [`pass`] makes one.
#[derive(Clone, Debug)]
pub struct Permit {
    ord: i64,
    attempt: u16,
    phone: String,
    body: Arc<str>,
    segments: u32,
    price: i64,
    not_after: Instant,
    to_opted_out: bool,
}

impl Permit {
    /// The text's position in its stream.
    pub const fn ord(&self) -> i64 {
        self.ord
    }
    /// Which attempt this is, from 1.
    pub const fn attempt(&self) -> u16 {
        self.attempt
    }
    /// E.164.
    pub fn phone(&self) -> &str {
        &self.phone
    }
    /// The text.
    pub fn body(&self) -> &str {
        &self.body
    }
    /// Billed parts.
    pub const fn segments(&self) -> u32 {
        self.segments
    }
    /// Credits reserved for it.
    pub const fn price(&self) -> i64 {
        self.price
    }
    /// It must not leave after this instant.
    pub const fn not_after(&self) -> Instant {
        self.not_after
    }
    /// It reaches those who opted out: the answer to that, or to a call for help.
    pub const fn is_to_opted_out(&self) -> bool {
        self.to_opted_out
    }
}

/// The gate's answer for one candidate.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It may leave; its price was taken off the funds.
    Send(Permit),
    /// Not now.
    Defer(Instant, Rule, String),
    /// Never.
    Refuse(Rule, String),
    /// The funds cannot pay its price.
    Unaffordable(i64),
    /// The budget has no room for its price: until when at most, and why in words.
    OverBudget(i64, Instant, String),
}

/// What decides when a recipient may be texted.
type Clock = (Place, Option<QuietHours>);

/// Where a recipient lives: a zone, or what an area code tells.
#[derive(PartialEq, Eq, Hash)]
enum Place {
    Zone(String, Option<&'static str>),
    Area(&'static [&'static str], Option<&'static str>),
}

/// Asks the gate for a batch of one stream.
pub struct Gate<'a> {
    around: Circumstances,
    choices: &'a Settings,
    home: TimeZone,
    body: Arc<str>,
    quiet_hours: Option<QuietHours>,
    hours: HashMap<Clock, SendingHours>,
    /// Texts to each phone since midnight, where the account limits them.
    today: HashMap<String, u32>,
    funds: i64,
    /// Single texts that say what another one to the same phone says that is on its way; `None`
    /// for the texts of a list.
    twins: Option<BTreeSet<i64>>,
    /// What the single texts of this batch that leave say to whom.
    leaving: HashSet<(String, String)>,
    countries: Countries,
    limits: Limits<'a>,
}

impl<'a> Gate<'a> {
    /// A gate for texts under these circumstances, of an account with these choices. `home` is the
    /// zone of recipients of whom nothing tells another and `country` the account's own, `body` the
    /// text of those that have none of their own, `funds` the credits there are, `quiet_hours` the
    /// account's nights.
    pub fn new(
        around: Circumstances,
        choices: &'a Settings,
        (home, country): (TimeZone, &str),
        body: Arc<str>,
        (funds, limits): (i64, Limits<'a>),
        quiet_hours: Option<QuietHours>,
    ) -> Self {
        Self {
            around,
            choices,
            home,
            body,
            quiet_hours,
            hours: HashMap::new(),
            today: HashMap::new(),
            funds,
            twins: None,
            leaving: HashSet::new(),
            countries: Countries::new(choices.countries(country)),
            limits,
        }
    }

    /// Finds the single texts of a batch that say what another one to the same phone says that is
    /// on its way, where the account wants them refused. The texts of a list need no such look: it
    /// has every phone once.
    pub async fn find_twins(
        &mut self,
        tx: &mut Tx,
        (account, stream): (AccountId, StreamId),
        batch: impl Iterator<Item = &Candidate>,
    ) -> Result<()> {
        if !stream.is_endless() || !self.choices.refuse_duplicates {
            return Ok(());
        }
        let texts: Vec<(i64, &str, &str)> = batch
            .filter_map(|one| {
                let text = &one.recipient;
                Some((text.ord, text.phone.as_str(), text.body.as_deref()?))
            })
            .collect();
        let since = self.around.now - TWINS_FOR;
        self.twins = Some(in_flight::with_twins(tx, account, stream, since, &texts).await?);
        Ok(())
    }

    /// What was counted against the account's limits, to be kept.
    pub fn into_limits(self) -> Limits<'a> {
        self.limits
    }

    /// Decides on one candidate, which would be its `attempt`-th attempt.
    pub fn pass(&mut self, candidate: &Candidate, attempt: u16) -> Verdict {
        let one = &candidate.recipient;
        let facts = self.facts(candidate);
        let around = &mut self.around;
        around.category = one.category;
        // A stream of single texts may carry transactional ones to people nobody asked yet.
        let needs_opt_in = around.needs_opt_in;
        around.needs_opt_in |= one.category == Category::Marketing;
        let context = contexts::find(&one.context);
        around.passes_quiet_hours = context.is_some_and(|context| context.passes_quiet_hours);
        around.to_opted_out = context.is_some_and(|context| context.to_opted_out);
        around.context_enabled = context.is_none_or(|context| self.choices.sends(context));
        let counts = context.is_none_or(contexts::Context::counts_in_a_day);
        around.recipient_daily_max = self.choices.recipient_daily_max.filter(|_| counts);
        let objection = self.limits.objection(candidate);
        around.account_limit =
            objection.as_ref().map(|objection| (objection.until, objection.words.clone()));
        let decision = decide(around, &facts);
        around.needs_opt_in = needs_opt_in;
        match decision {
            Decision::Defer { until, rule, inputs } => {
                if let Some(objection) = objection.filter(|_| rule == Rule::AccountLimit) {
                    self.limits.sound(candidate, &objection);
                }
                Verdict::Defer(until, rule, inputs)
            }
            Decision::Refuse { rule, inputs } => Verdict::Refuse(rule, inputs),
            Decision::Send if one.price > self.funds => Verdict::Unaffordable(one.price),
            Decision::Send => {
                if let Some((until, words)) = self.limits.over_budget(one.price) {
                    return Verdict::OverBudget(one.price, until, words);
                }
                self.funds -= one.price;
                self.limits.take(candidate, attempt);
                if let Some(body) = one.body.as_ref().filter(|_| self.twins.is_some()) {
                    self.leaving.insert((one.phone.clone(), body.clone()));
                }
                if self.choices.recipient_daily_max.is_some() {
                    *self.today.entry(one.phone.clone()).or_default() += 1;
                }
                Verdict::Send(Permit {
                    ord: one.ord,
                    attempt,
                    phone: one.phone.clone(),
                    body: one.body.as_deref().map_or_else(|| Arc::clone(&self.body), Arc::from),
                    segments: u32::try_from(one.segments).unwrap_or(u32::MAX),
                    price: one.price,
                    not_after: one.not_after,
                    to_opted_out: around.to_opted_out,
                })
            }
        }
    }

    fn facts(&mut self, candidate: &Candidate) -> Facts {
        let one = &candidate.recipient;
        let problem_of = |wanted: Rule| {
            one.problem.as_ref().filter(|(rule, _)| *rule == wanted).map(|(_, words)| words.clone())
        };
        Facts {
            text_problem: problem_of(Rule::Template),
            number_problem: problem_of(Rule::Number)
                .or_else(|| self.countries.objection(&one.phone).map(|why| why.to_string())),
            withdrawn: candidate.withdrawn.clone(),
            blocked: candidate.blocked,
            consent: match candidate.consent {
                _ if domain::mutant!(M21) => Consent::OptedIn,
                _ if candidate.sender_opted_out => Consent::OptedOut,
                consent => consent,
            },
            unverified: false,
            send_at: one.send_at,
            not_after: one.not_after,
            hours: self.hours(candidate),
            texts_today: self.today.get(&one.phone).copied().unwrap_or(0),
            identical_in_flight: self.has_twin(one),
        }
    }

    /// Whether the same words are on their way to the same phone.
    fn has_twin(&self, one: &Recipient) -> bool {
        let Some(twins) = &self.twins else { return false };
        let leaves = |body: &String| self.leaving.contains(&(one.phone.clone(), body.clone()));
        twins.contains(&one.ord) || one.body.as_ref().is_some_and(leaves)
    }

    /// Counts what the recipients of a batch got since their midnights, if the account limits that.
    pub async fn count_today(
        &mut self,
        tx: &mut Tx,
        account: AccountId,
        batch: impl Iterator<Item = &Candidate>,
    ) -> Result<()> {
        if self.choices.recipient_daily_max.is_none() {
            return Ok(());
        }
        let now = self.around.now;
        let mut phones: BTreeMap<String, Instant> = BTreeMap::new();
        for candidate in batch {
            let hours = self.hours(candidate);
            let zone = hours.first_zone().unwrap_or(&self.home);
            phones.insert(candidate.recipient.phone.clone(), midnight_before(now, zone));
        }
        let phones: Vec<(String, Instant)> = phones.into_iter().collect();
        for (phone, texts) in recipients::texts_since(tx, account, &phones).await? {
            self.today.insert(phone, u32::try_from(texts).unwrap_or(u32::MAX));
        }
        Ok(())
    }

    /// When the recipient may be texted: by their own quiet hours, else the account's, and their
    /// state's where the account keeps to them.
    fn hours(&mut self, candidate: &Candidate) -> SendingHours {
        let one = &candidate.recipient;
        let in_state = self.choices.keeps_state_hours(one.category, self.quiet_hours);
        let state = if in_state { windows::state_of(&one.phone) } else { None };
        let place = match &one.timezone {
            Some(name) => Place::Zone(name.clone(), state),
            None => Place::Area(windows::zones_of(&one.phone), state),
        };
        let quiet = candidate.quiet_hours.or(self.quiet_hours);
        let (home, zone) = (&self.home, one.timezone.as_deref());
        self.hours
            .entry((place, quiet))
            .or_insert_with(|| SendingHours::of_phone(&one.phone, zone, home, quiet, in_state))
            .clone()
    }
}

fn midnight_before(now: Instant, zone: &TimeZone) -> Instant {
    let today = now.timestamp().to_zoned(zone.clone()).start_of_day();
    today.map_or(now, |midnight| midnight.timestamp().into())
}
