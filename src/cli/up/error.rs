//! Why a platform to work with by hand was not brought up, shown or ended.

use std::error::Error;

use super::FAILED;
use super::kind::NAMESPACE;
use crate::cli::conclude::tell;
use crate::world::kind::cluster::KindError;
use crate::world::kind::namespace::NamespaceError;
use crate::world::kind::tool::ToolError;
use crate::world::kube_error::kube_error;
use crate::world::running::WorldError;

/// Any error behind what was being done.
type Cause = Box<dyn Error + Send + Sync>;

/// This machine, the cluster or the platform on it stands in the way. What is wrong on the command line is a
/// [`UsageError`](crate::cli::exit::UsageError).
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    #[error("{doing}: {source}")]
    Doing { doing: String, source: Cause },
    #[error("{doing}: {}", kube_error(source.as_ref()))]
    Asking { doing: String, source: Box<kube::Error> },
    /// The node's image is made of gauntlet's own program.
    #[error("{0}")]
    NoProgram(String),
    #[error(transparent)]
    Kind(Box<KindError>),
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error(transparent)]
    World(Box<WorldError>),
    #[error(
        "the namespace {NAMESPACE} exists and was not created by gauntlet, so it is left alone; delete it (`kubectl \
         delete namespace {NAMESPACE}`) and `gauntlet up` creates one"
    )]
    NotOurs,
    #[error(
        "the platform that is on the cluster is of another contract, or was made with other names: `gauntlet down` \
         ends it, cluster and all"
    )]
    OtherPlatform,
}

impl UpError {
    /// `doing what: what came back`.
    pub fn doing(doing: impl Into<String>, source: impl Into<Cause>) -> UpError {
        UpError::Doing {
            doing: doing.into(),
            source: source.into(),
        }
    }

    /// `asking what: what the cluster said`.
    pub fn asking(doing: impl Into<String>, source: kube::Error) -> UpError {
        UpError::Asking {
            doing: doing.into(),
            source: Box::new(source),
        }
    }

    /// Says it; returns the exit code that follows from it.
    pub fn told(&self) -> u8 {
        tell(&self.to_string());
        FAILED
    }

    /// The platform does not start.
    pub fn starting(source: impl Into<Cause>) -> UpError {
        UpError::doing("starting the platform", source)
    }
}

impl From<KindError> for UpError {
    fn from(error: KindError) -> UpError {
        UpError::Kind(Box::new(error))
    }
}

impl From<WorldError> for UpError {
    fn from(error: WorldError) -> UpError {
        UpError::World(Box::new(error))
    }
}
