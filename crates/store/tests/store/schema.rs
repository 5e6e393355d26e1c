//! Both engines have the same tables, columns, nullability and keys; history cannot be changed.

use std::collections::{BTreeMap, BTreeSet};

use store::{Db, Engine as Kind};
use testkit::Engine;

use crate::open;

type Columns = BTreeSet<(String, String, String, bool)>;
type Keys = BTreeSet<(String, Vec<String>)>;

async fn columns(db: &Db) -> Columns {
    let mut tx = db.read().await.expect("reads");
    let text = match db.engine() {
        Kind::Sqlite => {
            "select m.name, c.name, lower(c.type), c.\"notnull\" + c.pk > 0
             from sqlite_schema m join pragma_table_info(m.name) c
             where m.type = 'table' and m.name not like 'sqlite_%'"
        }
        Kind::Postgres => {
            "select c.table_name::text, c.column_name::text, c.data_type::text,
               c.is_nullable = 'NO'
             from information_schema.columns c where c.table_schema = 'public'"
        }
    };
    let rows: Vec<(String, String, String, bool)> = tx.all(text, ()).await.expect("lists");
    rows.into_iter()
        .map(|(table, column, kind, required)| {
            let kind = match kind.as_str() {
                "bigint" => "integer",
                "bytea" => "blob",
                other => other,
            };
            (table, column, kind.to_owned(), required)
        })
        .collect()
}

async fn keys(db: &Db) -> Keys {
    let mut tx = db.read().await.expect("reads");
    let text = match db.engine() {
        Kind::Sqlite => {
            "select m.name, i.name, c.name, c.seqno
             from sqlite_schema m join pragma_index_list(m.name) i
             join pragma_index_info(i.name) c
             where m.type = 'table' and m.name not like 'sqlite_%'
             union all
             select m.name, 'primary', c.name, c.pk from sqlite_schema m
             join pragma_table_info(m.name) c
             where m.type = 'table' and m.name not like 'sqlite_%' and c.pk > 0
             order by 1, 2, 4"
        }
        Kind::Postgres => {
            "select t.relname::text, i.relname::text, a.attname::text, k.n::bigint
             from pg_index x join pg_class t on t.oid = x.indrelid
             join pg_class i on i.oid = x.indexrelid
             join pg_namespace s on s.oid = t.relnamespace and s.nspname = 'public'
             cross join lateral unnest(x.indkey) with ordinality k(attnum, n)
             join pg_attribute a on a.attrelid = t.oid and a.attnum = k.attnum
             order by 1, 2, 4"
        }
    };
    let rows: Vec<(String, String, String, i64)> = tx.all(text, ()).await.expect("lists");
    let mut keys: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for (table, key, column, _) in rows {
        keys.entry((table, key)).or_default().push(column);
    }
    keys.into_iter().map(|((table, _), columns)| (table, columns)).collect()
}

#[tokio::test]
async fn both_engines_have_the_same_schema() {
    let (sqlite, postgres) = (Engine::sqlite(), Engine::postgres("schema").await);
    let (one, two) = (open(&sqlite).await, open(&postgres).await);
    assert_eq!(columns(&one).await, columns(&two).await);
    assert_eq!(keys(&one).await, keys(&two).await);
}

testkit::both_engines!(
    every_tenant_key_begins_with_the_account,
    history_cannot_be_changed,
    opening_twice_changes_nothing,
);

/// Small tables about the installation, copied to every node of a cluster.
const DIRECTORY: [&str; 8] = [
    "installation",
    "api_key",
    "rate",
    "migration",
    "orphan",
    "carrier_watch",
    "stripe_event",
    "stripe_reference",
];

async fn every_tenant_key_begins_with_the_account(engine: Engine) {
    let db = open(&engine).await;
    let sweeps = [
        "due_at",
        "state",
        "next_look",
        "phone",
        "address",
        "watch_at",
        "planned_until",
        "expires_at",
        "next_at",
        "created_at",
        "look_at",
        "adjustment_id",
        "hour",
        "day",
    ];
    for (table, columns) in keys(&db).await {
        let sweep = columns.first().is_some_and(|first| sweeps.contains(&first.as_str()));
        if !DIRECTORY.contains(&table.as_str()) && !sweep {
            assert_eq!(columns.first().map(String::as_str), Some("account_id"), "{table}");
        }
    }
}

async fn history_cannot_be_changed(engine: Engine) {
    let db = open(&engine).await;
    let mut tx = db.begin().await.expect("begins");
    let added = "insert into audit_event (account_id, event_id, actor, verb, detail, at)
                 values (1, $1, 'a', 'v', 'd', 0)";
    tx.execute(added, (vec![7u8; 16],)).await.expect("adds");
    tx.commit().await.expect("commits");
    for change in ["update audit_event set actor = 'b'", "delete from audit_event"] {
        let mut tx = db.begin().await.expect("begins");
        assert!(tx.execute(change, ()).await.is_err(), "{change}");
    }
}

async fn opening_twice_changes_nothing(engine: Engine) {
    let before = columns(&open(&engine).await).await;
    assert_eq!(before, columns(&open(&engine).await).await);
}
