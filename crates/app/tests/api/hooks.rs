use axum::http::Method;
use domain::ids::{MessageId, StreamId};
use secrecy::ExposeSecret;
use store::CommitFault;
use testkit::Engine;
use twilio::signature;

use crate::server::{Reply, Server, account_id};

testkit::both_engines!(
    only_the_carrier_is_believed,
    a_receipt_that_could_not_be_kept_is_asked_for_again,
);

const SID: &str = "SMe8e1f580bfcbef849e48bd2f4f64d18a";

type Pairs<'a> = Vec<(&'a str, &'a str)>;

struct Hook<'a> {
    server: &'a Server,
    token: String,
}

impl Hook<'_> {
    async fn post(&self, pairs: &Pairs<'_>, signature: Option<&str>) -> Reply {
        let path = format!("/hooks/twilio/status/{}", self.token);
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let asking = self.server.ask(Method::POST, &path);
        let asking = match signature {
            Some(signature) => asking.header("x-twilio-signature", signature),
            None => asking,
        };
        asking.body("application/x-www-form-urlencoded", body).send().await
    }

    fn signed(&self, pairs: &Pairs<'_>) -> String {
        let app = &self.server.app;
        let url = format!("{}/hooks/twilio/status/{}", app.public_url, self.token);
        signature::sign(app.carrier_tokens[0].expose_secret(), &url, pairs)
    }
}

async fn only_the_carrier_is_believed(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let text = serde_json::json!({"to": "+13125550147", "body": "x"});
    let taken = server.post(&account.key, "/v1/messages", &text).await.with(202);
    let message = MessageId::parse(taken["id"].as_str().expect("an id")).expect("an id");
    let token = server.app.secret.receipt_token(message, 1);
    let hook = Hook { server: &server, token };
    let pairs = vec![("MessageSid", SID), ("MessageStatus", "delivered"), ("New", "a b&c")];
    let signature = hook.signed(&pairs);

    hook.post(&pairs, None).await.refused(400, "invalid_field");
    hook.post(&pairs, Some("bm9uc2Vuc2U=")).await.refused(403, "forbidden");
    let changed = vec![("MessageSid", SID), ("MessageStatus", "failed"), ("New", "a b&c")];
    hook.post(&changed, Some(&signature)).await.refused(403, "forbidden");
    let kept = hook.post(&pairs, Some(&signature)).await;
    assert_eq!((kept.status, kept.text().as_str()), (204, ""));
    assert_eq!(hook.post(&pairs, Some(&signature)).await.status, 204, "again");
    let inbound = vec![("MessageSid", SID), ("MessageStatus", "received")];
    assert_eq!(hook.post(&inbound, Some(&hook.signed(&inbound))).await.status, 204);
    let unreadable = vec![("MessageSid", "SM1"), ("MessageStatus", "sent")];
    let refused = hook.post(&unreadable, Some(&hook.signed(&unreadable))).await;
    refused.refused(400, "invalid_field");

    let stranger = MessageId { account: account_id(&account), stream: StreamId(99), ord: 1 };
    for token in ["nonsense".to_owned(), domain::token::Secret([1; 32]).receipt_token(stranger, 1)]
    {
        let forged = Hook { server: &server, token };
        // The signature is asked for first: nobody learns which tokens are good.
        forged.post(&pairs, Some(&signature)).await.refused(403, "forbidden");
        let signature = forged.signed(&pairs);
        forged.post(&pairs, Some(&signature)).await.refused(404, "not_found");
    }
    server.audited(&account).await;
}

async fn a_receipt_that_could_not_be_kept_is_asked_for_again(engine: Engine) {
    let server = Server::start(engine).await;
    let account = server.account("a").await;
    let text = serde_json::json!({"to": "+13125550147", "body": "x"});
    let taken = server.post(&account.key, "/v1/messages", &text).await.with(202);
    let message = MessageId::parse(taken["id"].as_str().expect("an id")).expect("an id");
    let hook = Hook { server: &server, token: server.app.secret.receipt_token(message, 1) };
    let pairs = vec![("MessageSid", SID), ("MessageStatus", "delivered")];
    let signature = hook.signed(&pairs);
    server.app.db.faults().plan(Some((1, CommitFault { done: false, answered: true })));
    // The carrier sends a receipt again after a 5xx, and only then.
    hook.post(&pairs, Some(&signature)).await.refused(503, "unavailable");
    assert!(server.app.db.faults().has_struck());
    assert_eq!(hook.post(&pairs, Some(&signature)).await.status, 204);
    server.audited(&account).await;
}
