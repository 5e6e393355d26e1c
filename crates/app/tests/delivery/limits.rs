//! What limits an account besides its credits, through the real claim.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::campaign::State;
use domain::ids::MessageId;
use domain::permit::Consent;
use domain::seam::Clock as _;
use domain::settings::Settings;
use ledgerline::finance::budgets::{self, BudgetIn, BudgetOut};
use ledgerline::flow::holds;
use serde_json::{Value, json};
use store::holds::{Hold, list_holds};
use store::notices::list_notices;
use store::settings;
use testkit::Engine;
use twilio::outcome::Outcome;

use crate::harness::{Shop, phone, word};
use crate::reminders::{book, go_to};

testkit::both_engines!(
    a_budget_pauses_a_campaign_until_the_next_day,
    a_raised_budget_resumes_a_campaign,
    what_fits_into_the_budget_leaves_in_one_go,
    single_texts_wait_for_the_budget,
    what_comes_back_may_be_spent_again,
    a_month_has_a_budget_too,
    countries_are_asked_again_at_the_gate,
    reminders_of_so_many_bookings_leave_in_an_hour,
    so_many_texts_leave_in_an_hour,
    too_many_codes_to_numbers_that_begin_alike_are_held,
    codes_to_numbers_that_follow_one_another_are_held,
    the_same_words_are_not_sent_while_they_are_on_their_way,
);

/// Changes the account's settings.
pub async fn choose(shop: &Shop, change: impl FnOnce(&mut Settings)) {
    let mut tx = shop.db.begin().await.expect("begins");
    let mut choices = settings::lock_settings(&mut tx, shop.account).await.expect("locks");
    change(&mut choices);
    settings::save_settings(&mut tx, shop.account, &choices).await.expect("saves");
    tx.commit().await.expect("commits");
}

async fn set_budget(shop: &Shop, daily: Option<i64>, monthly: Option<i64>) -> BudgetOut {
    let wanted = BudgetIn { daily_credits: daily, monthly_credits: monthly };
    let mut tx = shop.db.begin().await.expect("begins");
    let out = budgets::write(&mut tx, &*shop.dice, shop.account, "sam", &wanted).await;
    tx.commit().await.expect("commits");
    out.expect("sets")
}

async fn budget(shop: &Shop) -> BudgetOut {
    let mut tx = shop.db.read().await.expect("reads");
    budgets::show(&mut tx, shop.account).await.expect("shows")
}

/// The notices' subjects, oldest first.
async fn notices(shop: &Shop) -> Vec<String> {
    let mut tx = shop.db.read().await.expect("reads");
    let mut found = list_notices(&mut tx, shop.account, false, None, 100).await.expect("lists");
    found.sort_by_key(|given| (given.created_at, given.notice.subject.clone()));
    found.into_iter().map(|given| given.notice.subject).collect()
}

async fn open_holds(shop: &Shop) -> Vec<Hold> {
    let mut tx = shop.db.read().await.expect("reads");
    list_holds(&mut tx, shop.account, true, None, 100).await.expect("lists")
}

async fn lift(shop: &Shop, hold: &Hold) {
    let mut tx = shop.db.begin().await.expect("begins");
    let lifted = holds::lift(&mut tx, &*shop.dice, shop.account, hold.id, "sam").await;
    assert_eq!(lifted.expect("lifts").state, "lifted");
    tx.commit().await.expect("commits");
}

/// Where a text stands, by which rule, and in which words.
async fn why(shop: &Shop, id: MessageId) -> (Value, Value, String) {
    let status = serde_json::to_value(shop.message(id).await).expect("JSON");
    let words = serde_json::to_string(&status["why"]).expect("JSON");
    (status["state"].clone(), status["why"]["rule"].clone(), words)
}

