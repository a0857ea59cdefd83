//! LiteLLM whose codex models are answered by the vendor, with the login in `auth.json`.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `PORT` | 4000 | |
//! | `LITELLM_MASTER_KEY` | | may all; without it and virtual keys every call is 401 |
//! | `VIRTUAL_KEYS` | `[]` | `[{"key","models","alias"?,"expires"?,"blocked"?,"budget"?}]` |
//! | `CODEX_API_BASE` | | the vendor's `…/backend-api/codex` |
//! | `CODEX_MODELS` | `gpt-5-codex` | models that are the vendor's |
//! | `OTHER_MODELS` | `gauntlet-small` | models that it answers itself |
//! | `CHATGPT_AUTH_DIR` | `/chatgpt-auth` | the folder with `auth.json` |
//!
//! `auth.json` is read anew for each call, since the rotator replaces it. Readiness says nothing of logins: a pod
//! without one has to be there for somebody to make one. A call with `"mock_response": "litellm.RateLimitError"`
//! for a model of its own gets 429, as in the real one. `GET /calls` (master key) shows the calls that came,
//! without keys. With the master key `POST /key/generate` makes a virtual key, `{"duration"?,"max_budget"?,"models"?}`,
//! `POST /key/block` `{"key"}` blocks one, and `POST /key/delete` `{"keys"}` deletes some.

mod answers;
mod keys;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::super::http::{Answer, Body, Handler, Passed, Server};
use super::super::{ComponentError, Pod, litellm, mutant};
use super::clock::now;
use super::folder::{AUTH, Folder, PRIVATE, SIGNAL};
use super::login::{Login, NoLogin};
use super::outgoing::{self, Post};
use super::signal;
use answers::{Form, Problem};
use keys::{Caller, Keys};

/// The longest body that a call may have: codex sends 40 KB before anybody has said anything.
const MAX_BODY: usize = 4 << 20;

/// Calls that are remembered.
const MOST_CALLS: usize = 10_000;

/// How long the vendor may take to begin its answer.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    let port = pod.number("PORT", 4000)?;
    let server = Server::new(&pod, Duration::from_secs(1))?;
    let litellm = LiteLlm {
        keys: Keys::new(&pod)?,
        vendor: pod.var_or("CODEX_API_BASE", "").trim_end_matches('/').to_owned(),
        codex_models: names(pod.var_or("CODEX_MODELS", "gpt-5-codex")),
        other_models: names(pod.var_or("OTHER_MODELS", "gauntlet-small")),
        folder: Folder::of(&pod),
        kept: Mutex::default(),
        calls: Mutex::default(),
        server: server.clone(),
        pod: pod.clone(),
    };
    let listener = pod.listen(port).await?;
    pod.log.line(format!("codex-litellm: on port {port}"));
    server.serve(listener, Arc::new(litellm)).await
}

