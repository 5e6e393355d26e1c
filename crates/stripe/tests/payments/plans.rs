//! Subscriptions: begun on a page, renewed, changed and ended.

use serde_json::{Value, json};
use stripe::objects::{Invoice, Subscription};
use stripe::{
    CheckoutIn, Error, Mode, Month, PriceChange, Proration, Stripe as _, SubscriptionPatch,
};

use super::rig::{NOW, Rig, checkout, metadata};

const DAY: i64 = 24 * 3600;

/// A sandbox with a subscription, and how many events that made.
async fn begun(card: &str, trial_days: Option<u32>) -> (Rig, Subscription, usize) {
    let rig = Rig::new().await;
    let wanted = CheckoutIn { trial_days, ..checkout(Mode::Subscription) };
    let session = rig.page(&wanted, "plan-1").await;
    let said = rig.pay(&session.id, card, "").await;
    assert_eq!(said["result"], "done", "{said}");
    let id = said["session"]["subscription"].as_str().expect("begun");
    let plan = rig.client.subscription(id).await.expect("there");
    let known = rig.kinds().await.len();
    (rig, plan, known)
}

/// The newest invoice that was told of.
async fn latest_invoice(rig: &Rig) -> Invoice {
    let heard = rig.heard().await;
    let mut invoices = heard.iter().filter(|(_, object)| object["object"] == "invoice");
    let id = invoices.next_back().expect("billed").1["id"].as_str().expect("an id").to_owned();
    rig.client.invoice(&id).await.expect("there")
}

#[tokio::test]
async fn a_subscription_begins_on_a_page() {
    let (rig, plan, _) = begun("4242424242424242", None).await;
    assert_eq!((&*plan.status, plan.metadata.clone()), ("active", metadata()));
    // 2026-11-21 01:40:00 UTC, and a month later.
    let period = (Some(NOW.seconds()), Some(NOW.seconds() + 30 * DAY));
    assert_eq!((plan.current_period_start, plan.current_period_end), period);
    assert_eq!((plan.items.len(), plan.items[0].quantity), (1, 1));
    assert!(plan.items[0].price.is_some() && plan.items[0].product.is_some());
    let invoice = latest_invoice(&rig).await;
    assert_eq!((&*invoice.status, invoice.amount_paid, &*invoice.currency), ("paid", 4900, "usd"));
    assert_eq!(invoice.billing_reason.as_deref(), Some("subscription_create"));
    assert_eq!(invoice.subscription.as_deref(), Some(&*plan.id));
    assert_eq!(invoice.subscription_metadata, metadata());
    assert_eq!((invoice.period_start, invoice.period_end), period);
    assert_eq!(invoice.customer, plan.customer);
    let payment = rig.client.payment(invoice.payment_intent.as_deref().expect("paid")).await;
    let payment = payment.expect("there");
    assert!(payment.metadata.is_empty(), "the plan's metadata is not the payment's");
    assert_eq!(payment.amount_received, 4900);
    let expected = [
        "customer.created",
        "payment_method.attached",
        "customer.subscription.created",
        "invoice.created",
        "invoice.finalized",
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
        "checkout.session.completed",
    ];
    assert_eq!(rig.kinds().await, expected);
    let heard = rig.heard().await;
    assert_eq!(heard[2].1["status"], "incomplete", "as it was then");
}

#[tokio::test]
async fn a_trial_costs_nothing_at_first() {
    let (rig, plan, known) = begun("4242424242424242", Some(14)).await;
    let end = Some(NOW.seconds() + 14 * DAY);
    assert_eq!((&*plan.status, plan.trial_end, plan.current_period_end), ("trialing", end, end));
    let invoice = latest_invoice(&rig).await;
    assert_eq!((&*invoice.status, invoice.amount_paid), ("paid", 0));
    rig.does(&format!("subscription/{}", plan.id), json!({"advance": true})).await;
    let plan = rig.client.subscription(&plan.id).await.expect("there");
    assert_eq!((&*plan.status, plan.current_period_start), ("active", end));
    assert_eq!(latest_invoice(&rig).await.amount_paid, 4900);
    assert!(rig.kinds_after(known).await.contains(&"invoice.paid".to_owned()));
}

