//! The JSON Schema of a profile.

use serde_json::{Map, Value, json};

use super::operations;
use super::routes::METHODS;
use super::secret_source::Needed;
use crate::vocabulary::Road;
use crate::vocabulary::names::NAMES;
use crate::vocabulary::policy::{POLICIES, Values};

/// The JSON Schema of a profile.
pub fn schema() -> Value {
    let names: Map<String, Value> = NAMES
        .iter()
        .map(|(name, default)| {
            let kinds = if name.ends_with("port") {
                json!(["string", "integer"])
            } else {
                json!("string")
            };
            ((*name).to_owned(), json!({ "type": kinds, "default": default }))
        })
        .collect();
    let roads: Map<String, Value> = Road::ALL
        .iter()
        .map(|road| (road.name().to_owned(), json!({ "type": "string" })))
        .collect();
    let secrets: Map<String, Value> = Needed::ALL
        .iter()
        .map(|needed| {
            let source = json!({
                "type": "object",
                "properties": {
                    "env": { "type": "string", "description": "A variable of the environment." },
                    "file": { "type": "string", "description": "A file." },
                },
                "additionalProperties": false,
            });
            (needed.name().to_owned(), source)
        })
        .collect();
    let policies: Map<String, Value> = POLICIES
        .iter()
        .map(|policy| {
            let mut schema = match policy.values {
                Values::Choices(choices) => json!({ "enum": choices }),
                Values::Duration | Values::DurationOrNone | Values::Pattern => json!({ "type": "string" }),
                Values::List => json!({
                    "anyOf": [{ "const": "any" }, { "type": "array", "minItems": 1, "items": { "type": "string" } }],
                }),
            };
            schema["description"] = json!(policy.meaning);
            (policy.name.to_owned(), schema)
        })
        .collect();
    let map = |properties: Map<String, Value>, meaning: &str| {
        json!({
            "type": "object",
            "description": meaning,
            "properties": properties,
            "additionalProperties": false,
        })
    };
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A profile of gauntlet",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {
            "apiVersion": { "const": "gauntlet/v1" },
            "kind": { "const": "Profile" },
            "names": map(names, "The installation's names; the contract's by default."),
            "roads": map(roads, "How each road is gone: an address as `https://platform.example`, `port-forward`, `pods`, or `none`."),
            "secrets": map(secrets, "Where secrets come from; the installation's Secret by default."),
            "operations": map(operations::properties(), "The commands that operate a platform without Kubernetes. Undeclared: what needs one is skipped."),
            "logs": {
                "type": "object",
                "description": "What else the platform and what is before it log to: files of this machine, as { nginx: /var/log/nginx/access.log }, and pods of the cluster. They are searched with the other logs.",
                "additionalProperties": { "anyOf": [{ "type": "string" }, pods_that_log()] },
            },
            "routes": {
                "type": "object",
                "description": "Guarded routes of the agent service beside the contract's, as { /api/agents/usage: [GET, POST] }: each is tried with every bad token.",
                "additionalProperties": { "type": "array", "minItems": 1, "items": { "enum": METHODS } },
            },
            "policies": map(policies, "Choices that the contract leaves open. Undeclared: its checks are skipped."),
        },
        "additionalProperties": false,
    })
}

/// Pods whose logs are searched.
fn pods_that_log() -> Value {
    let text = |meaning: &str| json!({ "type": "string", "description": meaning });
    json!({
        "type": "object",
        "required": ["selector"],
        "properties": {
            "namespace": text("Their namespace; the platform's by default."),
            "selector": text("The labels that they have."),
            "container": text("The container of each; all by default."),
            "delay": text("How long after a request its line may come; none by default."),
        },
        "additionalProperties": false,
    })
}
