//! What an account has chosen: which texts it sends, when, and in whose words.
//!
//! The value is one JSON document; what is left out has its default. Checking what a person wants
//! to choose is the caller's, [`Settings::problems`] says what does not hold together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::contexts::{self, Context, Party};
use crate::ids::TemplateId;
use crate::lanes::Lane;
use crate::permit::Category;
use crate::quiet_hours::QuietHours;
use crate::velocity;

/// The shortest and the longest time before an appointment at which a reminder may go.
pub const OFFSET_MINUTES: std::ops::RangeInclusive<u32> = 5..=60 * 24 * 60;
/// Reminders of one appointment and party at most.
pub const OFFSETS_MAX: usize = 12;
/// Days a request waits for its answer at most.
pub const REPLY_WINDOW_DAYS_MAX: u32 = 90;

/// An account's choices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long before an appointment its reminders go, in minutes.
    pub reminder_offsets_minutes: Vec<u32>,
    /// Choices per context; one that is not named keeps its default.
    pub contexts: BTreeMap<String, ContextChoice>,
    /// How many days a request waits for its answer.
    pub reply_window_days: u32,
    /// When texts ask for `Y123` instead of `Y`.
    pub reply_tokens: TokenMode,
    /// How people are told to opt out; `None` for never.
    pub footer: Option<String>,
    /// How often they are told.
    pub footer_policy: FooterPolicy,
    /// What a call for help is answered.
    pub help_text: Option<String>,
    /// Opt-outs and opt-ins are confirmed by a text.
    pub confirmations: bool,
    /// Words that ask to be taken into the list.
    pub join_keywords: Vec<String>,
    /// Joining takes a second word.
    pub double_opt_in: bool,
    /// A bare YES opts in again, when nothing else was asked.
    pub yes_is_start: bool,
    /// How far an opt-out reaches.
    pub opt_out_scope: OptOutScope,
    /// Staff may answer at night within a day of a text that came in.
    pub reply_quiet_exempt: bool,
    /// Which texts keep to the stricter hours of the recipient's state.
    pub state_hours: StateHours,
    /// Texts to one phone in a day at most, codes aside.
    pub recipient_daily_max: Option<u32>,
    /// A single text is refused while the same words to the same phone are on their way.
    pub refuse_duplicates: bool,
    /// Countries whose numbers are texted, as ISO 3166 codes in capitals; `None` for the United
    /// States, Canada and the account's own.
    pub countries: Option<Vec<String>>,
    /// Bookings whose reminders leave within an hour, at most.
    pub reminders_hourly_max: Option<u32>,
    /// Other single texts that leave within an hour, at most.
    pub texts_hourly_max: Option<u32>,
    /// Lanes whose texts are watched for fraud: `code`, `notification`, `urgent`.
    pub guarded_lanes: Vec<String>,
    /// Texts of a guarded lane to numbers that differ in their last four digits only, within an
    /// hour, at most.
    pub velocity_per_hour: Option<u32>,
    /// Different numbers of one block of a hundred that get texts of a guarded lane, within an
    /// hour, at most.
    pub sequential_per_hour: Option<u32>,
    /// Who is written to about money.
    pub billing_email: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reminder_offsets_minutes: vec![2880, 1440, 120],
            contexts: BTreeMap::new(),
            reply_window_days: 14,
            reply_tokens: TokenMode::Auto,
            footer: Some("Reply STOP to opt out.".to_owned()),
            footer_policy: FooterPolicy::FirstThenMonthly,
            help_text: None,
            confirmations: true,
            join_keywords: vec!["JOIN".to_owned()],
            double_opt_in: true,
            yes_is_start: false,
            opt_out_scope: OptOutScope::Account,
            reply_quiet_exempt: false,
            state_hours: StateHours::Marketing,
            recipient_daily_max: None,
            refuse_duplicates: false,
            countries: None,
            reminders_hourly_max: Some(100),
            texts_hourly_max: None,
            guarded_lanes: vec!["code".to_owned()],
            velocity_per_hour: Some(200),
            sequential_per_hour: Some(50),
            billing_email: None,
        }
    }
}

