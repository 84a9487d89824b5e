//! `openapi.json`: the table of routes as OpenAPI 3.1.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use signaling::AdminRole;

use super::table::{Entry, ROOT, TABLE};

/// The document; made once.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());

pub(in crate::http) async fn serve() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(DOCUMENT.as_str())
}

const fn word(role: AdminRole) -> &'static str {
    match role {
        AdminRole::Viewer => "viewer",
        AdminRole::Operator => "operator",
        AdminRole::Admin => "admin",
    }
}

fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for entry in TABLE {
        let operation = operation(entry, &mut generator);
        let path = format!("{ROOT}{}", entry.path);
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(methods) = methods.as_object_mut() {
            methods.insert(entry.method.to_owned(), operation);
        }
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Problem".to_owned(), problem());
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Troupe admin API", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            },
        },
    })
}

/// RFC 9457.
fn problem() -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
        },
        "required": ["type", "title", "status"],
    })
}

fn operation(entry: &Entry, generator: &mut schemars::SchemaGenerator) -> Value {
    let mut done = json!({ "description": "Done" });
    if let Some(answer) = entry.answer {
        done["content"] = json!({ "application/json": { "schema": answer(generator) } });
    }
    let refused = json!({
        "description": "Refused",
        "content": {
            "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } },
        },
    });
    let mut operation = json!({
        "summary": entry.summary,
        "parameters": parameters(entry),
        "responses": { (entry.status.to_string()): done, "default": refused },
    });
    match entry.role {
        Some(role) => {
            operation["security"] = json!([{ "token": [] }]);
            operation["x-role"] = word(role).into();
        }
        None => operation["security"] = json!([]),
    }
    if let Some(body) = entry.body {
        let content = json!({ "application/json": { "schema": body(generator) } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

fn parameters(entry: &Entry) -> Vec<Value> {
    let names = entry.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?;
        name.strip_suffix('}')
    });
    let text = json!({ "type": "string" });
    let mut parameters: Vec<Value> = names
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": text }))
        .collect();
    if entry.paged {
        let limit = json!({ "type": "integer", "minimum": 1, "maximum": 1_000 });
        parameters.push(json!({ "name": "limit", "in": "query", "schema": limit }));
        parameters.push(json!({ "name": "cursor", "in": "query", "schema": text }));
    }
    parameters
}
