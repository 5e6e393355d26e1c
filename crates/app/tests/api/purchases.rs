//! Buying credits on a page.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use testkit::Engine;

use crate::server::{OPERATOR, Server};
use crate::till::{CARD, Till, event};

testkit::both_engines!(
    the_price_list_is_shown,
    a_purchase_begins_on_a_page_and_ends_with_the_money,
    a_request_that_is_sent_again_buys_once,
    bad_requests_are_refused_by_name,
    without_stripe_nothing_is_begun,
    a_page_that_could_not_be_opened_is_opened_later,
    a_lost_webhook_is_made_up_for,
    a_page_that_stripe_refuses_fails_the_purchase,
    coming_back_from_the_page_grants_nothing,
    the_card_of_a_purchase_is_kept_when_asked_for,
    another_account_sees_nothing,
    the_sandbox_takes_payments_when_no_stripe_is_set,
);

const START: i64 = 1_784_130_000;

async fn the_price_list_is_shown(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("a").await;
    let list = till.server.get(&account.key, "/v1/packs").await.ok();
    assert_eq!(
        list["data"][0],
        json!({
            "id": "starter", "name": "Starter", "credits": 500, "amount": 1000, "currency": "usd",
            "tax_note": "Sales tax is not included.",
        })
    );
    assert_eq!(list["custom"], json!({"min_credits": 100, "max_credits": 1_000_000}));
    till.server.get("", "/v1/packs").await.refused(401, "unauthorized");
}