/// What an account chose for one context; what is left out keeps its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContextChoice {
    /// Its texts are sent.
    pub enabled: Option<bool>,
    /// To whom; for an event with variants per party, named at the client's context.
    pub parties: Option<Vec<PartyWord>>,
    /// In the account's own words.
    pub template_id: Option<TemplateId>,
}

/// A [`Party`] as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartyWord {
    /// The person booked.
    Client,
    /// Who holds the appointment.
    Coach,
}

impl From<Party> for PartyWord {
    fn from(party: Party) -> Self {
        match party {
            Party::Client => Self::Client,
            Party::Coach => Self::Coach,
        }
    }
}

/// When texts ask for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenMode {
    /// When more than one request of the phone is open.
    Auto,
    /// In every text.
    Always,
    /// In none.
    Never,
}

/// How often people are told how to opt out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FooterPolicy {
    /// Never by us.
    Never,
    /// In the first text to a phone, then once in thirty days.
    FirstThenMonthly,
    /// In every text.
    Always,
}

/// How far an opt-out reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptOutScope {
    /// All texts of the account.
    Account,
    /// The texts of the sender it was sent to.
    Sender,
}

/// Which texts keep to the stricter hours of the recipient's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateHours {
    /// None.
    Off,
    /// Those that sell.
    Marketing,
    /// All that keep quiet hours.
    All,
}

impl Settings {
    /// Whether texts of this context are sent to its party.
    pub fn sends(&self, context: &Context) -> bool {
        let party = PartyWord::from(context.party);
        if let Some(choice) = self.contexts.get(&context.key) {
            let wanted = choice.parties.as_ref().is_none_or(|parties| parties.contains(&party));
            return choice.enabled.unwrap_or(context.default_on || choice.parties.is_some())
                && wanted;
        }
        let base = contexts::of_event(&context.event).find(|one| one.party == Party::Client);
        let choice = base.and_then(|base| self.contexts.get(&base.key));
        match choice.and_then(|choice| Some((choice.enabled, choice.parties.as_ref()?))) {
            Some((enabled, parties)) => enabled.unwrap_or(true) && parties.contains(&party),
            None => context.default_on,
        }
    }

    /// Whether texts of this category keep to the hours of the recipient's state, in an account
    /// with these quiet hours: one that has none keeps to no others either.
    pub fn keeps_state_hours(&self, category: Category, quiet: Option<QuietHours>) -> bool {
        quiet.is_some()
            && match self.state_hours {
                StateHours::Off => false,
                StateHours::Marketing => category == Category::Marketing,
                StateHours::All => true,
            }
    }

    /// The countries whose numbers are texted, of an account at home in `home`.
    pub fn countries(&self, home: &str) -> Vec<String> {
        self.countries.clone().unwrap_or_else(|| {
            let mut usual = ["US", "CA"].map(str::to_owned).to_vec();
            if !usual.iter().any(|code| code == home) {
                usual.push(home.to_owned());
            }
            usual
        })
    }

    /// Whether texts of this lane are watched for fraud.
    pub fn guards(&self, lane: Lane) -> bool {
        self.guarded_lanes.iter().any(|word| word == lane.as_str())
    }

    /// The account's own words for a context, if it has any.
    pub fn template_of(&self, context: &Context) -> Option<TemplateId> {
        self.contexts.get(&context.key).and_then(|choice| choice.template_id)
    }

