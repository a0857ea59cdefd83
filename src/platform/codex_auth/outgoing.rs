//! Requests to the vendor and to LiteLLM, each on a connection of its own.
//!
//! They go where they were told: no redirect is followed, no proxy of the system is asked, nothing is tried
//! twice.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use super::super::http::Passed;

/// How long a connection may take to come to be.
const CONNECT: Duration = Duration::from_secs(5);

/// The longest answer that is read as a whole.
const LONGEST: usize = 4 << 20;

/// A POST that got no answer. Says where it was asked, and nothing of what was sent.
#[derive(Debug, thiserror::Error)]
#[error("POST {url}: {why}")]
pub struct PostError {
    url: String,
    #[source]
    why: NoAnswer,
}

impl PostError {
    fn new(url: &str, why: NoAnswer) -> PostError {
        PostError {
            url: url.to_owned(),
            why,
        }
    }
}

/// Why there is no answer, or not all of it.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("not a valid URL")]
    NoUri,
    #[error("not an address such as http://vendor:9400")]
    NoAddress,
    #[error("no connection within {CONNECT:?}")]
    NoConnection,
    #[error(transparent)]
    Connection(#[from] io::Error),
    #[error("the token can't stand in a header")]
    NoHeader,
    #[error(transparent)]
    Request(#[from] http::Error),
    #[error(transparent)]
    Exchange(#[from] hyper::Error),
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("its answer {0}")]
    Body(#[source] BodyError),
    #[error("the answer didn't end within {0:?}")]
    Endless(Duration),
}

/// A body that can't be read as a whole.
#[derive(Debug, thiserror::Error)]
#[error("is too long or broken: {0}")]
pub struct BodyError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// A POST as it is to be sent.
pub struct Post<'a> {
    pub url: &'a str,
    pub bearer: Option<&'a str>,
    pub content_type: &'static str,
    /// What kind of answer is wanted; a JSON one where it isn't said.
    pub accept: Option<HeaderValue>,
    pub body: Vec<u8>,
    /// How long the head of the answer, or all of it where all is read, may take.
    pub patience: Duration,
}

/// An answer that was read as a whole.
pub struct Whole {
    pub status: StatusCode,
    pub body: Bytes,
}

impl Whole {
    /// Null where it isn't JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl<'a> Post<'a> {
    pub fn json(url: &'a str, body: &Value) -> Post<'a> {
        Post {
            url,
            bearer: None,
            content_type: "application/json",
            accept: None,
            body: body.to_string().into_bytes(),
            patience: Duration::from_secs(30),
        }
    }

    /// With what is already percent-encoded.
    pub fn form(url: &'a str, body: String) -> Post<'a> {
        Post {
            content_type: "application/x-www-form-urlencoded",
            body: body.into_bytes(),
            ..Post::json(url, &Value::Null)
        }
    }

    /// Gives the answer as soon as its head is there; its body comes as it comes.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(self) -> Result<Response<Passed>, PostError> {
        let (url, patience) = (self.url, self.patience);
        match tokio::time::timeout(patience, self.exchange()).await {
            Ok(answer) => answer.map_err(|why| PostError::new(url, why)),
            Err(_) => Err(PostError::new(url, NoAnswer::Late(patience))),
        }
    }

    /// The whole answer.
    ///
    /// # Errors
    /// As of [`Post::send`]; an answer that is too long or ends too early.
    pub async fn read(self) -> Result<Whole, PostError> {
        let (url, patience) = (self.url, self.patience);
        let read = async {
            let (parts, body) = self.send().await?.into_parts();
            let body = read(body)
                .await
                .map_err(|why| PostError::new(url, NoAnswer::Body(why)))?;
            Ok(Whole {
                status: parts.status,
                body,
            })
        };
        match tokio::time::timeout(patience, read).await {
            Ok(answer) => answer,
            Err(_) => Err(PostError::new(url, NoAnswer::Endless(patience))),
        }
    }

    async fn exchange(self) -> Result<Response<Passed>, NoAnswer> {
        let uri: Uri = self.url.parse().map_err(|_| NoAnswer::NoUri)?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
        let authority = authority.ok_or(NoAnswer::NoAddress)?;
        let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
        let stream = match tokio::time::timeout(CONNECT, TcpStream::connect(&address)).await {
            Ok(connected) => connected?,
            Err(_) => return Err(NoAnswer::NoConnection),
        };
        let _ = stream.set_nodelay(true);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let mut request = Request::post(target)
            .header(HOST, authority.as_str())
            .header(CONNECTION, "close")
            .header(CONTENT_TYPE, self.content_type)
            .header(
                ACCEPT,
                self.accept.unwrap_or(HeaderValue::from_static("application/json")),
            );
        if let Some(token) = self.bearer {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            let mut value = value.map_err(|_| NoAnswer::NoHeader)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Full::new(Bytes::from(self.body)))?;
        let answer = sender.send_request(request).await?;
        Ok(answer.map(|body| Passed { body, connection }))
    }
}

/// All of a body that isn't too long.
///
/// # Errors
/// It is too long, or ends too early.
pub async fn read(body: Passed) -> Result<Bytes, BodyError> {
    let body = Limited::new(body, LONGEST).collect().await;
    Ok(body.map_err(BodyError)?.to_bytes())
}

/// A form's text of names and values.
pub fn form(fields: &[(&str, &str)]) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
        .collect();
    pairs.join("&")
}
