//! `restart` and `seed-token`: what an operator and the deploy pipeline do.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, LogParams};
use kube::runtime::wait::Condition;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::by_command;
use super::context::StepContext;
use super::definition::{DONE, Reach, Verb, verb};
use super::nonce::nonce;
use super::observation::{Observation, StepError};
use super::secret;
use crate::vocabulary::Intrusion;
use crate::world::access::Ask;
use crate::world::deploy::{self, DeployError};
use crate::world::operations::Operations;
use crate::world::rollout::completed;
use crate::world::wait::{WaitError, until};

/// The verb `seed-token`.
pub const SEED_TOKEN: Verb = Verb {
    phrases: DONE,
    default_given: Some("done"),
    fields: &["done", "phase", "log"],
    reach: Reach::Cluster(asks),
    intrusion: |_| Intrusion::Disrupt,
    ..verb!("seed-token", SeedToken, seed)
};

/// The verb `restart`.
pub const RESTART: Verb = Verb {
    phrases: DONE,
    default_given: Some("done"),
    fields: &["done"],
    reach: Reach::Cluster(|_| vec![Ask::RestartDeployments]),
    intrusion: |_| Intrusion::Disrupt,
    ..verb!("restart", Restart, restart)
};

/// Who brings the token in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Seeder {
    /// Patches the secret and restarts web and worker, as the contract's page says.
    Operator,
    /// Runs the platform's own seed, as the deploy pipeline does.
    Pipeline,
}

/// Brings the token into the platform.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SeedToken {
    pub seed_token: Seeder,
    /// The operator's new value. Default: `${secret.token}`.
    pub value: Option<String>,
}

/// Restarts deployments as `kubectl rollout restart` does, and waits until that is done.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// `web`, `worker`, `balancer`, or a deployment's own name; or a list.
    pub restart: Value,
}

/// Restarts deployments and waits until the rollouts are complete.
pub async fn restart(arguments: Restart, context: &StepContext) -> Result<Observation, StepError> {
    let names: Vec<String> = match &arguments.restart {
        Value::String(one) => vec![one.clone()],
        Value::Array(several) => several
            .iter()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect(),
        other => {
            return Err(StepError::Arguments(format!(
                "restart: {other} is not a deployment's name or a list of names"
            )));
        }
    };
    if let (Operations::Commands(_), Some(changes)) = (context.world.operations(), context.world.changes()) {
        let roles: Vec<&str> = names.iter().map(String::as_str).collect();
        return by_command::restart(changes, &roles).await;
    }
    let names: Vec<&str> = names.iter().map(|name| deployment(context, name)).collect();
    let what = format!("restart {}", names.join(" and "));
    roll(context, &names).await?;
    Ok(Observation {
        what,
        value: json!({ "done": true }),
    })
}

/// The deployment that a role has in this installation; any other name is a deployment's own.
pub(super) fn deployment<'a>(context: &'a StepContext, role: &'a str) -> &'a str {
    match context.world.name(&format!("{role}.deployment")) {
        "" => role,
        name => name,
    }
}

/// Restarts deployments and waits.
pub(super) async fn roll(context: &StepContext, names: &[&str]) -> Result<(), StepError> {
    let api: Api<Deployment> = Api::namespaced(context.world.kubernetes.clone(), &context.world.namespace);
    for name in names {
        let failed = |error| StepError::asking(format!("restarting deployment {name}"), error);
        match context.world.changes() {
            None => drop(api.restart(name).await.map_err(failed)?),
            Some(changes) => changes.restart(name).await?,
        }
    }
    for name in names {
        completed(&api, name, context.limits.ready).await?;
    }
    Ok(())
}

/// What bringing the token in asks of a cluster.
pub fn asks(keys: &Value) -> Vec<Ask> {
    match keys["seed-token"].as_str() {
        Some("operator") => vec![Ask::ChangeSecret, Ask::RestartDeployments],
        _ => vec![Ask::RunSeed, Ask::FindPods, Ask::ReadLogs],
    }
}

/// Brings the token into the platform.
pub async fn seed(arguments: SeedToken, context: &StepContext) -> Result<Observation, StepError> {
    match arguments.seed_token {
        Seeder::Operator => {
            let token = arguments.value.unwrap_or_else(|| context.world.token.clone());
            let world = &context.world;
            secret::set(context, world.name("secret.name"), world.name("secret.key"), &token).await?;
            if let (Operations::Commands(_), Some(changes)) = (world.operations(), world.changes()) {
                return by_command::restart(changes, &["web", "worker"]).await;
            }
            let names = [deployment(context, "web"), deployment(context, "worker")];
            roll(context, &names).await?;
            let what = format!("patch the token into the secret and restart {}", names.join(" and "));
            Ok(Observation {
                what,
                value: json!({ "done": true }),
            })
        }
        Seeder::Pipeline => pipeline(context).await,
    }
}

/// Runs the platform's own seed as a pod, to its end.
async fn pipeline(context: &StepContext) -> Result<Observation, StepError> {
    let what = "run the deploy pipeline's seed".to_owned();
    let failed = |error: DeployError| StepError::doing(&what, error);
    let world = &context.world;
    if let (Operations::Commands(_), Some(changes)) = (world.operations(), world.changes()) {
        let keys = ["secret.key", "secret.master-key"].map(|name| world.name(name));
        let log = changes
            .seed_by_command(&keys)
            .await
            .map_err(|error| StepError::doing(&what, error))?;
        let value = json!({ "done": true, "phase": "Succeeded", "log": log });
        return Ok(Observation { what, value });
    }
    let values = deploy::Values {
        seed: format!("seed-{}", nonce()),
        ..world.values.clone()
    };
    let objects = deploy::objects(deploy::SEED, &values).map_err(failed)?;
    deploy::create(&world.kubernetes, &world.namespace, objects, |_| true)
        .await
        .map_err(failed)?;
    let pods: Api<Pod> = Api::namespaced(world.kubernetes.clone(), &world.namespace);
    let ended = match until(&pods, &values.seed, has_ended(), context.limits.ready).await {
        Ok(ended) => ended,
        Err(WaitError::Late(within)) => {
            return Err(StepError::doing(
                &what,
                format!("the seed had not ended after {within:?}"),
            ));
        }
        Err(error) => return Err(StepError::doing(&what, error)),
    };
    let phase = ended.and_then(|pod| pod.status?.phase).unwrap_or_default();
    let log = pods.logs(&values.seed, &LogParams::default()).await.unwrap_or_default();
    pods.delete(&values.seed, &DeleteParams::default())
        .await
        .map_err(|error| StepError::asking(&what, error))?;
    Ok(Observation {
        what,
        value: json!({ "done": phase == "Succeeded", "phase": phase, "log": log }),
    })
}

fn has_ended() -> impl Condition<Pod> {
    |pod: Option<&Pod>| {
        pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref())
            .is_some_and(|phase| phase == "Succeeded" || phase == "Failed")
    }
}