    /// What does not hold together: the field, and how to mend it.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut wrong = |field: &str, words: String| problems.push((field.to_owned(), words));
        let offsets = &self.reminder_offsets_minutes;
        if offsets.len() > OFFSETS_MAX || offsets.iter().any(|one| !OFFSET_MINUTES.contains(one)) {
            let (least, most) = (OFFSET_MINUTES.start(), OFFSET_MINUTES.end());
            let words =
                format!("write at most {OFFSETS_MAX} numbers of minutes from {least} to {most}");
            wrong("reminder_offsets_minutes", words);
        }
        for key in self.contexts.keys().filter(|key| contexts::find(key).is_none()) {
            let keys: Vec<&str> = contexts::all().iter().map(|one| one.key.as_str()).collect();
            wrong(&format!("contexts.{key}"), format!("write one of {}", keys.join(", ")));
        }
        if !(1..=REPLY_WINDOW_DAYS_MAX).contains(&self.reply_window_days) {
            let words = format!("write a number of days from 1 to {REPLY_WINDOW_DAYS_MAX}");
            wrong("reply_window_days", words);
        }
        for (field, text, most) in
            [("footer", &self.footer, 160), ("help_text", &self.help_text, 480)]
        {
            let length = text.as_ref().map_or(1, |text| text.trim().chars().count());
            if length == 0 || length > most {
                wrong(field, format!("write 1 to {most} characters, or null"));
            }
        }
        let word = |word: &String| {
            (1..=20).contains(&word.chars().count()) && word.chars().all(char::is_alphanumeric)
        };
        if self.join_keywords.len() > 10 || !self.join_keywords.iter().all(word) {
            let words = "write at most 10 words of at most 20 letters and digits";
            wrong("join_keywords", words.to_owned());
        }
        for (field, limit) in [
            ("recipient_daily_max", self.recipient_daily_max),
            ("reminders_hourly_max", self.reminders_hourly_max),
            ("texts_hourly_max", self.texts_hourly_max),
            ("velocity_per_hour", self.velocity_per_hour),
            ("sequential_per_hour", self.sequential_per_hour),
        ] {
            if limit == Some(0) {
                wrong(field, "write a number from 1 on, or null".to_owned());
            }
        }
        let country = |code: &String| {
            code.bytes().all(|byte| byte.is_ascii_uppercase())
                && crate::phone::calling_code(code).is_some()
        };
        if self.countries.as_ref().is_some_and(|list| list.is_empty() || !list.iter().all(country))
        {
            let words = "write countries as two capitals each, such as [\"US\", \"CA\"], or null";
            wrong("countries", words.to_owned());
        }
        let lanes = velocity::LANES.map(Lane::as_str);
        if !self.guarded_lanes.iter().all(|word| lanes.contains(&word.as_str())) {
            wrong("guarded_lanes", format!("write some of {}", lanes.join(", ")));
        }
        if self.billing_email.as_ref().is_some_and(|text| !is_mail_address(text)) {
            let words = "write an address for mail such as books@example.com, or null";
            wrong("billing_email", words.to_owned());
        }
        problems
    }
}

