//! Answers by text: which request a text answers, what follows from it, and what is done with a
//! text that nobody understands.
//!
//! What a text says and which open request it names is decided in [`domain::replies`]; here that
//! meets what was asked and answered before. No text is passed over: each answers a request, says
//! what is known already, is asked about once, or lands with staff. `docs/INBOX.md` has the table.

mod decide;

use std::collections::BTreeMap;
use std::time::Duration;

use domain::contexts;
use domain::ids::{AccountId, InboundId, RunId, TaskId};
use domain::instant::Instant;
use domain::permit::{Category, Consent};
use domain::quiet_hours;
use domain::replies::{self, Meaning};
use domain::seam::Dice;
use domain::settings::{Settings, TokenMode};
use domain::template::{RenderContext, Template};
use jiff::tz::TimeZone;
use store::automations::{self, Run};
use store::contacts::Contact;
use store::requests::{self, Booking, Request};
use store::tasks::{self, Task, TaskKind};
use store::threads::{self, Thread};
use store::{Tx, consents};

use self::decide::{Step, decide, is_waiting};
use super::appointments::answer;
use super::messages::Asking;
use super::texts::{Composed, Wanted, Writer};
use super::{Refusal, Result};

/// Who is not understood is asked again no sooner than this.
const CLARIFY_AGAIN: Duration = Duration::from_secs(24 * 3600);
/// A text that asks what was meant is of no use later than this.
const CLARIFY_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// When staff should have looked at an answer, and at anything else.
const ANSWER_DUE: Duration = Duration::from_secs(3600);
const REVIEW_DUE: Duration = Duration::from_secs(24 * 3600);
/// Requests of a phone that are looked at, the newest first.
const REQUESTS_MAX: i64 = 50;
/// Bookings that one text lists.
const CHOICES_MAX: usize = 4;
const TITLE_CHARS_MAX: usize = 80;

/// How a choice is put, by language.
const CHOICE: [(&str, &str); 3] = [
    (
        "en",
        "Reply {{ yes }} to confirm, {{ no }} to reschedule: {{ title | shorten(40) }}, \
         {{ starts_at | date }} at {{ starts_at | time }}.",
    ),
    (
        "es",
        "Responda {{ yes }} para confirmar, {{ no }} para cambiar: {{ title | shorten(40) }}, \
         {{ starts_at | date('%d/%m') }} a las {{ starts_at | time('%H:%M') }}.",
    ),
    (
        "fr",
        "Répondez {{ yes }} pour confirmer, {{ no }} pour déplacer : {{ title | shorten(40) }}, \
         {{ starts_at | date('%d/%m') }} à {{ starts_at | time('%H:%M') }}.",
    ),
];

/// What listening to an account's texts takes.
pub struct Listening<'a> {
    /// What is known of the account and the installation.
    pub asking: Asking<'a>,
    /// Chance, for ids.
    pub dice: &'a dyn Dice,
    /// The account's choices.
    pub choices: &'a Settings,
    /// Their version.
    pub version: i64,
}

/// A text that came in and is no keyword.
pub struct Text<'a> {
    /// Its id.
    pub id: InboundId,
    /// The conversation it belongs to.
    pub thread: &'a Thread,
    /// Whose it is, when known.
    pub contact: Option<&'a Contact>,
    /// What it says.
    pub body: &'a str,
    /// Pictures and other media that came with it.
    pub media: usize,
}

/// What became of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It confirmed a booking.
    Confirmed,
    /// It declined one.
    Declined,
    /// It confirmed one that had been declined.
    ChangedToYes,
    /// It declined one that had been confirmed.
    ChangedToNo,
    /// It says what was said before.
    Duplicate,
    /// The person was asked what was meant.
    Clarified,
    /// Staff are to ask what was meant.
    ClarifyTask,
    /// It came when its booking was over, moved or no longer waiting: staff are to look at it.
    Late,
    /// Nothing was asked, or it is no answer: staff are to read it.
    Review,
}

impl Outcome {
    /// The word kept with the text and shown beside it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Declined => "declined",
            Self::ChangedToYes => "changed_to_yes",
            Self::ChangedToNo => "changed_to_no",
            Self::Duplicate => "duplicate",
            Self::Clarified => "clarified",
            Self::ClarifyTask => "clarify_task",
            Self::Late => "late",
            Self::Review => "review",
        }
    }
}

