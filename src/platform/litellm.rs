//! A small LiteLLM: lists models and answers for one of them, to clients with a key.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `PORT` | 4000 | |
//! | `LITELLM_MASTER_KEY` | | may all; without it every call is 401 |
//! | `VIRTUAL_KEYS` | | `KEY=MODEL,…`: keys that may use one model each |
//!
//! `GET /calls` with the master key shows the calls that came, without their keys: what is to be proven
//! is that they arrive here.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::http::{Answer, Body, Handler, Refusal, Server, error};
use super::token::{bearer, equal};
use super::{ComponentError, Pod};

/// The longest body that a call may have.
const MAX_BODY: usize = 256 * 1024;

/// Calls that are remembered.
const MOST_CALLS: usize = 1_000;

/// The models that there are.
const MODELS: [&str; 2] = ["gauntlet-small", "gauntlet-large"];

pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    let port = pod.number("PORT", 4000)?;
    let server = Server::new(&pod, Duration::from_secs(1))?;
    let virtual_keys = pod
        .var_or("VIRTUAL_KEYS", "")
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, model)| (key.to_owned(), model.to_owned()))
        .collect();
    let litellm = LiteLlm {
        master_key: pod
            .var("LITELLM_MASTER_KEY")
            .filter(|key| !key.is_empty())
            .map(str::to_owned),
        virtual_keys,
        calls: Mutex::default(),
        server: server.clone(),
    };
    let listener = pod.listen(port).await?;
    pod.log.line(format!("litellm: on port {port}"));
    server.serve(listener, Arc::new(litellm)).await
}

struct LiteLlm {
    master_key: Option<String>,
    /// Each with the model that it may use.
    virtual_keys: Vec<(String, String)>,
    calls: Mutex<Vec<Value>>,
    server: Arc<Server>,
}

/// Whose a call is.
enum Caller<'a> {
    Master,
    /// May use this model.
    Virtual(&'a str),
}

impl Caller<'_> {
    fn may_use(&self, model: &str) -> bool {
        match self {
            Caller::Master => true,
            Caller::Virtual(own) => *own == model,
        }
    }
}

impl Handler for LiteLlm {
    async fn answer(&self, request: Request<Incoming>, _peer: SocketAddr) -> Answer {
        let path = request.uri().path();
        if let Some(answer) = self.server.common(request.method(), path) {
            return answer.into();
        }
        if path == "/health/readiness" {
            return super::http::json(StatusCode::OK, &json!({ "status": "connected" })).into();
        }
        self.call(request).await.map_or_else(Answer::from, Answer::from)
    }
}

impl LiteLlm {
    fn caller(&self, headers: &HeaderMap) -> Option<Caller<'_>> {
        let given = bearer(headers.get(AUTHORIZATION)?.as_bytes())?;
        if self.master_key.as_ref().is_some_and(|key| equal(given, key.as_bytes())) {
            return Some(Caller::Master);
        }
        let known = self.virtual_keys.iter().find(|(key, _)| equal(given, key.as_bytes()));
        known.map(|(_, model)| Caller::Virtual(model))
    }

    async fn call(&self, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        let Some(caller) = self.caller(&parts.headers) else {
            let refusal = error(
                StatusCode::UNAUTHORIZED,
                "Authentication Error, Invalid proxy server token passed",
            );
            return Err(refusal.with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        };
        let path = parts.uri.path();
        // Both are known to LiteLLM's clients.
        match (parts.method.as_str(), path.strip_prefix("/v1").unwrap_or(path)) {
            ("GET", "/models") => Ok(ok(&models(&caller))),
            ("POST", "/chat/completions") => self.complete(&caller, body, chat).await,
            ("POST", "/responses") => self.complete(&caller, body, response).await,
            ("GET", "/calls") if matches!(caller, Caller::Master) => {
                let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(ok(&json!({ "calls": *calls })))
            }
            _ => Err(error(StatusCode::NOT_FOUND, "Not Found")),
        }
    }

    async fn complete(
        &self,
        caller: &Caller<'_>,
        body: Incoming,
        answer: fn(&str) -> Value,
    ) -> Result<Response<Body>, Refusal> {
        let body = Limited::new(body, MAX_BODY).collect().await;
        let body = body.map_err(|_| error(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long, or broken"))?;
        let asked: Value = serde_json::from_slice(&body.to_bytes())
            .map_err(|_| error(StatusCode::BAD_REQUEST, "the body is no JSON"))?;
        let model = asked["model"].as_str().unwrap_or_default();
        if !MODELS.contains(&model) {
            return Err(error(StatusCode::BAD_REQUEST, "there is no such model"));
        }
        if !caller.may_use(model) {
            return Err(error(StatusCode::FORBIDDEN, "the key is not for this model"));
        }
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() < MOST_CALLS {
            calls.push(json!({ "model": model }));
        }
        Ok(ok(&answer(model)))
    }
}

fn models(caller: &Caller<'_>) -> Value {
    let shown: Vec<Value> = MODELS
        .into_iter()
        .filter(|model| caller.may_use(model))
        .map(|model| json!({ "id": model, "object": "model", "owned_by": "gauntlet" }))
        .collect();
    json!({ "object": "list", "data": shown })
}

pub fn chat(model: &str) -> Value {
    let message = json!({ "role": "assistant", "content": "Hello." });
    let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
    json!({ "id": "chatcmpl-1", "object": "chat.completion", "model": model, "choices": [choice] })
}

pub fn response(model: &str) -> Value {
    let content = json!([{ "type": "output_text", "text": "Hello." }]);
    let message = json!({ "type": "message", "role": "assistant", "content": content });
    json!({ "id": "resp_1", "object": "response", "status": "completed", "model": model, "output": [message] })
}

fn ok(value: &Value) -> Response<Body> {
    super::http::json(StatusCode::OK, value)
}
