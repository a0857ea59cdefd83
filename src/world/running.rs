//! A running platform that a scenario works on.

mod ground;
mod ready;
mod secrets;
mod start;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};

pub use start::{Setup, WorldError};

use super::deploy::Values;
use super::embedded::{Address, Cluster};
use super::forward::WayError;
use super::gateways::upstream_slot::UpstreamSlot;
use super::installation::changes::Changes;
use super::installation::{Installation, Secrets};
use super::kind::data_plane::DataPlane;
use super::operations::Operations;
use super::pod::is_sandbox;
use crate::profile::route_address::Way;
use crate::trust::Trust;
use crate::vocabulary::Contract;
use crate::vocabulary::Road;
use ground::Ground;

/// A running platform that a scenario works on.
pub struct World {
    pub kubernetes: kube::Client,
    pub namespace: String,
    /// Whose platform it is.
    pub contract: Contract,
    /// Names of the installation, the contract's by default.
    pub names: Arc<BTreeMap<String, String>>,
    /// The token that the secret has, or is to get; of codex-auth the key that an agent has at LiteLLM.
    pub token: String,
    /// The session API's key, or LiteLLM's.
    pub master_key: String,
    /// The JWT signing secret; in codex-auth an agent's runtime token.
    pub jwt_secret: String,
    /// The time by which the platform judges them, in seconds since 1970; none: the machine's.
    pub clock: Option<f64>,
    /// Which certificates of doors are taken.
    pub trust: Trust,
    /// Values of the manifests, for what is deployed later.
    pub values: Values,
    /// Whether it was started with a platform.
    pub has_platform: bool,
    /// Whether the scenario is about the balancer's two doors, so that `balancer` is the one without TLS.
    pub about_tls: bool,
    ground: Ground,
    /// What real gateways of this machine lead to, where it is this world.
    slot: Option<UpstreamSlot>,
    /// Addresses of this machine that its pods have and that are told to others.
    _held: Vec<Address>,
    /// The Envoys that Envoy Gateway runs for it.
    pub data_plane: Option<DataPlane>,
}

impl World {
    /// The installation's name for a thing: `secret.name`, `web.selector`. Empty if there is none.
    pub fn name(&self, of: &str) -> &str {
        self.names.get(of).map(String::as_str).unwrap_or_default()
    }

    /// Ends the world and everything in it.
    pub async fn stop(self) -> Result<(), WorldError> {
        match self.ground {
            Ground::Embedded(cluster) => cluster.stop().await,
            Ground::Namespace(namespace) => namespace.delete().await?,
            Ground::Installation(_) => {}
        }
        // Nobody listens on its addresses any more: the next world may.
        drop(self.slot);
        Ok(())
    }

    /// Leaves it to a person, where it can be there without this process.
    pub fn leave(self) {
        if let Ground::Namespace(namespace) = self.ground {
            namespace.leave();
        }
    }

    /// Whether it can outlive this process.
    pub fn can_stay(&self) -> bool {
        matches!(self.ground, Ground::Namespace(_))
    }

    /// The embedded cluster that it stands on, where it does.
    pub fn embedded_cluster(&self) -> Option<&Cluster> {
        match &self.ground {
            Ground::Embedded(cluster) => Some(cluster),
            Ground::Namespace(_) | Ground::Installation(_) => None,
        }
    }

    /// The platform that isn't ours, where it is on one.
    pub fn installation(&self) -> Option<&Installation> {
        match &self.ground {
            Ground::Installation(installation) => Some(installation),
            Ground::Embedded(_) | Ground::Namespace(_) => None,
        }
    }

