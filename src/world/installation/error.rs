//! Why an installation can't be worked on.

use std::path::PathBuf;

use super::journal::JournalError;
use super::listening_probe::ProbeError;
use super::place::PlaceError;
use super::secrets::SecretError;
use super::{KEPT, LEASE};
use crate::world::kube_error::kube_error;
use crate::world::operations::{KEPT_BY, OperationError, WitnessError};
use crate::world::rollout::RolloutError;
use crate::world::wait::is_passing;

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
        KEPT_BY
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

impl InstallationError {
    /// Whether the same may succeed a moment later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            InstallationError::Asking { source, .. } => is_passing(source),
            InstallationError::Moved { .. } => true,
            _ => false,
        }
    }

    pub(super) fn is_forbidden(&self) -> bool {
        match self {
            InstallationError::Asking { source, .. } => {
                matches!(source.as_ref(), kube::Error::Api(status) if status.code == 403)
            }
            _ => false,
        }
    }

    pub(super) fn asking(doing: impl Into<String>, source: kube::Error) -> InstallationError {
        InstallationError::Asking {
            doing: doing.into(),
            source: Box::new(source),
        }
    }
}
