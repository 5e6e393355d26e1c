//! The readable documentation of the API, made from its OpenAPI description.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use serde_json::Value;

use super::openapi::{Document, members, resolved};
use super::problem::{Code, Problem, Result};
use crate::entry::app::App;

/// Fields within fields are shown down to here.
const DEPTH_MAX: usize = 3;

#[derive(Template)]
#[template(path = "docs.html")]
struct Page {
    title: String,
    words: String,
    base: String,
    groups: Vec<Group>,
    problems: Vec<Refusal>,
}

/// Endpoints of one kind.
struct Group {
    name: String,
    words: Vec<Run>,
    endpoints: Vec<Endpoint>,
}

struct Endpoint {
    anchor: String,
    method: String,
    path: String,
    summary: String,
    description: Vec<Run>,
    key: String,
    parameters: Vec<Field>,
    body_type: String,
    body: Vec<Field>,
    answers: Vec<Answer>,
    curl: String,
}

struct Answer {
    status: String,
    words: String,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    kind: String,
    required: bool,
    words: Vec<Run>,
}

/// A run of words, or of code that stood between backticks.
struct Run {
    is_code: bool,
    text: String,
}

struct Refusal {
    code: &'static str,
    status: u16,
    meaning: Vec<Run>,
}

/// `GET /docs`
pub async fn page(
    State(app): State<Arc<App>>,
    State(document): State<Arc<Document>>,
) -> Result<Html<String>> {
    let html = page_of(&document.api, &app.public_url)
        .render()
        .map_err(|error| Problem::internal(format!("the documentation: {error}")))?;
    Ok(Html(html))
}

