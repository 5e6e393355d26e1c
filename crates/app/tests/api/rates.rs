use axum::http::Method;
use serde_json::{Value, json};
use testkit::Engine;

use crate::server::{OPERATOR, Server};

testkit::both_engines!(
    every_text_costs_what_the_list_says,
    a_preview_changes_nothing_and_bad_rows_stop_no_good_ones,
    history_is_not_rewritten,
    the_list_goes_out_as_it_came_in,
    the_list_is_the_operators,
    a_long_list_is_read_by_pages,
);

/// Sends a sheet.
async fn send(server: &Server, path: &str, csv: &str) -> Value {
    let asking = server.ask(Method::POST, path).key(OPERATOR);
    asking.body("text/csv", csv.to_owned()).send().await.ok()
}

async fn credits(server: &Server, key: &str, to: &str) -> Value {
    let quoted = server.post(key, "/v1/quote", &json!({"body": "Hello", "to": to})).await.ok();
    quoted["credits"].clone()
}

async fn every_text_costs_what_the_list_says(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Priced").await;
    server.credit(&account, 1000).await;
    let sheet = "destination,sender_kind,channel,effective_from,credits_per_segment\n\
                 +,,,,2\n+1,,,,3\nCA,,,,4\n+1416,,,,5\n+1312,toll_free,,,9\n+1312,,whatsapp,,8\n\
                 US,,,2026-08-01,7\n";
    let done = send(&server, "/v1/rates", sheet).await;
    assert_eq!((&done["added"], &done["rejected"]), (&json!(7), &json!(0)), "{done}");
    for (to, expected) in
        [("+13125550147", 3), ("+16135550147", 4), ("+14165550147", 5), ("+442079460000", 2)]
    {
        assert_eq!(credits(&server, &account.key, to).await, expected, "{to}");
    }
    // Without a number, an ordinary one of the account's own country is meant.
    let quoted = server.post(&account.key, "/v1/quote", &json!({"body": "Hello"})).await.ok();
    assert_eq!(quoted["credits"], 3);
    // The same wherever a price is made: a single text, a group, a campaign.
    let wanted = json!({"to": "+14165550147", "body": "Hello"});
    let taken = server.post(&account.key, "/v1/messages", &wanted).await.with(202);
    assert_eq!(taken["credits"], 5);
    let wanted = json!({"to": ["+14165550147", "+13125550147"], "body": "x".repeat(200)});
    let taken = server.post(&account.key, "/v1/messages/group", &wanted).await.with(202);
    assert_eq!(taken["credits"], 2 * (5 + 3));
    server.contacts(&account, 2).await;
    let campaign = server.campaign(&account).await;
    let path = format!("/v1/campaigns/{}/quote", campaign["id"].as_str().expect("an id"));
    let quoted = server.order(&account.key, &path).await.ok();
    assert_eq!(quoted["credits"], 2 * 3, "{quoted}");
    server.clock.advance(std::time::Duration::from_secs(30 * 24 * 3600));
    assert_eq!(credits(&server, &account.key, "+13125550147").await, 7);
}

async fn a_preview_changes_nothing_and_bad_rows_stop_no_good_ones(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Previewed").await;
    let sheet = "\u{feff}destination,credits_per_segment,carrier_price,currency,effective_from\r\n\
                 GB,4,0.0400,USD,\r\n\r\nxx,4,,,\r\n+49,0,,,\r\n+33,3,7900,usd,\r\n\
                 +1,1,,,2027-01-01\r\n\
                 +1,2,,,2027-01-01\r\n";
    let preview = send(&server, "/v1/rates?preview=true", sheet).await;
    assert_eq!(preview["preview"], true);
    let problems: Vec<(u64, &str)> = preview["problems"]
        .as_array()
        .expect("problems")
        .iter()
        .map(|one| (one["line"].as_u64().expect("a line"), one["field"].as_str().expect("a field")))
        .collect();
    let expected =
        [(4, "destination"), (5, "credits_per_segment"), (6, "carrier_price"), (8, "destination")];
    assert_eq!(problems, expected, "{preview}");
    assert_eq!((&preview["added"], &preview["rejected"]), (&json!(2), &json!(4)));
    assert_eq!(preview["rows"][0]["after"]["carrier_price"], "0.04");
    assert_eq!(credits(&server, &account.key, "+442079460000").await, 1);
    let list = server.get(OPERATOR, "/v1/rates").await.ok();
    assert_eq!(list["data"], json!([]));
    let done = send(&server, "/v1/rates", sheet).await;
    assert_eq!((&done["added"], &done["preview"]), (&json!(2), &json!(false)));
    assert_eq!(credits(&server, &account.key, "+442079460000").await, 4);
    // The same once more: everything is there already.
    let again = send(&server, "/v1/rates", sheet).await;
    let counts = ["added", "changed", "unchanged", "ended"].map(|name| again[name].clone());
    assert_eq!(counts, [0, 0, 2, 0], "{again}");
    for (sheet, words) in [("a,b\n1,2\n", "no column destination"), ("", "no column destination")] {
        let asking = server.ask(Method::POST, "/v1/rates").key(OPERATOR);
        let reply = asking.body("text/csv", sheet).send().await;
        assert_eq!(reply.status, 422);
        assert!(reply.text().contains(words), "{}", reply.text());
    }
}

