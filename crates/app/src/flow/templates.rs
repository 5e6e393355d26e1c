//! An account's own words for contexts: kept, tried out, and looked at before they are sent.
//!
//! A template that cannot be read is refused. What else may be wrong with it (a variable its
//! context does not know, something that does not belong in a text) is told beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::contexts::{self, Context};
use domain::ids::{AccountId, TemplateId};
use domain::instant::Instant;
use domain::quiet_hours;
use domain::seam::Dice;
use domain::segments::{self, Encoding};
use domain::sensitive::{self, Warning};
use domain::settings::{FooterPolicy, Settings};
use domain::template::{RenderContext, Template};
use domain::text;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use store::Tx;
use store::accounts::{self, Account};
use store::contacts::any_has_field;
use store::settings::{self, OwnTemplate, TEMPLATES_MAX, list_templates};

use super::accounts::{checked_name, checked_zone};
use super::contacts::checked_locale;
use super::keywords::usual_help;
use super::opt_out_link::{self, OptOutLinks};
use super::{Refusal, Result, invalid};

/// Languages one template has words in at most.
const LANGUAGES_MAX: usize = 40;
/// Values one preview is given at most.
const VALUES_MAX: usize = 100;
const SAMPLE_PHONE: &str = "+13125550147";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// An account's own words, as a caller writes them.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateIn {
    /// What staff call it.
    pub name: String,
    /// Its words by language: `{"en": "…", "es": "…"}`. People whose language is not there get
    /// `en`, and without one the default words.
    pub bodies: BTreeMap<String, String>,
    /// The context it is for: its variables are checked and its samples used. Which template a
    /// context uses stands in the settings.
    pub context: Option<String>,
    /// Values for the preview, instead of samples.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

/// Words to be tried out.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewIn {
    /// The words.
    pub body: Option<String>,
    /// Instead of `body`: a template of the account's.
    #[schema(value_type = Option<String>)]
    pub template_id: Option<TemplateId>,
    /// The context they are for; with neither `body` nor `template_id`, its present words.
    pub context: Option<String>,
    /// The reader's language.
    pub locale: Option<String>,
    /// What the variables stand for, instead of samples.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    /// The reader's zone; absent for the account's.
    pub timezone: Option<String>,
}

/// Words as they would arrive.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Preview {
    /// The text; `null` when it cannot be written.
    pub preview: Option<String>,
    /// Billed parts.
    pub segments: Option<u32>,
    /// `GSM-7` or `UCS-2`.
    #[schema(value_type = Option<String>)]
    pub encoding: Option<Encoding>,
    /// Billed parts when it also tells how to opt out; `null` when it never does.
    pub segments_with_footer: Option<u32>,
    /// What keeps it from being sent as it is.
    pub problems: Vec<String>,
    /// What does not belong in a text.
    pub warnings: Vec<WarningOut>,
}

/// Something that does not belong in a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct WarningOut {
    /// `health`, `card`, `identity` or `secret`.
    pub kind: &'static str,
    /// What was found.
    pub found: String,
    /// Why it matters.
    pub advice: &'static str,
}

impl From<Warning> for WarningOut {
    fn from(warning: Warning) -> Self {
        let Warning { kind, found, advice } = warning;
        Self { kind: kind.as_str(), found, advice }
    }
}

/// An account's own words.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct TemplateOut {
    /// Its id.
    #[schema(value_type = String)]
    pub id: TemplateId,
    /// What staff call it.
    pub name: String,
    /// Its words by language.
    pub bodies: BTreeMap<String, String>,
    /// The contexts that use it.
    pub contexts: Vec<String>,
    /// When it was last written.
    #[schema(value_type = String)]
    pub updated_at: Instant,
    /// As it would arrive in English, else in its first language.
    #[serde(flatten)]
    pub sample: Preview,
    /// As it would arrive in each language.
    pub languages: BTreeMap<String, Preview>,
}

