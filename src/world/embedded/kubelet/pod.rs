//! One pod, from its start to its end.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::address::{Address, FIXED};
use super::error::SetUpError;
use super::volumes::{self, Volume};
use super::{COMPONENT, Kubelet, container, files, status};
use crate::platform::Mounts;
use crate::world::embedded::events;
use crate::world::embedded::kinds::Kind;
use crate::world::embedded::logs::LogBuffer;
use crate::world::embedded::object::{Object, items, text};
use crate::world::embedded::store::{Part, Store};

/// How long programs have to end when the whole cluster does.
const POWER_OFF: Duration = Duration::from_secs(1);

/// A pod that runs.
pub struct PodRun {
    /// The pod's object as it was when the kubelet saw it; what is read of it doesn't change.
    pub object: Arc<Object>,
    pub started: Timestamp,
    address: Address,
    containers: Mutex<Vec<Container>>,
    /// Whether all containers have ended for good, and well.
    outcome: Mutex<Option<bool>>,
    /// The containers are asked to end, and not started again.
    pub stop: CancellationToken,
    /// The containers have had their time to end.
    pub kill: CancellationToken,
    /// Seconds that the containers have to end, once the pod is deleted.
    deletion: watch::Sender<Option<u64>>,
}

/// One container as it stands.
#[derive(Clone)]
pub struct Container {
    /// Its entry in the pod's spec.
    pub spec: Value,
    pub init: bool,
    pub state: State,
    pub last: Option<Terminated>,
    pub restarts: u64,
    pub ready: bool,
    /// Its volumes' folders, once they exist.
    pub mounts: Mounts,
    /// The environment that it was started with.
    pub env: Arc<BTreeMap<String, String>>,
    pub log: Option<LogBuffer>,
    pub previous_log: Option<LogBuffer>,
    /// Cancelled when this run of the container has ended.
    pub gone: CancellationToken,
    /// A fresh one for every run.
    pub id: String,
}

#[derive(Clone)]
pub enum State {
    Waiting { reason: &'static str, message: String },
    Running { since: Timestamp },
    Terminated(Terminated),
}

#[derive(Clone)]
pub struct Terminated {
    pub exit_code: i32,
    pub reason: &'static str,
    pub started: Timestamp,
    pub finished: Timestamp,
}

impl PodRun {
    /// A pod with an address of its own, its containers waiting.
    ///
    /// # Errors
    /// If no address could be had.
    pub fn new(object: Arc<Object>, power: &CancellationToken) -> io::Result<PodRun> {
        let fixed = object["metadata"]["annotations"][FIXED].as_str();
        let address = match fixed.and_then(|ip| ip.parse().ok()) {
            Some(ip) => Address::held(ip),
            None => Address::reserve()?,
        };
        let waiting = if items(&object["spec"]["initContainers"]).next().is_some() {
            "PodInitializing"
        } else {
            "ContainerCreating"
        };
        let container = |spec: &Value, init: bool| Container {
            spec: spec.clone(),
            init,
            state: State::Waiting {
                reason: waiting,
                message: String::new(),
            },
            last: None,
            restarts: 0,
            ready: false,
            mounts: Mounts::default(),
            env: Arc::default(),
            log: None,
            previous_log: None,
            gone: CancellationToken::new(),
            id: String::new(),
        };
        let inits = items(&object["spec"]["initContainers"]).map(|spec| container(spec, true));
        let apps = items(&object["spec"]["containers"]).map(|spec| container(spec, false));
        let containers = inits.chain(apps).collect();
        Ok(PodRun {
            started: Timestamp::now(),
            address,
            containers: Mutex::new(containers),
            outcome: Mutex::new(None),
            stop: power.child_token(),
            kill: CancellationToken::new(),
            deletion: watch::Sender::new(None),
            object,
        })
    }

    pub fn ip(&self) -> Ipv4Addr {
        self.address.ip
    }

