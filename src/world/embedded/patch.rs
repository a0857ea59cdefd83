//! The kinds of patches that Kubernetes takes.

use json_patch::{Patch as JsonPatch, PatchErrorKind};
use serde_json::{Map, Value};

use super::error::ApiError;
use super::kinds::Kind;
use super::object::text;
use super::store::object_mut;

/// A patch as its content type says it is to be read.
pub enum Patch {
    Json(JsonPatch),
    Merge(Value),
    Strategic(Value),
    /// Server-side apply. Fields have no owners here: what the patch says is merged,
    /// what an earlier one said and this one doesn't stays.
    Apply(Value),
}

impl Patch {
    pub fn parse(kind: Kind, content_type: &str, body: &[u8]) -> Result<Patch, ApiError> {
        let malformed = |why: &dyn std::fmt::Display| ApiError::bad_request(format!("error decoding patch: {why}"));
        let read = || serde_json::from_slice::<Value>(body).map_err(|why| malformed(&why));
        match content_type {
            "application/json-patch+json" => serde_json::from_slice(body)
                .map(Patch::Json)
                .map_err(|why| malformed(&why)),
            "application/merge-patch+json" => read().map(Patch::Merge),
            "application/strategic-merge-patch+json" if !kind.facts().custom => read().map(Patch::Strategic),
            "application/apply-patch+yaml" => match std::str::from_utf8(body) {
                // YAML is a superset of JSON.
                Ok(text) => serde_saphyr::from_str(text)
                    .map(Patch::Apply)
                    .map_err(|why| malformed(&why)),
                Err(why) => Err(malformed(&why)),
            },
            other => Err(ApiError::new(
                415,
                "UnsupportedMediaType",
                format!(
                    "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json{}, application/apply-patch+yaml, not {other}",
                    if kind.facts().custom {
                        ""
                    } else {
                        ", application/strategic-merge-patch+json"
                    }
                ),
            )),
        }
    }

    /// The object after the patch.
    pub fn apply(&self, old: &Value) -> Result<Value, ApiError> {
        let mut new = old.clone();
        match self {
            Patch::Json(patch) => json_patch::patch(&mut new, patch).map_err(|error| {
                let why = match error.kind {
                    PatchErrorKind::TestFailed => {
                        format!("testing value {} failed: test failed", error.path)
                    }
                    _ => format!("the server rejected our request due to an error in our request: {error}"),
                };
                ApiError::new(422, "Invalid", why)
            })?,
            Patch::Merge(patch) => json_patch::merge(&mut new, patch),
            Patch::Strategic(patch) => strategic_map(&mut new, patch)?,
            Patch::Apply(patch) => {
                strategic_map(&mut new, patch)?;
                // An applied object may carry them without meaning a condition.
                for field in ["managedFields", "creationTimestamp"] {
                    object_mut(&mut new["metadata"]).shift_remove(field);
                }
            }
        }
        Ok(new)
    }
}

/// The field by which the elements of a list are told apart; `None` for lists that are replaced whole.
fn merge_key(list: &str) -> Option<&'static str> {
    match list {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "volumes"
        | "imagePullSecrets"
        | "secrets" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "ownerReferences" => Some("uid"),
        "conditions" => Some("type"),
        "hostAliases" => Some("ip"),
        _ => None,
    }
}

/// `ports` of a container are told apart by `containerPort`, those of a service by `port`.
fn port_key(patch: &[Value]) -> &'static str {
    if patch.iter().any(|port| port.get("containerPort").is_some()) {
        "containerPort"
    } else {
        "port"
    }
}

