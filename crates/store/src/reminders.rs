//! Reminders: what is due when, and what became of it.
//!
//! Whoever writes here holds the lock of [`crate::settings::lock_settings`]. A reminder of the
//! coach belongs to the booking as a whole; its attendee is [`OF_COACH`].

use domain::contexts::Party;
use domain::ids::{AccountId, AppointmentId, AttendeeId, MessageId, ReminderId, StreamId};
use domain::instant::Instant;
use domain::message::State;
use domain::permit::Rule;

use crate::damaged;
use crate::db::{Result, Rows, Tx, expect_rows};
use crate::uuid;

/// Stands where the reminder of a coach would name its attendee.
pub const OF_COACH: AttendeeId = AttendeeId([0; 16]);

/// Where a reminder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReminderState {
    /// Waits for its time.
    Planned,
    /// Its text was taken in.
    Sent,
    /// Its text is on the phone.
    Delivered,
    /// It was not sent, and says why.
    Skipped,
    /// Its reason is gone.
    Cancelled,
    /// Its text did not arrive.
    Failed,
}

impl ReminderState {
    /// Every state, in the order of its code.
    pub const ALL: &[Self] =
        &[Self::Planned, Self::Sent, Self::Delivered, Self::Skipped, Self::Cancelled, Self::Failed];

    /// The number kept in the table.
    pub const fn code(self) -> i64 {
        match self {
            Self::Planned => 1,
            Self::Sent => 2,
            Self::Delivered => 3,
            Self::Skipped => 4,
            Self::Cancelled => 5,
            Self::Failed => 6,
        }
    }

    /// Reads [`Self::code`].
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.code() == code)
    }

    /// The word used in JSON and on pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// A reminder. With `(appointment, attendee, party, offset, starts_at)` it is unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reminder {
    /// Its id.
    pub id: ReminderId,
    /// The booking.
    pub appointment: AppointmentId,
    /// Who is reminded; [`OF_COACH`] for whoever holds the booking.
    pub attendee: AttendeeId,
    /// Whose text it is.
    pub party: Party,
    /// Its context's key.
    pub context: String,
    /// How long before the start it is wanted; below zero for one sent by hand.
    pub offset_minutes: i64,
    /// The start it reminds of.
    pub starts_at: Instant,
    /// When it is to be sent.
    pub due_at: Instant,
    /// Not after.
    pub not_after: Instant,
    /// Where it stands.
    pub state: ReminderState,
    /// Why it was not sent, or did not arrive.
    pub reason: Option<String>,
    /// Its text.
    pub message: Option<MessageId>,
    /// When somebody looks after its text next.
    pub watch_at: Option<Instant>,
    /// When it last changed.
    pub updated_at: Instant,
}

type ReminderRow = (
    Vec<u8>,
    Vec<u8>,
    Vec<u8>,
    String,
    String,
    i64,
    i64,
    i64,
    i64,
    i64,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    i64,
);

#[rustfmt::skip]
fn reminder_of(account: AccountId, row: ReminderRow) -> Result<Reminder> {
    let (
        id, appointment, attendee, party, context, offset_minutes, starts_at, due_at, not_after,
        state, reason, stream, ord, watch_at, updated_at,
    ) = row;
    let place = |(stream, ord)| MessageId { account, stream: StreamId(stream), ord };
    Ok(Reminder {
        id: ReminderId(uuid(id)?),
        appointment: AppointmentId(uuid(appointment)?),
        attendee: AttendeeId(uuid(attendee)?),
        party: Party::parse(&party).ok_or_else(|| damaged("the party of a reminder"))?,
        context,
        offset_minutes,
        starts_at: Instant(starts_at),
        due_at: Instant(due_at),
        not_after: Instant(not_after),
        state: ReminderState::from_code(state).ok_or_else(|| damaged("the state of a reminder"))?,
        reason,
        message: stream.zip(ord).map(place),
        watch_at: watch_at.map(Instant),
        updated_at: Instant(updated_at),
    })
}

