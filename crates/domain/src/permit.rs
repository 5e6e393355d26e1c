//! The gate's rules: may this text leave now?
//!
//! [`decide`] runs the rules in their fixed order over the [`Facts`] of one text and answers
//! send, defer or refuse, with the rule that decided and its inputs: the "why" of every text.
//! Whether the wallet can pay is the last rule; it concerns the batch and is decided where the
//! credits are reserved, in the same transaction in which the facts were read.

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::instant::Instant;
use crate::message::words;
use crate::windows::SendingHours;

/// Names the version of the rules below; stored with each decision.
pub const RULE_SET: &str = "2026-11";

words! {
    /// A rule of the gate, in the order of asking.
    Rule {
        /// The installation sends nothing at present.
        KillSwitch = 1 "kill_switch",
        /// The account is suspended or closed.
        Account = 2 "account",
        /// The account's subscription does not allow sending.
        Subscription = 3 "subscription",
        /// The account has switched this kind of text off.
        Context = 4 "context",
        /// The campaign is not running.
        Campaign = 5 "campaign",
        /// The sender cannot send.
        Sender = 6 "sender",
        /// The text itself cannot leave: a missing variable, too long, empty.
        Template = 7 "template",
        /// The number cannot be texted.
        Number = 8 "number",
        /// The contact is blocked by the account.
        Blocked = 9 "blocked",
        /// The recipient opted out.
        OptOut = 10 "opt_out",
        /// There is no consent for this category.
        Consent = 11 "consent",
        /// The number must be verified for this kind of text.
        Verified = 12 "verified",
        /// The deadline has passed.
        Deadline = 13 "deadline",
        /// The wanted time has not come.
        Schedule = 14 "schedule",
        /// It is night at the recipient's.
        QuietHours = 15 "quiet_hours",
        /// The recipient had enough texts today.
        RecipientLimit = 16 "recipient_limit",
        /// The account sent more than its hourly limit, or something is held.
        AccountLimit = 17 "account_limit",
        /// The same text to the same number is on its way.
        Duplicate = 18 "duplicate",
        /// The wallet cannot pay.
        Credits = 19 "credits",
        /// Not a refusal: a later attempt after one that provably did not leave.
        Retry = 20 "retry",
        /// Not a refusal: taken back unsent (a pause, a stopped server) and due again at once.
        TakenBack = 21 "taken_back",
        /// Not a refusal: the carrier fails or refuses, and is left alone for a while.
        Carrier = 22 "carrier",
        /// What it was about is over: answered, cancelled, moved.
        Withdrawn = 23 "withdrawn",
        /// The account's budget for the day or the month is used up.
        Budget = 24 "budget",
    }
}

words! {
    /// What consent a text needs.
    Category {
        /// About something the recipient asked for or booked.
        Transactional = 1 "transactional",
        /// Advertising: needs evidence of an opt-in.
        Marketing = 2 "marketing",
    }
}

words! {
    /// Where a phone stands with an account in one category.
    Consent {
        /// Nothing is known.
        Unknown = 0 "unknown",
        /// Agreed, with evidence.
        OptedIn = 1 "opted_in",
        /// Said no.
        OptedOut = 2 "opted_out",
    }
}

/// What holds for every text of one batch.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// When the decision is made.
    pub now: Instant,
    /// The installation may send.
    pub installation_open: bool,
    /// The account may send.
    pub account_active: bool,
    /// Why the subscription does not allow sending, in words.
    pub subscription_problem: Option<String>,
    /// The account uses this kind of text.
    pub context_enabled: bool,
    /// The stream is running.
    pub stream_running: bool,
    /// Why the sender cannot send, in words, and when it is worth asking again.
    pub sender_problem: Option<(Instant, String)>,
    /// What consent is needed.
    pub category: Category,
    /// Only a recorded opt-in will do: marketing, and every campaign.
    pub needs_opt_in: bool,
    /// May leave at night (a code someone waits for).
    pub passes_quiet_hours: bool,
    /// Reaches those who opted out: the answer to that, or to a call for help.
    pub to_opted_out: bool,
    /// Most texts to one phone in a day, if limited.
    pub recipient_daily_max: Option<u32>,
    /// A limit of the account stands against it: until when, and in words.
    pub account_limit: Option<(Instant, String)>,
}

