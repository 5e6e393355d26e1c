//! Notices and the mail about them.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use domain::seam::Clock as _;
use ledgerline::entry::mail::{MailSettings, mailer};
use ledgerline::flow::notices::{MemoryMailer, TRIES_MAX, mail_due};
use serde_json::{Value, json};
use store::notices::{Notice, NoticeKind, give};
use testkit::Engine;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::server::{Account, Server, account_id};

testkit::both_engines!(
    a_notice_is_given_once_and_seen_once,
    notices_are_mailed_once_to_whoever_is_named,
    a_mail_that_fails_is_tried_again_and_given_up,
    mail_leaves_over_smtp,
);

fn notice(subject: &str) -> Notice {
    Notice {
        kind: NoticeKind::Payment,
        subject: subject.to_owned(),
        title: format!("About {subject}"),
        detail: "Something happened.".to_owned(),
        link: Some("/v1/wallet".to_owned()),
    }
}

async fn tell(server: &Server, account: &Account, subject: &str) -> bool {
    server.clock.advance(Duration::from_secs(1));
    let mut tx = server.app.db.begin().await.expect("begins");
    let given = give(&mut tx, account_id(account), notice(subject)).await.expect("gives");
    tx.commit().await.expect("commits");
    given
}

async fn named(server: &Server, account: &Account) {
    let wanted = json!({"billing_email": "books@example.com"});
    server.ask(Method::PUT, "/v1/settings").key(&account.key).json(&wanted).send().await.ok();
}

async fn newest(server: &Server, account: &Account) -> Value {
    server.get(&account.key, "/v1/notices?limit=1").await.ok()["data"][0].clone()
}

async fn a_notice_is_given_once_and_seen_once(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Sam's").await;
    let other = server.account("Kim's").await;
    for (subject, news) in [("a", true), ("b", true), ("a", false), ("c", true)] {
        assert_eq!(tell(&server, &account, subject).await, news, "{subject}");
    }
    assert!(tell(&server, &other, "a").await, "another account has subjects of its own");
    let list = server.get(&account.key, "/v1/notices").await.ok();
    let data = list["data"].as_array().expect("a list").clone();
    let subjects: Vec<&Value> = data.iter().map(|one| &one["subject"]).collect();
    assert_eq!(subjects, ["c", "b", "a"]);
    assert_eq!(
        [&data[0]["kind"], &data[0]["title"], &data[0]["link"], &data[0]["mail"]],
        ["payment", "About c", "/v1/wallet", "none"]
    );
    let path = format!("/v1/notices/{}/seen", data[1]["id"].as_str().expect("an id"));
    server.order(&other.key, &path).await.refused(404, "not_found");
    let seen = server.order(&account.key, &path).await.ok();
    assert!(seen["seen_at"].is_string(), "{seen}");
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(server.order(&account.key, &path).await.ok(), seen, "the first time counts");
    let unseen = server.get(&account.key, "/v1/notices?unseen=true&limit=1").await.ok();
    assert_eq!(unseen["data"][0]["subject"], "c");
    let cursor = unseen["next_cursor"].as_str().expect("more");
    let path = format!("/v1/notices?unseen=true&limit=1&cursor={cursor}");
    let rest = server.get(&account.key, &path).await.ok();
    assert_eq!((&rest["data"][0]["subject"], &rest["next_cursor"]), (&json!("a"), &Value::Null));
    let (status, _, field) = server.get(&account.key, "/v1/notices?unseen=1").await.problem();
    assert_eq!((status, field.as_deref()), (422, Some("unseen")));
}

async fn notices_are_mailed_once_to_whoever_is_named(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Sam's").await;
    let db = &server.app.db;
    let mailer = MemoryMailer::default();
    tell(&server, &account, "before anybody was named").await;
    named(&server, &account).await;
    tell(&server, &account, "a\r\nBcc: eve@example.net").await;
    assert_eq!(newest(&server, &account).await["mail"], "due");
    let tried = mail_due(db, &mailer, "https://texts.example.com").await.expect("mails");
    let again = mail_due(db, &mailer, "https://texts.example.com").await.expect("mails");
    assert_eq!((tried, again), (1, 0));
    let letters = mailer.letters();
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0].to, "books@example.com");
    assert_eq!(letters[0].subject, "Sam's: About a Bcc: eve@example.net");
    assert!(letters[0].body.ends_with("\nhttps://texts.example.com/v1/wallet\n"));
    let told = newest(&server, &account).await;
    assert_eq!(
        (&told["mail"], told["id"].as_str()),
        (&json!("sent"), Some(&*letters[0].id.to_string()))
    );
    // Nobody is named any more: nobody is written to.
    tell(&server, &account, "b").await;
    let nobody = json!({"billing_email": null});
    server.ask(Method::PUT, "/v1/settings").key(&account.key).json(&nobody).send().await.ok();
    assert_eq!(mail_due(db, &mailer, "").await.expect("mails"), 0);
    assert_eq!(newest(&server, &account).await["mail"], "none");
}

