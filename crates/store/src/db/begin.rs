//! Beginning a transaction: on PostgreSQL so that whoever stops waiting for it leaves no trace, on
//! SQLite so that one that failed leaves none.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use sqlx::{PgPool, Postgres, SqlSafeStr, Sqlite, SqlitePool, Transaction};
use tokio::runtime::Handle;

type Begun = sqlx::Result<Transaction<'static, Postgres>>;

/// Begins a transaction with the statement `text`.
pub(super) async fn begin(pool: &PgPool, text: &'static str) -> Begun {
    let connection = pool.acquire().await?;
    Beginning(Some(Transaction::begin(connection, Some(text.into_sql_str())))).await
}

/// A BEGIN on its way. sqlx 0.9.0 forgets one whose future is dropped before its answer came, and
/// gives the connection to the next caller inside that transaction, which may be one that only
/// reads (its issue 4393). Here the answer is awaited all the same, and the transaction then
/// rolled back.
struct Beginning(Option<BoxFuture<'static, Begun>>);

impl Future for Beginning {
    type Output = Begun;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Begun> {
        let begin = self.0.as_mut().expect("it is not polled after its end");
        let begun = begin.as_mut().poll(context);
        if begun.is_ready() {
            self.0 = None;
        }
        begun
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        // Without a runtime the process ends, and its connections with it.
        if let (Some(begin), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(begin);
        }
    }
}

/// Connections that are replaced before a caller is told: while the disk is full, others may spoil
/// the new one again.
const REPLACED_MAX: usize = 20;

/// Begins a transaction that takes SQLite's write lock. When its disk is full or fails, SQLite
/// rolls back by itself; sqlx 0.9.0 does not notice, and never begins another transaction on that
/// connection. It is the only one that writes, so it is replaced.
pub(super) async fn begin_immediate(
    writer: &SqlitePool,
) -> sqlx::Result<Transaction<'static, Sqlite>> {
    let mut replaced = 0;
    loop {
        match writer.begin_with("begin immediate").await {
            Err(sqlx::Error::InvalidSavePointStatement) if replaced < REPLACED_MAX => {
                writer.acquire().await?.close().await?;
                replaced += 1;
            }
            begun => return begun,
        }
    }
}
