//! Keywords through the carrier's hook: what each does to consent, which texts answer it, what
//! staff see of it.

use axum::http::Method;
use serde_json::{Value, json};
use store::consents::answers_to;
use testkit::Engine;

use crate::inbound::{NUMBER, arrives, live, sid, text};
use crate::server::{Account, Server, account_id};

testkit::both_engines!(
    each_keyword_has_its_effect,
    the_carriers_own_answer_is_not_repeated,
    the_newest_word_holds_and_all_are_kept,
    joining_takes_a_second_word,
    a_stop_is_undone_by_no_first_word,
    an_opt_out_of_one_sender_leaves_the_others,
    a_revocation_is_read_by_staff,
);

const PHONE: &str = "+13125550147";

/// A server with an account that answers for [`NUMBER`] itself.
pub async fn shop(engine: Engine) -> (Server, Account) {
    let server = Server::start_with(engine, live).await;
    let account = server.account("Sam's").await;
    let sender = json!({"kind": "long_code", "address": NUMBER, "answers_stop": "ledgerline"});
    server.post(&account.key, "/v1/senders", &sender).await.made();
    (server, account)
}

pub async fn set(server: &Server, account: &Account, wanted: &Value) -> Value {
    let asking = server.ask(Method::PUT, "/v1/settings").key(&account.key);
    asking.json(wanted).send().await.ok()
}