async fn a_mail_that_fails_is_tried_again_and_given_up(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Sam's").await;
    named(&server, &account).await;
    let db = &server.app.db;
    let mailer = MemoryMailer::default();
    tell(&server, &account, "a").await;
    mailer.fail(2);
    for (seconds, tried) in [(0, 1), (58, 0), (60, 1), (60, 0), (60, 1)] {
        server.clock.advance(Duration::from_secs(seconds));
        let found = mail_due(db, &mailer, "").await.expect("mails");
        assert_eq!(found, tried, "at {}", server.clock.now());
    }
    assert_eq!(mailer.letters().len(), 1, "the third try reached somebody");
    tell(&server, &account, "b").await;
    mailer.fail(u64::MAX);
    let mut tries = 0;
    for _ in 0..30 {
        tries += mail_due(db, &mailer, "").await.expect("mails");
        server.clock.advance(Duration::from_secs(6 * 3600));
    }
    assert_eq!(i64::try_from(tries), Ok(TRIES_MAX));
    assert_eq!(newest(&server, &account).await["mail"], "failed");
}

/// A mail server that takes one mail and answers what it was told.
async fn take_one(listener: TcpListener) -> Vec<String> {
    let (stream, _) = listener.accept().await.expect("a caller");
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut said = Vec::new();
    let mut in_data = false;
    write.write_all(b"220 here\r\n").await.expect("writes");
    while let Ok(Some(line)) = lines.next_line().await {
        said.push(line.clone());
        let word = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        let answer = match word.as_str() {
            "." if in_data => {
                in_data = false;
                "250 taken\r\n"
            }
            _ if in_data => continue,
            "EHLO" => "250-here\r\n250 AUTH PLAIN\r\n",
            "AUTH" => "235 welcome\r\n",
            "DATA" => {
                in_data = true;
                "354 go on\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 fine\r\n",
        };
        write.write_all(answer.as_bytes()).await.expect("writes");
        if word == "QUIT" {
            break;
        }
    }
    said
}

async fn mail_leaves_over_smtp(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Sam's").await;
    named(&server, &account).await;
    tell(&server, &account, "a").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let taking = tokio::spawn(take_one(listener));
    let url = format!("smtp://sam:s%40cret@127.0.0.1:{port}");
    let settings = MailSettings::checked(Some(url), Some("Ledger <l@example.org>".to_owned()));
    let mailer = mailer_of(settings.expect("good").as_ref());
    assert_eq!(mail_due(&server.app.db, &*mailer, "").await.expect("mails"), 1);
    drop(mailer);
    let said = taking.await.expect("no panic").join("\n");
    let id = newest(&server, &account).await["id"].as_str().expect("an id").to_owned();
    for line in [
        // sam and s@cret, as RFC 4616 spells them.
        "AUTH PLAIN AHNhbQBzQGNyZXQ=",
        "MAIL FROM:<l@example.org>",
        "RCPT TO:<books@example.com>",
        &format!("Message-ID: <{id}@example.org>"),
        "Subject: Sam's: About a",
        "Something happened.",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert_eq!(newest(&server, &account).await["mail"], "sent");
    // Nobody listens any more: the mail waits.
    tell(&server, &account, "b").await;
    let url = format!("smtp://127.0.0.1:{port}");
    let settings = MailSettings::checked(Some(url), Some("l@example.org".to_owned()));
    let mailer = mailer_of(settings.expect("good").as_ref());
    assert_eq!(mail_due(&server.app.db, &*mailer, "").await.expect("mails"), 1);
    assert_eq!(newest(&server, &account).await["mail"], "due");
}

fn mailer_of(settings: Option<&MailSettings>) -> Arc<dyn ledgerline::flow::notices::Mailer> {
    mailer(settings).expect("a mailer")
}
