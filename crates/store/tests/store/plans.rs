//! The hot statements cost the same on a full table as on an empty one. PostgreSQL is asked how
//! many pages each touched; a statement whose plan was made while the table was empty would turn
//! to scanning it.

use domain::ids::{AccountId, StreamId};
use domain::message::State;
use store::messages::{Message, insert_messages, lock_messages, save_messages};
use store::{Db, Tx};
use testkit::Engine;

use crate::open;

const ACCOUNT: AccountId = AccountId(5);
const STREAM: StreamId = StreamId(6);
const BATCH: i64 = 100;
/// Pages a batch row may touch: the way down the index, the row, a little for growth.
const PAGES_PER_ROW_MAX: i64 = 12;

fn message(ord: i64, state: State) -> Message {
    Message {
        ord,
        attempt: 1,
        state,
        chunk: 1,
        price: 1,
        sid: Some(format!("SM{ord:032x}")),
        code: 0,
        rule: None,
        why: None,
    }
}

fn batch(from: i64, state: State) -> Vec<Message> {
    (from..from + BATCH).map(|ord| message(ord, state)).collect()
}

/// Pages of the message table and its index that were touched so far, by this connection's
/// transaction included.
async fn pages(tx: &mut Tx) -> i64 {
    let (pages,): (i64,) = tx
        .one(
            "select (pg_stat_get_xact_blocks_fetched(c.oid)
               + pg_stat_get_xact_blocks_fetched(i.indexrelid))::bigint
             from pg_class c join pg_index i on i.indrelid = c.oid
             where c.relname = 'message'",
            (),
        )
        .await
        .expect("counts");
    pages
}

async fn cost_of_a_batch(db: &Db, from: i64) -> [i64; 3] {
    let mut tx = db.begin().await.expect("begins");
    let mut costs = [0; 3];
    let mut before = pages(&mut tx).await;
    for (step, cost) in costs.iter_mut().enumerate() {
        match step {
            0 => insert_messages(&mut tx, ACCOUNT, STREAM, &batch(from, State::Reserved))
                .await
                .expect("adds"),
            1 => {
                let ords: Vec<i64> = (from..from + BATCH).collect();
                let found = lock_messages(&mut tx, ACCOUNT, STREAM, &ords).await.expect("locks");
                assert_eq!(found.len(), ords.len());
            }
            _ => save_messages(&mut tx, ACCOUNT, STREAM, &batch(from, State::Accepted))
                .await
                .expect("saves"),
        }
        let now = pages(&mut tx).await;
        *cost = now - before;
        before = now;
    }
    tx.commit().await.expect("commits");
    costs
}

#[tokio::test]
async fn hot_statements_do_not_slow_down_as_the_table_fills() {
    let engine = Engine::postgres("plans").await;
    let db = open(&engine).await;
    let mut from = 1;
    let empty = cost_of_a_batch(&db, from).await;
    // The same connections, the same prepared statements, twenty thousand rows later.
    for _ in 0..200 {
        from += BATCH;
        cost_of_a_batch(&db, from).await;
    }
    let full = cost_of_a_batch(&db, from + BATCH).await;
    for (step, pages) in ["insert", "lock", "save"].iter().zip(full) {
        assert!(
            pages <= BATCH * PAGES_PER_ROW_MAX,
            "{step} touched {pages} pages for {BATCH} rows; on an empty table {empty:?}"
        );
    }
}
