//! Answers by text, through the signed hook: what each does to requests, tasks and texts, and what
//! the thread shows of it.

use std::fmt::Write as _;

use domain::ids::{AccountId, AppointmentId, AttendeeId, ContactId, RequestId};
use domain::instant::Instant;
use domain::seam::{Clock, Dice};
use serde_json::{Value, json};
use store::appointments::{
    Appointment, AppointmentState, Attendee, attendees_of, save_appointments, save_attendees,
};
use store::requests::{self, Request, RequestState};
use testkit::Engine;

use crate::inbound::{NUMBER, arrives, live, sid, text};
use crate::server::{Account, Server, account_id};

testkit::both_engines!(
    each_reply_does_what_the_table_says,
    a_text_that_is_posted_again_does_nothing_again,
    who_is_not_understood_is_asked_once,
    texts_to_read_open_one_task_at_a_time,
    a_clarification_names_what_may_be_meant,
    every_answer_leaves_a_trail,
    who_opted_out_is_not_asked,
    keywords_are_no_replies,
    people_of_one_booking_answer_for_themselves,
    texts_of_one_moment_keep_their_order,
    media_alone_is_for_staff,
);

const DAY: i64 = 24 * 60;

/// A server with an account that owns [`NUMBER`].
async fn shop(engine: Engine) -> (Server, Account) {
    let server = Server::start_with(engine, live).await;
    let account = server.account("Sam's").await;
    let sender = json!({"kind": "long_code", "address": NUMBER});
    server.post(&account.key, "/v1/senders", &sender).await.made();
    (server, account)
}

/// A request to be there: its token, its state, and in how many minutes its booking starts and it
/// runs out.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub token: i64,
    pub state: RequestState,
    pub starts: i64,
    pub expires: i64,
}

const fn soon(token: i64, state: RequestState) -> Asked {
    Asked { token, state, starts: DAY, expires: DAY }
}

const fn begun(token: i64, state: RequestState) -> Asked {
    Asked { token, state, starts: -10, expires: -10 }
}

const fn ran_out(token: i64, state: RequestState) -> Asked {
    Asked { token, state, starts: DAY, expires: -10 }
}

/// A known person with this phone; their id.
pub async fn person(server: &Server, account: &Account, phone: &str) -> ContactId {
    let wanted = json!({"phone": phone, "name": "Ada Park", "timezone": "America/Chicago"});
    let made = server.post(&account.key, "/v1/contacts", &wanted).await.made();
    ContactId::parse(made["id"].as_str().expect("an id")).expect("an id")
}

/// Has bookings and requests of this person there.
pub async fn ask(
    server: &Server,
    account: AccountId,
    contact: ContactId,
    phone: &str,
    asked: &[Asked],
) {
    let dice: &dyn Dice = &*server.app.dice;
    let mut tx = server.app.db.begin().await.expect("begins");
    let now = server.clock.now();
    let minutes = |n: i64| Instant(now.0 + n * 60_000_000);
    for one in asked {
        let word = match one.state {
            RequestState::Yes => AppointmentState::Confirmed,
            RequestState::No => AppointmentState::Declined,
            _ => AppointmentState::Scheduled,
        };
        let appointment = Appointment {
            id: AppointmentId::new(now, dice),
            external_id: None,
            series: None,
            occurrence: None,
            title: format!("Massage {}", one.token),
            starts_at: minutes(one.starts),
            timezone: "America/Chicago".to_owned(),
            duration_minutes: None,
            location: None,
            coach: None,
            state: word,
            moved: false,
            version: 1,
            created_at: now,
        };
        let attendee = Attendee {
            id: AttendeeId::new(now, dice),
            appointment: appointment.id,
            contact: Some(contact),
            phone: Some(phone.to_owned()),
            name: "Ada Park".to_owned(),
            timezone: None,
            state: word,
            problem: None,
        };
        let request = Request {
            id: RequestId::new(now, dice),
            appointment: appointment.id,
            attendee: attendee.id,
            phone: phone.to_owned(),
            token: one.token,
            starts_at: appointment.starts_at,
            state: RequestState::Pending,
            asked_at: minutes(-DAY + one.token),
            expires_at: minutes(one.expires),
            answered_at: None,
            answered_by: None,
        };
        save_appointments(&mut tx, account, &[appointment]).await.expect("saves");
        save_attendees(&mut tx, account, &[attendee]).await.expect("saves");
        let id = request.id;
        requests::insert_requests(&mut tx, account, &[request]).await.expect("asks");
        if one.state != RequestState::Pending {
            requests::end_request(&mut tx, account, id, one.state, "text").await.expect("ends");
        }
    }
    tx.commit().await.expect("commits");
}

