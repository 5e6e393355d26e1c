//! Sending what is due: one transaction per account and batch, without any call to the outside.
//!
//! The reminder's row, its request, its text in the stream and the trail commit together. A crash
//! before leaves nothing, after it everything is there: no lease and nothing to resume. See
//! `docs/decisions/0007-reminders-fire-in-one-transaction.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::contexts::{self, Context, Party};
use domain::ids::{AppointmentId, AttendeeId, MessageId, RunId};
use domain::instant::Instant;
use domain::reminder_plan::useful_before;
use store::Tx;
use store::appointments;
use store::automations::{self, Run};
use store::reminders::{self, OF_COACH, Reminder, ReminderState};

use super::asking::Asks;
use super::hours::{Recipient, hours_for};
use super::plan::may_get;
use crate::flow::Result;
use crate::flow::appointments::booking::{
    Booking, Clerk, People, contact_of, load, name_of, nth_instant, people_of, phone_of,
};
use crate::flow::appointments::events::{client_text, coach_text};
use crate::flow::texts::{self, Wanted, Writer};

/// Reminders of one transaction.
pub const BATCH_MAX: i64 = 500;
/// A reminder may always be so late; one with a long offset more.
const LATE_MIN: Duration = Duration::from_secs(15 * 60);
/// When a text that was taken in is first looked after.
const FIRST_WATCH: Duration = Duration::from_secs(30);

/// What becomes of a due reminder.
enum Verdict {
    /// It goes.
    Send,
    /// Not now: it is quiet where the reader is.
    Later(Instant),
    /// Not at all.
    Skip(String),
    /// Its time went by while nobody looked.
    Missed(String),
    /// Its reason is gone.
    Drop(String),
}

/// Everything a batch is judged by, read at once.
struct Facts {
    bookings: BTreeMap<AppointmentId, Booking>,
    people: People,
    behind: BTreeSet<(AppointmentId, Instant)>,
}

/// Sends the reminders of an account whose time has come; how many were decided.
pub async fn fire_due(tx: &mut Tx, clerk: &Clerk<'_>) -> Result<usize> {
    let due = reminders::due_reminders(tx, clerk.account(), BATCH_MAX).await?;
    let decided = due.len();
    fire(tx, clerk, due, false).await?;
    Ok(decided)
}

/// Decides on reminders and sends those that go. One sent by hand asks the gate about the hours,
/// and goes whatever its series says.
pub async fn fire(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    due: Vec<Reminder>,
    by_hand: bool,
) -> Result<Vec<Reminder>> {
    if due.is_empty() {
        return Ok(due);
    }
    let now = tx.now();
    let facts = facts(tx, clerk, &due).await?;
    let mut decided: Vec<(Reminder, Verdict)> = due
        .into_iter()
        .map(|one| {
            let verdict = judge(clerk, &facts, &one, now, by_hand);
            (one, verdict)
        })
        .collect();
    let sent = write(tx, clerk, &facts, &decided, now).await?;
    for (nth, (one, verdict)) in decided.iter_mut().enumerate() {
        put(one, verdict, sent.get(&nth).copied(), now);
    }
    let list: Vec<Reminder> = decided.iter().map(|(one, _)| one.clone()).collect();
    reminders::save_reminders(tx, clerk.account(), &list).await?;
    trail(tx, clerk, &decided, now).await?;
    Ok(list)
}

async fn facts(tx: &mut Tx, clerk: &Clerk<'_>, due: &[Reminder]) -> Result<Facts> {
    let ids: BTreeSet<AppointmentId> = due.iter().map(|one| one.appointment).collect();
    let ids: Vec<AppointmentId> = ids.into_iter().collect();
    let list = load(tx, clerk.account(), &ids).await?;
    let people = people_of(tx, clerk.account(), &list).await?;
    let in_series = |id: &AppointmentId| {
        list.iter().any(|one| one.appointment.id == *id && one.appointment.series.is_some())
    };
    let in_series: BTreeSet<AppointmentId> = ids.iter().copied().filter(in_series).collect();
    let places: BTreeSet<(AppointmentId, Instant)> = due
        .iter()
        .filter(|one| in_series.contains(&one.appointment))
        .map(|one| (one.appointment, one.due_at))
        .collect();
    let mut behind = BTreeSet::new();
    // One look per due time: an occurrence may be due with several offsets at once.
    let mut by_time: BTreeMap<Instant, Vec<(AppointmentId, Instant)>> = BTreeMap::new();
    for place in places {
        by_time.entry(place.1).or_default().push(place);
    }
    for (at, places) in by_time {
        let found = appointments::behind_others(tx, clerk.account(), &places).await?;
        behind.extend(found.into_iter().map(|id| (id, at)));
    }
    let bookings = list.into_iter().map(|one| (one.appointment.id, one)).collect();
    Ok(Facts { bookings, people, behind })
}

