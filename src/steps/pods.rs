//! `pods`, `delete` and `delete-pods`: which pods there are, and the end of those that come back.

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait::conditions::is_deleted;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::by_command;
use super::context::StepContext;
use super::definition::{DONE, Reach, Verb, verb};
use super::observation::{Observation, StepError};
use crate::vocabulary::Intrusion;
use crate::world::access::Ask;
use crate::world::operations::Operations;
use crate::world::pod::is_ready;
use crate::world::subject;
use crate::world::wait::{WaitError, until};

/// The verb `pods`.
pub const PODS: Verb = Verb {
    fields: &["count", "ready", "names", "uids", "items"],
    takes_objects: &["pods"],
    reach: Reach::Cluster(|_| vec![Ask::FindPods]),
    gives_pods: true,
    // Those of a session are the scenario's own.
    sees_others: |keys| keys["pods"].as_str().is_none_or(|pods| !pods.starts_with("${")),
    ..verb!("pods", Pods, list)
};

/// The verb `delete`.
pub const DELETE: Verb = Verb {
    phrases: DONE,
    default_given: Some("done"),
    fields: &["done", "names"],
    takes_objects: &["delete"],
    reach: Reach::Cluster(|_| vec![Ask::DeleteSandboxes, Ask::FindPods]),
    intrusion: |_| Intrusion::Disrupt,
    ..verb!("delete", Delete, delete)
};

/// The verb `delete-pods`.
pub const DELETE_PODS: Verb = Verb {
    phrases: DONE,
    default_given: Some("done"),
    fields: &["done", "names"],
    takes_objects: &["delete-pods"],
    reach: Reach::Cluster(|_| vec![Ask::DeletePods, Ask::FindPods]),
    intrusion: |_| Intrusion::Disrupt,
    ..verb!("delete-pods", DeletePods, delete_pods)
};

/// Lists pods.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pods {
    /// `warm`, `web`, `worker`, `balancer`, `all`, a label selector, or a session (its pod).
    pub pods: Value,
}

/// Deletes what makes pods come back: the Sandbox of each.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    /// Pods, as bound by a `pods`.
    pub delete: Value,
}

/// Deletes pods that their deployment brings back, and waits until they are gone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DeletePods {
    /// Pods, as bound by a `pods`.
    pub delete_pods: Value,
}

fn api(context: &StepContext) -> Api<Pod> {
    Api::namespaced(context.world.kubernetes.clone(), &context.world.namespace)
}

/// Lists pods: `count`, `ready` (how many are), `names`, `uids`, `items`. Pods on their way out don't count.
pub async fn list(arguments: Pods, context: &StepContext) -> Result<Observation, StepError> {
    if let Operations::Commands(commands) = context.world.operations() {
        return by_command::list(commands, &arguments.pods, context).await;
    }
    let (what, params) = match &arguments.pods {
        Value::String(role) => {
            let selector = match (role.as_str(), context.world.name(&format!("{role}.selector"))) {
                ("all", _) => "",
                (_, "") => role,
                (_, selector) => selector,
            };
            (format!("list the {role} pods"), ListParams::default().labels(selector))
        }
        session => (
            format!("find the pod of {}", subject::name(session)),
            ListParams::default(),
        ),
    };
    let labelled = arguments.pods["id"].as_str().and_then(|id| label_of(context, id));
    let asking = |error| StepError::asking(&what, error);
    let mut listed = match &labelled {
        Some(selector) => api(context)
            .list(&ListParams::default().labels(selector))
            .await
            .map_err(asking)?,
        None => api(context).list(&params).await.map_err(asking)?,
    };
    let is_labelled = labelled.is_some() && !listed.items.is_empty();
    if labelled.is_some() && !is_labelled {
        // One that was warm has the labels that it was made with.
        listed = api(context).list(&params).await.map_err(asking)?;
    }
    let mut items: Vec<Value> = listed
        .items
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .map(observed)
        .filter(|pod| is_labelled || arguments.pods.is_string() || runs(pod, &arguments.pods))
        .collect();
    items.sort_by(|a, b| (a["created"].as_str(), a["name"].as_str()).cmp(&(b["created"].as_str(), b["name"].as_str())));
    let value = counted(&items);
    Ok(Observation { what, value })
}

/// Pods as a list.
fn counted(items: &[Value]) -> Value {
    let column = |field: &str| -> Vec<Value> { items.iter().map(|item| item[field].clone()).collect() };
    json!({
        "kind": "pods",
        "count": items.len(),
        "ready": items.iter().filter(|item| item["ready"] == true).count(),
        "names": column("name"),
        "uids": column("uid"),
        "items": items,
    })
}

/// The selector of a session's pod, if the installation labels it.
fn label_of(context: &StepContext, session: &str) -> Option<String> {
    let label = context.world.session_label()?;
    Some(format!("{label}={session}"))
}

/// Whether a session runs in this pod.
fn runs(pod: &Value, session: &Value) -> bool {
    let host = subject::host(session);
    !host.is_empty() && (pod["ip"] == host || host.split('.').next() == pod["name"].as_str())
}

