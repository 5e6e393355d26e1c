//! The gate: the only maker of a [`Permit`], and dispatch takes nothing else.
//!
//! The rules are in `domain::permit`; here each candidate's facts meet them, inside the
//! transaction that reserves the credits, so that nothing decided earlier is trusted.

use std::collections::HashMap;
use std::sync::Arc;

use domain::instant::Instant;
use domain::permit::{Category, Circumstances, Consent, Decision, Facts, Rule, decide};
use domain::quiet_hours;
use jiff::tz::TimeZone;
use store::recipients::Candidate;

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
}

/// Asks the gate for a batch of one stream.
pub struct Gate {
    around: Circumstances,
    home: TimeZone,
    body: Arc<str>,
    zones: HashMap<String, TimeZone>,
    funds: i64,
}

impl Gate {
    /// A gate for texts under these circumstances. `home` is the zone of recipients that have
    /// none, `body` the text of those that have none of their own, `funds` the credits there are.
    pub fn new(around: Circumstances, home: TimeZone, body: Arc<str>, funds: i64) -> Self {
        Self { around, home, body, zones: HashMap::new(), funds }
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
        around.passes_quiet_hours =
            domain::contexts::find(&one.context).is_some_and(|context| context.passes_quiet_hours);
        let decision = decide(around, &facts);
        around.needs_opt_in = needs_opt_in;
        match decision {
            Decision::Defer { until, rule, inputs } => Verdict::Defer(until, rule, inputs),
            Decision::Refuse { rule, inputs } => Verdict::Refuse(rule, inputs),
            Decision::Send if one.price > self.funds => Verdict::Unaffordable(one.price),
            Decision::Send => {
                self.funds -= one.price;
                Verdict::Send(Permit {
                    ord: one.ord,
                    attempt,
                    phone: one.phone.clone(),
                    body: one.body.as_deref().map_or_else(|| Arc::clone(&self.body), Arc::from),
                    segments: u32::try_from(one.segments).unwrap_or(u32::MAX),
                    price: one.price,
                    not_after: one.not_after,
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
            number_problem: problem_of(Rule::Number),
            blocked: candidate.blocked,
            consent: if domain::mutant!(M21) { Consent::OptedIn } else { candidate.consent },
            unverified: false,
            send_at: one.send_at,
            not_after: one.not_after,
            zone: self.zone(one.timezone.as_deref()),
            texts_today: 0,
            identical_in_flight: false,
        }
    }

    fn zone(&mut self, name: Option<&str>) -> TimeZone {
        let Some(name) = name else {
            return self.home.clone();
        };
        if let Some(zone) = self.zones.get(name) {
            return zone.clone();
        }
        let zone = quiet_hours::zone(name).unwrap_or_else(|_| self.home.clone());
        self.zones.insert(name.to_owned(), zone.clone());
        zone
    }
}
