//! What stands in a URL: ids in the path, parameters in the query.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use super::problem::{Problem, Result};

/// The id in the path. Text that is no id names nothing, so it is not found.
pub struct Id<T>(pub T);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let found = Path::<String>::from_request_parts(parts, state).await;
        let id = found.ok().and_then(|Path(text)| text.parse().ok());
        id.map(Self).ok_or_else(|| Problem::not_found("id"))
    }
}

/// The parameters of the query.
pub struct Query(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let mut all = BTreeMap::new();
        let text = parts.uri.query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            if all.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(Problem::invalid(name, "write it once"));
            }
        }
        all.retain(|_, value| !value.is_empty());
        Ok(Self(all))
    }
}

impl Query {
    /// Refuses parameters with other names.
    pub fn only(&self, names: &[&str]) -> Result<()> {
        match self.0.keys().find(|name| !names.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let words = format!("unknown parameter; this route takes {}", names.join(", "));
                Err(Problem::unknown(name, words))
            }
        }
    }

    /// The value of a parameter, unless it is empty.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter that is `true` or `false`; `false` when absent.
    pub fn flag(&self, name: &str) -> Result<bool> {
        match self.find(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::invalid(name, "write true or false")),
        }
    }
}
