//! Changes to a platform that isn't ours: recorded before they are made, and reverted.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::journal::{Entry, Journal};
use super::undo::Undo;
use super::{Installation, InstallationError, KEPT, lease};
use crate::world::labels::{labels, run_of};
use crate::world::operations::Commands;
use crate::world::rollout::RESTARTED_AT;
use crate::world::wait::Patience;

/// What a run changes.
pub struct Changes {
    pub journal: Journal,
    client: kube::Client,
    namespace: String,
    /// The commands that change the platform, if there is no cluster.
    pub(super) commands: Option<Commands>,
    /// The selector of warm pods.
    pub(super) warm: String,
    /// Changes made by somebody else in the meantime, in words.
    left: Mutex<Vec<String>>,
}

impl Changes {
    fn new(journal: Journal, client: kube::Client, namespace: &str) -> Changes {
        let warm = journal.head.names.get("warm.selector").cloned().unwrap_or_default();
        Changes {
            journal,
            client,
            namespace: namespace.to_owned(),
            commands: None,
            warm,
            left: Mutex::default(),
        }
    }

    /// The changes of an installation, which may be operated by commands.
    pub fn of(journal: Journal, installation: &Installation) -> Changes {
        Changes {
            commands: installation.commands.clone(),
            ..Changes::new(journal, installation.client.clone(), &installation.namespace)
        }
    }

