//! Texts the engine writes by itself, or staff by hand: composed from a context, appended to the
//! account's endless streams.
//!
//! A [`Writer`] knows an account's choices and words, read once in the transaction that
//! will append the texts. It never fails for one recipient: what cannot be written or sent
//! becomes a text with its problem, which the gate refuses and everybody can read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::contexts::{self, Context};
use domain::ids::{AccountId, MessageId, StreamId};
use domain::instant::Instant;
use domain::permit::Rule;
use domain::quiet_hours;
use domain::rates::{RateTable, SenderKind};
use domain::settings::{FooterPolicy, Settings};
use domain::template::{RenderContext, Template};
use domain::text::{self, Problem, Text};
use jiff::tz::TimeZone;
use store::accounts::Account;
use store::contacts::Contact;
use store::recipients::{self, Recipient};
use store::settings::OwnTemplate;
use store::{Tx, accounts, rates, settings, streams, withdrawals};

use super::Result;
use super::contacts::variables;
use super::messages::{Asking, checked_phone};
use super::opt_out_link::{self, OptOutLinks};
use crate::delivery::senders;

/// How long after it was told a phone is told again how to opt out.
const FOOTER_AGAIN: Duration = Duration::from_secs(30 * 24 * 3600);

/// A text that is wanted.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Why.
    pub context: &'static Context,
    /// To whom, E.164; for a number that cannot be read, as it was written.
    pub phone: String,
    /// Who that is, when known.
    pub contact: Option<&'a Contact>,
    /// Whose clock times are shown by; absent for the contact's, then the account's.
    pub timezone: Option<String>,
    /// What its template may say besides `business` and what is known of the contact.
    pub values: BTreeMap<String, String>,
    /// The words themselves, instead of a template.
    pub body: Option<String>,
    /// Not before.
    pub send_at: Instant,
    /// Not after.
    pub not_after: Instant,
}

/// Composes texts of one account.
pub struct Writer {
    /// Whose texts.
    pub owner: Account,
    /// What the account chose.
    pub choices: Settings,
    own: Vec<OwnTemplate>,
    countries: Vec<String>,
    kind: SenderKind,
    magic_allowed: bool,
    /// Where opt-out links lead, when any of the account's words has one.
    links: Option<OptOutLinks>,
    now: Instant,
}

/// A composed text and the stream it belongs to.
pub type Composed = (StreamId, Recipient);

impl Writer {
    /// Reads what writing takes. `choices` are the account's, read or locked by the caller.
    pub async fn open(tx: &mut Tx, asking: Asking<'_>, choices: Settings) -> Result<Self> {
        let owner = accounts::account(tx, asking.account).await?;
        let own = settings::list_templates(tx, asking.account).await?;
        let from = senders::choose(tx, asking.account, None, asking.installation_sender).await?;
        let kind = from.map_or(SenderKind::LongCode, |from| from.kind);
        let now = tx.now();
        let linked = has_link(&choices, &own);
        let links = if linked { OptOutLinks::load(tx).await? } else { None };
        let magic_allowed = asking.magic_allowed;
        let countries = choices.countries(&owner.country);
        Ok(Self { owner, choices, own, countries, kind, magic_allowed, links, now })
    }

    /// Composes a batch, and remembers whom it tells how to opt out.
    pub async fn write(&self, tx: &mut Tx, wanted: Vec<Wanted<'_>>) -> Result<Vec<Composed>> {
        let told = self.told(tx, &wanted).await?;
        let phones: Vec<&str> = wanted.iter().map(|one| one.phone.as_str()).collect();
        let rates = rates::rates_to(tx, &phones, self.kind).await?;
        let mut telling: BTreeSet<String> = BTreeSet::new();
        let mut list = Vec::with_capacity(wanted.len());
        for one in wanted {
            let tells = self.tells(&one, &told) && telling.insert(one.phone.clone());
            list.push(self.compose(one, tells, &rates));
        }
        let telling: Vec<String> = telling.into_iter().collect();
        withdrawals::keep_footers(tx, self.owner.id, &telling).await?;
        Ok(list)
    }

