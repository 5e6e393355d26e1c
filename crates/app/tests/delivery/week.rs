//! A virtual week: ten thousand appointments in thirty time zones while clocks are put back, each
//! reminder sent once, at the right local time, by day, and never after an answer.
//!
//! What must be sent is worked out here by itself, minute by minute from the definition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{AppointmentId, AttendeeId, MessageId};
use domain::instant::Instant;
use domain::local_time;
use domain::quiet_hours::zone;
use domain::seam::Clock as _;
use jiff::tz::TimeZone;
use ledgerline::delivery::worker;
use ledgerline::flow::appointments::answer::answer;
use ledgerline::flow::appointments::booking::{Booking, Clerk};
use ledgerline::flow::appointments::change::blank;
use ledgerline::flow::appointments::turn::{Turn, carry_out};
use ledgerline::flow::messages::Asking;
use store::appointments::{Appointment, AppointmentState, Attendee};
use store::{contacts, requests, settings};
use testkit::Engine;
use tokio::sync::Notify;

use crate::harness::{Shop, from, phone, word};
use crate::limits::choose;

testkit::both_engines!(a_week_of_ten_thousand_appointments);

const APPOINTMENTS: usize = 10_000;
const PEOPLE: usize = 5_000;
const OFFSETS: [i64; 3] = [2880, 1440, 120];
const ZONES: [&str; 30] = [
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Phoenix",
    "America/Los_Angeles",
    "America/Anchorage",
    "Pacific/Honolulu",
    "America/St_Johns",
    "America/Halifax",
    "America/Sao_Paulo",
    "America/Mexico_City",
    "America/Havana",
    "Atlantic/Azores",
    "Europe/London",
    "Europe/Lisbon",
    "Europe/Paris",
    "Europe/Berlin",
    "Europe/Helsinki",
    "Europe/Istanbul",
    "Africa/Lagos",
    "Africa/Johannesburg",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Bangkok",
    "Asia/Tokyo",
    "Australia/Adelaide",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
];

/// Both the European clocks (25 October) and the American ones (1 November) are put back.
const BEGIN: &str = "2026-10-22T12:00:00Z";

/// What a booking says and must lead to.
struct Case {
    title: String,
    phone: String,
    zone: TimeZone,
    starts_at: Instant,
    /// When its reminders must leave, ascending.
    due: Vec<Instant>,
    answers: Option<bool>,
}

const MINUTE: i64 = 60_000_000;

fn awake(at: Instant, zone: &TimeZone) -> bool {
    (8..21).contains(&local_time::shown(at, zone).hour())
}

/// The definition: at its offset; else at the end of the quiet hours, if that is of use; else in
/// the last minute before them.
fn due(starts_at: Instant, offset: i64, now: Instant, zone: &TimeZone) -> Option<Instant> {
    let wanted = Instant(starts_at.0 - offset * MINUTE);
    if wanted < now {
        return None;
    }
    if awake(wanted, zone) {
        return Some(wanted);
    }
    let useful = Instant(starts_at.0 - (offset * MINUTE / 2).min(30 * MINUTE));
    let mut later = wanted;
    while !awake(later, zone) {
        later = Instant(later.0 + MINUTE);
    }
    if later <= useful {
        return Some(later);
    }
    let mut earlier = wanted;
    while !awake(earlier, zone) {
        earlier = Instant(earlier.0 - MINUTE);
    }
    Some(earlier).filter(|at| *at >= now)
}

fn cases(now: Instant) -> Vec<Case> {
    (0..APPOINTMENTS)
        .map(|n| {
            let person = n % PEOPLE;
            let zone = zone(ZONES[person % ZONES.len()]).expect("a zone");
            // Any half hour from six in the morning to half past ten at night, on ten days.
            let day = i8::try_from(n * 7 % 10).expect("small");
            let slot = i8::try_from(n * 11 % 34).expect("small");
            let date = jiff::civil::date(2026, 10, 25) + jiff::Span::new().days(day);
            let local = date.at(6 + slot / 2, slot % 2 * 30, 0, 0);
            let starts_at = local_time::resolve(local, &zone).instant;
            let mut times: Vec<Instant> =
                OFFSETS.iter().filter_map(|offset| due(starts_at, *offset, now, &zone)).collect();
            times.sort_unstable();
            let answers = match n % 30 {
                3 | 17 => Some(true),
                9 => Some(false),
                _ => None,
            };
            if answers.is_some() {
                times.truncate(1);
            }
            let title = format!("A{n}.");
            Case { title, phone: phone(person), zone, starts_at, due: times, answers }
        })
        .collect()
}

async fn book(shop: &Shop, cases: &[Case]) -> Vec<(AppointmentId, AttendeeId)> {
    let words: Vec<_> = (0..PEOPLE)
        .map(|n| {
            let mut one = word(&phone(n), None);
            one.timezone = Some(ZONES[n % ZONES.len()].to_owned());
            one
        })
        .collect();
    shop.keep(&words).await;
    let sender = from();
    let asking =
        Asking { account: shop.account, installation_sender: Some(&sender), magic_allowed: true };
    let mut ids = Vec::new();
    for batch in cases.chunks(1000) {
        let mut tx = shop.db.begin().await.expect("begins");
        let clerk = Clerk::open(&mut tx, asking, &*shop.dice).await.expect("opens");
        let phones: Vec<String> = batch.iter().map(|one| one.phone.clone()).collect();
        let known =
            contacts::contacts_by_phone(&mut tx, shop.account, &phones).await.expect("reads");
        let known: BTreeMap<_, _> = known.into_iter().map(|one| (one.phone, one.id)).collect();
        let now = tx.now();
        let mut turns = Vec::new();
        for case in batch {
            let appointment = Appointment {
                title: case.title.clone(),
                starts_at: case.starts_at,
                ..blank(&clerk, now, None)
            };
            let attendee = Attendee {
                id: AttendeeId::new(now, &*shop.dice),
                appointment: appointment.id,
                contact: Some(known[&case.phone]),
                phone: Some(case.phone.clone()),
                name: String::new(),
                timezone: None,
                state: AppointmentState::Scheduled,
                problem: None,
            };
            ids.push((appointment.id, attendee.id));
            turns.push(Turn::new(Booking { appointment, attendees: vec![attendee] }, false));
        }
        carry_out(&mut tx, &clerk, turns, "booked").await.expect("plans");
        tx.commit().await.expect("commits");
    }
    ids
}

