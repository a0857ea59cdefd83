//! What the API server does to objects between the request and the store:
//! defaults, validation, and the fields that clients may not change.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::kinds::Kind;
use super::object::{self, text};
use super::store::{DeleteOptions, Part, Propagation, object_mut};

mod field;
mod validate;
mod volumes;

use validate::{immutable, is_name, validate};

/// Fields of `metadata` that only the server sets.
const SERVER_SIDE: [&str; 8] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// The finalizer that holds a claim until no pod uses it.
pub const CLAIM_IN_USE: &str = "kubernetes.io/pvc-protection";

/// The finalizer that holds an owner until what it owns is gone.
pub const FOREGROUND: &str = "foregroundDeletion";

/// Completes and checks a new object; returns its name.
pub fn create(kind: Kind, namespace: &str, value: &mut Value) -> Result<String, ApiError> {
    identify(kind, value)?;
    let metadata = object_mut(&mut value["metadata"]);
    for field in SERVER_SIDE {
        metadata.shift_remove(field);
    }
    let given = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default();
    if kind.facts().namespaced {
        if !given.is_empty() && given != namespace {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        metadata.insert("namespace".into(), namespace.into());
    } else {
        metadata.shift_remove("namespace");
    }
    if metadata.get("name").is_none_or(|name| text(name).is_empty()) {
        let prefix = metadata.get("generateName").and_then(Value::as_str).unwrap_or_default();
        if prefix.is_empty() {
            let why = "metadata.name: Required value: name or generateName is required";
            return Err(ApiError::invalid(kind, "", why));
        }
        let name = format!("{prefix}{}", object::random_suffix(5));
        metadata.insert("name".into(), name.into());
    }
    let name = text(&value["metadata"]["name"]).to_string();
    if !is_name(&name) {
        let why = format!(
            "metadata.name: Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
        );
        return Err(ApiError::invalid(kind, &name, &why));
    }
    if kind.facts().status {
        object_mut(value).shift_remove("status");
    }
    decode(kind, value).map_err(|why| undecodable(kind, &why))?;
    defaults(kind, value);
    validate(kind, &name, value)?;
    Ok(name)
}

/// Checks the next version of an object and keeps what the request may not change.
pub fn update(kind: Kind, part: Part, old: &Value, new: &mut Value) -> Result<(), ApiError> {
    let name = text(&old["metadata"]["name"]);
    identify(kind, new)?;
    object_mut(&mut new["metadata"]);
    for field in ["resourceVersion", "uid"] {
        let given = text(&new["metadata"][field]);
        if !given.is_empty() && old["metadata"][field] != given {
            return Err(ApiError::stale(kind, name));
        }
    }
    let given = text(&new["metadata"]["name"]);
    if !given.is_empty() && given != name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    if kind.facts().status {
        match part {
            Part::Main => keep(old, new, "status"),
            Part::Status => {
                let status = new["status"].take();
                if !status.is_object() {
                    return Err(ApiError::invalid(
                        kind,
                        name,
                        "status: Required value: must be an object",
                    ));
                }
                *new = old.clone();
                new["status"] = status;
                return Ok(());
            }
        }
    }
    let metadata = &mut new["metadata"];
    for field in SERVER_SIDE.into_iter().chain(["name", "namespace"]) {
        keep(&old["metadata"], metadata, field);
    }
    decode(kind, new).map_err(|why| undecodable(kind, &why))?;
    validate(kind, name, new)?;
    immutable(kind, name, old, new)?;
    if kind.facts().generation && new["spec"] != old["spec"] {
        let generation = old["metadata"]["generation"].as_u64().unwrap_or(1);
        new["metadata"]["generation"] = (generation + 1).into();
    }
    Ok(())
}

/// Writes the marks of deletion into an object; returns the seconds until it may go.
pub fn mark_deleted(kind: Kind, value: &mut Value, options: &DeleteOptions) -> u64 {
    let grace = grace_seconds(kind, value, options);
    let metadata = &mut value["metadata"];
    if !metadata["deletionTimestamp"].is_string() {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(i64::try_from(grace).unwrap_or(0));
        metadata["deletionTimestamp"] = object::time(at).into();
        if options.propagation == Propagation::Foreground {
            match metadata["finalizers"].as_array_mut() {
                Some(finalizers) => finalizers.push(FOREGROUND.into()),
                None => metadata["finalizers"] = json!([FOREGROUND]),
            }
        }
    }
    // A later request can only shorten the time.
    let before = metadata["deletionGracePeriodSeconds"].as_u64().unwrap_or(u64::MAX);
    let grace = grace.min(before);
    metadata["deletionGracePeriodSeconds"] = grace.into();
    if kind == Kind::Namespace {
        value["status"]["phase"] = "Terminating".into();
    }
    grace
}

fn grace_seconds(kind: Kind, value: &Value, options: &DeleteOptions) -> u64 {
    let ended = matches!(text(&value["status"]["phase"]), "Succeeded" | "Failed");
    if kind != Kind::Pod || ended {
        return 0;
    }
    let own = value["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
    options.grace_seconds.unwrap_or(own)
}

/// Sets `apiVersion` and `kind`; wrong ones are an error.
fn identify(kind: Kind, value: &mut Value) -> Result<(), ApiError> {
    if !value.is_object() {
        return Err(ApiError::bad_request("the body of the request is not an object"));
    }
    let (api_version, name) = (kind.api_version(), kind.facts().kind);
    for (field, expected) in [("apiVersion", api_version.as_str()), ("kind", name)] {
        let given = text(&value[field]);
        if !given.is_empty() && given != expected {
            return Err(ApiError::bad_request(format!(
                "the {field} in the data ({given}) does not match the expected {field} ({expected})"
            )));
        }
        value[field] = expected.into();
    }
    Ok(())
}

/// Copies a field, or its absence.
fn keep(from: &Value, to: &mut Value, field: &str) {
    match from.get(field) {
        Some(value) => to[field] = value.clone(),
        None => {
            object_mut(to).shift_remove(field);
        }
    }
}

fn undecodable(kind: Kind, why: &DecodeError) -> ApiError {
    let facts = kind.facts();
    ApiError::bad_request(format!(
        "{} in version \"{}\" cannot be handled as a {}: {why}",
        facts.kind, facts.version, facts.kind
    ))
}

/// What a typed decoder of a kind refuses.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("illegal base64 data: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error("json: cannot unmarshal {field}: not an object")]
    NotAnObject { field: String },
    #[error("json: cannot unmarshal {field}.{key}: not a string")]
    NotAString { field: String, key: String },
}

/// Folds `stringData` into `data`, and drops empty maps.
///
/// # Errors
/// What a typed decoder of the kind would refuse.
pub fn decode(kind: Kind, value: &mut Value) -> Result<(), DecodeError> {
    match kind {
        Kind::Secret => {
            let plain = object_mut(value).shift_remove("stringData").unwrap_or_default();
            for (key, text) in strings(&plain, "stringData")? {
                let encoded = STANDARD.encode(text);
                object_mut(&mut value["data"]).insert(key.clone(), encoded.into());
            }
            for (_, encoded) in strings(&value["data"], "data")? {
                STANDARD.decode(encoded)?;
            }
            if value["data"].is_null() {
                object_mut(value).shift_remove("data");
            }
        }
        Kind::ConfigMap => {
            strings(&value["data"], "data")?;
        }
        _ => {}
    }
    for field in ["labels", "annotations"] {
        strings(&value["metadata"][field], field)?;
    }
    drop_empty(value, "", "data");
    for metadata in ["/metadata", "/spec/template/metadata"] {
        drop_empty(value, metadata, "labels");
        drop_empty(value, metadata, "annotations");
    }
    Ok(())
}

/// The real server keeps no map that is empty.
fn drop_empty(value: &mut Value, at: &str, field: &str) {
    let Some(Value::Object(fields)) = value.pointer_mut(at) else {
        return;
    };
    if fields
        .get(field)
        .is_some_and(|map| map.as_object().is_some_and(Map::is_empty))
    {
        fields.shift_remove(field);
    }
}

fn strings<'a>(value: &'a Value, field: &str) -> Result<Vec<(&'a String, &'a str)>, DecodeError> {
    let map: &Map<String, Value> = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Object(map) => map,
        _ => {
            return Err(DecodeError::NotAnObject {
                field: field.to_owned(),
            });
        }
    };
    map.iter()
        .map(|(key, value)| match value.as_str() {
            Some(text) => Ok((key, text)),
            None => Err(DecodeError::NotAString {
                field: field.to_owned(),
                key: key.clone(),
            }),
        })
        .collect()
}

