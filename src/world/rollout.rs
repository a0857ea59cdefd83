//! Rollouts of deployments.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::Api;
use kube::runtime::conditions::is_deployment_completed;
use kube::runtime::wait::Condition;

use super::wait::{WaitError, until};

/// The annotation of a pod template that a restart sets, as `kubectl rollout restart` does.
pub const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Why a rollout was not seen to its end.
#[derive(Debug, thiserror::Error)]
#[error("waiting for the rollout of {name}: {}", why(source))]
pub struct RolloutError {
    name: String,
    source: Box<WaitError>,
}

fn why(error: &WaitError) -> String {
    match error {
        WaitError::Late(within) => format!("not complete after {within:?}"),
        WaitError::Asking(_) => error.to_string(),
    }
}

/// Waits until a rollout is complete.
///
/// # Errors
/// What was awaited, and why waiting ended.
pub async fn completed(deployments: &Api<Deployment>, name: &str, within: Duration) -> Result<(), RolloutError> {
    let waited = until(deployments, name, has_rolled_out(), within).await;
    waited.map(drop).map_err(|source| RolloutError {
        name: name.to_owned(),
        source: Box::new(source),
    })
}

/// What `kubectl rollout status` waits for. The condition alone may still be that of the rollout before.
fn has_rolled_out() -> impl Condition<Deployment> {
    |deployment: Option<&Deployment>| {
        let completed = is_deployment_completed().matches_object(deployment);
        completed
            && deployment.is_some_and(|deployment| {
                let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
                deployment.status.as_ref().is_some_and(|status| {
                    status.observed_generation >= deployment.metadata.generation
                        && status.updated_replicas.unwrap_or(0) >= wanted
                        && status.replicas.unwrap_or(0) <= status.updated_replicas.unwrap_or(0)
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(observed: i64, replicas: i32, updated: i32) -> Deployment {
        let complete = json!({ "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" });
        let status = json!({ "observedGeneration": observed, "replicas": replicas, "updatedReplicas": updated,
            "conditions": [complete] });
        let value = json!({ "metadata": { "generation": 2 }, "status": status,
            "spec": { "replicas": 2, "selector": {}, "template": {} } });
        serde_json::from_value(value).expect("a deployment")
    }

    #[test]
    fn the_rollout_before_is_not_this_one() {
        let holds = |observed, replicas, updated| {
            has_rolled_out().matches_object(Some(&deployment(observed, replicas, updated)))
        };
        assert!(holds(2, 2, 2));
        assert!(!holds(1, 2, 2), "of the generation before");
        assert!(!holds(2, 2, 1), "not all are new");
        assert!(!holds(2, 3, 2), "an old one is left");
        assert!(!has_rolled_out().matches_object(None));
    }
}