/// What a text was taken to mean, and what followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Understood {
    /// Yes, no or anything else.
    pub meaning: Meaning,
    /// What followed.
    pub outcome: Outcome,
}

/// The requests of a phone that a text may answer or be late for, the newest first.
pub async fn requests_of_phone(
    tx: &mut Tx,
    account: AccountId,
    phone: &str,
) -> Result<Vec<Request>> {
    let mut all = requests::latest_requests(tx, account, phone, REQUESTS_MAX).await?;
    all.extend(requests::open_requests(tx, account, &[phone.to_owned()]).await?);
    all.sort_by_key(|one| std::cmp::Reverse((one.asked_at, one.id)));
    all.dedup_by_key(|one| one.id);
    Ok(all)
}

/// Those of them that wait for an answer now.
pub fn waiting(all: &[Request], now: Instant) -> impl Iterator<Item = &Request> {
    all.iter().filter(move |one| is_waiting(one, now))
}

/// Takes a text as an answer to one of `asked`, the requests of its phone. The account's settings
/// are locked; what is to be sent is added to `wanted`.
pub async fn hear(
    tx: &mut Tx,
    with: &Listening<'_>,
    text: &Text<'_>,
    asked: &[Request],
    wanted: &mut Vec<Composed>,
) -> Result<Understood> {
    let reply = replies::parse(text.body, text.contact.and_then(|one| one.locale.as_deref()));
    let meaning = reply.meaning;
    if text.media > 0 && text.body.trim().is_empty() {
        let outcome = review(tx, with, text).await?;
        return Ok(Understood { meaning, outcome });
    }
    let outcome = match decide(&reply, asked, tx.now()) {
        Step::Answer { request, yes, changes } => {
            settle(tx, with, text, request, yes, changes).await?
        }
        Step::Same(request) => {
            let words = "says what was said before";
            let subject = request.id.to_string();
            log(tx, with, "reply.answer", &subject, Outcome::Duplicate, words).await?;
            Outcome::Duplicate
        }
        Step::Late { request, yes } => late(tx, with, text, request, yes).await?,
        Step::Unclear(requests) => unclear(tx, with, text, &requests, wanted).await?,
        Step::Nothing => review(tx, with, text).await?,
    };
    Ok(Understood { meaning, outcome })
}

/// Has a request answered.
async fn settle(
    tx: &mut Tx,
    with: &Listening<'_>,
    text: &Text<'_>,
    request: &Request,
    yes: bool,
    changes: bool,
) -> Result<Outcome> {
    let done = answer::answer(tx, with.asking, with.dice, with.choices, request, yes, "text").await;
    match done {
        Ok(_) => {}
        Err(Refusal::Store(error)) => return Err(Refusal::Store(error)),
        // What it is about is gone in the meantime: the text is kept all the same.
        Err(refusal) => {
            tracing::warn!(
                component = "replies", account = %with.asking.account, request = %request.id,
                %refusal, "an answer could not be applied"
            );
            return late(tx, with, text, request, yes).await;
        }
    }
    let outcome = match (yes, changes) {
        (true, false) => Outcome::Confirmed,
        (false, false) => Outcome::Declined,
        (true, true) => Outcome::ChangedToYes,
        (false, true) => Outcome::ChangedToNo,
    };
    save_clarified(tx, with, text.thread, None).await?;
    let words = format!("said {}", if yes { "yes" } else { "no" });
    log(tx, with, "reply.answer", &request.id.to_string(), outcome, &words).await?;
    Ok(outcome)
}

async fn save_clarified(
    tx: &mut Tx,
    with: &Listening<'_>,
    thread: &Thread,
    at: Option<Instant>,
) -> Result<()> {
    let thread = Thread { clarified_at: at, updated_at: tx.now(), ..thread.clone() };
    Ok(threads::save_thread(tx, with.asking.account, &thread).await?)
}

