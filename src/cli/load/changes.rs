//! `--rotate-at` and `--restart-web-at`: the reference platform changes while it is loaded.

use std::fmt;
use std::future::{Future, pending};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::door::NotReady;
use crate::cli::conclude::tell;
use crate::load::worker::{Assignment, PlanError, Terminal};
use crate::load::{Control, Course, Door, Failure, MakeError, Sessions};
use crate::redact::{Redactor, Secret};
use crate::vocabulary::names;
use crate::world::installation::{InstallationError, Place, connect};
use crate::world::kube_error::kube_error;
use crate::world::rollout::{RolloutError, completed};

/// Longest time of a rollout, and until a terminal opens after it.
const WITHIN: Duration = Duration::from_secs(60);

/// A change of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The operator's: a new token in the secret, and web and worker restarted.
    RotateToken,
    RestartWeb,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Change::RotateToken => "the token is rotated",
            Change::RestartWeb => "web is restarted",
        })
    }
}

/// Why the platform did not change as asked, or could not be used afterwards. Whose fault it is nobody can tell from
/// here, unless said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error(transparent)]
    Connecting(Box<InstallationError>),
    /// gauntlet's own.
    #[error(transparent)]
    Patch(serde_json::Error),
    #[error("patching the secret {name}: {}", kube_error(source.as_ref()))]
    Patching { name: String, source: Box<kube::Error> },
    #[error("deleting the warm sandboxes: {}", kube_error(.0.as_ref()))]
    Deleting(#[source] Box<kube::Error>),
    #[error("restarting the deployment {name}: {}", kube_error(source.as_ref()))]
    Restarting { name: String, source: Box<kube::Error> },
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    #[error(transparent)]
    Sessions(#[from] MakeError),
    /// The platform's.
    #[error("after the rotation only {ready} of {wanted} sessions got ready")]
    FewSessions { ready: usize, wanted: usize },
    /// The platform's.
    #[error("after the rotation a new session has another token than the new one")]
    OtherToken,
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("after the change the right token opens no terminal: {0}")]
    Shut(Failure),
}

/// Changes with their times from the load's beginning, the earliest first.
pub type Planned = Vec<(Duration, Change)>;

/// A platform that is about to change.
pub struct Changes {
    planned: Planned,
    client: kube::Client,
    namespace: String,
    redactor: Redactor,
    quiet: bool,
}

/// The load that goes on meanwhile.
pub struct Beside<'a> {
    pub control: &'a Control,
    pub sessions: &'a Arc<Sessions>,
    pub assignment: &'a Assignment,
    pub stop: &'a CancellationToken,
}

impl Changes {
    /// Of the platform that this kubeconfig leads to.
    ///
    /// # Errors
    /// It doesn't answer.
    pub async fn new(
        planned: Planned,
        kubeconfig: PathBuf,
        redactor: &Redactor,
        quiet: bool,
    ) -> Result<Changes, ChangeError> {
        let place = Place {
            kubeconfig: vec![kubeconfig],
            context: None,
            namespace: None,
        };
        let reached = connect(&place).await;
        let reached = reached.map_err(|error| ChangeError::Connecting(Box::new(error)))?;
        Ok(Changes {
            planned,
            client: reached.client,
            namespace: reached.namespace,
            redactor: redactor.clone(),
            quiet,
        })
    }

    /// Carries the changes out while the load is made; gives what became of that, and, in words, a change that it was
    /// too short for.
    ///
    /// # Errors
    /// The load's own, and a change that could not be carried out: the load is stopped then, as nobody could say
    /// what its attaches must meet.
    pub async fn while_loading<T, E>(
        self,
        making: impl Future<Output = Result<T, E>>,
        load: Beside<'_>,
    ) -> Result<(T, Option<String>), NotReady>
    where
        NotReady: From<E>,
    {
        let mut making = pin!(making);
        let mut changing = pin!(self.carry_out(&load));
        let mut changed = None;
        let made = loop {
            tokio::select! {
                biased;
                made = &mut making => break made?,
                done = &mut changing, if changed.is_none() => {
                    if done.is_err() {
                        load.control.stop.store(true, Ordering::Relaxed);
                    }
                    changed = Some(done);
                }
            }
        };
        match changed {
            Some(Ok(())) => Ok((made, None)),
            Some(Err(why)) => Err(why.into()),
            None if load.stop.is_cancelled() => Ok((made, None)),
            None => {
                let short = "the load was over before the platform had changed as asked: change it earlier, or let more \
                             attach";
                Ok((made, Some(short.to_owned())))
            }
        }
    }

