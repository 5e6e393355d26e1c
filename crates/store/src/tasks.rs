//! Follow-ups for staff.

use domain::ids::{AccountId, AppointmentId, ContactId, TaskId, ThreadId};
use domain::instant::Instant;

use crate::db::{Result, Rows, Tx, expect_rows};
use crate::{contact_id, damaged, uuid};

/// What staff are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskKind {
    /// Call: a text did not arrive.
    Call,
    /// Find another time.
    Reschedule,
    /// Read what somebody wrote and decide.
    Review,
    /// Ask what was meant.
    Clarify,
}

impl TaskKind {
    /// Every kind.
    pub const ALL: &[Self] = &[Self::Call, Self::Reschedule, Self::Review, Self::Clarify];

    /// The word used in SQL, JSON and on pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Reschedule => "reschedule",
            Self::Review => "review",
            Self::Clarify => "clarify",
        }
    }

    /// Reads [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }
}

/// A follow-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// What is to be done.
    pub kind: TaskKind,
    /// What it is about, such as `call:rem_…`; a second task about the same is not opened.
    pub subject: String,
    /// One line for the list.
    pub title: String,
    /// More, such as what somebody wrote.
    pub detail: String,
    /// About whom.
    pub phone: Option<String>,
    /// Who that is, when known.
    pub contact: Option<ContactId>,
    /// Their conversation, when there is one.
    pub thread: Option<ThreadId>,
    /// The booking it is about.
    pub appointment: Option<AppointmentId>,
    /// Who does it.
    pub assignee: Option<String>,
    /// When it should be done.
    pub due_at: Instant,
    /// When it was opened.
    pub created_at: Instant,
    /// When it was done.
    pub done_at: Option<Instant>,
    /// Who did it.
    pub done_by: Option<String>,
}

/// Makes conversations with the phones that tasks are about and that have none, so that the inbox
/// shows them.
async fn ensure_threads(tx: &mut Tx, account: AccountId, tasks: &[Task]) -> Result<()> {
    let about: Vec<&Task> = tasks.iter().filter(|task| task.phone.is_some()).collect();
    let rows = Rows::of(about.len())
        // A thread made for a task has the task's number; what they are, their prefixes tell.
        .bytes("thread_id", about.iter().map(|task| task.id.0.to_vec()))
        .text("phone", about.iter().map(|task| task.phone.clone()));
    let now = tx.now().0;
    tx.many(
        "insert into thread (account_id, thread_id, phone, contact_id, state, updated_at)
         select $1, r.thread_id, r.phone, (select k.contact_id from contact k
             where k.account_id = $1 and k.phone = r.phone), 'open', $2
         from {rows} where true on conflict (account_id, phone) do nothing",
        (account.0, now),
        rows,
    )
    .await?;
    Ok(())
}

/// Opens tasks; one whose subject has a task already, open or done, is left out. The number opened.
/// The phone of a task has a conversation afterwards.
pub async fn open_tasks(tx: &mut Tx, account: AccountId, tasks: &[Task]) -> Result<u64> {
    let rows = Rows::of(tasks.len())
        .bytes("task_id", tasks.iter().map(|task| task.id.0.to_vec()))
        .text("kind", tasks.iter().map(|task| task.kind.as_str().to_owned()))
        .text("subject", tasks.iter().map(|task| task.subject.clone()))
        .text("title", tasks.iter().map(|task| task.title.clone()))
        .text("detail", tasks.iter().map(|task| task.detail.clone()))
        .text("phone", tasks.iter().map(|task| task.phone.clone()))
        .bytes("contact_id", tasks.iter().map(|task| task.contact.map(|id| id.0.to_vec())))
        .bytes("thread_id", tasks.iter().map(|task| task.thread.map(|id| id.0.to_vec())))
        .bytes("appointment_id", tasks.iter().map(|task| task.appointment.map(|id| id.0.to_vec())))
        .int("due_at", tasks.iter().map(|task| task.due_at.0));
    ensure_threads(tx, account, tasks).await?;
    let now = tx.now().0;
    tx.many(
        "insert into task (account_id, task_id, kind, state, subject, title, detail, phone,
           contact_id, thread_id, appointment_id, due_at, created_at)
         select $1, r.task_id, r.kind, 'open', r.subject, r.title, r.detail, r.phone, r.contact_id,
           r.thread_id, r.appointment_id, r.due_at, $2
         from {rows} where true on conflict (account_id, subject) do nothing",
        (account.0, now),
        rows,
    )
    .await
}

type TaskRow = (
    Vec<u8>,
    String,
    String,
    String,
    String,
    Option<String>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<String>,
    i64,
    i64,
    Option<i64>,
    Option<String>,
);

fn task_of(row: TaskRow) -> Result<Task> {
    let (
        id,
        kind,
        subject,
        title,
        detail,
        phone,
        contact,
        thread,
        appointment,
        assignee,
        due_at,
        created_at,
        done_at,
        done_by,
    ) = row;
    Ok(Task {
        id: TaskId(uuid(id)?),
        kind: TaskKind::parse(&kind).ok_or_else(|| damaged("the kind of a task"))?,
        subject,
        title,
        detail,
        phone,
        contact: contact.map(contact_id).transpose()?,
        thread: thread.map(uuid).transpose()?.map(ThreadId),
        appointment: appointment.map(uuid).transpose()?.map(AppointmentId),
        assignee,
        due_at: Instant(due_at),
        created_at: Instant(created_at),
        done_at: done_at.map(Instant),
        done_by,
    })
}