/// How requests and the people asked stand: `101 yes confirmed` and so on, by token.
async fn standing(server: &Server, account: AccountId, phone: &str) -> String {
    let mut tx = server.app.db.read().await.expect("reads");
    let mut all = requests::latest_requests(&mut tx, account, phone, 50).await.expect("lists");
    all.sort_by_key(|one| one.token);
    let mut words = String::new();
    for one in all {
        let people = attendees_of(&mut tx, account, &[one.appointment]).await.expect("lists");
        let comma = if words.is_empty() { "" } else { ", " };
        let (state, person) = (one.state.as_str(), people[0].state.as_str());
        write!(words, "{comma}{} {state} {person}", one.token).expect("writes");
    }
    words
}

/// The thread of a phone with its texts.
pub async fn thread_of(server: &Server, account: &Account, phone: &str) -> Value {
    let digits = phone.trim_start_matches('+');
    let path = format!("/v1/threads?q={digits}");
    let list = server.get(&account.key, &path).await.ok();
    let id = list["data"][0]["id"].as_str().unwrap_or_else(|| panic!("no thread of {phone}"));
    server.get(&account.key, &format!("/v1/threads/{id}")).await.ok()
}

/// The words of `field` in a list, joined.
fn words_of(list: &Value, field: &str) -> String {
    let list = list.as_array().expect("a list");
    let words: Vec<&str> = list.iter().filter_map(|one| one[field].as_str()).collect();
    words.join(" ")
}

struct Row {
    asked: &'static [Asked],
    body: &'static str,
    /// What the thread shows of the text: its meaning and its outcome.
    shown: &'static str,
    stands: &'static str,
    /// Kinds of the tasks that are open afterwards.
    tasks: &'static str,
    /// Contexts of the texts that follow.
    texts: &'static str,
}

const ROWS: &[Row] = {
    use RequestState::{Expired, No, Pending, Resolved, Yes};
    const fn row(
        asked: &'static [Asked],
        body: &'static str,
        shown: &'static str,
        stands: &'static str,
        tasks: &'static str,
        texts: &'static str,
    ) -> Row {
        Row { asked, body, shown, stands, tasks, texts }
    }
    const ONE: &[Asked] = &[soon(101, Pending)];
    const TWO: &[Asked] = &[soon(101, Pending), soon(102, Pending)];
    const SAID: &[Asked] = &[soon(101, Yes)];
    const MIXED: &[Asked] = &[soon(101, Yes), soon(102, Pending)];
    const STILL: &str = "101 pending scheduled";
    const BOTH: &str = "101 pending scheduled, 102 pending scheduled";
    const ASKS: &str = "reply.clarify";
    const SORRY: &str = "appointment.declined";
    &[
        row(ONE, "Y", "yes confirmed", "101 yes confirmed", "", ""),
        row(ONE, " si ", "yes confirmed", "101 yes confirmed", "", ""),
        row(ONE, "👍🏽", "yes confirmed", "101 yes confirmed", "", ""),
        row(ONE, "N", "no declined", "101 no declined", "reschedule", SORRY),
        row(ONE, "Y101", "yes confirmed", "101 yes confirmed", "", ""),
        row(ONE, "Y999", "yes clarified", STILL, "", ASKS),
        row(ONE, "Can I bring a friend?", "other clarified", STILL, "", ASKS),
        row(ONE, "🎉🎉", "other clarified", STILL, "", ASKS),
        row(TWO, "Y", "yes clarified", BOTH, "", ASKS),
        row(TWO, "Y102", "yes confirmed", "101 pending scheduled, 102 yes confirmed", "", ""),
        row(
            TWO,
            "n101",
            "no declined",
            "101 no declined, 102 pending scheduled",
            "reschedule",
            SORRY,
        ),
        row(SAID, "yes", "yes duplicate", "101 yes confirmed", "", ""),
        row(SAID, "N", "no changed_to_no", "101 no declined", "reschedule", SORRY),
        row(&[soon(101, No)], "Y", "yes changed_to_yes", "101 yes confirmed", "", ""),
        row(&[soon(101, No)], "no", "no duplicate", "101 no declined", "", ""),
        row(SAID, "Thanks!", "other review", "101 yes confirmed", "review", ""),
        row(MIXED, "N", "no declined", "101 yes confirmed, 102 no declined", "reschedule", SORRY),
        row(
            MIXED,
            "N101",
            "no changed_to_no",
            "101 no declined, 102 pending scheduled",
            "reschedule",
            SORRY,
        ),
        row(&[begun(101, Yes)], "N", "no late", "101 yes confirmed", "review", ""),
        row(&[begun(101, Pending)], "Y", "yes late", STILL, "review", ""),
        row(&[ran_out(101, Expired)], "Y", "yes late", "101 expired scheduled", "review", ""),
        row(&[ran_out(101, Pending)], "N", "no late", STILL, "review", ""),
        row(&[soon(101, Resolved)], "Y", "yes late", "101 resolved scheduled", "review", ""),
        row(
            &[soon(101, Yes), soon(102, Yes)],
            "N",
            "no clarified",
            "101 yes confirmed, 102 yes confirmed",
            "",
            ASKS,
        ),
        row(&[], "Y", "yes review", "", "review", ""),
        row(&[], "Hello", "other review", "", "review", ""),
    ]
};

