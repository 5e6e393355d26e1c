//! Reminders in a shop with a carrier: sent on the second, once, taken back, looked after.

use std::time::Duration;

use domain::ids::{AppointmentId, MessageId, StreamId};
use domain::instant::Instant;
use domain::message::Receipt;
use domain::seam::Clock as _;
use ledgerline::flow::appointments::booking::Clerk;
use ledgerline::flow::appointments::change::{self, Done};
use ledgerline::flow::appointments::shown::{AppointmentOut, ReminderOut, shown};
use ledgerline::flow::appointments::{booking, series};
use ledgerline::flow::messages::Asking;
use serde_json::{Value, json};
use store::appointments::Appointment;
use store::requests::RequestState;
use store::tasks::{TaskFilter, TaskKind};
use store::{appointments, automations, requests, tasks};
use testkit::Engine;
use twilio::outcome::{FailureKind, Outcome, UnknownReason};

use crate::harness::{NOON, Shop, from, phone};

testkit::both_engines!(
    a_reminder_leaves_on_the_second_and_once,
    what_is_too_late_is_missed,
    a_reminder_whose_time_came_is_not_planned_away,
    a_queued_reminder_is_taken_back,
    one_that_did_not_arrive_is_a_call,
    a_carrier_that_is_down_fails_no_booking,
    a_cohort_is_planned_and_reminded_in_one_go,
    a_series_is_reminded_of_its_next_occurrence,
    a_country_moves_its_clocks_and_nothing_doubles,
    new_quiet_hours_hold_for_what_is_planned,
    nobody_waits_for_an_answer_for_ever,
);

fn asking<'a>(shop: &Shop, sender: &'a ledgerline::delivery::senders::From) -> Asking<'a> {
    Asking { account: shop.account, installation_sender: Some(sender), magic_allowed: true }
}

/// Books; in three days at noon in New York unless told otherwise.
pub async fn book(shop: &Shop, changes: &Value) -> Done {
    let mut wanted = json!({
        "title": "Yoga", "starts_at": "2026-11-24T12:00", "attendees": [{"phone": phone(0)}]
    });
    for (name, change) in changes.as_object().expect("an object") {
        wanted[name] = change.clone();
    }
    let wanted = serde_json::from_value(wanted).expect("well-formed");
    let sender = from();
    let mut tx = shop.db.begin().await.expect("begins");
    let clerk = Clerk::open(&mut tx, asking(shop, &sender), &*shop.dice).await.expect("opens");
    let done = change::book(&mut tx, &clerk, &wanted).await.expect("books");
    tx.commit().await.expect("commits");
    done
}

async fn patch(shop: &Shop, id: AppointmentId, changes: Value) {
    let wanted = serde_json::from_value(changes).expect("well-formed");
    let sender = from();
    let mut tx = shop.db.begin().await.expect("begins");
    let clerk = Clerk::open(&mut tx, asking(shop, &sender), &*shop.dice).await.expect("opens");
    change::patch(&mut tx, &clerk, id, &wanted).await.expect("changes");
    tx.commit().await.expect("commits");
}

async fn show(shop: &Shop, id: AppointmentId) -> AppointmentOut {
    let mut tx = shop.db.read().await.expect("reads");
    let one = booking::booking(&mut tx, shop.account, id).await.expect("is there");
    shown(&mut tx, shop.account, vec![one]).await.expect("shows").pop().expect("one")
}

async fn reminder(shop: &Shop, id: AppointmentId, offset: i64) -> ReminderOut {
    let found = show(shop, id).await.reminders;
    found.into_iter().rfind(|one| one.offset_minutes == offset).expect("is there")
}

pub async fn go_to(shop: &Shop, time: &str) {
    shop.clock.set(Instant::parse(time).expect("a time"));
    shop.tick().await;
}

async fn calls(shop: &Shop) -> usize {
    let mut tx = shop.db.read().await.expect("reads");
    let filter = TaskFilter { kind: Some(TaskKind::Call), ..TaskFilter::default() };
    tasks::list_tasks(&mut tx, shop.account, &filter, None, 100).await.expect("lists").len()
}

/// Outcomes of the runs of a rule, the newest first.
async fn runs(shop: &Shop, rule: &str) -> Vec<String> {
    let mut tx = shop.db.read().await.expect("reads");
    let found = automations::recent_runs(&mut tx, shop.account, rule, 100).await.expect("reads");
    found.into_iter().map(|run| run.outcome).collect()
}

