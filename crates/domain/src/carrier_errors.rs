//! What a carrier's error codes mean, and what follows from each: whether a refused text is tried
//! again, whether one that the network did not deliver is, and whether something larger than the
//! text is at fault.
//!
//! The table is data, `data/twilio_errors.csv`, one row per code of Twilio's error dictionary. Its
//! last column names where the row comes from: `E` the dictionary as of May 2023, `D` as of 2026,
//! `P` a page of Twilio's documentation. Twilio warns that causes move between codes, so nothing
//! here decides whether a text was accepted. A code that is not listed is of class unknown: it is
//! final, counted and logged, never tried again blindly.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::instant::Instant;
use crate::message::words;
use crate::quiet_hours::zone;

words! {
    /// What kind of trouble a code speaks of.
    Class {
        /// The recipient's number cannot be texted.
        PermanentNumber = 1 "permanent_number",
        /// This content cannot be sent or was filtered.
        PermanentContent = 2 "permanent_content",
        /// The recipient said STOP, to us or to the carrier.
        OptedOut = 3 "opted_out",
        /// Our account at the carrier: suspended, unpaid, on trial.
        Account = 4 "account",
        /// Our set-up: credentials, senders, registrations, parameters.
        Config = 5 "config",
        /// Too many texts or requests.
        RateLimit = 6 "rate_limit",
        /// Trouble in the mobile network that passes.
        CarrierTransient = 7 "carrier_transient",
        /// Trouble at the carrier that passes.
        ProviderTransient = 8 "provider_transient",
        /// Held for a suspected fraud.
        FraudBlock = 9 "fraud_block",
        /// Outside the hours in which the recipient may be texted.
        TimeWindow = 10 "time_window",
        /// Not known, or the code does not say.
        Unknown = 11 "unknown",
        /// No trouble at all.
        Ok = 12 "ok",
    }
}

/// What may be done about a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Nothing: trying again changes nothing, or the code is not about a text of ours.
    Never,
    /// Tried again after the usual waits.
    Backoff,
    /// Tried again, not sooner than this.
    Delay(Duration),
    /// Tried again once, after this.
    Once(Duration),
    /// Tried again when the day ends in US Pacific time, where US carriers reset their day caps.
    NextMidnightPacific,
    /// Tried again in the next lawful hours of the recipient (8:00 to 21:00).
    NextWindow,
    /// Only after a person has mended something.
    AfterFix,
    /// It may have been sent; evidence decides.
    Reconcile,
}

/// However the recipient's clock stands between 21:00 and 8:00, this much later it is day there.
const NIGHT: Duration = Duration::from_secs(11 * 3600);

static PACIFIC: LazyLock<TimeZone> =
    LazyLock::new(|| zone("America/Los_Angeles").expect("the zones are built into the program"));

impl Policy {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "never" | "-" => Self::Never,
            "backoff" => Self::Backoff,
            "after_fix" => Self::AfterFix,
            "reconcile" => Self::Reconcile,
            "delay:next-midnight-PT" => Self::NextMidnightPacific,
            "delay:next-window" => Self::NextWindow,
            "once:now" => Self::Once(Duration::ZERO),
            _ => match word.split_once(':')? {
                // Three attempts are what every text has.
                ("delay", span) => Self::Delay(parse_span(span.trim_end_matches(" x3"))?),
                ("once", span) => Self::Once(parse_span(span)?),
                _ => return None,
            },
        })
    }

    /// The least wait before another attempt; `None` when there shall be none.
    fn wait(self, now: Instant) -> Option<Duration> {
        match self {
            Self::Never | Self::AfterFix | Self::Reconcile => None,
            Self::Backoff => Some(Duration::ZERO),
            Self::Delay(span) | Self::Once(span) => Some(span),
            Self::NextMidnightPacific => {
                let today = now.timestamp().to_zoned(PACIFIC.clone());
                let midnight = today.tomorrow().and_then(|day| day.start_of_day()).ok()?;
                Some(Instant::from(midnight.timestamp()).since(now))
            }
            Self::NextWindow => Some(NIGHT),
        }
    }
}

/// Reads `90s`, `15m`, `24h`.
fn parse_span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit_secs = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    number.parse().ok().map(|number: u32| Duration::from_secs(u64::from(number) * unit_secs))
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierError {
    /// The carrier's number for it.
    pub code: i64,
    /// What kind of trouble it is.
    pub class: Class,
    /// What may be done.
    pub policy: Policy,
    /// What it means, in a sentence for people.
    pub meaning: String,
}

