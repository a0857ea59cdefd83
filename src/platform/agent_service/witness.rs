//! The witness: shows on its own port which requests reached the agent service, to prove that none did.
//!
//! `GET /requests` gives `{"requests":[{"method","target","headers":{name:[value,…],…}},…]}`, the last
//! thousand, oldest first. `DELETE /requests` forgets them.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::super::http::{Answer, Handler, Server, json};
use super::not_found;

/// Requests that are remembered.
const MOST: usize = 1_000;

pub struct Witness {
    requests: Mutex<VecDeque<Value>>,
    server: Arc<Server>,
}

impl Witness {
    pub fn new(server: Arc<Server>) -> Arc<Witness> {
        Arc::new(Witness {
            requests: Mutex::default(),
            server,
        })
    }

    /// Remembers a request as it came.
    pub fn saw<B>(&self, request: &Request<B>) {
        let mut headers: BTreeMap<&str, Vec<Cow<str>>> = BTreeMap::new();
        for (name, value) in request.headers() {
            let value = String::from_utf8_lossy(value.as_bytes());
            headers.entry(name.as_str()).or_default().push(value);
        }
        let seen = json!({
            "method": request.method().as_str(),
            "target": request.uri().to_string(),
            "headers": headers,
        });
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() == MOST {
            requests.pop_front();
        }
        requests.push_back(seen);
    }
}

impl Handler for Witness {
    async fn answer(&self, request: Request<Incoming>, _peer: SocketAddr) -> Answer {
        let path = request.uri().path();
        if let Some(answer) = self.server.common(request.method(), path) {
            return answer.into();
        }
        match (request.method(), path) {
            (&Method::GET, "/requests") => {
                let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
                json(StatusCode::OK, &json!({ "requests": *requests })).into()
            }
            (&Method::DELETE, "/requests") => {
                self.requests.lock().unwrap_or_else(PoisonError::into_inner).clear();
                json(StatusCode::OK, &json!({ "requests": [] })).into()
            }
            // What somebody was made to fetch here.
            _ => {
                self.saw(&request);
                not_found().into()
            }
        }
    }
}
