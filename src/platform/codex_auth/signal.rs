//! What LiteLLM tells the rotator of a 429: the file `rotate-now` `{timestamp, model, exception}`.

use serde_json::{Value, json};

use super::rotation::Limit;

/// A file `rotate-now` that could be read.
#[derive(Debug, PartialEq)]
pub struct Signal {
    /// Seconds since 1970.
    pub at: f64,
    pub model: String,
    pub limit: Limit,
}

impl Signal {
    /// None where it isn't one.
    pub fn parse(bytes: &[u8]) -> Option<Signal> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        Some(Signal {
            at: time(&value["timestamp"])?,
            model: value["model"].as_str()?.to_owned(),
            limit: limit(value["exception"].as_str()?),
        })
    }

    /// Whether it is about a codex model, which are those that logins are for.
    pub fn is_of(&self, models: &[String]) -> bool {
        // LiteLLM puts the provider before the name.
        let name = self.model.rsplit('/').next().unwrap_or_default();
        models.iter().any(|model| model == name) || name.contains("codex")
    }

    /// Whether it is younger than `most` seconds. Clocks of two containers are the same.
    pub fn is_fresh(&self, now: f64, most: f64) -> bool {
        (self.at - now).abs() < most
    }
}

/// What LiteLLM's callback writes.
pub fn document(now: f64, model: &str, exception: &str) -> Value {
    json!({ "timestamp": now, "model": model, "exception": exception })
}

/// Seconds since 1970, or a time as RFC 3339 has it.
fn time(value: &Value) -> Option<f64> {
    let time = match value {
        Value::String(text) => text.parse::<jiff::Timestamp>().ok()?.as_duration().as_secs_f64(),
        other => other.as_f64()?,
    };
    time.is_finite().then_some(time)
}

/// The vendor says `usage_limit_reached` where the account's cap is reached; all else passes soon.
fn limit(exception: &str) -> Limit {
    let exception = exception.to_lowercase().replace(['_', '-'], " ");
    let of_caps = ["usage limit", "usage cap", "insufficient quota", "quota exceeded"];
    match of_caps.iter().any(|words| exception.contains(words)) {
        true => Limit::UsageCap,
        false => Limit::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_signal() {
        let exception = r#"RateLimitError: {"error":{"type":"usage_limit_reached"}}"#;
        let text = document(7.5, "chatgpt/gpt-5-codex", exception).to_string();
        let signal = Signal::parse(text.as_bytes()).expect("a signal");
        assert_eq!((signal.at, signal.limit), (7.5, Limit::UsageCap));
        assert!(signal.is_of(&["gpt-5-codex".into()]));
        assert!(signal.is_fresh(127.4, 120.0) && !signal.is_fresh(127.5, 120.0));
        assert!(!signal.is_fresh(-112.5, 120.0));
        let text = r#"{"timestamp":"1970-01-01T00:00:08Z","model":"gauntlet-small","exception":"rate_limit_exceeded"}"#;
        let signal = Signal::parse(text.as_bytes()).expect("a signal");
        assert_eq!((signal.at, signal.limit), (8.0, Limit::Transient));
        assert!(!signal.is_of(&["gpt-5-codex".into()]));
        for text in [
            "",
            "x",
            "{}",
            "7",
            r#"{"timestamp":1,"model":"m"}"#,
            r#"{"timestamp":"soon","model":"m","exception":""}"#,
            r#"{"timestamp":1e999,"model":"m","exception":""}"#,
            r#"{"timestamp":1,"model":["m"],"exception":""}"#,
        ] {
            assert_eq!(Signal::parse(text.as_bytes()), None, "{text}");
        }
    }
}
