//! Somebody with the database in hand changes history: what is found, and by what name.

use domain::campaign::State;
use domain::ids::AccountId;
use domain::ledger::{Books, line_hash};
use domain::permit::Consent;
use domain::token::Secret;
use ledgerline::delivery::integrity::check_messages;
use ledgerline::finance::anchors::{self, Anchors, Writer};
use ledgerline::finance::books::{Check, check_books};
use store::Tx;
use store::wallets::{self, StoredLine};
use testkit::Engine;

use crate::harness::Shop;

testkit::both_engines!(
    every_change_of_the_ledger_is_found_and_named,
    changes_of_wallets_and_texts_are_found_and_named,
    what_came_later_changes_nothing_of_what_was,
    a_purchase_without_its_lines_is_found,
);

const SECRET: Secret = Secret([3; 32]);

/// Some lines by hand, then a campaign's.
async fn shop(engine: Engine) -> Shop {
    let shop = Shop::open(engine).await;
    shop.contacts(12, Some(Consent::OptedIn)).await;
    for n in 1..=8 {
        shop.credits(10 * n, &format!("key {n}")).await;
    }
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait_state(id, State::Completed).await;
    process.stop().await;
    shop.assert_audit().await;
    shop
}

async fn anchors(shop: &Shop) -> Anchors {
    let mut bytes = Vec::new();
    let mut tx = shop.db.read().await.expect("reads");
    let mut writer = Writer::begin(&mut bytes, SECRET, tx.now()).expect("memory");
    writer.account(&mut tx, shop.account).await.expect("writes");
    writer.end().expect("memory");
    let text = String::from_utf8(bytes).expect("JSON");
    anchors::read(&text, &SECRET).expect("whole")
}

async fn lines(tx: &mut Tx, account: AccountId) -> Vec<StoredLine> {
    wallets::list_lines(tx, account, 0, 10_000).await.expect("lists")
}

/// Writes the ledger anew, line by line; `anew`: with hashes, balances and a wallet that fit.
async fn rewrite(tx: &mut Tx, account: AccountId, lines: &[StoredLine], anew: bool) {
    tx.execute("delete from ledger_entry where account_id = $1", (account.0,))
        .await
        .expect("deletes");
    let (mut head, mut books) = ([0; 32], Books::default());
    for (seq, line) in (1..).zip(lines) {
        books = books.plus(&line.posting.change).expect("small");
        let mut line = StoredLine { seq, ..line.clone() };
        if anew {
            line.hash = line_hash(account, &head, seq, line.at, &line.posting);
            line.after = [books.available, books.reserved, books.spent, books.owed];
        }
        head = line.hash;
        insert(tx, account, &line).await;
    }
    if anew {
        let seq = i64::try_from(lines.len()).expect("few");
        let b = books;
        tx.execute(
            "update wallet set available = $2, reserved = $3, spent = $4, owed = $5, paid = $6,
               promo = $7, refunded = $8, loss = $9, breakage = $10, seq = $11, head = $12
             where account_id = $1",
            (
                account.0,
                b.available,
                b.reserved,
                b.spent,
                b.owed,
                b.paid,
                b.promo,
                b.refunded,
                b.loss,
                b.breakage,
                seq,
                head.to_vec(),
            ),
        )
        .await
        .expect("updates");
    }
}

async fn insert(tx: &mut Tx, account: AccountId, line: &StoredLine) {
    let (p, d, a) = (&line.posting, line.posting.change, line.after);
    tx.execute(
        "insert into ledger_entry (account_id, seq, kind, effect_key, available, reserved, spent,
           owed, paid, promo, refunded, loss, breakage, facts, root, available_after,
           reserved_after, spent_after, owed_after, actor, reason, at, hash)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
           $19, $20, $21, $22, $23)",
        (
            account.0,
            line.seq,
            p.kind.as_str().to_owned(),
            p.effect_key.clone(),
            d.available,
            d.reserved,
            d.spent,
            d.owed,
            d.paid,
            d.promo,
            d.refunded,
            d.loss,
            d.breakage,
            p.facts,
            p.root.to_vec(),
            a[0],
            a[1],
            a[2],
            a[3],
            p.actor.clone(),
            p.reason.clone(),
            line.at.0,
            line.hash.to_vec(),
        ),
    )
    .await
    .expect("inserts");
}

