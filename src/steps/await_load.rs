//! `await-load`: the end of a load that goes on, and what came of it.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::context::StepContext;
use super::definition::{Verb, verb};
use super::load::{FIELDS, OBJECTS, PHRASES, ended};
use super::observation::{Observation, StepError};
use crate::vocabulary::Intrusion;

/// The verb `await-load`.
pub const VERB: Verb = Verb {
    phrases: PHRASES,
    default_given: Some("passes"),
    fields: FIELDS,
    objects: OBJECTS,
    takes_objects: &["await-load"],
    intrusion: |_| Intrusion::Attack,
    reasons: Some("reasons"),
    ..verb!("await-load", AwaitLoad, run)
};

/// Waits until a load that goes on is over, and judges it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AwaitLoad {
    /// What the `load` was bound to: `${l}`.
    pub await_load: Value,
}

/// Waits until a load is over.
async fn run(arguments: AwaitLoad, context: &StepContext) -> Result<Observation, StepError> {
    let running = context.running_load(&arguments.await_load)?;
    ended(&running, context).await
}
