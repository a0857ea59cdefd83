//! Starts a world: on the embedded target, in a namespace of a kind cluster, or on a platform that isn't ours.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::api::DynamicObject;

use super::World;
use super::ground::{Ground, is_access};
use crate::platform::Mutant;
use crate::trust::Trust;
use crate::vocabulary::{AgentState, Contract, Road, WorldSpec};
use crate::world::certificate::Certificate;
use crate::world::codex::Codex;
use crate::world::deploy::{self, DeployError, Values};
use crate::world::embedded::{Address, Cluster, Options, StartError};
use crate::world::gateways::upstream_slot::UpstreamSlot;
use crate::world::gateways::{GatewayError, GatewayPod, envoy_gateway};
use crate::world::installation::{Installation, InstallationError, Secrets};
use crate::world::kind::cluster::KindCluster;
use crate::world::kind::data_plane::{DataPlane, EnvoyGatewayError};
use crate::world::kind::namespace::{Namespace, NamespaceError};
use crate::world::kube_error::kube_error;
use crate::world::wait::WaitError;

/// Why a world could not be started.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    #[error("reserving an address of loopback: {0}")]
    Address(std::io::Error),
    #[error("starting the embedded cluster: {0}")]
    Start(#[from] StartError),
    #[error(transparent)]
    Deploy(#[from] DeployError),
    #[error("creating secret {name}: {}", kube_error(source.as_ref()))]
    Secret { name: String, source: Box<kube::Error> },
    #[error("waiting for the platform's deployments: {}", kube_error(.0.as_ref()))]
    List(#[source] Box<kube::Error>),
    #[error("waiting for the platform's deployments: {0}")]
    Wait(#[source] Box<WaitError>),
    #[error("deployment {name} was not complete after {within:?}{why}")]
    NotReady {
        name: String,
        within: Duration,
        /// What its pods are waiting for, if known.
        why: String,
    },
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error(transparent)]
    Installation(#[from] InstallationError),
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error("waiting for Envoy Gateway: {0}")]
    EnvoyGateway(#[from] EnvoyGatewayError),
    #[error("making the certificate of the balancer: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// The settings of a world besides its spec.
pub struct Setup {
    pub names: Arc<BTreeMap<String, String>>,
    /// Mutants that every component is told of.
    pub mutants: Vec<&'static Mutant>,
    pub token: String,
    pub master_key: String,
    pub jwt_secret: String,
    /// Whose platform it is.
    pub contract: Contract,
    /// The real gateways that its requests go through.
    pub gateways: Vec<Road>,
    /// This program's own file, which commands in containers of the embedded target run.
    pub binary: Option<PathBuf>,
    /// What logs in and asks in them.
    pub codex: Codex,
}

/// The real gateways before a world.
enum Before {
    /// Those of this machine, which lead there.
    UpstreamSlot(Option<UpstreamSlot>),
    /// Its own: pods, and objects by which Envoy Gateway makes one.
    Pods {
        pods: Vec<GatewayPod>,
        objects: Vec<DynamicObject>,
    },
}

impl World {
    /// A fresh world on the embedded target, its platform complete.
    pub async fn embedded(
        spec: &WorldSpec,
        setup: Setup,
        options: Options,
        slot: Option<UpstreamSlot>,
    ) -> Result<World, WorldError> {
        let cluster = Cluster::start(options).await?;
        World::on(
            Ground::Embedded(Box::new(cluster)),
            "gauntlet",
            spec,
            setup,
            Before::UpstreamSlot(slot),
        )
        .await
    }

    /// A fresh world in a namespace of a cluster that has nothing in it, its platform complete. Where it can't be,
    /// the namespace goes again.
    pub async fn in_namespace(
        spec: &WorldSpec,
        setup: Setup,
        namespace: Namespace,
        cluster: &KindCluster,
    ) -> Result<World, WorldError> {
        let (names, mutants, asks) = (&setup.names, &setup.mutants, spec.gateway_policy);
        let class = cluster
            .gateway_class
            .as_deref()
            .filter(|_| setup.gateways.contains(&Road::Envoy));
        let pod = |road: &Road| match (road, class) {
            (Road::Envoy, Some(_)) => None,
            _ => GatewayPod::new(*road, cluster.gateway_images.of(*road)?, names, mutants, asks),
        };
        let before = Before::Pods {
            pods: setup.gateways.iter().filter_map(pod).collect(),
            objects: match class {
                Some(class) => envoy_gateway::told(class, names, mutants, asks)?,
                None => Vec::new(),
            },
        };
        World::on(
            Ground::Namespace(Box::new(namespace)),
            &cluster.image,
            spec,
            setup,
            before,
        )
        .await
    }

    /// An existing platform, which stays after the scenario.
    pub async fn shared(
        installation: Arc<Installation>,
        names: Arc<BTreeMap<String, String>>,
        contract: Contract,
    ) -> Result<World, WorldError> {
        let secrets = match (contract, &installation.agents) {
            // Those that need them are skipped.
            (Contract::AgentService, Some(Err(_))) => Secrets::default(),
            (Contract::CodexAuth, _) => installation.codex.clone(),
            _ => installation.secrets(&names, contract).await?,
        };
        Ok(World {
            contract,
            kubernetes: installation.client.clone(),
            namespace: installation.namespace.clone(),
            names,
            token: secrets.token,
            master_key: secrets.master_key,
            jwt_secret: secrets.jwt_secret,
            clock: None,
            trust: installation.trust.clone(),
            values: Values::default(),
            has_platform: true,
            about_tls: false,
            ground: Ground::Installation(installation),
            slot: None,
            _held: Vec::new(),
            data_plane: None,
        })
    }

    async fn on(
        ground: Ground,
        image: &str,
        spec: &WorldSpec,
        setup: Setup,
        before: Before,
    ) -> Result<World, WorldError> {
        let (slot, pods, objects) = match before {
            Before::UpstreamSlot(slot) => (slot, Vec::new(), Vec::new()),
            Before::Pods { pods, objects } => (None, pods, objects),
        };
        let address =
            |of: fn(&UpstreamSlot) -> Ipv4Addr| slot.as_ref().map(|slot| of(slot).to_string()).unwrap_or_default();
        let certificate = match spec.is_about_tls() {
            true => Some(Certificate::new(
                setup.names.get("balancer.tls-name").map_or("", String::as_str),
            )?),
            false => None,
        };
        let (mut values, mut held) = (
            Values::new(image, spec, &setup.names, &setup.mutants, certificate.as_ref())
                .with_gateways(&pods)
                .with_codex(&setup.codex),
            Vec::new(),
        );
        if let (Contract::CodexAuth, Ground::Embedded(_)) = (setup.contract, &ground) {
            let vendor = Address::reserve().map_err(WorldError::Address)?;
            // Two pods can't have one address, so that LiteLLM has one only where an agent asks for it.
            let litellm = match spec.agent {
                AgentState::None => None,
                _ => Some(Address::reserve().map_err(WorldError::Address)?),
            };
            let binary = setup.binary.as_ref().map(|binary| binary.display().to_string());
            values = Values {
                gauntlet: binary.unwrap_or_default(),
                ..values.at(vendor.ip, litellm.as_ref().map(|address| address.ip))
            };
            held.push(vendor);
            held.extend(litellm);
        }
        let client = ground.client();
        let world = World {
            contract: setup.contract,
            data_plane: (!objects.is_empty()).then(|| DataPlane::new(client.clone(), ground.namespace())),
            kubernetes: client,
            namespace: ground.namespace().to_owned(),
            values: Values {
                controller_replicas: u32::from(!ground.has_controller()),
                service_address: address(UpstreamSlot::service),
                authorizer_address: address(UpstreamSlot::access_control),
                ..values
            },
            names: setup.names,
            token: setup.token,
            master_key: setup.master_key,
            jwt_secret: setup.jwt_secret,
            clock: spec.clock,
            trust: certificate.map_or(Trust::Nothing, |certificate| Trust::Authority(certificate.ca)),
            has_platform: spec.platform,
            about_tls: spec.is_about_tls(),
            ground,
            slot,
            _held: held,
        };
        match setup.contract {
            Contract::HarnessToken => world.create_token_secret(spec.secret).await?,
            Contract::AgentService => world.create_jwt_secret().await?,
            Contract::CodexAuth => world.create_codex_secrets(spec.agent).await?,
        }
        let platform = deploy::objects(deploy::platform(setup.contract), &world.values)?;
        // What the seed may do it may do before there is a platform.
        let wanted = |kind: &str| world.ground.serves(kind) && (spec.platform || is_access(kind));
        match deploy::create(&world.kubernetes, &world.namespace, platform, wanted).await {
            // That nothing comes up of what is refused is for the scenario to see.
            Err(error) if !spec.complete && error.is_refused() => {}
            created => created?,
        }
        if world.values.nginx_replicas + world.values.envoy_replicas > 0 || world.data_plane.is_some() {
            let gateways = deploy::objects(deploy::GATEWAYS, &world.values)?;
            deploy::create(&world.kubernetes, &world.namespace, gateways, |_| true).await?;
        }
        deploy::create(&world.kubernetes, &world.namespace, objects, |_| true).await?;
        if spec.complete {
            world.await_deployments().await?;
        }
        if let Some(data_plane) = &world.data_plane {
            let programmed = data_plane.programmed(world.ground.start_within()).await;
            programmed.map_err(EnvoyGatewayError::from)?;
            world.await_routes().await?;
        }
        Ok(world)
    }
}
