//! `X-Twilio-Signature`: proof that a webhook was written by Twilio.
//!
//! The rule (FACTS 3.3, twilio-python's `RequestValidator`): base64 of HMAC-SHA1, keyed with the
//! account's primary auth token, over the exact public URL followed by the form parameters. Nothing
//! here knows tenants or HTTP; the caller builds the URL from its configured public base and picks
//! the token of the account named in the request after mapping it to a known tenant.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What came with the request, as far as the signature covers it.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// A GET webhook: every parameter stands in the query, nothing is appended.
    None,
    /// A form POST: the decoded pairs, in any order, empty values included.
    Form(&'a [(String, String)]),
    /// Any other body, signed through `bodySHA256=<hex>` in the query.
    Raw(&'a [u8]),
}

/// Whether `signature` is Twilio's for this request, compared in constant time.
///
/// Twilio is not consistent about ports and apostrophes, so the URL is tried as received, with its
/// port removed or the scheme's default port added (all official libraries do that), and with `'`
/// and `%27` exchanged in the query (as twilio-node does). A fragment is never signed. A raw body
/// without `bodySHA256` in the query is refused.
pub fn validate(auth_token: &str, url: &str, signature: &str, body: Body<'_>) -> bool {
    let params = match body {
        Body::None => &[],
        Body::Form(params) => params,
        Body::Raw(bytes) if body_hash_matches(url, bytes) => &[],
        Body::Raw(_) => return false,
    };
    let suffix = signed_params(params);
    spellings(url).any(|spelling| {
        let expected = mac_of(auth_token, &spelling, &suffix);
        expected.as_bytes().ct_eq(signature.as_bytes()).into()
    })
}

/// Whether `signature` was made with any of these auth tokens.
///
/// Only the primary token signs, and promoting the secondary one swaps them at once, so a receiver
/// accepts the present and the previous token for a while (FACTS 3.3, rule 7). Every token is
/// tried, so the time taken does not tell which one matched. No tokens accept nothing.
pub fn validate_any(auth_tokens: &[&str], url: &str, signature: &str, body: Body<'_>) -> bool {
    auth_tokens.iter().fold(false, |found, token| found | validate(token, url, signature, body))
}

/// The signature Twilio puts on a request to `url` with these form parameters (none for a GET or a
/// raw body). The URL is signed as given, without its fragment.
pub fn sign<S: AsRef<str>>(auth_token: &str, url: &str, params: &[(S, S)]) -> String {
    mac_of(auth_token, without_fragment(url), &signed_params(params))
}

/// The lower-case hex SHA-256 which `bodySHA256` must equal for a raw body.
pub fn body_sha256(body: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(body).iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
        hex
    })
}

fn mac_of(auth_token: &str, url: &str, suffix: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(auth_token.as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(url.as_bytes());
    mac.update(suffix.as_bytes());
    BASE64.encode(mac.finalize().into_bytes())
}

/// Names in byte order, each followed by its distinct values in byte order, with no separator.
fn signed_params<S: AsRef<str>>(params: &[(S, S)]) -> String {
    let mut pairs: Vec<(&str, &str)> =
        params.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
    pairs.sort_unstable();
    pairs.dedup();
    let mut text = String::with_capacity(pairs.iter().map(|(n, v)| n.len() + v.len()).sum());
    for (name, value) in pairs {
        text.push_str(name);
        text.push_str(value);
    }
    text
}

/// Whether the first non-empty `bodySHA256` of the query is the hash of `body`.
fn body_hash_matches(url: &str, body: &[u8]) -> bool {
    let Some((_, query)) = without_fragment(url).split_once('?') else { return false };
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, value)| name == "bodySHA256" && !value.is_empty())
        .is_some_and(|(_, claimed)| body_sha256(body).as_bytes().ct_eq(claimed.as_bytes()).into())
}

fn without_fragment(url: &str) -> &str {
    url.split_once('#').map_or(url, |(before, _)| before)
}

/// Every way Twilio may have spelled the URL it signed, the likeliest first.
fn spellings(url: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let bare = without_fragment(url);
    let as_received = std::iter::once(bare).chain((bare.len() < url.len()).then_some(url));
    as_received.flat_map(|url| {
        let ported = other_port(url).map(Cow::Owned);
        std::iter::once(Cow::Borrowed(url)).chain(ported).flat_map(apostrophes)
    })
}

