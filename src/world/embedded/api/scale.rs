//! The `scale` subresource.

use http::{Method, Request};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{Answer, Api, At, json_response, read_object, read_patch};
use crate::world::embedded::error::ApiError;
use crate::world::embedded::store::Part;

impl Api {
    pub(super) async fn scale(&self, request: Request<Incoming>, at: At<'_>) -> Answer {
        let At { kind, namespace, name } = at;
        let object = match *request.method() {
            Method::GET => self.store.get(kind, namespace, name)?,
            Method::PUT => {
                let scale = read_object(request).await?;
                self.store
                    .update(kind, namespace, name, Part::Main, |old| resized(old, &scale))?
            }
            Method::PATCH => {
                let patch = read_patch(request, kind).await?;
                self.store.update(kind, namespace, name, Part::Main, |old| {
                    resized(old, &patch.apply(&scale_of(old))?)
                })?
            }
            _ => return Err(ApiError::method_not_allowed()),
        };
        Ok(json_response(200, scale_of(&object).to_string().into()))
    }
}

fn resized(old: &Value, scale: &Value) -> Result<Value, ApiError> {
    let named = |object: &Value| object["metadata"]["name"].as_str().map(str::to_owned);
    if let Some(other) = named(scale).filter(|name| Some(name) != named(old).as_ref()) {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({other}) does not match the name on the URL ({})",
            named(old).unwrap_or_default()
        )));
    }
    let mut new = old.clone();
    // As it is: whether it is a number of replicas is for admission to say.
    new["spec"]["replicas"] = match &scale["spec"]["replicas"] {
        Value::Null => 0.into(),
        given => given.clone(),
    };
    if let Some(version) = scale["metadata"]["resourceVersion"].as_str().filter(|v| !v.is_empty()) {
        new["metadata"]["resourceVersion"] = version.into();
    }
    Ok(new)
}

fn scale_of(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let labels = object["spec"]["selector"]["matchLabels"].as_object();
    let selector: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(label, value)| format!("{label}={}", value.as_str().unwrap_or_default()))
        .collect();
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": { "replicas": object["spec"]["replicas"] },
        "status": {
            "replicas": object["status"]["replicas"].as_u64().unwrap_or(0),
            "selector": selector.join(","),
        },
    })
}
