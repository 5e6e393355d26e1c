//! What an account chooses: read whole, written in part, checked before it is kept.
//!
//! What is read shows every context as it works now; writing that back changes nothing. Only what
//! differs from what holds is kept, so that a default which changes later reaches everybody who
//! never chose.

use std::collections::{BTreeMap, BTreeSet};

use domain::contexts::{self, Context, Party};
use domain::ids::{AccountId, TemplateId};
use domain::keywords::{Kind, Options, classify};
use domain::quiet_hours::QuietHours;
use domain::seam::Dice;
use domain::settings::{FooterPolicy, OptOutScope, PartyWord, Settings, StateHours, TokenMode};
use domain::template::Template;
use serde::{Deserialize, Serialize};
use store::{Tx, accounts, audit, settings};

use super::contact_changes::given;
use super::opt_out_link;
use super::{Refusal, Result, invalid};

/// An account's settings as they work.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct SettingsOut {
    /// Grows by one with every change.
    pub version: i64,
    /// How long before an appointment its reminders go, in minutes.
    pub reminder_offsets_minutes: Vec<u32>,
    /// Every context, as its texts are sent.
    pub contexts: BTreeMap<String, ContextOut>,
    /// When contacts are left in peace; `null` for never.
    #[schema(value_type = Option<Object>)]
    pub quiet_hours: Option<QuietHours>,
    /// How many days a request waits for its answer.
    pub reply_window_days: u32,
    /// `auto`, `always` or `never`: when texts ask for `Y123` instead of `Y`.
    #[schema(value_type = String)]
    pub reply_tokens: TokenMode,
    /// How people are told to opt out; `null` for never.
    pub footer: Option<String>,
    /// `first_then_monthly`, `always` or `never`.
    #[schema(value_type = String)]
    pub footer_policy: FooterPolicy,
    /// What HELP is answered; `null` for the usual words.
    pub help_text: Option<String>,
    /// Opt-outs and opt-ins are confirmed by a text.
    pub confirmations: bool,
    /// Words that ask to be taken into the list.
    pub join_keywords: Vec<String>,
    /// Joining takes a second word.
    pub double_opt_in: bool,
    /// A bare YES opts in again, when nothing else was asked.
    pub yes_is_start: bool,
    /// `account` or `sender`: how far an opt-out reaches.
    #[schema(value_type = String)]
    pub opt_out_scope: OptOutScope,
    /// Staff may answer at night within a day of a text that came in.
    pub reply_quiet_exempt: bool,
    /// `off`, `marketing` or `all`: which texts keep to the stricter hours of a state.
    #[schema(value_type = String)]
    pub state_hours: StateHours,
    /// Texts to one phone in a day at most, codes aside; `null` for any number.
    pub recipient_daily_max: Option<u32>,
    /// A single text is refused while the same words to the same phone are on their way.
    pub refuse_duplicates: bool,
    /// Countries whose numbers are texted, as two capitals each.
    pub countries: Vec<String>,
    /// Bookings whose reminders leave within an hour, at most; `null` for any number.
    pub reminders_hourly_max: Option<u32>,
    /// Other single texts that leave within an hour, at most; `null` for any number.
    pub texts_hourly_max: Option<u32>,
    /// Kinds of texts that are watched for fraud: `code`, `notification`, `urgent`.
    pub guarded_lanes: Vec<String>,
    /// Texts of a watched kind within an hour to numbers that differ in their last four digits
    /// only, at most; `null` for any number.
    pub velocity_per_hour: Option<u32>,
    /// Different numbers of one block of a hundred that get texts of a watched kind within an
    /// hour, at most; `null` for any number.
    pub sequential_per_hour: Option<u32>,
    /// Who is written to about money; `null` for nobody.
    pub billing_email: Option<String>,
}

/// How a context's texts are sent.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ContextOut {
    /// They are sent.
    pub enabled: bool,
    /// To whom: `client`, `coach`.
    #[schema(value_type = Vec<String>)]
    pub parties: Vec<PartyWord>,
    /// The account's own words; `null` for the default ones.
    #[schema(value_type = Option<String>)]
    pub template_id: Option<TemplateId>,
    /// The default words in English; `null` when the caller brings them.
    pub default_template: Option<String>,
}

