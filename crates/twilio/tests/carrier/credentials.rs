//! Who is let in: the auth token, an API key, nobody else, and nobody at all once revoked.

use twilio::client::{ApiError, Client, Config, Timeouts};
use twilio::outcome::Outcome;
use twilio::sandbox::{Knobs, Options, Sandbox};
use twilio::signature::{self, Body};
use twilio::wire::{CreateMessage, ListFilter};

use crate::peer::{Says, answer, peer};
use crate::rig::{ACCOUNT, FROM, TOKEN, accepted, carrier, client, next, options, send};

const KEY: &str = "SK0123456789abcdef0123456789abcdef";
const SECRET: &str = "key-secret";
const TO: &str = "+13125550100";

fn client_as(carrier: &Sandbox, account: &str, user: &str, password: &str) -> Client {
    Client::new(Config {
        base: format!("http://{}", carrier.addr()),
        account_sid: account.to_owned(),
        username: user.to_owned(),
        password: password.to_owned().into(),
        concurrency: 1,
        timeouts: Timeouts::default(),
    })
    .expect("a client")
}

fn is_refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Rejected { code: 20003, http: 401, .. })
}

#[tokio::test]
async fn the_auth_token_and_an_api_key_open_the_account_and_nothing_else_does() {
    let carrier = carrier(Knobs::default()).await;
    carrier.admit_key(KEY, SECRET);
    let other = "AC00000000000000000000000000000000";
    #[rustfmt::skip]
    let cases = [
        (ACCOUNT, ACCOUNT, TOKEN, true),
        (ACCOUNT, KEY, SECRET, true),
        (ACCOUNT, ACCOUNT, SECRET, false),
        (ACCOUNT, KEY, TOKEN, false),
        (ACCOUNT, ACCOUNT, "", false),
        (ACCOUNT, "", TOKEN, false),
        (ACCOUNT, "SK00000000000000000000000000000000", SECRET, false),
        (ACCOUNT, other, TOKEN, false),
        (other, other, TOKEN, false),
        (other, KEY, SECRET, false),
    ];
    for (account, user, password, opens) in cases {
        let outcome = send(&client_as(&carrier, account, user, password), TO).await;
        let opened = matches!(outcome, Outcome::Accepted { .. });
        assert_eq!(opened, opens, "{account} {user} {password}: {outcome:?}");
        assert_eq!(is_refused(&outcome), !opens);
        assert_eq!(outcome.stops_carrier_account(), !opens);
    }
    assert_eq!(carrier.summary().accepted, 2);
}

#[tokio::test]
async fn an_open_carrier_takes_any_token_and_any_key() {
    let open = Options { credentials: None, ..options(Knobs::default()) };
    let carrier = Sandbox::start(open).await.expect("starts");
    for (user, password, opens) in [
        (ACCOUNT, "anything", true),
        (KEY, "anything", true),
        (ACCOUNT, "", false),
        ("somebody", "anything", false),
    ] {
        let outcome = send(&client_as(&carrier, ACCOUNT, user, password), TO).await;
        assert_eq!(matches!(outcome, Outcome::Accepted { .. }), opens, "{user} {outcome:?}");
    }
}

#[tokio::test]
async fn webhooks_are_signed_with_the_auth_token_whoever_sent() {
    let mut taker = peer(|_, _| Says::Bytes(answer(204, ""))).await;
    let carrier = carrier(Knobs { receipt_delay_ms: 1, ..Knobs::default() }).await;
    carrier.admit_key(KEY, SECRET);
    let url = format!("{}/status", taker.base);
    let message =
        CreateMessage { status_callback: Some(&url), ..CreateMessage::new(TO, FROM, "Hello") };
    accepted(&client_as(&carrier, ACCOUNT, KEY, SECRET), &message).await;
    let heard = next(&mut taker.heard).await;
    let signed = heard.header("x-twilio-signature").expect("signed");
    assert!(signature::validate(TOKEN, &url, signed, Body::Form(&heard.form())));
    assert!(!signature::validate(SECRET, &url, signed, Body::Form(&heard.form())));
}

#[tokio::test]
async fn revoked_credentials_open_nothing_until_they_are_set_back() {
    let carrier = carrier(Knobs { receipts: false, ..Knobs::default() }).await;
    let client = client(&carrier);
    let sid = accepted(&client, &CreateMessage::new(TO, FROM, "Hello")).await;
    let refused = |error: ApiError| {
        assert!(matches!(error, ApiError::Refused { code: 20003, http: 401, .. }), "{error}");
    };
    carrier.set_knobs(Knobs { share_401: 1.0, ..Knobs::default() });
    for _ in 0..3 {
        assert!(is_refused(&send(&client, TO).await));
        refused(client.message(&sid).await.expect_err("revoked"));
        refused(client.list_messages(&ListFilter::default()).await.expect_err("revoked"));
        refused(client.redact(&sid).await.expect_err("revoked"));
        refused(client.delete(&sid).await.expect_err("revoked"));
    }
    assert_eq!(carrier.summary().accepted, 1);
    carrier.set_knobs(Knobs::default());
    assert!(matches!(send(&client, TO).await, Outcome::Accepted { .. }));
    assert!(client.message(&sid).await.is_ok());
}
