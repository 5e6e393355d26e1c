//! Calls: keys, idempotency, what is refused, faults, and what a restart remembers.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use stripe::{CheckoutIn, CustomerIn, Error, Mode, OffSessionPaymentIn, Stripe as _};

use super::rig::{KEY, NOW, Rig, ask, checkout, client_with, keyed, metadata, until};

#[tokio::test]
async fn only_the_key_opens() {
    let rig = Rig::new().await;
    let basic = |user: &str| format!("Basic {}", BASE64.encode(user));
    #[rustfmt::skip]
    let cases = [
        (format!("Bearer {KEY}"), 404),
        (basic(&format!("{KEY}:")), 404),
        (basic(KEY), 404),
        ("Bearer sk_test_other".to_owned(), 401),
        (basic("sk_test_other:"), 401),
        ("Bearer ".to_owned(), 401),
        ("Basic !".to_owned(), 401),
        (KEY.to_owned(), 401),
    ];
    for (value, expected) in cases {
        let headers = format!("Authorization: {value}\r\n");
        let said = ask(&rig.sandbox, "GET", "/v1/charges/ch_1", &headers, "").await;
        assert_eq!(said.status, expected, "{value}");
    }
    assert_eq!(ask(&rig.sandbox, "GET", "/v1/charges/ch_1", "", "").await.status, 401);
    assert_eq!(ask(&rig.sandbox, "GET", "/sandbox/knobs", "", "").await.status, 200, "on loopback");
}

#[tokio::test]
async fn a_sandbox_without_a_key_takes_any() {
    let clock = std::sync::Arc::new(domain::seam::VirtualClock::at(NOW));
    let options = stripe::sandbox::Options { secret_key: None, ..super::rig::options(&clock) };
    let sandbox = stripe::sandbox::Sandbox::start(options).await.expect("starts");
    for (key, expected) in [("sk_test_1", 404), ("rk_test_1", 404), ("pk_test_1", 401), ("", 401)] {
        let headers = format!("Authorization: Bearer {key}\r\n");
        let said = ask(&sandbox, "GET", "/v1/charges/ch_1", &headers, "").await;
        assert_eq!(said.status, expected, "{key}");
    }
}

#[tokio::test]
async fn a_key_does_it_once_and_says_so() {
    let rig = Rig::new().await;
    let post = |key: &str, body: &'static str| {
        let headers = keyed(key);
        let sandbox = &rig.sandbox;
        async move { ask(sandbox, "POST", "/v1/customers", &headers, body).await }
    };
    let first = post("k-1", "email=a%40b.example").await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (200, None));
    assert_eq!(first.header("idempotency-key"), Some("k-1"));
    assert_eq!(first.header("stripe-version"), Some("2026-10-28.endive"));
    let again = post("k-1", "email=a%40b.example").await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, Some("true")));
    assert_eq!(again.body, first.body);
    let other = post("k-1", "email=c%40d.example").await;
    assert_eq!((other.status, &other.json()["error"]["type"]), (400, &json!("idempotency_error")));
    let elsewhere = ask(&rig.sandbox, "POST", "/v1/refunds", &keyed("k-1"), "").await;
    assert_eq!(elsewhere.json()["error"]["type"], "idempotency_error");
    let fresh = post("k-2", "email=a%40b.example").await;
    assert_ne!(fresh.json()["id"], first.json()["id"]);
    assert_eq!(rig.kinds().await, ["customer.created"; 2]);
    // After a day it is forgotten.
    rig.clock.set(domain::instant::Instant(NOW.0 + 24 * 3_600_000_000));
    let late = post("k-1", "email=c%40d.example").await;
    assert_eq!((late.status, late.header("idempotent-replayed")), (200, None));
}

