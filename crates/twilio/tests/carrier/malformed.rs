//! Answers that are not the carrier's: proxies, redirects, halves.

use twilio::outcome::Outcome;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{TOKEN, client_of, send};

const SID: &str = "SM0123456789abcdef0123456789abcdef";

async fn outcome_of(answer: ResponseTemplate) -> (Outcome, usize) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let outcome = send(&client_of(&server.uri(), TOKEN), "+13125550100").await;
    let requests = server.received_requests().await.expect("recorded").len();
    (outcome, requests)
}

#[tokio::test]
async fn whatever_is_not_proof_is_unknown_and_asked_once() {
    let answer = ResponseTemplate::new;
    let cases = [
        ("an empty 201", answer(201)),
        ("a 201 without a SID", answer(201).set_body_string("{\"status\":\"queued\"}")),
        ("a 201 with a SID of another form", answer(201).set_body_string("{\"sid\":\"SM1\"}")),
        ("HTML with status 200", answer(200).set_body_string("<html>Welcome</html>")),
        ("half a JSON", answer(201).set_body_string(format!("{{\"sid\":\"{SID}\""))),
        ("a redirect", answer(302).insert_header("Location", "http://127.0.0.1:1/")),
        ("a proxy's 400", answer(400).set_body_string("<html>Bad Request</html>")),
        ("a proxy's 403", answer(403).set_body_string("{}")),
        ("a 502", answer(502).set_body_string("{\"code\":20500}")),
        ("a 503 of the carrier", answer(503).set_body_string("{\"code\":20503,\"status\":503}")),
    ];
    for (name, answer) in cases {
        let (outcome, requests) = outcome_of(answer).await;
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{name}: {outcome:?}");
        assert_eq!(requests, 1, "{name}: the client never tries again by itself");
    }
}

#[tokio::test]
async fn proof_is_proof_whatever_stands_around_it() {
    let whole =
        format!("{{\"sid\":\"{SID}\",\"status\":\"new word\",\"num_segments\":7,\"x\":[]}}");
    let (outcome, _) = outcome_of(ResponseTemplate::new(200).set_body_string(whole)).await;
    assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
    let refusal = ResponseTemplate::new(400).set_body_string("{\"code\":21211,\"message\":\"no\"}");
    let (outcome, _) = outcome_of(refusal).await;
    assert!(matches!(outcome, Outcome::Rejected { code: 21211, .. }), "{outcome:?}");
}
