//! Validation of a pod's volumes and their mounts.

use std::collections::HashSet;

use serde_json::Value;

use crate::world::embedded::object::{items, text};

/// The largest file mode, 0777. JSON knows no octal numbers: 0755 is 493.
const MODE_LIMIT: u64 = 0o777;

/// Checks `spec.volumes` of a pod; `path` is where the spec is.
///
/// # Errors
/// The field, and what is wrong with it.
pub fn volumes(path: &str, spec: &Value) -> Result<(), String> {
    let mut seen = HashSet::new();
    for (at, volume) in items(&spec["volumes"]).enumerate() {
        let path = format!("{path}.volumes[{at}]");
        let name = text(&volume["name"]);
        if !super::is_name(name) || name.contains('.') {
            return Err(format!(
                "{path}.name: Invalid value: \"{name}\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character"
            ));
        }
        if !seen.insert(name) {
            return Err(format!("{path}.name: Duplicate value: \"{name}\""));
        }
        for kind in ["configMap", "secret"] {
            files(&format!("{path}.{kind}"), &volume[kind])?;
        }
        let claim = &volume["persistentVolumeClaim"];
        if claim.is_object() && text(&claim["claimName"]).is_empty() {
            return Err(format!("{path}.persistentVolumeClaim.claimName: Required value"));
        }
    }
    Ok(())
}

/// Checks the files that a ConfigMap or a secret becomes.
fn files(path: &str, source: &Value) -> Result<(), String> {
    mode(&format!("{path}.defaultMode"), &source["defaultMode"])?;
    for (at, item) in items(&source["items"]).enumerate() {
        let path = format!("{path}.items[{at}]");
        mode(&format!("{path}.mode"), &item["mode"])?;
        if text(&item["key"]).is_empty() {
            return Err(format!("{path}.key: Required value"));
        }
        let to = text(&item["path"]);
        if to.is_empty() {
            return Err(format!("{path}.path: Required value"));
        }
        below(&format!("{path}.path"), to)?;
        if to.starts_with("..") {
            return Err(format!(
                "{path}.path: Invalid value: \"{to}\": must not start with '..'"
            ));
        }
    }
    Ok(())
}

fn mode(path: &str, mode: &Value) -> Result<(), String> {
    if mode.is_null() || mode.as_u64().is_some_and(|mode| mode <= MODE_LIMIT) {
        return Ok(());
    }
    Err(format!(
        "{path}: Invalid value: {mode}: must be a number between 0 and 0777 (octal), both inclusive"
    ))
}

/// Checks that a path leads nowhere but below the folder that it is used in.
fn below(path: &str, value: &str) -> Result<(), String> {
    if value.starts_with('/') {
        return Err(format!("{path}: Invalid value: \"{value}\": must be a relative path"));
    }
    if value.split('/').any(|part| part == "..") {
        return Err(format!("{path}: Invalid value: \"{value}\": must not contain '..'"));
    }
    Ok(())
}

/// Checks `volumeMounts` of the container that is at `path` of a pod's spec.
///
/// # Errors
/// The field, and what is wrong with it.
pub fn mounts(path: &str, spec: &Value, container: &Value) -> Result<(), String> {
    let mut seen = HashSet::new();
    for (at, mount) in items(&container["volumeMounts"]).enumerate() {
        let path = format!("{path}.volumeMounts[{at}]");
        let name = text(&mount["name"]);
        if name.is_empty() {
            return Err(format!("{path}.name: Required value"));
        }
        if !items(&spec["volumes"]).any(|volume| volume["name"] == name) {
            return Err(format!("{path}.name: Not found: \"{name}\""));
        }
        let to = text(&mount["mountPath"]);
        if to.is_empty() {
            return Err(format!("{path}.mountPath: Required value"));
        }
        if !to.starts_with('/') || to.trim_end_matches('/').is_empty() {
            return Err(format!(
                "{path}.mountPath: Invalid value: \"{to}\": the embedded cluster mounts at absolute paths other than /"
            ));
        }
        if !seen.insert(to) {
            return Err(format!("{path}.mountPath: Invalid value: \"{to}\": must be unique"));
        }
        below(&format!("{path}.subPath"), text(&mount["subPath"]))?;
        if !text(&mount["subPathExpr"]).is_empty() {
            return Err(format!(
                "{path}.subPathExpr: Forbidden: the embedded cluster has only subPath"
            ));
        }
    }
    Ok(())
}
