//! `gateway`: the status of the agents' route and its policy at a road's gateway.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::context::StepContext;
use super::definition::{Reach, Verb, phrases, verb};
use super::observation::{Observation, StepError};
use crate::vocabulary::Road;
use crate::world::access::Ask;
use crate::world::gateways::status;

/// The verb `gateway`.
pub const VERB: Verb = Verb {
    phrases: phrases!["accepted", "the route and its policy are accepted", {"accepted": true};],
    fields: &["reported", "accepted", "by", "conditions"],
    road: "gateway",
    reach: Reach::Cluster(|_| vec![Ask::ReadRoutes]),
    ..verb!("gateway", Gateway, run)
};

/// Asks what is said of a gateway: whether it has taken the agents' route, and the policy that is attached to it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// The road that leads through it.
    pub gateway: Road,
}

/// Looks: `reported` (whether anything says something), `accepted`, `by`, `conditions`.
///
/// A gateway that is told by objects of the cluster (Gateway API) says it in their status. One that is told by
/// a file has taken it, or it would not run.
pub async fn run(arguments: Gateway, context: &StepContext) -> Result<Observation, StepError> {
    let road = arguments.gateway;
    let world = &context.world;
    let what = format!("ask for the status of the gateway {}", road.by());
    let by_file = world.installation().is_none() && !world.goes_by_objects(road);
    let value = match by_file {
        true => json!({
            "reported": true,
            "accepted": world.values.gateway_policy,
            "by": "the configuration that it runs with",
            "conditions": [],
        }),
        false => {
            let agents = world.name("agents.path");
            let said = status::said_of(&world.kubernetes, &world.namespace, agents).await;
            match said.map_err(|error| StepError::asking(&what, error))? {
                None => json!({ "reported": false }),
                Some(said) => json!({
                    "reported": true,
                    "accepted": said.accepted,
                    "by": said.by,
                    "conditions": said.conditions,
                }),
            }
        }
    };
    context.record_observed(&value);
    Ok(Observation { what, value })
}
