use std::time::Duration;

use ledgerline::delivery::carrier::Outgoing;
use ledgerline::delivery::orphans;
use serde_json::json;
use testkit::Engine;
use twilio::outcome::Outcome;

use crate::server::Server;

testkit::both_engines!(a_server_asks_its_carrier_before_it_sends);

/// The carrier holds a text that this database does not: it was set back to an earlier state.
async fn a_server_asks_its_carrier_before_it_sends(engine: Engine) {
    let server = Server::start(engine).await;
    let (app, account) = (&server.app, server.account("a").await);
    server.credit(&account, 10).await;
    orphans::look(&app.desk).await.expect("sweeps");
    server.clock.advance(Duration::from_secs(1));
    let text = Outgoing {
        to: "+13125550100",
        from: app.installation_sender().expect("the sandbox has one"),
        body: "Sent before the backup was restored",
        status_callback: None,
        validity_secs: 3600,
    };
    let taken = app.desk.routes.lines()[0].carrier.send(text, Box::new(|| Ok(()))).await;
    assert!(matches!(taken, Outcome::Accepted { .. }), "{taken:?}");

    let wanted = json!({"to": "+13125550147", "body": "Your table is ready"});
    let taken = server.post(&account.key, "/v1/messages", &wanted).await.with(202);
    let path = format!("/v1/messages/{}", taken["id"].as_str().expect("an id"));
    let workers = app.start_workers();
    let told = loop {
        let told = server.get(&account.key, &path).await.ok();
        if told["state"] != "queued" {
            break told;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&told["state"], &told["why"]["rule"]), (&json!("deferred"), &json!("kill_switch")));
    let reason = orphans::reason(&app.desk).await.expect("reads").expect("a quarantine");
    assert!(reason.contains("1 texts"), "{reason}");
    workers.stop().await;
    server.audited(&account).await;
}
