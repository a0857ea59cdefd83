//! `session`, `restart-session`, `delete-session`: the session API, as its clients use it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::agent::agent;
use super::context::StepContext;
use super::definition::{Phrase, Reach, Verb, phrases, verb};
use super::http::{self, Request};
use super::observation::{Observation, StepError};
use crate::vocabulary::Intrusion;
use crate::world::installation::changes::Changes;
use crate::world::roads;

/// The verb `session`.
pub const SESSION: Verb = Verb {
    phrases: PHRASES,
    default_given: Some("ready"),
    fields: FIELDS,
    objects: &["http"],
    takes_objects: &["session"],
    reach: Reach::Api,
    intrusion: |_| Intrusion::Use,
    ..verb!("session", Session, session)
};

/// The verb `restart-session`.
pub const RESTART_SESSION: Verb = Verb {
    phrases: PHRASES,
    default_given: Some("ready"),
    fields: FIELDS,
    objects: &["http"],
    takes_objects: &["restart-session"],
    reach: Reach::Api,
    intrusion: |_| Intrusion::Use,
    ..verb!("restart-session", RestartSession, restart)
};

/// The verb `delete-session`.
pub const DELETE_SESSION: Verb = Verb {
    phrases: phrases!["deleted", "the session is deleted", {"status": "deleted"};],
    default_given: Some("deleted"),
    fields: &["id", "status", "http"],
    objects: &["http"],
    takes_objects: &["delete-session"],
    reach: Reach::Api,
    intrusion: |_| Intrusion::Use,
    ..verb!("delete-session", DeleteSession, delete)
};

const PHRASES: &[Phrase] = phrases![
    "ready", "the session gets ready", {"status": "ready"};
    "answers <status>", "the session API answers with this status", {"http.status": {"one-of": "<status>"}};
];

/// What the session API tells of a session, and its answer.
const FIELDS: &[&str] = &[
    "id",
    "agent_id",
    "status",
    "sandbox_url",
    "tty_url",
    "tty_token",
    "supports_tui",
    "phase",
    "failure_reason",
    "created_at",
    "last_seen_at",
    "http",
];

/// Makes a session through the session API, or looks at one again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// `new`, or a session to look at again: `${s}`.
    pub session: Value,
}

/// Restarts a session through the session API: a new pod for the same session.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RestartSession {
    pub restart_session: Value,
}

/// Deletes a session through the session API.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DeleteSession {
    pub delete_session: Value,
}

/// Makes a session, or looks at one again.
pub async fn session(arguments: Session, context: &StepContext) -> Result<Observation, StepError> {
    if arguments.session != "new" {
        let id = id_of(&arguments.session)?;
        let what = format!("look at session {id}");
        let value = call(context, "GET", &format!("/sessions/{id}"), None, &what).await?;
        return Ok(Observation {
            what,
            value: observed(value, id),
        });
    }
    let agent = context.agent.get_or_try_init(|| agent(context)).await?;
    let what = match &agent.chosen {
        Some(name) => format!("make a session with the agent {name}"),
        None => "make a session".to_owned(),
    };
    let mut body = json!({});
    if let Some(changes) = context.world.changes() {
        // People see it in lists of theirs, and the run finds it by its name there.
        body["title"] = changes.session_title().into();
        let begun = changes.session_begun();
        begun.map_err(|error| StepError::doing(&what, error))?;
    }
    let path = format!("/agents/{}/session", agent.id);
    let made = call(context, "POST", &path, Some(body), &what).await?;
    // What fails on the other side may have made one all the same.
    if let (Some(changes), Some(400..500)) = (context.world.changes(), made["status"].as_u64()) {
        changes.session_not_made();
    }
    let Some(id) = made["body"]["id"].as_str().map(str::to_owned) else {
        return Ok(Observation {
            what,
            value: observed(made, String::new()),
        });
    };
    context.made_session(&id);
    if let Some(changes) = context.world.changes() {
        changes.session(&id).map_err(|error| StepError::doing(&what, error))?;
    }
    settled(context, &id, what).await
}

