//! Keywords: STOP and its kin, START, HELP, JOIN, and words of the person's own that mean STOP.
//!
//! [`heed`] runs in the transaction that keeps the text, under the lock of the account's settings,
//! before anything else reads it. It records consent, opens tasks and leaves its trail; the texts
//! it wants are composed, and appended by the caller after everything else. What each keyword is
//! stands in `domain::keywords`.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::contexts;
use domain::ids::{InboundId, RunId, TaskId, ThreadId};
use domain::instant::Instant;
use domain::keywords::{Kind, Options, classify};
use domain::permit::{Category, Consent};
use domain::replies::{self, Meaning};
use domain::seam::Dice;
use domain::settings::{OptOutScope, Settings};
use store::automations::{self, Run};
use store::consents::{self, OptIn, Proof, Standing};
use store::contacts::Contact;
use store::senders::{AnswersStop, list_senders};
use store::tasks::{self, Task, TaskKind};
use store::{Tx, settings};

use super::Result;
use super::consents::{BY_KEYWORD, RECIPIENT, Said, record};
use super::messages::Asking;
use super::texts::{Composed, Wanted, Writer};

/// An answer that comes later than this is none (47 CFR 64.1200(a)(12) presumes five minutes).
const ANSWER_WITHIN: Duration = Duration::from_secs(5 * 60);
/// How long an opt-in waits for its second word.
const SECOND_WORD_WITHIN: Duration = Duration::from_secs(24 * 3600);
/// How long staff have for a review.
const REVIEW_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// Words that Twilio answers by itself when nobody told it otherwise: the whole text, in any case.
const CARRIER_STOP: [&str; 8] =
    ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "OPTOUT", "REVOKE"];
const CARRIER_START: [&str; 3] = ["START", "YES", "UNSTOP"];
const CARRIER_HELP: [&str; 2] = ["HELP", "INFO"];

/// Whose texts are heeded, and how.
#[derive(Clone, Copy)]
pub struct Heeding<'a> {
    /// The account.
    pub asking: Asking<'a>,
    /// Chance.
    pub dice: &'a dyn Dice,
    /// What the account chose, locked.
    pub choices: &'a Settings,
}

/// A text that came in and is kept already.
#[derive(Clone, Copy, Debug)]
pub struct Came<'a> {
    /// Its id.
    pub id: InboundId,
    /// The carrier's id of it.
    pub sid: &'a str,
    /// Whose text it is, as it was posted: E.164, or with its channel's prefix.
    pub phone: &'a str,
    /// What it came to: a number or a short code.
    pub sender: &'a str,
    /// The messaging service that sender belongs to.
    pub service: Option<&'a str>,
    /// What it says.
    pub body: &'a str,
    /// `STOP`, `START` or `HELP` when the carrier has acted on it already.
    pub opt_out_type: Option<&'a str>,
    /// Its conversation.
    pub thread: ThreadId,
    /// Whose it is, when known.
    pub contact: Option<&'a Contact>,
    /// When the newest request of this phone that waits for a yes or a no was asked.
    pub asked_at: Option<Instant>,
}

/// What became of a text.
#[derive(Clone, Debug)]
pub struct Heard {
    /// What it is.
    pub kind: Kind,
    /// It is dealt with: it answers no request.
    pub done: bool,
    /// What it is, in a word, for the list of texts.
    pub meaning: &'static str,
    /// What came of it, in a word.
    pub outcome: &'static str,
    /// What is to be sent; the caller appends it.
    pub texts: Vec<Composed>,
}

/// The phone behind an address: consent belongs to it, whichever channel it is reached by.
pub fn bare(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(_, phone)| phone)
}

/// Heeds a text.
pub async fn heed(tx: &mut Tx, at: &Heeding<'_>, text: &Came<'_>) -> Result<Heard> {
    let account = at.asking.account;
    let kind = kind_of(at.choices, text);
    if matches!(kind, Kind::None | Kind::Start) && says_yes(text) {
        let waiting = consents::find_opt_in(tx, account, bare(text.phone)).await?;
        // Of two questions a yes answers the later one.
        if let Some(one) = waiting.filter(|one| text.asked_at.is_none_or(|at| one.asked_at > at)) {
            return Keyword::open(tx, at, text, kind).await?.second_word(tx, &one).await;
        }
    }
    if kind == Kind::None {
        let (meaning, outcome) = (kind.as_str(), "");
        return Ok(Heard { kind, done: false, meaning, outcome, texts: Vec::new() });
    }
    let keyword = Keyword::open(tx, at, text, kind).await?;
    match kind {
        Kind::Stop | Kind::Revocation => keyword.stop(tx).await,
        Kind::Start => keyword.start(tx).await,
        Kind::Join => keyword.join(tx).await,
        Kind::Help | Kind::None => keyword.help(tx).await,
    }
}

