//! Cards: what each does on a page, and later without its owner.

use serde_json::json;
use stripe::{CheckoutIn, Error, Mode, OffSessionPaymentIn, Stripe as _};

use super::rig::{NOW, Rig, checkout, metadata};

const PAID: &[&str] = &[
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.succeeded",
    "checkout.session.completed",
];
const DECLINED: &[&str] =
    &["payment_intent.created", "charge.failed", "payment_intent.payment_failed"];
const ASKED: &[&str] = &["payment_intent.created", "payment_intent.requires_action"];
const CONFIRMED: &[&str] = &[
    "payment_intent.created",
    "payment_intent.requires_action",
    "charge.succeeded",
    "payment_intent.succeeded",
    "checkout.session.completed",
];
const REFUSED: &[&str] =
    &["payment_intent.created", "payment_intent.requires_action", "payment_intent.payment_failed"];
const DISPUTED: &[&str] = &[
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.succeeded",
    "checkout.session.completed",
    "charge.dispute.created",
    "charge.dispute.funds_withdrawn",
];
const UNDER_WAY: &[&str] =
    &["payment_intent.created", "payment_intent.processing", "checkout.session.completed"];
const PAID_LATER: &[&str] = &[
    "payment_intent.created",
    "payment_intent.processing",
    "checkout.session.completed",
    "charge.succeeded",
    "payment_intent.succeeded",
    "checkout.session.async_payment_succeeded",
];
const FAILED_LATER: &[&str] = &[
    "payment_intent.created",
    "payment_intent.processing",
    "checkout.session.completed",
    "payment_intent.payment_failed",
    "checkout.session.async_payment_failed",
];

/// Card, what its owner says: the result, the session's status and payment status, the payment's
/// status, the decline, and what is told.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Option<(&'static str, Option<&'static str>)>,
    &'static [&'static str],
);

#[rustfmt::skip]
const ON_PAGES: [Row; 19] = [
    ("4242424242424242", "", "done", "complete", "paid", "succeeded", None, PAID),
    ("4242 4242 4242 4242", "", "done", "complete", "paid", "succeeded", None, PAID),
    ("4000000000000002", "", "declined", "open", "unpaid", "requires_payment_method",
        Some(("card_declined", Some("generic_decline"))), DECLINED),
    ("4000000000009995", "", "declined", "open", "unpaid", "requires_payment_method",
        Some(("card_declined", Some("insufficient_funds"))), DECLINED),
    ("4000000000009987", "", "declined", "open", "unpaid", "requires_payment_method",
        Some(("card_declined", Some("lost_card"))), DECLINED),
    ("4000000000009979", "", "declined", "open", "unpaid", "requires_payment_method",
        Some(("card_declined", Some("stolen_card"))), DECLINED),
    ("4000000000000069", "", "declined", "open", "unpaid", "requires_payment_method",
        Some(("expired_card", Some("expired_card"))), DECLINED),
    ("4000000000000127", "", "declined", "open", "unpaid", "requires_payment_method",
        Some(("incorrect_cvc", None)), DECLINED),
    ("4000000000000119", "", "declined", "open", "unpaid", "requires_payment_method",
        Some(("processing_error", Some("processing_error"))), DECLINED),
    ("4000002500003155", "", "done", "complete", "paid", "succeeded", None, CONFIRMED),
    ("4000002500003155", "fail", "declined", "open", "unpaid", "requires_payment_method",
        Some(("payment_intent_authentication_failure", None)), REFUSED),
    ("4000002760003184", "approve", "done", "complete", "paid", "succeeded", None, CONFIRMED),
    ("4000002760003184", "ask", "asks", "open", "unpaid", "requires_action", None, ASKED),
    ("4000000000000341", "", "done", "complete", "paid", "succeeded", None, PAID),
    ("4000000000000259", "", "done", "complete", "paid", "succeeded", None, DISPUTED),
    ("000123456789", "", "done", "complete", "paid", "succeeded", None, PAID_LATER),
    ("000123456789", "succeeds", "done", "complete", "paid", "succeeded", None, PAID_LATER),
    ("000123456789", "fails", "done", "complete", "unpaid", "requires_payment_method",
        Some(("payment_intent_payment_attempt_failed", Some("generic_decline"))), FAILED_LATER),
    ("000123456789", "waits", "done", "complete", "unpaid", "processing", None, UNDER_WAY),
];

