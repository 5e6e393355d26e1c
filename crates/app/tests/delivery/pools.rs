//! No transaction is open while a carrier is waited for.

use std::time::Duration;

use domain::permit::Consent;
use store::{Db, Engine as Kind, Options};
use testkit::Engine;

use crate::harness::{Shop, phone};

testkit::both_engines!(a_hanging_carrier_holds_no_connection);

/// Far more than any of it takes, and far less than the carrier hangs.
const PATIENCE: Duration = Duration::from_secs(20);

async fn a_hanging_carrier_holds_no_connection(engine: Engine) {
    let mut shop = Shop::open(engine).await;
    // The smallest pool there is.
    let options = Options { connections_max: 2, ..Options::new(shop.engine().url()) };
    shop.db = Db::open(&options, shop.clock.clone()).await.expect("opens");
    shop.contacts(80, Some(Consent::OptedIn)).await;
    shop.credits(100, "first").await;
    shop.carrier.hold_after(0);
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait(id, |status| status.counts.sending == 80).await;
    assert!(shop.carrier.calls() >= 20, "many calls hang at once");
    let work = async {
        for n in 0..20 {
            shop.text(&phone(500 + n), "message.notification", "Hello").await;
            shop.credits(1, &format!("credit {n}")).await;
            shop.tick().await;
            shop.status(id).await;
        }
        idle_in_transaction(&shop).await
    };
    let idle = tokio::time::timeout(PATIENCE, work).await.expect("nobody waits for the carrier");
    assert_eq!(idle, 0, "a transaction is open while the carrier is waited for");
    shop.carrier.open();
    shop.wait(id, |status| status.state == "completed").await;
    shop.assert_audit().await;
    process.stop().await;
}

async fn idle_in_transaction(shop: &Shop) -> i64 {
    if shop.db.engine() == Kind::Sqlite {
        // One writer: had anybody an open transaction, none of the above had come to its end.
        return 0;
    }
    let mut tx = shop.db.read().await.expect("reads");
    let text = "select count(*) from pg_stat_activity
                where datname = current_database() and state like 'idle in transaction%'
                  and pid <> pg_backend_pid() and now() - state_change > interval '1 second'";
    let (n,): (i64,) = tx.one(text, ()).await.expect("counts");
    n
}
