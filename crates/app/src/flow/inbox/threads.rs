//! Conversations: lists of them, one with everything known of it, and what staff change.

use std::collections::BTreeMap;

use domain::ids::{
    AccountId, AppointmentId, ContactId, InboundId, MessageId, NoteId, RequestId, ThreadId,
};
use domain::instant::Instant;
use domain::permit::{Category, Consent};
use domain::seam::Dice;
use serde::{Deserialize, Deserializer, Serialize};
use store::contacts::{self, Contact};
use store::conversations::{self, Outbound, Place, Said};
use store::notes::{self, Note};
use store::requests::{self, Request, RequestState};
use store::tasks::{self, TaskFilter};
use store::threads::{self, Inbound, Search, Summary, Thread, View};
use store::{Tx, consents, settings};

use super::tasks::TaskOut;
use crate::flow::accounts::checked_name;
use crate::flow::keywords::bare;
use crate::flow::status::{Why, why};
use crate::flow::{Refusal, Result, invalid};

/// Tasks, requests and notes shown beside a conversation, each at most.
const BESIDE_MAX: i64 = 200;
const NOTE_CHARS_MAX: usize = 4000;
const PREVIEW_CHARS_MAX: usize = 160;

/// Who somebody is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct PersonOut {
    /// Its id.
    #[schema(value_type = String)]
    pub id: ContactId,
    /// Empty when unknown.
    pub name: String,
    /// Language, when known.
    pub locale: Option<String>,
    /// IANA zone, when known.
    pub timezone: Option<String>,
}

/// The last text of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct LastText {
    /// `in` or `out`.
    pub direction: &'static str,
    /// Its first words.
    pub body: String,
    /// When.
    #[schema(value_type = String)]
    pub at: Instant,
}

/// A conversation in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ThreadOut {
    /// Its id.
    #[schema(value_type = String)]
    pub id: ThreadId,
    /// With whom: E.164, a short code, or an address with its channel's prefix.
    pub phone: String,
    /// Who that is; `null` when nobody knows.
    pub contact: Option<PersonOut>,
    /// `open` or `closed`.
    pub state: &'static str,
    /// Who of the staff cares for it.
    pub assignee: Option<String>,
    /// When the last text came in.
    #[schema(value_type = Option<String>)]
    pub inbound_at: Option<Instant>,
    /// When anything last happened.
    #[schema(value_type = String)]
    pub updated_at: Instant,
    /// The last text, either way.
    pub last_text: Option<LastText>,
    /// Tasks that are open.
    pub open_tasks: i64,
    /// Requests that wait for an answer.
    pub open_requests: i64,
}

/// What a phone agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct PhoneConsent {
    /// Reminders, notifications, codes.
    pub transactional: &'static str,
    /// Everything that sells.
    pub marketing: &'static str,
}

/// A request that waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RequestOut {
    /// Its id.
    #[schema(value_type = String)]
    pub id: RequestId,
    /// About which booking.
    #[schema(value_type = String)]
    pub appointment_id: AppointmentId,
    /// What that is called.
    pub title: String,
    /// When it starts.
    #[schema(value_type = String)]
    pub starts_at: Instant,
    /// What names it in an answer, as in `Y123`.
    pub token: i64,
    /// Where it stands.
    pub state: &'static str,
    /// When it was asked.
    #[schema(value_type = String)]
    pub asked_at: Instant,
    /// Until when it waits.
    #[schema(value_type = String)]
    pub expires_at: Instant,
}

/// A remark of the staff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct NoteOut {
    /// Its id.
    #[schema(value_type = String)]
    pub id: NoteId,
    /// Whose it is.
    pub author: String,
    /// What it says.
    pub body: String,
    /// When.
    #[schema(value_type = String)]
    pub at: Instant,
}

impl From<Note> for NoteOut {
    fn from(note: Note) -> Self {
        Self { id: note.id, author: note.author, body: note.body, at: note.at }
    }
}