#[tokio::test]
async fn a_decline_is_remembered_and_a_mistake_is_not() {
    let rig = Rig::new().await;
    let customer = rig.customer().await;
    let payment = |method: &str| OffSessionPaymentIn {
        amount: 2500,
        currency: "usd".into(),
        customer: customer.clone(),
        payment_method: method.into(),
        metadata: metadata(),
        ..OffSessionPaymentIn::default()
    };
    let declined = payment("pm_card_chargeDeclined");
    let first = rig.client.create_payment(&declined, "top-1").await.expect_err("declined");
    let again = rig.client.create_payment(&declined, "top-1").await.expect_err("declined");
    assert_eq!(first, again, "the same payment, not a second one");
    let other = rig.client.create_payment(&payment("pm_card_visa"), "top-1").await;
    assert!(matches!(other, Err(Error::Idempotency(_))), "{other:?}");
    let mistake = rig.client.create_payment(&payment("pm_none"), "top-2").await;
    assert!(matches!(mistake, Err(Error::Invalid { .. })), "{mistake:?}");
    let mended = rig.client.create_payment(&payment("pm_card_visa"), "top-2").await;
    assert_eq!(mended.expect("paid").status, "succeeded");
}

#[tokio::test]
async fn the_same_key_at_the_same_time_is_busy() {
    let rig = Rig::new().await;
    rig.knobs(json!({"hang_ms": 600_000})).await;
    let customer = CustomerIn::default();
    let hasty = client_with(&rig.sandbox, Duration::from_secs(60));
    let first = tokio::spawn({
        let customer = customer.clone();
        async move { hasty.create_customer(&customer, "k-1").await }
    });
    let made = async || {
        let events = rig.sandbox.control("GET", "events", &Value::Null).await.1;
        events["events"].as_array().is_some_and(|it| !it.is_empty())
    };
    until(made).await;
    assert_eq!(rig.client.create_customer(&customer, "k-1").await, Err(Error::Busy));
    rig.knobs(json!({"hang_ms": 0})).await;
    assert_eq!(rig.client.create_customer(&customer, "k-1").await, Err(Error::Busy));
    // Whoever asked goes away; what was done is still known.
    first.abort();
    until(async || rig.client.create_customer(&customer, "k-1").await.is_ok()).await;
    assert_eq!(rig.kinds().await, ["customer.created"], "made once");
}

#[tokio::test]
async fn a_lost_answer_is_found_by_asking_again() {
    let rig = Rig::new().await;
    let customer = CustomerIn::default();
    rig.knobs(json!({"hang_ms": 600_000})).await;
    let hasty = client_with(&rig.sandbox, Duration::from_millis(200));
    let lost = hasty.create_customer(&customer, "k-1").await;
    assert!(matches!(lost, Err(Error::Unavailable(_))), "{lost:?}");
    rig.knobs(json!({"hang_ms": 0})).await;
    until(async || rig.client.create_customer(&customer, "k-1").await.is_ok()).await;
    let cases = [
        (json!({"status": 500, "calls": 1, "after": true}), "HTTP 500: It fails on purpose."),
        (json!({"status": 0, "calls": 1, "after": true}), "the connection failed"),
    ];
    for (index, (failing, words)) in cases.into_iter().enumerate() {
        rig.knobs(json!({ "fail_api": failing })).await;
        let key = format!("k-{}", index + 2);
        let lost = rig.client.create_customer(&customer, &key).await.expect_err("it fails");
        assert!(lost.to_string().contains(words), "{lost}");
        let found = rig.client.create_customer(&customer, &key).await;
        assert!(found.is_ok(), "{found:?}");
    }
    assert_eq!(rig.kinds().await, ["customer.created"; 3], "each made once");
}

#[tokio::test]
async fn calls_fail_on_purpose_and_do_nothing() {
    let rig = Rig::new().await;
    let customer = CustomerIn::default();
    let cases = [
        (500, Error::Unavailable("HTTP 500: It fails on purpose.".into())),
        (503, Error::Unavailable("HTTP 503: It fails on purpose.".into())),
        (429, Error::RateLimited),
        (409, Error::Busy),
        (401, Error::Auth("It fails on purpose.".into())),
    ];
    for (status, expected) in cases {
        rig.knobs(json!({"fail_api": {"status": status, "calls": 2}})).await;
        for _ in 0..2 {
            let said = rig.client.create_customer(&customer, "k-1").await;
            assert_eq!(said, Err(expected.clone()), "{status}");
        }
    }
    rig.knobs(json!({"fail_api": {"status": 0, "calls": 1}})).await;
    let said = rig.client.create_customer(&customer, "k-1").await;
    assert!(matches!(said, Err(Error::Unavailable(_))), "{said:?}");
    assert_eq!(rig.kinds().await, [""; 0]);
    assert!(rig.client.create_customer(&customer, "k-1").await.is_ok(), "and then it works");
}

