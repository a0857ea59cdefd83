//! `SelfSubjectAccessReview` and `SelfSubjectRulesReview`: there is one user, and it may do everything.

use http::{Method, Request};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{Answer, json_response, read_object};
use crate::world::embedded::error::ApiError;

/// Whether something may be done: `kubectl auth can-i get pods`.
pub async fn review(request: Request<Incoming>) -> Answer {
    let status = json!({ "allowed": true, "reason": "the embedded cluster has no access control" });
    answer(request, status).await
}

/// What may be done: `kubectl auth can-i --list`.
pub async fn rules(request: Request<Incoming>) -> Answer {
    let status = json!({
        "resourceRules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }],
        "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
        "incomplete": false,
    });
    answer(request, status).await
}

async fn answer(request: Request<Incoming>, status: Value) -> Answer {
    if *request.method() != Method::POST {
        return Err(ApiError::method_not_allowed());
    }
    let mut review = read_object(request).await?;
    if !review.is_object() {
        return Err(ApiError::bad_request("the review is no object"));
    }
    review["status"] = status;
    Ok(json_response(201, review.to_string().into()))
}
