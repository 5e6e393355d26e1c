//! Why a text is sent: the registry of contexts. A context gives a text its category, its lane
//! and its default words, and says whether it may wake people up.
//!
//! The registry is data: a row of `data/contexts.csv` with its template is all that a context
//! needs. An installation adds rows of its own with [`install`], in the same form.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use csv::StringRecord;
use serde::Serialize;

use crate::lanes::Lane;
use crate::message::words;
use crate::permit::Category;
use crate::template::Template;

words! {
    /// Whose text it is: the person booked, or who receives them.
    Party {
        /// The person booked.
        Client = 1 "client",
        /// Who holds the appointment.
        Coach = 2 "coach",
    }
}

/// One reason for texting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Its key, such as `message.notification`.
    pub key: String,
    /// What makes the engine send it by itself, such as `scheduled`; empty when only a caller does.
    pub event: String,
    /// Whose text it is.
    pub party: Party,
    /// What consent its texts need.
    pub category: Category,
    /// Which texts it goes before.
    pub lane: Lane,
    /// Somebody waits for it: it leaves at night too.
    pub passes_quiet_hours: bool,
    /// Accounts that chose nothing send it.
    pub default_on: bool,
    /// It answers an opt-out, or a call for help: it reaches those who opted out.
    pub to_opted_out: bool,
    /// It asks for a yes or a no.
    pub asks: bool,
    /// It tells now and then how to opt out.
    pub footer: bool,
    /// Its words, by language; none when the caller brings them.
    pub templates: BTreeMap<String, String>,
}

impl Context {
    /// It counts towards what one phone may get in a day: not what somebody waits for.
    pub fn counts_in_a_day(&self) -> bool {
        !self.to_opted_out && !matches!(self.lane, Lane::Code | Lane::Urgent | Lane::Reply)
    }

    /// Its words in this locale (`es-MX`, `es`), else in English.
    pub fn template(&self, locale: Option<&str>) -> Option<&str> {
        let language = locale.and_then(|locale| locale.split(['-', '_']).next()).unwrap_or("en");
        self.templates
            .get(&language.to_ascii_lowercase())
            .or_else(|| self.templates.get("en"))
            .map(String::as_str)
    }
}

/// A row of a registry that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("context {key:?}: {problem}")]
pub struct ContextError {
    /// Which row.
    pub key: String,
    /// What is wrong and how to mend it.
    pub problem: String,
}

static REGISTRY: OnceLock<Vec<Context>> = OnceLock::new();

/// Every context, in the order of the file.
pub fn all() -> &'static [Context] {
    REGISTRY.get_or_init(built_in)
}

/// The context with this key.
pub fn find(key: &str) -> Option<&'static Context> {
    all().iter().find(|context| context.key == key)
}

/// The contexts that this event sends, one per party at most.
pub fn of_event(event: &str) -> impl Iterator<Item = &'static Context> {
    all().iter().filter(move |context| !event.is_empty() && context.event == event)
}

/// The context of a campaign's texts.
pub fn of_campaign(category: Category) -> &'static Context {
    match category {
        Category::Marketing => find("campaign.marketing"),
        Category::Transactional => find("campaign.transactional"),
    }
    .expect("both are registered")
}

/// Adds an installation's own contexts to the built-in ones, for the life of the process; a row
/// with a known key replaces that one. Must come before the first text.
pub fn install(csv: &str) -> Result<(), ContextError> {
    let mut registry = built_in();
    for one in parse(csv)? {
        match registry.iter_mut().find(|known| known.key == one.key) {
            Some(known) => *known = one,
            None => registry.push(one),
        }
    }
    REGISTRY.set(registry).map_err(|_| ContextError {
        key: String::new(),
        problem: "contexts were used before the installation's own were read".to_owned(),
    })
}

fn built_in() -> Vec<Context> {
    parse(include_str!("../data/contexts.csv")).expect("a test reads the built-in contexts")
}

/// Reads contexts from CSV. The columns are those of `data/contexts.csv`; those behind `footer`
/// are languages.
pub fn parse(csv: &str) -> Result<Vec<Context>, ContextError> {
    let unread =
        |error: csv::Error| ContextError { key: String::new(), problem: error.to_string() };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(csv.as_bytes());
    let header = reader.headers().map_err(unread)?.clone();
    let mut contexts: Vec<Context> = Vec::new();
    for row in reader.records() {
        let context = context_of(&header, &row.map_err(unread)?)?;
        if contexts.iter().any(|known| known.key == context.key) {
            return Err(ContextError { key: context.key, problem: "is there twice".to_owned() });
        }
        contexts.push(context);
    }
    Ok(contexts)
}

