//! In which form an answer is wanted: the header `Accept`, or `?format=` where a link is all there
//! is.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::params::Query;
use super::problem::{Problem, Result};

/// A form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
    /// For people, on a screen and on paper.
    Html,
}

impl Form {
    const fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Html => "html",
        }
    }

    /// The form that a request wants of those there are; the first one when it does not say.
    pub fn wanted(headers: &HeaderMap, query: &Query, there: &[Self]) -> Result<Self> {
        if let Some(word) = query.find("format") {
            return there.iter().copied().find(|form| form.word() == word).ok_or_else(|| {
                let words: Vec<&str> = there.iter().map(|form| form.word()).collect();
                Problem::invalid("format", format!("write one of {}", words.join(", ")))
            });
        }
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(preferred(accept, there))
    }
}

/// The best of the forms there are by an `Accept` header (RFC 9110, section 12.5.1). A header that
/// wants none of them is answered all the same, with the first.
fn preferred(accept: &str, there: &[Form]) -> Form {
    let mut best = (0, there[0]);
    for part in accept.split(',') {
        let mut words = part.split(';').map(str::trim);
        let kind = words.next().unwrap_or_default().to_ascii_lowercase();
        let weight = words.find_map(|word| word.strip_prefix("q=")).map_or(1000, thousandths);
        let form = match kind.as_str() {
            "application/json" | "application/*" => Form::Json,
            "text/csv" => Form::Csv,
            "text/html" | "application/xhtml+xml" => Form::Html,
            "*/*" => there[0],
            "text/*" => there.iter().copied().find(|form| *form != Form::Json).unwrap_or(there[0]),
            _ => continue,
        };
        if weight > best.0 && there.contains(&form) {
            best = (weight, form);
        }
    }
    best.1
}

fn thousandths(text: &str) -> u32 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = format!("{part:0<3}").chars().take(3).collect();
    whole.parse::<u32>().unwrap_or(0).min(1) * 1000 + digits.parse::<u32>().unwrap_or(0)
}

/// A sheet to be kept under a name.
pub fn csv(name: &str, text: String) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.csv\"")),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_form_is_taken() {
        use Form::{Csv, Html, Json};
        let all = [Json, Csv, Html];
        for (accept, there, expected) in [
            ("", &all[..], Json),
            ("*/*", &all, Json),
            ("text/csv", &all, Csv),
            ("text/html,application/xhtml+xml,*/*;q=0.8", &all, Html),
            ("text/html;q=0.5, text/csv;q=0.9", &all, Csv),
            ("text/html;q=0, application/json;q=0.1", &all, Json),
            ("text/*", &all, Csv),
            ("image/png", &all, Json),
            ("text/html", &all[..2], Json),
            ("TEXT/CSV ; q=1", &all, Csv),
        ] {
            assert_eq!(preferred(accept, there), expected, "{accept:?}");
        }
    }
}