async fn checks(tx: &mut Tx, account: AccountId) -> Vec<Check> {
    let (mut checks, bound) = check_books(tx, account).await.expect("walks");
    checks.extend(check_messages(tx, account, &bound).await.expect("walks"));
    checks
}

type Change = fn(&mut Vec<StoredLine>);

fn dearer(lines: &mut Vec<StoredLine>) {
    let mut line = lines.remove(4);
    let change = &mut line.posting.change;
    (change.available, change.promo) = (change.available + 500, change.promo + 500);
    lines.insert(4, line);
}

fn without_fifth(lines: &mut Vec<StoredLine>) {
    lines.remove(4);
}

fn without_last(lines: &mut Vec<StoredLine>) {
    lines.pop();
}

fn with_another(lines: &mut Vec<StoredLine>) {
    let mut line = lines[3].clone();
    "a gift".clone_into(&mut line.posting.effect_key);
    "nobody".clone_into(&mut line.posting.actor);
    lines.insert(4, line);
}

fn excused(lines: &mut Vec<StoredLine>) {
    let mut line = lines.remove(4);
    "as agreed".clone_into(&mut line.posting.reason);
    lines.insert(4, line);
}

async fn every_change_of_the_ledger_is_found_and_named(engine: Engine) {
    let shop = shop(engine).await;
    let account = shop.account;
    let was = anchors(&shop).await;
    let anchor = &was.accounts[0];
    let count = anchor.head.seq;
    // What is done; whether the chain is written anew; what the audit says; what the file says.
    let cases: [(Change, bool, Option<&str>, i64, &str); 9] = [
        (dearer, false, Some("line 5 was changed"), 5, "changed"),
        (excused, false, Some("line 5 was changed"), 5, "changed"),
        (without_fifth, false, Some("line 5 was changed"), 5, "removed"),
        (without_last, false, Some("is missing: the ledger ends"), count, "removed"),
        (with_another, false, Some("line 5 was put in"), 5, "inserted"),
        (dearer, true, None, 5, "changed"),
        (excused, true, None, 5, "changed"),
        (without_fifth, true, None, 5, "removed"),
        (with_another, true, None, 5, "inserted"),
    ];
    for (change, anew, audit, line, what) in cases {
        let mut tx = shop.db.begin().await.expect("begins");
        shop.unlock(&mut tx, "ledger_entry").await;
        let mut changed = lines(&mut tx, account).await;
        change(&mut changed);
        rewrite(&mut tx, account, &changed, anew).await;
        let (books, _) = check_books(&mut tx, account).await.expect("walks");
        let chain = books.iter().find(|check| check.name == "hash_chain").expect("is checked");
        match audit {
            Some(words) => assert!(!chain.ok && chain.detail.contains(words), "{chain:?}"),
            None => assert!(books.iter().all(|check| check.ok), "{books:#?}"),
        }
        let found = anchors::compare(&mut tx, anchor).await.expect("walks").expect("differs");
        assert_eq!((found.line, found.what), (line, what), "{found:?}");
        assert!(found.detail.contains(&format!("line {line}")), "{found:?}");
    }
    // A gap that nobody closed.
    let mut tx = shop.db.begin().await.expect("begins");
    shop.unlock(&mut tx, "ledger_entry").await;
    tx.execute("delete from ledger_entry where account_id = $1 and seq = 5", (account.0,))
        .await
        .expect("deletes");
    let (books, _) = check_books(&mut tx, account).await.expect("walks");
    assert!(books.iter().any(|check| check.detail == "line 5 is missing"), "{books:#?}");
    let found = anchors::compare(&mut tx, anchor).await.expect("walks").expect("differs");
    assert_eq!((found.line, found.what), (5, "removed"));
}