    /// How it is operated.
    pub fn operations(&self) -> Operations<'_> {
        match &self.ground {
            Ground::Embedded(_) | Ground::Namespace(_) => Operations::Kubernetes,
            Ground::Installation(installation) => installation.operations(),
        }
    }

    /// Journals changes before they are made, on a platform that isn't ours.
    pub fn changes(&self) -> Option<&Changes> {
        self.installation()?.changes.as_ref()
    }

    /// Who changed the secrets of a platform that isn't ours while a scenario ran that did not, in words.
    pub async fn disturbed(&self) -> Option<String> {
        let installation = self.installation()?;
        if installation.changes.as_ref().is_some_and(Changes::is_changed) {
            return None;
        }
        let now = installation.secrets(&self.names, self.contract).await.ok()?;
        let (token, master_key) = (self.token.clone(), self.master_key.clone());
        let jwt_secret = self.jwt_secret.clone();
        let was = Secrets {
            token,
            master_key,
            jwt_secret,
        };
        let secret = match self.contract {
            Contract::HarnessToken => "secret.name",
            Contract::AgentService => "jwt.secret-name",
            Contract::CodexAuth => "litellm.key-secret",
        };
        (now != was).then(|| format!("the secret {} was changed meanwhile", self.name(secret)))
    }

    /// The label of a session's pod. Pods of our own are found by their addresses alone.
    pub fn session_label(&self) -> Option<&str> {
        self.installation().map(|_| self.name("session.label"))
    }

    /// How a road is reached, if the profile says; for our own pods it is known.
    pub fn way(&self, road: Road) -> Option<&Way> {
        let installation = self.installation()?;
        Some(match road {
            Road::Balancer if self.about_tls => installation.plain_balancer(),
            road => installation.way(road),
        })
    }

    /// Where a real gateway of this machine takes its requests, where one leads here.
    pub fn gateway(&self, road: Road) -> Option<SocketAddr> {
        self.slot.as_ref()?.front(road)
    }

    /// Whether objects in the cluster configure the gateway of a road.
    pub fn goes_by_objects(&self, road: Road) -> bool {
        road == Road::Envoy && self.data_plane.is_some()
    }

    /// The configurations of the gateways that lead here, by their files' names.
    pub fn gateway_files(&self) -> Vec<(&'static str, String)> {
        let mut files = self.slot.as_ref().map(UpstreamSlot::files).unwrap_or_default();
        let pods = [
            ("nginx.conf", &self.values.nginx_configuration),
            ("envoy.json", &self.values.envoy_configuration),
        ];
        let told = pods.into_iter().filter(|(_, text)| !text.is_empty());
        files.extend(told.map(|(name, text)| (name, text.clone())));
        files
    }

    /// The files that gateways of this machine log to, where they lead here.
    pub fn gateway_logs(&self) -> &[(Road, PathBuf)] {
        self.slot.as_ref().map(UpstreamSlot::logs).unwrap_or_default()
    }

    /// Where this machine connects to for an address of a pod; none if no pod has it any more.
    pub async fn way_to(&self, address: SocketAddr) -> Result<Option<SocketAddr>, WayError> {
        match &self.ground {
            Ground::Embedded(_) => Ok(Some(address)),
            Ground::Namespace(namespace) => match (namespace.forwards.to(address).await?, &self.data_plane) {
                (None, Some(data_plane)) => data_plane.way_to(address).await,
                (way, _) => Ok(way),
            },
            Ground::Installation(installation) => installation.forwards.to(address).await,
        }
    }

    /// Pods of the platform: all of a namespace that is a world's own; elsewhere those that the
    /// installation's selectors choose, and those of Sandboxes. None if there is no cluster.
    pub async fn pods(&self) -> Result<Vec<Pod>, kube::Error> {
        let Some(installation) = self.installation() else {
            return self.pods_with("").await;
        };
        if !installation.has_cluster {
            return Ok(Vec::new());
        }
        let mut pods: BTreeMap<Option<String>, Pod> = BTreeMap::new();
        for selector in self.contract.selectors() {
            let listed = self.pods_with(self.name(selector)).await?;
            pods.extend(listed.into_iter().map(|pod| (pod.metadata.name.clone(), pod)));
        }
        if self.contract == Contract::HarnessToken {
            let sandboxes = self.pods_with("").await?.into_iter().filter(is_sandbox);
            pods.extend(sandboxes.map(|pod| (pod.metadata.name.clone(), pod)));
        }
        Ok(pods.into_values().collect())
    }

    async fn pods_with(&self, selector: &str) -> Result<Vec<Pod>, kube::Error> {
        let pods: Api<Pod> = Api::namespaced(self.kubernetes.clone(), &self.namespace);
        Ok(pods.list(&ListParams::default().labels(selector)).await?.items)
    }
}