    /// When the phones of these texts were last told how to opt out.
    async fn told(&self, tx: &mut Tx, wanted: &[Wanted<'_>]) -> Result<BTreeMap<String, Instant>> {
        let phones: BTreeSet<String> =
            wanted.iter().filter(|one| one.context.footer).map(|one| one.phone.clone()).collect();
        let phones: Vec<String> = phones.into_iter().collect();
        Ok(withdrawals::footers_of(tx, self.owner.id, &phones).await?.into_iter().collect())
    }

    fn tells(&self, one: &Wanted<'_>, told: &BTreeMap<String, Instant>) -> bool {
        one.context.footer
            && self.choices.footer.is_some()
            && match self.choices.footer_policy {
                FooterPolicy::Never => false,
                FooterPolicy::Always => true,
                FooterPolicy::FirstThenMonthly => {
                    told.get(&one.phone).is_none_or(|at| *at + FOOTER_AGAIN <= self.now)
                }
            }
    }

    fn compose(&self, one: Wanted<'_>, tells: bool, rates: &RateTable) -> Composed {
        let zone_name = one.contact.and_then(|contact| contact.timezone.clone());
        let footer = self.choices.footer.as_deref().filter(|_| tells);
        let rendered = self.text(&one, footer);
        let home = &self.owner.country;
        let number = checked_phone(&one.phone, home, &self.countries, self.magic_allowed);
        let (phone, number_problem) = match number {
            Ok(phone) => (phone, None),
            Err(refusal) => (one.phone, Some((Rule::Number, refusal.to_string()))),
        };
        let (body, segments, problem) = match rendered {
            Ok(text) => (text.body, text.segments, number_problem),
            Err(problem) => {
                let own = (Rule::Template, problem.to_string());
                (String::new(), 1, number_problem.or(Some(own)))
            }
        };
        let stream = StreamId::of_lane(one.context.lane).unwrap_or(StreamId::ENDLESS[0]);
        let recipient = Recipient {
            ord: 0,
            price: rates.price(&phone, self.kind, segments, self.now),
            phone,
            contact: one.contact.map(|contact| contact.id),
            timezone: zone_name,
            context: one.context.key.clone(),
            category: one.context.category,
            body: Some(body),
            segments: i64::from(segments),
            problem,
            send_at: one.send_at,
            not_after: one.not_after,
            retry_of: None,
            tries: 1,
        };
        (stream, recipient)
    }

    fn text(&self, one: &Wanted<'_>, footer: Option<&str>) -> std::result::Result<Text, Problem> {
        let mut rendered = if let Some(body) = &one.body {
            body.clone()
        } else {
            let locale = one.contact.and_then(|contact| contact.locale.as_deref());
            self.render(self.words(one.context, locale).ok_or(Problem::Empty)?, one)?
        };
        if let Some(footer) = footer {
            let footer = self.render(footer, one)?;
            rendered = format!("{} {footer}", rendered.trim_end());
        }
        text::finish(&rendered)
    }

    fn render(&self, source: &str, one: &Wanted<'_>) -> std::result::Result<String, Problem> {
        let failed = |words: String| Problem::Render(words);
        let template = Template::parse(source).map_err(|error| failed(error.to_string()))?;
        let mut values = one.contact.map_or_else(BTreeMap::new, variables);
        values.insert("business".to_owned(), self.owner.name.clone());
        if let Some(links) = &self.links {
            let link = links.url(self.owner.id, &one.phone);
            values.insert(opt_out_link::VARIABLE.to_owned(), link);
        }
        values.extend(one.values.clone());
        let context = RenderContext { now: self.now, zone: self.zone_of(one) };
        template.render(&values, &context).map_err(|error| failed(error.to_string()))
    }

    /// The account's own words for a context in this locale, else the registry's.
    pub fn words(&self, context: &'static Context, locale: Option<&str>) -> Option<&str> {
        let wanted = self.choices.template_of(context);
        let own = wanted.and_then(|id| self.own.iter().find(|one| one.id == id));
        let language = locale.and_then(|locale| locale.split(['-', '_']).next()).unwrap_or("en");
        own.and_then(|own| {
            own.bodies.get(&language.to_ascii_lowercase()).or_else(|| own.bodies.get("en"))
        })
        .map(String::as_str)
        .or_else(|| context.template(locale))
    }

    /// The clock that a text shows: the recipient's, else the wanted one, else the account's.
    fn zone_of(&self, one: &Wanted<'_>) -> TimeZone {
        let own = one.contact.and_then(|contact| contact.timezone.as_deref());
        let name = own.or(one.timezone.as_deref()).unwrap_or(&self.owner.timezone);
        quiet_hours::zone(name).unwrap_or(TimeZone::UTC)
    }
}

/// Whether any words an account may send hold an opt-out link.
fn has_link(choices: &Settings, own: &[OwnTemplate]) -> bool {
    let bodies = own.iter().flat_map(|one| one.bodies.values());
    let built_in = contexts::all().iter().flat_map(|context| context.templates.values());
    let mut words = bodies.chain(built_in).chain(&choices.footer);
    words.any(|text| text.contains(opt_out_link::VARIABLE))
}

/// Appends composed texts to the account's endless streams; their places, in the order given.
///
/// Streams are locked in the order of their ids, after every other lock of the account.
pub async fn append(
    tx: &mut Tx,
    account: AccountId,
    texts: Vec<Composed>,
) -> Result<Vec<MessageId>> {
    let mut places: Vec<Option<MessageId>> = vec![None; texts.len()];
    let mut by_stream: BTreeMap<StreamId, Vec<(usize, Recipient)>> = BTreeMap::new();
    for (index, (stream, text)) in texts.into_iter().enumerate() {
        by_stream.entry(stream).or_default().push((index, text));
    }
    for (stream, texts) in by_stream {
        let before = streams::lock_stream(tx, account, stream).await?;
        let mut after = before;
        let mut list = Vec::with_capacity(texts.len());
        for (index, mut text) in texts {
            after.total += 1;
            text.ord = after.total;
            places[index] = Some(MessageId { account, stream, ord: text.ord });
            list.push(text);
        }
        recipients::insert_recipients(tx, account, stream, &list).await?;
        streams::save_stream(tx, account, &before, &after).await?;
    }
    Ok(places.into_iter().map(|place| place.expect("each text has its stream")).collect())
}