    /// The containers as they stand, init containers first.
    pub fn containers(&self) -> MutexGuard<'_, Vec<Container>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all containers have succeeded; `None` while any still runs.
    pub fn outcome(&self) -> Option<bool> {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the pod to end within so many seconds; a later call can only shorten them.
    pub fn end(&self, grace_seconds: u64) {
        self.deletion.send_modify(|grace| {
            *grace = Some(grace.map_or(grace_seconds, |before| before.min(grace_seconds)));
        });
    }

    /// Changes a container's state and writes the pod's status.
    pub fn change(&self, store: &Store, at: usize, change: impl FnOnce(&mut Container)) {
        change(&mut self.containers()[at]);
        self.publish(store);
    }

    fn publish(&self, store: &Store) {
        let (namespace, name) = (self.object.namespace(), self.object.name());
        // A pod that is gone needs no status.
        let _ = store.update(Kind::Pod, namespace, name, Part::Status, |old| {
            if old["metadata"]["uid"] != self.object.uid() {
                return Err(crate::world::embedded::error::ApiError::not_found(Kind::Pod, name));
            }
            let mut new = old.clone();
            new["status"] = status::of(self, &old["status"]);
            Ok(new)
        });
    }

    /// Runs the pod until it is deleted or the cluster ends.
    pub async fn run(self: Arc<Self>, kubelet: &Arc<Kubelet>) {
        let store = &kubelet.store;
        let power = &kubelet.tasks.stop;
        let mut deletion = self.deletion.subscribe();
        self.publish(store);
        let message = format!(
            "Successfully assigned {}/{} to {}",
            self.object.namespace(),
            self.object.name(),
            crate::world::embedded::NODE
        );
        events::record(
            store,
            &self.object,
            "Normal",
            "Scheduled",
            &message,
            "default-scheduler",
        );

        let work = self.work(kubelet);
        tokio::pin!(work);
        let mut done = false;
        loop {
            tokio::select! {
                () = &mut work, if !done => done = true,
                asked = deletion.wait_for(Option::is_some) => {
                    drop(asked);
                    break;
                }
                () = power.cancelled() => break,
            }
        }
        self.kill_in_time(kubelet, &mut deletion, work, done).await;
        if !power.is_cancelled() {
            let uid = self.object.uid();
            kubelet.volumes.remove_pod(uid).await;
            store.remove(Kind::Pod, &self.object);
            kubelet.pods().remove(uid);
            kubelet.volumes.claims.let_go(uid);
        }
    }

    /// Lets the containers end in the time that they have, then ends them.
    async fn kill_in_time(
        &self,
        kubelet: &Kubelet,
        deletion: &mut watch::Receiver<Option<u64>>,
        mut work: std::pin::Pin<&mut impl Future<Output = ()>>,
        done: bool,
    ) {
        if done {
            return;
        }
        let asked = Instant::now();
        let power = &kubelet.tasks.stop;
        if !power.is_cancelled() {
            for container in self
                .containers()
                .iter()
                .filter(|c| matches!(c.state, State::Running { .. }))
            {
                let message = format!("Stopping container {}", text(&container.spec["name"]));
                events::record(&kubelet.store, &self.object, "Normal", "Killing", &message, COMPONENT);
            }
        }
        self.stop.cancel();
        loop {
            let grace = deletion.borrow_and_update().map(Duration::from_secs);
            let limit = if power.is_cancelled() {
                grace.unwrap_or(POWER_OFF).min(POWER_OFF)
            } else {
                grace.unwrap_or_default()
            };
            tokio::select! {
                () = &mut work => return,
                () = tokio::time::sleep_until(asked + limit) => break,
                _ = deletion.changed() => {}
                () = power.cancelled(), if !power.is_cancelled() => {}
            }
        }
        self.kill.cancel();
        work.await;
    }

    /// Runs the containers as soon as their volumes are there, until all have ended for good.
    async fn work(&self, kubelet: &Arc<Kubelet>) {
        let Some(mut volumes) = self.volumes(kubelet).await else {
            return;
        };
        tokio::select! {
            () = self.run_containers(kubelet) => {}
            never = files::renew(&kubelet.store, &self.object, &mut volumes) => match never {},
        }
    }

    /// The pod's volumes, as soon as all are there; `None` if the pod ends first.
    async fn volumes(&self, kubelet: &Kubelet) -> Option<BTreeMap<String, Volume>> {
        let store = &kubelet.store;
        loop {
            if self.stop.is_cancelled() {
                return None;
            }
            let version = store.version();
            let why = match self.mount(kubelet) {
                Ok(volumes) => return Some(volumes),
                Err(why) => why,
            };
            events::record(
                store,
                &self.object,
                "Warning",
                "FailedMount",
                &why.to_string(),
                COMPONENT,
            );
            tokio::select! {
                // What is too old to be waited for has happened.
                _ = files::changed(store, version) => {}
                () = self.stop.cancelled() => return None,
            }
        }
    }

    /// Makes the volumes and tells the containers where they are.
    fn mount(&self, kubelet: &Kubelet) -> Result<BTreeMap<String, Volume>, SetUpError> {
        let volumes = kubelet.volumes.set_up(&kubelet.store, &self.object)?;
        for container in self.containers().iter_mut() {
            container.mounts = volumes::mounts(&volumes, &container.spec)?;
        }
        Ok(volumes)
    }

    /// Runs the init containers one after another, then the others together.
    async fn run_containers(&self, kubelet: &Arc<Kubelet>) {
        let (inits, all) = {
            let containers = self.containers();
            (
                containers.iter().filter(|container| container.init).count(),
                containers.len(),
            )
        };
        let mut well = true;
        for at in 0..inits {
            well = container::run(self, kubelet, at).await;
            if !well {
                break;
            }
        }
        if well {
            let results = join_all((inits..all).map(|at| container::run(self, kubelet, at))).await;
            well = results.into_iter().all(|well| well);
        }
        if !self.stop.is_cancelled() {
            *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(well);
            self.publish(&kubelet.store);
        }
    }
}