/// Names that are separated by commas.
pub fn names(list: &str) -> Vec<String> {
    list.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

struct LiteLlm {
    keys: Keys,
    vendor: String,
    codex_models: Vec<String>,
    other_models: Vec<String>,
    folder: Folder,
    /// The login that a mutant has read once and for all.
    kept: Mutex<Option<Login>>,
    calls: Mutex<Vec<Value>>,
    server: Arc<Server>,
    pod: Pod,
}

impl Handler for LiteLlm {
    async fn answer(&self, request: Request<Incoming>, _peer: SocketAddr) -> Answer {
        let path = request.uri().path();
        if let Some(answer) = self.server.common(request.method(), path) {
            return answer.into();
        }
        if path == "/health/readiness" {
            return self.readiness().into();
        }
        match self.authorized(request).await {
            Ok(response) => response.into(),
            Err(problem) => Response::from(problem).into(),
        }
    }
}

impl LiteLlm {
    fn readiness(&self) -> Response<Body> {
        match self.pod.has(&mutant::READINESS_NEEDS_LOGIN) {
            true if self.login().is_err() => Problem::unavailable("there is no login").into(),
            _ => answers::ok(&json!({ "status": "connected" })),
        }
    }

    /// Answers those who have a key.
    async fn authorized(&self, request: Request<Incoming>) -> Result<Response<Body>, Problem> {
        let path = request.uri().path().to_owned();
        let path = path.strip_prefix("/v1").unwrap_or(&path);
        let form = match (request.method(), path) {
            (&Method::POST, "/responses") => Some(Form::Response),
            (&Method::POST, "/chat/completions") => Some(Form::Chat),
            _ => None,
        };
        let caller = match self.keys.caller(request.headers(), now()) {
            Ok(caller) => caller,
            Err(problem) => {
                // It came here all the same, and whether it did is what is asked.
                if form.is_some() {
                    self.remember(None, "", &problem);
                }
                return Err(problem);
            }
        };
        let is_master = matches!(caller, Caller::Master);
        match (request.method(), path, form) {
            (_, _, Some(form)) => self.call(&caller, request, form).await,
            (&Method::GET, "/models", _) => Ok(answers::ok(&self.models(&caller))),
            (&Method::GET, "/calls", _) if is_master => {
                let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(answers::ok(&json!({ "calls": *calls })))
            }
            (&Method::POST, "/key/block", _) if is_master => {
                let asked = body(request.into_body()).await?;
                self.keys.block(asked["key"].as_str().unwrap_or_default())?;
                Ok(answers::ok(&json!({ "blocked": true })))
            }
            (&Method::POST, "/key/generate", _) if is_master => {
                let asked = body(request.into_body()).await?;
                Ok(answers::ok(&self.keys.generate(&asked, now())?))
            }
            (&Method::POST, "/key/delete", _) if is_master => {
                let asked = body(request.into_body()).await?;
                let keys = asked["keys"].as_array().into_iter().flatten();
                for key in keys.filter_map(Value::as_str) {
                    self.keys.delete(key)?;
                }
                Ok(answers::ok(&json!({ "deleted_keys": asked["keys"] })))
            }
            _ => Err(Problem::new(StatusCode::NOT_FOUND, "not_found_error", "Not Found")),
        }
    }

    fn models(&self, caller: &Caller) -> Value {
        let all = self.codex_models.iter().chain(&self.other_models);
        let shown: Vec<Value> = all
            .filter(|model| caller.may_use(model))
            .map(|model| json!({ "id": model, "object": "model", "owned_by": "gauntlet" }))
            .collect();
        json!({ "object": "list", "data": shown })
    }

    /// A call of a model.
    async fn call(&self, caller: &Caller, request: Request<Incoming>, form: Form) -> Result<Response<Body>, Problem> {
        let (parts, incoming) = request.into_parts();
        let asked = body(incoming).await?;
        let model = asked["model"].as_str().unwrap_or_default();
        let answer = self.judged(caller, &parts.headers, &asked, model, form).await;
        match &answer {
            Ok(response) => self.remember(Some(caller), model, &response.status()),
            Err(problem) => self.remember(Some(caller), model, problem),
        }
        answer
    }

    async fn judged(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        asked: &Value,
        model: &str,
        form: Form,
    ) -> Result<Response<Body>, Problem> {
        let is = |models: &[String]| models.iter().any(|other| other == model);
        let is_codex = is(&self.codex_models);
        if !is_codex && !is(&self.other_models) {
            let text = format!("there is no model {model:?}");
            return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_request_error", text));
        }
        if !caller.may_use(model) && !self.pod.has(&mutant::MODEL_OF_KEY_UNCHECKED) {
            let text = format!("the key is not for the model {model:?}");
            return Err(Problem::new(StatusCode::FORBIDDEN, "key_model_access_denied", text));
        }
        self.keys.spend(caller)?;
        if !is_codex {
            return self.own(asked, model, form).await;
        }
        match self.vendors(headers, asked, model, form).await {
            Err(_) if self.pod.has(&mutant::LITELLM_FALLS_BACK) => {
                let other = self.other_models.first().map_or(model, String::as_str);
                Ok(form.own(other, asked))
            }
            answer => answer,
        }
    }

    /// The answer of a model that needs no login.
    async fn own(&self, asked: &Value, model: &str, form: Form) -> Result<Response<Body>, Problem> {
        let mocked = asked["mock_response"].as_str();
        if mocked != Some("litellm.RateLimitError") {
            return Ok(form.own(model, asked));
        }
        let text = "litellm.RateLimitError: rate_limit_exceeded";
        if self.pod.has(&mutant::OTHER_MODELS_SIGNAL) {
            self.signal(model, text).await;
        }
        Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "throttling_error", text))
    }

    /// The vendor's answer, with the login that is in use.
    async fn vendors(
        &self,
        headers: &HeaderMap,
        asked: &Value,
        model: &str,
        form: Form,
    ) -> Result<Response<Body>, Problem> {
        let login = self
            .login()
            .map_err(|why| Problem::unavailable(format!("there is no usable login for {model}: {why}")))?;
        let url = format!("{}/responses", self.vendor);
        let post = Post {
            bearer: Some(login.access_token()),
            accept: headers.get(ACCEPT).cloned(),
            patience: PATIENCE,
            ..Post::json(&url, &form.question(asked))
        };
        let answer = post.send().await.map_err(|why| {
            self.pod.log.line(format!("asking the vendor: {why}"));
            Problem::unavailable(format!("the vendor of {model} gives no answer"))
        })?;
        let (parts, incoming) = answer.into_parts();
        match parts.status {
            StatusCode::OK if form == Form::Chat => {
                let said: Value = serde_json::from_slice(&whole(incoming, model).await?).unwrap_or_default();
                Ok(answers::chat_of(&said, model))
            }
            StatusCode::OK => {
                let mut response = Response::new(Either::Right(incoming));
                for name in [CONTENT_TYPE, RETRY_AFTER] {
                    if let Some(value) = parts.headers.get(&name) {
                        response.headers_mut().insert(name, value.clone());
                    }
                }
                Ok(response)
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let said = whole(incoming, model).await?;
                let said = String::from_utf8_lossy(&said);
                let exception = format!(
                    "litellm.RateLimitError: {}",
                    said.chars().take(2000).collect::<String>()
                );
                if !self.pod.has(&mutant::SIGNAL_NEVER_SENT) {
                    self.signal(model, &exception).await;
                }
                let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "throttling_error", exception);
                Err(problem.retry_after(parts.headers.get(RETRY_AFTER)))
            }
            // The caller's key is good: it is LiteLLM's own login that isn't.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                self.pod
                    .log
                    .line(format!("the vendor refuses the login: {}", parts.status));
                Err(Problem::unavailable(format!("the vendor of {model} refuses the login")))
            }
            other => {
                let text = format!("the vendor of {model} answered {other}");
                let status = if other.is_client_error() {
                    other
                } else {
                    StatusCode::BAD_GATEWAY
                };
                Err(Problem::new(status, "api_error", text))
            }
        }
    }

    /// The login in auth.json, where it is one and hasn't expired.
    fn login(&self) -> Result<Login, NoLogin> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(login), true) = (&*kept, self.pod.has(&mutant::LITELLM_CACHES_LOGIN)) {
            return Ok(login.clone());
        }
        // What the rotator writes is flat, whatever the logins are.
        let plain = Pod {
            env: Arc::default(),
            ..self.pod.clone()
        };
        let bytes = self.folder.read(AUTH)?.ok_or(NoLogin::Missing)?;
        let login = Login::parse(&plain, &bytes)?;
        if login.is_expired(now()) {
            return Err(NoLogin::Expired);
        }
        if self.pod.has(&mutant::LITELLM_CACHES_LOGIN) {
            *kept = Some(login.clone());
        }
        Ok(login)
    }

    /// Tells the rotator of a 429.
    async fn signal(&self, model: &str, exception: &str) {
        let document = signal::document(now(), model, exception).to_string();
        let written = self.folder.replace(SIGNAL, document.into_bytes(), PRIVATE).await;
        if let Err(error) = written {
            self.pod.log.line(format!("writing {SIGNAL}: {error}"));
        }
    }

    fn remember(&self, caller: Option<&Caller>, model: &str, status: &impl answers::Status) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() < MOST_CALLS {
            calls.push(json!({
                "at": now(),
                "model": model,
                "key_alias": caller.map(Caller::alias),
                "status": status.number(),
            }));
        }
    }
}

/// All of the vendor's answer.
async fn whole(incoming: Passed, model: &str) -> Result<Bytes, Problem> {
    let read = outgoing::read(incoming).await;
    read.map_err(|why| Problem::unavailable(format!("the answer of {model}'s vendor {why}")))
}

/// A body that is JSON.
async fn body(incoming: Incoming) -> Result<Value, Problem> {
    let bad = |status, text: &str| Problem::new(status, "invalid_request_error", text);
    let body = Limited::new(incoming, MAX_BODY).collect().await;
    let body = body.map_err(|_| bad(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long, or broken"))?;
    serde_json::from_slice(&body.to_bytes()).map_err(|_| bad(StatusCode::BAD_REQUEST, "the body is no JSON"))
}

impl Form {
    /// An answer of LiteLLM's own in this form.
    fn own(self, model: &str, asked: &Value) -> Response<Body> {
        match self {
            Form::Chat => answers::ok(&litellm::chat(model)),
            Form::Response if asked["stream"] == true => answers::stream(model, "resp_1", "Hello."),
            Form::Response => answers::ok(&litellm::response(model)),
        }
    }
}