/// The carrier's reading is trusted over ours: it has acted on it.
fn kind_of(choices: &Settings, text: &Came<'_>) -> Kind {
    match text.opt_out_type {
        Some("STOP") => Kind::Stop,
        Some("START") => Kind::Start,
        Some("HELP") => Kind::Help,
        _ => {
            let options = Options {
                yes_is_start: choices.yes_is_start,
                request_pending: text.asked_at.is_some(),
                join_words: choices.join_keywords.clone(),
            };
            classify(text.body, locale_of(text), &options)
        }
    }
}

fn locale_of<'a>(text: &Came<'a>) -> Option<&'a str> {
    text.contact.and_then(|contact| contact.locale.as_deref())
}

fn says_yes(text: &Came<'_>) -> bool {
    let reply = replies::parse(text.body, locale_of(text));
    reply.meaning == Meaning::Yes && reply.token.is_none()
}

/// A keyword being heeded.
struct Keyword<'a> {
    at: &'a Heeding<'a>,
    text: &'a Came<'a>,
    kind: Kind,
    phone: &'a str,
    /// What the account's texts leave from, as the gate knows it.
    sender: String,
    /// The carrier answers this very text.
    carrier_answers: bool,
    standings: Vec<Standing>,
}

impl<'a> Keyword<'a> {
    async fn open(
        tx: &mut Tx,
        at: &'a Heeding<'a>,
        text: &'a Came<'a>,
        kind: Kind,
    ) -> Result<Self> {
        let account = at.asking.account;
        let phone = bare(text.phone);
        let senders = list_senders(tx, account).await?;
        let named = |address: &str| senders.iter().find(|one| one.address == address);
        let own = named(text.sender).or_else(|| text.service.and_then(named));
        let shared = at.asking.installation_sender.map(|from| from.address.as_str());
        let sender = own.map_or(shared.unwrap_or(text.sender), |own| &own.address).to_owned();
        // The installation's own sender has no such setting: we answer for it.
        let by_carrier = own.is_some_and(|own| own.answers_stop == AnswersStop::Carrier);
        let carrier_answers =
            text.opt_out_type.is_some() || by_carrier && carrier_heeds(kind, text);
        let standings = consents::standings(tx, account, phone).await?;
        Ok(Self { at, text, kind, phone, sender, carrier_answers, standings })
    }

    fn stands(&self, category: Category) -> Consent {
        let found = self.standings.iter().find(|one| one.category == category);
        found.map_or(Consent::Unknown, |one| one.state)
    }

    fn all_stand(&self, state: Consent) -> bool {
        Category::ALL.iter().all(|&category| self.stands(category) == state)
    }

    async fn stop(self, tx: &mut Tx) -> Result<Heard> {
        let account = self.at.asking.account;
        consents::end_opt_in(tx, account, self.phone).await?;
        let narrow = self.at.choices.opt_out_scope == OptOutScope::Sender;
        let before = self.all_stand(Consent::OptedOut);
        let is_new = if narrow && self.kind == Kind::Stop {
            let added = consents::opt_out_of_sender(tx, account, self.phone, &self.sender).await?;
            added && !before
        } else {
            self.say(tx, Category::ALL, Consent::OptedOut, Proof::default()).await?;
            !before
        };
        if self.kind == Kind::Revocation {
            self.open_review(tx).await?;
        }
        let outcome = if is_new { "opted_out" } else { "already_opted_out" };
        self.confirmed(tx, "consent.opted_out", is_new, outcome).await
    }

    async fn start(self, tx: &mut Tx) -> Result<Heard> {
        let account = self.at.asking.account;
        let narrow = self.at.choices.opt_out_scope == OptOutScope::Sender;
        let sender = narrow.then_some(self.sender.as_str());
        let ended = consents::end_sender_opt_outs(tx, account, self.phone, sender).await?;
        // It undoes an opt-out. Of somebody who never opted out it says that texts are welcome,
        // not that advertising is.
        let categories: Vec<Category> = Category::ALL
            .iter()
            .copied()
            .filter(|&category| match self.stands(category) {
                Consent::OptedOut => true,
                Consent::Unknown => category == Category::Transactional,
                Consent::OptedIn => false,
            })
            .collect();
        if !categories.is_empty() {
            consents::end_opt_in(tx, account, self.phone).await?;
            self.say(tx, &categories, Consent::OptedIn, Proof::default()).await?;
        }
        let is_new = ended > 0 || !categories.is_empty();
        let outcome = if is_new { "opted_in" } else { "already_opted_in" };
        self.confirmed(tx, "consent.opted_in", is_new, outcome).await
    }

