//! Stripe's events: who is believed, what becomes of each, and that order and repetition are
//! nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::seam::{Dice as _, SeededDice};
use ledgerline::finance::credits::{Decided, OpenWallet};
use serde_json::{Value, json};
use stripe::signature::sign;
use testkit::Engine;

use crate::server::{Account, OPERATOR, account_id};
use crate::till::{Bought, NEXT_SECRET, SECRET, Till, event};

testkit::both_engines!(
    only_what_stripe_signed_is_kept,
    events_in_every_order_and_number_come_to_the_same,
    what_stripe_knows_now_counts_beside_what_it_told,
    b18_a_refund_takes_the_credits_back,
    b19_a_dispute_that_is_won_leaves_no_trace,
    b20_a_refund_after_a_dispute_that_was_won_takes_everything,
    b21_a_dispute_moves_credits_and_not_cents,
    b22_a_refund_of_disputed_money_takes_nothing_twice,
    b26_what_was_spent_is_owed_and_paid_first,
    parts_of_a_dispute_are_taken_once,
    news_before_the_payment_is_remembered,
    events_of_nobody_are_kept_and_found_later,
    names_that_do_not_fit_move_nothing,
    odd_events_are_kept_and_told_of,
    an_event_is_applied_although_the_database_stumbled,
);

const START: i64 = 1_784_130_000;

