//! Nobody is texted at night: each recipient's own.

use domain::campaign::State;
use domain::permit::Consent;
use std::time::Duration;
use store::settings;
use testkit::Engine;

use crate::harness::{Shop, word};

testkit::both_engines!(
    a_campaign_waits_for_each_recipients_morning,
    nobody_gets_more_texts_in_a_day_than_the_account_wants,
);

async fn a_campaign_waits_for_each_recipients_morning(engine: Engine) {
    // Half past seven in New York, half past four in Los Angeles, half past noon in London.
    let shop = Shop::open_at(engine, "2026-11-21T12:30:00Z").await;
    let zones = [None, Some("America/Los_Angeles"), Some("Europe/London")];
    let words: Vec<_> = (0..30)
        .map(|n| {
            // New York's area code: its clock goes for those whose zone nobody told.
            let mut one = word(&format!("+12122{n:06}"), Some(Consent::OptedIn));
            one.timezone = zones[n % 3].map(str::to_owned);
            one
        })
        .collect();
    shop.keep(&words).await;
    shop.credits(30, "first").await;
    let process = shop.start();
    let id = shop.campaign("Good morning", false).await;
    shop.wait(id, |status| status.counts.sent == 10 && status.counts.deferred == 20).await;
    assert_eq!(shop.available().await, 20, "nothing is reserved for what waits");
    shop.clock.advance(Duration::from_secs(30 * 60));
    shop.wait(id, |status| status.counts.sent == 20 && status.counts.deferred == 10).await;
    shop.clock.advance(Duration::from_secs(2 * 3600 + 59 * 60));
    shop.tick().await;
    assert_eq!(shop.status(id).await.counts.deferred, 10, "a minute to eight in Los Angeles");
    shop.clock.advance(Duration::from_secs(60));
    shop.wait_state(id, State::Completed).await;
    assert_eq!(shop.carrier.accepted().len(), 30);
    shop.assert_audit().await;
    process.stop().await;
}

async fn nobody_gets_more_texts_in_a_day_than_the_account_wants(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(20, "first").await;
    let mut tx = shop.db.begin().await.expect("begins");
    let mut choices = settings::lock_settings(&mut tx, shop.account).await.expect("locks");
    choices.recipient_daily_max = Some(2);
    settings::save_settings(&mut tx, shop.account, &choices).await.expect("saves");
    tx.commit().await.expect("commits");
    let process = shop.start();
    let to = "+12122000001";
    let mut texts = Vec::new();
    for n in 0..4 {
        let id = shop.text(to, "message.notification", &format!("News {n}")).await;
        texts.push(id);
        if n < 2 {
            shop.wait_message(id, "accepted").await;
        } else {
            shop.wait_message(id, "deferred").await;
            assert_eq!(shop.message(id).await.why.rule, Some("recipient_limit"));
        }
    }
    // A code is waited for, and another phone is another person.
    for (to, context) in [(to, "message.code"), ("+12122000002", "message.notification")] {
        let id = shop.text(to, context, "1234").await;
        shop.wait_message(id, "accepted").await;
    }
    // Midnight of New York, then the end of its quiet hours.
    shop.clock.advance(Duration::from_secs(20 * 3600));
    for id in &texts[2..] {
        shop.wait_message(*id, "accepted").await;
    }
    shop.assert_audit().await;
    process.stop().await;
}