/// Whether mail can be sent to this text: one address in the plain form of RFC 5321, without
/// quotes, comments or anything that ends a line.
fn is_mail_address(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else { return false };
    let in_local = |c: char| c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (1..=64).contains(&local.len())
        && local.chars().all(in_local)
        && local.split('.').all(|part| !part.is_empty())
        && host.len() <= 253
        && host.contains('.')
        && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str) -> Settings {
        serde_json::from_str(json).expect("settings")
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        assert_eq!(settings("{}"), Settings::default());
        assert!(Settings::default().problems().is_empty());
        let text = serde_json::to_string(&Settings::default()).expect("JSON");
        assert_eq!(settings(&text), Settings::default());
    }

    #[test]
    fn contexts_are_chosen_with_their_parties() {
        let reminder = r#"{"contexts":{"appointment.reminder":"#;
        for (choice, key, sent) in [
            ("{}".to_owned(), "appointment.reminder", true),
            ("{}".to_owned(), "appointment.reminder.coach", false),
            (format!("{reminder}{{\"enabled\":false}}}}}}"), "appointment.reminder", false),
            (
                format!("{reminder}{{\"parties\":[\"client\",\"coach\"]}}}}}}"),
                "appointment.reminder.coach",
                true,
            ),
            (format!("{reminder}{{\"parties\":[\"coach\"]}}}}}}"), "appointment.reminder", false),
            (
                format!("{reminder}{{\"enabled\":false,\"parties\":[\"coach\"]}}}}}}"),
                "appointment.reminder.coach",
                false,
            ),
            (
                r#"{"contexts":{"appointment.reminder.coach":{"enabled":true}}}"#.to_owned(),
                "appointment.reminder.coach",
                true,
            ),
        ] {
            let context = contexts::find(key).expect("registered");
            assert_eq!(settings(&choice).sends(context), sent, "{choice} {key}");
        }
    }

    #[test]
    fn state_hours_are_kept_by_accounts_that_keep_quiet_hours() {
        let quiet = QuietHours::parse("21:00", "08:00").ok();
        for (choice, category, quiet, kept) in [
            ("{}", Category::Marketing, quiet, true),
            ("{}", Category::Marketing, None, false),
            ("{}", Category::Transactional, quiet, false),
            (r#"{"state_hours":"all"}"#, Category::Transactional, quiet, true),
            (r#"{"state_hours":"all"}"#, Category::Transactional, None, false),
            (r#"{"state_hours":"off"}"#, Category::Marketing, quiet, false),
        ] {
            assert_eq!(settings(choice).keeps_state_hours(category, quiet), kept, "{choice}");
        }
    }

    #[test]
    fn what_does_not_hold_together_is_named() {
        for (json, field) in [
            (r#"{"reminder_offsets_minutes":[4]}"#, "reminder_offsets_minutes"),
            (r#"{"reminder_offsets_minutes":[86401]}"#, "reminder_offsets_minutes"),
            (r#"{"contexts":{"a.b":{}}}"#, "contexts.a.b"),
            (r#"{"reply_window_days":0}"#, "reply_window_days"),
            (r#"{"footer":" "}"#, "footer"),
            (r#"{"join_keywords":["two words"]}"#, "join_keywords"),
            (r#"{"recipient_daily_max":0}"#, "recipient_daily_max"),
            (r#"{"reminders_hourly_max":0}"#, "reminders_hourly_max"),
            (r#"{"texts_hourly_max":0}"#, "texts_hourly_max"),
            (r#"{"velocity_per_hour":0}"#, "velocity_per_hour"),
            (r#"{"sequential_per_hour":0}"#, "sequential_per_hour"),
            (r#"{"countries":[]}"#, "countries"),
            (r#"{"countries":["US","XX"]}"#, "countries"),
            (r#"{"countries":["us"]}"#, "countries"),
            (r#"{"guarded_lanes":["campaign"]}"#, "guarded_lanes"),
            (r#"{"billing_email":"books"}"#, "billing_email"),
        ] {
            let problems = settings(json).problems();
            assert_eq!(problems.len(), 1, "{json}");
            assert_eq!(problems[0].0, field);
        }
    }
    #[test]
    fn addresses_for_mail() {
        for (text, good) in [
            ("books@example.com", true),
            ("b.o+x'y@mail.example.co.uk", true),
            ("a@b", false),
            ("@example.com", false),
            ("a@example..com", false),
            ("a@-example.com", false),
            ("a..b@example.com", false),
            ("a b@example.com", false),
            ("a@example.com\r\nBcc: c@example.com", false),
            ("a@example.com, b@example.com", false),
            ("Sam <a@example.com>", false),
            ("\"a b\"@example.com", false),
            ("jürgen@example.com", false),
        ] {
            assert_eq!(is_mail_address(text), good, "{text}");
        }
    }

    #[test]
    fn countries_are_chosen_or_the_usual_ones() {
        for (json, home, expected) in [
            ("{}", "US", vec!["US", "CA"]),
            ("{}", "FR", vec!["US", "CA", "FR"]),
            (r#"{"countries":["GB"]}"#, "FR", vec!["GB"]),
        ] {
            assert_eq!(settings(json).countries(home), expected, "{json} {home}");
        }
    }
}