type Told = Vec<(&'static str, Value)>;

/// Everything that can happen to a purchase, each as a story in its true order.
fn stories(it: &Bought) -> Vec<(&'static str, Told)> {
    let paid = |more: Told| [it.paid(), more].concat();
    let session = |kind, status, payment| (kind, it.session(status, payment));
    let waiting = session("checkout.session.completed", "complete", "unpaid");
    let refund = |kind, n, amount, status| (kind, it.refund(n, amount, status));
    let dispute = |kind, amount, status| (kind, it.dispute(1, amount, status));
    let opened = |amount| {
        vec![
            dispute("charge.dispute.created", amount, "needs_response"),
            dispute("charge.dispute.funds_withdrawn", amount, "needs_response"),
            dispute("charge.dispute.updated", amount, "under_review"),
        ]
    };
    let won = || {
        let mut all = opened(1000);
        all.push(dispute("charge.dispute.funds_reinstated", 1000, "under_review"));
        all.push(dispute("charge.dispute.closed", 1000, "won"));
        all
    };
    let refunded = || {
        vec![
            refund("refund.created", 1, 1000, "pending"),
            ("charge.refunded", it.charged(1000)),
            refund("refund.updated", 1, 1000, "succeeded"),
        ]
    };
    vec![
        ("paid", it.paid()),
        ("async", {
            let mut all =
                vec![waiting.clone(), ("payment_intent.processing", it.intent("processing"))];
            all.push(session("checkout.session.async_payment_succeeded", "complete", "paid"));
            [all, it.paid()].concat()
        }),
        (
            "async failed",
            vec![
                waiting,
                session("checkout.session.async_payment_failed", "complete", "unpaid"),
                ("payment_intent.payment_failed", it.intent("requires_payment_method")),
            ],
        ),
        ("expired", vec![session("checkout.session.expired", "expired", "unpaid")]),
        (
            "parts back",
            paid(vec![
                refund("refund.created", 1, 300, "succeeded"),
                ("charge.refunded", it.charged(300)),
                refund("refund.created", 2, 333, "pending"),
                ("charge.refunded", it.charged(633)),
                refund("charge.refund.updated", 2, 333, "succeeded"),
            ]),
        ),
        ("all back", paid(refunded())),
        (
            "refund failed",
            paid(vec![
                refund("refund.created", 1, 400, "pending"),
                ("charge.refunded", it.charged(400)),
                refund("refund.failed", 1, 400, "failed"),
                ("charge.updated", it.charged(0)),
            ]),
        ),
        ("dispute won", paid(won())),
        (
            "dispute lost",
            paid({
                let mut all = opened(1000);
                all.push(dispute("charge.dispute.closed", 1000, "lost"));
                all
            }),
        ),
        (
            "part lost, rest back",
            paid({
                let mut all = opened(400);
                all.push(dispute("charge.dispute.closed", 400, "lost"));
                all.push(refund("refund.created", 1, 600, "succeeded"));
                all.push(("charge.refunded", it.charged(600)));
                all
            }),
        ),
        ("won, then back", paid([won(), refunded()].concat())),
        (
            "only asked for",
            paid(vec![
                dispute("charge.dispute.created", 1000, "warning_needs_response"),
                dispute("charge.dispute.closed", 1000, "warning_closed"),
            ]),
        ),
    ]
}

/// What counts in the end: the wallet, the purchase without its names, the net of the lines.
async fn ending(
    till: &Till,
    account: &Account,
    it: &Bought,
) -> (Value, Value, BTreeMap<String, i64>) {
    let mut purchase = till.purchase(account, &it.id).await;
    for name in ["id", "created_at", "checkout_url", "payment_intent"] {
        purchase[name] = Value::Null;
    }
    till.server.audited(account).await;
    (till.wallet(account).await, purchase, till.moved(account).await)
}

/// The events, each one to three times, in any order; what waits is done now and then, and days
/// may pass.
async fn tell_anyhow(till: &Till, events: &[Value], seed: u64) {
    let dice = SeededDice::new(seed);
    let mut all: Vec<&Value> = Vec::new();
    for event in events {
        let times = 1 + dice.below(3);
        all.extend((0..times).map(|_| event));
    }
    for at in (1..all.len()).rev() {
        let other = usize::try_from(dice.below(at as u64 + 1)).expect("small");
        all.swap(at, other);
    }
    for event in all {
        if dice.below(12) == 0 {
            till.server.clock.advance(Duration::from_secs(3 * 24 * 3600));
        }
        till.tell(event).await;
        if dice.below(3) > 0 {
            till.look().await;
        }
    }
    till.look().await;
}

async fn events_in_every_order_and_number_come_to_the_same(engine: Engine) {
    let till = Till::start(engine).await;
    till.shop().is_blind = true;
    let names = stories(&Bought::new(&till.server.account("x").await, "x".into(), "x".into()));
    for (n, (name, _)) in names.iter().enumerate() {
        let mut wanted = None;
        for seed in 0..8_u64 {
            let account = till.server.account(&format!("{n} {seed}")).await;
            let it = till.buy(&account).await;
            let (_, told) = stories(&it).swap_remove(n);
            let events = it.events(START, &told);
            match seed {
                0 => till.tell_all(&events).await,
                _ => tell_anyhow(&till, &events, seed * 100 + n as u64).await,
            }
            let found = ending(&till, &account, &it).await;
            let unmatched = till.server.get(OPERATOR, "/v1/stripe-events?state=unmatched").await;
            assert_eq!(unmatched.ok()["data"], json!([]), "{name} {seed}");
            let wanted = wanted.get_or_insert_with(|| found.clone());
            assert_eq!(found, *wanted, "{name} {seed}");
        }
        let (wallet, purchase, _) = wanted.expect("it was told");
        let (state, available) = match *name {
            "paid" | "async" | "refund failed" | "dispute won" | "only asked for" => ("paid", 500),
            "async failed" => ("failed", 0),
            "expired" => ("expired", 0),
            // 500 x 633 / 1000 = 316.5, rounded down.
            "parts back" => ("paid", 184),
            "all back" | "won, then back" => ("refunded", 0),
            "dispute lost" | "part lost, rest back" => ("disputed", 0),
            other => panic!("{other}"),
        };
        assert_eq!(
            (&purchase["state"], &wallet["available"]),
            (&json!(state), &json!(available)),
            "{name}"
        );
    }
}

async fn what_stripe_knows_now_counts_beside_what_it_told(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("a").await;
    let it = till.buy(&account).await;
    till.tell_all(&it.events(START, &it.paid())).await;
    // The event of the first refund came late: Stripe knows of a second one, and that the dispute
    // was decided.
    till.shop().refunds = vec![it.refund(1, 100, "succeeded"), it.refund(2, 200, "succeeded")];
    till.shop().disputes = vec![it.dispute(1, 700, "won")];
    let told = it.refund(1, 100, "pending");
    till.tell_all(&[event("evt_late", "refund.created", START + 900, &told)]).await;
    assert_eq!(till.available(&account).await, 350);
    let told = it.dispute(1, 700, "needs_response");
    till.tell_all(&[event("evt_later", "charge.dispute.created", START + 950, &told)]).await;
    assert_eq!(till.available(&account).await, 350);
    // And when it cannot be asked, what was told counts alone.
    till.shop().is_down = true;
    let told = it.refund(3, 100, "succeeded");
    till.tell_all(&[event("evt_last", "refund.created", START + 990, &told)]).await;
    assert_eq!(till.available(&account).await, 300);
    let applied = till.server.get(OPERATOR, "/v1/stripe-events?state=applied").await.ok();
    let last = applied["data"].as_array().expect("rows").iter().find(|row| row["id"] == "evt_last");
    let note = last.expect("it is there")["note"].as_str().expect("a note");
    assert!(note.contains("as it was told"), "{note}");
    till.server.audited(&account).await;
}

async fn only_what_stripe_signed_is_kept(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("a").await;
    let it = till.buy(&account).await;
    let body = it.events(START, &it.paid())[3].to_string();
    let now = till.now().seconds();
    let at = |secret: &str, now: i64| sign(body.as_bytes(), secret, now);
    for (name, signature) in [
        ("none", None),
        ("empty", Some(String::new())),
        ("nonsense", Some("t=1,v1=00".to_owned())),
        ("another secret", Some(at("whsec_of_others", now))),
        ("too old", Some(at(SECRET, now - 302))),
        ("another scheme", Some(at(SECRET, now).replace("v1=", "v0="))),
        ("another body", Some(sign(b"{}", SECRET, now))),
    ] {
        let refused = till.hook(&body, signature.as_deref()).await;
        refused.refused(400, "invalid_field");
        till.look().await;
        assert_eq!(till.available(&account).await, 0, "{name}");
    }
    for body in ["", "[]", "{}", r#"{"object":"v2.core.event","id":"evt_1","type":"x"}"#] {
        let signature = sign(body.as_bytes(), SECRET, now);
        till.hook(body, Some(&signature)).await.refused(400, "invalid_field");
    }
    let big = format!("{{\"x\":\"{}\"}}", "x".repeat(600 << 10));
    let signature = sign(big.as_bytes(), SECRET, now);
    assert_eq!(till.hook(&big, Some(&signature)).await.status, 413);
    let kept = till.server.get(OPERATOR, "/v1/stripe-events").await.ok();
    assert_eq!(kept["data"], json!([]));
    // While the secret is changed, both are good.
    till.hook(&body, Some(&at(NEXT_SECRET, now))).await.ok();
    till.hook(&body, Some(&at(SECRET, now - 290))).await.ok();
    till.look().await;
    assert_eq!(till.available(&account).await, 500);
    let kept = till.server.get(OPERATOR, "/v1/stripe-events?limit=1").await.ok();
    assert_eq!(kept["data"][0]["state"], "applied");
    assert_eq!(kept["next_cursor"], Value::Null, "the same event is kept once");
    till.server.get(&account.key, "/v1/stripe-events").await.refused(403, "forbidden");
    let bad = till.server.get(OPERATOR, "/v1/stripe-events?state=lost").await;
    bad.refused(422, "invalid_field");
}

/// A paid purchase, its credits used up to `left`.
async fn paid(till: &Till, left: i64) -> (Account, Bought) {
    let account = till.server.account("a").await;
    let it = till.buy(&account).await;
    till.shop().is_blind = true;
    till.tell_all(&it.events(START, &it.paid())).await;
    if left < 500 {
        let mut tx = till.server.app.db.begin().await.expect("writes");
        let mut wallet = OpenWallet::lock(&mut tx, account_id(&account)).await.expect("a wallet");
        wallet.hold(&mut tx, "held".into(), 500 - left, 0).await.expect("it holds");
        tx.commit().await.expect("commits");
    }
    (account, it)
}

/// What was held goes back, as if no text had left.
async fn released(till: &Till, account: &Account, amount: i64) {
    let mut tx = till.server.app.db.begin().await.expect("writes");
    let mut wallet = OpenWallet::lock(&mut tx, account_id(account)).await.expect("a wallet");
    let decided = Decided { charged: 0, released: amount, leaves: Vec::new() };
    wallet.settle(&mut tx, &decided).await.expect("it settles");
    tx.commit().await.expect("commits");
}

async fn told(till: &Till, it: &Bought, at: i64, kind: &str, object: &Value) {
    let id = format!("evt_{at}_{}", it.id);
    till.tell_all(&[event(&id, kind, START + 1000 + at, object)]).await;
}

async fn b18_a_refund_takes_the_credits_back(engine: Engine) {
    let till = Till::start(engine).await;
    let (account, it) = paid(&till, 500).await;
    told(&till, &it, 1, "refund.created", &it.refund(1, 1000, "succeeded")).await;
    let wallet = till.wallet(&account).await;
    assert_eq!((&wallet["available"], &wallet["owed"]), (&json!(0), &json!(0)));
    let purchase = till.purchase(&account, &it.id).await;
    assert_eq!(purchase["state"], "refunded");
    assert_eq!(purchase["refunded_credits"], 500);
    till.server.audited(&account).await;
}

async fn b19_a_dispute_that_is_won_leaves_no_trace(engine: Engine) {
    let till = Till::start(engine).await;
    let (account, it) = paid(&till, 500).await;
    let before = (till.wallet(&account).await, till.moved(&account).await);
    told(&till, &it, 1, "charge.dispute.created", &it.dispute(1, 1000, "needs_response")).await;
    assert_eq!(till.available(&account).await, 0, "frozen");
    assert_eq!(till.purchase(&account, &it.id).await["state"], "disputed");
    told(&till, &it, 2, "charge.dispute.closed", &it.dispute(1, 1000, "won")).await;
    assert_eq!((till.wallet(&account).await, till.moved(&account).await), before);
    let purchase = till.purchase(&account, &it.id).await;
    assert_eq!((&purchase["state"], &purchase["disputed_credits"]), (&json!("paid"), &json!(0)));
    let notices = till.server.get(&account.key, "/v1/notices").await.ok();
    let titles: Vec<&str> = notices["data"]
        .as_array()
        .expect("rows")
        .iter()
        .filter_map(|row| row["title"].as_str())
        .collect();
    assert_eq!(titles, ["A dispute was won", "A payment is disputed"]);
    till.server.audited(&account).await;
}

async fn b20_a_refund_after_a_dispute_that_was_won_takes_everything(engine: Engine) {
    let till = Till::start(engine).await;
    let (account, it) = paid(&till, 500).await;
    told(&till, &it, 1, "charge.dispute.created", &it.dispute(1, 1000, "needs_response")).await;
    told(&till, &it, 2, "charge.dispute.closed", &it.dispute(1, 1000, "won")).await;
    told(&till, &it, 3, "charge.refunded", &it.charged(1000)).await;
    assert_eq!(till.available(&account).await, 0);
    let purchase = till.purchase(&account, &it.id).await;
    assert_eq!(
        (&purchase["state"], &purchase["refunded_credits"]),
        (&json!("refunded"), &json!(500))
    );
    till.server.audited(&account).await;
}

async fn b21_a_dispute_moves_credits_and_not_cents(engine: Engine) {
    let till = Till::start(engine).await;
    let (account, it) = paid(&till, 500).await;
    told(&till, &it, 1, "charge.dispute.funds_withdrawn", &it.dispute(1, 1000, "needs_response"))
        .await;
    assert_eq!(till.available(&account).await, 0);
    told(&till, &it, 2, "charge.dispute.funds_reinstated", &it.dispute(1, 1000, "needs_response"))
        .await;
    assert_eq!(till.available(&account).await, 500);
    // A part of the money is its part of the credits.
    told(&till, &it, 3, "refund.created", &it.refund(1, 100, "succeeded")).await;
    assert_eq!(till.available(&account).await, 450);
    till.server.audited(&account).await;
}

async fn b22_a_refund_of_disputed_money_takes_nothing_twice(engine: Engine) {
    let till = Till::start(engine).await;
    let (account, it) = paid(&till, 200).await;
    told(&till, &it, 1, "charge.dispute.created", &it.dispute(1, 1000, "needs_response")).await;
    let before = till.wallet(&account).await;
    assert_eq!((&before["available"], &before["owed"]), (&json!(0), &json!(300)));
    told(&till, &it, 2, "refund.created", &it.refund(1, 1000, "succeeded")).await;
    assert_eq!(till.wallet(&account).await, before, "nothing moved");
    let purchase = till.purchase(&account, &it.id).await;
    let reason = purchase["reason"].as_str().expect("it says why");
    assert!(reason.contains("taken once"), "{reason}");
    // The same refund, and another one that cannot be: nothing is left to be taken.
    told(&till, &it, 3, "refund.updated", &it.refund(1, 1000, "succeeded")).await;
    told(&till, &it, 4, "refund.created", &it.refund(2, 1000, "succeeded")).await;
    assert_eq!(till.wallet(&account).await, before);
    released(&till, &account, 300).await;
    till.server.audited(&account).await;
}

async fn b26_what_was_spent_is_owed_and_paid_first(engine: Engine) {
    let till = Till::start(engine).await;
    let (account, it) = paid(&till, 120).await;
    told(&till, &it, 1, "charge.refunded", &it.charged(1000)).await;
    let wallet = till.wallet(&account).await;
    assert_eq!(wallet, json!({"available": 0, "reserved": 380, "spent": 0, "owed": 380}));
    let next = till.buy(&account).await;
    till.tell_all(&next.events(START + 5000, &next.paid())).await;
    let wallet = till.wallet(&account).await;
    assert_eq!(wallet, json!({"available": 120, "reserved": 380, "spent": 0, "owed": 0}));
    released(&till, &account, 380).await;
    assert_eq!(till.available(&account).await, 500);
    till.server.audited(&account).await;
}

async fn parts_of_a_dispute_are_taken_once(engine: Engine) {
    let till = Till::start(engine).await;
    let (account, it) = paid(&till, 500).await;
    for (at, kind, status) in [
        (1, "charge.dispute.created", "needs_response"),
        (2, "charge.dispute.funds_withdrawn", "needs_response"),
        (3, "charge.dispute.closed", "lost"),
    ] {
        told(&till, &it, at, kind, &it.dispute(1, 400, status)).await;
        assert_eq!(till.available(&account).await, 300, "{kind}");
    }
    // A later decision replaces an earlier one, and an earlier one told late changes nothing.
    told(&till, &it, 9, "charge.dispute.closed", &it.dispute(1, 400, "won")).await;
    assert_eq!(till.available(&account).await, 500);
    told(&till, &it, 5, "charge.dispute.closed", &it.dispute(1, 400, "lost")).await;
    assert_eq!(till.available(&account).await, 500);
    till.server.audited(&account).await;
}

async fn news_before_the_payment_is_remembered(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("a").await;
    let it = till.buy(&account).await;
    till.shop().is_blind = true;
    // The payment is named before it succeeded, and a refund overtakes its success.
    let named = it.intent("processing");
    till.tell_all(&[event("evt_1", "payment_intent.processing", START, &named)]).await;
    told(&till, &it, 1, "refund.created", &it.refund(1, 400, "succeeded")).await;
    assert_eq!(till.wallet(&account).await["available"], 0);
    assert_eq!(till.purchase(&account, &it.id).await["state"], "pending");
    till.tell_all(&it.events(START, &it.paid())).await;
    assert_eq!(till.available(&account).await, 300);
    assert_eq!(till.purchase(&account, &it.id).await["state"], "paid");
    till.server.audited(&account).await;
}

async fn events_of_nobody_are_kept_and_found_later(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("a").await;
    let it = till.buy(&account).await;
    till.shop().is_blind = true;
    told(&till, &it, 1, "charge.dispute.created", &it.dispute(1, 1000, "needs_response")).await;
    let list = till.server.get(OPERATOR, "/v1/stripe-events?state=unmatched").await.ok();
    assert_eq!(list["data"][0]["reference"], it.payment);
    assert_eq!(list["data"][0]["account"], Value::Null);
    // The page's success names the payment, and with it the dispute.
    let session = it.session("complete", "paid");
    till.tell_all(&[event("evt_paid", "checkout.session.completed", START, &session)]).await;
    let list = till.server.get(OPERATOR, "/v1/stripe-events?state=unmatched").await.ok();
    assert_eq!(list["data"], json!([]));
    let purchase = till.purchase(&account, &it.id).await;
    assert_eq!(
        (&purchase["state"], &purchase["disputed_credits"]),
        (&json!("disputed"), &json!(500))
    );
    till.server.audited(&account).await;
}

async fn names_that_do_not_fit_move_nothing(engine: Engine) {
    let till = Till::start(engine).await;
    let (ours, others) = (till.server.account("a").await, till.server.account("b").await);
    let (it, their) = (till.buy(&ours).await, till.buy(&others).await);
    let named = |account: &str, purchase: &str| {
        let mut session = it.session("complete", "paid");
        session["metadata"] =
            json!({"ledgerline_account": account, "ledgerline_purchase": purchase});
        session
    };
    let unknown = "pur_00000000000000000000000000";
    for (n, (account, purchase)) in [
        (ours.id.as_str(), their.id.as_str()),
        (&others.id, &it.id),
        (&ours.id, unknown),
        ("acc_0000000000000", &it.id),
        ("nonsense", &it.id),
        // The page is another purchase's.
        (&others.id, &their.id),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("evt_{n}");
        let session = named(account, purchase);
        till.tell_all(&[event(&id, "checkout.session.completed", START, &session)]).await;
        let list = till.server.get(OPERATOR, "/v1/stripe-events?state=unmatched").await.ok();
        assert_eq!(list["data"][0]["id"], id, "{list}");
    }
    for account in [&ours, &others] {
        assert_eq!(till.available(account).await, 0);
    }
    // A retry does not help what is wrong; what is mended is applied.
    let retried = till.server.order(OPERATOR, "/v1/stripe-events/evt_0/retry").await;
    assert_eq!(retried.status, 204);
    till.look().await;
    assert_eq!(till.available(&ours).await, 0);
    till.server.order(OPERATOR, "/v1/stripe-events/evt_x/retry").await.refused(404, "not_found");
    till.server.order(&ours.key, "/v1/stripe-events/evt_0/retry").await.refused(403, "forbidden");
}

async fn odd_events_are_kept_and_told_of(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("a").await;
    let it = till.buy(&account).await;
    let mut other = event("evt_other", "product.created", START, &json!({"object": "product"}));
    other["api_version"] = json!("2019-01-01");
    let unread = json!({"object": "refund", "id": "re_1", "amount": "many"});
    let unread = event("evt_unread", "refund.created", START, &unread);
    let mut session = it.session("complete", "paid");
    session["amount_total"] = json!(1);
    let less = event("evt_less", "checkout.session.completed", START, &session);
    let warning = json!({
        "object": "radar.early_fraud_warning", "id": "issfr_1", "payment_intent": it.payment,
        "charge": it.charge, "actionable": true, "fraud_type": "made_with_stolen_card",
    });
    let warning = event("evt_warning", "radar.early_fraud_warning.created", START, &warning);
    till.tell_all(&[other, unread, less, warning]).await;
    let list = till.server.get(OPERATOR, "/v1/stripe-events").await.ok();
    let of = |id: &str| {
        let row = list["data"].as_array().expect("rows").iter().find(|row| row["id"] == id);
        let row = row.expect("it is kept");
        (row["state"].clone(), row["note"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(of("evt_other").0, "ignored");
    let (state, note) = of("evt_unread");
    assert!(state == "failed" && note.contains("cannot be read"), "{note}");
    // Credits come from our own record, whatever the event tells.
    let (state, note) = of("evt_less");
    assert!(state == "applied" && note.contains("our own record counts"), "{note}");
    assert_eq!(till.available(&account).await, 500);
    assert_eq!(of("evt_warning").0, "applied");
    let notices = till.server.get(&account.key, "/v1/notices").await.ok();
    assert_eq!(notices["data"][0]["title"], "A bank believes that a payment was fraud");
    till.server.audited(&account).await;
}

async fn an_event_is_applied_although_the_database_stumbled(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("a").await;
    let it = till.buy(&account).await;
    let session = it.session("complete", "paid");
    till.tell(&event("evt_1", "checkout.session.completed", START, &session)).await;
    let fault = store::CommitFault { done: false, answered: true };
    till.server.app.db.faults().plan(Some((1, fault)));
    till.look().await;
    assert!(till.server.app.db.faults().has_struck());
    assert_eq!(till.available(&account).await, 0);
    let list = till.server.get(OPERATOR, "/v1/stripe-events").await.ok();
    assert_eq!((&list["data"][0]["state"], &list["data"][0]["tries"]), (&json!("new"), &json!(1)));
    till.server.clock.advance(Duration::from_secs(5));
    till.look().await;
    assert_eq!(till.available(&account).await, 500);
    till.server.audited(&account).await;
}
