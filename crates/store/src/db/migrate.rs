//! Schema migrations: plain SQL, embedded, one file per step and engine, run under a lock.

use super::{Db, Engine, Result, dialects};

/// Every step in order: name, SQLite text, PostgreSQL text.
const STEPS: &[(&str, &str, &str)] = &[
    (
        "0001_foundation",
        include_str!("../../migrations/sqlite/0001_foundation.sql"),
        include_str!("../../migrations/postgres/0001_foundation.sql"),
    ),
    (
        "0002_delivery",
        include_str!("../../migrations/sqlite/0002_delivery.sql"),
        include_str!("../../migrations/postgres/0002_delivery.sql"),
    ),
    (
        "0003_appointments",
        include_str!("../../migrations/sqlite/0003_appointments.sql"),
        include_str!("../../migrations/postgres/0003_appointments.sql"),
    ),
    (
        "0004_money",
        include_str!("../../migrations/sqlite/0004_money.sql"),
        include_str!("../../migrations/postgres/0004_money.sql"),
    ),
];

/// Any number: all servers of an installation agree on it.
const LOCK: i64 = 0x4C45_4447_4552;

/// The name of the newest step, which every opened database has reached.
pub fn schema_version() -> &'static str {
    STEPS.last().map_or("none", |(name, ..)| name)
}

pub(super) async fn run(db: &Db) -> Result<()> {
    let mut tx = db.begin().await?;
    // SQLite's write transaction is the lock already.
    let lock = dialects("select $1", "select 1::bigint from pg_advisory_xact_lock($1)");
    let _: (i64,) = tx.one(lock, (LOCK,)).await?;
    let table = "create table if not exists migration (
                   name text primary key, applied_at bigint not null)";
    let table = dialects(
        "create table if not exists migration (
           name text not null primary key, applied_at integer not null) strict",
        table,
    );
    tx.execute(table, ()).await?;
    let done: Vec<(String,)> = tx.all("select name from migration", ()).await?;
    for (name, sqlite, postgres) in STEPS {
        if done.iter().any(|(applied,)| applied == name) {
            continue;
        }
        let mut text = if tx.engine() == Engine::Sqlite { *sqlite } else { *postgres };
        if domain::mutant!(M50) {
            text = text.replace("unique (account_id, effect_key)", "check (seq > 0)").leak();
        }
        tx.script(text).await?;
        let at = tx.now().0;
        tx.execute(
            "insert into migration (name, applied_at) values ($1, $2)",
            ((*name).to_owned(), at),
        )
        .await?;
    }
    tx.commit().await
}