/// What is to change of the settings; what is left out stays.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsIn {
    /// The version that was read: refused when somebody wrote in between.
    pub version: Option<i64>,
    /// How long before an appointment its reminders go, in minutes: 5 to 86400.
    pub reminder_offsets_minutes: Option<Vec<u32>>,
    /// Choices per context.
    #[serde(default)]
    pub contexts: BTreeMap<String, ContextIn>,
    /// When contacts are left in peace; `null` for never.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Object>)]
    pub quiet_hours: Option<Option<QuietHours>>,
    /// How many days a request waits for its answer.
    pub reply_window_days: Option<u32>,
    /// `auto`, `always` or `never`.
    #[schema(value_type = Option<String>)]
    pub reply_tokens: Option<TokenMode>,
    /// How people are told to opt out; `null` for never.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub footer: Option<Option<String>>,
    /// `first_then_monthly`, `always` or `never`.
    #[schema(value_type = Option<String>)]
    pub footer_policy: Option<FooterPolicy>,
    /// What HELP is answered; `null` for the usual words.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub help_text: Option<Option<String>>,
    /// Opt-outs and opt-ins are confirmed by a text.
    pub confirmations: Option<bool>,
    /// Words that ask to be taken into the list.
    pub join_keywords: Option<Vec<String>>,
    /// Joining takes a second word.
    pub double_opt_in: Option<bool>,
    /// A bare YES opts in again, when nothing else was asked.
    pub yes_is_start: Option<bool>,
    /// `account` or `sender`.
    #[schema(value_type = Option<String>)]
    pub opt_out_scope: Option<OptOutScope>,
    /// Staff may answer at night within a day of a text that came in.
    pub reply_quiet_exempt: Option<bool>,
    /// `off`, `marketing` or `all`.
    #[schema(value_type = Option<String>)]
    pub state_hours: Option<StateHours>,
    /// Texts to one phone in a day at most; `null` for any number.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    pub recipient_daily_max: Option<Option<u32>>,
    /// A single text is refused while the same words to the same phone are on their way.
    pub refuse_duplicates: Option<bool>,
    /// Countries whose numbers are texted, as two letters each; `null` for the United States,
    /// Canada and the account's own.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>)]
    pub countries: Option<Option<Vec<String>>>,
    /// Bookings whose reminders leave within an hour, at most; `null` for any number.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    pub reminders_hourly_max: Option<Option<u32>>,
    /// Other single texts that leave within an hour, at most; `null` for any number.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    pub texts_hourly_max: Option<Option<u32>>,
    /// Kinds of texts that are watched for fraud: `code`, `notification`, `urgent`.
    pub guarded_lanes: Option<Vec<String>>,
    /// Texts of a watched kind within an hour to numbers that differ in their last four digits
    /// only, at most; `null` for any number.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    pub velocity_per_hour: Option<Option<u32>>,
    /// Different numbers of one block of a hundred that get texts of a watched kind within an
    /// hour, at most; `null` for any number.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    pub sequential_per_hour: Option<Option<u32>>,
    /// Who is written to about money; `null` for nobody.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub billing_email: Option<Option<String>>,
}

/// What is to change of a context; what is left out stays, `null` goes back to the default.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContextIn {
    /// Its texts are sent.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<bool>)]
    pub enabled: Option<Option<bool>>,
    /// To whom: `client`, `coach`.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>)]
    pub parties: Option<Option<Vec<PartyWord>>>,
    /// In the account's own words.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub template_id: Option<Option<TemplateId>>,
    /// Shown only; what is written here changes nothing.
    #[serde(rename = "default_template")]
    #[schema(value_type = Option<String>)]
    _default_template: Option<String>,
}

/// An account's settings.
pub async fn read(tx: &mut Tx, account: AccountId) -> Result<SettingsOut> {
    let choices = settings::settings(tx, account).await?;
    shown(tx, account, choices).await
}

async fn shown(tx: &mut Tx, account: AccountId, choices: Settings) -> Result<SettingsOut> {
    let owner = accounts::account(tx, account).await?;
    let version = settings::settings_version(tx, account).await?;
    let contexts = contexts::all()
        .iter()
        .map(|context| (context.key.clone(), context_out(&choices, context)))
        .collect();
    let countries = choices.countries(&owner.country);
    Ok(SettingsOut {
        version,
        reminder_offsets_minutes: choices.reminder_offsets_minutes,
        contexts,
        quiet_hours: owner.quiet_hours,
        reply_window_days: choices.reply_window_days,
        reply_tokens: choices.reply_tokens,
        footer: choices.footer,
        footer_policy: choices.footer_policy,
        help_text: choices.help_text,
        confirmations: choices.confirmations,
        join_keywords: choices.join_keywords,
        double_opt_in: choices.double_opt_in,
        yes_is_start: choices.yes_is_start,
        opt_out_scope: choices.opt_out_scope,
        reply_quiet_exempt: choices.reply_quiet_exempt,
        state_hours: choices.state_hours,
        recipient_daily_max: choices.recipient_daily_max,
        refuse_duplicates: choices.refuse_duplicates,
        countries,
        reminders_hourly_max: choices.reminders_hourly_max,
        texts_hourly_max: choices.texts_hourly_max,
        guarded_lanes: choices.guarded_lanes,
        velocity_per_hour: choices.velocity_per_hour,
        sequential_per_hour: choices.sequential_per_hour,
        billing_email: choices.billing_email,
    })
}

