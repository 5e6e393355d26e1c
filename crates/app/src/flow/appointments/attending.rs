//! Who comes: found among the contacts, or made one.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{AppointmentId, AttendeeId, ContactId};
use store::Tx;
use store::appointments::{AppointmentState, Attendee};
use store::contacts::{self, Contact};

use super::booking::{Clerk, nth_instant};
use super::wanted::{ATTENDEES_MAX, AttendeeIn, NAME_CHARS_MAX, Warning, usable_phone, warning};
use crate::flow::accounts::checked_zone;
use crate::flow::contacts::{Source, Word, keep_words};
use crate::flow::{Result, invalid};

/// Warnings told one by one; more are counted.
const WARNINGS_MAX: usize = 20;

/// Somebody who comes, as far as known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who that is.
    pub contact: Option<ContactId>,
    /// Where, E.164; a number that cannot be texted stands as it was written.
    pub phone: Option<String>,
    /// Empty when unknown.
    pub name: String,
    /// IANA zone, if told.
    pub timezone: Option<String>,
    /// Why they are never texted.
    pub problem: Option<String>,
}

/// Finds out who these are; phones that nobody has yet become contacts. Who cannot be texted is
/// kept, with a warning.
pub async fn resolve(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    wanted: &[AttendeeIn],
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Person>> {
    if wanted.len() > ATTENDEES_MAX {
        return Err(invalid("attendees", format!("write at most {ATTENDEES_MAX}")));
    }
    let mut told = Vec::new();
    let mut list = Vec::with_capacity(wanted.len());
    for (nth, one) in wanted.iter().enumerate() {
        list.push((nth, read(nth, one, clerk)?));
    }
    let known = known_by_id(tx, clerk, &list).await?;
    keep_by_phone(tx, clerk, &list).await?;
    let by_phone = by_phone(tx, clerk, &list).await?;
    let mut people: Vec<Person> = Vec::with_capacity(list.len());
    let mut seen: BTreeSet<(Option<ContactId>, Option<String>, String)> = BTreeSet::new();
    for (nth, mut one) in list {
        let field = format!("attendees[{nth}]");
        let found = match one.contact {
            Some(id) => Some(known.get(&id).ok_or_else(|| {
                invalid(format!("{field}.contact_id"), "there is no such contact")
            })?),
            None => one.phone.as_ref().and_then(|phone| by_phone.get(phone)),
        };
        if let Some(contact) = found {
            one.contact = Some(contact.id);
            one.phone = Some(contact.phone.clone());
            one.problem = usable_phone(&contact.phone, clerk).err();
        }
        if let Some(problem) = &one.problem {
            let words = format!("{problem}; this person is kept and gets no texts");
            told.push(warning("unusable_phone", field.clone(), words));
        }
        let name = if one.contact.is_none() { one.name.clone() } else { String::new() };
        if seen.insert((one.contact, one.phone.clone(), name)) {
            people.push(one);
        } else {
            let words = "this person stands in the list already".to_owned();
            told.push(warning("duplicate_attendee", field, words));
        }
    }
    let more = told.len().saturating_sub(WARNINGS_MAX);
    told.truncate(WARNINGS_MAX);
    warnings.extend(told);
    if more > 0 {
        let words = format!("{more} more of the attendees have a problem; each names its own");
        warnings.push(warning("unusable_phone", "attendees", words));
    }
    Ok(people)
}

/// What a caller says of one, checked; who it is comes later.
fn read(nth: usize, one: &AttendeeIn, clerk: &Clerk<'_>) -> Result<Person> {
    let field = |name: &str| format!("attendees[{nth}].{name}");
    let filled = |text: &Option<String>| {
        text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let name = filled(&one.name).unwrap_or_default();
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(invalid(field("name"), format!("write at most {NAME_CHARS_MAX} characters")));
    }
    let timezone =
        filled(&one.timezone).map(|zone| checked_zone(&field("timezone"), &zone)).transpose()?;
    let mut person = Person { contact: None, phone: None, name, timezone, problem: None };
    if let Some(id) = filled(&one.contact_id) {
        if one.phone.is_some() {
            return Err(invalid(field("phone"), "write either contact_id or phone"));
        }
        let parsed = ContactId::parse(&id);
        person.contact =
            Some(parsed.map_err(|error| invalid(field("contact_id"), error.to_string()))?);
        return Ok(person);
    }
    match filled(&one.phone) {
        None => person.problem = Some("there is no phone".to_owned()),
        Some(text) => match usable_phone(&text, clerk) {
            Ok(phone) => person.phone = Some(phone),
            Err(problem) => {
                person.phone = Some(text.chars().take(64).collect());
                person.problem = Some(problem);
            }
        },
    }
    Ok(person)
}

async fn known_by_id(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    list: &[(usize, Person)],
) -> Result<BTreeMap<ContactId, Contact>> {
    let ids: BTreeSet<ContactId> = list.iter().filter_map(|(_, one)| one.contact).collect();
    let ids: Vec<ContactId> = ids.into_iter().collect();
    let found = contacts::contacts_by_id(tx, clerk.account(), &ids).await?;
    Ok(found.into_iter().map(|one| (one.id, one)).collect())
}

fn phones(list: &[(usize, Person)]) -> Vec<String> {
    let usable = list.iter().filter(|(_, one)| one.contact.is_none() && one.problem.is_none());
    let phones: BTreeSet<String> = usable.filter_map(|(_, one)| one.phone.clone()).collect();
    phones.into_iter().collect()
}

async fn by_phone(
    tx: &mut Tx,
    clerk: &Clerk<'_>,
    list: &[(usize, Person)],
) -> Result<BTreeMap<String, Contact>> {
    let found = contacts::contacts_by_phone(tx, clerk.account(), &phones(list)).await?;
    Ok(found.into_iter().map(|one| (one.phone.clone(), one)).collect())
}

/// Makes contacts of new phones, and adds to known ones what was not known of them.
async fn keep_by_phone(tx: &mut Tx, clerk: &Clerk<'_>, list: &[(usize, Person)]) -> Result<()> {
    let known = by_phone(tx, clerk, list).await?;
    let mut words: BTreeMap<&str, Word> = BTreeMap::new();
    for (_, one) in list.iter().filter(|(_, one)| one.problem.is_none()) {
        let Some(phone) = &one.phone else { continue };
        let contact = known.get(phone);
        let name = Some(one.name.clone())
            .filter(|name| !name.is_empty() && contact.is_none_or(|one| one.name.is_empty()));
        let timezone =
            one.timezone.clone().filter(|_| contact.is_none_or(|one| one.timezone.is_none()));
        if contact.is_none() || name.is_some() || timezone.is_some() {
            words.entry(phone).or_insert_with(|| word(phone, name, timezone));
        }
    }
    let words: Vec<Word> = words.into_values().collect();
    let source = Source {
        name: "appointment",
        actor: "appointment",
        evidence: "an appointment",
        may_opt_in_again: false,
    };
    keep_words(tx, clerk.dice, clerk.account(), &words, source).await?;
    Ok(())
}

fn word(phone: &str, name: Option<String>, timezone: Option<String>) -> Word {
    Word {
        phone: phone.to_owned(),
        name,
        timezone,
        tags: Vec::new(),
        fields: BTreeMap::new(),
        consent: None,
        blocked: None,
        locale: None,
        verified: None,
        quiet_hours: None,
        line: None,
    }
}

/// Who comes to a booking now, and who was added or taken out by that.
pub struct Joined {
    /// Everybody, those who were taken out included.
    pub all: Vec<Attendee>,
    /// New ones, and those who came back.
    pub added: Vec<AttendeeId>,
    /// Taken out.
    pub removed: Vec<AttendeeId>,
}

/// Puts people into a booking in the place of those who are there.
pub fn join(
    clerk: &Clerk<'_>,
    appointment: AppointmentId,
    before: &[Attendee],
    people: &[Person],
    now: domain::instant::Instant,
) -> Joined {
    let same = |one: &Attendee, person: &Person| match (one.contact, person.contact) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one.phone == person.phone && one.name == person.name,
        _ => false,
    };
    let mut all = before.to_vec();
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for one in &mut all {
        let stays = people.iter().any(|person| same(one, person));
        if !stays && one.state != AppointmentState::Cancelled {
            one.state = AppointmentState::Cancelled;
            removed.push(one.id);
        }
    }
    for (nth, person) in people.iter().enumerate() {
        if let Some(one) = all.iter_mut().find(|one| same(one, person)) {
            one.phone.clone_from(&person.phone);
            one.problem.clone_from(&person.problem);
            if person.timezone.is_some() {
                one.timezone.clone_from(&person.timezone);
            }
            if one.state == AppointmentState::Cancelled {
                one.state = AppointmentState::Scheduled;
                added.push(one.id);
            }
            continue;
        }
        let id = AttendeeId::new(nth_instant(now, nth), clerk.dice);
        added.push(id);
        all.push(Attendee {
            id,
            appointment,
            contact: person.contact,
            phone: person.phone.clone(),
            name: person.name.clone(),
            timezone: person.timezone.clone(),
            state: AppointmentState::Scheduled,
            problem: person.problem.clone(),
        });
    }
    Joined { all, added, removed }
}