/// The columns of a [`TaskRow`]; a task about a phone belongs to its conversation.
macro_rules! task_columns {
    () => {
        "select k.task_id, k.kind, k.subject, k.title, k.detail, k.phone, k.contact_id,
           coalesce(k.thread_id, (select t.thread_id from thread t
             where t.account_id = k.account_id and t.phone = k.phone)),
           k.appointment_id, k.assignee, k.due_at, k.created_at, k.done_at, k.done_by
         from task k where k.account_id = $1 "
    };
}

/// Which tasks are listed; what is absent does not narrow the list.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    /// Of this kind.
    pub kind: Option<TaskKind>,
    /// Done, or still open.
    pub done: Option<bool>,
    /// About this conversation.
    pub thread: Option<ThreadId>,
    /// Those nobody has taken.
    pub unassigned: bool,
    /// Those this one has taken.
    pub assignee: Option<String>,
}

/// Tasks after `after`, in the order they were opened.
pub async fn list_tasks(
    tx: &mut Tx,
    account: AccountId,
    filter: &TaskFilter,
    after: Option<TaskId>,
    limit: i64,
) -> Result<Vec<Task>> {
    let rows: Vec<TaskRow> = tx
        .all(
            concat!(
                task_columns!(),
                "and k.task_id > $2 and ($3 = '' or k.kind = $3) and ($4 = '' or k.state = $4)
                   and ($5 = 0 or k.phone = (select t.phone from thread t
                     where t.account_id = $1 and t.thread_id = $6))
                   and ($7 = 0 or k.assignee is null) and ($8 = '' or k.assignee = $8)
                 order by k.task_id limit $9"
            ),
            (
                account.0,
                after.map_or_else(Vec::new, |id| id.0.to_vec()),
                filter.kind.map_or("", TaskKind::as_str).to_owned(),
                filter.done.map_or("", |done| if done { "done" } else { "open" }).to_owned(),
                i64::from(filter.thread.is_some()),
                filter.thread.map_or_else(Vec::new, |id| id.0.to_vec()),
                i64::from(filter.unassigned),
                filter.assignee.clone().unwrap_or_default(),
                limit,
            ),
        )
        .await?;
    rows.into_iter().map(task_of).collect()
}

/// One task.
pub async fn find_task(tx: &mut Tx, account: AccountId, id: TaskId) -> Result<Option<Task>> {
    let row: Option<TaskRow> = tx
        .optional(concat!(task_columns!(), "and k.task_id = $2"), (account.0, id.0.to_vec()))
        .await?;
    row.map(task_of).transpose()
}

/// Writes what staff change of a task: its assignee, due time, detail, and whether it is done.
pub async fn save_task(tx: &mut Tx, account: AccountId, task: &Task) -> Result<()> {
    let changed = tx
        .execute(
            "update task set state = $3, assignee = $4, due_at = $5, detail = $6, done_at = $7,
               done_by = $8
             where account_id = $1 and task_id = $2",
            (
                account.0,
                task.id.0.to_vec(),
                if task.done_at.is_some() { "done" } else { "open" }.to_owned(),
                task.assignee.clone(),
                task.due_at.0,
                task.detail.clone(),
                task.done_at.map(|at| at.0),
                task.done_by.clone(),
            ),
        )
        .await?;
    expect_rows("save a task", 1, changed)
}

/// Marks the open tasks of a kind about a booking as done.
pub async fn finish_tasks(
    tx: &mut Tx,
    account: AccountId,
    kind: TaskKind,
    appointment: AppointmentId,
    by: &str,
) -> Result<u64> {
    let now = tx.now().0;
    tx.execute(
        // The range leads SQLite to the index: from equalities alone it takes the primary key.
        "update task set state = 'done', done_at = $4, done_by = $5
         where account_id = $1 and appointment_id = $2 and created_at >= 0 and kind = $3
           and state = 'open'",
        (account.0, appointment.0.to_vec(), kind.as_str().to_owned(), now, by.to_owned()),
    )
    .await
}

/// Whether a phone has an open task of this kind.
pub async fn has_open_task(
    tx: &mut Tx,
    account: AccountId,
    phone: &str,
    kind: TaskKind,
) -> Result<bool> {
    let row: Option<(i64,)> = tx
        .optional(
            // The range leads SQLite to the index, as above.
            "select account_id from task where account_id = $1 and phone = $2
               and state = 'open' and created_at >= 0 and kind = $3 limit 1",
            (account.0, phone.to_owned(), kind.as_str().to_owned()),
        )
        .await?;
    Ok(row.is_some())
}

/// Marks the task about `subject` as done, if it is open.
pub async fn finish_task_about(
    tx: &mut Tx,
    account: AccountId,
    subject: &str,
    by: &str,
) -> Result<u64> {
    let now = tx.now().0;
    tx.execute(
        "update task set state = 'done', done_at = $3, done_by = $4
         where account_id = $1 and subject = $2 and state = 'open'",
        (account.0, subject.to_owned(), now, by.to_owned()),
    )
    .await
}

/// Opens the task about `subject` again, if it was done.
pub async fn reopen_task_about(tx: &mut Tx, account: AccountId, subject: &str) -> Result<u64> {
    tx.execute(
        "update task set state = 'open', done_at = null, done_by = null
         where account_id = $1 and subject = $2 and state = 'done'",
        (account.0, subject.to_owned()),
    )
    .await
}