async fn say(shop: &Shop, id: AppointmentId, yes: bool) {
    let sender = from();
    let asking =
        Asking { account: shop.account, installation_sender: Some(&sender), magic_allowed: true };
    let mut tx = shop.db.begin().await.expect("begins");
    let choices = settings::lock_settings(&mut tx, shop.account).await.expect("locks");
    let asked = requests::requests_of(&mut tx, shop.account, &[id]).await.expect("reads");
    assert_eq!(asked.len(), 1, "one request however often it is asked");
    let done = answer(&mut tx, asking, &*shop.dice, &choices, &asked[0], yes, "text").await;
    let texts: Vec<MessageId> = done.expect("is taken").texts;
    assert_eq!(texts.len(), usize::from(!yes), "a no is thanked for");
    tx.commit().await.expect("commits");
}

async fn a_week_of_ten_thousand_appointments(engine: Engine) {
    let shop = Shop::open_at(engine, BEGIN).await;
    shop.credits(100_000, "first").await;
    choose(&shop, |choices| choices.reminders_hourly_max = None).await;
    // The new choices hold before anything is booked.
    shop.tick().await;
    let now = Instant::parse(BEGIN).expect("a time");
    let cases = cases(now);
    let ids = book(&shop, &cases).await;
    let mut steps: BTreeMap<Instant, Vec<usize>> = BTreeMap::new();
    for (n, case) in cases.iter().enumerate() {
        for at in &case.due {
            steps.entry(*at).or_default().push(n);
        }
    }
    let (desk, call) = (shop.desk(), Arc::new(Notify::new()));
    let task = tokio::spawn(worker::run(Arc::clone(&desk), Arc::clone(&call)));
    let mut expected = 0;
    for (at, due) in &steps {
        // A moment before nothing is due yet.
        shop.clock.set(Instant(at.0 - 1));
        shop.tick().await;
        shop.clock.set(*at);
        shop.tick().await;
        expected += u64::try_from(due.len()).expect("small");
        wait(&shop, &call, expected).await;
        // They answer when they have read the first one.
        for n in due.iter().filter(|n| cases[**n].due[0] == *at) {
            if let Some(yes) = cases[*n].answers {
                say(&shop, ids[*n].0, yes).await;
                expected += u64::from(!yes);
            }
        }
        wait(&shop, &call, expected).await;
    }
    shop.clock.advance(Duration::from_secs(24 * 3600));
    shop.tick().await;
    call.notify_one();
    check(&shop, &cases);
    desk.stopping.store(true, std::sync::atomic::Ordering::SeqCst);
    call.notify_one();
    task.await.expect("no panic");
    shop.assert_audit().await;
}

/// Waits until the carrier was called so often.
async fn wait(shop: &Shop, call: &Notify, calls: u64) {
    for _ in 0..5000 {
        if shop.carrier.calls() >= calls {
            break;
        }
        call.notify_one();
        let more = Duration::from_millis(2);
        drop(tokio::time::timeout(more, shop.carrier.on_wire.notified()).await);
    }
    assert_eq!(shop.carrier.calls(), calls, "at {}", shop.clock.now());
}

/// What the carrier took is what had to be sent, each once.
fn check(shop: &Shop, cases: &[Case]) {
    let mut sent: BTreeMap<(String, String), Vec<(Instant, String)>> = BTreeMap::new();
    let mut tokens = 0;
    for one in shop.carrier.accepted() {
        if !one.body.contains("to confirm") {
            assert!(one.body.contains("thank you for telling us"), "{}", one.body);
            continue;
        }
        tokens += usize::from(!one.body.contains("Reply Y to"));
        let title =
            one.body.split_whitespace().find(|word| word.starts_with('A') && word.ends_with('.'));
        let title = title.expect("a title").to_owned();
        sent.entry((one.to, title)).or_default().push((one.at, one.body));
    }
    for case in cases {
        let key = (case.phone.clone(), case.title.clone());
        let texts = sent.remove(&key).unwrap_or_default();
        let at: Vec<Instant> = texts.iter().map(|(at, _)| *at).collect();
        assert_eq!(at, case.due, "{} for {}", case.title, case.starts_at);
        let shown = case.starts_at.timestamp().to_zoned(case.zone.clone());
        let words = shown.strftime("%a, %b %-d at %-I:%M %p").to_string();
        for (at, body) in texts {
            assert!(body.contains(&words), "{body}: {words}");
            assert!(awake(at, &case.zone), "{at} is at night for {}", case.phone);
        }
    }
    assert!(sent.is_empty(), "more was sent: {sent:?}");
    assert!(tokens > 1000, "phones with two open requests are asked with a token: {tokens}");
}
