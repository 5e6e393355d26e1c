//! What an exchange proves: every status, every kind of body, with and without written bytes.

use twilio::outcome::{Ended, Exchange, FailureKind, Outcome};

const SID: &str = "SM0123456789abcdef0123456789abcdef";

/// Statuses with which the provider refuses in its own words (CORE C.2).
const REFUSALS: [u16; 9] = [400, 401, 403, 404, 405, 409, 410, 415, 422];

fn bodies() -> Vec<(&'static str, String)> {
    vec![
        ("created", format!("{{\"sid\":\"{SID}\",\"status\":\"queued\",\"num_segments\":\"1\"}}")),
        ("media", format!("{{\"sid\":\"MM{}\",\"status\":\"accepted\"}}", &SID[2..])),
        ("upper", format!("{{\"sid\":\"{}\"}}", SID.to_uppercase())),
        ("short sid", "{\"sid\":\"SM12\"}".to_owned()),
        ("other sid", format!("{{\"sid\":\"CA{}\"}}", &SID[2..])),
        ("null sid", "{\"sid\":null}".to_owned()),
        ("error", "{\"code\":21211,\"message\":\"no\",\"status\":400}".to_owned()),
        ("error without code", "{\"message\":\"no\"}".to_owned()),
        ("code as text", "{\"code\":\"x\"}".to_owned()),
        ("cut", format!("{{\"status\":\"queued\",\"sid\":\"{}", &SID[..20])),
        ("html", "<html>Bad Gateway</html>".to_owned()),
        ("array", "[]".to_owned()),
        ("empty", String::new()),
    ]
}

fn expected(status: u16, body: &str) -> &'static str {
    match status {
        200..=299 if matches!(body, "created" | "media") => "accepted",
        429 => "not sent",
        status if REFUSALS.contains(&status) && body == "error" => "rejected",
        _ => "unknown",
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Rejected { .. } => "rejected",
        Outcome::NotSent { .. } => "not sent",
        Outcome::Unknown { .. } => "unknown",
    }
}

#[test]
fn every_answer_is_classified() {
    let mut judged = 0;
    for status in 100..=599 {
        for (name, body) in bodies() {
            let ended = || Ended::Response { status, body: body.clone().into_bytes().into() };
            let exchange = Exchange { bytes_written: 321, ended: ended() };
            assert_eq!(word(&exchange.outcome()), expected(status, name), "{status} {name}");
            let unwritten = Exchange { bytes_written: 0, ended: ended() };
            assert_eq!(word(&unwritten.outcome()), "not sent", "{status} {name}, nothing written");
            judged += 2;
        }
    }
    assert_eq!(judged, 500 * 13 * 2);
}

#[test]
fn every_failure_is_classified_by_what_was_written() {
    for &kind in &FailureKind::ALL {
        for (bytes_written, wanted) in [(0, "not sent"), (1, "unknown"), (5000, "unknown")] {
            let exchange = Exchange { bytes_written, ended: Ended::Failed(kind) };
            assert_eq!(word(&exchange.outcome()), wanted, "{kind:?} after {bytes_written}");
        }
    }
}

#[test]
fn refused_credentials_stop_the_account() {
    for status in REFUSALS {
        let body = "{\"code\":20003}".to_owned().into_bytes().into();
        let exchange = Exchange { bytes_written: 9, ended: Ended::Response { status, body } };
        let stops = exchange.outcome().stops_carrier_account();
        assert_eq!(stops, matches!(status, 401 | 403), "{status}");
    }
}
