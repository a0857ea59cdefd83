//! Request bodies of the session API, and how agents are shown.

use std::collections::BTreeMap;

use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::http::{Refusal, error};
use super::super::records::Agent;

#[derive(Deserialize)]
pub struct NewAgent {
    pub model: Option<String>,
    pub name: Option<String>,
    pub harness_id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct NewSession {
    pub title: Option<String>,
    pub env_vars: Option<BTreeMap<String, String>>,
}

pub fn show_agent(agent: &Agent) -> Value {
    json!({
        "id": agent.id,
        "name": agent.name,
        "model": agent.model,
        "harness_id": agent.harness_id,
        "supports_tui": true,
        "created_at": agent.created_at,
    })
}

pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    // The parser's message may quote the body, which may hold secrets.
    serde_json::from_slice(body).map_err(|wrong| {
        error(
            StatusCode::BAD_REQUEST,
            format!(
                "body is not as it should be at line {}, column {}",
                wrong.line(),
                wrong.column()
            ),
        )
    })
}

pub fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query
        .split('&')
        .find_map(|parameter| parameter.split_once('=').filter(|(key, _)| *key == name))?
        .1;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

pub fn number(query: &str, name: &str) -> Result<Option<usize>, Refusal> {
    parameter(query, name)
        .map(|text| {
            text.parse()
                .map_err(|_| error(StatusCode::BAD_REQUEST, format!("{name} is not a number")))
        })
        .transpose()
}
