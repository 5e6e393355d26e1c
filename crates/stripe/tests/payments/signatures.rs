//! Signatures: judged as Stripe's own library judges the sample vectors, and by a table that spells
//! out what is signed.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use serde::Deserialize;
use sha2::Sha256;
use stripe::signature::SignatureError::{
    self, Body, Header, Mismatch, NoHeader, NoSecret, NoSignature, TooOld,
};
use stripe::signature::{sign, verify};

#[derive(Deserialize)]
struct Vector {
    name: String,
    payload: String,
    header: String,
    secret: String,
    now: i64,
    tolerance: Option<i64>,
    valid: bool,
}

#[test]
fn the_samples_are_judged_as_the_official_library_does() {
    let samples = include_str!("../vectors/stripe_signatures.jsonl");
    let mut judged = 0;
    for line in samples.lines() {
        let it: Vector = serde_json::from_str(line).expect("a vector");
        let said = verify(it.payload.as_bytes(), &it.header, &[&it.secret], it.now, it.tolerance);
        assert_eq!(said.is_ok(), it.valid, "{}: {said:?}", it.name);
        judged += 1;
    }
    assert_eq!(judged, 17);
}

const SECRET: &str = "whsec_one";
const BODY: &str = "{\"id\":\"evt_1\"}";
const NOW: i64 = 1_795_225_200;

/// The lower-case hex of HMAC-SHA256 over a text that the row spells out: nothing of ours has a
/// part in it.
fn hmac_of(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    mac.update(text.as_bytes());
    let mut hex = String::new();
    for byte in mac.finalize().into_bytes() {
        write!(hex, "{byte:02x}").expect("writing to a String");
    }
    hex
}

/// Headers in which `{good}` stands for the signature over `NOW`, `{other}` for another secret's.
#[rustfmt::skip]
const HEADERS: [(&str, &str, Result<(), SignatureError>); 44] = [
    ("the plain header", "t=1795225200,v1={good}", Ok(())),
    ("the other way round", "v1={good},t=1795225200", Ok(())),
    ("with v0 beside it", "t=1795225200,v1={good},v0={other}", Ok(())),
    ("v0 alone", "t=1795225200,v0={good}", Err(NoSignature)),
    ("a v2", "t=1795225200,v2={good}", Err(NoSignature)),
    ("two, the first fits", "t=1795225200,v1={good},v1={other}", Ok(())),
    ("two, the second fits", "t=1795225200,v1={other},v1={good}", Ok(())),
    ("two, none fits", "t=1795225200,v1={other},v1={other}", Err(Mismatch)),
    ("another secret", "t=1795225200,v1={other}", Err(Mismatch)),
    ("upper case", "t=1795225200,v1={GOOD}", Err(Mismatch)),
    ("cut short", "t=1795225200,v1=abc", Err(Mismatch)),
    ("an empty signature", "t=1795225200,v1=", Err(Mismatch)),
    ("one too long", "t=1795225200,v1={good}0", Err(Mismatch)),
    ("a space before the scheme", "t=1795225200, v1={good}", Err(NoSignature)),
    ("a space after the scheme", "t=1795225200,v1 ={good}", Err(NoSignature)),
    ("a space before the hex", "t=1795225200,v1= {good}", Err(Mismatch)),
    ("a space at the end", "t=1795225200,v1={good} ", Err(Mismatch)),
    ("a space before t", " t=1795225200,v1={good}", Err(Header)),
    ("a scheme in upper case", "t=1795225200,V1={good}", Err(NoSignature)),
    ("T in upper case", "T=1795225200,v1={good}", Err(Header)),
    ("more after another =", "t=1795225200,v1={good}=x", Ok(())),
    ("more after t's second =", "t=1795225200=x,v1={good}", Ok(())),
    ("v1 without =", "t=1795225200,v1,v1={good}", Err(Header)),
    ("t without =, later", "t=1795225200,t,v1={good}", Err(Header)),
    ("anything without =", "x,t=1795225200,,v1={good},y=", Ok(())),
    ("the first t counts", "t=1795225200,t=1,v1={good}", Ok(())),
    ("the second t does not", "t=1,t=1795225200,v1={good}", Err(Mismatch)),
    ("a broken second t", "t=1795225200,t=x,v1={good}", Ok(())),
    ("no t", "v1={good}", Err(Header)),
    ("an empty t", "t=,v1={good}", Err(Header)),
    ("no signature", "t=1795225200", Err(NoSignature)),
    ("t is no number", "t=abc,v1={good}", Err(Header)),
    ("t has a fraction", "t=1795225200.0,v1={good}", Err(Header)),
    ("t with spaces", "t= 1795225200 ,v1={good}", Ok(())),
    ("t with a sign", "t=+1795225200,v1={good}", Ok(())),
    ("t with zeros", "t=001795225200,v1={good}", Ok(())),
    ("t with underscores", "t=1_795_225_200,v1={good}", Ok(())),
    ("t with two underscores", "t=1__795225200,v1={good}", Err(Header)),
    ("t in other digits", "t=１７９５２２５２００,v1={good}", Ok(())),
    ("another t", "t=1795225201,v1={good}", Err(Mismatch)),
    ("semicolons", "t=1795225200;v1={good}", Err(Header)),
    ("a word that is no hex, later", "t=1795225200,v1={good},v1=é", Ok(())),
    ("a word that is no hex, first", "t=1795225200,v1=é,v1={good}", Err(Mismatch)),
    ("nothing", "", Err(NoHeader)),
];