async fn a_reminder_leaves_on_the_second_and_once(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(100, "first").await;
    let process = shop.start();
    let id = book(&shop, &json!({})).await.id;
    go_to(&shop, "2026-11-22T16:59:59.999999Z").await;
    assert_eq!(reminder(&shop, id, 2880).await.state, "planned");
    go_to(&shop, "2026-11-22T17:00:00Z").await;
    let one = reminder(&shop, id, 2880).await;
    assert_eq!(one.state, "sent");
    let text = one.message_id.expect("a text");
    shop.wait_message(text, "accepted").await;
    shop.tick().await;
    let asked: Vec<_> =
        shop.carrier.accepted().into_iter().filter(|one| one.body.contains("confirm")).collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        asked[0].body,
        "Corner Clinic: Yoga Tue, Nov 24 at 12:00 PM. Reply Y to confirm, N to reschedule."
    );
    assert_eq!(runs(&shop, "reminder.due").await, ["sent"]);
    let mut tx = shop.db.read().await.expect("reads");
    let run = automations::recent_runs(&mut tx, shop.account, "reminder.due", 1).await;
    let next = run.expect("reads")[0].next_at;
    assert_eq!(next, Instant::parse("2026-11-23T17:00:00Z"), "when it runs next");
    process.stop().await;
}

async fn what_is_too_late_is_missed(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(100, "first").await;
    let id = book(&shop, &json!({})).await.id;
    // Nobody was there for two days: one is missed, one is late and of use.
    go_to(&shop, "2026-11-23T18:00:00Z").await;
    let missed = reminder(&shop, id, 2880).await;
    assert_eq!(missed.state, "skipped");
    assert!(missed.reason.expect("a reason").starts_with("missed"));
    assert_eq!(reminder(&shop, id, 1440).await.state, "sent");
    // Past the start nothing is sent.
    go_to(&shop, "2026-11-24T17:00:00Z").await;
    assert_eq!(reminder(&shop, id, 120).await.state, "skipped");
    assert_eq!(runs(&shop, "reminder.due").await, ["missed", "sent", "missed"]);
}

async fn a_reminder_whose_time_came_is_not_planned_away(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(100, "first").await;
    let id = book(&shop, &json!({})).await.id;
    // It is due, nobody has looked yet, and the booking is planned once more.
    shop.clock.set(Instant::parse("2026-11-22T17:00:05Z").expect("a time"));
    patch(&shop, id, json!({"location": "Main St 5"})).await;
    assert_eq!(reminder(&shop, id, 2880).await.state, "planned");
    shop.tick().await;
    assert_eq!(reminder(&shop, id, 2880).await.state, "sent");
}

async fn a_queued_reminder_is_taken_back(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(100, "first").await;
    let id = book(&shop, &json!({})).await.id;
    go_to(&shop, "2026-11-22T17:00:00Z").await;
    let text = reminder(&shop, id, 2880).await.message_id.expect("a text");
    // It is queued; nobody sends yet.
    patch(&shop, id, json!({"starts_at": "2026-11-25T12:00"})).await;
    let process = shop.start();
    shop.wait_message(text, "suppressed").await;
    assert_eq!(shop.message(text).await.why.rule, Some("withdrawn"));
    shop.clock.advance(Duration::from_secs(120));
    shop.tick().await;
    let list = show(&shop, id).await.reminders;
    let old: Vec<_> = list.iter().filter(|one| one.message_id == Some(text)).collect();
    assert_eq!((old[0].state, old[0].reason.as_deref()), ("cancelled", Some("rescheduled")));
    assert_eq!(calls(&shop).await, 0, "nobody is to be called");
    let mut tx = shop.db.read().await.expect("reads");
    let asked = requests::requests_of(&mut tx, shop.account, &[id]).await.expect("reads");
    assert_eq!(asked.iter().map(|one| one.state).collect::<Vec<_>>(), [RequestState::Resolved]);
    drop(tx);
    // So are the news that had not left: only the last one is told.
    let news = MessageId { account: shop.account, stream: StreamId(1), ord: 2 };
    shop.wait_message(news, "accepted").await;
    let told: Vec<String> = shop.carrier.accepted().into_iter().map(|one| one.body).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("has moved to Wed, Nov 25"), "{told:?}");
    process.stop().await;
}

