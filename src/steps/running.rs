//! A load that goes on while other steps change the platform.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::lock::lock;
use super::observation::StepError;
use crate::load::objective::Objective;
use crate::load::result::{Gauntlet, Load as Asked};
use crate::load::{Control, Course, Door, EngineError, LoadResult, Outcome, Target};
use crate::redact::Secret;
use crate::vocabulary::Road;

/// Between two looks at how many are open.
const LOOK: Duration = Duration::from_millis(5);

/// The load's target, the right token, and those that must be refused.
pub struct Way {
    pub road: Road,
    /// The name that the `Host` header has.
    pub host: String,
    pub path: String,
    /// The query parameter that a token is in.
    pub parameter: String,
    pub right: String,
    pub wrong: Secret,
    pub old: Option<String>,
}

impl Way {
    pub fn door(&self) -> Door {
        let target = Target {
            path: &self.path,
            parameter: &self.parameter,
            right: &self.right,
            wrong: self.wrong.expose(),
            old: self.old.as_deref(),
        };
        Door::new(&self.host, &target, &[])
    }
}

/// How a load is said in its result, and judged.
pub struct Told {
    pub what: String,
    pub asked: Asked,
    pub objectives: Vec<Objective>,
    pub started: String,
    pub parties: Vec<IpAddr>,
}

/// Ends a load that nobody waits for any more.
struct Stopped(Arc<Control>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// A load on its way. Dropped, it is stopped.
pub struct Running {
    told: Told,
    way: Mutex<Way>,
    control: Arc<Control>,
    _stopped: Stopped,
    engine: Mutex<Option<JoinHandle<Result<Outcome, EngineError>>>>,
}

impl Running {
    pub fn new(
        told: Told,
        way: Way,
        control: Arc<Control>,
        engine: JoinHandle<Result<Outcome, EngineError>>,
    ) -> Running {
        Running {
            told,
            way: Mutex::new(way),
            _stopped: Stopped(control.clone()),
            control,
            engine: Mutex::new(Some(engine)),
        }
    }

    /// What it is, in words.
    pub fn what(&self) -> &str {
        &self.told.what
    }

    /// Waits until so many are open, or it is over.
    pub async fn has_open(&self, wanted: u32) {
        let is_over = || lock(&self.engine).as_ref().is_none_or(JoinHandle::is_finished);
        while self.control.open.load(Ordering::Relaxed) < wanted && !is_over() {
            sleep(LOOK).await;
        }
    }

    pub fn stop(&self) {
        self.control.stop.store(true, Ordering::Relaxed);
    }

    /// Whom its verdict is about: addresses of pods.
    pub fn parties(&self) -> &[IpAddr] {
        &self.told.parties
    }

    /// Waits until it is over, and says what came of it.
    pub async fn ends(&self) -> Result<LoadResult, StepError> {
        let what = &self.told.what;
        let Some(engine) = lock(&self.engine).take() else {
            return Err(StepError::Arguments(format!(
                "{what}: an earlier step has already waited for its end"
            )));
        };
        let outcome = engine
            .await
            .map_err(|error| StepError::doing(what, error))?
            .map_err(|error| StepError::doing(what, error))?;
        let gauntlet = Gauntlet {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: option_env!("GAUNTLET_COMMIT").map(str::to_owned),
        };
        let told = (gauntlet, self.told.started.clone());
        Ok(LoadResult::new(
            told,
            self.told.asked.clone(),
            outcome,
            &self.told.objectives,
            None,
        ))
    }

    /// Who comes, and who has to be refused. What is changed counts once it [turns](Running::turn).
    pub fn way(&self) -> MutexGuard<'_, Way> {
        lock(&self.way)
    }

    /// Goes on so; tells whether it does, and isn't over already.
    pub async fn turn(&self, course: Course) -> bool {
        self.control.turn(course).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_nobody_waits_for_is_stopped() {
        let control = Arc::new(Control::default());
        drop(Stopped(control.clone()));
        assert!(control.stop.load(Ordering::Relaxed));
    }
}
