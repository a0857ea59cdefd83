//! A platform that isn't ours: described by a profile, shared by all scenarios, left as it was found.

mod by_command;
pub mod changes;
mod count;
mod error;
pub mod journal;
pub mod lease;
pub mod listening_probe;
mod no_cluster;
mod place;
pub mod preflight;
mod secrets;
mod undo;

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;

use super::forward::Forwards;
use super::operations::{Commands, Operations};
use crate::profile::Profile;
use crate::profile::logs::LogSource;
use crate::profile::operations::Operation;
use crate::profile::route_address::Way;
use crate::profile::secret_source::{Needed, SecretSource};
use crate::trust::Trust;
use crate::vocabulary::Contract;
use crate::vocabulary::Intrusion;
use crate::vocabulary::Road;
use changes::Changes;
pub use count::Counts;
use count::counts;
pub use error::InstallationError;
use listening_probe::ListeningProbe;
pub use place::{Connected, IN_CLUSTER, Place, PlaceError, connect};
use secrets::Given;
pub use secrets::{SecretError, Secrets};

/// The Secret in which values are kept that are to be put back.
pub const KEPT: &str = "gauntlet-kept";

/// The Lease under which a platform is disrupted.
pub const LEASE: &str = "gauntlet";

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