#[tokio::test]
async fn it_is_paid_again_each_month_and_ends_when_it_was_to_end() {
    let (rig, plan, known) = begun("4242424242424242", None).await;
    let path = format!("subscription/{}", plan.id);
    let mut ends = plan.current_period_end;
    // Dec 21, Jan 21, Feb 21, Mar 21.
    for days in [31, 31, 28] {
        rig.does(&path, json!({"advance": true})).await;
        let now = rig.client.subscription(&plan.id).await.expect("there");
        assert_eq!(now.current_period_start, ends);
        assert_eq!(now.current_period_end, ends.map(|at| at + days * DAY), "{days}");
        ends = now.current_period_end;
        let invoice = latest_invoice(&rig).await;
        assert_eq!((invoice.period_start, invoice.period_end), (now.current_period_start, ends));
        assert_eq!(invoice.billing_reason.as_deref(), Some("subscription_cycle"));
    }
    let told = rig.kinds_after(known).await;
    assert_eq!(told.iter().filter(|kind| *kind == "invoice.paid").count(), 3);
    let change = SubscriptionPatch { cancel_at_period_end: Some(true), ..Default::default() };
    let ending = rig.client.update_subscription(&plan.id, &change, "end-1").await.expect("told");
    assert!(ending.cancel_at_period_end && ending.canceled_at.is_some());
    assert_eq!((&*ending.status, ending.cancel_at), ("active", ends));
    let known = rig.kinds().await.len();
    rig.does(&path, json!({"advance": true})).await;
    assert_eq!(rig.kinds_after(known).await, ["customer.subscription.deleted"]);
    let over = rig.client.subscription(&plan.id).await.expect("there");
    assert_eq!((&*over.status, over.ended_at), ("canceled", Some(NOW.seconds())));
    let (status, _) = rig.sandbox.control("POST", &path, &json!({"advance": true})).await;
    assert_eq!(status, 404, "it is over");
}

#[tokio::test]
async fn a_card_that_fails_makes_it_past_due_until_it_is_paid() {
    let cases = [
        ("4000000000000341", &["invoice.payment_failed"][..]),
        ("4000002760003184", &["invoice.payment_failed", "invoice.payment_action_required"]),
    ];
    for (card, told) in cases {
        let (rig, plan, _) = begun("4242424242424242", None).await;
        let path = format!("subscription/{}", plan.id);
        let known = rig.kinds().await.len();
        rig.does(&path, json!({"card": card, "advance": true})).await;
        let now = rig.client.subscription(&plan.id).await.expect("there");
        assert_eq!(now.status, "past_due", "{card}");
        let invoice = latest_invoice(&rig).await;
        assert_eq!((&*invoice.status, invoice.amount_paid), ("open", 0), "{card}");
        let heard = rig.kinds_after(known).await;
        let of_invoice = heard.iter().filter(|kind| kind.starts_with("invoice.payment_"));
        assert_eq!(of_invoice.collect::<Vec<_>>(), told, "{card}");
        let known = rig.kinds().await.len();
        rig.does(&path, json!({"status": "active"})).await;
        let told = ["invoice.paid", "invoice.payment_succeeded", "customer.subscription.updated"];
        assert_eq!(rig.kinds_after(known).await, told, "{card}");
        assert_eq!(latest_invoice(&rig).await.amount_paid, 4900, "{card}");
    }
}

#[tokio::test]
async fn states_are_put_on_it_by_hand() {
    let (rig, plan, known) = begun("4242424242424242", None).await;
    let path = format!("subscription/{}", plan.id);
    let cases = [
        ("past_due", "customer.subscription.updated"),
        ("unpaid", "customer.subscription.updated"),
        ("paused", "customer.subscription.paused"),
        ("active", "customer.subscription.resumed"),
        ("trialing", "customer.subscription.updated"),
        ("canceled", "customer.subscription.deleted"),
    ];
    for (status, _) in cases {
        let said = rig.does(&path, json!({"status": status})).await;
        assert_eq!(said["status"], status);
    }
    let told = cases.map(|(_, told)| told);
    assert_eq!(rig.kinds_after(known).await, told);
    let (status, _) = rig.sandbox.control("POST", &path, &json!({"status": "active"})).await;
    assert_eq!(status, 404, "it is over");
}

