//! Money that goes back: refunds, disputes, and warnings of fraud.

use serde_json::{Value, json};
use stripe::{Error, Mode, RefundIn, Stripe as _};

use super::rig::{Rig, checkout, metadata};

/// A sandbox in which 25.00 USD were paid, and how many events that made.
async fn paid() -> (Rig, String, usize) {
    let rig = Rig::new().await;
    let session = rig.page(&checkout(Mode::Payment), "buy-1").await;
    let said = rig.pay(&session.id, "4242424242424242", "").await;
    let intent = said["session"]["payment_intent"].as_str().expect("paid").to_owned();
    let known = rig.kinds().await.len();
    (rig, intent, known)
}

fn back(intent: &str, amount: Option<i64>) -> RefundIn {
    let reason = Some("requested_by_customer".to_owned());
    RefundIn { payment_intent: intent.to_owned(), amount, reason, metadata: metadata() }
}

async fn charge_of(rig: &Rig, intent: &str) -> stripe::objects::Charge {
    let payment = rig.client.payment(intent).await.expect("there");
    rig.client.charge(&payment.latest_charge.expect("paid")).await.expect("there")
}

#[tokio::test]
async fn refunds_add_up_and_never_exceed_the_payment() {
    let (rig, intent, known) = paid().await;
    for (key, amount, sum) in [("r-1", Some(1000), 1000), ("r-2", Some(499), 1499)] {
        let refund = rig.client.create_refund(&back(&intent, amount), key).await.expect("sent");
        assert_eq!((&*refund.status, Some(refund.amount)), ("succeeded", amount));
        assert_eq!(refund.reason.as_deref(), Some("requested_by_customer"));
        assert_eq!(
            (refund.payment_intent.as_deref(), refund.metadata),
            (Some(&*intent), metadata())
        );
        let charge = charge_of(&rig, &intent).await;
        assert_eq!((charge.amount_refunded, charge.refunded), (sum, false));
    }
    for amount in [Some(1002), Some(0), Some(-1), Some(i64::MAX)] {
        let said = rig.client.create_refund(&back(&intent, amount), "r-3").await;
        assert!(matches!(said, Err(Error::Invalid { .. })), "{amount:?}: {said:?}");
    }
    let rest = rig.client.create_refund(&back(&intent, None), "r-4").await.expect("sent");
    assert_eq!(rest.amount, 1001);
    assert!(charge_of(&rig, &intent).await.refunded);
    let more = rig.client.create_refund(&back(&intent, None), "r-5").await;
    let Err(Error::Invalid { code, .. }) = more else { panic!("{more:?}") };
    assert_eq!(code.as_deref(), Some("charge_already_refunded"));
    let all = rig.client.refunds_of(&intent).await.expect("a list");
    let amounts: Vec<i64> = all.iter().map(|refund| refund.amount).collect();
    assert_eq!(amounts, [1001, 499, 1000], "newest first");
    assert_eq!(rig.client.refund(&all[0].id).await.expect("there"), all[0]);
    assert_eq!(rig.client.refunds_of("pi_other").await, Ok(vec![]));
    let told = ["refund.created", "charge.refunded"].repeat(3);
    assert_eq!(rig.kinds_after(known).await, told);
}

#[tokio::test]
async fn a_refund_can_come_back() {
    let (rig, intent, known) = paid().await;
    let refund = rig.does("refund", json!({"payment_intent": intent, "amount": 700})).await;
    let id = refund["id"].as_str().expect("made");
    assert_eq!(charge_of(&rig, &intent).await.amount_refunded, 700);
    let failed = rig.does(&format!("refund/{id}/fail"), Value::Null).await;
    assert_eq!(failed["status"], "failed");
    assert_eq!(charge_of(&rig, &intent).await.amount_refunded, 0);
    assert_eq!(
        rig.refuses(&format!("refund/{id}/fail"), Value::Null).await,
        "resource_invalid_state"
    );
    let told = ["refund.created", "charge.refunded", "refund.updated", "refund.failed"];
    assert_eq!(rig.kinds_after(known).await, told);
    let whole = rig.client.create_refund(&back(&intent, None), "r-1").await.expect("sent");
    assert_eq!(whole.amount, 2500, "it can be sent again");
}

