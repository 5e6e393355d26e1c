//! Threads: views, texts both ways, what staff write, whose they are.

use axum::http::Method;
use domain::ids::{AccountId, MessageId, RunId};
use domain::message::State;
use serde_json::{Value, json};
use store::automations::{self, Run};
use store::messages::{self, Message};
use store::requests::RequestState;
use testkit::Engine;

use crate::inbound::{NUMBER, arrives, live, sid, text};
use crate::replies::{Asked, ask, person, thread_of};
use crate::server::{Account, Reply, Server, account_id};

testkit::both_engines!(
    threads_are_listed_by_view,
    a_thread_shows_its_texts_page_by_page,
    staff_answer_through_the_gate,
    staff_may_answer_at_night_where_the_account_says_so,
    staff_begin_conversations,
    threads_are_closed_given_away_and_noted_on,
    canned_replies_are_kept_and_filled,
    nothing_of_the_inbox_is_seen_from_another_account,
);

/// A server with an account that owns [`NUMBER`].
async fn shop(engine: Engine) -> (Server, Account) {
    let server = Server::start_with(engine, live).await;
    let account = server.account("Sam's").await;
    let sender = json!({"kind": "long_code", "address": NUMBER});
    server.post(&account.key, "/v1/senders", &sender).await.made();
    (server, account)
}

async fn send(server: &Server, method: Method, key: &str, path: &str, body: &Value) -> Reply {
    server.ask(method, path).key(key).json(body).send().await
}

async fn comes(server: &Server, n: u32, phone: &str, body: &str) {
    assert_eq!(arrives(server, &text(&sid(n), phone, NUMBER, body)).await.status, 200);
}

fn phone(n: usize) -> String {
    format!("+1312555{n:04}")
}

fn id_of(value: &Value) -> String {
    value["id"].as_str().unwrap_or_else(|| panic!("no id: {value}")).to_owned()
}

async fn phones(server: &Server, account: &Account, query: &str) -> Vec<String> {
    let list = server.get(&account.key, &format!("/v1/threads?{query}")).await.ok();
    let list = list["data"].as_array().expect("a list").clone();
    list.iter().map(|one| one["phone"].as_str().expect("a phone").to_owned()).collect()
}

/// Sends a text that the network refuses.
async fn fails(server: &Server, account: &Account, phone: &str) {
    let wanted = json!({"to": phone, "body": "Hello"});
    let sent = server.post(&account.key, "/v1/messages", &wanted).await.with(202);
    let id = MessageId::parse(&id_of(&sent)).expect("an id");
    let message = Message {
        ord: id.ord,
        attempt: 1,
        state: State::Undelivered,
        chunk: 1,
        price: 1,
        sid: None,
        code: 30003,
        rule: None,
        why: None,
    };
    let mut tx = server.app.db.begin().await.expect("begins");
    messages::insert_messages(&mut tx, id.account, id.stream, &[message]).await.expect("keeps");
    tx.commit().await.expect("commits");
    let shown = thread_of(server, account, phone).await;
    let text = &shown["texts"][0];
    assert_eq!((&text["state"], &text["error_code"]), (&json!("undelivered"), &json!(30003)));
}

const TOMORROW: Asked =
    Asked { token: 101, state: RequestState::Pending, starts: 24 * 60, expires: 24 * 60 };