#[tokio::test]
async fn each_card_does_what_it_is_for_on_a_page() {
    for (card, outcome, result, status, payment_status, intent_status, decline, told) in ON_PAGES {
        let rig = Rig::new().await;
        let session = rig.page(&checkout(Mode::Payment), "buy-1").await;
        assert_eq!((&*session.status, &*session.payment_status), ("open", "unpaid"));
        let name = format!("{card} {outcome}");
        let said = rig.pay(&session.id, card, outcome).await;
        assert_eq!(said["result"], result, "{name}: {said}");
        let now = rig.client.checkout(&session.id).await.expect("there");
        assert_eq!((&*now.status, &*now.payment_status), (status, payment_status), "{name}");
        assert_eq!(now.url.is_some(), status == "open", "{name}");
        let intent = now.payment_intent.expect("it was tried");
        let payment = rig.client.payment(&intent).await.expect("there");
        assert_eq!(payment.status, intent_status, "{name}");
        let received = if intent_status == "succeeded" { 2500 } else { 0 };
        assert_eq!((payment.amount, payment.amount_received), (2500, received), "{name}");
        assert_eq!(payment.metadata, metadata(), "{name}: on the payment too");
        let error = payment.last_payment_error.as_ref();
        let codes = error.map(|it| (it.code.as_deref(), it.decline_code.as_deref()));
        assert_eq!(codes, decline.map(|(code, bank)| (Some(code), bank)), "{name}");
        assert_eq!(said["error"].is_null(), result != "declined", "{name}: {said}");
        assert_eq!(rig.kinds().await, told, "{name}");
    }
}

#[tokio::test]
async fn an_open_page_can_be_tried_again_with_the_same_payment() {
    let rig = Rig::new().await;
    let session = rig.page(&checkout(Mode::Payment), "buy-1").await;
    rig.pay(&session.id, "4000000000000002", "").await;
    let first = rig.client.checkout(&session.id).await.expect("there").payment_intent;
    rig.pay(&session.id, "4000002760003184", "fail").await;
    let said = rig.pay(&session.id, "4242424242424242", "").await;
    let payment = rig.client.payment(first.as_deref().expect("tried")).await.expect("there");
    assert_eq!(said["session"]["payment_intent"], *payment.id, "one payment, three tries");
    assert_eq!(payment.status, "succeeded");
    assert_eq!(payment.last_payment_error, None);
    let charge = rig.client.charge(payment.latest_charge.as_deref().expect("charged")).await;
    let charge = charge.expect("there");
    assert!(charge.paid && charge.captured && !charge.refunded && !charge.disputed);
    assert_eq!((charge.amount, charge.payment_intent), (2500, first));
    assert_eq!(charge.metadata, metadata());
    let path = format!("checkout/{}/pay", session.id);
    let again = rig.refuses(&path, json!({"card": "4242424242424242"})).await;
    assert_eq!(again, "resource_invalid_state", "it is paid once");
}

#[tokio::test]
async fn a_payment_that_waits_is_settled_by_hand_once() {
    for (word, status, told) in [
        ("succeeded", "paid", "checkout.session.async_payment_succeeded"),
        ("failed", "unpaid", "checkout.session.async_payment_failed"),
    ] {
        let rig = Rig::new().await;
        let session = rig.page(&checkout(Mode::Payment), "buy-1").await;
        rig.pay(&session.id, "000123456789", "waits").await;
        let path = format!("checkout/{}/settle", session.id);
        let settled = rig.does(&path, json!({"status": word})).await;
        assert_eq!(settled["payment_status"], status);
        assert_eq!(rig.kinds().await.last().map(String::as_str), Some(told));
        let code = rig.refuses(&path, json!({"status": "succeeded"})).await;
        assert_eq!(code, "payment_intent_unexpected_state");
    }
}

