//! What an account chooses: read, written in part and whole, refused by name.

use axum::http::Method;
use serde_json::{Value, json};
use testkit::Engine;

use crate::keywords::set;
use crate::server::{Account, Reply, Server};

testkit::both_engines!(
    what_is_left_out_stays,
    what_was_read_can_be_written_back,
    bad_choices_are_refused_by_name,
    templates_are_kept_tried_out_and_removed,
    previews_show_what_arrives,
);

async fn put(server: &Server, account: &Account, wanted: &Value) -> Reply {
    let asking = server.ask(Method::PUT, "/v1/settings").key(&account.key);
    asking.json(wanted).send().await
}

async fn what_is_left_out_stays(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let before = server.get(&account.key, "/v1/settings").await.ok();
    assert_eq!(before["reminder_offsets_minutes"], json!([2880, 1440, 120]));
    assert_eq!((&before["version"], &before["quiet_hours"]), (&json!(1), &Value::Null));
    let reminder = &before["contexts"]["appointment.reminder"];
    assert_eq!((&reminder["enabled"], &reminder["parties"]), (&json!(true), &json!(["client"])));
    assert!(reminder["default_template"].as_str().is_some_and(|text| text.contains("{{ yes }}")));
    let night = json!({"start": "20:30", "end": "09:00"});
    let wanted = json!({
        "reminder_offsets_minutes": [60, 1440, 60], "quiet_hours": night, "footer": null,
        "contexts": {"appointment.reminder": {"parties": ["client", "coach"]}},
        "reply_tokens": "always", "recipient_daily_max": 5, "join_keywords": ["fit"]
    });
    let after = set(&server, &account, &wanted).await;
    assert_eq!(after["reminder_offsets_minutes"], json!([1440, 60]));
    assert_eq!((&after["quiet_hours"], &after["footer"]), (&night, &Value::Null));
    assert_eq!((&after["reply_tokens"], &after["version"]), (&json!("always"), &json!(2)));
    assert_eq!(after["join_keywords"], json!(["FIT"]));
    let coach = &after["contexts"]["appointment.reminder.coach"];
    assert_eq!((&coach["enabled"], &coach["parties"]), (&json!(true), &json!(["coach"])));
    let more = set(&server, &account, &json!({"confirmations": false})).await;
    assert_eq!((&more["quiet_hours"], &more["recipient_daily_max"]), (&night, &json!(5)));
    assert_eq!(more["contexts"], after["contexts"]);
    let back = json!({
        "recipient_daily_max": null, "quiet_hours": null,
        "contexts": {"appointment.reminder": {"parties": null}}
    });
    let back = set(&server, &account, &back).await;
    assert_eq!((&back["recipient_daily_max"], &back["quiet_hours"]), (&Value::Null, &Value::Null));
    assert_eq!(back["contexts"], before["contexts"]);
    assert_eq!(server.get(&account.key, "/v1/settings").await.ok(), back);
}

async fn what_was_read_can_be_written_back(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let read = server.get(&account.key, "/v1/settings").await.ok();
    assert_eq!(set(&server, &account, &read).await, read, "nothing changed, so no new version");
    // Whoever writes a whole document chooses only what they changed in it.
    let mut changed = read.clone();
    changed["contexts"]["appointment.reminder"]["parties"] = json!(["coach", "client"]);
    let changed = set(&server, &account, &changed).await;
    assert_eq!(changed["contexts"]["appointment.reminder.coach"]["enabled"], true);
    assert_eq!(changed["version"], 2);
    let stale = put(&server, &account, &read).await;
    stale.refused(409, "state_conflict");
    let off = json!({"contexts": {"consent.help": {"enabled": false}}});
    assert_eq!(set(&server, &account, &off).await["contexts"]["consent.help"]["enabled"], false);
    let on = json!({"contexts": {"consent.help": {"enabled": null}}});
    assert_eq!(set(&server, &account, &on).await["contexts"]["consent.help"]["enabled"], true);
}

async fn bad_choices_are_refused_by_name(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let before = server.get(&account.key, "/v1/settings").await.ok();
    let none = "tpl_00000000000000000000000000";
    for (wanted, code, field) in [
        (json!({"reminder_offsets_minutes": [4]}), "invalid_field", "reminder_offsets_minutes"),
        (
            json!({"reminder_offsets_minutes": [86_401]}),
            "invalid_field",
            "reminder_offsets_minutes",
        ),
        (json!({"reply_window_days": 0}), "invalid_field", "reply_window_days"),
        (json!({"reply_tokens": "often"}), "invalid_field", "reply_tokens"),
        (
            json!({"quiet_hours": {"start": "25:00", "end": "08:00"}}),
            "invalid_field",
            "quiet_hours.start",
        ),
        (json!({"footer": " "}), "invalid_field", "footer"),
        (json!({"footer": "Hi {{ name }}"}), "invalid_field", "footer"),
        (json!({"footer": "Hi {{ name"}), "invalid_field", "footer"),
        (json!({"join_keywords": ["stop"]}), "invalid_field", "join_keywords"),
        (json!({"join_keywords": ["Yes"]}), "invalid_field", "join_keywords"),
        (json!({"contexts": {"a.b": {}}}), "invalid_field", "contexts.a.b"),
        (
            json!({"contexts": {"consent.help": {"parties": ["coach"]}}}),
            "invalid_field",
            "contexts.consent.help.parties",
        ),
        (
            json!({"contexts": {"consent.help": {"template_id": none}}}),
            "invalid_field",
            "contexts.consent.help.template_id",
        ),
        (json!({"footr": "x"}), "unknown_field", "footr"),
    ] {
        let (status, found, named) = put(&server, &account, &wanted).await.problem();
        assert_eq!(
            (status, found.as_str(), named.as_deref()),
            (422, code, Some(field)),
            "{wanted}"
        );
    }
    assert_eq!(server.get(&account.key, "/v1/settings").await.ok(), before);
}

