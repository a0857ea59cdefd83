//! The model API: `POST /backend-api/codex/responses`.
//!
//! Seen with codex 0.171.0: it prints the text of the item in `response.output_item.done`, and wants
//! `response.completed` behind it; deltas need a `response.output_item.added` before them, or it says
//! `OutputTextDelta without active item`. It asks for nothing else first, neither `/models` nor anything.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{Either, Full};
use serde_json::{Value, json};

use super::super::super::http::Body;
use super::super::super::token::bearer;
use super::super::clock::now;
use super::behaviour::{Kind, Rule};
use super::message::{Fault, Message};
use super::oauth::mismatch;
use super::state::State;
use super::tokens::sha256;
use super::{Vendor, ok};

/// In how many seconds a usage cap is said to end.
const RESETS: u64 = 3 * 3600;

impl Vendor {
    pub fn respond(&self, message: &Message) -> Result<Response<Body>, Fault> {
        let token = message.headers.get(AUTHORIZATION);
        let token = token.and_then(|value| bearer(value.as_bytes())).unwrap_or_default();
        let asked = message.json();
        let model = asked.as_ref().ok().and_then(|asked| asked["model"].as_str());
        let model = model.unwrap_or_default().to_owned();
        let mut state = self.state();
        let (account, judged) = self.judged(&mut state, message, token);
        let answer = judged.and_then(|account| {
            let asked = asked?;
            let text = format!("Hello from {account}.");
            let id = format!("resp_{}", state.logins.len());
            Ok(match asked["stream"] == true {
                true => stream(&events(&model, &id, &text)),
                false => ok(&response(&model, &id, &text)),
            })
        });
        let status = answer.as_ref().map_or_else(Fault::status, Response::status);
        let from = message.peer.ip();
        let records = &mut state.records;
        records.call(account.as_deref(), &sha256(token), &model, from, status.as_u16());
        answer
    }

    /// Whose token it is, and whether it is good for a call from there.
    fn judged(&self, state: &mut State, message: &Message, token: &[u8]) -> (Option<String>, Result<String, Fault>) {
        let refused = |code: &str| {
            let message = "the access token is not accepted";
            Fault::of_model(StatusCode::UNAUTHORIZED, json!({ "code": code, "message": message }))
        };
        let Some(claims) = self.tokens.claims(token) else {
            return (None, Err(refused("invalid_token")));
        };
        let login = state.logins.iter_mut().find(|login| login.id == claims.login);
        let Some(login) = login else {
            return (None, Err(refused("invalid_token")));
        };
        let account = login.account.clone();
        let judged = match () {
            () if login.revoked => Err(refused("token_revoked")),
            () if claims.expires_at <= now() => Err(refused("token_expired")),
            () if self.is_bound_elsewhere(login, message.network()) => Err(mismatch()),
            () => match state.behaviour.refuses(&account) {
                Some(rule) => Err(limit(&rule)),
                None => Ok(account.clone()),
            },
        };
        (Some(account), judged)
    }
}

/// The refusal that a rule says.
fn limit(rule: &Rule) -> Fault {
    let status = StatusCode::from_u16(rule.status).unwrap_or(StatusCode::TOO_MANY_REQUESTS);
    let error = match (status, rule.kind) {
        (StatusCode::TOO_MANY_REQUESTS, Kind::UsageCap) => json!({
            "type": "usage_limit_reached",
            "message": "The usage limit has been reached",
            "resets_in_seconds": RESETS,
        }),
        (StatusCode::TOO_MANY_REQUESTS, Kind::Transient) => json!({
            "type": "rate_limit_exceeded",
            "message": "Too many requests",
        }),
        _ => json!({ "type": "server_error", "message": "told to" }),
    };
    Fault::of_model(status, error)
}

fn message(text: &str) -> Value {
    json!({
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{ "type": "output_text", "text": text, "annotations": [] }],
    })
}

fn response(model: &str, id: &str, text: &str) -> Value {
    json!({
        "id": id,
        "object": "response",
        "status": "completed",
        "model": model,
        "output": [message(text)],
        "usage": {
            "input_tokens": 1,
            "input_tokens_details": { "cached_tokens": 0 },
            "output_tokens": 1,
            "output_tokens_details": { "reasoning_tokens": 0 },
            "total_tokens": 2,
        },
    })
}

/// An answer as the events of a stream.
pub fn events(model: &str, id: &str, text: &str) -> String {
    let done = message(text);
    let begun =
        json!({ "type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": [] });
    let events = [
        json!({
            "type": "response.created",
            "response": { "id": id, "object": "response", "status": "in_progress", "model": model },
        }),
        json!({ "type": "response.output_item.added", "output_index": 0, "item": begun }),
        json!({
            "type": "response.output_text.delta",
            "item_id": "msg_1",
            "output_index": 0,
            "content_index": 0,
            "delta": text,
        }),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": done }),
        json!({ "type": "response.completed", "response": response(model, id, text) }),
    ];
    events
        .iter()
        .map(|event| {
            format!(
                "event: {}\ndata: {event}\n\n",
                event["type"].as_str().unwrap_or_default()
            )
        })
        .collect()
}

fn stream(events: &str) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::from(Bytes::from(events.to_owned()))));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
