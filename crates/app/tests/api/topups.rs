//! Buying credits by themselves.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use domain::seam::{Clock, SeededDice};
use ledgerline::entry::app::App;
use ledgerline::entry::settings::Settings;
use serde_json::{Value, json};
use testkit::Engine;
use tokio::net::TcpListener;
use twilio::sandbox::Knobs;

use crate::server::{Account, Reply};
use crate::till::{Charging, Till, event};

testkit::both_engines!(
    a_rule_is_written_and_shown,
    credits_that_run_low_are_bought,
    b17_one_top_up_is_in_flight_at_a_time,
    caps_hold_to_the_credit,
    a_soft_decline_is_tried_again_and_stops_after_three,
    a_hard_decline_stops_at_once,
    a_bank_that_wants_its_owner_is_led_to_a_page,
    a_lost_answer_pays_once,
    a_payment_that_stripe_forgot_is_looked_for,
    news_and_answers_meet_in_any_order,
    stale_news_lifts_no_halt,
    two_servers_buy_once,
);

const PAYMENTS: &str = "/v1/payment_intents";

async fn put(till: &Till, account: &Account, body: &Value) -> Reply {
    let asking = till.server.ask(Method::PUT, "/v1/auto-topup").key(&account.key);
    asking.json(body).send().await
}

async fn rule(till: &Till, account: &Account) -> Value {
    till.server.get(&account.key, "/v1/auto-topup").await.ok()
}

/// An account with a card that buys 500 credits below 100.
async fn low(till: &Till) -> Account {
    let account = till.server.account("a").await;
    till.save_card(&account).await;
    put(till, &account, &json!({"enabled": true, "threshold": 100, "pack": "starter"})).await.ok();
    account
}

async fn purchases(till: &Till, account: &Account) -> Vec<Value> {
    let list = till.server.get(&account.key, "/v1/purchases").await.ok();
    list["data"].as_array().expect("rows").clone()
}

async fn a_rule_is_written_and_shown(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("a").await;
    let off = rule(&till, &account).await;
    assert_eq!((&off["enabled"], &off["state"]), (&json!(false), &json!("off")));
    for (body, field) in [
        (json!({"enabled": true, "pack": "starter"}), "threshold"),
        (json!({"enabled": true, "threshold": 100}), "pack"),
        (json!({"enabled": true, "threshold": -1, "pack": "starter"}), "threshold"),
        (json!({"enabled": true, "threshold": 1, "pack": "x"}), "pack"),
        (
            json!({"enabled": true, "threshold": 1, "pack": "starter", "daily_cap": 499}),
            "daily_cap",
        ),
        (
            json!({"enabled": true, "threshold": 1, "pack": "starter", "monthly_cap": 0}),
            "monthly_cap",
        ),
    ] {
        let refused = put(&till, &account, &body).await.problem();
        assert_eq!(refused, (422, "invalid_field".to_owned(), Some(field.to_owned())), "{body}");
    }
    let wanted = json!({
        "enabled": true, "threshold": 100, "pack": "starter", "daily_cap": 1000,
        "monthly_cap": 5000,
    });
    let shown = put(&till, &account, &wanted).await.ok();
    for (name, value) in wanted.as_object().expect("an object") {
        assert_eq!(&shown[name], value, "{name}");
    }
    assert_eq!((&shown["state"], &shown["card"]), (&json!("needs_card"), &Value::Null));
    // The address leads to a page of Stripe's that saves a card.
    let url = shown["setup_url"].as_str().expect("where a card is saved");
    let path = &url[till.server.app.public_url.len()..];
    let led = till.server.get("", path).await;
    assert_eq!((led.status, led.header("location")), (303, "https://pay.example/cs_2"));
    {
        let shop = till.shop();
        let form = &shop.calls.last().expect("a call").2;
        assert_eq!(
            (form["mode"].as_str(), &form["metadata[ledgerline_account]"]),
            ("setup", &account.id)
        );
    }
    till.server.get("", "/cards/nonsense").await.refused(404, "not_found");
    till.look().await;
    assert_eq!(till.called(PAYMENTS), 0, "nothing is bought without a card");
    let kept = put(&till, &account, &json!({"enabled": false})).await.ok();
    assert_eq!((&kept["threshold"], &kept["state"]), (&json!(100), &json!("off")));
    till.save_card(&account).await;
    till.look().await;
    assert_eq!(till.called(PAYMENTS), 0, "nothing is bought when it is off");
}

