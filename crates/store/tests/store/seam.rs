//! One text serves both engines, batches arrive whole, and refusals say what they are.

use store::{Db, Error, Options, Rows};
use testkit::Engine;
use testkit::crash::Fuse;

use crate::{clock, open};

testkit::both_engines!(
    a_batch_arrives_as_it_was_given,
    a_column_arrives_whatever_its_length,
    a_transaction_without_commit_leaves_no_trace,
    a_transaction_nobody_waits_for_leaves_no_trace,
    a_second_row_with_the_same_key_is_told_apart,
);

async fn a_batch_arrives_as_it_was_given(engine: Engine) {
    let db = open(&engine).await;
    let texts = ["", "O'Brien \"x\" \\ \u{1F600}", "line\nbreak\ttab", "NULL", "{rows}", "$1"];
    let mut tx = db.begin().await.expect("begins");
    let rows = Rows::of(6)
        .int("n", [Some(0), Some(-1), Some(i64::MAX), Some(i64::MIN), None, Some(5)])
        .text("words", texts.map(str::to_owned))
        .bytes("raw", [Some(vec![]), Some(vec![0, 255]), None, Some(vec![7; 16]), None, None]);
    let sql = "select r.n, r.words, r.raw, $1 + 0 from {rows}";
    let found: Vec<(Option<i64>, String, Option<Vec<u8>>, i64)> =
        tx.all_of(sql, (42i64,), rows).await.expect("reads");
    assert_eq!(found.len(), 6);
    assert_eq!(found.iter().map(|row| row.1.as_str()).collect::<Vec<_>>(), texts);
    assert_eq!(found[2].0, Some(i64::MAX));
    assert_eq!((found[3].0, found[4].0), (Some(i64::MIN), None));
    assert_eq!(found[1].2.as_deref(), Some(&[0, 255][..]));
    assert_eq!((found[2].2.as_ref(), found[3].2.as_ref().map(Vec::len)), (None, Some(16)));
    assert!(found.iter().all(|row| row.3 == 42));
}

async fn a_column_arrives_whatever_its_length(engine: Engine) {
    let db = open(&engine).await;
    let mut tx = db.begin().await.expect("begins");
    let texts = [0, 11, 12, 255, 256, 65_535, 65_536, 200_000].map(|size| "\u{e9}".repeat(size));
    let rows = Rows::of(texts.len()).text("words", texts.clone());
    let found: Vec<(String,)> =
        tx.all_of("select r.words from {rows}", (), rows).await.expect("reads");
    assert!(found.iter().map(|row| &row.0).eq(&texts));
    let numbers =
        [i64::MIN, -99_999_999_999, -1, 0, 9_999_999_999, 99_999_999_999, 1 << 40, i64::MAX];
    let rows = Rows::of(numbers.len()).int("n", numbers);
    let found: Vec<(i64,)> = tx.all_of("select r.n from {rows}", (), rows).await.expect("reads");
    assert!(found.iter().map(|row| row.0).eq(numbers));
}

async fn a_transaction_without_commit_leaves_no_trace(engine: Engine) {
    let db = open(&engine).await;
    let added = "insert into rate (destination, sender_kind, channel, effective_from,
                   credits_per_segment)
                 values ('+', 'any', 'any', 0, 1)";
    let mut tx = db.begin().await.expect("begins");
    assert_eq!(tx.execute(added, ()).await.expect("adds"), 1);
    drop(tx);
    let mut tx = db.read().await.expect("reads");
    let (n,): (i64,) = tx.one("select count(*) from rate", ()).await.expect("counts");
    assert_eq!(n, 0);
}

async fn a_transaction_nobody_waits_for_leaves_no_trace(engine: Engine) {
    // One connection: the next transaction begins where the last one was given up.
    let options = Options { connections_max: 1, ..Options::new(engine.url()) };
    let db = Db::open(&options, clock()).await.expect("opens");
    let mut added = 0;
    for (writes, polls) in (0..100).map(|n| (n % 2 == 0, 1 + n / 2 % 5)) {
        let begin = async { if writes { db.begin().await } else { db.read().await } };
        drop(Fuse::of(polls).drive(begin, || false).await);
        let mut tx = db.begin().await.expect("begins");
        let text = "insert into rate (destination, sender_kind, channel, effective_from,
                   credits_per_segment)
                    values ('+', 'any', 'any', $1, 1)";
        added += 1;
        tx.execute(text, (added,)).await.expect("writes");
        tx.commit().await.expect("commits");
    }
    let mut tx = db.read().await.expect("reads");
    let (n,): (i64,) = tx.one("select count(*) from rate", ()).await.expect("counts");
    assert_eq!(n, added);
}

async fn a_second_row_with_the_same_key_is_told_apart(engine: Engine) {
    let db = open(&engine).await;
    let added = "insert into rate (destination, sender_kind, channel, effective_from,
                   credits_per_segment)
                 values ($1, 'any', 'any', 0, $2)";
    let mut tx = db.begin().await.expect("begins");
    tx.execute(added, ("+1".to_owned(), 1i64)).await.expect("adds");
    let again = tx.execute(added, ("+1".to_owned(), 2i64)).await;
    assert!(matches!(again, Err(Error::Exists { .. })), "{again:?}");
    drop(tx);
    let mut tx = db.begin().await.expect("begins");
    let refused = tx.execute(added, ("+2".to_owned(), 0i64)).await;
    assert!(matches!(refused, Err(Error::Engine(_))), "{refused:?}");
}
