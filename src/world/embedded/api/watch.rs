//! Watches: the changes of a kind as a stream of JSON lines.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::shape::Shape;
use super::{Answer, Api, Body, Filter, Query};
use crate::world::embedded::error::ApiError;
use crate::world::embedded::kinds::Kind;
use crate::world::embedded::store::{Change, Changes, Verb};

/// How often a bookmark says that a watch is up to date.
const BOOKMARK: Duration = Duration::from_secs(60);

/// How long a watch runs when its client doesn't say: the real server takes 30 to 60 minutes.
const TIMEOUT_SECONDS: u64 = 3600;

struct Watch {
    changes: Changes,
    kind: Kind,
    filter: Filter,
    shape: Shape,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    /// Lines that are ready to go.
    lines: VecDeque<Bytes>,
    done: bool,
}

pub fn answer(api: &Api, kind: Kind, filter: Filter, query: &Query, shape: Shape) -> Answer {
    let seconds = query.number("timeoutSeconds")?.unwrap_or(TIMEOUT_SECONDS);
    let from = query.number("resourceVersion")?.unwrap_or(0);
    let bookmarks = query.flag("allowWatchBookmarks");
    let initial = query.flag("sendInitialEvents");
    let mut lines = VecDeque::new();
    let changes = if from == 0 || initial {
        let (objects, version) = api.list(kind, &filter);
        lines.extend(objects.iter().map(|object| line("ADDED", shape.object(kind, object))));
        if initial {
            let end = json!({ "k8s.io/initial-events-end": "true" });
            lines.push_back(bookmark(kind, version, end));
        }
        api.store.changes(kind, version)?
    } else {
        match api.store.changes(kind, from) {
            Ok(changes) => changes,
            // As the real server does for versions that it has forgotten: 200, then an error event.
            Err(error) => return Ok(response(single(error))),
        }
    };
    let now = Instant::now();
    let watch = Watch {
        changes,
        kind,
        filter,
        shape,
        bookmarks,
        next_bookmark: now + BOOKMARK,
        end: now + Duration::from_secs(seconds),
        lines,
        done: false,
    };
    let lines = stream::unfold(watch, |mut watch| async move {
        let line = watch.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(line)), watch))
    });
    Ok(response(StreamBody::new(lines).boxed_unsync()))
}

fn single(error: ApiError) -> Body {
    http_body_util::Full::new(error_line(&error)).boxed_unsync()
}

fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

impl Watch {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.done {
                return None;
            }
            tokio::select! {
                changes = self.changes.next() => match changes {
                    Ok(changes) => {
                        let lines = changes.iter().filter_map(|change| self.event(change));
                        let lines: Vec<Bytes> = lines.collect();
                        self.lines.extend(lines);
                    }
                    Err(error) => {
                        self.lines.push_back(error_line(&error));
                        self.done = true;
                    }
                },
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.next_bookmark += BOOKMARK;
                    self.lines.push_back(bookmark(self.kind, self.changes.seen(), json!({})));
                }
                () = tokio::time::sleep_until(self.end) => self.done = true,
            }
        }
    }

    /// A change as this watch's client sees it: an object that begins or ceases to match
    /// comes or goes.
    fn event(&self, change: &Change) -> Option<Bytes> {
        let before = change.before.as_ref().is_some_and(|object| self.filter.matches(object));
        let now = change.verb != Verb::Deleted && self.filter.matches(&change.object);
        let verb = match (before, now) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        Some(line(verb, self.shape.object(self.kind, &change.object)))
    }
}

fn line(verb: &str, object: Bytes) -> Bytes {
    let mut line = Vec::with_capacity(object.len() + 40);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(verb.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(&object);
    line.extend_from_slice(b"}\n");
    line.into()
}

fn error_line(error: &ApiError) -> Bytes {
    line("ERROR", error.status().to_string().into())
}

fn bookmark(kind: Kind, version: u64, annotations: Value) -> Bytes {
    let object = json!({
        "kind": kind.facts().kind,
        "apiVersion": kind.api_version(),
        "metadata": {
            "resourceVersion": version.to_string(),
            "creationTimestamp": null,
            "annotations": annotations,
        },
    });
    line("BOOKMARK", object.to_string().into())
}
