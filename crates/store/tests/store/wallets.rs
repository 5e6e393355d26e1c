//! One wallet, many hands: whatever interleaves, nobody overdraws it and no line is lost.

use domain::ids::AccountId;
use domain::ledger::{Books, Posting};
use store::{Db, Error, wallets};
use testkit::Engine;

use crate::open;

const ACCOUNT: AccountId = AccountId(77);

testkit::both_engines!(many_hands_on_one_wallet_never_overdraw_it, an_effect_is_posted_once,);

async fn post(db: &Db, posting: impl FnOnce(&Books) -> Posting) -> Result<(), Error> {
    let mut tx = db.begin().await?;
    let wallet = wallets::lock_wallet(&mut tx, ACCOUNT).await?;
    let posting = posting(&wallet.books);
    wallets::post(&mut tx, ACCOUNT, &wallet, posting).await?;
    tx.commit().await
}

async fn fund(db: &Db, amount: i64) {
    let mut tx = db.begin().await.expect("begins");
    wallets::insert_wallet(&mut tx, ACCOUNT).await.expect("adds");
    tx.commit().await.expect("commits");
    post(db, |_| Posting::grant("g".to_owned(), amount, 0)).await.expect("grants");
}

async fn many_hands_on_one_wallet_never_overdraw_it(engine: Engine) {
    let db = open(&engine).await;
    fund(&db, 100).await;
    let hands: Vec<_> = (0..16)
        .map(|hand| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut held = 0;
                for n in 0..10 {
                    let key = format!("r:{hand}:{n}");
                    match post(&db, |_| Posting::reserve(key, 1, 1)).await {
                        Ok(()) => held += 1,
                        Err(Error::Ledger(_)) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
                held
            })
        })
        .collect();
    let mut held = 0;
    for hand in hands {
        held += hand.await.expect("no panic");
    }
    assert_eq!(held, 100);
    let mut tx = db.read().await.expect("reads");
    let wallet = wallets::wallet(&mut tx, ACCOUNT).await.expect("is there");
    assert_eq!((wallet.books.available, wallet.books.reserved, wallet.seq), (0, 100, 101));
    let lines = wallets::list_lines(&mut tx, ACCOUNT, 0, 1000).await.expect("lists");
    assert!(lines.iter().zip(1..).all(|(line, seq)| line.seq == seq), "the numbers have no gap");
}

async fn an_effect_is_posted_once(engine: Engine) {
    let db = open(&engine).await;
    fund(&db, 100).await;
    let again = post(&db, |_| Posting::grant("g".to_owned(), 100, 0)).await;
    assert!(matches!(again, Err(Error::Exists { .. })), "{again:?}");
    let mut tx = db.read().await.expect("reads");
    let wallet = wallets::wallet(&mut tx, ACCOUNT).await.expect("is there");
    assert_eq!(wallet.books.available, 100);
}
