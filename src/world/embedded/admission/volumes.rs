//! Validation of a pod's volumes and their mounts.

use std::collections::HashSet;

use serde_json::Value;

use super::field::{FieldError, Problem};
use crate::world::embedded::object::{items, text};

/// The largest file mode, 0777. JSON knows no octal numbers: 0755 is 493.
const MODE_LIMIT: u64 = 0o777;

/// Checks `spec.volumes` of a pod; `path` is where the spec is.
///
/// # Errors
/// The field, and what is wrong with it.
pub fn volumes(path: &str, spec: &Value) -> Result<(), FieldError> {
    let mut seen = HashSet::new();
    for (at, volume) in items(&spec["volumes"]).enumerate() {
        let path = format!("{path}.volumes[{at}]");
        let name = text(&volume["name"]);
        if !super::is_name(name) || name.contains('.') {
            return Err(FieldError::invalid(
                format!("{path}.name"),
                name,
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
            ));
        }
        if !seen.insert(name) {
            return Err(FieldError::new(
                format!("{path}.name"),
                Problem::Duplicate(name.to_owned()),
            ));
        }
        for kind in ["configMap", "secret"] {
            files(&format!("{path}.{kind}"), &volume[kind])?;
        }
        let claim = &volume["persistentVolumeClaim"];
        if claim.is_object() && text(&claim["claimName"]).is_empty() {
            return Err(FieldError::required(format!("{path}.persistentVolumeClaim.claimName")));
        }
    }
    Ok(())
}

/// Checks the files that a ConfigMap or a secret becomes.
fn files(path: &str, source: &Value) -> Result<(), FieldError> {
    mode(&format!("{path}.defaultMode"), &source["defaultMode"])?;
    for (at, item) in items(&source["items"]).enumerate() {
        let path = format!("{path}.items[{at}]");
        mode(&format!("{path}.mode"), &item["mode"])?;
        if text(&item["key"]).is_empty() {
            return Err(FieldError::required(format!("{path}.key")));
        }
        let to = text(&item["path"]);
        if to.is_empty() {
            return Err(FieldError::required(format!("{path}.path")));
        }
        below(&format!("{path}.path"), to)?;
        if to.starts_with("..") {
            return Err(FieldError::invalid(
                format!("{path}.path"),
                to,
                "must not start with '..'",
            ));
        }
    }
    Ok(())
}

fn mode(path: &str, mode: &Value) -> Result<(), FieldError> {
    if mode.is_null() || mode.as_u64().is_some_and(|mode| mode <= MODE_LIMIT) {
        return Ok(());
    }
    let problem = Problem::Invalid {
        value: mode.to_string(),
        why: "must be a number between 0 and 0777 (octal), both inclusive",
    };
    Err(FieldError::new(path, problem))
}

/// Checks that a path leads nowhere but below the folder that it is used in.
fn below(path: &str, value: &str) -> Result<(), FieldError> {
    if value.starts_with('/') {
        return Err(FieldError::invalid(path, value, "must be a relative path"));
    }
    if value.split('/').any(|part| part == "..") {
        return Err(FieldError::invalid(path, value, "must not contain '..'"));
    }
    Ok(())
}

/// Checks `volumeMounts` of the container that is at `path` of a pod's spec.
///
/// # Errors
/// The field, and what is wrong with it.
pub fn mounts(path: &str, spec: &Value, container: &Value) -> Result<(), FieldError> {
    let mut seen = HashSet::new();
    for (at, mount) in items(&container["volumeMounts"]).enumerate() {
        let path = format!("{path}.volumeMounts[{at}]");
        let name = text(&mount["name"]);
        if name.is_empty() {
            return Err(FieldError::required(format!("{path}.name")));
        }
        if !items(&spec["volumes"]).any(|volume| volume["name"] == name) {
            return Err(FieldError::new(
                format!("{path}.name"),
                Problem::NotFound(name.to_owned()),
            ));
        }
        let to = text(&mount["mountPath"]);
        if to.is_empty() {
            return Err(FieldError::required(format!("{path}.mountPath")));
        }
        if !to.starts_with('/') || to.trim_end_matches('/').is_empty() {
            return Err(FieldError::invalid(
                format!("{path}.mountPath"),
                to,
                "the embedded cluster mounts at absolute paths other than /",
            ));
        }
        if !seen.insert(to) {
            return Err(FieldError::invalid(format!("{path}.mountPath"), to, "must be unique"));
        }
        below(&format!("{path}.subPath"), text(&mount["subPath"]))?;
        if !text(&mount["subPathExpr"]).is_empty() {
            return Err(FieldError::new(
                format!("{path}.subPathExpr"),
                Problem::Forbidden("the embedded cluster has only subPath"),
            ));
        }
    }
    Ok(())
}