/// Restarts a session: a new pod for it.
pub async fn restart(arguments: RestartSession, context: &StepContext) -> Result<Observation, StepError> {
    let id = id_of(&arguments.restart_session)?;
    let what = format!("restart session {id}");
    let path = format!("/sessions/{id}/restart");
    let restarted = call_within(context.limits.ready, context, "POST", &path, Some(json!({})), &what).await?;
    match restarted["status"].as_u64() {
        Some(200..300) => settled(context, &id, what).await,
        _ => Ok(Observation {
            what,
            value: observed(restarted, id),
        }),
    }
}

/// Deletes a session.
pub async fn delete(arguments: DeleteSession, context: &StepContext) -> Result<Observation, StepError> {
    let id = id_of(&arguments.delete_session)?;
    let what = format!("delete session {id}");
    let value = call(context, "DELETE", &format!("/sessions/{id}"), None, &what).await?;
    if matches!(value["status"].as_u64(), Some(200..300 | 404)) {
        context.deleted_session(&id);
        if let Some(changes) = context.world.changes() {
            changes.session_deleted(&id);
        }
    }
    Ok(Observation {
        what,
        value: observed(value, id),
    })
}

/// Deletes what steps made and left, on a platform that isn't ours.
///
/// # Errors
/// Sessions that are still there.
pub async fn sweep(context: &StepContext) -> Result<(), StepError> {
    if context.world.installation().is_none() {
        return Ok(());
    }
    for id in context.sessions_left() {
        let left = DeleteSession {
            delete_session: id.clone().into(),
        };
        let deleted = delete(left, context).await?;
        if context.sessions_left().contains(&id) {
            return Err(StepError::Because(format!(
                "deleting session {id}, which is left on the platform: it answered {}",
                deleted.value["http"]["status"]
            )));
        }
    }
    Ok(())
}

/// The sessions that have this in their title.
///
/// # Errors
/// The API gives no list, or there are sessions and it tells no titles: then nobody can tell.
pub async fn titled(context: &StepContext, title: &str) -> Result<Vec<String>, StepError> {
    let what = "list sessions";
    let listed = call(context, "GET", "/sessions", None, what).await?;
    let body = &listed["body"];
    if listed["status"] == 200 && body.get("data").is_some_and(Value::is_null) {
        return Ok(Vec::new());
    }
    let sessions = [body, &body["data"], &body["sessions"]];
    let sessions = sessions.into_iter().find_map(Value::as_array);
    let (Some(sessions), Some(200)) = (sessions, listed["status"].as_u64()) else {
        let status = &listed["status"];
        return Err(StepError::Because(format!(
            "{what}, to find those of the run: the session API answered {status}, and no list"
        )));
    };
    let has_title = |session: &Value| session.get("title").is_some();
    if !sessions.is_empty() && !sessions.iter().any(has_title) {
        return Err(StepError::Because(format!(
            "{what}, to find those of the run: the session API tells no titles, and lists {}",
            sessions.len()
        )));
    }
    let is_of_run = |session: &&Value| session["title"].as_str().is_some_and(|known| known.contains(title));
    let ids = sessions
        .iter()
        .filter(is_of_run)
        .filter_map(|session| session["id"].as_str());
    Ok(ids.map(str::to_owned).collect())
}

/// Deletes all sessions of a run on a platform that isn't ours: those that it knows, and those that were being
/// made when it was interrupted, which it finds by their title. Gives how many there were.
pub async fn delete_all(context: &StepContext, changes: &Changes) -> Result<usize, StepError> {
    let known = changes.sessions();
    delete_each(&known, context).await?;
    let begun = changes.sessions_begun();
    if begun == 0 {
        return Ok(known.len());
    }
    let title = changes.session_title();
    let found = titled(context, &title).await.map_err(|error| {
        StepError::Because(format!(
            "{error}; a session with `{title}` in its title may be left, and where there is none {} can be deleted",
            changes.journal.path.display()
        ))
    })?;
    delete_each(&found, context).await?;
    (0..begun).for_each(|_| changes.session_not_made());
    Ok(known.len() + found.len())
}

