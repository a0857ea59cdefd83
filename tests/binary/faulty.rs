//! An API server that has bad days: a proxy before a good one.

// Each test program uses its own part of this.
#![allow(dead_code)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

type Answer = Response<UnsyncBoxBody<Bytes, kube::Error>>;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Each n-th request that is no upgrade is answered with this status.
    Status { code: u16, every: usize },
    /// Each n-th watch says that its version is too old (410 Gone), and ends.
    Gone { every: usize },
    /// Each answer comes so late.
    Slow(Duration),
    /// Lists of pods name one that went away a moment ago.
    Ghost,
    /// Such requests are refused.
    Forbidden { method: &'static str, path: &'static str },
    /// The first such request is carried out, and not answered.
    Unanswered { method: &'static str, path: &'static str },
}

/// A proxy. Dropped, it ends.
pub struct Faulty {
    address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

struct Proxy {
    good: kube::Client,
    fault: Fault,
    requests: AtomicUsize,
    /// Those that are not answered.
    unanswered: AtomicUsize,
}

impl Faulty {
    pub async fn before(good: kube::Client, fault: Fault) -> Faulty {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let proxy = Arc::new(Proxy {
            good,
            fault,
            requests: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
        });
        let serving = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let proxy = proxy.clone();
                let service = service_fn(move |request| {
                    let proxy = proxy.clone();
                    async move { Ok::<_, Infallible>(proxy.answer(request).await) }
                });
                let serving = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(connection), service)
                    .with_upgrades();
                tokio::spawn(serving);
            }
        });
        Faulty {
            address,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// Writes a kubeconfig that leads to it.
    pub fn kubeconfig(&self, file: &Path) {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: gauntlet\n\
             clusters: [{{ name: faulty, cluster: {{ server: \"http://{}\" }} }}]\n\
             contexts: [{{ name: gauntlet, context: {{ cluster: faulty, user: nobody }} }}]\n\
             users: [{{ name: nobody, user: {{}} }}]\n",
            self.address
        );
        std::fs::write(file, text).expect("written");
    }
}

impl Proxy {
    async fn answer(&self, mut request: Request<Incoming>) -> Answer {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let is_upgrade = request.headers().contains_key(header::UPGRADE);
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        match self.fault {
            Fault::Status { code, every } if !is_upgrade && number.is_multiple_of(every) => {
                return failed(StatusCode::from_u16(code).expect("a status"));
            }
            Fault::Gone { every } if is_watch && number.is_multiple_of(every) => {
                let gone = r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version","reason":"Expired","code":410}}"#;
                return Response::new(text(format!("{gone}\n")));
            }
            Fault::Slow(late) => tokio::time::sleep(late).await,
            Fault::Forbidden { method, path } if request.method() == method && request.uri().path().contains(path) => {
                return failed(StatusCode::FORBIDDEN);
            }
            _ => {}
        }
        let is_unanswered = matches!(self.fault, Fault::Unanswered { method, path }
            if request.method() == method && request.uri().path().contains(path));
        let ours = is_upgrade.then(|| hyper::upgrade::on(&mut request));
        let (mut parts, body) = request.into_parts();
        parts.headers.remove(header::HOST);
        let Ok(body) = body.collect().await else {
            return failed(StatusCode::BAD_REQUEST);
        };
        let lists_pods = parts.uri.path().ends_with("/pods") && !is_watch;
        let forwarded = Request::from_parts(parts, Body::from(body.to_bytes()));
        let Ok(mut answer) = self.good.send(forwarded).await else {
            return failed(StatusCode::BAD_GATEWAY);
        };
        if let Some(ours) = ours.filter(|_| answer.status() == StatusCode::SWITCHING_PROTOCOLS) {
            let theirs = hyper::upgrade::on(&mut answer);
            tokio::spawn(async move {
                if let (Ok(ours), Ok(theirs)) = tokio::join!(ours, theirs) {
                    let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
                    // Either may end as it likes.
                    let _ended = tokio::io::copy_bidirectional(&mut ours, &mut theirs).await;
                }
            });
        }
        if is_unanswered && self.unanswered.fetch_add(1, Ordering::Relaxed) == 0 {
            return std::future::pending().await;
        }
        let answer = answer.map(|body| body.boxed_unsync());
        match self.fault {
            Fault::Ghost if lists_pods => with_ghost(answer).await,
            _ => answer,
        }
    }
}

/// The list with a copy of each of its pods under another name.
async fn with_ghost(answer: Answer) -> Answer {
    let Ok(body) = answer.into_body().collect().await else {
        return failed(StatusCode::BAD_GATEWAY);
    };
    let mut list: serde_json::Value = serde_json::from_slice(&body.to_bytes()).expect("a list");
    let items = list["items"].as_array_mut().expect("items");
    let mut ghosts = items.clone();
    for ghost in &mut ghosts {
        ghost["metadata"]["name"] = format!("{}-ghost", ghost["metadata"]["name"].as_str().expect("a name")).into();
    }
    items.append(&mut ghosts);
    Response::new(text(list.to_string()))
}

fn failed(status: StatusCode) -> Answer {
    let said = format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"a bad day","code":{}}}"#,
        status.as_u16()
    );
    let mut answer = Response::new(text(said));
    *answer.status_mut() = status;
    answer
}

fn text(text: String) -> UnsyncBoxBody<Bytes, kube::Error> {
    Full::new(Bytes::from(text))
        .map_err(|never| match never {})
        .boxed_unsync()
}
