use axum::http::Method;
use domain::seam::{Dice as _, SeededDice};
use ledgerline::entry::settings::{TWILIO_API_BASE, Twilio};
use serde_json::{Value, json};
use testkit::Engine;

use crate::server::{Account, OPERATOR, Server, account_id};
use crate::till::{Till, event};

testkit::both_engines!(
    who_never_subscribed_pays_as_it_goes,
    an_operator_gives_a_plan,
    an_operators_word_is_checked,
    a_plan_is_bought_on_a_page_and_changed_later,
    without_stripe_nobody_can_subscribe,
    the_life_of_a_subscription_in_any_order_and_twice_is_the_same,
    a_trial_brings_credits_where_the_plan_says_so,
    an_invoice_that_is_not_paid_is_told,
    what_stripe_says_of_other_things_changes_nothing,
);

async fn who_never_subscribed_pays_as_it_goes(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let found = server.get(&account.key, "/v1/subscription").await.ok();
    assert_eq!((&found["state"], &found["plan"]), (&json!("none"), &Value::Null));
    assert_eq!((&found["entitled"], &found["campaigns"]), (&json!(true), &json!(true)));
    assert!(found["reason"].is_null() && found["senders_max"].is_null(), "{found}");
}

async fn give(server: &Server, account: &Account, word: &Value) -> crate::server::Reply {
    let path = format!("/v1/accounts/{}/subscription", account.id);
    server.ask(Method::PUT, &path).key(OPERATOR).json(word).send().await
}

async fn notes(server: &Server, account: &Account) -> Vec<(String, String)> {
    let mut tx = server.app.db.read().await.expect("reads");
    let text = "select actor, verb from audit_event where account_id = $1 order by at, event_id";
    tx.all(text, (account_id(account).0,)).await.expect("reads")
}

async fn an_operator_gives_a_plan(engine: Engine) {
    let server = Server::start(engine).await;
    let (account, other) = (server.account("a").await, server.account("b").await);
    let given = give(&server, &account, &json!({"plan": "growth"})).await.ok();
    assert_eq!((&given["state"], &given["source"]), (&json!("active"), &json!("operator")));
    assert_eq!(given["period_end"].as_str().map(|end| &end[..13]), Some("2026-08-15T17"));
    assert_eq!((&given["monthly_credits"], &given["senders_max"]), (&json!(2500), &json!(3)));
    let own = server.get(&account.key, "/v1/subscription").await.ok();
    assert_eq!(own, given);
    let wallet = server.get(&account.key, "/v1/wallet").await.ok();
    assert_eq!(wallet["available"], 2500);
    assert_eq!(server.get(&other.key, "/v1/subscription").await.ok()["state"], "none");

    let word = json!({"plan": "starter", "period_end": "2026-09-01T00:00:00Z"});
    let changed = give(&server, &account, &word).await.ok();
    assert_eq!(changed["period_start"], given["period_start"], "the period goes on");
    assert_eq!((&changed["entitled"], &changed["campaigns"]), (&json!(true), &json!(false)));
    let wallet = server.get(&account.key, "/v1/wallet").await.ok();
    assert_eq!(wallet["available"], 2500, "its credits came already");
    let word = json!({"plan": "starter", "state": "unpaid"});
    let unpaid = give(&server, &account, &word).await.ok();
    assert_eq!(unpaid["entitled"], false);
    assert!(unpaid["reason"].as_str().is_some_and(|words| words.contains("not paid")), "{unpaid}");
    let change = ("operator".to_owned(), "subscription.change".to_owned());
    assert_eq!(notes(&server, &account).await, [change.clone(), change.clone(), change]);
    server.audited(&account).await;
}