    /// All changes, each at its time.
    async fn carry_out(&self, load: &Beside<'_>) -> Result<(), ChangeError> {
        let began = Instant::now();
        let mut terminals = load.assignment.terminals.clone();
        for (at, change) in &self.planned {
            sleep_until(began + *at).await;
            if load.control.turn(Course::Unsettled).await.is_err() {
                // It is over, and whoever makes it will say so.
                return pending().await;
            }
            self.say(&format!(
                "{change}, and nobody can say yet whether the right token opens"
            ));
            let doors = match change {
                Change::RestartWeb => {
                    self.roll(&["web"]).await?;
                    Vec::new()
                }
                Change::RotateToken => {
                    let before = std::mem::take(&mut terminals);
                    let (after, doors) = self.rotate(&before, load).await?;
                    terminals = after;
                    doors
                }
            };
            self.opens(&terminals, load).await?;
            self.say(&format!("{change}: that is done, and the right token opens"));
            // Where it is over by now there is nothing more to tell it.
            let _over = load.control.turn(Course::Settled(doors)).await;
        }
        Ok(())
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            tell(text);
        }
    }

    /// As the contract's page has it: the operator patches the secret, restarts web and worker, and deletes warm pods of
    /// before. Other sandboxes of before keep their token, so that sessions are made anew; gives their terminals, and
    /// the doors from then on.
    async fn rotate(&self, before: &[Terminal], load: &Beside<'_>) -> Result<(Vec<Terminal>, Vec<Door>), ChangeError> {
        let token = self.redactor.plant("NEW_TOKEN");
        self.patch(&token).await?;
        self.roll(&["web", "worker"]).await?;
        self.delete_warm().await?;
        let made = load.sessions.make(load.stop).await?;
        let after = made.terminals;
        if after.len() < before.len() {
            return Err(ChangeError::FewSessions {
                ready: after.len(),
                wanted: before.len(),
            });
        }
        if after.iter().any(|terminal| terminal.right != token.expose()) {
            return Err(ChangeError::OtherToken);
        }
        let assignment = Assignment {
            terminals: after.clone(),
            old: before.first().map(|terminal| terminal.right.clone()),
            ..load.assignment.clone()
        };
        let doors = assignment.plan()?.doors;
        // Also at the sessions of before: it is web that must refuse it there.
        let doors = doors.into_iter().zip(before);
        let doors = doors.map(|(door, old)| door.with_old(&assignment.authority, &old.path, &old.right));
        Ok((after, doors.collect()))
    }

    async fn patch(&self, token: &Secret) -> Result<(), ChangeError> {
        let names = names::contract();
        let (name, key) = (&names["secret.name"], &names["secret.key"]);
        let value = STANDARD.encode(token.expose());
        let secrets: Api<KubeSecret> = Api::namespaced(self.client.clone(), &self.namespace);
        let operations = json!([{ "op": "add", "path": format!("/data/{key}"), "value": value }]);
        let patch: json_patch::Patch = serde_json::from_value(operations).map_err(ChangeError::Patch)?;
        let patched = secrets
            .patch(name, &PatchParams::default(), &Patch::Json::<()>(patch))
            .await;
        patched.map(drop).map_err(|error| ChangeError::Patching {
            name: name.clone(),
            source: Box::new(error),
        })
    }

    /// Those of before would give new sessions the old token. What the worker has made since goes with them, and is
    /// made again.
    async fn delete_warm(&self) -> Result<(), ChangeError> {
        let kind = GroupVersionKind::gvk("agents.x-k8s.io", "v1alpha1", "Sandbox");
        let resource = ApiResource::from_gvk_with_plural(&kind, "sandboxes");
        let sandboxes: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let names = names::contract();
        let warm = ListParams::default().labels(&names["warm.selector"]);
        let failed = |error: kube::Error| ChangeError::Deleting(Box::new(error));
        for sandbox in sandboxes.list(&warm).await.map_err(failed)?.items {
            let name = sandbox.metadata.name.unwrap_or_default();
            match sandboxes.delete(&name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                deleted => drop(deleted.map_err(failed)?),
            }
        }
        Ok(())
    }

    /// Restarts the deployments of these roles, and waits until that is done.
    async fn roll(&self, roles: &[&str]) -> Result<(), ChangeError> {
        let names = names::contract();
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let of = |role: &&str| names[&format!("{role}.deployment")].clone();
        let rolled: Vec<String> = roles.iter().map(of).collect();
        for name in &rolled {
            let restarted = deployments.restart(name).await;
            restarted.map_err(|error| ChangeError::Restarting {
                name: name.clone(),
                source: Box::new(error),
            })?;
        }
        for name in &rolled {
            completed(&deployments, name, WITHIN).await?;
        }
        Ok(())
    }

    /// Waits until a terminal opens for the right token.
    async fn opens(&self, terminals: &[Terminal], load: &Beside<'_>) -> Result<(), ChangeError> {
        let Some(terminal) = terminals.first() else {
            return Ok(());
        };
        let opens = load.sessions.opens(terminal, WITHIN).await;
        opens.map_err(ChangeError::Shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_in_words() {
        assert_eq!(Change::RotateToken.to_string(), "the token is rotated");
        assert_eq!(Change::RestartWeb.to_string(), "web is restarted");
    }
}
