//! `logs`: a container's log lines and their times.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::context::StepContext;
use super::definition::{Reach, Verb, verb};
use super::exec;
use super::observation::{Observation, StepError};
use crate::world::access::Ask;

/// The verb `logs`.
pub const VERB: Verb = Verb {
    fields: &["lines", "count", "said", "gaps_ms", "last"],
    takes_objects: &["logs"],
    each: Some("logs"),
    reach: Reach::Cluster(|_| vec![Ask::ReadLogs, Ask::FindPods]),
    sees_others: |_| true,
    ..verb!("logs", Logs, run)
};

/// Reads a container's log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// A pod.
    pub logs: Value,
    /// Default: the only one.
    pub container: Option<String>,
    /// Only lines that have this regular expression; what its group matched is `said`.
    pub matching: Option<String>,
    /// Only lines behind this time, as `${before.last}` of an earlier look.
    pub since: Option<String>,
}

/// Reads a log: `lines` (`at` and `text` of each), their `count`, `said` (what the pattern's group matched in each,
/// joined by blanks), `gaps_ms` (the times between them), `last` (when the last line of all came).
pub async fn run(arguments: Logs, context: &StepContext) -> Result<Observation, StepError> {
    let pod = exec::pod_name(&arguments.logs, context).await?;
    let container = arguments.container;
    let what = format!("read the log of {pod}/{}", container.as_deref().unwrap_or_default());
    let pattern = arguments.matching.as_deref().map(Regex::new).transpose();
    let pattern = pattern.map_err(|error| StepError::doing(&what, error))?;
    let since = arguments.since.as_deref().map(str::parse::<Timestamp>).transpose();
    let since = since.map_err(|error| StepError::doing(format!("{what} since"), error))?;
    let params = LogParams {
        container,
        timestamps: true,
        ..LogParams::default()
    };
    let api: Api<Pod> = Api::namespaced(context.world.kubernetes.clone(), &context.world.namespace);
    let text = api.logs(&pod, &params).await;
    let text = text.map_err(|error| StepError::asking(&what, error))?;
    Ok(Observation {
        what,
        value: observed(&text, pattern.as_ref(), since),
    })
}

fn observed(text: &str, pattern: Option<&Regex>, since: Option<Timestamp>) -> Value {
    let timed = |line: &str| -> Option<(Timestamp, String)> {
        let (at, text) = line.split_once(' ').unwrap_or((line, ""));
        Some((at.parse().ok()?, text.to_owned()))
    };
    let all: Vec<(Timestamp, String)> = text.lines().filter_map(timed).collect();
    let is_wanted = |(at, text): &&(Timestamp, String)| {
        since.is_none_or(|since| *at > since) && pattern.is_none_or(|pattern| pattern.is_match(text))
    };
    let wanted: Vec<&(Timestamp, String)> = all.iter().filter(is_wanted).collect();
    let said = wanted.iter().filter_map(|(_, text)| {
        let groups = pattern?.captures(text)?;
        groups.get(1).map(|group| group.as_str().to_owned())
    });
    let gaps = wanted
        .windows(2)
        .map(|pair| pair[1].0.duration_since(pair[0].0).as_secs_f64() * 1000.0);
    let line = |(at, text): &&(Timestamp, String)| json!({ "at": at.to_string(), "text": text });
    json!({
        "lines": wanted.iter().map(line).collect::<Vec<Value>>(),
        "count": wanted.len(),
        "said": said.collect::<Vec<String>>().join(" "),
        "gaps_ms": gaps.collect::<Vec<f64>>(),
        "last": all.last().map(|(at, _)| at.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::definition::unlike_listed;

    const LOG: &str = "2026-01-02T03:04:05.000000001Z active account-1\n\
                       2026-01-02T03:04:05.5Z removed stale rotate-now\n\
                       2026-01-02T03:04:06.000000001Z active account-2\n\
                       2026-01-02T03:04:07Z\n";

    #[test]
    fn what_was_said_and_when() {
        let pattern = Regex::new("active account-([0-9]+)").expect("a pattern");
        let seen = observed(LOG, Some(&pattern), None);
        assert_eq!((seen["count"].as_u64(), seen["said"].as_str()), (Some(2), Some("1 2")));
        assert_eq!(seen["gaps_ms"], json!([1000.0]));
        assert_eq!(unlike_listed(&VERB, &seen), [""; 0]);
        assert_eq!(seen["last"], "2026-01-02T03:04:07Z");
        let since = "2026-01-02T03:04:05.000000001Z".parse().ok();
        assert_eq!(observed(LOG, Some(&pattern), since)["said"], "2");
        assert_eq!(observed(LOG, None, None)["count"], 4);
        assert_eq!(observed("", None, None)["last"], Value::Null);
    }
}