async fn credits_that_run_low_are_bought(engine: Engine) {
    let till = Till::start(engine).await;
    let account = low(&till).await;
    assert_eq!(rule(&till, &account).await["card"]["last4"], "4242");
    till.look().await;
    assert_eq!(till.available(&account).await, 500);
    till.look().await;
    assert_eq!(till.called(PAYMENTS), 1, "there is enough now");
    let shown = rule(&till, &account).await;
    assert_eq!((&shown["state"], &shown["bought_today"]), (&json!("ready"), &json!(500)));
    let bought = purchases(&till, &account).await;
    let [it] = bought.as_slice() else { panic!("{bought:?}") };
    assert_eq!(
        (&it["kind"], &it["state"], &it["checkout_url"]),
        (&json!("auto"), &json!("paid"), &Value::Null)
    );
    {
        let shop = till.shop();
        let call = shop.calls.iter().find(|call| call.1 == PAYMENTS).expect("a payment");
        assert_eq!(call.3, format!("purchase:{}", it["id"].as_str().expect("an id")));
        for (name, value) in [
            ("amount", "1000"),
            ("currency", "usd"),
            ("off_session", "true"),
            ("confirm", "true"),
            ("payment_method", crate::till::CARD),
            ("metadata[ledgerline_account]", &account.id),
            ("metadata[ledgerline_purchase]", it["id"].as_str().expect("an id")),
        ] {
            assert_eq!(call.2[name], value, "{name}");
        }
    }
    till.server.audited(&account).await;
}

async fn b17_one_top_up_is_in_flight_at_a_time(engine: Engine) {
    let till = Till::start(engine).await;
    till.shop().charging = Charging::Processes;
    let account = low(&till).await;
    for _ in 0..3 {
        till.look().await;
        till.server.clock.advance(Duration::from_secs(30));
    }
    assert_eq!(till.called(PAYMENTS), 1);
    let shown = rule(&till, &account).await;
    assert_eq!((&shown["state"], &shown["bought_today"]), (&json!("in_flight"), &json!(500)));
    // Stripe tells that it succeeded; the next one may begin when credits run low again.
    let it = &purchases(&till, &account).await[0];
    assert!(it["payment_intent"].is_string());
    let payment = json!({
        "id": it["payment_intent"], "object": "payment_intent", "status": "succeeded",
        "metadata": {"ledgerline_account": account.id, "ledgerline_purchase": it["id"]},
    });
    till.tell_all(&[event("evt_1", "payment_intent.succeeded", 1_784_134_800, &payment)]).await;
    assert_eq!(till.available(&account).await, 500);
    assert_eq!(rule(&till, &account).await["state"], "ready");
    till.server.audited(&account).await;
}

async fn caps_hold_to_the_credit(engine: Engine) {
    let till = Till::start(engine).await;
    let account = till.server.account("a").await;
    till.save_card(&account).await;
    // The threshold is never reached: only the caps stop it.
    let body = json!({
        "enabled": true, "threshold": 1_000_000, "pack": "starter", "daily_cap": 1499,
        "monthly_cap": 1500,
    });
    put(&till, &account, &body).await.ok();
    for _ in 0..4 {
        till.look().await;
    }
    assert_eq!(till.available(&account).await, 1000);
    let shown = rule(&till, &account).await;
    assert_eq!((&shown["state"], &shown["bought_today"]), (&json!("waiting"), &json!(1000)));
    // Midnight in Chicago.
    assert!(shown["reason"].as_str().expect("why").contains("2026-07-16T05:00:00Z"), "{shown}");
    till.server.clock.advance(Duration::from_secs(13 * 3600));
    for _ in 0..4 {
        till.look().await;
    }
    assert_eq!(till.available(&account).await, 1500);
    let shown = rule(&till, &account).await;
    assert_eq!((&shown["bought_today"], &shown["bought_this_month"]), (&json!(500), &json!(1500)));
    assert!(shown["reason"].as_str().expect("why").contains("2026-08-01T05:00:00Z"), "{shown}");
    till.server.clock.advance(Duration::from_secs(17 * 24 * 3600));
    for _ in 0..4 {
        till.look().await;
    }
    assert_eq!(till.available(&account).await, 2500);
    till.server.audited(&account).await;
}