async fn delete_each(sessions: &[String], context: &StepContext) -> Result<(), StepError> {
    for id in sessions {
        let left = DeleteSession {
            delete_session: id.clone().into(),
        };
        let deleted = delete(left, context).await?;
        let status = &deleted.value["http"]["status"];
        if !matches!(status.as_u64(), Some(200..300 | 404)) {
            return Err(StepError::Because(format!(
                "deleting session {id}: the session API answered {status}"
            )));
        }
    }
    Ok(())
}

/// Waits until a session is no longer being made.
async fn settled(context: &StepContext, id: &str, what: String) -> Result<Observation, StepError> {
    let deadline = Instant::now() + context.limits.ready;
    let (mut pause, longest) = context.limits.pause;
    loop {
        let value = call(context, "GET", &format!("/sessions/{id}"), None, &what).await?;
        let settled = value["body"]["status"]
            .as_str()
            .is_some_and(|status| status != "creating");
        if settled || Instant::now() >= deadline {
            return Ok(Observation {
                what,
                value: observed(value, id.to_owned()),
            });
        }
        sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// A session as steps see it: its own fields, and the HTTP answer under `http`.
fn observed(answer: Value, id: String) -> Value {
    let mut value = match answer["body"].clone() {
        Value::Object(fields) => Value::Object(fields),
        _ => json!({}),
    };
    value["kind"] = "session".into();
    if value["id"].is_null() {
        value["id"] = id.into();
    }
    value["http"] = answer;
    value
}

fn id_of(session: &Value) -> Result<String, StepError> {
    session["id"]
        .as_str()
        .or(session.as_str())
        .map(str::to_owned)
        .ok_or_else(|| {
            StepError::Because(format!(
                "this is not a session: {session}; bind one with `session: new` and `as`"
            ))
        })
}

/// Asks the session API.
pub(super) async fn call(
    context: &StepContext,
    method: &str,
    path: &str,
    body: Option<Value>,
    title: &str,
) -> Result<Value, StepError> {
    call_within(context.limits.answer, context, method, path, body, title).await
}

async fn call_within(
    limit: Duration,
    context: &StepContext,
    method: &str,
    path: &str,
    body: Option<Value>,
    title: &str,
) -> Result<Value, StepError> {
    let door = roads::api(&context.world)
        .await
        .map_err(|error| StepError::doing(title, error))?;
    let mut request = Request::new(method, &format!("{}{path}", context.world.name("api.path")));
    let key = ::http::HeaderValue::from_str(&format!("Bearer {}", context.world.master_key))
        .map_err(|error| StepError::doing("the master key as a header", error))?;
    request.headers.push((::http::header::AUTHORIZATION, key));
    request.body = body.map(|body| body.to_string());
    http::send(request, limit, &door, None, context, title).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::definition::unlike_listed;

    #[test]
    fn a_session_has_its_id_and_the_answer_whatever_that_was() {
        let gone = observed(json!({ "status": 404, "body": { "status": "deleted" } }), "s1".into());
        assert_eq!((&gone["id"], &gone["http"]["status"]), (&json!("s1"), &json!(404)));
        assert_eq!(unlike_listed(&DELETE_SESSION, &gone), [""; 0]);
        let broken = observed(json!({ "broken": "reset" }), "s1".into());
        assert_eq!(unlike_listed(&DELETE_SESSION, &broken), ["status"]);
        let whole = json!({
            "id": "s2", "agent_id": "a", "status": "ready", "sandbox_url": "http://10.0.0.1:8080", "tty_url": "/tty",
            "tty_token": null, "supports_tui": true, "phase": "ready", "failure_reason": null, "created_at": 0,
            "last_seen_at": 0,
        });
        let ready = observed(json!({ "status": 200, "body": whole }), String::new());
        assert_eq!(ready["id"], "s2");
        assert_eq!(unlike_listed(&SESSION, &ready), [""; 0]);
    }
}
