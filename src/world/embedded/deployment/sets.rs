//! ReplicaSets and their pods.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{COMPONENT, HASH, REVISION};
use crate::world::embedded::error::ApiError;
use crate::world::embedded::events;
use crate::world::embedded::kinds::Kind;
use crate::world::embedded::object::{Object, items, random_suffix, text};
use crate::world::embedded::store::{DeleteOptions, Part, Store, object_mut};

/// A ReplicaSet with its pods that count: not deleted, not ended.
pub struct Set {
    pub object: Arc<Object>,
    pub pods: Vec<Arc<Object>>,
    /// Whether any of its pods are terminating.
    pub ending: bool,
}

impl Set {
    pub fn wanted(&self) -> u64 {
        self.object["spec"]["replicas"].as_u64().unwrap_or(0)
    }

    pub fn ready(&self) -> u64 {
        self.pods.iter().filter(|pod| is_ready(pod)).count() as u64
    }

    pub fn revision(&self) -> u64 {
        text(&self.object["metadata"]["annotations"][REVISION])
            .parse()
            .unwrap_or(0)
    }
}

fn is_ready(pod: &Value) -> bool {
    items(&pod["status"]["conditions"]).any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// The ReplicaSets of a Deployment.
pub fn sets(store: &Store, deployment: &Object) -> Vec<Set> {
    let uid = deployment.uid();
    let namespace = Some(deployment.namespace());
    let (objects, _) = store.list(Kind::ReplicaSet, namespace, |set| {
        set.controller() == Some(uid) && !set.deleting()
    });
    objects
        .into_iter()
        .map(|object| {
            let (all, _) = store.list(Kind::Pod, namespace, |pod| pod.controller() == Some(object.uid()));
            let ending = all.iter().any(|pod| pod.deleting());
            let pods = all
                .into_iter()
                .filter(|pod| !pod.deleting() && !has_ended(pod))
                .collect();
            Set { object, pods, ending }
        })
        .collect()
}

fn has_ended(pod: &Value) -> bool {
    matches!(text(&pod["status"]["phase"]), "Succeeded" | "Failed")
}

/// Makes the ReplicaSet of a template, without pods.
pub fn make_set(store: &Store, deployment: &Object, hash: &str) -> Result<Arc<Object>, ApiError> {
    let spec = &deployment["spec"];
    let mut template = spec["template"].clone();
    template["metadata"]["labels"][HASH] = hash.into();
    let mut selector = spec["selector"].clone();
    object_mut(&mut selector["matchLabels"]).insert(HASH.into(), hash.into());
    store.create(
        Kind::ReplicaSet,
        deployment.namespace(),
        json!({
            "metadata": {
                "name": format!("{}-{hash}", deployment.name()),
                "labels": template["metadata"]["labels"],
                "ownerReferences": [reference(deployment)],
            },
            "spec": { "replicas": 0, "selector": selector, "template": template },
        }),
    )
}

/// The `ownerReferences` of objects that a controller creates.
fn reference(owner: &Object) -> Value {
    json!({
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner.name(),
        "uid": owner.uid(),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// Writes the sizes that ReplicaSets are to have.
pub fn resize(store: &Store, deployment: &Object, sets: &mut [Set], sizes: Vec<u64>) -> Result<(), ApiError> {
    for (set, size) in sets.iter_mut().zip(sizes) {
        let before = set.wanted();
        if size == before {
            continue;
        }
        let object = &set.object;
        set.object = store.update(Kind::ReplicaSet, object.namespace(), object.name(), Part::Main, |old| {
            let mut new = old.clone();
            new["spec"]["replicas"] = size.into();
            Ok(new)
        })?;
        let way = if size > before { "up" } else { "down" };
        let message = format!("Scaled {way} replica set {} from {before} to {size}", set.object.name());
        events::record(store, deployment, "Normal", "ScalingReplicaSet", &message, COMPONENT);
    }
    Ok(())
}

/// Makes or deletes pods until a ReplicaSet has as many as it is to have.
pub fn fill(store: &Store, set: &mut Set) -> Result<(), ApiError> {
    let wanted = usize::try_from(set.wanted()).unwrap_or(usize::MAX);
    while set.pods.len() < wanted {
        let template = &set.object["spec"]["template"];
        let mut metadata = json!({
            "name": format!("{}-{}", set.object.name(), random_suffix(5)),
            "generateName": format!("{}-", set.object.name()),
            "labels": template["metadata"]["labels"],
            "ownerReferences": [reference(&set.object)],
        });
        if template["metadata"]["annotations"].is_object() {
            metadata["annotations"] = template["metadata"]["annotations"].clone();
        }
        let pod = json!({ "metadata": metadata, "spec": template["spec"] });
        match store.create(Kind::Pod, set.object.namespace(), pod) {
            Ok(pod) => {
                let message = format!("Created pod: {}", pod.name());
                let who = "replicaset-controller";
                events::record(store, &set.object, "Normal", "SuccessfulCreate", &message, who);
                set.pods.push(pod);
            }
            Err(error) if error.code == 403 => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    if set.pods.len() > wanted {
        // Those that serve nobody go first, then the youngest.
        set.pods.sort_by_cached_key(|pod| {
            let made = text(&pod["metadata"]["creationTimestamp"]).to_string();
            (is_ready(pod), std::cmp::Reverse(made))
        });
        let surplus = set.pods.len() - wanted;
        for pod in set.pods.drain(..surplus) {
            let options = DeleteOptions {
                uid: Some(pod.uid().into()),
                ..DeleteOptions::default()
            };
            if store.delete(Kind::Pod, pod.namespace(), pod.name(), &options).is_ok() {
                set.ending = true;
            }
        }
    }
    Ok(())
}

/// Deletes old empty ReplicaSets beyond the limit.
pub fn forget(store: &Store, deployment: &Object, sets: &[Set], current: usize) {
    let limit = deployment["spec"]["revisionHistoryLimit"].as_u64().unwrap_or(10);
    let mut old: Vec<&Set> = sets
        .iter()
        .enumerate()
        .filter(|(at, set)| *at != current && set.wanted() == 0 && set.pods.is_empty())
        .map(|(_, set)| set)
        .collect();
    old.sort_by_key(|set| std::cmp::Reverse(set.revision()));
    for set in old.iter().skip(usize::try_from(limit).unwrap_or(usize::MAX)) {
        let object = &set.object;
        // Gone meanwhile is as good.
        let _ = store.delete(
            Kind::ReplicaSet,
            object.namespace(),
            object.name(),
            &DeleteOptions::default(),
        );
    }
}