async fn a_soft_decline_is_tried_again_and_stops_after_three(engine: Engine) {
    let till = Till::start(engine).await;
    till.shop().charging = Charging::Declines("insufficient_funds");
    let account = low(&till).await;
    till.look().await;
    till.look().await;
    assert_eq!(till.called(PAYMENTS), 1, "not at once");
    let shown = rule(&till, &account).await;
    assert_eq!((&shown["state"], &shown["bought_today"]), (&json!("waiting"), &json!(0)));
    till.server.clock.advance(Duration::from_secs(2 * 3600 + 1));
    till.look().await;
    till.server.clock.advance(Duration::from_secs(12 * 3600 + 1));
    till.look().await;
    assert_eq!(till.called(PAYMENTS), 3);
    let shown = rule(&till, &account).await;
    assert_eq!(shown["state"], "halted");
    assert!(shown["reason"].as_str().expect("why").contains("insufficient_funds"), "{shown}");
    till.server.clock.advance(Duration::from_secs(9 * 24 * 3600));
    till.look().await;
    assert_eq!(till.called(PAYMENTS), 3, "a person must look");
    let failed = purchases(&till, &account).await;
    let states: Vec<&Value> =
        failed.iter().filter(|it| it["kind"] == "auto").map(|it| &it["state"]).collect();
    assert_eq!(states, [&json!("failed"); 3]);
    let notices = till.server.get(&account.key, "/v1/notices").await.ok();
    assert_eq!(notices["data"].as_array().map(Vec::len), Some(3));
    assert_eq!(notices["data"][0]["title"], "Top-ups have stopped");
    // Somebody switches it on again.
    till.shop().charging = Charging::Succeeds;
    put(&till, &account, &json!({"enabled": true})).await.ok();
    till.look().await;
    assert_eq!(till.available(&account).await, 500);
    till.server.audited(&account).await;
}

async fn a_hard_decline_stops_at_once(engine: Engine) {
    let till = Till::start(engine).await;
    till.shop().charging = Charging::Declines("lost_card");
    let account = low(&till).await;
    till.look().await;
    let shown = rule(&till, &account).await;
    assert_eq!((&shown["state"], &shown["pack"]), (&json!("halted"), &json!("starter")));
    assert!(shown["reason"].as_str().expect("why").contains("lost_card"), "{shown}");
    assert!(shown["setup_url"].is_string());
    till.server.clock.advance(Duration::from_secs(3 * 24 * 3600));
    till.look().await;
    assert_eq!(till.called(PAYMENTS), 1);
    till.server.audited(&account).await;
}

async fn a_bank_that_wants_its_owner_is_led_to_a_page(engine: Engine) {
    let till = Till::start(engine).await;
    till.shop().charging = Charging::WantsAuthentication;
    let account = low(&till).await;
    till.look().await;
    let shown = rule(&till, &account).await;
    assert_eq!(shown["state"], "halted");
    let why = shown["reason"].as_str().expect("why");
    assert!(why.starts_with("authentication_required"), "{why}");
    let notices = till.server.get(&account.key, "/v1/notices").await.ok();
    let link = notices["data"][0]["link"].as_str().expect("a link to pay").to_owned();
    let path = &link[till.server.app.public_url.len()..];
    let page = till.server.get("", path).await.text();
    assert!(page.contains("Pay now") && page.contains("https://pay.example/"), "{page}");
    // It is paid there, and top-ups go on.
    let all = purchases(&till, &account).await;
    let it = all.iter().find(|it| it["kind"] == "checkout").expect("a page to pay on");
    let id = it["id"].as_str().expect("an id").to_owned();
    let checkout = it["checkout_url"].as_str().expect("a page").rsplit('/').next().expect("an id");
    let it = crate::till::Bought::new(&account, id, checkout.to_owned());
    till.tell_all(&it.events(till.now().seconds() + 60, &it.paid())).await;
    assert_eq!(till.available(&account).await, 500);
    assert_eq!(rule(&till, &account).await["state"], "ready");
    till.server.audited(&account).await;
}

async fn a_lost_answer_pays_once(engine: Engine) {
    let till = Till::start(engine).await;
    till.shop().charging = Charging::IsLost;
    let account = low(&till).await;
    till.look().await;
    assert_eq!(till.available(&account).await, 0);
    assert_eq!(rule(&till, &account).await["state"], "in_flight");
    till.server.clock.advance(Duration::from_secs(400));
    till.look().await;
    assert_eq!(till.available(&account).await, 500);
    let keys: Vec<String> = {
        let shop = till.shop();
        shop.calls.iter().filter(|call| call.1 == PAYMENTS).map(|call| call.3.clone()).collect()
    };
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1], "the same key pays once");
    assert_eq!(purchases(&till, &account).await.len(), 1);
    till.server.audited(&account).await;
}

async fn a_payment_that_stripe_forgot_is_looked_for(engine: Engine) {
    let till = Till::start(engine).await;
    till.shop().charging = Charging::IsDown;
    let (paid, unpaid) = (low(&till).await, low(&till).await);
    till.look().await;
    assert_eq!(till.called(PAYMENTS), 2);
    // One was carried out all the same. A day later its key is forgotten.
    let id = purchases(&till, &paid).await[0]["id"].clone();
    let payment = json!({
        "id": "pi_found", "object": "payment_intent", "status": "succeeded",
        "metadata": {"ledgerline_account": paid.id, "ledgerline_purchase": id},
    });
    till.shop().objects.insert(format!("{PAYMENTS}/pi_found"), payment);
    till.shop().charging = Charging::Succeeds;
    till.server.clock.advance(Duration::from_secs(27 * 3600));
    till.look().await;
    assert_eq!(till.available(&paid).await, 500);
    assert_eq!(purchases(&till, &paid).await[0]["payment_intent"], "pi_found");
    assert_eq!(till.called(PAYMENTS), 2, "nothing is paid under a forgotten key");
    let given_up = &purchases(&till, &unpaid).await[0];
    assert_eq!(given_up["state"], "failed");
    // Nothing was taken for it, so that another one may be bought.
    till.server.clock.advance(Duration::from_secs(2 * 3600 + 1));
    till.look().await;
    assert_eq!(till.available(&unpaid).await, 500);
    till.server.audited(&paid).await;
    till.server.audited(&unpaid).await;
}