async fn each_reply_does_what_the_table_says(engine: Engine) {
    let (server, account) = shop(engine).await;
    for (n, row) in ROWS.iter().enumerate() {
        let phone = format!("+1312555{:04}", 200 + n);
        let contact = person(&server, &account, &phone).await;
        ask(&server, account_id(&account), contact, &phone, row.asked).await;
        let sid = sid(u32::try_from(n).expect("few rows") + 1);
        assert_eq!(arrives(&server, &text(&sid, &phone, NUMBER, row.body)).await.status, 200);
        let thread = thread_of(&server, &account, &phone).await;
        let texts = thread["texts"].as_array().expect("texts");
        let came = texts.iter().find(|one| one["direction"] == "in").expect("it is there");
        let shown = [&came["meaning"], &came["outcome"]].map(|word| word.as_str().expect("a word"));
        let found = (
            shown.join(" "),
            standing(&server, account_id(&account), &phone).await,
            words_of(&thread["tasks"], "kind"),
            words_of(&thread["texts"], "context"),
        );
        let wanted = (row.shown, row.stands, row.tasks, row.texts);
        let wanted = (wanted.0.into(), wanted.1.into(), wanted.2.into(), wanted.3.into());
        assert_eq!(found, wanted, "{:?} to {:?}", row.body, row.asked);
    }
}

async fn a_text_that_is_posted_again_does_nothing_again(engine: Engine) {
    let (server, account) = shop(engine).await;
    let phone = "+13125550147";
    let contact = person(&server, &account, phone).await;
    let two = [soon(101, RequestState::Yes), soon(102, RequestState::Pending)];
    ask(&server, account_id(&account), contact, phone, &two).await;
    let sid = sid(1);
    for _ in 0..3 {
        arrives(&server, &text(&sid, phone, NUMBER, "N")).await;
    }
    // A second N would contradict the other booking's yes.
    let stands = standing(&server, account_id(&account), phone).await;
    assert_eq!(stands, "101 yes confirmed, 102 no declined");
    let thread = thread_of(&server, &account, phone).await;
    assert_eq!(words_of(&thread["tasks"], "kind"), "reschedule");
    assert_eq!(words_of(&thread["texts"], "direction"), "out in");
}

