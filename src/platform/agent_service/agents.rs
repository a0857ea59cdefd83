//! The agents: in memory, lost with the pod.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{Response, StatusCode};
use http_body_util::{Either, Full};
use serde_json::{Map, Value, json};

use super::super::http::{Body, Refusal, error, json};
use super::not_found;

/// The most that there can be.
const MOST: usize = 10_000;

/// Agents by id.
#[derive(Default)]
pub struct Agents(Mutex<BTreeMap<String, Agent>>);

struct Agent {
    name: String,
    settings: Map<String, Value>,
}

impl Agent {
    fn show(&self, id: &str) -> Value {
        json!({ "id": id, "name": self.name, "settings": self.settings })
    }
}

impl Agents {
    pub fn list(&self) -> Value {
        self.lock().iter().map(|(id, agent)| agent.show(id)).collect()
    }

    /// None if there is no such agent.
    pub fn shown(&self, id: &str) -> Option<Value> {
        self.lock().get(id).map(|agent| agent.show(id))
    }

    pub fn show(&self, id: &str) -> Result<Response<Body>, Refusal> {
        Ok(json(StatusCode::OK, &self.shown(id).ok_or_else(not_found)?))
    }

    /// `{name?, settings?}`.
    pub fn create(&self, body: &[u8]) -> Result<Response<Body>, Refusal> {
        let mut fields = if body.is_empty() { Map::new() } else { object(body)? };
        let settings = match fields.remove("settings") {
            None => Map::new(),
            Some(Value::Object(settings)) => settings,
            Some(_) => return Err(error(StatusCode::BAD_REQUEST, "settings is no object")),
        };
        let name = match fields.remove("name") {
            None => "agent".to_owned(),
            Some(Value::String(name)) => name,
            Some(_) => return Err(error(StatusCode::BAD_REQUEST, "name is no text")),
        };
        let mut agents = self.lock();
        if agents.len() >= MOST {
            return Err(error(StatusCode::INSUFFICIENT_STORAGE, "there are too many agents"));
        }
        let id = format!("{:016x}", rand::random::<u64>());
        let agent = Agent { name, settings };
        let shown = agent.show(&id);
        agents.insert(id, agent);
        Ok(json(StatusCode::CREATED, &shown))
    }

    pub fn delete(&self, id: &str) -> Result<Response<Body>, Refusal> {
        self.lock().remove(id).ok_or_else(not_found)?;
        let mut response = Response::new(Either::Left(Full::default()));
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }

    /// Sets some of an agent's settings; null takes one away (RFC 7396).
    pub fn settings(&self, id: &str, body: &[u8]) -> Result<Response<Body>, Refusal> {
        let changes = object(body)?;
        let mut agents = self.lock();
        let agent = agents.get_mut(id).ok_or_else(not_found)?;
        for (name, value) in changes {
            match value {
                Value::Null => drop(agent.settings.remove(&name)),
                value => drop(agent.settings.insert(name, value)),
            }
        }
        Ok(json(StatusCode::OK, &agent.show(id)))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Agent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    serde_json::from_slice(body).map_err(|_| error(StatusCode::BAD_REQUEST, "the body is no JSON object"))
}
