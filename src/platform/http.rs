//! The HTTP/1.1 server of all components: hyper with limits, an access log, a
//! gauge of open connections, and tunnels that live on after an upgrade.
//!
//! One task per connection, tunnels included, all in one set: they end when
//! the server's future is dropped. When the pod is asked to stop, no more
//! connections are accepted, requests are finished, and tunnels may go on
//! until `drain` is over.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::{ComponentError, Pod, mutant};

/// A body that is ours, or one that is passed on as it comes in.
pub type Body = Either<Full<Bytes>, Passed>;

/// A body that comes in on another connection, which lives as long as the body does.
pub struct Passed {
    pub body: Incoming,
    pub connection: AbortOnDropHandle<Result<(), hyper::Error>>,
}

impl hyper::body::Body for Passed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What happens on a connection after its answer `101`.
pub type Tunnel = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An answer, and the tunnel that follows a `101`.
pub struct Answer {
    pub response: Response<Body>,
    /// hyper gives the connection away after a refusal too; only mutants want it then.
    pub tunnel: Option<Tunnel>,
}

impl From<Response<Body>> for Answer {
    fn from(response: Response<Body>) -> Answer {
        Answer { response, tunnel: None }
    }
}

/// A component's answers.
pub trait Handler: Send + Sync + 'static {
    fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> impl Future<Output = Answer> + Send;
}

/// A server's limits and its count of connections.
pub struct Server {
    pod: Pod,
    header_timeout: Duration,
    drain: Duration,
    access_log: bool,
    open: AtomicUsize,
}

/// A request's head, start line included. Room for a token of 8 KB, which is
/// judged, not for one of 64 KB, which gets 431 (RFC 6585 §5).
const MAX_HEAD: usize = 16 * 1024;

impl Server {
    /// Limits from `HEADER_TIMEOUT` (10s) and `DRAIN_TIMEOUT`; no access log where `ACCESS_LOG` is off.
    pub fn new(pod: &Pod, drain: Duration) -> Result<Arc<Server>, ComponentError> {
        Ok(Arc::new(Server {
            pod: pod.clone(),
            header_timeout: pod.duration("HEADER_TIMEOUT", Duration::from_secs(10))?,
            drain: pod.duration("DRAIN_TIMEOUT", drain)?,
            access_log: pod.var_or("ACCESS_LOG", "on") != "off",
            open: AtomicUsize::new(0),
        }))
    }

    /// Serves connections until the pod is asked to stop.
    pub async fn serve<H: Handler>(
        self: &Arc<Server>,
        listener: TcpListener,
        handler: Arc<H>,
    ) -> Result<(), ComponentError> {
        self.serve_with(listener, handler, |stream| async { Ok(stream) }).await
    }

