//! Texts that come in through the hook, and what other tests of texts use to have some come.

use axum::http::Method;
use domain::ids::ThreadId;
use ledgerline::entry::settings::{Settings, Twilio};
use serde_json::json;
use store::threads;
use testkit::Engine;
use twilio::signature;

use crate::server::{Account, Reply, Server, account_id};

testkit::both_engines!(
    a_text_that_came_in_is_kept_once_on_its_thread,
    a_shared_number_belongs_to_whoever_texted_last,
    a_single_account_hears_strangers_on_the_shared_number,
    signatures_are_checked_as_the_public_sees_the_server,
);

pub const PUBLIC: &str = "https://texts.example.com";
pub const TOKEN: &str = "the-present-token";
const PREVIOUS: &str = "the-token-before";
const BACKUP: &str = "the-token-of-the-backup";
pub const NUMBER: &str = "+13125550199";

fn twilio(token: &str) -> Twilio {
    Twilio {
        account_sid: format!("AC{}", "0".repeat(32)),
        auth_token: Some(token.to_owned().into()),
        previous_auth_token: None,
        api_key: None,
        messaging_service_sid: None,
        phone_number: Some("+13125550100".to_owned()),
        api_base: "http://127.0.0.1:9".to_owned(),
    }
}

/// Behind a proxy that ends TLS, with tokens of every kind.
pub fn live(settings: &mut Settings) {
    let previous_auth_token = Some(PREVIOUS.to_owned().into());
    settings.public_url = Some(PUBLIC.to_owned());
    settings.twilio = Some(Twilio { previous_auth_token, ..twilio(TOKEN) });
    settings.backup = Some(twilio(BACKUP));
}

pub fn sid(n: u32) -> String {
    format!("SM{n:032x}")
}

pub fn text<'a>(
    sid: &'a str,
    from: &'a str,
    to: &'a str,
    body: &'a str,
) -> Vec<(&'a str, &'a str)> {
    vec![
        ("MessageSid", sid),
        ("From", from),
        ("To", to),
        ("Body", body),
        ("NumMedia", "0"),
        ("NumSegments", "1"),
        ("FromCity", ""),
    ]
}

async fn post(server: &Server, pairs: &[(&str, &str)], signature: Option<&str>) -> Reply {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let asking = server.ask(Method::POST, "/hooks/twilio/inbound");
    let asking = match signature {
        Some(signature) => asking.header("x-twilio-signature", signature),
        None => asking,
    };
    asking.body("application/x-www-form-urlencoded", body).send().await
}

pub async fn arrives(server: &Server, pairs: &[(&str, &str)]) -> Reply {
    let url = format!("{PUBLIC}/hooks/twilio/inbound");
    post(server, pairs, Some(&signature::sign(TOKEN, &url, pairs))).await
}

async fn texts(server: &Server, account: &Account) -> Vec<(ThreadId, String, usize)> {
    let mut tx = server.app.db.read().await.expect("reads");
    let account = account_id(account);
    let mut list = Vec::new();
    for thread in threads::list_threads(&mut tx, account, 100).await.expect("lists") {
        let inbound = threads::inbound_of_thread(&mut tx, account, thread.id, 100).await;
        list.push((thread.id, thread.phone, inbound.expect("lists").len()));
    }
    list.sort_by(|a, b| a.1.cmp(&b.1));
    list
}

async fn a_text_that_came_in_is_kept_once_on_its_thread(engine: Engine) {
    let server = Server::start_with(engine, live).await;
    let (one, other) = (server.account("one").await, server.account("other").await);
    let sender = json!({"kind": "long_code", "address": NUMBER});
    server.post(&one.key, "/v1/senders", &sender).await.made();
    let sids: Vec<String> = (1..=3).map(sid).collect();
    for (n, from, body) in [
        (0, "+13125550147", "Y"),
        (0, "+13125550147", "Y"),
        (1, "+13125550147", "I am late 👍🏽"),
        (2, "whatsapp:+13125550148", ""),
        (1, "+13125550147", "I am late 👍🏽"),
    ] {
        let reply = arrives(&server, &text(&sids[n], from, NUMBER, body)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("content-type"), "text/xml; charset=utf-8");
        assert!(reply.text().ends_with("<Response></Response>"));
    }
    let kept = texts(&server, &one).await;
    let kept: Vec<(&str, usize)> = kept.iter().map(|(_, phone, n)| (phone.as_str(), *n)).collect();
    assert_eq!(kept, [("+13125550147", 2), ("whatsapp:+13125550148", 1)]);
    assert!(texts(&server, &other).await.is_empty());
    let nobody = arrives(&server, &text(&sid(9), "+13125550147", "+19995550000", "Y")).await;
    nobody.refused(404, "not_found");
    let unreadable = arrives(&server, &[("MessageSid", "SM1"), ("From", "x")]).await;
    unreadable.refused(400, "invalid_field");
}

