//! The API server's requests: which verb on which object, and the answer.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::error::ApiError;
use super::exec;
use super::kinds::Kind;
use super::kubelet::Kubelet;
use super::object::{Object, text};
use super::patch::Patch;
use super::portforward;
use super::selector::{FieldSelector, LabelSelector};
use super::store::{DeleteOptions, Deleted, Part, Propagation, Store};
use super::tasks::Tasks;

mod access;
mod discovery;
mod log;
mod openapi;
mod protobuf;
mod request;
mod scale;
mod shape;
mod watch;

pub use request::Query;
use request::Target;
use shape::Shape;

pub type Body = UnsyncBoxBody<Bytes, Infallible>;
pub type Answer = Result<Response<Body>, ApiError>;

/// The largest body of a request; that of the real server.
const BODY_LIMIT: usize = 3 << 20;

/// What requests work on.
pub struct Api {
    pub store: Arc<Store>,
    pub kubelet: Arc<Kubelet>,
    pub tasks: Tasks,
    /// `Bearer …` as requests have to have it.
    pub authorization: String,
}

impl Api {
    /// Answers a request; every error becomes a `Status`.
    pub async fn serve(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let answer = match self.authorize(request.headers()) {
            Ok(()) => self.answer(request).await,
            Err(error) => Err(error),
        };
        Ok(answer.unwrap_or_else(|error| json_response(error.code, error.status().to_string().into())))
    }

    fn authorize(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if given == Some(&self.authorization) {
            return Ok(());
        }
        Err(ApiError::new(401, "Unauthorized", "Unauthorized"))
    }

    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Answer {
        let query = Query::parse(request.uri().query());
        if query.get("dryRun").is_some() {
            return Err(ApiError::bad_request("the embedded cluster has no dry runs"));
        }
        match Target::parse(request.uri().path())? {
            Target::AccessReview => access::review(request).await,
            Target::RulesReview => access::rules(request).await,
            Target::Other => discovery::answer(request.method(), request.uri().path()),
            Target::Collection { kind, namespace } => {
                self.collection(request, &query, kind, namespace.as_deref()).await
            }
            Target::Object {
                kind,
                namespace,
                name,
                subresource,
            } => {
                let at = At {
                    kind,
                    namespace: &namespace,
                    name: &name,
                };
                match subresource.as_deref() {
                    None => self.object(request, &query, at, Part::Main).await,
                    Some("status") if kind.facts().status => self.object(request, &query, at, Part::Status).await,
                    Some("scale") if matches!(kind, Kind::Deployment | Kind::ReplicaSet) => {
                        self.scale(request, at).await
                    }
                    Some("log") if kind == Kind::Pod => self.log(request.method(), &query, at),
                    Some("exec") if kind == Kind::Pod => {
                        let pod = self.store.get(kind, &namespace, &name)?;
                        exec::answer(self, request, &query, &pod)
                    }
                    Some("portforward") if kind == Kind::Pod => {
                        let pod = self.store.get(kind, &namespace, &name)?;
                        portforward::answer(self, request, &query, &pod)
                    }
                    Some("attach") if kind == Kind::Pod => Err(ApiError::bad_request(
                        "the embedded cluster has no attach: `kubectl logs -f` follows what a pod prints, \
                         `kubectl exec -it` gives a shell",
                    )),
                    Some(_) => Err(ApiError::no_such_path()),
                }
            }
        }
    }

