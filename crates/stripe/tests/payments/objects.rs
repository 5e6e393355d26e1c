//! Objects: every shape that Stripe gives them comes to the same.

use serde_json::{Value, from_value, json};
use stripe::objects::{
    CardError, Charge, CheckoutSession, Customer, Dispute, EarlyFraudWarning, Invoice, Metadata,
    PaymentIntent, PaymentMethod, Refund, SetupIntent, Subscription,
};

#[expect(clippy::needless_pass_by_value, reason = "rows are written where they are read")]
fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    from_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with what may be absent")]
fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn written(pairs: &[(&str, &str)]) -> Metadata {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn a_session_is_read() {
    let session: CheckoutSession = read(json!({
        "id": "cs_1", "object": "checkout.session", "mode": "payment", "status": "complete",
        "payment_status": "paid", "amount_total": 5000, "currency": "usd",
        "payment_intent": {"id": "pi_1", "object": "payment_intent", "amount": 5000},
        "customer": "cus_1", "subscription": null, "setup_intent": null,
        "client_reference_id": "buy_1", "metadata": {"ledgerline_account": "acc_1"},
        "url": null, "expires_at": 1_795_300_000, "ui_mode": "hosted", "custom_fields": [],
    }));
    let expected = CheckoutSession {
        id: "cs_1".into(),
        mode: "payment".into(),
        status: "complete".into(),
        payment_status: "paid".into(),
        amount_total: Some(5000),
        currency: "usd".into(),
        payment_intent: text("pi_1"),
        customer: text("cus_1"),
        client_reference_id: text("buy_1"),
        metadata: written(&[("ledgerline_account", "acc_1")]),
        expires_at: Some(1_795_300_000),
        ..CheckoutSession::default()
    };
    assert_eq!(session, expected);
    let setup: CheckoutSession = read(json!({
        "id": "cs_2", "mode": "setup", "setup_intent": "seti_1", "url": "https://pay.example/",
        "subscription": {"id": "sub_1"}, "amount_total": null, "currency": null,
    }));
    assert_eq!(setup.setup_intent, text("seti_1"));
    assert_eq!(setup.subscription, text("sub_1"));
    assert_eq!(setup.url, text("https://pay.example/"));
    assert_eq!((setup.amount_total, &*setup.currency), (None, ""));
}

#[test]
fn a_payment_and_what_became_of_it_are_read() {
    let payment: PaymentIntent = read(json!({
        "id": "pi_1", "status": "requires_payment_method", "amount": 2500, "amount_received": 0,
        "currency": "usd", "customer": {"id": "cus_1", "object": "customer"},
        "payment_method": null, "latest_charge": "ch_1", "metadata": {"k": "v"},
        "cancellation_reason": null, "client_secret": "pi_1_secret_x",
        "last_payment_error": {
            "type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds",
            "message": "Your card has insufficient funds.", "payment_method": {"id": "pm_1"},
        },
    }));
    let error = CardError {
        code: text("card_declined"),
        decline_code: text("insufficient_funds"),
        message: "Your card has insufficient funds.".into(),
        ..CardError::default()
    };
    let expected = PaymentIntent {
        id: "pi_1".into(),
        status: "requires_payment_method".into(),
        amount: 2500,
        currency: "usd".into(),
        customer: text("cus_1"),
        latest_charge: text("ch_1"),
        metadata: written(&[("k", "v")]),
        last_payment_error: Some(error),
        client_secret: text("pi_1_secret_x"),
        ..PaymentIntent::default()
    };
    assert_eq!(payment, expected);
}

#[test]
fn a_charge_and_its_ways_back_are_read() {
    let refund = json!({
        "id": "re_1", "object": "refund", "amount": 500, "status": "succeeded",
        "currency": "usd", "charge": "ch_1", "payment_intent": "pi_1", "reason": null,
        "metadata": {"a": "b"},
    });
    let expected = Refund {
        id: "re_1".into(),
        amount: 500,
        status: "succeeded".into(),
        currency: "usd".into(),
        charge: text("ch_1"),
        payment_intent: text("pi_1"),
        reason: None,
        metadata: written(&[("a", "b")]),
    };
    assert_eq!(read::<Refund>(refund.clone()), expected);
    let charge: Charge = read(json!({
        "id": "ch_1", "amount": 2500, "amount_refunded": 500, "refunded": false, "paid": true,
        "captured": true, "disputed": true, "currency": "usd", "payment_intent": {"id": "pi_1"},
        "customer": "cus_1", "metadata": {}, "refunds": {"object": "list", "data": [refund]},
    }));
    let whole = Charge {
        id: "ch_1".into(),
        amount: 2500,
        amount_refunded: 500,
        paid: true,
        captured: true,
        disputed: true,
        currency: "usd".into(),
        payment_intent: text("pi_1"),
        customer: text("cus_1"),
        refunds: vec![expected],
        ..Charge::default()
    };
    assert_eq!(charge, whole);
    let dispute: Dispute = read(json!({
        "id": "dp_1", "amount": 2500, "status": "needs_response", "currency": "usd",
        "charge": {"id": "ch_1"}, "payment_intent": "pi_1", "reason": "fraudulent",
    }));
    let disputed = Dispute {
        id: "dp_1".into(),
        amount: 2500,
        status: "needs_response".into(),
        currency: "usd".into(),
        charge: text("ch_1"),
        payment_intent: text("pi_1"),
        reason: text("fraudulent"),
        metadata: Metadata::new(),
    };
    assert_eq!(dispute, disputed);
    let warning: EarlyFraudWarning = read(json!({
        "id": "issfr_1", "charge": "ch_1", "payment_intent": null, "actionable": true,
        "fraud_type": "misc",
    }));
    assert_eq!((warning.charge, warning.payment_intent), (text("ch_1"), None));
    assert!(warning.actionable);
    assert_eq!(warning.fraud_type, "misc");
}

#[test]
fn a_subscription_has_its_period_on_its_item_or_on_itself() {
    let newer: Subscription = read(json!({
        "id": "sub_1", "status": "active", "customer": "cus_1", "metadata": {"k": "v"},
        "cancel_at_period_end": true, "cancel_at": 5, "canceled_at": 3, "ended_at": null,
        "trial_end": 2, "pause_collection": {"behavior": "void"},
        "items": {"object": "list", "data": [{
            "id": "si_1", "quantity": 2, "current_period_start": 10, "current_period_end": 20,
            "price": {"id": "price_1", "lookup_key": "team", "product": "prod_1"},
        }, {"id": "si_2", "current_period_end": 99, "price": "price_2"}]},
    }));
    assert_eq!((newer.current_period_start, newer.current_period_end), (Some(10), Some(20)));
    assert_eq!((newer.cancel_at, newer.canceled_at, newer.ended_at), (Some(5), Some(3), None));
    assert!(newer.cancel_at_period_end && newer.pause_collection);
    assert_eq!((newer.trial_end, &*newer.status), (Some(2), "active"));
    assert_eq!(newer.metadata, written(&[("k", "v")]));
    let first = &newer.items[0];
    assert_eq!((&*first.id, first.quantity), ("si_1", 2));
    assert_eq!((&first.price, &first.lookup_key), (&text("price_1"), &text("team")));
    assert_eq!(first.product, text("prod_1"));
    assert_eq!((newer.items[1].price.clone(), newer.items.len()), (text("price_2"), 2));
    let older: Subscription = read(json!({
        "id": "sub_1", "current_period_start": 1, "current_period_end": 2,
        "items": {"data": [{"id": "si_1"}]}, "pause_collection": null,
    }));
    assert_eq!((older.current_period_start, older.current_period_end), (Some(1), Some(2)));
    assert!(!older.pause_collection);
}

#[test]
fn an_invoice_names_its_subscription_in_two_places() {
    let newer: Invoice = read(json!({
        "id": "in_1", "status": "paid", "billing_reason": "subscription_cycle",
        "amount_paid": 4900, "currency": "usd", "customer": "cus_1", "metadata": {},
        "hosted_invoice_url": "https://invoice.example/", "period_start": 1, "period_end": 2,
        "parent": {"type": "subscription_details", "subscription_details": {
            "subscription": "sub_1", "metadata": {"ledgerline_account": "acc_1"}}},
        "payments": {"data": [{"payment": {"type": "payment_intent", "payment_intent": "pi_1"}}]},
        "lines": {"data": [
            {"id": "il_0", "amount": 100, "period": {"start": 3, "end": 4}, "parent": {
                "type": "invoice_item_details", "invoice_item_details": {}}},
            {"id": "il_1", "amount": -300, "period": {"start": 5, "end": 6}, "parent": {
                "subscription_item_details": {"subscription": "sub_1", "proration": true}}},
            {"id": "il_2", "amount": 4900, "quantity": 1, "description": "Team",
             "period": {"start": 7, "end": 8}, "metadata": {"plan": "team"},
             "pricing": {"price_details": {"price": "price_1"}}, "parent": {
                "subscription_item_details": {"subscription": "sub_1", "proration": false}}},
        ]},
    }));
    assert_eq!((newer.subscription.clone(), newer.amount_paid), (text("sub_1"), 4900));
    assert_eq!(newer.subscription_metadata, written(&[("ledgerline_account", "acc_1")]));
    assert_eq!((newer.period_start, newer.period_end), (Some(7), Some(8)));
    assert_eq!(newer.payment_intent, text("pi_1"));
    assert_eq!(newer.billing_reason, text("subscription_cycle"));
    assert_eq!(newer.hosted_invoice_url, text("https://invoice.example/"));
    assert!(newer.lines[1].proration);
    let line = &newer.lines[2];
    assert_eq!((line.price.clone(), line.description.clone()), (text("price_1"), text("Team")));
    assert_eq!((line.amount, line.quantity), (4900, Some(1)));
    assert_eq!(line.metadata, written(&[("plan", "team")]));
    let older: Invoice = read(json!({
        "id": "in_1", "subscription": {"id": "sub_2"}, "payment_intent": "pi_2",
        "subscription_details": {"metadata": {"k": "v"}}, "lines": {"data": [
            {"id": "il_1", "subscription": "sub_2", "price": {"id": "price_2"},
             "period": {"start": 1, "end": 2}}]},
    }));
    assert_eq!((older.subscription, older.payment_intent), (text("sub_2"), text("pi_2")));
    assert_eq!(older.subscription_metadata, written(&[("k", "v")]));
    assert_eq!((older.period_start, older.period_end), (Some(1), Some(2)));
    assert_eq!(older.lines[0].price, text("price_2"));
    let bare: Invoice = read(json!({"id": "in_1", "period_start": 1, "period_end": 2}));
    assert_eq!((bare.period_start, bare.period_end), (None, None), "they look back");
}

#[test]
fn cards_and_customers_are_read() {
    let method: PaymentMethod = read(json!({
        "id": "pm_1", "type": "card", "customer": {"id": "cus_1"},
        "card": {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030, "x": 1},
    }));
    let card = method.card.expect("a card");
    assert_eq!(
        (&*card.brand, &*card.last4, card.exp_month, card.exp_year),
        ("visa", "4242", 12, 2030)
    );
    assert_eq!((&*method.kind, method.customer), ("card", text("cus_1")));
    let bank: PaymentMethod = read(json!({"id": "pm_2", "type": "us_bank_account", "card": null}));
    assert!(bank.card.is_none());
    let setup: SetupIntent = read(json!({
        "id": "seti_1", "status": "succeeded", "customer": "cus_1", "payment_method": "pm_1",
        "metadata": {"k": "v"}, "usage": "off_session",
    }));
    assert_eq!((&*setup.status, &*setup.usage), ("succeeded", "off_session"));
    assert_eq!((setup.payment_method, setup.customer), (text("pm_1"), text("cus_1")));
    let customer: Customer = read(json!({
        "id": "cus_1", "email": "a@b.example", "metadata": {"n": 1},
        "invoice_settings": {"default_payment_method": {"id": "pm_1"}, "footer": null},
    }));
    assert_eq!(customer.invoice_settings.default_payment_method, text("pm_1"));
    assert_eq!(customer.metadata, written(&[("n", "1")]));
    assert!(!customer.deleted);
    let gone: Customer = read(json!({"id": "cus_1", "object": "customer", "deleted": true}));
    assert!(gone.deleted);
}

/// Every field but the id may be absent, or null.
#[test]
fn an_id_is_enough() {
    fn check<T: serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(fields: &[&str]) {
        let bare: T = read(json!({"id": "x_1"}));
        for field in fields {
            let mut value = json!({"id": "x_1", "a_field_of_tomorrow": {"deep": [1]}});
            value[*field] = Value::Null;
            assert_eq!(read::<T>(value), bare, "{field}");
        }
        assert!(from_value::<T>(json!({})).is_err());
    }
    check::<CheckoutSession>(&[
        "mode",
        "status",
        "payment_status",
        "amount_total",
        "currency",
        "payment_intent",
        "customer",
        "subscription",
        "setup_intent",
        "client_reference_id",
        "metadata",
        "url",
        "expires_at",
    ]);
    check::<PaymentIntent>(&[
        "status",
        "amount",
        "amount_received",
        "currency",
        "customer",
        "payment_method",
        "latest_charge",
        "metadata",
        "cancellation_reason",
        "last_payment_error",
        "client_secret",
    ]);
    check::<Charge>(&[
        "amount",
        "amount_refunded",
        "refunded",
        "paid",
        "captured",
        "disputed",
        "currency",
        "payment_intent",
        "customer",
        "metadata",
        "refunds",
    ]);
    check::<Refund>(&["amount", "status", "currency", "charge", "reason", "metadata"]);
    check::<Dispute>(&["amount", "status", "currency", "charge", "reason", "metadata"]);
    check::<Invoice>(&[
        "status",
        "billing_reason",
        "amount_paid",
        "currency",
        "customer",
        "subscription",
        "parent",
        "subscription_details",
        "payments",
        "metadata",
        "lines",
        "hosted_invoice_url",
    ]);
    check::<Subscription>(&[
        "status",
        "customer",
        "metadata",
        "cancel_at_period_end",
        "cancel_at",
        "canceled_at",
        "ended_at",
        "trial_end",
        "current_period_start",
        "items",
        "pause_collection",
    ]);
    check::<SetupIntent>(&["status", "customer", "payment_method", "metadata", "usage"]);
    check::<PaymentMethod>(&["type", "customer", "card"]);
    check::<Customer>(&["email", "metadata", "invoice_settings", "deleted"]);
    check::<EarlyFraudWarning>(&["charge", "payment_intent", "actionable", "fraud_type"]);
}
