//! What a subscription allows, at the gate and at the claim; credits that expire.

use std::time::Duration;

use domain::campaign::State;
use domain::ids::StreamId;
use domain::instant::Instant;
use domain::permit::Consent;
use domain::subscriptions::{self as rules, Subscription, Word};
use ledgerline::finance::credits::OpenWallet;
use ledgerline::finance::lots::{self, Grant};
use ledgerline::finance::subscriptions::give;
use ledgerline::flow::accounts::{SenderIn, add_sender};
use ledgerline::flow::campaigns::{self, AudienceIn, CampaignIn, Wish};
use ledgerline::flow::{Refusal, audit};
use store::wallets;
use testkit::Engine;

use crate::harness::{NOON, Shop, phone};

testkit::both_engines!(
    b25_a_cancel_between_claim_and_dispatch_lets_the_claimed_leave_and_nothing_more,
    a_campaign_pauses_without_a_subscription_and_goes_on_by_itself,
    a_plan_without_campaigns_sends_single_texts_only,
    single_texts_wait_for_the_subscription_and_say_so,
    a_campaign_does_not_start_without_a_subscription,
    a_plan_limits_the_senders,
    an_operators_plan_goes_from_month_to_month,
    what_is_not_used_expires_and_nothing_else,
);

/// More people than are claimed at once.
const LISTED: usize = 600;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// An operator's word, for thirty days from now.
async fn word(shop: &Shop, plan: &str, state: rules::State) -> Subscription {
    let word = Word { plan: plan.to_owned(), state, period_end: None, cancel_at_period_end: false };
    let mut tx = shop.db.begin().await.expect("begins");
    let given = give(&mut tx, &*shop.dice, shop.account, "ana", &word).await.expect("holds");
    tx.commit().await.expect("commits");
    given
}

async fn books(shop: &Shop) -> domain::ledger::Books {
    let mut tx = shop.db.read().await.expect("reads");
    wallets::wallet(&mut tx, shop.account).await.expect("a wallet").books
}

/// How often each kind of line was posted, and for how many credits in all.
async fn lines(shop: &Shop, kind: domain::ledger::Kind) -> Vec<(String, i64)> {
    let mut tx = shop.db.read().await.expect("reads");
    let all = wallets::list_lines(&mut tx, shop.account, 0, 1000).await.expect("lists");
    let of_kind = all.into_iter().filter(|line| line.posting.kind == kind);
    of_kind.map(|line| (line.posting.effect_key, line.posting.change.available)).collect()
}

/// Grants credits that expire; whether they came.
async fn grant(shop: &Shop, key: &str, amount: i64, expires_at: Instant) -> bool {
    let (key, expires_at) = (key.to_owned(), Some(expires_at));
    let wanted = Grant { key, amount, expires_at, why: "for the test" };
    let mut tx = shop.db.begin().await.expect("begins");
    let came = lots::grant(&mut tx, &*shop.dice, shop.account, wanted).await.expect("grants");
    tx.commit().await.expect("commits");
    came
}

async fn draft(shop: &Shop) -> StreamId {
    let wanted = CampaignIn {
        name: "Spring".to_owned(),
        category: "marketing".to_owned(),
        body: "Hello there".to_owned(),
        audience: AudienceIn { all: Some(true), ..AudienceIn::default() },
        sender_id: None,
        starts_at: None,
        resume_when_funded: false,
    };
    let mut tx = shop.db.begin().await.expect("begins");
    let made = campaigns::create(&mut tx, &*shop.dice, shop.account, &wanted).await;
    tx.commit().await.expect("commits");
    made.expect("creates").id
}

async fn wish(shop: &Shop, id: StreamId, wish: Wish) -> Result<State, Refusal> {
    let mut tx = shop.db.begin().await.expect("begins");
    let done = campaigns::wish(&mut tx, shop.account, id, wish).await;
    tx.commit().await.expect("commits");
    done
}