    /// Before keys of a Secret get these values.
    pub async fn secret(&self, name: &str, keys: &[(&str, &str)]) -> Result<(), InstallationError> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let doing = || format!("reading the secret {name}");
        let found = secrets
            .get(name)
            .await
            .map_err(|error| InstallationError::asking(doing(), error))?;
        let before = self.journal.entries();
        if !before.iter().any(|entry| matches!(entry, Entry::WarmPods { .. })) {
            self.note_warm_pods().await?;
        }
        for (key, value) in keys {
            let earlier = before.iter().find_map(|entry| match entry {
                Entry::Secret {
                    name: of,
                    key: at,
                    was_there,
                    ..
                } if of == name && at == key => Some(*was_there),
                _ => None,
            });
            let old = found.data.as_ref().and_then(|data| data.get(*key));
            if let (None, Some(old)) = (earlier, old) {
                self.keep(&secrets, name, key, old).await?;
            }
            self.journal.note(Entry::Secret {
                name: name.to_owned(),
                key: (*key).to_owned(),
                was_there: earlier.unwrap_or(old.is_some()),
                wrote: fingerprint(value.as_bytes()),
            })?;
        }
        Ok(())
    }

    async fn note_warm_pods(&self) -> Result<(), InstallationError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let listed = pods.list(&ListParams::default().labels(&self.warm)).await;
        let listed = listed.map_err(|error| InstallationError::asking("listing the warm pods", error))?;
        let names = listed.into_iter().filter_map(|pod| pod.metadata.name).collect();
        Ok(self.journal.note(Entry::WarmPods { names })?)
    }

    /// Keeps a value in the cluster: the journal holds no secret.
    async fn keep(
        &self,
        secrets: &Api<Secret>,
        name: &str,
        key: &str,
        value: &ByteString,
    ) -> Result<(), InstallationError> {
        let failed =
            |error| InstallationError::asking(format!("keeping the old {key} of {name} in the secret {KEPT}"), error);
        let run = &self.journal.head.run;
        let data = BTreeMap::from([(kept_under(name, key), value.clone())]);
        match secrets.get_opt(KEPT).await.map_err(failed)? {
            Some(found) if run_of(&found.metadata) != Some(run) => {
                let run = run_of(&found.metadata).unwrap_or("somebody").to_owned();
                Err(InstallationError::Kept { run })
            }
            Some(_) => {
                let patch = json!({ "data": data });
                let patched = secrets
                    .patch(KEPT, &PatchParams::default(), &Patch::Merge(&patch))
                    .await;
                patched.map(drop).map_err(failed)
            }
            None => {
                let kept = Secret {
                    metadata: ObjectMeta {
                        name: Some(KEPT.into()),
                        labels: Some(labels(run)),
                        ..ObjectMeta::default()
                    },
                    data: Some(data),
                    ..Secret::default()
                };
                let created = secrets.create(&PostParams::default(), &kept).await;
                created.map(drop).map_err(failed)
            }
        }
    }

    /// Restarts a deployment as `kubectl rollout restart` does.
    pub async fn restart(&self, name: &str) -> Result<(), InstallationError> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let failed = |error| InstallationError::asking(format!("restarting deployment {name}"), error);
        let found = deployments.get(name).await.map_err(failed)?;
        let stamp = jiff::Timestamp::now().to_string();
        self.journal.note(Entry::Restart {
            deployment: name.to_owned(),
            was: restarted_at(&found),
            wrote: stamp.clone(),
        })?;
        let patch = json!({ "spec": { "template": { "metadata": { "annotations": { RESTARTED_AT: stamp } } } } });
        let patched = deployments
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await;
        patched.map(drop).map_err(failed)
    }

    /// The title of the run's sessions: it finds a session that a kill kept out of the journal.
    pub fn session_title(&self) -> String {
        format!("gauntlet {}", self.journal.head.run)
    }

    /// Before a session is made.
    pub fn session_begun(&self) -> Result<(), InstallationError> {
        Ok(self.journal.note(Entry::SessionBegun)?)
    }

    /// It was not created, or it was and has been found and deleted.
    pub fn session_not_made(&self) {
        self.journal.note_done(Entry::SessionNotMade);
    }

    /// How many sessions were being made of which no answer came.
    pub fn sessions_begun(&self) -> usize {
        let entries = self.journal.entries();
        entries.iter().filter(|entry| **entry == Entry::SessionBegun).count()
    }

    /// A session that was made.
    pub fn session(&self, id: &str) -> Result<(), InstallationError> {
        Ok(self.journal.note(Entry::Session { id: id.to_owned() })?)
    }

    /// A session that is deleted.
    pub fn session_deleted(&self, id: &str) {
        self.journal.note_done(Entry::SessionDeleted { id: id.to_owned() });
    }

    /// Sessions that were made and not deleted.
    pub fn sessions(&self) -> Vec<String> {
        let of = |entry| match entry {
            Entry::Session { id } => Some(id),
            _ => None,
        };
        self.journal.entries().into_iter().filter_map(of).collect()
    }

    /// Whether anything in a cluster has to be restored.
    pub fn is_changed(&self) -> bool {
        let entries = self.journal.entries();
        let is_session = |entry: &Entry| matches!(entry, Entry::Session { .. } | Entry::SessionBegun);
        entries.iter().any(|entry| !is_session(entry))
    }

    /// Puts all back that is as the run left it. Gives what somebody else has changed since, in words: it
    /// is left as it is. `rollouts_within`: how long deployments may take.
    pub async fn undo(&self, rollouts_within: Duration) -> Result<Vec<String>, InstallationError> {
        let undo = Undo {
            client: &self.client,
            namespace: &self.namespace,
            warm: &self.warm,
            rollouts_within,
        };
        let entries = self.journal.entries();
        if let Some(commands) = &self.commands {
            let left = self.undo_by_command(commands, &entries).await?;
            self.journal.note_done(Entry::Undone);
            return Ok(left);
        }
        let mut patience = Patience::begun();
        let left = loop {
            match undo.all(&entries).await {
                Err(error) if patience.bears(error.may_pass()).await => {}
                ended => break ended?,
            }
        };
        self.journal.note_done(Entry::Undone);
        Ok(left)
    }

    /// Remembers what was not put back, for the end of the run.
    pub fn tell_of_left(&self, left: Vec<String>) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).extend(left);
    }

    /// What was not restored, because somebody else has changed it.
    pub fn left(&self) -> Vec<String> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The Lease under which it is disrupted.
    pub fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Takes away what the run itself has made; the journal is left.
    pub async fn sweep(&self) -> Result<(), InstallationError> {
        if let Some(commands) = &self.commands {
            return self.sweep_by_command(commands).await;
        }
        let mut patience = Patience::begun();
        loop {
            match self.sweep_once().await {
                Err(error) if patience.bears(error.may_pass()).await => {}
                ended => return ended,
            }
        }
    }

    async fn sweep_once(&self) -> Result<(), InstallationError> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let failed = |error| InstallationError::asking(format!("deleting the secret {KEPT}"), error);
        let found = secrets.get_opt(KEPT).await.map_err(failed)?;
        let is_ours = found.is_some_and(|found| run_of(&found.metadata) == Some(&self.journal.head.run));
        if is_ours {
            secrets.delete(KEPT, &DeleteParams::default()).await.map_err(failed)?;
        }
        lease::release(&self.leases(), &self.journal.head.run).await
    }
}

/// The key under which an old value is kept.
pub fn kept_under(secret: &str, key: &str) -> String {
    format!("{secret}.{key}")
}

/// A fingerprint of a value.
pub fn fingerprint(value: &[u8]) -> String {
    Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// When a deployment was restarted, as its template says it.
pub fn restarted_at(deployment: &Deployment) -> Option<String> {
    let template = &deployment.spec.as_ref()?.template;
    let annotations = template.metadata.as_ref()?.annotations.as_ref()?;
    annotations.get(RESTARTED_AT).cloned()
}