/// Asks what was meant, once; then it is the staff's to ask.
async fn unclear(
    tx: &mut Tx,
    with: &Listening<'_>,
    text: &Text<'_>,
    requests: &[&Request],
    wanted: &mut Vec<Composed>,
) -> Result<Outcome> {
    let (account, now) = (with.asking.account, tx.now());
    let asked = text.thread.clarified_at.is_some_and(|at| now < at + CLARIFY_AGAIN);
    let context = contexts::find("reply.clarify").expect("it is registered");
    let ids: Vec<_> = requests.iter().map(|one| one.appointment).collect();
    let bookings = requests::bookings(tx, account, &ids).await?;
    if !asked && with.choices.sends(context) && may_be_texted(tx, with, text).await? {
        let last = requests.iter().map(|one| one.starts_at).min().unwrap_or(Instant::MAX);
        let writer = Writer::open(tx, with.asking, with.choices.clone()).await?;
        let question = Wanted {
            context,
            phone: text.thread.phone.clone(),
            contact: text.contact,
            timezone: bookings.first().map(|one| one.timezone.clone()),
            values: BTreeMap::from([(
                "choices".to_owned(),
                choices_of(with, text, requests, &bookings, &writer.owner.timezone, now),
            )]),
            body: None,
            send_at: now,
            not_after: last.min(now + CLARIFY_LIFETIME),
        };
        wanted.extend(writer.write(tx, vec![question]).await?);
        save_clarified(tx, with, text.thread, Some(now)).await?;
        let words = format!("{} may be meant", requests.len());
        let subject = text.thread.id.to_string();
        log(tx, with, "reply.clarify", &subject, Outcome::Clarified, &words).await?;
        return Ok(Outcome::Clarified);
    }
    if !tasks::has_open_task(tx, account, &text.thread.phone, TaskKind::Clarify).await? {
        let names: Vec<&str> = bookings.iter().map(|one| one.title.as_str()).collect();
        let about = format!("It may be about: {}.", names.join("; "));
        let booking = if let [one] = ids[..] { Some(one) } else { None };
        let task = Task {
            due_at: now + ANSWER_DUE,
            appointment: booking,
            ..task_of(with, text, TaskKind::Clarify, "clarify", "Unclear answer", &about, now)
        };
        open(tx, with, task, Outcome::ClarifyTask).await?;
    }
    Ok(Outcome::ClarifyTask)
}

/// Whether a text would not be refused at the gate at once.
async fn may_be_texted(tx: &mut Tx, with: &Listening<'_>, text: &Text<'_>) -> Result<bool> {
    let (category, phones) = (Category::Transactional, [text.thread.phone.clone()]);
    let known = consents::consents_for(tx, with.asking.account, category, &phones).await?;
    let out = known.iter().any(|(_, consent)| *consent == Consent::OptedOut);
    Ok(!out && !text.contact.is_some_and(|one| one.blocked))
}

/// What the person may answer, one sentence per request.
fn choices_of(
    with: &Listening<'_>,
    text: &Text<'_>,
    requests: &[&Request],
    bookings: &[Booking],
    home: &str,
    now: Instant,
) -> String {
    let locale = text.contact.and_then(|one| one.locale.as_deref()).unwrap_or("en");
    let language = locale.split(['-', '_']).next().unwrap_or("en").to_ascii_lowercase();
    let (_, source) = CHOICE.iter().find(|(own, _)| *own == language).unwrap_or(&CHOICE[0]);
    let template = Template::parse(source).expect("a test reads each of them");
    let with_token = requests.len() > 1 || with.choices.reply_tokens == TokenMode::Always;
    let mut sorted = requests.to_vec();
    sorted.sort_by_key(|one| one.starts_at);
    let sentence = |request: &&Request| {
        let booking = bookings.iter().find(|one| one.id == request.appointment)?;
        let own = text.contact.and_then(|one| one.timezone.as_deref());
        let zone = quiet_hours::zone(own.unwrap_or(&booking.timezone))
            .or_else(|_| quiet_hours::zone(home))
            .unwrap_or(TimeZone::UTC);
        let token = if with_token { request.token.to_string() } else { String::new() };
        let values = BTreeMap::from([
            ("yes".to_owned(), format!("Y{token}")),
            ("no".to_owned(), format!("N{token}")),
            ("title".to_owned(), booking.title.clone()),
            ("starts_at".to_owned(), request.starts_at.to_string()),
        ]);
        template.render(&values, &RenderContext { now, zone }).ok()
    };
    let sentences: Vec<String> = sorted.iter().take(CHOICES_MAX).filter_map(sentence).collect();
    sentences.join(" ")
}

