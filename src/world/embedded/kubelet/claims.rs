//! PersistentVolumeClaims: which pods use them, and the end of those that none uses any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Kubelet;
use super::error::SetUpError;
use crate::world::embedded::admission::CLAIM_IN_USE;
use crate::world::embedded::error::ApiError;
use crate::world::embedded::kinds::Kind;
use crate::world::embedded::object::Object;
use crate::world::embedded::store::{Part, Store, Verb};

/// Which pods have which claims.
#[derive(Default)]
pub struct Claims {
    /// Uids: of the claim, and of the pod.
    used: Mutex<Vec<(String, String)>>,
    /// Told when a pod lets go of its claims.
    freed: Notify,
}

impl Claims {
    /// Takes a claim for a pod, until the pod lets go; returns the claim's uid.
    ///
    /// # Errors
    /// If the claim isn't there, or is to go.
    pub fn take(&self, store: &Store, pod: &Object, name: &str) -> Result<String, SetUpError> {
        let find = || store.get(Kind::PersistentVolumeClaim, pod.namespace(), name);
        let claim = find().map_err(SetUpError::Missing)?;
        let uid = claim.uid();
        if self.has(uid, pod.uid()) {
            return Ok(uid.to_string());
        }
        self.used().push((uid.to_string(), pod.uid().to_string()));
        // Who deletes it from here on waits for this pod; who did so before may not have seen it.
        if find().is_ok_and(|claim| claim.uid() == uid && !claim.deleting()) {
            return Ok(uid.to_string());
        }
        self.let_go(pod.uid());
        Err(SetUpError::ClaimEnds { name: name.to_owned() })
    }

    /// Lets go of all claims of a pod.
    pub fn let_go(&self, pod: &str) {
        let mut used = self.used();
        let before = used.len();
        used.retain(|(_, by)| by != pod);
        if used.len() < before {
            self.freed.notify_one();
        }
    }

    fn used(&self) -> MutexGuard<'_, Vec<(String, String)>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, claim: &str, pod: &str) -> bool {
        self.used().iter().any(|(of, by)| of == claim && by == pod)
    }

    fn in_use(&self, claim: &str) -> bool {
        self.used().iter().any(|(of, _)| of == claim)
    }
}

impl Kubelet {
    /// Lets deleted claims go when no pod uses them, and their folders with them.
    pub async fn run_claims(self: Arc<Self>) {
        loop {
            // A watch that fell behind the history starts anew from the objects as they are. Folders
            // whose end it missed go with the cluster.
            if self.watch_claims().await.is_err() {
                continue;
            }
        }
    }

    async fn watch_claims(&self) -> Result<(), ApiError> {
        let kind = Kind::PersistentVolumeClaim;
        let mut changes = self.store.changes(kind, self.store.version())?;
        loop {
            let (deleted, _) = self.store.list(kind, None, |claim| {
                claim.deleting() && !self.volumes.claims.in_use(claim.uid())
            });
            for claim in deleted {
                release(&self.store, &claim);
            }
            let changes = tokio::select! {
                changes = changes.next() => changes?,
                () = self.volumes.claims.freed.notified() => continue,
            };
            for change in changes.iter().filter(|change| change.verb == Verb::Deleted) {
                self.volumes.remove_claim(change.object.uid()).await;
            }
        }
    }
}

/// Takes the finalizer off a claim.
fn release(store: &Store, claim: &Object) {
    let (kind, name) = (Kind::PersistentVolumeClaim, claim.name());
    // Gone meanwhile is as good.
    let _ = store.update(kind, claim.namespace(), name, Part::Main, |old| {
        if old["metadata"]["uid"] != claim.uid() {
            return Err(ApiError::not_found(kind, name));
        }
        let mut new = old.clone();
        if let Some(finalizers) = new["metadata"]["finalizers"].as_array_mut() {
            finalizers.retain(|finalizer| finalizer != CLAIM_IN_USE);
        }
        Ok(new)
    });
}