    async fn collection(
        &self,
        request: Request<Incoming>,
        query: &Query,
        kind: Kind,
        namespace: Option<&str>,
    ) -> Answer {
        let shape = Shape::wanted(request.headers(), query);
        match *request.method() {
            Method::GET | Method::HEAD => {
                let filter = Filter::parse(query, namespace)?;
                if query.flag("watch") {
                    return watch::answer(self, kind, filter, query, shape);
                }
                let (objects, version) = self.list(kind, &filter);
                Ok(json_response(200, shape.list(kind, &objects, version)))
            }
            Method::POST => {
                let value = read_object(request).await?;
                let namespace = self.home(kind, namespace)?;
                let object = self.store.create(kind, namespace, value)?;
                Ok(json_response(201, shape.object(kind, &object)))
            }
            Method::DELETE => {
                let filter = Filter::parse(query, namespace)?;
                let options = delete_options(&read_body(request).await?, query)?;
                let (objects, version) = self.list(kind, &filter);
                let mut deleted = Vec::new();
                for object in objects {
                    match self.store.delete(kind, object.namespace(), object.name(), &options) {
                        Ok(Deleted::Marked(object) | Deleted::Removed(object)) => deleted.push(object),
                        // Somebody was faster: it is gone, as asked.
                        Err(error) if error.code == 404 => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(json_response(200, shape.list(kind, &deleted, version)))
            }
            _ => Err(ApiError::method_not_allowed()),
        }
    }

    /// The namespace to create in: none for kinds outside of namespaces.
    fn home<'a>(&self, kind: Kind, namespace: Option<&'a str>) -> Result<&'a str, ApiError> {
        match namespace {
            Some(namespace) => Ok(namespace),
            None if kind.facts().namespaced => Err(ApiError::method_not_allowed()),
            None => Ok(""),
        }
    }

    fn list(&self, kind: Kind, filter: &Filter) -> (Vec<Arc<Object>>, u64) {
        self.store
            .list(kind, filter.namespace.as_deref(), |object| filter.matches(object))
    }

    async fn object(&self, request: Request<Incoming>, query: &Query, at: At<'_>, part: Part) -> Answer {
        let At { kind, namespace, name } = at;
        let shape = Shape::wanted(request.headers(), query);
        match *request.method() {
            Method::GET | Method::HEAD => {
                let object = self.store.get(kind, namespace, name)?;
                Ok(json_response(200, shape.object(kind, &object)))
            }
            Method::PUT => {
                let new = read_object(request).await?;
                let object = self.store.update(kind, namespace, name, part, |_| Ok(new))?;
                Ok(json_response(200, shape.object(kind, &object)))
            }
            Method::PATCH => {
                let (code, object) = self.patch(request, at, part).await?;
                Ok(json_response(code, shape.object(kind, &object)))
            }
            Method::DELETE if part == Part::Main && kind == Kind::Namespace && name == "default" => {
                Err(ApiError::forbidden(kind, name, "this namespace may not be deleted"))
            }
            Method::DELETE if part == Part::Main => {
                let options = delete_options(&read_body(request).await?, query)?;
                match self.store.delete(kind, namespace, name, &options)? {
                    Deleted::Marked(object) => Ok(json_response(200, shape.object(kind, &object))),
                    Deleted::Removed(object) => {
                        let facts = kind.facts();
                        let mut details = json!({ "name": name, "kind": facts.plural, "uid": object.uid() });
                        if !facts.group.is_empty() {
                            details["group"] = facts.group.into();
                        }
                        let status = json!({
                            "kind": "Status",
                            "apiVersion": "v1",
                            "metadata": {},
                            "status": "Success",
                            "details": details,
                        });
                        Ok(json_response(200, status.to_string().into()))
                    }
                }
            }
            _ => Err(ApiError::method_not_allowed()),
        }
    }

    async fn patch(&self, request: Request<Incoming>, at: At<'_>, part: Part) -> Result<(u16, Arc<Object>), ApiError> {
        let At { kind, namespace, name } = at;
        let patch = read_patch(request, kind).await?;
        let updated = self.store.update(kind, namespace, name, part, |old| {
            let mut new = patch.apply(old)?;
            // What can't be decoded is the patch's fault: 422, not 400 as for a whole object.
            super::admission::decode(kind, &mut new)
                .map_err(|why| ApiError::invalid(kind, name, &format!("patch: Invalid value: {why}")))?;
            Ok(new)
        });
        match (updated, &patch) {
            (Err(error), Patch::Apply(_)) if error.code == 404 && part == Part::Main => {
                let mut new = patch.apply(&json!({}))?;
                new["metadata"]["name"] = name.into();
                Ok((201, self.store.create(kind, namespace, new)?))
            }
            (updated, _) => Ok((200, updated?)),
        }
    }
}

