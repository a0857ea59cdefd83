//! Steps that a run leaves out on a platform that isn't ours, so that what can be judged there is.

use std::collections::BTreeMap;

use super::{Fit, Reached, reached};
use crate::runner::plan::Planned;
use crate::scenario::Step;
use crate::steps::verb;
use crate::vocabulary::{ExpectationKind, Intrusion, Road};

impl Fit<'_> {
    /// The steps that a run does without, by their place in the scenario, each with why it can't be carried out: a
    /// step that only judges, and that no other one needs. None where the others would judge nothing.
    pub fn left_out(&self, planned: &Planned) -> BTreeMap<usize, String> {
        let steps = &planned.scenario.steps;
        let all = reached(planned);
        let is_watched = all.iter().any(|(_, reached)| is_of_records(reached));
        let mut left_out = BTreeMap::new();
        for (step, reached) in &all {
            let Some(place) = steps.iter().position(|one| std::ptr::eq(one, *step)) else {
                continue;
            };
            let why = self
                .lacks_cluster(step, reached)
                .or_else(|| self.lacks_road(reached))
                .filter(|_| only_judges(step, &steps[place + 1..]))
                .filter(|_| is_of_records(reached) || !(is_watched && is_at_a_door(reached)));
            if let Some(why) = why {
                left_out.insert(place, why);
            }
        }
        let judges =
            |(place, step): (usize, &Step)| !left_out.contains_key(&place) && has(step, ExpectationKind::Check);
        match steps.iter().enumerate().any(judges) {
            true => left_out,
            false => BTreeMap::new(),
        }
    }

    /// What the other steps use.
    pub(super) fn kept<'p>(&self, planned: &'p Planned) -> Vec<(&'p Step, Reached)> {
        let left_out = self.left_out(planned);
        let steps = &planned.scenario.steps;
        let is_kept = |step: &Step| !left_out.keys().any(|place| std::ptr::eq(&steps[*place], step));
        let mut kept = reached(planned);
        kept.retain(|(step, _)| is_kept(step));
        kept
    }
}

/// Whether a step does nothing but judge what it sees, so that those after it mean the same without it.
fn only_judges(step: &Step, later: &[Step]) -> bool {
    let judges = |kind: ExpectationKind| matches!(kind, ExpectationKind::Check | ExpectationKind::Fact);
    let looks = verb(step.verb).is_some_and(|verb| (verb.intrusion)(&step.args) == Intrusion::Observe);
    has(step, ExpectationKind::Check)
        && step.expectations.iter().all(|expectation| judges(expectation.kind))
        && step.bind.is_none()
        // What may change something must not be missing from what is judged later.
        && (looks || later.iter().all(|step| step.expectations.is_empty()))
}

fn has(step: &Step, kind: ExpectationKind) -> bool {
    step.expectations.iter().any(|expectation| expectation.kind == kind)
}

/// Whether a step reads what others of the platform have recorded of requests.
fn is_of_records(reached: &Reached) -> bool {
    let records = |road: &Road| matches!(road, Road::Witness | Road::Vendor);
    matches!(reached, Reached::Roads(roads) if roads.iter().all(records))
}

/// Whether a step sends what could be recorded.
fn is_at_a_door(reached: &Reached) -> bool {
    matches!(reached, Reached::Roads(_) | Reached::Api)
}
