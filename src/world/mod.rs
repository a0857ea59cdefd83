//! Where a scenario runs: worlds with a platform on them, and the roads to its doors.

pub mod access;
mod certificate;
pub mod codex;
pub mod deploy;
pub mod embedded;
pub mod exhausted;
pub mod forward;
pub mod gateways;
pub mod installation;
pub mod kind;
pub mod kube_error;
pub mod kubeconfig;
pub mod labels;
pub mod on_path;
pub mod operations;
pub mod pod;
pub mod roads;
pub mod rollout;
pub mod running;
pub mod subject;
pub mod wait;

use std::sync::Arc;

pub use roads::{Door, RoadError};
pub use running::{World, WorldError};

use jiff::Timestamp;

use crate::platform::Mutant;
use crate::vocabulary::Road;
use crate::vocabulary::WorldSpec;
use embedded::{Options, Program};
use exhausted::Exhausted;
use gateways::{GatewayError, Gateways, envoy_gateway};
use installation::Installation;
use kind::namespace::Namespace;
use kind::{KindCluster, KindError};
use running::Setup;

/// Where scenarios get their worlds.
#[derive(Clone)]
pub enum Target {
    /// Each has a cluster in this process.
    Embedded(Program, Arc<Gateways>),
    /// Each has a namespace of one cluster.
    Kind(Arc<KindCluster>),
    /// All share a platform that isn't ours.
    Installation(Arc<Installation>),
}

/// Why real gateways can't be had.
#[derive(Debug, thiserror::Error)]
pub enum GatewaysError {
    #[error(transparent)]
    Start(#[from] GatewayError),
    #[error(transparent)]
    Bring(#[from] KindError),
}

impl Target {
    /// A world: a fresh one with its platform complete, or the shared one.
    pub async fn world(&self, spec: &WorldSpec, setup: Setup) -> Result<World, WorldError> {
        match self {
            Target::Embedded(program, gateways) => {
                let slot = match setup.gateways.as_slice() {
                    [] => None,
                    roads => Some(gateways.slot(roads, spec.gateway_policy).await?),
                };
                World::embedded(spec, setup, Options::new(program.clone()), slot).await
            }
            Target::Kind(cluster) => {
                let namespace = Namespace::new(&cluster.client, cluster.controller, &cluster.made).await?;
                World::in_namespace(spec, setup, namespace, cluster).await
            }
            Target::Installation(installation) => {
                let mut world = World::shared(installation.clone(), setup.names, setup.contract).await?;
                // If it can't be set, scenarios that need it are skipped.
                world.clock = spec.clock;
                world.about_tls = spec.is_about_tls();
                Ok(world)
            }
        }
    }

    /// The same for a platform with these defects.
    pub fn with_mutants(&self, mutants: &[&'static Mutant]) -> Target {
        match self {
            Target::Embedded(program, gateways) => Target::Embedded(program.clone(), gateways.with(mutants)),
            other => other.clone(),
        }
    }

    /// Whether runs share a world that they leave as they found it: one takes long to come up.
    pub fn shares_worlds(&self) -> bool {
        match self {
            Target::Kind(_) => true,
            // One costs next to nothing; the other has but one.
            Target::Embedded(..) | Target::Installation(_) => false,
        }
    }

    /// Whether a mutant can be a defect of what there is here.
    pub fn can_be(&self, mutant: &Mutant) -> bool {
        match self {
            Target::Kind(cluster) => cluster.gateway_class.is_none() || !envoy_gateway::NOT_ITS.contains(&mutant),
            Target::Embedded(..) | Target::Installation(_) => true,
        }
    }

    /// Starts the real gateways of these roads, or brings their images to where they are to be pods.
    ///
    /// # Errors
    /// One that can't be started: no world would come up.
    pub async fn start_gateways(&self, roads: &[Road]) -> Result<(), GatewaysError> {
        match self {
            _ if roads.is_empty() => Ok(()),
            Target::Embedded(_, gateways) => Ok(gateways.start(roads).await.map(drop)?),
            Target::Kind(cluster) => Ok(cluster.bring_gateways(roads).await?),
            Target::Installation(_) => Ok(()),
        }
    }

    /// Why what was seen since then may be no platform's doing: what all stands on fell meanwhile, or this machine
    /// ran out of what the ways to it need.
    pub async fn disruption_since(&self, since: Timestamp) -> Option<String> {
        if let Some(exhausted) = Exhausted::since(since) {
            return Some(exhausted.to_string());
        }
        match self {
            Target::Kind(cluster) => cluster.disruption_since(since).await,
            Target::Installation(installation) => installation.disturbed().await,
            Target::Embedded(..) => None,
        }
    }
}
