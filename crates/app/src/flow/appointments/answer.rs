//! Yes and no: what follows when somebody says whether they come.
//!
//! The latest answer counts while the start is still to come. Yes ends the reminders that ask, no
//! ends all of that person's and asks staff to find another time; a yes after a no undoes that.

use std::time::Duration;

use domain::ids::{AttendeeId, MessageId, RunId, TaskId};
use domain::instant::Instant;
use domain::seam::Dice;
use domain::settings::Settings;
use store::Tx;
use store::appointments::{self, AppointmentState};
use store::automations::{self, Run};
use store::requests::{self, Request, RequestState};
use store::tasks::{self, Task, TaskKind};

use super::booking::{Booking, Clerk, People, booking, contact_of, name_of, people_of, phone_of};
use super::events::{News, announce};
use crate::flow::messages::Asking;
use crate::flow::reminders::plan::replan;
use crate::flow::{Refusal, Result};

/// When staff should have found another time.
const RESCHEDULE_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// What an answer did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// In words, for whoever reads the conversation.
    pub words: String,
    /// Whether anything is otherwise than before.
    pub changed: bool,
    /// The texts it led to.
    pub texts: Vec<MessageId>,
}

/// Takes the answer to a request. `by` is who brings it: `text`, or somebody of the staff. The
/// account's settings are locked. A booking that takes no answer any more is a refusal, and
/// nothing has changed.
pub async fn answer(
    tx: &mut Tx,
    asking: Asking<'_>,
    dice: &dyn Dice,
    choices: &Settings,
    request: &Request,
    yes: bool,
    by: &str,
) -> Result<Answered> {
    let clerk = Clerk::with(tx, asking, dice, choices.clone()).await?;
    let one = booking(tx, asking.account, request.appointment).await?;
    if one.appointment.starts_at != request.starts_at {
        return Err(stale("it was moved to another time since it was asked about"));
    }
    settle(tx, &clerk, one, &[request.attendee], yes, by).await
}

/// Takes the answer of some people of a booking, asked or not.
pub async fn settle(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    mut one: Booking,
    who: &[AttendeeId],
    yes: bool,
    by: &str,
) -> Result<Answered> {
    check(&one, who, tx.now())?;
    let word = if yes { AppointmentState::Confirmed } else { AppointmentState::Declined };
    let title = one.appointment.title.clone();
    let turned: Vec<AttendeeId> = one
        .attendees
        .iter()
        .filter(|person| who.contains(&person.id) && person.state != word)
        .map(|person| person.id)
        .collect();
    end_requests(tx, clerk, &one, who, yes, by).await?;
    if turned.is_empty() && (!who.is_empty() || one.appointment.state == word) {
        let words = format!("{title} was {} already", word.as_str());
        return Ok(Answered { words, changed: false, texts: Vec::new() });
    }
    for person in &mut one.attendees {
        if turned.contains(&person.id) {
            person.state = word;
        }
    }
    let before = one.appointment.state;
    one.appointment.state = if who.is_empty() { word } else { state_of(&one) };
    one.appointment.version += 1;
    let account = clerk.account();
    let changed: Vec<_> =
        one.attendees.iter().filter(|person| turned.contains(&person.id)).cloned().collect();
    appointments::save_attendees(tx, account, &changed).await?;
    appointments::save_appointments(tx, account, std::slice::from_ref(&one.appointment)).await?;
    let one = [one];
    let people = people_of(tx, account, &one).await?;
    let why = if yes { "confirmed" } else { "declined" };
    replan(tx, clerk, &one, &people, why).await?;
    let [one] = one;
    follow_up(tx, clerk, &one, &people, &turned, yes, by).await?;
    let words = match (yes, before == one.appointment.state) {
        (true, _) => format!("confirmed {title}"),
        (false, _) => format!("declined {title}; a task asks for another time"),
    };
    trail(tx, clerk, &one, word, &words, by).await?;
    let news = [News { booking: &one, about: turned }];
    let texts = announce(tx, clerk, word.as_str(), &news, &people).await?;
    Ok(Answered { words, changed: true, texts })
}

fn stale(words: &str) -> Refusal {
    Refusal::State(format!("the appointment takes no answer: {words}"))
}

