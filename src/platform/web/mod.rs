//! Session API and WebSocket proxy.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `PORT` | 3000 | |
//! | `API_PATH` | `/api/v1/managed_agents` | |
//! | `MASTER_KEY` | | without it every call is 401 |
//! | `HARNESS_AUTH_TOKEN` | | taken once, at start |
//! | `TTY_PATH`, `TTY_PARAMETER` | `/tty`, `token` | the sandbox's path, and the query parameter that a token is in |
//! | `RESTART_TIMEOUT` | 120s | how long a restart waits for its pod |
//! | `DRAIN_TIMEOUT` | 60s | how long open terminals outlive the stop |
//!
//! All state is in Kubernetes, and nothing of it is kept here: web needs no
//! watch, and its replicas and successors agree.
//!
//! Stop (policy `rotation.open-terminals: kept`): no new connections, requests
//! are finished, terminals that are open go on for `DRAIN_TIMEOUT`. The pod's
//! grace period must be longer. A rollout doesn't wait for it: the successors
//! are ready meanwhile. With nothing open, web ends at once.

mod busy;
mod forms;
mod proxy;
mod sessions;
mod source;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::http::{Answer, Body, Handler, Refusal, Server, error, json};
use super::token::{Door, Side, bearer, equal, parameter};
use super::{ComponentError, Pod, mutant};
use busy::Busy;
use sessions::Sessions;

/// The longest body that a request may have.
const MAX_BODY: usize = 64 * 1024;

/// How long a client may take to send it.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    let port = pod.number("PORT", 3000)?;
    let sessions = Sessions::new(&pod).await?;
    let web = Web {
        door: Door::new(&pod, Side::Proxy, sessions.token.at_start().map(str::to_owned))
            .with_previous(sessions.token.previous().map(str::to_owned)),
        api_path: format!(
            "{}/",
            pod.var_or("API_PATH", "/api/v1/managed_agents").trim_end_matches('/')
        ),
        master_key: pod.var("MASTER_KEY").filter(|key| !key.is_empty()).map(str::to_owned),
        busy: Busy::new(&pod, sessions.token.inherited()),
        proxy: proxy::Proxy::new(&pod),
        server: Server::new(&pod, Duration::from_secs(60))?,
        sessions,
        pod: pod.clone(),
    };
    let listener = pod.listen(port).await?;
    pod.log.line(format!("web: on port {port}"));
    let server = web.server.clone();
    server.serve(listener, Arc::new(web)).await
}

struct Web {
    pod: Pod,
    door: Door,
    api_path: String,
    master_key: Option<String>,
    sessions: Sessions,
    busy: Busy,
    proxy: proxy::Proxy,
    server: Arc<Server>,
}

impl Handler for Web {
    async fn answer(&self, request: Request<Incoming>, _peer: SocketAddr) -> Answer {
        let path = request.uri().path();
        if let Some(answer) = self.server.common(request.method(), path) {
            return answer.into();
        }
        if let Some(id) = self.terminal(path) {
            let id = id.to_owned();
            return self.attach(&id, request).await;
        }
        if self.pod.has(&mutant::TOKEN_IN_REDIRECT)
            && let Some(answer) = redirect_to_clean_path(&request)
        {
            return answer.into();
        }
        let listed = self.pod.has(&mutant::API_LISTS_WITHOUT_KEY)
            && *request.method() == Method::GET
            && path.ends_with("/sessions");
        if !self.is_authorized(request.headers()) && !listed {
            let refusal = error(StatusCode::UNAUTHORIZED, "unauthorized");
            return refusal
                .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
                .into();
        }
        self.api(request).await.map_or_else(Answer::from, Answer::from)
    }
}