    async fn join(self, tx: &mut Tx) -> Result<Heard> {
        if self.all_stand(Consent::OptedIn) {
            return self.confirmed(tx, "consent.opted_in", false, "already_opted_in").await;
        }
        let opted_out = self.standings.iter().any(|one| one.state == Consent::OptedOut);
        if !self.at.choices.double_opt_in && !opted_out {
            self.say(tx, Category::ALL, Consent::OptedIn, Proof::default()).await?;
            return self.confirmed(tx, "consent.opted_in", true, "opted_in").await;
        }
        let texts = self.compose(tx, "consent.join").await?;
        let wording = texts.first().and_then(|(_, text)| text.body.clone()).unwrap_or_default();
        let now = tx.now();
        let one = OptIn {
            phone: self.phone.to_owned(),
            keyword: self.text.body.trim().to_owned(),
            wording,
            sid: self.text.sid.to_owned(),
            asked_at: now,
            expires_at: now + SECOND_WORD_WITHIN,
        };
        consents::keep_opt_in(tx, self.at.asking.account, &one).await?;
        self.leave_trail(tx, "keyword.join", "asked", "waits for the second word").await?;
        Ok(self.heard("join", "asked", texts))
    }

    /// The yes to "reply YES to get our texts".
    async fn second_word(self, tx: &mut Tx, one: &OptIn) -> Result<Heard> {
        let account = self.at.asking.account;
        consents::end_opt_in(tx, account, self.phone).await?;
        consents::end_sender_opt_outs(tx, account, self.phone, None).await?;
        let evidence = format!(
            "text {} said {:?}; text {} ({}) said {:?}",
            one.sid, one.keyword, self.text.sid, self.text.id, self.text.body
        );
        let said = Said {
            phone: self.phone,
            categories: Category::ALL,
            state: Consent::OptedIn,
            source: BY_KEYWORD,
            actor: RECIPIENT,
            evidence,
            proof: Proof {
                wording: Some(one.wording.clone()).filter(|words| !words.is_empty()),
                scope: Some("account".to_owned()),
                ..Proof::default()
            },
        };
        record(tx, self.at.dice, account, said).await?;
        let joined = Self { kind: Kind::Join, ..self };
        joined.confirmed(tx, "consent.opted_in", true, "opted_in").await
    }

    async fn help(self, tx: &mut Tx) -> Result<Heard> {
        let (texts, outcome, detail) = if self.carrier_answers {
            (Vec::new(), "answered_by_carrier", "the carrier answers it")
        } else {
            (self.compose(tx, "consent.help").await?, "helped", "answered by a text")
        };
        self.leave_trail(tx, "keyword.help", outcome, detail).await?;
        Ok(self.heard("help", outcome, texts))
    }

    /// Confirms what is new, once, unless the carrier does or the account wants none of it.
    async fn confirmed(
        self,
        tx: &mut Tx,
        context: &str,
        is_new: bool,
        outcome: &'static str,
    ) -> Result<Heard> {
        let (sends, detail) = match (is_new, self.carrier_answers) {
            (false, _) => (false, "it stood so before: no text"),
            (true, true) => (false, "the carrier confirms it"),
            (true, false) if !self.at.choices.confirmations => (false, "confirmations are off"),
            (true, false) => (true, "confirmed by a text"),
        };
        let texts = if sends { self.compose(tx, context).await? } else { Vec::new() };
        self.leave_trail(tx, &format!("keyword.{}", self.kind), outcome, detail).await?;
        Ok(self.heard(self.kind.as_str(), outcome, texts))
    }

    fn heard(&self, meaning: &'static str, outcome: &'static str, texts: Vec<Composed>) -> Heard {
        let (account, inbound) = (self.at.asking.account, self.text.id);
        tracing::info!(component = "keywords", %account, %inbound, meaning, outcome, "heeded");
        Heard { kind: self.kind, done: true, meaning, outcome, texts }
    }

