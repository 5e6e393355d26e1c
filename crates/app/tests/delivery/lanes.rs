//! Lanes: what somebody waits for leaves before what goes to lists.

use domain::permit::Consent;
use testkit::Engine;

use crate::harness::{Shop, phone};

testkit::both_engines!(a_code_leaves_before_a_long_list);

async fn a_code_leaves_before_a_long_list(engine: Engine) {
    let shop = Shop::open(engine).await;
    shop.contacts(2000, Some(Consent::OptedIn)).await;
    shop.credits(3000, "first").await;
    let process = shop.start();
    shop.carrier.hold_after(100);
    let id = shop.campaign("Hello list", false).await;
    shop.wait(id, |_| shop.carrier.accepted().len() >= 100).await;
    let code = shop.text(&phone(5000), "message.code", "Your code is 123456").await;
    shop.wait_message(code, "reserved").await;
    shop.carrier.open();
    shop.wait_message(code, "accepted").await;
    let all = shop.carrier.accepted();
    let place = all.iter().position(|one| one.to == phone(5000)).expect("it left");
    assert!(place < 400, "it left as number {place} of {}", all.len());
    process.stop().await;
}