fn judge(clerk: &Clerk<'_>, facts: &Facts, one: &Reminder, now: Instant, by_hand: bool) -> Verdict {
    let gone = |words: &str| Verdict::Drop(words.to_owned());
    let Some(context) = contexts::find(&one.context) else {
        return gone("its context is gone");
    };
    let Some(booking) = facts.bookings.get(&one.appointment) else {
        return gone("the appointment is gone");
    };
    let state = booking.appointment.state;
    if booking.appointment.starts_at != one.starts_at {
        return gone("rescheduled");
    }
    if !state.is_live() {
        return Verdict::Drop(state.as_str().to_owned());
    }
    if now >= one.starts_at || now > one.not_after {
        return Verdict::Missed("the appointment had begun".to_owned());
    }
    if !by_hand && !clerk.choices.sends(context) {
        return gone("the account does not send these");
    }
    let to = match recipient(facts, booking, one, context, by_hand) {
        Ok(to) => to,
        Err(words) => return Verdict::Skip(words),
    };
    if by_hand {
        return Verdict::Send;
    }
    let late = now.since(one.due_at);
    if late > lateness_max(one.offset_minutes) {
        return Verdict::Missed(format!("it was due at {}", one.due_at));
    }
    if facts.behind.contains(&(one.appointment, one.due_at)) {
        let words = "an earlier occurrence of its series was still to come";
        return Verdict::Skip(words.to_owned());
    }
    let hours = hours_for(&clerk.owner, &clerk.choices, context, to);
    let last_useful = one.starts_at - useful_before(minutes(one.offset_minutes));
    match hours.next_allowed(now) {
        Some(at) if at <= now => Verdict::Send,
        // It only ever moves forward, so it ends with the appointment.
        Some(at) if at <= last_useful => Verdict::Later(at),
        _ => Verdict::Skip("it is quiet until the appointment is near".to_owned()),
    }
}

/// A reminder is of use for half its offset, and for a quarter of an hour at least.
fn lateness_max(offset_minutes: i64) -> Duration {
    LATE_MIN.max(Duration::from_secs(u64::from(minutes(offset_minutes)) * 30))
}

fn minutes(offset: i64) -> u32 {
    u32::try_from(offset).unwrap_or(0)
}

/// Who is reminded, or why nobody is.
fn recipient<'f>(
    facts: &'f Facts,
    booking: &'f Booking,
    one: &Reminder,
    context: &Context,
    by_hand: bool,
) -> std::result::Result<Recipient<'f>, String> {
    let nobody = |words: &str| Err(words.to_owned());
    if one.party == Party::Coach {
        let coach = booking.appointment.coach.as_ref();
        let Some(coach) = coach else { return nobody("nobody holds the appointment") };
        let Some(phone) = coach.phone.as_deref() else { return nobody("the coach has no phone") };
        let timezone = coach.timezone.as_deref();
        return Ok(Recipient { phone, timezone, quiet_hours: None });
    }
    let Some(person) = booking.attendee(one.attendee) else { return nobody("nobody is there") };
    if !may_get(context.asks && !by_hand, person.state) {
        return Err(format!("this person is {}", person.state.as_str()));
    }
    let Some(phone) = phone_of(&facts.people, person) else {
        return nobody(person.problem.as_deref().unwrap_or("there is no phone"));
    };
    let contact = contact_of(&facts.people, person);
    let own = contact.and_then(|contact| contact.timezone.as_deref());
    Ok(Recipient {
        phone,
        timezone: own.or(person.timezone.as_deref()),
        quiet_hours: contact.and_then(|contact| contact.quiet_hours),
    })
}

