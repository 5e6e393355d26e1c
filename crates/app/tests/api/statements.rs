use axum::http::Method;
use base64::Engine as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::Engine;

use crate::server::{OPERATOR, Reply, Server};

testkit::both_engines!(
    a_month_is_shown_in_every_form,
    a_page_is_complete_in_itself_and_harmless,
    months_are_listed_with_what_was_left,
    a_statement_is_the_accounts_and_the_operators,
    months_that_cannot_be_are_refused,
    revenue_adds_up_over_accounts,
    reconciliation_needs_whole_days,
);

async fn get(server: &Server, key: &str, path: &str, accept: &str) -> Reply {
    server.ask(Method::GET, path).key(key).header("accept", accept).send().await
}

async fn a_month_is_shown_in_every_form(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Forms").await;
    server.credit(&account, 500).await;
    server.credit(&account, -20).await;
    let one = server.get(&account.key, "/v1/statements/2026-07").await.ok();
    assert_eq!((&one["ok"], &one["complete"]), (&json!(true), &json!(false)), "{one}");
    assert_eq!((&one["opening"]["credits"], &one["closing"]["credits"]), (&json!(0), &json!(480)));
    assert_eq!((&one["grants"]["credits"], &one["grants"]["count"]), (&json!(500), &json!(1)));
    assert_eq!(one["adjustments"]["items"][0]["reason"], "a test");
    let sums: i64 = one["sums"]
        .as_array()
        .expect("sums")
        .iter()
        .filter_map(|sum| sum["credits"].as_i64())
        .sum();
    assert_eq!(sums, 480);
    for (path, accept, kind) in [
        ("/v1/statements/2026-07", "text/csv", "text/csv; charset=utf-8"),
        ("/v1/statements/2026-07?format=csv", "*/*", "text/csv; charset=utf-8"),
        ("/v1/statements/2026-07.csv", "*/*", "text/csv; charset=utf-8"),
        ("/v1/statements/2026-07", "text/html,*/*;q=0.8", "text/html; charset=utf-8"),
        ("/v1/statements/2026-07.html", "*/*", "text/html; charset=utf-8"),
        ("/v1/statements/2026-07.json", "text/html", "application/json"),
    ] {
        let reply = get(&server, &account.key, path, accept).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, kind), "{path} {accept}");
    }
    let text = server.get(&account.key, "/v1/statements/2026-07.csv").await.text();
    let totals: i64 = text
        .lines()
        .map(|line| line.split(',').collect::<Vec<_>>())
        .filter(|cells| cells[0].ends_with("_total"))
        .map(|cells| cells[8].parse::<i64>().expect("a number"))
        .sum();
    assert_eq!(totals, 480, "{text}");
    assert!(text.lines().any(|line| line.starts_with("closing,") && line.contains(",480,")));
    server
        .get(&account.key, "/v1/statements/2026-07?format=pdf")
        .await
        .refused(422, "invalid_field");
}

async fn a_page_is_complete_in_itself_and_harmless(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("<script>alert(1)</script> & Co").await;
    let wanted = json!({"amount": 70, "reason": "=HYPERLINK(\"x\") <b>bold</b>"});
    let path = format!("/v1/accounts/{}/credits", account.id);
    server.post(OPERATOR, &path, &wanted).await.ok();
    let reply = server.get(&account.key, "/v1/statements/2026-07.html").await;
    let html = reply.text();
    assert!(!html.contains("<script") && !html.contains("<b>bold") && html.contains("&#60;script"));
    assert!(!html.contains("style=") && !html.contains(" src=") && !html.contains("href="));
    assert!(html.contains("@page") && html.contains("Closing credits"), "{html}");
    // The page's own policy lets in its own style, and nothing else.
    let policy = reply.header("content-security-policy").to_owned();
    let (_, style) = html.split_once("<style>").expect("a style");
    let (style, _) = style.split_once("</style>").expect("its end");
    let digest = base64::prelude::BASE64_STANDARD.encode(Sha256::digest(style));
    assert!(policy.contains(&format!("style-src 'sha256-{digest}'")), "{policy}");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let csv = server.get(&account.key, "/v1/statements/2026-07.csv").await.text();
    assert!(csv.contains("\"'=HYPERLINK("), "{csv}");
}