/// What is known of one text and its recipient.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Why the text itself cannot leave, found when it was rendered.
    pub text_problem: Option<String>,
    /// Why the number cannot be texted.
    pub number_problem: Option<String>,
    /// Why its reason is gone, if it is.
    pub withdrawn: Option<String>,
    /// Blocked by the account.
    pub blocked: bool,
    /// Consent in the category of the text.
    pub consent: Consent,
    /// The number must be, and is not, verified.
    pub unverified: bool,
    /// Not before this instant.
    pub send_at: Instant,
    /// Not after this instant.
    pub not_after: Instant,
    /// When the recipient may be texted.
    pub hours: SendingHours,
    /// Texts to this phone since midnight, where a limit asks for it.
    pub texts_today: u32,
    /// The same text to this phone is between reservation and answer.
    pub identical_in_flight: bool,
}

/// The gate's answer for one text, before money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may leave.
    Send,
    /// Not now.
    Defer {
        /// Ask again from here on.
        until: Instant,
        /// The rule that decided.
        rule: Rule,
        /// Its inputs, in words.
        inputs: String,
    },
    /// Never.
    Refuse {
        /// The rule that decided.
        rule: Rule,
        /// Its inputs, in words.
        inputs: String,
    },
}

fn refuse(rule: Rule, inputs: impl Into<String>) -> Decision {
    Decision::Refuse { rule, inputs: inputs.into() }
}

fn defer(until: Instant, rule: Rule, inputs: impl Into<String>) -> Decision {
    Decision::Defer { until, rule, inputs: inputs.into() }
}

/// How long a text waits before the gate is asked again about something a person must mend.
const ASK_AGAIN: std::time::Duration = std::time::Duration::from_secs(60);

/// Runs the rules in order; the first that objects decides.
pub fn decide(around: &Circumstances, facts: &Facts) -> Decision {
    if let Some(decision) = batch_objection(around) {
        // A standing text still dies of its own faults and of its deadline.
        return own_objection(around, facts).unwrap_or(decision);
    }
    if let Some(decision) = own_objection(around, facts) {
        return decision;
    }
    time_objection(around, facts).unwrap_or(Decision::Send)
}

fn batch_objection(around: &Circumstances) -> Option<Decision> {
    let later = around.now + ASK_AGAIN;
    let subscription = around.subscription_problem.as_deref();
    let checks = [
        (around.installation_open, Rule::KillSwitch, "the installation sends nothing at present"),
        (around.account_active, Rule::Account, "the account is suspended"),
        (subscription.is_none(), Rule::Subscription, subscription.unwrap_or_default()),
        (around.context_enabled, Rule::Context, "the account has switched this kind of text off"),
        (around.stream_running, Rule::Campaign, "the campaign is not running"),
    ];
    let objection = checks.into_iter().find(|(holds, ..)| !holds);
    let sender = || around.sender_problem.clone();
    objection
        .map(|(_, rule, inputs)| match rule {
            Rule::Context => refuse(rule, inputs),
            _ => defer(later, rule, inputs),
        })
        .or_else(|| sender().map(|(until, words)| defer(until, Rule::Sender, words)))
}

fn own_objection(around: &Circumstances, facts: &Facts) -> Option<Decision> {
    if let Some(problem) = &facts.text_problem {
        return Some(refuse(Rule::Template, problem.clone()));
    }
    if let Some(problem) = &facts.number_problem {
        return Some(refuse(Rule::Number, problem.clone()));
    }
    if let Some(why) = &facts.withdrawn {
        return Some(refuse(Rule::Withdrawn, why.clone()));
    }
    if facts.blocked {
        return Some(refuse(Rule::Blocked, "the account blocked this contact"));
    }
    let category = around.category;
    match facts.consent {
        Consent::OptedOut if around.to_opted_out => {}
        Consent::OptedOut => {
            return Some(refuse(Rule::OptOut, format!("opted out of {category} texts")));
        }
        Consent::Unknown if around.needs_opt_in => {
            return Some(refuse(Rule::Consent, format!("no opt-in recorded for {category} texts")));
        }
        Consent::Unknown | Consent::OptedIn => {}
    }
    if facts.unverified {
        return Some(refuse(Rule::Verified, "the number is not verified"));
    }
    if around.now > facts.not_after {
        let deadline = facts.not_after;
        return Some(refuse(Rule::Deadline, format!("its deadline was {deadline}")));
    }
    None
}

