//! `/metrics` and `/healthz`.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::metrics::{Constant, render};
use super::tally::Tally;

/// Connections at once; more wait.
const CONNECTIONS: usize = 32;

/// Longest time of a connection, which is for one request.
const CONNECTION: Duration = Duration::from_secs(10);

/// How long to wait when the process has no descriptor left for a connection.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// The type of what `/metrics` gives.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const TEXT: &str = "text/plain; charset=utf-8";

/// What the rounds know, and those who ask.
pub struct Known {
    pub constant: Constant,
    /// Longest time without a sign of life.
    pub patience: Duration,
    tally: Mutex<Tally>,
    alive: Mutex<Instant>,
}

impl Known {
    pub fn new(constant: Constant, patience: Duration, tally: Tally) -> Known {
        Known {
            constant,
            patience,
            tally: Mutex::new(tally),
            alive: Mutex::new(Instant::now()),
        }
    }

    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something goes on.
    pub fn is_alive(&self) {
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn silent_for(&self) -> Duration {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.elapsed()
    }
}

/// Answers until it is dropped.
pub async fn serve(listener: TcpListener, known: Arc<Known>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    // It is never closed.
    while let Ok(place) = room.clone().acquire_owned().await {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Aborted by its client, or no descriptor left: the next one may do better.
            sleep(EXHAUSTED).await;
            continue;
        };
        let known = known.clone();
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer(request.method(), request.uri().path(), &known);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // One that breaks or is slow is its client's to notice.
            let _ended = timeout(CONNECTION, connection).await;
            drop(place);
        });
    }
}

fn answer(method: &Method, path: &str, known: &Known) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".into());
        refused
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/metrics" => match render(&known.constant, &known.tally()) {
            Ok(metrics) => text(StatusCode::OK, OPENMETRICS, metrics),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
        },
        "/healthz" => health(known),
        _ => text(StatusCode::NOT_FOUND, TEXT, "there are /metrics and /healthz\n".into()),
    }
}

/// Whether rounds go on. What they found is another question.
fn health(known: &Known) -> Response<Full<Bytes>> {
    let silent = known.silent_for();
    match silent > known.patience {
        true => text(
            StatusCode::SERVICE_UNAVAILABLE,
            TEXT,
            format!(
                "nothing has happened for {} s; {} s are the most\n",
                silent.as_secs(),
                known.patience.as_secs()
            ),
        ),
        false => text(StatusCode::OK, TEXT, "ok\n".into()),
    }
}

fn text(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(patience: Duration) -> Known {
        let constant = Constant {
            version: "0.1.0".into(),
            target: "url".into(),
            every: Duration::from_secs(300),
        };
        Known::new(constant, patience, Tally::default())
    }

    #[test]
    fn what_there_is() {
        let known = known(Duration::from_secs(600));
        let status = |method: Method, path: &str| answer(&method, path, &known).status().as_u16();
        assert_eq!(status(Method::GET, "/metrics"), 200);
        assert_eq!(status(Method::HEAD, "/healthz"), 200);
        assert_eq!(status(Method::GET, "/"), 404);
        assert_eq!(status(Method::POST, "/metrics"), 405);
    }

    #[test]
    fn rounds_that_hang_are_no_good_health() {
        let known = known(Duration::ZERO);
        assert_eq!(answer(&Method::GET, "/healthz", &known).status().as_u16(), 503);
        assert_eq!(answer(&Method::GET, "/metrics", &known).status().as_u16(), 200);
    }
}
