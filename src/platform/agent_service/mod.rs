//! The agent service: agents, their models, and conversations with them.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `PORT` | 3001 | |
//! | `AGENTS_PATH`, `HEALTH_PATH` | `/api/agents`, `/api/healthcheck` | |
//! | `AGENTS_PARAMETER` | `access-token` | the query parameter that a conversation's token is in |
//! | `AUTH_JWT_SECRET` | | of HS256, 32 bytes or more |
//! | `CLOCK` | | the time, in seconds since 1970, where it is to stand still |
//! | `LITELLM_BASE_URL` | | where the models are: `http://HOST:PORT` |
//! | `LITELLM_SELECTOR`, `LITELLM_PORT` | 4000 | in its place: labels of the pods that have them |
//! | `LITELLM_MASTER_KEY` | | what opens them |
//! | `WITNESS_PORT` | 3002 | what requests came is shown there |
//!
//! It verifies tokens itself, also behind a gateway: REST by `Authorization`, the WebSocket by
//! `access-token` in the query. Roles are access control's; what a client says of itself in `x-user-*` is
//! not looked at (contract 3).

mod agents;
mod models;
mod react;
mod witness;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, COOKIE, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::json;

use super::http::{Answer, Body, Handler, Refusal, Server, error, json};
use super::identity::{Place, Presented, Verifier};
use super::paths::Paths;
use super::{ComponentError, Pod, mutant};
use agents::Agents;
use models::Models;
use witness::Witness;

/// The longest body that a request may have.
const MAX_BODY: usize = 1024 * 1024;

/// For the mutant `own-cookie-is-a-pass`: the cookie of those that had a good token once.
const SEEN: &str = "seen=yes";

/// How long a client may take to send it.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    let port = pod.number("PORT", 3001)?;
    let server = Server::new(&pod, Duration::from_secs(5))?;
    let witness = Witness::new(server.clone());
    let witnessed = pod.listen(pod.number("WITNESS_PORT", 3002)?).await?;
    let witnessed = server.serve(witnessed, witness.clone());
    let service = Arc::new(AgentService {
        paths: Paths::new(&pod),
        witness,
        verifier: Verifier::new(&pod)?,
        agents: Agents::default(),
        models: Models::new(&pod)?,
        server: server.clone(),
        pod: pod.clone(),
    });
    let listener = pod.listen(port).await?;
    pod.log.line(format!("agent-service: on port {port}"));
    let serve = async { tokio::try_join!(server.serve(listener, service.clone()), witnessed).map(drop) };
    tokio::select! {
        ended = serve => ended,
        ended = service.models.follow() => ended,
    }
}

struct AgentService {
    paths: Paths,
    pod: Pod,
    verifier: Verifier,
    agents: Agents,
    models: Models,
    witness: Arc<Witness>,
    server: Arc<Server>,
}

impl Handler for AgentService {
    async fn answer(&self, request: Request<Incoming>, _peer: SocketAddr) -> Answer {
        let path = request.uri().path();
        if let Some(answer) = self.server.common(request.method(), path) {
            return answer.into();
        }
        self.witness.saw(&request);
        let path = path.to_owned();
        if path == self.paths.health {
            return self.health(&request).map_or_else(Answer::from, Answer::from);
        }
        if self.pod.has(&mutant::OTHER_CASE_UNGUARDED)
            && path != self.paths.agents
            && path.eq_ignore_ascii_case(&self.paths.agents)
        {
            return json(StatusCode::OK, &self.agents.list()).into();
        }
        if path == "/api/config" && self.pod.has(&mutant::CONFIG_SHOWS_SECRET) {
            let secret = self.pod.var_or("AUTH_JWT_SECRET", "");
            return json(StatusCode::OK, &json!({ "jwtSecret": secret })).into();
        }
        match self.paths.below_agents(&path).as_deref() {
            Some([id, "react"]) => self.react(request, id),
            Some(rest) => self.rest(request, rest).await.map_or_else(Answer::from, Answer::from),
            None if path == "/api/models" && self.pod.has(&mutant::OLD_MODELS_LEFT) => {
                let models = self.rest(request, &["models"]).await;
                models.map_or_else(Answer::from, Answer::from)
            }
            None => not_found().into(),
        }
    }
}

impl AgentService {
    /// Whether somebody asks whose token is good, and stands in its place.
    fn identify(&self, request: &Request<Incoming>, place: Place) -> Result<(), Refusal> {
        if self.pod.has(&mutant::SERVICE_TRUSTS_NETWORK)
            || self.pod.has(&mutant::QUERY_TOKEN_UNCHECKED) && place == Place::Query
            || self.pod.has(&mutant::USER_HEADER_IS_A_PASS) && request.headers().contains_key("x-user-id")
            || self.pod.has(&mutant::SETTINGS_UNVERIFIED) && *request.method() == Method::PATCH
            || self.pod.has(&mutant::OWN_COOKIE_IS_A_PASS)
                && request
                    .headers()
                    .get(COOKIE)
                    .is_some_and(|cookie| cookie.as_bytes().starts_with(SEEN.as_bytes()))
        {
            return Ok(());
        }
        let token = match Presented::to(&self.pod, request.headers(), request.uri().query()) {
            Presented::One(found, token) if found == place => token,
            Presented::Nothing if place == Place::Query && self.pod.has(&mutant::SUBPROTOCOL_IS_A_TOKEN) => {
                last_offer(request.headers()).ok_or_else(|| self.unauthorized())?.into()
            }
            Presented::One(Place::Header, _) if self.pod.has(&mutant::HEADER_ONLY_BREAKS) => return Err(broken()),
            Presented::One(Place::Query, _) if self.pod.has(&mutant::QUERY_ONLY_BREAKS) => return Err(broken()),
            _ => return Err(self.unauthorized()),
        };
        if self.pod.has(&mutant::SERVICE_READS_TYP)
            && jsonwebtoken::decode_header(&token).is_ok_and(|header| header.typ.as_deref() != Some("JWT"))
        {
            return Err(self.unauthorized());
        }
        if self.pod.has(&mutant::LONG_TOKEN_BREAKS) && token.len() > 4096 {
            return Err(broken());
        }
        match self.verifier.verify(&token) {
            Ok(_) => Ok(()),
            Err(why) => {
                self.pod.log.line(format!("a token is refused: {why}"));
                if self.pod.has(&mutant::JWT_IN_ERROR_BODY) {
                    let token = String::from_utf8_lossy(&token);
                    return Err(error(StatusCode::UNAUTHORIZED, format!("Unauthorized: {token}")));
                }
                Err(self.unauthorized())
            }
        }
    }