async fn a_shared_number_belongs_to_whoever_texted_last(engine: Engine) {
    let server = Server::start_with(engine, live).await;
    let (one, other) = (server.account("one").await, server.account("other").await);
    let phone = "+13125550147";
    for account in [&one, &other] {
        let text = json!({"to": phone, "body": "Hello"});
        server.post(&account.key, "/v1/messages", &text).await.with(202);
    }
    arrives(&server, &text(&sid(1), phone, "+13125550100", "Thanks")).await;
    assert!(texts(&server, &one).await.is_empty());
    assert_eq!(texts(&server, &other).await.len(), 1);
    let sid = sid(2);
    let stranger = text(&sid, "+13125550555", "+13125550100", "Who is this?");
    arrives(&server, &stranger).await.refused(404, "not_found");
}

async fn a_single_account_hears_strangers_on_the_shared_number(engine: Engine) {
    let server = Server::start_with(engine, live).await;
    let only = server.account("only").await;
    let phone = "+13125550147";
    let first = sid(1);
    arrives(&server, &text(&first, phone, "+13125550100", "Who is this?")).await;
    assert_eq!(texts(&server, &only).await.len(), 1);
    // A number that is nobody's stays nobody's, whoever texts it.
    let second = sid(2);
    let astray = text(&second, phone, "+19995550000", "Hello?");
    arrives(&server, &astray).await.refused(404, "not_found");
}

async fn signatures_are_checked_as_the_public_sees_the_server(engine: Engine) {
    let server = Server::start_with(engine, live).await;
    let one = server.account("one").await;
    let sender = json!({"kind": "long_code", "address": NUMBER});
    server.post(&one.key, "/v1/senders", &sender).await.made();
    let bodies = ["Y", "", "a b&c=d%20", "Ünïcode 👍🏽 \n two lines"];
    let hook = "/hooks/twilio/inbound";
    let urls = [
        (format!("{PUBLIC}{hook}"), true),
        (format!("https://texts.example.com:443{hook}"), true),
        (format!("http://texts.example.com{hook}"), false),
        (format!("https://texts.example.com:8443{hook}"), false),
        (format!("http://127.0.0.1:8080{hook}"), false),
        (format!("{PUBLIC}{hook}/"), false),
        (format!("{PUBLIC}{hook}?x=1"), false),
        (format!("https://evil.example{hook}"), false),
    ];
    let (mut good, mut bad, mut n) = (0, 0, 100);
    for body in bodies {
        for (url, fits) in &urls {
            n += 1;
            let sid = sid(n);
            let pairs = text(&sid, "+13125550147", NUMBER, body);
            let reply = post(&server, &pairs, Some(&signature::sign(TOKEN, url, &pairs))).await;
            assert_eq!(reply.status, if *fits { 200 } else { 403 }, "{url} {body:?}");
            if *fits { good += 1 } else { bad += 1 }
        }
    }
    let url = &urls[0].0;
    for (token, fits) in [(TOKEN, true), (PREVIOUS, true), (BACKUP, true), ("", false)] {
        n += 1;
        let sid = sid(n);
        let pairs = text(&sid, "+13125550147", NUMBER, "Y");
        let signature = signature::sign(token, url, &pairs);
        let reply = post(&server, &pairs, Some(&signature)).await;
        assert_eq!(reply.status, if fits { 200 } else { 403 }, "{token}");
        if fits {
            good += 1;
        } else {
            bad += 1;
        }
        // The right signature for other words, shortened, or none at all.
        let changed = text(&sid, "+13125550147", NUMBER, "N");
        for (pairs, signature, status) in [
            (&changed, Some(signature.as_str()), 403),
            (&pairs, Some(&signature[..signature.len() - 1]), 403),
            (&pairs, Some(""), 403),
            (&pairs, None, 400),
        ] {
            let reply = post(&server, pairs, signature).await;
            assert_eq!(reply.status, status, "{signature:?}");
            bad += 1;
        }
    }
    assert!(good >= 8 && bad >= 32, "{good} good, {bad} bad");
}