impl Web {
    /// The session whose terminal has this path, byte for byte.
    fn terminal<'a>(&self, path: &'a str) -> Option<&'a str> {
        let path = match self.pod.has(&mutant::PROXY_PREFIX_IGNORED) {
            true => &path[path.find(&self.api_path)?..],
            false => path,
        };
        let id = path
            .strip_prefix(&self.api_path)?
            .strip_prefix("sessions/")?
            .strip_suffix("/tty")?;
        (!id.contains('/')).then_some(id)
    }

    fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
        if self.pod.has(&mutant::API_TAKES_TERMINAL_TOKEN)
            && given.is_some_and(|given| equal(given, self.pod.var_or("HARNESS_AUTH_TOKEN", "").as_bytes()))
        {
            return true;
        }
        matches!((given, &self.master_key), (Some(given), Some(key)) if equal(given, key.as_bytes()))
    }

    /// A terminal through the proxy: the door first, then the session, then the pod's own door.
    async fn attach(&self, id: &str, mut request: Request<Incoming>) -> Answer {
        if self.pod.has(&mutant::LOOKUP_BEFORE_CHECK)
            && let Err(refusal) = self.sessions.address(id).await
        {
            return refusal.into();
        }
        let followed;
        let door = if self.pod.has(&mutant::WEB_FOLLOWS_SECRET) {
            followed = Door::new(&self.pod, Side::Proxy, self.sessions.token.now().await);
            &followed
        } else {
            &self.door
        };
        let has_key = self.pod.has(&mutant::MASTER_KEY_OPENS) && self.is_authorized(request.headers());
        if has_key || self.busy.is_overrun() {
            let token = self.sessions.token.at_start().unwrap_or_default();
            busy::vouch(&mut request, parameter(&self.pod), token);
        } else if !self.busy.knows(&request)
            && let Err(refusal) = super::upgrade::check(&self.pod, door, &request)
        {
            return refusal.into();
        }
        if !self.proxy.is_first_use(request.uri().query(), id) {
            return error(StatusCode::UNAUTHORIZED, "unauthorized").closing().into();
        }
        match self.sessions.address(id).await {
            Ok(address) => {
                let path = self.sessions.names.tty_path.as_str();
                self.busy.counted(self.proxy.tunnel(&mut request, &address, path).await)
            }
            Err(refusal) => refusal.into(),
        }
    }

    /// The table of the contract.
    async fn api(&self, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let query = parts.uri.query().unwrap_or("");
        if (&parts.method, path) == (&Method::GET, "/api/v1/health/k8s") {
            return Ok(self.sessions.health().await);
        }
        let not_found = || error(StatusCode::NOT_FOUND, "not found");
        let segments: Vec<_> = path
            .strip_prefix(&self.api_path)
            .ok_or_else(not_found)?
            .split('/')
            .collect();
        match (parts.method.as_str(), segments.as_slice()) {
            ("GET", ["agents"]) => self.sessions.list_agents(query).await,
            ("POST", ["agents"]) => self.sessions.create_agent(&read(body).await?).await,
            ("POST", ["agents", id, "session"]) => self.sessions.create(id, &read(body).await?).await,
            ("GET", ["sessions"]) => self.sessions.list(query).await,
            ("GET", ["sessions", id]) => self.sessions.show(id).await,
            ("POST", ["sessions", id, "restart"]) => self.sessions.restart(id).await,
            ("DELETE", ["sessions", id]) if self.pod.has(&mutant::DELETION_FORGOTTEN) => {
                let deleted = serde_json::json!({ "id": id, "status": "deleted" });
                Ok(json(StatusCode::OK, &deleted))
            }
            ("DELETE", ["sessions", id]) => self.sessions.delete(id).await,
            (
                _,
                ["agents"] | ["agents", _, "session"] | ["sessions"] | ["sessions", _] | ["sessions", _, "restart"],
            ) => Err(error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")),
            _ => Err(not_found()),
        }
    }
}

/// A request's body, within limits of size and time (CWE-400).
async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(wrong)) if wrong.is::<http_body_util::LengthLimitError>() => {
            Err(error(StatusCode::PAYLOAD_TOO_LARGE, "body too large"))
        }
        Ok(Err(_)) => Err(error(StatusCode::BAD_REQUEST, "broken body")),
        Err(_) => Err(error(StatusCode::REQUEST_TIMEOUT, "body too slow")),
    }
}

/// The mutant `token-in-redirect`.
fn redirect_to_clean_path(request: &Request<Incoming>) -> Option<Refusal> {
    let target = request.uri().path_and_query()?.as_str();
    let clean = format!("/{}", target.strip_prefix("//")?.trim_start_matches('/'));
    Some(error(StatusCode::PERMANENT_REDIRECT, "moved").with(LOCATION, HeaderValue::from_str(&clean).ok()?))
}
