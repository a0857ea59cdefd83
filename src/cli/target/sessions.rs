//! The sessions that a run created on a platform that isn't ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::redact::Redactor;
use crate::steps::{Limits, StepContext, session};
use crate::vocabulary::Contract;
use crate::world::World;
use crate::world::installation::Installation;

/// Deletes the run's sessions through the session API; returns how many there were.
pub async fn delete_sessions(
    installation: &Arc<Installation>,
    names: &BTreeMap<String, String>,
) -> Result<usize, String> {
    let Some(changes) = &installation.changes else {
        return Ok(0);
    };
    if changes.sessions_begun() == 0 && changes.sessions().is_empty() {
        return Ok(0);
    }
    let names = Arc::new(names.clone());
    let world = World::shared(installation.clone(), names, Contract::HarnessToken).await;
    let world = Arc::new(world.map_err(|error| error.to_string())?);
    let context = StepContext::new(world, Redactor::new(), Limits::of_a_cluster());
    let deleted = session::delete_all(&context, changes).await;
    deleted.map_err(|error| error.to_string())
}