#[tokio::test]
async fn many_refunds_are_listed_over_pages() {
    let (rig, intent, _) = paid().await;
    for _ in 0..130 {
        rig.does("refund", json!({"payment_intent": intent, "amount": 1})).await;
    }
    let all = rig.client.refunds_of(&intent).await.expect("a list");
    let ids: std::collections::BTreeSet<&str> = all.iter().map(|it| &*it.id).collect();
    assert_eq!((all.len(), ids.len()), (130, 130));
}

#[tokio::test]
async fn disputes_are_won_or_lost() {
    for (word, told, refundable) in [
        ("won", &["charge.dispute.funds_reinstated", "charge.dispute.closed"][..], true),
        ("lost", &["charge.dispute.closed"], false),
    ] {
        let (rig, intent, known) = paid().await;
        let dispute = rig.does("dispute", json!({"payment_intent": intent, "amount": 900})).await;
        let id = dispute["id"].as_str().expect("made").to_owned();
        let open = rig.client.dispute(&id).await.expect("there");
        assert_eq!((&*open.status, open.amount), ("needs_response", 900));
        assert_eq!(open.payment_intent.as_deref(), Some(&*intent));
        assert!(charge_of(&rig, &intent).await.disputed);
        assert_eq!(
            rig.refuses("dispute", json!({"payment_intent": intent})).await,
            "charge_disputed"
        );
        assert_eq!(
            rig.refuses("refund", json!({"payment_intent": intent})).await,
            "charge_disputed"
        );
        let path = format!("dispute/{id}/close");
        assert_eq!(rig.refuses(&path, json!({"status": "tied"})).await, "parameter_invalid");
        let closed = rig.does(&path, json!({"status": word})).await;
        assert_eq!(closed["status"], word);
        assert_eq!(rig.refuses(&path, json!({"status": word})).await, "resource_invalid_state");
        let all = rig.client.disputes_of(&intent).await.expect("a list");
        assert_eq!((all.len(), &*all[0].status), (1, word));
        let first = ["charge.dispute.created", "charge.dispute.funds_withdrawn"];
        assert_eq!(rig.kinds_after(known).await, [&first, told].concat());
        let refund = rig.client.create_refund(&back(&intent, None), "r-1").await;
        assert_eq!(refund.is_ok(), refundable, "{word}: {refund:?}");
    }
}

#[tokio::test]
async fn a_dispute_is_of_what_was_paid() {
    let (rig, intent, _) = paid().await;
    for amount in [0, -5, 2501] {
        let code =
            rig.refuses("dispute", json!({"payment_intent": intent, "amount": amount})).await;
        assert_eq!(code, "parameter_invalid_integer", "{amount}");
    }
    for path in ["dispute", "refund", "fraud-warning"] {
        let code = rig.refuses(path, json!({"payment_intent": "pi_none"})).await;
        assert_eq!(code, "resource_missing", "{path}");
    }
    let unpaid = rig.page(&checkout(Mode::Payment), "buy-2").await;
    let said = rig.pay(&unpaid.id, "4000000000000002", "").await;
    let unpaid = said["session"]["payment_intent"].clone();
    let code = rig.refuses("dispute", json!({"payment_intent": unpaid})).await;
    assert_eq!(code, "charge_not_refundable");
    let whole = rig.does("dispute", json!({"payment_intent": intent})).await;
    assert_eq!(whole["amount"], 2500);
}

#[tokio::test]
async fn a_bank_warns() {
    let (rig, intent, _) = paid().await;
    let warning = rig.does("fraud-warning", json!({"payment_intent": intent})).await;
    assert_eq!(warning["payment_intent"], *intent);
    let heard = rig.heard().await;
    let (event, object) = heard.last().expect("told");
    assert_eq!((&*event.kind, &event.id[..4]), ("radar.early_fraud_warning.created", "evt_"));
    assert_eq!(*object, warning);
}