fn context_out(choices: &Settings, context: &'static Context) -> ContextOut {
    let choice = choices.contexts.get(&context.key);
    let chosen = choice.and_then(|choice| choice.parties.clone());
    let is_base = context.party == Party::Client && !context.event.is_empty();
    let parties = chosen.unwrap_or_else(|| {
        let sent = contexts::of_event(&context.event).filter(|one| choices.sends(one));
        let parties: Vec<PartyWord> = sent.map(|one| one.party.into()).collect();
        if is_base && !parties.is_empty() { parties } else { vec![context.party.into()] }
    });
    let enabled = match choice {
        Some(choice) if is_base => {
            choice.enabled.unwrap_or(context.default_on || choice.parties.is_some())
        }
        _ => choices.sends(context),
    };
    ContextOut {
        enabled,
        parties,
        template_id: choices.template_of(context),
        default_template: context.template(None).map(str::to_owned),
    }
}

/// Changes an account's settings.
pub async fn write(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    actor: &str,
    wanted: &SettingsIn,
) -> Result<SettingsOut> {
    let before = settings::lock_settings(tx, account).await?;
    let version = settings::settings_version(tx, account).await?;
    if wanted.version.is_some_and(|read| read != version) {
        let words = format!("the settings are at version {version} by now; read them again");
        return Err(Refusal::State(words));
    }
    let owner = accounts::account(tx, account).await?;
    let mut after = before.clone();
    apply(&mut after, wanted)?;
    if let Some(wanted) = &wanted.countries {
        after.countries = chosen_countries(&before, &owner.country, wanted.as_deref());
    }
    if let Some((field, problem)) = after.problems().into_iter().next() {
        return Err(invalid(field, problem));
    }
    check_words(&after)?;
    check_templates(tx, account, &after).await?;
    let nights = wanted.quiet_hours.filter(|nights| *nights != owner.quiet_hours);
    if let Some(nights) = nights {
        accounts::set_quiet_hours(tx, account, nights).await?;
    }
    if after != before || nights.is_some() {
        settings::save_settings(tx, account, &after).await?;
        let mut id = [0; 16];
        dice.fill(&mut id);
        let detail = changes(&before, &after, nights.map(|nights| serde_json::json!(nights)));
        audit::note(tx, account, id, (actor, "settings.write", &detail)).await?;
    }
    shown(tx, account, after).await
}

fn apply(after: &mut Settings, wanted: &SettingsIn) -> Result<()> {
    if let Some(offsets) = &wanted.reminder_offsets_minutes {
        let mut offsets = offsets.clone();
        offsets.sort_unstable_by(|a, b| b.cmp(a));
        offsets.dedup();
        after.reminder_offsets_minutes = offsets;
    }
    if let Some(words) = &wanted.join_keywords {
        after.join_keywords = words.iter().map(|word| word.trim().to_uppercase()).collect();
    }
    macro_rules! take {
        ($($field:ident),*) => {$(
            if let Some(value) = &wanted.$field {
                after.$field = value.clone();
            }
        )*};
    }
    take!(
        reply_window_days,
        reply_tokens,
        footer,
        footer_policy,
        help_text,
        confirmations,
        double_opt_in,
        yes_is_start,
        opt_out_scope,
        reply_quiet_exempt,
        state_hours,
        recipient_daily_max,
        refuse_duplicates,
        reminders_hourly_max,
        texts_hourly_max,
        guarded_lanes,
        velocity_per_hour,
        sequential_per_hour
    );
    if let Some(address) = &wanted.billing_email {
        after.billing_email = address.as_ref().map(|address| address.trim().to_owned());
    }
    apply_contexts(after, &wanted.contexts)
}

