use axum::http::Method;
use serde_json::{Value, json};
use testkit::Engine;

use crate::server::{Account, OPERATOR, Server};

testkit::both_engines!(
    a_booking_is_made_shown_and_listed,
    what_cannot_be_booked_is_named,
    what_is_odd_is_kept_and_told,
    the_same_external_id_is_the_same_appointment,
    moving_replaces_reminders_and_cancelling_ends_them,
    answers_confirm_and_end_reminders_that_ask,
    staff_remind_by_hand_once_per_key,
    a_text_that_cannot_be_sent_fails_no_call,
    series_are_written_out_moved_and_ended,
    changed_choices_plan_anew,
    appointments_of_others_are_not_found,
);

/// Two weeks from the server's noon, at ten in Chicago.
const STARTS: &str = "2026-07-29T15:00:00Z";

fn wanted() -> Value {
    json!({
        "title": "First session", "starts_at": "2026-07-29T10:00", "timezone": "America/Chicago",
        "duration_minutes": 50, "location": "12 Elm St", "coach": "Sam",
        "attendees": [{"phone": "(312) 555-0147", "name": "Ada Park"}]
    })
}

fn with(mut value: Value, changes: &Value) -> Value {
    for (name, change) in changes.as_object().expect("an object") {
        value[name] = change.clone();
    }
    value
}

async fn book(server: &Server, account: &Account, changes: &Value) -> Value {
    let wanted = with(wanted(), changes);
    server.post(&account.key, "/v1/appointments", &wanted).await.made()
}

async fn order(server: &Server, account: &Account, id: &Value, verb: &str) -> Value {
    let path = format!("/v1/appointments/{}/{verb}", id.as_str().expect("an id"));
    server.order(&account.key, &path).await.ok()
}

async fn show(server: &Server, account: &Account, id: &Value) -> Value {
    let path = format!("/v1/appointments/{}", id.as_str().expect("an id"));
    server.get(&account.key, &path).await.ok()
}

async fn change(server: &Server, account: &Account, id: &Value, patch: &Value) -> Value {
    let path = format!("/v1/appointments/{}", id.as_str().expect("an id"));
    server.ask(Method::PATCH, &path).key(&account.key).json(patch).send().await.ok()
}

/// Offsets and states of an appointment's reminders.
fn reminders(out: &Value) -> Vec<(i64, String)> {
    let list = out["reminders"].as_array().expect("reminders");
    let row = |one: &Value| {
        let state = one["state"].as_str().expect("a state").to_owned();
        (one["offset_minutes"].as_i64().expect("minutes"), state)
    };
    list.iter().map(row).collect()
}

fn rows(list: &[(i64, &str)]) -> Vec<(i64, String)> {
    list.iter().map(|(offset, state)| (*offset, (*state).to_owned())).collect()
}

fn codes(out: &Value) -> Vec<String> {
    let empty = Vec::new();
    let list = out["warnings"].as_array().unwrap_or(&empty);
    list.iter().map(|one| one["code"].as_str().expect("a code").to_owned()).collect()
}

async fn tick(server: &Server) {
    let desk = &server.app.desk;
    while ledgerline::flow::timer::look(desk, true).await.expect("looks") {}
}

/// The texts of an account's stream that were taken in so far.
async fn texts(server: &Server, account: &Account, stream: i64) -> Vec<(String, String)> {
    use domain::ids::StreamId;
    let mut tx = server.app.db.read().await.expect("reads");
    let id = crate::server::account_id(account);
    let list = store::recipients::candidates_after(&mut tx, id, StreamId(stream), "", 0, 1000);
    let body = |one: store::recipients::Candidate| {
        (one.recipient.context, one.recipient.body.unwrap_or_default())
    };
    list.await.expect("reads").into_iter().map(body).collect()
}