/// Adds a template.
pub async fn add(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    wanted: &TemplateIn,
) -> Result<TemplateOut> {
    settings::lock_settings(tx, account).await?;
    let count = list_templates(tx, account).await?.len();
    if i64::try_from(count).is_ok_and(|count| count >= TEMPLATES_MAX) {
        return Err(Refusal::State(format!("an account has at most {TEMPLATES_MAX} templates")));
    }
    let id = TemplateId::new(tx.now(), dice);
    save(tx, account, id, wanted).await
}

/// Writes a template that is there anew.
pub async fn replace(
    tx: &mut Tx,
    account: AccountId,
    id: TemplateId,
    wanted: &TemplateIn,
) -> Result<TemplateOut> {
    settings::lock_settings(tx, account).await?;
    find(tx, account, id).await?;
    save(tx, account, id, wanted).await
}

/// Removes a template that no context uses.
pub async fn remove(tx: &mut Tx, account: AccountId, id: TemplateId) -> Result<()> {
    let choices = settings::lock_settings(tx, account).await?;
    if let Some(key) = used_by(&choices, id).first() {
        let words = format!("the context {key} uses it; give that one other words first");
        return Err(Refusal::State(words));
    }
    if settings::delete_template(tx, account, id).await? {
        return Ok(());
    }
    Err(Refusal::NotFound("template"))
}

/// An account's templates, oldest first.
pub async fn list(tx: &mut Tx, account: AccountId) -> Result<Vec<TemplateOut>> {
    let own = list_templates(tx, account).await?;
    let desk = Proofs::open(tx, account).await?;
    let mut list = Vec::with_capacity(own.len());
    for one in own {
        list.push(desk.shown(tx, one, None, &BTreeMap::new()).await?);
    }
    Ok(list)
}

async fn find(tx: &mut Tx, account: AccountId, id: TemplateId) -> Result<OwnTemplate> {
    let own = list_templates(tx, account).await?;
    own.into_iter().find(|one| one.id == id).ok_or(Refusal::NotFound("template"))
}

async fn save(
    tx: &mut Tx,
    account: AccountId,
    id: TemplateId,
    wanted: &TemplateIn,
) -> Result<TemplateOut> {
    let context = wanted.context.as_deref().map(checked_context).transpose()?;
    let one = OwnTemplate {
        id,
        name: checked_name("name", &wanted.name)?,
        bodies: checked_bodies(&wanted.bodies)?,
        updated_at: tx.now(),
    };
    check_values(&wanted.values)?;
    settings::save_template(tx, account, &one).await?;
    Proofs::open(tx, account).await?.shown(tx, one, context, &wanted.values).await
}

fn checked_context(key: &str) -> Result<&'static Context> {
    contexts::find(key).ok_or_else(|| {
        let keys: Vec<&str> = contexts::all().iter().map(|one| one.key.as_str()).collect();
        invalid("context", format!("write one of {}", keys.join(", ")))
    })
}

fn check_values(values: &BTreeMap<String, String>) -> Result<()> {
    if values.len() <= VALUES_MAX {
        return Ok(());
    }
    Err(invalid("values", format!("write at most {VALUES_MAX} values")))
}

/// Languages in lower case without regions, each with words that can be read.
fn checked_bodies(bodies: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    if bodies.is_empty() || bodies.len() > LANGUAGES_MAX {
        let problem = format!("write words in 1 to {LANGUAGES_MAX} languages: {{\"en\": \"…\"}}");
        return Err(invalid("bodies", problem));
    }
    let mut checked = BTreeMap::new();
    for (language, body) in bodies {
        let field = format!("bodies.{language}");
        let name = checked_locale(language).ok().filter(|name| !name.contains('-'));
        let Some(name) = name else {
            return Err(invalid(field, "name a language by its two letters, such as en or es"));
        };
        if body.trim().is_empty() {
            return Err(invalid(field, "write the words, or leave the language out"));
        }
        Template::parse(body).map_err(|error| invalid(&*field, error.to_string()))?;
        if checked.insert(name.to_ascii_lowercase(), body.clone()).is_some() {
            return Err(invalid(field, "this language is there twice"));
        }
    }
    Ok(checked)
}

