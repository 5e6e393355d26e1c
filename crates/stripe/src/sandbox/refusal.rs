//! Refusals in Stripe's words.

use serde_json::{Value, json};

/// What is answered instead of an object.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: u16,
    pub body: Value,
    /// An idempotency key remembers it. What was only badly asked is forgotten.
    pub is_kept: bool,
}

impl Refusal {
    fn new(status: u16, kind: &str, code: Option<&str>, message: &str, param: &str) -> Self {
        let mut error = json!({ "type": kind, "message": message });
        if let Some(code) = code {
            error["code"] = json!(code);
            error["doc_url"] = json!(format!("https://stripe.com/docs/error-codes/{code}"));
        }
        if !param.is_empty() {
            error["param"] = json!(param);
        }
        Self { status, body: json!({ "error": error }), is_kept: false }
    }

    /// A parameter that does not fit.
    pub fn invalid(code: &str, param: &str, message: &str) -> Self {
        Self::new(400, "invalid_request_error", Some(code), message, param)
    }

    /// A parameter that is missing.
    pub fn missing(param: &str) -> Self {
        let message = format!("Missing required param: {param}.");
        Self::invalid("parameter_missing", param, &message)
    }

    /// A parameter that names nothing.
    pub fn names_nothing(kind: &str, id: &str, param: &str) -> Self {
        let message = format!("No such {kind}: '{id}'");
        Self::invalid("resource_missing", param, &message)
    }

    /// An object that is not there.
    pub fn no_such(kind: &str, id: &str) -> Self {
        let message = format!("No such {kind}: '{id}'");
        Self::new(404, "invalid_request_error", Some("resource_missing"), &message, "id")
    }

    /// A path that is none.
    pub fn no_path(method: &str, path: &str) -> Self {
        let message = format!("Unrecognized request URL ({method}: {path}).");
        Self::new(404, "invalid_request_error", None, &message, "")
    }

    /// A key that is none.
    pub fn unauthorized() -> Self {
        let message = "Invalid API Key provided.";
        Self::new(401, "invalid_request_error", Some("api_key_invalid"), message, "")
    }

    /// An idempotency key that came with other parameters before.
    pub fn other_parameters() -> Self {
        let message = "Keys for idempotent requests can only be used with the same parameters \
                       they were first used with.";
        Self::new(400, "idempotency_error", None, message, "")
    }

    /// An idempotency key whose request is still being carried out.
    pub fn in_use() -> Self {
        let message = "There is currently another in-progress request using this Idempotent Key.";
        Self::new(409, "idempotency_error", Some("idempotency_key_in_use"), message, "")
    }

    /// A fault on purpose.
    pub fn failing(status: u16) -> Self {
        let kind = if status >= 500 { "api_error" } else { "invalid_request_error" };
        Self::new(status, kind, None, "It fails on purpose.", "")
    }

    /// A decline, with the payment that failed.
    pub fn declined(error: &Value, payment: &Value) -> Self {
        let mut error = error.clone();
        error["payment_intent"] = payment.clone();
        error["charge"] = payment["latest_charge"].clone();
        Self { status: 402, body: json!({ "error": error }), is_kept: true }
    }
}
