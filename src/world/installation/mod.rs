//! A platform that isn't ours: described by a profile, shared by all scenarios, left as it was found.

mod by_command;
pub mod changes;
pub mod journal;
pub mod lease;
pub mod listening_probe;
mod no_cluster;
pub mod preflight;
mod secrets;
mod undo;

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::forward::Forwards;
use super::kube_error::kube_error;
use super::kubeconfig;
use super::operations::{Commands, OperationError, Operations, WitnessError};
use super::pod::is_ready;
use super::rollout::RolloutError;
use super::wait::is_passing;
use crate::profile::Profile;
use crate::profile::logs::LogSource;
use crate::profile::operations::Operation;
use crate::profile::route_address::Way;
use crate::profile::secret_source::{Needed, SecretSource};
use crate::trust::Trust;
use crate::vocabulary::Contract;
use crate::vocabulary::Intrusion;
use crate::vocabulary::Road;
use crate::vocabulary::similar::suggestion;
use changes::Changes;
use journal::JournalError;
use listening_probe::{ListeningProbe, ProbeError};
use secrets::Given;
pub use secrets::{SecretError, Secrets};

/// Why an installation can't be worked on.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    #[error("reading the kubeconfig{}: {source}", .files.iter().map(|file| format!(" {}", file.display())).collect::<String>())]
    Kubeconfig {
        files: Vec<PathBuf>,
        source: Box<PlaceError>,
    },
    #[error("{doing}: {}", kube_error(source.as_ref()))]
    Asking { doing: String, source: Box<kube::Error> },
    #[error(
        "putting back {what}: the API server does not accept the change; if somebody keeps changing it, stop them first"
    )]
    Moved { what: String },
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(
        "the run {run} disrupts this platform now (the lease {LEASE}): nothing can be judged meanwhile; a lease that is \
         no longer renewed expires after a minute"
    )]
    Held { run: String },
    #[error(
        "the run {run} has changed this platform and not put it back (the secret {KEPT}): `gauntlet recover` does, \
         on the machine of that run"
    )]
    Kept { run: String },
    #[error(
        "the run {run} has changed this platform and not put it back (the key {} of its secret): `gauntlet recover` \
         does, on the machine of that run",
        super::operations::KEPT_BY
    )]
    KeptByKey { run: String },
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    #[error(transparent)]
    Operation(#[from] OperationError),
    #[error("deleting what the agent service's witness recorded: {0}")]
    Witness(#[from] WitnessError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

/// Why a kubeconfig doesn't lead to the cluster that is meant.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    #[error(
        "there is no kubeconfig, so no context {context}; the cluster of the pod that this runs in is `{IN_CLUSTER}`"
    )]
    NoKubeconfig { context: String },
    #[error("there is none (`--kubeconfig FILE` names one), and this isn't a pod of a cluster")]
    NoPod(#[source] kube::config::InClusterError),
    #[error(transparent)]
    Read(#[from] kubeconfig::ReadError),
    /// One of several.
    #[error("{}: {source}", file.display())]
    ReadOne {
        file: PathBuf,
        source: kubeconfig::ReadError,
    },
    #[error("there is no context {context}; {suggestion}")]
    NoContext { context: String, suggestion: String },
    #[error("{}", kube_error(.0))]
    Kubeconfig(#[from] KubeconfigError),
}

/// The Secret in which values are kept that are to be put back.
pub const KEPT: &str = "gauntlet-kept";

/// The Lease under which a platform is disrupted.
pub const LEASE: &str = "gauntlet";

impl InstallationError {
    /// Whether the same may succeed a moment later.
    fn may_pass(&self) -> bool {
        match self {
            InstallationError::Asking { source, .. } => is_passing(source),
            InstallationError::Moved { .. } => true,
            _ => false,
        }
    }

    fn is_forbidden(&self) -> bool {
        match self {
            InstallationError::Asking { source, .. } => {
                matches!(source.as_ref(), kube::Error::Api(status) if status.code == 403)
            }
            _ => false,
        }
    }

    fn asking(doing: impl Into<String>, source: kube::Error) -> InstallationError {
        InstallationError::Asking {
            doing: doing.into(),
            source: Box::new(source),
        }
    }
}

/// The name of the context that is the cluster of the pod that this runs in.
pub const IN_CLUSTER: &str = "in-cluster";

/// How to reach the cluster, from the command line and the environment.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Merged in order; none: that of a pod.
    pub kubeconfig: Vec<PathBuf>,
    /// The kubeconfig's current one where none is said.
    pub context: Option<String>,
    /// The context's where none is said.
    pub namespace: Option<String>,
}

/// A platform that isn't ours.
pub struct Installation {
    /// The kubeconfig's context that leads there; none without a kubeconfig.
    pub context: Option<String>,
    pub client: kube::Client,
    pub namespace: String,
    pub forwards: Forwards,
    pub trust: Trust,
    /// The permitted intrusion.
    pub allowed: Intrusion,
    /// Whether there is a cluster, or only doors.
    pub has_cluster: bool,
    /// The commands that operate it, if there is no cluster and its profile gives some.
    pub commands: Option<Commands>,
    /// Further logs of it, by the names that the profile gives them.
    pub logs: BTreeMap<String, LogSource>,
    /// When the run started; none if nobody tells.
    pub counts: Option<Counts>,
    /// What the run changes; none if it may change nothing.
    pub changes: Option<Changes>,
    /// The harness's own backend behind the balancer, where the command line says an address for it.
    pub probe: Option<ListeningProbe>,
    /// What is known of the agent service's secrets, where it was asked for: why they aren't known otherwise.
    pub agents: Option<Result<Secrets, SecretError>>,
    /// What is known of the keys at the LiteLLM that has the codex login, where it was asked for.
    pub codex: Secrets,
    ways: BTreeMap<Road, Way>,
    /// The balancer's door without TLS.
    plain_balancer: Way,
    given: Given,
}

/// How much there is of what scenarios want a number of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Terminating pods don't count; pods that aren't ready yet do.
    pub warm_pods: u32,
    /// The number of ready pods.
    pub web_replicas: u32,
    /// LiteLLM's pods that have something of the codex login: its rotator, its CLI, or the volume.
    pub codex_pods: u32,
    /// Pods of the codex agent.
    pub codex_agents: u32,
}