async fn a_budget_pauses_a_campaign_until_the_next_day(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(25, Some(Consent::OptedIn)).await;
    shop.credits(100, "first").await;
    let fresh = set_budget(&shop, Some(10), None).await;
    assert_eq!((fresh.used_today, fresh.state, fresh.reason), (0, "open", None));
    // Midnight in New York, where the account is.
    assert_eq!(fresh.day_ends_at.to_string(), "2026-11-22T05:00:00Z");
    assert_eq!(fresh.month_ends_at.to_string(), "2026-12-01T05:00:00Z");
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait_state(id, State::Paused).await;
    let status = shop.status(id).await;
    assert_eq!((status.pause_reason, status.counts.sent), (Some("budget"), 10));
    let used = budget(&shop).await;
    assert_eq!((used.used_today, used.used_this_month, used.state), (10, 10, "reached"));
    assert_eq!(
        used.reason.as_deref(),
        Some(
            "the account's budget of 10 credits for 2026-11-21 is used up; more from \
             2026-11-22T05:00:00Z"
        )
    );
    let marks = ["100", "50", "80"].map(|mark| format!("budget:day:2026-11-21:10:{mark}"));
    assert_eq!(notices(&shop).await, marks);
    shop.tick().await;
    assert_eq!(shop.status(id).await.pause_reason, Some("budget"), "the same day goes on");
    go_to(&shop, "2026-11-22T04:59:59Z").await;
    assert_eq!(shop.status(id).await.counts.sent, 10);
    go_to(&shop, "2026-11-22T05:00:00Z").await;
    // It is night at the recipients': they wait for the morning, in the new day's budget.
    go_to(&shop, "2026-11-22T15:00:00Z").await;
    shop.wait(id, |status| status.counts.sent == 20 && status.state == "paused").await;
    assert_eq!(budget(&shop).await.used_this_month, 20);
    assert_eq!(notices(&shop).await.len(), 6, "each mark of each day once");
    go_to(&shop, "2026-11-23T15:00:00Z").await;
    shop.wait_state(id, State::Completed).await;
    assert_eq!(shop.carrier.accepted().len(), 25);
    // Five of ten: the first mark of the third day.
    assert_eq!(notices(&shop).await.len(), 7);
    shop.assert_audit().await;
    process.stop().await;
}

async fn what_fits_into_the_budget_leaves_in_one_go(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(90, Some(Consent::OptedIn)).await;
    shop.credits(100, "first").await;
    set_budget(&shop, Some(80), None).await;
    // Four windows of texts: most of them are still to begin when the campaign pauses.
    shop.carrier.hold_after(0);
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait(id, |status| status.state == "pausing").await;
    shop.carrier.open();
    shop.wait_state(id, State::Paused).await;
    assert_eq!(shop.carrier.accepted().len(), 80);
    let mut tx = shop.db.read().await.expect("reads");
    let lines = store::wallets::list_lines(&mut tx, shop.account, 0, 100).await.expect("lists");
    let reserves = lines.iter().filter(|line| line.posting.change.reserved > 0).count();
    let back = lines.iter().filter(|line| line.posting.change.spent == 0).skip(2).count();
    assert_eq!((reserves, back), (1, 0), "it was held once, and nothing was given back");
    drop(tx);
    shop.assert_audit().await;
    process.stop().await;
}

async fn a_raised_budget_resumes_a_campaign(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(20, Some(Consent::OptedIn)).await;
    shop.credits(100, "first").await;
    set_budget(&shop, Some(5), None).await;
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait_state(id, State::Paused).await;
    set_budget(&shop, Some(12), None).await;
    shop.wait(id, |status| status.counts.sent == 12 && status.state == "paused").await;
    set_budget(&shop, None, None).await;
    shop.wait_state(id, State::Completed).await;
    shop.assert_audit().await;
    process.stop().await;
}

