//! Answers and refusals in the forms that clients of LiteLLM know.

use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{Either, Full};
use serde_json::{Value, json};

use super::super::super::http::{Body, json as respond};
use super::super::vendor::events;

/// What kind of call it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Chat,
    Response,
}

impl Form {
    /// What the vendor is asked, which knows responses alone.
    pub fn question(self, asked: &Value) -> Value {
        match self {
            Form::Response => asked.clone(),
            Form::Chat => json!({
                "model": asked["model"],
                "input": asked["messages"],
                "stream": false,
                "store": false,
            }),
        }
    }
}

/// Why a call gets no answer of a model, as LiteLLM says it: `{"error": {"message", "type", "param", "code"}}`.
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    message: String,
    retry_after: Option<HeaderValue>,
}

impl Problem {
    pub fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Problem {
        Problem {
            status,
            kind,
            message: message.into(),
            retry_after: None,
        }
    }

    pub fn unavailable(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable_error", message)
    }

    pub fn retry_after(self, value: Option<&HeaderValue>) -> Problem {
        Problem {
            retry_after: value.cloned(),
            ..self
        }
    }
}

impl From<Problem> for Response<Body> {
    fn from(problem: Problem) -> Response<Body> {
        let error = json!({
            "message": problem.message,
            "type": problem.kind,
            "param": null,
            "code": problem.status.as_u16().to_string(),
        });
        let mut response = respond(problem.status, &json!({ "error": error }));
        if problem.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §11.6.1: a 401 names the scheme.
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
        }
        if let Some(value) = problem.retry_after {
            response.headers_mut().insert(RETRY_AFTER, value);
        }
        response
    }
}

/// How a call ended.
pub trait Status {
    fn number(&self) -> u16;
}

impl Status for StatusCode {
    fn number(&self) -> u16 {
        self.as_u16()
    }
}

impl Status for Problem {
    fn number(&self) -> u16 {
        self.status.as_u16()
    }
}

pub fn ok(value: &Value) -> Response<Body> {
    respond(StatusCode::OK, value)
}

/// An answer as events.
pub fn stream(model: &str, id: &str, text: &str) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::from(events(model, id, text))));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// A chat's answer out of a response's.
pub fn chat_of(said: &Value, model: &str) -> Response<Body> {
    let text: String = said["output"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item["content"].as_array())
        .flatten()
        .filter_map(|part| part["text"].as_str())
        .collect();
    let message = json!({ "role": "assistant", "content": text });
    let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
    ok(&json!({ "id": said["id"], "object": "chat.completion", "model": model, "choices": [choice] }))
}
