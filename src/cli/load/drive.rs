//! Runs the engine on its own thread; observes and stops it from here.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::load::{self, Control, EngineError, Outcome, Plan, Second, SpawnError};

/// Why the engine has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("the engine's thread has ended")]
    Gone,
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Runs the engine on a thread of its own, and shows what it says meanwhile. Others may turn it by `control`.
pub async fn drive(
    plan: Plan,
    control: Arc<Control>,
    stop: &CancellationToken,
    mut tell: impl FnMut(&Second),
) -> Result<Outcome, DriveError> {
    let mut end = load::spawn(plan, control.clone())?;
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    let mut stopping = false;
    loop {
        tokio::select! {
            outcome = &mut end => {
                return Ok(outcome.map_err(|_| DriveError::Gone)??);
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                control.stop.store(true, Ordering::Relaxed);
            }
            _ = ticks.tick() => {
                for second in control.news() {
                    tell(&second);
                }
            }
        }
    }
}
