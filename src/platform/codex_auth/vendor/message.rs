//! What the vendor is asked, and how it refuses.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::super::super::http::{Body, json as respond};
use super::tokens::Network;

/// The longest body: codex sends its whole conversation.
const MAX_BODY: usize = 4 << 20;

/// A request that was read as a whole.
pub struct Message {
    pub headers: HeaderMap,
    pub peer: SocketAddr,
    body: Bytes,
}

impl Message {
    pub async fn read(request: Request<Incoming>, peer: SocketAddr) -> Result<Message, Fault> {
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await;
        let body = body.map_err(|_| Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request"))?;
        Ok(Message {
            headers: parts.headers,
            peer,
            body: body.to_bytes(),
        })
    }

    /// Where it comes from.
    pub fn network(&self) -> Network {
        Network::of(self.peer.ip())
    }

    pub fn json(&self) -> Result<Value, Fault> {
        let value = serde_json::from_slice(&self.body).ok().filter(Value::is_object);
        value.ok_or_else(|| Fault::new(StatusCode::BAD_REQUEST, "invalid_request"))
    }

    /// The texts of a form, or of a JSON object: codex sends both to `/oauth/token`.
    pub fn fields(&self) -> Result<BTreeMap<String, String>, Fault> {
        let kind = self.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("application/json")) {
            let object = self.json()?;
            let texts = object.as_object().into_iter().flatten();
            return Ok(texts
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect());
        }
        let text = String::from_utf8_lossy(&self.body);
        let decoded = |text: &str| {
            let text = text.replace('+', " ");
            percent_decode_str(&text).decode_utf8_lossy().into_owned()
        };
        Ok(text
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect())
    }
}

/// A refusal: `{"error": …}`.
pub struct Fault {
    status: StatusCode,
    error: Value,
    retry_after: Option<u64>,
}

impl Fault {
    /// With a code at the top (RFC 6749 §5.2).
    pub fn new(status: StatusCode, code: &str) -> Fault {
        Fault {
            status,
            error: json!(code),
            retry_after: None,
        }
    }

    pub fn bad(code: &str) -> Fault {
        Fault::new(StatusCode::BAD_REQUEST, code)
    }

    pub fn not_found() -> Fault {
        Fault::new(StatusCode::NOT_FOUND, "not_found")
    }

    /// With an object, as the model API has it.
    pub fn of_model(status: StatusCode, error: Value) -> Fault {
        Fault {
            status,
            error,
            retry_after: None,
        }
    }

    pub fn retry_after(self, seconds: Option<u64>) -> Fault {
        Fault {
            retry_after: seconds,
            ..self
        }
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<Fault> for Response<Body> {
    fn from(fault: Fault) -> Response<Body> {
        let mut response = respond(fault.status, &json!({ "error": fault.error }));
        if let Some(seconds) = fault.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
