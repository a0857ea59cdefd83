//! `SelfSubjectAccessReview`: there is one user, and it may do everything.

use http::{Method, Request};
use hyper::body::Incoming;
use serde_json::json;

use super::{Answer, json_response, read_object};
use crate::target::embedded::error::ApiError;

pub async fn review(request: Request<Incoming>) -> Answer {
    if *request.method() != Method::POST {
        return Err(ApiError::method_not_allowed());
    }
    let mut review = read_object(request).await?;
    review["status"] = json!({ "allowed": true, "reason": "the embedded cluster has no access control" });
    Ok(json_response(201, review.to_string().into()))
}