fn strategic_map(old: &mut Value, patch: &Value) -> Result<(), ApiError> {
    let Some(patch) = patch.as_object() else {
        return Err(ApiError::bad_request("a strategic merge patch has to be an object"));
    };
    if patch.get("$patch").is_some_and(|directive| directive == "replace") {
        let fields = patch.iter().filter(|(field, _)| !field.starts_with('$'));
        *old = fields
            .map(|(field, value)| (field.clone(), value.clone()))
            .collect::<Map<_, _>>()
            .into();
        return Ok(());
    }
    let map = object_mut(old);
    if let Some(retained) = patch.get("$retainKeys").and_then(Value::as_array) {
        map.retain(|field, _| retained.iter().any(|name| name == field.as_str()));
    }
    for (field, value) in patch {
        if let Some(list) = field.strip_prefix("$deleteFromPrimitiveList/") {
            let gone = value.as_array().map(Vec::as_slice).unwrap_or_default();
            if let Some(old) = map.get_mut(list).and_then(Value::as_array_mut) {
                old.retain(|element| !gone.contains(element));
            }
            continue;
        }
        if field.starts_with('$') {
            // The order of elements and the other directives don't change what an object means.
            continue;
        }
        match value {
            Value::Null => {
                map.shift_remove(field);
            }
            Value::Object(inner) if inner.get("$patch").is_some_and(|d| d == "delete") => {
                map.shift_remove(field);
            }
            Value::Object(_) => strategic_map(map.entry(field.clone()).or_insert(Value::Null), value)?,
            Value::Array(elements) => {
                let key = if field == "ports" {
                    Some(port_key(elements))
                } else {
                    merge_key(field)
                };
                let old = map.entry(field.clone()).or_insert(Value::Null);
                match key {
                    Some(key) => strategic_list(old, elements, key)?,
                    None if field == "finalizers" => union(old, elements),
                    None => *old = value.clone(),
                }
            }
            _ => {
                map.insert(field.clone(), value.clone());
            }
        }
    }
    Ok(())
}

fn strategic_list(old: &mut Value, patch: &[Value], key: &str) -> Result<(), ApiError> {
    if !old.is_array() {
        *old = Value::Array(Vec::new());
    }
    let old = old.as_array_mut().expect("it was made an array just above");
    if patch.iter().any(|element| element["$patch"] == "replace") {
        old.clear();
    }
    for element in patch {
        let directive = text(&element["$patch"]);
        if directive == "replace" && element.get(key).is_none() {
            continue;
        }
        let Some(id) = element.get(key) else {
            return Err(ApiError::bad_request(format!(
                "map: {element} does not contain declared merge key: {key}"
            )));
        };
        let at = old.iter().position(|candidate| candidate.get(key) == Some(id));
        match (at, directive) {
            (Some(at), "delete") => {
                old.remove(at);
            }
            (None, "delete") => {}
            (Some(at), _) => strategic_map(&mut old[at], element)?,
            (None, _) => {
                let mut new = Value::Null;
                strategic_map(&mut new, element)?;
                old.push(new);
            }
        }
    }
    Ok(())
}

fn union(old: &mut Value, patch: &[Value]) {
    match old.as_array_mut() {
        Some(old) => {
            for element in patch {
                if !old.contains(element) {
                    old.push(element.clone());
                }
            }
        }
        None => *old = patch.to_vec().into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn strategic(old: Value, patch: Value) -> Value {
        let mut new = old;
        strategic_map(&mut new, &patch).unwrap();
        new
    }

    #[test]
    fn strategic_merge_joins_lists_by_their_key() {
        let old = json!({ "spec": { "containers": [
            { "name": "web", "image": "a", "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }] },
            { "name": "side", "args": ["x", "y"] },
        ] } });
        let patch = json!({ "spec": { "$setElementOrder/containers": [{ "name": "web" }], "containers": [
            { "name": "web", "env": [{ "name": "A", "value": "9" }, { "name": "B", "$patch": "delete" }] },
            { "name": "side", "args": ["z"] },
            { "name": "new" },
        ] } });
        assert_eq!(
            strategic(old, patch),
            json!({ "spec": { "containers": [
                { "name": "web", "image": "a", "env": [{ "name": "A", "value": "9" }] },
                { "name": "side", "args": ["z"] },
                { "name": "new" },
            ] } })
        );
    }

    #[test]
    fn strategic_merge_obeys_directives() {
        assert_eq!(
            strategic(json!({ "a": { "b": 1, "c": 2 } }), json!({ "a": { "b": null } })),
            json!({ "a": { "c": 2 } })
        );
        assert_eq!(
            strategic(
                json!({ "a": { "b": 1 } }),
                json!({ "a": { "$patch": "replace", "c": 2 } })
            ),
            json!({ "a": { "c": 2 } })
        );
        assert_eq!(
            strategic(
                json!({ "strategy": { "type": "RollingUpdate", "rollingUpdate": {} } }),
                json!({ "strategy": { "$retainKeys": ["type"], "type": "Recreate" } })
            ),
            json!({ "strategy": { "type": "Recreate" } })
        );
        assert_eq!(
            strategic(
                json!({ "finalizers": ["a", "b"] }),
                json!({ "$deleteFromPrimitiveList/finalizers": ["a"] })
            ),
            json!({ "finalizers": ["b"] })
        );
    }
}