impl CarrierError {
    /// Reads a row `code,where,class,retry,meaning,source`; only the meaning may be quoted.
    fn parse(row: &str) -> Option<Self> {
        let mut fields = row.splitn(5, ',');
        let code = fields.next()?.parse().ok()?;
        let class = Class::parse(fields.nth(1)?)?;
        let policy = Policy::parse(fields.next()?)?;
        let (meaning, _source) = fields.next()?.rsplit_once(',')?;
        let plain = meaning.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        Some(Self { code, class, policy, meaning: plain.unwrap_or(meaning).replace("\"\"", "\"") })
    }
}

static TABLE: LazyLock<Vec<CarrierError>> = LazyLock::new(|| {
    let rows = include_str!("../data/twilio_errors.csv").lines().skip(1);
    let parsed = rows.map(|row| CarrierError::parse(row).expect("a test reads every row"));
    let mut table: Vec<CarrierError> = parsed.collect();
    table.sort_unstable_by_key(|error| error.code);
    table
});

/// What is known of this code.
pub fn find(code: i64) -> Option<&'static CarrierError> {
    TABLE.binary_search_by_key(&code, |error| error.code).ok().map(|index| &TABLE[index])
}

/// The class of this code; unknown when it is not listed.
pub fn class_of(code: i64) -> Class {
    find(code).map_or(Class::Unknown, |error| error.class)
}

/// What is at fault beyond the one text. Nothing more is sent with it for a while, so that one
/// mistake does not use up a whole list of recipients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The sender.
    Sender,
    /// Our account at the carrier, with every sender.
    Carrier,
}

/// Codes after which no text gets through, whatever its sender. Of class account only those stay
/// out that speak of one text: a recipient a trial may not text, pictures, a trial's length limit.
const CARRIER_WIDE: [i64; 12] = [
    10001, // the account is disabled
    20003, // credentials refused
    20004, // the address answers, but is not the carrier's for messages
    20005, // the account is not active
    20006, // access denied
    20008, // test credentials
    20010, // sending is disabled for the account
    20403, // the account lacks the permission
    20404, // no such account at this address
    20410, // the carrier has retired this version of its API
    30002, // the account was suspended after it had queued the text
    30037, // outbound messaging is disabled
];

/// Codes after which no text of this sender gets through. Left out are those that depend on the
/// destination as well (21612, 21657, 21703, 30040, 30041): they end their own text only.
const SENDER_WIDE: [i64; 29] = [
    21212, // From is not a number or a permitted name
    21264, // From is not verified
    21267, // a name as From, on a trial account
    21601, // From cannot send texts
    21606, // From is not a number of this account
    21607, // From is not the trial's number
    21616, // From fits several numbers
    21659, // From is not the carrier's number
    21660, // From belongs to another account
    21661, // From cannot send texts
    21701, // no such messaging service
    21702, // the service cannot send now
    21704, // the service has no senders
    21705, // the service's SID is malformed
    21709, // a name that the service does not allow
    21711, // From is not in the service
    30024, // not provisioned at the mobile network
    30032, // toll-free number not verified
    30033, // 10DLC campaign suspended
    30034, // 10DLC number without a campaign
    30035, // 10DLC number still being registered
    30042, // name as sender not authorised
    63001, // WhatsApp: authentication
    63002, // WhatsApp: unknown sender
    63007, // WhatsApp: not a WhatsApp sender
    63008, // WhatsApp: set-up of the sender
    63020, // WhatsApp: the business account
    63022, // WhatsApp: certificate of the sender's name
    63051, // WhatsApp: business account locked
];

/// Whether a refusal or a receipt with this code shows more at fault than the text itself.
pub fn hold(code: i64) -> Option<Hold> {
    if CARRIER_WIDE.contains(&code) {
        Some(Hold::Carrier)
    } else {
        SENDER_WIDE.contains(&code).then_some(Hold::Sender)
    }
}

/// What follows from the carrier's refusal to take a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The text is rejected for good.
    Final,
    /// It is rejected for good, and its recipient has opted out at the carrier: that is recorded.
    OptedOut,
    /// It may be tried again after the usual wait, and not sooner than this from now.
    Retry {
        /// Zero where the usual wait is enough.
        at_least: Duration,
    },
    /// The text is not at fault: it waits, and so does everything else that this holds.
    Hold(Hold),
}

/// Judges a refused request to send a text by its code, then by its HTTP status. Never to be asked
/// about an outcome that is unknown (5xx, time-outs): a refusal is the carrier's own word.
pub fn refusal(code: i64, http: u16, now: Instant) -> Refusal {
    let class = class_of(code);
    if class == Class::OptedOut {
        return Refusal::OptedOut;
    }
    if let Some(hold) = hold(code) {
        return Refusal::Hold(hold);
    }
    if let Some(at_least) = find(code).and_then(|error| error.policy.wait(now)) {
        return Refusal::Retry { at_least };
    }
    let of_the_text = !matches!(class, Class::Account | Class::Config | Class::Unknown);
    if !of_the_text && matches!(http, 401 | 403) {
        return Refusal::Hold(Hold::Carrier);
    }
    Refusal::Final
}