pub async fn comes(server: &Server, n: u32, body: &str) {
    let reply = arrives(server, &text(&sid(n), PHONE, NUMBER, body)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// Where the phone stands, as `(transactional, marketing)`.
pub async fn stands(server: &Server, account: &Account) -> (String, String) {
    let wanted = json!({"phone": PHONE});
    let contact = server.post(&account.key, "/v1/contacts", &wanted).await.json();
    let word = |name: &str| contact["consent"][name].as_str().expect("a word").to_owned();
    (word("transactional"), word("marketing"))
}

/// The contexts of the texts that answered the phone, in order.
pub async fn answers(server: &Server, account: &Account) -> Vec<String> {
    let mut tx = server.app.db.read().await.expect("reads");
    let list = answers_to(&mut tx, account_id(account), PHONE).await.expect("lists");
    list.into_iter().map(|(_, _, context)| context).collect()
}

/// What the last answer says.
async fn last_answer(server: &Server, account: &Account) -> String {
    let mut tx = server.app.db.read().await.expect("reads");
    let list = answers_to(&mut tx, account_id(account), PHONE).await.expect("lists");
    let id = list.last().expect("an answer").1;
    let shown = server.get(&account.key, &format!("/v1/messages/{id}")).await.ok();
    shown["body"].as_str().expect("a body").to_owned()
}

/// The outcomes of a rule's runs, oldest first.
async fn runs(server: &Server, account: &Account, rule: &str) -> Vec<String> {
    let mut tx = server.app.db.read().await.expect("reads");
    let runs = store::automations::recent_runs(&mut tx, account_id(account), rule, 100).await;
    runs.expect("lists").into_iter().rev().map(|run| run.outcome).collect()
}

async fn each_keyword_has_its_effect(engine: Engine) {
    let (server, account) = shop(engine).await;
    let (out, none, both) = ("opted_out", "unknown", "opted_in");
    #[rustfmt::skip]
    let cases: &[(&[&str], (&str, &str), &[&str])] = &[
        (&["Hello"], (none, none), &[]),
        (&["STOP"], (out, out), &["consent.opted_out"]),
        (&["stop", "STOP", "Unsubscribe"], (out, out), &["consent.opted_out"]),
        (&["opt out"], (out, out), &["consent.opted_out"]),
        (&["OPTOUT"], (out, out), &["consent.opted_out"]),
        (&["Revoke"], (out, out), &["consent.opted_out"]),
        (&["CANCEL"], (out, out), &["consent.opted_out"]),
        (&["alto"], (out, out), &["consent.opted_out"]),
        (&["arrêt"], (out, out), &["consent.opted_out"]),
        (&["please stop texting me"], (out, out), &["consent.opted_out"]),
        (&["no más"], (out, out), &["consent.opted_out"]),
        (&["STOP", "START"], (both, both), &["consent.opted_out", "consent.opted_in"]),
        (&["STOP", "unstop", "START"], (both, both), &["consent.opted_out", "consent.opted_in"]),
        // YES is no START unless the account says so, and starting is no consent to advertising.
        (&["STOP", "YES"], (out, out), &["consent.opted_out"]),
        (&["START"], (both, none), &["consent.opted_in"]),
        (&["HELP"], (none, none), &["consent.help"]),
        (&["STOP", "info"], (out, out), &["consent.opted_out", "consent.help"]),
    ];
    for (n, (bodies, consent, contexts)) in cases.iter().enumerate() {
        let phone = format!("+1312555{:04}", 200 + n);
        for (nth, body) in bodies.iter().enumerate() {
            let sid = sid(u32::try_from(n * 10 + nth).expect("small"));
            // The carrier posts everything twice.
            for _ in 0..2 {
                let reply = arrives(&server, &text(&sid, &phone, NUMBER, body)).await;
                assert_eq!(reply.status, 200, "{}", reply.text());
            }
        }
        let known = server.post(&account.key, "/v1/contacts", &json!({"phone": phone})).await;
        let known = known.made()["consent"].clone();
        let expected = json!({"transactional": consent.0, "marketing": consent.1});
        assert_eq!(known, expected, "{bodies:?}");
        let mut tx = server.app.db.read().await.expect("reads");
        let list = answers_to(&mut tx, account_id(&account), &phone).await.expect("lists");
        let list: Vec<&str> = list.iter().map(|(_, _, context)| context.as_str()).collect();
        // An unknown word is asked back about elsewhere.
        assert_eq!(list, *contexts, "{bodies:?}");
    }
    set(&server, &account, &json!({"yes_is_start": true, "help_text": "Call 555-0100."})).await;
    for (n, body) in ["STOP", "YES", "HELP"].into_iter().enumerate() {
        comes(&server, 900 + u32::try_from(n).expect("small"), body).await;
    }
    assert_eq!(stands(&server, &account).await, (both.to_owned(), both.to_owned()));
    assert_eq!(last_answer(&server, &account).await, "Call 555-0100.");
    set(&server, &account, &json!({"confirmations": false})).await;
    comes(&server, 910, "STOP").await;
    assert_eq!(stands(&server, &account).await, (out.to_owned(), out.to_owned()));
    let answers = answers(&server, &account).await;
    assert_eq!(answers, ["consent.opted_out", "consent.opted_in", "consent.help"]);
}

async fn the_carriers_own_answer_is_not_repeated(engine: Engine) {
    let (server, account) = shop(engine).await;
    // Advanced Opt-Out says what it has heard, whatever the words are, and has answered.
    for (n, (body, kind)) in
        [("basta ya", "STOP"), ("claro", "START"), ("?", "HELP")].into_iter().enumerate()
    {
        let sid = sid(u32::try_from(n).expect("small"));
        let mut pairs = text(&sid, PHONE, NUMBER, body);
        pairs.push(("OptOutType", kind));
        assert_eq!(arrives(&server, &pairs).await.status, 200);
        let expected = if kind == "STOP" { "opted_out" } else { "opted_in" };
        assert_eq!(stands(&server, &account).await.0, expected, "{kind}");
    }
    assert!(answers(&server, &account).await.is_empty());
    assert_eq!(runs(&server, &account, "keyword.help").await, ["answered_by_carrier"]);
    // A sender for which the carrier answers: its own words only.
    let senders = server.get(&account.key, "/v1/senders").await.ok();
    assert_eq!(senders["data"][0]["answers_stop"], "ledgerline");
    let path = format!("/v1/senders/{}", senders["data"][0]["id"].as_str().expect("an id"));
    let patch = |body: Value| {
        let asking = server.ask(Method::PATCH, &path).key(&account.key);
        async move { asking.json(&body).send().await }
    };
    assert_eq!(patch(json!({"answers_stop": "carrier"})).await.ok()["answers_stop"], "carrier");
    patch(json!({"answers_stop": "nobody"})).await.refused(422, "invalid_field");
    comes(&server, 10, "Stop").await;
    comes(&server, 11, "Start").await;
    assert!(answers(&server, &account).await.is_empty());
    comes(&server, 12, "stop texting me please").await;
    assert_eq!(answers(&server, &account).await, ["consent.opted_out"]);
}

async fn the_newest_word_holds_and_all_are_kept(engine: Engine) {
    let (server, account) = shop(engine).await;
    for (n, body) in ["STOP", "START", "STOP", "START", "STOP"].into_iter().enumerate() {
        comes(&server, u32::try_from(n).expect("small"), body).await;
    }
    comes(&server, 1, "START").await;
    assert_eq!(stands(&server, &account).await.1, "opted_out", "a text that was here before");
    let list = server.get(&account.key, "/v1/consents?category=marketing").await.ok();
    let words: Vec<&str> = list["data"]
        .as_array()
        .expect("rows")
        .iter()
        .filter_map(|row| row["status"].as_str())
        .collect();
    assert_eq!(words, ["opted_out", "opted_in", "opted_out", "opted_in", "opted_out"]);
    // A word that was said before the others comes late.
    let late = json!({
        "phone": PHONE, "category": "all", "status": "opted_in", "source": "paper",
        "evidence": "form 7", "said_at": "2026-07-15T16:00:00Z"
    });
    let late = server.post(&account.key, "/v1/consents", &late).await.made();
    assert_eq!((&late["status"], &late["state"]), (&json!("opted_in"), &json!("opted_out")));
    assert_eq!(stands(&server, &account).await.1, "opted_out");
}

async fn joining_takes_a_second_word(engine: Engine) {
    let (server, account) = shop(engine).await;
    comes(&server, 1, "Join").await;
    assert_eq!(stands(&server, &account).await.1, "unknown");
    assert_eq!(answers(&server, &account).await, ["consent.join"]);
    let asked = last_answer(&server, &account).await;
    assert!(asked.contains("reply YES") && asked.contains("STOP"), "{asked}");
    comes(&server, 2, "yes!").await;
    let both = ("opted_in".to_owned(), "opted_in".to_owned());
    assert_eq!(stands(&server, &account).await, both);
    assert_eq!(answers(&server, &account).await, ["consent.join", "consent.opted_in"]);
    let list = server.get(&account.key, "/v1/consents?category=marketing").await.ok();
    let event = &list["data"][0];
    assert_eq!((&event["source"], &event["actor"]), (&json!("keyword"), &json!("recipient")));
    assert_eq!(event["wording"], asked, "the proof holds the words that were agreed to");
    assert!(event["wording_version"].as_str().is_some_and(|one| one.starts_with("sha256:")));
    let evidence = event["evidence"].as_str().expect("evidence");
    assert!(evidence.contains(&sid(1)) && evidence.contains(&sid(2)), "{evidence}");
    assert_eq!(runs(&server, &account, "keyword.join").await, ["asked", "opted_in"]);
    // A second word that comes too late is none.
    for (n, wait_hours, expected) in [(10, 25, "opted_out"), (20, 23, "opted_in")] {
        comes(&server, n, "STOP").await;
        comes(&server, n + 1, "JOIN").await;
        server.clock.advance(std::time::Duration::from_secs(wait_hours * 3600));
        comes(&server, n + 2, "YES").await;
        assert_eq!(stands(&server, &account).await.1, expected, "{wait_hours} hours");
    }
}

async fn a_stop_is_undone_by_no_first_word(engine: Engine) {
    let (server, account) = shop(engine).await;
    set(&server, &account, &json!({"double_opt_in": false, "join_keywords": ["fit"]})).await;
    comes(&server, 1, "FIT").await;
    assert_eq!(stands(&server, &account).await.1, "opted_in");
    comes(&server, 2, "STOP").await;
    comes(&server, 3, "FIT").await;
    assert_eq!(stands(&server, &account).await.1, "opted_out");
    let contexts = answers(&server, &account).await;
    assert_eq!(contexts, ["consent.opted_in", "consent.opted_out", "consent.join"]);
    comes(&server, 4, "Y").await;
    assert_eq!(stands(&server, &account).await.1, "opted_in");
    // Nor by what an account says of somebody who said it themselves.
    comes(&server, 5, "STOP").await;
    let back = json!({"phone": PHONE, "consent": "opted_in"});
    let known = server.post(&account.key, "/v1/contacts", &back).await.ok();
    assert_eq!(known["consent"]["marketing"], "opted_out");
    let bare = json!({
        "phone": PHONE, "category": "marketing", "status": "opted_in", "source": "web_form"
    });
    let (status, _, field) = server.post(&account.key, "/v1/consents", &bare).await.problem();
    assert_eq!((status, field.as_deref()), (422, Some("evidence")));
    let mut proven = bare.clone();
    proven["evidence"] = json!("https://sam.example/form/9");
    let taken = server.post(&account.key, "/v1/consents", &proven).await.made();
    assert_eq!(taken["consent"], json!({"transactional": "opted_out", "marketing": "opted_in"}));
}

async fn an_opt_out_of_one_sender_leaves_the_others(engine: Engine) {
    let (server, account) = shop(engine).await;
    let second = "+13125550198";
    let sender = json!({"kind": "long_code", "address": second, "answers_stop": "ledgerline"});
    server.post(&account.key, "/v1/senders", &sender).await.made();
    set(&server, &account, &json!({"opt_out_scope": "sender"})).await;
    assert_eq!(arrives(&server, &text(&sid(1), PHONE, second, "STOP")).await.status, 200);
    assert_eq!(stands(&server, &account).await.0, "unknown");
    assert_eq!(answers(&server, &account).await, ["consent.opted_out"]);
    let contact = server.post(&account.key, "/v1/contacts", &json!({"phone": PHONE})).await.ok();
    let path = format!("/v1/contacts/{}/consent-proof", contact["id"].as_str().expect("an id"));
    let proof = server.get(&account.key, &path).await.ok();
    assert_eq!(proof["sender_opt_outs"][0]["sender"], second);
    comes(&server, 2, "START").await;
    let proof = server.get(&account.key, &path).await.ok();
    assert_eq!(proof["sender_opt_outs"][0]["sender"], second, "another sender is started");
    assert_eq!(arrives(&server, &text(&sid(3), PHONE, second, "START")).await.status, 200);
    let proof = server.get(&account.key, &path).await.ok();
    assert_eq!(proof["sender_opt_outs"], json!([]));
    // Words of their own are about everything.
    comes(&server, 4, "stop texting me").await;
    assert_eq!(stands(&server, &account).await.0, "opted_out");
}

async fn a_revocation_is_read_by_staff(engine: Engine) {
    let (server, account) = shop(engine).await;
    comes(&server, 1, "Please stop texting me, I moved away").await;
    assert_eq!(stands(&server, &account).await.0, "opted_out");
    let tasks = server.get(&account.key, "/v1/tasks?kind=review").await.ok();
    let list = tasks["data"].as_array().expect("tasks");
    assert_eq!(list.len(), 1, "{tasks}");
    assert_eq!(list[0]["detail"], "Please stop texting me, I moved away");
    assert_eq!(runs(&server, &account, "keyword.revocation").await, ["opted_out"]);
}
