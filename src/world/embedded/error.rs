//! Errors of the API: what Kubernetes sends as a `Status` object.

use serde_json::{Value, json};

use super::kinds::Kind;

/// A request that failed, as its client sees it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status.
    pub code: u16,
    /// The machine-readable reason: `NotFound`, `Conflict` …
    pub reason: &'static str,
    pub message: String,
    /// The object that it was about: name, group and resource.
    pub details: Option<Value>,
}

impl ApiError {
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> ApiError {
        ApiError {
            code,
            reason,
            message: message.into(),
            details: None,
        }
    }

    fn about(mut self, kind: Kind, name: &str) -> ApiError {
        let facts = kind.facts();
        let mut details = json!({ "name": name, "kind": facts.plural });
        if !facts.group.is_empty() {
            details["group"] = facts.group.into();
        }
        self.details = Some(details);
        self
    }

    pub fn not_found(kind: Kind, name: &str) -> ApiError {
        ApiError::new(404, "NotFound", format!("{} \"{name}\" not found", kind.resource())).about(kind, name)
    }

    /// The path leads nowhere: an unknown group, version or resource.
    pub fn no_such_path() -> ApiError {
        ApiError::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub fn already_exists(kind: Kind, name: &str) -> ApiError {
        ApiError::new(
            409,
            "AlreadyExists",
            format!("{} \"{name}\" already exists", kind.resource()),
        )
        .about(kind, name)
    }

    /// The object changed since the client read it.
    pub fn stale(kind: Kind, name: &str) -> ApiError {
        ApiError::conflict(
            kind,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    pub fn conflict(kind: Kind, name: &str, why: &str) -> ApiError {
        let resource = kind.resource();
        ApiError::new(
            409,
            "Conflict",
            format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}"),
        )
        .about(kind, name)
    }

    pub fn invalid(kind: Kind, name: &str, why: &str) -> ApiError {
        ApiError::new(
            422,
            "Invalid",
            format!("{} \"{name}\" is invalid: {why}", kind.facts().kind),
        )
        .about(kind, name)
        .because(kind, why)
    }

    /// What kubectl shows for a rejected object: the field and its problem.
    fn because(mut self, kind: Kind, why: &str) -> ApiError {
        let path = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
        let (field, message) = match why.split_once(": ") {
            Some((field, message)) if path(field) => (field, message),
            _ => ("", why),
        };
        if let Some(details) = &mut self.details {
            details["kind"] = kind.facts().kind.into();
            details["causes"] = json!([{ "reason": "FieldValueInvalid", "field": field, "message": message }]);
        }
        self
    }

    pub fn forbidden(kind: Kind, name: &str, why: &str) -> ApiError {
        let resource = kind.resource();
        ApiError::new(403, "Forbidden", format!("{resource} \"{name}\" is forbidden: {why}")).about(kind, name)
    }

    pub fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(400, "BadRequest", message)
    }

    pub fn method_not_allowed() -> ApiError {
        ApiError::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    pub fn internal(message: impl Into<String>) -> ApiError {
        ApiError::new(
            500,
            "InternalError",
            format!("Internal error occurred: {}", message.into()),
        )
    }

    /// The history that a watch wants to start from is forgotten.
    pub fn gone(from: u64, oldest: u64) -> ApiError {
        ApiError::new(410, "Expired", format!("too old resource version: {from} ({oldest})"))
    }

    /// The `Status` object of the answer.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }
}