/// A text of a conversation, either way.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct TextOut {
    /// `in` or `out`.
    pub direction: &'static str,
    /// What it says.
    pub body: String,
    /// When it came, or was written.
    #[schema(value_type = String)]
    pub at: Instant,
    /// `received` for one that came in; otherwise where its message stands.
    pub state: &'static str,
    /// Out: its message.
    #[schema(value_type = Option<String>)]
    pub message_id: Option<MessageId>,
    /// Out: why it was written.
    pub context: Option<String>,
    /// Out: what decided about it.
    pub why: Option<Why>,
    /// Out: the carrier's error code.
    pub error_code: Option<i64>,
    /// In: its id.
    #[schema(value_type = Option<String>)]
    pub inbound_id: Option<InboundId>,
    /// In: which of the account's senders it came to.
    pub sender: Option<String>,
    /// In: what it was taken to mean, such as `yes` or `stop`.
    pub meaning: Option<String>,
    /// In: what followed from it, such as `confirmed` or `clarified`.
    pub outcome: Option<String>,
    /// In: how many pictures and other media came with it.
    pub media: usize,
}

/// A conversation with everything known of it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ThreadDetail {
    /// As in a list.
    #[serde(flatten)]
    pub thread: ThreadOut,
    /// What the phone agreed to.
    pub consent: PhoneConsent,
    /// Requests that wait for an answer, oldest first.
    pub requests: Vec<RequestOut>,
    /// Tasks that are open, oldest first.
    pub tasks: Vec<TaskOut>,
    /// Remarks of the staff, the newest first.
    pub notes: Vec<NoteOut>,
    /// Texts both ways, the newest first.
    pub texts: Vec<TextOut>,
    /// Pass it as `before` for older texts; `null` when there are none.
    pub next_before: Option<String>,
}

/// What staff change of a conversation.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ThreadPatch {
    /// `open` or `closed`.
    pub state: Option<String>,
    /// Who cares for it; `null` for nobody.
    #[serde(default, deserialize_with = "told")]
    #[schema(value_type = Option<String>)]
    pub assignee: Option<Option<String>>,
}

/// A field that may be told to be `null`, which is not the same as not told.
#[expect(clippy::option_option, reason = "absent, null and a value are three things")]
pub(super) fn told<'de, D, T>(from: D) -> std::result::Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(from).map(Some)
}

/// A wanted note.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteIn {
    /// What it says, up to 4000 characters.
    pub body: String,
}

/// Reads the name of a list.
pub fn checked_view(word: &str) -> Result<View> {
    View::parse(word).ok_or_else(|| {
        let words: Vec<&str> = View::ALL.iter().map(|view| view.as_str()).collect();
        invalid("view", format!("write one of {}", words.join(", ")))
    })
}

/// A list of conversations behind `after`, the newest first.
pub async fn list(
    tx: &mut Tx,
    account: AccountId,
    search: &Search,
    after: Option<(Instant, ThreadId)>,
    limit: i64,
) -> Result<Vec<ThreadOut>> {
    let found = threads::find_threads(tx, account, search, after, limit).await?;
    shown(tx, account, found).await
}

async fn shown(tx: &mut Tx, account: AccountId, found: Vec<Thread>) -> Result<Vec<ThreadOut>> {
    let ids: Vec<ContactId> = found.iter().filter_map(|thread| thread.contact).collect();
    let mut people = contacts::contacts_by_id(tx, account, &ids).await?;
    // Somebody became known after the conversation was made.
    let unknown = found.iter().filter(|thread| thread.contact.is_none());
    let phones: Vec<String> = unknown.map(|thread| bare(&thread.phone).to_owned()).collect();
    people.extend(contacts::contacts_by_phone(tx, account, &phones).await?);
    let by_id: BTreeMap<ContactId, &Contact> = people.iter().map(|one| (one.id, one)).collect();
    let by_phone: BTreeMap<&str, &Contact> =
        people.iter().map(|one| (one.phone.as_str(), one)).collect();
    let mut summaries: BTreeMap<ThreadId, Summary> =
        threads::summaries(tx, account, &found).await?.into_iter().collect();
    let show = |thread: Thread| {
        let person = match thread.contact {
            Some(id) => by_id.get(&id),
            None => by_phone.get(bare(&thread.phone)),
        };
        let summary = summaries.remove(&thread.id).unwrap_or_default();
        thread_out(&thread, person.copied(), summary)
    };
    Ok(found.into_iter().map(show).collect())
}

