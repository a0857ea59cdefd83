//! Reverts the changes recorded in a journal.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::changes::{fingerprint, kept_under, restarted_at};
use super::journal::Entry;
use super::{InstallationError, KEPT};
use crate::world::rollout::{RESTARTED_AT, completed};

/// Where changes are reverted.
pub struct Undo<'u> {
    pub client: &'u kube::Client,
    pub namespace: &'u str,
    /// The selector of warm pods.
    pub warm: &'u str,
    pub rollouts_within: Duration,
}

/// All entries about one thing combined: its old value, and what the run changed it to.
struct Net<'e, Was> {
    was: Was,
    wrote: Vec<&'e str>,
}

impl Undo<'_> {
    /// Puts all back that is as the run left it; what somebody else has changed since is told and left.
    pub async fn all(&self, entries: &[Entry]) -> Result<Vec<String>, InstallationError> {
        let mut left = Vec::new();
        let (mut secrets, mut restarts) = (BTreeMap::new(), BTreeMap::new());
        for entry in entries {
            match entry {
                Entry::Secret {
                    name,
                    key,
                    was_there,
                    wrote,
                } => {
                    let first = || Net {
                        was: *was_there,
                        wrote: Vec::new(),
                    };
                    let net = secrets.entry((name.as_str(), key.as_str())).or_insert_with(first);
                    net.wrote.push(wrote);
                }
                Entry::Restart { deployment, was, wrote } => {
                    let first = || Net {
                        was: was.as_deref(),
                        wrote: Vec::new(),
                    };
                    let net = restarts.entry(deployment.as_str()).or_insert_with(first);
                    net.wrote.push(wrote);
                }
                // A platform with a cluster isn't changed by command.
                Entry::Key { .. }
                | Entry::RestartByCommand { .. }
                | Entry::Turned { .. }
                | Entry::WarmPods { .. }
                | Entry::Session { .. }
                | Entry::SessionBegun
                | Entry::SessionNotMade
                | Entry::SessionDeleted { .. }
                | Entry::Undone => {}
            }
        }
        // Secrets first: what restarts then reads the old ones.
        for ((name, key), net) in &secrets {
            left.extend(self.secret(name, key, net).await?);
        }
        // Also what an earlier attempt put back, which may not have come to the end of it.
        let mut restarted = Vec::new();
        for (name, net) in &restarts {
            match self.restart(name, net).await? {
                None => restarted.push(*name),
                Some(why) => left.push(why),
            }
        }
        let deployments: Api<Deployment> = self.api();
        for name in &restarted {
            completed(&deployments, name, self.rollouts_within).await?;
        }
        let before = entries.iter().find_map(|entry| match entry {
            Entry::WarmPods { names } => Some(names.as_slice()),
            _ => None,
        });
        if let Some(before) = before.filter(|_| !restarted.is_empty()) {
            self.recycle(before).await?;
        }
        Ok(left)
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    async fn secret(&self, name: &str, key: &str, net: &Net<'_, bool>) -> Result<Option<String>, InstallationError> {
        let secrets: Api<Secret> = self.api();
        let asking = |doing: &str| {
            let doing = format!("{doing} {key} of the secret {name}");
            move |error| InstallationError::asking(doing, error)
        };
        let Some(found) = secrets.get_opt(name).await.map_err(asking("reading"))? else {
            return Ok(Some(format!("the secret {name} is gone: its {key} is not put back")));
        };
        let value = |secret: &Secret, key: &str| -> Option<ByteString> { secret.data.as_ref()?.get(key).cloned() };
        let now = value(&found, key);
        let kept = match net.was {
            true => {
                let of_run = secrets.get_opt(KEPT).await.map_err(asking("reading the old"))?;
                let kept = of_run.and_then(|kept| value(&kept, &kept_under(name, key)));
                match kept {
                    Some(kept) => Some(kept),
                    None => {
                        return Ok(Some(format!(
                            "the old {key} of the secret {name} is no longer kept in the secret {KEPT}: it is not put back"
                        )));
                    }
                }
            }
            false => None,
        };
        if now == kept {
            return Ok(None);
        }
        let Some(now) = now.filter(|now| net.wrote.contains(&fingerprint(&now.0).as_str())) else {
            return Ok(Some(format!(
                "{key} of the secret {name} was changed by somebody else since: it is left as it is"
            )));
        };
        let path = format!("/data/{}", key.replace('~', "~0").replace('/', "~1"));
        let base64 = |value: &ByteString| STANDARD.encode(&value.0);
        // Only what is still as it was read a moment ago.
        let mut operations = vec![json!({ "op": "test", "path": path, "value": base64(&now) })];
        operations.push(match &kept {
            Some(kept) => json!({ "op": "add", "path": path, "value": base64(kept) }),
            None => json!({ "op": "remove", "path": path }),
        });
        match patch(&secrets, name, operations).await {
            Ok(true) => Ok(None),
            // Changed in this moment, or not to be patched: what is so now says which.
            Ok(false) => Err(InstallationError::Moved {
                what: format!("{key} of the secret {name}"),
            }),
            Err(error) => Err(asking("putting back")(error)),
        }
    }

    /// Gives why it is left, where it is.
    async fn restart(&self, name: &str, net: &Net<'_, Option<&str>>) -> Result<Option<String>, InstallationError> {
        let deployments: Api<Deployment> = self.api();
        let asking = |error| InstallationError::asking(format!("putting back deployment {name}"), error);
        let Some(found) = deployments.get_opt(name).await.map_err(asking)? else {
            return Ok(Some(format!("deployment {name} is gone")));
        };
        let now = restarted_at(&found);
        if now.as_deref() == net.was {
            return Ok(None);
        }
        let somebody_else = || format!("deployment {name} was restarted by somebody else since: it is left as it is");
        if now.as_deref().is_none_or(|now| !net.wrote.contains(&now)) {
            return Ok(Some(somebody_else()));
        }
        let annotations = "/spec/template/metadata/annotations";
        let path = format!("{annotations}/{}", RESTARTED_AT.replace('/', "~1"));
        let mut operations = vec![json!({ "op": "test", "path": path, "value": now })];
        operations.push(match net.was {
            Some(was) => json!({ "op": "replace", "path": path, "value": was }),
            None => json!({ "op": "remove", "path": path }),
        });
        match patch(&deployments, name, operations).await.map_err(asking)? {
            true => Ok(None),
            false => Ok(Some(somebody_else())),
        }
    }

    /// Ends warm pods that were made with a token that is put back: they would refuse the old one.
    async fn recycle(&self, before: &[String]) -> Result<(), InstallationError> {
        let pods: Api<Pod> = self.api();
        let listed = pods.list(&ListParams::default().labels(self.warm)).await;
        let listed = listed.map_err(|error| InstallationError::asking("listing the warm pods", error))?;
        let kind = GroupVersionKind::gvk("agents.x-k8s.io", "v1alpha1", "Sandbox");
        let resource = ApiResource::from_gvk_with_plural(&kind, "sandboxes");
        let sandboxes: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), self.namespace, &resource);
        for name in listed.into_iter().filter_map(|pod| pod.metadata.name) {
            if before.contains(&name) {
                continue;
            }
            match sandboxes.delete(&name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => {
                    return Err(InstallationError::asking(format!("deleting the sandbox {name}"), error));
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }
}

/// Whether a patch was applied; not where what it tests is no longer so.
async fn patch<K>(api: &Api<K>, name: &str, operations: Vec<Value>) -> Result<bool, kube::Error>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let patch: json_patch::Patch = serde_json::from_value(operations.into()).map_err(kube::Error::SerdeError)?;
    match api
        .patch(name, &PatchParams::default(), &Patch::Json::<()>(patch))
        .await
    {
        Ok(_) => Ok(true),
        // A test that doesn't hold, or a path that is no longer there.
        Err(kube::Error::Api(status)) if matches!(status.code, 409 | 422) => Ok(false),
        Err(error) => Err(error),
    }
}
