//! The vendor of codex logins: identity provider and model API in one, with one state. A fake.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `PORT` | 9400 | |
//! | `POLL_INTERVAL` | 1 | seconds between two questions of a device flow |
//! | `POD_IP` | 127.0.0.1 | an address of the cluster's network, for logins issued `"as": "cluster"` |
//!
//! A login is bound to the network (the first two parts of the address) that asked for its code: a call or a
//! refresh from another one is refused, and the login is revoked, as ChatGPT does with one that was carried
//! from a laptop. A refresh token is good for one use; a second one revokes the login (RFC 9700 §4.14.2).
//!
//! `/control/…` approves and denies codes, revokes and issues logins, makes it misbehave, and shows what it has
//! been asked. It needs no key: there is nothing behind it that is worth one.

mod behaviour;
mod control;
mod device;
mod message;
mod model;
mod oauth;
mod records;
mod state;
#[cfg(test)]
pub mod tests;
mod tokens;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::HOST;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::super::http::{Answer, Body, Handler, Server, json as respond};
use super::super::{ComponentError, Pod};
use super::clock::seconds;
use message::{Fault, Message};
pub use model::events;
use state::State;
use tokens::{Network, Tokens};

pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    let port = pod.number("PORT", 9400)?;
    let server = Server::new(&pod, Duration::from_secs(1))?;
    let vendor = Vendor {
        tokens: Tokens::new(),
        interval: seconds(&pod, "POLL_INTERVAL", 1.0)?,
        cluster: Network::of(pod.number("POD_IP", std::net::IpAddr::from([127, 0, 0, 1]))?),
        state: Mutex::default(),
        server: server.clone(),
        pod: pod.clone(),
    };
    let listener = pod.listen(port).await?;
    pod.log.line(format!("vendor: on port {port}"));
    server.serve(listener, Arc::new(vendor)).await
}

struct Vendor {
    tokens: Tokens,
    interval: f64,
    /// Where the platform is.
    cluster: Network,
    state: Mutex<State>,
    server: Arc<Server>,
    pod: Pod,
}

impl Handler for Vendor {
    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        if let Some(answer) = self.server.common(request.method(), request.uri().path()) {
            return answer.into();
        }
        match self.asked(request, peer).await {
            Ok(response) => response.into(),
            Err(fault) => Response::from(fault).into(),
        }
    }
}

impl Vendor {
    async fn asked(&self, request: Request<Incoming>, peer: SocketAddr) -> Result<Response<Body>, Fault> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let message = Message::read(request, peer).await?;
        match (method, path.as_str()) {
            (Method::POST, "/api/accounts/deviceauth/usercode") => self.user_code(&message),
            (Method::POST, "/api/accounts/deviceauth/token") => self.authorization_code(&message),
            (Method::POST, "/oauth/device/code") => self.device_code(&message),
            (Method::POST, "/oauth/token") => self.token(&message).await,
            (Method::POST, "/backend-api/codex/responses") => self.respond(&message),
            (Method::GET, "/codex/device") => Ok(page()),
            (Method::GET, "/.well-known/openid-configuration") => Ok(configuration(&message)),
            (Method::GET, "/control/records") => Ok(ok(&self.state().records.shown())),
            (Method::POST, path) => match path.strip_prefix("/control/") {
                Some(name) => self.control(name, &message),
                None => Err(Fault::not_found()),
            },
            _ => Err(Fault::not_found()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ok(value: &Value) -> Response<Body> {
    respond(StatusCode::OK, value)
}

/// What a person sees who opens the address that codex shows.
fn page() -> Response<Body> {
    let mut response = super::super::http::text(
        StatusCode::OK,
        "<!doctype html><title>Device login</title><h1>Device login</h1>\
         <p>This identity provider is a fake. To approve a code, have it told:</p>\
         <pre>curl -d '{\"user_code\":\"CODE\",\"account\":\"acct-1\"}' ADDRESS/control/approve</pre>\n"
            .to_owned(),
    );
    let html = http::HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, html);
    response
}

/// OpenID Connect Discovery 1.0 §4.2, as far as there is something to say.
fn configuration(message: &Message) -> Response<Body> {
    let host = message.headers.get(HOST).and_then(|host| host.to_str().ok());
    let issuer = format!("http://{}", host.unwrap_or("vendor:9400"));
    ok(&json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}/oauth/token"),
        "device_authorization_endpoint": format!("{issuer}/oauth/device/code"),
        "grant_types_supported": ["authorization_code", "refresh_token", oauth::DEVICE_CODE],
        "id_token_signing_alg_values_supported": ["HS256"],
    }))
}