/// How long a text waits for its next attempt after a receipt said that it was not delivered;
/// `None` when that was its last. `tries` counts the attempts made, from 1; `tries_max` is how
/// many there may be. Another attempt is a new paid text: whoever sends it asks the gate again and
/// checks its deadline, above all after 30036 (it waited too long at the carrier's).
pub fn redelivery(code: i64, tries: u16, tries_max: u16, now: Instant) -> Option<Duration> {
    let error = find(code)?;
    let at_least = error.policy.wait(now)?;
    if tries >= tries_max {
        return None;
    }
    if matches!(error.policy, Policy::Once(_)) {
        return (tries <= 1).then_some(at_least);
    }
    let base = match error.class {
        Class::RateLimit => Duration::from_secs(300),
        Class::CarrierTransient => Duration::from_secs(180),
        _ => Duration::from_secs(60),
    };
    let doubled = base * (1 << tries.saturating_sub(1).min(10));
    Some(at_least.max(doubled))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A quarter past noon in Los Angeles, in winter.
    fn noon() -> Instant {
        Instant::parse("2026-11-21T20:15:00Z").unwrap()
    }

    const fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(minutes * 60)
    }

    #[test]
    fn the_table_is_read_whole() {
        let rows = include_str!("../data/twilio_errors.csv").lines().skip(1);
        for row in rows.clone() {
            let error = CarrierError::parse(row).unwrap_or_else(|| panic!("{row}"));
            assert_eq!(find(error.code), Some(&error), "{row}");
            assert!(!error.meaning.is_empty() && !error.meaning.starts_with('"'), "{row}");
        }
        assert_eq!(rows.count(), TABLE.len());
        assert!(TABLE.is_sorted_by(|one, next| one.code < next.code));
        let classes: BTreeSet<Class> = TABLE.iter().map(|error| error.class).collect();
        assert!(classes.iter().eq(Class::ALL));
        for policy in [
            Policy::Never,
            Policy::Backoff,
            Policy::Delay(minutes(10)),
            Policy::Once(Duration::ZERO),
            Policy::Once(minutes(30)),
            Policy::NextMidnightPacific,
            Policy::NextWindow,
            Policy::AfterFix,
            Policy::Reconcile,
        ] {
            assert!(TABLE.iter().any(|error| error.policy == policy), "{policy:?}");
        }
        let too_long = find(21617).unwrap();
        assert_eq!(too_long.meaning, "Body over 1600 characters (this is the \"too long\" code)");
    }

    #[test]
    fn policies_are_read() {
        for (word, expected) in [
            ("-", Some(Policy::Never)),
            ("delay:60s", Some(Policy::Delay(minutes(1)))),
            ("delay:1h x3", Some(Policy::Delay(minutes(60)))),
            ("once:5m", Some(Policy::Once(minutes(5)))),
            ("delay:", None),
            ("delay:m", None),
            ("delay:5", None),
            ("delay:5d", None),
            ("delay:1h x4", None),
            ("twice:5m", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(Policy::parse(word), expected, "{word:?}");
        }
    }

    #[test]
    fn refusals_are_judged() {
        use Hold::{Carrier, Sender};
        use Refusal::{Final, Hold as Held, OptedOut, Retry};
        let retry = |after| Retry { at_least: minutes(after) };
        for (code, http, expected) in [
            (21211, 400, Final),         // not a number
            (21211, 403, Final),         // the number stays the reason
            (21614, 400, Final),         // not a mobile
            (21617, 400, Final),         // too long
            (21610, 400, OptedOut),      // STOP
            (30630, 403, OptedOut),      // STOP at the consent store
            (10001, 403, Held(Carrier)), // account disabled
            (20003, 401, Held(Carrier)), // credentials
            (20003, 400, Held(Carrier)), // and whatever the status is
            (20404, 404, Held(Carrier)), // wrong account or address
            (20422, 400, Final),         // a parameter
            (20422, 403, Held(Carrier)), // the same code, but forbidden
            (21212, 400, Held(Sender)),  // bad From
            (21606, 400, Held(Sender)),  // From is not ours
            (21704, 404, Held(Sender)),  // a service without senders
            (30034, 400, Held(Sender)),  // unregistered 10DLC
            (30035, 400, Held(Sender)),  // though it may be tried in a day
            (21408, 400, Final),         // this country only
            (21603, 400, Final),         // no From at all
            (21608, 400, Final),         // trial: this recipient only
            (21612, 400, Final),         // this pair only
            (21624, 400, Final),         // validity period
            (20429, 429, retry(0)),      // too many requests
            (20409, 409, retry(0)),      // conflict
            (21611, 400, retry(10)),     // the sender's queue is full
            (60728, 400, retry(60)),     // account's hourly limit
            (30450, 400, retry(30)),     // suspected pumping
            (60412, 400, Final),         // fraud, for good
            (30023, 400, retry(705)),    // the day cap, at a quarter past noon
            (30610, 400, retry(660)),    // night at the recipient's
            (20500, 400, Final),         // never again without evidence
            (99999, 400, Final),         // not listed
            (99999, 401, Held(Carrier)), // not listed, forbidden
            (0, 403, Held(Carrier)),     // no code at all
        ] {
            assert_eq!(refusal(code, http, noon()), expected, "{code} {http}");
        }
    }

    #[test]
    fn undelivered_texts_are_tried_again_by_class() {
        for (code, tries, expected) in [
            (30001, 1, Some(15)), // sender's queue: longer than the class's 5
            (30001, 2, Some(15)),
            (30001, 3, None),    // three attempts were made
            (63018, 1, Some(5)), // rate limit
            (63018, 2, Some(10)),
            (30003, 1, Some(60)), // the phone is off
            (30003, 2, Some(60)),
            (30003, 3, None),
            (30017, 1, Some(10)), // congestion
            (63009, 1, Some(1)),  // the channel's 5xx
            (63009, 2, Some(2)),
            (30008, 1, Some(30)), // no reason given: once
            (30008, 2, None),
            (30036, 1, Some(0)), // waited too long at the carrier's
            (30036, 2, None),
            (30500, 1, Some(5)),   // the carrier's own trouble
            (30023, 1, Some(705)), // the day cap, at a quarter past noon
            (30610, 1, Some(660)), // night at the recipient's
            (30453, 2, Some(240)), // suspected fraud
            (30004, 1, None),      // blocked, perhaps an opt-out
            (30005, 1, None),      // no such number
            (30007, 1, None),      // filtered
            (30034, 1, None),      // after a person registered it
            (30410, 1, None),      // perhaps delivered
            (21610, 1, None),      // opted out
            (30025, 1, None),      // a warning only
            (31337, 1, None),      // not listed
            (0, 1, None),          // no code
        ] {
            let wait = redelivery(code, tries, 3, noon());
            assert_eq!(wait, expected.map(minutes), "{code} after {tries}");
        }
        assert_eq!(redelivery(30001, 1, 1, noon()), None);
        assert_eq!(redelivery(30001, 4, 5, noon()), Some(minutes(40)));
    }

    #[test]
    fn nobody_is_texted_again_who_cannot_or_must_not_be() {
        for error in TABLE.iter() {
            let shut = matches!(error.class, Class::PermanentNumber | Class::OptedOut);
            assert!(!shut || redelivery(error.code, 1, 3, noon()).is_none(), "{error:?}");
        }
    }

    #[test]
    fn the_pacific_day_ends_at_its_own_midnight() {
        for (now, expected) in [
            ("2026-11-21T20:15:00Z", "2026-11-22T08:00:00Z"),
            ("2026-07-01T06:59:59Z", "2026-07-01T07:00:00Z"),
            ("2026-07-01T07:00:00Z", "2026-07-02T07:00:00Z"),
            // Clocks go back on 1 November, forward on 14 March.
            ("2026-11-01T07:00:00Z", "2026-11-02T08:00:00Z"),
            ("2027-03-14T08:00:00Z", "2027-03-15T07:00:00Z"),
        ] {
            let now = Instant::parse(now).unwrap();
            let wait = Policy::NextMidnightPacific.wait(now).unwrap();
            assert_eq!((now + wait).to_string(), expected);
        }
    }

    #[test]
    fn what_holds_more_than_a_text_is_listed_once() {
        let listed = || CARRIER_WIDE.iter().chain(&SENDER_WIDE);
        assert_eq!(listed().collect::<BTreeSet<_>>().len(), listed().count());
        for &code in listed() {
            assert!(matches!(class_of(code), Class::Account | Class::Config), "{code}");
        }
        let account = TABLE.iter().filter(|error| error.class == Class::Account);
        let of_one_text = account.map(|error| error.code).filter(|code| hold(*code).is_none());
        assert_eq!(of_one_text.collect::<Vec<_>>(), [21608, 21622, 30044]);
    }
}
