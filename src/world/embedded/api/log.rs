//! The `log` subresource of pods.

use std::convert::Infallible;

use futures_util::stream;
use http::{HeaderValue, Method, Response, header};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use jiff::{SignedDuration, Timestamp};

use super::{Answer, Api, At, Query};
use crate::world::embedded::error::ApiError;
use crate::world::embedded::kubelet::State;
use crate::world::embedded::logs::Wanted;
use crate::world::embedded::object::text;

impl Api {
    pub(super) fn log(&self, method: &Method, query: &Query, at: At<'_>) -> Answer {
        if *method != Method::GET {
            return Err(ApiError::method_not_allowed());
        }
        let pod = self.store.get(at.kind, at.namespace, at.name)?;
        let run = self.kubelet.pod(pod.uid());
        let name = super::super::exec::container_name(&pod, query.get("container"))?;
        let container = run.and_then(|run| {
            run.containers()
                .iter()
                .find(|container| text(&container.spec["name"]) == name)
                .cloned()
        });
        let log = if query.flag("previous") {
            container.and_then(|container| container.previous_log).ok_or_else(|| {
                ApiError::bad_request(format!(
                    "previous terminated container \"{name}\" in pod \"{}\" not found",
                    at.name
                ))
            })?
        } else {
            let reason = match container.as_ref().map(|container| &container.state) {
                Some(State::Waiting { reason, .. }) => reason,
                _ => "ContainerCreating",
            };
            container
                .as_ref()
                .and_then(|container| container.log.clone())
                .ok_or_else(|| {
                    ApiError::bad_request(format!(
                        "container \"{name}\" in pod \"{}\" is waiting to start: {reason}",
                        at.name
                    ))
                })?
        };
        let since = match (query.number("sinceSeconds")?, query.get("sinceTime")) {
            (Some(seconds), _) => {
                let span = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
                Some(Timestamp::now().checked_sub(span).unwrap_or(Timestamp::MIN))
            }
            (None, Some(at)) => Some(
                at.parse()
                    .map_err(|why| ApiError::bad_request(format!("invalid value for sinceTime: {why}")))?,
            ),
            (None, None) => None,
        };
        let tail = query.number("tailLines")?;
        let mut reader = log.read(Wanted {
            tail: tail.map(|tail| usize::try_from(tail).unwrap_or(usize::MAX)),
            since,
            timestamps: query.flag("timestamps"),
        });
        let body = if query.flag("follow") {
            let text = stream::unfold(reader, |mut reader| async move {
                let text = reader.next().await?;
                Some((Ok::<_, Infallible>(Frame::data(text.into())), reader))
            });
            StreamBody::new(text).boxed_unsync()
        } else {
            let mut text = reader.take();
            if let Some(limit) = query.number("limitBytes")? {
                let mut end = usize::try_from(limit).unwrap_or(usize::MAX).min(text.len());
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                text.truncate(end);
            }
            Full::new(text.into()).boxed_unsync()
        };
        let mut response = Response::new(body);
        let plain = HeaderValue::from_static("text/plain");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        Ok(response)
    }
}