async fn a_booking_is_made_shown_and_listed(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let made = book(&server, &account, &json!({"external_id": "b-1"})).await;
    assert_eq!(made["state"], "scheduled");
    assert_eq!(made["starts_at"], STARTS);
    assert_eq!(made["ends_at"], "2026-07-29T15:50:00Z");
    assert_eq!(made["starts_local"], "2026-07-29T10:00:00");
    assert_eq!(made["coach"], "Sam");
    assert_eq!(codes(&made), Vec::<String>::new());
    let person = &made["attendees"][0];
    assert_eq!(
        (&person["name"], &person["phone"], &person["state"]),
        (&json!("Ada Park"), &json!("+13125550147"), &json!("scheduled"))
    );
    let planned = [(2880, "planned"), (1440, "planned"), (120, "planned")];
    assert_eq!(reminders(&made), rows(&planned));
    assert_eq!(made["reminders"][0]["due_at"], "2026-07-27T15:00:00Z");
    assert_eq!(made["reminders"][0]["message_id"], Value::Null);
    assert_eq!(show(&server, &account, &made["id"]).await, made);
    let told = texts(&server, &account, 1).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, "appointment.scheduled");
    assert!(told[0].1.contains("First session is booked for"), "{told:?}");
    assert!(told[0].1.contains("10"), "the recipient's clock: {told:?}");

    let contact = person["contact_id"].as_str().expect("a contact");
    let mut ids = vec![made["id"].clone()];
    for hour in 11..15 {
        let starts_at = format!("2026-07-29T{hour}:00");
        let other = json!({
            "starts_at": starts_at, "coach": "Kim", "attendees": [{"phone": "+13125550148"}]
        });
        ids.push(book(&server, &account, &other).await["id"].clone());
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/appointments?from=2026-07-29T00:00:00Z&limit=2&cursor={cursor}");
        let page = server.get(&account.key, &path).await.ok();
        seen.extend(page["data"].as_array().expect("rows").iter().map(|one| one["id"].clone()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        next.clone_into(&mut cursor);
    }
    assert_eq!(seen, ids);
    let count = async |query: &str| {
        let path = format!("/v1/appointments?{query}");
        let page = server.get(&account.key, &path).await.ok();
        page["data"].as_array().expect("rows").len()
    };
    assert_eq!(count(&format!("contact_id={contact}")).await, 1);
    assert_eq!(count("to=2026-07-29T17:00:00Z").await, 2);
    assert_eq!(count("from=2026-07-29&to=2026-07-29").await, 5);
    assert_eq!(count("from=2026-07-30").await, 0);
    server.get(&account.key, "/v1/appointments?from=soon").await.refused(422, "invalid_field");
    assert_eq!(count("state=cancelled").await, 0);
    order(&server, &account, &ids[1], "cancel").await;
    assert_eq!(count("state=cancelled").await, 1);
    server.get(&account.key, "/v1/appointments?state=lost").await.refused(422, "invalid_field");
}

async fn what_cannot_be_booked_is_named(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let many: Vec<Value> = (0..1001).map(|n| json!({"phone": format!("+1312555{n:04}")})).collect();
    for (changes, field) in [
        (json!({"title": " "}), "title"),
        (json!({"title": "x".repeat(201)}), "title"),
        (json!({"starts_at": "2026-07-15T16:59:00Z"}), "starts_at"),
        (json!({"starts_at": "2026-07-15T11:59"}), "starts_at"),
        (json!({"starts_at": "tomorrow"}), "starts_at"),
        (json!({"starts_at": "2026-02-30T10:00"}), "starts_at"),
        (json!({"starts_at": "2126-07-29T10:00"}), "starts_at"),
        (json!({"timezone": "America/Chicgo"}), "timezone"),
        (json!({"duration_minutes": 0}), "duration_minutes"),
        (json!({"duration_minutes": -5}), "duration_minutes"),
        (json!({"duration_minutes": 20161}), "duration_minutes"),
        (json!({"ends_at": "2026-07-29T10:30"}), "ends_at"),
        (json!({"duration_minutes": null, "ends_at": "2026-07-29T09:59"}), "ends_at"),
        (json!({"coach": ""}), "coach"),
        (json!({"coach": 7}), "coach"),
        (json!({"coach": {"name": "Sam", "timezone": "Mars"}}), "coach.timezone"),
        (json!({"external_id": ""}), "external_id"),
        (json!({"state": "confirmed"}), "state"),
        (json!({"state": "gone"}), "state"),
        (json!({"attendees": many}), "attendees"),
        (json!({"attendees": [{"contact_id": "ct_x"}]}), "attendees[0].contact_id"),
        (
            json!({"attendees": [{"contact_id": "ct_00000000000000000000000000"}]}),
            "attendees[0].contact_id",
        ),
        (
            json!({"attendees": [{"phone": "+13125550147", "timezone": "x"}]}),
            "attendees[0].timezone",
        ),
        (json!({"recurrence": {"rrule": "FREQ=NEVER"}}), "recurrence.rrule"),
        (json!({"recurrence": {}}), "recurrence"),
        (json!({"recurrence": {"dates": []}}), "recurrence.dates"),
        (json!({"recurrence": {"dates": ["x"]}}), "recurrence.dates[0]"),
        (json!({"recurrence": {"rrule": "FREQ=DAILY;UNTIL=20200101T000000Z"}}), "recurrence"),
    ] {
        let asked = server.post(&account.key, "/v1/appointments", &with(wanted(), &changes)).await;
        let (status, code, named) = asked.problem();
        assert_eq!((status, code.as_str()), (422, "invalid_field"), "{changes}");
        assert_eq!(named.as_deref(), Some(field), "{changes}");
    }
    let unknown = with(wanted(), &json!({"when": "now"}));
    server.post(&account.key, "/v1/appointments", &unknown).await.refused(422, "unknown_field");
    // A record of what is past is taken, and nobody is told or reminded.
    let past = json!({"starts_at": "2026-07-14T10:00", "state": "completed"});
    let past = book(&server, &account, &past).await;
    assert_eq!((&past["state"], &past["reminders"]), (&json!("completed"), &json!([])));
    assert_eq!(texts(&server, &account, 1).await, []);
}

async fn what_is_odd_is_kept_and_told(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let gap = json!({"starts_at": "2027-03-14T02:30", "attendees": []});
    let made = book(&server, &account, &gap).await;
    assert_eq!(made["starts_at"], "2027-03-14T08:30:00Z");
    assert_eq!(codes(&made), ["dst_gap", "no_attendees"]);
    let overlap = json!({"starts_at": "2026-11-01T01:30"});
    let made = book(&server, &account, &overlap).await;
    assert_eq!(made["starts_at"], "2026-11-01T06:30:00Z");
    assert_eq!(codes(&made), ["dst_overlap"]);
    let people = json!({"coach": "Kim", "attendees": [
        {"name": "No Phone"}, {"phone": "12"}, {"phone": "+13125550150"},
        {"phone": "+1 312 555 0150"}, {"phone": "+442071838750"}
    ]});
    let made = book(&server, &account, &people).await;
    let expected = ["unusable_phone", "unusable_phone", "duplicate_attendee", "unusable_phone"];
    assert_eq!(codes(&made), expected);
    let people = made["attendees"].as_array().expect("people");
    assert_eq!(people.len(), 4);
    let problems = people.iter().filter(|one| !one["problem"].is_null()).count();
    assert_eq!((problems, reminders(&made).len()), (3, 3), "only who has a phone is reminded");
    // Two for one slot: of the coach, and of a person.
    let first = book(&server, &account, &json!({"starts_at": "2026-08-03T10:00"})).await;
    assert_eq!(codes(&first), Vec::<String>::new());
    for changes in [
        json!({"starts_at": "2026-08-03T10:30", "attendees": [{"phone": "+13125550151"}]}),
        json!({"starts_at": "2026-08-03T09:30", "coach": "Lee"}),
    ] {
        assert_eq!(codes(&book(&server, &account, &changes).await), ["overlap"], "{changes}");
    }
    let behind = json!({"starts_at": "2026-08-03T11:20", "coach": "Lee"});
    assert_eq!(codes(&book(&server, &account, &behind).await), Vec::<String>::new());
    let coach = json!({"starts_at": "2026-08-09T10:00", "coach": {"name": "Sam", "phone": "1"}});
    assert_eq!(codes(&book(&server, &account, &coach).await), ["unusable_phone"]);
}

async fn the_same_external_id_is_the_same_appointment(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let made = book(&server, &account, &json!({"external_id": "b-1"})).await;
    let wanted = with(wanted(), &json!({"external_id": "b-1"}));
    let again = server.post(&account.key, "/v1/appointments", &wanted).await.ok();
    assert_eq!(again, made, "nothing changes, nobody is told again");
    assert_eq!(texts(&server, &account, 1).await.len(), 1);
    let moved = with(wanted.clone(), &json!({"starts_at": "2026-07-30T10:00", "title": "Second"}));
    let moved = server.post(&account.key, "/v1/appointments", &moved).await.ok();
    assert_eq!(
        (&moved["id"], &moved["title"], &moved["starts_at"], &moved["version"]),
        (&made["id"], &json!("Second"), &json!("2026-07-30T15:00:00Z"), &json!(2))
    );
    let told = texts(&server, &account, 1).await;
    assert_eq!(told.last().map(|text| text.0.as_str()), Some("appointment.rescheduled"));
    let joined = with(
        wanted.clone(),
        &json!({"starts_at": "2026-07-30T10:00", "attendees": [
            {"phone": "+13125550147"}, {"phone": "+13125550160", "name": "Bob"}
        ]}),
    );
    let joined = server.post(&account.key, "/v1/appointments", &joined).await.ok();
    assert_eq!(joined["attendees"].as_array().expect("people").len(), 2);
    assert_eq!(joined["attendees"][0]["name"], "Ada Park", "a name that is known stays");
    let told = texts(&server, &account, 1).await;
    assert_eq!(told.len(), 3, "only who joined is told: {told:?}");
    let left = json!({"attendees": [{"phone": "+13125550160"}]});
    let left = change(&server, &account, &made["id"], &left).await;
    let states: Vec<&Value> =
        left["attendees"].as_array().expect("people").iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["cancelled", "scheduled"]);
    assert_eq!(texts(&server, &account, 1).await[3].0, "appointment.cancelled");
    let planned: Vec<_> = reminders(&left).into_iter().filter(|one| one.1 == "planned").collect();
    assert_eq!(planned.len(), 3);
    // Once cancelled it stays so, until it is moved.
    order(&server, &account, &made["id"], "cancel").await;
    let again = with(wanted, &json!({"starts_at": "2026-07-30T10:00"}));
    let again = server.post(&account.key, "/v1/appointments", &again).await.ok();
    assert_eq!((&again["state"], codes(&again)), (&json!("cancelled"), vec!["cancelled".into()]));
}