fn page_of(api: &Value, base: &str) -> Page {
    let groups = api["tags"].as_array().into_iter().flatten().map(|tag| {
        let name = text(&tag["name"]);
        Group { endpoints: endpoints(api, base, &name), words: runs(&tag["description"]), name }
    });
    let problems = Code::ALL.iter().map(|code| Refusal {
        code: code.as_str(),
        status: code.status().as_u16(),
        meaning: runs(&code.meaning().trim().into()),
    });
    Page {
        title: text(&api["info"]["title"]),
        words: text(&api["info"]["description"]),
        base: base.to_owned(),
        groups: groups.collect(),
        problems: problems.collect(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn runs(value: &Value) -> Vec<Run> {
    let parts = value.as_str().unwrap_or_default().split('`').enumerate();
    let run = |(n, part): (usize, &str)| Run { is_code: n % 2 == 1, text: part.to_owned() };
    parts.map(run).filter(|run| !run.text.is_empty()).collect()
}

fn endpoints(api: &Value, base: &str, tag: &str) -> Vec<Endpoint> {
    let mut all = Vec::new();
    for (path, item) in members(&api["paths"]) {
        for (method, operation) in members(item) {
            let tags = operation["tags"].as_array().into_iter().flatten();
            if tags.into_iter().any(|one| one == tag) {
                all.push(endpoint(api, base, method, path, operation));
            }
        }
    }
    all
}

fn endpoint(api: &Value, base: &str, method: &str, path: &str, operation: &Value) -> Endpoint {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let parameters = parameters.map(|one| Field {
        name: text(&one["name"]),
        kind: format!("{}, in the {}", kind_of(api, &one["schema"]), text(&one["in"])),
        required: one["required"] == true,
        words: runs(&one["description"]),
    });
    let content = members(&operation["requestBody"]["content"]).next();
    let (body_type, body) = match content {
        Some((kind, content)) => (kind.clone(), fields_of(api, &content["schema"])),
        None => (String::new(), Vec::new()),
    };
    let answers = members(&operation["responses"]).filter(|(status, _)| status.starts_with('2'));
    let answers = answers.map(|(status, response)| {
        let schema = members(&response["content"]).next().map(|(_, content)| &content["schema"]);
        Answer {
            status: status.clone(),
            words: text(&response["description"]),
            fields: schema.map_or_else(Vec::new, |schema| fields_of(api, schema)),
        }
    });
    let operator = operation["security"][0].get("operator").is_some();
    let method = method.to_ascii_uppercase();
    Endpoint {
        anchor: text(&operation["operationId"]),
        summary: text(&operation["summary"]),
        description: runs(&operation["description"]),
        key: if operator { "operator" } else { "account" }.to_owned(),
        parameters: parameters.collect(),
        answers: answers.collect(),
        curl: curl(&method, &format!("{base}{path}"), operator, operation),
        path: path.to_owned(),
        method,
        body_type,
        body,
    }
}

fn curl(method: &str, url: &str, operator: bool, operation: &Value) -> String {
    let key = if operator { "$OPERATOR_KEY" } else { "$KEY" };
    let url = url.replace('{', "$").replace('}', "").replace("$id", "$ID");
    let verb = if method == "GET" { String::new() } else { format!("-X {method} ") };
    let mut command = format!("curl {verb}{url} \\\n  -H \"Authorization: Bearer {key}\"");
    let Some((kind, content)) = members(&operation["requestBody"]["content"]).next() else {
        return command;
    };
    command.push_str(" \\\n  -H \"Content-Type: ");
    command.push_str(kind);
    match &content["example"] {
        Value::String(file) => {
            let shown = file.lines().collect::<Vec<_>>().join("\n");
            command = format!("{command}\" \\\n  --data-binary @- <<'END'\n{shown}\nEND");
        }
        example => {
            let body = serde_json::to_string_pretty(example).unwrap_or_default();
            command = format!("{command}\" \\\n  -d '{}'", body.replace('\'', "'\\''"));
        }
    }
    command
}

fn fields_of(api: &Value, schema: &Value) -> Vec<Field> {
    let mut fields = Vec::new();
    add_fields(api, schema, "", DEPTH_MAX, &mut fields);
    fields
}

fn add_fields(api: &Value, schema: &Value, within: &str, depth: usize, fields: &mut Vec<Field>) {
    let schema = resolved(api, schema);
    for part in schema["allOf"].as_array().into_iter().flatten() {
        add_fields(api, part, within, depth, fields);
    }
    let required = |name: &str| {
        schema["required"].as_array().is_some_and(|names| names.iter().any(|one| one == name))
    };
    // What is needed comes first.
    let all = members(&schema["properties"]);
    let (needed, rest): (Vec<_>, Vec<_>) = all.partition(|(name, _)| required(name));
    for (name, field) in needed.into_iter().chain(rest) {
        let path = format!("{within}{name}");
        fields.push(Field {
            kind: kind_of(api, field),
            required: required(name),
            words: runs(&field["description"]),
            name: path.clone(),
        });
        let inner = not_null(field);
        let (inner, mark) = match &inner["items"] {
            Value::Null => (inner, "."),
            items => (items, "[]."),
        };
        if depth > 1 && inner.get("$ref").is_some() {
            add_fields(api, inner, &format!("{path}{mark}"), depth - 1, fields);
        }
    }
}

/// Of `oneOf: [null, X]`, the X.
fn not_null(schema: &Value) -> &Value {
    let choices = schema["oneOf"].as_array().into_iter().flatten();
    choices.into_iter().find(|one| one["type"] != "null").unwrap_or(schema)
}

fn kind_of(api: &Value, schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        return words.join(" or ");
    }
    if schema.get("$ref").is_some() {
        return kind_of(api, resolved(api, schema));
    }
    if schema.get("oneOf").is_some() {
        let or_null = if not_null(schema) == schema { "" } else { " or null" };
        let inner = not_null(schema);
        return if inner == schema {
            "value".to_owned()
        } else {
            format!("{}{or_null}", kind_of(api, inner))
        };
    }
    match &schema["type"] {
        Value::String(kind) if kind == "array" => {
            format!("list of {}s", kind_of(api, &schema["items"]))
        }
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
            if kinds.contains(&"array") {
                format!("list of {}s or null", kind_of(api, &schema["items"]))
            } else {
                kinds.join(" or ")
            }
        }
        _ => "object".to_owned(),
    }
}
