//! `turn-load`: a load that goes on is told that the platform changes, or has changed.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::context::StepContext;
use super::definition::{DONE, Verb, verb};
use super::observation::{Observation, StepError};
use super::running::Running;
use crate::load::Course;
use crate::vocabulary::{Intrusion, Road};
use crate::world::roads::door_path;
use crate::world::subject;

/// The verb `turn-load`.
pub const VERB: Verb = Verb {
    phrases: DONE,
    default_given: Some("done"),
    fields: &["done"],
    takes_objects: &["turn-load", "to"],
    intrusion: |_| Intrusion::Attack,
    ..verb!("turn-load", TurnLoad, run)
};

/// Tells a load that goes on that the platform changes, or has changed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TurnLoad {
    /// What the `load` was bound to: `${l}`.
    pub turn_load: Value,
    /// The platform is about to change: until the next `turn-load` the right token may open or not, and the schedule
    /// waits. Without the right token nobody may come in. Default: no, it has changed.
    pub unsettled: Option<bool>,
    /// The session that attaches go to from now on. Default: as before.
    pub to: Option<Value>,
    /// The right token from now on. Default: as before.
    pub token: Option<String>,
    /// A token that was right once, and has to be refused from now on, at the session of before as well.
    pub old_token: Option<String>,
}

/// Has a load go on with something else.
async fn run(arguments: TurnLoad, context: &StepContext) -> Result<Observation, StepError> {
    let running = context.running_load(&arguments.turn_load)?;
    let course = course(&running, &arguments, context)?;
    let what = match (&course, &arguments.to) {
        (Course::Unsettled, _) => format!("{}, while the platform changes", running.what()),
        (Course::Settled(_), Some(to)) => format!("turn the {} to {}", running.what(), subject::name(to)),
        (Course::Settled(_), None) => format!("{}, now that the platform has changed", running.what()),
    };
    if !running.turn(course).await {
        return Err(StepError::Because(format!(
            "{what}: the load is over already; let more attach, or hold them longer"
        )));
    }
    Ok(Observation {
        what,
        value: json!({ "done": true }),
    })
}

/// How a load goes on as a step says.
fn course(running: &Running, arguments: &TurnLoad, context: &StepContext) -> Result<Course, StepError> {
    let others = arguments.to.is_some() || arguments.token.is_some() || arguments.old_token.is_some();
    if arguments.unsettled == Some(true) {
        return match others {
            true => Err(StepError::Arguments(
                "turn-load: what comes while the platform changes is as before; `to`, `token` and `old-token` are \
                 for when it has changed"
                    .into(),
            )),
            false => Ok(Course::Unsettled),
        };
    }
    let mut way = running.way();
    if arguments.to.is_some() && way.road == Road::Direct {
        return Err(StepError::Arguments(
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
