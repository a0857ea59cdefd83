//! Sessions: what the calls of the session API do.

mod agents;
mod show;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use k8s_openapi::api::core::v1::Pod as KubernetesPod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::super::http::{Body, Refusal, error, json as answer};
use super::super::objects::{Names, Purpose, Sandbox, fits_pods, has_code, is_pod_ready, is_reserved, new_id};
use super::super::records::{Records, Session, Status, is_id};
use super::super::{ComponentError, Pod, mutant};
use super::forms::{NewSession, number, parameter, parse};
use super::source::TokenSource;

type Reply = Result<Response<Body>, Refusal>;

pub struct Sessions {
    pub names: Names,
    pub token: TokenSource,
    pod: Pod,
    records: Records,
    sandboxes: Api<Sandbox>,
    pods: Api<KubernetesPod>,
    restart_timeout: Duration,
    tty_url_prefix: String,
}

impl Sessions {
    pub async fn new(pod: &Pod) -> Result<Sessions, ComponentError> {
        let client = pod.kubernetes()?;
        let namespace = pod.namespace(&client);
        let records = Records::new(client.clone(), &namespace);
        let api_path = pod.var_or("API_PATH", "/api/v1/managed_agents").trim_end_matches('/');
        Ok(Sessions {
            names: Names::new(pod)?,
            token: TokenSource::new(pod, client.clone(), &records).await?,
            records,
            sandboxes: Api::namespaced(client.clone(), &namespace),
            pods: Api::namespaced(client, &namespace),
            restart_timeout: pod.duration("RESTART_TIMEOUT", Duration::from_secs(120))?,
            tty_url_prefix: format!("{api_path}/sessions"),
            pod: pod.clone(),
        })
    }

    pub async fn health(&self) -> Response<Body> {
        let start = Instant::now();
        match self.records.ping().await {
            Ok(()) => {
                let elapsed = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
                answer(StatusCode::OK, &json!({ "ok": true, "elapsed_ms": elapsed }))
            }
            Err(wrong) => {
                self.pod.log.line(format!("kubernetes: {wrong}"));
                error(StatusCode::SERVICE_UNAVAILABLE, "kubernetes doesn't answer").into()
            }
        }
    }

    /// A new session on a ready warm sandbox, or else on a cold one.
    pub async fn create(&self, agent_id: &str, body: &[u8]) -> Reply {
        let new: NewSession = if body.is_empty() {
            NewSession::default()
        } else {
            parse(body)?
        };
        let variables = new.env_vars.unwrap_or_default();
        if let Some((name, _)) = variables
            .iter()
            .find(|(name, value)| is_reserved(name) || !fits_pods(name, value))
        {
            let message = format!("env_vars: {} can't be set", name.escape_default());
            return Err(error(StatusCode::BAD_REQUEST, message));
        }
        let agent = if is_id(agent_id) {
            self.records.agent(agent_id).await
        } else {
            Ok(None)
        };
        if agent.map_err(|wrong| self.unavailable(&wrong))?.is_none() {
            return Err(error(StatusCode::NOT_FOUND, "no such agent"));
        }
        // A pod that is there has the environment that it was made with.
        let warm = if variables.is_empty() {
            self.warm().await
        } else {
            Ok(Vec::new())
        };
        let warm = warm.map_err(|wrong| self.unavailable(&wrong))?;
        let id = new_id();
        let cold = self.cold(&id, &variables).await;
        let first = warm.first().unwrap_or(&cold).name();
        let session = self
            .records
            .create_session(&id, agent_id, new.title.as_deref(), &variables, first)
            .await;
        let session = session.map_err(|wrong| self.unavailable(&wrong))?;
        match self.give_sandbox(&session, &warm, cold).await {
            Ok(sandbox) => Ok(answer(
                StatusCode::OK,
                &self.show_session(&session, Some(&sandbox)).await,
            )),
            Err(wrong) => {
                let _ = self
                    .records
                    .set_status(&id, Status::Failed, "", Some(&wrong.to_string()))
                    .await;
                Err(self.unavailable(&wrong))
            }
        }
    }