fn thread_out(thread: &Thread, person: Option<&Contact>, summary: Summary) -> ThreadOut {
    let last = |direction, (at, body): (Instant, String)| LastText {
        direction,
        body: body.chars().take(PREVIEW_CHARS_MAX).collect(),
        at,
    };
    let came = summary.last_in.map(|text| last("in", text));
    let went = summary.last_out.map(|text| last("out", text));
    let last_text = match (came, went) {
        (Some(came), Some(went)) if came.at > went.at => Some(came),
        (came, went) => went.or(came),
    };
    ThreadOut {
        id: thread.id,
        phone: thread.phone.clone(),
        contact: person.map(|one| PersonOut {
            id: one.id,
            name: one.name.clone(),
            locale: one.locale.clone(),
            timezone: one.timezone.clone(),
        }),
        state: if thread.closed { "closed" } else { "open" },
        assignee: thread.assignee.clone(),
        inbound_at: thread.inbound_at,
        updated_at: thread.updated_at,
        last_text,
        open_tasks: summary.open_tasks,
        open_requests: summary.open_requests,
    }
}

/// One conversation as in a list.
pub async fn one(tx: &mut Tx, account: AccountId, id: ThreadId) -> Result<ThreadOut> {
    let thread = threads::find_thread(tx, account, id).await?;
    let shown = shown(tx, account, thread.into_iter().collect()).await?;
    shown.into_iter().next().ok_or(Refusal::NotFound("thread"))
}

/// One conversation with its texts before `before`.
pub async fn detail(
    tx: &mut Tx,
    account: AccountId,
    id: ThreadId,
    before: Option<Place>,
    limit: i64,
) -> Result<(ThreadDetail, Option<Place>)> {
    let found = threads::find_thread(tx, account, id).await?.ok_or(Refusal::NotFound("thread"))?;
    let mut said = conversations::texts_before(tx, account, &found, before, limit + 1).await?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = said.len() > wanted;
    said.truncate(wanted);
    let next = said.last().filter(|_| more).map(Said::place);
    let filter = TaskFilter { done: Some(false), thread: Some(id), ..TaskFilter::default() };
    let open = tasks::list_tasks(tx, account, &filter, None, BESIDE_MAX).await?;
    let notes = notes::list_notes(tx, account, id, BESIDE_MAX).await?;
    let detail = ThreadDetail {
        thread: one(tx, account, id).await?,
        consent: consent_of(tx, account, &found.phone).await?,
        requests: requests_of(tx, account, &found.phone).await?,
        tasks: open.into_iter().map(TaskOut::from).collect(),
        notes: notes.into_iter().map(NoteOut::from).collect(),
        texts: said.into_iter().map(text_out).collect(),
        next_before: None,
    };
    Ok((detail, next))
}

async fn consent_of(tx: &mut Tx, account: AccountId, phone: &str) -> Result<PhoneConsent> {
    let phones = [bare(phone).to_owned()];
    let mut words = [Consent::Unknown.as_str(); 2];
    for (word, category) in words.iter_mut().zip([Category::Transactional, Category::Marketing]) {
        let known = consents::consents_for(tx, account, category, &phones).await?;
        *word = known.first().map_or(*word, |(_, consent)| consent.as_str());
    }
    let [transactional, marketing] = words;
    Ok(PhoneConsent { transactional, marketing })
}

