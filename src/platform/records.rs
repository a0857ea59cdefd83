//! Agents and sessions, kept as ConfigMaps so that they outlive web and the
//! sandboxes.
//!
//! | record | name | labels | data |
//! |---|---|---|---|
//! | agent | `agent-<id>` | `litellm/record=agent` | `name`, `model`, `harness_id` |
//! | session | `session-<id>` | `litellm/record=session`, `litellm/agent=<id>` | `title`, `env_vars`, `sandbox`, `status`, `failure_reason`, `last_seen_at` |
//!
//! Web writes what it is asked for; the worker writes what became of it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::objects::{has_code, new_id};

pub const RECORD: &str = "litellm/record";
const AGENT: &str = "litellm/agent";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Creating,
    Ready,
    Failed,
    Dead,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Creating => "creating",
            Status::Ready => "ready",
            Status::Failed => "failed",
            Status::Dead => "dead",
        }
    }

    fn from_name(name: &str) -> Option<Status> {
        [Status::Creating, Status::Ready, Status::Failed, Status::Dead]
            .into_iter()
            .find(|status| status.name() == name)
    }
}

pub struct Agent {
    pub id: String,
    pub name: String,
    pub model: String,
    pub harness_id: Option<String>,
    pub created_at: Option<String>,
}

#[derive(Clone)]
pub struct Session {
    pub id: String,
    pub agent_id: String,
    pub title: Option<String>,
    pub env_vars: BTreeMap<String, String>,
    /// The name of its sandbox; empty until it has one.
    pub sandbox: String,
    pub status: Status,
    pub failure_reason: Option<String>,
    pub created_at: Option<String>,
    pub last_seen_at: Option<String>,
    version: Option<String>,
}

#[derive(Clone)]
pub struct Records {
    maps: Api<ConfigMap>,
}

type Result<T> = std::result::Result<T, kube::Error>;

impl Records {
    pub fn new(client: kube::Client, namespace: &str) -> Records {
        Records {
            maps: Api::namespaced(client, namespace),
        }
    }

    pub async fn create_agent(&self, name: Option<&str>, model: &str, harness_id: Option<&str>) -> Result<Agent> {
        let id = new_id();
        let mut data = BTreeMap::from([("model".to_owned(), model.to_owned())]);
        data.insert("name".into(), name.unwrap_or(model).to_owned());
        data.extend(harness_id.map(|harness| ("harness_id".into(), harness.to_owned())));
        let labels = BTreeMap::from([(RECORD.to_owned(), "agent".to_owned())]);
        Ok(agent(self.create(format!("agent-{id}"), labels, data).await?))
    }

    pub async fn agent(&self, id: &str) -> Result<Option<Agent>> {
        Ok(self.get(&format!("agent-{id}")).await?.map(agent))
    }

    /// All agents, the oldest first.
    pub async fn agents(&self) -> Result<Vec<Agent>> {
        Ok(self
            .list(format!("{RECORD}=agent"))
            .await?
            .into_iter()
            .map(agent)
            .collect())
    }

    /// A session that is being created.
    pub async fn create_session(
        &self,
        id: &str,
        agent_id: &str,
        title: Option<&str>,
        env_vars: &BTreeMap<String, String>,
        sandbox: &str,
    ) -> Result<Session> {
        let mut data = BTreeMap::from([
            ("status".to_owned(), Status::Creating.name().to_owned()),
            ("sandbox".to_owned(), sandbox.to_owned()),
            ("env_vars".to_owned(), json!(env_vars).to_string()),
        ]);
        data.extend(title.map(|title| ("title".into(), title.to_owned())));
        let labels = BTreeMap::from([
            (RECORD.to_owned(), "session".to_owned()),
            (AGENT.to_owned(), agent_id.to_owned()),
        ]);
        Ok(session(self.create(format!("session-{id}"), labels, data).await?))
    }

    pub async fn session(&self, id: &str) -> Result<Option<Session>> {
        Ok(self.get(&format!("session-{id}")).await?.map(session))
    }

    /// The sessions of one agent or of all, the oldest first.
    pub async fn sessions(&self, agent_id: Option<&str>) -> Result<Vec<Session>> {
        let mut selector = format!("{RECORD}=session");
        if let Some(agent_id) = agent_id {
            selector += &format!(",{AGENT}={agent_id}");
        }
        Ok(self.list(selector).await?.into_iter().map(session).collect())
    }

    pub async fn delete_session(&self, id: &str) -> Result<()> {
        gone(
            self.maps
                .delete(&format!("session-{id}"), &DeleteParams::default())
                .await
                .map(drop),
        )
    }

    pub async fn set_sandbox(&self, id: &str, sandbox: &str) -> Result<()> {
        gone(self.patch(id, json!({ "data": { "sandbox": sandbox } })).await)
    }