    pub async fn list(&self, query: &str) -> Reply {
        let agent_id = parameter(query, "agent_id");
        let limit = number(query, "limit")?.unwrap_or(usize::MAX);
        if agent_id.as_deref().is_some_and(|id| !is_id(id)) {
            return Ok(answer(StatusCode::OK, &json!([])));
        }
        let unavailable = |wrong| self.unavailable(&wrong);
        let sessions = self.records.sessions(agent_id.as_deref()).await.map_err(unavailable)?;
        let owned = ListParams::default().labels(&self.names.session_label);
        let sandboxes = self.sandboxes.list(&owned).await.map_err(unavailable)?;
        let by_name: HashMap<_, _> = sandboxes
            .items
            .iter()
            .map(|sandbox| (sandbox.name(), sandbox))
            .collect();
        let mut shown = Vec::new();
        for session in sessions.iter().take(limit) {
            shown.push(
                self.show_session(session, by_name.get(session.sandbox.as_str()).copied())
                    .await,
            );
        }
        Ok(answer(StatusCode::OK, &Value::Array(shown)))
    }

    pub async fn show(&self, id: &str) -> Reply {
        let session = self.session(id).await?;
        let sandbox = self.sandbox(&session.sandbox).await?;
        Ok(answer(
            StatusCode::OK,
            &self.show_session(&session, sandbox.as_ref()).await,
        ))
    }

    /// A new pod for the same session, always a cold one: it has the token that holds now.
    pub async fn restart(&self, id: &str) -> Reply {
        let session = self.session(id).await?;
        let creating = || error(StatusCode::CONFLICT, "the session is being created");
        if session.status == Status::Creating {
            return Err(creating());
        }
        let mut cold = self.cold(id, &session.env_vars).await;
        if self.pod.has(&mutant::RESTART_KEEPS_TEMPLATE)
            && let Some(old) = self.sandbox(&session.sandbox).await?
        {
            cold.spec = old.spec;
        }
        self.records
            .begin_restart(&session, cold.name())
            .await
            .map_err(|wrong| {
                // Somebody else restarted it between the look and the write.
                if has_code(&wrong, 409) {
                    creating()
                } else {
                    self.unavailable(&wrong)
                }
            })?;
        let made = self.sandboxes.create(&PostParams::default(), &cold).await;
        if let Err(wrong) = made {
            let _ = self
                .records
                .set_status(id, Status::Failed, "", Some(&wrong.to_string()))
                .await;
            return Err(self.unavailable(&wrong));
        }
        self.remove(&session.sandbox).await?;
        match tokio::time::timeout(self.restart_timeout, self.records.settled(id)).await {
            Ok(Ok(Some(_))) => self.show(id).await,
            Ok(Ok(None)) => Err(error(StatusCode::NOT_FOUND, "no such session")),
            Ok(Err(wrong)) => {
                self.pod.log.line(format!("session {id}: {wrong}"));
                Err(error(StatusCode::SERVICE_UNAVAILABLE, "kubernetes doesn't answer"))
            }
            Err(_) => Err(error(StatusCode::GATEWAY_TIMEOUT, "the session isn't ready yet")),
        }
    }

    pub async fn delete(&self, id: &str) -> Reply {
        let session = self.session(id).await?;
        self.records
            .delete_session(id)
            .await
            .map_err(|wrong| self.unavailable(&wrong))?;
        self.remove(&session.sandbox).await?;
        Ok(answer(StatusCode::OK, &json!({ "id": id, "status": "deleted" })))
    }

    /// Where a session's terminal is.
    pub async fn address(&self, id: &str) -> Result<String, Refusal> {
        let session = self.session(id).await?;
        let sandbox = self.sandbox(&session.sandbox).await?;
        match sandbox.as_ref().and_then(Sandbox::pod_ip) {
            Some(ip) if session.status == Status::Ready => Ok(format!("{ip}:{}", self.names.sandbox_port)),
            _ => Err(error(StatusCode::SERVICE_UNAVAILABLE, "the session is not ready")),
        }
    }

    /// Sandboxes of the pool whose pods are ready, the oldest first.
    ///
    /// The pods are asked, not the Sandboxes' status: the controller writes that a moment later, and a session
    /// that is made in between would get a cold pod although a warm one is ready for everybody to see.
    async fn warm(&self) -> Result<Vec<Sandbox>, kube::Error> {
        let of_the_pool = ListParams::default().labels(&self.names.warm_selector());
        let ready: HashSet<String> = self
            .pods
            .list(&of_the_pool)
            .await?
            .items
            .into_iter()
            .filter(|pod| is_pod_ready(pod) && pod.metadata.deletion_timestamp.is_none())
            .filter_map(|pod| pod.metadata.name)
            .collect();
        let mut warm = self.sandboxes.list(&of_the_pool).await?.items;
        warm.retain(|sandbox| ready.contains(sandbox.name()) && !sandbox.is_deleted());
        warm.sort_by_key(|sandbox| sandbox.metadata.creation_timestamp.clone());
        Ok(warm)
    }

