//! Endpoints beside the terminal, which only mutants have: `/healthz` that lies, `/session` that stores.

use std::sync::{Mutex, PoisonError};

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::json;

use super::super::http::{Answer, json as answer};
use super::super::{Pod, mutant};

/// The longest body that is stored.
const MAX_BODY: usize = 64 * 1024;

/// What the mutants answer.
pub struct Endpoints {
    pod: Pod,
    /// The bodies that `POST /session` received.
    stored: Mutex<Vec<String>>,
}

impl Endpoints {
    /// None of them where the pod has no such mutant.
    pub fn new(pod: &Pod) -> Endpoints {
        Endpoints {
            pod: pod.clone(),
            stored: Mutex::default(),
        }
    }

    /// Whether this path is one of theirs.
    pub fn have(&self, path: &str) -> bool {
        match path {
            "/healthz" => self.pod.has(&mutant::HEALTH_DENIES_TOKEN),
            "/session" => self.pod.has(&mutant::SANDBOX_STORES_POSTS),
            _ => false,
        }
    }

    /// The answer at one of their paths.
    pub async fn answer(&self, request: Request<Incoming>) -> Answer {
        if request.uri().path() == "/healthz" {
            return answer(StatusCode::OK, &json!({ "ok": true, "auth_required": false })).into();
        }
        let sends = request.method() == Method::POST;
        let sent = match sends {
            true => Limited::new(request.into_body(), MAX_BODY).collect().await.ok(),
            false => None,
        };
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        match sent {
            Some(sent) => {
                stored.push(String::from_utf8_lossy(&sent.to_bytes()).into_owned());
                answer(StatusCode::CREATED, &json!({ "id": stored.len() })).into()
            }
            None => answer(StatusCode::OK, &json!(*stored)).into(),
        }
    }
}
