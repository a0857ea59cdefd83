//! Which of the routes that a profile names a run asks for.

use super::{Fit, names, roads, steps};
use crate::profile::routes::below;
use crate::runner::plan::Planned;
use crate::vocabulary::Road;

impl Fit<'_> {
    /// Why a run that is about routes beside the contract's can't be where none are named for it.
    pub(super) fn no_routes(&self, planned: &Planned) -> Option<String> {
        if !steps(planned).any(|step| names(&step.args, "routes")) {
            return None;
        }
        let agents = self.names.get("agents.path").map(String::as_str).unwrap_or_default();
        match self.routes.is_empty() {
            true => Some("the profile names no routes beside the contract's: its `routes` can".to_owned()),
            false => routes_of(planned, self.routes, agents).is_empty().then(|| {
                format!("the profile's `routes` are not below {agents}, and access control answers 403 to all others")
            }),
        }
    }
}

/// The routes that a run asks for: at access control those that it judges.
pub(in crate::runner) fn routes_of(planned: &Planned, routes: &[String], agents: &str) -> Vec<String> {
    let mut of_routes = steps(planned).filter(|step| names(&step.args, "routes"));
    match of_routes.any(|step| roads(planned, step, Road::Service) == [Road::AccessControl]) {
        true => below(routes, agents),
        false => routes.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::runner::plan::plan;

    #[test]
    fn access_control_is_asked_for_what_it_judges() {
        let scenarios = crate::scenario::load(None).expect("the built-in set");
        let further = scenarios
            .into_iter()
            .filter(|scenario| scenario.id == "agent-service/hardening/every-route/further");
        let planned = plan(&further.map(Arc::new).collect::<Vec<_>>(), 1);
        let routes = ["GET /api/agents/usage", "GET /api/usage"].map(String::from);
        let asked = |road: &str| {
            let is_it = |run: &&Planned| run.parameters.iter().any(|(_, value)| value == road);
            let run = planned.iter().find(is_it).expect("a run");
            routes_of(run, &routes, "/api/agents")
        };
        assert_eq!(asked("access-control"), ["GET /api/agents/usage"]);
        for road in ["builtin", "nginx", "envoy"] {
            assert_eq!(asked(road), routes, "{road}");
        }
    }
}
