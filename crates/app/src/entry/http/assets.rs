//! Styles and scripts of the pages, built into the program.

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

macro_rules! embedded {
    ($($name:literal $kind:literal),* $(,)?) => {
        const ASSETS: &[(&str, &str, &str)] = &[$((
            $name,
            $kind,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/", $name)),
        )),*];
    };
}
embedded!(
    "page.css" "text/css; charset=utf-8",
    "docs.css" "text/css; charset=utf-8",
    "watch.css" "text/css; charset=utf-8",
    "opt_out.css" "text/css; charset=utf-8",
    "purchase.css" "text/css; charset=utf-8",
    "watch.js" "text/javascript; charset=utf-8",
    "icon.svg" "image/svg+xml",
);

/// A built-in file.
pub async fn asset(Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, text)) => {
            let headers = [(CONTENT_TYPE, *kind), (CACHE_CONTROL, "public, max-age=300")];
            (headers, *text).into_response()
        }
        None => Problem::not_found("file").into_response(),
    }
}
