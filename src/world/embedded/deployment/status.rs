//! The status of Deployments and ReplicaSets.

use serde_json::{Value, json};

use super::{Set, condition};
use crate::world::embedded::error::ApiError;
use crate::world::embedded::kinds::Kind;
use crate::world::embedded::object::{Object, items};
use crate::world::embedded::store::{Part, Store};

pub fn of_set(store: &Store, set: &Set) -> Result<(), ApiError> {
    let (count, ready) = (set.pods.len() as u64, set.ready());
    let mut status = json!({
        "replicas": count,
        "fullyLabeledReplicas": count,
        "observedGeneration": set.object["metadata"]["generation"],
    });
    if ready > 0 {
        status["readyReplicas"] = ready.into();
        status["availableReplicas"] = ready.into();
    }
    write(store, Kind::ReplicaSet, &set.object, status)
}

pub fn of_deployment(store: &Store, deployment: &Object, sets: &[Set], current: Option<usize>) -> Result<(), ApiError> {
    let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    let count = |set: &Set| set.pods.len() as u64;
    let replicas: u64 = sets.iter().map(count).sum();
    let ready: u64 = sets.iter().map(Set::ready).sum();
    let updated = current.map_or(0, |at| count(&sets[at]));
    let mut status = json!({ "observedGeneration": deployment["metadata"]["generation"] });
    // As in Kubernetes, a count of zero is left out.
    for (field, count) in [
        ("replicas", replicas),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", ready),
        ("unavailableReplicas", wanted.max(replicas).saturating_sub(ready)),
    ] {
        if count > 0 {
            status[field] = count.into();
        }
    }
    let before = &deployment["status"]["conditions"];
    // The limit is what the strategy allows to be missing; for Recreate nothing may.
    let enough = ready >= minimum(deployment, wanted);
    let available = if enough {
        (
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        )
    } else {
        (
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    };
    let available = condition(before, "Available", available.0, available.1, available.2);
    let progressing = progressing(deployment, sets, current, wanted, replicas, ready, updated);
    status["conditions"] = json!([available, progressing]);
    write(store, Kind::Deployment, deployment, status)
}

fn minimum(deployment: &Value, wanted: u64) -> u64 {
    let strategy = &deployment["spec"]["strategy"];
    if strategy["type"] == "Recreate" {
        return wanted;
    }
    let (_, unavailable) = super::rollout::limits(&strategy["rollingUpdate"], wanted);
    wanted.saturating_sub(unavailable)
}

fn progressing(
    deployment: &Value,
    sets: &[Set],
    current: Option<usize>,
    wanted: u64,
    replicas: u64,
    ready: u64,
    updated: u64,
) -> Value {
    let before = &deployment["status"]["conditions"];
    let name = current.map_or("", |at| sets[at].object.name());
    let complete = updated == wanted && replicas == wanted && ready == wanted;
    if complete {
        let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
        return condition(before, "Progressing", "True", "NewReplicaSetAvailable", &message);
    }
    // A Deployment that was complete and loses a pod stays "available": it is no rollout.
    let was = items(before).find(|condition| condition["type"] == "Progressing");
    if let Some(was) = was
        && was["reason"] == "NewReplicaSetAvailable"
        && was["message"]
            .as_str()
            .is_some_and(|message| message.contains(&format!("\"{name}\"")))
    {
        return was.clone();
    }
    let message = format!("ReplicaSet \"{name}\" is progressing.");
    condition(before, "Progressing", "True", "ReplicaSetUpdated", &message)
}

/// Writes a status, unless nothing changed.
fn write(store: &Store, kind: Kind, object: &Object, status: Value) -> Result<(), ApiError> {
    let uid = object.uid();
    let written = store.update(kind, object.namespace(), object.name(), Part::Status, |old| {
        if old["metadata"]["uid"] != uid {
            return Err(ApiError::not_found(kind, object.name()));
        }
        let mut new = old.clone();
        new["status"] = status;
        Ok(new)
    });
    match written {
        Ok(_) => Ok(()),
        // Gone: there is nobody to tell.
        Err(error) if error.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}