async fn who_is_not_understood_is_asked_once(engine: Engine) {
    let (server, account) = shop(engine).await;
    let phone = "+13125550147";
    let contact = person(&server, &account, phone).await;
    ask(&server, account_id(&account), contact, phone, &[soon(101, RequestState::Pending)]).await;
    let said = async |n: u32, body: &str| {
        arrives(&server, &text(&sid(n), phone, NUMBER, body)).await;
        let thread = thread_of(&server, &account, phone).await;
        let outcome = thread["texts"].as_array().expect("texts");
        let outcome = outcome.iter().find_map(|one| one["outcome"].as_str()).expect("a word");
        (outcome.to_owned(), words_of(&thread["tasks"], "kind"))
    };
    let none = String::new();
    assert_eq!(said(1, "what?").await, ("clarified".into(), none.clone()));
    assert_eq!(said(2, "hm").await, ("clarify_task".into(), "clarify".into()));
    assert_eq!(said(3, "hello?").await, ("clarify_task".into(), "clarify".into()));
    assert_eq!(said(4, "Y").await, ("confirmed".into(), "clarify".into()));
    // Once answered, another question is asked anew.
    ask(&server, account_id(&account), contact, phone, &[soon(102, RequestState::Pending)]).await;
    assert_eq!(said(5, "what?").await.0, "clarified");
    assert_eq!(said(6, "what?").await.0, "clarify_task");
    server.clock.advance(std::time::Duration::from_secs(23 * 3600 + 3000));
    assert_eq!(said(7, "what?").await.0, "clarify_task");
    let later = Asked { token: 103, state: RequestState::Pending, starts: 2 * DAY, expires: DAY };
    ask(&server, account_id(&account), contact, phone, &[later]).await;
    server.clock.advance(std::time::Duration::from_secs(700));
    assert_eq!(said(8, "what?").await.0, "clarified");
}

async fn texts_to_read_open_one_task_at_a_time(engine: Engine) {
    let (server, account) = shop(engine).await;
    let stranger = "+13125550555";
    let long = "a".repeat(1600);
    for (n, body) in ["Who is this?", "🤷🏽‍♀️", long.as_str()].into_iter().enumerate() {
        let sid = sid(u32::try_from(n).expect("few") + 1);
        assert_eq!(arrives(&server, &text(&sid, stranger, NUMBER, body)).await.status, 200);
    }
    let thread = thread_of(&server, &account, stranger).await;
    assert_eq!(thread["contact"], Value::Null);
    assert_eq!(thread["texts"][0]["body"], long);
    assert_eq!(thread["texts"].as_array().expect("texts").len(), 3);
    let tasks = thread["tasks"].as_array().expect("tasks");
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0]["title"], format!("A text from an unknown number: {stranger}"));
    assert_eq!(tasks[0]["thread_id"], thread["id"]);
    // Done, and another text comes: nothing is passed over.
    let path = format!("/v1/tasks/{}", tasks[0]["id"].as_str().expect("an id"));
    let done = json!({"state": "done"});
    let done = server.ask(axum::http::Method::PATCH, &path).key(&account.key).json(&done);
    assert_eq!(done.send().await.ok()["state"], "done");
    let mut pairs = text("", stranger, NUMBER, "");
    let sid = sid(9);
    pairs[0].1 = &sid;
    pairs[4].1 = "2";
    pairs.push(("MediaUrl0", "https://media.example/1"));
    pairs.push(("MediaUrl1", "https://media.example/2"));
    assert_eq!(arrives(&server, &pairs).await.status, 200);
    let thread = thread_of(&server, &account, stranger).await;
    assert_eq!(thread["texts"][0]["media"], 2);
    assert_eq!(words_of(&thread["tasks"], "detail"), "[2 files]");
}

async fn a_clarification_names_what_may_be_meant(engine: Engine) {
    let (server, account) = shop(engine).await;
    let pending = RequestState::Pending;
    for (n, locale, asked, parts) in [
        (1, "en", &[soon(101, pending)][..], vec!["Reply Y to confirm", "Massage 101", "Thu"]),
        (2, "en", &[soon(101, pending), soon(102, pending)], vec!["Y101", "N102", "Massage 102"]),
        (3, "es-MX", &[soon(101, pending)], vec!["Responda Y para confirmar", "a las"]),
        (4, "fr", &[soon(101, pending)], vec!["Répondez Y pour confirmer"]),
    ] {
        let phone = format!("+1312555{:04}", 300 + n);
        let contact = person(&server, &account, &phone).await;
        let mut tx = server.app.db.begin().await.expect("begins");
        let id = account_id(&account);
        let mut known =
            store::contacts::contacts_by_id(&mut tx, id, &[contact]).await.expect("reads");
        known[0].locale = Some(locale.to_owned());
        store::contacts::upsert_contacts(&mut tx, id, &known).await.expect("writes");
        tx.commit().await.expect("commits");
        ask(&server, id, contact, &phone, asked).await;
        arrives(&server, &text(&sid(n), &phone, NUMBER, "what?")).await;
        let thread = thread_of(&server, &account, &phone).await;
        let body = thread["texts"][0]["body"].as_str().expect("a body");
        assert!(parts.iter().all(|part| body.contains(part)), "{body}");
        assert_eq!(thread["texts"][0]["state"], "queued");
        assert_eq!(thread["requests"].as_array().expect("requests").len(), asked.len());
    }
}

