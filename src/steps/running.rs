//! `turn-load` and `await-load`: a load in the background while other steps change the platform.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::arguments::{AwaitLoad, Load, TurnLoad};
use super::context::{Exchange, Observation, StepContext, StepError, lock};
use super::load::observed;
use crate::load::objective::Objective;
use crate::load::result::{Gauntlet, Load as Asked, Verdict};
use crate::load::{Control, Course, Door, EngineError, LoadResult, Outcome, Target};
use crate::redact::Secret;
use crate::vocabulary::Road;
use crate::world::roads::door_path;
use crate::world::subject;

/// Between two looks at how many are open.
const LOOK: Duration = Duration::from_millis(5);

/// The load's target, the right token, and those that must be refused.
pub struct Way {
    pub road: Road,
    /// The name that the `Host` header has.
    pub host: String,
    pub path: String,
    pub right: String,
    pub wrong: Secret,
    pub old: Option<String>,
}

impl Way {
    pub fn door(&self) -> Door {
        let target = Target {
            path: &self.path,
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

    /// Waits until it is over, and says what came of it.
    pub async fn ends(&self, context: &StepContext) -> Result<Observation, StepError> {
        let what = &self.told.what;
        let Some(engine) = lock(&self.engine).take() else {
            return Err(StepError(format!(
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
        let result = LoadResult::new(told, self.told.asked.clone(), outcome, &self.told.objectives, None);
        let written = |error: serde_json::Error| StepError::doing("writing the load's result", error);
        let value = serde_json::to_value(&result).map_err(written)?;
        context.keep_load(format!("{}\n", serde_json::to_string_pretty(&value).map_err(written)?));
        context.record(Exchange {
            title: what.clone(),
            text: crate::load::summary(&result).trim_start().to_owned(),
            // Thousands of requests are no command to paste: the run itself is what shows it again.
            curl: None,
            parties: self.told.parties.clone(),
        });
        match result.verdict {
            Verdict::Pass | Verdict::Fail => Ok(Observation {
                what: what.clone(),
                value: observed(value),
            }),
            Verdict::Error | Verdict::Interrupted => Err(StepError::doing(what, result.reasons.join("; "))),
        }
    }

    /// Goes on as a step says.
    fn course(&self, arguments: &TurnLoad, context: &StepContext) -> Result<Course, StepError> {
        let others = arguments.to.is_some() || arguments.token.is_some() || arguments.old_token.is_some();
        if arguments.unsettled == Some(true) {
            return match others {
                true => Err(StepError(
                    "turn-load: what comes while the platform changes is as before; `to`, `token` and `old-token` are \
                     for when it has changed"
                        .into(),
                )),
                false => Ok(Course::Unsettled),
            };
        }
        let mut way = lock(&self.way);
        if arguments.to.is_some() && way.road == Road::Direct {
            return Err(StepError(
                "turn-load: `to` is by the road of the load, and `direct` leads to one pod alone".into(),
            ));
        }
        let before = way.path.clone();
        if arguments.to.is_some() {
            way.path = door_path(&context.world, way.road, arguments.to.as_ref());
        }
        if let Some(token) = &arguments.token {
            way.right = token.clone();
        }
        if let Some(old) = &arguments.old_token {
            way.old = Some(old.clone());
        }
        let door = way.door();
        Ok(Course::Settled(vec![match &way.old {
            // There the pod itself may still take it: it is the door before it that must not.
            Some(old) if way.path != before => door.with_old(&way.host, &before, old),
            _ => door,
        }]))
    }
}

/// Has a load go on with something else.
pub async fn turn(arguments: TurnLoad, context: &StepContext) -> Result<Observation, StepError> {
    let running = context.running_load(&arguments.turn_load)?;
    let course = running.course(&arguments, context)?;
    let what = match (&course, &arguments.to) {
        (Course::Unsettled, _) => format!("{}, while the platform changes", running.what()),
        (Course::Settled(_), Some(to)) => format!("turn the {} to {}", running.what(), subject::name(to)),
        (Course::Settled(_), None) => format!("{}, now that the platform has changed", running.what()),
    };
    if running.control.turn(course).await.is_err() {
        return Err(StepError(format!(
            "{what}: the load is over already; let more attach, or hold them longer"
        )));
    }
    Ok(Observation {
        what,
        value: json!({ "done": true }),
    })
}

/// Waits until a load is over.
pub async fn wait(arguments: AwaitLoad, context: &StepContext) -> Result<Observation, StepError> {
    context.running_load(&arguments.await_load)?.ends(context).await
}

/// Why a load can't go on beside other steps.
pub fn refuse_aside(arguments: &Load) -> Result<(), StepError> {
    match arguments.until_open {
        Some(wanted) if wanted > arguments.attaches => Err(StepError(format!(
            "until-open: {wanted} are never open where {} attach",
            arguments.attaches
        ))),
        _ => Ok(()),
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

    #[test]
    fn no_more_are_waited_for_than_come() {
        let load = |until_open: u32| {
            let keys = json!({ "load": {}, "attaches": 10, "until-open": until_open });
            serde_json::from_value::<Load>(keys).expect("arguments")
        };
        assert!(refuse_aside(&load(10)).is_ok());
        let error = refuse_aside(&load(11)).expect_err("too many");
        assert_eq!(error.0, "until-open: 11 are never open where 10 attach");
    }
}
