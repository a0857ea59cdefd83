//! Secrets in a platform's answers: they are redacted, whatever they are.
//!
//! The world's own token is a secret from the start. An answer may hold others: the
//! token of another installation, an old one, one that the platform made up.

use serde_json::Value;

use crate::redact::{RedactError, Redactor};

/// Shortest value that is taken for a secret for its name only: a shorter one may be a word that
/// stands all over a report.
const SHORTEST: usize = 16;

/// How names of fields end whose values are secrets.
const ENDINGS: [&str; 8] = [
    "token",
    "secret",
    "password",
    "api_key",
    "apikey",
    "master_key",
    "private_key",
    "credential",
];

/// Makes secrets of all texts in a JSON value that stand under such a name, at any depth.
pub fn keep(value: &Value, redactor: &Redactor) -> Result<(), RedactError> {
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| match value {
            Value::String(text) if names_secret(name) => keep_text(name, text, redactor),
            Value::Array(items) if names_secret(name) => items.iter().try_for_each(|item| match item {
                Value::String(text) => keep_text(name, text, redactor),
                item => keep(item, redactor),
            }),
            value => keep(value, redactor),
        }),
        Value::Array(items) => items.iter().try_for_each(|item| keep(item, redactor)),
        _ => Ok(()),
    }
}

/// Makes a secret of a text that came under a name, unless it is too short for one.
pub fn keep_text(name: &str, text: &str, redactor: &Redactor) -> Result<(), RedactError> {
    match text.chars().count() >= SHORTEST && text.len() <= crate::redact::LONGEST {
        true => redactor.add(name, text).map(drop),
        false => Ok(()),
    }
}

/// Makes secrets of what stands under such a name in an environment of a container, wherever in an object it is.
pub fn keep_environment(object: &Value, redactor: &Redactor) -> Result<(), RedactError> {
    match object {
        Value::Object(fields) => {
            let text = |field: &str| fields.get(field).and_then(Value::as_str);
            if let (Some(name), Some(value)) = (text("name"), text("value"))
                && names_secret(name)
            {
                keep_text(name, value, redactor)?;
            }
            fields.values().try_for_each(|field| keep_environment(field, redactor))
        }
        Value::Array(items) => items.iter().try_for_each(|item| keep_environment(item, redactor)),
        _ => Ok(()),
    }
}

/// `tty_token`, `accessToken`, `api-key`; not `max_tokens`.
fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let name = name
        .strip_suffix('s')
        .filter(|name| name.ends_with("credential"))
        .unwrap_or(&name);
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn environments_of_pods_and_of_templates() {
        let redactor = Redactor::new();
        let container = |secret: &str| {
            let variables = json!([
                { "name": "HARNESS_AUTH_TOKEN", "value": secret },
                { "name": "max_tokens", "value": "0123456789abcdef-count" },
                { "name": "API_KEY", "valueFrom": { "secretKeyRef": { "name": "env", "key": "K" } } },
            ]);
            json!([{ "name": "c", "env": variables }])
        };
        let pod = json!({ "spec": { "initContainers": container("0123456789abcdef-one") } });
        let template = json!({ "spec": { "containers": container("0123456789abcdef-two") } });
        let sandbox = json!({ "spec": { "podTemplate": template } });
        for object in [&pod, &sandbox] {
            keep_environment(object, &redactor).expect("kept");
        }
        let shown = redactor.redact(&json!([pod, sandbox]).to_string()).into_owned();
        assert!(!shown.contains("-one") && !shown.contains("-two"), "{shown}");
        assert!(shown.contains("-count"), "{shown}");
    }

    #[test]
    fn answers_with_sessions_in_a_list() {
        let redactor = Redactor::new();
        let answer = json!({
            "data": [
                { "id": "s1", "tty_token": "0123456789abcdef-one" },
                { "id": "s2", "tty_token": null, "nested": { "accessToken": "0123456789abcdef-two" } },
            ],
            "max_tokens": "0123456789abcdef-count",
            "token": "short",
            "api-keys": [], "api_key": ["0123456789abcdef-three"],
        });
        keep(&answer, &redactor).expect("kept");
        let shown = redactor.redact(&answer.to_string()).into_owned();
        for secret in ["-one", "-two", "-three"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        for other in ["\"s1\"", "0123456789abcdef-count", "short", "$TTY_TOKEN"] {
            assert!(shown.contains(other), "{other} in {shown}");
        }
    }
}