/// The URL with its port removed, or with the scheme's default port when it names none.
fn other_port(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host_at = authority.rfind('@').map_or(0, |at| at + 1);
    let host = &authority[host_at..];
    let after_literal = host.rfind(']').map_or(0, |at| at + 1);
    if let Some(colon) = host[after_literal..].find(':') {
        let keep = host_at + after_literal + colon;
        return Some(format!("{scheme}://{}{tail}", &authority[..keep]));
    }
    let port = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
    Some(format!("{scheme}://{authority}:{port}{tail}"))
}

/// The URL itself, then with the apostrophes of its query escaped, then with them plain.
fn apostrophes(url: Cow<'_, str>) -> impl Iterator<Item = Cow<'_, str>> {
    let query_at = url.find('?').unwrap_or(url.len());
    let (path, query) = url.split_at(query_at);
    let escaped = query.contains('\'').then(|| format!("{path}{}", query.replace('\'', "%27")));
    let plain = query.contains("%27").then(|| format!("{path}{}", query.replace("%27", "'")));
    std::iter::once(url).chain(escaped.map(Cow::Owned)).chain(plain.map(Cow::Owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "s3cr3t";

    #[test]
    fn ports_are_added_and_removed() {
        #[rustfmt::skip]
        let cases = [
            ("https://example.com/p?q=1", Some("https://example.com:443/p?q=1")),
            ("http://example.com/p", Some("http://example.com:80/p")),
            ("https://example.com:8443/p", Some("https://example.com/p")),
            ("http://example.com:1234", Some("http://example.com")),
            ("https://example.com?at=10:30", Some("https://example.com:443?at=10:30")),
            ("https://u:p@example.com/p", Some("https://u:p@example.com:443/p")),
            ("https://u:p@example.com:1/p", Some("https://u:p@example.com/p")),
            ("https://[::1]/p", Some("https://[::1]:443/p")),
            ("https://[::1]:8443/p", Some("https://[::1]/p")),
            ("not a url", None),
        ];
        for (url, expected) in cases {
            assert_eq!(other_port(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn any_of_the_tokens_opens() {
        let url = "https://hooks.example/status";
        let params = vec![("To".to_owned(), "+15105550123".to_owned())];
        let signature = sign("previous", url, &params);
        let form = Body::Form(&params);
        #[rustfmt::skip]
        let cases: [(&[&str], bool); 6] = [
            (&["previous"], true),
            (&["present", "previous"], true),
            (&["previous", "present"], true),
            (&["present", "next"], false),
            (&["", "present"], false),
            (&[], false),
        ];
        for (tokens, valid) in cases {
            assert_eq!(validate_any(tokens, url, &signature, form), valid, "{tokens:?}");
        }
    }

    #[test]
    fn own_signatures_validate_and_any_change_breaks_them() {
        let url = "https://hooks.example/status?t=1";
        let params = vec![
            ("To".to_owned(), "+15105550123".to_owned()),
            ("Body".to_owned(), "Hi 👍🏽".to_owned()),
            ("Empty".to_owned(), String::new()),
        ];
        let signature = sign(TOKEN, &format!("{url}#rc=5&rp=all"), &params);
        assert!(validate(TOKEN, url, &signature, Body::Form(&params)));
        assert!(validate(TOKEN, &format!("{url}#rc=5"), &signature, Body::Form(&params)));
        assert!(!validate("other", url, &signature, Body::Form(&params)));
        assert!(!validate(TOKEN, url, &signature, Body::Form(&params[..2])));
        assert!(!validate(TOKEN, url, &signature, Body::None));
        assert!(!validate(TOKEN, url, &signature, Body::Raw(b"{}")));
        assert!(!validate(TOKEN, &format!("{url}2"), &signature, Body::Form(&params)));
        assert!(!validate(TOKEN, url, "", Body::Form(&params)));
        assert!(!validate(TOKEN, url, &format!("{signature} "), Body::Form(&params)));
    }
}