/// The columns of a [`ReminderRow`].
macro_rules! reminder_columns {
    () => {
        "select m.reminder_id, m.appointment_id, m.attendee_id, m.party, m.context,
           m.offset_minutes, m.starts_at, m.due_at, m.not_after, m.state, m.reason, m.stream_id,
           m.ord, m.watch_at, m.updated_at "
    };
}

fn reminders(account: AccountId, rows: Vec<ReminderRow>) -> Result<Vec<Reminder>> {
    rows.into_iter().map(|row| reminder_of(account, row)).collect()
}

/// Writes reminders as given, new ones and those that are there.
pub async fn save_reminders(tx: &mut Tx, account: AccountId, reminders: &[Reminder]) -> Result<()> {
    let now = tx.now().0;
    let rows = Rows::of(reminders.len())
        .bytes("reminder_id", reminders.iter().map(|one| one.id.0.to_vec()))
        .bytes("appointment_id", reminders.iter().map(|one| one.appointment.0.to_vec()))
        .bytes("attendee_id", reminders.iter().map(|one| one.attendee.0.to_vec()))
        .text("party", reminders.iter().map(|one| one.party.as_str().to_owned()))
        .text("context", reminders.iter().map(|one| one.context.clone()))
        .int("offset_minutes", reminders.iter().map(|one| one.offset_minutes))
        .int("starts_at", reminders.iter().map(|one| one.starts_at.0))
        .int("due_at", reminders.iter().map(|one| one.due_at.0))
        .int("not_after", reminders.iter().map(|one| one.not_after.0))
        .int("state", reminders.iter().map(|one| one.state.code()))
        .text("reason", reminders.iter().map(|one| one.reason.clone()))
        .int("stream_id", reminders.iter().map(|one| one.message.map(|text| text.stream.0)))
        .int("ord", reminders.iter().map(|one| one.message.map(|text| text.ord)))
        .int("watch_at", reminders.iter().map(|one| one.watch_at.map(|at| at.0)))
        .int("updated_at", reminders.iter().map(|one| one.updated_at.0));
    let changed = tx
        .many(
            "insert into reminder (account_id, reminder_id, appointment_id, attendee_id, party,
               context, offset_minutes, starts_at, due_at, not_after, state, reason, stream_id,
               ord, watch_at, created_at, updated_at)
             select $1, r.reminder_id, r.appointment_id, r.attendee_id, r.party, r.context,
               r.offset_minutes, r.starts_at, r.due_at, r.not_after, r.state, r.reason,
               r.stream_id, r.ord, r.watch_at, $2, r.updated_at
             from {rows} where true
             on conflict (account_id, reminder_id) do update set context = excluded.context,
               due_at = excluded.due_at, not_after = excluded.not_after, state = excluded.state,
               reason = excluded.reason, stream_id = excluded.stream_id, ord = excluded.ord,
               watch_at = excluded.watch_at, updated_at = excluded.updated_at",
            (account.0, now),
            rows,
        )
        .await?;
    expect_rows("save reminders", reminders.len(), changed)
}

/// All reminders of these bookings, in the order of their times.
pub async fn reminders_of(
    tx: &mut Tx,
    account: AccountId,
    appointments: &[AppointmentId],
) -> Result<Vec<Reminder>> {
    let rows = Rows::of(appointments.len())
        .bytes("appointment_id", appointments.iter().map(|id| id.0.to_vec()))
        .bytes("least", appointments.iter().map(|_| Vec::new()));
    // The range leads SQLite to the unique key: from equalities alone it takes the primary key and
    // reads all reminders of the account.
    let text = concat!(
        reminder_columns!(),
        "from {rows}
         {each reminder as m on m.account_id = $1 and m.appointment_id = r.appointment_id
           and m.attendee_id >= r.least}
         order by m.due_at, m.reminder_id"
    );
    let found = tx.all_of(text, (account.0,), rows).await?;
    reminders(account, found)
}