async fn requests_of(tx: &mut Tx, account: AccountId, phone: &str) -> Result<Vec<RequestOut>> {
    let open: Vec<Request> = requests::open_requests(tx, account, &[phone.to_owned()]).await?;
    let mut ids: Vec<AppointmentId> = open.iter().map(|one| one.appointment).collect();
    ids.sort_unstable();
    ids.dedup();
    let bookings = requests::bookings(tx, account, &ids).await?;
    let show = |one: Request| {
        let booking = bookings.iter().find(|booking| booking.id == one.appointment);
        RequestOut {
            id: one.id,
            appointment_id: one.appointment,
            title: booking.map(|booking| booking.title.clone()).unwrap_or_default(),
            starts_at: one.starts_at,
            token: one.token,
            state: RequestState::as_str(one.state),
            asked_at: one.asked_at,
            expires_at: one.expires_at,
        }
    };
    Ok(open.into_iter().map(show).collect())
}

fn text_out(said: Said) -> TextOut {
    match said {
        Said::In(one) => inbound_out(one),
        Said::Out(one) => outbound_out(one),
    }
}

fn inbound_out(one: Inbound) -> TextOut {
    TextOut {
        direction: "in",
        body: one.body,
        at: one.received_at,
        state: "received",
        message_id: None,
        context: None,
        why: None,
        error_code: None,
        inbound_id: Some(one.id),
        sender: Some(one.sender),
        meaning: one.meaning,
        outcome: one.outcome,
        media: one.media.len(),
    }
}

fn outbound_out(one: Outbound) -> TextOut {
    let waiting = if one.over { "canceled" } else { "queued" };
    let message = one.message.as_ref();
    TextOut {
        direction: "out",
        body: one.body,
        at: one.at,
        state: message.map_or(waiting, |message| message.state.as_str()),
        message_id: Some(one.id),
        context: Some(one.context),
        why: Some(why(message, None)),
        error_code: message.map(|message| message.code).filter(|code| *code != 0),
        inbound_id: None,
        sender: None,
        meaning: None,
        outcome: None,
        media: 0,
    }
}

/// Changes a conversation by hand.
pub async fn change(
    tx: &mut Tx,
    account: AccountId,
    id: ThreadId,
    patch: &ThreadPatch,
) -> Result<ThreadOut> {
    settings::lock_settings(tx, account).await?;
    let found = threads::find_thread(tx, account, id).await?.ok_or(Refusal::NotFound("thread"))?;
    let closed = match patch.state.as_deref() {
        None => found.closed,
        Some("open") => false,
        Some("closed") => true,
        Some(_) => return Err(invalid("state", "write open or closed")),
    };
    let assignee = checked_assignee(patch.assignee.as_ref(), found.assignee.as_ref())?;
    let now = tx.now();
    let changed = Thread { closed, assignee, updated_at: now, ..found };
    threads::save_thread(tx, account, &changed).await?;
    one(tx, account, id).await
}

/// Who cares for something from now on.
pub(super) fn checked_assignee(
    told: Option<&Option<String>>,
    present: Option<&String>,
) -> Result<Option<String>> {
    match told {
        None => Ok(present.cloned()),
        Some(None) => Ok(None),
        Some(Some(name)) => checked_name("assignee", name).map(Some),
    }
}

/// Keeps a note on a conversation.
pub async fn note(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    id: ThreadId,
    wanted: &NoteIn,
    author: &str,
) -> Result<NoteOut> {
    let body = checked_words("body", &wanted.body, NOTE_CHARS_MAX)?;
    settings::lock_settings(tx, account).await?;
    threads::find_thread(tx, account, id).await?.ok_or(Refusal::NotFound("thread"))?;
    let now = tx.now();
    let note = Note { id: NoteId::new(now, dice), author: author.to_owned(), body, at: now };
    notes::insert_note(tx, account, id, &note).await?;
    Ok(note.into())
}

/// Words that people write for each other.
pub(super) fn checked_words(field: &str, words: &str, most: usize) -> Result<String> {
    let words = words.trim();
    if (1..=most).contains(&words.chars().count()) {
        return Ok(words.to_owned());
    }
    Err(invalid(field, format!("write 1 to {most} characters")))
}