#[test]
fn headers_are_read_as_the_official_library_reads_them() {
    let good = hmac_of(SECRET, &format!("1795225200.{BODY}"));
    let other = hmac_of("whsec_two", &format!("1795225200.{BODY}"));
    for (name, header, expected) in HEADERS {
        let header = header.replace("{good}", &good).replace("{other}", &other);
        let header = header.replace("{GOOD}", &good.to_uppercase());
        let said = verify(BODY.as_bytes(), &header, &[SECRET], NOW, Some(300));
        assert_eq!(said, expected, "{name}");
    }
}

#[test]
fn age_counts_where_a_tolerance_is_given() {
    let header = sign(BODY.as_bytes(), SECRET, NOW);
    #[rustfmt::skip]
    let cases = [
        (NOW, Some(300), Ok(())),
        (NOW + 299, Some(300), Ok(())),
        (NOW + 300, Some(300), Ok(())),
        (NOW + 301, Some(300), Err(TooOld)),
        (NOW + 301, Some(0), Ok(())),
        (NOW + 1_000_000, None, Ok(())),
        (NOW - 301, Some(300), Ok(())),
        (0, Some(300), Ok(())),
        (NOW + 1, Some(1), Ok(())),
        (NOW + 2, Some(1), Err(TooOld)),
        (NOW, Some(-1), Err(TooOld)),
        (NOW - 1, Some(-1), Ok(())),
        (i64::MAX, Some(300), Err(TooOld)),
        (i64::MIN, Some(i64::MAX), Ok(())),
        (i64::MAX, Some(i64::MIN), Err(TooOld)),
    ];
    for (now, tolerance, expected) in cases {
        let said = verify(BODY.as_bytes(), &header, &[SECRET], now, tolerance);
        assert_eq!(said, expected, "{now} {tolerance:?}");
    }
    // Too old and wrong is wrong.
    let wrong = verify(b"{}", &header, &[SECRET], NOW + 301, Some(300));
    assert_eq!(wrong, Err(Mismatch));
}