async fn a_purchase_begins_on_a_page_and_ends_with_the_money(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("Ann's").await;
    let wanted = json!({"credits": 601});
    let made = till.server.post(&account.key, "/v1/purchases", &wanted).await.made();
    // 601 x 1000 / 500 = 1202.
    assert_eq!((&made["amount"], &made["currency"]), (&json!(1202), &json!("usd")));
    assert_eq!(
        (&made["state"], &made["kind"], &made["pack"]),
        (&json!("pending"), &json!("checkout"), &Value::Null)
    );
    let id = made["id"].as_str().expect("an id").to_owned();
    let form = {
        let shop = till.shop();
        let call = shop.calls.iter().find(|call| call.1 == "/v1/checkout/sessions");
        let call = call.expect("a page was asked for");
        assert_eq!(call.3, format!("purchase:{id}"));
        call.2.clone()
    };
    for (name, value) in [
        ("mode", "payment"),
        ("line_items[0][quantity]", "1"),
        ("line_items[0][price_data][unit_amount]", "1202"),
        ("line_items[0][price_data][currency]", "usd"),
        ("metadata[ledgerline_account]", &account.id),
        ("metadata[ledgerline_purchase]", &id),
        ("payment_intent_data[metadata][ledgerline_account]", &account.id),
        ("payment_intent_data[metadata][ledgerline_purchase]", &id),
        ("client_reference_id", &account.id),
    ] {
        assert_eq!(form[name], value, "{name}");
    }
    let page = form["success_url"].clone();
    assert!(page.starts_with(&format!("{}/purchases/", till.server.app.public_url)), "{page}");
    let path = &page[till.server.app.public_url.len()..];
    let shown = till.server.get("", path).await;
    assert!(shown.header("content-security-policy").contains("default-src 'none'"));
    let text = shown.text();
    for words in
        ["Ann&#39;s", "Waiting for the payment", "12.02 USD", "601 credits", "Pay now", "refresh"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let other = if path.ends_with('A') { 'B' } else { 'A' };
    let forged = format!("{}{other}", &path[..path.len() - 1]);
    till.server.get("", &forged).await.refused(404, "not_found");

    let session = json!({
        "id": made["checkout_url"].as_str().expect("a page").rsplit('/').next(),
        "object": "checkout.session", "mode": "payment", "status": "complete",
        "payment_status": "paid", "payment_intent": "pi_1",
        "metadata": {"ledgerline_account": account.id, "ledgerline_purchase": id},
    });
    till.tell_all(&[event("evt_1", "checkout.session.completed", START, &session)]).await;
    let paid = till.purchase(&account, &id).await;
    assert_eq!((&paid["state"], &paid["payment_intent"]), (&json!("paid"), &json!("pi_1")));
    assert_eq!(
        (&paid["checkout_url"], &paid["paid_at"]),
        (&Value::Null, &json!("2026-07-15T15:40:00Z"))
    );
    let ledger = till.server.get(&account.key, "/v1/ledger").await.ok();
    let line = &ledger["data"][0];
    assert_eq!(
        (&line["kind"], &line["effect_key"]),
        (&json!("purchase"), &json!(format!("purchase:{id}")))
    );
    assert_eq!(line["reason"], "12.02 USD, payment pi_1");
    let text = till.server.get("", path).await.text();
    assert!(text.contains("Thank you") && text.contains("<dd>601</dd>"), "{text}");
    assert!(!text.contains("Pay now"));
    let list = till.server.get(&account.key, "/v1/purchases").await.ok();
    assert_eq!(list["data"], json!([paid]));
    till.server.audited(&account).await;
}

async fn a_request_that_is_sent_again_buys_once(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("a").await;
    let send = |body: Value| {
        let asking = till.server.ask(Method::POST, "/v1/purchases").key(&account.key).once("k");
        asking.json(&body).send()
    };
    // The first time Stripe does not answer, and the purchase waits.
    till.shop().is_down = true;
    send(json!({"pack": "growth"})).await.refused(503, "unavailable");
    till.shop().is_down = false;
    let made = send(json!({"pack": "growth"})).await;
    assert_eq!(made.header("idempotent-replayed"), "true");
    let made = made.made();
    assert!(made["checkout_url"].is_string());
    assert_eq!(send(json!({"pack": "growth"})).await.made(), made);
    send(json!({"pack": "starter"})).await.refused(422, "idempotency_mismatch");
    let list = till.server.get(&account.key, "/v1/purchases").await.ok();
    assert_eq!(list["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(till.called("/v1/checkout/sessions"), 1);
}

async fn bad_requests_are_refused_by_name(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("a").await;
    for (body, code, field) in [
        (json!({}), "invalid_field", "pack"),
        (json!({"pack": "starter", "credits": 500}), "invalid_field", "credits"),
        (json!({"pack": "nothing"}), "invalid_field", "pack"),
        (json!({"credits": 99}), "invalid_field", "credits"),
        (json!({"credits": 1_000_001}), "invalid_field", "credits"),
        (json!({"credits": -500}), "invalid_field", "credits"),
        (json!({"credits": 500.5}), "invalid_field", "credits"),
        (json!({"amount": 1}), "unknown_field", "amount"),
    ] {
        let refused = till.server.post(&account.key, "/v1/purchases", &body).await.problem();
        assert_eq!(refused, (422, code.to_owned(), Some(field.to_owned())), "{body}");
    }
    let list = till.server.get(&account.key, "/v1/purchases").await.ok();
    assert_eq!(list["data"], json!([]));
    assert!(till.shop().calls.is_empty());
}

async fn without_stripe_nothing_is_begun(engine: Engine) {
    let server = Server::start_with(engine, |settings| {
        settings.twilio = Some(ledgerline::entry::settings::Twilio {
            account_sid: format!("AC{}", "0".repeat(32)),
            auth_token: None,
            previous_auth_token: None,
            api_key: None,
            messaging_service_sid: None,
            phone_number: None,
            api_base: ledgerline::entry::settings::TWILIO_API_BASE.to_owned(),
        });
    })
    .await;
    let account = server.account("a").await;
    let wanted = json!({"pack": "starter"});
    server.post(&account.key, "/v1/purchases", &wanted).await.refused(503, "unavailable");
    let list = server.get(&account.key, "/v1/purchases").await.ok();
    assert_eq!(list["data"], json!([]));
    let on = json!({"enabled": true, "threshold": 10, "pack": "starter"});
    let asking = server.ask(Method::PUT, "/v1/auto-topup").key(&account.key).json(&on);
    asking.send().await.refused(503, "unavailable");
    let hook = server.ask(Method::POST, "/hooks/stripe").body("application/json", "{}");
    hook.send().await.refused(503, "unavailable");
    assert!(server.app.stripe_sandbox.is_none());
}

async fn a_page_that_could_not_be_opened_is_opened_later(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("a").await;
    let wanted = json!({"pack": "starter"});
    till.shop().is_down = true;
    till.server.post(&account.key, "/v1/purchases", &wanted).await.refused(503, "unavailable");
    till.server.post(&account.key, "/v1/purchases", &wanted).await.refused(503, "unavailable");
    let list = till.server.get(&account.key, "/v1/purchases").await.ok();
    let ids: Vec<&str> = list["data"]
        .as_array()
        .expect("rows")
        .iter()
        .filter_map(|row| row["id"].as_str())
        .collect();
    assert_eq!(ids.len(), 2);
    let [later, first] = [ids[0], ids[1]];
    assert_eq!(till.purchase(&account, first).await["checkout_url"], Value::Null);
    till.shop().is_down = false;
    // Whoever looks has it opened, and so does the timer.
    assert!(till.purchase(&account, first).await["checkout_url"].is_string());
    till.server.clock.advance(Duration::from_secs(61));
    till.look().await;
    till.shop().is_down = true;
    assert!(till.purchase(&account, later).await["checkout_url"].is_string());
    // One that waits too long is given up.
    till.server.post(&account.key, "/v1/purchases", &wanted).await.refused(503, "unavailable");
    till.server.clock.advance(Duration::from_secs(23 * 3600));
    till.look().await;
    let list = till.server.get(&account.key, "/v1/purchases?limit=1").await.ok();
    assert_eq!(list["data"][0]["state"], "expired");
    till.server.audited(&account).await;
}

async fn a_lost_webhook_is_made_up_for(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("a").await;
    let (paid, expired) = (till.buy(&account).await, till.buy(&account).await);
    for (it, session) in [
        (&paid, paid.session("complete", "paid")),
        (&expired, expired.session("expired", "unpaid")),
    ] {
        till.shop().objects.insert(format!("/v1/checkout/sessions/{}", it.checkout), session);
    }
    till.look().await;
    assert_eq!(till.available(&account).await, 0, "it is not asked about at once");
    till.server.clock.advance(Duration::from_secs(301));
    till.look().await;
    assert_eq!(till.available(&account).await, 500);
    assert_eq!(till.purchase(&account, &paid.id).await["state"], "paid");
    assert_eq!(till.purchase(&account, &expired.id).await["state"], "expired");
    // When the webhook arrives after all, nothing is left to be done.
    till.tell_all(&paid.events(START, &paid.paid())).await;
    assert_eq!(till.available(&account).await, 500);
    till.server.audited(&account).await;
}

async fn a_page_that_stripe_refuses_fails_the_purchase(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("a").await;
    let it = till.buy(&account).await;
    // The key of the next purchase is taken for something else.
    let wanted = json!({"pack": "starter"});
    till.shop().refuses_pages = true;
    let made = till.server.post(&account.key, "/v1/purchases", &wanted).await.made();
    assert_eq!((&made["state"], &made["checkout_url"]), (&json!("failed"), &Value::Null));
    assert!(made["reason"].as_str().expect("a reason").contains("too small"), "{made}");
    assert_eq!(till.purchase(&account, &it.id).await["state"], "pending");
}

async fn coming_back_from_the_page_grants_nothing(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("a").await;
    let it = till.buy(&account).await;
    let page = {
        let shop = till.shop();
        let call = shop.calls.iter().find(|call| call.1 == "/v1/checkout/sessions");
        call.expect("a page was asked for").2["success_url"].clone()
    };
    let path = &page[till.server.app.public_url.len()..];
    for query in ["", "?session_id=cs_1", "?payment_status=paid&redirect_status=succeeded"] {
        let shown = till.server.get("", &format!("{path}{query}")).await;
        assert_eq!(shown.status, 200);
    }
    till.look().await;
    assert_eq!(till.available(&account).await, 0);
    assert_eq!(till.purchase(&account, &it.id).await["state"], "pending");
}

async fn the_card_of_a_purchase_is_kept_when_asked_for(engine: Engine) {
    let till = Till::start(engine).await;
    let card = json!({
        "id": CARD, "object": "payment_method", "type": "card", "customer": "cus_any",
        "card": {"brand": "visa", "last4": "4242", "exp_month": 7, "exp_year": 2031},
    });
    till.shop().objects.insert(format!("/v1/payment_methods/{CARD}"), card.clone());
    for (save_card, wanted) in [
        (false, Value::Null),
        (
            true,
            json!({
                "brand": "visa", "last4": "4242", "expires": "07/2031"
            }),
        ),
    ] {
        let account = till.server.account("a").await;
        let body = json!({"pack": "starter", "save_card": save_card});
        let made = till.server.post(&account.key, "/v1/purchases", &body).await.made();
        let id = made["id"].as_str().expect("an id").to_owned();
        let usage = till
            .shop()
            .calls
            .last()
            .expect("a call")
            .2
            .get("payment_intent_data[setup_future_usage]")
            .cloned();
        assert_eq!(usage.as_deref(), save_card.then_some("off_session"));
        let it = crate::till::Bought::new(&account, id, "cs_any".into());
        till.tell_all(&it.events(START, &it.paid())).await;
        let rule = till.server.get(&account.key, "/v1/auto-topup").await.ok();
        assert_eq!(rule["card"], wanted);
        if !save_card {
            continue;
        }
        // A card that is taken away is gone, and old news of it does not bring it back.
        let mut gone = card.clone();
        gone["customer"] = Value::Null;
        till.shop().objects.insert(format!("/v1/payment_methods/{CARD}"), gone.clone());
        let detached = event("evt_gone", "payment_method.detached", START + 900, &gone);
        let again = it.intent("succeeded");
        let again = event("evt_again", "payment_intent.succeeded", START + 1000, &again);
        till.tell_all(&[detached, again]).await;
        let rule = till.server.get(&account.key, "/v1/auto-topup").await.ok();
        assert_eq!(rule["card"], Value::Null);
    }
}

async fn another_account_sees_nothing(engine: Engine) {
    let till = Till::start(engine).await;
    let (ours, others) = (till.server.account("a").await, till.server.account("b").await);
    let it = till.buy(&ours).await;
    let path = format!("/v1/purchases/{}", it.id);
    till.server.get(&others.key, &path).await.refused(404, "not_found");
    till.server.get(OPERATOR, &path).await.refused(403, "forbidden");
    till.server.get("", &path).await.refused(401, "unauthorized");
    let list = till.server.get(&others.key, "/v1/purchases").await.ok();
    assert_eq!(list["data"], json!([]));
    let rule = till.server.get(&others.key, "/v1/auto-topup").await.ok();
    assert_eq!((&rule["state"], &rule["pack"]), (&json!("off"), &Value::Null));
}

async fn the_sandbox_takes_payments_when_no_stripe_is_set(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let wanted = json!({"pack": "starter"});
    let made = server.post(&account.key, "/v1/purchases", &wanted).await.made();
    let url = made["checkout_url"].as_str().expect("a page");
    let sandbox = server.app.stripe_sandbox.as_ref().expect("it runs");
    assert!(url.starts_with(&sandbox.base()), "{url}");
}
