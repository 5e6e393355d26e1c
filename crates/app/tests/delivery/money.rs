//! Money in the store: nothing is lost, nothing is made, everything is found.

use domain::campaign::State;
use domain::permit::Consent;
use ledgerline::finance::credits::{Decided, OpenWallet};
use ledgerline::flow::accounts::adjust_credits;
use ledgerline::flow::{Refusal, audit};
use store::Rows;
use testkit::Engine;

use crate::harness::Shop;

testkit::both_engines!(
    the_same_credits_are_not_moved_twice,
    the_same_facts_move_credits_once,
    wrong_amounts_change_nothing,
    what_is_taken_beyond_the_balance_is_owed_and_paid_first,
    the_ledger_cannot_be_changed_and_an_audit_finds_what_was,
);

async fn the_same_credits_are_not_moved_twice(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(100, "invoice 7").await;
    let mut tx = shop.db.begin().await.expect("begins");
    let again = adjust_credits(&mut tx, shop.account, "invoice 7", 100, "operator", "again").await;
    assert!(matches!(again, Err(Refusal::Exists(_))), "{again:?}");
    drop(tx);
    assert_eq!(shop.available().await, 100);
    shop.assert_audit().await;
}

async fn the_same_facts_move_credits_once(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(100, "first").await;
    let mut tx = shop.db.begin().await.expect("begins");
    let mut wallet = OpenWallet::lock(&mut tx, shop.account).await.expect("locks");
    wallet.hold(&mut tx, "a chunk".to_owned(), 10, 10).await.expect("holds");
    tx.commit().await.expect("commits");
    let settled = Decided { charged: 2, released: 1, leaves: vec![[1; 32], [2; 32]] };
    for time in 1..=2 {
        let mut answers = Vec::new();
        for kind in 0..3 {
            let mut tx = shop.db.begin().await.expect("begins");
            let mut wallet = OpenWallet::lock(&mut tx, shop.account).await.expect("locks");
            let line = match kind {
                0 => wallet.settle(&mut tx, &settled).await,
                1 => wallet.charge_late(&mut tx, 3, &[[3; 32]]).await,
                _ => wallet.refund(&mut tx, 1, &[[4; 32]]).await,
            };
            if line.is_ok() {
                tx.commit().await.expect("commits");
            }
            answers.push(line);
        }
        let is_as_wanted = |line: &store::Result<i64>| match time {
            1 => line.is_ok(),
            _ => matches!(line, Err(store::Error::Exists { .. })),
        };
        assert!(answers.iter().all(is_as_wanted), "time {time}: {answers:?}");
    }
    assert_eq!(shop.available().await, 100 - 10 + 1 - 3 + 1);
}

async fn wrong_amounts_change_nothing(engine: Engine) {
    let shop = Shop::open(engine).await;
    for amount in [0, i64::MAX, i64::MIN, 1_000_000_000_001] {
        let mut tx = shop.db.begin().await.expect("begins");
        let refused =
            adjust_credits(&mut tx, shop.account, "x", amount, "operator", "a reason").await;
        assert!(matches!(refused, Err(Refusal::Invalid { .. })), "{amount}: {refused:?}");
    }
    assert_eq!(shop.available().await, 0);
    shop.assert_audit().await;
}

async fn what_is_taken_beyond_the_balance_is_owed_and_paid_first(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(10, "a").await;
    shop.credits(-25, "b").await;
    assert_eq!(shop.available().await, 0);
    shop.credits(20, "c").await;
    assert_eq!(shop.available().await, 5);
    shop.assert_audit().await;
}

async fn the_ledger_cannot_be_changed_and_an_audit_finds_what_was(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(30, Some(Consent::OptedIn)).await;
    shop.credits(30, "a").await;
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait_state(id, State::Completed).await;
    process.stop().await;
    let account = shop.account.0;
    for forbidden in [
        "update ledger_entry set reason = 'x' where account_id = $1",
        "delete from ledger_entry where account_id = $1",
        "update message_event set price = 0 where account_id = $1",
        "delete from consent_event where account_id = $1",
    ] {
        let mut tx = shop.db.begin().await.expect("begins");
        let refused = tx.execute(forbidden, (account,)).await;
        assert!(refused.is_err(), "{forbidden}");
    }
    // Somebody with the file in hand drops the triggers and changes history.
    let cases = [
        ("update ledger_entry set reason = 'x' where account_id = $1 and seq = 1", "hash_chain"),
        (
            "update wallet set available = available + 5, promo = promo + 5 where account_id = $1",
            "wallet_is_its_ledger",
        ),
        (
            "update message_event set price = 9 where account_id = $1 and ord = 3",
            "lines_open_to_facts",
        ),
        ("update tally set n = n + 1 where account_id = $1", "tallies_are_rows"),
        ("update message set price = 2 where account_id = $1 and ord = 4", "spent_is_sent"),
        ("delete from ledger_entry where account_id = $1 and seq = 2", "hash_chain"),
    ];
    for (change, check) in cases {
        let mut tx = shop.db.begin().await.expect("begins");
        shop.unlock(&mut tx, "ledger_entry").await;
        shop.unlock(&mut tx, "message_event").await;
        let changed = tx.many(change, (account,), Rows::of(0)).await.expect("nothing to do");
        assert_eq!(changed, 0);
        assert!(tx.execute(change, (account,)).await.expect("changes") > 0, "{change}");
        tx.commit().await.expect("commits");
        let found = audit::audit(&shop.db, shop.account).await.expect("audits");
        let fault = found.checks.iter().find(|one| one.name == check).expect("is checked");
        assert!(!found.ok && !fault.ok, "{change}: {:#?}", found.checks);
    }
}