async fn one_that_did_not_arrive_is_a_call(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(100, "first").await;
    let process = shop.start();
    let id = book(&shop, &json!({})).await.id;
    go_to(&shop, "2026-11-22T17:00:00Z").await;
    let text = reminder(&shop, id, 2880).await.message_id.expect("a text");
    shop.wait_message(text, "accepted").await;
    // An unreachable phone: no repetition helps.
    shop.receipts(|one| one.body.contains("confirm").then_some((Receipt::Undelivered, 30005)))
        .await;
    shop.wait_message(text, "undelivered").await;
    shop.clock.advance(Duration::from_secs(60));
    shop.tick().await;
    let one = reminder(&shop, id, 2880).await;
    assert_eq!(one.state, "failed", "{one:?}");
    assert!(one.reason.expect("a reason").contains("30005"));
    assert_eq!(calls(&shop).await, 1);
    shop.clock.advance(Duration::from_secs(600));
    shop.tick().await;
    assert_eq!(calls(&shop).await, 1, "once");
    // The next one arrives.
    go_to(&shop, "2026-11-23T17:00:00Z").await;
    let text = reminder(&shop, id, 1440).await.message_id.expect("a text");
    shop.wait_message(text, "accepted").await;
    shop.receipts(|one| one.body.contains("confirm").then_some((Receipt::Delivered, 0))).await;
    shop.clock.advance(Duration::from_secs(60));
    shop.tick().await;
    assert_eq!(reminder(&shop, id, 1440).await.state, "delivered");
    process.stop().await;
}

async fn a_carrier_that_is_down_fails_no_booking(engine: Engine) {
    let shop = Shop::open(engine).await;
    // No credits either.
    shop.carrier.answer(|_, _| {
        Some(Outcome::Unknown { reason: UnknownReason::Failed(FailureKind::Timeout) })
    });
    let id = book(&shop, &json!({})).await.id;
    go_to(&shop, "2026-11-22T17:00:00Z").await;
    let out = show(&shop, id).await;
    assert_eq!(out.state, "scheduled");
    let text: MessageId = reminder(&shop, id, 2880).await.message_id.expect("a text");
    assert_eq!(shop.message(text).await.state, "queued");
}

async fn a_cohort_is_planned_and_reminded_in_one_go(engine: Engine) {
    let shop = Shop::open(engine).await;
    let people: Vec<Value> = (0..500).map(|n| json!({"phone": phone(n)})).collect();
    let done =
        book(&shop, &json!({"attendees": people, "coach": {"name": "Sam", "phone": phone(900)}}))
            .await;
    let out = show(&shop, done.id).await;
    assert_eq!((out.attendees.len(), out.reminders.len()), (500, 1500));
    assert!(out.reminders.iter().all(|one| one.state == "planned"));
    let mut contacts: Vec<_> = out.attendees.iter().map(|one| one.contact_id).collect();
    contacts.sort();
    contacts.dedup();
    assert_eq!(contacts.len(), 500);
    go_to(&shop, "2026-11-22T17:00:00Z").await;
    let out = show(&shop, done.id).await;
    let sent: Vec<_> = out.reminders.iter().filter(|one| one.state == "sent").collect();
    assert_eq!(sent.len(), 500);
    let mut texts: Vec<_> = sent.iter().filter_map(|one| one.message_id).collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 500);
}

async fn a_series_is_reminded_of_its_next_occurrence(engine: Engine) {
    let shop = Shop::open(engine).await;
    let sent = async |rule: &str, days: u64| {
        let done = book(&shop, &json!({"recurrence": {"rrule": rule}})).await;
        let start = shop.clock.now();
        for _ in 0..days * 24 {
            shop.clock.advance(Duration::from_secs(3600));
            shop.tick().await;
        }
        shop.clock.set(start);
        let mut tx = shop.db.read().await.expect("reads");
        let one = appointments::find_appointment(&mut tx, shop.account, done.id).await;
        let series = one.expect("reads").expect("is there").series.expect("a series");
        let all = appointments::occurrences(&mut tx, shop.account, series, Instant(0), 100).await;
        let ids: Vec<_> = all.expect("reads").into_iter().map(|one| one.id).collect();
        let list = booking::load(&mut tx, shop.account, &ids).await.expect("reads");
        let out = shown(&mut tx, shop.account, list).await.expect("shows");
        let row = |one: &AppointmentOut| {
            let mut sent: Vec<i64> = one
                .reminders
                .iter()
                .filter(|one| one.state == "sent")
                .map(|one| one.offset_minutes)
                .collect();
            sent.sort_unstable();
            sent
        };
        out.iter().map(row).collect::<Vec<_>>()
    };
    let weekly = sent("FREQ=WEEKLY;COUNT=2", 10).await;
    assert_eq!(weekly, [[120, 1440, 2880], [120, 1440, 2880]]);
    // The day before stands between a daily occurrence and its reminder of 48 hours; at 24 hours
    // the one of the day before has just begun.
    let daily = sent("FREQ=DAILY;COUNT=4", 7).await;
    assert_eq!(daily, [vec![120, 1440, 2880], vec![120, 1440], vec![120, 1440], vec![120, 1440]]);
}

