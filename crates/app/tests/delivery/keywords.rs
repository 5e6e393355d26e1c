//! A STOP that comes in as a text: what is queued stays, the one confirmation leaves.

use std::sync::Arc;

use domain::ids::MessageId;
use domain::permit::{Category, Consent};
use ledgerline::flow::accounts::{SenderIn, add_sender};
use ledgerline::flow::inbound::{Received, Reception, receive_batch};
use store::consents::{answers_to, list_events, standings};
use testkit::Engine;
use twilio::wire::InboundMessage;

use crate::harness::{Shop, from, phone};

testkit::both_engines!(
    a_stop_stops_what_is_queued_and_is_confirmed_once,
    a_confirmation_that_the_carrier_refuses_harms_nothing,
    two_texts_of_one_moment_keep_their_order,
);

fn text(n: u32, body: &str) -> InboundMessage {
    let sid = format!("SM{n:032x}");
    let pairs = [
        ("MessageSid", sid.as_str()),
        ("From", &phone(1)),
        ("To", &from().address),
        ("Body", body),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    InboundMessage::parse(&pairs).expect("a text")
}

/// A shop with a short code of its own, so that we answer for it.
async fn open(engine: Engine) -> Shop {
    let shop = Shop::open(engine).await;
    let sender = SenderIn {
        kind: "short_code".to_owned(),
        address: from().address,
        segments_per_second: None,
        answers_stop: None,
    };
    let mut tx = shop.db.begin().await.expect("begins");
    add_sender(&mut tx, &*shop.dice, shop.account, &sender).await.expect("adds");
    tx.commit().await.expect("commits");
    shop
}

async fn arrive(shop: &Shop, texts: Vec<InboundMessage>) {
    let reception = Reception {
        db: shop.db.clone(),
        dice: Arc::clone(&shop.dice) as Arc<dyn domain::seam::Dice>,
        installation_sender: Some(from()),
        magic_allowed: true,
    };
    let wanted = texts.len();
    let answers = receive_batch(&reception, texts).await;
    let new = answers.iter().filter(|one| matches!(one, Ok(Received::New(..)))).count();
    assert_eq!(new, wanted, "{answers:?}");
}

async fn answers(shop: &Shop) -> Vec<(MessageId, String)> {
    let mut tx = shop.db.read().await.expect("reads");
    let list = answers_to(&mut tx, shop.account, &phone(1)).await.expect("lists");
    list.into_iter().map(|(_, id, context)| (id, context)).collect()
}

async fn stands(shop: &Shop) -> Vec<Consent> {
    let mut tx = shop.db.read().await.expect("reads");
    let all = standings(&mut tx, shop.account, &phone(1)).await.expect("lists");
    all.into_iter().map(|one| one.state).collect()
}

async fn a_stop_stops_what_is_queued_and_is_confirmed_once(engine: Engine) {
    let shop = open(engine).await;
    shop.credits(100, "first").await;
    let mut queued = Vec::new();
    for context in ["message.notification", "message.reminder", "message.marketing"] {
        queued.push(shop.text(&phone(1), context, "News").await);
    }
    let other = shop.text(&phone(2), "message.notification", "News").await;
    arrive(&shop, vec![text(1, "STOP"), text(2, "stop")]).await;
    let process = shop.start();
    for id in queued {
        shop.wait_message(id, "suppressed").await;
        assert_eq!(shop.message(id).await.why.rule, Some("opt_out"));
    }
    shop.wait_message(other, "accepted").await;
    let answers = answers(&shop).await;
    assert_eq!(answers.len(), 1, "{answers:?}");
    shop.wait_message(answers[0].0, "accepted").await;
    assert_eq!(shop.carrier.accepted().len(), 2);
    // What is wanted from here on does not leave either.
    let later = shop.text(&phone(1), "message.urgent", "News").await;
    shop.wait_message(later, "suppressed").await;
    shop.assert_audit().await;
    process.stop().await;
}

async fn a_confirmation_that_the_carrier_refuses_harms_nothing(engine: Engine) {
    let shop = open(engine).await;
    shop.credits(100, "first").await;
    shop.carrier.answer(|call, _| (call == 1).then(|| crate::routes::refused(21610, 400)));
    arrive(&shop, vec![text(1, "STOP")]).await;
    let process = shop.start();
    let confirmation = answers(&shop).await.first().expect("it is there").0;
    shop.wait_message(confirmation, "rejected").await;
    assert_eq!(shop.available().await, 100, "a refusal costs nothing");
    assert_eq!(stands(&shop).await, [Consent::OptedOut; 2]);
    // The carrier's word is one more, and START undoes it as well.
    let mut tx = shop.db.read().await.expect("reads");
    let after = (domain::instant::Instant(0), [0; 16]);
    let category = Some(Category::Marketing);
    let words = list_events(&mut tx, shop.account, Some(&phone(1)), category, after, 10).await;
    let sources: Vec<String> =
        words.expect("lists").into_iter().map(|(_, event)| event.source).collect();
    assert_eq!(sources.iter().filter(|one| *one == "keyword").count(), 1, "{sources:?}");
    assert!(sources.contains(&"carrier".to_owned()), "{sources:?}");
    drop(tx);
    arrive(&shop, vec![text(2, "START")]).await;
    assert_eq!(stands(&shop).await, [Consent::OptedIn; 2]);
    let welcome = answers(&shop).await.last().expect("it is there").0;
    shop.wait_message(welcome, "accepted").await;
    shop.assert_audit().await;
    process.stop().await;
}

async fn two_texts_of_one_moment_keep_their_order(engine: Engine) {
    let shop = open(engine).await;
    let mut n = 0;
    for (bodies, expected) in [
        (["STOP", "START"], Consent::OptedIn),
        (["START", "STOP"], Consent::OptedOut),
        (["STOP", "START"], Consent::OptedIn),
    ] {
        let texts = bodies.map(|body| {
            n += 1;
            text(n, body)
        });
        arrive(&shop, texts.into()).await;
        assert_eq!(stands(&shop).await, [expected; 2], "{bodies:?}");
    }
}
