//! `load`: many attaches at once, held and typed into, while others try without the right token.
//!
//! The engine is that of `gauntlet load`. An embedded platform shares this process and its processors with it, so that
//! its latencies are those of both together: an objective of them has to leave room for that.

mod check;
mod size;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rand::RngExt;
use rustls::pki_types::ServerName;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::context::{Exchange, StepContext};
use super::definition::{Phrase, Reach, Verb, phrases, verb};
use super::observation::{Observation, StepError};
use super::running::{Running, Told, Way};
use super::wire;
use crate::load::result::{Load as Asked, Verdict};
use crate::load::{Control, Model, Plan, Resolution, TAGS};
use crate::vocabulary::duration::DurationText;
use crate::vocabulary::{Intrusion, Road};
use crate::world::Door;
use crate::world::roads::{RoadError, door, door_path, parties};
use crate::world::subject::{self, default_road};
use check::check;
use size::Size;
pub use size::{ECHO_EVERY, HOLD, RATE};

/// The verb `load`.
pub const VERB: Verb = Verb {
    phrases: PHRASES,
    default_given: Some("passes"),
    fields: FIELDS,
    objects: OBJECTS,
    takes_objects: &["load"],
    reach: Reach::Door { subject: Some("load") },
    intrusion: |_| Intrusion::Attack,
    reasons: Some("reasons"),
    check: Some(check),
    ..verb!("load", Load, run)
};

/// What can be expected of a load.
pub(super) const PHRASES: &[Phrase] = phrases![
    "passes", "each objective is kept, and nobody came in without the right token", {"verdict": "pass"};
    "runs", "it goes on beside the next steps", {"verdict": "running"};
];

pub(super) const FIELDS: &[&str] = &[
    "verdict",
    "reasons",
    "counts",
    "failures",
    "probeFailures",
    "latencies",
    "steady",
    "mostOpen",
    "objectives",
    "generator",
    "fanOut",
];

pub(super) const OBJECTS: &[&str] = &[
    "counts",
    "failures",
    "probeFailures",
    "latencies",
    "steady",
    "generator",
    "fanOut",
];

/// Attaches many times at once, holds all and types into each. Meanwhile others come without the right token, who
/// have to be refused with 401 at every moment.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Load {
    /// The session or pod whose door it is.
    pub load: Value,
    /// Default: `proxy` for a session, `direct` for a pod.
    pub road: Option<Road>,
    /// The right token. Default: `${secret.token}`.
    pub token: Option<String>,
    /// A token that was right once, and has to be refused. Default: none such comes.
    pub old_token: Option<String>,
    /// How many are held at once.
    #[schemars(range(min = 1, max = 100_000))]
    pub attaches: u32,
    /// How they arrive: `200/s`, `100/s..900/s`, `100/s@10s,500/s` or `poisson:500/s`. Default: 200/s.
    pub ramp: Option<String>,
    /// How long all are held from when they are open. Default: 1 s.
    #[schemars(with = "Option<DurationText>")]
    pub hold: Option<String>,
    /// How often each types a nonce and waits to read it back. Default: 500 ms.
    #[schemars(with = "Option<DurationText>")]
    pub echo_every: Option<String>,
    /// What has to hold for it to pass, beside that nobody comes in without the right token: `errors == 0`,
    /// `opened >= 100`, `error-ratio < 1%`, `attach.p99 < 500ms`. Default: `errors == 0`.
    #[schemars(length(min = 1))]
    pub objectives: Option<Vec<String>>,
    /// Only one of them types, once all are open, and all have to see each key: they share one terminal. Default: no.
    pub fan_out: Option<bool>,
    /// The next steps begin when so many are open, and the load goes on beside them: bound with `as`, for `turn-load`
    /// and `await-load`. Default: it is over before they begin.
    #[schemars(range(min = 1, max = 100_000))]
    pub until_open: Option<u32>,
}

/// Descriptors that are left to everything else of this process.
const DESCRIPTORS_ITSELF: u64 = 256;

/// Loads a session's or pod's door.
pub async fn run(arguments: Load, context: &StepContext) -> Result<Observation, StepError> {
    let about = &arguments.load;
    let road = arguments.road.unwrap_or_else(|| default_road(about));
    let what = format!("load of {} {}", subject::name(about), road.by());
    let size = Size::of(&arguments)?;
    refuse_aside(&arguments)?;
    enough_descriptors(size.attaches, road, context)?;
    let door = match door(&context.world, road, Some(about)).await {
        Ok(door) => door,
        Err(gone @ RoadError::NoPod { .. }) => {
            let gone = context.record_no_door(&what, &gone);
            let value = json!({ "kind": "load", "verdict": "fail", "reasons": [gone] });
            return Ok(Observation { what, value });
        }
        Err(error) => return Err(StepError::doing(&what, error)),
    };
    let way = way(&arguments, &door, context);
    let plan = plan(&size, &door, &way, context)?;
    let told = Told {
        asked: asked(&what, &plan),
        what,
        objectives: size.objectives,
        started: Timestamp::now().to_string(),
        parties: parties(&door, Some(about)),
    };
    let control = Arc::new(Control::default());
    let engine = {
        let control = control.clone();
        tokio::task::spawn_blocking(move || crate::load::run(&plan, &control))
    };
    // The step may be over before the load is: its time, the scenario's, the run's. Then it is stopped.
    let running = Running::new(told, way, control, engine);
    let Some(wanted) = arguments.until_open else {
        return ended(&running, context).await;
    };
    running.has_open(wanted).await;
    let what = format!("begin the {}", running.what());
    let number = context.keep_load_running(running);
    Ok(Observation {
        what,
        value: json!({ "kind": "load", "verdict": "running", "running": number }),
    })
}

