//! Tidies schemas generated from Rust types.

use serde_json::{Value, json};

use super::reference;
use crate::scenario::file::NAME;

/// Takes out what Rust's types say and a file's writer has no use for: null where a key can
/// be left out, formats of integers, a required key's default.
pub(super) fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(map) => {
            let required: Vec<Value> = map
                .get("required")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            if let Some(Value::Object(properties)) = map.get_mut("properties") {
                for (name, property) in properties {
                    if !required.contains(&json!(name)) {
                        without_null(property);
                    }
                }
            }
            // Rust's doc comments are wrapped; an editor wraps by itself.
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = text
                    .replace("\n\n", "\u{0}")
                    .replace('\n', " ")
                    .replace('\u{0}', "\n\n");
            }
            // Names of variables: one message for a wrong one, wherever it stands.
            if let Some(Value::Object(patterns)) = map.get("patternProperties")
                && let Some((pattern, values)) = patterns.iter().next()
                && pattern == NAME
            {
                let values = values.clone();
                map.remove("patternProperties");
                map.insert("propertyNames".to_owned(), reference("name"));
                map.insert("additionalProperties".to_owned(), values);
            }
            if map
                .get("format")
                .is_some_and(|format| format.as_str().is_some_and(|format| format.contains("int")))
            {
                map.remove("format");
            }
            map.values_mut().for_each(tidy);
        }
        _ => {}
    }
}

fn without_null(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    if map.get("default") == Some(&Value::Null) {
        map.remove("default");
    }
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            map.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(any)) = map.get_mut("anyOf") {
        any.retain(|schema| schema != &json!({ "type": "null" }));
        if let [only] = any.as_slice() {
            let only = only.clone();
            map.remove("anyOf");
            map.insert("allOf".to_owned(), json!([only]));
        }
    }
}

/// Lets a template stand for every value inside a map or list, and for those inside them.
pub(super) fn allow_templates_inside(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(allow_template);
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(schema) = map.get_mut(inner) {
            allow_template(schema);
        }
    }
    for several in ["anyOf", "oneOf", "allOf"] {
        if let Some(Value::Array(schemas)) = map.get_mut(several) {
            schemas.iter_mut().for_each(allow_templates_inside);
        }
    }
}

/// Lets a template stand for a value that is not simply a text.
fn allow_template(schema: &mut Value) {
    allow_templates_inside(schema);
    let Value::Object(map) = schema else { return };
    let kinds = match map.get("type") {
        Some(Value::Array(kinds)) => kinds.clone(),
        Some(kind) => vec![kind.clone()],
        None => Vec::new(),
    };
    let any = kinds.is_empty()
        && !["$ref", "anyOf", "oneOf", "allOf", "enum", "const"]
            .iter()
            .any(|key| map.contains_key(*key));
    let text = kinds.contains(&json!("string")) && !map.contains_key("enum") && !map.contains_key("pattern");
    if any || text {
        return;
    }
    if let Some(Value::Array(any)) = map.get_mut("anyOf") {
        any.push(reference("template"));
        return;
    }
    let description = map.remove("description");
    let mut wrapped = json!({ "anyOf": [schema.take(), reference("template")] });
    if let Some(description) = description {
        wrapped["description"] = description;
    }
    *schema = wrapped;
}