fn used_by(choices: &Settings, id: TemplateId) -> Vec<String> {
    let uses = choices.contexts.iter().filter(|(_, choice)| choice.template_id == Some(id));
    uses.map(|(key, _)| key.clone()).collect()
}

/// Tries words out.
pub async fn preview(tx: &mut Tx, account: AccountId, wanted: &PreviewIn) -> Result<Preview> {
    check_values(&wanted.values)?;
    let context = wanted.context.as_deref().map(checked_context).transpose()?;
    let locale = wanted.locale.as_deref().map(checked_locale).transpose()?;
    let locale = locale.as_deref();
    let mut desk = Proofs::open(tx, account).await?;
    if let Some(name) = &wanted.timezone {
        let name = checked_zone("timezone", name)?;
        desk.zone = quiet_hours::zone(&name).unwrap_or(TimeZone::UTC);
    }
    let chosen = context.and_then(|context| desk.choices.template_of(context));
    let body = match (&wanted.body, wanted.template_id.or(chosen)) {
        (Some(_), _) if wanted.template_id.is_some() => {
            return Err(invalid("body", "write either body or template_id"));
        }
        (Some(body), _) => body.clone(),
        (None, Some(id)) => words_of(&find(tx, account, id).await?.bodies, locale),
        (None, None) => {
            let words = context.and_then(|context| context.template(locale));
            let problem = "write body, template_id, or a context that has words of its own";
            words.ok_or_else(|| invalid("body", problem))?.to_owned()
        }
    };
    Template::parse(&body).map_err(|error| invalid("body", error.to_string()))?;
    desk.proof(tx, &body, context, locale, &wanted.values).await
}

fn words_of(bodies: &BTreeMap<String, String>, locale: Option<&str>) -> String {
    let language = locale.and_then(|locale| locale.split('-').next()).unwrap_or("en");
    let own = bodies.get(&language.to_ascii_lowercase()).or_else(|| bodies.get("en"));
    own.or_else(|| bodies.values().next()).cloned().unwrap_or_default()
}

/// What trying words out takes.
struct Proofs {
    owner: Account,
    choices: Settings,
    links: Option<OptOutLinks>,
    zone: TimeZone,
    now: Instant,
}

impl Proofs {
    async fn open(tx: &mut Tx, account: AccountId) -> Result<Self> {
        let owner = accounts::account(tx, account).await?;
        let choices = settings::settings(tx, account).await?;
        let zone = quiet_hours::zone(&owner.timezone).unwrap_or(TimeZone::UTC);
        let links = OptOutLinks::load(tx).await?;
        Ok(Self { owner, choices, links, zone, now: tx.now() })
    }

    async fn shown(
        &self,
        tx: &mut Tx,
        one: OwnTemplate,
        context: Option<&'static Context>,
        values: &BTreeMap<String, String>,
    ) -> Result<TemplateOut> {
        let contexts = used_by(&self.choices, one.id);
        let context = context.or_else(|| contexts.first().and_then(|key| contexts::find(key)));
        let mut languages = BTreeMap::new();
        for (language, body) in &one.bodies {
            let proof = self.proof(tx, body, context, Some(language), values).await?;
            languages.insert(language.clone(), proof);
        }
        let main = languages.get("en").or_else(|| languages.values().next());
        let sample = main.cloned().ok_or(Refusal::NotFound("language"))?;
        let OwnTemplate { id, name, bodies, updated_at } = one;
        Ok(TemplateOut { id, name, bodies, contexts, updated_at, sample, languages })
    }

