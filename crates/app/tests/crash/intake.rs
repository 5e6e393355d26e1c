//! Single texts are taken in under an idempotency key.

use domain::ids::MessageId;
use ledgerline::flow::messages::{Taken, take_batch};
use testkit::Engine;

use crate::shop::{Death, Shop};
use crate::town::Town;
use crate::trial::Least;

testkit::both_engines!(single_texts);

/// What clients want: two texts, one of which is asked for twice.
const WANTED: [(usize, &str); 3] = [(0, "first"), (1, "second"), (0, "first")];

/// Asks for them; the ids that were answered.
async fn ask(shop: &Shop<'_>) -> Option<Vec<MessageId>> {
    let mut batch = Vec::new();
    for (phone, key) in WANTED {
        batch.push(shop.checked(&shop.phone(phone), "Your table is ready", Some(key)).await);
    }
    let answers = take_batch(&shop.town.db, batch).await;
    answers.into_iter().map(|answer| answer.ok().map(id)).collect()
}

fn id(taken: Taken) -> MessageId {
    match taken {
        Taken::New(taken) => taken.id,
        Taken::Before(kept) => {
            let body: serde_json::Value = serde_json::from_str(&kept.body).expect("JSON");
            let id = body["id"].as_str().and_then(|text| MessageId::parse(text).ok());
            id.expect("the id of the text that was taken in")
        }
    }
}

async fn single_texts(engine: Engine) {
    let town = Town::open(engine).await;
    let least = Least { points: 16, inside: 6, commits: 1 };
    town.endure("intake", Death::Proven, least, async |trial| {
        let shop = &trial.shop;
        shop.credits(5).await;
        let told = trial.run(ask(shop)).await.flatten();
        // Who got no answer asks again with the same key; who got one may, too.
        let again = ask(shop).await.expect("is taken in");
        assert!(told.is_none_or(|told| told == again), "another id for the same request");
        assert_eq!(ask(shop).await.as_ref(), Some(&again));
        assert_eq!(again[0], again[2]);
        shop.finish().await;
        let texts: Vec<usize> = (0..2).map(|n| town.carrier.taken(&shop.phone(n)).len()).collect();
        assert_eq!(texts, [1, 1]);
        assert_eq!(shop.stream(again[0].stream).await.total, 2);
    })
    .await;
}
