//! Statements of a rich month, against a fold of their own.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use domain::campaign::State as CampaignState;
use domain::instant::Instant;
use domain::ledger::Kind;
use domain::message::Receipt;
use domain::permit::Consent;
use domain::rates::{Destination, Rate, RateKey};
use ledgerline::finance::credits::OpenWallet;
use ledgerline::flow::statements::{self, Count, Statement};
use store::{rates, wallets};
use testkit::Engine;

use crate::harness::{Shop, word};

testkit::both_engines!(
    a_statement_is_the_ledger_to_the_credit,
    a_text_that_fails_a_month_later_stands_in_the_month_it_failed,
    a_statement_that_does_not_add_up_says_so,
    a_month_without_anything_is_empty,
);

const TORONTO: &str = "+14165550100";

async fn statement(shop: &Shop, month: &str) -> Statement {
    let mut tx = shop.db.read().await.expect("reads");
    statements::statement(&mut tx, shop.account, month).await.expect("there is one")
}

/// A purchase with its line, as a payment leaves them.
async fn purchase(shop: &Shop, credits: i64) {
    let id = domain::ids::PurchaseId::new(shop.clock_now(), &*shop.dice);
    let mut tx = shop.db.begin().await.expect("begins");
    let now = tx.now().0;
    tx.execute(
        "insert into purchase (account_id, purchase_id, kind, credits, amount, currency, state,
           payment_intent, paid_at, granted, created_at, updated_at)
         values ($1, $2, 'checkout', $3, 4500, 'usd', 'paid', 'pi_of_tests', $4, $3, $4, $4)",
        (shop.account.0, id.0.to_vec(), credits, now),
    )
    .await
    .expect("inserts");
    let mut wallet = OpenWallet::lock(&mut tx, shop.account).await.expect("locks");
    wallet
        .buy(&mut tx, format!("purchase:{id}"), credits, "payment pi_of_tests")
        .await
        .expect("buys");
    tx.commit().await.expect("commits");
}

/// Part of a lot that ended, with its line.
async fn expiry(shop: &Shop, credits: i64) {
    let id = domain::ids::LotId::new(shop.clock_now(), &*shop.dice);
    let mut tx = shop.db.begin().await.expect("begins");
    let now = tx.now().0;
    tx.execute(
        "insert into lot (account_id, lot_id, source, start, size, expires_at, expired, expiries,
           state, look_at, created_at)
         values ($1, $2, 'a test', 0, $3, $4, $3, 1, 'closed', $4, $4)",
        (shop.account.0, id.0.to_vec(), credits, now),
    )
    .await
    .expect("inserts");
    let mut wallet = OpenWallet::lock(&mut tx, shop.account).await.expect("locks");
    wallet.expire(&mut tx, format!("exp:{id}:1"), credits, "not used in time").await.expect("ends");
    tx.commit().await.expect("commits");
}

/// A month of everything, at a shop in New York.
async fn rich(engine: Engine) -> Shop {
    let shop = Shop::open_at(engine, "2026-09-30T17:00:00Z").await;
    let rate = Rate {
        key: RateKey {
            destination: Destination::parse("CA").expect("a country"),
            sender_kind: None,
            channel: None,
        },
        effective_from: Instant(0),
        credits_per_segment: 3,
        carrier_price: None,
    };
    let mut tx = shop.db.begin().await.expect("begins");
    rates::save_rates(&mut tx, &[rate]).await.expect("saves");
    tx.commit().await.expect("commits");
    shop.contacts(20, Some(Consent::OptedIn)).await;
    shop.keep(&[word(TORONTO, Some(Consent::OptedIn))]).await;
    shop.credits(500, "before").await;
    let process = shop.start();
    let first = shop.campaign("Before the month", false).await;
    shop.wait_state(first, CampaignState::Completed).await;
    shop.clock.advance(Duration::from_secs(24 * 3600));
    purchase(&shop, 2500).await;
    shop.credits(-40, "an error").await;
    let second = shop.campaign("October is here", false).await;
    shop.wait_state(second, CampaignState::Completed).await;
    shop.clock.advance(Duration::from_secs(3 * 24 * 3600));
    let long = "A long text. ".repeat(20);
    let one = shop.text("+13122000005", "message.notification", &long).await;
    shop.wait_message(one, "accepted").await;
    let code = shop.text(TORONTO, "message.notification", "One text").await;
    shop.wait_message(code, "accepted").await;
    // Of the campaign some texts never left the carrier, and some did.
    let n = Cell::new(0);
    shop.receipts(|one| {
        n.set(n.get() + 1);
        one.body.contains("October").then_some(match n.get() % 4 {
            0 => (Receipt::Failed, 30_008),
            1 => (Receipt::Undelivered, 30_003),
            _ => (Receipt::Delivered, 0),
        })
    })
    .await;
    expiry(&shop, 100).await;
    process.stop().await;
    shop.assert_audit().await;
    shop
}