async fn an_operators_word_is_checked(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    for (word, field) in [
        (json!({"plan": "gold"}), "plan"),
        (json!({"plan": "growth", "state": "sleeping"}), "state"),
        (json!({"plan": "growth", "period_end": "2026-07-15T00:00:00Z"}), "period_end"),
        (json!({"plan": "growth", "period_end": "2126-07-15T00:00:00Z"}), "period_end"),
        (json!({"state": "active"}), "plan"),
    ] {
        let (status, _, found) = give(&server, &account, &word).await.problem();
        assert_eq!((status, found.as_deref()), (422, Some(field)), "{word}");
    }
    let path = format!("/v1/accounts/{}/subscription", account.id);
    let word = json!({"plan": "growth"});
    let ask = |key: &str| server.ask(Method::PUT, &path).key(key).json(&word).send();
    ask(&account.key).await.refused(403, "forbidden");
    ask("wrong").await.refused(401, "unauthorized");
    let nobody = "/v1/accounts/acc_00000000007zr/subscription";
    let ask = server.ask(Method::PUT, nobody).key(OPERATOR).json(&word);
    ask.send().await.refused(404, "not_found");
    server.get(OPERATOR, "/v1/subscription").await.refused(403, "forbidden");
    assert_eq!(server.get(&account.key, "/v1/subscription").await.ok()["state"], "none");
}

async fn a_plan_is_bought_on_a_page_and_changed_later(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("a").await;
    let subscribe = async |plan: &str| {
        till.server.post(&account.key, "/v1/subscription", &json!({"plan": plan})).await
    };
    for plan in ["gold", "pay_as_you_go"] {
        subscribe(plan).await.refused(422, "invalid_field");
    }
    let made = subscribe("growth").await.made();
    assert!(made["checkout_url"].as_str().is_some_and(|url| url.contains("cs_")), "{made}");
    assert_eq!(made["state"], "none", "nothing is bought yet");
    assert_eq!(subscribe("growth").await.made()["checkout_url"], made["checkout_url"]);
    let page = till.shop().calls.iter().find(|call| call.1 == "/v1/checkout/sessions").cloned();
    let form = page.expect("it was asked for").2;
    assert_eq!(form["mode"], "subscription");
    assert_eq!(form["line_items[0][price_data][unit_amount]"], "7900");
    assert_eq!(form["line_items[0][price_data][recurring][interval]"], "month");
    assert_eq!(form["subscription_data[metadata][ledgerline_account]"], account.id);
    assert_eq!(form["subscription_data[metadata][ledgerline_plan]"], "growth");
    assert_eq!(form["subscription_data[trial_period_days]"], "14");

    let life = Life::new(&account, "growth");
    let there = life.subscription("active", 0);
    till.shop().objects.insert(format!("/v1/subscriptions/{}", life.id), there.clone());
    let created = till.now().seconds();
    till.tell_all(&[event("evt_1", "customer.subscription.created", created, &there)]).await;
    let paid = life.invoice("subscription_create", 0);
    till.tell_all(&[event("evt_2", "invoice.paid", created, &paid)]).await;
    let found = till.server.get(&account.key, "/v1/subscription").await.ok();
    assert_eq!((&found["state"], &found["source"]), (&json!("active"), &json!("stripe")));
    assert_eq!(till.available(&account).await, 2500);
    subscribe("growth").await.refused(409, "state_conflict");

    let changed = subscribe("scale").await.ok();
    assert_eq!((&changed["plan"], &changed["state"]), (&json!("scale"), &json!("active")));
    let path = format!("/v1/subscriptions/{}", life.id);
    let change = till.shop().calls.iter().rfind(|call| call.0 == "POST" && call.1 == path).cloned();
    let form = change.expect("it was changed").2;
    assert_eq!(form["metadata[ledgerline_plan]"], "scale");
    assert_eq!(form["items[0][price_data][unit_amount]"], "24900");
    assert_eq!(till.available(&account).await, 2500, "its credits come with the next period");
    till.server.audited(&account).await;
}

async fn without_stripe_nobody_can_subscribe(engine: Engine) {
    let server = Server::start_with(engine, |settings| {
        settings.twilio = Some(Twilio {
            account_sid: format!("AC{}", "0".repeat(32)),
            auth_token: Some("token".to_owned().into()),
            previous_auth_token: None,
            api_key: None,
            messaging_service_sid: None,
            phone_number: None,
            api_base: TWILIO_API_BASE.to_owned(),
        });
    })
    .await;
    let account = server.account("a").await;
    let wanted = json!({"plan": "growth"});
    let refused = server.post(&account.key, "/v1/subscription", &wanted).await;
    assert!(refused.text().contains("STRIPE_SECRET_KEY"), "{}", refused.text());
    refused.refused(503, "unavailable");
}

/// A subscription at Stripe, with a month for each of its periods.
struct Life {
    id: String,
    account: String,
    plan: &'static str,
}