    /// Records what the text itself says.
    async fn say(
        &self,
        tx: &mut Tx,
        categories: &[Category],
        state: Consent,
        proof: Proof,
    ) -> Result<()> {
        let said = Said {
            phone: self.phone,
            categories,
            state,
            source: BY_KEYWORD,
            actor: RECIPIENT,
            evidence: format!("text {} ({})", self.text.sid, self.text.id),
            proof: Proof {
                wording: Some(self.text.body.to_owned()).filter(|words| !words.trim().is_empty()),
                scope: Some("account".to_owned()),
                ..proof
            },
        };
        record(tx, self.at.dice, self.at.asking.account, said).await?;
        Ok(())
    }

    async fn compose(&self, tx: &mut Tx, context: &str) -> Result<Vec<Composed>> {
        let writer = Writer::open(tx, self.at.asking, self.at.choices.clone()).await?;
        let locale = locale_of(self.text);
        let help = match &self.at.choices.help_text {
            Some(text) => text.clone(),
            None => usual_help(&writer.owner.name, locale),
        };
        let yes = yes_in(locale).to_owned();
        let now = tx.now();
        let wanted = Wanted {
            context: contexts::find(context).expect("it is registered"),
            phone: self.phone.to_owned(),
            contact: self.text.contact,
            timezone: None,
            values: BTreeMap::from([("yes".to_owned(), yes), ("help".to_owned(), help)]),
            body: None,
            send_at: now,
            not_after: now + ANSWER_WITHIN,
        };
        writer.write(tx, vec![wanted]).await
    }

    async fn open_review(&self, tx: &mut Tx) -> Result<()> {
        let account = self.at.asking.account;
        let now = tx.now();
        let who = match self.text.contact {
            Some(contact) if !contact.name.is_empty() => contact.name.clone(),
            _ => self.phone.to_owned(),
        };
        let task = Task {
            id: TaskId::new(now, self.at.dice),
            kind: TaskKind::Review,
            subject: format!("review:{}", self.text.id),
            title: format!("{who} asked in their own words for no more texts; is opted out"),
            detail: self.text.body.to_owned(),
            phone: Some(self.phone.to_owned()),
            contact: self.text.contact.map(|contact| contact.id),
            thread: Some(self.text.thread),
            appointment: None,
            assignee: None,
            due_at: now + REVIEW_WITHIN,
            created_at: now,
            done_at: None,
            done_by: None,
        };
        tasks::open_tasks(tx, account, &[task]).await?;
        Ok(())
    }

    async fn leave_trail(
        &self,
        tx: &mut Tx,
        rule: &str,
        outcome: &str,
        detail: &str,
    ) -> Result<()> {
        let account = self.at.asking.account;
        let at = tx.now();
        let run = Run {
            id: RunId::new(at, self.at.dice),
            rule: rule.to_owned(),
            version: settings::settings_version(tx, account).await?,
            subject: self.text.id.to_string(),
            outcome: outcome.to_owned(),
            detail: detail.to_owned(),
            next_at: None,
            at,
        };
        automations::insert_runs(tx, account, &[run]).await?;
        Ok(())
    }
}

/// Whether the carrier's default handling answers this text: a lone English keyword, nothing else.
fn carrier_heeds(kind: Kind, text: &Came<'_>) -> bool {
    let word = text.body.trim().to_ascii_uppercase();
    let words: &[&str] = match kind {
        Kind::Stop => &CARRIER_STOP,
        Kind::Start => &CARRIER_START,
        Kind::Help => &CARRIER_HELP,
        Kind::Join | Kind::Revocation | Kind::None => &[],
    };
    words.contains(&word.as_str())
}

fn language(locale: Option<&str>) -> String {
    let language = locale.and_then(|locale| locale.split(['-', '_']).next()).unwrap_or("en");
    language.to_ascii_lowercase()
}

/// What agrees, in this language.
fn yes_in(locale: Option<&str>) -> &'static str {
    match language(locale).as_str() {
        "es" => "SI",
        "fr" => "OUI",
        _ => "YES",
    }
}

/// What a call for help is answered when the account wrote nothing.
pub fn usual_help(business: &str, locale: Option<&str>) -> String {
    match language(locale).as_str() {
        "es" => format!("{business}: responda STOP para cancelar. Pueden aplicarse tarifas."),
        "fr" => format!("{business} : répondez STOP pour arrêter. Des frais peuvent s'appliquer."),
        _ => format!("{business}: reply STOP to end. Msg & data rates may apply."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phone_behind_an_address_is_bare() {
        for (address, phone) in [
            ("+13125550147", "+13125550147"),
            ("whatsapp:+13125550147", "+13125550147"),
            ("72345", "72345"),
        ] {
            assert_eq!(bare(address), phone);
        }
    }
}
