//! Words of consent: recorded, listed, proven; the link that opts out.

use axum::http::Method;
use domain::template::Template;
use ledgerline::flow::opt_out_link::OptOutLinks;
use serde_json::{Value, json};
use testkit::Engine;

use crate::inbound::{NUMBER, arrives, sid, text};
use crate::keywords::{answers, comes, set, shop, stands};
use crate::server::{Account, Server, account_id};

testkit::both_engines!(
    words_are_recorded_with_their_proof,
    words_are_paged_and_narrowed,
    bad_words_are_refused_by_name,
    a_proof_holds_every_word_and_its_confirmation,
    a_link_opts_out_with_one_press,
    texts_of_callers_carry_the_link,
    nothing_is_seen_from_another_account,
);

const PHONE: &str = "+13125550147";

fn word(status: &str) -> Value {
    json!({"phone": PHONE, "category": "marketing", "status": status, "source": "web_form"})
}

async fn words_are_recorded_with_their_proof(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let said = json!({
        "phone": "(312) 555-0147", "category": "marketing", "status": "opted_in",
        "source": "web_form", "wording": "I agree to texts.", "evidence": "https://a.example/7",
        "scope": "newsletter", "ip": "203.0.113.7", "user_agent": "Firefox",
        "said_at": "2026-07-14T09:00:00Z"
    });
    let asking = server.ask(Method::POST, "/v1/consents").key(&account.key).once("k");
    let first = asking.json(&said).send().await.made();
    for (name, value) in said.as_object().expect("an object") {
        let expected = if name == "phone" { json!(PHONE) } else { value.clone() };
        assert_eq!(first[name], expected, "{name}");
    }
    let digest = ledgerline::flow::consents::wording_version("I agree to texts.");
    assert_eq!(first["wording_version"], digest);
    assert_eq!(
        (&first["state"], first["events"].as_array().map(Vec::len)),
        (&json!("opted_in"), Some(1))
    );
    assert_eq!(first["consent"], json!({"transactional": "unknown", "marketing": "opted_in"}));
    let asking = server.ask(Method::POST, "/v1/consents").key(&account.key).once("k");
    assert_eq!(asking.json(&said).send().await.made(), first, "the same key records it once");
    let all = json!({
        "phone": PHONE, "category": "all", "status": "opted_out", "source": "phone_call",
        "wording": "x", "wording_version": "2026-07"
    });
    let all = server.post(&account.key, "/v1/consents", &all).await.made();
    assert_eq!(all["events"].as_array().map(Vec::len), Some(2));
    assert_eq!(all["wording_version"], "2026-07");
    assert_eq!(all["consent"], json!({"transactional": "opted_out", "marketing": "opted_out"}));
    let list = server.get(&account.key, "/v1/consents").await.ok();
    assert_eq!(list["data"].as_array().map(Vec::len), Some(3));
}

async fn words_are_paged_and_narrowed(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    for n in 0..4 {
        let wanted = json!({
            "phone": format!("+1312555010{n}"), "category": "all", "status": "opted_in",
            "source": "paper"
        });
        server.post(&account.key, "/v1/consents", &wanted).await.made();
    }
    let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let path = format!("/v1/consents?limit=3&cursor={cursor}");
        let page = server.get(&account.key, &path).await.ok();
        seen.extend(page["data"].as_array().expect("rows").iter().map(|row| row["id"].clone()));
        pages += 1;
        let Some(next) = page["next_cursor"].as_str() else { break };
        next.clone_into(&mut cursor);
    }
    seen.sort_by_key(Value::to_string);
    seen.dedup();
    assert_eq!((seen.len(), pages), (8, 3));
    for (query, rows) in [
        ("phone=%2B13125550101", 2),
        ("phone=+13125550101", 2),
        ("phone=3125550101&category=marketing", 1),
        ("category=transactional", 4),
        ("category=all", 8),
        ("phone=%2B13125550109", 0),
    ] {
        let list = server.get(&account.key, &format!("/v1/consents?{query}")).await.ok();
        assert_eq!(list["data"].as_array().map(Vec::len), Some(rows), "{query}");
    }
    server.get(&account.key, "/v1/consents?state=x").await.refused(422, "unknown_field");
    server.get(&account.key, "/v1/consents?category=x").await.refused(422, "invalid_field");
}

async fn bad_words_are_refused_by_name(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    for (field, value) in [
        ("phone", json!("12")),
        ("category", json!("ads")),
        ("status", json!("unknown")),
        ("status", json!("maybe")),
        ("source", json!(" ")),
        ("ip", json!("localhost")),
        ("said_at", json!("2026-07-16T00:00:00Z")),
        ("said_at", json!("yesterday")),
        ("wording", json!("x".repeat(4001))),
    ] {
        let mut wanted = word("opted_in");
        wanted[field] = value;
        let (status, _, named) = server.post(&account.key, "/v1/consents", &wanted).await.problem();
        assert_eq!((status, named.as_deref()), (422, Some(field)), "{wanted}");
    }
    let list = server.get(&account.key, "/v1/consents").await.ok();
    assert_eq!(list["data"], json!([]));
}