/// The first of June 2026, and of the months behind it.
const MONTHS: [i64; 4] = [1_780_272_000, 1_782_864_000, 1_785_542_400, 1_788_220_800];

impl Life {
    fn new(account: &Account, plan: &'static str) -> Self {
        Self { id: format!("sub_{}", account.id), account: account.id.clone(), plan }
    }

    fn metadata(&self) -> Value {
        json!({"ledgerline_account": self.account, "ledgerline_plan": self.plan})
    }

    fn subscription(&self, status: &str, month: usize) -> Value {
        json!({
            "id": self.id, "object": "subscription", "status": status,
            "customer": format!("cus_{}", self.account), "metadata": self.metadata(),
            "cancel_at_period_end": false,
            "items": {"object": "list", "data": [{
                "id": "si_1", "quantity": 1,
                "price": {"id": "price_1", "product": "prod_1", "lookup_key": null},
                "current_period_start": MONTHS[month], "current_period_end": MONTHS[month + 1],
            }]},
        })
    }

    fn invoice(&self, reason: &str, month: usize) -> Value {
        let details = json!({"subscription": self.id, "metadata": self.metadata()});
        json!({
            "id": format!("in_{}_{month}", self.id), "object": "invoice", "status": "paid",
            "billing_reason": reason, "amount_paid": 7900, "currency": "usd",
            "customer": format!("cus_{}", self.account), "metadata": {},
            "parent": {"type": "subscription_details", "subscription_details": details},
            "hosted_invoice_url": "https://pay.example/in_1",
            "lines": {"object": "list", "data": [{
                "id": "il_1", "amount": 7900,
                "period": {"start": MONTHS[month], "end": MONTHS[month + 1]},
                "parent": {"subscription_item_details": {
                    "subscription": self.id, "proration": false,
                }},
            }]},
        })
    }

    /// What happens to it until it is unpaid, paid again and canceled.
    fn events(&self) -> Vec<Value> {
        let mut ending = self.subscription("active", 1);
        ending["cancel_at_period_end"] = json!(true);
        let mut update = self.invoice("subscription_update", 1);
        update["id"] = json!(format!("in_{}_update", self.id));
        let told = [
            ("customer.subscription.created", 0, self.subscription("incomplete", 0)),
            ("invoice.paid", 0, self.invoice("subscription_create", 0)),
            ("customer.subscription.updated", 0, self.subscription("active", 0)),
            ("invoice.payment_failed", 100, self.invoice("subscription_cycle", 1)),
            ("customer.subscription.updated", 100, self.subscription("past_due", 1)),
            ("customer.subscription.updated", 150, self.subscription("past_due", 1)),
            ("invoice.paid", 200, self.invoice("subscription_cycle", 1)),
            ("customer.subscription.updated", 200, self.subscription("active", 1)),
            ("invoice.paid", 250, update),
            ("customer.subscription.updated", 300, ending),
            ("customer.subscription.updated", 400, self.subscription("past_due", 1)),
            ("customer.subscription.updated", 500, self.subscription("past_due", 1)),
        ];
        let one = |(n, (kind, at, object)): (usize, &(&str, i64, Value))| {
            event(&format!("evt_{}_{n}", self.id), kind, MONTHS[0] + at, object)
        };
        told.iter().enumerate().map(one).collect()
    }
}

async fn the_life_of_a_subscription_in_any_order_and_twice_is_the_same(engine: Engine) {
    let till = Till::start(engine).await;
    let dice = SeededDice::new(11);
    let mut first = None;
    for round in 0..12 {
        let account = till.server.account("a").await;
        let mut events = Life::new(&account, "growth").events();
        if round > 0 {
            let again = events.len();
            events.extend_from_within(..);
            for at in (1..events.len()).rev() {
                let bound = u64::try_from(at + 1).expect("few");
                events.swap(at, usize::try_from(dice.below(bound)).expect("few"));
            }
            assert_eq!(events.len(), 2 * again);
        }
        till.tell_all(&events).await;
        let mut found = till.server.get(&account.key, "/v1/subscription").await.ok();
        let page = till.server.get(&account.key, "/v1/ledger").await.ok();
        let lines = page["data"].as_array().expect("lines").iter();
        let mut grants: Vec<(String, Value)> = lines
            .map(|line| {
                let key = line["effect_key"].as_str().expect("a key").replace(&account.id, "");
                (key, line["change"].clone())
            })
            .collect();
        grants.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(grants.len(), 2, "one for each paid period: {page}");
        found["round"] = json!(null);
        let all = (found, grants);
        if let Some(first) = &first {
            assert_eq!(&all, first, "round {round}");
        }
        first = first.or(Some(all));
        till.server.audited(&account).await;
    }
    let (found, _) = first.expect("there was one");
    assert_eq!((&found["state"], &found["plan"]), (&json!("past_due"), &json!("growth")));
    // Due since the first news of it, with Growth's seven days of grace.
    assert_eq!(found["grace_until"], "2026-06-08T00:06:40Z");
    assert_eq!(found["entitled"], false, "that was in June: {found}");
}

