//! Signatures agree with the official libraries on the sample vectors.

use serde::Deserialize;
use twilio::signature::{Body, validate};

#[derive(Deserialize)]
struct Vector {
    name: String,
    auth_token: String,
    url: String,
    params: Option<Vec<(String, String)>>,
    body: Option<String>,
    raw_form_body: Option<String>,
    signature: Option<String>,
    valid: bool,
}

#[test]
fn the_samples_are_judged_as_the_official_libraries_do() {
    let samples = include_str!("../vectors/twilio_signatures.jsonl");
    let mut judged = 0;
    for line in samples.lines().filter(|line| !line.contains("\"_meta\"")) {
        let vector: Vector = serde_json::from_str(line).expect("a vector");
        let form: Vec<(String, String)> = match (&vector.params, &vector.raw_form_body) {
            (Some(params), _) => params.clone(),
            (None, Some(raw)) => form_urlencoded::parse(raw.as_bytes()).into_owned().collect(),
            (None, None) => Vec::new(),
        };
        let body = match &vector.body {
            Some(body) => Body::Raw(body.as_bytes()),
            None => Body::Form(&form),
        };
        let signature = vector.signature.as_deref().unwrap_or_default();
        let valid = validate(&vector.auth_token, &vector.url, signature, body);
        assert_eq!(valid, vector.valid, "{}", vector.name);
        judged += 1;
    }
    assert!(judged >= 39, "{judged}");
}
