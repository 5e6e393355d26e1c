//! Requests: method, path, headers and form, to the byte.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use stripe::client::{Client, Config};
use stripe::objects::Metadata;
use stripe::{
    Answer, CheckoutIn, ConfigError, CustomerIn, Error, Line, Mode, Month, OffSessionPaymentIn,
    PriceChange, Proration, RefundIn, Stripe, SubscriptionPatch,
};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

pub const KEY: &str = "sk_test_secret";

pub fn client_of(base: &str) -> Client {
    let timeout = Duration::from_secs(30);
    let secret_key = SecretString::from(KEY);
    Client::new(Config { base: base.to_owned(), secret_key, timeout }).expect("a client")
}

/// A server that says the same to everything.
pub async fn server_saying(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

fn metadata() -> Metadata {
    [("ledgerline_account", "acc_1"), ("note", "a&b = c")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// A form as its decoded pairs, in their order.
fn pairs(request: &Request) -> Vec<(String, String)> {
    form_urlencoded::parse(&request.body).into_owned().collect()
}

struct Asked {
    request: Request,
}

/// Asks a server that answers with `object`, and returns what it heard.
async fn asked<T: Send + 'static>(
    object: Value,
    ask: impl for<'a> FnOnce(&'a Client) -> Answer<'a, T>,
) -> Asked {
    let server = server_saying(ResponseTemplate::new(200).set_body_json(object)).await;
    let client = client_of(&server.uri());
    assert!(ask(&client).await.is_ok());
    let mut requests = server.received_requests().await.expect("recorded");
    assert_eq!(requests.len(), 1, "one question, one exchange");
    let request = requests.remove(0);
    let header = |name: &str| request.headers.get(name).and_then(|it| it.to_str().ok());
    assert_eq!(header("authorization"), Some("Bearer sk_test_secret"));
    assert_eq!(header("stripe-version"), Some("2026-10-28.endive"));
    assert_eq!(header("accept"), Some("application/json"));
    assert_eq!(header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(header("user-agent"), Some("ledgerline"));
    assert_eq!(header("referer"), None);
    Asked { request }
}

impl Asked {
    fn to(self, method: &str, target: &str) -> Self {
        let url = &self.request.url;
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let heard = format!("{} {}{query}", self.request.method, url.path());
        assert_eq!(heard, format!("{method} {target}"));
        self
    }

    fn keyed(self, key: Option<&str>) -> Self {
        let header = self.request.headers.get("idempotency-key");
        assert_eq!(header.and_then(|it| it.to_str().ok()), key);
        self
    }

    fn with(self, expected: &[(&str, &str)]) {
        let heard = pairs(&self.request);
        let heard: Vec<(&str, &str)> = heard.iter().map(|(a, b)| (&**a, &**b)).collect();
        assert_eq!(heard, expected);
    }
}

#[tokio::test]
async fn a_customer_is_made() {
    let customer = CustomerIn {
        email: Some("a+b@c.example".into()),
        name: Some("Ünal & Co".into()),
        metadata: metadata(),
    };
    let key = "cust-1";
    let asked = asked(json!({"id": "cus_1"}), |it| {
        let customer = Box::leak(Box::new(customer));
        it.create_customer(customer, key)
    });
    let heard = asked.await.to("POST", "/v1/customers").keyed(Some("cust-1"));
    heard.with(&[
        ("email", "a+b@c.example"),
        ("name", "Ünal & Co"),
        ("metadata[ledgerline_account]", "acc_1"),
        ("metadata[note]", "a&b = c"),
    ]);
}

fn pack() -> Line {
    Line {
        name: "1,000 credits".into(),
        description: Some("For texts".into()),
        amount: 2500,
        currency: "usd".into(),
        quantity: 2,
        recurring: None,
    }
}

async fn checkout_heard(checkout: CheckoutIn) -> Asked {
    let asked = asked(json!({"id": "cs_1"}), |it| {
        it.create_checkout(Box::leak(Box::new(checkout)), "buy-1")
    });
    asked.await.to("POST", "/v1/checkout/sessions").keyed(Some("buy-1"))
}

fn page(mode: Mode) -> CheckoutIn {
    CheckoutIn {
        mode,
        success_url: "https://us.example/ok?s={CHECKOUT_SESSION_ID}".into(),
        cancel_url: "https://us.example/no".into(),
        ..CheckoutIn::default()
    }
}

#[tokio::test]
async fn a_payment_page_is_opened() {
    let checkout = CheckoutIn {
        customer: Some("cus_1".into()),
        lines: vec![pack(), Line { description: None, quantity: 1, ..pack() }],
        metadata: metadata(),
        client_reference_id: Some("buy_1".into()),
        save_card: true,
        expires_at: Some(1_795_300_000),
        // Of another mode, so never sent.
        trial_days: Some(7),
        automatic_tax: true,
        ..page(Mode::Payment)
    };
    checkout_heard(checkout).await.with(&[
        ("mode", "payment"),
        ("customer", "cus_1"),
        ("success_url", "https://us.example/ok?s={CHECKOUT_SESSION_ID}"),
        ("cancel_url", "https://us.example/no"),
        ("client_reference_id", "buy_1"),
        ("expires_at", "1795300000"),
        ("line_items[0][quantity]", "2"),
        ("line_items[0][price_data][currency]", "usd"),
        ("line_items[0][price_data][unit_amount]", "2500"),
        ("line_items[0][price_data][product_data][name]", "1,000 credits"),
        ("line_items[0][price_data][product_data][description]", "For texts"),
        ("line_items[1][quantity]", "1"),
        ("line_items[1][price_data][currency]", "usd"),
        ("line_items[1][price_data][unit_amount]", "2500"),
        ("line_items[1][price_data][product_data][name]", "1,000 credits"),
        ("metadata[ledgerline_account]", "acc_1"),
        ("metadata[note]", "a&b = c"),
        ("payment_intent_data[metadata][ledgerline_account]", "acc_1"),
        ("payment_intent_data[metadata][note]", "a&b = c"),
        ("payment_intent_data[setup_future_usage]", "off_session"),
        ("automatic_tax[enabled]", "true"),
        ("customer_update[address]", "auto"),
    ]);
    let bare = CheckoutIn { automatic_tax: true, ..page(Mode::Payment) };
    checkout_heard(bare).await.with(&[
        ("mode", "payment"),
        ("success_url", "https://us.example/ok?s={CHECKOUT_SESSION_ID}"),
        ("cancel_url", "https://us.example/no"),
        ("automatic_tax[enabled]", "true"),
    ]);
}

#[tokio::test]
async fn a_card_is_saved_and_a_subscription_begun() {
    let urls = [
        ("success_url", "https://us.example/ok?s={CHECKOUT_SESSION_ID}"),
        ("cancel_url", "https://us.example/no"),
    ];
    let metadata: Metadata = [("k".to_owned(), "v".to_owned())].into();
    let setup = CheckoutIn {
        customer: Some("cus_1".into()),
        metadata: metadata.clone(),
        save_card: true,
        ..page(Mode::Setup)
    };
    let expected = [("mode", "setup"), ("customer", "cus_1"), urls[0], urls[1]];
    let rest = [
        ("metadata[k]", "v"),
        ("setup_intent_data[metadata][k]", "v"),
        ("payment_method_types[0]", "card"),
    ];
    checkout_heard(setup).await.with(&[&expected[..], &rest].concat());

    let line = Line { quantity: 1, recurring: Some(Month), description: None, ..pack() };
    let plan = CheckoutIn {
        lines: vec![line],
        metadata,
        save_card: true,
        trial_days: Some(14),
        ..page(Mode::Subscription)
    };
    checkout_heard(plan).await.with(&[
        ("mode", "subscription"),
        urls[0],
        urls[1],
        ("line_items[0][quantity]", "1"),
        ("line_items[0][price_data][currency]", "usd"),
        ("line_items[0][price_data][unit_amount]", "2500"),
        ("line_items[0][price_data][product_data][name]", "1,000 credits"),
        ("line_items[0][price_data][recurring][interval]", "month"),
        ("metadata[k]", "v"),
        ("subscription_data[metadata][k]", "v"),
        ("subscription_data[trial_period_days]", "14"),
    ]);
}

#[tokio::test]
async fn a_saved_card_is_charged() {
    let payment = OffSessionPaymentIn {
        amount: 2500,
        currency: "usd".into(),
        customer: "cus_1".into(),
        payment_method: "pm_1".into(),
        metadata: metadata(),
        description: Some("Top-up".into()),
        statement_descriptor_suffix: Some("CREDITS".into()),
    };
    let asked = asked(json!({"id": "pi_1"}), |it| {
        it.create_payment(Box::leak(Box::new(payment)), "topup-1")
    });
    let heard = asked.await.to("POST", "/v1/payment_intents").keyed(Some("topup-1"));
    heard.with(&[
        ("amount", "2500"),
        ("currency", "usd"),
        ("customer", "cus_1"),
        ("payment_method", "pm_1"),
        ("payment_method_types[0]", "card"),
        ("off_session", "true"),
        ("confirm", "true"),
        ("description", "Top-up"),
        ("statement_descriptor_suffix", "CREDITS"),
        ("metadata[ledgerline_account]", "acc_1"),
        ("metadata[note]", "a&b = c"),
    ]);
}

#[tokio::test]
async fn money_is_sent_back() {
    let refund = RefundIn {
        payment_intent: "pi_1".into(),
        amount: Some(500),
        reason: Some("requested_by_customer".into()),
        metadata: metadata(),
    };
    let heard =
        asked(json!({"id": "re_1"}), |it| it.create_refund(Box::leak(Box::new(refund)), "back-1"));
    heard.await.to("POST", "/v1/refunds").keyed(Some("back-1")).with(&[
        ("payment_intent", "pi_1"),
        ("amount", "500"),
        ("reason", "requested_by_customer"),
        ("metadata[ledgerline_account]", "acc_1"),
        ("metadata[note]", "a&b = c"),
    ]);
    let all = RefundIn { payment_intent: "pi_1".into(), ..RefundIn::default() };
    let heard =
        asked(json!({"id": "re_1"}), |it| it.create_refund(Box::leak(Box::new(all)), "back-2"));
    heard.await.with(&[("payment_intent", "pi_1")]);
}

#[tokio::test]
async fn a_subscription_is_changed_and_ended() {
    let object = json!({"id": "sub_1"});
    let price = PriceChange {
        item: "si_1".into(),
        product: "prod_1".into(),
        amount: 4900,
        currency: "usd".into(),
        recurring: Month,
        proration: Proration::Now,
    };
    let change = SubscriptionPatch {
        price: Some(price),
        cancel_at_period_end: Some(false),
        metadata: [("plan".to_owned(), "team".to_owned())].into(),
    };
    let heard = asked(object.clone(), |it| {
        it.update_subscription("sub_1", Box::leak(Box::new(change)), "plan-1")
    });
    heard.await.to("POST", "/v1/subscriptions/sub_1").keyed(Some("plan-1")).with(&[
        ("items[0][id]", "si_1"),
        ("items[0][price_data][product]", "prod_1"),
        ("items[0][price_data][currency]", "usd"),
        ("items[0][price_data][unit_amount]", "4900"),
        ("items[0][price_data][recurring][interval]", "month"),
        ("proration_behavior", "always_invoice"),
        ("cancel_at_period_end", "false"),
        ("metadata[plan]", "team"),
    ]);
    let ends =
        SubscriptionPatch { cancel_at_period_end: Some(true), ..SubscriptionPatch::default() };
    let heard = asked(object.clone(), |it| {
        it.update_subscription("sub_1", Box::leak(Box::new(ends)), "plan-2")
    });
    heard.await.with(&[("cancel_at_period_end", "true")]);
    let heard = asked(object, |it| it.cancel_subscription("sub_1"));
    heard.await.to("DELETE", "/v1/subscriptions/sub_1").keyed(None).with(&[]);
    let words = [Proration::NextInvoice, Proration::None].map(Proration::as_str);
    assert_eq!(words, ["create_prorations", "none"]);
}

#[tokio::test]
async fn each_object_is_fetched_by_its_id() {
    macro_rules! fetched {
        ($($ask:ident($id:literal) => $method:literal $target:literal;)*) => {$(
            let heard = asked(json!({"id": $id}), |it| it.$ask($id)).await;
            heard.to($method, $target).keyed(None).with(&[]);
        )*};
    }
    fetched! {
        checkout("cs_test_a1") => "GET" "/v1/checkout/sessions/cs_test_a1";
        expire_checkout("cs_test_a1") => "POST" "/v1/checkout/sessions/cs_test_a1/expire";
        payment("pi_1") => "GET" "/v1/payment_intents/pi_1";
        charge("ch_1") => "GET" "/v1/charges/ch_1";
        refund("re_1") => "GET" "/v1/refunds/re_1";
        dispute("du_1") => "GET" "/v1/disputes/du_1";
        subscription("sub_1") => "GET" "/v1/subscriptions/sub_1";
        invoice("in_1") => "GET" "/v1/invoices/in_1";
        setup_intent("seti_1") => "GET" "/v1/setup_intents/seti_1";
        payment_method("pm_1") => "GET" "/v1/payment_methods/pm_1";
        detach_payment_method("pm_1") => "POST" "/v1/payment_methods/pm_1/detach";
    }
}

/// A server of pages: each answer is given once, in turn.
async fn pages(answers: Vec<Value>) -> MockServer {
    let server = MockServer::start().await;
    for answer in answers {
        let answer = ResponseTemplate::new(200).set_body_json(answer);
        Mock::given(any()).respond_with(answer).up_to_n_times(1).mount(&server).await;
    }
    server
}

async fn targets(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.expect("recorded");
    let queried =
        |it: &Request| format!("{}?{}", it.url.path(), it.url.query().unwrap_or_default());
    requests.iter().map(queried).collect()
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let server = pages(vec![
        json!({"data": [{"id": "re_3"}, {"id": "re_2"}], "has_more": true}),
        json!({"data": [{"id": "re_1"}], "has_more": false}),
    ])
    .await;
    let refunds = client_of(&server.uri()).refunds_of("pi_1").await.expect("a list");
    let ids: Vec<&str> = refunds.iter().map(|it| &*it.id).collect();
    assert_eq!(ids, ["re_3", "re_2", "re_1"]);
    let expected = [
        "/v1/refunds?payment_intent=pi_1&limit=100",
        "/v1/refunds?payment_intent=pi_1&limit=100&starting_after=re_2",
    ];
    assert_eq!(targets(&server).await, expected);

    let server = pages(vec![json!({"data": [{"id": "dp_1"}], "has_more": false})]).await;
    let disputes = client_of(&server.uri()).disputes_of("pi_1").await.expect("a list");
    assert_eq!(disputes[0].id, "dp_1");
    assert_eq!(targets(&server).await, ["/v1/disputes?payment_intent=pi_1&limit=100"]);

    // An empty page that claims more would be asked for for ever.
    let server = pages(vec![json!({"data": [], "has_more": true})]).await;
    assert_eq!(client_of(&server.uri()).refunds_of("pi_1").await, Ok(vec![]));
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let page = json!({"data": [{"id": "re_1"}], "has_more": true, "next_page": "again"});
    let server = server_saying(ResponseTemplate::new(200).set_body_json(page)).await;
    let client = client_of(&server.uri());
    assert!(matches!(client.refunds_of("pi_1").await, Err(Error::Unavailable(_))));
    assert!(matches!(client.payments_by_metadata("k", "v").await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn payments_are_searched_by_metadata() {
    let server = pages(vec![
        json!({"data": [{"id": "pi_1"}], "has_more": true, "next_page": "p2"}),
        json!({"data": [{"id": "pi_2"}], "has_more": false, "next_page": "p3"}),
    ])
    .await;
    let found = client_of(&server.uri()).payments_by_metadata("ledgerline_topup", "o'1\\").await;
    let found = found.expect("a list");
    assert_eq!([&*found[0].id, &*found[1].id], ["pi_1", "pi_2"]);
    let requests = server.received_requests().await.expect("recorded");
    let queries: Vec<Vec<(String, String)>> =
        requests.iter().map(|it| it.url.query_pairs().into_owned().collect()).collect();
    let pair = |(a, b): (&str, &str)| (a.to_owned(), b.to_owned());
    let first = [("query", "metadata['ledgerline_topup']:'o\\'1\\\\'"), ("limit", "100")];
    assert_eq!(queries[0], first.map(pair));
    assert_eq!(queries[1], [first[0], first[1], ("page", "p2")].map(pair));
    assert!(requests.iter().all(|it| it.url.path() == "/v1/payment_intents/search"));
}

#[tokio::test]
async fn nothing_but_an_id_or_a_key_is_sent() {
    let server = server_saying(ResponseTemplate::new(200)).await;
    let client = client_of(&server.uri());
    for id in ["", "pi_1/refund", "../customers", "pi 1", "pi_1?x=1", "pi_é", "pi_1#"] {
        let error = client.payment(id).await.expect_err(id);
        assert!(matches!(error, Error::Invalid { .. }), "{id}: {error}");
        assert!(client.cancel_subscription(id).await.is_err(), "{id}");
        assert!(client.expire_checkout(id).await.is_err(), "{id}");
    }
    let refund = RefundIn { payment_intent: "pi_1".into(), ..RefundIn::default() };
    for key in ["", "a b", "a\nb", "é", &"k".repeat(256)] {
        let error = client.create_refund(&refund, key).await.expect_err(key);
        assert!(matches!(error, Error::Invalid { .. }), "{key}: {error}");
    }
    assert!(server.received_requests().await.expect("recorded").is_empty());
}

#[test]
fn a_client_needs_an_origin_and_a_key() {
    let made = |base: &str, key: &str| {
        let config = Config { base: base.to_owned(), ..Config::new(SecretString::from(key)) };
        Client::new(config).map(|_| ())
    };
    #[rustfmt::skip]
    let cases = [
        ("https://api.stripe.com", KEY, Ok(())),
        ("https://api.stripe.com/", KEY, Ok(())),
        ("http://127.0.0.1:12111", KEY, Ok(())),
        ("api.stripe.com", KEY, Err("not an http or https address: \"api.stripe.com\"")),
        ("ftp://h.example", KEY, Err("not an http or https address: \"ftp://h.example\"")),
        ("https://h.test/v1", KEY, Err("not an http or https address: \"https://h.test/v1\"")),
        ("https://h.example?x", KEY, Err("not an http or https address: \"https://h.example?x\"")),
        ("", KEY, Err("not an http or https address: \"\"")),
        ("https://h.example", "", Err("not a secret key of Stripe's")),
        ("https://h.example", "sk\nX: y", Err("not a secret key of Stripe's")),
    ];
    for (base, key, expected) in cases {
        let said = made(base, key).map_err(|error: ConfigError| error.to_string());
        assert_eq!(said, expected.map_err(str::to_owned), "{base} {key:?}");
    }
    let config = Config::new(SecretString::from(KEY));
    assert_eq!((&*config.base, config.timeout.as_secs()), ("https://api.stripe.com", 30));
    assert!(!format!("{config:?}").contains(KEY), "a key never shows");
}
