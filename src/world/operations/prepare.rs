//! Brings a platform that is operated by commands into the state that a scenario requires.

use std::time::Duration;

use super::{Changed, Commands, Operations};
use crate::profile::operations::Operation;
use crate::profile::route_address::Way;
use crate::trust::TrustError;
use crate::vocabulary::{AuthorizerState, Contract, Road, SecretState, WorldSpec};
use crate::world::World;
use crate::world::installation::InstallationError;
use crate::world::installation::changes::Changes;
use crate::world::roads::{RoadError, door};

/// Time limit for the witness's answer.
const WITNESS_WITHIN: Duration = Duration::from_secs(10);

/// Why the witness still has what it recorded.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    #[error(transparent)]
    Road(#[from] RoadError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Asking(#[from] reqwest::Error),
}

/// Brings a platform that isn't ours into the state that a scenario requires. Each change is journalled before it is
/// made.
pub async fn prepare(world: &World, spec: &WorldSpec) -> Result<(), InstallationError> {
    let Some(installation) = world.installation() else {
        return Ok(());
    };
    let wants_probe = spec.balancer.as_ref().is_some_and(|balancer| balancer.probe);
    if let (Operations::Commands(commands), Some(changes)) = (world.operations(), world.changes()) {
        secret(world, spec, commands, changes).await?;
        if spec.authorizer != AuthorizerState::Works {
            changes
                .turn(Operation::Authorizer, Some(spec.authorizer.name()))
                .await?;
        }
        if !spec.litellm {
            changes.turn(Operation::Litellm, None).await?;
        }
        if let Some(clock) = spec.clock {
            changes.turn(Operation::SetClock, Some(&clock.to_string())).await?;
        }
        if wants_probe && installation.probe.is_none() {
            changes.turn(Operation::Probe, None).await?;
        }
    }
    if let (true, Some(probe)) = (wants_probe, &installation.probe) {
        probe.is_behind_the_balancer(world).await?;
    }
    // In a fresh world the witness has seen nothing.
    match (world.contract, world.way(Road::Witness)) {
        (Contract::AgentService, Some(Way::To(_) | Way::PortForward)) => Ok(forget(world).await?),
        _ => Ok(()),
    }
}

/// Removes the token, and everything that was started with it.
async fn secret(
    world: &World,
    spec: &WorldSpec,
    commands: &Commands,
    changes: &Changes,
) -> Result<(), InstallationError> {
    let keys = match spec.secret {
        SecretState::WithToken => return Ok(()),
        SecretState::WithoutToken => vec![world.name("secret.key").to_owned()],
        SecretState::Absent => commands.keys().await?.into_keys().collect(),
    };
    let gone: Changed = keys.into_iter().map(|key| (key, None)).collect();
    changes.patch_by_command(&gone).await?;
    // Before the first deployment nothing runs that could have it.
    if !spec.platform {
        return Ok(());
    }
    for role in ["web", "worker"] {
        changes.restart_by_command(role).await?;
    }
    if commands.has(Operation::ListPods) && commands.has(Operation::DeletePod) {
        for pod in commands.pods(world.name("warm.selector")).await? {
            commands.delete_pod(&pod.name).await?;
        }
    }
    Ok(())
}

/// Makes the witness forget earlier requests.
async fn forget(world: &World) -> Result<(), WitnessError> {
    let witness = door(world, Road::Witness, None).await?;
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .no_gzip()
        .resolve(witness.name(), witness.way)
        .tls_backend_preconfigured(world.trust.client_config()?)
        .build()?;
    let forgotten = client
        .delete(witness.way_url("/requests"))
        .header("Host", &witness.host)
        .timeout(WITNESS_WITHIN)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    Ok(forgotten.map(drop)?)
}
