//! Figures about confirmations, counted over what a small account did.

use std::time::Duration;

use domain::instant::Instant;
use domain::seam::Clock;
use serde_json::{Value, json};
use store::appointments::{AppointmentState, attendees_of, save_attendees};
use store::requests::{self, RequestState};
use testkit::Engine;

use crate::replies::{Asked, ask, person};
use crate::server::{Account, Server, account_id};

testkit::both_engines!(confirmations_are_counted, ranges_are_checked);

const DAY: i64 = 24 * 60;

/// Asked a day and some minutes ago; its booking begins in a day.
const fn asked(token: i64, state: RequestState) -> Asked {
    Asked { token, state, starts: DAY, expires: DAY }
}

/// Answers the open request with this token.
async fn answered(server: &Server, account: &Account, phone: &str, token: i64, word: RequestState) {
    let account = account_id(account);
    let mut tx = server.app.db.begin().await.expect("begins");
    let open = requests::open_requests(&mut tx, account, &[phone.to_owned()]).await.expect("lists");
    let one = open.iter().find(|one| one.token == token).expect("it is open");
    requests::end_request(&mut tx, account, one.id, word, "text").await.expect("ends");
    tx.commit().await.expect("commits");
}

async fn missed(server: &Server, account: &Account, phone: &str) {
    let account = account_id(account);
    let mut tx = server.app.db.begin().await.expect("begins");
    let all = requests::latest_requests(&mut tx, account, phone, 1).await.expect("lists");
    let mut people = attendees_of(&mut tx, account, &[all[0].appointment]).await.expect("lists");
    people[0].state = AppointmentState::NoShow;
    save_attendees(&mut tx, account, &people).await.expect("saves");
    tx.commit().await.expect("commits");
}

async fn figures(server: &Server, account: &Account, query: &str) -> Value {
    server.get(&account.key, &format!("/v1/figures/confirmations{query}")).await.ok()
}

async fn confirmations_are_counted(engine: Engine) {
    use RequestState::{Expired, No, Pending, Resolved, Yes};
    let server = Server::start(engine).await;
    let account = server.account("Sam's").await;
    let empty = figures(&server, &account, "").await;
    assert_eq!(empty["requests"]["no_reply_share"], Value::Null);
    assert_eq!(empty["time_to_confirmation"]["median_seconds"], Value::Null);
    let phone = "+13125550147";
    let contact = person(&server, &account, phone).await;
    let states = [Pending, Pending, Pending, Pending, Pending, Pending, Pending, Expired, Resolved];
    let all: Vec<Asked> = (101..).zip(states).map(|(token, state)| asked(token, state)).collect();
    ask(&server, account_id(&account), contact, phone, &all).await;
    let start = server.clock.now();
    // Requests are asked a minute apart, so that the times to a yes differ: 101 was asked first.
    for (token, word, wait) in
        [(101, Yes, 0), (102, Yes, 120), (103, Yes, 3600), (104, Yes, 60), (105, No, 1)]
    {
        server.clock.advance(Duration::from_secs(wait));
        answered(&server, &account, phone, token, word).await;
    }
    missed(&server, &account, phone).await;
    let found = figures(&server, &account, "").await;
    let requests = json!({
        "asked": 9, "yes": 4, "no": 1, "expired": 1, "resolved": 1, "pending": 2,
        "no_reply_share": 0.1667
    });
    assert_eq!(found["requests"], requests);
    let asked_at = |token: i64| start.0 - (DAY - token) * 60_000_000;
    let mut times: Vec<i64> = {
        let mut tx = server.app.db.read().await.expect("reads");
        let account = account_id(&account);
        let all = requests::latest_requests(&mut tx, account, phone, 50).await.expect("lists");
        let yes = all.iter().filter(|one| one.state == Yes);
        yes.map(|one| one.answered_at.expect("answered").0 - one.asked_at.0).collect()
    };
    times.sort_unstable();
    let time = &found["time_to_confirmation"];
    assert_eq!(time["count"], 4);
    assert_eq!(time["average_seconds"], times.iter().sum::<i64>() / 4 / 1_000_000);
    assert_eq!(time["median_seconds"], i64::midpoint(times[1], times[2]) / 1_000_000);
    assert_ne!(time["average_seconds"], time["median_seconds"], "they tell different things");
    let pending = &found["pending"];
    let oldest = (server.clock.now().0 - asked_at(106)) / 1_000_000;
    assert_eq!(pending["count"], 2);
    assert!((pending["oldest_age_seconds"].as_i64().expect("an age") - oldest).abs() <= 1);
    let ages: Vec<i64> = pending["ages"]
        .as_array()
        .expect("ages")
        .iter()
        .map(|age| age["count"].as_i64().expect("a number"))
        .collect();
    assert_eq!((ages.len(), ages.iter().sum::<i64>()), (5, 2));
    let days = found["days"].as_array().expect("days");
    let sum = |field: &str| days.iter().map(|day| day[field].as_i64().expect("a number")).sum();
    let (asked, yes, no): (i64, i64, i64) = (sum("asked"), sum("yes"), sum("no"));
    assert_eq!((asked, yes, no), (9, 4, 1));
    let tuesday = days.iter().find(|day| day["date"] == "2026-07-14").expect("that day");
    assert_eq!(
        tuesday,
        &json!({
            "date": "2026-07-14", "asked": 9, "yes": 4, "no": 1, "no_show": 0
        })
    );
    // The booking of the mark begins tomorrow.
    assert_eq!(found["no_shows"], 0);
    let week = figures(&server, &account, "?from=2026-07-14&to=2026-07-16").await;
    assert_eq!((&week["no_shows"], &week["days"][2]["no_show"]), (&json!(1), &json!(1)));
    let before = figures(&server, &account, "?from=2026-07-01&to=2026-07-13").await;
    assert_eq!((&before["requests"]["asked"], &before["pending"]["count"]), (&json!(0), &json!(2)));
    assert_eq!(before["days"].as_array().expect("days").len(), 13);
    let stop = json!({"phone": phone, "consent": "opted_out"});
    server.post(&account.key, "/v1/contacts", &stop).await.ok();
    let out = figures(&server, &account, "").await["opt_outs"].clone();
    assert_eq!(out, json!({"count": 1, "recipients": 0, "rate": null}));
}

async fn ranges_are_checked(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("Sam's").await;
    for (query, field) in [
        ("?from=x", "from"),
        ("?to=x", "to"),
        ("?from=2026-07-02&to=2026-07-01", "to"),
        ("?from=2020-01-01", "from"),
        ("?since=2020-01-01", "since"),
    ] {
        let path = format!("/v1/figures/confirmations{query}");
        let (status, _, found) = server.get(&account.key, &path).await.problem();
        assert_eq!((status, found.as_deref()), (422, Some(field)), "{query}");
    }
    let found = figures(&server, &account, "?from=2026-07-01T09:00&to=2026-07-02").await;
    assert_eq!([&found["from"], &found["to"]], ["2026-07-01T14:00:00Z", "2026-07-03T05:00:00Z"]);
    assert_eq!(found["timezone"], "America/Chicago");
    let default = figures(&server, &account, "").await;
    let from = Instant::parse(default["from"].as_str().expect("a time")).expect("a time");
    assert_eq!(from, Instant::parse("2026-06-15T05:00:00Z").expect("a time"));
}