async fn a_country_moves_its_clocks_and_nothing_doubles(engine: Engine) {
    let shop = Shop::open(engine).await;
    let done = book(&shop, &json!({"recurrence": {"rrule": "FREQ=DAILY;COUNT=3"}})).await;
    let sender = from();
    let mut tx = shop.db.begin().await.expect("begins");
    let one = appointments::find_appointment(&mut tx, shop.account, done.id).await;
    let one = one.expect("reads").expect("is there");
    let id = one.series.expect("a series");
    // As if the zone had been an hour off when it was written out.
    let mut off = one.clone();
    off.starts_at = off.starts_at + Duration::from_secs(3600);
    appointments::save_appointments(&mut tx, shop.account, &[off]).await.expect("saves");
    let clerk = Clerk::open(&mut tx, asking(&shop, &sender), &*shop.dice).await.expect("opens");
    series::roll(&mut tx, &clerk, id).await.expect("rolls");
    let all = appointments::occurrences(&mut tx, shop.account, id, Instant(0), 100).await;
    let all = all.expect("reads");
    assert_eq!(all.len(), 3);
    assert_eq!((all[0].starts_at, &all[0].occurrence), (one.starts_at, &one.occurrence));
    // The same wall times in a zone an hour behind are the same occurrences an hour later.
    let mut behind = store::series::find_series(&mut tx, shop.account, id).await;
    let mut behind = behind.as_mut().expect("reads").take().expect("is there");
    "America/Chicago".clone_into(&mut behind.timezone);
    store::series::save_series(&mut tx, shop.account, &behind).await.expect("saves");
    series::roll(&mut tx, &clerk, id).await.expect("rolls");
    let moved = appointments::occurrences(&mut tx, shop.account, id, Instant(0), 100).await;
    let moved = moved.expect("reads");
    let hour_later = |one: &Appointment| (one.id, one.starts_at + Duration::from_secs(3600));
    let expected: Vec<_> = all.iter().map(hour_later).collect();
    let found: Vec<_> = moved.iter().map(|one| (one.id, one.starts_at)).collect();
    assert_eq!(found, expected);
    tx.commit().await.expect("commits");
    let planned = show(&shop, done.id).await.reminders;
    let planned: Vec<_> = planned.iter().filter(|one| one.state == "planned").collect();
    assert_eq!(planned.len(), 3);
}

async fn new_quiet_hours_hold_for_what_is_planned(engine: Engine) {
    let shop = Shop::open(engine).await;
    let one = json!({"phone": phone(0), "timezone": "America/New_York"});
    let id = book(&shop, &json!({"attendees": [one]})).await.id;
    let mut tx = shop.db.begin().await.expect("begins");
    let quiet = domain::quiet_hours::QuietHours::parse("11:30", "13:30").expect("wall times");
    store::accounts::set_quiet_hours(&mut tx, shop.account, Some(quiet)).await.expect("sets");
    tx.commit().await.expect("commits");
    go_to(&shop, "2026-11-22T17:00:00Z").await;
    let one = reminder(&shop, id, 2880).await;
    assert_eq!((one.state, one.due_at.to_string().as_str()), ("planned", "2026-11-22T18:30:00Z"));
    go_to(&shop, "2026-11-22T18:30:00Z").await;
    assert_eq!(reminder(&shop, id, 2880).await.state, "sent");
    assert_eq!(runs(&shop, "reminder.due").await, ["sent", "moved"]);
}

async fn nobody_waits_for_an_answer_for_ever(engine: Engine) {
    let shop = Shop::open_at(engine, NOON).await;
    let id = book(&shop, &json!({})).await.id;
    go_to(&shop, "2026-11-22T17:00:00Z").await;
    let asked = async || {
        let mut tx = shop.db.read().await.expect("reads");
        let asked = requests::requests_of(&mut tx, shop.account, &[id]).await.expect("reads");
        asked.into_iter().map(|one| (one.state, one.expires_at)).collect::<Vec<_>>()
    };
    let until = Instant::parse("2026-11-25T17:00:00Z").expect("a time");
    assert_eq!(asked().await, [(RequestState::Pending, until)], "a day after the start");
    go_to(&shop, "2026-11-25T16:59:59Z").await;
    assert_eq!(asked().await[0].0, RequestState::Pending);
    go_to(&shop, "2026-11-25T17:00:00Z").await;
    assert_eq!(asked().await[0].0, RequestState::Expired);
}
