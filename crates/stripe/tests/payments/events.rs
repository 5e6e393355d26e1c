//! Events: what is read of them, and what is none.

use serde_json::{Value, json};
use stripe::event::{Event, ParseError};
use stripe::objects::Object;

fn event(kind: &str, object: &Value) -> Value {
    json!({
        "id": "evt_1",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": 1_795_225_195,
        "livemode": false,
        "pending_webhooks": 1,
        "request": {"id": null, "idempotency_key": null},
        "type": kind,
        "data": {"object": object, "previous_attributes": {"status": "processing"}},
    })
}

fn parse(value: &Value) -> Result<Event, ParseError> {
    Event::parse(value.to_string().as_bytes())
}

#[test]
fn an_event_is_read_whole() {
    let object = json!({"id": "pi_1", "object": "payment_intent", "amount": 2500});
    let read = parse(&event("payment_intent.succeeded", &object)).expect("an event");
    assert_eq!(read.id, "evt_1");
    assert_eq!(read.kind, "payment_intent.succeeded");
    assert_eq!(read.created, 1_795_225_195);
    assert_eq!(read.api_version.as_deref(), Some("2026-10-28.endive"));
    assert!(!read.livemode);
    match read.object {
        Object::PaymentIntent(payment) => {
            assert_eq!((&*payment.id, payment.amount), ("pi_1", 2500));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_kind_of_object_is_told_apart() {
    let kinds = [
        "checkout.session",
        "payment_intent",
        "charge",
        "refund",
        "dispute",
        "invoice",
        "subscription",
        "setup_intent",
        "payment_method",
        "customer",
        "radar.early_fraud_warning",
    ];
    for kind in kinds {
        let read = parse(&event("x.y", &json!({"id": "it_1", "object": kind}))).expect(kind);
        assert_eq!(read.object.id(), Some("it_1"), "{kind}");
        assert!(!matches!(read.object, Object::Other { .. }), "{kind}");
        let nameless = parse(&event("x.y", &json!({"object": kind})));
        assert!(matches!(nameless, Err(ParseError::Object { .. })), "{kind}: {nameless:?}");
    }
    let others = [
        (json!({"object": "billing.meter", "id": "mtr_1"}), "billing.meter", Some("mtr_1")),
        (json!({"object": "balance"}), "balance", None),
        (json!({"id": "x"}), "", Some("x")),
        (json!("text"), "", None),
    ];
    for (object, kind, id) in others {
        let read = parse(&event("x.y", &object)).expect("an event");
        assert_eq!(read.object.id(), id);
        let expected = Object::Other { kind: kind.to_owned(), id: id.map(str::to_owned) };
        assert_eq!(read.object, expected);
    }
}

#[test]
fn what_is_no_event_says_why() {
    let object = json!({"id": "pi_1", "object": "payment_intent"});
    let without = |name: &str| {
        let mut it = event("payment_intent.succeeded", &object);
        it.as_object_mut().expect("an object").remove(name);
        it
    };
    let with = |name: &str, value: Value| {
        let mut it = event("payment_intent.succeeded", &object);
        it[name] = value;
        it
    };
    #[rustfmt::skip]
    let cases = [
        ("a thin event", with("object", json!("v2.core.event")), "a thin event"),
        ("an object", object.clone(), "not an event: it is a payment_intent"),
        ("no kind", without("object"), "not an event: it does not say"),
        ("no id", without("id"), "not an event: missing field `id`"),
        ("an empty id", with("id", json!("")), "not an event: it has no id"),
        ("no type", without("type"), "not an event: missing field `type`"),
        ("an empty type", with("type", json!("")), "not an event: it has no id or no type"),
        ("no data", without("data"), "not an event: missing field `data`"),
        ("no object", with("data", json!({})), "not an event: missing field `object`"),
        ("a time as text", with("created", json!("now")), "not an event: invalid type"),
        ("a list", json!([1]), "not an event"),
        ("null", Value::Null, "not an event"),
        (
            "an amount as text",
            with("data", json!({"object": {"id": "re_1", "object": "refund", "amount": "5"}})),
            "a refund that cannot be read: invalid type",
        ),
    ];
    for (name, value, expected) in cases {
        let words = parse(&value).expect_err(name).to_string();
        assert!(words.starts_with(expected), "{name}: {words}");
    }
    assert!(matches!(Event::parse(b"{\"id\":"), Err(ParseError::Json(_))));
    assert!(matches!(Event::parse(b""), Err(ParseError::Json(_))));
    assert!(matches!(Event::parse(b"\xff"), Err(ParseError::Json(_))));
}

#[test]
fn what_may_be_absent_may_be_absent() {
    for name in ["created", "api_version", "livemode", "pending_webhooks", "request"] {
        let object = json!({"id": "pi_1", "object": "payment_intent"});
        let mut it = event("payment_intent.succeeded", &object);
        it[name] = Value::Null;
        assert!(parse(&it).is_ok(), "{name} null");
        it.as_object_mut().expect("an object").remove(name);
        assert!(parse(&it).is_ok(), "{name} absent");
    }
}
