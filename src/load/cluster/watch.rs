//! The target's pods while a load goes on: what their kubelets say of them each few seconds, and how often they are
//! started again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::{join, join_all};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::figures::Figures;
use super::kubelet::{ANSWER_WITHIN, Silent, counted, summary};
use super::target::{PodCost, TargetSide};
use crate::world::kube_error::kube_error;
use crate::world::labels;

#[cfg(test)]
mod tests;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A kubelet looks each 10 to 15 s: so long the look is waited for that sees the load's end.
const LAST_LOOK_WITHIN: Duration = Duration::from_secs(20);

/// Time between two tries to find it.
const LAST_LOOK_EVERY: Duration = Duration::from_secs(1);

/// The permission needed to list pods.
const PODS_RULE: &str = "a Role with `list` on `pods` would allow it";

/// Which pods are looked at.
#[derive(Clone)]
pub struct Pods {
    pub client: kube::Client,
    pub namespace: String,
    /// All, where there is none.
    pub selector: Option<String>,
    /// But for those of this run, which are the load's own.
    pub without_run: Option<String>,
}

/// The API server doesn't tell which pods a namespace has.
#[derive(Debug, thiserror::Error)]
#[error("the pods of namespace {namespace} could not be listed: {why}")]
struct NotListed {
    namespace: String,
    why: Untold,
}

/// Why the API server doesn't tell.
#[derive(Debug, thiserror::Error)]
enum Untold {
    /// This machine's kubeconfig has too few permissions.
    #[error("{message} (403); {PODS_RULE}")]
    Forbidden { message: String },
    #[error("{}", kube_error(.0.as_ref()))]
    Asking(Box<kube::Error>),
    #[error("no answer within {} s", ANSWER_WITHIN.as_secs())]
    Late,
}

/// A pod as it was seen.
#[derive(Default)]
struct Seen {
    name: String,
    /// Restarts of its containers before the load, and the last that was seen.
    restarts: (i32, i32),
    /// Nanoseconds of processor time: the last count, and what came on top in all.
    processor: Option<u64>,
    used: Option<u64>,
    working_set: Option<u64>,
    processes: Option<u64>,
    descriptors: Option<u64>,
    looked: Option<String>,
    /// It ran at the last look.
    there: bool,
}

/// All that is seen of pods.
struct Side {
    of: Pods,
    pods: Api<Pod>,
    /// By uid.
    seen: BTreeMap<String, Seen>,
    /// Whether kubelets were asked before.
    begun: bool,
    /// Kubelets may not be asked.
    forbidden: bool,
    /// They don't tell descriptors.
    uncounted: bool,
    notes: BTreeSet<String>,
}

/// Pods that are looked at.
pub struct Watch {
    looking: JoinHandle<Side>,
    over: CancellationToken,
}

impl Watch {
    /// Looks once, and from then on each few seconds.
    pub async fn begin(of: Pods) -> Watch {
        let mut side = Side::new(of);
        side.look().await;
        let over = CancellationToken::new();
        let until = over.clone();
        let looking = tokio::spawn(async move {
            let mut looks = interval(LOOK_EVERY);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            looks.reset();
            loop {
                tokio::select! {
                    () = until.cancelled() => return side,
                    _ = looks.tick() => side.look().await,
                }
            }
        });
        Watch { looking, over }
    }

    /// Looks once more; returns what the load has cost. It doesn't wait where somebody wants it to stop.
    pub async fn end(self, stop: &CancellationToken) -> TargetSide {
        self.over.cancel();
        let Ok(mut side) = self.looking.await else {
            return TargetSide {
                notes: vec!["the pods could not be looked at: the task that did has ended".to_owned()],
                ..TargetSide::default()
            };
        };
        stop.run_until_cancelled(side.last_look()).await;
        side.told()
    }
}

impl Side {
    fn new(of: Pods) -> Side {
        Side {
            pods: Api::namespaced(of.client.clone(), &of.namespace),
            of,
            seen: BTreeMap::new(),
            begun: false,
            forbidden: false,
            uncounted: false,
            notes: BTreeSet::new(),
        }
    }

    /// Looks until each kubelet has looked again itself: only then it has seen all of the load.
    ///
    /// Clocks of nodes aren't compared with this machine's. What was said at first may be of before the load's end;
    /// what is said next is of after it.
    async fn last_look(&mut self) {
        self.look().await;
        let first: BTreeMap<String, Option<String>> = self
            .seen
            .iter()
            .filter(|(_, seen)| seen.there)
            .map(|(uid, seen)| (uid.clone(), seen.looked.clone()))
            .collect();
        let ends = Instant::now() + LAST_LOOK_WITHIN;
        let old = |side: &Side| {
            let is_old = |(uid, looked): (&String, &Option<String>)| {
                let now = side.seen.get(uid).filter(|seen| seen.there);
                now.is_some_and(|seen| seen.looked == *looked)
            };
            first.iter().any(is_old)
        };
        while old(&*self) && !self.forbidden {
            if Instant::now() > ends {
                self.notes.insert(format!(
                    "of some pods the figures are older than the end of the load, or there are none: their kubelet has \
                     not looked again within {} s",
                    LAST_LOOK_WITHIN.as_secs()
                ));
                return;
            }
            sleep(LAST_LOOK_EVERY).await;
            self.look().await;
        }
    }