    /// The same, with a handshake of the transport (TLS) before HTTP.
    pub async fn serve_with<H, F, S, Io>(
        self: &Arc<Server>,
        listener: TcpListener,
        handler: Arc<H>,
        handshake: F,
    ) -> Result<(), ComponentError>
    where
        H: Handler,
        F: Fn(tokio::net::TcpStream) -> S,
        S: Future<Output = std::io::Result<Io>> + Send + 'static,
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        // Keystrokes are small and must not wait for one another.
                        let _ = stream.set_nodelay(true);
                        let server = self.clone();
                        let handler = handler.clone();
                        let handshake = handshake(stream);
                        connections.spawn(async move {
                            let _open = Open::count(&server.open);
                            match tokio::time::timeout(server.header_timeout, handshake).await {
                                Ok(Ok(io)) => server.connection(io, peer, handler).await,
                                Ok(Err(_)) | Err(_) => Ok(()),
                            }
                        });
                    }
                    // Descriptors may have run out: they come back when connections close.
                    Err(error) => {
                        self.pod.log.line(format!("can't accept: {error}"));
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                Some(ended) = connections.join_next() => {
                    if let Ok(Err(error)) = ended && error.is_parse() && self.pod.has(&mutant::CONNECTION_ERROR_ENDS_SERVER) {
                        return Err(ComponentError(error.to_string()));
                    }
                }
                () = self.pod.stop.cancelled() => break,
            }
        }
        drop(listener);
        let _ = tokio::time::timeout(self.drain, async { while connections.join_next().await.is_some() {} }).await;
        Ok(())
    }

    async fn connection<H: Handler>(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        handler: Arc<H>,
    ) -> Result<(), hyper::Error> {
        // What the service leaves for after HTTP; hyper keeps the service to itself.
        let after = Arc::new(Mutex::new(None::<Tunnel>));
        let service = {
            let after = after.clone();
            let (pod, access_log) = (self.pod.clone(), self.access_log);
            service_fn(move |request: Request<Incoming>| {
                let (handler, after, pod) = (handler.clone(), after.clone(), pod.clone());
                async move {
                    let line = access_log.then(|| log_line(&pod, &request)).flatten();
                    let mut answer = handler.answer(request, peer).await;
                    if let Some(line) = line {
                        pod.log.line(format!("{line} {}", answer.response.status().as_u16()));
                    }
                    if !pod.has(&mutant::TOKEN_ANSWERS_CACHEABLE) {
                        answer
                            .response
                            .headers_mut()
                            .entry(CACHE_CONTROL)
                            .or_insert(HeaderValue::from_static("no-store"));
                    }
                    *after.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = answer.tunnel;
                    Ok::<_, Infallible>(answer.response)
                }
            })
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .max_header_size(MAX_HEAD)
            .preserve_header_case(true);
        if self.pod.has(&mutant::SLOW_HEADS_KEPT) {
            http.header_read_timeout(None);
        } else {
            http.header_read_timeout(self.header_timeout);
        }
        let mut connection = http.serve_connection(TokioIo::new(io), service).with_upgrades();
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = self.pod.stop.cancelled() => {
                Pin::new(&mut connection).graceful_shutdown();
                (&mut connection).await
            }
        };
        let tunnel = after.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(tunnel) = tunnel {
            tunnel.await;
        }
        ended
    }

    /// `GET /healthz` for the readiness probe and `GET /metrics`, which are open and the same everywhere.
    pub fn common(&self, method: &Method, path: &str) -> Option<Response<Body>> {
        match (method, path) {
            (&Method::GET | &Method::HEAD, "/healthz") => {
                let mut answer = text(StatusCode::OK, "ok\n".into());
                let token = HeaderValue::from_str(self.pod.var_or("HARNESS_AUTH_TOKEN", ""));
                if self.pod.has(&mutant::HEALTH_NAMES_TOKEN)
                    && let Ok(token) = token
                {
                    answer.headers_mut().insert("x-harness-token", token);
                }
                Some(answer)
            }
            (&Method::GET | &Method::HEAD, "/metrics") => Some(text(StatusCode::OK, self.metrics())),
            _ => None,
        }
    }

    /// Prometheus text format. The connection that asks is one of those counted.
    fn metrics(&self) -> String {
        format!(
            "# HELP open_connections Connections that are open, the one that asks included.\n\
             # TYPE open_connections gauge\n\
             open_connections {}\n",
            self.open.load(Ordering::Relaxed)
        )
    }
}

/// Counts a connection for as long as it lives.
struct Open<'a>(&'a AtomicUsize);

impl Open<'_> {
    fn count(open: &AtomicUsize) -> Open<'_> {
        open.fetch_add(1, Ordering::Relaxed);
        Open(open)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The access log's line without the status. The query stays out of it: it
/// carries the token. Probes would drown the rest.
fn log_line(pod: &Pod, request: &Request<Incoming>) -> Option<String> {
    let (method, uri) = (request.method(), request.uri());
    if pod.has(&mutant::TOKEN_IN_ACCESS_LOG) {
        return Some(format!("{method} {uri}"));
    }
    (uri.path() != "/healthz").then(|| format!("{method} {}", uri.path()))
}

pub fn text(status: StatusCode, text: String) -> Response<Body> {
    respond(status, "text/plain; charset=utf-8", text)
}

pub fn json(status: StatusCode, value: &Value) -> Response<Body> {
    respond(status, "application/json", value.to_string())
}

/// `{"error": …}`, the form of all errors.
pub fn error(status: StatusCode, message: impl Into<String>) -> Refusal {
    Refusal {
        status,
        message: message.into(),
        headers: Vec::new(),
    }
}

/// Why a request doesn't get what it asked for.
pub struct Refusal {
    pub status: StatusCode,
    message: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Refusal {
        self.headers.push((name, value));
        self
    }

    /// The connection ends with the answer: what comes after it is never read as anything.
    pub fn closing(self) -> Refusal {
        self.with(CONNECTION, HeaderValue::from_static("close"))
    }
}

impl From<Refusal> for Response<Body> {
    fn from(refusal: Refusal) -> Response<Body> {
        let mut response = json(refusal.status, &json!({ "error": refusal.message }));
        response.headers_mut().extend(refusal.headers);
        response
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Answer {
        Response::from(refusal).into()
    }
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