async fn months_are_listed_with_what_was_left(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Listed").await;
    let empty = server.get(&account.key, "/v1/statements").await.ok();
    assert_eq!(empty["data"].as_array().map(Vec::len), Some(1), "{empty}");
    server.credit(&account, 100).await;
    server.clock.advance(std::time::Duration::from_secs(70 * 24 * 3600));
    server.credit(&account, 11).await;
    let list = server.get(&account.key, "/v1/statements").await.ok();
    let shown: Vec<(Value, Value, Value, Value)> = list["data"]
        .as_array()
        .expect("months")
        .iter()
        .map(|one| {
            let closing = one["closing"]["credits"].clone();
            (one["month"].clone(), one["complete"].clone(), one["lines"].clone(), closing)
        })
        .collect();
    let expected = [
        (json!("2026-09"), json!(false), json!(1), json!(111)),
        (json!("2026-08"), json!(true), json!(0), json!(100)),
        (json!("2026-07"), json!(true), json!(1), json!(100)),
    ];
    assert_eq!(shown, expected);
    let page = server.get(&account.key, "/v1/statements?limit=2").await.ok();
    let cursor = page["next_cursor"].as_str().expect("there is more");
    let rest = server.get(&account.key, &format!("/v1/statements?cursor={cursor}")).await.ok();
    assert_eq!(rest["data"][0]["month"], "2026-07");
    assert_eq!(rest["next_cursor"], Value::Null);
    let august = server.get(&account.key, "/v1/statements/2026-08").await.ok();
    assert_eq!((&august["opening"], &august["ok"]), (&august["closing"], &json!(true)));
}

async fn a_statement_is_the_accounts_and_the_operators(engine: Engine) {
    let server = Server::start(engine).await;
    let (one, other) = (server.account("One").await, server.account("Other").await);
    server.credit(&one, 33).await;
    let own = server.get(&other.key, "/v1/statements/2026-07").await.ok();
    assert_eq!(own["account"], other.id.as_str());
    assert_eq!(own["closing"]["credits"], 0);
    let path = format!("/v1/accounts/{}/statements/2026-07", one.id);
    let shown = server.get(OPERATOR, &path).await.ok();
    assert_eq!(shown["closing"]["credits"], 33);
    server.get(&one.key, &path).await.refused(403, "forbidden");
    server.get(OPERATOR, "/v1/statements/2026-07").await.refused(403, "forbidden");
    let nobody = "/v1/accounts/acc_0000000000000/statements/2026-07";
    server.get(OPERATOR, nobody).await.refused(404, "not_found");
    server.get(OPERATOR, "/v1/accounts/x/statements/2026-07").await.refused(404, "not_found");
}

async fn months_that_cannot_be_are_refused(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Early").await;
    for month in ["2026-08", "2026-13", "2026", "july", "2026-7", "9999-01"] {
        let path = format!("/v1/statements/{month}");
        let (status, code, field) = server.get(&account.key, &path).await.problem();
        let told = (status, code.as_str(), field.as_deref());
        assert_eq!(told, (422, "invalid_field", Some("month")), "{month}");
    }
    // Before there was an account there was nothing, and that adds up.
    let before = server.get(&account.key, "/v1/statements/2020-02").await.ok();
    assert_eq!((&before["ok"], &before["closing"]["credits"]), (&json!(true), &json!(0)));
    assert_eq!(before["usage"]["days"].as_array().map(Vec::len), Some(29));
}

async fn revenue_adds_up_over_accounts(engine: Engine) {
    let server = Server::start(engine).await;
    let (one, other) = (server.account("One, Inc.").await, server.account("Other").await);
    server.credit(&one, 300).await;
    server.credit(&other, 50).await;
    server.credit(&other, -80).await;
    let report = server.get(OPERATOR, "/v1/revenue?from=2026-06&to=2026-07").await.ok();
    assert_eq!(report["rows"].as_array().map(Vec::len), Some(2), "{report}");
    let july = &report["totals"][1];
    assert_eq!((&july["month"], &july["accounts"]), (&json!("2026-07"), &json!(2)));
    let credits = &july["credits"];
    let names = ["granted", "adjusted", "outstanding", "owed", "used", "sold"];
    let sums = names.map(|name| credits[name].clone());
    assert_eq!(sums, [350, -80, 300, 30, 0, 0], "{credits}");
    assert_eq!(report["totals"][0]["accounts"], 0);
    let csv = server.get(OPERATOR, "/v1/revenue?format=csv").await.text();
    assert!(csv.starts_with("month,account,name,") && csv.contains("\"One, Inc.\""), "{csv}");
    server.get(&one.key, "/v1/revenue").await.refused(403, "forbidden");
    for query in ["from=2026-08&to=2026-07", "from=x", "from=2010-01", "to=2027-01"] {
        let path = format!("/v1/revenue?{query}");
        server.get(OPERATOR, &path).await.refused(422, "invalid_field");
    }
}

async fn reconciliation_needs_whole_days(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Compared").await;
    let path = "/v1/reconciliation?from=2026-07-14&to=2026-07-15";
    let found = server.get(OPERATOR, path).await.ok();
    assert_eq!((&found["ok"], &found["carrier"]["texts"]), (&json!(true), &json!(0)), "{found}");
    assert!(found["verdict"].as_str().is_some_and(|words| words.contains("Zero unexplained")));
    server.get(&account.key, path).await.refused(403, "forbidden");
    for query in ["", "from=2026-07-14", "from=2026-07-16&to=2026-07-16", "from=x&to=y"] {
        let path = format!("/v1/reconciliation?{query}");
        server.get(OPERATOR, &path).await.refused(422, "invalid_field");
    }
}
