//! The kubelet: runs the containers of pods as tasks of this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Program;
use super::client::Clients;
use super::error::ApiError;
use super::kinds::Kind;
use super::object::{Object, text};
use super::store::{Store, Verb};
use super::tasks::Tasks;

mod address;
mod claims;
mod container;
mod env;
mod error;
mod files;
mod pod;
mod probe;
mod status;
mod volumes;

pub use address::Address;
pub use pod::{PodRun, State};
use volumes::Volumes;

/// The node's address as pods see it.
pub const HOST_IP: &str = "127.0.0.1";

/// The source of Events.
const COMPONENT: &str = "kubelet";

pub struct Kubelet {
    store: Arc<Store>,
    tasks: Tasks,
    program: Program,
    clients: Clients,
    volumes: Volumes,
    /// By uid: pods that run or have run, as long as their object is there.
    pods: Mutex<HashMap<String, Arc<PodRun>>>,
}

impl Kubelet {
    pub fn new(store: Arc<Store>, tasks: Tasks, program: Program, clients: Clients) -> Arc<Kubelet> {
        Arc::new(Kubelet {
            store,
            tasks,
            program,
            clients,
            volumes: Volumes::default(),
            pods: Mutex::default(),
        })
    }

    /// The pod with this uid; `None` before the kubelet saw it and after it is gone.
    pub fn pod(&self, uid: &str) -> Option<Arc<PodRun>> {
        self.pods().get(uid).cloned()
    }

    fn pods(&self) -> MutexGuard<'_, HashMap<String, Arc<PodRun>>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts and ends pods as their objects come and go.
    pub async fn run(self: Arc<Self>) {
        loop {
            // A watch that fell behind the history starts anew from the objects as they are.
            if self.watch().await.is_err() {
                continue;
            }
        }
    }

    async fn watch(self: &Arc<Self>) -> Result<(), ApiError> {
        let (objects, version) = self.store.list(Kind::Pod, None, |_| true);
        let mut changes = self.store.changes(Kind::Pod, version)?;
        let gone: Vec<String> = self
            .pods()
            .keys()
            .filter(|uid| !objects.iter().any(|object| object.uid() == *uid))
            .cloned()
            .collect();
        for uid in gone {
            self.forced(&uid);
        }
        for object in objects {
            self.see(object);
        }
        loop {
            for change in changes.next().await? {
                match change.verb {
                    Verb::Added | Verb::Modified => self.see(change.object),
                    Verb::Deleted => self.forced(change.object.uid()),
                }
            }
        }
    }

    fn see(self: &Arc<Self>, object: Arc<Object>) {
        if let Some(pod) = self.pod(object.uid()) {
            if object.deleting() {
                pod.end(object["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(0));
            }
            return;
        }
        if matches!(text(&object["status"]["phase"]), "Succeeded" | "Failed") {
            return;
        }
        // A change that is seen late may be of a pod that is long gone.
        let current = self.store.by_uid(object.uid());
        let Some((_, object)) = current else { return };
        let kubelet = self.clone();
        match PodRun::new(object.clone(), &self.tasks.stop) {
            Ok(run) => {
                let run = Arc::new(run);
                self.pods().insert(object.uid().to_string(), run.clone());
                if object.deleting() {
                    run.end(object["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(0));
                }
                self.tasks.tracker.spawn(async move { run.run(&kubelet).await });
            }
            Err(why) => status::no_address(&self.store, &object, &why.to_string()),
        }
    }

    /// The object is gone: nothing to wait for.
    fn forced(&self, uid: &str) {
        let pod = self.pods().remove(uid);
        if let Some(pod) = pod {
            pod.end(0);
        }
    }
}
