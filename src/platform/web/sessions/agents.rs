//! Agents: what the calls of the session API about them do.

use http::StatusCode;
use serde_json::json;

use super::{Reply, Sessions};
use crate::platform::http::{error, json as answer};
use crate::platform::web::forms::{NewAgent, number, parse, show_agent};

impl Sessions {
    pub async fn list_agents(&self, query: &str) -> Reply {
        let agents = self.records.agents().await.map_err(|wrong| self.unavailable(&wrong))?;
        let limit = number(query, "limit")?.unwrap_or(100);
        let offset = number(query, "offset")?.unwrap_or(0);
        let page: Vec<_> = agents.iter().skip(offset).take(limit).map(show_agent).collect();
        Ok(answer(
            StatusCode::OK,
            &json!({ "data": page, "total": agents.len(), "limit": limit, "offset": offset }),
        ))
    }

    pub async fn create_agent(&self, body: &[u8]) -> Reply {
        let new: NewAgent = parse(body)?;
        let Some(model) = new.model.filter(|model| !model.is_empty()) else {
            return Err(error(StatusCode::BAD_REQUEST, "model is needed"));
        };
        let agent = self
            .records
            .create_agent(new.name.as_deref(), &model, new.harness_id.as_deref())
            .await;
        Ok(answer(
            StatusCode::OK,
            &show_agent(&agent.map_err(|wrong| self.unavailable(&wrong))?),
        ))
    }
}