#[test]
fn times_beyond_every_range_are_compared_all_the_same() {
    let far = "9".repeat(60);
    for (time, expected) in [(far.clone(), Ok(())), (format!("-{far}"), Err(TooOld))] {
        let header = format!("t={time},v1={}", hmac_of(SECRET, &format!("{time}.{BODY}")));
        assert_eq!(verify(BODY.as_bytes(), &header, &[SECRET], NOW, Some(300)), expected, "{time}");
        assert_eq!(verify(BODY.as_bytes(), &header, &[SECRET], NOW, None), Ok(()), "{time}");
    }
}

#[test]
fn any_secret_will_do_and_a_blank_one_never_does() {
    let header = sign(BODY.as_bytes(), SECRET, NOW);
    let blank = format!("t={NOW},v1={}", hmac_of("", &format!("{NOW}.{BODY}")));
    let spaced = format!("t={NOW},v1={}", hmac_of(" \t", &format!("{NOW}.{BODY}")));
    #[rustfmt::skip]
    let cases: [(&str, &[&str], Result<(), SignatureError>); 9] = [
        (&header, &[SECRET, "whsec_two"], Ok(())),
        (&header, &["whsec_two", SECRET], Ok(())),
        (&header, &["", SECRET], Ok(())),
        (&header, &["whsec_two"], Err(Mismatch)),
        (&header, &["one"], Err(Mismatch)),
        (&header, &[], Err(NoSecret)),
        (&blank, &[""], Err(NoSecret)),
        (&spaced, &[" \t"], Err(NoSecret)),
        (&blank, &["", SECRET], Err(Mismatch)),
    ];
    for (header, secrets, expected) in cases {
        assert_eq!(verify(BODY.as_bytes(), header, secrets, NOW, None), expected, "{secrets:?}");
    }
}

#[test]
fn the_body_counts_to_the_byte() {
    let header = sign("{\"é\": 1}\n".as_bytes(), SECRET, NOW);
    #[rustfmt::skip]
    let cases: [(&[u8], _); 5] = [
        ("{\"é\": 1}\n".as_bytes(), Ok(())),
        ("{\"é\": 1}".as_bytes(), Err(Mismatch)),
        ("{\"é\":1}\n".as_bytes(), Err(Mismatch)),
        ("{\"e\u{301}\": 1}\n".as_bytes(), Err(Mismatch)),
        (b"{\"\xff\": 1}\n", Err(Body)),
    ];
    for (body, expected) in cases {
        assert_eq!(verify(body, &header, &[SECRET], NOW, Some(300)), expected, "{body:?}");
    }
}

proptest! {
    #[test]
    fn what_is_signed_is_believed_and_nothing_else(
        body in "\\PC{0,80}",
        secret in "[!-~]{1,40}",
        now in 0..4_000_000_000_i64,
        at in 0..400_usize,
        by in 1..=127_u8,
    ) {
        let header = sign(body.as_bytes(), &secret, now);
        let expected = hmac_of(&secret, &format!("{now}.{body}"));
        prop_assert_eq!(&header, &format!("t={now},v1={expected}"));
        prop_assert_eq!(verify(body.as_bytes(), &header, &[&secret], now, Some(300)), Ok(()));
        // A changed byte of the signature, or a byte more in the body.
        let mut bytes = header.clone().into_bytes();
        let place = header.len() - 64 + at % 64;
        bytes[place] = b'!' + (bytes[place] - b'!' + by % 93).rem_euclid(94);
        let changed = String::from_utf8(bytes).expect("ASCII");
        if changed != header {
            prop_assert!(verify(body.as_bytes(), &changed, &[&secret], now, None).is_err());
        }
        let longer = format!("{body} ");
        let said = verify(longer.as_bytes(), &header, &[&secret], now, None);
        prop_assert_eq!(said, Err(Mismatch));
    }

    #[test]
    fn no_header_makes_it_panic(header in "(\\PC|[tv01=,_+-]){0,40}", now in any::<i64>()) {
        let said = verify(b"{}", &header, &[SECRET], now, Some(now));
        prop_assert!(said.is_err(), "{said:?}");
    }
}
