//! Why a run did not come to its end.

use std::time::Duration;

use super::FINALLY_WITHIN;
use super::world::STOP_WITHIN;
use crate::redact::RedactError;
use crate::runner::story::StoryError;
use crate::steps::StepError;
use crate::template::TemplateError;
use crate::vocabulary::duration;
use crate::world::installation::InstallationError;
use crate::world::running::WorldError;

/// Why a run did not come to its end. Unless a check failed before, its verdict is `error`, also where it was
/// interrupted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    MadeUp(#[from] TemplateError),
    #[error("a secret of the world: {0}")]
    Secret(#[source] RedactError),
    #[error("starting a world: {0}")]
    Start(#[source] Box<WorldError>),
    #[error("preparing the platform: {0}")]
    Prepare(#[source] InstallationError),
    #[error("the variable {name}: {source}")]
    Variable {
        name: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error(transparent)]
    Story(#[from] StoryError),
    /// It ended in the middle of something.
    #[error("the scenario exceeded its time limit of {} {meanwhile}", duration::show(*limit))]
    Late { limit: Duration, meanwhile: String },
    #[error("`finally` was not done within {FINALLY_WITHIN:?}")]
    FinallyLate,
    #[error(transparent)]
    Sweep(StepError),
    #[error("deleting the sessions that were made took too long")]
    SweepLate,
    #[error("putting back what was changed: {0}; `gauntlet recover` tries again")]
    PutBack(#[source] InstallationError),
    #[error("ending its world: {0}")]
    Stop(#[source] Box<WorldError>),
    #[error("its world did not end within {STOP_WITHIN:?}")]
    StopLate,
    /// Somebody wanted the whole run to end; where that met this one.
    #[error("interrupted {0}")]
    Interrupted(String),
}

impl Broken {
    pub(super) fn late(limit: Duration, meanwhile: &str) -> Broken {
        Broken::Late {
            limit,
            meanwhile: meanwhile.to_owned(),
        }
    }

    pub(super) fn variable(name: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Broken {
        Broken::Variable {
            name: name.to_owned(),
            source: source.into(),
        }
    }
}
