//! The question that access control is asked about a request.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio_util::task::AbortOnDropHandle;

use super::Gateway;
use crate::platform::relay;

/// The longest body that its answer may have; it is thrown away.
const MAX_ANSWER: usize = 64 * 1024;

/// Why access control has not judged a request.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotJudged {
    #[error("it can't be reached")]
    Unreachable,
    #[error("no answer in time")]
    Late,
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it is not asked about CONNECT")]
    Connect,
    #[error(transparent)]
    Question(#[from] http::Error),
    #[error(transparent)]
    Exchange(#[from] hyper::Error),
    #[error("{0}")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Gateway {
    pub(super) async fn ask(&self, request: &Request<Incoming>) -> Result<Response<Bytes>, NotJudged> {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let question = format!("{}{target}", self.paths.auth);
        let stream = relay::connect(&self.pod, &self.backends, &question).await;
        let stream = stream.and_then(Result::ok).ok_or(NotJudged::Unreachable)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let answer = sender.send_request(question_of(request, &question)?).await;
        let (parts, body) = answer?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(NotJudged::Body)?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }
}

/// The question has the request's method and its token, and no body.
fn question_of(request: &Request<Incoming>, target: &str) -> Result<Request<Empty<Bytes>>, NotJudged> {
    // CONNECT has no path, and is nothing that a service of this kind answers.
    if request.method() == Method::CONNECT {
        return Err(NotJudged::Connect);
    }
    let mut question = Request::builder().method(request.method()).uri(target);
    if let Some(headers) = question.headers_mut() {
        for name in [AUTHORIZATION, HOST] {
            let values = request.headers().get_all(&name).iter().cloned();
            headers.extend(values.map(|value| (name.clone(), value)));
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(question.body(Empty::new())?)
}
