//! What steps work on: sessions and pods, as they were observed.

use serde_json::Value;

use super::arguments::Road;

/// How a message names a session or pod.
pub fn name(subject: &Value) -> String {
    let kind = subject["kind"].as_str().unwrap_or("subject");
    match subject["name"].as_str().or(subject["id"].as_str()) {
        Some(name) => format!("{kind} {name}"),
        None => format!("{kind} {subject}"),
    }
}

/// The host of a session's `sandbox_url`: an address of a pod, or a name. Empty where it has none yet.
pub fn host(session: &Value) -> &str {
    let url = session["sandbox_url"].as_str().unwrap_or_default();
    let authority = url.split("://").nth(1).unwrap_or(url);
    authority.split([':', '/']).next().unwrap_or_default()
}

/// How a message names a road.
pub fn by(road: Road) -> &'static str {
    match road {
        Road::Direct => "directly",
        Road::Proxy => "through the proxy",
        Road::Balancer => "through the balancer",
        Road::BalancerTls => "through the balancer over TLS",
        Road::Service => "straight to the agent service",
        Road::AccessControl => "as access control is asked",
        Road::Builtin => "through the built-in gateway",
        Road::Nginx => "through nginx",
        Road::Envoy => "through Envoy",
        Road::Witness => "of the witness",
        Road::Litellm => "at LiteLLM",
        Road::Vendor => "at the vendor",
    }
}

/// The pods that a list of them holds; `None` for anything that isn't a list of pods.
pub fn each(subject: &Value) -> Option<&Vec<Value>> {
    match subject["kind"].as_str() {
        Some("pods") => subject["items"].as_array(),
        _ => subject.as_array(),
    }
}
