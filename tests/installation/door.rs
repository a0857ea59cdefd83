//! A door that can be held: a proxy before the web service, which keeps the answer to a session that was made.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

/// A proxy. Dropped, it ends.
pub struct Door {
    pub address: SocketAddr,
    held: Arc<Held>,
    _serving: AbortOnDropHandle<()>,
}

struct Held {
    web: String,
    /// One for each session that was made.
    made: Semaphore,
    /// One for each answer that may be told.
    open: Semaphore,
}

impl Door {
    /// One that keeps the answers, before the web service of this address.
    pub async fn before(web: &str) -> Door {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let held = Arc::new(Held {
            web: web.to_owned(),
            made: Semaphore::new(0),
            open: Semaphore::new(0),
        });
        let serves = held.clone();
        let serving = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let held = serves.clone();
                let service = service_fn(move |request| {
                    let held = held.clone();
                    async move { Ok::<_, Infallible>(held.answer(request).await) }
                });
                let serving = hyper::server::conn::http1::Builder::new();
                tokio::spawn(serving.serve_connection(TokioIo::new(connection), service));
            }
        });
        Door {
            address,
            held,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// Until a session was made of which nobody has heard.
    pub async fn made(&self) {
        self.held.made.acquire().await.expect("not closed").forget();
    }

    /// From now on all answers are told.
    pub fn open(&self) {
        self.held.open.add_permits(Semaphore::MAX_PERMITS / 2);
    }
}

impl Held {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let makes_session = request.method() == Method::POST && request.uri().path().ends_with("/session");
        let (parts, body) = request.into_parts();
        let asked = reqwest::Client::new()
            .request(parts.method, format!("{}{}", self.web, parts.uri))
            .headers(parts.headers)
            .body(body.collect().await.expect("a body").to_bytes());
        let answer = asked.send().await.expect("an answer");
        let (status, body) = (answer.status(), answer.bytes().await.expect("its body"));
        if makes_session {
            self.made.add_permits(1);
            self.open.acquire().await.expect("not closed").forget();
        }
        let mut answer = Response::new(Full::new(body));
        *answer.status_mut() = status;
        answer
    }
}
