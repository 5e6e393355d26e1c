//! The description of the API, OpenAPI 3.1, as it is served at `/openapi.json`.
//!
//! Routes describe themselves where they stand; what holds for all of them (refusals, the
//! idempotency key) is added here, once.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::problem::{self, ProblemOut};

/// The finished description.
pub struct Document {
    /// As it is served.
    json: Bytes,
    /// As the documentation page reads it.
    pub api: Value,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ledgerline",
        description = "Texts that are never sent twice, never skipped silently, and never cost a \
                       credit unexplained.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(ProblemOut)),
    tags(
        (name = "accounts", description = "For whoever runs the installation: accounts, their \
            keys and their credits. These take the operator's key, all others an account's."),
        (name = "rates", description = "For whoever runs the installation: what texts cost, and \
            what the carrier takes."),
        (name = "adjustments", description = "For whoever runs the installation: movements of \
            credits that take two operators."),
        (name = "subscription", description = "What an account subscribed to, and what that \
            allows."),
        (name = "wallet", description = "What an account has, and every credit that moved."),
        (name = "limits", description = "What an account allows itself, what keeps its texts \
            from leaving, and what it should know."),
        (name = "payments", description = "Buying credits: prices, purchases, and what buys by \
            itself."),
        (name = "contacts", description = "The people who get texts."),
        (name = "appointments", description = "Bookings, their reminders and series"),
        (name = "campaigns", description = "A text to a list: written, quoted, started, paused, \
            resumed."),
        (name = "messages", description = "Single texts, and what became of each."),
        (name = "inbox", description = "Conversations both ways, follow-ups for staff, and what \
            acted by itself."),
        (name = "figures", description = "How things go, counted."),
        (name = "consent", description = "What people said about getting texts, and the proof \
            of it."),
        (name = "settings", description = "What an account chooses: which texts, when, in whose \
            words."),
        (name = "senders", description = "What texts come from."),
        (name = "carriers", description = "For whoever runs the installation: how calls to the \
            carriers go, and what they hold that nobody here knows."),
    ),
)]
struct Base;

/// The description without its routes.
pub fn base() -> utoipa::openapi::OpenApi {
    let mut api = Base::openapi();
    let components = api.components.get_or_insert_default();
    for (name, words) in [
        ("operator", "The operator's key, as set in `LEDGERLINE_OPERATOR_KEY`."),
        ("account", "A key of an account, `ll_live_…` or `ll_test_…`."),
    ] {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(words));
        components.add_security_scheme(name, SecurityScheme::Http(bearer.build()));
    }
    api
}

/// Adds what all routes share.
pub fn finish(api: utoipa::openapi::OpenApi) -> Document {
    let mut api = serde_json::to_value(api).expect("a description is valid JSON");
    let paths = api["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            name(operation);
            let writes = matches!(method.as_str(), "post" | "put" | "patch" | "delete");
            add_refusals(path, writes, operation);
            if writes {
                add_idempotency_key(operation);
            }
        }
    }
    Document { json: Bytes::from(api.to_string()), api }
}

/// Gives an operation a name of its own, and its answers the words that the format demands.
fn name(operation: &mut Value) {
    if let (Some(tag), Some(id)) =
        (operation["tags"][0].as_str(), operation["operationId"].as_str())
    {
        operation["operationId"] = format!("{tag}_{id}").into();
    }
    let responses = operation["responses"].as_object_mut().into_iter().flatten();
    for (status, response) in
        responses.filter(|(_, response)| response.get("description").is_none())
    {
        let words = match status.as_str() {
            "201" => "It was made",
            "202" => "It was taken in",
            _ => "Done",
        };
        response["description"] = words.into();
    }
}

fn add_refusals(path: &str, writes: bool, operation: &mut Value) {
    let named = path.contains('{');
    let reads_body = writes && operation.get("requestBody").is_some();
    let refusals = [
        ("400", true, "The body, a header or the cursor is malformed"),
        ("401", true, "There is no key, or nobody knows it"),
        ("403", true, "The key does not open this route"),
        ("404", named, "There is no such thing in this account"),
        ("409", writes, "It exists already, or does not fit the present state"),
        ("413", writes, "The body is too large"),
        ("415", reads_body, "The body has another content type"),
        ("422", true, "A value is wrong; `field` names it"),
        ("500", true, "A defect on this side"),
        ("503", true, "Not right now; the same request may be sent again"),
    ];
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for (status, applies, words) in refusals {
        if applies {
            let schema = json!({"schema": {"$ref": "#/components/schemas/Problem"}});
            let content = json!({ problem::MEDIA_TYPE: schema });
            let refusal = json!({"description": words, "content": content});
            responses.entry(status).or_insert(refusal);
        }
    }
}

fn add_idempotency_key(operation: &mut Value) {
    let key = json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "description": "Any text of 1 to 255 characters: the same key and request get the same \
                        answer, with the header `Idempotent-Replayed: true`.",
        "schema": {"type": "string", "maxLength": 255},
    });
    match operation["parameters"].as_array_mut() {
        Some(parameters) => parameters.push(key),
        None => operation["parameters"] = json!([key]),
    }
}

/// The object behind a `$ref`, or the value itself.
pub fn resolved<'a>(api: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
        Some(path) => api.pointer(path).unwrap_or(value),
        None => value,
    }
}

/// The members of a JSON object; none of anything else.
pub fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// `GET /openapi.json`
pub async fn json(State(document): State<Arc<Document>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], document.json.clone())
}