#[tokio::test]
async fn what_is_badly_asked_is_refused() {
    let rig = Rig::new().await;
    let line = "line_items[0][quantity]=1&line_items[0][price_data][currency]=usd\
                &line_items[0][price_data][unit_amount]=100\
                &line_items[0][price_data][product_data][name]=x";
    let page = format!("mode=payment&success_url=https%3A%2F%2Fus.example&{line}");
    let sessions = "/v1/checkout/sessions";
    let day = NOW.seconds() + 25 * 3600;
    let cases: Vec<(&str, String, &str)> = vec![
        (sessions, page.replace("mode=payment&", ""), "parameter_missing"),
        (sessions, page.replace("payment", "gift"), "parameter_invalid"),
        (sessions, page.replace("success_url=https%3A%2F%2Fus.example&", ""), "parameter_missing"),
        (sessions, page.replace("https%3A", "javascript%3A"), "url_invalid"),
        (sessions, page.replace("us.example", "%20"), "url_invalid"),
        (sessions, format!("{page}&cancel_url=us.example"), "url_invalid"),
        (sessions, format!("{page}&customer=cus_none"), "resource_missing"),
        (sessions, format!("{page}&expires_at={day}"), "parameter_invalid"),
        (sessions, format!("{page}&expires_at={}", NOW.seconds() + 60), "parameter_invalid"),
        (sessions, format!("{page}&expires_at=soon"), "parameter_invalid_integer"),
        (sessions, format!("{page}&colour=red"), "parameter_unknown"),
        (sessions, format!("{page}&line_items[2][quantity]=1"), "parameter_unknown"),
        (sessions, page.replace("=100", "=1.5"), "parameter_invalid_integer"),
        (sessions, page.replace("=100", "=-1"), "parameter_invalid_integer"),
        (sessions, page.replace("=100", "=100000000"), "parameter_invalid_integer"),
        (sessions, page.replace("quantity]=1", "quantity]=0"), "parameter_invalid_integer"),
        (sessions, page.replace("quantity]=1", "quantity]=9000000"), "amount_too_large"),
        (sessions, page.replace("=usd", "=dollars"), "parameter_invalid"),
        (sessions, page.replace("=payment", "=subscription"), "parameter_invalid"),
        (sessions, page.replace("=payment", "=setup"), "parameter_invalid"),
        (sessions, "mode=payment&success_url=https%3A%2F%2Fus.example".into(), "parameter_missing"),
        (sessions, "mode=setup&success_url=https%3A%2F%2Fus.example".into(), "parameter_missing"),
        (
            sessions,
            format!("{page}&line_items[0][price_data][recurring][interval]=month"),
            "parameter_invalid",
        ),
        ("/v1/customers", "phone=1".into(), "parameter_unknown"),
        ("/v1/refunds", "payment_intent=pi_none".into(), "resource_missing"),
        ("/v1/refunds", "payment_intent=pi_none&reason=whim".into(), "parameter_invalid"),
        ("/v1/payment_intents", "amount=0&currency=usd".into(), "parameter_invalid_integer"),
        ("/v1/payment_intents", "amount=100&currency=usd".into(), "parameter_missing"),
        (
            "/v1/payment_intents",
            "amount=1&currency=usd&customer=cus_1&payment_method=pm_1".into(),
            "parameter_missing",
        ),
    ];
    for (path, form, code) in cases {
        let said = ask(&rig.sandbox, "POST", path, &keyed("k-1"), &form).await;
        let error = &said.json()["error"];
        let heard = (said.status, error["type"].as_str(), error["code"].as_str());
        assert_eq!(heard, (400, Some("invalid_request_error"), Some(code)), "{path} {form}");
    }
    let said = ask(&rig.sandbox, "POST", sessions, &keyed("k-1"), &page).await;
    assert_eq!(said.status, 200, "{}", said.body);
    let headers = format!("Authorization: Bearer {KEY}\r\nStripe-Version: 2020-08-27\r\n");
    let said = ask(&rig.sandbox, "GET", "/v1/charges/ch_1", &headers, "").await;
    assert_eq!(said.status, 400, "another version");
    for (method, path) in [
        ("GET", "/v1/balance"),
        ("PUT", "/v1/customers"),
        ("GET", "/v2/x"),
        ("POST", "/v1/charges"),
        ("GET", "/v1/refunds/re_none"),
        ("GET", "/v1/customers/pi_none"),
    ] {
        let said = ask(&rig.sandbox, method, path, &keyed("k-9"), "").await;
        assert_eq!(said.status, 404, "{method} {path}");
    }
}

