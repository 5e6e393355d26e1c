//! Pages as a browser without scripts sees them.

use serde_json::Value;
use stripe::{CheckoutIn, Mode, Stripe as _};

use super::rig::{Answered, Rig, ask, checkout};

async fn get(rig: &Rig, target: &str) -> Answered {
    ask(&rig.sandbox, "GET", target, "", "").await
}

async fn post(rig: &Rig, target: &str, form: &str) -> Answered {
    let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
    ask(&rig.sandbox, "POST", target, headers, form).await
}

fn path_of(rig: &Rig, url: Option<&str>) -> String {
    let base = rig.sandbox.base();
    url.and_then(|url| url.strip_prefix(&base)).expect("a page here").to_owned()
}

#[tokio::test]
async fn a_page_shows_what_is_bought_and_takes_a_card() {
    let rig = Rig::new().await;
    let session = rig.page(&checkout(Mode::Payment), "buy-1").await;
    let path = path_of(&rig, session.url.as_deref());
    let page = get(&rig, &path).await;
    assert_eq!(page.status, 200);
    for part in [
        "25.00 USD",
        "1,000 credits &#60;b&#62;",
        "For texts &#38; more",
        "4242 4242 4242 4242",
        "000123456789",
        "https://us.example/no",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    assert!(!page.body.contains("<script") && !page.body.contains("credits <b>"));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let policy = page.header("content-security-policy").expect("there");
    assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{policy}");
    assert!(policy.contains("form-action 'self' https://us.example"), "{policy}");
    let style = get(&rig, "/checkout/style.css").await;
    assert_eq!(style.header("content-type"), Some("text/css; charset=utf-8"));

    let odd = post(&rig, &path, "card=1234&pick=").await;
    assert_eq!(odd.status, 400);
    assert!(odd.body.contains("Use one of the test cards"));
    let declined = post(&rig, &path, "card=4000+0000+0000+9995&pick=").await;
    assert_eq!((declined.status, declined.header("location")), (303, Some(&*path)));
    let page = get(&rig, &path).await;
    assert!(page.body.contains("insufficient funds"), "it says why");
    let paid = post(&rig, &path, "card=&pick=4242424242424242").await;
    let expected = format!("https://us.example/ok?s={}", session.id);
    assert_eq!((paid.status, paid.header("location")), (303, Some(&*expected)));
    let page = get(&rig, &path).await;
    assert!(page.body.contains("nothing more to pay") && page.body.contains(&expected));
    let again = post(&rig, &path, "pick=4242424242424242").await;
    assert!(again.body.contains("nothing more to pay"), "{}", again.body);
    let told = rig.kinds().await;
    assert_eq!(told.iter().filter(|kind| *kind == "payment_intent.succeeded").count(), 1);
    assert_eq!(rig.client.checkout(&session.id).await.expect("there").payment_status, "paid");
}

#[tokio::test]
async fn a_bank_asks_on_a_page_of_its_own() {
    let rig = Rig::new().await;
    let session = rig.page(&checkout(Mode::Payment), "buy-1").await;
    let path = path_of(&rig, session.url.as_deref());
    let bank = format!("{path}/authenticate");
    let early = get(&rig, &bank).await;
    assert_eq!((early.status, early.header("location")), (303, Some(&*path)), "nobody asked yet");
    let early = post(&rig, &bank, "answer=approve").await;
    assert_eq!((early.status, early.header("location")), (303, Some(&*path)), "nobody asked yet");
    let asks = post(&rig, &path, "card=4000002760003184").await;
    assert_eq!((asks.status, asks.header("location")), (303, Some(&*bank)));
    let page = get(&rig, &bank).await;
    assert!(page.body.contains("25.00 USD") && page.body.contains("3184"), "{}", page.body);
    let fails = post(&rig, &bank, "answer=fail").await;
    assert_eq!(fails.header("location"), Some(&*path));
    assert!(get(&rig, &path).await.body.contains("unable to authenticate"));
    let over = post(&rig, &bank, "answer=approve").await;
    assert_eq!(over.header("location"), Some(&*path), "it was answered");
    post(&rig, &path, "card=4000002760003184").await;
    let done = post(&rig, &bank, "answer=approve").await;
    assert!(
        done.header("location").is_some_and(|it| it.starts_with("https://us.example/ok?s=cs_"))
    );
}

#[tokio::test]
async fn cards_are_saved_and_plans_begun_on_pages() {
    let rig = Rig::new().await;
    let customer = rig.customer().await;
    let wanted = CheckoutIn { customer: Some(customer), ..checkout(Mode::Setup) };
    let session = rig.page(&wanted, "save-1").await;
    let path = path_of(&rig, session.url.as_deref());
    assert!(get(&rig, &path).await.body.contains("Save the card"));
    post(&rig, &path, "card=4000002500003155").await;
    let page = get(&rig, &format!("{path}/authenticate")).await;
    assert!(page.body.contains("is to be saved"), "{}", page.body);
    let done = post(&rig, &format!("{path}/authenticate"), "answer=approve").await;
    assert_eq!(done.status, 303);

    let wanted = CheckoutIn { trial_days: Some(14), ..checkout(Mode::Subscription) };
    let session = rig.page(&wanted, "plan-1").await;
    let path = path_of(&rig, session.url.as_deref());
    let page = get(&rig, &path).await;
    for part in ["49.00 USD", "a month", "Free for 14 days", "0.00 USD"] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    assert_eq!(post(&rig, &path, "card=4242424242424242").await.status, 303);
    let heard = rig.heard().await;
    let (_, invoice) = heard.iter().find(|(it, _)| it.kind == "invoice.paid").expect("billed");
    let page = get(&rig, &path_of(&rig, invoice["hosted_invoice_url"].as_str())).await;
    assert!(page.body.contains("0.00 USD: paid."), "{}", page.body);
}

#[tokio::test]
async fn a_closed_page_says_so_and_none_is_none() {
    let rig = Rig::new().await;
    let session = rig.page(&checkout(Mode::Payment), "buy-1").await;
    let path = path_of(&rig, session.url.as_deref());
    rig.does(&format!("checkout/{}/expire", session.id), Value::Null).await;
    assert!(get(&rig, &path).await.body.contains("Nothing was paid"));
    let late = post(&rig, &path, "card=4242424242424242").await;
    assert!(late.body.contains("Nothing was paid"), "{}", late.body);
    assert_eq!(rig.kinds().await, ["checkout.session.expired"]);
    for target in
        ["/checkout/cs_none", "/checkout/", "/checkout/cs_none/authenticate", "/checkout/a/b/c"]
    {
        assert_eq!(get(&rig, target).await.status, 404, "{target}");
    }
    assert_eq!(post(&rig, "/checkout/cs_none", "card=4242424242424242").await.status, 404);
    let customer = rig.customer().await;
    assert_eq!(get(&rig, &format!("/checkout/{customer}")).await.status, 404);
}