    /// A sandbox that isn't there yet.
    async fn cold(&self, id: &str, variables: &BTreeMap<String, String>) -> Sandbox {
        let mut variables = variables.clone();
        if let Some(previous) = self.token.previous() {
            variables.insert("HARNESS_AUTH_TOKEN_PREVIOUS".into(), previous.to_owned());
        }
        self.names.sandbox(
            Purpose::Session(id),
            self.token.for_sandbox().await.as_deref(),
            &variables,
        )
    }

    /// Claims the first warm sandbox that nobody else claims, or makes the cold one.
    async fn give_sandbox(&self, session: &Session, warm: &[Sandbox], cold: Sandbox) -> Result<Sandbox, kube::Error> {
        for candidate in warm {
            if session.sandbox != candidate.name() {
                self.records.set_sandbox(&session.id, candidate.name()).await?;
            }
            if let Some(claimed) = self.claim(candidate, &session.id).await? {
                return Ok(claimed);
            }
        }
        if !warm.is_empty() {
            self.records.set_sandbox(&session.id, cold.name()).await?;
        }
        self.sandboxes.create(&PostParams::default(), &cold).await
    }

    /// Takes a sandbox out of the pool for a session: its labels, those of its template, and those of its
    /// pod. The version makes it a test-and-set. Nothing where another session has it, or it is gone.
    async fn claim(&self, sandbox: &Sandbox, id: &str) -> Result<Option<Sandbox>, kube::Error> {
        let labels = json!({ &self.names.warm_label.0: null, &self.names.session_label: id });
        let mut version = sandbox.metadata.resource_version.clone();
        let claimed = loop {
            let patch = json!({
                "metadata": { "resourceVersion": version, "labels": labels },
                "spec": { "podTemplate": { "metadata": { "labels": labels } } },
            });
            let patched = self
                .sandboxes
                .patch(sandbox.name(), &PatchParams::default(), &Patch::Merge(patch))
                .await;
            match patched {
                Ok(claimed) => break claimed,
                Err(error) if has_code(&error, 404) => return Ok(None),
                // Another session was quicker, or the controller wrote the status of one that is still free.
                Err(error) if has_code(&error, 409) => match self.sandboxes.get_opt(sandbox.name()).await? {
                    Some(now) if self.names.is_warm(&now) && !now.is_deleted() => {
                        version = now.metadata.resource_version;
                    }
                    _ => return Ok(None),
                },
                Err(error) => return Err(error),
            }
        };
        let patch = Patch::Merge(json!({ "metadata": { "labels": labels } }));
        match self.pods.patch(sandbox.name(), &PatchParams::default(), &patch).await {
            // Its pod comes back with the template's labels.
            Err(error) if has_code(&error, 404) => {}
            other => drop(other?),
        }
        Ok(Some(claimed))
    }

    async fn session(&self, id: &str) -> Result<Session, Refusal> {
        let session = if is_id(id) {
            self.records.session(id).await
        } else {
            Ok(None)
        };
        session
            .map_err(|wrong| self.unavailable(&wrong))?
            .ok_or_else(|| error(StatusCode::NOT_FOUND, "no such session"))
    }

    async fn sandbox(&self, name: &str) -> Result<Option<Sandbox>, Refusal> {
        if name.is_empty() {
            return Ok(None);
        }
        let sandbox = async {
            let Some(sandbox) = self.sandboxes.get_opt(name).await? else {
                return Ok(None);
            };
            // Not every controller tells the pod's address.
            if sandbox.pod_ip().is_some() {
                return Ok(Some(sandbox));
            }
            let pod = self.pods.get_opt(sandbox.name()).await?;
            Ok(Some(sandbox.with_pod(pod.as_ref())))
        };
        sandbox.await.map_err(|wrong: kube::Error| self.unavailable(&wrong))
    }

    async fn remove(&self, sandbox: &str) -> Result<(), Refusal> {
        if sandbox.is_empty() {
            return Ok(());
        }
        match self.sandboxes.delete(sandbox, &DeleteParams::default()).await {
            Err(wrong) if !has_code(&wrong, 404) => Err(self.unavailable(&wrong)),
            _ => Ok(()),
        }
    }

    fn unavailable(&self, wrong: &kube::Error) -> Refusal {
        self.pod.log.line(format!("kubernetes: {wrong}"));
        error(StatusCode::SERVICE_UNAVAILABLE, "kubernetes doesn't answer")
    }
}

#[cfg(test)]
mod tests;