/// A yes or a no that changes nothing any more: staff look at it.
async fn late(
    tx: &mut Tx,
    with: &Listening<'_>,
    text: &Text<'_>,
    request: &Request,
    yes: bool,
) -> Result<Outcome> {
    let now = tx.now();
    let said = if yes { "yes" } else { "no" };
    let found = requests::bookings(tx, with.asking.account, &[request.appointment]).await?;
    let about = found.first().map_or_else(String::new, |one| {
        format!("“{}” at {}, its request is {}.", one.title, one.starts_at, request.state.as_str())
    });
    let title = format!("Late answer, {said}");
    let task = Task {
        subject: format!("late:{}:{said}", request.id),
        due_at: now + ANSWER_DUE,
        appointment: Some(request.appointment),
        ..task_of(with, text, TaskKind::Review, "late", &title, &about, now)
    };
    if !open(tx, with, task, Outcome::Late).await? {
        review(tx, with, text).await?;
    }
    Ok(Outcome::Late)
}

/// Has staff read a text; while one such task of the conversation is open it stands for all.
async fn review(tx: &mut Tx, with: &Listening<'_>, text: &Text<'_>) -> Result<Outcome> {
    let account = with.asking.account;
    if !tasks::has_open_task(tx, account, &text.thread.phone, TaskKind::Review).await? {
        let title = match (text.contact.is_some(), text.media) {
            (_, 1..) => "Media came in",
            (true, 0) => "A text to read",
            (false, 0) => "A text from an unknown number",
        };
        let now = tx.now();
        let task = task_of(with, text, TaskKind::Review, "review", title, "", now);
        open(tx, with, task, Outcome::Review).await?;
    }
    Ok(Outcome::Review)
}

/// A task about this text.
fn task_of(
    with: &Listening<'_>,
    text: &Text<'_>,
    kind: TaskKind,
    subject: &str,
    title: &str,
    about: &str,
    now: Instant,
) -> Task {
    let who = text.contact.map(|one| one.name.as_str()).filter(|name| !name.is_empty());
    let title = format!("{title}: {}", who.unwrap_or(&text.thread.phone));
    let mut detail = text.body.trim().to_owned();
    if text.media > 0 {
        let files = if text.media == 1 { "file" } else { "files" };
        detail = format!("{detail} [{} {files}]", text.media).trim_start().into();
    }
    if !about.is_empty() {
        detail = format!("{detail}\n{about}");
    }
    Task {
        id: TaskId::new(now, with.dice),
        kind,
        subject: format!("{subject}:{}", text.id),
        title: title.chars().take(TITLE_CHARS_MAX).collect(),
        detail,
        phone: Some(text.thread.phone.clone()),
        contact: text.contact.map(|one| one.id).or(text.thread.contact),
        thread: Some(text.thread.id),
        appointment: None,
        assignee: None,
        due_at: now + REVIEW_DUE,
        created_at: now,
        done_at: None,
        done_by: None,
    }
}

/// Opens a task unless its subject has one; whether it was opened.
async fn open(tx: &mut Tx, with: &Listening<'_>, task: Task, outcome: Outcome) -> Result<bool> {
    let words = format!("{}: {}", task.kind.as_str(), task.title);
    let subject = task.id.to_string();
    let opened = tasks::open_tasks(tx, with.asking.account, &[task]).await? == 1;
    if opened {
        log(tx, with, "reply.task", &subject, outcome, &words).await?;
    }
    Ok(opened)
}

/// Keeps a run of one of these rules.
async fn log(
    tx: &mut Tx,
    with: &Listening<'_>,
    rule: &str,
    subject: &str,
    outcome: Outcome,
    detail: &str,
) -> Result<()> {
    let now = tx.now();
    let run = Run {
        id: RunId::new(now, with.dice),
        rule: rule.to_owned(),
        version: with.version,
        subject: subject.to_owned(),
        outcome: outcome.as_str().to_owned(),
        detail: detail.to_owned(),
        next_at: None,
        at: now,
    };
    Ok(automations::insert_runs(tx, with.asking.account, &[run]).await?)
}

#[cfg(test)]
mod tests;
