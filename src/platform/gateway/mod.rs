//! gauntlet's own gateway before the agent service: it does what nginx with `auth_request` and
//! Envoy with `ext_authz` do.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `PORT` | 8000 | |
//! | `TARGETS` | access control and the agent service | as of the balancer |
//! | `POLICY` | true | whether access control is asked at all |
//! | `AUTHORIZER_TIMEOUT` | 5s | how long access control may take |
//! | `AGENTS_PATH`, `HEALTH_PATH`, `AUTH_PATH` | `/api/agents`, `/api/healthcheck`, `/api/auth` | |
//! | `AGENTS_PARAMETER` | `access-token` | the query parameter that a conversation's token is in |
//! | `HEALTH_PORT` | 8002 | its own `/healthz` and `/metrics`: all paths of the other are those behind it |
//!
//! `/api/healthcheck` goes to the service as it is. For all below `/api/agents` access control is asked
//! first, by the same method, path and query; only its 200 lets a request through, with its `x-user-*` in
//! the place of whatever a client says of itself (contract 3).

mod busy;
mod question;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::backends::Backends;
use super::http::{Answer, Handler, Refusal, Server, error};
use super::identity::Presented;
use super::paths::Paths;
use super::tunnel::Cut;
use super::{ComponentError, Pod, mutant, relay};
use busy::Busy;
use question::NotJudged;

const TARGETS: &str = r#"[
    {"path_prefix":"/api/auth/","selector":"app=access-control","port":9096},
    {"path_prefix":"/","selector":"app=agent-service","port":3001}
]"#;

/// What of the authorizer's answer the service is to see, and nobody else's.
const TRUSTED: [&str; 3] = ["x-user-id", "x-user-name", "x-user-email"];

/// How long a conversation may be quiet.
const IDLE: Duration = Duration::from_secs(300);

pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    let backends = Arc::new(Backends::new(&pod, TARGETS)?);
    let server = Server::new(&pod, Duration::from_secs(5))?;
    let health = Arc::new(Health(server.clone()));
    let health = server.serve(pod.listen(pod.number("HEALTH_PORT", 8002)?).await?, health);
    let port = pod.number("PORT", 8000)?;
    let listener = pod.listen(port).await?;
    pod.log.line(format!("gateway: on port {port}"));
    let gateway = Arc::new(Gateway {
        paths: Paths::new(&pod),
        asks: pod.var_or("POLICY", "true") == "true",
        pod: pod.clone(),
        patience: pod.duration("AUTHORIZER_TIMEOUT", Duration::from_secs(5))?,
        backends: backends.clone(),
        trusted: Mutex::default(),
        let_in: Mutex::default(),
        busy: Busy::new(&pod),
    });
    let serve = async { tokio::try_join!(server.serve(listener, gateway), health).map(drop) };
    tokio::select! {
        ended = serve => ended,
        ended = backends.follow(&pod) => ended,
    }
}

/// Its own state, on a port of its own.
struct Health(Arc<Server>);

impl Handler for Health {
    async fn answer(&self, request: Request<Incoming>, _peer: SocketAddr) -> Answer {
        match self.0.common(request.method(), request.uri().path()) {
            Some(answer) => answer.into(),
            None => error(StatusCode::NOT_FOUND, "Not Found").into(),
        }
    }
}

struct Gateway {
    paths: Paths,
    pod: Pod,
    /// Whether access control is asked.
    asks: bool,
    /// How long the authorizer may take.
    patience: Duration,
    backends: Arc<Backends>,
    /// Connections on which somebody was let through.
    trusted: Mutex<HashSet<SocketAddr>>,
    /// Tokens that access control let in.
    let_in: Mutex<HashSet<Vec<u8>>>,
    busy: Busy,
}

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    /// To the service, for everybody.
    Open,
    /// To the service, for those that access control lets through.
    Guarded,
    Nowhere,
}

impl Route {
    fn of(paths: &Paths, path: &str) -> Route {
        match paths.below_agents(path) {
            Some(_) => Route::Guarded,
            None if path == paths.health => Route::Open,
            None => Route::Nowhere,
        }
    }
}

