//! Runs the engine on its own thread; observes and stops it from here.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::load::{self, Control, Outcome, Plan, Second};

/// Runs the engine on a thread of its own, and shows what it says meanwhile.
pub async fn drive(plan: Plan, stop: &CancellationToken, mut tell: impl FnMut(&Second)) -> Result<Outcome, String> {
    let control = Arc::new(Control::default());
    let mut end = load::spawn(plan, control.clone())?;
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    let mut stopping = false;
    loop {
        tokio::select! {
            outcome = &mut end => {
                let outcome = outcome.map_err(|_| "the engine's thread has ended".to_owned())?;
                return outcome.map_err(|error| error.to_string());
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
