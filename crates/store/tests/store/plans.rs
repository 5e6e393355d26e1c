//! The hot statements cost the same on a full table as on an empty one. PostgreSQL is asked how
//! many pages each touched; a statement whose plan was made while the table was empty would turn
//! to scanning it.

use domain::ids::{AccountId, StreamId};
use domain::message::State;
use store::messages::{Message, insert_messages, lock_messages, save_messages};
use store::{Db, Tx, reminders, sweep};
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

/// Pages of the reminders and their indexes that this transaction touched so far.
async fn reminder_pages(tx: &mut Tx) -> i64 {
    let (pages,): (i64,) = tx
        .one(
            "select (pg_stat_get_xact_blocks_fetched('reminder'::regclass)
               + (select sum(pg_stat_get_xact_blocks_fetched(i.indexrelid)) from pg_index i
                  where i.indrelid = 'reminder'::regclass))::bigint",
            (),
        )
        .await
        .expect("counts");
    pages
}

/// Adds the reminders of an account with these numbers; `due_at` is SQL over their number `n`.
async fn plan(db: &Db, account: i64, (from, to): (i64, i64), due_at: &str) {
    let mut tx = db.begin().await.expect("begins");
    let text = format!(
        "insert into reminder (account_id, reminder_id, appointment_id, attendee_id, party,
           context, offset_minutes, starts_at, due_at, not_after, state, created_at, updated_at)
         select $1, decode(lpad(to_hex($1 * 1000000 + n), 32, '0'), 'hex'),
           decode(lpad(to_hex(n), 32, '0'), 'hex'), decode(lpad(to_hex(n), 32, '0'), 'hex'),
           'client', 'appointment.reminder', 60, 0, {due_at}, 0, 1, 0, 0
         from generate_series($2::bigint, $3::bigint) n"
    );
    tx.execute(store::Sql::from(&*text.leak()), (account, from, to)).await.expect("adds");
    tx.commit().await.expect("commits");
}

#[tokio::test]
async fn looking_for_what_is_due_costs_the_same_whatever_is_planned() {
    let engine = Engine::postgres("due").await;
    let db = open(&engine).await;
    plan(&db, ACCOUNT.0, (1, 20), "n").await;
    let look = async || {
        let mut tx = db.begin().await.expect("begins");
        let before = reminder_pages(&mut tx).await;
        let accounts = sweep::accounts_with_due_reminders(&mut tx, 100).await.expect("sweeps");
        assert_eq!(accounts, [ACCOUNT]);
        let due = reminders::due_reminders(&mut tx, ACCOUNT, 500).await.expect("reads");
        assert_eq!(due.len(), 20);
        reminder_pages(&mut tx).await - before
    };
    let empty = look().await;
    // An hour apart each, from the year 2100 on; for this account and for another.
    for account in [ACCOUNT.0, ACCOUNT.0 + 1] {
        let later = "4102444800000000 + n * 3600000000";
        plan(&db, account, (1000, 30_000), later).await;
    }
    let full = look().await;
    assert!(full <= empty + 20 * PAGES_PER_ROW_MAX, "{full} pages; on an empty table {empty}");
}