/// Columns that are no language.
const COLUMNS: [&str; 10] = [
    "key",
    "event",
    "party",
    "category",
    "lane",
    "quiet_hours",
    "default_on",
    "to_opted_out",
    "asks",
    "footer",
];

fn context_of(header: &StringRecord, row: &StringRecord) -> Result<Context, ContextError> {
    let cell = |name: &str| -> &str {
        let at = header.iter().position(|column| column == name);
        at.and_then(|at| row.get(at)).map_or("", str::trim)
    };
    let key = cell("key").to_owned();
    let wrong = |problem: String| ContextError { key: key.clone(), problem };
    let flag = |name: &str, yes: &str, no: &str| match cell(name) {
        word if word == yes => Ok(true),
        word if word == no => Ok(false),
        word => Err(wrong(format!("{name} is {word:?}: write {yes:?} or {no:?}"))),
    };
    if key.is_empty() || !key.contains('.') {
        return Err(wrong("write a key such as appointment.reminder".to_owned()));
    }
    let party = Party::parse(cell("party"));
    let category = Category::parse(cell("category"));
    let lane = Lane::parse(cell("lane"));
    let mut templates = BTreeMap::new();
    for language in header.iter().filter(|name| !COLUMNS.contains(name)) {
        let text = cell(language);
        if !text.is_empty() {
            Template::parse(text).map_err(|error| wrong(format!("{language}: {error}")))?;
            templates.insert(language.to_owned(), text.to_owned());
        }
    }
    Ok(Context {
        event: cell("event").to_owned(),
        party: party.ok_or_else(|| wrong("party: write client or coach".to_owned()))?,
        category: category
            .ok_or_else(|| wrong("category: write transactional or marketing".to_owned()))?,
        lane: lane.ok_or_else(|| {
            let lanes: Vec<&str> = Lane::ALL.iter().map(|lane| lane.as_str()).collect();
            wrong(format!("lane: write one of {}", lanes.join(", ")))
        })?,
        passes_quiet_hours: flag("quiet_hours", "passes", "keeps")?,
        default_on: flag("default_on", "on", "off")?,
        to_opted_out: flag("to_opted_out", "passes", "")?,
        asks: flag("asks", "asks", "")?,
        footer: flag("footer", "footer", "")?,
        templates,
        key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_and_campaigns_find_theirs() {
        for (n, one) in all().iter().enumerate() {
            assert_eq!(find(&one.key), Some(&all()[n]));
        }
        for &category in Category::ALL {
            assert_eq!(of_campaign(category).category, category);
        }
        assert_eq!(find("campaign"), None);
    }

    #[test]
    fn each_event_has_one_context_per_party_and_each_of_those_has_words() {
        for one in all().iter().filter(|one| !one.event.is_empty()) {
            let same = |other: &&Context| other.party == one.party;
            assert_eq!(of_event(&one.event).filter(same).count(), 1, "{}", one.key);
            for language in ["en", "es", "fr"] {
                assert!(one.templates.contains_key(language), "{} in {language}", one.key);
            }
        }
        let reminder = find("appointment.reminder").expect("it is registered");
        assert!(
            reminder.asks
                && reminder.template(Some("es-MX")).is_some_and(|text| {
                    text.contains("Responda") && reminder.template(Some("de")) != Some(text)
                })
        );
    }

    #[test]
    fn rows_are_read_and_bad_ones_say_what_is_wrong() {
        let header = COLUMNS.join(",") + ",en";
        let good = format!(
            "{header}\nparty.invite,,client,marketing,notification,keeps,off,,,,{}\n",
            r#""Hi, ""{{ name }}""""#
        );
        let found = parse(&good).expect("reads");
        assert_eq!(found[0].template(None), Some("Hi, \"{{ name }}\""));
        for (row, part) in [
            ("invite,,client,marketing,notification,keeps,off,,,,", "write a key"),
            ("a.b,,boss,marketing,notification,keeps,off,,,,", "party"),
            ("a.b,,client,ads,notification,keeps,off,,,,", "category"),
            ("a.b,,client,marketing,fast,keeps,off,,,,", "lane"),
            ("a.b,,client,marketing,reply,often,off,,,,", "quiet_hours"),
            ("a.b,,client,marketing,reply,keeps,off,,,,{{ name", "en"),
        ] {
            let error = parse(&format!("{header}\n{row}\n")).expect_err(row);
            assert!(error.to_string().contains(part), "{error}");
        }
        let twice = format!("{header}\na.b,,client,marketing,reply,keeps,off,,,,\n").repeat(2);
        assert!(parse(&twice).is_err());
    }
}