async fn single_texts_wait_for_the_budget(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(100, "first").await;
    set_budget(&shop, Some(2), None).await;
    let process = shop.start();
    for n in 0..2 {
        let id = shop.text(&phone(n), "message.notification", "News").await;
        shop.wait_message(id, "accepted").await;
    }
    let code = shop.text(&phone(2), "message.code", "Your code is 123456").await;
    shop.wait_message(code, "deferred").await;
    let (_, rule, words) = why(&shop, code).await;
    assert_eq!(rule, "budget");
    assert!(
        words.contains("the account's budget of 2 credits for 2026-11-21 is used up"),
        "{words}"
    );
    assert_eq!(shop.available().await, 98, "nothing is reserved for what waits");
    set_budget(&shop, Some(3), None).await;
    shop.clock.advance(Duration::from_secs(60));
    shop.wait_message(code, "accepted").await;
    shop.assert_audit().await;
    process.stop().await;
}

async fn what_comes_back_may_be_spent_again(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(100, "first").await;
    set_budget(&shop, Some(1), None).await;
    let refused = phone(0);
    shop.carrier.answer(move |_, to| {
        (to == refused).then(|| Outcome::Rejected {
            code: 21211,
            http: 400,
            message: "no".to_owned(),
        })
    });
    let process = shop.start();
    let one = shop.text(&phone(0), "message.notification", "News").await;
    shop.wait_message(one, "rejected").await;
    assert_eq!(budget(&shop).await.used_today, 0);
    let other = shop.text(&phone(1), "message.notification", "News").await;
    shop.wait_message(other, "accepted").await;
    assert_eq!(budget(&shop).await.used_today, 1);
    process.stop().await;
}

async fn a_month_has_a_budget_too(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(100, "first").await;
    let process = shop.start();
    let first = shop.text(&phone(0), "message.notification", "News").await;
    shop.wait_message(first, "accepted").await;
    // What was used before the budget was set counts: the month is the month.
    let out = set_budget(&shop, Some(50), Some(1)).await;
    assert_eq!((out.used_this_month, out.state), (1, "reached"));
    let second = shop.text(&phone(1), "message.notification", "News").await;
    shop.wait_message(second, "deferred").await;
    let (_, rule, words) = why(&shop, second).await;
    assert_eq!(rule, "budget");
    assert!(words.contains("1 credits for 2026-11 is used up"), "{words}");
    process.stop().await;
}

async fn countries_are_asked_again_at_the_gate(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(100, "first").await;
    shop.keep(&[
        word("+16135550123", Some(Consent::OptedIn)),
        word(&phone(0), Some(Consent::OptedIn)),
    ])
    .await;
    let single = shop.text("+16135550123", "message.notification", "News").await;
    let id = shop.campaign("Hello there", false).await;
    choose(&shop, |choices| choices.countries = Some(vec!["US".to_owned()])).await;
    let process = shop.start();
    shop.wait_message(single, "invalid").await;
    let (_, rule, words) = why(&shop, single).await;
    assert_eq!(rule, "number");
    assert!(words.contains("Texts to CA are not allowed; to allow them, add CA to the setting"));
    shop.wait_state(id, State::Completed).await;
    assert_eq!(shop.rules(id).await, BTreeMap::from([("number".to_owned(), 1)]));
    // Allowed by name, a country is texted.
    choose(&shop, |choices| choices.countries = Some(vec!["GB".to_owned()])).await;
    let abroad = shop.text("+447400123456", "message.notification", "News").await;
    shop.wait_message(abroad, "accepted").await;
    process.stop().await;
}