fn top_up(customer: &str, method: &str) -> OffSessionPaymentIn {
    OffSessionPaymentIn {
        amount: 2500,
        currency: "usd".into(),
        customer: customer.into(),
        payment_method: method.into(),
        metadata: metadata(),
        description: Some("Top-up".into()),
        statement_descriptor_suffix: Some("CREDITS".into()),
    }
}

#[tokio::test]
async fn a_saved_card_is_charged_or_declined_while_its_owner_is_away() {
    let declined = Err(("card_declined", "generic_decline", false));
    let absent = Err(("authentication_required", "authentication_required", true));
    let cases = [
        ("4242424242424242", Ok("succeeded")),
        ("4000002500003155", Ok("succeeded")),
        ("4000002760003184", absent),
        ("4000000000000341", declined),
        ("4000000000000259", Ok("succeeded")),
    ];
    for (card, expected) in cases {
        let rig = Rig::new().await;
        let customer = rig.customer().await;
        let method = rig.save(&customer, card).await;
        let shown = rig.client.payment_method(&method).await.expect("there");
        assert_eq!(shown.customer.as_deref(), Some(&*customer));
        assert_eq!(shown.card.expect("a card").last4, card[card.len() - 4..]);
        let known = rig.kinds().await.len();
        let said = rig.client.create_payment(&top_up(&customer, &method), "top-1").await;
        let told = rig.kinds_after(known).await;
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        match expected {
            Ok(status) => {
                let payment = said.expect(card);
                assert_eq!((&*payment.status, payment.amount_received), (status, 2500), "{card}");
                assert_eq!(payment.metadata, metadata());
                assert_eq!(told[..3], PAID[..3], "{card}");
                assert_eq!(told.len() > 3, card.ends_with("0259"), "{card}: disputed at once");
            }
            Err((code, decline_code, is_hard)) => {
                let Err(Error::Card(error)) = said else { panic!("{card}: {said:?}") };
                assert_eq!(error.code.as_deref(), Some(code), "{card}");
                assert_eq!(error.decline_code.as_deref(), Some(decline_code), "{card}");
                assert_eq!(error.is_hard(), is_hard, "{card}");
                let payment = error.payment_intent.expect("it is named");
                assert_eq!(payment.status, "requires_payment_method", "{card}");
                let kept = rig.client.payment(&payment.id).await.expect("there");
                assert_eq!((kept.metadata, kept.amount_received), (metadata(), 0), "{card}");
                assert_eq!(told, DECLINED, "{card}");
            }
        }
    }
}

#[tokio::test]
async fn stripes_own_test_methods_are_known() {
    let rig = Rig::new().await;
    let customer = rig.customer().await;
    let cases = [
        ("pm_card_visa", None),
        ("pm_card_chargeDeclined", Some("generic_decline")),
        ("pm_card_chargeDeclinedInsufficientFunds", Some("insufficient_funds")),
        ("pm_card_authenticationRequired", Some("authentication_required")),
    ];
    for (method, decline) in cases {
        let said = rig.client.create_payment(&top_up(&customer, method), method).await;
        match (said, decline) {
            (Ok(payment), None) => assert_eq!(payment.status, "succeeded"),
            (Err(Error::Card(error)), Some(_)) => {
                assert_eq!(error.decline_code.as_deref(), decline);
            }
            (said, _) => panic!("{method}: {said:?}"),
        }
    }
}

