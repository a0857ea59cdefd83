//! The subjects of steps: sessions and pods, as observed.

use serde_json::Value;

use crate::vocabulary::Road;

/// How a message names a session or pod.
pub fn name(subject: &Value) -> String {
    let kind = subject["kind"].as_str().unwrap_or("subject");
    match subject["name"].as_str().or(subject["id"].as_str()) {
        Some(name) => format!("{kind} {name}"),
        None => format!("{kind} {subject}"),
    }
}

/// The host of a session's `sandbox_url`: an address of a pod, or a name. Empty if it has none yet.
pub fn host(session: &Value) -> &str {
    let url = session["sandbox_url"].as_str().unwrap_or_default();
    let authority = url.split("://").nth(1).unwrap_or(url);
    authority.split([':', '/']).next().unwrap_or_default()
}

/// The pods that a list of them holds; `None` for anything that isn't a list of pods.
pub fn each(subject: &Value) -> Option<&Vec<Value>> {
    match subject["kind"].as_str() {
        Some("pods") => subject["items"].as_array(),
        _ => subject.as_array(),
    }
}

/// The road where a step names none: through the platform for a session, straight to a pod.
pub fn default_road(subject: &Value) -> Road {
    if subject["kind"] == "pod" {
        Road::Direct
    } else {
        Road::Proxy
    }
}