async fn a_proof_holds_every_word_and_its_confirmation(engine: Engine) {
    let (server, account) = shop(engine).await;
    let contact = json!({"phone": PHONE, "name": "=HYPERLINK(1)"});
    let contact = server.post(&account.key, "/v1/contacts", &contact).await.made();
    let id = contact["id"].as_str().expect("an id").to_owned();
    let mut said = word("opted_in");
    said["evidence"] = json!("=1+1");
    said["wording"] = json!("Agreed,\n\"yes\"");
    server.post(&account.key, "/v1/consents", &said).await.made();
    comes(&server, 1, "stop  PLEASE").await;
    let path = format!("/v1/contacts/{id}/consent-proof");
    let proof = server.get(&account.key, &path).await.ok();
    assert_eq!(proof["contact"]["id"], id);
    let marketing = proof["consents"].as_array().expect("both").iter();
    let marketing = marketing.clone().find(|one| one["category"] == "marketing").expect("it is");
    assert_eq!(marketing["state"], "opted_out");
    let events = marketing["events"].as_array().expect("events");
    assert_eq!(events.len(), 2);
    assert_eq!(
        (&events[0]["wording"], &events[0]["confirmation"]),
        (&said["wording"], &Value::Null)
    );
    assert_eq!(events[1]["wording"], "stop  PLEASE");
    assert!(events[1]["evidence"].as_str().is_some_and(|one| one.contains(&sid(1))));
    let confirmation = events[1]["confirmation"].as_str().expect("a text confirmed it");
    let shown = server.get(&account.key, &format!("/v1/messages/{confirmation}")).await.ok();
    assert_eq!(shown["context"], "consent.opted_out");
    // As a file.
    let asked = server.ask(Method::GET, &path).key(&account.key).header("accept", "text/csv");
    let file = asked.send().await;
    assert_eq!(file.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(server.get(&account.key, &format!("{path}?format=csv")).await.bytes, file.bytes);
    let mut reader = csv::Reader::from_reader(&file.bytes[..]);
    let header = reader.headers().expect("a header").clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), 3, "two words on marketing, one on the rest");
    let cell = |row: usize, name: &str| {
        let at = header.iter().position(|column| column == name).expect("a column");
        rows[row][at].to_owned()
    };
    let first = (0..3).find(|row| cell(*row, "status") == "opted_in").expect("the first word");
    assert_eq!(cell(first, "evidence"), "'=1+1");
    assert_eq!(cell(first, "phone"), format!("'{PHONE}"));
    assert_eq!(cell(first, "wording"), "Agreed,\n\"yes\"");
    server.get(&account.key, &format!("{path}?format=xml")).await.refused(422, "invalid_field");
}

/// The link for a phone, as a text would carry it.
async fn link(server: &Server, account: &Account) -> String {
    let mut tx = server.app.db.read().await.expect("reads");
    let links = OptOutLinks::load(&mut tx).await.expect("loads").expect("the server runs");
    let url = links.url(account_id(account), PHONE);
    let path = url.strip_prefix(&server.app.public_url).expect("it leads here");
    path.to_owned()
}

async fn a_link_opts_out_with_one_press(engine: Engine) {
    let (server, account) = shop(engine).await;
    server.post(&account.key, "/v1/consents", &word("opted_in")).await.made();
    let path = link(&server, &account).await;
    for _ in 0..2 {
        let page = server.get("", &path).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let html = page.text();
        assert!(html.contains("Sam") && html.contains("•••• 0147"), "{html}");
        assert!(!html.contains("5550147") && html.contains("<form method=\"post\">"), "{html}");
        assert!(!html.contains("<script") && !html.contains("style="), "nothing is inline");
        let policy = page.header("content-security-policy");
        assert!(policy.contains("form-action 'self'") && !policy.contains("script"), "{policy}");
    }
    assert_eq!(stands(&server, &account).await.1, "opted_in", "looking changes nothing");
    for (n, body) in ["", "List-Unsubscribe=One-Click"].into_iter().enumerate() {
        let asking = server.ask(Method::POST, &path).header("user-agent", "Safari");
        let asking = asking.header("x-forwarded-for", "6.6.6.6, 203.0.113.7");
        let pressed = asking.body("application/x-www-form-urlencoded", body).send().await;
        assert_eq!(pressed.status, 200, "{}", pressed.text());
        assert!(pressed.text().contains("You are unsubscribed"), "{n}");
    }
    assert_eq!(stands(&server, &account).await, ("opted_out".into(), "opted_out".into()));
    assert!(answers(&server, &account).await.is_empty(), "the page itself confirms it");
    let list = server.get(&account.key, "/v1/consents?category=marketing").await.ok();
    let words = list["data"].as_array().expect("words");
    assert_eq!(words.len(), 2, "pressing twice says it once");
    assert_eq!((&words[1]["source"], &words[1]["ip"]), (&json!("link"), &json!("203.0.113.7")));
    assert_eq!(words[1]["user_agent"], "Safari");
    comes(&server, 1, "START").await;
    assert_eq!(stands(&server, &account).await.1, "opted_in", "START is the way back");
    for bad in ["/o/x", "/o/", &path[..path.len() - 1]] {
        assert_eq!(server.get("", bad).await.status, 404, "{bad}");
        assert_eq!(server.ask(Method::POST, bad).send().await.status, 404, "{bad}");
    }
    // The variable stands in an account's own words, and in the text.
    let source = "Hi. Stop: {{ opt_out_link }}";
    assert!(Template::parse(source).is_ok());
    let made = json!({"name": "help", "bodies": {"en": source}, "context": "consent.help"});
    let made = server.post(&account.key, "/v1/templates", &made).await.made();
    assert_eq!(made["problems"], json!([]));
    let choice = json!({"contexts": {"consent.help": {"template_id": made["id"]}}});
    set(&server, &account, &choice).await;
    comes(&server, 2, "HELP").await;
    let mut tx = server.app.db.read().await.expect("reads");
    let list = store::consents::answers_to(&mut tx, account_id(&account), PHONE).await;
    let id = list.expect("lists").last().expect("an answer").1;
    drop(tx);
    let text = server.get(&account.key, &format!("/v1/messages/{id}")).await.ok();
    let body = text["body"].as_str().expect("a body");
    assert_eq!(body, format!("Hi. Stop: {}{path}", server.app.public_url));
}