async fn templates_are_kept_tried_out_and_removed(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Corner Clinic").await;
    let wanted = json!({
        "name": "Friendly", "context": "appointment.reminder",
        "bodies": {
            "en": "{{ business }}: {{ title }}, {{ starts_at | time }}. {{ yes }} {{ colour }}",
            "ES": "{{ title }}: resultados de sus análisis"
        }
    });
    let made = server.post(&account.key, "/v1/templates", &wanted).await.made();
    let id = made["id"].as_str().expect("an id").to_owned();
    assert!(made["preview"].as_str().is_some_and(|text| text.starts_with("Corner Clinic: ")));
    assert_eq!((&made["segments"], &made["encoding"]), (&json!(1), &json!("GSM-7")));
    let problems = made["problems"].as_array().expect("problems");
    assert!(problems.len() == 1 && problems[0].as_str().is_some_and(|one| one.contains("colour")));
    assert_eq!(made["warnings"], json!([]));
    assert_eq!(made["languages"]["es"]["warnings"][0]["kind"], "health");
    let path = format!("/v1/templates/{id}");
    let choice = json!({"contexts": {"appointment.reminder": {"template_id": id}}});
    set(&server, &account, &choice).await;
    let remove = || server.ask(Method::DELETE, &path).key(&account.key).send();
    remove().await.refused(409, "state_conflict");
    let words = json!({"name": "Plain", "bodies": {"en": "{{ title }} {{ opt_out_link }}"}});
    let put = server.ask(Method::PUT, &path).key(&account.key).json(&words).send().await.ok();
    assert_eq!(
        (&put["contexts"], &put["problems"]),
        (&json!(["appointment.reminder"]), &json!([]))
    );
    assert!(put["preview"].as_str().is_some_and(|text| text.contains("/o/")), "{put}");
    let list = server.get(&account.key, "/v1/templates").await.ok();
    assert_eq!(list["data"].as_array().map(Vec::len), Some(1));
    let choice = json!({"contexts": {"appointment.reminder": {"template_id": null}}});
    set(&server, &account, &choice).await;
    assert_eq!(remove().await.ok()["removed"], true);
    remove().await.refused(404, "not_found");
    for (bodies, field) in [
        (json!({}), "bodies"),
        (json!({"en": "{{ name"}), "bodies.en"),
        (json!({"en": " "}), "bodies.en"),
        (json!({"english": "x"}), "bodies.english"),
    ] {
        let wanted = json!({"name": "x", "bodies": bodies});
        let (status, _, named) =
            server.post(&account.key, "/v1/templates", &wanted).await.problem();
        assert_eq!((status, named.as_deref()), (422, Some(field)), "{wanted}");
    }
}

async fn previews_show_what_arrives(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Corner Clinic").await;
    let show = |wanted: Value| {
        let (server, key) = (&server, &account.key);
        async move { server.post(key, "/v1/templates/preview", &wanted).await }
    };
    let plain = show(json!({"body": "Hi {{ name }}", "values": {"name": "Zoë"}})).await.ok();
    assert_eq!((&plain["preview"], &plain["segments"]), (&json!("Hi Zo\u{eb}"), &json!(1)));
    assert_eq!(plain["encoding"], "UCS-2");
    let own = show(json!({"context": "appointment.reminder", "locale": "es"})).await.ok();
    assert!(own["preview"].as_str().is_some_and(|text| text.contains("Responda Y")), "{own}");
    assert!(own["segments_with_footer"].as_u64() >= own["segments"].as_u64(), "{own}");
    let zoned = json!({
        "body": "{{ starts_at | time }}", "context": "appointment.reminder",
        "values": {"starts_at": "2026-07-16T17:00:00Z"}, "timezone": "Europe/Berlin"
    });
    assert_eq!(show(zoned).await.ok()["preview"], "7:00 PM");
    let long = show(json!({"body": "x".repeat(161)})).await.ok();
    assert_eq!(long["segments"], 2);
    let empty = show(json!({"body": "{{ name }}", "values": {"name": ""}})).await.ok();
    assert_eq!(empty["preview"], Value::Null);
    assert_eq!(empty["problems"].as_array().map(Vec::len), Some(1), "{empty}");
    let card = show(json!({"body": "Card 4242 4242 4242 4242 was charged"})).await.ok();
    assert_eq!(card["warnings"][0]["kind"], "card");
    for (wanted, field) in [
        (json!({}), "body"),
        (json!({"body": "{{"}), "body"),
        (json!({"body": "x", "context": "nope"}), "context"),
        (json!({"body": "x", "locale": "!"}), "locale"),
        (json!({"body": "x", "timezone": "Moon"}), "timezone"),
    ] {
        let (status, _, named) = show(wanted.clone()).await.problem();
        assert_eq!((status, named.as_deref()), (422, Some(field)), "{wanted}");
    }
}