async fn b25_a_cancel_between_claim_and_dispatch_lets_the_claimed_leave_and_nothing_more(
    engine: Engine,
) {
    let shop = Shop::open(engine).await;
    shop.contacts(LISTED, Some(Consent::OptedIn)).await;
    word(&shop, "pay_as_you_go", rules::State::Active).await;
    let end = Instant::parse(NOON).expect("a time") + Duration::from_secs(5);
    assert!(grant(&shop, "period", 2500, end).await);
    shop.carrier.hold_after(5);
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait(id, |_| shop.carrier.accepted().len() == 5).await;

    // The plan ends while they wait, and so do its credits: all but those that are reserved.
    word(&shop, "pay_as_you_go", rules::State::Canceled).await;
    shop.clock.advance(Duration::from_secs(5));
    shop.tick().await;
    let after = books(&shop).await;
    let claimed = after.reserved + after.spent;
    assert!((6..600).contains(&claimed), "some texts are claimed and not sent: {claimed}");
    assert_eq!((after.available, after.breakage), (0, 2500 - claimed), "claimed ones are kept");

    shop.carrier.open();
    shop.wait_state(id, State::Paused).await;
    let status = shop.status(id).await;
    // A claim that was asking while the plan ended finds no credits instead.
    assert!(matches!(status.pause_reason, Some("subscription" | "credits")), "{status:?}");
    assert_eq!(
        i64::try_from(shop.carrier.accepted().len()).expect("few"),
        books(&shop).await.spent
    );
    assert!(books(&shop).await.spent <= claimed, "nothing was claimed any more");
    // What came back unsent, if the lease ran out meanwhile, expires as well.
    for _ in 0..20 {
        shop.clock.advance(Duration::from_secs(31));
        shop.tick().await;
        shop.reconcile().await;
    }
    let last = books(&shop).await;
    assert_eq!(last.available, 0, "{last:?}");
    assert_eq!(last.spent + last.breakage + last.reserved, 2500);
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    process.stop().await;
}

async fn a_campaign_pauses_without_a_subscription_and_goes_on_by_itself(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(LISTED, Some(Consent::OptedIn)).await;
    shop.credits(600, "bought").await;
    word(&shop, "growth", rules::State::Active).await;
    shop.carrier.hold_after(5);
    let process = shop.start();
    let id = shop.campaign("Hello there", false).await;
    shop.wait(id, |_| shop.carrier.accepted().len() == 5).await;
    word(&shop, "growth", rules::State::Paused).await;
    shop.carrier.open();
    shop.wait_state(id, State::Paused).await;
    assert_eq!(shop.status(id).await.pause_reason, Some("subscription"));
    let sent = shop.carrier.accepted().len();
    assert!(sent < LISTED, "{sent}");
    let refused = wish(&shop, id, Wish::Resume).await;
    assert!(matches!(&refused, Err(Refusal::State(words)) if words.contains("is paused")));
    for _ in 0..5 {
        shop.tick().await;
    }
    assert_eq!(shop.status(id).await.state, "paused");

    word(&shop, "growth", rules::State::Active).await;
    shop.wait_state(id, State::Completed).await;
    assert_eq!(shop.carrier.accepted().len(), LISTED);
    shop.carrier.assert_nobody_twice();
    shop.assert_audit().await;
    process.stop().await;
}

async fn a_plan_without_campaigns_sends_single_texts_only(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(5, Some(Consent::OptedIn)).await;
    shop.credits(100, "bought").await;
    let id = draft(&shop).await;
    wish(&shop, id, Wish::Start).await.expect("it pays as it goes");
    word(&shop, "starter", rules::State::Active).await;
    let process = shop.start();
    shop.wait_state(id, State::Paused).await;
    assert_eq!(shop.status(id).await.pause_reason, Some("subscription"));
    let text = shop.text(&phone(1), "message.notification", "Your order is ready").await;
    shop.wait_message(text, "accepted").await;
    assert_eq!(shop.carrier.accepted().len(), 1);
    let refused = wish(&shop, id, Wish::Resume).await;
    assert!(matches!(&refused, Err(Refusal::State(words)) if words.contains("Starter")));
    word(&shop, "growth", rules::State::Active).await;
    shop.wait_state(id, State::Completed).await;
    shop.assert_audit().await;
    process.stop().await;
}

