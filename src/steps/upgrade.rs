//! `upgrade`: changes a deployment's template and watches its pods meanwhile.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::runtime::watcher;
use kube::runtime::watcher::Event;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::context::StepContext;
use super::definition::{DONE, Reach, Verb, verb};
use super::observation::{Observation, StepError};
use super::rollout;
use crate::vocabulary::Intrusion;
use crate::world::access::Ask;
use crate::world::pod::is_ready;

/// The verb `upgrade`.
pub const VERB: Verb = Verb {
    phrases: DONE,
    default_given: Some("done"),
    fields: &["done", "strategy", "most_live", "outage_ms"],
    reach: Reach::Cluster(|_| vec![Ask::UpgradeCodex, Ask::FindPods]),
    intrusion: |_| Intrusion::Disrupt,
    ..verb!("upgrade", Upgrade, run)
};

/// Upgrades a deployment (its pods' template changes) and watches its pods meanwhile.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    /// `litellm`, `agent`: who has a selector of its own.
    pub upgrade: String,
}

/// Upgrades a deployment: `strategy`, `most_live` (the most pods that were there at
/// once and had not ended), `outage_ms` (how long none of them was ready).
pub async fn run(arguments: Upgrade, context: &StepContext) -> Result<Observation, StepError> {
    let (world, role) = (&context.world, arguments.upgrade.as_str());
    let name = match role {
        "agent" => format!("{}{}", world.name("agent.prefix"), world.name("agent.name")),
        role => rollout::deployment(context, role).to_owned(),
    };
    let what = format!("upgrade {name}");
    let selector = world.name(&format!("{role}.selector"));
    if selector.is_empty() {
        let why = format!("`{role}` has no selector among the names, by which its pods are found");
        return Err(StepError::doing(what, why));
    }
    let deployments: Api<Deployment> = Api::namespaced(world.kubernetes.clone(), &world.namespace);
    let found = deployments.get(&name).await;
    let found = found.map_err(|error| StepError::asking(&what, error))?;
    let pods: Api<Pod> = Api::namespaced(world.kubernetes.clone(), &world.namespace);
    let mut events = pin!(watcher(pods, watcher::Config::default().labels(selector)));
    let mut seen = Seen::default();
    let listed = timeout(context.limits.ready, seen.list(&mut events, &what)).await;
    listed.map_err(|_| StepError::doing(&what, "its pods were not listed in time"))??;
    let names = [name.as_str()];
    tokio::select! {
        rolled = rollout::roll(context, &names) => rolled?,
        lost = seen.watch(&mut events, &what) => lost?,
    }
    let spec = found.spec.unwrap_or_default();
    let value = seen.observed(spec.strategy.and_then(|strategy| strategy.type_));
    Ok(Observation { what, value })
}

/// Observations of a deployment's pods.
#[derive(Default)]
struct Seen {
    /// Those that have not ended, by their ids: whether each is ready.
    live: HashMap<String, bool>,
    most: usize,
    /// Since when none is ready.
    out_since: Option<Instant>,
    out: Duration,
}

/// What a watch of pods gives.
type Watched = Result<Event<Pod>, watcher::Error>;

impl Seen {
    /// Takes in what is there at first.
    async fn list(&mut self, events: &mut (impl Stream<Item = Watched> + Unpin), what: &str) -> Result<(), StepError> {
        loop {
            match next(events, what).await? {
                Event::Apply(pod) | Event::InitApply(pod) => self.is(&pod),
                Event::Delete(pod) => self.is_gone(&pod),
                Event::Init => {}
                Event::InitDone => return Ok(()),
            }
        }
    }

    /// Takes in what comes, until that ends.
    async fn watch(&mut self, events: &mut (impl Stream<Item = Watched> + Unpin), what: &str) -> Result<(), StepError> {
        loop {
            match next(events, what).await? {
                Event::Apply(pod) | Event::InitApply(pod) => self.is(&pod),
                Event::Delete(pod) => self.is_gone(&pod),
                Event::Init | Event::InitDone => {}
            }
        }
    }

    fn is(&mut self, pod: &Pod) {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        if matches!(phase, Some("Succeeded" | "Failed")) {
            return self.is_gone(pod);
        }
        let id = pod.metadata.uid.clone().unwrap_or_default();
        self.live.insert(id, is_ready(pod));
        self.most = self.most.max(self.live.len());
        self.count_ready();
    }

    fn is_gone(&mut self, pod: &Pod) {
        self.live.remove(pod.metadata.uid.as_deref().unwrap_or_default());
        self.count_ready();
    }

    fn count_ready(&mut self) {
        match (self.live.values().any(|ready| *ready), self.out_since) {
            (false, None) => self.out_since = Some(Instant::now()),
            (true, Some(since)) => {
                self.out += since.elapsed();
                self.out_since = None;
            }
            _ => {}
        }
    }

    fn observed(&self, strategy: Option<String>) -> Value {
        json!({
            "done": true,
            "strategy": strategy,
            "most_live": self.most,
            "outage_ms": self.outage().as_millis() as u64,
        })
    }

    fn outage(&self) -> Duration {
        self.out + self.out_since.map(|since| since.elapsed()).unwrap_or_default()
    }
}

async fn next(events: &mut (impl Stream<Item = Watched> + Unpin), what: &str) -> Result<Event<Pod>, StepError> {
    match events.next().await {
        Some(Ok(event)) => Ok(event),
        Some(Err(error)) => Err(StepError::asking(format!("{what}: watching its pods"), error)),
        None => Err(StepError::doing(what, "the watch of its pods ended")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::definition::unlike_listed;

    fn pod(uid: &str, phase: &str, ready: bool) -> Pod {
        let ready = if ready { "True" } else { "False" };
        serde_json::from_value(json!({
            "metadata": { "uid": uid },
            "status": { "phase": phase, "conditions": [{ "type": "Ready", "status": ready }] },
        }))
        .expect("a pod")
    }

    #[test]
    fn live_at_once() {
        let mut recreated = Seen::default();
        recreated.is(&pod("a", "Running", true));
        recreated.is(&pod("a", "Failed", false));
        assert!(recreated.out_since.is_some());
        recreated.is(&pod("b", "Pending", false));
        recreated.is(&pod("b", "Running", true));
        assert_eq!((recreated.most, recreated.out_since), (1, None));
        assert_eq!(unlike_listed(&VERB, &recreated.observed(None)), [""; 0]);
        let mut rolled = Seen::default();
        rolled.is(&pod("a", "Running", true));
        rolled.is(&pod("b", "Pending", false));
        rolled.is_gone(&pod("a", "Running", true));
        assert_eq!(rolled.most, 2);
    }
}