#[tokio::test]
async fn a_card_is_kept_by_a_payment_that_says_so() {
    for (save_card, attached) in [(true, true), (false, false)] {
        let rig = Rig::new().await;
        let wanted = CheckoutIn { save_card, ..checkout(Mode::Payment) };
        let session = rig.page(&wanted, "buy-1").await;
        rig.pay(&session.id, "4000002500003155", "").await;
        let session = rig.client.checkout(&session.id).await.expect("there");
        let payment = rig.client.payment(&session.payment_intent.expect("paid")).await;
        let method = payment.expect("there").payment_method.expect("paid with");
        let method = rig.client.payment_method(&method).await.expect("there");
        assert_eq!((method.customer.is_some(), session.customer.is_some()), (attached, attached));
        assert_eq!(method.customer, session.customer);
        let Some(customer) = session.customer else { continue };
        // It was confirmed when it was saved.
        let paid = rig.client.create_payment(&top_up(&customer, &method.id), "top-1").await;
        assert_eq!(paid.expect("paid").status, "succeeded");
        let gone = rig.client.detach_payment_method(&method.id).await.expect("detached");
        assert_eq!(gone.customer, None);
        let refused = rig.client.create_payment(&top_up(&customer, &method.id), "top-2").await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
        let again = rig.client.detach_payment_method(&method.id).await;
        assert!(matches!(again, Err(Error::Invalid { .. })), "{again:?}");
    }
}

#[tokio::test]
async fn cards_that_cannot_be_saved_say_so() {
    let rig = Rig::new().await;
    let customer = rig.customer().await;
    let wanted = CheckoutIn { customer: Some(customer), ..checkout(Mode::Setup) };
    let session = rig.page(&wanted, "save-1").await;
    assert_eq!((session.amount_total, &*session.payment_status), (None, "no_payment_required"));
    for (card, outcome) in
        [("4000000000000002", ""), ("000123456789", ""), ("4000002500003155", "fail")]
    {
        let said = rig.pay(&session.id, card, outcome).await;
        assert_eq!(said["result"], "declined", "{card}: {said}");
        let last = rig.kinds().await.pop();
        assert_eq!(last.as_deref(), Some("setup_intent.setup_failed"), "{card}");
    }
    let said = rig.pay(&session.id, "4242424242424242", "").await;
    assert_eq!(said["session"]["payment_status"], "no_payment_required");
    let told = rig.kinds().await;
    let expected =
        ["payment_method.attached", "setup_intent.succeeded", "checkout.session.completed"];
    assert_eq!(told[told.len() - 3..], expected);
}

#[tokio::test]
async fn pages_close_by_hand_and_by_themselves() {
    let rig = Rig::new().await;
    let by_hand = rig.page(&checkout(Mode::Payment), "buy-1").await;
    rig.pay(&by_hand.id, "4000000000000002", "").await;
    let closed = rig.client.expire_checkout(&by_hand.id).await.expect("closed");
    assert_eq!((&*closed.status, closed.url), ("expired", None));
    let payment = rig.client.payment(&closed.payment_intent.expect("tried")).await;
    let payment = payment.expect("there");
    let reason = payment.cancellation_reason.as_deref();
    assert_eq!((&*payment.status, reason), ("canceled", Some("automatic")));
    let again = rig.client.expire_checkout(&by_hand.id).await;
    assert!(matches!(again, Err(Error::Invalid { .. })), "{again:?}");
    let path = format!("checkout/{}/pay", by_hand.id);
    let code = rig.refuses(&path, json!({"card": "4242424242424242"})).await;
    assert_eq!(code, "resource_invalid_state");

    let expires_at = Some(NOW.seconds() + 3600);
    let wanted = CheckoutIn { expires_at, ..checkout(Mode::Payment) };
    let by_itself = rig.page(&wanted, "buy-2").await;
    let paid = rig.page(&wanted, "buy-3").await;
    rig.pay(&paid.id, "4242424242424242", "").await;
    rig.clock.set(domain::instant::Instant(NOW.0 + 3_600_000_000));
    super::rig::until(async || {
        let page = rig.client.checkout(&by_itself.id).await.expect("there");
        page.status == "expired"
    })
    .await;
    let page = rig.client.checkout(&paid.id).await.expect("there");
    assert_eq!(page.status, "complete", "what is paid does not close");
}