async fn single_texts_wait_for_the_subscription_and_say_so(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.credits(100, "bought").await;
    word(&shop, "growth", rules::State::Unpaid).await;
    let process = shop.start();
    let text = shop.text(&phone(1), "message.notification", "Your order is ready").await;
    shop.wait_message(text, "deferred").await;
    let why = shop.message(text).await;
    let told = serde_json::to_value(&why).expect("is valid JSON").to_string();
    assert!(told.contains("subscription") && told.contains("Growth is not paid"), "{told}");
    word(&shop, "growth", rules::State::Active).await;
    shop.clock.advance(Duration::from_secs(61));
    shop.wait_message(text, "accepted").await;
    process.stop().await;
}

async fn a_campaign_does_not_start_without_a_subscription(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(5, Some(Consent::OptedIn)).await;
    let id = draft(&shop).await;
    for (plan, state, part) in [
        ("growth", rules::State::Canceled, "is over"),
        ("growth", rules::State::Incomplete, "first payment"),
        ("starter", rules::State::Active, "no campaigns"),
    ] {
        word(&shop, plan, state).await;
        let refused = wish(&shop, id, Wish::Start).await;
        assert!(matches!(&refused, Err(Refusal::State(words)) if words.contains(part)), "{state}");
        assert_eq!(shop.status(id).await.state, "draft");
    }
    word(&shop, "growth", rules::State::Trialing).await;
    wish(&shop, id, Wish::Start).await.expect("starts");
    // Asked for again, it is the same answer, whatever the subscription says by now.
    word(&shop, "growth", rules::State::Paused).await;
    wish(&shop, id, Wish::Start).await.expect("was started");
}

async fn a_plan_limits_the_senders(engine: Engine) {
    let shop = Shop::open(engine).await;
    let sender = |n: usize| -> SenderIn {
        let address = format!("+1312555{n:04}");
        serde_json::from_value(serde_json::json!({"kind": "10dlc", "address": address}))
            .expect("well-formed")
    };
    let add = async |n: usize| {
        let mut tx = shop.db.begin().await.expect("begins");
        let added = add_sender(&mut tx, &*shop.dice, shop.account, &sender(n)).await;
        tx.commit().await.expect("commits");
        added
    };
    word(&shop, "starter", rules::State::Active).await;
    add(1).await.expect("the first");
    let refused = add(2).await;
    assert!(matches!(&refused, Err(Refusal::State(words)) if words.contains("1 sender;")));
    word(&shop, "growth", rules::State::Active).await;
    add(2).await.expect("the second");
    add(3).await.expect("the third");
    assert!(add(4).await.is_err());
    word(&shop, "scale", rules::State::Active).await;
    add(4).await.expect("as many as wanted");
}