async fn threads_are_listed_by_view(engine: Engine) {
    let (server, account) = shop(engine).await;
    let account_number = account_id(&account);
    for (n, body) in
        [(1, "hello"), (2, "hello"), (3, "maybe?"), (4, "N"), (5, "STOP"), (6, "hello"), (7, "hi")]
    {
        let contact = person(&server, &account, &phone(n)).await;
        if [3, 4].contains(&n) {
            ask(&server, account_number, contact, &phone(n), &[TOMORROW]).await;
        }
        comes(&server, u32::try_from(n).expect("few"), &phone(n), body).await;
    }
    let one = id_of(&thread_of(&server, &account, &phone(1)).await);
    let path = format!("/v1/threads/{one}");
    send(&server, Method::PATCH, &account.key, &path, &json!({"state": "closed"})).await.ok();
    let two = id_of(&thread_of(&server, &account, &phone(2)).await);
    let path = format!("/v1/threads/{two}");
    send(&server, Method::PATCH, &account.key, &path, &json!({"assignee": "Kim"})).await.ok();
    let six = id_of(&thread_of(&server, &account, &phone(6)).await);
    let call = json!({"kind": "call", "title": "It did not arrive", "thread_id": six});
    server.post(&account.key, "/v1/tasks", &call).await.made();
    fails(&server, &account, &phone(7)).await;
    let all: Vec<String> = [2, 1, 7, 6, 5, 4, 3].map(phone).into();
    for (query, expected) in [
        ("", all.clone()),
        ("view=all", all.clone()),
        ("view=open", [2, 7, 6, 5, 4, 3].map(phone).into()),
        ("view=closed", vec![phone(1)]),
        ("view=pending", vec![phone(3)]),
        ("view=reschedule", vec![phone(4)]),
        ("view=failed", [7, 6].map(phone).into()),
        ("view=opt_outs", vec![phone(5)]),
        ("view=unassigned", [7, 6, 5, 4, 3].map(phone).into()),
        ("assignee=Kim", vec![phone(2)]),
        ("view=closed&assignee=Kim", vec![]),
        ("q=555-0003", vec![phone(3)]),
        ("q=ada%20p", all.clone()),
        ("q=ADA", all.clone()),
        ("q=%25", vec![]),
        ("q=nobody", vec![]),
    ] {
        assert_eq!(phones(&server, &account, query).await, expected, "{query}");
    }
    let mut found = Vec::new();
    let mut query = "limit=3".to_owned();
    loop {
        let page = server.get(&account.key, &format!("/v1/threads?{query}")).await.ok();
        let rows = page["data"].as_array().expect("a list");
        found.extend(rows.iter().map(|one| one["phone"].as_str().expect("a phone").to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("limit=3&cursor={cursor}");
    }
    assert_eq!(found, all);
    for (query, field) in
        [("view=x", "view"), ("limit=0", "limit"), ("cursor=x", "cursor"), ("vew=all", "vew")]
    {
        let refusal = server.get(&account.key, &format!("/v1/threads?{query}")).await.problem();
        assert_eq!(refusal.2.as_deref(), Some(field), "{refusal:?}");
    }
}

async fn a_thread_shows_its_texts_page_by_page(engine: Engine) {
    let (server, account) = shop(engine).await;
    let ada = phone(147);
    person(&server, &account, &ada).await;
    let mut expected = Vec::new();
    for n in 1..=4 {
        let words = format!("question {n}");
        comes(&server, n, &ada, &words).await;
        expected.push(words);
        let answer = json!({"to": ada, "body": format!("answer {n}")});
        server.post(&account.key, "/v1/messages", &answer).await.with(202);
        expected.push(format!("answer {n}"));
    }
    expected.reverse();
    let whole = thread_of(&server, &account, &ada).await;
    assert_eq!(whole["last_text"]["body"], "answer 4");
    assert_eq!(whole["next_before"], Value::Null);
    let path = format!("/v1/threads/{}", id_of(&whole));
    for limit in [1, 3, 8] {
        let (mut found, mut query) = (Vec::new(), format!("limit={limit}"));
        loop {
            let page = server.get(&account.key, &format!("{path}?{query}")).await.ok();
            let texts = page["texts"].as_array().expect("texts").clone();
            found.extend(texts.iter().map(|one| one["body"].as_str().expect("words").to_owned()));
            let Some(before) = page["next_before"].as_str() else { break };
            query = format!("limit={limit}&before={before}");
        }
        assert_eq!(found, expected, "{limit}");
    }
    let sent = &whole["texts"][0];
    assert_eq!(
        [&sent["direction"], &sent["state"], &sent["context"], &sent["why"]["decision"]],
        ["out", "queued", "message.notification", "pending"]
    );
    assert!(sent["message_id"].as_str().is_some_and(|id| id.starts_with("msg_")));
    let came = &whole["texts"][1];
    assert_eq!([&came["direction"], &came["state"], &came["sender"]], ["in", "received", NUMBER]);
    let refusal = server.get(&account.key, &format!("{path}?before=x")).await.problem();
    assert_eq!((refusal.0, refusal.2.as_deref()), (400, Some("before")));
}

async fn staff_answer_through_the_gate(engine: Engine) {
    let (server, account) = shop(engine).await;
    let ada = phone(147);
    person(&server, &account, &ada).await;
    comes(&server, 1, &ada, "Is there parking?").await;
    let thread = id_of(&thread_of(&server, &account, &ada).await);
    let path = format!("/v1/threads/{thread}/messages");
    let words = json!({"body": "Yes, behind the house."});
    let mut ids = Vec::new();
    for _ in 0..2 {
        let asking = server.ask(Method::POST, &path).key(&account.key).once("k1").json(&words);
        ids.push(id_of(&asking.send().await.with(202)));
    }
    assert_eq!(ids[0], ids[1], "the same key, the same text");
    let shown = thread_of(&server, &account, &ada).await;
    let texts = shown["texts"].as_array().expect("texts");
    assert_eq!(texts.len(), 2);
    assert_eq!([&texts[0]["context"], &texts[0]["message_id"]], ["reply.staff", ids[0].as_str()]);
    let message = server.get(&account.key, &format!("/v1/messages/{}", ids[0])).await.ok();
    assert_eq!(message["body"], "Yes, behind the house.");
    for (body, field) in [
        (json!({}), "body"),
        (json!({"body": ""}), "body"),
        (json!({"body": "a".repeat(2000)}), "body"),
        (json!({"body": "a", "canned_reply_id": "cr_00000000000000000000000000"}), "body"),
        (json!({"canned_reply_id": "cr_00000000000000000000000000"}), "canned_reply_id"),
        (json!({"canned_reply_id": "x"}), "canned_reply_id"),
        (json!({"text": "a"}), "text"),
    ] {
        let (status, _, found) = server.post(&account.key, &path, &body).await.problem();
        assert_eq!((status, found.as_deref()), (422, Some(field)), "{body}");
    }
    let nowhere = "/v1/threads/th_00000000000000000000000000/messages";
    server.post(&account.key, nowhere, &words).await.refused(404, "not_found");
}

async fn staff_may_answer_at_night_where_the_account_says_so(engine: Engine) {
    let (server, account) = shop(engine).await;
    let ada = phone(147);
    person(&server, &account, &ada).await;
    comes(&server, 1, &ada, "Is there parking?").await;
    let thread = id_of(&thread_of(&server, &account, &ada).await);
    let path = format!("/v1/threads/{thread}/messages");
    let mut tx = server.app.db.begin().await.expect("begins");
    let number = account_id(&account);
    let mut choices = store::settings::lock_settings(&mut tx, number).await.expect("locks");
    choices.reply_quiet_exempt = true;
    store::settings::save_settings(&mut tx, number, &choices).await.expect("saves");
    tx.commit().await.expect("commits");
    let context = async || {
        server.post(&account.key, &path, &json!({"body": "Yes."})).await.with(202);
        let shown = thread_of(&server, &account, &ada).await;
        shown["texts"][0]["context"].as_str().expect("a word").to_owned()
    };
    assert_eq!(context().await, "reply.conversation");
    server.clock.advance(std::time::Duration::from_secs(24 * 3600));
    assert_eq!(context().await, "reply.staff");
    let passes = |key: &str| domain::contexts::find(key).expect("known").passes_quiet_hours;
    assert!(passes("reply.conversation") && !passes("reply.staff"));
}

async fn staff_begin_conversations(engine: Engine) {
    let (server, account) = shop(engine).await;
    let contact = person(&server, &account, &phone(147)).await;
    let wanted = json!({"contact_id": contact, "body": "Hello Ada"});
    let begun = server.post(&account.key, "/v1/threads", &wanted).await.made();
    assert_eq!(begun["thread"]["contact"]["name"], "Ada Park");
    assert_eq!(begun["thread"]["inbound_at"], Value::Null);
    assert_eq!(begun["thread"]["last_text"]["body"], "Hello Ada");
    assert_eq!(begun["message"]["state"], "queued");
    let again = json!({"phone": "(312) 555-0147", "body": "Are you there?"});
    let again = server.post(&account.key, "/v1/threads", &again).await.made();
    assert_eq!(again["thread"]["id"], begun["thread"]["id"]);
    let other = json!({"phone": "+13125550148", "body": "Hello"});
    let other = server.post(&account.key, "/v1/threads", &other).await.made();
    assert_eq!(other["thread"]["contact"], Value::Null);
    for (body, field) in [
        (json!({"body": "x"}), "contact_id"),
        (json!({"contact_id": contact, "phone": "+13125550148", "body": "x"}), "contact_id"),
        (json!({"contact_id": "ct_00000000000000000000000000", "body": "x"}), "contact_id"),
        (json!({"phone": "12", "body": "x"}), "phone"),
        (json!({"phone": "+13125550148"}), "body"),
    ] {
        let (status, _, found) = server.post(&account.key, "/v1/threads", &body).await.problem();
        assert_eq!((status, found.as_deref()), (422, Some(field)), "{body}");
    }
    assert_eq!(phones(&server, &account, "").await.len(), 2, "refusals leave nothing");
}

async fn threads_are_closed_given_away_and_noted_on(engine: Engine) {
    let (server, account) = shop(engine).await;
    let ada = phone(147);
    comes(&server, 1, &ada, "hello").await;
    let thread = id_of(&thread_of(&server, &account, &ada).await);
    let path = format!("/v1/threads/{thread}");
    let patch = async |body: Value| send(&server, Method::PATCH, &account.key, &path, &body).await;
    let changed = patch(json!({"state": "closed", "assignee": "Kim"})).await.ok();
    assert_eq!([&changed["state"], &changed["assignee"]], ["closed", "Kim"]);
    let kept = patch(json!({})).await.ok();
    assert_eq!([&kept["state"], &kept["assignee"]], ["closed", "Kim"]);
    let freed = patch(json!({"assignee": null})).await.ok();
    assert_eq!((&freed["state"], &freed["assignee"]), (&json!("closed"), &Value::Null));
    comes(&server, 2, &ada, "hello again").await;
    assert_eq!(thread_of(&server, &account, &ada).await["state"], "open");
    for (body, field) in
        [(json!({"state": "shut"}), "state"), (json!({"assignee": ""}), "assignee")]
    {
        let (status, _, found) = patch(body).await.problem();
        assert_eq!((status, found.as_deref()), (422, Some(field)));
    }
    for words in ["Likes mornings.", "Pays cash."] {
        let notes = format!("{path}/notes");
        let note = server.post(&account.key, &notes, &json!({"body": words})).await.made();
        assert!(note["author"].as_str().is_some_and(|author| author.starts_with("key_")));
    }
    let notes = thread_of(&server, &account, &ada).await["notes"].clone();
    assert_eq!([&notes[0]["body"], &notes[1]["body"]], ["Pays cash.", "Likes mornings."]);
    let empty = server.post(&account.key, &format!("{path}/notes"), &json!({"body": " "})).await;
    assert_eq!(empty.problem().2.as_deref(), Some("body"));
}

async fn canned_replies_are_kept_and_filled(engine: Engine) {
    let (server, account) = shop(engine).await;
    let key = &account.key;
    let parking =
        json!({"name": "Parking", "body": "Hi {{ name | first_word }}, park at {{ business }}."});
    let made = server.post(key, "/v1/canned-replies", &parking).await.made();
    server.post(key, "/v1/canned-replies", &parking).await.refused(409, "conflict");
    let broken = json!({"name": "Broken", "body": "Hi {{ name"});
    let refusal = server.post(key, "/v1/canned-replies", &broken).await.problem();
    assert_eq!(refusal.2.as_deref(), Some("body"));
    let ada = phone(147);
    person(&server, &account, &ada).await;
    comes(&server, 1, &ada, "Where?").await;
    let thread = id_of(&thread_of(&server, &account, &ada).await);
    let path = format!("/v1/threads/{thread}/messages");
    let wanted = json!({"canned_reply_id": made["id"]});
    server.post(key, &path, &wanted).await.with(202);
    let shown = thread_of(&server, &account, &ada).await;
    assert_eq!(shown["texts"][0]["body"], "Hi Ada, park at Sam's.");
    let place = format!("/v1/canned-replies/{}", id_of(&made));
    let other = json!({"name": "Cars", "body": "Hi {{ coach }}"});
    let changed = send(&server, Method::PUT, key, &place, &other).await.ok();
    assert_eq!([&changed["name"], &changed["id"]], ["Cars", made["id"].as_str().expect("an id")]);
    // Nothing is known of a coach: no text goes out with a hole in it.
    let refusal = server.post(key, &path, &wanted).await.problem();
    assert_eq!((refusal.0, refusal.2.as_deref()), (422, Some("canned_reply_id")));
    let list = server.get(key, "/v1/canned-replies").await.ok();
    assert_eq!(list["data"].as_array().expect("a list").len(), 1);
    let gone = server.ask(Method::DELETE, &place).key(key).send().await;
    assert_eq!(gone.status, 204);
    server.ask(Method::DELETE, &place).key(key).send().await.refused(404, "not_found");
    send(&server, Method::PUT, key, &place, &other).await.refused(404, "not_found");
}

async fn leave_a_trail(server: &Server, account: AccountId) {
    let mut tx = server.app.db.begin().await.expect("begins");
    let now = tx.now();
    let run = Run {
        id: RunId::new(now, &*server.app.dice),
        rule: "reply.answer".to_owned(),
        version: 1,
        subject: "x".to_owned(),
        outcome: "confirmed".to_owned(),
        detail: String::new(),
        next_at: None,
        at: now,
    };
    automations::insert_runs(&mut tx, account, &[run]).await.expect("keeps");
    tx.commit().await.expect("commits");
}

async fn nothing_of_the_inbox_is_seen_from_another_account(engine: Engine) {
    let (server, account) = shop(engine).await;
    let other = server.account("other").await;
    let ada = phone(147);
    let contact = person(&server, &account, &ada).await;
    ask(&server, account_id(&account), contact, &ada, &[TOMORROW]).await;
    comes(&server, 1, &ada, "hello").await;
    comes(&server, 2, &ada, "hello?").await;
    leave_a_trail(&server, account_id(&account)).await;
    let canned = json!({"name": "Hi", "body": "Hi"});
    let canned = server.post(&account.key, "/v1/canned-replies", &canned).await.made();
    let thread = thread_of(&server, &account, &ada).await;
    let task = id_of(&thread["tasks"][0]);
    let (thread, reply) = (id_of(&thread), id_of(&canned));
    for path in
        ["/v1/threads", "/v1/canned-replies", "/v1/tasks", "/v1/automations"].map(str::to_owned)
    {
        let own = server.get(&account.key, &path).await.ok();
        assert!(!own["data"].as_array().expect("a list").is_empty(), "{path}");
        let seen = server.get(&other.key, &path).await.ok();
        assert_eq!(seen["data"], json!([]), "{path}");
    }
    let tasks = server.get(&other.key, &format!("/v1/tasks?thread_id={thread}")).await.ok();
    assert_eq!(tasks["data"], json!([]));
    let figures = server.get(&other.key, "/v1/figures/confirmations").await.ok();
    assert_eq!(
        (&figures["pending"]["count"], &figures["requests"]["asked"]),
        (&json!(0), &json!(0))
    );
    let hello = json!({"body": "hello"});
    let hi = json!({"name": "Hi", "body": "Hi"});
    for (method, path, body) in [
        (Method::GET, format!("/v1/threads/{thread}"), json!({})),
        (Method::PATCH, format!("/v1/threads/{thread}"), json!({"state": "closed"})),
        (Method::POST, format!("/v1/threads/{thread}/messages"), hello.clone()),
        (Method::POST, format!("/v1/threads/{thread}/notes"), hello.clone()),
        (Method::PUT, format!("/v1/canned-replies/{reply}"), hi.clone()),
        (Method::DELETE, format!("/v1/canned-replies/{reply}"), json!({})),
        (Method::PATCH, format!("/v1/tasks/{task}"), json!({"state": "done"})),
    ] {
        let answer = send(&server, method.clone(), &other.key, &path, &body).await;
        let (status, code, _) = answer.problem();
        assert_eq!((status, code.as_str()), (404, "not_found"), "{method} {path}");
    }
    for (path, body, field) in [
        ("/v1/threads", json!({"contact_id": contact, "body": "x"}), "contact_id"),
        (
            "/v1/threads",
            json!({"phone": "+13125550148", "canned_reply_id": reply}),
            "canned_reply_id",
        ),
        ("/v1/tasks", json!({"kind": "call", "title": "x", "thread_id": thread}), "thread_id"),
        ("/v1/tasks", json!({"kind": "call", "title": "x", "contact_id": contact}), "contact_id"),
    ] {
        let (status, _, found) = server.post(&other.key, path, &body).await.problem();
        assert_eq!((status, found.as_deref()), (422, Some(field)), "{path}");
    }
    let mine = thread_of(&server, &account, &ada).await;
    assert_eq!((&mine["state"], &mine["notes"]), (&json!("open"), &json!([])));
    assert_eq!(mine["tasks"].as_array().expect("tasks").len(), 1);
}