#[tokio::test]
async fn a_dearer_plan_is_billed_for_the_rest_of_the_month() {
    let (rig, plan, _) = begun("4242424242424242", None).await;
    // Ten of thirty days are over.
    rig.clock.set(domain::instant::Instant(NOW.0 + 10 * DAY * 1_000_000));
    let price = |amount, proration| PriceChange {
        item: plan.items[0].id.clone(),
        product: plan.items[0].product.clone().expect("it has one"),
        amount,
        currency: "usd".into(),
        recurring: Month,
        proration,
    };
    let patch = |amount, proration| SubscriptionPatch {
        price: Some(price(amount, proration)),
        metadata: [("plan".to_owned(), "team".to_owned())].into(),
        ..SubscriptionPatch::default()
    };
    let dearer = patch(10_900, Proration::Now);
    let changed = rig.client.update_subscription(&plan.id, &dearer, "up-1").await.expect("done");
    assert_ne!(changed.items[0].price, plan.items[0].price);
    assert_eq!(changed.items[0].product, plan.items[0].product);
    assert_eq!(changed.metadata.len(), 2, "what was written stays");
    let posts = rig.sandbox.control("GET", "events", &Value::Null).await.1;
    let billed = posts["events"].as_array().expect("a list").iter().rev();
    let bill = billed.map(|it| &it["event"]).find(|it| it["type"] == "invoice.paid");
    let bill = &bill.expect("billed")["data"]["object"];
    assert_eq!(
        (&bill["amount_paid"], &bill["billing_reason"]),
        (&json!(4000), &json!("subscription_update"))
    );
    let count = posts["events"].as_array().map_or(0, Vec::len);
    let cheaper = patch(2900, Proration::Now);
    rig.client.update_subscription(&plan.id, &cheaper, "down-1").await.expect("done");
    let posts = rig.sandbox.control("GET", "events", &Value::Null).await.1;
    assert_eq!(posts["events"].as_array().map_or(0, Vec::len), count + 1, "nothing is billed");
    let wrong = SubscriptionPatch {
        price: Some(PriceChange { item: "si_none".into(), ..price(1, Proration::None) }),
        ..SubscriptionPatch::default()
    };
    let said = rig.client.update_subscription(&plan.id, &wrong, "up-2").await;
    assert!(matches!(said, Err(Error::Invalid { .. })), "{said:?}");
}

#[tokio::test]
async fn it_ends_at_once_when_asked() {
    let (rig, plan, known) = begun("4000002500003155", None).await;
    let ended = rig.client.cancel_subscription(&plan.id).await.expect("ended");
    assert_eq!((&*ended.status, ended.ended_at), ("canceled", Some(NOW.seconds())));
    assert_eq!(rig.kinds_after(known).await, ["customer.subscription.deleted"]);
    let again = rig.client.cancel_subscription(&plan.id).await;
    assert!(matches!(again, Err(Error::NotFound(_))), "{again:?}");
}

#[tokio::test]
async fn nothing_begins_without_money() {
    let rig = Rig::new().await;
    let session = rig.page(&checkout(Mode::Subscription), "plan-1").await;
    for (card, outcome) in [("4000000000000002", ""), ("4000002760003184", "fail")] {
        let said = rig.pay(&session.id, card, outcome).await;
        assert_eq!(said["result"], "declined", "{card}: {said}");
        assert!(said["session"]["subscription"].is_null());
    }
    let path = format!("checkout/{}/pay", session.id);
    let code = rig.refuses(&path, json!({"card": "000123456789"})).await;
    assert_eq!(code, "payment_method_not_available");
    assert_eq!(rig.kinds().await, [""; 0]);
}
