//! Which runs share a world: those that leave it as they found it, and see nothing of each other in it.

use super::eligibility::{real_gateways, roads, steps};
use super::plan::Planned;
use crate::steps::verb;
use crate::vocabulary::{Contract, Intrusion, Road, SecretState, WorldSpec};

/// The world that a run needs and may share. Runs of one [`RunContext`](super::context::RunContext) that need the same
/// work on the same one: what else a world is made of is the context's.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    contract: Contract,
    spec: WorldSpec,
    gateways: Vec<Road>,
}

/// What a run needs, where it may share it; none where it is to have a fresh world.
pub fn need(planned: &Planned) -> Option<Need> {
    let scenario = &planned.scenario;
    let may_share =
        scenario.intrusion <= Intrusion::Use && !planned.alone && is_usual(&scenario.world) && !sees_others(planned);
    may_share.then(|| Need {
        contract: planned.contract(),
        spec: scenario.world.clone(),
        gateways: real_gateways(planned),
    })
}

/// Whether a world is up, and stays as it is, when a scenario begins: no pod of it waits for one, no clock of it is
/// set, and it is not watched coming up.
fn is_usual(spec: &WorldSpec) -> bool {
    spec.platform
        && spec.complete
        && spec.warm_pool == 0
        && spec.secret == SecretState::WithToken
        && spec.clock.is_none()
        && spec.terminal.is_none()
}

/// Whether a step looks where what others do stands as well: what it finds there would not be the run's own.
fn sees_others(planned: &Planned) -> bool {
    steps(planned).any(|step| {
        verb(step.verb).is_none_or(|verb| (verb.sees_others)(&step.args))
            // They show the requests that came, whoever made them.
            || roads(planned, step, Road::Proxy).iter().any(|road| matches!(road, Road::Witness | Road::Vendor))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::runner::plan::plan;
    use crate::scenario::{Scenario, Step, load};

    fn built_in() -> Vec<Arc<Scenario>> {
        load(None)
            .expect("the built-in set")
            .into_iter()
            .map(Arc::new)
            .collect()
    }

    /// The needs of the built-in runs, by their names.
    fn needs() -> BTreeMap<String, Option<Need>> {
        let planned = plan(&built_in(), 1);
        planned.iter().map(|run| (run.run.case(), need(run))).collect()
    }

    #[track_caller]
    fn of<'n>(needs: &'n BTreeMap<String, Option<Need>>, run: &str) -> Option<&'n Need> {
        needs
            .get(run)
            .unwrap_or_else(|| panic!("there is no run {run}"))
            .as_ref()
    }

    #[test]
    fn runs_that_need_the_same_share_it() {
        let needs = needs();
        for (one, other) in [
            (
                "harness-token/token/accept[direct]",
                "harness-token/token/refuse[balancer]",
            ),
            (
                "harness-token/token/accept[direct]",
                "harness-token/leak/error-body[proxy]",
            ),
            ("harness-token/token/refuse[balancer]", "harness-token/alb/header"),
            ("agent-service/jwt/none[builtin]", "agent-service/jwt/bad[service]"),
            ("agent-service/jwt/none[nginx]", "agent-service/ws/accepted[nginx]"),
        ] {
            assert!(of(&needs, one).is_some(), "{one} shares");
            assert_eq!(of(&needs, one), of(&needs, other), "{one} and {other}");
        }
    }

    #[test]
    fn runs_that_need_another_do_not() {
        let needs = needs();
        for (one, other) in [
            // Another world.
            ("harness-token/token/accept[direct]", "harness-token/token/flow"),
            ("harness-token/alb/header", "harness-token/alb/tls"),
            // Another gateway before it.
            ("agent-service/jwt/none[builtin]", "agent-service/jwt/none[nginx]"),
            ("agent-service/jwt/none[envoy]", "agent-service/jwt/none[nginx]"),
        ] {
            assert!(
                of(&needs, one).is_some() && of(&needs, other).is_some(),
                "{one} and {other} share"
            );
            assert_ne!(of(&needs, one), of(&needs, other), "{one} and {other}");
        }
    }

    #[test]
    fn what_disrupts_or_sees_others_has_a_fresh_one() {
        let needs = needs();
        for run in [
            // It restarts what others work with.
            "harness-token/rotate/direct",
            // It looks through the logs, the processes, the events of all.
            "harness-token/leak/log",
            "harness-token/leak/process-list",
            "harness-token/leak/event",
            "agent-service/leak/log[builtin]",
            // It counts requests.
            "agent-service/headers/omitted[builtin]",
            "agent-service/authz/down/error[builtin]",
            // It sets the clock.
            "agent-service/hardening/expiry[builtin]",
            // It watches the platform come up.
            "codex-auth/pod/no-login-boots",
        ] {
            assert_eq!(of(&needs, run), None, "{run}");
        }
        let planned = plan(&built_in(), 1);
        let shares = planned.iter().filter(|run| need(run).is_some());
        for run in shares {
            assert!(run.scenario.intrusion <= Intrusion::Use, "{}", run.run);
        }
    }

    /// What a run that shares makes, it takes away again: the next one finds the world as this one did.
    #[test]
    fn those_that_share_delete_what_they_make() {
        for run in plan(&built_in(), 1).iter().filter(|run| need(run).is_some()) {
            let all: Vec<&Step> = steps(run).collect();
            for step in &all {
                let made = match step.verb {
                    "session" => step.args["session"] == "new",
                    // Agents are made by a POST whose answer is looked at again.
                    "http" => is_agent_made(step),
                    _ => false,
                };
                let name = step.bind.as_deref().unwrap_or_default();
                assert!(
                    !made || all.iter().any(|later| deletes(later, name)),
                    "{}: what {name:?} names is not deleted",
                    run.run
                );
            }
        }
    }

    fn is_agent_made(step: &Step) -> bool {
        step.bind.is_some() && step.args["http"].as_str() == Some("POST ${names.agents.path}")
    }

    fn deletes(step: &Step, name: &str) -> bool {
        match step.verb {
            "delete-session" => step.args["delete-session"] == format!("${{{name}}}"),
            "http" => step.args["http"]
                .as_str()
                .is_some_and(|text| text.starts_with("DELETE ") && text.contains(&format!("${{{name}."))),
            _ => false,
        }
    }
}
