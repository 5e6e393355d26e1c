//! A booking with its people, and who works on it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::ids::{AccountId, AppointmentId, AttendeeId, ContactId};
use domain::instant::Instant;
use domain::seam::Dice;
use domain::settings::Settings;
use store::accounts::{self, Account};
use store::appointments::{self, Appointment, AppointmentState, Attendee};
use store::contacts::{self, Contact};
use store::settings::lock_settings;
use store::{Tx, settings};

use crate::flow::messages::Asking;
use crate::flow::{Refusal, Result};

/// Works on the bookings of one account, whose lock its transaction holds.
pub struct Clerk<'a> {
    /// Whose bookings.
    pub asking: Asking<'a>,
    /// Chance.
    pub dice: &'a dyn Dice,
    /// What the account chose.
    pub choices: Settings,
    /// Which version of its choices that is.
    pub version: i64,
    /// The account.
    pub owner: Account,
}

impl<'a> Clerk<'a> {
    /// Takes the account's lock.
    pub async fn open(tx: &mut Tx, asking: Asking<'a>, dice: &'a dyn Dice) -> Result<Self> {
        let choices = lock_settings(tx, asking.account).await?;
        Self::with(tx, asking, dice, choices).await
    }

    /// The same when the caller has the lock already.
    pub async fn with(
        tx: &mut Tx,
        asking: Asking<'a>,
        dice: &'a dyn Dice,
        choices: Settings,
    ) -> Result<Self> {
        let owner = accounts::account(tx, asking.account).await?;
        let version = settings::settings_version(tx, asking.account).await?;
        Ok(Self { asking, dice, choices, version, owner })
    }

    /// Whose bookings.
    pub const fn account(&self) -> AccountId {
        self.asking.account
    }
}

/// The `nth` instant from `now` on, a microsecond apart each: ids made at them sort as a list does.
pub fn nth_instant(now: Instant, nth: usize) -> Instant {
    now + Duration::from_micros(u64::try_from(nth).unwrap_or(0))
}

/// A booking and everybody in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    /// The booking.
    pub appointment: Appointment,
    /// Its people, those who were taken out included.
    pub attendees: Vec<Attendee>,
}

impl Booking {
    /// The person with this id.
    pub fn attendee(&self, id: AttendeeId) -> Option<&Attendee> {
        self.attendees.iter().find(|one| one.id == id)
    }

    /// Those who were not taken out.
    pub fn present(&self) -> impl Iterator<Item = &Attendee> {
        self.attendees.iter().filter(|one| one.state != AppointmentState::Cancelled)
    }

    /// When it is over.
    pub fn ends_at(&self) -> Instant {
        ends_at(&self.appointment)
    }
}

/// When a booking is over; one without a length takes a minute.
pub fn ends_at(appointment: &Appointment) -> Instant {
    let minutes = u64::try_from(appointment.duration_minutes.unwrap_or(0)).unwrap_or(0).max(1);
    appointment.starts_at + Duration::from_secs(minutes * 60)
}

/// What is known of people, by their ids.
pub type People = BTreeMap<ContactId, Contact>;

/// Puts bookings and their people together.
pub async fn with_people(
    tx: &mut Tx,
    account: AccountId,
    list: Vec<Appointment>,
) -> Result<Vec<Booking>> {
    let ids: Vec<AppointmentId> = list.iter().map(|one| one.id).collect();
    let mut by_id: BTreeMap<AppointmentId, Vec<Attendee>> = BTreeMap::new();
    for one in appointments::attendees_of(tx, account, &ids).await? {
        by_id.entry(one.appointment).or_default().push(one);
    }
    let join = |appointment: Appointment| Booking {
        attendees: by_id.remove(&appointment.id).unwrap_or_default(),
        appointment,
    };
    Ok(list.into_iter().map(join).collect())
}

/// These bookings, in the order of their starts.
pub async fn load(tx: &mut Tx, account: AccountId, ids: &[AppointmentId]) -> Result<Vec<Booking>> {
    let list = appointments::appointments_by_id(tx, account, ids).await?;
    with_people(tx, account, list).await
}

/// One booking.
pub async fn booking(tx: &mut Tx, account: AccountId, id: AppointmentId) -> Result<Booking> {
    load(tx, account, &[id]).await?.pop().ok_or(Refusal::NotFound("appointment"))
}

/// What is known of everybody in these bookings.
pub async fn people_of(tx: &mut Tx, account: AccountId, bookings: &[Booking]) -> Result<People> {
    let attendees = bookings.iter().flat_map(|one| &one.attendees);
    let ids: BTreeSet<ContactId> = attendees.filter_map(|one| one.contact).collect();
    let ids: Vec<ContactId> = ids.into_iter().collect();
    let found = contacts::contacts_by_id(tx, account, &ids).await?;
    Ok(found.into_iter().map(|contact| (contact.id, contact)).collect())
}

/// Who a person in a booking is, when known.
pub fn contact_of<'p>(people: &'p People, attendee: &Attendee) -> Option<&'p Contact> {
    attendee.contact.and_then(|id| people.get(&id))
}

/// Where a person in a booking is texted; `None` when there is nowhere to text.
pub fn phone_of<'p>(people: &'p People, attendee: &'p Attendee) -> Option<&'p str> {
    if attendee.problem.is_some() {
        return None;
    }
    contact_of(people, attendee).map(|contact| &*contact.phone).or(attendee.phone.as_deref())
}

/// What a person in a booking is called, if anything.
pub fn name_of<'p>(people: &'p People, attendee: &'p Attendee) -> &'p str {
    let known = contact_of(people, attendee).map_or("", |contact| contact.name.as_str());
    if known.is_empty() { &attendee.name } else { known }
}