async fn news_and_answers_meet_in_any_order(engine: Engine) {
    let till = Till::start(engine).await;
    till.shop().charging = Charging::IsLost;
    let account = low(&till).await;
    till.look().await;
    let it = purchases(&till, &account).await[0].clone();
    let payment = |status: &str, error: Value| {
        json!({
            "id": "pi_auto_2", "object": "payment_intent", "status": status,
            "last_payment_error": error,
            "metadata": {"ledgerline_account": account.id, "ledgerline_purchase": it["id"]},
        })
    };
    // The event comes before the answer, which is asked for again.
    let paid = payment("succeeded", Value::Null);
    let created = till.now().seconds();
    till.tell_all(&[event("evt_paid", "payment_intent.succeeded", created, &paid)]).await;
    assert_eq!(till.available(&account).await, 500);
    till.server.clock.advance(Duration::from_secs(400));
    till.look().await;
    // A failure that was told late does not undo it.
    let error = json!({"code": "card_declined", "decline_code": "do_not_honor", "message": "No."});
    let failed = payment("requires_payment_method", error);
    let late = event("evt_failed", "payment_intent.payment_failed", created - 60, &failed);
    till.tell_all(&[late.clone(), late]).await;
    assert_eq!(till.available(&account).await, 500);
    let shown = rule(&till, &account).await;
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("ready"), &Value::Null));
    till.server.audited(&account).await;
}

async fn stale_news_lifts_no_halt(engine: Engine) {
    let till = Till::start(engine).await;
    let account = low(&till).await;
    let before = till.buy(&account).await;
    till.shop().charging = Charging::Declines("stolen_card");
    till.server.clock.advance(Duration::from_secs(1));
    till.look().await;
    assert_eq!(rule(&till, &account).await["state"], "halted");
    // A page that was opened before the halt is paid: that is no answer to it.
    till.tell_all(&before.events(till.now().seconds() - 5000, &before.paid())).await;
    assert_eq!(till.available(&account).await, 500);
    assert_eq!(rule(&till, &account).await["state"], "halted");
    // One that was opened after it is.
    let after = till.buy(&account).await;
    till.tell_all(&after.events(till.now().seconds(), &after.paid())).await;
    assert_eq!(rule(&till, &account).await["state"], "ready");
    till.server.audited(&account).await;
}

async fn two_servers_buy_once(engine: Engine) {
    let till = Till::start(engine).await;
    let account = low(&till).await;
    let path = till.server.app.settings.database_url.clone();
    let mut others = Vec::new();
    // Servers that share a database are for PostgreSQL; an embedded one refuses the second.
    let shared = path.starts_with("postgres");
    for n in 0..if shared { 3 } else { 0 } {
        let state = tempfile::tempdir().expect("a temporary directory");
        let mut settings = Settings::private(state.path());
        settings.database_url.clone_from(&path);
        settings.state_dir = Some(state.path().join("wire"));
        settings.payments = till.settings();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let clock: Arc<dyn Clock> = Arc::<domain::seam::VirtualClock>::clone(&till.server.clock);
        let dice = Arc::new(SeededDice::new(100 + n));
        let app = App::build(settings, &listener, clock, dice, Knobs::default()).await;
        others.push((app.expect("it starts"), listener, state));
    }
    let mut looks = Vec::new();
    for payments in others.iter().map(|(app, ..)| &app.payments).chain([&till.server.app.payments])
    {
        for _ in 0..2 {
            let payments = Arc::clone(payments);
            looks.push(tokio::spawn(async move { payments.look().await }));
        }
    }
    for look in looks {
        look.await.expect("it ends").expect("it looks");
    }
    let keys: std::collections::BTreeSet<String> = {
        let shop = till.shop();
        shop.calls.iter().filter(|call| call.1 == PAYMENTS).map(|call| call.3.clone()).collect()
    };
    assert_eq!(keys.len(), 1);
    assert_eq!(till.available(&account).await, 500);
    assert_eq!(purchases(&till, &account).await.len(), 1);
    till.server.audited(&account).await;
}