async fn changes_of_wallets_and_texts_are_found_and_named(engine: Engine) {
    let shop = shop(engine).await;
    for (table, change, check, words) in [
        (
            "wallet",
            "update wallet set available = available + 5, promo = promo + 5 where account_id = $1",
            "wallet_is_its_ledger",
            "the wallet says",
        ),
        (
            "wallet",
            "update wallet set seq = seq - 1 where account_id = $1",
            "hash_chain",
            "was put in: the wallet knows none",
        ),
        (
            "message_event",
            "delete from message_event where account_id = $1 and ord = 3 and seq > 0",
            "lines_open_to_facts",
            "does not open to its facts",
        ),
        (
            "message_event",
            "update message_event set sid = 'SM0' where account_id = $1 and ord = 3 and seq > 0",
            "lines_open_to_facts",
            "does not open to its facts",
        ),
        (
            "message_event",
            "update message_event set seq = 99999 where account_id = $1 and ord = 3 and seq > 0",
            "lines_open_to_facts",
            "line ",
        ),
        (
            "message",
            "update message set state = 11 where account_id = $1 and ord = 3",
            "spent_is_sent",
            "spent and the price",
        ),
    ] {
        let mut tx = shop.db.begin().await.expect("begins");
        shop.unlock(&mut tx, table).await;
        let changed = tx.execute(change, (shop.account.0,)).await.expect("changes");
        assert!(changed > 0, "{change}");
        let found = checks(&mut tx, shop.account).await;
        let fault = found.iter().find(|one| one.name == check).expect("is checked");
        assert!(!fault.ok && fault.detail.contains(words), "{change}: {fault:?}");
    }
}

async fn what_came_later_changes_nothing_of_what_was(engine: Engine) {
    let shop = shop(engine).await;
    let was = anchors(&shop).await;
    // More lines than a block holds.
    for n in 0..230 {
        shop.credits(1, &format!("later {n}")).await;
    }
    let mut tx = shop.db.read().await.expect("reads");
    assert_eq!(anchors::compare(&mut tx, &was.accounts[0]).await.expect("walks"), None);
    drop(tx);
    let now = anchors(&shop).await;
    let mut tx = shop.db.begin().await.expect("begins");
    assert_eq!(anchors::compare(&mut tx, &now.accounts[0]).await.expect("walks"), None);
    shop.unlock(&mut tx, "ledger_entry").await;
    let changed = "update ledger_entry set reason = 'x'
         where account_id = $1 and effect_key like '%later 222'";
    assert_eq!(tx.execute(changed, (shop.account.0,)).await.expect("changes"), 1);
    let found = anchors::compare(&mut tx, &now.accounts[0]).await.expect("walks").expect("differs");
    assert!(found.line > 200 && found.detail.contains("its words"), "{found:?}");
    // All of it.
    tx.execute("delete from ledger_entry where account_id = $1", (shop.account.0,))
        .await
        .expect("deletes");
    let found = anchors::compare(&mut tx, &now.accounts[0]).await.expect("walks").expect("differs");
    assert_eq!((found.line, found.what), (1, "removed"));
}

async fn a_purchase_without_its_lines_is_found(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(10, "a").await;
    let id = domain::ids::PurchaseId::new(shop.clock_now(), &*shop.dice);
    let mut tx = shop.db.begin().await.expect("begins");
    tx.execute(
        "insert into purchase (account_id, purchase_id, kind, credits, amount, currency, state,
           granted, created_at, updated_at)
         values ($1, $2, 'checkout', 500, 1000, 'usd', 'paid', 500, 1, 1)",
        (shop.account.0, id.0.to_vec()),
    )
    .await
    .expect("inserts");
    tx.commit().await.expect("commits");
    let mut tx = shop.db.read().await.expect("reads");
    let (books, _) = check_books(&mut tx, shop.account).await.expect("walks");
    let check = books.iter().find(|one| one.name == "purchases_are_lines").expect("is checked");
    assert!(!check.ok && check.detail.contains(&id.to_string()), "{check:?}");
}