/// An account's reminders whose time has come, the most overdue first.
pub async fn due_reminders(tx: &mut Tx, account: AccountId, limit: i64) -> Result<Vec<Reminder>> {
    let text = concat!(
        reminder_columns!(),
        "from reminder m where m.account_id = $1 and m.state = 1 and m.due_at <= $2
         order by m.due_at, m.reminder_id limit $3"
    );
    let now = tx.now().0;
    let found = tx.all(text, (account.0, now, limit)).await?;
    reminders(account, found)
}

/// An account's sent reminders whose texts are to be looked after now.
pub async fn watched_reminders(
    tx: &mut Tx,
    account: AccountId,
    limit: i64,
) -> Result<Vec<Reminder>> {
    let text = concat!(
        reminder_columns!(),
        "from reminder m where m.account_id = $1 and m.state = 2 and m.watch_at <= $2
         order by m.watch_at, m.reminder_id limit $3"
    );
    let now = tx.now().0;
    let found = tx.all(text, (account.0, now, limit)).await?;
    reminders(account, found)
}

/// When these people, or coaches, are reminded of the booking: the next time comes last.
pub async fn next_reminders(
    tx: &mut Tx,
    account: AccountId,
    people: &[(AppointmentId, AttendeeId)],
) -> Result<Vec<(AttendeeId, AppointmentId, Instant)>> {
    let rows = Rows::of(people.len())
        .bytes("appointment_id", people.iter().map(|(id, _)| id.0.to_vec()))
        .bytes("attendee_id", people.iter().map(|(_, id)| id.0.to_vec()));
    let found: Vec<(Vec<u8>, Vec<u8>, i64)> = tx
        .all_of(
            // The range leads SQLite to the unique key, the sum keeps it from that of what is due.
            "select m.attendee_id, m.appointment_id, m.due_at
             from {rows} {each reminder as m on m.account_id = $1
               and m.appointment_id = r.appointment_id and m.attendee_id >= r.attendee_id}
             where m.attendee_id <= r.attendee_id and m.state + 0 = 1
             order by m.due_at desc",
            (account.0,),
            rows,
        )
        .await?;
    found
        .into_iter()
        .map(|(attendee, appointment, at)| {
            Ok((AttendeeId(uuid(attendee)?), AppointmentId(uuid(appointment)?), Instant(at)))
        })
        .collect()
}

/// What became of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// The text.
    pub text: MessageId,
    /// Where it stands, or the last text that repeats it; `None` before it was taken up.
    pub state: Option<State>,
    /// The carrier's error code, or 0.
    pub code: i64,
    /// The rule that stopped it.
    pub rule: Option<Rule>,
    /// That rule's inputs.
    pub why: Option<String>,
}

/// What became of these texts, repetitions after a failed delivery included.
pub async fn fates(tx: &mut Tx, account: AccountId, texts: &[MessageId]) -> Result<Vec<Fate>> {
    type FateRow = (i64, i64, Option<i64>, Option<i64>, Option<i64>, Option<String>);
    let rows = Rows::of(texts.len())
        .int("stream_id", texts.iter().map(|text| text.stream.0))
        .int("ord", texts.iter().map(|text| text.ord))
        .text("origin", texts.iter().map(ToString::to_string));
    let found: Vec<FateRow> = tx
        .all_of(
            "select f.stream_id, f.first, m.state, m.code, m.rule, m.why from
               (select r.stream_id as stream_id, r.ord as first, coalesce(
                  (select max(t.ord) from recipient t
                   where t.account_id = $1 and t.retry_of = r.origin), r.ord) as last
                from {rows}) as f
             left join message m on m.account_id = $1 and m.stream_id = f.stream_id
               and m.ord = f.last",
            (account.0,),
            rows,
        )
        .await?;
    found
        .into_iter()
        .map(|(stream, ord, state, code, rule, why)| {
            let state = state
                .map(|code| State::from_code(code).ok_or_else(|| damaged("the state of a text")))
                .transpose()?;
            Ok(Fate {
                text: MessageId { account, stream: StreamId(stream), ord },
                state,
                code: code.unwrap_or(0),
                rule: rule.and_then(Rule::from_code),
                why,
            })
        })
        .collect()
}
