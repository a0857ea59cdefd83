//! The controllers of Deployments and ReplicaSets: rollouts as the real ones do them.
//!
//! One task reconciles a Deployment, its ReplicaSets and their pods together,
//! whenever one of them changes. It keeps no state but the objects.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::error::ApiError;
use super::kinds::Kind;
use super::object::{self, Object, items, safe_letter, text, time};
use super::store::{Change, Changes, Part, Store, object_mut};

mod rollout;
mod sets;
mod status;

use sets::{Set, fill, forget, make_set, resize, sets};

const HASH: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";
const COMPONENT: &str = "deployment-controller";

/// Reconciles until it is dropped.
pub async fn run(store: Arc<Store>) {
    loop {
        // A watch that fell behind the history starts anew from the objects as they are.
        if watch(&store).await.is_err() {
            continue;
        }
    }
}

async fn watch(store: &Arc<Store>) -> Result<(), ApiError> {
    let (deployments, version) = store.list(Kind::Deployment, None, |_| true);
    let mut of_deployments = store.changes(Kind::Deployment, version)?;
    let mut of_sets = store.changes(Kind::ReplicaSet, version)?;
    let mut of_pods = store.changes(Kind::Pod, version)?;
    let mut dirty: BTreeSet<(String, String)> = deployments.iter().map(|object| key(object)).collect();
    loop {
        while let Some((namespace, name)) = dirty.pop_first() {
            // What failed is tried again with the next change: an object of the same name
            // that is on its way out, a namespace that ends.
            let _ = reconcile(store, &namespace, &name);
        }
        tokio::select! {
            changes = of_deployments.next() => {
                dirty.extend(changes?.iter().map(|change| key(&change.object)));
            }
            changes = of_sets.next() => dirty.extend(sets_owners(&changes?)),
            changes = of_pods.next() => dirty.extend(pods_owners(store, &changes?)),
        }
        drain(store, &mut of_deployments, &mut of_sets, &mut of_pods, &mut dirty)?;
    }
}

/// Takes what else has come in, so that one pass answers all of it.
fn drain(
    store: &Store,
    deployments: &mut Changes,
    sets: &mut Changes,
    pods: &mut Changes,
    dirty: &mut BTreeSet<(String, String)>,
) -> Result<(), ApiError> {
    dirty.extend(deployments.ready()?.iter().map(|change| key(&change.object)));
    dirty.extend(sets_owners(&sets.ready()?));
    dirty.extend(pods_owners(store, &pods.ready()?));
    Ok(())
}

fn pods_owners(store: &Store, changes: &[Change]) -> Vec<(String, String)> {
    changes
        .iter()
        .filter_map(|change| store.by_uid(change.object.controller()?))
        .filter(|(kind, _)| *kind == Kind::ReplicaSet)
        .filter_map(|(_, set)| owner(&set))
        .collect()
}

fn sets_owners(changes: &[Change]) -> Vec<(String, String)> {
    changes.iter().filter_map(|change| owner(&change.object)).collect()
}

fn key(object: &Object) -> (String, String) {
    (object.namespace().to_string(), object.name().to_string())
}

/// The Deployment that controls a ReplicaSet, by name: a new one of the same name
/// has to hear of the end of its predecessor's.
fn owner(set: &Object) -> Option<(String, String)> {
    object::owners(set)
        .find(|owner| owner["controller"] == true && owner["kind"] == "Deployment")
        .map(|owner| (set.namespace().to_string(), text(&owner["name"]).to_string()))
}

fn reconcile(store: &Store, namespace: &str, name: &str) -> Result<(), ApiError> {
    let Ok(deployment) = store.get(Kind::Deployment, namespace, name) else {
        return Ok(());
    };
    if deployment.deleting() {
        return Ok(());
    }
    let mut sets = sets(store, &deployment);
    let hash = template_hash(&deployment["spec"]["template"]);
    let mut current = sets
        .iter()
        .position(|set| set.object["metadata"]["labels"][HASH] == hash);
    let paused = deployment["spec"]["paused"] == true;
    if current.is_none() && !paused {
        let object = make_set(store, &deployment, &hash)?;
        sets.push(Set {
            object,
            pods: Vec::new(),
            ending: false,
        });
        current = Some(sets.len() - 1);
    }
    if let Some(at) = current.filter(|_| !paused) {
        let new = sets.swap_remove(at);
        let revision = sets.iter().map(Set::revision).max().unwrap_or(0) + 1;
        mark_revision(store, &deployment, &new, revision.max(new.revision()))?;
        let sizes = rollout::sizes(&deployment, &new, &sets);
        resize(store, &deployment, &mut sets, sizes.old)?;
        let mut news = vec![new];
        resize(store, &deployment, &mut news, vec![sizes.new])?;
        sets.append(&mut news);
        current = Some(sets.len() - 1);
    }
    for set in &mut sets {
        fill(store, set)?;
        status::of_set(store, set)?;
    }
    status::of_deployment(store, &deployment, &sets, current)?;
    if let Some(current) = current {
        forget(store, &deployment, &sets, current);
    }
    Ok(())
}

/// Numbers the rollout on the new ReplicaSet and on the Deployment.
fn mark_revision(store: &Store, deployment: &Object, new: &Set, revision: u64) -> Result<(), ApiError> {
    let revision = Value::from(revision.to_string());
    for (kind, object) in [(Kind::ReplicaSet, &*new.object), (Kind::Deployment, deployment)] {
        if object["metadata"]["annotations"][REVISION] != revision {
            store.update(kind, object.namespace(), object.name(), Part::Main, |old| {
                let mut new = old.clone();
                object_mut(&mut new["metadata"]["annotations"]).insert(REVISION.into(), revision.clone());
                Ok(new)
            })?;
        }
    }
    Ok(())
}

/// A short name for a pod template: equal templates have equal ones, whatever the order of fields.
fn template_hash(template: &Value) -> String {
    let mut hasher = Sha256::new();
    digest(template, &mut hasher);
    hasher
        .finalize()
        .iter()
        .take(10)
        .map(|byte| safe_letter(usize::from(*byte)))
        .collect()
}

fn digest(value: &Value, hasher: &mut Sha256) {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().filter(|(_, value)| !value.is_null()).collect();
            fields.sort_by_key(|(name, _)| name.as_str());
            hasher.update(b"{");
            for (name, value) in fields {
                hasher.update(name.as_bytes());
                hasher.update(b":");
                digest(value, hasher);
            }
            hasher.update(b"}");
        }
        Value::Array(elements) => {
            hasher.update(b"[");
            for element in elements {
                digest(element, hasher);
                hasher.update(b",");
            }
            hasher.update(b"]");
        }
        other => hasher.update(other.to_string().as_bytes()),
    }
}

/// A condition with its times: `lastTransitionTime` stays while the status does.
fn condition(before: &Value, kind: &str, status: &str, reason: &str, message: &str) -> Value {
    let now = time(Timestamp::now());
    let old = items(before).find(|condition| condition["type"] == kind);
    let same = |field: &str, value: &str| old.is_some_and(|old| old[field] == value);
    let kept = |field: &str| old.map_or(Value::Null, |old| old[field].clone());
    let unchanged = same("status", status) && same("reason", reason) && same("message", message);
    json!({
        "type": kind,
        "status": status,
        "lastUpdateTime": if unchanged { kept("lastUpdateTime") } else { now.clone().into() },
        "lastTransitionTime": if same("status", status) { kept("lastTransitionTime") } else { now.into() },
        "reason": reason,
        "message": message,
    })
}
