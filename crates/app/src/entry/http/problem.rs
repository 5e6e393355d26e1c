//! Refusals: the one place where an error becomes an HTTP answer (`application/problem+json`,
//! RFC 9457). Callers tell refusals apart by `code`, which is stable; people read `detail`. What
//! happened inside stays inside: it is logged by [`super::guard`] and never sent.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use store::Error as StoreError;

use crate::flow::Refusal;

/// The media type of a refusal.
pub const MEDIA_TYPE: &str = "application/problem+json";

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident =
        $status:ident $word:literal $title:literal),* $(,)?) => {
        /// What kind of refusal it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $($(#[doc = $doc])* $name),* }
        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name),*];
            /// The stable word that callers compare.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }
            /// The code in a few words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),* }
            }
            /// The usual status.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status),* }
            }
            /// When it happens.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),*)),* }
            }
        }
    };
}
codes! {
    /// There is no bearer key, or nobody knows it.
    Unauthorized = UNAUTHORIZED "unauthorized" "A key is needed",
    /// The key is known but does not open this route.
    Forbidden = FORBIDDEN "forbidden" "Not with this key",
    /// A test key cannot send texts through a real carrier.
    TestKey = FORBIDDEN "test_key" "A test key cannot send",
    /// There is no such thing, or it belongs to another account.
    NotFound = NOT_FOUND "not_found" "Not found",
    /// The route exists, for another method.
    MethodNotAllowed = METHOD_NOT_ALLOWED "method_not_allowed" "Wrong method",
    /// The body is not JSON.
    InvalidJson = BAD_REQUEST "invalid_json" "Malformed JSON",
    /// There is no field of this name; `field` names it.
    UnknownField = UNPROCESSABLE_ENTITY "unknown_field" "Unknown field",
    /// A value is missing or wrong; `field` says where.
    InvalidField = UNPROCESSABLE_ENTITY "invalid_field" "Invalid value",
    /// The body is larger than this route takes.
    PayloadTooLarge = PAYLOAD_TOO_LARGE "payload_too_large" "Body too large",
    /// The body has another content type than this route takes.
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" "Wrong content type",
    /// The idempotency key was used before, for another request.
    IdempotencyMismatch = UNPROCESSABLE_ENTITY "idempotency_mismatch" "Idempotency key used before",
    /// It exists already.
    Conflict = CONFLICT "conflict" "Exists already",
    /// It does not fit the present state.
    StateConflict = CONFLICT "state_conflict" "Not in this state",
    /// A defect on this side; the header `X-Request-Id` finds it in the log.
    Internal = INTERNAL_SERVER_ERROR "internal" "Something went wrong here",
    /// It cannot be done right now; the same request may be sent again.
    Unavailable = SERVICE_UNAVAILABLE "unavailable" "Not right now",
}

/// The result of an endpoint.
pub type Result<T> = std::result::Result<T, Problem>;

/// A refusal on its way out.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    status: StatusCode,
    detail: String,
    field: Option<String>,
    /// What really happened; for the log only.
    cause: Option<Cause>,
}

/// What happened inside, carried to whoever logs it.
#[derive(Clone, Debug)]
pub struct Cause(pub String);

/// A refusal as it is sent.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct ProblemOut<'a> {
    /// Where the code is explained.
    #[serde(rename = "type")]
    kind: String,
    /// The code in a few words.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// The stable word to tell refusals apart by.
    code: &'a str,
    /// What is wrong here and how to mend it.
    detail: &'a str,
    /// Which field is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl Problem {
    /// A refusal with its usual status.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let status = code.status();
        Self { code, status, detail: detail.into(), field: None, cause: None }
    }

    /// A value that cannot be used.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(Code::InvalidField, detail) }
    }

    /// A header or parameter that no client writes by itself: 400 instead of 422.
    pub fn malformed(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, ..Self::invalid(field, detail) }
    }

    /// A field that does not exist.
    pub fn unknown(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(Code::UnknownField, detail) }
    }

    /// Something that is not there, or not for this caller.
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}"))
    }

    /// A defect or an outage. `cause` is logged, not sent.
    pub fn internal(cause: impl Into<String>) -> Self {
        let detail = "the request was not carried out; the header X-Request-Id names it in the log";
        Self { cause: Some(Cause(cause.into())), ..Self::new(Code::Internal, detail) }
    }

    /// Two transactions met: the same request may well succeed when run again.
    pub const fn is_passing(&self) -> bool {
        matches!(self.code, Code::Unavailable)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid { field, problem } => Self::invalid(field, problem),
            Refusal::NotFound(what) => Self::not_found(what),
            Refusal::Exists(words) => Self::new(Code::Conflict, words),
            Refusal::State(words) => Self::new(Code::StateConflict, words),
            Refusal::Unavailable(words) => Self::new(Code::Unavailable, words),
            Refusal::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing(what) => Self::not_found(what),
            StoreError::Ledger(refusal) => Self::new(Code::StateConflict, refusal.to_string()),
            StoreError::Conflict => {
                Self::new(Code::Unavailable, "the database is busy; send the same request again")
            }
            other => Self::internal(other.to_string()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let out = ProblemOut {
            kind: format!("/docs#problem-{}", self.code.as_str()),
            title: self.code.title(),
            status: self.status.as_u16(),
            code: self.code.as_str(),
            detail: &self.detail,
            field: self.field.as_deref(),
        };
        let body = serde_json::to_string(&out).expect("texts and numbers are valid JSON");
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"ledgerline\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(cause);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_become_statuses_and_codes() {
        let cases: Vec<(Problem, u16, &str)> = vec![
            (crate::flow::invalid("to", "x").into(), 422, "invalid_field"),
            (Refusal::NotFound("campaign").into(), 404, "not_found"),
            (Refusal::Exists("x".into()).into(), 409, "conflict"),
            (Refusal::State("x".into()).into(), 409, "state_conflict"),
            (StoreError::Conflict.into(), 503, "unavailable"),
            (StoreError::Damaged("secret".into()).into(), 500, "internal"),
            (Problem::malformed("cursor", "x"), 400, "invalid_field"),
        ];
        for (problem, status, code) in cases {
            assert_eq!((problem.status.as_u16(), problem.code.as_str()), (status, code));
            assert!(!problem.detail.contains("secret"), "{}", problem.detail);
        }
    }
}
