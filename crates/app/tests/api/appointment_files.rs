use axum::http::Method;
use serde_json::json;
use testkit::Engine;

use crate::server::Server;

testkit::both_engines!(files_are_imported_row_by_row);

async fn files_are_imported_row_by_row(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let file = "\u{feff}external_id,title,starts_at,timezone,duration_minutes,phone,name,rrule\r\n\
        b-1,Yoga,2026-07-29T10:00,America/Chicago,50,+13125550147,Ada,\r\n\
        b-2,Talk,2026-07-01T10:00,America/Chicago,50,+13125550148,Bob,\r\n\
        b-1,Yoga,2026-07-29T10:00,America/Chicago,50,+13125550149,Cy,\r\n\
        b-1,Yoga,2026-07-29T11:00,America/Chicago,50,+13125550150,Di,\r\n\
        ,Run,2026-08-01T10:00,Mars,,,,\r\n\
        ,Run,2026-08-01T10:00,America/Denver,x,,,\r\n\
        ,Run,2026-08-01T10:00,America/Denver,,12,Ed,\r\n\
        s-1,Swim,2026-08-02T10:00,America/Denver,,+13125550151,Flo,FREQ=WEEKLY;COUNT=3\r\n";
    let send = async |query: &str, file: &str| {
        let path = format!("/v1/appointments/import{query}");
        let asking = server.ask(Method::POST, &path).key(&account.key);
        asking.body("text/csv", file.to_owned()).send().await
    };
    let tried = send("?dry_run=true", file).await.ok();
    assert_eq!((&tried["created"], &tried["rejected_count"]), (&json!(3), &json!(4)), "{tried}");
    let none = server.get(&account.key, "/v1/appointments").await.ok();
    assert_eq!(none["data"], json!([]));
    let done = send("", file).await.ok();
    assert_eq!(
        (&done["total"], &done["created"], &done["updated"]),
        (&json!(8), &json!(3), &json!(0))
    );
    let mut bad: Vec<(u64, &str)> = done["rejected"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| (row["line"].as_u64().expect("a line"), row["field"].as_str().expect("a field")))
        .collect();
    bad.sort_unstable();
    assert_eq!(
        bad,
        [(3, "starts_at"), (5, "external_id"), (6, "timezone"), (7, "duration_minutes")]
    );
    assert_eq!(done["warnings"][0]["line"], 8);
    let list = server.get(&account.key, "/v1/appointments").await.ok();
    let list = list["data"].as_array().expect("rows");
    assert_eq!(list.len(), 5);
    assert_eq!(list[0]["attendees"].as_array().expect("people").len(), 2);
    let again = send("", file).await.ok();
    assert_eq!((&again["created"], &again["updated"]), (&json!(1), &json!(2)), "{again}");
    for (file, words) in
        [("title,phone\nx,1\n", "starts_at"), ("title,starts_at,boss\n", "boss"), ("", "title")]
    {
        let (status, _, field) = send("", file).await.problem();
        assert_eq!((status, field.as_deref()), (422, Some("file")), "{words}");
    }
}
