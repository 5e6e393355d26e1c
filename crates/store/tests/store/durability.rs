//! What a commit promises: the settings on which it rests, and a database that finds it again.
//! That the disk keeps its part of the promise is not tested here.

use std::path::Path;
use std::sync::Arc;

use domain::instant::Instant;
use domain::seam::VirtualClock;
use store::{Db, Error, Options};
use testkit::Engine;

use crate::open;

async fn open_at(url: String) -> Result<Db, Error> {
    Db::open(&Options::new(url), Arc::new(VirtualClock::at(Instant(0)))).await
}

#[tokio::test]
async fn an_embedded_database_syncs_each_commit_to_disk() {
    let engine = Engine::sqlite();
    let db = open(&engine).await;
    let mut tx = db.begin().await.expect("begins");
    let (synchronous,): (i64,) = tx.one("pragma synchronous", ()).await.expect("reads");
    let (fullfsync,): (i64,) = tx.one("pragma fullfsync", ()).await.expect("reads");
    let (journal,): (String,) = tx.one("pragma journal_mode", ()).await.expect("reads");
    assert_eq!((synchronous, fullfsync, journal.as_str()), (2, 1, "wal"), "2 is FULL");
}

#[tokio::test]
async fn a_server_that_forgets_commits_is_refused() {
    let engine = Engine::postgres("forgets").await;
    let mark = if engine.url().contains('?') { '&' } else { '?' };
    for (how, is_refused) in [("on", false), ("off", true)] {
        let url = format!("{}{mark}options[synchronous_commit]={how}", engine.url());
        let opened = open_at(url).await;
        match opened {
            Ok(_) => assert!(!is_refused, "opened with synchronous_commit={how}"),
            Err(Error::Setting(words)) => {
                assert!(is_refused && words.contains("synchronous_commit=off"), "{how}: {words}");
            }
            Err(other) => panic!("{how}: {other}"),
        }
    }
}

#[tokio::test]
async fn what_was_committed_is_found_after_a_kill() {
    let engine = Engine::sqlite();
    let db = open(&engine).await;
    let mut tx = db.begin().await.expect("begins");
    let added = "insert into rate (destination, sender_kind, channel, effective_from,
                   credits_per_segment)
                 values ('+', 'any', 'any', 0, 1)";
    tx.execute(added, ()).await.expect("adds");
    tx.commit().await.expect("commits");
    // The files as a killed process leaves them: nothing is closed, the log is not folded in.
    let directory = engine.directory().expect("it is embedded");
    let from = db.path().expect("it is embedded").display().to_string();
    let to = directory.join("found.db").display().to_string();
    for end in ["", "-wal"] {
        let (from, to) = (format!("{from}{end}"), format!("{to}{end}"));
        std::fs::copy(Path::new(&from), Path::new(&to)).expect("copies");
    }
    let found = open_at(format!("sqlite:{to}")).await.expect("opens");
    let mut tx = found.read().await.expect("reads");
    let (n,): (i64,) = tx.one("select count(*) from rate", ()).await.expect("counts");
    assert_eq!(n, 1);
}

/// `SQLite` rolls back by itself when it cannot write; the next transaction must not suffer for it.
#[tokio::test]
async fn a_full_disk_fails_what_meets_it_and_nothing_after() {
    let engine = Engine::sqlite();
    let db = open(&engine).await;
    let mut tx = db.begin().await.expect("begins");
    tx.execute("create table ballast (load blob)", ()).await.expect("makes");
    // The least it can be: the size that the database has.
    let _: (i64,) = tx.one("pragma max_page_count = 1", ()).await.expect("limits");
    tx.commit().await.expect("commits");
    let load = "insert into ballast values (zeroblob(50000))";
    let mut tx = db.begin().await.expect("begins");
    let refused = tx.execute(load, ()).await;
    assert!(matches!(refused, Err(Error::Engine(_))), "{refused:?}");
    drop(tx);
    let mut tx = db.begin().await.expect("begins again");
    let _: (i64,) = tx.one("pragma max_page_count = 100000", ()).await.expect("limits");
    assert_eq!(tx.execute(load, ()).await.expect("there is room"), 1);
    tx.commit().await.expect("commits");
}
