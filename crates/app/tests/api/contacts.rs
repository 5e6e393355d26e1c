use axum::http::Method;
use serde_json::json;
use testkit::Engine;

use crate::server::{Account, Reply, Server};

testkit::both_engines!(
    a_phone_is_one_contact,
    contacts_are_paged_and_isolated,
    good_rows_are_kept_and_bad_ones_told,
    files_that_cannot_be_read_change_nothing,
);

async fn a_phone_is_one_contact(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let wanted = json!({
        "phone": "(312) 555-0147", "name": "Ada", "tags": ["b", "a", "b"],
        "fields": {"coach": "Sam"}, "consent": "opted_in"
    });
    let made = server.post(&account.key, "/v1/contacts", &wanted).await.made();
    assert_eq!(made["phone"], "+13125550147");
    assert_eq!(made["tags"], json!(["a", "b"]));
    assert_eq!(made["consent"], json!({"transactional": "opted_in", "marketing": "opted_in"}));
    let more = json!({"phone": "+1 312 555 0147", "fields": {"room": "2"}, "blocked": true});
    let known = server.post(&account.key, "/v1/contacts", &more).await.ok();
    assert_eq!(known["id"], made["id"]);
    assert_eq!(known["name"], "Ada");
    assert_eq!(known["fields"], json!({"coach": "Sam", "room": "2"}));
    assert_eq!(known["blocked"], true);
    let out = json!({"phone": "+13125550147", "consent": "opted_out"});
    let known = server.post(&account.key, "/v1/contacts", &out).await.ok();
    assert_eq!(known["consent"]["marketing"], "opted_out");
}

async fn contacts_are_paged_and_isolated(engine: Engine) {
    let server = Server::start(engine).await;
    let (one, other) = (server.account("one").await, server.account("other").await);
    let ids = server.contacts(&one, 5).await;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/contacts?limit=2&cursor={cursor}");
        let page = server.get(&one.key, &path).await.ok();
        let rows = page["data"].as_array().expect("rows");
        assert!(rows.len() <= 2);
        seen.extend(rows.iter().map(|row| row["id"].as_str().expect("an id").to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        next.clone_into(&mut cursor);
    }
    assert_eq!(seen, ids);
    assert_eq!(server.get(&other.key, "/v1/contacts").await.ok()["data"], json!([]));
}

async fn import(server: &Server, account: &Account, query: &str, file: &[u8]) -> Reply {
    let path = format!("/v1/contacts/import{query}");
    let asking = server.ask(Method::POST, &path).key(&account.key);
    asking.body("text/csv; charset=utf-8", file.to_vec()).send().await
}

async fn good_rows_are_kept_and_bad_ones_told(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let file = "\u{feff}phone,name,tags,consent,coach\r\n\
                312-555-0147,\"Park, \"\"Ada\"\"\nJr.\",x;y,opted_in,Sam\r\n\
                +13125550148,Bo,,,\r\n\
                not a phone,Cy,,,\r\n\
                +1 (312) 555-0148,Bo again,,,\r\n\
                +13125550149,Di,,maybe,\r\n";
    let expected = json!({
        "total": 5, "created": 2, "updated": 0, "duplicates": 1, "opt_outs_kept": 0,
        "rejected_count": 2,
    });
    for (query, kept) in [("?dry_run=true", 0), ("", 2)] {
        let mut done = import(&server, &account, query, file.as_bytes()).await.ok();
        let rejected = done.as_object_mut().and_then(|map| map.remove("rejected"));
        assert_eq!(done, expected, "{query}");
        let rejected = rejected.expect("it tells them");
        assert_eq!(rejected[0]["field"], "phone");
        assert_eq!(rejected[0]["value"], "not a phone");
        assert_eq!(rejected[0]["line"], 5, "{rejected}");
        assert_eq!(rejected[1]["field"], "consent");
        let list = server.get(&account.key, "/v1/contacts").await.ok();
        assert_eq!(list["data"].as_array().map(Vec::len), Some(kept), "{query}");
    }
    let list = server.get(&account.key, "/v1/contacts").await.ok();
    let names: Vec<_> =
        list["data"].as_array().expect("rows").iter().map(|row| &row["name"]).collect();
    assert!(names.contains(&&json!("Park, \"Ada\"\nJr.")), "{names:?}");
    let again = import(&server, &account, "", file.as_bytes()).await.ok();
    assert_eq!((&again["created"], &again["updated"]), (&json!(0), &json!(2)));
}

async fn files_that_cannot_be_read_change_nothing(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let long = vec![b'x'; (64 << 20) + 1];
    let cases: [(&[u8], u16, &str); 6] = [
        (b"", 422, "invalid_field"),
        (b"name,tel\nAda,1\n", 422, "invalid_field"),
        (b"phone,phone\n1,2\n", 422, "invalid_field"),
        (b"\xFF\xFEp\0h\0", 422, "invalid_field"),
        (b"phone,n\xE4me\n", 422, "invalid_field"),
        (&long, 413, "payload_too_large"),
    ];
    for (file, status, code) in cases {
        import(&server, &account, "", file).await.refused(status, code);
    }
    let asking = server.ask(Method::POST, "/v1/contacts/import").key(&account.key);
    let json = asking.json(&json!({})).send().await;
    json.refused(415, "unsupported_media_type");
    import(&server, &account, "?dry_run=perhaps", b"phone\n").await.refused(422, "invalid_field");
    import(&server, &account, "?dryrun=true", b"phone\n").await.refused(422, "unknown_field");
    let bytes = b"phone,name\n+13125550147,Jos\xE9\n+13125550148,Bo\n";
    let nul =
        import(&server, &account, "?dry_run=true", b"phone,name\n3125550147,A\0b\n").await.ok();
    assert_eq!((&nul["created"], &nul["rejected"][0]["field"]), (&json!(0), &json!("name")));
    let latin = import(&server, &account, "", bytes).await.ok();
    assert_eq!((&latin["created"], &latin["rejected_count"]), (&json!(1), &json!(1)));
}