async fn history_is_not_rewritten(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Historic").await;
    let row = |from: &str, credits: i64| {
        json!({"rates": [{
            "destination": "+1", "credits_per_segment": credits, "effective_from": from
        }]})
    };
    let put = async |wanted: &Value| server.post(OPERATOR, "/v1/rates", wanted).await.ok();
    assert_eq!(put(&row("2026-01-01", 2)).await["added"], 1);
    for from in ["2026-01-01", "2026-03-01", "2025-01-01"] {
        let refused = put(&row(from, 3)).await;
        assert_eq!((&refused["added"], &refused["changed"]), (&json!(0), &json!(0)), "{refused}");
        let problem = refused["problems"][0]["problem"].as_str().expect("a problem");
        assert!(problem.contains("later effective_from"), "{problem}");
    }
    let later = put(&row("2026-07-16T00:00:00Z", 3)).await;
    assert_eq!((&later["added"], &later["ended"]), (&json!(1), &json!(1)), "{later}");
    let before = &later["rows"][0]["before"];
    assert_eq!((&before["credits_per_segment"], &before["margin"]), (&json!(2), &Value::Null));
    // Until it is in force it may still be changed.
    assert_eq!(put(&row("2026-07-16T00:00:00Z", 4)).await["changed"], 1);
    assert_eq!(credits(&server, &account.key, "+13125550147").await, 2);
    server.clock.advance(std::time::Duration::from_secs(24 * 3600));
    assert_eq!(credits(&server, &account.key, "+13125550147").await, 4);
    assert_eq!(put(&row("2026-07-16T00:00:00Z", 5)).await["rejected"], 1);
}

async fn the_list_goes_out_as_it_came_in(engine: Engine) {
    let server = Server::start(engine).await;
    let sheet = "destination,sender_kind,channel,effective_from,credits_per_segment,\
                 carrier_price,currency\n\
                 +,any,any,2026-01-01T00:00:00Z,1,,\n\
                 +44,toll_free,sms,2026-01-01T00:00:00Z,4,0.04,gbp\n\
                 CA,any,mms,2027-01-01T00:00:00Z,3,0.0079,usd\n";
    assert_eq!(send(&server, "/v1/rates", sheet).await["added"], 3);
    let asking = server.ask(Method::GET, "/v1/rates").key(OPERATOR).header("accept", "text/csv");
    let reply = asking.send().await;
    assert_eq!(reply.header("content-type"), "text/csv; charset=utf-8");
    let text = reply.text();
    assert!(text.contains("\n'+,any,any,") && text.contains("\n+44,toll_free,sms,"), "{text}");
    let again = send(&server, "/v1/rates", &text).await;
    let counts = ["added", "changed", "unchanged", "rejected"].map(|name| again[name].clone());
    assert_eq!(counts, [0, 0, 3, 0], "{again}");
}

async fn the_list_is_the_operators(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Curious").await;
    server.get(&account.key, "/v1/rates").await.refused(403, "forbidden");
    let wanted = json!({"rates": []});
    server.post(&account.key, "/v1/rates", &wanted).await.refused(403, "forbidden");
    let unknown = json!({"rates": [{"destination": "+1", "credits": 2}]});
    let (status, code, field) = server.post(OPERATOR, "/v1/rates", &unknown).await.problem();
    assert_eq!((status, code.as_str()), (422, "unknown_field"));
    assert!(field.expect("a field").contains("credits"));
    let asking = server.ask(Method::POST, "/v1/rates").key(OPERATOR).body("text/plain", "x");
    asking.send().await.refused(415, "unsupported_media_type");
    // The same key once more changes nothing and answers the same.
    let wanted = json!({"rates": [{"destination": "+1", "credits_per_segment": 2}]});
    for replayed in ["", "true"] {
        let asking = server.ask(Method::POST, "/v1/rates").key(OPERATOR).once("a list");
        let reply = asking.json(&wanted).send().await;
        assert_eq!(reply.header("idempotent-replayed"), replayed);
        assert_eq!(reply.ok()["added"], 1);
    }
}

async fn a_long_list_is_read_by_pages(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Long").await;
    let rows = (0..2500).map(|n| format!("+1312{},{}\n", 5_550_000 + n, 2 + n % 7));
    let sheet = format!("destination,credits_per_segment\n{}", rows.collect::<String>());
    assert_eq!(send(&server, "/v1/rates", &sheet).await["added"], 2500);
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let path = format!("/v1/rates?limit=999&cursor={cursor}");
        let page = server.get(OPERATOR, &path).await.ok();
        let rows = page["data"].as_array().expect("rows").clone();
        seen.extend(rows.into_iter().map(|row| row["destination"].clone().to_string()));
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    let mut unique = seen.clone();
    unique.sort();
    unique.dedup();
    assert_eq!((seen.len(), unique.len()), (2500, 2500));
    assert_eq!(credits(&server, &account.key, "+13125550147").await, 2);
}
