//! Waits until a world's platform is complete.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::runtime::conditions::is_deployment_completed;
use tokio::time::{Instant, sleep};

use super::{World, WorldError};
use crate::vocabulary::Road;
use crate::world::kind::data_plane::EnvoyGatewayError;
use crate::world::pod::waits_for;
use crate::world::roads::door;
use crate::world::wait::{WaitError, until};

/// Time between two looks at whether a gateway has its routes, and how long one may take.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LOOK_WITHIN: Duration = Duration::from_secs(5);

impl World {
    pub(super) async fn await_deployments(&self) -> Result<(), WorldError> {
        let api: Api<Deployment> = Api::namespaced(self.kubernetes.clone(), &self.namespace);
        let listed = api
            .list(&ListParams::default())
            .await
            .map_err(|error| WorldError::List(Box::new(error)))?;
        for deployment in listed {
            let name = deployment.metadata.name.unwrap_or_default();
            let within = self.ground.start_within();
            match until(&api, &name, is_deployment_completed(), within).await {
                Ok(_) => {}
                Err(error @ WaitError::Asking(_)) => return Err(WorldError::Wait(Box::new(error))),
                Err(WaitError::Late(_)) => {
                    let why = self.what_pods_wait_for().await;
                    return Err(WorldError::NotReady { name, within, why });
                }
            }
        }
        Ok(())
    }

    /// Waits until Envoy Gateway's Envoys know their routes: the health's leads to the service, the agents' is
    /// there. What they answer otherwise is for scenarios to judge.
    pub(super) async fn await_routes(&self) -> Result<(), EnvoyGatewayError> {
        let client = reqwest::Client::builder().no_proxy().no_gzip().build()?;
        let deadline = Instant::now() + self.ground.start_within();
        let is_routed = async |path: &str| {
            let door = door(self, Road::Envoy, None).await?;
            let asked = client.get(door.way_url(path)).timeout(LOOK_WITHIN).send().await?;
            match asked.status().as_u16() {
                404 => Err(EnvoyGatewayError::NoRoute(path.to_owned())),
                _ => Ok(()),
            }
        };
        for path in [self.name("agents.health-path"), self.name("agents.path")] {
            while let Err(why) = is_routed(path).await {
                if Instant::now() > deadline {
                    return Err(why);
                }
                sleep(LOOK_EVERY).await;
            }
        }
        // These were no requests of a scenario's.
        let witness = door(self, Road::Witness, None).await?;
        let forgotten = client
            .delete(witness.way_url("/requests"))
            .timeout(LOOK_WITHIN)
            .send()
            .await;
        Ok(forgotten.map(drop)?)
    }

    /// Why containers don't run, as the cluster says it: ` (web-7d: ErrImagePull: …)`.
    async fn what_pods_wait_for(&self) -> String {
        let pods: Api<Pod> = Api::namespaced(self.kubernetes.clone(), &self.namespace);
        let Ok(listed) = pods.list(&ListParams::default()).await else {
            return String::new();
        };
        let waits: Vec<String> = listed.iter().filter_map(waits_for).collect();
        match waits.is_empty() {
            true => String::new(),
            false => format!(" ({})", waits.join("; ")),
        }
    }
}
