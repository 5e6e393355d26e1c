//! News of bookings, texted to whom the account chose.
//!
//! Which texts an event sends is the registry's: every context of the event, for its party. Nothing
//! here knows their keys.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::contexts::{self, Context, Party};
use domain::ids::{AppointmentId, AttendeeId, MessageId};
use domain::instant::Instant;
use store::appointments::{self, Attendee};
use store::contacts::Contact;
use store::{Tx, withdrawals};

use super::booking::{Booking, Clerk, People, contact_of, name_of, phone_of};
use crate::flow::Result;
use crate::flow::texts::{self, Wanted, Writer};

/// News of what is past may come so late.
const AFTERWARDS: Duration = Duration::from_secs(24 * 3600);
/// Names of one booking told to its coach.
const NAMES_MAX: usize = 3;

/// A booking there is news of.
pub struct News<'b> {
    /// The booking.
    pub booking: &'b Booking,
    /// Whom in it the news is about.
    pub about: Vec<AttendeeId>,
}

impl<'b> News<'b> {
    /// News about everybody in a booking.
    pub fn of_all(booking: &'b Booking) -> Self {
        Self { booking, about: booking.present().map(|one| one.id).collect() }
    }

    fn people(&self) -> impl Iterator<Item = &'b Attendee> {
        self.about.iter().filter_map(|id| self.booking.attendee(*id))
    }
}

/// Texts the news of an event; the texts that were taken in.
pub async fn announce(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    event: &str,
    news: &[News<'_>],
    people: &People,
) -> Result<Vec<MessageId>> {
    let sent: Vec<&'static Context> =
        contexts::of_event(event).filter(|context| clerk.choices.sends(context)).collect();
    if sent.is_empty() || news.is_empty() {
        return Ok(Vec::new());
    }
    let now = tx.now();
    let mut wanted = Vec::new();
    let mut about = Vec::new();
    for one in news {
        for &context in &sent {
            let before = wanted.len();
            match context.party {
                Party::Client => wanted.extend(to_clients(context, one, people)),
                Party::Coach => wanted.extend(to_coach(context, one, people)),
            }
            let not_after = deadline(one.booking.appointment.starts_at, event, now);
            for text in &mut wanted[before..] {
                text.not_after = not_after;
                about.push(one.booking.appointment.id);
            }
        }
    }
    let writer = Writer::open(tx, clerk.asking, clerk.choices.clone()).await?;
    let composed = writer.write(tx, wanted).await?;
    let texts = texts::append(tx, clerk.account(), composed).await?;
    let notes: Vec<(AppointmentId, MessageId)> =
        about.into_iter().zip(texts.iter().copied()).collect();
    appointments::note_announcements(tx, clerk.account(), &notes).await?;
    Ok(texts)
}

/// Takes back what was told of bookings and has not left yet.
pub async fn withdraw_news(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    appointments: &[AppointmentId],
    why: &str,
) -> Result<()> {
    let texts = appointments::take_announcements(tx, clerk.account(), appointments).await?;
    withdrawals::withdraw(tx, clerk.account(), &texts, why).await?;
    Ok(())
}

/// News is of use until the start; of what is called off or past, for a day.
fn deadline(starts_at: Instant, event: &str, now: Instant) -> Instant {
    if event == "cancelled" || starts_at <= now { now + AFTERWARDS } else { starts_at }
}

fn to_clients<'p>(
    context: &'static Context,
    news: &News<'p>,
    people: &'p People,
) -> Vec<Wanted<'p>> {
    news.people()
        .filter_map(|attendee| {
            let contact = contact_of(people, attendee);
            let phone = phone_of(people, attendee)?.to_owned();
            let text = client_text(context, news.booking, attendee, contact, phone);
            Some(text)
        })
        .collect()
}

/// A text to a person of a booking, without a deadline yet.
pub fn client_text<'p>(
    context: &'static Context,
    booking: &Booking,
    attendee: &Attendee,
    contact: Option<&'p Contact>,
    phone: String,
) -> Wanted<'p> {
    let mut values = values_of(booking);
    let known = contact.map_or("", |contact| contact.name.as_str());
    let name = if known.is_empty() { attendee.name.as_str() } else { known };
    values.insert("client".to_owned(), name.to_owned());
    values.insert("name".to_owned(), name.to_owned());
    let zone = attendee.timezone.clone();
    Wanted {
        context,
        phone,
        contact,
        timezone: zone.or_else(|| Some(booking.appointment.timezone.clone())),
        values,
        body: None,
        send_at: Instant(0),
        not_after: booking.appointment.starts_at,
    }
}

fn to_coach<'p>(context: &'static Context, news: &News<'_>, people: &People) -> Option<Wanted<'p>> {
    let names: Vec<&str> = news.people().map(|one| name_of(people, one)).collect();
    coach_text(context, news.booking, &names)
}

/// A text to whoever holds a booking, if there is a number for it.
pub fn coach_text<'p>(
    context: &'static Context,
    booking: &Booking,
    names: &[&str],
) -> Option<Wanted<'p>> {
    let coach = booking.appointment.coach.as_ref()?;
    let mut values = values_of(booking);
    values.insert("client".to_owned(), joined(names));
    values.insert("name".to_owned(), coach.name.clone());
    Some(Wanted {
        context,
        phone: coach.phone.clone()?,
        contact: None,
        timezone: coach.timezone.clone().or_else(|| Some(booking.appointment.timezone.clone())),
        values,
        body: None,
        send_at: Instant(0),
        not_after: booking.appointment.starts_at,
    })
}

/// What a template may say of a booking.
fn values_of(booking: &Booking) -> BTreeMap<String, String> {
    let one = &booking.appointment;
    let mut values = BTreeMap::from([
        ("title".to_owned(), one.title.clone()),
        ("starts_at".to_owned(), one.starts_at.to_string()),
        ("location".to_owned(), one.location.clone().unwrap_or_default()),
    ]);
    values.insert(
        "coach".to_owned(),
        one.coach.as_ref().map_or_else(String::new, |coach| coach.name.clone()),
    );
    if let Some(minutes) = one.duration_minutes {
        values.insert("duration_minutes".to_owned(), minutes.to_string());
    }
    values
}

/// A few names and how many more there are.
fn joined(names: &[&str]) -> String {
    let known: Vec<&str> = names.iter().copied().filter(|name| !name.is_empty()).collect();
    let shown = known.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
    let more = names.len() - known.len().min(NAMES_MAX);
    match (shown.is_empty(), more) {
        (true, 0 | 1) => String::new(),
        (true, more) => format!("{more}"),
        (false, 0) => shown,
        (false, more) => format!("{shown} +{more}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_joined_briefly() {
        for (names, expected) in [
            (vec![], ""),
            (vec![""], ""),
            (vec!["Ann"], "Ann"),
            (vec!["Ann", "", "Bob"], "Ann, Bob +1"),
            (vec!["Ann", "Bob", "Cy", "Di", "Ed"], "Ann, Bob, Cy +2"),
            (vec!["", ""], "2"),
        ] {
            assert_eq!(joined(&names), expected, "{names:?}");
        }
    }
}
