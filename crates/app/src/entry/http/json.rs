//! JSON bodies, read strictly: unknown fields, wrong types and wrong values are refused by name.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::problem::{Code, Problem, Result};

/// Refuses a body that does not call itself JSON.
pub fn check_content_type(headers: &HeaderMap) -> Result<()> {
    let named = media_type(headers);
    let json = named.eq_ignore_ascii_case("application/json")
        || (named.starts_with("application/") && named.ends_with("+json"));
    if json {
        return Ok(());
    }
    Err(Problem::new(Code::UnsupportedMediaType, "write Content-Type: application/json"))
}

/// The content type without its parameters.
pub fn media_type(headers: &HeaderMap) -> &str {
    let whole = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    whole.split(';').next().unwrap_or_default().trim()
}

/// Reads a JSON object.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        refusal(&path, &error.into_inner(), body)
    })?;
    json.end().map_err(|error| malformed(&error))?;
    // Structs would be read from lists, too.
    if !starts_with(body, b'{') {
        return Err(not_an_object());
    }
    if has_nul(body) {
        let words = "leave out the character \\u0000: no text can hold it";
        return Err(Problem::new(Code::InvalidField, words));
    }
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(Code::InvalidJson, format!("the body is not valid JSON: {error}"))
}

fn not_an_object() -> Problem {
    Problem::new(Code::InvalidField, "write a JSON object: {…}")
}

fn refusal(path: &str, error: &serde_json::Error, body: &[u8]) -> Problem {
    if matches!(error.classify(), Category::Syntax | Category::Eof | Category::Io) {
        return malformed(error);
    }
    // A body of another type is read to its end first, so that broken JSON is called so.
    if let Err(broken) = serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        return malformed(&broken);
    }
    if !starts_with(body, b'{') {
        return not_an_object();
    }
    let words = error.to_string();
    let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
    let parent = if path == "." { "" } else { path };
    if words.starts_with("unknown field") {
        return Problem::unknown(within(parent, quoted(words)), words);
    }
    if words.starts_with("missing field") || words.starts_with("duplicate field") {
        return Problem::invalid(within(parent, quoted(words)), words);
    }
    Problem::invalid(parent, words)
}

fn starts_with(body: &[u8], byte: u8) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&byte)
}

/// The name in serde's "unknown field `name`, expected …".
fn quoted(words: &str) -> &str {
    words.split('`').nth(1).unwrap_or_default()
}

/// A field's path; whether the path of an error ends with the field itself depends on the error.
fn within(parent: &str, field: &str) -> String {
    let last = parent.rsplit('.').next().unwrap_or_default();
    if last == field || field.is_empty() {
        parent.to_owned()
    } else if parent.is_empty() {
        field.to_owned()
    } else {
        format!("{parent}.{field}")
    }
}

/// Whether a text holds U+0000, which PostgreSQL cannot keep. In JSON it is always escaped.
fn has_nul(body: &[u8]) -> bool {
    let escape = b"\\u0000";
    body.windows(escape.len()).enumerate().filter(|(_, window)| window == escape).any(|(at, _)| {
        let backslashes = body[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        backslashes % 2 == 0
    })
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read is looked at")]
    struct Outer {
        name: String,
        count: Option<u32>,
        inner: Option<Inner>,
        list: Option<Vec<u32>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only whether it can be read is looked at")]
    struct Inner {
        depth: u32,
    }

    #[test]
    fn refusals_name_the_field() {
        let cases: &[(&str, u16, &str)] = &[
            (r#"{"name":"x"}"#, 200, ""),
            (r#"{"name":"\\u0000"}"#, 200, ""),
            (r#"{"name":"\u0000"}"#, 422, "None"),
            ("", 400, "None"),
            ("{", 400, "None"),
            (r#"{"name":"x"} {"#, 400, "None"),
            (r#"{"name":1"#, 400, "None"),
            (r#"["x",null,null,null]"#, 422, "None"),
            ("7", 422, "None"),
            ("\u{feff}{}", 400, "None"),
            ("{}", 422, r#"Some("name")"#),
            (r#"{"name":1}"#, 422, r#"Some("name")"#),
            (r#"{"name":"x","count":-1}"#, 422, r#"Some("count")"#),
            (r#"{"name":"x","count":99999999999999999999999}"#, 422, r#"Some("count")"#),
            (r#"{"name":"x","nmae":1}"#, 422, r#"Some("nmae")"#),
            (r#"{"name":"x","name":"y"}"#, 422, r#"Some("name")"#),
            (r#"{"name":"x","inner":{"depth":"a"}}"#, 422, r#"Some("inner.depth")"#),
            (r#"{"name":"x","inner":{"depht":1}}"#, 422, r#"Some("inner.depht")"#),
            (r#"{"name":"x","inner":{}}"#, 422, r#"Some("inner.depth")"#),
            (r#"{"name":"x","list":[1,"a"]}"#, 422, r#"Some("list[1]")"#),
        ];
        for (body, status, field) in cases {
            match read::<Outer>(body.as_bytes()) {
                Ok(_) => assert_eq!(*status, 200, "{body}"),
                Err(problem) => {
                    let debug = format!("{problem:?}");
                    let found = debug.split("field: ").nth(1).expect("a field");
                    assert!(found.starts_with(field), "{body}: {debug}");
                    assert_eq!(problem.into_response().status().as_u16(), *status, "{body}");
                }
            }
        }
    }
}
