//! Our books against the carrier's own record.

use domain::campaign::State;
use domain::message::Receipt;
use domain::permit::Consent;
use domain::rates::Price;
use ledgerline::flow::carrier_record::{Days, Reconciliation, reconcile};
use ledgerline::flow::revenue;
use testkit::Engine;

use crate::carrier::sid;
use crate::harness::{Shop, from, phone};

testkit::both_engines!(
    books_that_agree_leave_no_residue,
    b27_other_segments_are_the_houses_cost_and_never_a_second_debit,
    what_only_one_side_knows_is_told,
);

const DAY: &str = "2026-11-21";

/// A campaign to ten people.
async fn sent(engine: Engine) -> Shop {
    let shop = Shop::open(engine).await;
    shop.contacts(10, Some(Consent::OptedIn)).await;
    shop.credits(100, "a").await;
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait_state(id, State::Completed).await;
    process.stop().await;
    shop
}

async fn compare(shop: &Shop) -> Reconciliation {
    let days = Days::parse(Some(DAY), Some(DAY), shop.clock_now()).expect("days");
    let desk = shop.running_desk();
    let shared = [from().address];
    let mut told = 0;
    let found = reconcile(&shop.db, desk.routes.lines(), &shared, days, |(texts, _)| told = texts);
    let found = found.await.expect("compares");
    assert!(told >= found.carrier.texts, "{told}");
    found
}

fn price(millionths: i64) -> Price {
    Price { millionths, currency: "usd".to_owned() }
}

async fn books_that_agree_leave_no_residue(engine: Engine) {
    let shop = sent(engine).await;
    for n in 1..=9 {
        shop.carrier.bill(&sid(n), 1, Some(price(7900)));
    }
    let found = compare(&shop).await;
    assert!(found.ok && found.rows.is_empty(), "{found:?}");
    assert!(found.verdict.contains("Zero unexplained residue: 10 texts"), "{}", found.verdict);
    assert_eq!((found.matched.texts, found.credits, found.unbilled), (10, 10, 1));
    assert_eq!((found.cost[0].currency.as_str(), found.cost[0].amount.as_str()), ("usd", "0.0711"));
    // Once more changes nothing, and the revenue knows the cost.
    let again = compare(&shop).await;
    assert_eq!(again.cost, found.cost);
    let months = revenue::months(Some("2026-11"), Some("2026-11"), shop.clock_now()).expect("one");
    let worth = Price { millionths: 10_000, currency: "usd".to_owned() };
    let report = revenue::revenue(&shop.db, months, &worth).await.expect("reports");
    let row = &report.rows[0];
    // Ten credits at a cent, less nine texts at 0.79 cents.
    assert_eq!(row.margin.as_deref(), Some("0.0289"), "{row:?}");
    assert_eq!((row.credits.granted, row.credits.used, row.credits.outstanding), (100, 10, 90));
    assert_eq!(report.totals[0].credits, row.credits);
}

async fn b27_other_segments_are_the_houses_cost_and_never_a_second_debit(engine: Engine) {
    let shop = sent(engine).await;
    shop.carrier.bill(&sid(3), 3, Some(price(23_700)));
    let found = compare(&shop).await;
    assert_eq!((found.ok, found.differences.segments, found.extra_segments), (false, 1, 2));
    let row = &found.rows[0];
    assert_eq!((row.kind, row.sid.as_str()), ("segments", sid(3).as_str()));
    assert_eq!(row.account, Some(shop.account));
    assert!(found.verdict.contains("+2 parts at the house's cost"), "{}", found.verdict);
    // The customer pays as quoted.
    assert_eq!(shop.available().await, 90);
    shop.assert_audit().await;
}

async fn what_only_one_side_knows_is_told(engine: Engine) {
    let shop = sent(engine).await;
    shop.carrier.hide(&sid(4), true);
    let stranger = shop.carrier.take(&phone(77), "Nobody here wrote this", None);
    shop.receipts(|one| (one.sid == sid(5)).then_some((Receipt::Failed, 30_008))).await;
    shop.carrier.told.store(true, std::sync::atomic::Ordering::SeqCst);
    let found = compare(&shop).await;
    let of = |kind: &str| -> Vec<&str> {
        let rows = found.rows.iter().filter(|row| row.kind == kind);
        rows.map(|row| row.sid.as_str()).collect()
    };
    assert_eq!(of("ours_only"), [sid(4).as_str()]);
    assert_eq!(of("carrier_only"), [stranger.as_str()]);
    // The carrier says delivered of all; one of them failed for all we know, the others are open.
    assert_eq!(found.differences.status, 9, "{found:?}");
    assert!(of("status").contains(&sid(5).as_str()));
    assert_eq!((found.ok, found.matched.texts, found.carrier.texts), (false, 9, 10));
    shop.carrier.silent.store(true, std::sync::atomic::Ordering::SeqCst);
    let days = Days::parse(Some(DAY), Some(DAY), shop.clock_now()).expect("days");
    let desk = shop.running_desk();
    let refused = reconcile(&shop.db, desk.routes.lines(), &[], days, |_| {}).await;
    assert!(refused.is_err_and(|refusal| refusal.to_string().contains("primary")));
}