async fn a_trial_brings_credits_where_the_plan_says_so(engine: Engine) {
    let till = Till::start(engine).await;
    for (plan, credits) in [("starter", 500), ("scale", 0)] {
        let account = till.server.account(plan).await;
        let life = Life::new(&account, plan);
        let mut invoice = life.invoice("subscription_create", 1);
        invoice["amount_paid"] = json!(0);
        invoice["lines"]["data"][0]["amount"] = json!(0);
        let created = till.now().seconds();
        let events = [
            event(
                &format!("evt_{plan}_1"),
                "customer.subscription.created",
                created,
                &life.subscription("trialing", 1),
            ),
            event(&format!("evt_{plan}_2"), "invoice.paid", created, &invoice),
        ];
        till.tell_all(&events).await;
        assert_eq!(till.available(&account).await, credits, "{plan}");
        // What a discount made zero is no trial.
        let mut free = life.invoice("subscription_cycle", 2);
        free["amount_paid"] = json!(0);
        till.tell_all(&[event(&format!("evt_{plan}_3"), "invoice.paid", created, &free)]).await;
        let found = till.server.get(&account.key, "/v1/subscription").await.ok();
        assert_eq!(found["state"], "trialing");
        let monthly = found["monthly_credits"].as_i64().expect("a number");
        assert_eq!(till.available(&account).await, credits + monthly, "{plan}");
    }
}

async fn an_invoice_that_is_not_paid_is_told(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("a").await;
    let life = Life::new(&account, "growth");
    let created = till.now().seconds();
    let invoice = life.invoice("subscription_cycle", 1);
    for n in 0..2 {
        let id = format!("evt_{n}");
        till.tell_all(&[event(&id, "invoice.payment_failed", created, &invoice)]).await;
    }
    let notices = till.server.get(&account.key, "/v1/notices").await.ok();
    let all = notices["data"].as_array().expect("notices");
    assert_eq!(all.len(), 1, "{notices}");
    assert_eq!(all[0]["link"], "https://pay.example/in_1");
    assert_eq!(till.available(&account).await, 0);
}

async fn what_stripe_says_of_other_things_changes_nothing(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("a").await;
    let life = Life::new(&account, "growth");
    let mut strange = life.subscription("active", 1);
    strange["metadata"] = json!({"ledgerline_account": account.id});
    let mut odd = life.subscription("dormant", 1);
    odd["id"] = json!("sub_odd");
    let mut single = life.invoice("manual", 1);
    single["parent"] = Value::Null;
    single["metadata"] = json!({"ledgerline_account": account.id});
    let created = till.now().seconds();
    till.tell_all(&[
        event("evt_1", "customer.subscription.created", created, &strange),
        event("evt_2", "customer.subscription.updated", created, &odd),
        event("evt_3", "invoice.paid", created, &single),
    ])
    .await;
    assert_eq!(till.server.get(&account.key, "/v1/subscription").await.ok()["state"], "none");
    assert_eq!(till.available(&account).await, 0);
    // A plan that is sold no more: nothing is granted until somebody adds it to the list again.
    let mut gone = life.invoice("subscription_create", 1);
    gone["parent"]["subscription_details"]["metadata"]["ledgerline_plan"] = json!("gone");
    till.tell_all(&[event("evt_4", "invoice.paid", created, &gone)]).await;
    assert_eq!(till.available(&account).await, 0);
    till.server.audited(&account).await;
}