async fn nothing_is_seen_from_another_account(engine: Engine) {
    let (server, one) = shop(engine).await;
    let other = server.account("other").await;
    let contact = json!({"phone": PHONE});
    let contact = server.post(&one.key, "/v1/contacts", &contact).await.made();
    let contact = contact["id"].as_str().expect("an id").to_owned();
    server.post(&one.key, "/v1/consents", &word("opted_in")).await.made();
    let template = json!({"name": "t", "bodies": {"en": "Hello"}});
    let template = server.post(&one.key, "/v1/templates", &template).await.made();
    let template = template["id"].as_str().expect("an id").to_owned();
    set(&server, &one, &json!({"footer": "One's own footer"})).await;
    let senders = server.get(&one.key, "/v1/senders").await.ok();
    let sender = senders["data"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(arrives(&server, &text(&sid(1), PHONE, NUMBER, "STOP")).await.status, 200);
    for path in ["/v1/consents", "/v1/templates", "/v1/contacts?phone=%2B13125550147"] {
        assert_eq!(server.get(&other.key, path).await.ok()["data"], json!([]), "{path}");
    }
    let settings = server.get(&other.key, "/v1/settings").await.ok();
    assert_eq!(settings["footer"], "Reply STOP to opt out.");
    let words = json!({"name": "mine", "bodies": {"en": "Mine"}});
    for (method, path, body) in [
        (Method::GET, format!("/v1/contacts/{contact}"), None),
        (Method::GET, format!("/v1/contacts/{contact}/consent-proof"), None),
        (Method::PATCH, format!("/v1/contacts/{contact}"), Some(json!({"name": "X"}))),
        (Method::PATCH, format!("/v1/senders/{sender}"), Some(json!({"answers_stop": "carrier"}))),
        (Method::PUT, format!("/v1/templates/{template}"), Some(words)),
        (Method::DELETE, format!("/v1/templates/{template}"), None),
    ] {
        let asking = server.ask(method.clone(), &path).key(&other.key);
        let asking = match &body {
            Some(body) => asking.json(body),
            None => asking,
        };
        asking.send().await.refused(404, "not_found");
    }
    let preview = json!({"template_id": template});
    let asking = server.post(&other.key, "/v1/templates/preview", &preview).await;
    asking.refused(404, "not_found");
    let choice = json!({"contexts": {"consent.help": {"template_id": template}}});
    let asking = server.ask(Method::PUT, "/v1/settings").key(&other.key).json(&choice);
    asking.send().await.refused(422, "invalid_field");
    let own = server.post(&other.key, "/v1/contacts", &json!({"phone": PHONE})).await.made();
    assert_eq!(own["consent"]["marketing"], "unknown", "a STOP is heard by its account alone");
}

async fn texts_of_callers_carry_the_link(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let path = link(&server, &account).await;
    let text = json!({"to": PHONE, "template": "Stop: {{ opt_out_link }}"});
    let taken = server.post(&account.key, "/v1/messages", &text).await.with(202);
    let path_of = format!("/v1/messages/{}", taken["id"].as_str().expect("an id"));
    let shown = server.get(&account.key, &path_of).await.ok();
    let expected = format!("Stop: {}{path}", server.app.public_url);
    assert_eq!(shown["body"], expected);
    let contact = json!({"phone": PHONE, "consent": "opted_in"});
    server.post(&account.key, "/v1/contacts", &contact).await.made();
    let campaign = json!({
        "name": "Spring", "category": "marketing", "body": "Stop: {{ opt_out_link }}",
        "audience": {"all": true}
    });
    let campaign = server.post(&account.key, "/v1/campaigns", &campaign).await.made();
    let id = campaign["id"].as_str().expect("an id");
    let quote = server.order(&account.key, &format!("/v1/campaigns/{id}/quote")).await.ok();
    assert_eq!(quote["recipients"], 1, "{quote}");
    assert!(quote.to_string().contains(&expected), "{quote}");
}
