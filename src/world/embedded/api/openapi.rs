//! As much of OpenAPI as `kubectl apply` asks for before it sends anything: whether the server itself
//! looks at fields (`fieldValidation`). Schemas of kinds are not served.

use serde_json::{Map, Value, json};

use crate::world::embedded::error::ApiError;
use crate::world::embedded::kinds::Kind;

/// The path below which a kind's API lies: `api/v1`, `apis/apps/v1`.
fn root(kind: Kind) -> String {
    match kind.facts().group {
        "" => format!("api/{}", kind.facts().version),
        group => format!("apis/{group}/{}", kind.facts().version),
    }
}

/// Where the document of each group is.
pub fn index() -> Value {
    let paths: Map<String, Value> = Kind::ALL
        .iter()
        .map(|kind| {
            let root = root(*kind);
            let url = format!("/openapi/v3/{root}");
            (root, json!({ "serverRelativeURL": url }))
        })
        .collect();
    json!({ "paths": paths })
}

/// The document of one group.
pub fn document(of: &str) -> Result<Value, ApiError> {
    let paths: Map<String, Value> = Kind::ALL
        .iter()
        .filter(|kind| root(**kind) == of)
        .map(|kind| {
            let facts = kind.facts();
            let scope = if facts.namespaced {
                "/namespaces/{namespace}"
            } else {
                ""
            };
            let path = format!("/{of}{scope}/{}/{{name}}", facts.plural);
            let patch = json!({
                "parameters": [{ "name": "fieldValidation", "in": "query", "schema": { "type": "string" } }],
                "responses": {},
                "x-kubernetes-action": "patch",
                "x-kubernetes-group-version-kind":
                    { "group": facts.group, "version": facts.version, "kind": facts.kind },
            });
            (path, json!({ "patch": patch }))
        })
        .collect();
    if paths.is_empty() {
        return Err(ApiError::no_such_path());
    }
    Ok(json!({
        "openapi": "3.0.0",
        "info": { "title": "gauntlet", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
    }))
}
