//! The sessions that a run created on a platform that isn't ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::redact::Redactor;
use crate::steps::{Limits, StepContext, StepError, session};
use crate::vocabulary::Contract;
use crate::world::installation::Installation;
use crate::world::{World, WorldError};

/// Why sessions of a run may be left.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    #[error(transparent)]
    World(#[from] Box<WorldError>),
    #[error(transparent)]
    Step(#[from] StepError),
}

/// Deletes the run's sessions through the session API; returns how many there were.
pub async fn delete_sessions(
    installation: &Arc<Installation>,
    names: &BTreeMap<String, String>,
) -> Result<usize, DeleteError> {
    let Some(changes) = &installation.changes else {
        return Ok(0);
    };
    if changes.sessions_begun() == 0 && changes.sessions().is_empty() {
        return Ok(0);
    }
    let names = Arc::new(names.clone());
    let world = World::shared(installation.clone(), names, Contract::HarnessToken).await;
    let world = Arc::new(world.map_err(Box::new)?);
    let context = StepContext::new(world, Redactor::new(), Limits::of_a_cluster());
    Ok(session::delete_all(&context, changes).await?)
}