/// What the fold of this test finds, from the rows as they stand.
#[derive(Debug, Default, PartialEq)]
struct Fold {
    sums: BTreeMap<&'static str, i64>,
    usage: Count,
    days: BTreeMap<String, i64>,
    contexts: BTreeMap<String, Count>,
    countries: BTreeMap<String, Count>,
    streams: BTreeMap<i64, Count>,
    refunds: Count,
    opening: i64,
    closing: i64,
}

fn add(count: &mut Count, segments: i64, credits: i64) {
    count.messages += 1;
    count.segments += segments;
    count.credits += credits;
}

async fn fold(shop: &Shop, from: &str, to: &str) -> Fold {
    let (from, to) = (Instant::parse(from).expect("a time"), Instant::parse(to).expect("a time"));
    let mut tx = shop.db.read().await.expect("reads");
    let lines = wallets::list_lines(&mut tx, shop.account, 0, 100_000).await.expect("lists");
    let mut fold = Fold::default();
    let mut kinds = BTreeMap::new();
    for line in &lines {
        let change = line.posting.change;
        let moved = change.available + change.reserved - change.owed;
        fold.closing += if line.at < to { moved } else { 0 };
        fold.opening += if line.at < from { moved } else { 0 };
        if line.at < from || line.at >= to {
            continue;
        }
        kinds.insert(line.seq, (line.posting.kind, line.at));
        let section = match line.posting.kind {
            Kind::Purchase => "purchases",
            Kind::Grant => "grants",
            Kind::Adjustment => "adjustments",
            Kind::Expiry => "expiry",
            Kind::Refund => "refunds",
            Kind::Settle | Kind::Release => "usage",
            Kind::Reserve => continue,
            other => panic!("{other:?} was not planned"),
        };
        *fold.sums.entry(section).or_default() += moved;
    }
    let rows: Vec<(i64, i64, i64, i64, String, String, i64)> = tx
        .all(
            "select e.stream_id, e.kind, e.seq, e.price, t.phone, t.context, t.segments
             from message_event e join recipient t on t.account_id = e.account_id
               and t.stream_id = e.stream_id and t.ord = e.ord
             where e.account_id = $1 and e.seq > 0",
            (shop.account.0,),
        )
        .await
        .expect("lists");
    for (stream, state, seq, price, phone, context, segments) in rows {
        let Some((kind, at)) = kinds.get(&seq) else { continue };
        if *kind == Kind::Refund {
            add(&mut fold.refunds, segments, price);
            continue;
        }
        // Accepted, sent, delivered, undelivered, read.
        if ![4, 5, 6, 7, 9].contains(&state) {
            continue;
        }
        add(&mut fold.usage, segments, price);
        let local = at.timestamp().in_tz("America/New_York").expect("a zone").date().to_string();
        *fold.days.entry(local).or_default() += price;
        add(fold.contexts.entry(context).or_default(), segments, price);
        let country = if phone == TORONTO { "CA" } else { "US" };
        add(fold.countries.entry(country.to_owned()).or_default(), segments, price);
        add(fold.streams.entry(stream).or_default(), segments, price);
    }
    fold
}

/// The same, as a statement says it.
fn told(one: &Statement) -> Fold {
    let sums = one.sums.iter().filter(|sum| sum.credits != 0);
    let usage = &one.usage;
    Fold {
        sums: sums.map(|sum| (sum.section, sum.credits)).collect(),
        usage: usage.total,
        days: usage
            .days
            .iter()
            .filter(|day| day.count.messages > 0)
            .map(|day| (day.date.clone(), day.count.credits))
            .collect(),
        contexts: usage.contexts.iter().map(|one| (one.context.clone(), one.count)).collect(),
        countries: usage.countries.iter().map(|one| (one.country.clone(), one.count)).collect(),
        streams: BTreeMap::new(),
        refunds: one.refunds,
        opening: one.opening.credits,
        closing: one.closing.credits,
    }
}

