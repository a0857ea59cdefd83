//! Taking values out of observations.

use regex::Regex;
use serde_json::Value;
use serde_json_path::JsonPath;

use super::model::Capture;
use super::words;

/// Why nothing could be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CaptureError(pub String);

/// Fields that are the text of an observation, first one first.
const TEXTS: [&str; 4] = ["text", "screen", "stdout", "body"];

impl Capture {
    /// Takes the value out of what a step observed.
    pub fn take(&self, observation: &Value) -> Result<Value, CaptureError> {
        match self {
            Capture::Jsonpath(path) => {
                let parsed =
                    JsonPath::parse(path).map_err(|e| CaptureError(format!("`{path}` is no JSONPath: {e}")))?;
                let first = parsed.query(observation).first();
                first
                    .cloned()
                    .ok_or_else(|| CaptureError(format!("nothing at {path} in {}", words::short(observation))))
            }
            Capture::Header(name) => {
                let headers = observation.get("header").and_then(Value::as_object);
                headers
                    .and_then(|map| map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)))
                    .map(|(_, value)| value.clone())
                    .ok_or_else(|| CaptureError(format!("no header {name} in the answer")))
            }
            Capture::Regex(pattern) => {
                let parsed =
                    Regex::new(pattern).map_err(|_| CaptureError(format!("`{pattern}` is no regular expression")))?;
                let text = text(observation);
                let groups = parsed.captures(&text).ok_or_else(|| {
                    let text = words::short(&Value::String(text.clone()));
                    CaptureError(format!("/{pattern}/ is not found in {text}"))
                })?;
                let found = groups.get(1).or_else(|| groups.get(0));
                Ok(Value::from(found.map_or("", |m| m.as_str())))
            }
        }
    }
}

/// The text of an observation; where it has none, all of it as JSON.
fn text(observation: &Value) -> String {
    TEXTS
        .iter()
        .find_map(|field| observation.get(field)?.as_str())
        .map_or_else(|| observation.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn takes() {
        let seen = json!({
            "body": {"tty_token": null, "ids": ["a", "b"]},
            "header": {"set-cookie": "s=1"},
            "text": "id=42;"
        });
        let take = |capture: Capture| capture.take(&seen);
        assert_eq!(take(Capture::Jsonpath("$.body.ids[1]".into())), Ok(json!("b")));
        assert_eq!(take(Capture::Jsonpath("$.body.tty_token".into())), Ok(json!(null)));
        assert_eq!(take(Capture::Header("Set-Cookie".into())), Ok(json!("s=1")));
        assert_eq!(take(Capture::Regex("id=(\\d+)".into())), Ok(json!("42")));
        assert_eq!(take(Capture::Regex("id=".into())), Ok(json!("id=")));
        assert!(take(Capture::Jsonpath("$.nope".into())).is_err());
        assert!(take(Capture::Header("x".into())).is_err());
        assert!(take(Capture::Regex("zzz".into())).is_err());
    }
}