impl Handler for Gateway {
    async fn answer(&self, mut request: Request<Incoming>, peer: SocketAddr) -> Answer {
        let is_upgrade = relay::is_upgrade(request.headers());
        // What a client says of itself goes before anybody is asked.
        if !(is_upgrade && self.pod.has(&mutant::UPGRADE_USER_HEADERS_KEPT)) {
            self.strip(request.headers_mut());
        }
        if self.pod.has(&mutant::LARGE_BODY_REFUSED) && length_of(request.headers()) > 64 * 1024 {
            return error(StatusCode::PAYLOAD_TOO_LARGE, "Content Too Large")
                .closing()
                .into();
        }
        match Route::of(&self.paths, self.asked(&request)) {
            Route::Open if self.pod.has(&mutant::HEALTH_NOT_ROUTED) => error(StatusCode::NOT_FOUND, "Not Found").into(),
            Route::Open => self.forward(request).await,
            Route::Nowhere if self.pod.has(&mutant::OLD_MODELS_LEFT) => self.forward(request).await,
            Route::Nowhere => error(StatusCode::NOT_FOUND, "Not Found").into(),
            Route::Guarded if self.is_unasked(&request, is_upgrade) => self.forward(request).await,
            Route::Guarded if self.trusts(peer) || self.remembers(&request) => self.forward(request).await,
            Route::Guarded => match self.authorize(&request).await {
                Ok(trusted) => {
                    self.trust(peer);
                    self.remember(&request);
                    // What only this hop may see goes first: nobody names what is added as such.
                    if !self.pod.has(&mutant::CONNECTION_TAKES_ALL) {
                        relay::end_hop(request.headers_mut(), is_upgrade);
                    }
                    self.tell(request.headers_mut(), trusted);
                    self.forward(request).await
                }
                Err(refusal) => refusal.into(),
            },
        }
    }
}

impl Gateway {
    /// Takes away all that could be taken for the authorizer's: also in the spelling that some servers make
    /// the same of (`x_user_id`).
    fn strip(&self, headers: &mut HeaderMap) {
        let keeps = [
            &mutant::USER_HEADERS_MERGED,
            &mutant::USER_HEADERS_KEPT,
            &mutant::OMITTED_KEEPS_CLIENTS,
        ];
        if keeps.into_iter().any(|mutant| self.pod.has(mutant)) {
            return;
        }
        let is_foreign = |name: &str| match () {
            () if self.pod.has(&mutant::UNDERSCORES_KEPT) => name.starts_with("x-user-"),
            () if self.pod.has(&mutant::USER_ROLE_KEPT) => TRUSTED.contains(&name.replace('_', "-").as_str()),
            () => name.replace('_', "-").starts_with("x-user-"),
        };
        let foreign: Vec<_> = headers
            .keys()
            .filter(|name| is_foreign(name.as_str()))
            .cloned()
            .collect();
        for name in foreign {
            headers.remove(name);
        }
    }