async fn a_statement_is_the_ledger_to_the_credit(engine: Engine) {
    let shop = rich(engine).await;
    let wanted = fold(&shop, "2026-10-01T04:00:00Z", "2026-11-01T04:00:00Z").await;
    assert!(wanted.refunds.messages > 2 && wanted.usage.messages > 20, "{wanted:?}");
    let one = statement(&shop, "2026-10").await;
    assert!(one.ok, "{:?}", one.checks);
    let streams: BTreeMap<i64, Count> = wanted.streams.clone();
    assert_eq!(told(&one), Fold { streams: BTreeMap::new(), ..wanted });
    // Campaigns by name, single texts by what they are.
    let mut by_campaign: Vec<i64> =
        one.usage.campaigns.iter().map(|one| one.count.credits).collect();
    let mut by_stream: Vec<i64> = streams.values().map(|count| count.credits).collect();
    by_campaign.sort_unstable();
    by_stream.sort_unstable();
    assert_eq!(by_campaign, by_stream);
    assert!(one.usage.campaigns.iter().any(|one| one.name == "Spring" && one.id.is_some()));
    let paid = one.purchases.items[0].payment.as_ref().expect("the money");
    let money = (paid.amount, paid.currency.as_str(), paid.payment.as_deref());
    assert_eq!(money, (4500, "usd", Some("pi_of_tests")));
    assert_eq!(one.closing.available, shop.available().await);
    // The month before ends where this one begins.
    let before = statement(&shop, "2026-09").await;
    assert!(before.ok && before.complete, "{:?}", before.checks);
    assert_eq!(before.closing, one.opening);
    let wanted = fold(&shop, "2026-09-01T04:00:00Z", "2026-10-01T04:00:00Z").await;
    assert_eq!(told(&before), Fold { streams: BTreeMap::new(), ..wanted });
}

async fn a_text_that_fails_a_month_later_stands_in_the_month_it_failed(engine: Engine) {
    let shop = rich(engine).await;
    let october = statement(&shop, "2026-10").await;
    shop.clock.advance(Duration::from_secs(35 * 24 * 3600));
    let once = Cell::new(true);
    shop.receipts(|one| {
        let news = one.body.contains("Before") && once.take();
        news.then_some((Receipt::Failed, 30_008))
    })
    .await;
    let november = statement(&shop, "2026-11").await;
    assert!(november.ok, "{:?}", november.checks);
    assert_eq!((november.refunds.messages, november.usage.total.messages), (1, 0));
    assert_eq!(november.opening, october.closing);
    let again = statement(&shop, "2026-10").await;
    assert_eq!((again.closing, again.ok, again.complete), (october.closing, true, true));
}

async fn a_statement_that_does_not_add_up_says_so(engine: Engine) {
    let shop = rich(engine).await;
    for (table, change, check) in [
        (
            "ledger_entry",
            "update ledger_entry set available_after = available_after + 1
             where account_id = $1 and seq = (select max(seq) from ledger_entry)",
            "ledger_adds_up",
        ),
        (
            "message_event",
            "update message_event set price = price + 1 where account_id = $1 and seq > 0",
            "texts_are_the_ledger",
        ),
        (
            "message_event",
            "delete from message_event where account_id = $1 and kind = 4 and ord = 1 and seq > 0",
            "texts_are_the_ledger",
        ),
        (
            "ledger_entry",
            "delete from ledger_entry where account_id = $1 and seq = (select max(seq) - 1
               from ledger_entry)",
            "ledger_adds_up",
        ),
    ] {
        let mut tx = shop.db.begin().await.expect("begins");
        shop.unlock(&mut tx, table).await;
        tx.execute(change, (shop.account.0,)).await.expect("changes");
        let one = statements::statement(&mut tx, shop.account, "2026-10").await.expect("is told");
        let fault = one.checks.iter().find(|one| one.name == check).expect("is checked");
        assert!(!one.ok && !fault.ok, "{change}: {:?}", one.checks);
    }
}

async fn a_month_without_anything_is_empty(engine: Engine) {
    let shop = Shop::open(engine).await;
    let one = statement(&shop, "2026-11").await;
    assert!(one.ok && !one.complete && one.first_line > one.last_line, "{:?}", one.checks);
    assert_eq!((one.opening, one.usage.total), (one.closing, Count::default()));
    assert_eq!(one.usage.days.len(), 30);
    let mut tx = shop.db.read().await.expect("reads");
    for month in ["2026-12", "2026-1", "x", "2026-11-01"] {
        assert!(statements::statement(&mut tx, shop.account, month).await.is_err(), "{month}");
    }
}
