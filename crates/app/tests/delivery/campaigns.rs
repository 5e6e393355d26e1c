//! A paid campaign from its list to its end.

use domain::campaign::State;
use domain::message::Receipt;
use domain::permit::Consent;
use testkit::Engine;

use crate::harness::{Shop, phone, word};

testkit::both_engines!(
    a_campaign_stops_at_its_last_credit_and_resumes_there,
    two_campaigns_share_the_credits_to_the_last,
    everybody_ends_with_a_reason,
    personal_texts_are_rendered_and_holes_are_never_sent,
    receipts_in_disorder_and_twice_change_nothing_more,
);

async fn a_campaign_stops_at_its_last_credit_and_resumes_there(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(450, Some(Consent::OptedIn)).await;
    shop.credits(300, "first").await;
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait_state(id, State::Paused).await;
    let status = shop.status(id).await;
    assert_eq!(status.pause_reason, Some("credits"));
    assert_eq!((status.counts.sent, status.counts.pending), (300, 150));
    assert_eq!((shop.carrier.accepted().len(), shop.available().await), (300, 0));
    shop.assert_audit().await;

    shop.credits(500, "second").await;
    shop.tick().await;
    assert_eq!(shop.status(id).await.state, "paused", "it was not told to resume by itself");
    shop.wish(id, ledgerline::flow::campaigns::Wish::Resume).await;
    shop.wait_state(id, State::Completed).await;
    assert_eq!((shop.carrier.accepted().len(), shop.available().await), (450, 350));
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    process.stop().await;
}

async fn two_campaigns_share_the_credits_to_the_last(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(400, Some(Consent::OptedIn)).await;
    shop.credits(501, "first").await;
    let one = shop.campaign("Hello one", true).await;
    let two = shop.campaign("Hello two", true).await;
    let process = shop.start();
    shop.wait_state(one, State::Paused).await;
    shop.wait_state(two, State::Paused).await;
    assert_eq!((shop.carrier.accepted().len(), shop.available().await), (501, 0));
    shop.credits(299, "second").await;
    shop.wait_state(one, State::Completed).await;
    shop.wait_state(two, State::Completed).await;
    assert_eq!((shop.carrier.accepted().len(), shop.available().await), (800, 0));
    shop.assert_audit().await;
    process.stop().await;
}

async fn everybody_ends_with_a_reason(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(50, Some(Consent::OptedIn)).await;
    let mut words: Vec<_> = (50..60).map(|n| word(&phone(n), None)).collect();
    words.extend((60..65).map(|n| word(&phone(n), Some(Consent::OptedOut))));
    words.extend((65..68).map(|n| {
        let mut blocked = word(&phone(n), Some(Consent::OptedIn));
        blocked.blocked = Some(true);
        blocked
    }));
    words.push(word("+447400123456", Some(Consent::OptedIn)));
    shop.keep(&words).await;
    shop.credits(100, "first").await;
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait_state(id, State::Completed).await;
    let counts = shop.status(id).await.counts;
    assert_eq!((counts.total, counts.sent, counts.skipped, counts.pending), (69, 50, 19, 0));
    let rules = shop.rules(id).await;
    let expected = [("blocked", 3), ("consent", 10), ("number", 1), ("opt_out", 5)];
    assert_eq!(rules, expected.map(|(rule, n)| (rule.to_owned(), n)).into());
    shop.assert_audit().await;
    process.stop().await;
}

async fn personal_texts_are_rendered_and_holes_are_never_sent(engine: Engine) {
    let shop = Shop::open(engine).await;
    let words: Vec<_> = (0..6)
        .map(|n| {
            let mut one = word(&phone(n), Some(Consent::OptedIn));
            one.name = Some(format!("Ana {n}"));
            if n < 4 {
                one.fields.insert("city".to_owned(), "Lyon".to_owned());
            }
            one
        })
        .collect();
    shop.keep(&words).await;
    shop.credits(100, "first").await;
    let process = shop.start();
    let id = shop.campaign("{{ name | first_word }}, see you in {{ city }}!", false).await;
    shop.wait_state(id, State::Completed).await;
    let sent = shop.carrier.accepted();
    assert_eq!(sent.len(), 4);
    assert!(sent.iter().all(|one| one.body == "Ana, see you in Lyon!"), "{sent:?}");
    assert_eq!(shop.rules(id).await.get("template"), Some(&2));
    shop.assert_audit().await;
    process.stop().await;
}

async fn receipts_in_disorder_and_twice_change_nothing_more(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(40, Some(Consent::OptedIn)).await;
    shop.credits(40, "first").await;
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait_state(id, State::Completed).await;
    let last = |one: &crate::carrier::Accepted| match one.sid.as_bytes()[33] {
        b'0'..=b'3' => Some((Receipt::Undelivered, 30005)),
        b'4' => Some((Receipt::Failed, 30008)),
        _ => Some((Receipt::Delivered, 0)),
    };
    for _ in 0..2 {
        shop.receipts(last).await;
        shop.receipts(|_| Some((Receipt::Sent, 0))).await;
        shop.receipts(|_| Some((Receipt::Taken, 0))).await;
    }
    let counts = shop.status(id).await.counts;
    let told: Vec<_> = shop.carrier.accepted().iter().filter_map(last).collect();
    let count = |wanted| {
        i64::try_from(told.iter().filter(|(receipt, _)| *receipt == wanted).count()).expect("few")
    };
    assert_eq!(counts.delivered, count(Receipt::Delivered));
    assert_eq!(counts.undelivered, count(Receipt::Undelivered));
    assert_eq!(counts.failed, count(Receipt::Failed));
    assert_eq!(shop.available().await, count(Receipt::Failed), "a text that never left is free");
    shop.assert_audit().await;
    process.stop().await;
}
