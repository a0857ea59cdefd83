//! Times of a scenario about a balancer's idle timeout, on a platform that has another one.

use std::time::Duration;

use crate::scenario::Scenario;
use crate::vocabulary::Policies;
use crate::vocabulary::duration;

/// Longest idle timeout that a scenario waits for.
pub const LONGEST_IDLE: Duration = Duration::from_secs(600);

/// What the other steps of such a scenario may take.
const REST: Duration = Duration::from_secs(300);

/// The scenario with its waits as much longer as the platform's declared idle timeout is than that of its own world.
/// None if it isn't about one, or nobody declares one that is waited for.
pub fn stretched(scenario: &Scenario, policies: &Policies) -> Option<Scenario> {
    let own = duration::parse(scenario.world.balancer.as_ref()?.idle_timeout.as_deref()?)?;
    let declared = policies.choice("balancer.idle-timeout")?;
    let there = duration::parse(declared).filter(|there| *there <= LONGEST_IDLE)?;
    let factor = there.as_secs_f64() / own.as_secs_f64();
    let longer = |time: Duration| Duration::try_from_secs_f64(time.as_secs_f64() * factor).ok();
    let mut scenario = scenario.clone();
    let mut rest = REST;
    let mut steps = scenario.steps.to_vec();
    for step in &mut steps {
        // Of what is to come to pass in time nothing is asked to be faster.
        step.within = step.within.map(|within| within.saturating_add(there));
        for time in [&mut step.every, &mut step.holds_for].into_iter().flatten() {
            *time = longer(*time)?;
        }
        let waits = [step.within, step.holds_for].into_iter().flatten();
        rest = waits.fold(rest, Duration::saturating_add);
    }
    scenario.set_steps(steps);
    scenario.timeout = Some(rest);
    if let Some(balancer) = &mut scenario.world.balancer {
        balancer.idle_timeout = Some(declared.to_owned());
    }
    Some(scenario)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::load;

    fn idle() -> Scenario {
        let all = load(None).expect("the built-in set");
        let mut all = all.into_iter();
        all.find(|scenario| scenario.id == "harness-token/alb/idle")
            .expect("there")
    }

    #[test]
    fn waits_are_as_long_as_the_platform_needs_them() {
        let mut policies = Policies::none();
        assert!(stretched(&idle(), &policies).is_none(), "nobody says how long it is");
        policies.declare("balancer.idle-timeout", "60s");
        let stretched = stretched(&idle(), &policies).expect("it is about one");
        let times = |scenario: &Scenario| {
            let steps = scenario.steps.iter();
            steps.filter_map(|step| step.holds_for).collect::<Vec<_>>()
        };
        // 500 ms in its own world.
        assert_eq!(times(&idle()), [Duration::from_millis(1200)]);
        assert_eq!(times(&stretched), [Duration::from_secs(144)]);
        let every = stretched.steps.iter().find_map(|step| step.every);
        assert_eq!(every, Some(Duration::from_secs(12)));
        let within = stretched.steps.iter().find_map(|step| step.within);
        assert_eq!(within, Some(Duration::from_secs(65)));
        assert_eq!(stretched.timeout, Some(Duration::from_secs(300 + 144 + 65)));
        let balancer = stretched.world.balancer.expect("one");
        assert_eq!(balancer.idle_timeout.as_deref(), Some("60s"));
    }

    #[test]
    fn nobody_waits_for_hours() {
        let mut policies = Policies::none();
        policies.declare("balancer.idle-timeout", "60m");
        assert!(stretched(&idle(), &policies).is_none());
    }
}
