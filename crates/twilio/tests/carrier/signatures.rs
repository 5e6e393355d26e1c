//! Signatures: judged as the official libraries judge the sample vectors, and by a table that
//! spells out what Twilio signs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha1::Sha1;
use twilio::signature::{Body, validate, validate_any};

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

const TOKEN: &str = "12345";
const JSON: &str = "{\"a\":1}";
const JSON_SHA256: &str = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862";

/// What comes with a request.
enum Sent {
    Nothing,
    Form(&'static [(&'static str, &'static str)]),
    Raw(&'static str),
}

use Sent::{Form, Nothing, Raw};

/// Base64 of HMAC-SHA1 over a text that the row spells out: nothing of ours has a part in it.
fn hmac_of(token: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).expect("any key");
    mac.update(text.as_bytes());
    BASE64.encode(mac.finalize().into_bytes())
}

fn is_valid(tokens: &[&str], url: &str, signature: &str, sent: &Sent) -> bool {
    let form: Vec<(String, String)>;
    let body = match sent {
        Nothing => Body::None,
        Raw(text) => Body::Raw(text.as_bytes()),
        Form(pairs) => {
            form = pairs.iter().map(|&(name, value)| (name.into(), value.into())).collect();
            Body::Form(&form)
        }
    };
    let any = validate_any(tokens, url, signature, body);
    let each = tokens.iter().any(|token| validate(token, url, signature, body));
    assert_eq!(any, each, "one of them is enough");
    any
}

/// A signed request.
struct Row {
    name: &'static str,
    /// The whole text that Twilio puts through the HMAC.
    signed: String,
    /// The URL as the receiver sees it.
    seen: String,
    sent: Sent,
    holds: bool,
}

/// Forms posted to one URL: what stands after it in the signed text.
#[rustfmt::skip]
fn forms() -> Vec<Row> {
    let cases: [(&str, &str, &[(&str, &str)], bool); 15] = [
        ("a form", "From+1To+2", &[("From", "+1"), ("To", "+2")], true),
        ("in any order", "From+1To+2", &[("To", "+2"), ("From", "+1")], true),
        ("names in byte order", "Bb2a1", &[("a", "1"), ("Bb", "2")], true),
        ("names in another order", "a1Bb2", &[("a", "1"), ("Bb", "2")], false),
        ("an empty form", "", &[], true),
        ("an empty value", "BodyTo+1", &[("To", "+1"), ("Body", "")], true),
        ("an empty value left out", "BodyTo+1", &[("To", "+1")], false),
        ("values of one name, sorted", "SidS1SidS2", &[("Sid", "S2"), ("Sid", "S1")], true),
        ("the same value twice", "SidS1", &[("Sid", "S1"), ("Sid", "S1")], true),
        ("accents and emoji", "BodyÇa va 👨‍👩‍👧?", &[("Body", "Ça va 👨‍👩‍👧?")], true),
        ("composed otherwise", "Body\u{e9}", &[("Body", "e\u{301}")], false),
        ("line ends and tabs", "Bodya\r\n\tb", &[("Body", "a\r\n\tb")], true),
        ("plus, percent, ampersand", "Body1+1=2 & 50%", &[("Body", "1+1=2 & 50%")], true),
        ("another value", "To+1", &[("To", "+2")], false),
        ("a parameter more", "To+1", &[("To", "+1"), ("X", "y")], false),
    ];
    let row = |(name, appended, pairs, holds)| {
        let (signed, seen) = (format!("https://h.example/r{appended}"), "https://h.example/r");
        Row { name, signed, seen: seen.to_owned(), sent: Form(pairs), holds }
    };
    cases.map(row).into()
}

/// One form posted to URLs that are signed and seen in different ways.
#[rustfmt::skip]
fn addresses() -> Vec<Row> {
    let cases = [
        ("the public URL behind a proxy", "https://h.example/r", "https://h.example/r", true),
        ("the inner URL behind a proxy", "https://h.example/r", "http://h.example/r", false),
        ("the inner host behind a proxy", "https://h.example/r", "http://10.0.0.7:80/r", false),
        ("the inner port behind a proxy", "https://h.example/r", "https://h.example:8443/r", true),
        ("443 signed, not seen", "https://h.example:443/r?x=1", "https://h.example/r?x=1", true),
        ("443 seen, not signed", "https://h.example/r?x=1", "https://h.example:443/r?x=1", true),
        ("80 signed, not seen", "http://h.example:80/r", "http://h.example/r", true),
        ("80 seen, not signed", "http://h.example/r", "http://h.example:80/r", true),
        ("a port of its own", "https://h.example:8443/r", "https://h.example:8443/r", true),
        ("its own port, not seen", "https://h.example:8443/r", "https://h.example/r", false),
        ("another port", "https://h.example:8443/r", "https://h.example:9443/r", false),
        ("the other scheme's port", "https://h.example:80/r", "https://h.example/r", false),
        ("a name and password", "https://u:p@h.example/r", "https://u:p@h.example:443/r", true),
        ("a literal address", "https://[2001:db8::1]:443/r", "https://[2001:db8::1]/r", true),
        ("a fragment", "https://h.example/r", "https://h.example/r#rc=5&rp=all", true),
        ("a query and a form", "https://h.example/r?a=1&b=2", "https://h.example/r?a=1&b=2", true),
        ("a query reordered", "https://h.example/r?a=1&b=2", "https://h.example/r?b=2&a=1", false),
        ("a query left out", "https://h.example/r?a=1", "https://h.example/r", false),
        ("a slash more", "https://h.example/r", "https://h.example/r/", false),
        ("another case", "https://h.example/r", "https://h.example/R", false),
        ("another host", "https://h.example/r", "https://g.example/r", false),
    ];
    let row = |(name, signed, seen, holds): (_, &str, &str, _)| {
        let signed = format!("{signed}To+1");
        Row { name, signed, seen: seen.to_owned(), sent: Form(&[("To", "+1")]), holds }
    };
    cases.map(row).into()
}

/// Queries after one path, with nothing else: GET webhooks.
#[rustfmt::skip]
fn queries() -> Vec<Row> {
    let cases = [
        ("a GET", "?MessageSid=SM1&To=%2B1", "?MessageSid=SM1&To=%2B1", true),
        ("as it was spelled", "?q=a%20b+c%2B&e=&f", "?q=a%20b+c%2B&e=&f", true),
        ("in Unicode", "?q=%C3%A9", "?q=%C3%A9", true),
        ("decoded on the way", "?q=a%20b", "?q=a b", false),
        ("encoded otherwise", "?q=%c3%a9", "?q=%C3%A9", false),
        ("an apostrophe escaped", "?n=O%27Hara", "?n=O'Hara", true),
        ("an apostrophe plain", "?n=O'Hara", "?n=O%27Hara", true),
        ("a form seen as a GET", "To+1", "", false),
    ];
    let row = |(name, signed, seen, holds): (_, &str, &str, _)| {
        let url = |query: &str| format!("https://h.example/r{query}");
        Row { name, signed: url(signed), seen: url(seen), sent: Nothing, holds }
    };
    cases.map(row).into()
}

/// JSON bodies, whose hash stands in the query.
#[rustfmt::skip]
fn raw_bodies() -> Vec<Row> {
    let hash = format!("bodySHA256={JSON_SHA256}");
    let shouted = format!("bodySHA256={}", JSON_SHA256.to_uppercase());
    let cases = [
        ("JSON by its hash", format!("/r?{hash}"), None, JSON, true),
        ("JSON by its hash, among others", format!("/r?x=1&{hash}&y=%20"), None, JSON, true),
        ("JSON by its hash, with a port", format!(":443/r?{hash}"), Some(format!("/r?{hash}")),
            JSON, true),
        ("JSON tampered with", format!("/r?{hash}"), None, "{\"a\":2}", false),
        ("JSON without a hash", "/r".to_owned(), None, JSON, false),
        ("JSON with a hash in capitals", format!("/r?{shouted}"), None, JSON, false),
        ("JSON with an empty hash", "/r?bodySHA256=".to_owned(), None, "", false),
        ("JSON, its hash not signed", "/r".to_owned(), Some(format!("/r?{hash}")), JSON, false),
    ];
    let row = |(name, signed, seen, text, holds): (_, String, Option<String>, _, _)| {
        let url = |rest: &str| format!("https://h.example{rest}");
        let seen = url(seen.as_ref().unwrap_or(&signed));
        Row { name, signed: url(&signed), seen, sent: Raw(text), holds }
    };
    cases.map(row).into()
}

#[test]
fn every_row_is_judged_by_what_was_signed() {
    let tables = [forms(), addresses(), queries(), raw_bodies()];
    let rows: Vec<Row> = tables.into_iter().flatten().collect();
    let good = rows.iter().filter(|row| row.holds).count();
    assert_eq!((good, rows.len() - good), (29, 23));
    for Row { name, signed, seen, sent, holds } in rows {
        let signature = hmac_of(TOKEN, &signed);
        for tokens in [&[TOKEN][..], &["previous", TOKEN], &[TOKEN, "previous"]] {
            assert_eq!(is_valid(tokens, &seen, &signature, &sent), holds, "{name}");
        }
        let forgeries = [
            hmac_of("previous", &signed),
            hmac_of("", &signed),
            String::new(),
            format!("{signature} "),
            signature.to_lowercase(),
            signature.trim_end_matches('=').to_owned(),
        ];
        for forged in forgeries {
            assert!(!is_valid(&[TOKEN], &seen, &forged, &sent), "{name}: {forged:?}");
        }
        assert!(!is_valid(&[], &seen, &signature, &sent), "{name}: nobody signs");
    }
}
