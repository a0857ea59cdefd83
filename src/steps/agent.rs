//! The agent that sessions are made with.

use serde_json::{Value, json};

use super::context::{Agent, StepContext};
use super::observation::StepError;
use super::session::call;

/// The value of `session.agent` that leaves the choice to us.
const ANY_AGENT: &str = "any";

/// An agent for the scenario's sessions: one that the profile names, or the first with a terminal; on our own platform
/// one that is made.
pub(super) async fn agent(context: &StepContext) -> Result<Agent, StepError> {
    let listed = call(context, "GET", "/agents", None, "list agents").await?;
    let lists = [&listed["body"]["data"], &listed["body"]];
    let agents = lists.into_iter().find_map(Value::as_array);
    let agents = agents.map(Vec::as_slice).unwrap_or_default();
    let wanted = context.world.name("session.agent");
    if let Some(chosen) = choose(agents, wanted) {
        return Ok(chosen);
    }
    if context.world.installation().is_some() && !agents.is_empty() {
        return Err(StepError::Because(no_such_agent(agents, wanted)));
    }
    if context.world.installation().is_some() {
        let path = context.world.name("api.path");
        return Err(StepError::Because(unlisted(&listed, path)));
    }
    let id = make_agent(context).await?;
    Ok(Agent { id, chosen: None })
}

/// Why the platform's list of agents has none.
fn unlisted(listed: &Value, path: &str) -> String {
    let asked = format!("GET {path}/agents");
    match listed["status"].as_u64() {
        Some(200..300) => format!(
            "the platform lists no agent ({asked}: {}) to make sessions with, and one that gauntlet made could not be \
             deleted again; make one: POST {path}/agents",
            listed["status"]
        ),
        Some(404) => format!(
            "the platform has no session API at {path} ({asked}: 404); say where it is as `api.path` in the profile"
        ),
        Some(status @ (401 | 403)) => format!(
            "the session API refuses the master key ({asked}: {status}); `secret.master-key` in the profile says which \
             key of the secret it is, or `secrets` where else it comes from"
        ),
        Some(status) => {
            format!("the session API doesn't list agents ({asked}: {status}); the transcript has its answer")
        }
        None => {
            let why = match (&listed["broken"], listed["no_answer_within"].as_u64()) {
                (Value::String(why), _) => why.clone(),
                (_, Some(waited)) => format!("no answer within {waited} ms"),
                _ => listed.to_string(),
            };
            format!(
                "the session API can't be reached ({asked}: {why}); is the platform up, and are the profile's roads right?"
            )
        }
    }
}

/// The agent of this name or id; of any the first that doesn't say that it has no terminal.
fn choose(agents: &[Value], wanted: &str) -> Option<Agent> {
    let fits = |agent: &&Value| match wanted {
        "" | ANY_AGENT => agent["supports_tui"] != false,
        wanted => agent["id"] == wanted || agent["name"] == wanted,
    };
    let agent = agents.iter().filter(|agent| agent["id"].is_string()).find(fits)?;
    let id = agent["id"].as_str()?.to_owned();
    let name = agent["name"].as_str().unwrap_or(&id).to_owned();
    Some(Agent {
        id,
        chosen: (agents.len() > 1).then_some(name),
    })
}

/// Why none of the platform's agents will do.
fn no_such_agent(agents: &[Value], wanted: &str) -> String {
    let names = agents
        .iter()
        .filter_map(|agent| agent["name"].as_str().or(agent["id"].as_str()));
    let names = names.collect::<Vec<_>>().join(", ");
    match wanted {
        "" | ANY_AGENT => format!("no agent of the platform has a terminal (`supports_tui` is false): {names}"),
        wanted => format!("the platform has no agent `{wanted}` (`session.agent` in the profile), only {names}"),
    }
}

/// Makes an agent.
pub async fn make_agent(context: &StepContext) -> Result<String, StepError> {
    let name = match context.world.name("session.agent") {
        "" | ANY_AGENT => "gauntlet",
        name => name,
    };
    let body = json!({ "model": "gauntlet", "name": name });
    let made = call(context, "POST", "/agents", Some(body), "make an agent").await?;
    made["body"]["id"].as_str().map(str::to_owned).ok_or_else(|| {
        StepError::Because(format!(
            "making an agent: the session API answered {}: {}",
            made["status"], made["text"]
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_without_agents_is_told_by_what_came_back() {
        for (listed, said) in [
            (json!({ "status": 200 }), "make one: POST /api/agents"),
            (json!({ "status": 404 }), "`api.path`"),
            (
                json!({ "status": 401 }),
                "refuses the master key (GET /api/agents: 401)",
            ),
            (json!({ "status": 502 }), "doesn't list agents (GET /api/agents: 502)"),
            (
                json!({ "broken": "Connection refused" }),
                "(GET /api/agents: Connection refused)",
            ),
            (json!({ "no_answer_within": 5000 }), "no answer within 5000 ms"),
            (json!({ "connection": "refused" }), "{\"connection\":\"refused\"}"),
        ] {
            let told = unlisted(&listed, "/api");
            assert!(told.contains(said), "{said} in {told}");
        }
    }

    #[test]
    fn the_agent_is_one_with_a_terminal_or_the_one_that_is_named() {
        let agents = [
            json!({ "id": "a", "name": "batch", "supports_tui": false }),
            json!({ "id": "b", "name": "shell" }),
            json!({ "id": "c", "name": "other", "supports_tui": true }),
        ];
        let chosen = |agents: &[Value], wanted| choose(agents, wanted).map(|agent| (agent.id, agent.chosen));
        let of = |id: &str, name: &str| Some((id.to_owned(), Some(name.to_owned())));
        assert_eq!(chosen(&agents, "any"), of("b", "shell"));
        assert_eq!(chosen(&agents, "other"), of("c", "other"));
        assert_eq!(chosen(&agents, "a"), of("a", "batch"));
        assert_eq!(chosen(&agents, "none"), None);
        assert_eq!(chosen(&agents[..1], "any"), None);
        // Where there is one there is no choice.
        assert_eq!(chosen(&agents[1..2], "any"), Some(("b".to_owned(), None)));
        assert_eq!(
            no_such_agent(&agents, "none"),
            "the platform has no agent `none` (`session.agent` in the profile), only batch, shell, other"
        );
    }
}