fn time_objection(around: &Circumstances, facts: &Facts) -> Option<Decision> {
    let now = around.now;
    let objection = if now < facts.send_at {
        (facts.send_at, Rule::Schedule, format!("wanted at {}", facts.send_at))
    } else if !around.passes_quiet_hours && !facts.hours.is_allowed(now) {
        let zone = facts.hours.first_zone().and_then(TimeZone::iana_name).unwrap_or("UTC");
        let Some(until) = facts.hours.next_allowed(now) else {
            let words = format!("nobody may be texted in {zone} within a week");
            return Some(refuse(Rule::QuietHours, words));
        };
        (until, Rule::QuietHours, format!("quiet hours in {zone} until {until}"))
    } else if let Some(most) = around.recipient_daily_max.filter(|most| facts.texts_today >= *most)
    {
        let until = next_midnight(now, facts.hours.first_zone().unwrap_or(&TimeZone::UTC));
        (until, Rule::RecipientLimit, format!("{} texts today, limit {most}", facts.texts_today))
    } else if let Some((until, words)) = &around.account_limit {
        (*until, Rule::AccountLimit, words.clone())
    } else if facts.identical_in_flight {
        return Some(refuse(Rule::Duplicate, "the same text to this number is on its way"));
    } else {
        return None;
    };
    let (until, rule, inputs) = objection;
    if until > facts.not_after {
        let deadline = facts.not_after;
        return Some(refuse(Rule::Deadline, format!("{inputs}, past its deadline {deadline}")));
    }
    Some(defer(until, rule, inputs))
}