async fn reminders_of_so_many_bookings_leave_in_an_hour(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(100, "first").await;
    choose(&shop, |choices| {
        choices.reminders_hourly_max = Some(2);
        choices.reminder_offsets_minutes = vec![2880];
        let off = domain::settings::ContextChoice { enabled: Some(false), ..Default::default() };
        choices.contexts.insert("appointment.scheduled".to_owned(), off);
    })
    .await;
    let people: Vec<Value> = (0..8).map(|n| json!({"phone": phone(n)})).collect();
    // A group of eight is one booking.
    let mut ids = vec![book(&shop, &json!({"attendees": people})).await.id];
    for n in 8..11 {
        // What was booked first is reminded of first.
        shop.clock.advance(Duration::from_secs(1));
        let one = json!({"attendees": [{"phone": phone(n)}]});
        ids.push(book(&shop, &one).await.id);
    }
    let process = shop.start();
    go_to(&shop, "2026-11-22T17:00:00Z").await;
    let texts: Vec<MessageId> = sent(&shop).await;
    assert_eq!(texts.len(), 11);
    let later = waiting(&shop, &texts, 2).await;
    for id in &later {
        let (state, rule, words) = why(&shop, *id).await;
        assert_eq!((state, rule), (json!("deferred"), json!("account_limit")));
        assert!(words.contains("2 reminders of the account, counted by bookings,"), "{words}");
    }
    let to: Vec<String> = shop.carrier.accepted().into_iter().map(|one| one.to).collect();
    assert!((0..8).all(|n| to.contains(&phone(n))), "the group left whole: {to:?}");
    shop.clock.advance(Duration::from_secs(3599));
    shop.tick().await;
    assert_eq!(shop.carrier.accepted().len(), 9);
    shop.clock.advance(Duration::from_secs(2));
    for id in later {
        shop.wait_message(id, "accepted").await;
    }
    shop.assert_audit().await;
    process.stop().await;
}

/// The reminders' texts.
async fn sent(shop: &Shop) -> Vec<MessageId> {
    let stream = domain::ids::StreamId::of_lane(domain::lanes::Lane::Reminder).expect("endless");
    let mut tx = shop.db.read().await.expect("reads");
    let found = store::streams::find_stream(&mut tx, shop.account, stream).await.expect("reads");
    let total = found.expect("is there").total;
    (1..=total).map(|ord| MessageId { account: shop.account, stream, ord }).collect()
}

/// Those of the texts that wait, as soon as all others are with the carrier.
async fn waiting(shop: &Shop, texts: &[MessageId], count: usize) -> Vec<MessageId> {
    for _ in 0..500 {
        let mut left = Vec::new();
        let mut done = 0;
        for id in texts {
            match shop.message(*id).await.state {
                "deferred" => left.push(*id),
                "accepted" => done += 1,
                _ => {}
            }
        }
        if left.len() == count && done == texts.len() - count {
            return left;
        }
        let more = Duration::from_millis(5);
        drop(tokio::time::timeout(more, shop.carrier.on_wire.notified()).await);
    }
    panic!("they never got there: {} accepted", shop.carrier.accepted().len());
}

async fn so_many_texts_leave_in_an_hour(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(100, "first").await;
    choose(&shop, |choices| choices.texts_hourly_max = Some(3)).await;
    let process = shop.start();
    let mut texts = Vec::new();
    for n in 0..4 {
        shop.clock.advance(Duration::from_secs(60));
        let id = shop.text(&phone(n), "message.notification", "News").await;
        let state = if n < 3 { "accepted" } else { "deferred" };
        shop.wait_message(id, state).await;
        texts.push(id);
    }
    let (_, rule, words) = why(&shop, texts[3]).await;
    assert_eq!(rule, "account_limit");
    // The first of them frees its place an hour after it left.
    assert!(words.contains("more from 2026-11-21T18:01:"), "{words}");
    shop.clock.advance(Duration::from_secs(57 * 60));
    shop.wait_message(texts[3], "accepted").await;
    process.stop().await;
}