async fn an_operators_plan_goes_from_month_to_month(engine: Engine) {
    use domain::ledger::Kind;

    let shop = Shop::open(engine).await;
    shop.credits(40, "bought").await;
    let first = word(&shop, "growth", rules::State::Active).await;
    word(&shop, "growth", rules::State::Active).await;
    assert_eq!(lines(&shop, Kind::Grant).await.len(), 2, "one of them the period's");
    assert_eq!(shop.available().await, 2540);
    shop.clock.set(first.period_end - Duration::from_micros(1));
    shop.tick().await;
    assert_eq!(shop.available().await, 2540, "not before its time");
    shop.clock.set(first.period_end);
    shop.tick().await;
    // Growth's credits roll over for a month, so now there are two periods' worth.
    assert_eq!(shop.available().await, 5040);
    let mut tx = shop.db.read().await.expect("reads");
    let found = store::subscriptions::find_subscription(&mut tx, shop.account).await;
    let found = found.expect("reads").expect("there is one");
    drop(tx);
    assert_eq!(found.period_start, first.period_end);
    assert_eq!(found.period_end, Instant::parse("2027-01-21T17:00:00Z").expect("a time"));

    // It ends with its period: no more credits, and the last ones expire a month later.
    let last = Word {
        plan: "growth".to_owned(),
        state: rules::State::Active,
        period_end: None,
        cancel_at_period_end: true,
    };
    let mut tx = shop.db.begin().await.expect("begins");
    give(&mut tx, &*shop.dice, shop.account, "ana", &last).await.expect("holds");
    tx.commit().await.expect("commits");
    shop.clock.set(found.period_end);
    shop.tick().await;
    let after = books(&shop).await;
    assert_eq!((after.available, after.breakage), (2540, 2500));
    shop.clock.set(found.period_end + DAY * 31);
    shop.tick().await;
    let after = books(&shop).await;
    assert_eq!((after.available, after.breakage), (40, 5000), "what was bought stays");
    shop.clock.set(found.period_end + DAY * 400);
    shop.tick().await;
    assert_eq!(books(&shop).await, after);
    let grants = lines(&shop, Kind::Grant).await;
    assert_eq!(grants.len(), 3, "{grants:?}");
    shop.assert_audit().await;
}

async fn what_is_not_used_expires_and_nothing_else(engine: Engine) {
    use domain::ledger::Kind;

    let shop = Shop::open(engine).await;
    shop.credits(-30, "owed").await;
    let noon = Instant::parse(NOON).expect("a time");
    assert!(grant(&shop, "a", 100, noon + DAY * 10).await);
    assert!(!grant(&shop, "a", 100, noon + DAY * 10).await, "an effect comes once");
    shop.credits(500, "bought").await;
    // The debt took thirty of the first hundred; the second hundred stands behind the rest.
    assert!(grant(&shop, "b", 100, noon + DAY * 5).await);
    let step = async |charged: i64, released: i64, hold: i64| {
        let mut tx = shop.db.begin().await.expect("begins");
        let mut wallet = OpenWallet::lock(&mut tx, shop.account).await.expect("locks");
        let seq = wallet.wallet().seq;
        if hold > 0 {
            wallet.hold(&mut tx, format!("hold:{seq}"), hold, hold).await.expect("holds");
        } else {
            let leaves = vec![[u8::try_from(seq).expect("few"); 32]];
            let decided = ledgerline::finance::credits::Decided { charged, released, leaves };
            wallet.settle(&mut tx, &decided).await.expect("settles");
        }
        tx.commit().await.expect("commits");
    };
    step(0, 0, 90).await;
    shop.clock.set(noon + DAY * 5);
    shop.tick().await;
    // Twenty of the second lot are reserved.
    assert_eq!(books(&shop).await.breakage, 80);
    step(75, 0, 0).await;
    step(0, 15, 0).await;
    shop.clock.advance(Duration::from_secs(31));
    shop.tick().await;
    assert_eq!(books(&shop).await.breakage, 95, "fifteen of the reserved ones came back");
    shop.clock.set(noon + DAY * 40);
    shop.tick().await;
    let after = books(&shop).await;
    assert_eq!((after.available, after.spent, after.breakage), (500, 75, 95));
    let expired: Vec<i64> = lines(&shop, Kind::Expiry).await.into_iter().map(|one| one.1).collect();
    assert_eq!(expired, [-80, -15]);
    // There are no texts behind what was settled here, but the books are in order.
    let found = audit::audit(&shop.db, shop.account).await.expect("audits");
    let check = |name| found.checks.iter().find(|check| check.name == name).expect("is checked");
    for name in ["books_balance", "wallet_is_its_ledger", "hash_chain", "lots_are_lines"] {
        assert!(check(name).ok, "{:?}", check(name));
    }
}
