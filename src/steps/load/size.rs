//! How large a step wants its load, and what has to hold of it.

use std::time::Duration;

use super::Load;
use crate::load::TAGS;
use crate::load::objective::{InvalidObjective, Objective};
use crate::load::schedule::Arrivals;
use crate::steps::StepError;
use crate::steps::limits::length;

/// Attaches a second, where a step says nothing.
pub const RATE: f64 = 200.0;

/// How long all are held, where a step says nothing.
pub const HOLD: Duration = Duration::from_secs(1);

/// How often each types, where a step says nothing.
pub const ECHO_EVERY: Duration = Duration::from_millis(500);

/// Of the attaches, so many without the right token on top, and so many a second at least: a short load has to meet
/// each kind of them several times.
const PROBE_SHARE: f64 = 0.05;
const PROBES: f64 = 20.0;

/// How large a step wants it.
#[derive(Debug)]
pub(super) struct Size {
    pub attaches: u32,
    pub arrivals: Arrivals,
    pub hold: Duration,
    pub echo_every: Duration,
    /// One types, and all must see it.
    pub fan_out: bool,
    pub objectives: Vec<Objective>,
}

impl Size {
    /// As a step has it; in words what is known to be wrong only when it runs.
    pub fn of(arguments: &Load) -> Result<Size, StepError> {
        let arrivals = match &arguments.ramp {
            None => Arrivals::Constant(RATE),
            Some(ramp) => ramp
                .parse::<Arrivals>()
                .map_err(|why| StepError::Because(format!("ramp: {ramp:?} is {why}")))?,
        };
        let objectives = match &arguments.objectives {
            None => vec![Objective::no_errors()],
            Some(objectives) => objectives
                .iter()
                .map(|objective| {
                    let wrong = |why: InvalidObjective| StepError::Because(format!("objectives: {objective:?}: {why}"));
                    objective.parse::<Objective>().map_err(wrong)
                })
                .collect::<Result<Vec<Objective>, StepError>>()?,
        };
        if !(1..TAGS).contains(&arguments.attaches) {
            return Err(StepError::Because(format!(
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
    pub fn probe_every(&self) -> Duration {
        let rate = self.arrivals.mean(self.attaches) * PROBE_SHARE;
        Duration::from_secs_f64(1.0 / rate.max(PROBES))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
            assert!(error.to_string().starts_with(said), "{key}: {error}");
        }
    }
}