impl Installation {
    /// One on a cluster that is there. `variable` gives variables of the environment.
    pub async fn on_cluster(
        place: &Place,
        profile: &Profile,
        trust: Trust,
        allowed: Intrusion,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Installation, InstallationError> {
        let Connected {
            client,
            namespace,
            context,
        } = connect(place).await?;
        Ok(Installation {
            forwards: Forwards::new(Api::namespaced(client.clone(), &namespace)),
            trust,
            allowed,
            has_cluster: true,
            commands: None,
            logs: profile.logs.clone(),
            probe: None,
            changes: None,
            counts: counts(&client, &namespace, &profile.names).await?,
            agents: None,
            codex: Secrets::default(),
            namespace,
            context,
            ways: ways(profile, |road| match road {
                Road::Direct | Road::Proxy | Road::Service | Road::AccessControl | Road::Litellm => Way::PortForward,
                // They are before the cluster, and nothing in there tells their addresses.
                Road::Balancer | Road::BalancerTls | Road::Builtin | Road::Nginx | Road::Envoy => Way::None,
                // What came to a service that isn't ours nobody shows.
                Road::Witness => Way::None,
                // No real one shows that, or does as a scenario tells it.
                Road::Vendor => Way::None,
            }),
            plain_balancer: plain_balancer(profile),
            given: Given::read(profile, variable)?,
            client,
        })
    }

    /// One known only by its doors, and perhaps by commands that operate it, which run in `folder`.
    pub fn by_doors(
        profile: &Profile,
        folder: PathBuf,
        trust: Trust,
        allowed: Intrusion,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Installation, InstallationError> {
        let client = no_cluster::client();
        Ok(Installation {
            forwards: Forwards::new(Api::default_namespaced(client.clone())),
            namespace: String::new(),
            context: None,
            trust,
            allowed,
            has_cluster: false,
            commands: Commands::new(profile.operations.clone(), folder),
            logs: profile.logs.clone(),
            probe: None,
            changes: None,
            counts: None,
            agents: None,
            codex: Secrets::default(),
            ways: ways(profile, |_| Way::None),
            plain_balancer: plain_balancer(profile),
            given: Given::read(profile, variable)?,
            client,
        })
    }

    /// How it is operated.
    pub fn operations(&self) -> Operations<'_> {
        match (&self.commands, self.has_cluster) {
            (_, true) => Operations::Kubernetes,
            (Some(commands), false) => Operations::Commands(commands),
            (None, false) => Operations::None,
        }
    }

    /// Whether its profile gives a command for an operation.
    pub fn can(&self, operation: Operation) -> bool {
        self.commands.as_ref().is_some_and(|commands| commands.has(operation))
    }

    /// Counts, by `list-pods` if there is such a command, what scenarios want a number of.
    pub async fn count_by_command(&mut self, names: &BTreeMap<String, String>) -> Result<(), InstallationError> {
        let Some(commands) = self
            .commands
            .as_ref()
            .filter(|commands| commands.has(Operation::ListPods))
        else {
            return Ok(());
        };
        let name = |of: &str| names.get(of).map(String::as_str).unwrap_or_default();
        let warm = commands.pods(name("warm.selector")).await?;
        let web = commands.pods(name("web.selector")).await?;
        self.counts = Some(Counts {
            warm_pods: warm.len() as u32,
            web_replicas: web.iter().filter(|pod| pod.ready).count() as u32,
            // A list of pods doesn't tell their containers and volumes.
            codex_pods: 0,
            codex_agents: 0,
        });
        Ok(())
    }

    /// How a road is reached.
    pub fn way(&self, road: Road) -> &Way {
        self.ways.get(&road).unwrap_or(&Way::None)
    }

    /// How the balancer's door without TLS is reached: what it is asked where it is compared with the one over TLS.
    pub fn plain_balancer(&self) -> &Way {
        &self.plain_balancer
    }

    /// Whether the installation has a road.
    pub fn has_road(&self, road: Road) -> bool {
        *self.way(road) != Way::None
    }

    /// Whether secrets of terminals have to be read from the installation's own Secret.
    pub fn reads_secret(&self) -> bool {
        !self.given.has(&Needed::OF_TERMINALS)
    }

    /// The same for what JWTs are signed with.
    pub fn reads_jwt_secret(&self) -> bool {
        !self.given.has(&[Needed::JwtSecret])
    }

    /// Looks whether the agent service's secrets are known. Where the cluster doesn't let them be read
    /// nothing is known: that is said with all else that it doesn't.
    pub async fn look_for_agents(&mut self, names: &BTreeMap<String, String>) -> Result<(), InstallationError> {
        self.agents = match self.secrets(names, Contract::AgentService).await {
            Ok(secrets) => Some(Ok(secrets)),
            Err(InstallationError::Secret(why)) => Some(Err(why)),
            Err(error) if error.is_forbidden() => None,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// Looks what is known of the keys at the LiteLLM that has the codex login. What isn't is empty, and scenarios that
    /// need it are skipped.
    pub async fn look_for_codex(&mut self, names: &BTreeMap<String, String>) -> Result<(), InstallationError> {
        self.codex = match self.secrets(names, Contract::CodexAuth).await {
            Ok(secrets) => secrets,
            Err(error) if error.is_forbidden() => Secrets::default(),
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// An error where another run disrupts it now.
    pub async fn undisrupted(&self) -> Result<(), InstallationError> {
        match self.other_holder().await {
            Some(run) => Err(InstallationError::Held { run }),
            None => Ok(()),
        }
    }

    /// The other run that disrupts it; none if nobody is seen to.
    async fn other_holder(&self) -> Option<String> {
        if !self.has_cluster {
            return None;
        }
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        let run = self.changes.as_ref().map(|changes| changes.journal.head.run.as_str());
        lease::other_holder(&leases, run).await
    }

    /// Who else disturbs it, in words: another run that holds the lease. None if nobody is seen to.
    pub async fn disturbed(&self) -> Option<String> {
        let other = self.other_holder().await?;
        Some(format!("the run {other} disrupts this platform (the lease {LEASE})"))
    }

    /// Where a secret comes from, where the profile says it.
    pub fn source(&self, needed: Needed) -> Option<&SecretSource> {
        self.given.source(needed)
    }
}

/// None if pods may not be listed: that is said when all else is known that may not be done.
async fn counts(
    client: &kube::Client,
    namespace: &str,
    names: &BTreeMap<String, String>,
) -> Result<Option<Counts>, InstallationError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let count = async |selector: &str, counts: &dyn Fn(&Pod) -> bool| {
        let selector = names.get(selector).map(String::as_str).unwrap_or_default();
        let listed = pods.list(&ListParams::default().labels(selector)).await?;
        Ok::<_, kube::Error>(listed.items.iter().filter(|pod| counts(pod)).count() as u32)
    };
    let counted = async {
        Ok::<_, kube::Error>(Counts {
            warm_pods: count("warm.selector", &|pod| pod.metadata.deletion_timestamp.is_none()).await?,
            web_replicas: count("web.selector", &is_ready).await?,
            codex_pods: count("litellm.selector", &|pod| has_codex(pod, names)).await?,
            codex_agents: count("agent.selector", &|_| true).await?,
        })
    };
    match counted.await {
        Ok(counts) => Ok(Some(counts)),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
        Err(error) => Err(InstallationError::asking(
            format!("counting the platform's pods in namespace {namespace}"),
            error,
        )),
    }
}

/// Whether a pod has something of the codex login. Another platform's LiteLLM has not.
fn has_codex(pod: &Pod, names: &BTreeMap<String, String>) -> bool {
    let named = |name: &str, names_of: [&str; 2]| names_of.iter().any(|of| names.get(*of).is_some_and(|n| n == name));
    let Some(spec) = &pod.spec else {
        return false;
    };
    let mut containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let mut volumes = spec.volumes.iter().flatten();
    containers.any(|container| named(&container.name, ["rotator.container", "codex.container"]))
        || volumes.any(|volume| named(&volume.name, ["auth.volume", "auth.claim"]))
}

fn ways(profile: &Profile, usual: impl Fn(Road) -> Way) -> BTreeMap<Road, Way> {
    let mut ways: BTreeMap<Road, Way> = Road::ALL
        .into_iter()
        .map(|road| (road, profile.roads.get(&road).cloned().unwrap_or_else(|| usual(road))))
        .collect();
    // A balancer that has a door over TLS is that door: the plain one may refuse everybody.
    let over_tls = |way: &Way| matches!(way, Way::To(address) if address.tls);
    let doors = [Road::BalancerTls, Road::Balancer].map(|road| ways[&road].clone());
    if let Some(tls) = doors.into_iter().find(over_tls) {
        ways.insert(Road::Balancer, tls.clone());
        ways.insert(Road::BalancerTls, tls);
    }
    ways
}

/// The balancer's door without TLS, where a profile gives it.
fn plain_balancer(profile: &Profile) -> Way {
    match profile.roads.get(&Road::Balancer) {
        Some(Way::To(address)) if address.tls => Way::None,
        way => way.cloned().unwrap_or(Way::None),
    }
}

/// A cluster that answers.
pub struct Connected {
    pub client: kube::Client,
    /// The default namespace.
    pub namespace: String,
    /// None without a kubeconfig.
    pub context: Option<String>,
}

/// A client of the cluster that is at a place.
///
/// # Errors
/// If nothing says where it is, or it doesn't answer.
pub async fn connect(place: &Place) -> Result<Connected, InstallationError> {
    let (mut config, context) = config(place).await?;
    // A watch is quiet as long as nothing happens; a cluster that is gone is known by its connections.
    config.connect_timeout = Some(std::time::Duration::from_secs(10));
    let namespace = place.namespace.clone().unwrap_or(config.default_namespace.clone());
    let server = config.cluster_url.to_string();
    let client = kube::Client::try_from(config)
        .map_err(|error| InstallationError::asking(format!("making a client of {server}"), error))?;
    client
        .apiserver_version()
        .await
        .map_err(|error| InstallationError::asking(format!("asking {server} for its version"), error))?;
    Ok(Connected {
        client,
        namespace,
        context,
    })
}

/// The configuration that a place has, and the name of its context.
async fn config(place: &Place) -> Result<(kube::Config, Option<String>), InstallationError> {
    let failed = |source: PlaceError| InstallationError::Kubeconfig {
        files: place.kubeconfig.clone(),
        source: Box::new(source),
    };
    if place.kubeconfig.is_empty() {
        // Which cluster it is was said; that of the pod may be another one.
        if let Some(context) = place.context.as_ref().filter(|context| *context != IN_CLUSTER) {
            let context = context.clone();
            return Err(failed(PlaceError::NoKubeconfig { context }));
        }
        let config = kube::Config::incluster().map_err(|error| failed(PlaceError::NoPod(error)))?;
        return Ok((config, Some(IN_CLUSTER.to_owned())));
    }
    let mut merged = Kubeconfig::default();
    for file in &place.kubeconfig {
        let read = kubeconfig::read(file).map_err(|source| {
            failed(match place.kubeconfig.len() {
                1 => PlaceError::Read(source),
                _ => PlaceError::ReadOne {
                    file: file.clone(),
                    source,
                },
            })
        })?;
        merged = merged.merge(read).map_err(|error| failed(error.into()))?;
    }
    if let Some(context) = &place.context
        && !merged.contexts.iter().any(|known| known.name == *context)
    {
        let known = merged.contexts.iter().map(|known| known.name.as_str());
        return Err(failed(PlaceError::NoContext {
            context: context.clone(),
            suggestion: suggestion(context, known, "contexts"),
        }));
    }
    let options = KubeConfigOptions {
        context: place.context.clone(),
        ..KubeConfigOptions::default()
    };
    let context = place.context.clone().or(merged.current_context.clone());
    let config = kube::Config::from_custom_kubeconfig(merged, &options).await;
    Ok((config.map_err(|error| failed(error.into()))?, context))
}
