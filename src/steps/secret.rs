//! `secret` and `patch-secret`: the token's Secret, read and changed.

use indexmap::IndexMap;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::api::{Api, Patch, PatchParams};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::by_command;
use super::context::StepContext;
use super::credentials;
use super::definition::{DONE, Reach, Verb, phrases, verb};
use super::observation::{Observation, StepError};
use crate::vocabulary::Intrusion;
use crate::world::access::Ask;
use crate::world::operations::Operations;

/// The verb `secret`.
pub const SECRET: Verb = Verb {
    phrases: phrases![
        "exists", "the secret is there", {"exists": true};
        "absent", "there is no such secret", {"exists": false};
    ],
    fields: &["exists", "data", "token", "master_key", "uid", "resource_version"],
    objects: &["data"],
    reach: Reach::Cluster(|_| vec![Ask::ReadSecret]),
    ..verb!("secret", Secret, read)
};

/// The verb `patch-secret`.
pub const PATCH_SECRET: Verb = Verb {
    phrases: DONE,
    default_given: Some("done"),
    fields: &["done"],
    reach: Reach::Cluster(|_| vec![Ask::ChangeSecret]),
    intrusion: |_| Intrusion::Disrupt,
    changes_secret: true,
    ..verb!("patch-secret", PatchSecret, patch)
};

/// Reads a Secret.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Its name: `${secret.name}`.
    pub secret: String,
}

/// Changes a Secret, by JSON Patch (RFC 6902).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PatchSecret {
    pub patch_secret: String,
    /// Values by key: `add` on `/data/<key>`.
    pub set: IndexMap<String, String>,
}

fn api(context: &StepContext) -> Api<KubeSecret> {
    Api::namespaced(context.world.kubernetes.clone(), &context.world.namespace)
}

/// Reads a Secret: `exists`, `data` (as text), `token` and `master_key` (what `data` has under the
/// installation's names for them), `uid`, `resource_version`.
pub async fn read(arguments: Secret, context: &StepContext) -> Result<Observation, StepError> {
    let what = format!("read secret {}", arguments.secret);
    if let Operations::Commands(commands) = context.world.operations() {
        return by_command::read_secret(commands, what, context).await;
    }
    let found = api(context)
        .get_opt(&arguments.secret)
        .await
        .map_err(|error| StepError::asking(&what, error))?;
    let Some(secret) = found else {
        return Ok(Observation {
            what,
            value: json!({ "kind": "secret", "exists": false, "data": {} }),
        });
    };
    let mut data = Map::new();
    for (key, value) in secret.data.unwrap_or_default() {
        let value = String::from_utf8_lossy(&value.0).into_owned();
        credentials::keep_text(&key, &value, &context.redactor).map_err(|error| StepError::doing(&what, error))?;
        data.insert(key, value.into());
    }
    let value = json!({
        "kind": "secret",
        "exists": true,
        "data": data,
        "uid": secret.metadata.uid,
        "resource_version": secret.metadata.resource_version,
    });
    Ok(Observation {
        what,
        value: with_names(value, context),
    })
}

/// Adds `token` and `master_key`, by the installation's names for them.
pub(super) fn with_names(mut value: Value, context: &StepContext) -> Value {
    for (field, name) in [("token", "secret.key"), ("master_key", "secret.master-key")] {
        if let Some(found) = value["data"].get(context.world.name(name)).cloned() {
            value[field] = found;
        }
    }
    value
}

/// Changes a Secret by JSON Patch: `add` replaces what is there (RFC 6902 §4.1).
pub async fn patch(arguments: PatchSecret, context: &StepContext) -> Result<Observation, StepError> {
    let changed: Vec<(&str, &str)> = arguments
        .set
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let keys: Vec<&str> = changed.iter().map(|(key, _)| *key).collect();
    let what = format!("patch {} of secret {}", keys.join(", "), arguments.patch_secret);
    put(context, &arguments.patch_secret, &changed, &what).await?;
    Ok(Observation {
        what,
        value: json!({ "done": true }),
    })
}

/// Puts one value into a Secret, as the operator's patch does.
pub async fn set(context: &StepContext, secret: &str, key: &str, value: &str) -> Result<(), StepError> {
    let what = format!("patch {key} of secret {secret}");
    put(context, secret, &[(key, value)], &what).await
}

/// Writes values into a Secret; for one that isn't ours the change is journalled first.
async fn put(context: &StepContext, secret: &str, values: &[(&str, &str)], what: &str) -> Result<(), StepError> {
    if let (Operations::Commands(_), Some(changes)) = (context.world.operations(), context.world.changes()) {
        let changed = values
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned())));
        return changes
            .patch_by_command(&changed.collect())
            .await
            .map_err(|error| StepError::doing(what, error));
    }
    if let Some(changes) = context.world.changes() {
        changes
            .secret(secret, values)
            .await
            .map_err(|error| StepError::doing(what, error))?;
    }
    let operations: Vec<Value> = values.iter().map(|(key, value)| add(key, value)).collect();
    let patch: json_patch::Patch =
        serde_json::from_value(operations.into()).map_err(|error| StepError::doing(what, error))?;
    api(context)
        .patch(secret, &PatchParams::default(), &Patch::Json::<()>(patch))
        .await
        .map_err(|error| StepError::asking(what, error))?;
    Ok(())
}

fn add(key: &str, value: &str) -> Value {
    use base64::Engine;
    let path = format!("/data/{}", key.replace('~', "~0").replace('/', "~1"));
    json!({ "op": "add", "path": path, "value": base64::engine::general_purpose::STANDARD.encode(value) })
}