    /// What became of a session.
    pub async fn set_status(&self, id: &str, status: Status, sandbox: &str, failure: Option<&str>) -> Result<()> {
        let mut data = json!({ "status": status.name(), "sandbox": sandbox, "failure_reason": failure });
        if status == Status::Ready {
            data["last_seen_at"] = jiff::Timestamp::now().to_string().into();
        }
        gone(self.patch(id, json!({ "data": data })).await)
    }

    /// Begins a session's creation again, unless someone else changed it meanwhile (409).
    pub async fn begin_restart(&self, session: &Session, sandbox: &str) -> Result<()> {
        let data = json!({ "status": Status::Creating.name(), "sandbox": sandbox, "failure_reason": Value::Null });
        self.patch(
            &session.id,
            json!({ "metadata": { "resourceVersion": session.version }, "data": data }),
        )
        .await
    }

    /// Waits until a session is no longer being created; `None` if it was deleted.
    pub async fn settled(&self, id: &str) -> std::result::Result<Option<Session>, kube::runtime::wait::Error> {
        let settled = |map: Option<&ConfigMap>| map.is_none_or(|map| status(map) != Status::Creating);
        let map = kube::runtime::wait::await_condition(self.maps.clone(), &format!("session-{id}"), settled).await?;
        Ok(map.map(session))
    }

    /// Whether the API answers.
    pub async fn ping(&self) -> Result<()> {
        self.maps.list(&ListParams::default().limit(1)).await.map(drop)
    }

    /// Stores a value under a name and returns the previous one: the mutants' memory.
    pub async fn swap(&self, name: &str, value: &str) -> Result<Option<String>> {
        let data = BTreeMap::from([("value".to_owned(), value.to_owned())]);
        match self.get(name).await? {
            None => self.create(name.to_owned(), BTreeMap::new(), data).await.map(|_| None),
            Some(map) => {
                let patch = Patch::Merge(json!({ "data": data }));
                self.maps.patch(name, &PatchParams::default(), &patch).await?;
                Ok(map.data.and_then(|mut data| data.remove("value")))
            }
        }
    }

    async fn create(
        &self,
        name: String,
        labels: BTreeMap<String, String>,
        data: BTreeMap<String, String>,
    ) -> Result<ConfigMap> {
        let metadata = ObjectMeta {
            name: Some(name),
            labels: Some(labels),
            ..ObjectMeta::default()
        };
        let map = ConfigMap {
            metadata,
            data: Some(data),
            ..ConfigMap::default()
        };
        self.maps.create(&PostParams::default(), &map).await
    }

    async fn get(&self, name: &str) -> Result<Option<ConfigMap>> {
        self.maps.get_opt(name).await
    }

    async fn list(&self, selector: String) -> Result<Vec<ConfigMap>> {
        let mut maps = self.maps.list(&ListParams::default().labels(&selector)).await?.items;
        maps.sort_by(|a, b| {
            let key = |map: &ConfigMap| (map.metadata.creation_timestamp.clone(), map.metadata.name.clone());
            key(a).cmp(&key(b))
        });
        Ok(maps)
    }

    async fn patch(&self, id: &str, patch: Value) -> Result<()> {
        self.maps
            .patch(&format!("session-{id}"), &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map(drop)
    }
}

/// Nothing is left to do to what is gone.
fn gone(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if has_code(&error, 404) => Ok(()),
        other => other,
    }
}

/// Ids come from URLs and go into names: nothing else may pass.
pub fn is_id(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn status(map: &ConfigMap) -> Status {
    let name = map.data.as_ref().and_then(|data| data.get("status"));
    name.and_then(|name| Status::from_name(name)).unwrap_or(Status::Failed)
}

fn created_at(map: &ConfigMap) -> Option<String> {
    map.metadata.creation_timestamp.as_ref().map(|time| time.0.to_string())
}

fn id(map: &ConfigMap, prefix: &str) -> String {
    let name = map.metadata.name.as_deref().unwrap_or_default();
    name.strip_prefix(prefix).unwrap_or(name).to_owned()
}

fn agent(map: ConfigMap) -> Agent {
    let (id, created_at) = (id(&map, "agent-"), created_at(&map));
    let mut data = map.data.unwrap_or_default();
    Agent {
        id,
        created_at,
        name: data.remove("name").unwrap_or_default(),
        model: data.remove("model").unwrap_or_default(),
        harness_id: data.remove("harness_id"),
    }
}

fn session(map: ConfigMap) -> Session {
    let (id, created_at, status) = (id(&map, "session-"), created_at(&map), status(&map));
    let agent_id = map
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(AGENT))
        .cloned()
        .unwrap_or_default();
    let mut data = map.data.unwrap_or_default();
    Session {
        id,
        agent_id,
        created_at,
        status,
        title: data.remove("title"),
        env_vars: data
            .remove("env_vars")
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
        sandbox: data.remove("sandbox").unwrap_or_default(),
        failure_reason: data.remove("failure_reason"),
        last_seen_at: data.remove("last_seen_at"),
        version: map.metadata.resource_version,
    }
}
