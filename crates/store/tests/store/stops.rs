//! What keeps claimed texts from leaving is found by when it was recorded.

use std::time::Duration;

use domain::ids::{AccountId, MessageId, StreamId};
use domain::permit::{Category, Consent};
use store::consents::{ConsentEvent, Proof, opt_out_of_sender, record_consents};
use store::recipients::{RecentStops, recent_stops};
use store::withdrawals::withdraw;
use store::{Db, Options};
use testkit::Engine;

use crate::clock;

testkit::both_engines!(words_against_texts_are_found_by_when_they_were_recorded);

const ACCOUNT: AccountId = AccountId(7);
const STREAM: StreamId = StreamId(5);
const SENDER: &str = "72345";

fn word(n: u32, state: Consent) -> ConsentEvent {
    ConsentEvent {
        id: u128::from(n).to_be_bytes(),
        phone: format!("+1312{:07}", 5_550_000 + n),
        category: Category::ALL[0],
        state,
        source: "test".to_owned(),
        actor: "test".to_owned(),
        evidence: String::new(),
        proof: Proof::default(),
    }
}

async fn words_against_texts_are_found_by_when_they_were_recorded(engine: Engine) {
    let clock = clock();
    let db = Db::open(&Options::new(engine.url()), clock.clone()).await.expect("opens");
    let mut tx = db.begin().await.expect("begins");
    let old = [word(1, Consent::OptedOut)];
    record_consents(&mut tx, ACCOUNT, &old).await.expect("records");
    let early = word(2, Consent::OptedOut).phone;
    opt_out_of_sender(&mut tx, ACCOUNT, &early, SENDER).await.expect("keeps");
    let text = |ord| MessageId { account: ACCOUNT, stream: STREAM, ord };
    withdraw(&mut tx, ACCOUNT, &[text(1)], "gone").await.expect("withdraws");
    tx.commit().await.expect("commits");

    clock.advance(Duration::from_secs(1));
    let mut tx = db.begin().await.expect("begins");
    let since = tx.now();
    let look = async |tx: &mut store::Tx| {
        recent_stops(tx, ACCOUNT, STREAM, SENDER, since).await.expect("looks")
    };
    assert_eq!(look(&mut tx).await, Some(RecentStops::default()), "all of it is older");

    let (out, also, agreed) = (word(3, Consent::OptedOut), word(4, Consent::OptedOut), 5);
    let words = [out.clone(), word(agreed, Consent::OptedIn)];
    record_consents(&mut tx, ACCOUNT, &words).await.expect("records");
    record_consents(&mut tx, AccountId(8), &[word(6, Consent::OptedOut)]).await.expect("records");
    opt_out_of_sender(&mut tx, ACCOUNT, &also.phone, SENDER).await.expect("keeps");
    let other = word(7, Consent::OptedOut).phone;
    opt_out_of_sender(&mut tx, ACCOUNT, &other, "another").await.expect("keeps");
    let elsewhere = MessageId { stream: StreamId(6), ..text(3) };
    withdraw(&mut tx, ACCOUNT, &[text(2), elsewhere], "gone").await.expect("withdraws");
    let expected = RecentStops {
        phones: [out.phone, also.phone].into_iter().collect(),
        ords: [2].into_iter().collect(),
    };
    assert_eq!(look(&mut tx).await, Some(expected));

    let many: Vec<ConsentEvent> = (100..1100).map(|n| word(n, Consent::OptedOut)).collect();
    record_consents(&mut tx, ACCOUNT, &many).await.expect("records");
    assert_eq!(look(&mut tx).await, None, "too many to list");
}