/// Writes the texts of those that go, and asks where they ask; by their place in the batch.
async fn write(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    facts: &Facts,
    decided: &[(Reminder, Verdict)],
    now: Instant,
) -> Result<BTreeMap<usize, MessageId>> {
    let going: Vec<(usize, &Reminder)> = decided
        .iter()
        .enumerate()
        .filter(|(_, (_, verdict))| matches!(verdict, Verdict::Send))
        .map(|(nth, (one, _))| (nth, one))
        .collect();
    if going.is_empty() {
        return Ok(BTreeMap::new());
    }
    let phones: BTreeSet<String> = going
        .iter()
        .filter_map(|(_, one)| {
            let person = facts.bookings.get(&one.appointment)?.attendee(one.attendee)?;
            phone_of(&facts.people, person).map(str::to_owned)
        })
        .collect();
    let phones: Vec<String> = phones.into_iter().collect();
    let ids: Vec<AppointmentId> = facts.bookings.keys().copied().collect();
    let mut asks = Asks::open(tx, clerk, &phones, &ids).await?;
    let mut places = Vec::with_capacity(going.len());
    let mut wanted = Vec::with_capacity(going.len());
    for (nth, one) in going {
        if let Some(text) = text_of(clerk, facts, &mut asks, one, now) {
            places.push(nth);
            wanted.push(text);
        }
    }
    asks.keep(tx, clerk).await?;
    let writer = Writer::open(tx, clerk.asking, clerk.choices.clone()).await?;
    let composed = writer.write(tx, wanted).await?;
    let texts = texts::append(tx, clerk.account(), composed).await?;
    Ok(places.into_iter().zip(texts).collect())
}

fn text_of<'f>(
    clerk: &Clerk<'_>,
    facts: &'f Facts,
    asks: &mut Asks,
    one: &Reminder,
    now: Instant,
) -> Option<Wanted<'f>> {
    let context = contexts::find(&one.context)?;
    let booking = facts.bookings.get(&one.appointment)?;
    let mut text = if one.party == Party::Coach {
        let names: Vec<&str> =
            booking.present().map(|person| name_of(&facts.people, person)).collect();
        coach_text(context, booking, &names)?
    } else {
        let person = booking.attendee(one.attendee)?;
        let contact = contact_of(&facts.people, person);
        let phone = phone_of(&facts.people, person)?.to_owned();
        client_text(context, booking, person, contact, phone)
    };
    if context.asks && one.attendee != OF_COACH {
        let (yes, no) = asks.ask(clerk, booking, one.attendee, &text.phone, now);
        text.values.insert("yes".to_owned(), yes);
        text.values.insert("no".to_owned(), no);
    }
    text.not_after = one.not_after;
    Some(text)
}

/// Writes a verdict into the reminder.
fn put(one: &mut Reminder, verdict: &Verdict, text: Option<MessageId>, now: Instant) {
    one.updated_at = now;
    match verdict {
        Verdict::Send => {
            one.state = ReminderState::Sent;
            one.message = text;
            one.watch_at = Some(now + FIRST_WATCH);
        }
        Verdict::Later(at) => {
            one.reason = Some(format!("moved out of quiet hours from {}", one.due_at));
            one.due_at = *at;
        }
        Verdict::Skip(words) => {
            one.state = ReminderState::Skipped;
            one.reason = Some(words.clone());
        }
        Verdict::Missed(words) => {
            one.state = ReminderState::Skipped;
            one.reason = Some(format!("missed: {words}"));
        }
        Verdict::Drop(words) => {
            one.state = ReminderState::Cancelled;
            one.reason = Some(words.clone());
        }
    }
}

async fn trail(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    decided: &[(Reminder, Verdict)],
    now: Instant,
) -> Result<()> {
    let people: BTreeSet<(AppointmentId, AttendeeId)> =
        decided.iter().map(|(one, _)| (one.appointment, one.attendee)).collect();
    let people: Vec<(AppointmentId, AttendeeId)> = people.into_iter().collect();
    let next: BTreeMap<(AppointmentId, AttendeeId), Instant> =
        reminders::next_reminders(tx, clerk.account(), &people)
            .await?
            .into_iter()
            .map(|(attendee, appointment, at)| ((appointment, attendee), at))
            .collect();
    let runs: Vec<Run> = decided
        .iter()
        .enumerate()
        .map(|(nth, (one, verdict))| {
            let (outcome, detail) = match verdict {
                Verdict::Send => {
                    ("sent", one.message.map_or_else(String::new, |id| id.to_string()))
                }
                Verdict::Later(at) => ("moved", format!("to {at}")),
                Verdict::Skip(words) => ("skipped", words.clone()),
                Verdict::Missed(words) => ("missed", words.clone()),
                Verdict::Drop(words) => ("cancelled", words.clone()),
            };
            Run {
                id: RunId::new(nth_instant(now, nth), clerk.dice),
                rule: "reminder.due".to_owned(),
                version: clerk.version,
                subject: one.id.to_string(),
                outcome: outcome.to_owned(),
                detail,
                next_at: next.get(&(one.appointment, one.attendee)).copied(),
                at: now,
            }
        })
        .collect();
    automations::insert_runs(tx, clerk.account(), &runs).await?;
    Ok(())
}
