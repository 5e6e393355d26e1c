use axum::http::Method;
use serde_json::{Value, json};
use testkit::Engine;

use crate::server::{Account, Reply, Server};

testkit::both_engines!(
    a_phone_is_one_contact,
    contacts_are_paged_and_isolated,
    good_rows_are_kept_and_bad_ones_told,
    files_that_cannot_be_read_change_nothing,
    a_contact_is_changed_in_part,
    a_new_number_keeps_the_person_and_not_the_consent,
    two_contacts_become_one,
    a_file_is_vouched_for,
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
        "not_texted": {}, "rejected_count": 2,
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

async fn change(server: &Server, account: &Account, id: &str, wanted: &Value) -> Reply {
    let path = format!("/v1/contacts/{id}");
    server.ask(Method::PATCH, &path).key(&account.key).json(wanted).send().await
}

async fn add(server: &Server, account: &Account, wanted: &Value) -> String {
    let made = server.post(&account.key, "/v1/contacts", wanted).await.made();
    made["id"].as_str().expect("an id").to_owned()
}

async fn a_contact_is_changed_in_part(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let night = json!({"start": "20:00", "end": "10:00"});
    let wanted = json!({
        "phone": "+13125550147", "name": "Ada", "timezone": "America/Chicago", "tags": ["a", "b"],
        "fields": {"coach": "Sam", "room": "2"}, "locale": "es_MX", "verified": true,
        "quiet_hours": night
    });
    let id = add(&server, &account, &wanted).await;
    let path = format!("/v1/contacts/{id}");
    let shown = server.get(&account.key, &path).await.ok();
    assert_eq!((&shown["locale"], &shown["verified"]), (&json!("es-MX"), &json!(true)));
    assert_eq!(shown["quiet_hours"], night);
    let same = change(&server, &account, &id, &json!({})).await.ok();
    assert_eq!((&same["name"], &same["notes"]), (&json!("Ada"), &json!([])));
    let changed = json!({
        "name": "Ada Park", "tags": ["c", "c"], "fields": {"room": null, "desk": "9"},
        "timezone": null, "locale": null, "quiet_hours": null, "verified": false, "blocked": true
    });
    change(&server, &account, &id, &changed).await.ok();
    let shown = server.get(&account.key, &path).await.ok();
    assert_eq!((&shown["name"], &shown["tags"]), (&json!("Ada Park"), &json!(["c"])));
    assert_eq!(shown["fields"], json!({"coach": "Sam", "desk": "9"}));
    for (name, value) in [
        ("timezone", json!(null)),
        ("locale", json!(null)),
        ("quiet_hours", json!(null)),
        ("verified", json!(false)),
        ("blocked", json!(true)),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    for (wanted, field) in [
        (json!({"timezone": "Moon/Base"}), "timezone"),
        (json!({"locale": "spanish!"}), "locale"),
        (json!({"phone": "12"}), "phone"),
        (json!({"name": "x".repeat(201)}), "name"),
        (json!({"consent": "opted_in"}), "consent"),
    ] {
        let (status, _, named) = change(&server, &account, &id, &wanted).await.problem();
        assert_eq!((status, named.as_deref()), (422, Some(field)), "{wanted}");
    }
    add(&server, &account, &json!({"phone": "+13125550148", "tags": ["c%", "d\"q"]})).await;
    for (query, rows) in
        [("tag=c", 1), ("tag=c%25", 1), ("tag=d%22q", 1), ("tag=%25", 0), ("phone=3125550148", 1)]
    {
        let list = server.get(&account.key, &format!("/v1/contacts?{query}")).await.ok();
        assert_eq!(list["data"].as_array().map(Vec::len), Some(rows), "{query}");
    }
    server.get(&account.key, "/v1/contacts/ct_1").await.refused(404, "not_found");
}

async fn a_new_number_keeps_the_person_and_not_the_consent(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let wanted = json!({"phone": "+13125550147", "name": "Ada", "consent": "opted_in",
        "verified": true});
    let id = add(&server, &account, &wanted).await;
    let moved = change(&server, &account, &id, &json!({"phone": "312 555 0199"})).await.ok();
    assert_eq!((&moved["id"], &moved["phone"]), (&json!(id), &json!("+13125550199")));
    assert_eq!(moved["consent"], json!({"transactional": "unknown", "marketing": "unknown"}));
    assert_eq!((&moved["verified"], &moved["name"]), (&json!(false), &json!("Ada")));
    assert!(moved["notes"][0].as_str().is_some_and(|note| note.contains("consent belongs")));
    let proof = server.get(&account.key, &format!("/v1/contacts/{id}/consent-proof")).await.ok();
    assert_eq!(proof["history"][0]["kind"], "phone");
    assert_eq!(
        proof["history"][0]["detail"],
        json!({"from": "+13125550147", "to": "+13125550199"})
    );
    let former = proof["former_numbers"].as_array().expect("a list");
    assert_eq!(former.len(), 2, "{proof}");
    assert_eq!(
        (&former[0]["phone"], &former[0]["state"]),
        (&json!("+13125550147"), &json!("opted_in"))
    );
}

async fn two_contacts_become_one(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let kept = json!({"phone": "+13125550147", "tags": ["a"], "fields": {"coach": "Sam"}});
    let kept = add(&server, &account, &kept).await;
    let gone = json!({"phone": "+13125550148", "name": "Ada", "tags": ["b"],
        "fields": {"coach": "Kim", "room": "2"}, "blocked": true, "consent": "opted_out"});
    let gone = add(&server, &account, &gone).await;
    let booking = json!({
        "title": "Session", "starts_at": "2026-07-20T17:00:00Z", "timezone": "America/Chicago",
        "attendees": [{"contact_id": gone}]
    });
    let booking = server.post(&account.key, "/v1/appointments", &booking).await.made();
    let number = json!({"phone": "+13125550148"});
    change(&server, &account, &kept, &number).await.refused(409, "conflict");
    let both = json!({"phone": "+13125550148", "merge": true});
    let one = change(&server, &account, &kept, &both).await.ok();
    assert_eq!((&one["id"], &one["name"]), (&json!(kept), &json!("Ada")));
    assert_eq!((&one["tags"], &one["blocked"]), (&json!(["a", "b"]), &json!(true)));
    assert_eq!(one["fields"], json!({"coach": "Sam", "room": "2"}));
    assert_eq!(one["consent"]["marketing"], "opted_out", "an opt-out of either number stays");
    server.get(&account.key, &format!("/v1/contacts/{gone}")).await.refused(404, "not_found");
    let path = format!("/v1/appointments/{}", booking["id"].as_str().expect("an id"));
    let booking = server.get(&account.key, &path).await.ok();
    assert_eq!(booking["attendees"][0]["contact_id"], json!(kept));
    let proof = server.get(&account.key, &format!("/v1/contacts/{kept}/consent-proof")).await.ok();
    assert_eq!(
        (&proof["history"][0]["kind"], &proof["history"][0]["detail"]["merged"]),
        (&json!("merge"), &json!(gone))
    );
}

async fn a_file_is_vouched_for(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let file = b"phone,consent,locale,verified,blocked\n\
                 +13125550147,opted_in,es,yes,\n\
                 +13125550148,opted_in,,perhaps,\n\
                 +13125550149,,1,,\n\
                 +13125550150,opted_out,,,true\n";
    let query = "?file=members.csv&attestation=Sam+Lee%3A+all+signed+form+7+at+the+desk";
    let done = import(&server, &account, query, file).await.ok();
    assert_eq!((&done["created"], &done["rejected_count"]), (&json!(2), &json!(2)));
    assert_eq!(done["rejected"][0]["field"], "verified");
    assert_eq!(done["rejected"][1]["field"], "locale");
    let list = server.get(&account.key, "/v1/contacts").await.ok();
    let first = &list["data"][0];
    assert_eq!((&first["locale"], &first["verified"]), (&json!("es"), &json!(true)));
    assert_eq!(first["fields"], json!({}));
    assert_eq!(list["data"][1]["blocked"], true);
    let list = server.get(&account.key, "/v1/consents?phone=3125550147").await.ok();
    let evidence = list["data"][0]["evidence"].as_str().expect("evidence").to_owned();
    for part in ["members.csv", "Sam Lee: all signed form 7", "line 2", "import "] {
        assert!(evidence.contains(part), "{part}: {evidence}");
    }
    import(&server, &account, "", b"phone,consent\n+13125550151,opted_in\n").await.ok();
    let list = server.get(&account.key, "/v1/consents?phone=3125550151").await.ok();
    let evidence = list["data"][0]["evidence"].as_str().expect("evidence");
    assert!(evidence.contains("without attestation") && evidence.contains("line 2"), "{evidence}");
    let long = format!("?attestation={}", "x".repeat(1001));
    import(&server, &account, &long, b"phone\n").await.refused(422, "invalid_field");
}