/// The countries to be kept: none of one's own when they are those that hold anyway.
fn chosen_countries(
    before: &Settings,
    home: &str,
    wanted: Option<&[String]>,
) -> Option<Vec<String>> {
    let mut wanted: Vec<String> =
        wanted?.iter().map(|code| code.trim().to_ascii_uppercase()).collect();
    let mut unique = BTreeSet::new();
    wanted.retain(|code| unique.insert(code.clone()));
    if before.countries.is_none() && wanted == before.countries(home) { None } else { Some(wanted) }
}

/// Keeps what differs from what holds, so that what was read can be written back.
fn apply_contexts(after: &mut Settings, wanted: &BTreeMap<String, ContextIn>) -> Result<()> {
    let standing = after.clone();
    for (key, one) in wanted {
        let context = contexts::find(key).ok_or_else(|| {
            let keys: Vec<&str> = contexts::all().iter().map(|one| one.key.as_str()).collect();
            invalid(format!("contexts.{key}"), format!("write one of {}", keys.join(", ")))
        })?;
        let holds = context_out(&standing, context);
        let mut choice = after.contexts.get(key).cloned().unwrap_or_default();
        match one.enabled {
            Some(Some(enabled)) if enabled != holds.enabled => choice.enabled = Some(enabled),
            Some(None) => choice.enabled = None,
            Some(Some(_)) | None => {}
        }
        match &one.parties {
            Some(Some(parties)) if *parties != holds.parties => {
                check_parties(context, parties)?;
                choice.parties = Some(parties.clone());
            }
            Some(None) => choice.parties = None,
            Some(Some(_)) | None => {}
        }
        if let Some(template) = one.template_id {
            choice.template_id = template;
        }
        if choice == domain::settings::ContextChoice::default() {
            after.contexts.remove(key);
        } else {
            after.contexts.insert(key.clone(), choice);
        }
    }
    Ok(())
}

/// A party must have a variant of the context.
fn check_parties(context: &Context, parties: &[PartyWord]) -> Result<()> {
    let known: Vec<PartyWord> = if context.event.is_empty() || context.party != Party::Client {
        vec![context.party.into()]
    } else {
        contexts::of_event(&context.event).map(|one| one.party.into()).collect()
    };
    if parties.is_empty() || parties.iter().any(|party| !known.contains(party)) {
        let words: Vec<String> = known
            .iter()
            .map(|party| serde_json::to_value(party).expect("a word").to_string())
            .collect();
        let field = format!("contexts.{}.parties", context.key);
        let problem = format!(
            "write one or more of {}; to send none, write \"enabled\": false",
            words.join(", ")
        );
        return Err(invalid(field, problem));
    }
    Ok(())
}

fn check_words(after: &Settings) -> Result<()> {
    for word in &after.join_keywords {
        let options = Options { join_words: Vec::new(), yes_is_start: true, ..Options::default() };
        let kind = classify(word, None, &options);
        if kind != Kind::None {
            let problem = format!("{word} means {kind} already; write another word");
            return Err(invalid("join_keywords", problem));
        }
    }
    let Some(footer) = &after.footer else { return Ok(()) };
    let template = Template::parse(footer).map_err(|error| invalid("footer", error.to_string()))?;
    let known = ["business", opt_out_link::VARIABLE];
    match template.variables().iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let problem = format!("a footer knows no {name}, only {}", known.join(" and "));
            Err(invalid("footer", problem))
        }
    }
}

async fn check_templates(tx: &mut Tx, account: AccountId, after: &Settings) -> Result<()> {
    if after.contexts.values().all(|choice| choice.template_id.is_none()) {
        return Ok(());
    }
    let own = settings::list_templates(tx, account).await?;
    for (key, choice) in &after.contexts {
        if choice.template_id.is_some_and(|id| own.iter().all(|one| one.id != id)) {
            let field = format!("contexts.{key}.template_id");
            return Err(invalid(field, "there is no such template; see GET /v1/templates"));
        }
    }
    Ok(())
}

/// What changed, from and to, as JSON.
fn changes(before: &Settings, after: &Settings, nights: Option<serde_json::Value>) -> String {
    let json = |one: &Settings| match serde_json::to_value(one).expect("settings are JSON") {
        serde_json::Value::Object(map) => map,
        _ => serde_json::Map::new(),
    };
    let (before, after) = (json(before), json(after));
    let mut changed = serde_json::Map::new();
    for (name, value) in &after {
        if before.get(name) != Some(value) {
            let pair = serde_json::json!({"from": before.get(name), "to": value});
            changed.insert(name.clone(), pair);
        }
    }
    if let Some(nights) = nights {
        changed.insert("quiet_hours".to_owned(), serde_json::json!({ "to": nights }));
    }
    serde_json::Value::Object(changed).to_string()
}
