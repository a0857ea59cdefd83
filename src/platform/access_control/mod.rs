//! Tells a gateway whether a request may pass to the agent service, and as which user.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `PORT` | 9096 | |
//! | `AUTH_PATH`, `AGENTS_PATH` | `/api/auth`, `/api/agents` | what is asked about stands behind the first |
//! | `AGENTS_PARAMETER` | `access-token` | the query parameter that a conversation's token is in |
//! | `AUTH_JWT_SECRET` | | of HS256, 32 bytes or more |
//! | `CLOCK` | | the time, in seconds since 1970, where it is to stand still |
//! | `FAULT` | | how it fails at each question: `error`, `slow`, `reset`, … (see `fault`) |
//!
//! `/api/auth` with the original path behind it, by any method: 401 without a good token, 403 for a role
//! that has no agents and for other paths than those of agents, 200 with `x-user-*` for the rest. Any user
//! may use any agent (contract 3).

mod fault;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::http::{Answer, Body, Handler, Refusal, Server, error, text};
use super::identity::{Identity, Invalid, Presented, Role, Verifier};
use super::paths::Paths;
use super::{ComponentError, Pod, mutant};
use fault::Fault;

pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    let port = pod.number("PORT", 9096)?;
    if let Some(fault) = Fault::named(pod.var_or("FAULT", ""))? {
        let listener = pod.listen(port).await?;
        pod.log
            .line(format!("access-control: on port {port}, at fault: {fault:?}"));
        return fault::serve(&pod, listener, fault).await;
    }
    let server = Server::new(&pod, Duration::from_secs(1))?;
    let access = AccessControl {
        paths: Paths::new(&pod),
        verifier: Verifier::new(&pod)?,
        server: server.clone(),
        pod: pod.clone(),
        allowed: Mutex::default(),
    };
    let listener = pod.listen(port).await?;
    pod.log.line(format!("access-control: on port {port}"));
    server.serve(listener, Arc::new(access)).await
}

struct AccessControl {
    paths: Paths,
    pod: Pod,
    verifier: Verifier,
    server: Arc<Server>,
    /// Paths that somebody was let through to.
    allowed: Mutex<HashSet<String>>,
}

impl Handler for AccessControl {
    async fn answer(&self, request: Request<Incoming>, _peer: SocketAddr) -> Answer {
        let path = request.uri().path();
        if let Some(answer) = self.server.common(request.method(), path) {
            return answer.into();
        }
        match path.strip_prefix(&self.paths.auth) {
            Some(original) => self.judge(&request, original).map_or_else(Answer::from, Answer::from),
            None => error(StatusCode::NOT_FOUND, "Not Found").into(),
        }
    }
}

impl AccessControl {
    fn judge(&self, request: &Request<Incoming>, original: &str) -> Result<Response<Body>, Refusal> {
        let forbidden = || error(StatusCode::FORBIDDEN, "Forbidden");
        if !is_of_agents(&self.paths, original) {
            return Err(forbidden());
        }
        if self.pod.has(&mutant::AUTHORIZER_KNOWS_THREE)
            && ![Method::GET, Method::POST, Method::DELETE].contains(request.method())
        {
            return Err(error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"));
        }
        let token = match Presented::to(&self.pod, request.headers(), request.uri().query()) {
            Presented::One(_, token) => token,
            Presented::Nothing if self.pod.has(&mutant::MISSING_JWT_PASSES) => {
                return Ok(text(StatusCode::OK, String::new()));
            }
            Presented::Nothing | Presented::Several => return Err(unauthorized()),
        };
        if self.remembers(original) {
            return Ok(text(StatusCode::OK, String::new()));
        }
        let identity = self.verifier.verify(&token).map_err(|why| {
            let mut line = format!("a token is refused: {why}");
            if self.pod.has(&mutant::JWT_IN_LOG) {
                line += &format!(": {}", String::from_utf8_lossy(&token));
            }
            if self.pod.has(&mutant::JWT_START_IN_LOG) {
                let start = token.get(..12).unwrap_or_default();
                line += &format!(": {}...", String::from_utf8_lossy(start));
            }
            self.pod.log.line(line);
            match why {
                Invalid::Claim("sub" | "email") if self.pod.has(&mutant::CONTROL_CHARACTER_BREAKS) => {
                    error(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
                }
                _ => unauthorized(),
            }
        })?;
        let forgotten = self.pod.has(&mutant::ADMIN_FORGOTTEN) && identity.role == Role::Admin;
        match identity.role.may_use_agents() && !forgotten || self.pod.has(&mutant::ROLE_UNCHECKED) {
            true => {
                self.remember(original);
                Ok(self.allowed(&identity))
            }
            false if self.pod.has(&mutant::FORBIDDEN_IS_UNAUTHORIZED) => Err(unauthorized()),
            false => Err(forbidden()),
        }
    }

    /// For a mutant that keeps what it said of a path.
    fn remember(&self, path: &str) {
        if self.pod.has(&mutant::DECISIONS_CACHED) {
            self.allowed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(path.to_owned());
        }
    }

    fn remembers(&self, path: &str) -> bool {
        self.allowed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(path)
    }

    fn allowed(&self, identity: &Identity) -> Response<Body> {
        let mut response = text(StatusCode::OK, String::new());
        let omitted = self.pod.has(&mutant::EMAIL_LEFT_OUT);
        let email = identity.email.clone().filter(|_| !omitted);
        let told = [
            ("x-user-id", Some(identity.user_id.to_string())),
            ("x-user-name", Some(identity.name.clone())),
            ("x-user-email", email),
        ];
        for (name, value) in told {
            // A text of a claim has no control characters.
            if let Some(Ok(value)) = value.map(|value| HeaderValue::from_bytes(value.as_bytes())) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// Whether a path is one of agents, in its one spelling: what another hop could read as another path is
/// none (RFC 3986 §6.2.2; CWE-22, CWE-647).
fn is_of_agents(paths: &Paths, path: &str) -> bool {
    let plain = |segment: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b'.');
        !segment.is_empty() && !matches!(segment, "." | "..") && segment.bytes().all(known)
    };
    paths
        .below_agents(path)
        .is_some_and(|segments| segments.into_iter().all(plain))
}

fn unauthorized() -> Refusal {
    // RFC 9110 §11.6.1: a 401 names the scheme.
    error(StatusCode::UNAUTHORIZED, "Unauthorized").with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

#[cfg(test)]
mod tests {
    use super::super::pod::tests::pod;
    use super::*;

    #[test]
    fn paths_of_agents_have_one_spelling() {
        let paths = Paths::new(&pod(&[]));
        for path in [
            "/api/agents",
            "/api/agents/a1",
            "/api/agents/a1/react",
            "/api/agents/models",
        ] {
            assert!(is_of_agents(&paths, path), "{path}");
        }
        for path in [
            "",
            "/api/agentsX",
            "/api/agents/",
            "/api/agents//a",
            "/api/agents/../x",
            "/api/agents/./x",
            "/api/agents/%2e%2e/x",
            "/api/agents/a%2fb",
            "/api/agents/a;x",
            "/api/Agents",
            "/api/healthcheck",
        ] {
            assert!(!is_of_agents(&paths, path), "{path}");
        }
    }
}