async fn too_many_codes_to_numbers_that_begin_alike_are_held(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(100, "first").await;
    choose(&shop, |choices| choices.velocity_per_hour = Some(3)).await;
    let process = shop.start();
    let code = |n: usize| format!("Your code is {n:06}");
    let mut texts = Vec::new();
    for n in 0..5 {
        // Blocks of a hundred apart.
        let id = shop.text(&phone(n * 100), "message.code", &code(n)).await;
        shop.wait_message(id, if n < 3 { "accepted" } else { "deferred" }).await;
        texts.push(id);
    }
    let held = open_holds(&shop).await;
    assert_eq!(held.len(), 1, "{held:?}");
    let hold = &held[0];
    assert_eq!(hold.subject, "velocity:code:+1312200");
    assert_eq!(notices(&shop).await, [format!("hold:{}", hold.id)]);
    for id in &texts[3..] {
        let (_, rule, words) = why(&shop, *id).await;
        assert_eq!(rule, "account_limit");
        assert!(words.contains(&hold.id.to_string()), "{words}");
        assert!(words.contains("more than 3 texts of the kind code within an hour"), "{words}");
    }
    // Other numbers, and texts of another kind, are not held.
    for (to, context) in [
        ("+12122000000".to_owned(), "message.code"),
        (phone(700), "message.notification"),
        (phone(700), "message.urgent"),
    ] {
        let id = shop.text(&to, context, "Something else").await;
        shop.wait_message(id, "accepted").await;
    }
    // An hour later it still stands: a person lifts it.
    shop.clock.advance(Duration::from_secs(3600));
    let later = shop.text(&phone(900), "message.code", &code(9)).await;
    shop.wait_message(later, "deferred").await;
    lift(&shop, hold).await;
    lift(&shop, hold).await;
    shop.clock.advance(Duration::from_secs(60));
    for id in [texts[3], texts[4], later] {
        shop.wait_message(id, "accepted").await;
    }
    assert!(open_holds(&shop).await.is_empty());
    // Counting began anew, and goes on.
    let again = shop.text(&phone(1000), "message.code", &code(10)).await;
    shop.wait_message(again, "deferred").await;
    assert_eq!(open_holds(&shop).await.len(), 1);
    assert_eq!(notices(&shop).await.len(), 2, "a new hold is news");
    shop.assert_audit().await;
    process.stop().await;
}

async fn codes_to_numbers_that_follow_one_another_are_held(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(100, "first").await;
    choose(&shop, |choices| choices.sequential_per_hour = Some(2)).await;
    let process = shop.start();
    let mut last = None;
    for (nth, (n, state)) in
        [(0, "accepted"), (1, "accepted"), (1, "accepted"), (100, "accepted"), (2, "deferred")]
            .into_iter()
            .enumerate()
    {
        let id = shop.text(&phone(n), "message.code", &format!("Your code is {nth:06}")).await;
        shop.wait_message(id, state).await;
        last = Some(id);
    }
    let held = open_holds(&shop).await;
    assert_eq!(held.len(), 1, "{held:?}");
    assert_eq!(held[0].subject, "sequential:code:+131220000");
    let (_, rule, words) = why(&shop, last.expect("the last")).await;
    assert_eq!(rule, "account_limit");
    assert!(words.contains("more than 2 of the hundred numbers that begin with"), "{words}");
    assert!(shop.clock.now() > held[0].since - Duration::from_secs(1));
    // Off is off.
    choose(&shop, |choices| choices.sequential_per_hour = None).await;
    shop.clock.advance(Duration::from_secs(60));
    shop.wait_message(last.expect("the last"), "accepted").await;
    process.stop().await;
}

async fn the_same_words_are_not_sent_while_they_are_on_their_way(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(100, "first").await;
    choose(&shop, |choices| choices.refuse_duplicates = true).await;
    // Taken up together, and one after the other while the first is on the wire.
    let first = shop.text(&phone(0), "message.notification", "News").await;
    let twin = shop.text(&phone(0), "message.notification", "News").await;
    let other = shop.text(&phone(0), "message.notification", "Other news").await;
    let elsewhere = shop.text(&phone(1), "message.notification", "News").await;
    shop.carrier.hold_after(0);
    let process = shop.start();
    shop.wait_message(twin, "suppressed").await;
    let later = shop.text(&phone(0), "message.urgent", "News").await;
    shop.wait_message(later, "suppressed").await;
    assert_eq!(why(&shop, later).await.1, "duplicate");
    shop.carrier.open();
    for id in [first, other, elsewhere] {
        shop.wait_message(id, "accepted").await;
    }
    // It has left: the same words may be said again.
    let again = shop.text(&phone(0), "message.notification", "News").await;
    shop.wait_message(again, "accepted").await;
    assert_eq!(shop.carrier.accepted().len(), 4);
    assert_eq!(shop.available().await, 96);
    shop.assert_audit().await;
    process.stop().await;
}