async fn every_answer_leaves_a_trail(engine: Engine) {
    let (server, account) = shop(engine).await;
    let phone = "+13125550147";
    let contact = person(&server, &account, phone).await;
    ask(&server, account_id(&account), contact, phone, &[soon(101, RequestState::Pending)]).await;
    for (n, body) in ["what?", "what??", "Y", "Y"].into_iter().enumerate() {
        let sid = sid(u32::try_from(n).expect("few") + 1);
        arrives(&server, &text(&sid, phone, NUMBER, body)).await;
    }
    let all = server.get(&account.key, "/v1/automations").await.ok();
    let runs = |rule: &str| {
        let rules = all["rules"].as_array().expect("rules");
        let found = rules.iter().find(|one| one["rule"] == rule);
        found.and_then(|one| one["runs"].as_i64()).unwrap_or(0)
    };
    assert_eq!(runs("reply.clarify"), 1);
    assert_eq!(runs("reply.task"), 1);
    assert_eq!(runs("reply.answer"), 2);
    let answers = server.get(&account.key, "/v1/automations?rule=reply.answer&limit=1").await.ok();
    assert_eq!(words_of(&answers["data"], "outcome"), "duplicate");
    let cursor = answers["next_cursor"].as_str().expect("more");
    let path = format!("/v1/automations?rule=reply.answer&cursor={cursor}");
    let older = server.get(&account.key, &path).await.ok();
    assert_eq!(words_of(&older["data"], "outcome"), "confirmed");
    assert!(older["data"][0]["settings_version"].as_i64().is_some_and(|version| version >= 1));
}

/// What became of the last text of a phone.
async fn outcome(server: &Server, account: &Account, phone: &str) -> String {
    let thread = thread_of(server, account, phone).await;
    let texts = thread["texts"].as_array().expect("texts");
    let outcome = texts.iter().find_map(|one| one["outcome"].as_str());
    outcome.expect("a word").to_owned()
}

async fn who_opted_out_is_not_asked(engine: Engine) {
    let (server, account) = shop(engine).await;
    let phone = "+13125550147";
    let contact = person(&server, &account, phone).await;
    ask(&server, account_id(&account), contact, phone, &[soon(101, RequestState::Pending)]).await;
    let out = json!({"phone": phone, "consent": "opted_out"});
    server.post(&account.key, "/v1/contacts", &out).await.ok();
    arrives(&server, &text(&sid(1), phone, NUMBER, "what?")).await;
    assert_eq!(outcome(&server, &account, phone).await, "clarify_task");
    let thread = thread_of(&server, &account, phone).await;
    assert_eq!(words_of(&thread["texts"], "direction"), "in");
    assert_eq!(thread["consent"]["transactional"], "opted_out");
    // An answer counts all the same.
    arrives(&server, &text(&sid(2), phone, NUMBER, "Y")).await;
    assert_eq!(outcome(&server, &account, phone).await, "confirmed");
}

async fn keywords_are_no_replies(engine: Engine) {
    let (server, account) = shop(engine).await;
    for (n, body, meaning) in [(1, "STOP", "stop"), (2, "cancel", "stop"), (3, "HELP", "help")] {
        let phone = format!("+1312555{:04}", 400 + n);
        let contact = person(&server, &account, &phone).await;
        let pending = [soon(101, RequestState::Pending)];
        ask(&server, account_id(&account), contact, &phone, &pending).await;
        arrives(&server, &text(&sid(n), &phone, NUMBER, body)).await;
        let thread = thread_of(&server, &account, &phone).await;
        let came = thread["texts"].as_array().expect("texts").clone();
        let came = came.into_iter().find(|one| one["direction"] == "in").expect("it is there");
        assert_eq!(came["meaning"], meaning, "{body}");
        let stands = standing(&server, account_id(&account), &phone).await;
        assert_eq!(stands, "101 pending scheduled", "{body}");
        assert!(!words_of(&thread["tasks"], "kind").contains("clarify"), "{body}");
    }
}

