//! `load`: many attaches at once, held and typed into, while others try without the right token.
//!
//! The engine is that of `gauntlet load`. An embedded platform shares this process and its processors with it, so that
//! its latencies are no figures of a platform; what became of the attaches is.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rand::RngExt;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};

use super::arguments::Load;
use super::attach::default_road;
use super::context::{Observation, StepContext, StepError};
use super::running::{Running, Told, Way, refuse_aside};
use super::timing::length;
use super::wire;
use crate::load::objective::Objective;
use crate::load::result::Load as Asked;
use crate::load::schedule::Arrivals;
use crate::load::{Control, Plan, TAGS};
use crate::vocabulary::Road;
use crate::world::Door;
use crate::world::roads::{RoadError, door, door_path, parties};
use crate::world::subject;

/// Attaches a second, where a step says nothing.
const RATE: f64 = 200.0;
const HOLD: Duration = Duration::from_secs(1);
const ECHO_EVERY: Duration = Duration::from_millis(500);

/// Of the attaches, so many without the right token on top, and so many a second at least: a short load has to meet
/// each kind of them several times.
const PROBE_SHARE: f64 = 0.05;
const PROBES: f64 = 20.0;

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
        return running.ends(context).await;
    };
    running.has_open(wanted).await;
    let what = format!("begin the {}", running.what());
    let number = context.keep_load_running(running);
    Ok(Observation {
        what,
        value: json!({ "kind": "load", "verdict": "running", "running": number }),
    })
}

/// How large a step wants it.
#[derive(Debug)]
struct Size {
    attaches: u32,
    arrivals: Arrivals,
    hold: Duration,
    echo_every: Duration,
    /// One types, and all must see it.
    fan_out: bool,
    objectives: Vec<Objective>,
}

impl Size {
    fn of(arguments: &Load) -> Result<Size, StepError> {
        let arrivals = match &arguments.ramp {
            None => Arrivals::Constant(RATE),
            Some(ramp) => ramp
                .parse::<Arrivals>()
                .map_err(|why| StepError(format!("ramp: {ramp:?} is {why}")))?,
        };
        let objectives = match &arguments.objectives {
            None => vec![Objective::no_errors()],
            Some(objectives) => objectives
                .iter()
                .map(|objective| {
                    let wrong = |why: String| StepError(format!("objectives: {objective:?}: {why}"));
                    objective.parse::<Objective>().map_err(wrong)
                })
                .collect::<Result<Vec<Objective>, StepError>>()?,
        };
        if !(1..TAGS).contains(&arguments.attaches) {
            return Err(StepError(format!(
                "attaches: {} can't be told apart",
                arguments.attaches
            )));
        }
        Ok(Size {
            attaches: arguments.attaches,
            arrivals,
            hold: length("hold", arguments.hold.as_deref(), HOLD)?,
            echo_every: length("echo-every", arguments.echo_every.as_deref(), ECHO_EVERY)?,
            fan_out: arguments.fan_out == Some(true),
            objectives,
        })
    }

    /// Between two that come without the right token.
    fn probe_every(&self) -> Duration {
        let rate = self.arrivals.mean(self.attaches) * PROBE_SHARE;
        Duration::from_secs_f64(1.0 / rate.max(PROBES))
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
        Some(most) if most < needed => Err(StepError(format!(
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
        sources: Vec::new(),
        tls,
        doors: vec![way.door()],
        attaches: size.attaches,
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
pub fn observed(mut result: Value) -> Value {
    if let Value::Object(fields) = &mut result {
        for left_out in ["apiVersion", "gauntlet", "seconds", "histograms", "steadyHistograms"] {
            fields.remove(left_out);
        }
    }
    result["kind"] = "load".into();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(keys: Value) -> Load {
        serde_json::from_value(keys).expect("arguments")
    }

    #[test]
    fn what_is_left_out_is_small() {
        let size = Size::of(&arguments(json!({ "load": {}, "attaches": 100 }))).expect("a size");
        assert_eq!(size.arrivals.to_string(), "200/s");
        assert_eq!((size.hold, size.echo_every), (HOLD, ECHO_EVERY));
        assert_eq!(size.objectives, [Objective::no_errors()]);
        assert_eq!(size.probe_every(), Duration::from_millis(50));
        let fast = json!({ "load": {}, "attaches": 100, "ramp": "1000/s" });
        let fast = Size::of(&arguments(fast)).expect("a size");
        assert_eq!(fast.probe_every(), Duration::from_millis(20));
    }

    /// Templates are filled in only when it runs.
    #[test]
    fn what_is_known_only_when_it_runs_is_said_then() {
        for (key, value, said) in [
            ("ramp", json!("fast"), "ramp: \"fast\" is not a rate like 500/s"),
            (
                "objectives",
                json!(["errors = 0"]),
                "objectives: \"errors = 0\": there is no <, <=, >, >= or ==",
            ),
            ("hold", json!("long"), "hold: \"long\" is not a length of time"),
            ("echo-every", json!("0s"), "echo-every: it must be more than nothing"),
            ("attaches", json!(0), "attaches: 0 can't be told apart"),
        ] {
            let mut keys = json!({ "load": {}, "attaches": 10 });
            keys[key] = value;
            let error = Size::of(&arguments(keys)).expect_err(key);
            assert!(error.0.starts_with(said), "{key}: {}", error.0);
        }
    }
}
