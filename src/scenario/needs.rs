//! What a scenario needs from a target.

use serde_json::Value;

use super::model::{Claim, Scenario, Step};
use crate::steps::{Reach, verb};

impl Scenario {
    /// What it needs of a target, in words: `kubernetes`, `road balancer`, `policy token.scope`.
    pub fn needs(&self) -> Vec<String> {
        let steps = || self.steps.iter().chain(&self.finally);
        let mut needs = Vec::new();
        let asks = |step: &Step| match verb(step.verb).map(|verb| verb.reach) {
            Some(Reach::Cluster(asks)) => !asks(&step.args).is_empty(),
            _ => false,
        };
        if steps().any(asks) {
            needs.push("kubernetes".to_owned());
        }
        for step in steps() {
            needs.extend(self.roads(step).into_iter().map(|road| format!("road {road}")));
        }
        for step in steps() {
            for expectation in &step.expectations {
                if let Claim::Policy { name, .. } = &expectation.claim {
                    needs.push(format!("policy {name}"));
                }
            }
        }
        let mut seen: Vec<String> = Vec::new();
        for need in needs {
            if !seen.contains(&need) {
                seen.push(need);
            }
        }
        seen
    }

    /// The roads that a step names, those of a matrix too.
    fn roads(&self, step: &Step) -> Vec<String> {
        let Some(Value::String(road)) = step.args.get("road") else {
            return Vec::new();
        };
        let variable = road.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        match variable {
            None => vec![road.clone()],
            Some(name) => {
                let choices = self.matrix.get(name.trim());
                choices
                    .into_iter()
                    .flatten()
                    .filter_map(|choice| choice.value.as_str().map(str::to_owned))
                    .collect()
            }
        }
    }
}