async fn people_of_one_booking_answer_for_themselves(engine: Engine) {
    let (server, account) = shop(engine).await;
    let number = account_id(&account);
    let phones = ["+13125550147", "+13125550148"];
    let mut ids = Vec::new();
    for phone in phones {
        ids.push(person(&server, &account, phone).await);
    }
    ask(&server, number, ids[0], phones[0], &[soon(101, RequestState::Pending)]).await;
    let mut tx = server.app.db.begin().await.expect("begins");
    let asked = requests::latest_requests(&mut tx, number, phones[0], 1).await.expect("lists");
    let mut people = attendees_of(&mut tx, number, &[asked[0].appointment]).await.expect("lists");
    let mut second = Attendee { phone: Some(phones[1].to_owned()), ..people.remove(0) };
    second.id = AttendeeId::new(asked[0].asked_at, &*server.app.dice);
    second.contact = Some(ids[1]);
    let id = RequestId::new(asked[0].asked_at, &*server.app.dice);
    let attendee = second.id;
    let phone = phones[1].to_owned();
    let request = Request { id, attendee, phone, ..asked[0].clone() };
    save_attendees(&mut tx, number, &[second]).await.expect("saves");
    requests::insert_requests(&mut tx, number, &[request]).await.expect("asks");
    tx.commit().await.expect("commits");
    arrives(&server, &text(&sid(1), phones[0], NUMBER, "Y")).await;
    arrives(&server, &text(&sid(2), phones[1], NUMBER, "N")).await;
    let mut tx = server.app.db.read().await.expect("reads");
    let people = attendees_of(&mut tx, number, &[asked[0].appointment]).await.expect("lists");
    let mut states: Vec<_> =
        people.iter().map(|one| (one.phone.as_deref().expect("a phone"), one.state)).collect();
    states.sort_by_key(|(phone, _)| *phone);
    let wanted =
        [(phones[0], AppointmentState::Confirmed), (phones[1], AppointmentState::Declined)];
    assert_eq!(states, wanted);
}

async fn texts_of_one_moment_keep_their_order(engine: Engine) {
    let (server, account) = shop(engine).await;
    let phone = "+13125550147";
    let contact = person(&server, &account, phone).await;
    ask(&server, account_id(&account), contact, phone, &[soon(101, RequestState::Pending)]).await;
    let sids = [sid(1), sid(2), sid(3)];
    let posts = [("Y", 0), ("N", 1), ("Y", 2), ("N", 1)]
        .map(|(body, n)| text(&sids[n], phone, NUMBER, body));
    let replies = tokio::join!(
        arrives(&server, &posts[0]),
        arrives(&server, &posts[1]),
        arrives(&server, &posts[2]),
        arrives(&server, &posts[3]),
    );
    assert_eq!([replies.0, replies.1, replies.2, replies.3].map(|one| one.status), [200; 4]);
    let stands = standing(&server, account_id(&account), phone).await;
    assert_eq!(stands, "101 yes confirmed");
    let thread = thread_of(&server, &account, phone).await;
    assert_eq!(words_of(&thread["texts"], "direction"), "out in in in");
    let outcomes = words_of(&thread["texts"], "outcome");
    assert_eq!(outcomes, "changed_to_yes changed_to_no confirmed");
    assert_eq!(words_of(&thread["tasks"], "kind"), "", "the later yes ends the task");
}

async fn media_alone_is_for_staff(engine: Engine) {
    let (server, account) = shop(engine).await;
    let phone = "+13125550147";
    let contact = person(&server, &account, phone).await;
    ask(&server, account_id(&account), contact, phone, &[soon(101, RequestState::Pending)]).await;
    let sid = sid(1);
    let mut pairs = text(&sid, phone, NUMBER, "");
    pairs[4].1 = "1";
    pairs.push(("MediaUrl0", "https://media.example/1"));
    arrives(&server, &pairs).await;
    assert_eq!(outcome(&server, &account, phone).await, "review");
    let thread = thread_of(&server, &account, phone).await;
    let task = &thread["tasks"][0];
    assert_eq!([&task["kind"], &task["detail"]], ["review", "[1 file]"]);
    assert_eq!(task["title"], "Media came in: Ada Park");
    assert_eq!(words_of(&thread["texts"], "direction"), "in", "nobody is asked about a picture");
}
