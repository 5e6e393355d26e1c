//! Words of consent fold to the same, in whatever order they come.

use domain::ids::AccountId;
use domain::instant::Instant;
use domain::permit::{Category, Consent};
use domain::seam::{Dice, SeededDice};
use store::Db;
use store::consents::{ConsentEvent, Proof, record_consents, standings};
use testkit::Engine;

use crate::open;

testkit::both_engines!(
    words_fold_to_the_same_in_any_order,
    words_that_come_at_once_fold_to_the_newest,
);

const PHONE: &str = "+13125550147";

fn word(dice: &SeededDice, said_at: i64) -> ConsentEvent {
    let mut id = [0; 16];
    dice.fill(&mut id);
    ConsentEvent {
        id,
        phone: PHONE.to_owned(),
        category: Category::ALL[usize::try_from(dice.below(2)).expect("small")],
        state: [Consent::OptedIn, Consent::OptedOut][usize::from(id[0] % 2 == 0)],
        source: "test".to_owned(),
        actor: "test".to_owned(),
        evidence: String::new(),
        proof: Proof { said_at: Some(Instant(said_at)), ..Proof::default() },
    }
}

/// What holds: the newest word; of one instant an opt-out, then the greatest id.
fn fold(words: &[ConsentEvent], category: Category) -> Option<(Consent, Instant)> {
    let of_category = words.iter().filter(|word| word.category == category);
    let newest = of_category.max_by_key(|word| (word.proof.said_at, word.state.code(), word.id))?;
    Some((newest.state, newest.proof.said_at.expect("it is given")))
}

async fn stands(db: &Db, account: AccountId, category: Category) -> Option<(Consent, Instant)> {
    let mut tx = db.read().await.expect("reads");
    let all = standings(&mut tx, account, PHONE).await.expect("lists");
    all.into_iter().find(|one| one.category == category).map(|one| (one.state, one.since))
}

async fn words_fold_to_the_same_in_any_order(engine: Engine) {
    let db = open(&engine).await;
    let dice = SeededDice::new(11);
    for round in 0..12 {
        // Few moments for many words, so that ties come up.
        let mut words: Vec<ConsentEvent> = (0..6)
            .map(|_| word(&dice, 1000 + i64::try_from(dice.below(4)).expect("small")))
            .collect();
        for order in 0..5 {
            let account = AccountId(round * 10 + order + 1);
            for last in (1..words.len()).rev() {
                let other = usize::try_from(dice.below(u64::try_from(last + 1).expect("small")));
                words.swap(last, other.expect("small"));
            }
            // One by one, in batches, and some of them twice.
            let size = usize::try_from(order).expect("small") + 1;
            for batch in words.chunks(size).chain([&words[..2]]) {
                let mut tx = db.begin().await.expect("begins");
                record_consents(&mut tx, account, batch).await.expect("records");
                tx.commit().await.expect("commits");
            }
            for &category in Category::ALL {
                let found = stands(&db, account, category).await;
                assert_eq!(found, fold(&words, category), "round {round}, order {order}");
            }
        }
    }
}

async fn words_that_come_at_once_fold_to_the_newest(engine: Engine) {
    let db = open(&engine).await;
    let dice = SeededDice::new(12);
    let account = AccountId(7);
    let words: Vec<ConsentEvent> = (0..16).map(|n| word(&dice, 1000 + n % 5)).collect();
    let hands: Vec<_> = words
        .iter()
        .cloned()
        .map(|word| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut tx = db.begin().await.expect("begins");
                record_consents(&mut tx, account, &[word]).await.expect("records");
                tx.commit().await.expect("commits");
            })
        })
        .collect();
    for hand in hands {
        hand.await.expect("no panic");
    }
    for &category in Category::ALL {
        assert_eq!(stands(&db, account, category).await, fold(&words, category));
    }
}