/// Waits until a load is over, and says what came of it.
pub(super) async fn ended(running: &Running, context: &StepContext) -> Result<Observation, StepError> {
    let what = running.what();
    let result = running.ends().await?;
    let written = |error: serde_json::Error| StepError::doing("writing the load's result", error);
    let value = serde_json::to_value(&result).map_err(written)?;
    context.keep_load(format!("{}\n", serde_json::to_string_pretty(&value).map_err(written)?));
    // A secret that the summary cuts in two would not be found.
    let shown = result
        .clone()
        .with_texts(|said| context.redactor.redact(said).into_owned());
    context.record(Exchange {
        title: what.to_owned(),
        text: crate::load::summary(&shown).trim_start().to_owned(),
        // Thousands of requests are no command to paste: the run itself is what shows it again.
        curl: None,
        parties: running.parties().to_vec(),
    });
    match result.verdict {
        Verdict::Pass | Verdict::Fail => Ok(Observation {
            what: what.to_owned(),
            value: observed(value),
        }),
        Verdict::Error | Verdict::Interrupted => Err(StepError::doing(what, result.reasons.join("; "))),
    }
}

/// The platform shares this process, so a lack of resources would look like its failure.
fn enough_descriptors(attaches: u32, road: Road, context: &StepContext) -> Result<(), StepError> {
    let each = match (context.world.embedded_cluster(), road) {
        // Both ends of each connection on the way.
        (Some(_), Road::Direct) => 2,
        (Some(_), Road::Proxy) => 4,
        (Some(_), _) => 6,
        // A way through the API server: both ends of it on this machine, and the connection to the server.
        (None, _) => 3,
    };
    let needed = u64::from(attaches) * each + DESCRIPTORS_ITSELF;
    match rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        Some(most) if most < needed => Err(StepError::Because(format!(
            "a load of {attaches} attaches needs {needed} descriptors, and this process may have {most}: raise the \
             limit, as with `ulimit -n {needed}`, or let fewer attach"
        ))),
        _ => Ok(()),
    }
}

/// The right token, and those that must be refused.
fn way(arguments: &Load, door: &Door, context: &StepContext) -> Way {
    let world = &context.world;
    Way {
        road: door.road,
        host: door.host.clone(),
        path: door_path(world, door.road, Some(&arguments.load)),
        parameter: world.name("tty.parameter").to_owned(),
        right: arguments.token.clone().unwrap_or_else(|| world.token.clone()),
        wrong: context.redactor.plant("WRONG_TOKEN"),
        old: arguments.old_token.clone(),
    }
}

fn plan(size: &Size, door: &Door, way: &Way, context: &StepContext) -> Result<Plan, StepError> {
    let tls = match door.tls {
        false => None,
        true => {
            let name = ServerName::try_from(door.name().to_owned())
                .map_err(|error| StepError::doing(format!("TLS with {}", door.name()), error))?;
            Some((Arc::new(wire::tls_config(&context.world.trust)?), name))
        }
    };
    Ok(Plan {
        addresses: vec![door.way],
        resolution: Resolution::Nothing,
        sources: Vec::new(),
        tls,
        doors: vec![way.door()],
        attaches: size.attaches,
        model: Model::Open,
        arrivals: size.arrivals.clone(),
        hold: size.hold,
        echo_every: Some(size.echo_every),
        fan_out: size.fan_out,
        probe_every: Some(size.probe_every()),
        deadline: context.limits.answer,
        first_tag: rand::rng().random_range(0..TAGS - size.attaches),
        seed: rand::rng().random(),
        turn: 0,
        workers: 1,
    })
}

/// A plan as a result says it.
fn asked(what: &str, plan: &Plan) -> Asked {
    let milliseconds = |duration: Duration| duration.as_millis() as u64;
    Asked {
        target: what.to_owned(),
        model: "open".into(),
        attaches: plan.attaches,
        arrivals: plan.arrivals.to_string(),
        hold: milliseconds(plan.hold),
        echo_every: plan.echo_every.map(milliseconds),
        deadline: milliseconds(plan.deadline),
        probe_every: plan.probe_every.map(milliseconds),
        seed: plan.seed,
        // The way was found before.
        resolve: 0.0,
    }
}

/// A result as steps see it, without what is only for other programs.
fn observed(mut result: Value) -> Value {
    if let Value::Object(fields) = &mut result {
        for left_out in ["apiVersion", "gauntlet", "seconds", "histograms", "steadyHistograms"] {
            fields.remove(left_out);
        }
    }
    result["kind"] = "load".into();
    result
}

/// Why a load can't go on beside other steps.
fn refuse_aside(arguments: &Load) -> Result<(), StepError> {
    match arguments.until_open {
        Some(wanted) if wanted > arguments.attaches => Err(StepError::Because(format!(
            "until-open: {wanted} are never open where {} attach",
            arguments.attaches
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(keys: Value) -> Load {
        serde_json::from_value(keys).expect("arguments")
    }

    #[test]
    fn no_more_are_waited_for_than_come() {
        let load = |until_open: u32| {
            let keys = json!({ "load": {}, "attaches": 10, "until-open": until_open });
            arguments(keys)
        };
        assert!(refuse_aside(&load(10)).is_ok());
        let error = refuse_aside(&load(11)).expect_err("too many");
        assert_eq!(error.to_string(), "until-open: 11 are never open where 10 attach");
    }
}
