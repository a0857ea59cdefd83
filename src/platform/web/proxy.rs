//! From web's terminal path to a pod's `/tty`: one HTTP upgrade to the pod,
//! then bytes both ways.
//!
//! The query goes on byte for byte. The pod judges it again; an answer of it
//! that isn't 101 is relayed as it is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderName, ORIGIN, UPGRADE, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Empty, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::super::http::{Answer, Body, Tunnel, error};
use super::super::{Pod, mutant};

/// How long a pod may take to be connected to and to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest refusal of a pod that is relayed.
const MAX_REFUSAL: usize = 64 * 1024;

/// What of the client's handshake the pod gets to see.
const FORWARDED: [HeaderName; 6] = [
    AUTHORIZATION,
    ORIGIN,
    USER_AGENT,
    HeaderName::from_static("sec-websocket-key"),
    HeaderName::from_static("sec-websocket-version"),
    HeaderName::from_static("sec-websocket-protocol"),
];

pub struct Proxy {
    pod: Pod,
    /// The session that each token was first used on, for the mutant `token-once`.
    used: Mutex<HashMap<String, String>>,
    /// The connections to sandboxes that the mutant `proxy-pool-exhausted` has.
    pool: Arc<Semaphore>,
}

impl Proxy {
    pub fn new(pod: &Pod) -> Proxy {
        Proxy {
            pod: pod.clone(),
            used: Mutex::new(HashMap::new()),
            pool: Arc::new(Semaphore::new(mutant::MANY as usize)),
        }
    }

    /// The mutant `token-once`: a token belongs to the session that it was first used on.
    pub fn is_first_use(&self, query: Option<&str>, session: &str) -> bool {
        if !self.pod.has(&mutant::TOKEN_ONCE) {
            return true;
        }
        let mut used = self.used.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        used.entry(query.unwrap_or("").to_owned())
            .or_insert_with(|| session.to_owned())
            == session
    }

    /// Connects a request that was let in to the pod at `address`.
    pub async fn tunnel(&self, request: &mut Request<Incoming>, address: &str, path: &str) -> Answer {
        match tokio::time::timeout(PATIENCE, self.connect(request, address, path)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(wrong)) => {
                self.pod.log.line(format!("sandbox {address}: {wrong}"));
                error(StatusCode::BAD_GATEWAY, "the sandbox can't be reached").into()
            }
            Err(_) => error(StatusCode::GATEWAY_TIMEOUT, "the sandbox doesn't answer").into(),
        }
    }

    async fn connect(&self, request: &mut Request<Incoming>, address: &str, path: &str) -> Result<Answer, Failed> {
        let of_pool = match self.pod.has(&mutant::PROXY_POOL_EXHAUSTED) {
            true => Some(self.pool.clone().acquire_owned().await?),
            false => None,
        };
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = AbortOnDropHandle::new(tokio::spawn(connection.with_upgrades()));
        let mut answer = sender.send_request(self.handshake(request, address, path)?).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(relayed(answer).await?.into());
        }
        let (client, pod) = (hyper::upgrade::on(request), hyper::upgrade::on(&mut answer));
        let pipe = async move {
            let (_driver, _of_pool) = (driver, of_pool);
            if let Ok((client, pod)) = tokio::try_join!(client, pod) {
                let (mut client, mut pod) = (TokioIo::new(client), TokioIo::new(pod));
                let _ = tokio::io::copy_bidirectional(&mut client, &mut pod).await;
            }
        };
        let stop = self.pod.stop.clone();
        let tunnel: Tunnel = if self.pod.has(&mutant::STOP_CUTS_TERMINALS) {
            Box::pin(async move {
                tokio::select! {
                    () = pipe => {}
                    () = stop.cancelled() => {}
                }
            })
        } else {
            Box::pin(pipe)
        };
        let (parts, _) = answer.into_parts();
        let response = Response::from_parts(parts, Either::Left(Full::default()));
        Ok(Answer {
            response,
            tunnel: Some(tunnel),
        })
    }

    /// The handshake for the pod.
    fn handshake(
        &self,
        request: &Request<Incoming>,
        address: &str,
        path: &str,
    ) -> Result<Request<Empty<bytes::Bytes>>, Failed> {
        let target = match request.uri().query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        let mut handshake = Request::get(target).header(HOST, address).body(Empty::new())?;
        let headers = handshake.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        for name in FORWARDED {
            for value in request.headers().get_all(&name) {
                headers.append(&name, value.clone());
            }
        }
        if self.pod.has(&mutant::PROXY_VOUCHES) {
            headers.insert("x-litellm-checked", HeaderValue::from_static("1"));
        }
        if self.pod.has(&mutant::FORWARDED_HEADER_HONOURED)
            && let Some(value) = request.headers().get("x-forwarded-authorization")
        {
            headers.insert("x-forwarded-authorization", value.clone());
        }
        Ok(handshake)
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// A pod's refusal, with the headers that say something about it. The client's connection ends with it.
async fn relayed(answer: Response<Incoming>) -> Result<Response<Body>, Failed> {
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, MAX_REFUSAL).collect().await?.to_bytes();
    let mut relayed = Response::new(Either::Left(Full::from(body)));
    *relayed.status_mut() = parts.status;
    for (name, value) in &parts.headers {
        let end_to_end = name.as_str().starts_with("sec-websocket-")
            || matches!(
                name.as_str(),
                "content-type" | "www-authenticate" | "allow" | "cache-control"
            );
        if end_to_end {
            relayed.headers_mut().append(name, value.clone());
        }
    }
    relayed
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(relayed)
}
