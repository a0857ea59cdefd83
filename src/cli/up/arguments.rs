//! The flags of `gauntlet up`, `down` and `status`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{EMBEDDED, context};
use crate::cli::exit::UsageError;
use crate::cli::target::{CodexOptions, GatewayOptions, REUSED, only_for};
use crate::cli::{ContractName, MadeTarget};

/// Where `up` puts its kubeconfig.
const KUBECONFIG: &str = "gauntlet.kubeconfig";

#[derive(Clone, Debug, Args)]
pub struct Up {
    /// Which contract's platform
    #[arg(value_enum, value_name = "CONTRACT", default_value_t)]
    pub contract: ContractName,
    #[command(flatten)]
    pub gateways: GatewayOptions,
    #[command(flatten)]
    pub codex: CodexOptions,
    /// Where to run
    #[arg(long, value_enum, default_value_t)]
    pub target: MadeTarget,
    /// kind: the cluster's name [default: gauntlet]
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// kind: the node's image [default: kind's own]
    #[arg(long, value_name = "NODE_IMAGE")]
    pub image: Option<String>,
    /// kind: build the platform's image on top of this one, for its shell and programs [default: gauntlet's own]
    #[arg(long, value_name = "IMAGE")]
    pub base_image: Option<String>,
    /// Where to write the kubeconfig
    #[arg(long, value_name = "FILE", default_value = KUBECONFIG)]
    pub kubeconfig: PathBuf,
    /// The platform's names [default: the contract's names]
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Set a name on top of the profile: secret.name=my-env
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Start the reference platform with these defects
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub mutant: Vec<String>,
    /// Of a process that starts it: the session API's key, or agent-service's JWT secret, is the first line of standard
    /// input, and with its end the platform ends
    #[arg(long, hide = true)]
    pub held: bool,
}

impl Up {
    /// The context of the kubeconfig that it writes.
    pub(super) fn context(&self) -> String {
        match self.target {
            MadeTarget::Embedded => EMBEDDED.to_owned(),
            MadeTarget::Kind => context(self.cluster_name.as_deref().unwrap_or(REUSED)),
        }
    }

    pub(super) fn check(&self) -> Result<(), UsageError> {
        let given = [
            ("--cluster-name", self.cluster_name.is_some()),
            ("--image", self.image.is_some()),
            ("--base-image", self.base_image.is_some()),
        ];
        if self.contract != ContractName::AgentService && self.gateways.gateway.is_some() {
            return Err(UsageError(
                "--gateway is of the agent service: `gauntlet up agent-service` brings it up".into(),
            ));
        }
        self.gateways.check(self.target.into())?;
        self.codex.check(self.target.into(), self.base_image.is_some())?;
        match given.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) if self.target == MadeTarget::Embedded => Err(only_for(flag, "kind", "embedded")),
            _ => Ok(()),
        }
    }
}

/// Targets that outlive the command that starts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Standing {
    Kind,
}

#[derive(Clone, Debug, Args)]
pub struct Down {
    /// The target given to `up`
    #[arg(long, value_enum, default_value = "kind")]
    pub target: Standing,
    /// The cluster's name [default: gauntlet]
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
    /// The kubeconfig that `up` wrote
    #[arg(long, value_name = "FILE", default_value = KUBECONFIG)]
    pub kubeconfig: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub struct Status {
    /// The target given to `up`
    #[arg(long, value_enum, default_value = "kind")]
    pub target: Standing,
    /// The cluster's name [default: gauntlet]
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<String>,
}