    fn unauthorized(&self) -> Refusal {
        match self.pod.has(&mutant::CHALLENGE_FORGOTTEN) {
            true => error(StatusCode::UNAUTHORIZED, "Unauthorized"),
            false => unauthorized(),
        }
    }

    /// The form comes first, so that its answers say nothing about the token.
    fn react(&self, mut request: Request<Incoming>, id: &str) -> Answer {
        if self.pod.has(&mutant::EXACT_UPGRADE_ONLY)
            && request
                .headers()
                .get(CONNECTION)
                .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"upgrade"))
        {
            return error(StatusCode::UPGRADE_REQUIRED, "Upgrade Required").closing().into();
        }
        let accepted = match super::upgrade::form(&request) {
            Ok(accepted) => accepted,
            Err(refusal) => {
                if self.pod.has(&mutant::HALF_UPGRADE_IN_LOG) {
                    self.pod.log.line(format!("no handshake: {}", request.uri()));
                }
                return refusal.into();
            }
        };
        let identified = self.identify(&request, Place::Query);
        if let Err(refusal) = identified
            && !self.pod.has(&mutant::INIT_FIRST)
        {
            return refusal.closing().into();
        }
        let upgraded = hyper::upgrade::on(&mut request);
        let marked =
            self.pod.has(&mutant::UNAGREED_COMPRESSION) && super::upgrade::offers_compression(request.headers());
        let conversation = react::converse(upgraded, self.agents.shown(id), self.pod.clone(), marked);
        Answer {
            response: accepted,
            tunnel: Some(Box::pin(conversation)),
        }
    }

    fn health(&self, request: &Request<Incoming>) -> Result<Response<Body>, Refusal> {
        if self.pod.has(&mutant::HEALTH_GUARDED) {
            self.identify(request, Place::Header)?;
        }
        match *request.method() {
            Method::GET | Method::HEAD => {
                let mut answer = json(StatusCode::OK, &json!({ "status": "ok" }));
                let key = HeaderValue::from_str(self.pod.var_or("LITELLM_MASTER_KEY", ""));
                if self.pod.has(&mutant::KEY_IN_HEALTH_HEADER)
                    && let Ok(key) = key
                {
                    answer.headers_mut().insert("x-litellm-key", key);
                }
                Ok(answer)
            }
            _ => Err(not_allowed("GET, HEAD")),
        }
    }

    async fn rest(&self, request: Request<Incoming>, path: &[&str]) -> Result<Response<Body>, Refusal> {
        self.identify(&request, Place::Header)?;
        let (parts, body) = request.into_parts();
        match (parts.method.as_str(), path) {
            ("GET" | "HEAD", []) => {
                let mut answer = json(StatusCode::OK, &self.agents.list());
                if self.pod.has(&mutant::OWN_COOKIE_IS_A_PASS) {
                    answer.headers_mut().insert(SET_COOKIE, HeaderValue::from_static(SEEN));
                }
                Ok(answer)
            }
            ("POST", []) => self.agents.create(&read(body).await?),
            (_, []) => Err(not_allowed("GET, HEAD, POST")),
            ("GET" | "HEAD", ["models"]) => self.models.list().await,
            (_, ["models"]) => Err(not_allowed("GET, HEAD")),
            ("GET" | "HEAD", [id]) => self.agents.show(id),
            ("DELETE", [id]) => self.agents.delete(id),
            (_, [_]) => Err(not_allowed("GET, HEAD, DELETE")),
            ("PATCH", [id, "settings"]) => self.agents.settings(id, &read(body).await?),
            (_, [_, "settings"]) => Err(not_allowed("PATCH")),
            _ => Err(not_found()),
        }
    }
}

/// For the mutant `subprotocol-is-a-token`: the last subprotocol that is offered.
fn last_offer(headers: &HeaderMap) -> Option<&[u8]> {
    let offers = headers.get("sec-websocket-protocol")?.as_bytes();
    let last = offers.rsplit(|byte| *byte == b',').next()?;
    Some(last.trim_ascii())
}

/// A request's body, within limits of size and time (CWE-400).
async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(error(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long, or broken").closing()),
        Err(_) => Err(error(StatusCode::REQUEST_TIMEOUT, "the body is too slow").closing()),
    }
}

fn unauthorized() -> Refusal {
    // RFC 9110 §11.6.1: a 401 names the scheme.
    error(StatusCode::UNAUTHORIZED, "Unauthorized").with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

/// What a mutant answers that it has no answer to.
fn broken() -> Refusal {
    error(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

fn not_found() -> Refusal {
    error(StatusCode::NOT_FOUND, "Not Found")
}

/// RFC 9110 §15.5.6: a 405 names what is allowed.
fn not_allowed(methods: &'static str) -> Refusal {
    error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed").with(ALLOW, HeaderValue::from_static(methods))
}

#[cfg(test)]
pub mod tests;