    async fn proof(
        &self,
        tx: &mut Tx,
        body: &str,
        context: Option<&'static Context>,
        locale: Option<&str>,
        given: &BTreeMap<String, String>,
    ) -> Result<Preview> {
        let template = Template::parse(body).map_err(|error| invalid("body", error.to_string()))?;
        let mut values = self.samples(locale);
        let known = context.map_or_else(|| values.keys().cloned().collect(), known_to);
        let mut problems = Vec::new();
        for name in template.variables() {
            if given.contains_key(&name) || (known.contains(&name) && values.contains_key(&name)) {
                continue;
            }
            let of_contacts = any_has_field(tx, self.owner.id, &name).await?;
            if !of_contacts {
                let whose = context.map_or("any context", |context| &context.key);
                problems.push(format!("{name}: no contact has it, and {whose} does not know it"));
            }
            values.entry(name.clone()).or_insert(name);
        }
        values.extend(given.clone());
        let at = RenderContext { now: self.now, zone: self.zone.clone() };
        let text = text::compose(&template, &values, &at);
        let footer = self.footer(context).map(|footer| format!("{} {footer}", body.trim_end()));
        let with_footer = footer.and_then(|source| {
            let template = Template::parse(&source).ok()?;
            text::compose(&template, &values, &at).ok().map(|text| text.segments)
        });
        let (preview, segments) = match text {
            Ok(text) => (Some(text.body), Some(text.segments)),
            Err(problem) => {
                problems.push(problem.to_string());
                (None, None)
            }
        };
        let warned = sensitive::warnings(preview.as_deref().unwrap_or(body));
        Ok(Preview {
            encoding: preview.as_deref().map(|text| segments::measure(text).encoding),
            preview,
            segments,
            segments_with_footer: with_footer,
            problems,
            warnings: warned.into_iter().map(WarningOut::from).collect(),
        })
    }

    fn footer(&self, context: Option<&Context>) -> Option<&str> {
        let tells = context.is_some_and(|context| context.footer)
            && self.choices.footer_policy != FooterPolicy::Never;
        self.choices.footer.as_deref().filter(|_| tells)
    }

    /// What variables stand for when nobody says.
    fn samples(&self, locale: Option<&str>) -> BTreeMap<String, String> {
        let help = self.choices.help_text.clone();
        let help = help.unwrap_or_else(|| usual_help(&self.owner.name, locale));
        let mut samples: BTreeMap<String, String> = [
            ("business", self.owner.name.as_str()),
            ("name", "Ada Park"),
            ("client", "Ada Park"),
            ("coach", "Sam"),
            ("phone", SAMPLE_PHONE),
            ("title", "Session with Sam"),
            ("location", "12 Main Street"),
            ("yes", "Y"),
            ("no", "N"),
            ("choices", "Reply Y to confirm, N to reschedule."),
            ("help", help.as_str()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        samples.insert("starts_at".to_owned(), (self.now + DAY).to_string());
        if let Some(links) = &self.links {
            let link = links.url(self.owner.id, SAMPLE_PHONE);
            samples.insert(opt_out_link::VARIABLE.to_owned(), link);
        }
        samples
    }
}

/// The variables a context's words may use: what its own default words use, and its kin's.
fn known_to(context: &'static Context) -> BTreeSet<String> {
    let family = |key: &str| key.split('.').next().unwrap_or_default().to_owned();
    let mut known: BTreeSet<String> =
        ["business", "name", "phone", opt_out_link::VARIABLE].map(str::to_owned).into();
    for one in contexts::all().iter().filter(|one| family(&one.key) == family(&context.key)) {
        for words in one.templates.values() {
            let variables = Template::parse(words).map(|template| template.variables());
            // Only a text that asks has words for the answers.
            let fits = |name: &String| {
                context.asks || one.key == context.key || !matches!(name.as_str(), "yes" | "no")
            };
            known.extend(variables.into_iter().flatten().filter(fits));
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_knows_what_its_kin_knows() {
        for (key, name, expected) in [
            ("appointment.reminder", "yes", true),
            ("appointment.scheduled", "yes", false),
            ("appointment.scheduled", "client", true),
            ("appointment.scheduled", "help", false),
            ("consent.join", "yes", true),
            ("consent.help", "help", true),
            ("message.notification", "title", false),
            ("message.notification", "opt_out_link", true),
        ] {
            let context = contexts::find(key).expect("registered");
            assert_eq!(known_to(context).contains(name), expected, "{key} {name}");
        }
    }
}