fn defaults(kind: Kind, value: &mut Value) {
    match kind {
        Kind::Namespace => value["status"] = json!({ "phase": "Active" }),
        Kind::Secret => default(value, "type", json!("Opaque")),
        Kind::PersistentVolumeClaim => claim(value),
        Kind::Service => value["status"] = json!({ "loadBalancer": {} }),
        Kind::Pod => {
            let spec = &mut value["spec"];
            default(spec, "restartPolicy", json!("Always"));
            default(spec, "terminationGracePeriodSeconds", json!(30));
            default(spec, "serviceAccountName", json!("default"));
            default(spec, "dnsPolicy", json!("ClusterFirst"));
            // There is one node and always room on it, so a pod is scheduled when it is made.
            spec["nodeName"] = super::NODE.into();
            value["status"] = json!({ "phase": "Pending", "qosClass": "BestEffort" });
        }
        Kind::Deployment => {
            let spec = &mut value["spec"];
            default(spec, "replicas", json!(1));
            default(spec, "revisionHistoryLimit", json!(10));
            default(spec, "progressDeadlineSeconds", json!(600));
            default(spec, "strategy", json!({ "type": "RollingUpdate" }));
            if spec["strategy"]["type"] == "RollingUpdate" {
                default(&mut spec["strategy"], "rollingUpdate", json!({}));
                let rolling = &mut spec["strategy"]["rollingUpdate"];
                default(rolling, "maxUnavailable", json!("25%"));
                default(rolling, "maxSurge", json!("25%"));
            }
            value["status"] = json!({});
        }
        Kind::ReplicaSet => {
            default(&mut value["spec"], "replicas", json!(1));
            value["status"] = json!({ "replicas": 0 });
        }
        _ => {}
    }
}

/// A claim is bound when it is made: its volume is a folder, and there is always room for one.
fn claim(value: &mut Value) {
    default(&mut value["spec"], "volumeMode", json!("Filesystem"));
    value["status"] = json!({
        "phase": "Bound",
        "accessModes": value["spec"]["accessModes"],
        "capacity": { "storage": value["spec"]["resources"]["requests"]["storage"] },
    });
    let metadata = object_mut(&mut value["metadata"]);
    match metadata.get_mut("finalizers").and_then(Value::as_array_mut) {
        Some(finalizers) if finalizers.iter().any(|finalizer| finalizer == CLAIM_IN_USE) => {}
        Some(finalizers) => finalizers.push(CLAIM_IN_USE.into()),
        None => {
            metadata.insert("finalizers".into(), json!([CLAIM_IN_USE]));
        }
    }
}

fn default(value: &mut Value, field: &str, to: Value) {
    let map = object_mut(value);
    if map.get(field).is_none_or(Value::is_null) {
        map.insert(field.into(), to);
    }
}
