//! The API server's validation of objects.

use serde_json::{Map, Value};

use super::field::FieldError;
use crate::world::embedded::error::ApiError;
use crate::world::embedded::kinds::Kind;
use crate::world::embedded::object::{items, text};
use crate::world::embedded::selector::LabelSelector;
use crate::world::embedded::store::object_mut;

/// Checks a complete object, new or changed.
pub fn validate(kind: Kind, name: &str, value: &Value) -> Result<(), ApiError> {
    let invalid = |why: String| Err(ApiError::invalid(kind, name, &why));
    match kind {
        Kind::Secret | Kind::ConfigMap => {
            let maps = ["data", "binaryData"].map(|field| value[field].as_object());
            for key in maps.into_iter().flatten().flat_map(Map::keys) {
                let fine = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
                // A volume is written with names of its own, which start with "..".
                if key.is_empty() || key == "." || key.starts_with("..") || !key.chars().all(fine) {
                    return invalid(format!(
                        "data[{key}]: Invalid value: \"{key}\": a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
                    ));
                }
            }
        }
        Kind::PersistentVolumeClaim => {
            let spec = &value["spec"];
            if items(&spec["accessModes"]).next().is_none() {
                return invalid("spec.accessModes: Required value: at least 1 access mode is required".into());
            }
            if spec["resources"]["requests"]["storage"].is_null() {
                return invalid("spec.resources[storage]: Required value".into());
            }
        }
        Kind::Pod => return pod_spec(kind, name, "spec", &value["spec"]),
        Kind::Deployment | Kind::ReplicaSet => {
            let spec = &value["spec"];
            if !spec["replicas"].is_u64() {
                return invalid("spec.replicas: Invalid value: must be greater than or equal to 0".into());
            }
            let selector = LabelSelector::from_object(&spec["selector"])
                .map_err(|why| ApiError::invalid(kind, name, &format!("spec.selector: {why}")))?;
            if selector.is_empty() {
                return invalid("spec.selector: Required value".into());
            }
            let labels = &spec["template"]["metadata"]["labels"];
            if !selector.matches(labels) {
                return invalid(format!(
                    "spec.template.metadata.labels: Invalid value: {labels}: `selector` does not match template `labels`"
                ));
            }
            let pod = &spec["template"]["spec"];
            if !matches!(text(&pod["restartPolicy"]), "" | "Always") {
                return invalid(format!(
                    "spec.template.spec.restartPolicy: Unsupported value: {}: supported values: \"Always\"",
                    pod["restartPolicy"]
                ));
            }
            return pod_spec(kind, name, "spec.template.spec", pod);
        }
        _ => {}
    }
    Ok(())
}

fn pod_spec(kind: Kind, name: &str, path: &str, spec: &Value) -> Result<(), ApiError> {
    let invalid = |why: String| Err(ApiError::invalid(kind, name, &why));
    if items(&spec["containers"]).next().is_none() {
        return invalid(format!("{path}.containers: Required value"));
    }
    let wrong = |error: FieldError| ApiError::invalid(kind, name, &error.to_string());
    super::volumes::volumes(path, spec).map_err(wrong)?;
    let mut seen = Vec::new();
    for field in ["initContainers", "containers"] {
        for (at, container) in items(&spec[field]).enumerate() {
            let container_name = text(&container["name"]);
            if container_name.is_empty() {
                return invalid(format!("{path}.{field}[{at}].name: Required value"));
            }
            if seen.contains(&container_name) {
                return invalid(format!(
                    "{path}.{field}[{at}].name: Duplicate value: \"{container_name}\""
                ));
            }
            seen.push(container_name);
            super::volumes::mounts(&format!("{path}.{field}[{at}]"), spec, container).map_err(wrong)?;
            let probe = &container["readinessProbe"];
            if probe.is_object() && !probe["httpGet"].is_object() && !probe["tcpSocket"].is_object() {
                return invalid(format!(
                    "{path}.{field}[{at}].readinessProbe: Required value: must specify a handler type (the embedded cluster has httpGet and tcpSocket)"
                ));
            }
        }
    }
    Ok(())
}

/// Checks that what can't change didn't.
pub fn immutable(kind: Kind, name: &str, old: &Value, new: &Value) -> Result<(), ApiError> {
    let invalid = |why: &str| Err(ApiError::invalid(kind, name, why));
    match kind {
        Kind::Pod if !same_pod(&old["spec"], &new["spec"]) => invalid(
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        ),
        Kind::PersistentVolumeClaim if !same_claim(&old["spec"], &new["spec"]) => invalid(
            "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        ),
        Kind::Deployment | Kind::ReplicaSet if old["spec"]["selector"] != new["spec"]["selector"] => {
            invalid("spec.selector: Invalid value: field is immutable")
        }
        Kind::Secret if old["type"] != new["type"] && !new["type"].is_null() => {
            invalid("type: Invalid value: field is immutable")
        }
        Kind::Secret | Kind::ConfigMap
            if old["immutable"] == true && (old["data"] != new["data"] || new["immutable"] != true) =>
        {
            invalid("data: Forbidden: field is immutable when `immutable` is set")
        }
        _ => Ok(()),
    }
}

/// Whether two specs of a claim differ in nothing but what is asked for; `volumeMode` has a default.
fn same_claim(old: &Value, new: &Value) -> bool {
    let strip = |spec: &Value| {
        let mut spec = spec.clone();
        for field in ["resources", "volumeAttributesClassName", "volumeMode"] {
            object_mut(&mut spec).shift_remove(field);
        }
        spec
    };
    strip(old) == strip(new)
}

fn same_pod(old: &Value, new: &Value) -> bool {
    let strip = |spec: &Value| {
        let mut spec = spec.clone();
        for field in ["tolerations", "activeDeadlineSeconds"] {
            object_mut(&mut spec).shift_remove(field);
        }
        for field in ["containers", "initContainers"] {
            for container in spec[field].as_array_mut().into_iter().flatten() {
                object_mut(container).shift_remove("image");
            }
        }
        spec
    };
    old == new || strip(old) == strip(new)
}

/// Whether it is a lowercase RFC 1123 subdomain.
pub fn is_name(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    name.len() <= 253
        && edge(name.chars().next())
        && edge(name.chars().last())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c))
}