    async fn look(&mut self) {
        let nodes = match self.list().await {
            Ok(nodes) => nodes,
            Err(why) => {
                self.notes.insert(why.to_string());
                return;
            }
        };
        if !self.forbidden {
            let (client, namespace) = (&self.of.client, &self.of.namespace);
            let summaries: Vec<_> = nodes.iter().map(|node| summary(client, node, namespace)).collect();
            let asked = nodes.iter().filter(|_| !self.uncounted);
            let counts: Vec<_> = asked.map(|node| counted(client, node, namespace)).collect();
            let (answers, counts) = join(join_all(summaries), join_all(counts)).await;
            for answer in answers {
                match answer {
                    Ok(figures) => figures.into_iter().for_each(|figures| self.add(figures)),
                    Err(Silent::Forbidden(why)) => {
                        self.forbidden = true;
                        self.notes.insert(why);
                    }
                    Err(Silent::Absent(why) | Silent::Failed(why)) => {
                        self.notes.insert(why);
                    }
                }
            }
            counts.into_iter().for_each(|answer| self.count(answer));
        }
        self.begun = true;
    }

    /// Sees which pods there are, and how often they were started again; gives their nodes.
    async fn list(&mut self) -> Result<BTreeSet<String>, NotListed> {
        let namespace = self.of.namespace.clone();
        let untold = |why: Untold| NotListed { namespace, why };
        let params = ListParams {
            label_selector: self.of.selector.clone(),
            ..ListParams::default()
        };
        let listed = match timeout(ANSWER_WITHIN, self.pods.list(&params)).await {
            Ok(Ok(listed)) => listed,
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
                let message = status.message.clone();
                return Err(untold(Untold::Forbidden { message }));
            }
            Ok(Err(error)) => return Err(untold(Untold::Asking(Box::new(error)))),
            Err(_) => return Err(untold(Untold::Late)),
        };
        let own = self.of.without_run.as_deref();
        let is_own = |pod: &Pod| own.is_some() && labels::run_of(&pod.metadata) == own;
        let pods: Vec<Pod> = listed.items.into_iter().filter(|pod| !is_own(pod)).collect();
        self.seen.values_mut().for_each(|seen| seen.there = false);
        Ok(pods.iter().filter_map(|pod| self.see(pod)).collect())
    }

    /// Gives the pod's node, where it may have figures.
    fn see(&mut self, pod: &Pod) -> Option<String> {
        let uid = pod.metadata.uid.clone()?;
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let is_over = matches!(phase, Some("Succeeded" | "Failed"));
        if is_over && !self.seen.contains_key(&uid) {
            return None;
        }
        let restarts = restarts(pod);
        // One that wasn't there before has restarted during the load, as often as it has.
        let before = if self.begun { 0 } else { restarts };
        let seen = self.seen.entry(uid).or_insert_with(|| Seen {
            name: pod.metadata.name.clone().unwrap_or_default(),
            restarts: (before, before),
            ..Seen::default()
        });
        seen.restarts.1 = seen.restarts.1.max(restarts);
        seen.there = phase == Some("Running");
        pod.spec.as_ref()?.node_name.clone().filter(|_| !is_over)
    }

    fn add(&mut self, figures: Figures) {
        let begun = self.begun;
        if let Some(seen) = self.seen.get_mut(&figures.uid) {
            seen.add(figures, begun);
        }
    }

    /// Takes a kubelet's count of descriptors.
    fn count(&mut self, answer: Result<BTreeMap<String, u64>, Silent>) {
        match answer {
            Ok(pods) => {
                for seen in self.seen.values_mut().filter(|seen| seen.there) {
                    seen.descriptors = seen.descriptors.max(pods.get(&seen.name).copied());
                }
            }
            // It is said of the rest already.
            Err(_) if self.forbidden => {}
            Err(Silent::Forbidden(why) | Silent::Absent(why)) => {
                self.uncounted = true;
                self.notes.insert(why);
            }
            Err(Silent::Failed(why)) => {
                self.notes.insert(why);
            }
        }
    }

    fn told(self) -> TargetSide {
        let mut pods: BTreeMap<String, PodCost> = BTreeMap::new();
        for seen in self.seen.into_values() {
            let cost = PodCost {
                processor: seen.used.map(|used| used as f64 / 1e9),
                peak_working_set: seen.working_set,
                processes: seen.processes,
                peak_descriptors: seen.descriptors,
                restarts: u32::try_from(seen.restarts.1 - seen.restarts.0).unwrap_or_default(),
            };
            let before = pods.remove(&seen.name).unwrap_or_default();
            pods.insert(seen.name, cost.and(before));
        }
        TargetSide {
            namespace: self.of.namespace,
            selector: self.of.selector,
            pods,
            notes: self.notes.into_iter().collect(),
        }
    }
}

impl Seen {
    /// `begun`: it isn't the first look.
    fn add(&mut self, figures: Figures, begun: bool) {
        if let Some(now) = figures.processor {
            let more = match self.processor {
                // A count that is smaller has begun anew.
                Some(before) => now.checked_sub(before).unwrap_or(now),
                // A pod that has only begun has used it since.
                None if begun => now,
                None => 0,
            };
            self.processor = Some(now);
            self.used = Some(self.used.unwrap_or_default() + more);
        }
        self.working_set = self.working_set.max(figures.working_set);
        self.processes = self.processes.max(figures.processes);
        self.looked = figures.looked.or(self.looked.take());
    }
}

/// Of all containers of a pod.
fn restarts(pod: &Pod) -> i32 {
    let statuses = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|status| status.restart_count).sum()
}
