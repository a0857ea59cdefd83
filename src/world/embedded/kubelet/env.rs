//! A container's environment, as it stands when the container starts.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::error::SetUpError;
use crate::world::embedded::kinds::Kind;
use crate::world::embedded::object::{items, text};
use crate::world::embedded::store::Store;

/// Reads the environment of `container` in `pod`.
///
/// # Errors
/// What the kubelet writes into the container's status: a secret, ConfigMap or key
/// that isn't there and isn't optional.
pub fn resolve(
    store: &Store,
    pod: &Value,
    ip: &str,
    container: &Value,
) -> Result<BTreeMap<String, String>, SetUpError> {
    let namespace = text(&pod["metadata"]["namespace"]);
    let mut env = BTreeMap::new();
    env.insert("HOSTNAME".to_string(), text(&pod["metadata"]["name"]).to_string());
    for source in items(&container["envFrom"]) {
        let prefix = text(&source["prefix"]);
        for (kind, field) in [(Kind::Secret, "secretRef"), (Kind::ConfigMap, "configMapRef")] {
            let reference = &source[field];
            if !reference.is_object() {
                continue;
            }
            match store.get(kind, namespace, text(&reference["name"])) {
                Ok(object) => {
                    for key in object["data"].as_object().into_iter().flat_map(|data| data.keys()) {
                        if let Some(value) = data(kind, &object, key)? {
                            env.insert(format!("{prefix}{key}"), value);
                        }
                    }
                }
                Err(_) if reference["optional"] == true => {}
                Err(error) => return Err(SetUpError::Missing(error)),
            }
        }
    }
    for variable in items(&container["env"]) {
        let name = text(&variable["name"]).to_string();
        let value = match variable.get("valueFrom").filter(|from| from.is_object()) {
            None => Some(expand(text(&variable["value"]), &env)),
            Some(from) if from["fieldRef"].is_object() => Some(field(pod, ip, &from["fieldRef"])?),
            Some(from) => reference(store, namespace, from)?,
        };
        if let Some(value) = value {
            env.insert(name, value);
        }
    }
    Ok(env)
}

/// The value behind a `secretKeyRef` or `configMapKeyRef`; `None` if it is optional and missing.
fn reference(store: &Store, namespace: &str, from: &Value) -> Result<Option<String>, SetUpError> {
    let (kind, reference) = if from["secretKeyRef"].is_object() {
        (Kind::Secret, &from["secretKeyRef"])
    } else if from["configMapKeyRef"].is_object() {
        (Kind::ConfigMap, &from["configMapKeyRef"])
    } else {
        return Err(SetUpError::ValueFrom { from: from.to_string() });
    };
    let (name, key) = (text(&reference["name"]), text(&reference["key"]));
    let optional = reference["optional"] == true;
    let object = match store.get(kind, namespace, name) {
        Ok(object) => object,
        Err(_) if optional => return Ok(None),
        Err(error) => return Err(SetUpError::Missing(error)),
    };
    match data(kind, &object, key)? {
        Some(value) => Ok(Some(value)),
        None if optional => Ok(None),
        None => Err(SetUpError::NoKey {
            key: key.to_owned(),
            kind: kind.facts().kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }),
    }
}

fn data(kind: Kind, object: &Value, key: &str) -> Result<Option<String>, SetUpError> {
    let Some(value) = object["data"][key].as_str() else {
        return Ok(None);
    };
    if kind == Kind::ConfigMap {
        return Ok(Some(value.to_string()));
    }
    let key = || key.to_owned();
    let bytes = STANDARD
        .decode(value)
        .map_err(|source| SetUpError::NotBase64 { key: key(), source })?;
    // An environment can't hold a NUL, and components read text.
    String::from_utf8(bytes).map(Some).map_err(|error| SetUpError::NotText {
        key: key(),
        source: error.utf8_error(),
    })
}

fn field(pod: &Value, ip: &str, reference: &Value) -> Result<String, SetUpError> {
    let path = text(&reference["fieldPath"]);
    let metadata = &pod["metadata"];
    let of_map = |map: &str, rest: &str| {
        let key = rest.strip_prefix("['").and_then(|rest| rest.strip_suffix("']"));
        key.map(|key| text(&metadata[map][key]).to_string())
    };
    let value = match path {
        "metadata.name" => Some(text(&metadata["name"]).to_string()),
        "metadata.namespace" => Some(text(&metadata["namespace"]).to_string()),
        "metadata.uid" => Some(text(&metadata["uid"]).to_string()),
        "spec.nodeName" => Some(super::super::NODE.to_string()),
        "spec.serviceAccountName" => Some(text(&pod["spec"]["serviceAccountName"]).to_string()),
        "status.podIP" => Some(ip.to_string()),
        "status.hostIP" => Some(super::HOST_IP.to_string()),
        _ => {
            if let Some(rest) = path.strip_prefix("metadata.labels") {
                of_map("labels", rest)
            } else if let Some(rest) = path.strip_prefix("metadata.annotations") {
                of_map("annotations", rest)
            } else {
                None
            }
        }
    };
    value.ok_or_else(|| SetUpError::Field { path: path.to_owned() })
}

/// Replaces `$(NAME)` by variables that are there already; `$$` is a `$`, an unknown name stays.
pub fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            match env.get(name) {
                Some(value) => out.push_str(value),
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expansion_follows_kubernetes() {
        let env = BTreeMap::from([("A".to_string(), "1".to_string())]);
        for (text, expected) in [
            ("x$(A)y", "x1y"),
            ("$(B)", "$(B)"),
            ("$$(A)", "$(A)"),
            ("$A $(A", "$A $(A"),
            ("tail$", "tail$"),
        ] {
            assert_eq!(expand(text, &env), expected, "{text}");
        }
    }
}
