//! Follow-ups for staff: listed, written by hand, taken, done.

use domain::ids::{AccountId, AppointmentId, ContactId, TaskId, ThreadId};
use domain::instant::Instant;
use domain::seam::Dice;
use serde::{Deserialize, Serialize};
use store::tasks::{self, Task, TaskKind};
use store::{Tx, contacts, requests, settings, threads};

use super::threads::{checked_assignee, checked_words, told};
use crate::flow::accounts::checked_name;
use crate::flow::{Refusal, Result, invalid};

const DETAIL_CHARS_MAX: usize = 4000;

/// A follow-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct TaskOut {
    /// Its id.
    #[schema(value_type = String)]
    pub id: TaskId,
    /// `call`, `reschedule`, `review` or `clarify`.
    pub kind: &'static str,
    /// `open` or `done`.
    pub state: &'static str,
    /// What it is about, such as `call:rem_…`; there is one task per subject.
    pub subject: String,
    /// One line.
    pub title: String,
    /// More, such as what somebody wrote.
    pub detail: String,
    /// About whom.
    pub phone: Option<String>,
    /// Who that is, when known.
    #[schema(value_type = Option<String>)]
    pub contact_id: Option<ContactId>,
    /// Their conversation.
    #[schema(value_type = Option<String>)]
    pub thread_id: Option<ThreadId>,
    /// The booking it is about.
    #[schema(value_type = Option<String>)]
    pub appointment_id: Option<AppointmentId>,
    /// Who does it.
    pub assignee: Option<String>,
    /// When it should be done.
    #[schema(value_type = String)]
    pub due_at: Instant,
    /// When it was opened.
    #[schema(value_type = String)]
    pub created_at: Instant,
    /// When it was done.
    #[schema(value_type = Option<String>)]
    pub done_at: Option<Instant>,
    /// Who did it.
    pub done_by: Option<String>,
}

impl From<Task> for TaskOut {
    fn from(task: Task) -> Self {
        Self {
            id: task.id,
            kind: task.kind.as_str(),
            state: if task.done_at.is_some() { "done" } else { "open" },
            subject: task.subject,
            title: task.title,
            detail: task.detail,
            phone: task.phone,
            contact_id: task.contact,
            thread_id: task.thread,
            appointment_id: task.appointment,
            assignee: task.assignee,
            due_at: task.due_at,
            created_at: task.created_at,
            done_at: task.done_at,
            done_by: task.done_by,
        }
    }
}

/// A wanted follow-up.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskIn {
    /// `call`, `reschedule`, `review` or `clarify`.
    pub kind: String,
    /// One line.
    pub title: String,
    /// More.
    pub detail: Option<String>,
    /// The conversation it is about.
    #[schema(value_type = Option<String>)]
    pub thread_id: Option<ThreadId>,
    /// The person it is about; absent for that of the conversation.
    #[schema(value_type = Option<String>)]
    pub contact_id: Option<ContactId>,
    /// The booking it is about.
    #[schema(value_type = Option<String>)]
    pub appointment_id: Option<AppointmentId>,
    /// Who does it.
    pub assignee: Option<String>,
    /// When it should be done; absent for now.
    #[schema(value_type = Option<String>)]
    pub due_at: Option<Instant>,
}

/// What staff change of a follow-up.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskPatch {
    /// `open` or `done`.
    pub state: Option<String>,
    /// Who does it; `null` for nobody.
    #[serde(default, deserialize_with = "told")]
    #[schema(value_type = Option<String>)]
    pub assignee: Option<Option<String>>,
    /// When it should be done.
    #[schema(value_type = Option<String>)]
    pub due_at: Option<Instant>,
    /// More.
    pub detail: Option<String>,
}

/// Reads the kind of a follow-up.
pub fn checked_kind(word: &str) -> Result<TaskKind> {
    TaskKind::parse(word).ok_or_else(|| {
        let words: Vec<&str> = TaskKind::ALL.iter().map(|kind| kind.as_str()).collect();
        invalid("kind", format!("write one of {}", words.join(", ")))
    })
}

/// Reads the state of a follow-up: whether it is done.
pub fn checked_done(word: &str) -> Result<bool> {
    match word {
        "open" => Ok(false),
        "done" => Ok(true),
        _ => Err(invalid("state", "write open or done")),
    }
}

/// Opens a follow-up by hand.
pub async fn open(
    tx: &mut Tx,
    dice: &dyn Dice,
    account: AccountId,
    wanted: &TaskIn,
) -> Result<TaskOut> {
    let kind = checked_kind(&wanted.kind)?;
    let title = checked_name("title", &wanted.title)?;
    let detail = checked_detail(wanted.detail.as_deref())?;
    let assignee = checked_assignee(Some(&wanted.assignee), None)?;
    settings::lock_settings(tx, account).await?;
    let thread = match wanted.thread_id {
        None => None,
        Some(id) => {
            let found = threads::find_thread(tx, account, id).await?;
            Some(found.ok_or_else(|| invalid("thread_id", "there is no such thread"))?)
        }
    };
    let contact = match wanted.contact_id {
        None => None,
        Some(id) => {
            let found = contacts::contacts_by_id(tx, account, &[id]).await?.into_iter().next();
            Some(found.ok_or_else(|| invalid("contact_id", "there is no such contact"))?)
        }
    };
    if let Some(id) = wanted.appointment_id
        && requests::bookings(tx, account, &[id]).await?.is_empty()
    {
        return Err(invalid("appointment_id", "there is no such appointment"));
    }
    let now = tx.now();
    let id = TaskId::new(now, dice);
    let phone = thread.as_ref().map(|one| one.phone.clone());
    let task = Task {
        id,
        kind,
        subject: format!("staff:{id}"),
        title,
        detail,
        phone: phone.or_else(|| contact.as_ref().map(|one| one.phone.clone())),
        contact: contact.map(|one| one.id).or(thread.as_ref().and_then(|one| one.contact)),
        thread: thread.map(|one| one.id),
        appointment: wanted.appointment_id,
        assignee,
        due_at: wanted.due_at.unwrap_or(now),
        created_at: now,
        done_at: None,
        done_by: None,
    };
    tasks::open_tasks(tx, account, std::slice::from_ref(&task)).await?;
    tasks::save_task(tx, account, &task).await?;
    Ok(task.into())
}

/// Changes a follow-up; `by` is who does it.
pub async fn change(
    tx: &mut Tx,
    account: AccountId,
    id: TaskId,
    patch: &TaskPatch,
    by: &str,
) -> Result<TaskOut> {
    settings::lock_settings(tx, account).await?;
    let mut task = tasks::find_task(tx, account, id).await?.ok_or(Refusal::NotFound("task"))?;
    let now = tx.now();
    match patch.state.as_deref().map(checked_done).transpose()? {
        // Whoever did it first, did it.
        Some(true) if task.done_at.is_none() => {
            (task.done_at, task.done_by) = (Some(now), Some(by.to_owned()));
        }
        Some(false) => (task.done_at, task.done_by) = (None, None),
        Some(true) | None => {}
    }
    task.assignee = checked_assignee(patch.assignee.as_ref(), task.assignee.as_ref())?;
    task.due_at = patch.due_at.unwrap_or(task.due_at);
    if let Some(detail) = &patch.detail {
        task.detail = checked_detail(Some(detail))?;
    }
    tasks::save_task(tx, account, &task).await?;
    Ok(task.into())
}

fn checked_detail(words: Option<&str>) -> Result<String> {
    match words.map(str::trim) {
        None | Some("") => Ok(String::new()),
        Some(words) => checked_words("detail", words, DETAIL_CHARS_MAX),
    }
}
