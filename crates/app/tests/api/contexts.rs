use axum::http::Method;
use serde_json::json;
use testkit::Engine;

use crate::server::Server;

testkit::both_engines!(a_row_is_all_that_a_context_needs);

const ROWS: &str = "\
key,event,party,category,lane,quiet_hours,default_on,to_opted_out,asks,footer,en,es
appointment.no_show,no_show,client,transactional,notification,keeps,on,,,,\
\"{{ business }}: we missed you at {{ title }}.\",\
\"{{ business }}: le echamos de menos en {{ title }}.\"
party.invite,,client,transactional,notification,keeps,on,,,,\
\"{{ business }}: come to our party, {{ name | default('friend') }}!\",
";

async fn a_row_is_all_that_a_context_needs(engine: Engine) {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("contexts.csv");
    std::fs::write(&file, ROWS).expect("is written");
    let server = Server::start_with(engine, |settings| settings.contexts_file = Some(file)).await;
    let account = server.account("Corner Clinic").await;
    let missed = async |phone: &str| {
        let wanted = json!({
            "title": "Yoga", "starts_at": "2026-07-15T13:00", "timezone": "America/Chicago",
            "attendees": [{"phone": phone}]
        });
        let made = server.post(&account.key, "/v1/appointments", &wanted).await.made();
        let path = format!("/v1/appointments/{}", made["id"].as_str().expect("an id"));
        let asking = server.ask(Method::PATCH, &path).key(&account.key);
        asking.json(&json!({"state": "no_show"})).send().await.ok();
    };
    let bodies = async || {
        use domain::ids::StreamId;
        let mut tx = server.app.db.read().await.expect("reads");
        let id = crate::server::account_id(&account);
        let list = store::recipients::candidates_after(&mut tx, id, StreamId(1), "", 0, 100).await;
        let bodies = list.expect("reads").into_iter();
        bodies.filter_map(|one| one.recipient.body).collect::<Vec<_>>()
    };
    missed("+13125550147").await;
    assert_eq!(
        bodies().await.last().map(String::as_str),
        Some("Corner Clinic: we missed you at Yoga.")
    );
    // An account switches it off like any other.
    let off = json!({"contexts": {"appointment.no_show": {"enabled": false}}});
    server.ask(Method::PUT, "/v1/settings").key(&account.key).json(&off).send().await.ok();
    missed("+13125550148").await;
    assert!(!bodies().await.last().expect("a text").contains("missed"));
    assert_eq!(bodies().await.len(), 3, "only that it was booked");
    // Callers send it by its key, in its own words.
    let invite = json!({"to": "+13125550149", "context": "party.invite"});
    server.post(&account.key, "/v1/messages", &invite).await.with(202);
    assert_eq!(
        bodies().await.last().map(String::as_str),
        Some("Corner Clinic: come to our party, friend!")
    );
    let bare = json!({"to": "+13125550149", "context": "message.notification"});
    let (status, _, field) = server.post(&account.key, "/v1/messages", &bare).await.problem();
    assert_eq!((status, field.as_deref()), (422, Some("body")));
}