fn next_midnight(now: Instant, zone: &TimeZone) -> Instant {
    let today = now.timestamp().to_zoned(zone.clone()).date();
    today
        .tomorrow()
        .and_then(|day| day.to_zoned(zone.clone()))
        .map_or(now + std::time::Duration::from_secs(86_400), |zoned| zoned.timestamp().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quiet_hours::QuietHours;

    fn around() -> Circumstances {
        Circumstances {
            now: Instant::parse("2026-11-21T18:00:00Z").expect("a time"),
            installation_open: true,
            account_active: true,
            subscription_problem: None,
            context_enabled: true,
            stream_running: true,
            sender_problem: None,
            category: Category::Marketing,
            needs_opt_in: true,
            passes_quiet_hours: false,
            to_opted_out: false,
            recipient_daily_max: Some(3),
            account_limit: None,
        }
    }

    fn hours(zone: TimeZone) -> SendingHours {
        SendingHours::new(&[zone], QuietHours::parse("21:00", "08:00").ok(), None)
    }

    fn facts() -> Facts {
        Facts {
            text_problem: None,
            number_problem: None,
            withdrawn: None,
            blocked: false,
            consent: Consent::OptedIn,
            unverified: false,
            send_at: Instant(0),
            not_after: Instant::MAX,
            hours: hours(TimeZone::UTC),
            texts_today: 0,
            identical_in_flight: false,
        }
    }

    fn rule_of(decision: &Decision) -> (&'static str, Option<Rule>) {
        match decision {
            Decision::Send => ("send", None),
            Decision::Defer { rule, .. } => ("defer", Some(*rule)),
            Decision::Refuse { rule, .. } => ("refuse", Some(*rule)),
        }
    }

    type Change = fn(&mut Circumstances, &mut Facts);

    #[test]
    fn each_rule_decides_alone() {
        let cases: &[(Change, &str, Option<Rule>)] = &[
            (|_, _| {}, "send", None),
            (|a, _| a.installation_open = false, "defer", Some(Rule::KillSwitch)),
            (|a, _| a.account_active = false, "defer", Some(Rule::Account)),
            (|a, _| a.subscription_problem = Some("x".into()), "defer", Some(Rule::Subscription)),
            (|a, _| a.context_enabled = false, "refuse", Some(Rule::Context)),
            (|a, _| a.stream_running = false, "defer", Some(Rule::Campaign)),
            (|a, _| a.sender_problem = Some((a.now, "paused".into())), "defer", Some(Rule::Sender)),
            (|_, f| f.text_problem = Some("x".into()), "refuse", Some(Rule::Template)),
            (|_, f| f.number_problem = Some("x".into()), "refuse", Some(Rule::Number)),
            (|_, f| f.withdrawn = Some("answered".into()), "refuse", Some(Rule::Withdrawn)),
            (|_, f| f.blocked = true, "refuse", Some(Rule::Blocked)),
            (|_, f| f.consent = Consent::OptedOut, "refuse", Some(Rule::OptOut)),
            (|_, f| f.consent = Consent::Unknown, "refuse", Some(Rule::Consent)),
            (
                |a, f| {
                    a.needs_opt_in = false;
                    f.consent = Consent::Unknown;
                },
                "send",
                None,
            ),
            (
                |a, f| {
                    a.needs_opt_in = false;
                    f.consent = Consent::OptedOut;
                },
                "refuse",
                Some(Rule::OptOut),
            ),
            (
                |a, f| {
                    a.to_opted_out = true;
                    f.consent = Consent::OptedOut;
                },
                "send",
                None,
            ),
            (|_, f| f.unverified = true, "refuse", Some(Rule::Verified)),
            (|a, f| f.not_after = Instant(a.now.0 - 1), "refuse", Some(Rule::Deadline)),
            (|a, f| f.send_at = Instant(a.now.0 + 1), "defer", Some(Rule::Schedule)),
            (
                |a, _| a.now = Instant::parse("2026-11-21T22:00:00Z").expect("a time"),
                "defer",
                Some(Rule::QuietHours),
            ),
            (
                |a, f| {
                    a.now = Instant::parse("2026-11-21T22:00:00Z").expect("a time");
                    f.not_after = a.now;
                },
                "refuse",
                Some(Rule::Deadline),
            ),
            (
                |a, _| {
                    a.now = Instant::parse("2026-11-21T22:00:00Z").expect("a time");
                    a.passes_quiet_hours = true;
                },
                "send",
                None,
            ),
            (|_, f| f.texts_today = 3, "defer", Some(Rule::RecipientLimit)),
            (
                |a, _| a.account_limit = Some((Instant(a.now.0 + 5), "x".into())),
                "defer",
                Some(Rule::AccountLimit),
            ),
            (
                |a, f| {
                    a.account_limit = Some((Instant(a.now.0 + 5), "x".into()));
                    f.not_after = a.now;
                },
                "refuse",
                Some(Rule::Deadline),
            ),
            (|_, f| f.identical_in_flight = true, "refuse", Some(Rule::Duplicate)),
        ];
        for (n, (change, answer, rule)) in cases.iter().enumerate() {
            let (mut around, mut facts) = (around(), facts());
            change(&mut around, &mut facts);
            assert_eq!(rule_of(&decide(&around, &facts)), (*answer, *rule), "case {n}");
        }
    }

    #[test]
    fn quiet_hours_end_in_the_recipients_own_zone() {
        let mut around = around();
        around.now = Instant::parse("2026-11-21T13:00:00Z").expect("a time");
        let mut facts = facts();
        facts.hours = hours(crate::quiet_hours::zone("America/Denver").expect("a zone"));
        let Decision::Defer { until, .. } = decide(&around, &facts) else {
            panic!("six in the morning in Denver is quiet")
        };
        assert_eq!(until.to_string(), "2026-11-21T15:00:00Z");
    }

    #[test]
    fn a_dead_text_is_refused_even_while_its_campaign_waits() {
        let mut around = around();
        around.account_active = false;
        let mut facts = facts();
        facts.consent = Consent::OptedOut;
        assert_eq!(rule_of(&decide(&around, &facts)), ("refuse", Some(Rule::OptOut)));
    }
}
