//! A running platform that a scenario works on.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret as KubeSecret};
use kube::api::{Api, DynamicObject, ListParams, ObjectMeta, PostParams};
use kube::runtime::conditions::is_deployment_completed;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::certificate::Certificate;
use super::codex::Codex;
use super::deploy::{self, DeployError, Values};
use super::embedded::{Address, Cluster, Options, Program, StartError};
use super::forward::WayError;
use super::gateways::upstream_slot::UpstreamSlot;
use super::gateways::{GatewayError, GatewayPod, envoy_gateway};
use super::installation::changes::Changes;
use super::installation::{Installation, InstallationError, Secrets};
use super::kind::cluster::KindCluster;
use super::kind::data_plane::{DataPlane, EnvoyGatewayError};
use super::kind::namespace::{Namespace, NamespaceError};
use super::kube_error::kube_error;
use super::operations::Operations;
use super::pod::{is_sandbox, waits_for};
use super::roads::door;
use super::wait::{WaitError, until};
use crate::profile::route_address::Way;
use crate::trust::Trust;
use crate::vocabulary::Contract;
use crate::vocabulary::Road;
use crate::vocabulary::{AgentState, SecretState, WorldSpec};

/// Longest time that a platform may take to come up, as tasks of this process and as containers.
const START_WITHIN: Duration = Duration::from_secs(30);
const START_IN_CLUSTER_WITHIN: Duration = Duration::from_secs(180);

/// Time between two looks at whether a gateway has its routes, and how long one may take.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LOOK_WITHIN: Duration = Duration::from_secs(5);

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

/// What a world runs on, and is deleted with it.
enum Ground {
    Embedded(Box<Cluster>),
    Namespace(Box<Namespace>),
    Installation(Arc<Installation>),
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

/// The settings of a world besides its spec.
pub struct Setup {
    pub names: Arc<BTreeMap<String, String>>,
    /// Mutants that every component is told of.
    pub mutants: Vec<String>,
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

impl World {
    /// A fresh world on the embedded target, its platform complete.
    pub async fn embedded(
        spec: &WorldSpec,
        setup: Setup,
        program: Program,
        slot: Option<UpstreamSlot>,
    ) -> Result<World, WorldError> {
        let cluster = Cluster::start(Options::new(program)).await?;
        World::on(
            Ground::Embedded(Box::new(cluster)),
            "gauntlet",
            spec,
            setup,
            Before::UpstreamSlot(slot),
        )
        .await
    }

    /// The same with a TLS endpoint, without which kubectl sends no token.
    pub async fn embedded_with_kubectl(
        spec: &WorldSpec,
        setup: Setup,
        program: Program,
        slot: Option<UpstreamSlot>,
    ) -> Result<World, WorldError> {
        let cluster = Cluster::start(Options::new(program).with_tls()).await?;
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

    async fn create_token_secret(&self, state: SecretState) -> Result<(), WorldError> {
        let master_key = (self.values.master_key_key.as_str(), self.master_key.as_str());
        let token = (self.values.token_key.as_str(), self.token.as_str());
        match state {
            SecretState::Absent => Ok(()),
            SecretState::WithoutToken => self.create_secret(&self.values.secret, &[master_key]).await,
            SecretState::WithToken => self.create_secret(&self.values.secret, &[master_key, token]).await,
        }
    }

    async fn create_jwt_secret(&self) -> Result<(), WorldError> {
        let jwt_secret = (self.name("jwt.secret-key"), self.jwt_secret.as_str());
        let master_key = (self.name("litellm.secret-key"), self.master_key.as_str());
        self.create_secret(self.name("jwt.secret-name"), &[jwt_secret, master_key])
            .await
    }

    /// LiteLLM's keys, and a codex agent's.
    async fn create_codex_secrets(&self, agent: AgentState) -> Result<(), WorldError> {
        let models = match agent {
            AgentState::ForbiddenKey => "gauntlet-small",
            _ => self.name("codex.model"),
        };
        let keys = json!([{ "key": self.token, "models": [models] }]).to_string();
        let master_key = (self.name("litellm.secret-key"), self.master_key.as_str());
        self.create_secret(self.name("litellm.key-secret"), &[master_key, ("VIRTUAL_KEYS", &keys)])
            .await?;
        let of_agent = format!("{}{}", self.name("agent.prefix"), self.name("agent.name"));
        let runtime_token = match agent {
            // A Secret without the key can be given it.
            AgentState::WithoutToken => ("NOTE", "without a token"),
            _ => ("RUNTIME_TOKEN", self.jwt_secret.as_str()),
        };
        self.create_secret(&format!("{of_agent}-token"), &[runtime_token])
            .await?;
        if matches!(
            agent,
            AgentState::WithKey | AgentState::ForbiddenKey | AgentState::WithoutToken
        ) {
            let key = ("LITELLM_API_KEY", self.token.as_str());
            self.create_secret(&format!("{of_agent}-litellm-key"), &[key]).await?;
        }
        Ok(())
    }

    async fn create_secret(&self, name: &str, data: &[(&str, &str)]) -> Result<(), WorldError> {
        let entry = |(key, value): &(&str, &str)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()));
        let secret = KubeSecret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            data: Some(data.iter().map(entry).collect()),
            ..KubeSecret::default()
        };
        let secrets: Api<KubeSecret> = Api::namespaced(self.kubernetes.clone(), &self.namespace);
        match secrets.create(&PostParams::default(), &secret).await {
            Ok(_) => Ok(()),
            Err(source) => Err(WorldError::Secret {
                name: name.to_owned(),
                source: Box::new(source),
            }),
        }
    }

    async fn await_deployments(&self) -> Result<(), WorldError> {
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
    async fn await_routes(&self) -> Result<(), EnvoyGatewayError> {
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

impl Ground {
    fn client(&self) -> kube::Client {
        match self {
            Ground::Embedded(cluster) => cluster.client(),
            Ground::Namespace(namespace) => namespace.client.clone(),
            Ground::Installation(installation) => installation.client.clone(),
        }
    }

    fn namespace(&self) -> &str {
        match self {
            Ground::Embedded(_) => "default",
            Ground::Namespace(namespace) => &namespace.name,
            Ground::Installation(installation) => &installation.namespace,
        }
    }

    /// Whether the cluster already has a Sandbox controller.
    fn has_controller(&self) -> bool {
        match self {
            Ground::Embedded(_) => false,
            Ground::Namespace(namespace) => namespace.has_controller,
            Ground::Installation(_) => true,
        }
    }

    fn start_within(&self) -> Duration {
        match self {
            Ground::Embedded(_) => START_WITHIN,
            Ground::Namespace(_) | Ground::Installation(_) => START_IN_CLUSTER_WITHIN,
        }
    }

    /// Whether it takes objects of a kind of the manifests. The embedded target has no access control.
    fn serves(&self, kind: &str) -> bool {
        match self {
            Ground::Embedded(_) => !is_access(kind),
            Ground::Namespace(_) | Ground::Installation(_) => true,
        }
    }
}

/// Whether a kind is of access control: who may do what.
fn is_access(kind: &str) -> bool {
    matches!(kind, "Role" | "RoleBinding" | "ServiceAccount")
}