/// A pod as steps see it.
fn observed(pod: &Pod) -> Value {
    let status = pod.status.as_ref();
    json!({
        "kind": "pod",
        "name": pod.metadata.name,
        "uid": pod.metadata.uid,
        "ip": status.and_then(|status| status.pod_ip.as_ref()),
        "phase": status.and_then(|status| status.phase.as_ref()),
        "ready": is_ready(pod),
        "created": pod.metadata.creation_timestamp.as_ref().map(|time| json!(time)),
        "labels": pod.metadata.labels,
        "containers": names(pod.spec.as_ref().map(|spec| &spec.containers)),
        "init_containers": names(pod.spec.as_ref().and_then(|spec| spec.init_containers.as_ref())),
        "claims": claims(pod),
    })
}

/// The claims that a pod mounts.
fn claims(pod: &Pod) -> Vec<&str> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    let claims = volumes
        .into_iter()
        .flatten()
        .filter_map(|volume| volume.persistent_volume_claim.as_ref());
    claims.map(|claim| claim.claim_name.as_str()).collect()
}

fn names(containers: Option<&Vec<Container>>) -> Vec<&str> {
    let containers = containers.into_iter().flatten();
    containers.map(|container| container.name.as_str()).collect()
}

/// Deletes the Sandbox of each pod, since a pod deleted alone comes back; waits until the pods are gone.
pub async fn delete(arguments: Delete, context: &StepContext) -> Result<Observation, StepError> {
    let pods = only_pods("delete", &arguments.delete)?;
    let names: Vec<&str> = pods.iter().filter_map(|pod| pod["name"].as_str()).collect();
    let what = format!("delete the sandboxes {}", names.join(", "));
    if let Operations::Commands(commands) = context.world.operations() {
        return by_command::delete(commands, &pods, what, context).await;
    }
    let kind = GroupVersionKind::gvk("agents.x-k8s.io", "v1alpha1", "Sandbox");
    let resource = ApiResource::from_gvk_with_plural(&kind, "sandboxes");
    let sandboxes: Api<DynamicObject> =
        Api::namespaced_with(context.world.kubernetes.clone(), &context.world.namespace, &resource);
    for name in &names {
        sandboxes
            .delete(name, &DeleteParams::default())
            .await
            .map_err(|error| StepError::asking(&what, error))?;
    }
    until_gone(&pods, &what, context).await?;
    Ok(Observation {
        what: what.clone(),
        value: json!({ "done": true, "names": names }),
    })
}

/// Deletes pods that a deployment brings back, and waits until they are gone.
pub async fn delete_pods(arguments: DeletePods, context: &StepContext) -> Result<Observation, StepError> {
    let pods = only_pods("delete-pods", &arguments.delete_pods)?;
    let names: Vec<&str> = pods.iter().filter_map(|pod| pod["name"].as_str()).collect();
    let what = format!("delete the pods {}", names.join(", "));
    for name in &names {
        let deleted = api(context).delete(name, &DeleteParams::default()).await;
        deleted.map_err(|error| StepError::asking(&what, error))?;
    }
    until_gone(&pods, &what, context).await?;
    Ok(Observation {
        what: what.clone(),
        value: json!({ "done": true, "names": names }),
    })
}

/// The pods that a step is about.
///
/// # Errors
/// Something else is among them: a session has no pod's name, and passing over it would look like a deletion.
fn only_pods(verb: &str, subject: &Value) -> Result<Vec<Value>, StepError> {
    let pods = subject::each(subject).cloned().unwrap_or_else(|| vec![subject.clone()]);
    match pods.iter().find(|pod| pod["kind"] != "pod") {
        Some(other) => Err(StepError::Arguments(format!(
            "{verb}: {} isn't a pod; it takes the result that a `pods` step got with `as` (`delete-session` ends a session)",
            subject::name(other)
        ))),
        None => Ok(pods),
    }
}

async fn until_gone(pods: &[Value], what: &str, context: &StepContext) -> Result<(), StepError> {
    for pod in pods {
        let (Some(name), Some(uid)) = (pod["name"].as_str(), pod["uid"].as_str()) else {
            continue;
        };
        match until(&api(context), name, is_deleted(uid), context.limits.ready).await {
            Ok(_) => {}
            Err(WaitError::Late(within)) => {
                let why = format!("pod {name} was still there after {within:?}");
                return Err(StepError::doing(what, why));
            }
            Err(error) => return Err(StepError::doing(what, error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::definition::unlike_listed;

    #[test]
    fn what_is_listed_of_pods() {
        let pod = |name: &str, ready: bool| json!({ "kind": "pod", "name": name, "uid": "u", "ready": ready });
        let seen = counted(&[pod("a", true), pod("b", false)]);
        assert_eq!((&seen["count"], &seen["ready"]), (&json!(2), &json!(1)));
        assert_eq!(seen["names"], json!(["a", "b"]));
        assert_eq!(unlike_listed(&PODS, &seen), [""; 0]);
    }
}