    /// The path that is asked for.
    fn asked<'r>(&self, request: &'r Request<Incoming>) -> &'r str {
        let original = request
            .headers()
            .get("x-original-url")
            .and_then(|value| value.to_str().ok());
        match original.filter(|_| self.pod.has(&mutant::ORIGINAL_URL_TRUSTED)) {
            Some(original) => original,
            None => request.uri().path(),
        }
    }

    /// Whether access control is not asked about a request: there is no policy, or a mutant.
    fn is_unasked(&self, request: &Request<Incoming>, is_upgrade: bool) -> bool {
        let (method, path) = (request.method(), request.uri().path());
        let says = |name: &str, text: &str| {
            let mut values = request.headers().get_all(name).iter();
            values.any(|value| value.as_bytes().starts_with(text.as_bytes()))
        };
        !self.asks && !self.pod.has(&mutant::POLICY_STAYS)
            || self.pod.has(&mutant::POLICY_ON_ANOTHER_ROUTE)
            || self.pod.has(&mutant::ONLY_GET_GUARDED) && *method != Method::GET
            || self.pod.has(&mutant::UPGRADES_UNASKED) && is_upgrade
            || self.pod.has(&mutant::OPTIONS_UNASKED) && *method == Method::OPTIONS
            || self.pod.has(&mutant::MODELS_UNASKED) && path.ends_with("/models")
            || self.pod.has(&mutant::LOCALHOST_UNASKED) && says("host", "localhost")
            || self.pod.has(&mutant::LOOPBACK_CLIENT_UNASKED) && says("x-forwarded-for", "127.")
    }

    /// For a mutant that asks about the first request of a connection.
    fn trust(&self, peer: SocketAddr) {
        if self.pod.has(&mutant::CONNECTION_IS_TRUSTED) {
            self.trusted.lock().unwrap_or_else(PoisonError::into_inner).insert(peer);
        }
    }

    fn trusts(&self, peer: SocketAddr) -> bool {
        self.trusted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&peer)
    }

    /// For a mutant that asks about a token once.
    fn remember(&self, request: &Request<Incoming>) {
        if self.pod.has(&mutant::TOKENS_REMEMBERED)
            && let Presented::One(_, token) = Presented::of(&self.pod, request.headers(), request.uri().query())
        {
            let mut let_in = self.let_in.lock().unwrap_or_else(PoisonError::into_inner);
            let_in.insert(token.into_owned());
        }
    }

    fn remembers(&self, request: &Request<Incoming>) -> bool {
        let let_in = self.let_in.lock().unwrap_or_else(PoisonError::into_inner);
        match Presented::of(&self.pod, request.headers(), request.uri().query()) {
            Presented::One(_, token) => let_in.contains(token.as_ref()),
            Presented::Nothing | Presented::Several => false,
        }
    }

    /// Puts in what access control says of the user.
    fn tell(&self, headers: &mut HeaderMap, trusted: HeaderMap) {
        if self.pod.has(&mutant::USER_HEADERS_NOT_ADDED) {
            return;
        }
        for (name, value) in trusted {
            let Some(name) = name else { continue };
            match headers.contains_key(&name) {
                true if self.pod.has(&mutant::USER_HEADERS_MERGED) => drop(headers.append(name, value)),
                true if self.pod.has(&mutant::USER_HEADERS_KEPT) => {}
                _ => drop(headers.insert(name, value)),
            }
        }
    }

    /// What access control says of a request: the headers that go on with it.
    async fn authorize(&self, request: &Request<Incoming>) -> Result<HeaderMap, Refusal> {
        let Some(_place) = self.busy.place() else {
            return Ok(HeaderMap::new());
        };
        let asked = tokio::time::timeout(self.patience, self.hear(request)).await;
        let answer = match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) if self.pod.has(&mutant::OPEN_WHERE_GONE) => return Ok(HeaderMap::new()),
            Err(_) if self.pod.has(&mutant::OPEN_WHERE_SLOW) => return Ok(HeaderMap::new()),
            Ok(Err(why)) => return Err(self.unauthorizable(&why)),
            Err(_) => return Err(self.unauthorizable(&NotJudged::Late)),
        };
        match answer.status() {
            StatusCode::OK => Ok(TRUSTED
                .into_iter()
                .filter_map(|name| Some((name.parse().ok()?, answer.headers().get(name)?.clone())))
                .collect()),
            StatusCode::UNAUTHORIZED => {
                let refusal = error(StatusCode::UNAUTHORIZED, "Unauthorized");
                Err(refusal
                    .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
                    .closing())
            }
            StatusCode::FORBIDDEN => Err(error(StatusCode::FORBIDDEN, "Forbidden").closing()),
            _ if self.pod.has(&mutant::OPEN_ON_ERROR) => Ok(HeaderMap::new()),
            other if other.as_u16() < 300 && self.pod.has(&mutant::OPEN_ON_ANY_SUCCESS) => Ok(HeaderMap::new()),
            other => Err(self.unauthorizable(&NotJudged::Status(other))),
        }
    }

    /// Nobody is let through whom nobody has judged.
    fn unauthorizable(&self, why: &NotJudged) -> Refusal {
        self.pod.log.line(format!("asking access control: {why}"));
        error(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable").closing()
    }

    /// Asks access control; for a mutant, takes what it is just being asked about the same.
    async fn hear(&self, request: &Request<Incoming>) -> Result<Response<Bytes>, NotJudged> {
        let about = format!("{} {}", request.method(), request.uri());
        if let Some((status, headers)) = self.busy.told(&about).await {
            let mut answer = Response::new(Bytes::new());
            *answer.status_mut() = status;
            *answer.headers_mut() = headers;
            return Ok(answer);
        }
        let awaited = self.busy.awaits(&about);
        let answer = self.ask(request).await?;
        if let Some(awaited) = awaited {
            awaited.came(answer.status(), answer.headers());
        }
        Ok(answer)
    }

    async fn forward(&self, mut request: Request<Incoming>) -> Answer {
        let stream = match relay::connect(&self.pod, &self.backends, request.uri().path()).await {
            Some(Ok(stream)) => stream,
            Some(Err(())) => return error(StatusCode::BAD_GATEWAY, "Bad Gateway").into(),
            None => return error(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable").into(),
        };
        let is_upgrade = relay::is_upgrade(request.headers());
        if is_upgrade && self.pod.has(&mutant::UPGRADE_WITHOUT_QUERY) {
            let path = request.uri().path().parse();
            *request.uri_mut() = path.unwrap_or_default();
        }
        if request.method() == Method::PATCH && self.pod.has(&mutant::GATEWAY_REWRITES_PATCH) {
            *request.method_mut() = Method::POST;
        }
        let client = hyper::upgrade::on(&mut request);
        relay::end_hop(request.headers_mut(), is_upgrade);
        let idle = match self.pod.has(&mutant::QUIET_CONVERSATION_CUT) {
            true => Duration::from_secs(1),
            false => IDLE,
        };
        match relay::exchange(stream, request, client, Cut::Idle(idle)).await {
            Ok(answer) => answer,
            Err(why) => {
                self.pod.log.line(format!("the agent service: {why}"));
                error(StatusCode::BAD_GATEWAY, "Bad Gateway").into()
            }
        }
    }
}

/// The length that a request says its body has; 0 where it says none.
fn length_of(headers: &HeaderMap) -> u64 {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