#[tokio::test]
async fn payments_are_found_by_metadata() {
    let rig = Rig::new().await;
    let customer = rig.customer().await;
    let mut payment = OffSessionPaymentIn {
        amount: 100,
        currency: "usd".into(),
        customer,
        payment_method: "pm_card_visa".into(),
        ..OffSessionPaymentIn::default()
    };
    for number in 0..103 {
        let value = if number < 101 { "o'ne\\" } else { "two" };
        payment.metadata = [("topup".to_owned(), value.to_owned())].into();
        rig.client.create_payment(&payment, &format!("top-{number}")).await.expect("paid");
    }
    for (value, expected) in [("o'ne\\", 101), ("two", 2), ("three", 0)] {
        let found = rig.client.payments_by_metadata("topup", value).await.expect("a list");
        assert_eq!(found.len(), expected, "{value}");
        assert!(found.iter().all(|it| it.metadata["topup"] == value));
    }
}

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("stripe.jsonl");
    let before = Rig::keeping(Some(file.clone()), 1).await;
    let session = before.page(&checkout(Mode::Payment), "buy-1").await;
    let open = before.page(&checkout(Mode::Payment), "buy-2").await;
    before.pay(&session.id, "4242424242424242", "").await;
    let told = before.kinds().await;
    let paid = before.client.checkout(&session.id).await.expect("there");
    let intent = paid.payment_intent.clone().expect("paid");
    // Held when it stopped.
    before.knobs(json!({"shuffle": true})).await;
    before.does("refund", json!({"payment_intent": intent, "amount": 100})).await;
    // Lost when it stopped.
    before.knobs(json!({"shuffle": false, "drop": 2})).await;
    before.does("refund", json!({"payment_intent": intent, "amount": 200})).await;
    drop(before);
    // A killed process leaves half a line.
    let mut text = std::fs::read_to_string(&file).expect("it is there");
    text.push_str("{\"objects\":[{\"id\":\"ch_half");
    std::fs::write(&file, text).expect("writes");

    let after = Rig::keeping(Some(file), 2).await;
    assert_eq!(after.client.checkout(&session.id).await.expect("there"), paid);
    assert_eq!(after.client.refunds_of(&intent).await.expect("a list").len(), 2);
    let again = after.page(&checkout(Mode::Payment), "buy-1").await;
    assert_eq!(again.id, session.id, "the key is known");
    let wanted = CheckoutIn { save_card: true, ..checkout(Mode::Payment) };
    let other = after.client.create_checkout(&wanted, "buy-1").await;
    assert!(matches!(other, Err(Error::Idempotency(_))), "{other:?}");
    let heard = after.kinds().await;
    assert!(told.len() >= 4);
    assert!(heard.iter().all(|kind| !told.contains(kind)), "taken once: {heard:?}");
    assert!(heard.len() <= 2, "what was lost stays lost: {heard:?}");
    let said = after.pay(&open.id, "4242424242424242", "").await;
    assert_eq!(said["result"], "done", "an open page is still open");
}