/// Which object a request is about.
#[derive(Clone, Copy)]
struct At<'a> {
    kind: Kind,
    namespace: &'a str,
    name: &'a str,
}

/// Which objects of a kind a list, watch or deletion is about.
struct Filter {
    namespace: Option<String>,
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Filter {
    fn parse(query: &Query, namespace: Option<&str>) -> Result<Filter, ApiError> {
        Ok(Filter {
            namespace: namespace.map(str::to_string),
            labels: LabelSelector::parse(query.get("labelSelector").unwrap_or_default())?,
            fields: FieldSelector::parse(query.get("fieldSelector").unwrap_or_default())?,
        })
    }

    fn matches(&self, object: &Object) -> bool {
        self.namespace
            .as_deref()
            .is_none_or(|namespace| namespace == object.namespace())
            && self.labels.matches(&object["metadata"]["labels"])
            && self.fields.matches(object)
    }
}

/// An answer of JSON.
pub fn json_response(code: u16, json: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(json).boxed_unsync());
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

async fn read_body(request: Request<Incoming>) -> Result<Bytes, ApiError> {
    let body = Limited::new(request.into_body(), BODY_LIMIT)
        .collect()
        .await
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                let message = format!("Request entity too large: limit is {BODY_LIMIT}");
                ApiError::new(413, "RequestEntityTooLarge", message)
            } else {
                ApiError::bad_request(format!("reading the body: {error}"))
            }
        })?;
    Ok(body.to_bytes())
}

async fn read_object(request: Request<Incoming>) -> Result<Value, ApiError> {
    let given = content_type(request.headers()).to_string();
    if given == protobuf::CONTENT_TYPE {
        return protobuf::object(&read_body(request).await?);
    }
    let yaml = given == "application/yaml";
    if !yaml && !matches!(given.as_str(), "" | "application/json") {
        return Err(ApiError::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, not {given}"
            ),
        ));
    }
    let body = read_body(request).await?;
    let malformed =
        |why: &dyn std::fmt::Display| ApiError::bad_request(format!("the object provided is unrecognized: {why}"));
    if yaml {
        let text = std::str::from_utf8(&body).map_err(|why| malformed(&why))?;
        return serde_saphyr::from_str(text).map_err(|why| malformed(&why));
    }
    serde_json::from_slice(&body).map_err(|why| malformed(&why))
}

async fn read_patch(request: Request<Incoming>, kind: Kind) -> Result<Patch, ApiError> {
    let given = content_type(request.headers()).to_string();
    Patch::parse(kind, &given, &read_body(request).await?)
}

fn delete_options(body: &[u8], query: &Query) -> Result<DeleteOptions, ApiError> {
    let body: Value = match body {
        [] => Value::Null,
        body => serde_json::from_slice(body)
            .map_err(|why| ApiError::bad_request(format!("decoding DeleteOptions: {why}")))?,
    };
    if body["dryRun"].as_array().is_some_and(|runs| !runs.is_empty()) {
        return Err(ApiError::bad_request("the embedded cluster has no dry runs"));
    }
    let policy = body["propagationPolicy"]
        .as_str()
        .or_else(|| query.get("propagationPolicy"));
    let owned = |value: &Value| value.as_str().map(str::to_string);
    Ok(DeleteOptions {
        grace_seconds: match body["gracePeriodSeconds"].as_u64() {
            Some(seconds) => Some(seconds),
            None => query.number("gracePeriodSeconds")?,
        },
        uid: owned(&body["preconditions"]["uid"]),
        resource_version: owned(&body["preconditions"]["resourceVersion"]),
        propagation: match policy {
            Some("Foreground") => Propagation::Foreground,
            Some("Orphan") => Propagation::Orphan,
            _ if text(&body["orphanDependents"]) == "true" || body["orphanDependents"] == true => Propagation::Orphan,
            _ => Propagation::Background,
        },
    })
}