async fn moving_replaces_reminders_and_cancelling_ends_them(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let made = book(&server, &account, &json!({})).await;
    let path = format!("/v1/appointments/{}/reschedule", made["id"].as_str().expect("an id"));
    let to = json!({"starts_at": "2026-07-16T12:00"});
    let moved = server.post(&account.key, &path, &to).await.ok();
    assert_eq!(moved["starts_at"], "2026-07-16T17:00:00Z");
    let mut found = reminders(&moved);
    found.sort();
    let mut expected = rows(&[
        (2880, "cancelled"),
        (1440, "cancelled"),
        (120, "cancelled"),
        (2880, "skipped"),
        (1440, "skipped"),
        (120, "planned"),
    ]);
    expected.sort();
    assert_eq!(found, expected, "two of the new ones would be past");
    let gone = server.post(&account.key, &path, &json!({"starts_at": "2026-07-01T10:00"})).await;
    assert_eq!(gone.problem().2.as_deref(), Some("starts_at"));
    let back = server.post(&account.key, &path, &json!({"starts_at": STARTS})).await.ok();
    let planned = reminders(&back).into_iter().filter(|one| one.1 == "planned").count();
    assert_eq!(planned, 3, "the old start has its reminders back, each once");
    assert_eq!(reminders(&back).len(), 6);
    let off = order(&server, &account, &made["id"], "cancel").await;
    assert_eq!(
        (&off["state"], &off["attendees"][0]["state"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
    assert!(reminders(&off).iter().all(|one| one.1 != "planned"), "{off}");
    let version = off["version"].clone();
    let path = format!("/v1/appointments/{}", made["id"].as_str().expect("an id"));
    let again = server.ask(Method::DELETE, &path).key(&account.key).send().await.ok();
    assert_eq!(again["version"], version, "calling off twice is calling off once");
    let confirm = format!("{path}/confirm");
    server.order(&account.key, &confirm).await.refused(409, "state_conflict");
    server.order(&account.key, &format!("{path}/remind")).await.refused(409, "state_conflict");
    let told: Vec<String> =
        texts(&server, &account, 1).await.into_iter().map(|one| one.0).collect();
    let moved = "appointment.rescheduled";
    assert_eq!(told, ["appointment.scheduled", moved, moved, "appointment.cancelled"]);
    let booked = change(&server, &account, &made["id"], &json!({"state": "scheduled"})).await;
    let planned = reminders(&booked).into_iter().filter(|one| one.1 == "planned").count();
    assert_eq!((&booked["state"], planned), (&json!("scheduled"), 3));
}

async fn answers_confirm_and_end_reminders_that_ask(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let made = book(&server, &account, &json!({})).await;
    let sure = order(&server, &account, &made["id"], "confirm").await;
    assert_eq!(
        (&sure["state"], &sure["attendees"][0]["state"]),
        (&json!("confirmed"), &json!("confirmed"))
    );
    assert!(reminders(&sure).iter().all(|one| one.1 == "cancelled"), "{sure}");
    let again = order(&server, &account, &made["id"], "confirm").await;
    assert_eq!(again["version"], sure["version"]);
    let not = change(&server, &account, &made["id"], &json!({"state": "declined"})).await;
    assert_eq!(not["state"], "declined");
    let tasks = server.get(&account.key, "/v1/tasks?kind=reschedule&state=open").await.ok();
    assert_eq!(tasks["data"].as_array().expect("tasks").len(), 1, "{tasks}");
    let sure = order(&server, &account, &made["id"], "confirm").await;
    assert_eq!(sure["state"], "confirmed");
    let tasks = server.get(&account.key, "/v1/tasks?kind=reschedule&state=open").await.ok();
    assert_eq!(tasks["data"], json!([]), "a yes after a no undoes it");
    change(&server, &account, &made["id"], &json!({"state": "declined"})).await;
    let tasks = server.get(&account.key, "/v1/tasks?kind=reschedule&state=open").await.ok();
    assert_eq!(tasks["data"].as_array().expect("tasks").len(), 1, "and another no asks again");
    // Of several all must agree.
    let two = [json!({"phone": "+13125550150"}), json!({"phone": "+13125550151"})];
    let people = json!({"coach": "Kim", "attendees": two});
    let pair = book(&server, &account, &people).await;
    let path = format!("/v1/appointments/{}/confirm", pair["id"].as_str().expect("an id"));
    let one = json!({"attendee_id": pair["attendees"][0]["id"]});
    let half = server.post(&account.key, &path, &one).await.ok();
    assert_eq!(half["state"], "scheduled");
    let planned = reminders(&half).into_iter().filter(|one| one.1 == "planned").count();
    assert_eq!(planned, 3, "the other one is still asked");
    let two = json!({"contact_id": pair["attendees"][1]["contact_id"]});
    let all = server.post(&account.key, &path, &two).await.ok();
    assert_eq!(all["state"], "confirmed");
    let away = change(&server, &account, &pair["id"], &json!({"state": "no_show"})).await;
    assert_eq!(
        (&away["state"], &away["attendees"][0]["state"]),
        (&json!("no_show"), &json!("no_show"))
    );
}

async fn staff_remind_by_hand_once_per_key(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let made = book(&server, &account, &json!({})).await;
    let path = format!("/v1/appointments/{}/remind", made["id"].as_str().expect("an id"));
    let ask = || server.ask(Method::POST, &path).key(&account.key).once("k-1").send();
    let first = ask().await.with(202);
    let again = ask().await.with(202);
    assert_eq!(first, again);
    assert_eq!(first["reminders"][0]["state"], "sent");
    assert_eq!(first["reminders"][0]["manual"], true);
    let id = first["reminders"][0]["message_id"].as_str().expect("a text").to_owned();
    let text = server.get(&account.key, &format!("/v1/messages/{id}")).await.ok();
    assert_eq!(text["state"], "queued");
    let sent = texts(&server, &account, 5).await;
    assert_eq!(sent.len(), 1);
    assert!(sent[0].1.contains("Reply Y to confirm, N to"), "{sent:?}");
    server.order(&account.key, &path).await.with(202);
    assert_eq!(texts(&server, &account, 5).await.len(), 2);
    let out = show(&server, &account, &made["id"]).await;
    assert_eq!(reminders(&out).into_iter().filter(|one| one.1 == "planned").count(), 3);
    // A second appointment of the same phone asks with a token.
    let other = book(&server, &account, &json!({"starts_at": "2026-07-30T10:00"})).await;
    let path = format!("/v1/appointments/{}/remind", other["id"].as_str().expect("an id"));
    server.order(&account.key, &path).await.with(202);
    let sent = texts(&server, &account, 5).await;
    let words: Vec<&str> = sent[2].1.split_whitespace().collect();
    let yes = words.iter().find(|word| word.starts_with('Y') && word.len() == 4);
    assert!(yes.is_some_and(|yes| yes[1..].parse::<u32>().is_ok_and(|n| n >= 100)), "{sent:?}");
}

async fn a_text_that_cannot_be_sent_fails_no_call(engine: Engine) {
    let server = Server::start(engine).await;
    // No credits, and words that cannot be rendered.
    let account = server.account("a").await;
    let made = book(&server, &account, &json!({})).await;
    let path = format!("/v1/appointments/{}/remind", made["id"].as_str().expect("an id"));
    server.order(&account.key, &path).await.with(202);
    let words = json!({"name": "broken", "bodies": {"en": "Hi {{ nobody_has_this }}"}});
    let template = server.post(&account.key, "/v1/templates", &words).await;
    let template = if template.status < 300 { template.json()["id"].clone() } else { Value::Null };
    if template.is_string() {
        let wanted = json!({"contexts": {"appointment.scheduled": {"template_id": template}}});
        server.ask(Method::PUT, "/v1/settings").key(&account.key).json(&wanted).send().await.ok();
    }
    let starts = json!({"starts_at": "2026-08-20T10:00"});
    let other = book(&server, &account, &starts).await;
    assert_eq!(other["state"], "scheduled");
    if template.is_string() {
        let told = texts(&server, &account, 1).await;
        assert_eq!(told.last().map(|text| text.1.as_str()), Some(""), "{told:?}");
    }
}

async fn series_are_written_out_moved_and_ended(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let weekly = json!({"external_id": "s-1", "recurrence": {"rrule": "FREQ=WEEKLY;COUNT=10"}});
    let first = book(&server, &account, &weekly).await;
    assert_eq!((&first["starts_at"], &first["external_id"]), (&json!(STARTS), &Value::Null));
    assert_eq!(first["series"]["next"].as_array().expect("occurrences").len(), 10);
    assert_eq!(first["series"]["occurrence"], "2026-07-29T10:00");
    assert_eq!(texts(&server, &account, 1).await.len(), 1, "one text for the whole series");
    // The next occurrence is written out however far away it is.
    let far = json!({"starts_at": "2027-06-02T10:00", "recurrence": "FREQ=YEARLY;COUNT=3"});
    let far = book(&server, &account, &far).await;
    assert_eq!(far["starts_at"], "2027-06-02T15:00:00Z");
    assert_eq!(far["series"]["next"].as_array().expect("occurrences").len(), 1);
    let series = first["series"]["id"].as_str().expect("an id").to_owned();
    let list = async || {
        let path = format!("/v1/appointments?series_id={series}&limit=1000");
        let page = server.get(&account.key, &path).await.ok();
        page["data"].as_array().expect("rows").clone()
    };
    let rows = list().await;
    assert_eq!(rows.len(), 10);
    assert_eq!(rows[9]["starts_at"], "2026-09-30T15:00:00Z");
    // Each alone: one moves, one is cancelled.
    let moved = json!({"starts_at": "2026-08-06T11:00"});
    let moved = change(&server, &account, &rows[1]["id"], &moved).await;
    assert_eq!(moved["series"]["moved"], true);
    order(&server, &account, &rows[2]["id"], "cancel").await;
    // Sent again, and planned again, nothing doubles.
    let wanted = with(wanted(), &weekly);
    server.post(&account.key, "/v1/appointments", &wanted).await.ok();
    tick(&server).await;
    let rows = list().await;
    assert_eq!(rows.len(), 10);
    let path = format!("/v1/series/{series}");
    let room = json!({"location": "Room 2", "recurrence": {"rrule": "FREQ=WEEKLY;COUNT=4"}});
    let patched = server.ask(Method::PATCH, &path).key(&account.key).json(&room).send().await.ok();
    assert_eq!((&patched["state"], &patched["location"]), (&json!("active"), &json!("Room 2")));
    let rows = list().await;
    let states: Vec<(&Value, &Value)> =
        rows.iter().map(|row| (&row["state"], &row["location"])).collect();
    let (on, off) = (json!("scheduled"), json!("cancelled"));
    let (here, there) = (json!("12 Elm St"), json!("Room 2"));
    assert_eq!(
        states[..5],
        [(&on, &there), (&on, &here), (&off, &here), (&on, &there), (&off, &here)]
    );
    let ended = server.ask(Method::DELETE, &path).key(&account.key).send().await.ok();
    assert_eq!(ended["state"], "ended");
    assert!(list().await.iter().all(|row| row["state"] == "cancelled"));
    server
        .ask(Method::PATCH, &path)
        .key(&account.key)
        .json(&room)
        .send()
        .await
        .refused(409, "state_conflict");
    // A rule without an end is written out as far as the horizon, and on as time goes by.
    let daily = json!({"coach": "Kim", "recurrence": "FREQ=DAILY"});
    let daily = book(&server, &account, &daily).await;
    assert_eq!(codes(&daily), ["endless_rule"]);
    let series = daily["series"]["id"].as_str().expect("an id").to_owned();
    let count = async || {
        let path = format!("/v1/appointments?series_id={series}&limit=1000");
        let page = server.get(&account.key, &path).await.ok();
        page["data"].as_array().expect("rows").len()
    };
    assert_eq!(count().await, 77, "from the 29th of July to the 13th of October");
    server.clock.advance(std::time::Duration::from_secs(3 * 24 * 3600));
    tick(&server).await;
    assert_eq!(count().await, 80);
    tick(&server).await;
    assert_eq!(count().await, 80);
    // Every minute: no more than two hundred.
    let often = json!({"coach": "Lee", "recurrence": "FREQ=MINUTELY"});
    let often = book(&server, &account, &often).await;
    let path = format!(
        "/v1/appointments?series_id={}&limit=1000",
        often["series"]["id"].as_str().expect("an id")
    );
    tick(&server).await;
    let page = server.get(&account.key, &path).await.ok();
    assert_eq!(page["data"].as_array().expect("rows").len(), 200);
    // A list of times, one of them in a gap.
    let dates =
        json!({"coach": "Max", "recurrence": {"dates": ["2027-03-14T02:30", "2026-08-20T10:00"]}});
    let dates = book(&server, &account, &dates).await;
    assert_eq!(codes(&dates)[0], "dst_gap");
    assert_eq!(codes(&dates).len(), 11, "overlaps are told, ten at most");
    let next: Vec<&Value> = dates["series"]["next"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|one| &one["starts_at"])
        .collect();
    assert_eq!(next, [STARTS, "2026-08-20T15:00:00Z"]);
}

async fn changed_choices_plan_anew(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let made = book(&server, &account, &json!({})).await;
    let put = async |wanted: Value| {
        let asking = server.ask(Method::PUT, "/v1/settings").key(&account.key);
        asking.json(&wanted).send().await.ok();
        tick(&server).await;
        let out = show(&server, &account, &made["id"]).await;
        let mut planned: Vec<i64> =
            reminders(&out).into_iter().filter(|one| one.1 == "planned").map(|one| one.0).collect();
        planned.sort_unstable();
        planned
    };
    assert_eq!(put(json!({"reminder_offsets_minutes": [60, 1440]})).await, [60, 1440]);
    let off = json!({"contexts": {"appointment.reminder": {"enabled": false}}});
    assert_eq!(put(off).await, Vec::<i64>::new());
    let on = json!({"contexts": {"appointment.reminder": {"enabled": true}},
        "reminder_offsets_minutes": [2880, 1440, 120]});
    assert_eq!(put(on).await, [120, 1440, 2880]);
    assert_eq!(reminders(&show(&server, &account, &made["id"]).await).len(), 4);
}

async fn appointments_of_others_are_not_found(engine: Engine) {
    let server = Server::start(engine).await;
    let (one, other) = (server.account("one").await, server.account("other").await);
    let made = book(&server, &one, &json!({"recurrence": "FREQ=WEEKLY;COUNT=2"})).await;
    let id = made["id"].as_str().expect("an id");
    let series = made["series"]["id"].as_str().expect("an id");
    for path in [format!("/v1/appointments/{id}"), format!("/v1/series/{series}")] {
        server.get(&other.key, &path).await.refused(404, "not_found");
        server.ask(Method::DELETE, &path).key(&other.key).send().await.refused(404, "not_found");
        server.get("", &path).await.refused(401, "unauthorized");
        server.get(OPERATOR, &path).await.refused(403, "forbidden");
    }
    for verb in ["cancel", "confirm", "remind"] {
        let path = format!("/v1/appointments/{id}/{verb}");
        server.order(&other.key, &path).await.refused(404, "not_found");
    }
    assert_eq!(server.get(&other.key, "/v1/appointments").await.ok()["data"], json!([]));
}