fn check(one: &Booking, who: &[AttendeeId], now: Instant) -> Result<()> {
    use AppointmentState::{Cancelled, Completed, NoShow};
    let state = one.appointment.state;
    if matches!(state, Cancelled | Completed | NoShow) {
        return Err(stale(&format!("it is {}", state.as_str())));
    }
    if one.appointment.starts_at <= now {
        return Err(stale("it has begun"));
    }
    for id in who {
        let found = one.attendee(*id).ok_or(Refusal::NotFound("attendee"))?;
        if found.state == Cancelled {
            return Err(stale("this person was taken out of it"));
        }
    }
    Ok(())
}

/// One person's answer is the booking's; of several, all must agree.
fn state_of(one: &Booking) -> AppointmentState {
    let all = |state| one.present().all(|person| person.state == state);
    if all(AppointmentState::Confirmed) {
        AppointmentState::Confirmed
    } else if all(AppointmentState::Declined) {
        AppointmentState::Declined
    } else {
        AppointmentState::Scheduled
    }
}

async fn end_requests(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    one: &Booking,
    who: &[AttendeeId],
    yes: bool,
    by: &str,
) -> Result<()> {
    let state = if yes { RequestState::Yes } else { RequestState::No };
    let account = clerk.account();
    for request in requests::requests_of(tx, account, &[one.appointment.id]).await? {
        let meant = request.starts_at == one.appointment.starts_at
            && who.contains(&request.attendee)
            && request.state != state;
        if meant {
            requests::end_request(tx, account, request.id, state, by).await?;
        }
    }
    Ok(())
}

/// What a reschedule task is about: the request that was answered, or the person.
async fn subject(tx: &mut Tx, clerk: &Clerk<'_>, one: &Booking, who: AttendeeId) -> Result<String> {
    let asked = requests::requests_of(tx, clerk.account(), &[one.appointment.id]).await?;
    let found =
        asked.iter().find(|ask| ask.attendee == who && ask.starts_at == one.appointment.starts_at);
    Ok(found.map_or_else(
        || format!("reschedule:{who}:{}", one.appointment.starts_at),
        |ask| format!("reschedule:{}", ask.id),
    ))
}

/// A no opens a task, a later yes closes it.
async fn follow_up(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    one: &Booking,
    people: &People,
    turned: &[AttendeeId],
    yes: bool,
    by: &str,
) -> Result<()> {
    let now = tx.now();
    for id in turned {
        let subject = subject(tx, clerk, one, *id).await?;
        if yes {
            tasks::finish_task_about(tx, clerk.account(), &subject, by).await?;
            continue;
        }
        let Some(person) = one.attendee(*id) else { continue };
        let name = name_of(people, person);
        let who = if name.is_empty() { "Somebody" } else { name };
        let task = Task {
            id: TaskId::new(now, clerk.dice),
            kind: TaskKind::Reschedule,
            subject: subject.clone(),
            title: format!("{who} cannot come to {}", one.appointment.title),
            detail: format!("{} at {}", one.appointment.title, one.appointment.starts_at),
            phone: phone_of(people, person).map(str::to_owned),
            contact: contact_of(people, person).map(|contact| contact.id),
            thread: None,
            appointment: Some(one.appointment.id),
            assignee: None,
            due_at: one.appointment.starts_at.min(now + RESCHEDULE_WITHIN),
            created_at: now,
            done_at: None,
            done_by: None,
        };
        if tasks::open_tasks(tx, clerk.account(), &[task]).await? == 0 {
            tasks::reopen_task_about(tx, clerk.account(), &subject).await?;
        }
    }
    Ok(())
}

async fn trail(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    one: &Booking,
    word: AppointmentState,
    words: &str,
    by: &str,
) -> Result<()> {
    let now = tx.now();
    let run = Run {
        id: RunId::new(now, clerk.dice),
        rule: "appointment.answer".to_owned(),
        version: clerk.version,
        subject: one.appointment.id.to_string(),
        outcome: word.as_str().to_owned(),
        detail: format!("{words} (by {by})"),
        next_at: None,
        at: now,
    };
    automations::insert_runs(tx, clerk.account(), &[run]).await?;
    Ok(())
}
